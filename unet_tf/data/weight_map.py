"""The paper's weight map: separation borders between touching cells, and class balance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.instances import object_ids
from unet_tf.errors import InputError
from unet_tf.labels import VOID

NEGLIGIBLE = 1e-6
"""Border weights below this are 0, which bounds how far a cell reaches."""

BOXES_LIMIT = 16
"""Grown boxes that cover the image more often than this take longer than one transform of the whole image a colour."""


@dataclass(frozen=True)
class Weighting:
    """Which weight map training uses: w(x) = w_c(x) + w0 exp(-(d1(x) + d2(x))**2 / (2 sigma**2)).

    Attributes:
        balance: whether w_c balances the classes, from their pixels in the training set; else it is 1.
        w0: weight of the separation borders, background (class 0) between objects of class 1; 0 for none, 10 in the
            paper.
        sigma: width of the borders, pixels.
    """

    balance: bool = False
    w0: float = 0.0
    sigma: float = 5.0

    def border(self, label: NDArray[np.uint8], objects: NDArray | None = None) -> NDArray[np.float32] | None:
        """The second term, between the objects of an instance mask or the components of class 1; None without one."""
        if not self.w0:
            return None
        objects = components(label) if objects is None else np.where((label > 0) & (label != VOID), objects, 0)
        return border_weights(objects, self.w0, self.sigma) * (label == 0)


def border_weights(instances: NDArray, w0: float = 10.0, sigma: float = 5.0) -> NDArray[np.float32]:
    """Second term of the paper's weight map, high on the narrow background between two cells.

    w(x) = w0 exp(-(d1(x) + d2(x))**2 / (2 sigma**2)) on background pixels x, with d1 and d2 the distances to the
    nearest and the second nearest cell; 0 on cells.

    The two distances are the smallest over a few distance transforms, not over one of the whole image for each cell:
    cells of one transform must never be nearest and second nearest to one pixel. Either each cell has a transform of
    its own, in its box grown by the radius where the term falls below 1e-6; or, where those boxes would add up to
    more, neighbours get different colours and each colour one transform.

    Args:
        instances: (H, W) object ids, 0 for background. `components(label)` makes them from a binary label.
        w0: weight where two cells touch, 0 or more.
        sigma: width of the border, in pixels.

    Returns:
        (H, W) float32, to be added to the class balance.

    Raises:
        InputError: the ids are not (H, W) integers of 0 or more, w0 is negative or sigma not positive.

    Example:
        >>> round(float(border_weights(np.array([[1, 0, 2]]))[0, 1]), 2)  # d1 = d2 = 1: 10 exp(-4 / 50)
        9.23

    Reference:
        Ronneberger, Fischer, Brox: U-Net (MICCAI 2015), section 3, equation 2.
    """
    instances = object_ids(instances)
    if not (0 <= w0 < math.inf and 0 < sigma < math.inf):
        raise InputError(f"w0 must be 0 or more, sigma above 0, and both finite; received {w0} and {sigma}.")
    objects, boxes = _number(instances)
    nearest = np.full(objects.shape, np.inf, np.float32)
    second = nearest.copy()
    reach = 0
    if len(boxes) > 1 and w0 > NEGLIGIBLE:
        reach = math.ceil(sigma * math.sqrt(2 * math.log(w0 / NEGLIGIBLE))) + 1
        boxes[:, 0::2] = np.maximum(boxes[:, 0::2] - reach, 0)
        boxes[:, 1::2] = np.minimum(boxes[:, 1::2] + reach, objects.shape)
        area = ((boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])).sum()
        whole_image = area > BOXES_LIMIT * objects.size
        for window, cells in _by_colour(objects, len(boxes)) if whole_image else _by_box(objects, boxes):
            distance = cv2.distanceTransform(cells, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            d1, d2 = nearest[window], second[window]
            np.minimum(d2, np.maximum(d1, distance), out=d2)
            np.minimum(d1, distance, out=d1)
    near = np.flatnonzero((objects == 0) & (second < reach))
    # Squared distances are whole numbers, and OpenCV's last digit depends on the thread: so round.
    d1, d2 = (np.sqrt(np.rint(np.square(distance.ravel()[near]))) for distance in (nearest, second))
    total = d1 + d2
    weights = np.zeros(objects.size, np.float32)
    weights[near] = w0 * np.exp(total * total * np.float32(-0.5 / sigma**2))
    weights[weights < NEGLIGIBLE] = 0
    return weights.reshape(objects.shape)


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


def _number(instances: NDArray) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Number the objects 1 to n without gaps; their boxes, (n, 4): top, bottom, left, right, half open.

    Works on runs, the stretches of one id within a row, of which there are far fewer than pixels.
    """
    height, width = instances.shape
    flat = instances.ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    starts = np.union1d(starts, np.arange(0, flat.size, width))  # a run ends with its row
    lengths = np.diff(starts, append=flat.size)
    ids, inverse = np.unique(flat[starts], return_inverse=True)
    number = np.cumsum(ids != 0) * (ids != 0)
    of_run = number[inverse].astype(np.int32)
    objects = np.repeat(of_run, lengths).reshape(height, width)
    rows, left = np.divmod(starts, width)
    boxes = np.tile([height, 0, width, 0], (int(number.max()) + 1, 1))
    for column, least, values in ((0, True, rows), (1, False, rows + 1), (2, True, left), (3, False, left + lengths)):
        (np.minimum if least else np.maximum).at(boxes[:, column], of_run, values)
    return objects, boxes[1:]


def _by_box(objects: NDArray[np.int32], boxes: NDArray[np.int64]) -> Iterator[tuple[tuple[slice, slice], NDArray]]:
    """Each cell alone: its grown box, and there 0 on the cell and 1 elsewhere."""
    for number, (top, bottom, left, right) in enumerate(boxes.tolist(), start=1):
        window = np.s_[top:bottom, left:right]
        yield window, (objects[window] != number).view(np.uint8)


def _by_colour(objects: NDArray[np.int32], count: int) -> Iterator[tuple[tuple[slice, slice], NDArray]]:
    """All cells of one colour together, for each colour: the whole image, 0 on these cells and 1 elsewhere."""
    colours = _colours(objects, count)
    of_pixel = colours[objects]
    for colour in range(1, colours.max() + 1):
        yield np.s_[:, :], (of_pixel != colour).view(np.uint8)


def _colours(objects: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """Colour of each object, from 1, greedily: objects whose nearest-object regions meet, or nearly, differ.

    If b is second nearest to a pixel of a's region, the straight way to b leaves that region for b's own: so the two
    regions meet. On the pixel grid a thin region may have gaps; hence pairs some pixels apart count too. In rare
    cases (single pixels on a circle) a region is thinner still, and d2 a little too high: the distance of the third.
    """
    outside = (objects == 0).astype(np.uint8)
    pixels = cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]
    owner = np.concatenate([[0], objects[outside == 0]])[pixels]  # labels number the zero pixels in order
    pairs = set()
    height, width = owner.shape
    for step in (1, 2, 4):
        for down, right in ((0, step), (step, 0), (step, step), (step, -step)):
            a = owner[: height - down, max(0, -right) : width - max(0, right)]
            b = owner[down:, max(0, right) : width + min(0, right)]
            differ = a != b
            low, high = np.minimum(a[differ], b[differ]), np.maximum(a[differ], b[differ])
            pairs.update(np.unique(low.astype(np.int64) * (count + 1) + high).tolist())
    neighbours: list[list[int]] = [[] for _ in range(count + 1)]
    for pair in pairs:
        low, high = divmod(pair, count + 1)
        neighbours[low].append(high)
        neighbours[high].append(low)
    colours = np.zeros(count + 1, np.int64)
    for number in sorted(range(1, count + 1), key=lambda n: -len(neighbours[n])):
        taken = set(colours[neighbours[number]].tolist())
        colours[number] = next(colour for colour in range(1, count + 2) if colour not in taken)
    return colours
