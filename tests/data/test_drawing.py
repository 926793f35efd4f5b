"""Pictures for people."""

import tracemalloc

import numpy as np
import pytest

from unet_tf.data.drawing import displayable, overlay


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_overlay_of_every_pixel_type(dtype, channels):
    image = np.random.default_rng(0).integers(0, 100, (60, 40, channels)).astype(dtype)
    label = np.zeros((60, 40), np.uint8)
    label[20:40] = 1
    picture = overlay(image, label, side=30)
    assert (picture.shape, picture.dtype) == ((30, 20, 3), np.uint8)
    np.testing.assert_array_equal(overlay(image, 0 * label, side=60), displayable(image))
    swapped = image.astype(image.dtype.newbyteorder())
    np.testing.assert_array_equal(overlay(swapped, label, side=30), picture)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_truth_values_are_a_picture_too(channels):
    image = np.random.default_rng(0).random((6, 5, channels)) < 0.5
    np.testing.assert_array_equal(displayable(image), displayable(image.astype(np.uint8)))


@pytest.mark.parametrize("shape", [(1024, 1024), (1080, 1920), (1, 3_000_000)])
def test_a_large_picture_is_stretched_by_all_of_its_colours(shape):
    image = np.zeros((*shape, 3), np.uint8)
    image[..., 1] = np.arange(shape[1]) % 200  # green alone: no red pixel says anything
    assert displayable(image)[..., 1].max() == 255
    assert len(np.unique(displayable(image)[..., 1])) > 190


@pytest.mark.parametrize("shade", [(230, 159, 0), (255, 255, 255), (0, 0, 0), (86, 180, 233)])
def test_an_outline_is_seen_on_a_picture_of_its_own_colour(shade):
    label = np.zeros((60, 60), np.uint8)
    label[20:40, 20:40] = 1  # orange, which is light
    image = np.full((60, 60, 3), shade, np.uint8)
    image[:6], image[54:] = 0, 255  # what the contrast is stretched to
    line = overlay(image, label, side=60)[30].astype(int)  # across the square
    assert line[19].tolist() == line[40].tolist() == [0, 0, 0]
    steps = np.abs(np.diff(line, axis=0)).max(1)
    assert steps[18:20].max() > 80 and steps[39:41].max() > 80
    assert (steps[:18] == 0).all() and (steps[41:] == 0).all()


def test_beside_a_dark_class_the_outline_is_white():
    label = np.zeros((9, 9), np.uint8)
    label[3:6, 3:6] = 5  # dark blue
    line = overlay(np.zeros((9, 9, 1), np.uint8), label, side=9)[4]
    assert line[2].tolist() == line[6].tolist() == [255, 255, 255]


def test_an_overlay_shrinks_first():
    image, label = np.zeros((1200, 1600, 3), np.uint8), np.zeros((1200, 1600), np.uint8)
    image[::2] = 200
    tracemalloc.start()
    try:
        overlay(image, label, side=256)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < image.nbytes
