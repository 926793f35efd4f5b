import cv2
import numpy as np
import pytest

from unet_tf.data.masks import MaskFormat
from unet_tf.evaluation.objects import score_objects
from unet_tf.prediction.objects import find_objects

LABEL = np.array(
    [
        [0, 2, 0, 0, 1],
        [0, 2, 1, 0, 1],
        [1, 0, 0, 0, 0],
        [0, 1, 0, 0, 3],
    ],
    np.uint8,
)


def test_pieces_are_numbered_in_reading_order_class_by_class():
    ids, found = find_objects(LABEL)
    expected = [[0, 1, 0, 0, 2], [0, 1, 3, 0, 2], [4, 0, 0, 0, 0], [0, 4, 0, 0, 5]]
    assert (ids.dtype, ids.tolist()) == (np.uint16, expected)
    assert [one.label for one in found] == [2, 1, 1, 1, 3]


def test_objects_are_measured():
    probabilities = np.full((4, 5, 4), 0.25, np.float32)
    probabilities[0, 1, 2], probabilities[1, 1, 2] = 0.5, 1.0
    _, found = find_objects(LABEL, probabilities)
    assert found[0] == (1, 2, 2, 0.5, 1.0, 0, 1, 1, 1, 0.75)
    assert found[3] == (4, 1, 2, 2.5, 0.5, 2, 0, 3, 1, 0.25)


def test_small_ones_are_left_out_and_numbers_stay_dense():
    ids, found = find_objects(LABEL, min_area=2)
    assert [(one.number, one.area) for one in found] == [(1, 2), (2, 2), (3, 2)]
    assert ids.max() == 3
    assert (ids[3, 4], ids[1, 2]) == (0, 0)
    assert np.isnan(found[0].probability)


@pytest.mark.parametrize("label", [np.zeros((3, 4), np.uint8), np.ones((3, 4), np.uint8)])
def test_no_object_and_one_object(label):
    ids, found = find_objects(label)
    np.testing.assert_array_equal(ids, label)
    assert len(found) == label.max()


def test_many_objects_take_32_bits():
    label = np.zeros((600, 600), np.uint8)
    label[::2, ::2] = 1
    ids, found = find_objects(label)
    assert (ids.dtype, ids.max(), len(found)) == (np.uint32, 90_000, 90_000)
    assert (found[-1].top, found[-1].left) == (598, 598)


def test_objects_of_masks_that_tell_them_apart_are_parted_at_their_necks():
    label = np.zeros((12, 24), np.uint8)
    label[1:10, 1:10] = label[1:10, 12:21] = label[5, 10:12] = label[0, 23] = 1
    label[5, 5] = 0
    masks = MaskFormat("instance", neck=1.0, smallest=4, filled=True)
    probabilities = np.zeros((12, 24, 2), np.float32)
    probabilities[..., 1] = np.where(label, 1.0, 0.19)
    ids, found = find_objects(label, probabilities, masks=masks)
    assert [one.area for one in found] == [82, 82]
    assert [round(one.probability, 2) for one in found] == [0.99, 1.0]  # of the hole too
    np.testing.assert_array_equal(ids, masks.mask(label))
    assert len(find_objects(label)[1]) == 2  # pieces: one, and a speck
    assert len(find_objects(label, min_area=90, masks=masks)[1]) == 0


def test_objects_of_other_masks_are_cut_as_a_person_says():
    label = np.zeros((12, 40), np.uint8)
    for column, number in ((1, 1), (12, 1), (22, 2), (31, 2)):
        label[1:10, column : column + 9] = number
    label[5, 10:12] = label[0, 39] = 1  # a neck, and a speck
    label[5, 26] = 0
    masks = MaskFormat("index", 3, void=(1,), neck=1.0, smallest=4, filled=True)
    probabilities = np.moveaxis(np.array([label == 0, label == 1, label == 2]), 0, 2).astype(np.float32)
    _, found = find_objects(label, probabilities, masks=masks)
    assert [(one.number, one.label, one.area) for one in found] == [(1, 1, 82), (2, 1, 82), (3, 2, 162)]
    assert round(found[2].probability * 162) == 161  # of the hole that of its own class
    assert [one.area for one in find_objects(label, masks=MaskFormat("index", 3))[1]] == [1, 164, 161]


@pytest.mark.parametrize("void", [(1,), (2,), (4, 2), (0, 3), (9,)])
def test_no_object_has_an_id_that_is_void(void):
    label = np.array([[1, 0, 1, 0, 1]], np.uint8)
    masks = MaskFormat("instance", void=void)
    ids, found = find_objects(label, masks=masks)
    expected = [number for number in range(1, 6) if number not in void][:3]
    assert [one.number for one in found] == ids[label > 0].tolist() == expected
    np.testing.assert_array_equal(ids, masks.mask(label))
    assert [(one.left, one.right) for one in found] == [(0, 0), (2, 2), (4, 4)]


def test_an_id_past_a_void_one_takes_32_bits():
    label = np.zeros((510, 514), np.uint8)
    label[::2, ::2] = 1  # 65,535 objects
    ids, found = find_objects(label, masks=MaskFormat("instance", void=(65_535,)))
    assert (ids.dtype, ids.max(), found[-1].number) == (np.uint32, 65_536, 65_536)


def test_borders_belong_to_their_objects():
    label = np.array([[0, 2, 2, 2, 2, 2, 2], [0, 2, 1, 2, 2, 1, 2], [0, 2, 2, 2, 2, 2, 2]], np.uint8)
    probabilities = np.full((3, 7, 3), (0.25, 0.25, 0.5), np.float32)
    ids, found = find_objects(label, probabilities, masks=MaskFormat("instance", 3, border=1))
    assert ids[1].tolist() == [0, 1, 1, 1, 2, 2, 2]
    assert [(one.label, one.area, one.probability) for one in found] == [(1, 9, 0.75), (1, 9, 0.75)]


def test_the_cut_of_a_label_turned_is_the_turned_cut():
    label = (cv2.GaussianBlur(np.random.default_rng(0).normal(size=(90, 70)), (0, 0), 4) > 0).astype(np.uint8)
    masks = MaskFormat("instance", neck=1.0)
    straight, turned = find_objects(label, masks=masks)[0], find_objects(label[::-1, ::-1], masks=masks)[0][::-1, ::-1]
    found = score_objects(straight, turned, [0.5])  # pixels as near to one summit as to another may fall to either
    assert (found.true, found.predicted, found.found) == (14, 14, (14,))
