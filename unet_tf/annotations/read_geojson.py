"""GeoJSON of QuPath, and of others in pixels: a file a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
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
from unet_tf.errors import InputError

IGNORED = "Ignore*"
"""QuPath's class for what is not to be learnt from."""
CLASS_FIELDS = ("class", "class_name", "classname", "label", "category_name", "category")
"""Properties that name the class where no feature has a classification, in this order, in lower case."""
QUPATH = ("objectType", "name", "color", "isLocked", "measurements", "metadata")
"""Properties of QuPath's objects that name no class."""
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

    The class is the classification of QuPath; where no feature of the file has one, the first of `CLASS_FIELDS` that
    one has. An annotation without a class, or of "Region*", around detections is where QuPath looked for them, and no
    object.

    Args:
        path: of the file.
        content: what it holds, parsed.
        skipped: counts what is no area.

    Raises:
        Damage: a field is missing or of another type, or objects lie in several planes of a stack.
    """
    features = features_of(content) or []
    every = [typed(one.get("properties") or {}, dict, f"feature {number}") for number, one in enumerate(features)]
    class_field = _class_field(every)
    shapes: dict[int, list[Shape]] = {}  # by the number of the feature
    regions: list[list[Shape]] = []  # the shapes of each annotation that may be one
    inner: list[Shape] = []
    planes: dict[str, set[int]] = {"z": set(), "t": set()}
    for number, (one, properties) in enumerate(zip(features, every, strict=True)):
        where, geometry = f"feature {number}", one.get("geometry")
        if geometry is None:
            skipped["features without a geometry"] += 1
            continue
        name = _name(properties, where) if class_field is None else _named(properties, class_field, where)
        own = shapes[number] = []
        for rings in polygons(geometry, where, skipped):
            own += region(name, rings, skipped, number if geometry["type"] != "Polygon" else None)
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
    around = [sum(_held(shape, boxes) for shape in own) for own in regions]
    held = [own for own, number in zip(regions, around, strict=True) if number > 1]
    if held:
        skipped["annotations without a class around several detections, which are regions"] += len(held)
    held_shapes = {id(shape) for own in held for shape in own}
    kept = [(number, one) for number, own in shapes.items() for one in own if id(one) not in held_shapes]
    nameless = [every[number] for number, one in kept if one.name == NAMELESS]
    others = dict.fromkeys(key for one in nameless for key in one if "objectType" not in one or key not in QUPATH)
    return [
        Annotated(
            path, path.stem, tuple(one for _, one in kept), stem=True, shown=False, fields=tuple(others),
            regions=(len(held), around.count(1), around.count(0)), on=partial(_by_field, path, every, kept),
        )
    ]  # fmt: skip


def _by_field(
    path: Path, every: Sequence[dict[str, Any]], shapes: Sequence[tuple[int, Shape]], picture: Path, wanted: str | None
) -> list[Shape]:
    """The shapes of features, by their number, of the classes that a field names."""
    if wanted is None:
        return [one for _, one in shapes]
    known = dict.fromkeys(key for properties in every for key in properties)
    if wanted not in known and shapes:
        raise InputError(f'{path} has no field "{wanted}"; it has: {", ".join(known) or "none"}.', path)
    try:
        return [replace(one, name=_named(every[number], wanted, f"feature {number}")) for number, one in shapes]
    except Damage as error:
        raise InputError(f"{path}: {error}. Name another field (--class-field).", path) from error


def _held(shape: Shape, boxes: NDArray[np.float64]) -> int:
    """How many boxes, (N, 4) left, top, right, bottom, lie in that of a shape and have their centre in the shape."""
    outline = shape.rings[0]
    inside = (boxes[:, :2] >= outline.min(0)).all(1) & (boxes[:, 2:] <= outline.max(0)).all(1)
    centres = ((boxes[inside, :2] + boxes[inside, 2:]) / 2).tolist()
    ring = outline.astype(np.float32)
    return sum(cv2.pointPolygonTest(ring, centre, False) >= 0 for centre in centres)


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


def _class_field(every: Sequence[dict[str, Any]]) -> str | None:
    """The property that names the class where no feature has a classification; else, or where there is none, None."""
    if any(properties.get("classification") is not None for properties in every):
        return None
    used = {key.lower(): key for properties in every for key, value in properties.items() if value not in (None, "")}
    return next((used[name] for name in CLASS_FIELDS if name in used), None)


def _named(properties: dict[str, Any], class_field: str, where: str) -> str:
    """The class that a property names."""
    value = properties.get(class_field)
    if isinstance(value, dict) and "name" in value:
        value = value["name"]
    if value is None or value != value:
        return NAMELESS
    if not isinstance(value, str | int | float):
        raise Damage(f"{class_field!r} of {where} must name one class; received {str(value)[:60]}")
    return clean(int(value) if isinstance(value, float) and value.is_integer() else value)
