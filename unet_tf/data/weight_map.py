"""The paper's weight map: separation borders between touching cells, and class balance."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.labels import VOID

NEGLIGIBLE = 1e-6
"""Border weights below this are 0, which bounds how far a cell reaches."""


def border_weights(instances: NDArray, w0: float = 10.0, sigma: float = 5.0) -> NDArray[np.float32]:
    """Second term of the paper's weight map, high on the narrow background between two cells.

    w(x) = w0 exp(-(d1(x) + d2(x))**2 / (2 sigma**2)) on background pixels x, with d1 and d2 the distances to the
    nearest and the second nearest cell; 0 on cells. Each cell's distance transform is computed only in its box grown by
    the radius where the term falls below 1e-6.

    Args:
        instances: (H, W) object ids, 0 for background. `components(label)` makes them from a binary label.
        w0: weight where two cells touch, above 0.
        sigma: width of the border, in pixels.

    Returns:
        (H, W) float32, to be added to the class balance.

    Example:
        >>> round(float(border_weights(np.array([[1, 0, 2]]))[0, 1]), 2)  # d1 = d2 = 1: 10 exp(-4 / 50)
        9.23

    Reference:
        Ronneberger, Fischer, Brox: U-Net (MICCAI 2015), section 3, equation 2.
    """
    instances = np.asarray(instances)
    height, width = instances.shape
    reach = math.ceil(sigma * math.sqrt(2 * math.log(max(w0 / NEGLIGIBLE, 1.0)))) + 1
    nearest = np.full((height, width), np.inf, np.float32)
    second = nearest.copy()
    for instance, (top, bottom, left, right) in _boxes(instances).items():
        window = np.s_[max(0, top - reach) : bottom + reach, max(0, left - reach) : right + reach]
        outside = (instances[window] != instance).astype(np.uint8)
        distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        d1, d2 = nearest[window], second[window]
        np.minimum(d2, np.maximum(d1, distance), out=d2)
        np.minimum(d1, distance, out=d1)
    weights = w0 * np.exp(-((nearest + second) ** 2) / (2 * sigma**2))
    return np.where((instances == 0) & (weights >= NEGLIGIBLE), weights, 0).astype(np.float32)


def components(label: NDArray, cell: int = 1) -> NDArray[np.int32]:
    """Number the 4-connected components of a class, so that a binary label serves where instances are asked for.

    Args:
        label: (H, W) label ids.
        cell: the class whose components count.

    Returns:
        (H, W) int32 object ids from 1, 0 elsewhere.
    """
    return cv2.connectedComponents((label == cell).astype(np.uint8), connectivity=4)[1]


def class_balance(counts: NDArray) -> NDArray[np.float64]:
    """Class weights w_c that give every class the same say, from pixel counts.

    w_c = N / (C n_c), with C the classes that occur, n_c their pixels and N the sum; 0 for a class without pixels.

    Args:
        counts: (num_classes,) pixels of each class, void left out.

    Returns:
        (num_classes,) float64; the mean weight of a pixel is 1.

    Example:
        >>> class_balance(np.array([30, 10])).round(3).tolist()
        [0.667, 2.0]
    """
    counts = np.asarray(counts, np.float64)
    present = counts > 0
    weights = np.zeros_like(counts)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights


def count_classes(label: NDArray, num_classes: int, void_label: int = VOID) -> NDArray[np.int64]:
    """Pixels of each class in a label map, (num_classes,) int64; void is left out."""
    return np.bincount(label[label != void_label].ravel(), minlength=num_classes)[:num_classes]


def _boxes(instances: NDArray) -> dict[int, tuple[int, int, int, int]]:
    """Bounding box (top, bottom, left, right), half open, of each id above 0, in one pass over the pixels."""
    rows, columns = np.nonzero(instances)
    if not rows.size:
        return {}
    ids, inverse = np.unique(instances[rows, columns], return_inverse=True)
    low = np.full((2, ids.size), np.iinfo(np.int64).max)
    high = np.full((2, ids.size), -1)
    for axis, positions in enumerate((rows, columns)):
        np.minimum.at(low[axis], inverse, positions)
        np.maximum.at(high[axis], inverse, positions)
    return {
        int(ids[i]): (int(low[0, i]), int(high[0, i]) + 1, int(low[1, i]), int(high[1, i]) + 1) for i in range(ids.size)
    }
