"""Scores of objects: which of the true ones were found, which were merged, which were split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.mask_values import object_ids
from unet_tf.errors import InputError
from unet_tf.labels import VOID

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""IoU from which on an object counts as found."""


@dataclass(frozen=True)
class ObjectScores:
    """How predicted objects fit the true ones, of a picture or, added up, of many.

    Scores are arrays, (thresholds,) float64, and NaN where they do not exist: of no object at all.

    Attributes:
        thresholds: IoU from which on two objects are one and the same.
        true: number of true objects.
        predicted: number of predicted objects.
        found: TP, pairs of a true and a predicted object that are the same, at each threshold.
        overlap: sum of the IoU of these pairs, at each threshold.
        merges: predicted objects that hold more than half of each of two or more true ones.
        splits: true objects that hold more than half of each of two or more predicted ones.
    """

    thresholds: tuple[float, ...]
    true: int
    predicted: int
    found: tuple[int, ...]
    overlap: tuple[float, ...]
    merges: int
    splits: int

    def __add__(self, other: ObjectScores) -> ObjectScores:
        if self.thresholds != other.thresholds:
            raise InputError(
                f"Scores must have one list of thresholds to be added; received {self.thresholds} and "
                f"{other.thresholds}."
            )
        return ObjectScores(
            self.thresholds,
            self.true + other.true,
            self.predicted + other.predicted,
            tuple(map(sum, zip(self.found, other.found, strict=True))),
            tuple(map(sum, zip(self.overlap, other.overlap, strict=True))),
            self.merges + other.merges,
            self.splits + other.splits,
        )

    @property
    def average_precision(self) -> NDArray[np.float64]:
        """AP = TP / (TP + FP + FN), as the Data Science Bowl 2018 and StarDist's paper have it."""
        found = np.array(self.found, np.float64)
        return _share(found, self.true + self.predicted - found)

    @property
    def precision(self) -> NDArray[np.float64]:
        """TP / (TP + FP): share of the predicted objects that are true ones."""
        return _share(np.array(self.found, np.float64), self.predicted)

    @property
    def recall(self) -> NDArray[np.float64]:
        """TP / (TP + FN): share of the true objects that were found."""
        return _share(np.array(self.found, np.float64), self.true)

    @property
    def f1(self) -> NDArray[np.float64]:
        """2 TP / (2 TP + FP + FN)."""
        return _share(2 * np.array(self.found, np.float64), self.true + self.predicted)

    @property
    def panoptic_quality(self) -> NDArray[np.float64]:
        """Sum of the IoU of the pairs / (TP + FP / 2 + FN / 2): F1 times the mean IoU of what was found."""
        return _share(2 * np.array(self.overlap), self.true + self.predicted)


def score_objects(true: NDArray, predicted: NDArray, thresholds: Sequence[float] = THRESHOLDS) -> ObjectScores:
    """Match predicted objects with true ones, one to one, and count.

    Two objects are the same where their IoU is the threshold or more. Above 0.5 no object can be the same as two
    others. At 0.5 it can only be the same as the two halves that it consists of, neither of which then overlaps
    another: one of the two counts. So no assignment has to be searched, and the pairs are as many as an optimal
    assignment, such as StarDist's, has.

    Args:
        true: (H, W) ids, in any order and with any gaps; 0 is background. Pixels to ignore must be 0 in both.
        predicted: (H, W) ids likewise.
        thresholds: IoU, each in [0.5, 1].

    Raises:
        InputError: the arrays are not (H, W) ids of one shape, or a threshold is below 0.5 or above 1.

    Example:
        >>> true = np.array([[1, 1, 1, 0, 2, 2]])
        >>> found = score_objects(true, np.array([[7, 7, 7, 0, 0, 9]]), [0.5, 0.7])
        >>> found.found, found.average_precision.round(2).tolist()
        ((2, 1), [1.0, 0.33])

    Reference:
        Schmidt, Weigert, Broaddus, Myers: Cell detection with star-convex polygons (MICCAI 2018), section 3. Kirillov,
        He, Girshick, Rother, Dollar: Panoptic segmentation (CVPR 2019), equation 1.
    """
    thresholds = tuple(map(float, thresholds))
    if not all(0.5 <= threshold <= 1 for threshold in thresholds):  # NaN fails too
        raise InputError(
            f"Thresholds must be 0.5 to 1, where an object is the same as one other; received {thresholds}."
        )
    pairs, inside, areas, others = _overlaps(_ids(true, "true"), _ids(predicted, "predicted"))
    whole, part = areas[pairs[0]], others[pairs[1]]
    iou = inside / (whole + part - inside)
    found, overlap = [], []
    for threshold in thresholds:
        matched = _matched(pairs, iou, threshold)
        found.append(len(matched))
        overlap.append(float(iou[matched].sum()))
    merged = np.bincount(pairs[1][2 * inside > whole], minlength=1)  # true objects that each predicted one holds
    split = np.bincount(pairs[0][2 * inside > part], minlength=1)
    return ObjectScores(
        thresholds,
        len(areas),
        len(others),
        tuple(found),
        tuple(overlap),
        int((merged > 1).sum()),
        int((split > 1).sum()),
    )


def score_predicted(true: NDArray, label: NDArray, predicted: NDArray) -> ObjectScores:
    """Match predicted objects with the true ones where these are known.

    Void is taken out of all objects, then they are matched, as in panoptic quality. A predicted object that is void for
    more than a half, and is matched with no true one at the lowest threshold, 0.5, is not counted: what it shows is not
    known. One that is matched there, such as that of a cell which the field of view cuts, is counted at every
    threshold, also where its IoU is less than that, so that the thresholds have one number of objects.

    Args:
        true: (H, W) ids.
        label: (H, W) true class ids; void is ignored.
        predicted: (H, W) ids of predicted objects.

    Reference:
        Kirillov, He, Girshick, Rother, Dollar: Panoptic segmentation (CVPR 2019), section 4.2.
    """
    void = label == VOID
    predicted = object_ids(predicted)
    seen_true, seen = np.where(void, 0, true), np.where(void, 0, predicted)
    if void.any():
        seen[np.isin(seen, np.setdiff1d(_mostly(predicted, void), _found(seen_true, seen)))] = 0
    return score_objects(seen_true, seen)


def _mostly(ids: NDArray, void: NDArray[np.bool_]) -> NDArray:
    """The ids that have more than half of their pixels in void."""
    known, numbers, pixels = np.unique(ids, return_inverse=True, return_counts=True)
    return known[2 * np.bincount(numbers.ravel(), void.ravel()) > pixels]


def _found(true: NDArray, predicted: NDArray) -> NDArray:
    """The ids of predicted objects that are matched with a true one at the lowest threshold."""
    pairs, inside, areas, others = _overlaps(true, predicted)
    iou = inside / (areas[pairs[0]] + others[pairs[1]] - inside)
    return np.unique(predicted[predicted != 0])[pairs[1][_matched(pairs, iou, THRESHOLDS[0])]]


def _matched(pairs: NDArray, iou: NDArray, threshold: float) -> NDArray:
    """Places of the pairs, of (2, pairs) with their IoU, that are the same, each object in one of them at most."""
    same = np.flatnonzero(iou >= threshold)  # 7 / 10 is the float that 0.7 is
    for objects in pairs:
        same = same[np.unique(objects[same], return_index=True)[1]]
    return same


def _ids(ids: NDArray, name: str) -> NDArray:
    ids = np.asarray(ids)
    if ids.ndim != 2 or ids.dtype.kind not in "iub" or (ids.dtype.kind == "i" and ids.min(initial=0) < 0):
        raise InputError(f"The {name} objects must be (H, W) whole numbers from 0; received {ids.shape} {ids.dtype}.")
    return ids


def _overlaps(true: NDArray, predicted: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Pairs of objects that share pixels.

    Returns:
        (2, pairs) numbers of the true and of the predicted object, from 0; (pairs,) pixels that they share; (true,) and
        (predicted,) pixels of each object.
    """
    if true.shape != predicted.shape:
        raise InputError(
            f"True and predicted objects must have one shape; received {true.shape} and {predicted.shape}."
        )
    areas, numbers = [], []
    for ids in (true, predicted):
        known, inverse, pixels = np.unique(ids, return_inverse=True, return_counts=True)
        objects = known != 0
        areas.append(pixels[objects])
        numbers.append((np.cumsum(objects) * objects - 1)[inverse.ravel()])  # -1: background
    both = (numbers[0] >= 0) & (numbers[1] >= 0)
    codes, inside = np.unique(numbers[0][both] * len(areas[1]) + numbers[1][both], return_counts=True)
    return np.stack(np.divmod(codes, max(1, len(areas[1])))), inside, areas[0], areas[1]


def _share(part: NDArray[np.float64], whole: NDArray[np.float64] | int) -> NDArray[np.float64]:
    """Divide; NaN where the whole is nothing."""
    whole = np.broadcast_to(np.asarray(whole, np.float64), part.shape)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
