"""From logits to what people read: probabilities that mean what they say, and where two classes part. NumPy alone."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.errors import InputError

HALF = 0.5
"""The threshold of two classes at which each pixel has its more probable class."""
BEST = "best"
"""Instead of a threshold: one with the largest IoU of the foreground on the validation files, or nearly so."""
COOLEST, HOTTEST = 0.1, 10.0
"""Temperatures beyond these are those of a net that was right, or wrong, everywhere it was looked at."""
MOST_SHIFT = 10.0
"""A class whose logit lacks more than that is not there, or nowhere missed."""
TINY = np.float32(np.finfo(np.float32).tiny)
"""Smallest probability whose logarithm is taken."""


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


@dataclass(frozen=True)
class Calibration:
    """How the logits z of a net become probabilities, and the probabilities labels.

    Attributes:
        temperature: T of softmax(z / T), above 0; the order of the classes does not depend on it.
        threshold: of two classes: a pixel is foreground where its probability is larger. At 0.5, and with more classes,
            it has the most probable class.

    Raises:
        InputError: one of them is out of range.
    """

    temperature: float = 1.0
    threshold: float = HALF

    def __post_init__(self) -> None:
        if not (_is_number(self.temperature) and 0 < self.temperature < math.inf):
            raise InputError(f"A temperature must be above 0 and finite; received {self.temperature}.")
        if not (_is_number(self.threshold) and 0 < self.threshold < 1):
            raise InputError(f"A threshold must be a number between 0 and 1; received {self.threshold!r}.")


PLAIN = Calibration()
"""Of a net that was not calibrated: the softmax, and the most probable class."""


def label_of(probabilities: NDArray, threshold: float = HALF) -> NDArray[np.uint8]:
    """Give each pixel its class: the one rule by which labels are made of probabilities.

    Args:
        probabilities: (..., num_classes).
        threshold: of two classes, the foreground's; at 0.5 the first of the most probable classes counts.

    Returns:
        (...) class ids.

    Example:
        >>> label_of(np.array([[0.7, 0.3], [0.4, 0.6]]), 0.2).tolist()
        [1, 1]
    """
    if threshold == HALF:
        return probabilities.argmax(-1).astype(np.uint8)
    return (probabilities[..., 1] > threshold).astype(np.uint8)


def weighed(probabilities: NDArray[np.float32], threshold: float = HALF) -> NDArray[np.float32]:
    """Give (..., 2) probabilities weights by which they are equal at the threshold; as they are at 0.5.

    Example:
        >>> weighed(np.array([[0.75, 0.25]]), 0.25).tolist()
        [[0.375, 0.375]]
    """
    if threshold == HALF:
        return probabilities
    return probabilities * np.array([2 * threshold, 2 - 2 * threshold], np.float32)


def parse_threshold(threshold: Any) -> float | str:
    """Read a threshold, a number or "best".

    Raises:
        InputError: it is neither, or not between 0 and 1.

    Example:
        >>> parse_threshold("0.4"), parse_threshold("best")
        (0.4, 'best')
    """
    if threshold == BEST:
        return BEST
    try:
        number = math.nan if isinstance(threshold, bool) else float(threshold)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < 1:
        raise InputError(f'A threshold must lie between 0 and 1, or be "{BEST}" in training; received {threshold!r}.')
    return number


def check_threshold(threshold: float | str | None, classes: tuple[str, ...]) -> None:
    """Raise InputError where a threshold other than 0.5 was given and the net has more than two classes."""
    if threshold not in (None, HALF) and len(classes) != 2:
        raise InputError(
            f"A threshold separates two classes; this net has {len(classes)}: {', '.join(classes)}. Leave --threshold "
            "out: each pixel gets its most probable class."
        )


def tempered(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Give (..., C) probabilities the temperature of softmax(log p / T), which is that of the logits too."""
    if temperature == 1:
        return probabilities
    scaled = np.log(np.maximum(probabilities, TINY)) / np.float32(temperature)
    raised = np.exp(scaled - scaled.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def energy(logits: NDArray, labels: NDArray, temperature: float = 1.0) -> float:
    """Mean negative log-likelihood of (N,) labels by (N, C) logits, in nats."""
    return float(_derivatives(logits, labels, 1 / temperature)[0])


def fit_temperature(logits: NDArray, labels: NDArray) -> float:
    """Find the temperature by which labels are most likely.

    The mean of -log softmax(b z)[y] is convex in b = 1 / T: its slope is the mean of sum_c p_c z_c - z_y, its curvature
    the mean variance of z under p. Newton's steps, within a bracket that they narrow, find the zero of the slope.

    Args:
        logits: (N, C), or these but for a number of each row, as log-probabilities are.
        labels: (N,) class ids.

    Returns:
        T, within `COOLEST` and `HOTTEST`; 1 without any pixel.

    Example:
        >>> round(fit_temperature(np.array([[2.0, 0.0]] * 4), np.array([0, 0, 0, 1])), 3)  # log 3 = 2 / T
        1.82

    Reference:
        Guo et al.: On Calibration of Modern Neural Networks (ICML 2017), section 4.2.
    """
    if not len(labels):
        return 1.0
    low, high, beta = 1 / HOTTEST, 1 / COOLEST, 1.0
    slopes = [_derivatives(logits, labels, one)[1] for one in (low, beta, high)]
    if slopes[1] < 0 and slopes[2] <= 0:  # 0 by rounding, where all is certain
        return COOLEST
    if slopes[0] > 0:
        return HOTTEST
    for _ in range(60):
        _, slope, curvature = _derivatives(logits, labels, beta)
        low, high = (low, beta) if slope > 0 else (beta, high)
        step = beta - slope / curvature if curvature > 0 else math.nan
        step = step if low <= step <= high else math.sqrt(low * high)
        if abs(step - beta) <= 1e-7 * beta:
            break
        beta = step
    return float(1 / beta)


def fit_shift(logits: NDArray, labels: NDArray, number: int = 0) -> float:
    """Find what the logit of one class lacks: added to it, labels are most likely.

    The mean cross-entropy is convex in the number that is added; its slope is the mean probability of the class less
    its share of the labels, so that the two are equal then. Newton's steps, within a bracket that they narrow.

    Args:
        logits: (N, C), or these but for a number of each row, as log-probabilities are.
        labels: (N,) class ids.
        number: of the class.

    Returns:
        The number, from -`MOST_SHIFT` to `MOST_SHIFT`; 0 without any pixel.

    Example:
        >>> round(fit_shift(np.zeros((4, 2)), np.array([0, 0, 0, 1])), 3)  # log 3
        1.099
    """
    if not len(labels):
        return 0.0
    others = np.logaddexp.reduce(np.delete(logits, number, axis=1).astype(np.float64), axis=1)
    lead, share = logits[:, number] - others, float(np.mean(labels == number))
    low, high, shift = -MOST_SHIFT, MOST_SHIFT, 0.0
    for _ in range(60):
        p = 0.5 + 0.5 * np.tanh((lead + shift) / 2)
        slope, curvature = float(p.mean()) - share, float((p * (1 - p)).mean())
        low, high = (low, shift) if slope > 0 else (shift, high)
        step = shift - slope / curvature if curvature > 0 else math.nan
        step = step if low <= step <= high else (low + high) / 2
        if abs(step - shift) <= 1e-7:
            break
        shift = step
    return step


def _derivatives(logits: NDArray, labels: NDArray, beta: float) -> NDArray[np.float64]:
    """Mean energy at softmax(beta z), its slope and its curvature in beta."""
    sums, part = np.zeros(3), 1 << 18  # of memory: a part at a time
    for start in range(0, len(labels), part):
        z, y = np.asarray(logits[start : start + part], np.float64), labels[start : start + part]
        scaled = beta * z
        top = scaled.max(-1, keepdims=True)
        p = np.exp(scaled - top)
        total = p.sum(-1, keepdims=True)
        p /= total
        of_label = np.take_along_axis(z, y[:, None].astype(np.intp), axis=1)[:, 0]
        mean = (p * z).sum(-1)
        own = np.log(total[:, 0]) + top[:, 0] - beta * of_label
        sums += own.sum(), (mean - of_label).sum(), (p * (z - mean[:, None]) ** 2).sum()
    return sums / len(labels)
