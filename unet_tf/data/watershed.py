"""Touching things parted at their necks: a watershed in linear time, of arrays of any shape of piece."""

from __future__ import annotations

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
    mask = (np.asarray(inside) != 0).astype(np.uint8)
    if not mask.size or mask.all():
        return mask.astype(np.int32)  # one piece, that ends nowhere
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Squared distances are whole numbers, and OpenCV's last digit depends on the thread: so round.
    return watershed(np.sqrt(np.rint(np.square(distance, dtype=np.float64))), mask, depth)


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
    land = np.pad(np.asarray(inside) != 0, 1)  # so that each pixel has 8 neighbours
    pixels = np.flatnonzero(land)
    number = np.full(land.size, -1, np.int64)
    number[pixels] = np.arange(len(pixels))
    heights = np.pad(height, 1).ravel()[pixels]
    row = land.shape[1]
    after = [number[pixels + step] for step in (1, row - 1, row, row + 1)]  # 4 of 8 neighbours, -1 outside
    before = [number[pixels - step] for step in (1, row - 1, row, row + 1)]
    up, highest = np.arange(len(pixels)), heights.copy()
    for neighbour in before + after:
        other = heights[neighbour]
        better = (neighbour >= 0) & ((other > highest) | ((other == highest) & (neighbour < up)))
        up[better], highest[better] = neighbour[better], other[better]
    while not np.array_equal(up, further := up[up]):
        up = further
    summits, hill = np.unique(up, return_inverse=True)
    joined = _join(heights[summits], *_saddles(heights, hill, after), depth)
    parts = np.zeros(land.size, np.int32)
    parts[pixels] = joined[hill]
    return parts.reshape(land.shape)[1:-1, 1:-1]


def _saddles(heights: NDArray, hill: NDArray[np.intp], after: list[NDArray[np.int64]]) -> tuple[NDArray, NDArray]:
    """(n, 2) hills that touch, and (n,) the highest of the pixels over which one comes from one to the other."""
    ways, tops = [], []
    for neighbour in after:
        there = np.flatnonzero(neighbour >= 0)
        there = there[hill[there] != hill[neighbour[there]]]
        a, b = hill[there], hill[neighbour[there]]
        ways.append(np.minimum(a, b) * np.int64(len(hill)) + np.maximum(a, b))
        tops.append(np.minimum(heights[there], heights[neighbour[there]]))
    way, top = np.concatenate(ways), np.concatenate(tops)
    order = np.lexsort((-top, way))
    way, first = np.unique(way[order], return_index=True)
    return np.stack(np.divmod(way, max(1, len(hill))), axis=1), top[order][first]


def _join(summits: NDArray, touching: NDArray, saddles: NDArray, depth: float) -> NDArray[np.int32]:
    """The number of each hill, from 1, once those that no deep valley parts are joined."""
    parent, high = list(range(len(summits))), summits.tolist()

    def top(hill: int) -> int:
        while parent[hill] != hill:
            parent[hill] = parent[parent[hill]]
            hill = parent[hill]
        return hill

    for way in np.argsort(-saddles, kind="stable").tolist():
        a, b = (top(hill) for hill in touching[way].tolist())
        low, other = (a, b) if (high[a], -a) < (high[b], -b) else (b, a)
        if a != b and high[low] - saddles[way] < depth:
            parent[low] = other
    tops = np.array([top(hill) for hill in range(len(summits))], np.intp)
    return (np.unique(tops, return_inverse=True)[1] + 1).astype(np.int32)
