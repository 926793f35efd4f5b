"""COCO: one JSON file for many pictures, with polygons and run lengths."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.annotations.annotated import Annotated, Skipped, checked, clean, field, ring, size_of, typed
from unet_tf.annotations.runs import coco_counts, spans_of_counts
from unet_tf.annotations.shapes import Shape
from unet_tf.data.structure import Damage


def is_coco(content: Any) -> bool:
    """Whether parsed JSON is a file of COCO."""
    return isinstance(content, dict) and all(isinstance(content.get(name), list) for name in ("images", "annotations"))


def read_coco(path: Path, content: Any, skipped: Skipped) -> list[Annotated]:
    """Read the regions of all pictures of a file.

    The polygons of an annotation are parts of one object, and a pixel in any of them is of it, as in COCO's own code.

    Args:
        path: of the file.
        content: what it holds, parsed.
        skipped: counts annotations without a region.

    Raises:
        Damage: a field is missing or of another type, an id is unknown, or run lengths fill another size.
    """
    names: dict[str, str] = {}
    for number, one in enumerate(field(content, "categories", list, "the file")):
        key, name = _id(one, "id", f"category {number}"), clean(field(one, "name", str, f"category {number}"))
        if names.setdefault(key, name) != name:
            raise Damage(f"the ids of categories must differ; {key} is {names[key]!r} and {name!r}")
    images: dict[str, tuple[str, tuple[int, int] | None]] = {}
    for number, one in enumerate(content["images"]):
        where = f"image {number}"
        known = field(one, "file_name", str, where), size_of(one, "height", "width", where)
        if images.setdefault(_id(one, "id", where), known) is not known:
            raise Damage(f"the ids of images must differ; {one['id']!r} stands twice")
    shapes: dict[str, list[Shape]] = defaultdict(list)
    for number, one in enumerate(content["annotations"]):
        where = f"annotation {number}"
        image, category = _id(one, "image_id", where), _id(one, "category_id", where)
        if image not in images:
            raise Damage(f"the image of an annotation must be in the file; {where} has image_id {image}")
        if category not in names:
            raise Damage(f"the category of an annotation must be in the file; {where} has category_id {category}")
        segmentation, attributes = one.get("segmentation"), one.get("attributes")
        crowd = one.get("iscrowd") in (1, True)
        if crowd and isinstance(attributes, dict) and "occluded" in attributes and isinstance(segmentation, dict):
            crowd = False
            skipped["marks of crowds (iscrowd), which CVAT gives to every mask"] += 1
        picture, size = images[image]
        if size is None and isinstance(segmentation, dict):  # run lengths are of the whole picture
            size = _sides(segmentation, where)
            images[image] = picture, size
        shapes[image] += _shapes(segmentation, names[category], size, number, crowd, skipped)
    return [Annotated(path, name, tuple(shapes[key]), size) for key, (name, size) in images.items()]


def _id(one: Any, name: str, where: str) -> str:
    """An id as text: VIA writes the number of an image as a number, and as text where annotations name it."""
    value = field(one, name, object, where)
    return str(typed(value, str if isinstance(value, str) else int, f"{name!r} of {where}"))


def _shapes(
    segmentation: Any, name: str, size: tuple[int, int] | None, number: int, crowd: bool, skipped: Skipped
) -> list[Shape]:
    where = f"annotation {number}"
    if not segmentation:
        skipped["annotations without a segmentation, such as boxes"] += 1
        return []
    if isinstance(segmentation, dict):
        return [Shape(name, spans=_spans(segmentation, size, where), crowd=crowd)]
    shapes = []
    parts = typed(segmentation, list, f"segmentation of {where}")
    parts = parts if isinstance(parts[0], list) else [parts]  # VIA writes a polygon without a list around it
    for part in parts:
        flat = np.asarray(part)
        if flat.dtype.kind not in "iuf" or flat.ndim != 1 or len(flat) % 2:
            raise Damage(f"a polygon must be a list x, y, x, y, ...; {where} has {str(part)[:60]}")
        if (outline := ring(checked(flat, where).reshape(-1, 2))) is None:
            skipped["outlines of fewer than three points"] += 1
        else:
            shapes.append(Shape(name, (outline,), group=number if len(parts) > 1 else None, crowd=crowd))
    return shapes


def _sides(segmentation: dict[str, Any], where: str) -> tuple[int, int]:
    """Height and width of run lengths."""
    sides = [typed(side, int, f"size of {where}") for side in field(segmentation, "size", list, where)]
    if len(sides) != 2 or min(sides) < 1:
        raise Damage(f"the size of run lengths must be height, width; {where} has {sides}")
    return sides[0], sides[1]


def _spans(segmentation: dict[str, Any], size: tuple[int, int] | None, where: str) -> NDArray[np.int32]:
    """Of run lengths, compressed or not."""
    sides = _sides(segmentation, where)
    if sides != size:
        raise Damage(f"run lengths must be of the picture's size, {size}; {where} has {sides}")
    counts = field(segmentation, "counts", object, where)
    try:
        found = coco_counts(counts) if isinstance(counts, str) else np.asarray(typed(counts, list, "counts"))
        return spans_of_counts(found, sides[0], sides[1], by_column=True)
    except ValueError as error:
        raise Damage(f"{where}: {error}") from error
