"""How a run tells objects apart, by the objects that it learns from."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.folder import Pair
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import read_mask
from unet_tf.data.watershed import deepest_valley

log = logging.getLogger("unet_tf")

MOST_FILES, MOST_OBJECTS = 100, 1000
"""Of the training masks, those that are looked at; of their objects, those whose shape is measured."""
RARE = 0.01
"""Share of the training objects that may be parted at their necks, and that may have holes."""
SMALL = 0.05
"""Share of the training objects of whose size half is the smallest that a predicted one may have."""
SHALLOWEST, WAVER, STEP = 1.0, 0.5, 0.25
"""Pixels: depth of a neck at least; what is added as the outlines that a net draws waver; what it is rounded up to."""


def plan_objects(pairs: Sequence[Pair], masks: MaskFormat) -> MaskFormat:
    """Measure training objects: at which necks predicted ones are parted, and how small they may be.

    The neck is half a pixel deeper than the shallowest one at which 99 of 100 training objects stay whole, and a pixel
    at least: so round things that touch are parted, and branched ones are not. Half the size that 19 of 20 have is the
    smallest. Where at most one in a hundred has a hole, none has.

    Args:
        pairs: the training files.
        masks: how their masks say the objects; of another kind, nothing is measured.

    Returns:
        The format that draws objects so.
    """
    if masks.kind != "instance":
        return masks
    areas, valleys, pierced = list[int](), list[float](), 0
    for number in np.unique(np.linspace(0, len(pairs) - 1, MOST_FILES).astype(int)).tolist():
        pair = pairs[number]
        found = list(objects_of(read_mask(pair.mask, pair.page, masks.ids), masks.void))
        areas += [int(one.sum()) for one in found]
        places = np.linspace(0, len(found) - 1, max(1, MOST_OBJECTS // min(len(pairs), MOST_FILES))).astype(int)
        few = [found[i] for i in np.unique(places).tolist() if found]
        valleys += map(deepest_valley, few)
        pierced += sum(cv2.connectedComponents((~one).astype(np.uint8), connectivity=4)[0] > 2 for one in few)
    if not areas:
        return masks
    deepest = float(np.quantile(valleys, 1 - RARE, method="higher"))
    neck = max(SHALLOWEST, STEP * math.ceil((deepest + WAVER) / STEP))
    smallest = max(1, int(np.quantile(areas, SMALL, method="lower")) // 2)
    log.info(
        f"objects: parted at necks where the half width falls by {neck:g} px, and of {smallest} px at least; of "
        f"{len(valleys)} training objects {1 - RARE:.0%} stay whole so, of {len(areas)} {1 - SMALL:.0%} are twice as "
        f"large, and {pierced} have holes"
    )
    return replace(masks, neck=neck, smallest=smallest, filled=pierced <= RARE * len(valleys))


def objects_of(mask: NDArray, void: Sequence[object] = ()) -> Iterator[NDArray[np.bool_]]:
    """Each object of an instance mask alone, (h, w), with a pixel of what is not the object on each side."""
    known, inverse = np.unique(mask if mask.ndim == 2 else mask[..., 0], return_inverse=True)
    numbers = inverse.reshape(mask.shape[:2])
    order = np.argsort(numbers, axis=None, kind="stable")
    pixels = np.split(order, np.cumsum(np.bincount(numbers.ravel(), minlength=len(known)))[:-1])
    for value, some in zip(known.tolist(), pixels, strict=True):
        if value == 0 or value in void:
            continue
        rows, columns = np.divmod(some, mask.shape[1])
        rows, columns = rows - rows.min() + 1, columns - columns.min() + 1
        alone = np.zeros((int(rows.max()) + 2, int(columns.max()) + 2), bool)
        alone[rows, columns] = True
        yield alone
