"""CVAT for images: one XML file for many pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from unet_tf.annotations.annotated import (
    MOST,
    Annotated,
    Skipped,
    checked,
    clean,
    ellipse,
    rectangle,
    region,
    typed,
)
from unet_tf.annotations.runs import spans_of_counts
from unet_tf.annotations.shapes import Shape
from unet_tf.data.structure import Damage
from unet_tf.utils.extras import import_extra


def parse_xml(path: Path) -> Any:
    """The root of an XML file without a document type, and so without entities that grow or read other files.

    Raises:
        Damage: it is no such file.
        InputError: the package defusedxml is missing.
    """
    import_extra(f"{path} is read by defusedxml: pip install 'unet-tf[annotations]'.", "defusedxml", path)
    from defusedxml import DefusedXmlException, ElementTree

    try:
        return ElementTree.fromstring(path.read_bytes(), forbid_dtd=True)
    except DefusedXmlException as error:
        raise Damage(f"XML with a document type or entities is not read ({error})") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise Damage(f"it is no XML: {error}") from error


def is_cvat(root: Any) -> bool:
    """Whether the root of an XML file is one of CVAT's."""
    return root.tag == "annotations" and (root.find("image") is not None or root.find("meta") is not None)


def read_cvat(path: Path, root: Any, skipped: Skipped) -> list[Annotated]:
    """Read the shapes of all pictures, in the order in which CVAT lays them over each other (`z_order`).

    Args:
        path: of the file.
        root: of its XML.
        skipped: counts what is no area.

    Raises:
        Damage: an attribute is missing or wrong, or the file is of a video.
    """
    if root.find("track") is not None:
        raise Damage('it is "CVAT for video 1.1". Export the task as "CVAT for images 1.1"')
    found = []
    for image in root.iter("image"):
        name = _text(image, "name")
        size = tuple(int(_number(image, side, whole=True)) for side in ("height", "width"))
        shapes: list[tuple[float, list[Shape]]] = []
        for one in image:
            order = _number(one, "z_order") if "z_order" in one.attrib else 0.0
            shapes.append((order, _shapes(one, skipped)))
        shapes.sort(key=lambda item: item[0])
        found.append(Annotated(path, name, tuple(shape for _, some in shapes for shape in some), (size[0], size[1])))
    return found


def _shapes(one: Any, skipped: Skipped) -> list[Shape]:
    if one.tag == "polygon":
        return region(_label(one), [_points(_text(one, "points"))], skipped)
    if one.tag == "box":
        left, top, right, bottom, degrees = (_number(one, name) for name in ("xtl", "ytl", "xbr", "ybr", "rotation"))
        return region(_label(one), [rectangle(left, top, right, bottom, degrees)], skipped)
    if one.tag == "ellipse":
        x, y, across, down, degrees = (_number(one, name) for name in ("cx", "cy", "rx", "ry", "rotation"))
        return region(_label(one), [ellipse(x, y, across, down, degrees)], skipped)
    if one.tag == "mask":
        left, top, width, height = (int(_number(one, name, True)) for name in ("left", "top", "width", "height"))
        try:
            counts = np.array(_text(one, "rle").split(","), np.int64)
        except (ValueError, OverflowError) as error:
            raise Damage(f"the rle of a mask must be whole numbers: {error}") from error
        spans = spans_of_counts(counts, height, width, by_column=False, whole=False)
        return [Shape(_label(one), spans=(spans + np.array([top, left, left])).astype(np.int32))]
    if one.tag != "attribute":
        skipped[f"shapes of type {one.tag[:30]}, which are no areas"] += 1
    return []


def _label(one: Any) -> str:
    return clean(_text(one, "label"))


def _text(one: Any, name: str) -> str:
    if name not in one.attrib:
        raise Damage(f"<{one.tag}> must have the attribute {name}")
    return one.attrib[name]


def _number(one: Any, name: str, whole: bool = False) -> float:
    if name == "rotation" and name not in one.attrib:
        return 0.0
    text = _text(one, name)
    try:
        value = typed(float(text), float, f"{name} of <{one.tag}>")
    except ValueError as error:
        raise Damage(f"{name} of <{one.tag}> must be a number of up to {MOST}; received {text[:60]!r}") from error
    if whole and value != int(value):
        raise Damage(f"{name} of <{one.tag}> must be a whole number; received {text[:60]!r}")
    return value


def _points(text: str) -> np.ndarray:
    """(N, 2) of "x,y;x,y"."""
    numbers = text.replace(";", ",").split(",")
    try:
        flat = np.array(numbers, np.float64)
    except ValueError as error:
        raise Damage(f"points must read x,y;x,y; received {text[:60]!r}") from error
    if len(flat) % 2:
        raise Damage(f"points must read x,y;x,y; received {text[:60]!r}")
    return checked(flat, "points").reshape(-1, 2)
