"""How well a probability ranks pixels: area under the ROC curve and average precision, in memory that does not grow."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

BITS = 12
"""Of the mantissa of a float32 that count."""
LEAST = 103 << BITS
"""These bits, with the exponent, of 2**-24: the distance of 1 to the float32 below it."""
HALF = (126 << BITS) - LEAST + 1
"""Bin of 0.5."""
SEVERAL = (104 + BITS << BITS) - LEAST + 1
"""Bins from above of which each holds one float32."""


class Ranking:
    """Pixels by their probability of the foreground, in 188,419 bins.

    Bins are 1/4096 of the distance to 0 or 1, whichever is nearer, wide at most; from 2**-24 down to 0 is one.
    Probabilities of one bin count as equal. What that may change is known: `within`.

    Example:
        >>> ranking = Ranking()
        >>> ranking.add(np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False]))
        >>> ranking.auc, round(ranking.average_precision, 4)
        (0.75, 0.8333)

    Reference:
        Fawcett: An introduction to ROC analysis (2006), section 7. Manning, Raghavan, Schuetze: Introduction to
        information retrieval (2008), section 8.4: average precision.
    """

    def __init__(self) -> None:
        self.counts = np.zeros((2, 2 * HALF + 1), np.int64)  # background, foreground

    def add(self, probability: NDArray, truth: NDArray) -> None:
        """Count pixels: (N,) probability of the foreground, (N,) whether they are of it."""
        chance = np.clip(np.asarray(probability, np.float32), 0, 1)
        upper = chance > 0.5
        near = np.abs(np.where(upper, 1 - chance, chance))  # exact, for floats above a half too
        place = np.maximum((near.view(np.uint32) >> 23 - BITS).astype(np.int64) - LEAST + 1, 0)
        place = np.where(upper, 2 * HALF - place, place)
        codes = place + np.asarray(truth, bool) * self.counts.shape[1]
        self.counts += np.bincount(codes, minlength=self.counts.size).reshape(self.counts.shape)

    @property
    def auc(self) -> float:
        """Area under the ROC curve: how often a pixel of the foreground has a higher probability than one of the rest.

        Equal ones count half; NaN where there is no foreground, or nothing else.
        """
        rest, foreground = self.counts.astype(np.float64)
        pairs = rest.sum() * foreground.sum()
        if not pairs:
            return math.nan
        above = foreground[::-1].cumsum()[::-1] - foreground
        return float((rest * (above + foreground / 2)).sum() / pairs)

    @property
    def average_precision(self) -> float:
        """Mean over the pixels of the foreground of the precision at their probability; NaN where there are none."""
        _, found, hits, wrong = self._from_above()
        return _mean(found, hits / np.maximum(hits + wrong, 1))

    @property
    def within(self) -> float:
        """How far both may be, at most, from the values that would tell all probabilities apart."""
        rest, found, hits, wrong = self._from_above()
        place = np.arange(len(found))  # 0: probability 1
        several = (place >= SEVERAL) & (place != HALF)
        highest = hits / np.maximum(hits + wrong - rest, 1)
        lowest = (hits - found + 1) / (hits - found + 1 + wrong)
        used = hits / np.maximum(hits + wrong, 1)
        of_precision = _mean(found, np.where(several, np.maximum(highest - used, used - lowest), 0))
        pairs = rest.sum() * found.sum()
        of_auc = float((rest * found * several).sum() / (2 * pairs)) if pairs else math.nan
        return float(np.fmax(of_precision, of_auc))

    def _from_above(self) -> tuple[NDArray[np.float64], ...]:
        """Of each bin, the highest first: rest, foreground; and both together with what is above."""
        rest, found = self.counts[:, ::-1].astype(np.float64)
        return rest, found, found.cumsum(), rest.cumsum()


def _mean(weights: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    total = weights.sum()
    return float((weights * values).sum() / total) if total else math.nan
