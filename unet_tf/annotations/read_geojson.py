"""GeoJSON of QuPath: a file a picture, in pixels."""

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
"""QuPath's class for what is not to be learnt from."""
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

    An annotation without a class, or of "Region*", around detections is where QuPath looked for them, and no object.

    Args:
        path: of the file.
        content: what it holds, parsed.
        skipped: counts what is no area.

    Raises:
        Damage: a field is missing or of another type, or objects lie in several planes of a stack.
    """
    shapes: list[Shape] = []
    regions: list[list[Shape]] = []  # the shapes of each annotation that may be one
    inner: list[Shape] = []
    planes: dict[str, set[int]] = {"z": set(), "t": set()}
    for number, one in enumerate(features_of(content) or []):
        where = f"feature {number}"
        properties = typed(one.get("properties") or {}, dict, where)
        geometry = one.get("geometry")
        if geometry is None:
            skipped["features without a geometry"] += 1
            continue
        own: list[Shape] = []
        for rings in polygons(geometry, where, skipped):
            own += region(_name(properties, where), rings, skipped, number if geometry["type"] != "Polygon" else None)
        shapes += own
        kind = str(properties.get("objectType", one.get("id"))).lower()  # of QuPath 0.2 the id says it
        if any(word in kind for word in INNER):
            inner += own
        elif any(word in kind for word in OUTER) and {shape.name for shape in own} <= {NAMELESS, REGION}:
            regions.append(own)
        for axis, numbers in planes.items() if own else ():
            plane = typed(geometry.get("plane") or {}, dict, where)  # QuPath leaves out the first one
            numbers.add(int(field(plane | {axis: plane.get(axis, 0)}, axis, float, f"the plane of {where}")))
    check_planes(planes, "take the planes out of the file")
    boxes = np.array([(*shape.rings[0].min(0), *shape.rings[0].max(0)) for shape in inner]).reshape(-1, 4)
    held = [own for own in regions if any(_holds(shape, boxes) for shape in own)]
    if held:
        skipped["annotations without a class around detections, which are regions"] += len(held)
    left = {id(shape) for own in held for shape in own}
    shapes = [shape for shape in shapes if id(shape) not in left]
    counts = len(held), len(regions) - len(held)
    return [Annotated(path, path.stem, tuple(shapes), stem=True, shown=False, regions=counts)]


def _holds(shape: Shape, boxes: NDArray[np.float64]) -> bool:
    """Whether the box of a shape holds one of others, (N, 4) left, top, right, bottom, and the shape its centre."""
    outline = shape.rings[0]
    inside = (boxes[:, :2] >= outline.min(0)).all(1) & (boxes[:, 2:] <= outline.max(0)).all(1)
    centres = (boxes[inside, :2] + boxes[inside, 2:]) / 2
    return any(cv2.pointPolygonTest(outline.astype(np.float32), centre, False) >= 0 for centre in centres.tolist())


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
