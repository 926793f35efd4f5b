"""Objects of a mask beyond memory: pieces of each chunk, joined over the borders of chunks."""

from __future__ import annotations

import csv
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.instances import BORDER
from unet_tf.data.volumes import import_zarr
from unet_tf.errors import InputError
from unet_tf.prediction.arrays import LEVEL, chunks_left, read_part
from unet_tf.prediction.objects import check_min_area, find_objects
from unet_tf.prediction.outputs import COLUMNS
from unet_tf.prediction.source import CUT
from unet_tf.utils.files import replacing
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look, stoppable

log = logging.getLogger("unet_tf")


class Block(NamedTuple):
    """A chunk of one plane."""

    plane: int
    window: tuple[Any, ...]  # of the array
    top: int
    left: int
    label: NDArray[np.uint8]  # (h, w)


def number_objects(masks: str | Path, min_area: int = 1, on_chunk: Progress = unseen) -> int:
    """Number the objects of a complete mask: NAME_instances.zarr and the table NAME_objects.csv, beside NAME.zarr.

    Objects are the 8-connected pieces of each class but 0 of a plane, numbered from 1 in reading order of their first
    pixels, one plane after another: those of `find_objects`, whatever the chunks; the border class of a run is part of
    its objects, and those smaller than the smallest of a run are left out. Of a run that parts objects that touch or
    fills their holes, which needs the whole of them, they stay as they are, and that is said on the logger "unet_tf".
    Two chunks, a row of pixels and hundred bytes an object or piece of one are held. Called again it begins anew; both
    outputs are whole or absent.

    Args:
        masks: NAME.zarr, as `predict_large` wrote it.
        min_area: pixels of the smallest object that counts; the run may ask for more.
        on_chunk: called with (chunks done, chunks in all); each is looked at twice.

    Returns:
        How many objects there are.

    Raises:
        InputError: the mask is not complete, damaged or none of unet_tf, something else bears the name of an output, or
            the system refuses to write.
        Stopped: a signal came; nothing is written.
    """
    masks = Path(masks)
    array, classes = open_mask(masks)
    check_min_area(min_area)
    check_outputs(masks)
    ids, table = outputs_of(masks)
    height, width = array.shape[-2:]
    count = -(-height // array.chunks[-2]) * -(-width // array.chunks[-1]) * int(np.prod(array.shape[:-2], dtype=int))
    progress = itertools.count(1)
    cut = dict(dict(array.attrs.get("unet_tf", {})).get(CUT, {}))
    left = ["objects that touch are one object"] * bool(cut.get("neck") or cut.get("border"))
    left += ["holes of objects are not filled"] * bool(cut.get("filled"))
    if left:
        log.warning(f"In {masks}, {' and '.join(left)}: only pictures that are predicted into a folder have that done.")
    least = max(min_area, cut.get("smallest", 1))
    with stoppable():
        pieces = _Pieces(width, height)
        for block in _blocks(masks, array, bool(cut.get("border"))):
            pieces.add(block)
            on_chunk(next(progress), 2 * count)
        numbers, rows = pieces.joined(least)
        with replacing(table) as text, replacing(ids) as folder:
            with text.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(COLUMNS)
                writer.writerows([*row[:2], classes[row[2]][0], *row[3:], ""] for row in rows)
            target = _target(folder, masks, array, least)
            first = 0
            for block in _blocks(masks, array, bool(cut.get("border"))):
                local, found = find_objects(block.label)
                target[block.window] = np.append(0, numbers[first : first + len(found)]).astype(np.uint32)[local]
                first += len(found)
                on_chunk(next(progress), 2 * count)
    return len(rows)


def check_outputs(masks: str | Path) -> None:
    """Raise InputError where ids and table of a mask's objects would replace what is not ours.

    Args:
        masks: NAME.zarr, which need not be there yet.
    """
    for path in outputs_of(Path(masks)):
        if path.exists() and not _is_ours(path):
            raise InputError(f"{path} exists, and holds no objects of unet_tf. Move it, or choose another --out.", path)


class _Pieces:
    """The pieces of all chunks seen, in order, and which of them are one."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.pixels = width, width * height
        self.count, self.plane, self.top = 0, -1, -1
        self.measures: list[NDArray] = []  # of each chunk (n, 9): first pixel, class, area, sums of row and column, box
        self.pairs: list[NDArray] = []
        self.above = self.below = self.side = np.zeros((2, 0), np.int64)

    def add(self, block: Block) -> None:
        """Take the next chunk, in reading order of a plane's chunks, and see what goes on from those before."""
        ids, found = find_objects(block.label)
        height, width = ids.shape
        if (block.plane, block.top) != (self.plane, self.top):  # lines of piece and class, a pixel of margin around
            next_plane = block.plane != self.plane
            self.above = np.zeros((2, self.width + 2), np.int64) if next_plane else self.below
            self.below = np.zeros((2, self.width + 2), np.int64)
            self.side = np.zeros((2, height + 2), np.int64)
            self.plane, self.top = block.plane, block.top
        pieces = np.where(ids > 0, ids.astype(np.int64) + self.count, 0)  # from 1
        both = np.stack([pieces, block.label.astype(np.int64)])
        span = slice(block.left, block.left + width + 2)
        self._join(both[:, 0], self.above[:, span])
        self._join(both[:, :, 0], self.side)
        self.below[:, span][:, 1:-1] = both[:, -1]
        self.side = np.pad(both[:, :, -1], ((0, 0), (1, 1)))
        first = np.full(len(found) + 1, ids.size)
        first[ids.ravel()[::-1]] = np.arange(ids.size)[::-1]
        row, column = np.divmod(first[1:], width)
        start = block.plane * self.pixels + (block.top + row) * self.width + block.left + column
        measured = [
            (one.label, one.area, one.area * (one.row + block.top), one.area * (one.column + block.left),
             one.top + block.top, one.left + block.left, one.bottom + block.top, one.right + block.left)
            for one in found
        ]  # fmt: skip
        self.measures.append(np.column_stack([start, np.array(measured, float).reshape(len(found), 8)]))
        self.count += len(found)

    def _join(self, line: NDArray, other: NDArray) -> None:
        """Note the pieces of a line that touch those of the line beside it, also at corners."""
        length = line.shape[1]
        for shift in range(3):
            beside = other[:, shift : shift + length]
            one = (line[0] > 0) & (line[1] == beside[1])
            self.pairs.append(np.unique(np.stack([line[0][one], beside[0][one]], axis=1), axis=0))

    def joined(self, min_area: int) -> tuple[NDArray[np.int64], list[list[Any]]]:
        """The number of each piece's object, 0 if that is too small; and the rows of the table of objects."""
        root = list(range(self.count))

        def find(piece: int) -> int:
            while root[piece] != piece:
                root[piece] = piece = root[root[piece]]
            return piece

        for one, other in np.concatenate([*self.pairs, np.zeros((0, 2), np.int64)]).tolist():
            a, b = find(one - 1), find(other - 1)
            root[max(a, b)] = min(a, b)
        measures = np.concatenate([*self.measures, np.zeros((0, 9))])
        objects, of = np.unique(np.array([find(i) for i in range(self.count)], np.int64), return_inverse=True)
        joined = np.zeros((len(objects), 9))
        joined[:, [0, 5, 6]] = np.inf
        joined[:, [7, 8]] = -np.inf
        for kind, columns in ((np.minimum, (0, 5, 6)), (np.maximum, (1, 7, 8)), (np.add, (2, 3, 4))):
            for column in columns:
                kind.at(joined[:, column], of, measures[:, column])
        order = np.argsort(joined[:, 0], kind="stable")
        order = order[joined[order, 2] >= min_area]
        numbers = np.zeros(len(objects), np.int64)
        numbers[order] = np.arange(1, len(order) + 1)
        rows = [
            [int(start) // self.pixels, number, int(label), int(area), round(row / area, 2), round(column / area, 2),
             *map(int, box)]
            for number, (start, label, area, row, column, *box) in enumerate(joined[order].tolist(), start=1)
        ]  # fmt: skip
        return numbers[of], rows


def _blocks(masks: Path, array: Any, border: bool) -> Iterator[Block]:
    """The chunks of a mask, plane after plane, each plane in reading order; a class of borders becomes class 1."""
    height, width = array.shape[-2:]
    for plane, index in enumerate(np.ndindex(*array.shape[:-2])):
        for top in range(0, height, array.chunks[-2]):
            for left in range(0, width, array.chunks[-1]):
                look()
                rows = slice(top, min(top + array.chunks[-2], height))
                window = (*index, rows, slice(left, min(left + array.chunks[-1], width)))
                label = read_part(masks, array, window)
                label = np.where(label == BORDER, np.uint8(1), label) if border else label
                yield Block(plane, window, top, left, label)


def outputs_of(masks: Path) -> tuple[Path, Path]:
    """The array of ids and the table of objects beside a mask."""
    return masks.with_name(f"{masks.stem}_instances.zarr"), masks.with_name(f"{masks.stem}_objects.csv")


def open_mask(masks: Path) -> tuple[Any, dict[int, tuple[str, tuple[int, int, int]]]]:
    """Open a mask.

    Args:
        masks: NAME.zarr, as `predict_large` wrote it.

    Returns:
        The (..., H, W) array, and class id -> name and colour.

    Raises:
        InputError: it is no such mask, or not complete.
    """
    zarr = import_zarr()
    try:
        group = zarr.open_group(str(masks), mode="r")
        array, labels = group[LEVEL], group.attrs["ome"]["image-label"]
        colours = {one["label-value"]: tuple(one["rgba"][:3]) for one in labels["colors"]}
        classes = {one["label-value"]: (one["class"], colours[one["label-value"]]) for one in labels["properties"]}
    except Exception as error:  # a class of errors of its own for each thing that may be missing
        raise InputError(f"{masks} must be a mask that predict wrote, NAME.zarr, and is not.", masks) from error
    if left := chunks_left(masks, array):
        raise InputError(f"{masks} must be complete; {left} of {array.nchunks} chunks are left. Predict them.", masks)
    return array, classes


def _target(folder: Path, masks: Path, array: Any, min_area: int) -> Any:
    """An empty OME-Zarr of ids beside a mask."""
    source = import_zarr().open_group(str(masks), mode="r")
    ome = {"version": "0.5", "multiscales": source.attrs["ome"]["multiscales"], "image-label": {}}
    group = import_zarr().create_group(str(folder), zarr_format=3, attributes={"ome": ome})
    return group.create_array(
        LEVEL,
        shape=array.shape,
        dtype="uint32",
        chunks=array.chunks,
        fill_value=0,
        dimension_names=array.metadata.dimension_names,
        attributes={"unet_tf": {"objects_of": masks.name, "min_area": min_area}},
    )


def _is_ours(path: Path) -> bool:
    """Say whether an output may be replaced."""
    if path.suffix == ".csv":
        with path.open("rb") as file:
            return file.readline().strip() == ",".join(COLUMNS).encode()
    try:
        return "objects_of" in import_zarr().open_array(f"{path}/{LEVEL}", mode="r").attrs["unet_tf"]
    except Exception:  # a class of errors of its own for each thing that may be missing
        return False
