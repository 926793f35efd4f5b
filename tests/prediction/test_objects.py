import numpy as np
import pytest

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
