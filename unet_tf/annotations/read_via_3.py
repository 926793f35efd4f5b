"""VGG Image Annotator (VIA), version 3: projects (JSON) and CSV.

A project is `file` (names of pictures), `view` (files that are shown together), `attribute` (name and options) and
`metadata`, of which a region has `xy` = [shape, numbers ...] and `av` = {attribute: text or options}.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from unet_tf.annotations.annotated import (
    Annotated,
    Skipped,
    class_of,
    ellipse,
    field,
    parse_row,
    points,
    rectangle,
    region,
    typed,
    used_attributes,
)
from unet_tf.annotations.shapes import Shape
from unet_tf.data.structure import Damage
from unet_tf.utils.text import as_ascii, read_lines

PARTS = ("project", "attribute", "file", "view", "metadata")
HEADER = "metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata"
IMAGE = 2
"""The type of a file that is a picture; others are videos and sounds."""
BY_ADDRESS = (2, 3)
"""Where a file is that has its name in `src`: at a host, at an address of this machine."""
RECTANGLE, CIRCLE, ELLIPSE, POLYGON = 2, 3, 4, 7
NUMBERS = {RECTANGLE: 4, CIRCLE: 3, ELLIPSE: 4}
NOT_READ = {
    1: "points", 5: "lines", 6: "polylines", 8: "rectangles by extreme points", 9: "circles by extreme points",
}  # fmt: skip
TEXT, CHECKBOX, SELECT, RADIO = 1, 2, 3, 4
"""Types of attributes. The value of check boxes is the ids of all options that were ticked, parted by commas."""


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
    files = {key: typed(one, dict, f"file {key}") for key, one in content["file"].items()}
    shapes: dict[str, list[Shape]] = {key: [] for key, one in files.items() if one.get("type", IMAGE) == IMAGE}
    views = {key: _of_view(one, f"view {key}", files) for key, one in content["view"].items()}
    used = _used((one.get("av") for one in content["metadata"].values() if isinstance(one, dict)), content["attribute"])
    for key, one in content["metadata"].items():
        where = f"metadata {key}"
        of = views.get(str(typed(one, dict, where).get("vid")))
        if of is None:
            raise Damage(f"{where} must be of a view; received {str(one.get('vid'))[:30]}")
        whole = len(of) == 1 and of[0] in shapes
        times, numbers = (field(one, name, list, where) for name in ("z", "xy"))
        values = field(one, "av", dict, where)
        found = _shapes(whole, times, numbers, values, content["attribute"], used, skipped, where)
        if whole:
            shapes[of[0]] += found
    return [Annotated(path, _name(files[key], f"file {key}"), tuple(own)) for key, own in shapes.items()]


def is_via_3_csv(path: Path) -> bool:
    """Whether the comments in which a text file begins name the columns of version 3."""
    with path.open("rb") as file:
        head = as_ascii(file.read(1 << 20))
    return head.lstrip().startswith(b"#") and HEADER.encode() in head


def read_via_3_csv(path: Path, skipped: Skipped) -> list[Annotated]:
    """Read the regions of all pictures of a CSV file, as `read_via_3` does; pictures without any are not in it."""
    attributes: dict[str, Any] = {}
    rows: list[tuple[str, bool, str, list[Any], list[Any], dict[str, Any]]] = []
    for number, line in enumerate(read_lines(path), start=1):
        where = f"line {number}"
        if line.startswith("#"):
            name, _, value = line[1:].partition("=")
            if name.strip() in ("ATTRIBUTE", "ATTRIBUTES"):
                attributes = typed(_json(value, where), dict, where)
        elif line:
            row = parse_row(line, where)
            if len(row) != 6:
                raise Damage(f"{where} must have the columns {HEADER}; it has {len(row)}")
            files, times, numbers = (typed(_json(row[column], where), list, where) for column in (1, 3, 4))
            values = typed(_json(row[5], where), dict, where)
            whole = len(files) == 1 and not times
            rows.append((where, whole, typed(files[0], str, where) if whole else "", times, numbers, values))
    used = _used((values for *_, values in rows), attributes)
    shapes: dict[str, list[Shape]] = {}
    for where, whole, file, times, numbers, values in rows:
        found = _shapes(whole, times, numbers, values, attributes, used, skipped, where)
        if whole:
            shapes.setdefault(file, []).extend(found)
    return [Annotated(path, _of_address(name), tuple(own)) for name, own in shapes.items()]


def _json(text: str, where: str) -> Any:
    try:
        return json.JSONDecoder().raw_decode(text.strip())[0]  # spreadsheets add commas
    except (ValueError, RecursionError) as error:
        raise Damage(f"{where} must hold JSON: {error}") from error


def _of_view(view: Any, where: str, files: dict[str, Any]) -> list[str]:
    """Keys of the files that a view shows."""
    keys = [str(key) for key in field(view, "fid_list", list, where)]
    if not all(key in files for key in keys):
        raise Damage(f"{where} must be of files of the project; received {', '.join(keys)[:60]}")
    return keys


def _name(file: dict[str, Any], where: str) -> str:
    """What a picture is called: its own name, or its address."""
    if file.get("loc") in BY_ADDRESS and file.get("src"):
        return _of_address(field(file, "src", str, where))
    return field(file, "fname", str, where)


def _of_address(name: str) -> str:
    try:
        return unquote(urlsplit(name).path) if "://" in name else name
    except ValueError as error:
        raise Damage(f"a picture must have a name or an address; received {name[:60]!r}: {error}") from error


def _shapes(
    whole: bool,
    times: list[Any],
    numbers: list[Any],
    values: dict[str, Any],
    attributes: dict[str, Any],
    used: set[str],
    skipped: Skipped,
    where: str,
) -> list[Shape]:
    """The areas of one entry, if it is of a whole picture: none of what is said without a region."""
    if not numbers:
        return []
    if times or not whole:
        skipped["regions of videos, or of several pictures at once, which lack them now"] += 1
        return []
    kind, *rest = (typed(number, float, f"a number of {where}") for number in numbers)
    if kind == POLYGON:
        if len(rest) % 2:
            raise Damage(f"{where}: a polygon must have as many x as y; received {len(rest)} numbers")
        ring = points([*zip(rest[::2], rest[1::2], strict=True)], where)
    elif kind not in NUMBERS:
        skipped[f"{NOT_READ.get(int(kind), f'regions of shape {kind:g}')}, which are no areas or not read"] += 1
        return []
    elif len(rest) != NUMBERS[int(kind)]:
        raise Damage(f"{where}: shape {kind:g} must have {NUMBERS[int(kind)]} numbers; received {len(rest)}")
    elif kind == RECTANGLE:
        left, top, width, height = rest
        ring = rectangle(left, top, left + width, top + height)
    else:
        ring = ellipse(rest[0], rest[1], rest[2], rest[-1])
    return region(class_of(_named(values, attributes, where), used), [ring], skipped)


def _named(values: dict[str, Any], attributes: dict[str, Any], where: str) -> dict[str, Any]:
    """Name -> text of the attributes of a region; those of check boxes by option, as `class_of` takes them."""
    named: dict[str, Any] = {}
    for key, value in values.items():
        text = "" if value is None else str(value) if type(value) is int else typed(value, str, f"a value of {where}")
        if not text:
            named.setdefault(_title(key, attributes), "")
            continue
        about = attributes.get(key)
        if not isinstance(about, dict):
            raise Damage(
                f"attribute {key[:30]!r} of {where} must be described with its options, as a project (JSON) has them; "
                f"received {str(about)[:60]}"
            )
        name, kind = _title(key, attributes), about.get("type", TEXT)
        chosen: Any = text
        if kind in (CHECKBOX, SELECT, RADIO):
            options = field(about, "options", dict, f"attribute {key}")
            ids = [one for one in text.split(",") if one] if kind == CHECKBOX else [text]
            if not all(one in options for one in ids):
                raise Damage(
                    f"{where} must choose of the options {', '.join(options)[:60]} of {name}; received {text[:30]}"
                )
            chosen = [str(options[one]) for one in ids]
            chosen = dict.fromkeys(chosen, True) if kind == CHECKBOX else chosen[0]
        if named.get(name, "") not in ("", chosen):
            raise Damage(f"{where} has two values of {name}")
        named[name] = chosen
    return named


def _used(every: Iterable[Any], attributes: dict[str, Any]) -> set[str]:
    """`used_attributes` of what entries say by the ids of attributes."""
    said = (one for one in every if isinstance(one, dict))
    return used_attributes({_title(key, attributes): value} for one in said for key, value in one.items())


def _title(key: str, attributes: dict[str, Any]) -> str:
    """What an attribute is called, by its id."""
    about = attributes.get(key)
    return str(about.get("aname", key)) if isinstance(about, dict) else key
