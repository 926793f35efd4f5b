import numpy as np
import pytest

from unet_tf.data.instances import BORDER, fill_holes, find_instances, label_from_instances, renumber
from unet_tf.errors import InputError

TWO = np.zeros((9, 12), np.uint16)
TWO[1:8, 1:6], TWO[1:8, 6:11] = 5, 3  # they touch


def test_touching_cells_are_separated_and_lone_ones_keep_every_pixel():
    instances = np.zeros((7, 12), np.uint16)
    instances[1:6, 1:4], instances[1:6, 4:7], instances[2:5, 9:11] = 1, 2, 3
    label = label_from_instances(instances)
    assert (label[instances == 3] == 1).all()
    assert not label[1:6, 3:5].any()
    assert label[1:6, [1, 2, 5, 6]].all()
    assert not label[instances == 0].any()


def test_ids_beyond_what_float_tells_apart_stay_apart():
    ids = np.array([[0, 1, 1, 1, 2, 2]], np.int64)
    np.testing.assert_array_equal(label_from_instances(ids + (ids > 0) * (1 << 25)), label_from_instances(ids))


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (np.stack([TWO, 0 * TWO, TWO]), r"must be \(H, W\) integers; received \(3, 9, 12\) uint16. Give the planes"),
        (np.ones((8, 8, 1), int), r"received \(8, 8, 1\) int64\. .* of \(H, W, 1\) \[\.\.\., 0\]"),
        (np.dstack([TWO] * 3), r"received \(9, 12, 3\) uint16"),
        (np.array([[0.5, 1.0]]), r"received \(1, 2\) float64"),
        (np.zeros((0, 3), int), r"received \(0, 3\) int64"),
        (np.array([[-1, 0, 1 << 24]]), "must be 0 or more; received -1. Make 0 of what is no object"),
    ],
)
def test_what_is_no_plane_of_ids_is_refused(ids, message):
    for border in (0, 1):
        with pytest.raises(InputError, match=message):
            label_from_instances(ids, border)


@pytest.mark.parametrize("width", [1, 2])
def test_the_border_is_the_rim_of_each_object(width):
    label = label_from_instances(TWO, width)
    inner = np.zeros(TWO.shape, bool)
    inner[1 + width : 8 - width, 1 + width : 6 - width] = inner[1 + width : 8 - width, 6 + width : 11 - width] = True
    np.testing.assert_array_equal(label, np.where(inner, 1, np.where(TWO > 0, BORDER, 0)))


def test_the_edge_of_the_picture_is_no_rim():
    assert label_from_instances(np.ones((4, 4), int), 1).tolist() == [[1] * 4] * 4


@pytest.mark.parametrize("width", [1, 2])
def test_objects_come_back_from_their_borders(width):
    np.testing.assert_array_equal(find_instances(label_from_instances(TWO, width), border=True), renumber(TWO))


def test_an_object_of_border_alone_is_one():
    assert find_instances(np.array([[2, 2, 0, 1, 2]]), border=True).tolist() == [[1, 1, 0, 2, 2]]


def test_pieces_are_parted_at_necks_and_small_ones_left_out():
    label = np.zeros((12, 24), np.uint8)
    label[1:10, 1:10] = label[1:10, 12:21] = label[5, 10:12] = label[0, 23] = 1
    assert [find_instances(label, neck=neck, smallest=4).max() for neck in (0, 1.0)] == [1, 2]
    assert find_instances(label).max() == 2


def test_numbers_are_dense_and_in_reading_order():
    assert renumber(np.array([[0, 7, 7], [9, 0, 2]])).tolist() == [[0, 1, 1], [2, 0, 3]]
    assert renumber(np.zeros((0, 3), int)).shape == (0, 3)
    assert renumber(np.array([[1 << 40, 5]])).tolist() == [[1, 2]]


def test_holes_of_one_object_are_filled_and_gaps_between_two_are_not():
    objects = np.zeros((9, 14), np.int32)
    objects[1:8, 1:7], objects[1:8, 7:13] = 1, 2
    objects[3:5, 3:5] = 0  # a hole
    objects[6, 6:8] = 0  # between the two
    objects[2, 9] = 0
    background = np.ones(objects.shape)
    background[2, 9] = 0  # another class
    filled = fill_holes(objects, background)
    assert (filled[3:5, 3:5] == 1).all()
    assert filled[6, 6:8].tolist() == [0, 0]
    assert (filled[2, 9], filled[0].max()) == (0, 0)


def test_what_the_edge_closes_is_no_hole():
    objects = np.array([[1, 0, 1], [1, 1, 1]], np.int32)
    np.testing.assert_array_equal(fill_holes(objects, objects == 0), objects)
