"""What an evaluation counts, file by file."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import is_dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.errors import InputError
from unet_tf.evaluation.boundary import boundary_counts
from unet_tf.evaluation.calibration import Certainty
from unet_tf.evaluation.membranes import MembraneSums
from unet_tf.evaluation.metrics import confusion_matrix, marginals, scores
from unet_tf.evaluation.ranking import Ranking
from unet_tf.evaluation.thin import ThinSums
from unet_tf.labels import VOID, one_hot


class Sums:
    """The counts of an evaluation, file by file.

    Args:
        num_classes: of the labels.
        membranes: counts how they part the pictures; None to leave that out.
        certainty: counts how sure a net is; None to leave that out.
    """

    def __init__(
        self, num_classes: int, membranes: MembraneSums | None = None, certainty: Certainty | None = None
    ) -> None:
        self.confusion, self.otsu = np.zeros((2, num_classes, num_classes), np.int64)
        self.overlap, self.mass = np.zeros((2, num_classes))
        self.boundary = np.zeros((6, num_classes), np.int64)
        self.thin = ThinSums(num_classes)
        self.ranking = Ranking() if num_classes == 2 else None
        self.membranes, self.certainty = membranes, certainty

    @property
    def num_classes(self) -> int:
        """Of the labels."""
        return len(self.confusion)

    def add(
        self,
        image: NDArray,
        label: NDArray,
        prediction: NDArray,
        probabilities: NDArray | None,
        objects: NDArray | None = None,
    ) -> NDArray[np.int64]:
        """Count a file.

        Args:
            image: (H, W, C) raw.
            label: (H, W) true ids.
            prediction: (H, W) ids.
            probabilities: (H, W, num_classes); None of who has none.
            objects: (H, W) ids of the true objects, where they are known.

        Returns:
            (3, num_classes) `metrics.marginals` of this file.
        """
        counted = label != VOID
        own = confusion_matrix(label, prediction, self.num_classes)
        self.confusion += own
        borders = boundary_counts(label, prediction, self.num_classes)
        self.boundary += borders
        self.thin.add(label, prediction, own, borders[3])
        if self.num_classes == 2 and counted.any():
            self.otsu += confusion_matrix(label, otsu_label(image, counted), 2)
        if self.membranes is not None:
            sure = one_hot(prediction, self.num_classes) if probabilities is None else probabilities
            self.membranes.add(label, sure, objects)
        if probabilities is None:
            self.overlap[:] = self.mass[:] = math.nan
            self.ranking = None
            return marginals(own)
        for c in range(self.num_classes):
            believed, truth = probabilities[..., c][counted], label[counted] == c
            self.overlap[c] += believed[truth].sum(dtype=np.float64)
            self.mass[c] += np.square(believed, dtype=np.float64).sum() + truth.sum()
        if self.ranking is not None:
            self.ranking.add(believed, truth)  # of class 1, the foreground
        return marginals(own)

    def __add__(self, other: Sums) -> Sums:
        """The counts of the files of both."""
        return added(self, other)

    @property
    def baselines(self) -> dict[str, NDArray[np.int64]]:
        """The confusion matrices of what needs no net, by name."""
        majority = np.zeros_like(self.confusion)
        majority[:, self.confusion.sum(1).argmax()] = self.confusion.sum(1)
        found = {"majority class": majority}
        if self.num_classes == 2:
            # void alone has no mean IoU in either polarity
            polarities = self.otsu, self.otsu[:, ::-1]
            found["Otsu threshold"] = max(polarities, key=lambda c: np.nan_to_num(scores(c)["mean_iou"]))
        return found

    @property
    def soft_dice(self) -> NDArray[np.float64]:
        """(C,) by class; NaN for a class that occurs nowhere, and for all of who has no probabilities."""
        occurs = self.confusion.sum(0) + self.confusion.sum(1) > 0
        found = np.full(self.num_classes, math.nan)
        found[occurs] = 2 * self.overlap[occurs] / self.mass[occurs]
        return found


def added(one: Any, other: Any) -> Any:
    """Add up two counters, attribute by attribute: what can be added is, and settings must be the same in both.

    Settings are texts, tuples, lists, truth values, None and dataclasses. A counter within a counter is added so too,
    but for one that says itself how (`__add__`).

    Raises:
        InputError: a setting differs.
    """
    total = copy(one)
    for name, mine in vars(one).items():
        theirs = getattr(other, name)
        if mine is None or isinstance(mine, str | tuple | list | bool) or is_dataclass(mine):
            if mine != theirs:
                raise InputError(f"What was counted with other {name} cannot be put together: {mine} and {theirs}.")
        else:
            setattr(total, name, mine + theirs if hasattr(mine, "__add__") else added(mine, theirs))
    return total


def otsu_label(image: NDArray, counted: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """Split the grey values of one image in two by Otsu's threshold.

    Args:
        image: (H, W, C).
        counted: (H, W), the pixels by which the threshold is found, one at least; None for all.

    Returns:
        (H, W) uint8, 1 where brighter.
    """
    grey, known = image.mean(-1), ... if counted is None else counted
    low, high = float(grey[known].min()), float(grey[known].max())
    byte = np.rint(255 * (grey.clip(low, high) - low) / max(high - low, 1e-12)).astype(np.uint8)
    threshold, _ = cv2.threshold(byte[known], 0, 1, cv2.THRESH_OTSU)
    return (byte > threshold).astype(np.uint8)
