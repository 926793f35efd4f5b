"""Supervisely: a JSON file a picture, in a folder `ann` beside `img`."""

from __future__ import annotations

import base64
import binascii
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from unet_tf.annotations.annotated import (
    MOST,
    Annotated,
    Skipped,
    clean,
    field,
    points,
    rectangle,
    region,
    size_of,
    typed,
)
from unet_tf.annotations.raster import spans_of
from unet_tf.annotations.read_labelme import small_picture
from unet_tf.annotations.shapes import Shape
from unet_tf.data.structure import Damage

CENTRE = 0.5
"""Supervisely's numbers name pixels: a pixel's centre is a whole number."""


def is_supervisely(content: Any) -> bool:
    """Whether parsed JSON holds the annotations of a picture in Supervisely."""
    return (
        isinstance(content, dict) and isinstance(content.get("size"), dict) and isinstance(content.get("objects"), list)
    )


def read_supervisely(path: Path, content: Any, skipped: Skipped) -> list[Annotated]:
    """Read the objects of a picture, which is called like the file without ".json".

    Args:
        path: of the file.
        content: what it holds, parsed.
        skipped: counts what is no area.

    Raises:
        Damage: a field is missing or of another type, or a bitmap is damaged.
    """
    size = size_of(content["size"], "height", "width", "size")
    if size is None:
        raise Damage("size must have height and width")
    shapes: list[Shape] = []
    for number, one in enumerate(content["objects"]):
        shapes += _shape(one, f"object {number}", size, skipped)
    return [Annotated(path, path.stem, tuple(shapes), size)]


def _shape(one: Any, where: str, size: tuple[int, int], skipped: Skipped) -> list[Shape]:
    name, kind = clean(field(one, "classTitle", str, where)), field(one, "geometryType", str, where)
    if kind == "bitmap":
        return [Shape(name, spans=_bitmap(field(one, "bitmap", dict, where), where, size))]
    if kind not in ("polygon", "rectangle"):
        skipped[f"objects of type {kind[:30]}, which are no areas"] += 1
        return []
    given = field(one, "points", dict, where)
    outline = points(field(given, "exterior", list, where), where)
    if kind == "rectangle":
        if len(outline) != 2:
            raise Damage(f"a rectangle must have two points; {where} has {len(outline)}")
        (left, top), (right, bottom) = outline.min(axis=0), outline.max(axis=0)  # pixels, both in it
        return region(name, [rectangle(left, top, right + 1, bottom + 1)], skipped)
    holes = [points(hole, where) for hole in typed(given.get("interior") or [], list, where)]
    return region(name, [ring + CENTRE for ring in (outline, *holes)], skipped)


def _bitmap(bitmap: dict[str, Any], where: str, size: tuple[int, int]) -> np.ndarray:
    """The spans of a PNG picture that is packed twice, and lies somewhere."""
    origin = points([field(bitmap, "origin", list, where)], where)[0]
    if not len(origin) or (origin != np.floor(origin)).any():
        raise Damage(f"the origin of a bitmap must be a pixel; {where} has {bitmap['origin']}")
    try:
        packed = base64.b64decode(field(bitmap, "data", str, where), validate=True)
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(packed, 8 * size[0] * size[1] + (1 << 16))
    except (binascii.Error, zlib.error) as error:
        raise Damage(f"the bitmap of {where} must be packed by zlib, in base64: {error}") from error
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise Damage(f"the bitmap of {where} is cut, or larger than its picture")
    return spans_of(small_picture(data, where), int(origin[1].clip(-MOST, MOST)), int(origin[0].clip(-MOST, MOST)))
