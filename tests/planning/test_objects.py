import logging

import cv2
import numpy as np
import pytest

from unet_tf.data.folder import Pair
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import write_picture
from unet_tf.planning.objects import objects_of, plan_objects

INSTANCE = MaskFormat("instance", void=(7,))


def pairs(tmp_path, *masks):
    found = []
    for number, mask in enumerate(masks):
        path = tmp_path / f"{number}.png"
        write_picture(path, mask)
        found.append(Pair(path.stem, path, path))
    return found


def disks(radius, holes=False):
    mask = np.zeros((100, 100), np.uint16)
    for number, (row, column) in enumerate([(20, 20), (20, 60), (60, 20), (60, 60)], start=1):
        cv2.circle(mask, (column, row), radius, number, -1)
        if holes:
            cv2.circle(mask, (column, row), 1, 0, -1)
    return mask


def test_round_objects_are_parted_at_shallow_necks_and_branched_ones_stay_whole(tmp_path):
    assert plan_objects(pairs(tmp_path, disks(9), disks(11)), INSTANCE).neck == 1.5
    hook = np.zeros((40, 60), np.uint16)
    cv2.circle(hook, (12, 20), 10, 1, -1)
    cv2.circle(hook, (46, 20), 10, 1, -1)
    hook[19:22, 12:46] = 1  # the half width is 11 in the heads and 2 in between
    masks = plan_objects(pairs(tmp_path, hook), INSTANCE)
    assert masks.neck > 8
    assert masks.objects((hook > 0).astype(np.uint8)).max() == 1
    apart = plan_objects(pairs(tmp_path, np.where(np.arange(60) < 28, hook, hook * 2).astype(np.uint16)), INSTANCE)
    assert apart.objects((hook > 0).astype(np.uint8)).max() == 2


def test_the_smallest_object_and_holes_are_those_of_the_training_objects(tmp_path):
    masks = plan_objects(pairs(tmp_path, disks(9)), INSTANCE)
    assert (masks.smallest, masks.filled) == ((disks(9) == 1).sum() // 2, True)
    assert not plan_objects(pairs(tmp_path, disks(9, holes=True)), INSTANCE).filled


def test_what_was_measured_is_said(tmp_path, caplog):
    caplog.set_level(logging.INFO, "unet_tf")
    plan_objects(pairs(tmp_path, disks(9)), INSTANCE)
    assert "of 4 training objects 99% stay whole" in caplog.text


@pytest.mark.parametrize("masks", [MaskFormat("binary"), MaskFormat("index", 3)])
def test_other_masks_are_not_looked_at(masks):
    assert plan_objects([Pair("a", None, None)], masks) == masks


def test_masks_without_objects_leave_pieces(tmp_path):
    empty = np.full((5, 5), 7, np.uint16)  # void alone
    assert plan_objects(pairs(tmp_path, empty), INSTANCE) == INSTANCE


def test_objects_come_alone_whatever_lies_beside_them():
    mask = np.array([[3, 3, 900], [0, 3, 900], [7, 7, 7]], np.uint16)
    areas, (first, second) = objects_of(mask, (7,))
    assert areas == [3, 2]
    assert first.astype(int).tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert second.astype(int).tolist() == [[0, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_of_very_many_objects_few_are_cut_out():
    areas, cut = objects_of(np.arange(1, 90_001, dtype=np.uint32).reshape(300, 300), most=10)
    assert (len(areas), len(cut)) == (90_000, 10)
    assert objects_of(np.zeros((3, 3), np.uint8)) == ([], [])
