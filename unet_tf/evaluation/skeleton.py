"""Regions thinned to lines of one pixel, in time that grows with their pixels alone."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_KERNEL = np.array([[8, 4, 2], [16, 0, 1], [32, 64, 128]], np.float32)  # bits of x1 (east) to x8, counterclockwise


def skeleton(region: NDArray) -> NDArray[np.bool_]:
    """Thin a region to lines in its middle that are one pixel wide, and as connected as it is.

    Pixels of the rim are removed from two sides in turn, where neither a piece nor a hole comes or goes by it, nor an
    end of a line, until none can be. Beyond the picture nothing belongs to the region.

    Args:
        region: (H, W), other than 0 inside.

    Returns:
        (H, W) the pixels that are left.

    Example:
        >>> bar = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]])
        >>> skeleton(bar).astype(int).tolist()
        [[0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0]]

    Reference:
        Guo, Hall: Parallel thinning with two-subiteration algorithms (1989). Lam, Lee, Suen: Thinning methodologies
        (1992), page 879, for the conditions.
    """
    inside = np.asarray(region) != 0
    left, top, width, height = cv2.boundingRect(inside.astype(np.uint8))
    found = np.zeros(inside.shape, bool)
    if width:
        box = np.s_[top : top + height, left : left + width]
        found[box] = _thin(np.pad(inside[box], 1).astype(np.uint8))[1:-1, 1:-1]
    return found


def _thin(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Thin (H, W) 0 and 1, 0 at the edge, in place."""
    code = cv2.filter2D(pixels, cv2.CV_8U, _KERNEL, borderType=cv2.BORDER_CONSTANT).ravel()
    flat, row = pixels.ravel(), pixels.shape[1]
    steps = 1, 1 - row, -row, -row - 1, -1, row - 1, row, row + 1  # to x1, ..., x8
    looked = [np.flatnonzero(flat)] * 2  # pixels that changed in the last pass and in the one before: first all
    side = 0
    while looked[0].size or looked[1].size:
        gone = np.concatenate([one[_TABLES[side][code[one]] > 0] for one in looked])
        gone = np.unique(gone[flat[gone] > 0])
        flat[gone] = 0
        changed = []
        for bit, step in enumerate(steps):
            beside = gone + step
            code[beside] &= ~np.uint8(1 << (bit + 4) % 8)  # which see it in the opposite direction
            changed.append(beside[flat[beside] > 0])
        looked, side = [looked[1], np.concatenate(changed)], 1 - side
    return pixels > 0


def _table(second: bool) -> NDArray[np.uint8]:
    """(256,) whether a pixel of the region goes, by the bits of its neighbours."""
    x: list[NDArray[Any]] = [np.arange(256) >> bit & 1 for bit in range(8)]  # x[0]: x1, the eastern one
    crossings = sum((1 - x[i]) & (x[i + 1] | x[(i + 2) % 8]) for i in (0, 2, 4, 6))
    pairs = sum(x[i] | x[i + 1] for i in (0, 2, 4, 6)), sum(x[i + 1] | x[(i + 2) % 8] for i in (0, 2, 4, 6))
    fewest = np.minimum(*pairs)
    a, b, c, d = (5, 6, 3, 4) if second else (1, 2, 7, 0)
    kept = (x[a] | x[b] | (1 - x[c])) & x[d]
    return ((crossings == 1) & (fewest >= 2) & (fewest <= 3) & (kept == 0)).astype(np.uint8)


_TABLES = _table(False), _table(True)
