"""Two of them on the same images: the difference of a score, its interval, and the sign test."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unet_tf.evaluation.intervals import FEWEST, bootstrap


@dataclass(frozen=True)
class Difference:
    """How a score of B differs from that of A, image by image.

    Attributes:
        a: mean over the images of the score of A; NaN where there is no image.
        b: that of B.
        images: those in which both have the score.
        groups: images, or groups of them that belong together, whose mean differences are compared.
        better: groups in which B has more.
        worse: groups in which A has more.
        ties: groups in which both have the same.
        interval: 95 % interval of the difference by the paired bootstrap over groups; None for fewer than five.
    """

    a: float
    b: float
    images: int
    groups: int
    better: int
    worse: int
    ties: int
    interval: tuple[float, float] | None

    @property
    def difference(self) -> float:
        """B less A, mean over the images."""
        return self.b - self.a

    @property
    def p(self) -> float:
        """The exact two-sided sign test of better and worse; ties are left out."""
        return sign_test(self.better, self.worse)

    @property
    def clear(self) -> bool:
        """Whether B and A are told apart: the interval holds no 0, and the sign test agrees with p below 0.05."""
        return self._excludes_zero and self._by_sign and self.difference * (self.better - self.worse) > 0

    @property
    def likely(self) -> bool:
        """Whether interval or sign test tells them apart, and the other does not, or the other way round."""
        return not self.clear and (self._excludes_zero or self._by_sign)

    @property
    def _by_sign(self) -> bool:
        return self.p < 0.05

    @property
    def _excludes_zero(self) -> bool:
        return self.interval is not None and (self.interval[0] > 0 or self.interval[1] < 0)


def compare_all(
    a: Mapping[str, Sequence[float]], b: Mapping[str, Sequence[float]], groups: Sequence[Hashable] | None = None
) -> dict[str, Difference]:
    """Compare scores of two on the same images, by name; the same images are drawn for all.

    Args:
        a: the scores of A of each image; NaN where it has none. Such images are left out for both.
        b: those of B.
        groups: which images belong together, such as the pages of a stack: their mean difference is one, and they are
            drawn together. None where each is by itself.

    Example:
        >>> found = compare_all({"IoU": [0.5] * 6}, {"IoU": [0.5, 0.75, 0.75, 0.75, 0.75, 0.75]})["IoU"]
        >>> found.better, found.worse, found.ties, found.p
        (5, 0, 1, 0.0625)

    Reference:
        Efron, Tibshirani: An introduction to the bootstrap (1993), chapter 13. Dixon, Mood: The statistical sign test
        (JASA 41, 1946).
    """
    of_a, of_b = (np.array([side[name] for name in a], np.float64).T for side in (a, b))  # (N, S)
    both = ~np.isnan(of_a) & ~np.isnan(of_b)
    of_a, of_b = np.where(both, of_a, 0), np.where(both, of_b, 0)
    names = [str(one) for one in (range(len(both)) if groups is None else groups)]
    _, member = np.unique(np.array(names), return_inverse=True)
    sums = np.zeros((int(member.max(initial=-1)) + 1, 2, len(a)))
    np.add.at(sums, member, np.stack([of_b - of_a, both], axis=1))  # differences of a group, and its images
    ends = bootstrap(sums, _mean)
    found = {}
    for place, name in enumerate(a):
        there, images = sums[:, 1, place] > 0, int(both[:, place].sum())
        differences = sums[there, 0, place]
        found[name] = Difference(
            a=float(of_a[:, place].sum() / images) if images else math.nan,
            b=float(of_b[:, place].sum() / images) if images else math.nan,
            images=images,
            groups=len(differences),
            better=int((differences > 0).sum()),
            worse=int((differences < 0).sum()),
            ties=int((differences == 0).sum()),
            interval=None
            if ends is None or len(differences) < FEWEST
            else (float(ends[0, place]), float(ends[1, place])),
        )
    return found


def _mean(sums: NDArray) -> NDArray:
    """Mean differences, (B, S), of (B, 2, S) sums and numbers of images; NaN where there is none."""
    with np.errstate(invalid="ignore"):
        return np.asarray(sums[:, 0] / sums[:, 1])


def sign_test(better: int, worse: int) -> float:
    """Compute the exact two-sided p of the sign test: of n fair coins as uneven a draw as this one, or more so.

    p = min(1, 2 sum of C(n, i) / 2**n over i from 0 to min(better, worse)), n = better + worse.

    Example:
        >>> sign_test(8, 1), sign_test(3, 3), sign_test(0, 0)
        (0.0390625, 1.0, 1.0)
    """
    n, term, total = better + worse, 1, 0
    for i in range(min(better, worse) + 1):
        total += term  # C(n, i)
        term = term * (n - i) // (i + 1)
    return min(1.0, 2 * total / 2**n)
