"""Whether probabilities mean what they say, and what the foreground scores at each threshold: counts over images."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.masks import MaskFormat
from unet_tf.evaluation.best_epoch import AS_GOOD
from unet_tf.evaluation.metrics import scores_of
from unet_tf.evaluation.tables import BinTable, CalibrationTable, ThresholdTable
from unet_tf.labels import VOID
from unet_tf.model.calibration import HALF, Calibration, tempered

BINS = 15
"""Equal bins of the confidence, as Guo et al. (2017) have them."""
STRIP = 1 << 20
"""Pixels that are counted at once."""
THRESHOLDS = (np.arange(1, 100) / 100).astype(np.float32)
"""Of the curve."""


class Reliability:
    """Counts of pixels by the probability of their most probable class, which add up over images.

    Example:
        >>> found = Reliability()
        >>> found.add(np.array([[0, 1]]), np.array([[[0.75, 0.25], [0.75, 0.25]]]))
        >>> found.error
        0.25
    """

    def __init__(self) -> None:
        self.pixels, self.confidence, self.right = np.zeros((3, BINS))

    def add(self, label: NDArray, probabilities: NDArray) -> None:
        """Count (H, W) ids, of which void is left out, and (H, W, C) probabilities."""
        counted = label != VOID
        found, truth = probabilities[counted], label[counted]
        confidence = found.max(-1).astype(np.float64)
        place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)  # bin m: ((m - 1) / 15, m / 15]
        self.pixels += np.bincount(place, minlength=BINS)
        self.confidence += np.bincount(place, confidence, BINS)
        self.right += np.bincount(place, found.argmax(-1) == truth, BINS)

    def __add__(self, other: Reliability) -> Reliability:
        """The counts of both."""
        total = Reliability()
        total.pixels, total.right = self.pixels + other.pixels, self.right + other.right
        total.confidence = self.confidence + other.confidence
        return total

    @property
    def error(self) -> float:
        """Expected calibration error: sum over bins of n_m / n |accuracy_m - confidence_m|; 0 without any pixel.

        Reference:
            Naeini et al. (AAAI 2015); Guo et al.: On Calibration of Modern Neural Networks (ICML 2017), equation 3.
        """
        return float(np.abs(self.right - self.confidence).sum() / max(self.pixels.sum(), 1))

    def table(self) -> list[BinTable]:
        """Give the numbers of the reliability diagram; a bin without pixels has no confidence and no accuracy."""
        return [
            {
                "low": number / BINS,
                "high": (number + 1) / BINS,
                "confidence": float(confidence / pixels) if pixels else None,
                "accuracy": float(right / pixels) if pixels else None,
                "pixels": int(pixels),
            }
            for number, (pixels, confidence, right) in enumerate(
                zip(self.pixels, self.confidence, self.right, strict=True)
            )
        ]


class Curve:
    """Counts of pixels by the thresholds that their foreground probability exceeds, which add up over images."""

    def __init__(self) -> None:
        self.counts = np.zeros((2, len(THRESHOLDS) + 1), np.int64)  # by truth, and number of thresholds exceeded

    def add(self, label: NDArray, foreground: NDArray[np.float32]) -> None:
        """Count (H, W) ids of two classes, of which void is left out, and (H, W) probabilities of class 1."""
        counted = label != VOID
        exceeded = np.searchsorted(THRESHOLDS, foreground[counted].astype(np.float32), side="left")
        truth = label[counted].astype(np.int64)
        self.counts += np.bincount(truth * self.counts.shape[1] + exceeded, minlength=self.counts.size).reshape(2, -1)

    def __add__(self, other: Curve) -> Curve:
        """The counts of both."""
        total = Curve()
        total.counts = self.counts + other.counts
        return total

    def __sub__(self, other: Curve) -> Curve:
        """The counts of one without those of another, which it holds."""
        rest = Curve()
        rest.counts = self.counts - other.counts
        return rest

    def scores(self) -> dict[str, NDArray[np.float64]]:
        """IoU, Dice, precision and recall of the foreground, (99,) each by threshold; NaN where one does not exist."""
        beyond = self.counts[:, ::-1].cumsum(1)[:, ::-1][:, 1:]  # (2, 99) pixels above each threshold, by truth
        right, found = beyond[1], beyond.sum(0)
        true = np.full_like(found, self.counts[1].sum())
        by_class = scores_of(np.stack([right, true, found])[..., None].transpose(1, 0, 2))  # (99, 1) each
        return {name: by_class[name][:, 0] for name in ("iou", "dice", "precision", "recall")}

    def table(self, chosen: float | None) -> ThresholdTable:
        """Give the curve as JSON types."""
        found = {
            name: [None if np.isnan(one) else float(one) for one in values] for name, values in self.scores().items()
        }
        thresholds = [number / 100 for number in range(1, 100)]
        return {"chosen": chosen, "thresholds": thresholds, **found}  # type: ignore[typeddict-item]


def best_threshold(curves: Sequence[Curve]) -> float:
    """The threshold nearest to 0.5 of those as good as the best; 0.5 without any foreground.

    As good are those whose IoU is less by no more than the standard error of that difference over the files, or by
    0.01 (`AS_GOOD`), or by a tenth of the best where that is less than 0.01. So a few files move it from 0.5 only where
    they agree: the IoU hardly depends on the threshold over a wide range, and on other files its peak lies elsewhere.

    Args:
        curves: of each file, or of those together that show nearly the same, as pages of a stack do.

    Source:
        Breiman, Friedman, Olshen, Stone: Classification and Regression Trees (1984), section 3.4.3, the rule of one
        standard error; Efron, Stein: The Jackknife Estimate of Variance (Annals of Statistics, 1981), which leaves one
        file out at a time.
    """
    together = sum(curves, Curve())
    if not together.counts[1].any():
        return HALF
    iou = together.scores()["iou"]
    best = int(np.nanargmax(iou))
    without = np.nan_to_num([(together - curve).scores()["iou"] for curve in curves])  # (files, 99)
    error = np.sqrt((len(curves) - 1) * (without[:, [best]] - without).var(axis=0))
    as_good = np.flatnonzero(iou >= iou[best] - np.maximum(error, min(AS_GOOD, 0.1 * iou[best])))
    return int(as_good[np.abs(as_good - 49).argmin()] + 1) / 100


class Certainty:
    """Reliability with and without the temperature, and the curve of two classes, image by image.

    Args:
        num_classes: of the net; two have a curve.
        calibration: of the probabilities.
        masks: which classes of the net are those of labels; None for all.
        mixed: whether nets of other thresholds make labels of some images.
        averaged: whether the probabilities are means over nets that have temperatures of their own: what they would be
            without these is not known.

    Attributes:
        calibration: of the probabilities; of several nets that of the first.
        mixed: whether their thresholds differ.
        varied: whether their temperatures do.
    """

    def __init__(
        self,
        num_classes: int,
        calibration: Calibration,
        masks: MaskFormat | None = None,
        mixed: bool = False,
        averaged: bool = False,
    ) -> None:
        self.calibration, self.mixed, self.varied = calibration, mixed, averaged
        self.temperature, self.masks = calibration.temperature, masks
        self.curve = Curve() if num_classes == 2 else None
        self.own, self.raw, self.soft = Reliability(), None if averaged else Reliability(), False

    def __add__(self, other: Certainty) -> Certainty:
        """The counts of both, whose nets may have other temperatures and thresholds."""
        total = copy(self)
        total.own = self.own + other.own
        total.raw = None if self.raw is None or other.raw is None else self.raw + other.raw
        total.curve = None if self.curve is None or other.curve is None else self.curve + other.curve
        total.soft = self.soft or other.soft
        one, two = self.calibration, other.calibration
        total.mixed = self.mixed or other.mixed or one.threshold != two.threshold
        total.varied = self.varied or other.varied or one.temperature != two.temperature
        return total

    def add(self, label: NDArray, probabilities: NDArray) -> None:
        """Count (H, W) or (N,) ids, and (..., num_classes) probabilities of the net; a strip at a time, of memory."""
        merged = self.masks.real_probabilities if self.masks else np.asarray
        rows = max(1, STRIP * len(label) // max(label.size, 1))
        for start in range(0, len(label), rows):
            strip, found = label[start : start + rows], probabilities[start : start + rows]
            self.own.add(strip, merged(found))
            if self.raw is not None:
                self.raw.add(strip, merged(tempered(found, 1 / self.temperature)))
            if self.curve is not None:
                self.curve.add(strip, found[..., 1])
            self.soft = self.soft or bool((np.minimum(found, 1 - found) > 0).any())

    def tables(self) -> tuple[CalibrationTable | None, ThresholdTable | None]:
        """Give both as JSON types; nothing of masks, whose probabilities are 0 and 1 alone."""
        if not self.soft:
            return None, None
        reliability: CalibrationTable = {
            "temperature": None if self.varied else self.calibration.temperature,
            "ece": self.own.error,
            "bins": self.own.table(),
        }
        if self.raw is not None:
            reliability |= {"ece_raw": self.raw.error, "bins_raw": self.raw.table()}
        chosen = None if self.mixed else self.calibration.threshold
        return reliability, None if self.curve is None else self.curve.table(chosen)
