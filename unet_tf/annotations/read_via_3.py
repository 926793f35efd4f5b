"""VGG Image Annotator (VIA), version 3: projects (JSON) and CSV.

A project is `file` (names of pictures), `view` (files that are shown together), `attribute` (name and options) and
`metadata`, of which a region has `xy` = [shape, numbers ...] and `av` = {attribute: text or options}.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from unet_tf.annotations.annotated import (
    Annotated,
    Skipped,
    class_of,
    ellipse,
    field,
    points,
    rectangle,
    region,
    typed,
)
from unet_tf.annotations.shapes import Shape
from unet_tf.data.structure import Damage
from unet_tf.utils.text import read_lines

PARTS = ("project", "attribute", "file", "view", "metadata")
HEADER = "metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata"
RECTANGLE, CIRCLE, ELLIPSE, POLYGON = 2, 3, 4, 7
NOT_READ = {
    1: "points", 5: "lines", 6: "polylines", 8: "rectangles by extreme points", 9: "circles by extreme points",
}  # fmt: skip
CHECKBOX = 2
"""The type of an attribute whose value is the ids of all options that were ticked, parted by commas."""


def is_via_3(content: Any) -> bool:
    """Whether parsed JSON is a project of version 3."""
    return isinstance(content, dict) and all(isinstance(content.get(name), dict) for name in PARTS)


def read_via_3(path: Path, content: Any, skipped: Skipped) -> list[Annotated]:
    """Read the regions of all pictures of a project.

    Args:
        path: of the file.
        content: what it holds, parsed.
        skipped: counts what is no area, and what is of a video or of several pictures.

    Raises:
        Damage: a field is missing or of another type, or nothing says which attribute is the class.
    """
    names = {key: field(one, "fname", str, f"file {key}") for key, one in content["file"].items()}
    views = {key: field(one, "fid_list", list, f"view {key}") for key, one in content["view"].items()}
    shapes: dict[str, list[Shape]] = {name: [] for name in names.values()}
    for key, one in content["metadata"].items():
        where = f"metadata {key}"
        files = views.get(str(typed(one, dict, where).get("vid")))
        if files is None or not all(str(file) in names for file in files):
            raise Damage(f"{where} must be of a view, and that of files; received view {str(one.get('vid'))[:30]}")
        listed = [names[str(file)] for file in files]
        times, numbers, values = (
            field(one, name, kind, where) for name, kind in (("z", list), ("xy", list), ("av", dict))
        )
        found = _shapes(times, numbers, values, content["attribute"], skipped, where, listed)
        if found:
            shapes[listed[0]] += found
    return [Annotated(path, name, tuple(own)) for name, own in shapes.items()]


def is_via_3_csv(path: Path) -> bool:
    """Whether the comments in which a text file begins name the columns of version 3."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    return head.lstrip(b"\xef\xbb\xbf").startswith(b"#") and HEADER.encode() in head


def read_via_3_csv(path: Path, skipped: Skipped) -> list[Annotated]:
    """Read the regions of all pictures of a CSV file, as `read_via_3` does; pictures without any are not in it."""
    attributes: dict[str, Any] = {}
    shapes: dict[str, list[Shape]] = {}
    lines = [line for line in read_lines(path) if line]
    for line in lines:
        if line.startswith("#") and line[1:].split("=")[0].strip() in ("ATTRIBUTE", "ATTRIBUTES"):
            attributes = typed(_json(line.partition("=")[2], "the attributes"), dict, "the attributes")
    try:
        rows = list(csv.reader((line for line in lines if not line.startswith("#")), strict=True))
    except csv.Error as error:
        raise Damage(f"it is no CSV: {error}") from error
    for number, row in enumerate(rows, start=1):
        where = f"row {number}"
        if len(row) != 6:
            raise Damage(f"{where} must have the columns {HEADER}; it has {len(row)}")
        files, times, numbers, values = (_json(row[column], where) for column in (1, 3, 4, 5))
        listed = [typed(file, str, where) for file in typed(files, list, where)]
        found = _shapes(
            typed(times, list, where), typed(numbers, list, where), typed(values, dict, where), attributes, skipped,
            where, listed,
        )  # fmt: skip
        if listed:
            shapes.setdefault(listed[0], []).extend(found)
    return [Annotated(path, name, tuple(own)) for name, own in shapes.items()]


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Damage(f"{where} must hold JSON: {error}") from error


def _shapes(
    times: list[Any],
    numbers: list[Any],
    values: dict[str, Any],
    attributes: dict[str, Any],
    skipped: Skipped,
    where: str,
    files: list[str],
) -> list[Shape]:
    """The areas of one entry: none of what is said of a whole picture."""
    if not numbers:
        return []
    if times or len(files) != 1:
        skipped["regions of videos, or of several pictures at once"] += 1
        return []
    kind, *rest = (typed(number, float, where) for number in numbers)
    needed = {RECTANGLE: 4, CIRCLE: 3, ELLIPSE: 4}.get(kind)
    if kind == POLYGON:
        if len(rest) % 2:
            raise Damage(f"{where}: a polygon must have as many x as y; received {len(rest)} numbers")
        ring = points([*zip(rest[::2], rest[1::2], strict=True)], where)
    elif needed is None:
        skipped[f"{NOT_READ.get(kind, f'regions of shape {kind:g}')}, which are no areas or not read"] += 1
        return []
    elif len(rest) != needed:
        raise Damage(f"{where}: shape {kind:g} must have {needed} numbers; received {len(rest)}")
    elif kind == RECTANGLE:
        left, top, width, height = rest
        ring = rectangle(left, top, left + width, top + height)
    else:
        ring = ellipse(rest[0], rest[1], rest[2], rest[-1])
    return region(class_of(_named(values, attributes)), [ring], skipped)


def _named(values: dict[str, Any], attributes: dict[str, Any]) -> dict[str, Any]:
    """Name -> text of the attributes of a region; those of check boxes by option, as `class_of` takes them."""
    named: dict[str, Any] = {}
    for key, value in values.items():
        about = typed(attributes.get(key, {}), dict, f"attribute {key}")
        options = typed(about.get("options", {}), dict, f"options of attribute {key}")
        name, text = str(about.get("aname", key)), str(value)
        if about.get("type") == CHECKBOX:
            named[name] = {str(options.get(one, one)): True for one in text.split(",") if one} or ""
        else:
            named[name] = str(options.get(text, text))
    return named
