"""How well borders lie: counts of boundary pixels of each class, which add up over images."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.labels import VOID

DISTANCE = 2.0
"""Pixels by which a border may be off, if nothing else is said."""


class BoundaryScores(NamedTuple):
    """Scores of borders by class; NaN for a class without any in the labels and in the predictions.

    Attributes:
        f: (C,) boundary F score: 2 P R / (P + R), with P the share of the predicted boundary pixels that lie within the
            distance of a true one, and R the share of the true ones within it of a predicted one.
        surface_dice: (C,) normalised surface distance: all these pixels of both together, as a share of all of both.
        iou: (C,) boundary IoU: intersection over union of the bands of true and predicted regions, a band being all
            pixels of a region within the distance of a pixel outside of it.
    """

    f: NDArray[np.float64]
    surface_dice: NDArray[np.float64]
    iou: NDArray[np.float64]


def boundary_counts(
    label: NDArray[np.uint8], prediction: NDArray[np.uint8], num_classes: int, distance: float = DISTANCE
) -> NDArray[np.int64]:
    """Count what the scores of borders are made of.

    A boundary pixel of a class is one that has another class above, below, to the left or to the right of it. The frame
    of the picture is no boundary, and neither is that of void; pixels that are void are ignored.

    Args:
        label: (H, W) ids, or void.
        prediction: (H, W) ids.
        num_classes: C.
        distance: pixels, Euclidean, from centre to centre.

    Returns:
        (6, C) counts, which add up over images: predicted boundary pixels near a true one, all predicted ones, true
        ones near a predicted one, all true ones; pixels in both bands, pixels in one at least.

    Example:
        >>> label = np.array([[0, 1, 1, 1, 0, 0, 0]], np.uint8)
        >>> prediction = np.array([[0, 1, 1, 1, 1, 1, 1]], np.uint8)
        >>> boundary_counts(label, prediction, 2, distance=1)[:, 1].tolist()  # true at 1 and 3, predicted at 1
        [1, 1, 1, 2, 1, 2]
    """
    counted = label != VOID
    counts = np.zeros((6, num_classes), np.int64)
    for number in range(num_classes):
        regions = [(ids == number) & counted for ids in (label, prediction)]
        if not (regions[0].any() or regions[1].any()):
            continue
        (true, true_rim), (found, found_rim) = (_boundary(region, counted, distance) for region in regions)
        near_found, near_true = (_near(boundary, distance) for boundary in (found, true))
        counts[:, number] = [
            (found & near_true).sum(), found.sum(), (true & near_found).sum(), true.sum(),
            (true_rim & found_rim).sum(), (true_rim | found_rim).sum(),
        ]  # fmt: skip
    return counts


def boundary_scores(counts: NDArray) -> BoundaryScores:
    """Compute the scores of borders from (6, C) counts of `boundary_counts`, summed over images.

    Reference:
        F: Csurka et al., What is a good evaluation measure for semantic segmentation? (BMVC 2013); surface Dice:
        Nikolov et al. (2018), counted in pixels; boundary IoU: Cheng et al. (CVPR 2021).
    """
    found_near, found, true_near, true, both, either = np.asarray(counts, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = found_near / found, true_near / true
        f = 2 * precision * recall / (precision + recall)
        surface = (found_near + true_near) / (found + true)
        iou = both / either
    f = np.where((found + true > 0) & ~(precision + recall > 0), 0.0, f)  # a border that only one of them has
    return BoundaryScores(f, surface, iou)


def _boundary(
    region: NDArray[np.bool_], counted: NDArray[np.bool_], distance: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(H, W) boundary pixels of a region, and its band."""
    outside = np.pad(counted & ~region, 1)  # (H + 2, W + 2)
    beside = outside[:-2, 1:-1] | outside[2:, 1:-1] | outside[1:-1, :-2] | outside[1:-1, 2:]
    return region & beside, region & _near(outside[1:-1, 1:-1], distance)


def _near(pixels: NDArray[np.bool_], distance: float) -> NDArray[np.bool_]:
    """(H, W) whether one of some pixels lies within a distance."""
    if not pixels.any():
        return np.zeros_like(pixels)
    away = cv2.distanceTransform((~pixels).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return away <= distance + 1e-3  # float32 roots
