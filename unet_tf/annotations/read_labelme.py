"""labelme: a JSON file a picture."""

from __future__ import annotations

import base64
import binascii
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unet_tf.annotations.annotated import (
    Annotated,
    Skipped,
    clean,
    ellipse,
    field,
    load_json,
    points,
    rectangle,
    region,
    size_of,
    typed,
)
from unet_tf.annotations.raster import spans_of
from unet_tf.annotations.shapes import Shape
from unet_tf.data.png import SIGNATURE
from unet_tf.data.structure import PIXELS_PER_BYTE, Damage, quiet_opencv

IGNORED = "__ignore__"
"""The label of labelme's own converters for what is ignored."""


def is_labelme(content: Any) -> bool:
    """Whether parsed JSON is a file of labelme."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def read_labelme(path: Path, content: Any, skipped: Skipped) -> list[Annotated]:
    """Read the shapes of a picture; those of one label and one `group_id` are parts of one object.

    Args:
        path: of the file.
        content: what it holds, parsed.
        skipped: counts what is no area.

    Raises:
        Damage: a field is missing or of another type.
    """
    shapes: list[Shape] = []
    groups: dict[tuple[str, str], int] = {}
    for number, one in enumerate(field(content, "shapes", list, "the file")):
        where = f"shape {number}"
        name = clean(field(one, "label", str, where))
        name = "void" if name == IGNORED else "background" if name == "_background_" else name
        found = points(field(one, "points", list, where), where)
        group = one.get("group_id")
        group = None if group is None else groups.setdefault((name, str(group)), len(groups))
        shapes += _shape(one.get("shape_type") or "polygon", name, one, found, group, where, skipped)
    size = size_of(content, "imageHeight", "imageWidth", "the picture")
    data = content.get("imageData")
    embedded: Callable[[], bytes] | None = functools.partial(_image_data, path) if isinstance(data, str) else None
    return [Annotated(path, typed(content["imagePath"], str, "imagePath"), tuple(shapes), size, embedded=embedded)]


def _shape(
    kind: Any, name: str, one: dict[str, Any], found: Any, group: int | None, where: str, skipped: Skipped
) -> list[Shape]:
    if kind in ("polygon", "oriented_rectangle", "rotation"):  # the last one is X-AnyLabeling's
        return region(name, [found], skipped, group)
    if kind in ("rectangle", "circle", "mask") and len(found) < 2:
        raise Damage(f"{where} must have two points, as a {kind} has; received {len(found)}")
    if kind == "rectangle":
        (left, top), (right, bottom) = found.min(axis=0), found.max(axis=0)
        return region(name, [rectangle(left, top, right, bottom)], skipped, group)
    if kind == "circle":
        radius = math.dist(*found[:2])
        return region(name, [ellipse(found[0, 0], found[0, 1], radius, radius)], skipped, group)
    if kind == "mask":
        left, top = np.round(found.min(axis=0)).astype(int)
        try:
            data = base64.b64decode(field(one, "mask", str, where), validate=True)
        except binascii.Error as error:
            raise Damage(f"the mask of {where} must be base64: {error}") from error
        return [Shape(name, spans=spans_of(small_picture(data, where), int(top), int(left)), group=group)]
    skipped[f"shapes of type {str(kind)[:30]}, which are no areas"] += 1
    return []


def small_picture(data: bytes, where: str) -> np.ndarray:
    """(H, W) bool of a PNG file in a file: its alpha, where it has some, else what is not 0.

    Raises:
        Damage: it is none, or declares more pixels than its bytes can hold.
    """
    sides = [int.from_bytes(data[at : at + 4], "big") for at in (16, 20)]
    if data[:8] != SIGNATURE or not 0 < sides[0] * sides[1] <= PIXELS_PER_BYTE * len(data):
        raise Damage(f"the mask of {where} must be a PNG picture; it is another file, or damaged")
    try:
        with quiet_opencv:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise Damage(f"the mask of {where} cannot be decoded") from error
    if image is None:
        raise Damage(f"the mask of {where} cannot be decoded")
    if image.ndim == 2:
        return image > 0
    return np.asarray(image[..., 3] > 0 if image.shape[2] == 4 else image.any(axis=2))


def _image_data(path: Path) -> bytes:
    """The picture file that labelme keeps in its own."""
    try:
        return base64.b64decode(load_json(path)["imageData"], validate=True)
    except binascii.Error as error:
        raise Damage(f"imageData must be base64: {error}") from error
