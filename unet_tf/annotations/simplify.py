"""Outlines of fewer points."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unet_tf.annotations.outlines import Rings, signed_areas

LEAST = 0.01
"""Pixels: below this nothing is tried again."""


def simplify(rings: Sequence[NDArray[np.float64]], tolerance: float) -> Rings:
    """Leave out points of rings, by Douglas and Peucker's algorithm, as long as none lies further from what is left.

    A ring of which this would leave no area, or which it would turn over, is taken again at half the tolerance, and in
    the end stays as it is: no object is lost. Rings are taken one by one, so that those which shared a border may then
    lie on either side of it, and cross.

    Args:
        rings: (N, 2) x and y each.
        tolerance: greatest distance of a point that is left out from the new border, in pixels; 0 leaves out none.

    Returns:
        The rings, in order.

    Reference:
        Douglas and Peucker, 1973, "Algorithms for the reduction of the number of points required to represent a
        digitized line or its caricature".

    Example:
        >>> (ring,) = simplify([np.array([[0, 0], [5, 1], [10, 0], [10, 9], [0, 9]])], 1)
        >>> ring.tolist()
        [[0, 0], [10, 0], [10, 9], [0, 9]]
    """
    found = list(rings)
    if not found or not tolerance:
        return tuple(found)
    areas = signed_areas(rings)
    left = np.arange(len(found))
    tolerance = min(tolerance, float(np.ptp(np.concatenate(rings))))
    while len(left):
        tried = _simplify([rings[i] for i in left.tolist()], tolerance)
        good = signed_areas(tried) * areas[left] > 0
        for i in np.flatnonzero(good):
            found[left[i]] = tried[i]
        tolerance /= 2
        left = left[~good] if tolerance > LEAST else left[:0]
    return tuple(found)


def simplify_all(outlines: dict[int, Rings], tolerance: float) -> dict[int, Rings]:
    """`simplify` the rings of many objects, all at once.

    Args:
        outlines: number -> rings.
        tolerance: as for `simplify`.

    Returns:
        Number -> rings, in the same order.
    """
    rings = iter(simplify([ring for some in outlines.values() for ring in some], tolerance))
    return {number: tuple(itertools.islice(rings, len(some))) for number, some in outlines.items()}


def _simplify(rings: Sequence[NDArray[np.float64]], tolerance: float) -> list[NDArray[np.float64]]:
    """The points of each ring that are left, however few."""
    # Each ring as a line that comes back to its first point, all of them one after another.
    points = np.concatenate([row for ring in rings for row in (ring, ring[:1])])
    stops = np.cumsum([len(ring) + 1 for ring in rings])
    starts = np.append(0, stops[:-1])
    kept = np.zeros(len(points), bool)
    kept[starts] = True
    begin, end = starts, stops - 1
    # At first a line ends where it begins: the point that lies farthest from there is kept, however near it is.
    least = -1.0
    while len(begin):
        lengths = end - begin - 1
        first = np.cumsum(lengths) - lengths
        line = np.repeat(np.arange(len(begin)), lengths)
        at = np.arange(len(line)) - np.repeat(first - begin - 1, lengths)  # the points between the ends of each line
        away = _squared_distances(points[at], points[begin[line]], points[end[line]])
        most = np.maximum.reduceat(away, first)
        farthest = np.flatnonzero((away == most[line]) & (most[line] > least))
        some, one = np.unique(line[farthest], return_index=True)
        middle = at[farthest[one]]
        kept[middle] = True
        begin, end = np.concatenate([begin[some], middle]), np.concatenate([middle, end[some]])
        begin, end = begin[end - begin > 1], end[end - begin > 1]
        least = tolerance * tolerance
    return [points[start:stop][kept[start:stop]] for start, stop in zip(starts, stops - 1, strict=True)]


def _squared_distances(points: NDArray, begin: NDArray, end: NDArray) -> NDArray[np.float64]:
    """From (N, 2) points to the straight lines between (N, 2) ends, which may be one point."""
    along, to = end - begin, points - begin
    squared = (along * along).sum(axis=1)
    share = np.clip((to * along).sum(axis=1) / np.where(squared > 0, squared, 1), 0, 1)
    off = to - share[:, None] * along
    return (off * off).sum(axis=1)
