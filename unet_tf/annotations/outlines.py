"""Outlines of numbered objects, exact to the pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RIGHT, DOWN, LEFT, UP = range(4)
"""Directions of a border whose object lies on its right hand, y down: a turn to the right is one more."""
Rings = tuple[NDArray[np.float64], ...]


class Borders(NamedTuple):
    """Straight pieces of border, from corner to corner; a point (x, y) is the number y (W + 1) + x."""

    owner: NDArray  # (N,) the object
    start: NDArray[np.int64]  # (N,) point
    stop: NDArray[np.int64]  # (N,) point
    direction: NDArray[np.int64]  # (N,)


def find_outlines(ids: NDArray) -> dict[int, Rings]:
    """Outline each object along the borders of its pixels, in time linear in pixels and corners.

    The centres of exactly its pixels lie inside an odd number of an object's rings. No ring meets itself, so that they
    are valid polygons everywhere: pixels that touch at a corner alone lie in two rings that share this point.

    Args:
        ids: (H, W) integers: the number of each pixel's object, 0 where there is none.

    Returns:
        Number -> rings of `unet_tf.annotations.shapes.Shape`, in order of the numbers, corners alone. An outer ring
        runs clockwise on the screen, its area by `signed_area` positive, and is followed by its holes, which run the
        other way.

    Example:
        >>> {number: [ring.tolist() for ring in rings] for number, rings in find_outlines(np.array([[0, 7]])).items()}
        {7: [[[1.0, 0.0], [2.0, 0.0], [2.0, 1.0], [1.0, 1.0]]]}
    """
    return outlines_of(find_borders(np.pad(ids, 1), ids.shape[1]), ids.shape[1])


def outlines_of(borders: Borders, width: int) -> dict[int, Rings]:
    """Put borders together to outlines.

    Args:
        borders: all of some objects, by `find_borders` of the whole picture or of all windows of it.
        width: of the picture, pixels.

    Returns:
        As `find_outlines`: the same, whatever the windows.
    """
    by_start = np.lexsort(
        (borders.start, borders.direction)
    )  # so that a ring begins at one corner, whatever the windows
    borders = Borders(*(values[by_start] for values in borders))
    order, first = _rings(borders)
    if not len(first):
        return {}
    ring = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(order))))  # (N,) of each ordered border
    y, x = np.divmod(borders.start, width + 1)
    points = np.stack([x, y], axis=1)[order].astype(np.float64)
    areas = _areas(points, first)
    shell, holes = np.arange(len(first)), areas < 0
    if holes.any():
        shell = _shells(borders, width, order, ring, holes)
    owner = borders.owner[order[first]]
    before = np.arange(-1, len(order) - 1)
    before[first] = np.append(first[1:], len(order)) - 1
    corner = borders.direction[order] != borders.direction[order[before]]  # else a border that two windows share
    rings = np.split(points[corner], np.searchsorted(np.flatnonzero(corner), first[1:]))
    found: dict[int, list[NDArray[np.float64]]] = {}
    for i in np.lexsort((holes, shell, owner)).tolist():
        found.setdefault(int(owner[i]), []).append(rings[i])
    return {number: tuple(some) for number, some in found.items()}


def find_borders(ids: NDArray, width: int, top: int = 0, left: int = 0) -> Borders:
    """Find the borders of the objects in a window of a picture, straight pieces as long as they go on in it.

    Args:
        ids: (h + 2, w + 2) the window and a pixel around it: 0 beyond the edge of the picture.
        width: of the picture, pixels.
        top: first row of the window.
        left: first column of the window.

    Returns:
        The borders on the window's own pixels.
    """
    own, stride = ids[1:-1, 1:-1], width + 1
    pieces = []
    for direction, outside in (
        (RIGHT, ids[:-2, 1:-1]), (DOWN, ids[1:-1, 2:]), (LEFT, ids[2:, 1:-1]), (UP, ids[1:-1, :-2])
    ):  # fmt: skip
        upright = direction in (DOWN, UP)
        inside, outside = (own.T, outside.T) if upright else (own, outside)
        border = (inside != 0) & (inside != outside)
        goes_on = border[:, 1:] & border[:, :-1] & (inside[:, 1:] == inside[:, :-1])
        line, start = np.nonzero(border & ~np.pad(goes_on, ((0, 0), (1, 0))))
        _, last = np.nonzero(border & ~np.pad(goes_on, ((0, 0), (0, 1))))
        owner = inside[line, start]
        line = line + (direction in (DOWN, LEFT))  # on the far side of its pixels
        begin, end = (
            (at + top) * stride + line + left if upright else (line + top) * stride + at + left
            for at in (start, last + 1)
        )
        if direction in (LEFT, UP):
            begin, end = end, begin
        pieces.append((owner, begin, end, np.full(len(line), direction)))
    return Borders(*(np.concatenate(some) for some in zip(*pieces, strict=True)))


def signed_area(ring: NDArray[np.float64]) -> float:
    """The area that a ring encloses: positive where it runs clockwise on the screen, y down.

    Args:
        ring: (N, 2) x and y.

    Returns:
        Pixels.

    Example:
        >>> signed_area(np.array([[0, 0], [2, 0], [2, 1], [0, 1]]))
        2.0
    """
    x, y = ring.T
    return float(x[:-1] @ y[1:] - x[1:] @ y[:-1] + x[-1] * y[0] - x[0] * y[-1]) / 2


def signed_areas(rings: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The `signed_area` of each of many rings, at once: one or more of them."""
    lengths = np.array([len(ring) for ring in rings])
    return _areas(np.concatenate(rings), np.cumsum(lengths) - lengths)


def polygons_of(rings: Rings) -> list[Rings]:
    """Part the rings of an object, in the order of `find_outlines`, into outer rings, each with its holes.

    Args:
        rings: of one object; a ring that runs counter-clockwise is a hole of the outer ring before it.

    Returns:
        Polygons, the outer ring of each first.
    """
    if len(rings) == 1:
        return [rings]
    polygons: list[list[NDArray[np.float64]]] = []
    for ring, area in zip(rings, signed_areas(rings).tolist(), strict=True):
        if area > 0 or not polygons:
            polygons.append([])
        polygons[-1].append(ring)
    return [tuple(one) for one in polygons]


def _rings(borders: Borders) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order in which the borders follow each other, ring after ring, and where each ring begins in it.

    Where two pixels of an object touch at a corner alone there are two ways on. To the right stays at the pixel, to the
    left goes over to the other. All rings turn right first; one that comes by a point twice is parted there by turning
    left, which makes two of it: a hole, or a part, of its own.
    """
    keys = borders.start * 4 + borders.direction
    by_key = np.argsort(keys)
    keys = keys[by_key]

    def way(turn: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        wanted = borders.stop * 4 + (borders.direction + turn) % 4
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        other = by_key[place]
        return other, (keys[place] == wanted) & (borders.owner[other] == borders.owner)

    if not len(keys):
        return keys, keys
    (right, has_right), (ahead, has_ahead), (left, has_left) = way(1), way(0), way(-1)
    links = np.where(has_right, right, np.where(has_ahead, ahead, left))
    order, first = _cycles(links)
    if (has_right & has_left).any():
        ring = np.empty(len(order), np.int64)
        ring[order] = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(order))))
        parted = has_right & has_left & (ring[right] == ring[left])
        order, first = _cycles(np.where(parted, left, links))
    return order, first


def _cycles(links: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The cycles of a permutation one after another, and where each begins."""
    following, seen = links.tolist(), bytearray(len(links))
    order: list[int] = []
    first: list[int] = []
    for start in range(len(following)):
        if not seen[start]:
            first.append(len(order))
            at = start
            while not seen[at]:
                seen[at] = 1
                order.append(at)
                at = following[at]
    return np.array(order, np.int64), np.array(first, np.int64)


def _areas(points: NDArray, first: NDArray[np.int64]) -> NDArray[np.float64]:
    """The signed area of each of the rings that lie in `points`, (N, 2), one after another."""
    following = np.arange(1, len(points) + 1)
    following[np.append(first[1:], len(points)) - 1] = first
    (x, y), (next_x, next_y) = points.T, points[following].T
    return np.add.reduceat(x * next_y - next_x * y, first) / 2


def _shells(borders: Borders, width: int, order: NDArray, ring: NDArray, holes: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The outer ring of each ring: itself, or that of the pixels around a hole.

    From the leftmost border of a hole, its object's pixels in that row reach left to a border of another ring, which
    either is the outer one or a hole whose leftmost border lies further to the left.
    """
    ring_of = np.empty(len(order), np.int64)
    ring_of[order] = ring
    x = borders.start % (width + 1)
    down = np.flatnonzero((borders.direction == DOWN) & holes[ring_of])
    down = down[np.argsort(x[down], kind="stable")]
    some, at = np.unique(ring_of[down], return_index=True)  # holes, and a leftmost border of each
    up = np.flatnonzero(borders.direction == UP)
    lengths = (borders.start[up] - borders.stop[up]) // (width + 1)
    nth = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    places = np.repeat(borders.stop[up], lengths) + nth * (
        width + 1
    )  # (row, x) of each pixel with a border on its left
    by_place = np.argsort(places)
    nearest = np.searchsorted(places[by_place], borders.start[down[at]]) - 1
    shell = np.arange(len(holes))
    shell[some] = ring_of[np.repeat(up, lengths)[by_place[nearest]]]
    while holes[shell].any():
        shell = shell[shell]
    return shell
