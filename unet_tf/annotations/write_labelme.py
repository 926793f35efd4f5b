"""Outlines as labelme files, to be corrected there and imported again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_tf.annotations.outlines import Rings, polygons_of
from unet_tf.annotations.shapes import Shape
from unet_tf.annotations.writing import Add, Picture, json_list, numbered, numbers_of
from unet_tf.errors import InputError

VERSION = "5.5.0"
"""Of the format."""
PAIRS = 10_000_000
"""Most pairs of a hole and a corner of its outline that are compared for the shortest cut."""


@contextmanager
def labelme_writer(path: Path, picture: Picture) -> Iterator[Add]:
    """Yield a function that adds the objects of a picture; the file is there, whole, when the block ends well.

    Labelme's polygons are one ring: a hole is reached by a cut, a line from the outline there and back, which is not
    seen in the mask. The parts of an object that touch at corners are polygons of one `group_id`, the object's number.
    The mean probability is the `description`. The picture is named by its path from the file's folder, and is not
    copied into the file.

    Args:
        path: of the file.
        picture: whose objects they are.

    Yields:
        The function.

    Raises:
        InputError: the picture has several pages: labelme shows the first alone.
    """
    if picture.pages > 1:
        raise InputError(
            f"labelme opens pictures of one page; {picture.path} has {picture.pages}. Save its pages as pictures of "
            "their own, or take another format of --polygons.",
            picture.path,
        )
    after = {
        "imagePath": _relative(picture.path, path.parent),
        "imageData": None,
        "imageHeight": picture.height,
        "imageWidth": picture.width,
    }
    with json_list(path, {"version": VERSION, "flags": {}}, "shapes", after) as items:

        def add(shapes: Sequence[Shape]) -> None:
            for number, shape in numbered(shapes):
                polygons = polygons_of(shape.rings)
                words = "" if shape.probability is None else f"mean probability {shape.probability:.4f}"
                for polygon in polygons:
                    items.append({
                        "label": shape.name,
                        "points": numbers_of(one_ring(polygon)),
                        "group_id": number if len(polygons) > 1 else None,
                        "description": words,
                        "shape_type": "polygon",
                        "flags": {},
                    })  # fmt: skip

        yield add


def one_ring(polygon: Rings) -> NDArray[np.float64]:
    """Reach the holes of a polygon by cuts from its outer ring there and back: inside and outside stay as they were.

    Args:
        polygon: its outer ring, then its holes.

    Returns:
        (N, 2) points of one ring.

    Example:
        >>> outer, hole = np.array([[0, 0], [9, 0], [0, 9]]), np.array([[1, 2], [2, 1], [1, 1]])
        >>> one_ring((outer, hole)).tolist()
        [[0, 0], [1, 1], [1, 2], [2, 1], [1, 1], [0, 0], [9, 0], [0, 9]]
    """
    outer, *holes = polygon
    corners = np.arange(0, len(outer), max(1, len(outer) * len(holes) // PAIRS))
    cuts = []
    for hole in holes:
        start = int(np.lexsort(hole.T)[0])  # the topmost corner, of these the leftmost
        nearest = int(corners[((outer[corners] - hole[start]) ** 2).sum(axis=1).argmin()])
        cuts.append((nearest, np.roll(hole, -start, axis=0)))
    pieces, done = [], 0
    for corner, hole in sorted(cuts, key=lambda cut: cut[0]):
        pieces += [outer[done : corner + 1], hole, hole[:1]]
        done = corner
    return np.concatenate([*pieces, outer[done:]])


def _relative(picture: Path, folder: Path) -> str:
    """The way from a folder, its links followed, to a picture; on another drive there is none."""
    try:
        return Path(os.path.relpath(picture.absolute(), folder.resolve())).as_posix()
    except ValueError:
        return picture.absolute().as_posix()
