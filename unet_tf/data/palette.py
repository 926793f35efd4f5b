"""Classes by colour: the file `label_colors.txt`."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unet_tf.errors import InputError
from unet_tf.labels import VOID
from unet_tf.pages.words import many
from unet_tf.utils.text import read_lines, shown

PALETTE_FILE = "label_colors.txt"
LABEL_MAP, LABEL_MAP_MARK = "labelmap.txt", "label:color_rgb"
"""The file of annotation servers that export Pascal VOC, and what its first line says."""
_PARTED = r"[\s,;]+"
_COLOUR = rf"(?:(?P<red>\d+){_PARTED}(?P<green>\d+){_PARTED}(?P<blue>\d+)|#(?P<all>[0-9a-fA-F]{{6}}))"
ORDERS = {
    "R G B name": re.compile(rf"\s*{_COLOUR}{_PARTED}(?P<name>\S.*?)\s*"),
    "name R G B": re.compile(rf"\s*(?P<name>\S.*?){_PARTED}{_COLOUR}\s*"),
    "name:R,G,B:parts:actions": re.compile(rf"\s*(?P<name>[^:]*[^:\s])\s*:\s*{_COLOUR}\s*:[^:]*:[^:]*"),
}
"""How a line may read; all lines of a file read alike. For R G B, #RRGGBB may stand."""
_COMMENT = re.compile(rf"\s*(#(?![0-9a-fA-F]{{6}}{_PARTED}).*)?")
_FOURTH = {"R G B name": re.compile(r"\d+[\s,;]"), "name R G B": re.compile(r".*[\s,;]\d+$")}
"""A name with a number between it and those of the colour: an id or alpha, if each line has one."""
_FAR = {
    "R G B name": re.compile(r"(?P<rest>.*?)[\s,;]+(?P<id>\d{1,6})"),
    "name R G B": re.compile(r"(?P<id>\d{1,6})[\s,;]+(?P<rest>.*)"),
}
"""A name with a number at its other end: an id, if the lines count so and need no number to tell their names apart."""
_HEADER = re.compile(rf"(name{_PARTED})?r(ed)?{_PARTED}g(reen)?{_PARTED}b(lue)?({_PARTED}name)?", re.IGNORECASE)
Colour = tuple[int, int, int]
MOST_COLOURS, BLURRED = 64, 48
"""Classes of a suggested palette, and how far in a channel JPEG and soft edges carry a colour."""


class Palette(NamedTuple):
    """Classes by colour, as a `label_colors.txt` lists them: one "R G B name" a line."""

    names: tuple[str, ...]
    colours: tuple[Colour, ...]

    @property
    def lines(self) -> list[str]:
        """The lines of such a file, with #RRGGBB before a name that begins with a digit, or ends in a number.

        So neither is taken for a part of the colour, or for an id.
        """
        return [
            f"#{red:02x}{green:02x}{blue:02x} {name}" if _has_number(name) else f"{red} {green} {blue} {name}"
            for name, (red, green, blue) in zip(*self, strict=True)
        ]


def _has_number(name: str) -> bool:
    return name[:1].isdecimal() or bool(_FAR["R G B name"].fullmatch(name))


def read_palette(path: str | Path) -> Palette:
    r"""Read the classes by colour that a text file lists, one a line.

    Args:
        path: of lines "R G B name" or "name R G B", parted by blanks, tabs, commas or semicolons, with #RRGGBB for a
            colour if you like, or "name:R,G,B::" as annotation servers write it. Empty lines, comments that begin with
            #, and a header "name,r,g,b" are left out.

    Returns:
        Names and colours of the classes, in the order of the lines.

    Raises:
        InputError: a line reads otherwise or in two ways, or a name or colour stands twice.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "label_colors.txt")
        >>> _ = path.write_text("0 0 0 background\n#804000 road\n")
        >>> read_palette(path)
        Palette(names=('background', 'road'), colours=((0, 0, 0), (128, 64, 0)))
    """
    path = Path(path)
    lines = {number: line for number, line in enumerate(read_lines(path), start=1) if not _COMMENT.fullmatch(line)}
    if lines and _HEADER.fullmatch(lines[min(lines)].strip()):
        del lines[min(lines)]
    names: dict[str, int] = {}
    colours: dict[Colour, int] = {}
    for number, found in _matches(path, lines).items():
        decimal = found.group("red", "green", "blue")
        red, green, blue = bytes.fromhex(found["all"]) if found["all"] else map(int, decimal)
        name, line = found["name"].strip("\"'"), lines[number]
        if max(red, green, blue) > 255:
            raise InputError(f"{path}, line {number}: each of R G B must be 0 to 255; received {line!r}.", path)
        if shown(name) != name:
            raise InputError(f"{path}, line {number}: {shown(name)!r} must be UTF-8. Save the file so.", path)
        if name in names or (red, green, blue) in colours:
            raise InputError(
                f"{path}, line {number}: name and colour of a class must stand once; {line!r} repeats one.", path
            )
        names[name] = colours[red, green, blue] = number
    if len(names) < 2:
        raise InputError(
            f'{path} lists {many(len(names), "class", "classes")}, and must list 2. One line a class: "R G B name".',
            path,
        )
    return Palette(tuple(names), tuple(colours))


def _matches(path: Path, lines: dict[int, str]) -> dict[int, re.Match[str]]:
    """Each line as it reads in the one order that fits them all."""
    read = {order: {n: pattern.fullmatch(line) for n, line in lines.items()} for order, pattern in ORDERS.items()}
    fitting = [order for order, matches in read.items() if all(matches.values())]
    if not lines:
        return {}
    if not fitting:
        order, tried = max(read.items(), key=lambda item: sum(map(bool, item[1].values())))
        number = next(number for number, match in tried.items() if not match)
        raise InputError(
            f'{path}, line {number}: every line must read "{order}", with 0 to 255 for each of R G B; received '
            f"{lines[number]!r}.",
            path,
        )
    chosen = {number: match for number, match in read[fitting[0]].items() if match}
    if len(fitting) > 1 or _has_fourth(fitting[0], [*chosen.values()]):
        number = min(lines)
        raise InputError(
            f"{path}, line {number}: three numbers and a name must stand on a line; {lines[number]!r} can be read in "
            "more than one way. Leave out numbers that are no part of the colour (an id, alpha); if they are a part of "
            "the name, write the colour as #RRGGBB.",
            path,
        )
    return chosen


def _has_fourth(order: str, matches: list[re.Match[str]]) -> bool:
    """Whether each line has a fourth number that may be none of the name: an id, or alpha."""
    if order not in _FOURTH or not all(match["red"] for match in matches):
        return False
    names = [match["name"] for match in matches]
    if all(_FOURTH[order].match(name) for name in names):
        return True
    found = [far for name in names if (far := _FAR[order].fullmatch(name))]
    ids, rests = {int(far["id"]) for far in found} - {VOID}, {far["rest"].strip().lower() for far in found}
    counted = ids in ({*range(len(ids))}, {*range(1, len(ids) + 1)}) or bool(rests & {"background", "void"})
    return len(rests) == len(names) and counted


def find_palette(folder: Path) -> Palette | None:
    """The classes by colour of a data folder: its `label_colors.txt`, or the `labelmap.txt` of an annotation server.

    Returns:
        None where neither is there.

    Raises:
        InputError: the file reads otherwise.
    """
    if (folder / PALETTE_FILE).is_file():
        return read_palette(folder / PALETTE_FILE)
    label_map = folder / LABEL_MAP
    if label_map.is_file() and LABEL_MAP_MARK in label_map.read_bytes()[:200].decode("latin-1").replace("\0", ""):
        return read_palette(label_map)  # other programs list names alone under this name
    return None


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
