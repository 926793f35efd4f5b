import numpy as np
import pytest

from unet_tf.data.masks import label_from_instances, label_from_mask, mask_from_label
from unet_tf.errors import InputError
from unet_tf.labels import VOID


@pytest.mark.parametrize("high", [1, 255])
def test_binary_masks_become_0_and_1(high):
    mask = np.array([[0, high], [high, 0]], np.uint8)
    assert label_from_mask(mask).tolist() == [[0, 1], [1, 0]]
    assert label_from_mask(mask[..., None].repeat(3, 2)).tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("value", [0, 1, 255])
def test_a_constant_mask_is_binary(value):
    assert (label_from_mask(np.full((3, 3), value, np.uint8)) == (value > 0)).all()


def test_ids_are_classes_and_255_is_void_where_there_are_more_than_two():
    mask = np.array([[0, 1, 2, 255]], np.uint8)
    assert label_from_mask(mask, 3).tolist() == [[0, 1, 2, VOID]]


@pytest.mark.parametrize("num_classes", [2, 3, 7])
def test_a_label_drawn_as_a_mask_reads_back(num_classes):
    label = np.random.default_rng(0).integers(0, num_classes, (9, 5)).astype(np.uint8)
    np.testing.assert_array_equal(label_from_mask(mask_from_label(label, num_classes), num_classes), label)


def test_a_mask_that_is_not_binary_is_refused_with_its_values():
    mask = np.zeros((10, 10), np.uint8)
    mask[0, :3], mask[0, 3] = 17, 254
    with pytest.raises(InputError, match=r"m\.png is not binary .* 17, 254 in 4 of 100 pixels\s\(4\.00%\)"):
        label_from_mask(mask, name="m.png")


def test_zero_one_and_255_together_are_refused():
    with pytest.raises(InputError, match="also holds 1 in 1 of 3 pixels"):
        label_from_mask(np.array([[0, 1, 255]], np.uint8))


def test_ids_out_of_range_and_colours_are_refused():
    with pytest.raises(InputError, match=r"not class ids 0 to 2 \(255: void\): it also holds 3 in 1"):
        label_from_mask(np.array([[0, 3]], np.uint8), 3)
    with pytest.raises(InputError, match="colour-coded"):
        label_from_mask(np.array([[[0, 0, 255]]], np.uint8))
    with pytest.raises(InputError, match="holds float32 pixels, and masks hold unsigned integers"):
        label_from_mask(np.zeros((2, 2), np.float32))
    with pytest.raises(InputError, match="There are 2 to 255 classes; received 300"):
        label_from_mask(np.zeros((2, 2), np.uint8), 300)


def test_touching_cells_are_separated_and_lone_ones_keep_every_pixel():
    instances = np.zeros((7, 12), np.uint16)
    instances[1:6, 1:4], instances[1:6, 4:7], instances[2:5, 9:11] = 1, 2, 3
    label = label_from_instances(instances)
    assert (label[instances == 3] == 1).all()
    assert not label[1:6, 3:5].any()
    assert label[1:6, [1, 2, 5, 6]].all()
    assert not label[instances == 0].any()
