"""Objects of a label: its connected pieces, numbered and measured."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray


class Object(NamedTuple):
    """One object; pixels are counted from 0 at the top left.

    Attributes:
        number: its id, from 1.
        label: class id.
        area: pixels.
        row: of its centroid.
        column: of its centroid.
        top: first row.
        left: first column.
        bottom: last row.
        right: last column.
        probability: mean over its pixels of the probability of its class; NaN where none was given.
    """

    number: int
    label: int
    area: int
    row: float
    column: float
    top: int
    left: int
    bottom: int
    right: int
    probability: float


def find_objects(
    label: NDArray[np.uint8], probabilities: NDArray[np.float32] | None = None, min_area: int = 1
) -> tuple[NDArray, list[Object]]:
    """Number the 8-connected pieces of each class but 0; pieces of two classes that touch are two objects.

    Args:
        label: (H, W) class ids.
        probabilities: (H, W, num_classes), for the mean probability of each object.
        min_area: pieces of fewer pixels are left out.

    Returns:
        (H, W) ids from 1 in reading order of their first pixels, 0 elsewhere: uint16, or uint32 for more than 65,535;
        and the objects.

    Example:
        >>> ids, found = find_objects(np.array([[1, 0, 2], [0, 1, 2]], np.uint8))
        >>> ids.tolist(), [(one.label, one.area) for one in found]
        ([[1, 0, 2], [0, 1, 2]], [(1, 2), (2, 2)])
    """
    ids = np.zeros(label.shape, np.int32)
    classes, sizes = [0], np.zeros((1, 5), np.int32)
    centroids = np.zeros((1, 2))
    for number in range(1, int(label.max(initial=0)) + 1):
        count, pieces, stats, centres = cv2.connectedComponentsWithStats((label == number).astype(np.uint8))
        if count > 1:
            ids += np.where(pieces > 0, pieces + np.int32(len(classes) - 1), 0)
            classes += [number] * (count - 1)
            sizes, centroids = np.concatenate([sizes, stats[1:]]), np.concatenate([centroids, centres[1:]])
    first = np.full(len(classes), label.size)
    first[ids.ravel()[::-1]] = np.arange(label.size)[::-1]  # the last one written is the first in reading order
    kept = [i for i in np.argsort(first, kind="stable") if i and sizes[i, cv2.CC_STAT_AREA] >= min_area]
    table = np.zeros(len(classes), np.uint16 if len(kept) < 1 << 16 else np.uint32)
    table[kept] = np.arange(1, len(kept) + 1)
    means = np.full(len(classes), np.nan)
    if probabilities is not None:
        own = np.take_along_axis(probabilities, label[..., None], axis=2)[..., 0]
        means = np.bincount(ids.ravel(), own.ravel(), len(classes)) / np.maximum(1, np.bincount(ids.ravel()))
    found = []
    for number, i in enumerate(kept, start=1):
        left, top, width, height, area = map(int, sizes[i])
        column, row = map(float, centroids[i])
        box = top, left, top + height - 1, left + width - 1
        found.append(Object(number, classes[i], area, row, column, *box, float(means[i])))
    return table[ids], found
