"""How far a score may be from that of all images of the kind: intervals by drawing the judged images again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

DRAWS, LEVEL = 2000, 0.95
"""Draws of an interval, and how much of them it holds."""
FEWEST = 5
"""Images, or groups of them, below which drawing again says nothing."""
AT_ONCE = 1 << 24
"""Numbers that are computed at once."""


def bootstrap(
    counts: NDArray,
    statistic: Callable[[NDArray], NDArray],
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> NDArray[np.float64] | None:
    """Compute the percentile interval of scores by the bootstrap over images.

    As many images as there are are drawn with replacement, `DRAWS` times, and judged together each time; the interval
    holds the middle `LEVEL` of what comes out.

    Args:
        counts: (N, ...) counts of each image, which add up.
        statistic: (B, ...) sums of counts -> (B, S) scores.
        groups: which images belong together, such as those of a patient: they are drawn together. None where each is by
            itself.
        seed: the same arguments give the same interval.

    Returns:
        (2, S) lower and upper ends; NaN for a score that does not exist in any draw; None for fewer than `FEWEST`
        images or groups.

    Example:
        >>> hits = np.array([[9.0], [8.0], [9.0], [7.0], [10.0]])  # of 10 each
        >>> bootstrap(hits, lambda sums: sums / 50).round(2).ravel().tolist()
        [0.78, 0.94]

    Reference:
        Efron, Tibshirani: An introduction to the bootstrap (1993), chapter 13.
    """
    counts = np.asarray(counts, np.float64)
    if groups is not None:
        _, member = np.unique(np.array([str(one) for one in groups]), return_inverse=True)
        summed = np.zeros((member.max(initial=-1) + 1, *counts.shape[1:]))
        np.add.at(summed, member, counts)
        counts = summed
    if len(counts) < FEWEST:
        return None
    rng, flat = np.random.default_rng(seed), counts.reshape(len(counts), -1)
    found = []
    for part in np.array_split(np.arange(DRAWS), max(1, DRAWS * max(flat.shape) // AT_ONCE)):
        times = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), len(part))  # (B, N)
        found.append(statistic((times @ flat).reshape(len(part), *counts.shape[1:])))
    drawn = np.concatenate(found)  # (DRAWS, S)
    ends = np.full((2, drawn.shape[1]), np.nan)
    exists = ~np.isnan(drawn).all(axis=0)
    ends[:, exists] = np.nanquantile(drawn[:, exists], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return ends
