"""The mask of a picture out of its annotations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.annotations.annotated import NAMELESS, Annotated
from unet_tf.annotations.classes import Classes
from unet_tf.annotations.finding import frame
from unet_tf.annotations.raster import areas, kept, paint, rasterise
from unet_tf.annotations.shapes import NO_OBJECT, Shape
from unet_tf.data.pictures import open_pictures, write_picture, write_stack
from unet_tf.data.structure import turned
from unet_tf.errors import InputError, about
from unet_tf.labels import VOID

VOID_OBJECT = 65_535
"""Value of pixels in masks of objects that are ignored."""
CROWDS = "Regions of several objects (crowds), which are void in masks of objects"
"""Words by which they are counted."""
OUTSIDE = 1.0
"""Pixels beyond the border from which a shape counts as one that reaches outside."""
ROWS = 256
"""Of a picture, in which shapes are counted at a time, as the counts take several bytes a pixel."""


class Drawn(NamedTuple):
    """What a mask holds.

    Attributes:
        pixels: (256,) of each class id.
        counts: words -> of how many shapes they are said.
    """

    pixels: NDArray[np.int64]
    counts: Counter[str]


def draw(
    one: Annotated,
    picture: Path,
    image: Path,
    mask: Path,
    classes: Classes,
    colours: NDArray[np.uint8] | None,
    small: bool,
    void: bool,
) -> Drawn:
    """Write the mask of a picture.

    Args:
        one: its annotations.
        picture: to name in errors.
        image: file of the picture.
        mask: file to write, a .png; a .tif of the same name for more objects than 16 bits number.
        classes: which count.
        colours: (256, 3) of the class ids; None to write object ids.
        small: of shapes that overlap the one of the fewest pixels counts, and not the last one.
        void: a picture without a shape is void, and not background.

    Raises:
        InputError: the picture cannot be read, is a stack, or of another size than the annotations say.
    """
    pictures = open_pictures(image)
    if len(pictures) > 1:
        raise InputError(
            f"Annotations are of single pictures, and {picture} has {len(pictures)} pages. Save them as files.", picture
        )
    try:
        height, width = pictures.read().shape[:2]
    except InputError as error:
        raise InputError(str(error).replace(str(image), str(picture)), picture) from error
    turn = pictures.orientation
    with about(one.file):
        (rows, columns), shown = frame(one, (height, width), turn)
    counts: Counter[str] = Counter()
    if turn != 1 and one.shapes:
        counts[f"Pictures that EXIF turns, annotated {'as turned' if shown else 'as stored'}"] = 1
    shapes = _kept(one.shapes, classes, counts)
    if one.shares:
        shapes = _scaled(shapes, rows, columns)
    spans = rasterise(shapes, rows, columns)
    area = areas(spans, len(shapes))
    counts["shapes"] = len(shapes)
    counts["Shapes that reach outside of their picture, cut there"] = _outside(shapes, rows, columns)
    counts["Shapes that hold no pixel's centre"] = int((area == 0).sum())
    if small:
        rank = np.argsort(np.argsort(-_of_objects(shapes, area), kind="stable"), kind="stable")
        spans = spans[np.argsort(rank[spans[:, 0]], kind="stable")]
    ids = np.array([classes.ids[shape.name] for shape in shapes], np.uint8)
    label = np.full((rows, columns), VOID if void and not one.shapes else 0, np.uint8)
    paint(label, spans, ids)
    counts["Holes of one pixel, as outlines leave that touch or cross themselves"] = _pinholes(label)
    if colours is None:
        _write_objects(mask, shapes, spans, ids, label, turn if not shown else 1, counts)
    else:
        covered = "Shapes that others cover whole" + " (--overlap small draws the smaller ones last)" * (not small)
        counts[covered] = int(((kept(label, spans, ids) == 0) & (area > 0)).sum())
        counts["Shapes without a class in others without one, which are one area in masks of classes"] = _nested(
            spans, np.array([shape.name == NAMELESS for shape in shapes], bool), area, label.shape
        )
        mask.parent.mkdir(parents=True, exist_ok=True)
        write_picture(mask, np.ascontiguousarray(label if shown else turned(label, turn)), colours)
    return Drawn(np.bincount(label.ravel(), minlength=VOID + 1), counts)


def _kept(shapes: Sequence[Shape], classes: Classes, counts: Counter[str]) -> list[Shape]:
    """The shapes of classes that count."""
    kept = [shape for shape in shapes if shape.name in classes.ids]
    for name, count in Counter(shape.name for shape in shapes if shape.name not in classes.ids).items():
        counts[f"Shapes of {name!r}, which is not chosen"] = count
    return kept


def _of_objects(shapes: Sequence[Shape], area: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each shape the pixels of all parts of its object."""
    sums: Counter[object] = Counter()
    keys = [place if one.group is None else (one.name, one.group) for place, one in enumerate(shapes)]
    for key, pixels in zip(keys, area.tolist(), strict=True):
        sums[key] += pixels
    return np.array([sums[key] for key in keys], np.int64)


def _scaled(shapes: list[Shape], rows: int, columns: int) -> list[Shape]:
    """Shapes in pixels of shapes in shares of the picture's sides."""
    return [Shape(shape.name, tuple(ring * [columns, rows] for ring in shape.rings)) for shape in shapes]


def _pinholes(label: NDArray[np.uint8]) -> int:
    """Background pixels whose four neighbours are all of shapes."""
    around = np.pad(label != 0, 1)
    sides = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return int((sides & (label == 0)).sum())


def _nested(
    spans: NDArray[np.int32], nameless: NDArray[np.bool_], area: NDArray[np.int64], size: tuple[int, ...]
) -> int:
    """Shapes without a class each pixel of which is of another one, too."""
    if nameless.sum() < 2:
        return 0
    spans = spans[nameless[spans[:, 0]]]
    spans = spans[np.argsort(spans[:, 1], kind="stable")]
    twice = np.zeros(size, bool)
    for top in range(0, size[0], ROWS):
        some = spans[slice(*np.searchsorted(spans[:, 1], (top, top + ROWS)))]
        edges = np.zeros((len(twice[top : top + ROWS]), size[1] + 1), np.int32)
        for column, step in ((2, 1), (3, -1)):
            np.add.at(edges, (some[:, 1] - top, some[:, column]), step)
        twice[top : top + ROWS] = edges.cumsum(axis=1)[:, :-1] > 1
    return int(((kept(twice, spans, np.ones(len(area), bool)) == area) & nameless & (area > 0)).sum())


def _outside(shapes: Sequence[Shape], rows: int, columns: int) -> int:
    corners = [(ring.min(axis=0), ring.max(axis=0)) for shape in shapes for ring in shape.rings]
    limits = np.array([columns, rows]) + OUTSIDE
    return sum(bool((low < -OUTSIDE).any() or (high > limits).any()) for low, high in corners)


def _write_objects(
    mask: Path,
    shapes: Sequence[Shape],
    spans: NDArray[np.int32],
    ids: NDArray[np.uint8],
    label: NDArray[np.uint8],
    turn: int,
    counts: Counter[str],
) -> None:
    """Write the ids of the objects, from 1 in the order of the file; crowds, void and what is of no object are void."""
    numbers: dict[object, int] = {}
    values = np.zeros(len(shapes), np.uint32)
    for place, shape in enumerate(shapes):
        if ids[place] == VOID or shape.crowd or (ids[place] and shape.number == NO_OBJECT):
            values[place] = VOID_OBJECT
        elif ids[place]:
            key = place if shape.group is None else (ids[place], shape.group)
            number = numbers.setdefault(key, len(numbers) + 1)
            values[place] = number + (number >= VOID_OBJECT)
    objects = np.where(label == VOID, np.uint32(VOID_OBJECT), np.uint32(0))
    paint(objects, spans, values)
    label[objects == VOID_OBJECT] = VOID
    counts[CROWDS] = sum(one.crowd for one in shapes)
    there = len(np.unique(objects[(objects > 0) & (objects != VOID_OBJECT)])) if numbers else 0
    counts["Objects that others cover whole, or of no pixel"] = len(numbers) - there
    objects = np.ascontiguousarray(turned(objects, turn))
    mask.parent.mkdir(parents=True, exist_ok=True)
    if len(numbers) >= VOID_OBJECT:
        write_stack(mask.with_suffix(".tif"), [objects])
    else:
        write_picture(mask, objects.astype(np.uint16))
