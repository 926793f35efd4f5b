"""What all writers of outlines share: of which picture they are, and how their numbers are written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from unet_tf.annotations.outlines import Rings
from unet_tf.annotations.shapes import Shape
from unet_tf.data.structure import TURNS
from unet_tf.utils.files import replacing

DIGITS = 3
"""Decimals of a coordinate, pixels."""
Add = Callable[[Sequence[Shape]], None]
"""Appends the shapes of the next page, numbered as `numbered` does, their rings in the order of `find_outlines`."""


class Picture(NamedTuple):
    """The picture that outlines belong to.

    Attributes:
        path: its file.
        height: pixels, of the picture turned as it is meant.
        width: pixels, of the same.
        pages: more than 1 of a stack.
        colours: class -> R, G, B of 0 to 255; classes in order, the background left out.
        orientation: how its file says that it is to be turned, 1 to 8 as in EXIF.
        axes: names and sizes of the axes that count its pages, slowest first, as far as they are known; and "c", of
            channels that are pages of the file each.
    """

    path: Path
    height: int
    width: int
    pages: int
    colours: dict[str, tuple[int, int, int]]
    orientation: int = 1
    axes: tuple[tuple[str, int], ...] = ()


Writer = Callable[[Path, Picture], AbstractContextManager[Add]]


def numbered(shapes: Sequence[Shape]) -> Iterator[tuple[int, Shape]]:
    """Each shape of a page and its number: its own, or its place from 1."""
    for place, shape in enumerate(shapes, start=1):
        yield (place if shape.number is None else shape.number), shape


def numbers_of(ring: NDArray[np.float64]) -> list[list[float]]:
    """Points as JSON takes them: whole numbers as such, others of `DIGITS` decimals."""
    whole = ring.astype(np.int64)
    return whole.tolist() if (whole == ring).all() else ring.round(DIGITS).tolist()


def planes_of(picture: Picture) -> list[tuple[int, int]]:
    """The planes z and t of each page, from 0: by its axes, where all are of these; else the page is z.

    Example:
        >>> planes_of(Picture(Path("a.tif"), 9, 9, 4, {}, axes=(("t", 2), ("z", 2), ("c", 3))))
        [(0, 0), (1, 0), (0, 1), (1, 1)]
    """
    axes = dict(axis for axis in picture.axes if axis[0] != "c")
    if not axes or not axes.keys() <= {"z", "t"}:
        axes = {"z": picture.pages}
    places = dict(zip(axes, np.indices([*axes.values()]).reshape(len(axes), -1).tolist(), strict=True))
    first = [0] * picture.pages
    return [*zip(places.get("z", first), places.get("t", first), strict=True)]


def as_stored(rings: Rings, picture: Picture) -> Rings:
    """Turn rings back to the pixels as the file stores them, for programs that show them so; each keeps its direction.

    Example:
        >>> turned = Picture(Path("a.jpg"), height=4, width=3, pages=1, colours={}, orientation=6)
        >>> as_stored((np.array([[2, 0], [3, 0], [3, 1], [2, 1]]),), turned)[0].tolist()
        [[0, 1], [0, 0], [1, 0], [1, 1]]
    """
    height, width = picture.height, picture.width
    for step in reversed(TURNS.get(picture.orientation, "")):
        if step == "t":
            rings, height, width = tuple(ring[::-1, ::-1] for ring in rings), width, height
        else:
            sign, far = ((-1, 1), (width, 0)) if step == "h" else ((1, -1), (0, height))
            rings = tuple((ring * sign + far)[::-1] for ring in rings)
    return rings


def box_of(rings: Rings) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of an object."""
    points = np.concatenate(rings)
    left, top = points.min(axis=0).tolist()
    right, bottom = points.max(axis=0).tolist()
    return left, top, right, bottom


class JsonList:
    """A list of a JSON file that is written as it grows, so that no file has to lie in memory."""

    def __init__(self, file: TextIO) -> None:
        self.file, self.length = file, 0

    def append(self, item: Any) -> None:
        """Write another item on a line of its own; text beyond ASCII is escaped, so that every name can be written."""
        self.file.write((",\n" if self.length else "\n") + json.dumps(item, allow_nan=False))
        self.length += 1


@contextmanager
def json_list(path: Path, before: dict[str, Any], name: str, after: dict[str, Any]) -> Iterator[JsonList]:
    """Write a JSON object, whole or not at all, of which one value is a list that grows while the block runs.

    Args:
        path: of the file.
        before: names and values ahead of the list.
        name: of the list.
        after: names and values behind the list.

    Yields:
        The list.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(before)[:-1] + (", " if before else "") + json.dumps(name) + ": [")
        yield JsonList(file)
        file.write("\n]" + (", " + json.dumps(after)[1:] if after else "}") + "\n")
