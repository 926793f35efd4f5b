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


def test_an_overlay_shrinks_first():
    image, label = np.zeros((1200, 1600, 3), np.uint8), np.zeros((1200, 1600), np.uint8)
    image[::2] = 200
    tracemalloc.start()
    overlay(image, label, side=256)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < image.nbytes
