"""YOLO: a text file a picture, a line an outline, in shares of the picture's sides."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from unet_tf.annotations.annotated import Annotated, Skipped, checked, clean, ring, typed
from unet_tf.annotations.shapes import Shape
from unet_tf.data.structure import Damage
from unet_tf.errors import InputError
from unet_tf.utils.extras import import_extra
from unet_tf.utils.text import as_ascii, read_lines

_LINE = re.compile(rb"\s*\d+(\s+[-+0-9.eE]+){4,}\s*")
LISTS = ("classes.txt", "obj.names")
"""Files that list the classes, one a line."""
MOST_CLASSES = 100_000
MOST_BLANK = 100
"""Lines without a sign before the first one of a file."""


def is_yolo(path: Path) -> bool:
    """Whether a text file begins with a line of YOLO: a class and at least four numbers."""
    with path.open("rb") as file:
        lines = (file.readline(1 << 24) for _ in range(MOST_BLANK))
        first = next((text for line in lines if (text := as_ascii(line)).strip() or not line), b"")
    return bool(_LINE.fullmatch(first))


def read_yolo(path: Path, names: dict[int, str], skipped: Skipped) -> list[Annotated]:
    """Read the outlines of a picture, which is called like the file.

    Args:
        path: of the file.
        names: of the classes by number; others are called class7.
        skipped: counts lines that are boxes.

    Raises:
        Damage: a line reads otherwise.
    """
    shapes: list[Shape] = []
    for number, line in enumerate(read_lines(path), start=1):
        words = line.split()
        if not words:
            continue
        try:
            label, flat = int(words[0]), np.array(words[1:], np.float64)
        except (ValueError, OverflowError) as error:
            raise Damage(f"line {number} must read CLASS X Y X Y ...; received {line[:60]!r}") from error
        if not 0 <= label < MOST_CLASSES:
            raise Damage(f"line {number}: a class must be a number from 0; received {words[0][:60]}")
        if len(flat) == 4:
            skipped["boxes, which are no outlines"] += 1
            continue
        if len(flat) % 2:
            raise Damage(f"line {number} must read CLASS X Y X Y ...; received {line[:60]!r}")
        if (outline := ring(checked(flat, f"line {number}").reshape(-1, 2))) is None:
            skipped["outlines of fewer than three points"] += 1
            continue
        shapes.append(Shape(names.get(label, f"class{label}"), (outline,)))
    return [Annotated(path, path.stem, tuple(shapes), stem=True, shares=True)]


def yolo_names(folder: Path) -> dict[int, str]:
    """The classes that a folder lists in `data.yaml`, another YAML file with names, or `classes.txt`.

    Raises:
        Damage: such a file reads otherwise.
        InputError: the package PyYAML is missing.
    """
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")], key=lambda path: path.name != "data.yaml"):
        if (found := _yaml_names(path)) is not None:
            return found
    for path in (folder / name for name in LISTS):
        if path.is_file():
            lines = [line.strip() for line in read_lines(path)]
            return {number: clean(line) for number, line in enumerate(lines) if line}
    return {}


def _yaml_names(path: Path) -> dict[int, str] | None:
    yaml = import_extra(f"{path} is read by PyYAML: pip install 'unet-tf[annotations]'.", "yaml", path)
    try:
        text = "\n".join(read_lines(path))
        content: Any = yaml.load(text, yaml.BaseLoader)  # text alone: no, 1.10 and 010 are names
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} must be YAML: {str(error).splitlines()[0]}.", path) from error
    if not isinstance(content, dict) or "names" not in content:
        return None
    if "kpt_shape" in content:
        raise InputError(
            f"Labels must be outlines; {path} has kpt_shape: they are key points (pose). Export them as segmentation.",
            path,
        )
    names = content["names"]
    try:
        listed = enumerate(names) if isinstance(names, list) else typed(names, dict, "names").items()
        # 010 is 8 in YAML, and 10 to people
        named = {int(key) if str(key).isdecimal() and str(int(key)) == key else key: name for key, name in listed}
        return {typed(key, int, "a number"): clean(typed(name or None, str, "a name")) for key, name in named.items()}
    except ValueError as error:
        raise InputError(f"{path}: {error}. Give names as a list, or as NUMBER: NAME.", path) from error
