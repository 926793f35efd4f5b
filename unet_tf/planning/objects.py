"""How a run tells objects apart, by the objects that it is trained on."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.folder import Pair
from unet_tf.data.mask_values import object_ids
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import read_mask
from unet_tf.data.watershed import deepest_valley
from unet_tf.pages.words import many
from unet_tf.planning.object_ids import IdFacts, doubt_of_ids, id_facts

log = logging.getLogger("unet_tf")

MOST_FILES, MOST_OBJECTS = 100, 1000
"""Of the training masks, those that are looked at; of their objects, those whose shape is measured."""
RARE = 0.01
"""Share of the training objects that may be parted at their necks, and that may have holes."""
SMALL = 0.05
"""Share of the training objects of whose size half is the smallest that a predicted one may have."""
WAVER, PARTED_WAVER, STEP = 1.5, 0.75, 0.25
"""Pixels: what is added to the depth of a neck, as the outlines that a net draws waver, and where a border class has
parted most that touch; what that is rounded up to."""


def plan_objects(pairs: Sequence[Pair], masks: MaskFormat) -> MaskFormat:
    """Measure training objects: at which necks predicted ones are parted, and how small they may be.

    The neck is 1.5 pixels deeper, 0.75 with a border class, than the shallowest one at which 99 of 100 training objects
    stay whole: so round things that touch are parted, and branched ones are not. Half the size that 19 of 20 have is
    the smallest. Where at most one in a hundred has a hole, none has.

    Args:
        pairs: the training files.
        masks: how their masks say the objects; of another kind, nothing is measured.

    Returns:
        The format that draws objects so. Where the ids may stand for classes, that is said.

    Raises:
        InputError: the masks are binary ones.
    """
    if masks.kind != "instance":
        return masks
    areas, valleys, pierced, seen = list[int](), list[float](), 0, list[IdFacts]()
    most = max(1, MOST_OBJECTS // max(1, min(len(pairs), MOST_FILES)))
    for number in _spread(len(pairs), MOST_FILES):
        pair = pairs[number]
        mask = read_mask(pair.mask, pair.page, masks.ids)
        seen.append(id_facts(mask, masks.void))
        own, some = objects_of(mask, masks.void, most)
        areas += own
        valleys += map(deepest_valley, some)
        pierced += sum(cv2.connectedComponents((~one).astype(np.uint8), connectivity=4)[0] > 2 for one in some)
    if not areas:
        return masks
    if words := doubt_of_ids(seen):
        log.warning(words)
    deepest = float(np.quantile(valleys, 1 - RARE, method="higher"))
    neck = STEP * math.ceil((deepest + (PARTED_WAVER if masks.border else WAVER)) / STEP)
    smallest = max(1, int(np.quantile(areas, SMALL, method="lower")) // 2)
    log.info(
        f"objects: cut at necks where the half width falls by {neck:g} px, and of {smallest} px at least; of "
        f"{many(len(valleys), 'training object')} {1 - RARE:.0%} stay whole so, of {len(areas)} {1 - SMALL:.0%} are "
        f"twice as large, and {pierced} have holes"
    )
    return replace(masks, neck=neck, smallest=smallest, filled=pierced <= RARE * len(valleys))


def objects_of(
    mask: NDArray, void: Sequence[object] = (), most: int = MOST_OBJECTS
) -> tuple[list[int], list[NDArray[np.bool_]]]:
    """Look at the objects of an instance mask.

    Args:
        mask: (H, W) ids, 0 is background.
        void: ids that are no objects.
        most: objects that are cut out, spread evenly over the ids.

    Returns:
        Pixels of each object; and of some of them, (h, w) which pixels are theirs, with one that is not on each side.
    """
    numbers, known = object_ids(mask), np.arange(1 << 16)
    if numbers.max(initial=0) < len(known):
        numbers = numbers.astype(np.uint16)  # which NumPy sorts by their digits
    else:
        known, numbers = np.unique(numbers, return_inverse=True)
    order = np.argsort(numbers, axis=None, kind="stable")
    areas = np.bincount(numbers.ravel(), minlength=len(known))
    ends = np.cumsum(areas)
    objects = [i for i in np.flatnonzero(areas).tolist() if known[i] != 0 and known[i] not in void]
    cut = []
    for i in (objects[place] for place in _spread(len(objects), most)):
        rows, columns = np.divmod(order[ends[i] - areas[i] : ends[i]], mask.shape[1])
        rows, columns = rows - rows.min() + 1, columns - columns.min() + 1
        alone = np.zeros((int(rows.max()) + 2, int(columns.max()) + 2), bool)
        alone[rows, columns] = True
        cut.append(alone)
    return areas[objects].tolist(), cut


def _spread(count: int, most: int) -> list[int]:
    """Give `most` numbers from 0 to `count` - 1, or all, evenly spread."""
    return np.unique(np.linspace(0, count - 1, most).astype(int)).tolist() if count else []
