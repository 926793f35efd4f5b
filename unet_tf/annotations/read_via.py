"""VGG Image Annotator (VIA): JSON, projects and CSV of versions 1 and 2; version 3 is in `read_via_3`."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

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
    used_attributes,
)
from unet_tf.annotations.read_via_3 import is_via_3, is_via_3_csv, read_via_3, read_via_3_csv
from unet_tf.annotations.shapes import Shape
from unet_tf.data.structure import Damage
from unet_tf.utils.text import as_ascii, read_lines

COLUMNS = ("region_shape_attributes", "region_attributes")


def is_via(content: Any) -> bool:
    """Whether parsed JSON is a project or an export of VIA."""
    if is_via_3(content):
        return True
    if not isinstance(content, dict) or not content:
        return False
    entries = content.get("_via_img_metadata", content)
    return isinstance(entries, dict) and all(
        isinstance(one, dict) and "filename" in one and "regions" in one for one in entries.values()
    )


def read_via(path: Path, content: Any, skipped: Skipped) -> list[Annotated]:
    """Read the regions of all pictures of a JSON file.

    Args:
        path: of the file.
        content: what it holds, parsed.
        skipped: counts what is no area.

    Raises:
        Damage: a field is missing or of another type, or nothing says which attribute is the class.
    """
    if is_via_3(content):
        return read_via_3(path, content, skipped)
    entries = content.get("_via_img_metadata", content)
    found = {key: _regions(one["regions"], key) for key, one in entries.items()}
    used = used_attributes(attributes for regions in found.values() for _, attributes in regions)
    return [
        Annotated(path, field(entries[key], "filename", str, key), tuple(_shapes(regions, used, skipped)))
        for key, regions in found.items()
    ]


def _regions(regions: Any, key: str) -> list[tuple[dict[str, Any], Any]]:
    """The outline and the attributes of each region of a picture."""
    listed = list(regions.values()) if isinstance(regions, dict) else typed(regions, list, f"regions of {key}")
    names = "shape_attributes", "region_attributes"
    return [
        (field(one, names[0], dict, where), field(one, names[1], dict, where))
        for where, one in ((f"region {number} of {key}", one) for number, one in enumerate(listed))
    ]


def _shapes(regions: Iterable[tuple[dict[str, Any], Any]], used: set[str], skipped: Skipped) -> list[Shape]:
    return [shape for outline, attributes in regions for shape in _shape(outline, attributes, used, skipped)]


def is_via_csv(path: Path) -> bool:
    """Whether a text file begins with the columns of VIA."""
    if is_via_3_csv(path):
        return True
    with path.open("rb") as file:
        head = as_ascii(file.readline(4096))
    return all(name.encode() in head for name in COLUMNS)


def read_via_csv(path: Path, skipped: Skipped) -> list[Annotated]:
    """Read the regions of all pictures of a CSV file, as `read_via` does."""
    if is_via_3_csv(path):
        return read_via_3_csv(path, skipped)
    rows = _rows(read_lines(path))
    found: dict[str, list[tuple[dict[str, Any], Any]]] = {}
    for number, row in enumerate(rows, start=2):
        name = row.get("filename") or row.get("#filename")
        if not name or any(row.get(column) is None for column in COLUMNS):
            raise Damage(f"line {number} must have filename, {' and '.join(COLUMNS)}")
        own = found.setdefault(name, [])
        try:
            outline, attributes = (json.loads(row[column]) for column in COLUMNS)
        except (ValueError, RecursionError) as error:
            raise Damage(f"line {number} must hold JSON in its columns {' and '.join(COLUMNS)}: {error}") from error
        if outline != {}:  # a picture without a region has a line, too
            own.append((typed(outline, dict, f"line {number}"), attributes))
    used = used_attributes(attributes for regions in found.values() for _, attributes in regions)
    return [Annotated(path, name, tuple(_shapes(regions, used, skipped))) for name, regions in found.items()]


def _rows(lines: Iterable[str]) -> list[dict[str, str]]:
    try:
        return list(csv.DictReader((line for line in lines if line), strict=True))
    except csv.Error as error:
        raise Damage(f"it is no CSV: {error}") from error


def _shape(outline: dict[str, Any], attributes: Any, used: set[str], skipped: Skipped) -> list[Shape]:
    def number(name: str) -> float:
        return field(outline, name, float, "a region")

    kind = outline.get("name")
    if kind == "polygon":
        across, down = (field(outline, f"all_points_{axis}", list, "a region") for axis in "xy")
        if len(across) != len(down):
            raise Damage(f"a polygon must have as many x as y; received {len(across)} and {len(down)}")
        rings = points([*zip(across, down, strict=True)], "a polygon")
    elif kind == "rect":
        left, top = number("x"), number("y")
        rings = rectangle(left, top, left + number("width"), top + number("height"))
    elif kind == "circle":
        rings = ellipse(number("cx"), number("cy"), number("r"), number("r"))
    elif kind == "ellipse":
        theta = number("theta") if "theta" in outline else 0.0  # radians
        rings = ellipse(number("cx"), number("cy"), number("rx"), number("ry"), float(np.degrees(theta)))
    else:
        skipped[f"regions of shape {str(kind)[:30]}, which are no areas"] += 1
        return []
    return region(class_of(attributes, used), [rings], skipped)
