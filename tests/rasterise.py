"""Shapes to pixels by the rule of `Shape`, slow and plain: what the tests of annotations compare with."""

import numpy as np


def inside(rings, shape):
    """(H, W) bool: pixels whose centre lies inside an odd number of rings: a ray to the left crosses them as often."""
    height, width = shape
    found = np.zeros(shape, bool)
    rows, columns = np.arange(height) + 0.5, np.arange(width) + 0.5
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            crossed = (rows > min(y0, y1)) & (rows <= max(y0, y1))
            if crossed.any():
                at = x0 + (rows[crossed] - y0) * ((x1 - x0) / (y1 - y0))
                found[crossed] ^= columns > at[:, None]
    return found


def numbered(outlines, shape):
    """(H, W) ids of outlines; objects that overlap are an error."""
    ids = np.zeros(shape, np.int64)
    for number, rings in outlines.items():
        found = inside(rings, shape)
        assert not ids[found].any()
        ids[found] = number
    return ids
