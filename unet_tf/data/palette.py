"""Classes by colour: the file `label_colors.txt`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from unet_tf.errors import InputError

PALETTE_FILE = "label_colors.txt"
Colour = tuple[int, int, int]


class Palette(NamedTuple):
    """Classes by colour, as a `label_colors.txt` lists them: one "R G B name" a line."""

    names: tuple[str, ...]
    colours: tuple[Colour, ...]


def read_palette(path: str | Path) -> Palette:
    """Read "R G B name" lines; empty ones and those that begin with # are left out.

    Raises:
        InputError: a line reads otherwise, or a name or colour stands twice.
    """
    path = Path(path)
    names: list[str] = []
    colours: list[Colour] = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text: {error}. It holds one line a class: R G B name.") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = re.fullmatch(r"\s*(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(\S.*?)\s*", line)
        colour = tuple(int(part) for part in found.groups()[:3]) if found else (256,)
        if found is None or max(colour) > 255:
            raise InputError(f'{path}, line {number}: expected "R G B name" with 0 to 255 each, found {line!r}.')
        if found[4] in names or colour in colours:
            raise InputError(f"{path}, line {number}: name and colour of a class stand once, {line!r} repeats one.")
        names.append(found[4])
        colours.append(colour)  # type: ignore[arg-type]
    if len(names) < 2:
        raise InputError(f'{path} lists {len(names)} classes, and 2 are the least. One line a class: "R G B name".')
    return Palette(tuple(names), tuple(colours))


def find_palette(folder: Path) -> Palette | None:
    """The classes by colour that `label_colors.txt` in a data folder lists; None without that file."""
    return read_palette(folder / PALETTE_FILE) if (folder / PALETTE_FILE).is_file() else None
