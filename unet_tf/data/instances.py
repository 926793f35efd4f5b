"""Objects and labels: ids of objects to what the net learns, and a predicted label to ids of objects."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.watershed import part, spread
from unet_tf.errors import InputError

BORDER, BORDER_NAME = 2, "border"
"""Class id of the borders of objects, where they are a class."""


def label_from_instances(instances: NDArray, border: int = 0) -> NDArray[np.uint8]:
    """Turn object ids into background 0 and cell 1, with touching cells kept apart; or into these and their borders.

    A cell pixel with a pixel of another cell among its 8 neighbours becomes background, so that each cell stays a
    component of its own, as in the paper's "segmentation border" between touching cells. With a border, that of each
    cell is class 2 instead, beside other cells and beside the background.

    Args:
        instances: (H, W) object ids, whole numbers, 0 for background.
        border: width of the border, pixels, diagonals as long as sides; 0 for none.

    Returns:
        (H, W) uint8 label ids.

    Raises:
        InputError: the ids are not (H, W) integers of 0 or more.

    Example:
        >>> label_from_instances(np.array([[1, 1, 1, 2, 2, 2]])).tolist()
        [[1, 1, 0, 0, 1, 1]]
        >>> label_from_instances(np.array([[0, 1, 1, 1, 2, 2, 2]]), border=1).tolist()
        [[0, 2, 1, 2, 2, 1, 1]]

    Reference:
        Schmidt, Weigert, Broaddus, Myers: Cell detection with star-convex polygons (MICCAI 2018), section 3, for the
        third class.
    """
    ids = object_ids(instances)
    if ids.max() >= 1 << 24:  # beyond that, float32 takes two ids for one
        ids = np.unique(ids, return_inverse=True)[1].reshape(ids.shape) + int(ids.min() > 0)
    ids = ids.astype(np.float32)
    side = 2 * max(border, 1) + 1
    neighbours = np.ones((side, side), np.uint8)
    highest = cv2.dilate(ids, neighbours)
    if border:
        inner = (highest == ids) & (cv2.erode(ids, neighbours) == ids)
        return np.where(ids == 0, 0, np.where(inner, 1, BORDER)).astype(np.uint8)
    lowest = cv2.erode(np.where(ids == 0, np.inf, ids).astype(np.float32), neighbours)
    return ((ids > 0) & (highest == ids) & (lowest == ids)).astype(np.uint8)


def object_ids(instances: NDArray) -> NDArray:
    """Give (H, W) object ids as an array.

    Raises:
        InputError: they are not (H, W) integers of 0 or more, or there is no pixel.
    """
    ids = np.asarray(instances)
    if ids.ndim != 2 or not ids.size or ids.dtype.kind not in "iub":
        raise InputError(
            f"Object ids must be (H, W) integers; received {ids.shape} {ids.dtype}. Give the planes of a stack one by "
            "one, and of (H, W, 1) [..., 0]."
        )
    if ids.min() < 0:
        raise InputError(f"Object ids must be 0 or more; received {ids.min()}. Make 0 of what is no object.")
    return ids


def find_instances(
    label: NDArray,
    number: int = 1,
    neck: float = 0.0,
    border: bool = False,
    smallest: int = 1,
    filled: bool = False,
) -> NDArray[np.int32]:
    """Number the objects of a class: its 8-connected pieces, parted at their necks, with their borders.

    Args:
        label: (H, W) label ids.
        number: the class.
        neck: depth of the valley that parts two objects (`unet_tf.data.watershed.part`); 0 parts no piece.
        border: whether pixels of class `BORDER` belong to the nearest of these objects, along a way through them;
            a piece of them alone is an object too.
        smallest: objects of fewer pixels are left out.
        filled: whether background that one object encloses is part of it.

    Returns:
        (H, W) numbers from 1 in reading order of their first pixels, 0 elsewhere.

    Example:
        >>> find_instances(np.array([[2, 1, 2, 2, 1, 2, 0, 1]]), border=True).tolist()
        [[1, 1, 1, 2, 2, 2, 0, 3]]
    """
    own = label == number
    objects = part(own, neck) if neck else cv2.connectedComponents(own.astype(np.uint8))[1]
    objects = spread(objects, label == BORDER) if border else objects
    return renumber(fill_holes(objects, label == 0) if filled else objects, smallest)


def fill_holes(objects: NDArray[np.int32], background: NDArray) -> NDArray[np.int32]:
    """Give each piece of background that touches one object alone, and not the edge of the picture, to this object.

    Args:
        objects: (H, W) numbers from 1, 0 elsewhere.
        background: (H, W), other than 0 where objects may grow.

    Example:
        >>> fill_holes(np.array([[1, 1, 1, 2], [1, 0, 1, 0], [1, 1, 1, 2]]), np.ones((3, 4))).tolist()
        [[1, 1, 1, 2], [1, 1, 1, 0], [1, 1, 1, 2]]
    """
    around = np.pad(objects, 1, constant_values=-1)  # the edge is an object too, which nobody fills
    empty = np.pad((objects == 0) & (np.asarray(background) != 0), 1).astype(np.uint8)
    count, holes = cv2.connectedComponents(empty, connectivity=4)
    lowest, highest = np.full(count, np.iinfo(np.int32).max), np.full(count, np.iinfo(np.int32).min)
    for axis in (0, 1):
        for step in (1, -1):
            beside = np.roll(around, step, axis)
            rim = (holes > 0) & (np.roll(holes, step, axis) == 0)
            np.minimum.at(lowest, holes[rim], beside[rim])
            np.maximum.at(highest, holes[rim], beside[rim])
    own = np.where((lowest == highest) & (lowest > 0), lowest, 0)
    own[0] = 0
    return np.where(objects > 0, objects, own[holes[1:-1, 1:-1]]).astype(np.int32)


def renumber(objects: NDArray, smallest: int = 1) -> NDArray[np.int32]:
    """Number objects from 1 without gaps, in the reading order of their first pixels; those of few pixels become 0.

    Example:
        >>> renumber(np.array([[9, 0, 4], [9, 7, 4]]), smallest=2).tolist()
        [[1, 0, 2], [1, 0, 2]]
    """
    known, first, inverse, pixels = np.unique(objects, return_index=True, return_inverse=True, return_counts=True)
    kept = np.flatnonzero((known != 0) & (pixels >= smallest))
    numbers = np.zeros(len(known), np.int32)
    numbers[kept[np.argsort(first[kept])]] = np.arange(1, len(kept) + 1)
    return numbers[inverse].reshape(np.shape(objects))
