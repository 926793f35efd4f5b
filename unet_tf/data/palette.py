"""Classes by colour: the file `label_colors.txt`."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unet_tf.errors import InputError

PALETTE_FILE = "label_colors.txt"
Colour = tuple[int, int, int]
MOST_COLOURS, BLURRED = 64, 48
"""Classes of a suggested palette, and how far in a channel JPEG and soft edges carry a colour."""


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


def suggest_palette(pixels: Counter[int]) -> Palette | None:
    """Make a first palette of the colours that masks hold most; near ones (JPEG, soft edges) count as one.

    Args:
        pixels: number of pixels of each colour, as 0xRRGGBB.

    Returns:
        Classes named class0, class1, ...; None where the masks are grey.
    """
    total, colours = pixels.total(), np.zeros((0, 3), int)
    ranked = [(code, count) for code, count in pixels.most_common() if count > 1e-4 * total]
    apart = 0 if len(ranked) <= MOST_COLOURS and sum(count for _, count in ranked) > 0.999 * total else BLURRED
    for code, _ in ranked:
        colour = np.array((code >> 16, code >> 8 & 255, code & 255))
        if len(colours) < MOST_COLOURS and (np.abs(colours - colour).max(1, initial=0) > apart).all():
            colours = np.vstack([colours, colour])
    if len(colours) < 2 or (colours == colours[:, :1]).all():
        return None
    return Palette(tuple(f"class{number}" for number in range(len(colours))), tuple(map(tuple, colours.tolist())))
