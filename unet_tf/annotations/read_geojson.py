"""GeoJSON of QuPath, and of others in pixels: a file a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.annotations.annotated import (
    NAMELESS,
    VOID_NAME,
    Annotated,
    Feature,
    Skipped,
    check_planes,
    clean,
    field,
    points,
    region,
    typed,
)
from unet_tf.annotations.shapes import Shape
from unet_tf.annotations.suffixes import SUFFIXES
from unet_tf.data.structure import Damage

IGNORED = "Ignore*"
"""QuPath's class for what is to be ignored."""
REGION = "Region*"
"""QuPath's class for what other objects are looked for in."""
OUTER, INNER = ("annotation", "core"), ("detection", "cell", "tile")
"""What kinds of QuPath's objects are called in which others are looked for, and what these are called."""
_WGS84 = Path(SUFFIXES["wgs84"]).stem


def features_of(content: Any) -> list[Any] | None:
    """The features of parsed GeoJSON, or None where it is none."""
    if isinstance(content, dict) and content.get("type") == "FeatureCollection":
        content = content.get("features")
    elif isinstance(content, dict) and content.get("type") == "Feature":
        content = [content]
    if not isinstance(content, list):
        return None
    return content if all(isinstance(one, dict) and one.get("type") == "Feature" for one in content) else None


def is_geojson(content: Any) -> bool:
    """Whether parsed JSON is GeoJSON; a bare list must have a feature."""
    return bool(features_of(content)) or (isinstance(content, dict) and features_of(content) is not None)


def is_geojson_of_pixels(content: Any) -> bool:
    """Whether parsed JSON is GeoJSON that names no coordinate system, nor is called a map: QuPath's, in pixels."""
    on_earth = isinstance(content, dict) and ("crs" in content or str(content.get("name")).endswith(_WGS84))
    return is_geojson(content) and not on_earth


def read_geojson(path: Path, content: Any, skipped: Skipped) -> list[Annotated]:
    """Read the objects of a picture, which is called like the file; of cells the outline, not the nucleus.

    The class is the classification of QuPath. Where there is none, and which annotations are where QuPath looked for
    others, `unet_tf.annotations.features.name_features` tells.

    Args:
        path: of the file.
        content: what it holds, parsed.
        skipped: counts what is no area.

    Raises:
        Damage: a field is missing or of another type, or objects lie in several planes of a stack.
    """
    features = features_of(content) or []
    every = [typed(one.get("properties") or {}, dict, f"feature {number}") for number, one in enumerate(features)]
    # a cell has dozens of measurements, none of which is asked for
    every = [one | {"measurements": {}} if "measurements" in one else one for one in every]
    shapes: dict[int, list[Shape]] = {}  # by the number of the feature
    outer: list[int] = []
    inner: list[Shape] = []
    planes: dict[str, set[int]] = {"z": set(), "t": set()}
    for number, (one, properties) in enumerate(zip(features, every, strict=True)):
        where, geometry = f"feature {number}", one.get("geometry")
        if geometry is None:
            skipped["features without a geometry"] += 1
            continue
        name = _name(properties, where)
        own = shapes[number] = []
        for rings in polygons(geometry, where, skipped):
            own += region(name, rings, skipped, number if geometry["type"] != "Polygon" else None)
        kind = properties.get("objectType", properties.get("object_type", one.get("id")))  # of QuPath 0.3, of 0.2
        if any(word in str(kind).lower() for word in INNER):
            inner += own
        elif any(word in str(kind).lower() for word in OUTER):
            outer += [number] * (properties.get("classification") is None or name == REGION)
        for axis, numbers in planes.items() if own else ():
            plane = typed(geometry.get("plane") or {}, dict, where)  # QuPath leaves out the first one
            numbers.add(int(field(plane | {axis: plane.get(axis, 0)}, axis, float, f"the plane of {where}")))
    check_planes(planes, "take the planes out of the file")
    boxes = np.array([(*shape.rings[0].min(0), *shape.rings[0].max(0)) for shape in inner]).reshape(-1, 4)
    around = {number: sum(_held(shape, boxes) for shape in shapes[number]) for number in outer}
    told = [Feature(number, every[number], around.get(number)) for number, own in shapes.items() for _ in own]
    found = tuple(shape for own in shapes.values() for shape in own)
    return [Annotated(path, path.stem, found, stem=True, shown=False, features=tuple(told))]


def _held(shape: Shape, boxes: NDArray[np.float64]) -> int:
    """How many boxes, (N, 4) left, top, right, bottom, lie in that of a shape and have their centre in the shape."""
    outline = shape.rings[0]
    inside = (boxes[:, :2] >= outline.min(0)).all(1) & (boxes[:, 2:] <= outline.max(0)).all(1)
    centres = ((boxes[inside, :2] + boxes[inside, 2:]) / 2).tolist()
    first, *holes = (ring.astype(np.float32) for ring in shape.rings)

    def is_in(ring: NDArray[np.float32], point: list[float]) -> bool:
        return cv2.pointPolygonTest(ring, point, False) >= 0

    return sum(is_in(first, centre) and not any(is_in(hole, centre) for hole in holes) for centre in centres)


def polygons(geometry: Any, where: str, skipped: Skipped) -> list[list[NDArray[np.float64]]]:
    """The rings of each polygon of a geometry: the outline first, then the holes.

    Raises:
        Damage: a field is missing or of another type.
    """
    kind = field(geometry, "type", str, where)
    if kind == "GeometryCollection":
        parts = field(geometry, "geometries", list, where)
        if any(isinstance(part, dict) and part.get("type") == kind for part in parts):
            raise Damage(f"collections of geometries must not hold others; {where} does")
        return [rings for part in parts for rings in polygons(part, where, skipped)]
    if kind not in ("Polygon", "MultiPolygon"):
        skipped[f"geometries of type {kind[:30]}, which are no areas"] += 1
        return []
    coordinates = field(geometry, "coordinates", list, where)
    several = [coordinates] if kind == "Polygon" else coordinates
    return [[_ring(ring, where) for ring in typed(rings, list, where)] for rings in several]


def _ring(value: Any, where: str) -> NDArray[np.float64]:
    """(N, 2) points; a third coordinate is left out."""
    if isinstance(value, list) and value and isinstance(value[0], list) and len(value[0]) > 2:
        value = [point[:2] if isinstance(point, list) else point for point in value]
    return points(value, where)


def _name(properties: dict[str, Any], where: str) -> str:
    classification = properties.get("classification")
    if classification is None:
        return NAMELESS
    if isinstance(classification, str):
        name = classification
    elif "names" in typed(classification, dict, where):  # classes derived from others
        name = ": ".join(map(str, field(classification, "names", list, where)))
    else:
        name = field(classification, "name", str, where)
    return VOID_NAME if name == IGNORED else clean(name)
