"""Touching things parted at their necks: a watershed in linear time, of arrays of any shape of piece."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray


def part(inside: NDArray, depth: float) -> NDArray[np.int32]:
    """Part each piece of a mask where it is narrow.

    The distance to the outside is a landscape in which each round part of a piece is a hill. Two hills are two parts
    where the way from the lower summit to the higher one descends by `depth` at least.

    Args:
        inside: (H, W), other than 0 inside. Beyond the picture nothing is outside: what its edge cuts goes on there.
        depth: pixels that the half width of a piece must fall by, from its narrower part to the neck.

    Returns:
        (H, W) int32 numbers from 1 of the parts, in the reading order of their summits; 0 outside.

    Example:
        >>> dumbbell = np.array([[1, 1, 1, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 1, 1, 1]])
        >>> part(np.pad(dumbbell, 1), 0.5)[1:-1, 1:-1].tolist()
        [[1, 1, 1, 0, 2, 2, 2], [1, 1, 1, 1, 2, 2, 2], [1, 1, 1, 0, 2, 2, 2]]
    """
    mask = np.asarray(inside) != 0
    return watershed(_distance(mask), mask, depth)


def deepest_valley(inside: NDArray) -> float:
    """How deep the deepest valley within a piece of a mask is: from any greater depth on, `part` leaves all whole.

    Example:
        >>> dumbbell = np.array([[1, 1, 1, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 1, 1, 1]])
        >>> round(deepest_valley(np.pad(dumbbell, 1)), 3)  # 2 in the middle of each square, 1 at the neck
        1.0
    """
    mask = np.asarray(inside) != 0
    return _join(_find_hills(_distance(mask), mask), math.inf)[1]


def _distance(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(H, W) distance of each pixel to the outside; 1 where there is none."""
    if not mask.size or mask.all():
        return np.ones(mask.shape)
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Squared distances are whole numbers, and OpenCV's last digit depends on the thread: so round.
    return np.sqrt(np.rint(np.square(distance, dtype=np.float64)))


def spread(seeds: NDArray, inside: NDArray) -> NDArray[np.int32]:
    """Let numbered seeds grow over the rest of a mask, a ring of pixels after the other, each as fast as the others.

    A pixel that two reach at once is of the one above it or to its left. Pieces of the mask without a seed get numbers
    of their own, after those of the seeds.

    Args:
        seeds: (H, W) numbers from 1, 0 elsewhere.
        inside: (H, W), other than 0 where they may grow; seeds stay where they are.

    Returns:
        (H, W) int32 numbers.

    Example:
        >>> spread(np.array([[0, 1, 0, 0, 0, 2, 0, 0]]), np.array([[1, 1, 1, 1, 1, 1, 0, 1]])).tolist()
        [[1, 1, 1, 1, 2, 2, 0, 3]]
    """
    grown = np.pad(np.asarray(seeds, np.int32), 1)
    free = np.pad(np.asarray(inside) != 0, 1) & (grown == 0)
    row, flat, left = grown.shape[1], grown.ravel(), free.ravel()
    ring = np.flatnonzero(flat)
    while ring.size:
        reached = []
        for step in (row, 1, -1, -row, row + 1, row - 1, 1 - row, -row - 1):  # sides before corners
            from_here = ring[left[ring + step]]
            flat[from_here + step], left[from_here + step] = flat[from_here], False
            reached.append(from_here + step)
        ring = np.sort(np.concatenate(reached))
    pieces = cv2.connectedComponents(free.astype(np.uint8))[1]
    return np.where(pieces > 0, pieces + flat.max(), grown)[1:-1, 1:-1].astype(np.int32)


def watershed(height: NDArray, inside: NDArray, depth: float) -> NDArray[np.int32]:
    """Part each 8-connected piece of a landscape into its hills.

    Each pixel belongs to the summit to which the steepest way up leads; among equal heights the first in reading order
    counts as the highest. Then hills are joined, over the highest saddles first, as long as the lower of two summits
    lies less than `depth` above the saddle between them. Nothing depends on the order of anything else.

    Args:
        height: (H, W) finite numbers.
        inside: (H, W), other than 0 where the landscape is.
        depth: of the valleys that part hills; 0 parts all summits.

    Returns:
        (H, W) int32 numbers from 1, in the reading order of the summits; 0 outside.

    Example:
        >>> heights = np.array([[1.0, 3.0, 2.0, 2.5, 1.0, 4.0]])
        >>> watershed(heights, heights > 0, 1.0).tolist(), watershed(heights, heights > 0, 0.25).tolist()
        ([[1, 1, 1, 1, 2, 2]], [[1, 1, 1, 2, 3, 3]])

    Reference:
        Beucher, Meyer: The morphological approach to segmentation: the watershed transformation (1993). Edelsbrunner,
        Letscher, Zomorodian: Topological persistence and simplification (2002), for the depth of a valley.
    """
    hills = _find_hills(height, np.asarray(inside) != 0)
    return hills.draw(_join(hills, depth)[0])


class _Hills(NamedTuple):
    """Each pixel with its summit, before any are joined."""

    land: NDArray[np.bool_]  # (H + 2, W + 2)
    of_pixel: NDArray[np.intp]  # (pixels,) number of the hill
    summits: NDArray  # (hills,) heights
    touching: NDArray[np.int64]  # (ways, 2) hills
    saddles: NDArray  # (ways,) height of the highest pixel over which one comes from one to the other

    def draw(self, numbers: NDArray[np.int32]) -> NDArray[np.int32]:
        """(H, W) the number of each pixel's hill."""
        drawn = np.zeros(self.land.shape, np.int32)
        drawn[self.land] = numbers[self.of_pixel]
        return drawn[1:-1, 1:-1]


def _find_hills(height: NDArray, inside: NDArray[np.bool_]) -> _Hills:
    land = np.pad(inside, 1)  # so that each pixel has 8 neighbours
    kind = np.int32 if land.size < 1 << 31 else np.int64  # of numbers of pixels: half the memory where it will do
    pixels: NDArray[Any] = np.flatnonzero(land).astype(kind)
    number: NDArray[Any] = np.full(land.size, -1, kind)
    row = land.shape[1]
    number[pixels] = np.arange(len(pixels))
    heights = np.pad(height, 1)[land]
    after = 1, row - 1, row, row + 1  # steps to 4 of 8 neighbours
    up: NDArray[Any] = np.arange(len(pixels), dtype=kind)
    highest = heights.copy()
    for step in (*(-step for step in after), *after):
        neighbour = number[pixels + step]  # -1 outside
        other = heights[neighbour]
        better = (neighbour >= 0) & ((other > highest) | ((other == highest) & (neighbour < up)))
        up[better], highest[better] = neighbour[better], other[better]
    while not np.array_equal(up, further := up[up]):
        up = further
    summits, hill = np.unique(up, return_inverse=True)
    ways, tops = [], []
    for step in after:
        neighbour = number[pixels + step]
        here = np.flatnonzero(neighbour >= 0)
        here = here[hill[here] != hill[neighbour[here]]]
        a, b = hill[here].astype(np.int64), hill[neighbour[here]]
        ways.append(np.minimum(a, b) * np.int64(len(summits)) + np.maximum(a, b))
        tops.append(np.minimum(heights[here], heights[neighbour[here]]))
    way, top = np.concatenate(ways), np.concatenate(tops)
    order = np.lexsort((-top, way))
    way, first = np.unique(way[order], return_index=True)
    touching = np.stack(np.divmod(way, max(1, len(summits))), axis=1)
    return _Hills(land, hill, heights[summits], touching, top[order][first])


def _join(hills: _Hills, depth: float) -> tuple[NDArray[np.int32], float]:
    """The number of each hill, from 1, once those that no deep valley parts are joined; the deepest that did not."""
    parent, high, deepest = list(range(len(hills.summits))), hills.summits.tolist(), 0.0

    def top(hill: int) -> int:
        while parent[hill] != hill:
            parent[hill] = parent[parent[hill]]
            hill = parent[hill]
        return hill

    for way in np.argsort(-hills.saddles, kind="stable").tolist():
        a, b = (top(hill) for hill in hills.touching[way].tolist())
        low, other = (a, b) if (high[a], -a) < (high[b], -b) else (b, a)
        valley = high[low] - float(hills.saddles[way])
        if a != b and valley < depth:
            parent[low], deepest = other, max(deepest, valley)
    tops = np.array([top(hill) for hill in range(len(parent))], np.intp)
    return (np.unique(tops, return_inverse=True)[1] + 1).astype(np.int32), deepest
