"""Shapes to pixels by one rule: a pixel belongs if its centre is inside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from unet_tf.annotations.shapes import Shape
from unet_tf.utils.signals import look

POINTS, CROSSINGS, PIXELS = 1 << 18, 1 << 22, 1 << 24
"""Points, crossings of edges with rows, and pixels that are worked on at once."""


def rasterise(shapes: Sequence[Shape], height: int, width: int) -> NDArray[np.int32]:
    """The pixels of shapes, as runs in rows.

    A pixel belongs to a shape if its centre lies inside an odd number of the rings. A centre on an edge belongs to what
    lies right of the edge, or below it: shapes that share an edge share no pixel and leave none out. What lies outside
    of the picture is cut away. Coordinates in quarters of a pixel, and finer ones as far as the product of two takes 53
    bits, are decided exactly. Takes time linear in points, crossings of edges with rows of pixels, and runs, but for a
    sort of the crossings.

    Args:
        shapes: of one picture.
        height: of the picture, pixels.
        width: of the picture, pixels.

    Returns:
        (N, 4) int32: number of the shape, row, first column, and the column past the last; sorted in this order.

    Example:
        >>> square = Shape("cell", (np.array([[0.5, 0.5], [2.5, 0.5], [2.5, 2.5], [0.5, 2.5]]),))
        >>> rasterise([square], 9, 9).tolist()
        [[0, 0, 0, 2], [0, 1, 0, 2]]
    """
    found = [np.zeros((0, 4), np.int32)]
    for edges, owners in _edges(shapes):
        found += _scan(edges, owners, 0, height, width)
    drawn = [(number, shape.spans) for number, shape in enumerate(shapes) if shape.spans is not None]
    for number, spans in drawn:
        inside = spans[(spans[:, 0] >= 0) & (spans[:, 0] < height)]
        inside = np.column_stack([np.full(len(inside), number), inside[:, 0], inside[:, 1:].clip(0, width)])
        found.append(inside[inside[:, 2] < inside[:, 3]].astype(np.int32))
    spans = np.concatenate(found)
    return spans[np.argsort(spans[:, 0], kind="stable")] if drawn else spans


def spans_of(mask: NDArray, top: int = 0, left: int = 0) -> NDArray[np.int32]:
    """The runs of a (H, W) mask, as `Shape.spans`; `top` and `left` are the place of its first pixel.

    Example:
        >>> spans_of(np.array([[0, 1, 1], [1, 0, 1]])).tolist()
        [[0, 1, 3], [1, 0, 1], [1, 2, 3]]
    """
    if not mask.size:
        return np.zeros((0, 3), np.int32)
    edges = np.diff(np.pad(mask.astype(bool).view(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges == 1)
    stops = np.nonzero(edges == -1)[1]
    return np.column_stack([rows + top, starts + left, stops + left]).astype(np.int32)


def paint(canvas: NDArray, spans: NDArray[np.int32], values: NDArray) -> None:
    """Write runs into a picture, later ones over earlier ones.

    Args:
        canvas: (H, W), contiguous; changed.
        spans: (N, 4) as `rasterise` gives them, in the order in which they are written.
        values: (shapes,) what a pixel of each shape becomes.
    """
    flat = canvas.reshape(-1)
    for owners, pixels in _pixels(spans, canvas.shape[1]):
        flat[pixels] = values[owners]  # of a pixel that comes twice the last value stays


def kept(canvas: NDArray, spans: NDArray[np.int32], values: NDArray) -> NDArray[np.int64]:
    """Pixels of each shape, (shapes,), that hold its value in a picture: those that `paint` wrote and nothing covered.

    Args:
        canvas: (H, W), contiguous.
        spans: (N, 4) as `rasterise` gives them.
        values: (shapes,) those that were painted.
    """
    flat, found = canvas.reshape(-1), np.zeros(len(values), np.int64)
    for owners, pixels in _pixels(spans, canvas.shape[1]):
        found += np.bincount(owners[flat[pixels] == values[owners]], minlength=len(values))
    return found


def _pixels(spans: NDArray[np.int32], width: int) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
    """The number of the shape and the place in the raveled picture of each pixel of runs, some runs at a time."""
    lengths = (spans[:, 3] - spans[:, 2]).astype(np.int64)
    ends = np.cumsum(lengths)
    at = 0
    while at < len(spans):
        look()
        before = int(ends[at - 1]) if at else 0
        end = max(at + 1, int(np.searchsorted(ends, before + PIXELS, "right")))
        part, count = spans[at:end], lengths[at:end]
        first = part[:, 1].astype(np.int64) * width + part[:, 2]
        pixels = np.repeat(first - (ends[at:end] - before - count), count) + np.arange(int(count.sum()))
        yield np.repeat(part[:, 0], count), pixels
        at = end


def areas(spans: NDArray[np.int32], number: int) -> NDArray[np.int64]:
    """Pixels of each of a number of shapes, (number,), whatever covers them later."""
    return np.bincount(spans[:, 0], spans[:, 3] - spans[:, 2], number).astype(np.int64)


def _edges(shapes: Sequence[Shape]) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """Edges of some shapes at a time, (N, 4) x and y of the upper end and then of the lower one; and whose they are."""
    rings: list[NDArray[np.float64]] = []
    of: list[int] = []
    points = 0
    for number, shape in enumerate(shapes):
        rings += shape.rings
        of += [number] * len(shape.rings)
        points += sum(map(len, shape.rings))
        if points >= POINTS or (number == len(shapes) - 1 and points):
            ends = np.cumsum([len(ring) for ring in rings])
            lengths = np.diff(ends, prepend=0)
            begin = np.concatenate(rings).astype(np.float64, copy=False)
            follower = np.arange(1, points + 1)
            follower[ends[lengths > 0] - 1] = (ends - lengths)[lengths > 0]
            end = begin[follower]
            down = (begin[:, 1] <= end[:, 1])[:, None]
            edges = np.hstack([np.where(down, begin, end), np.where(down, end, begin)])
            yield edges, np.repeat(np.array(of), lengths)
            rings, of, points = [], [], 0


def _scan(
    edges: NDArray[np.float64], owners: NDArray[np.int64], top: int, bottom: int, width: int
) -> Iterator[NDArray[np.int32]]:
    """The runs between two rows, in parts of so few crossings that memory holds them."""
    first, last = (np.ceil(edges[:, at] - 0.5).clip(top, bottom).astype(np.int64) for at in (1, 3))
    crossed = first < last
    edges, owners, first, counts = edges[crossed], owners[crossed], first[crossed], (last - first)[crossed]
    ends = np.cumsum(counts)
    if not len(ends):
        return
    if ends[-1] > CROSSINGS and owners[0] != owners[-1]:
        middle = owners[min(int(np.searchsorted(ends, ends[-1] // 2)), len(owners) - 1)]
        cut = np.searchsorted(owners, middle, "left" if middle > owners[0] else "right")
        for part in (slice(0, cut), slice(cut, None)):
            yield from _scan(edges[part], owners[part], top, bottom, width)
        return
    if ends[-1] > CROSSINGS and bottom - top > 1:
        middle = (top + bottom) // 2
        yield from _scan(edges, owners, top, middle, width)
        yield from _scan(edges, owners, middle, bottom, width)
        return
    look()
    edge = np.repeat(np.arange(len(ends)), counts)
    row = np.arange(ends[-1]) - (ends - counts - first)[edge]
    column = _columns(edges[edge], row + 0.5).clip(0, width).astype(np.int64)
    base = owners[0]
    keys = ((owners[edge] - base) * bottom + row) * (width + 1) + column
    keys.sort()
    # a ring crosses a row an even number of times: runs begin and end in turn
    (lines, start), (_, stop) = (np.divmod(keys[side::2], width + 1) for side in (0, 1))
    filled = start < stop
    whose, row = np.divmod(lines[filled], bottom)
    yield np.column_stack([whose + base, row, start[filled], stop[filled]]).astype(np.int32)


def _columns(edges: NDArray, y: NDArray) -> NDArray[np.float64]:
    """The first column whose centre lies on an edge or right of it, at a height; the upper end comes first."""
    x0, y0, x1, y1 = edges.T
    across, down, below = x1 - x0, y1 - y0, y - y0
    column = np.ceil(x0 + below * across / down - 0.5)
    for shift in (-1, 0):  # a quotient is rounded, these products of short numbers are not
        right = (column + shift + 0.5 - x0) * down >= below * across
        column += np.where(right, shift, 0) if shift else np.where(right, 0, 1)
    return column
