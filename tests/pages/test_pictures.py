import base64
import io

import numpy as np
import pytest
from PIL import Image

from unet_tf.pages.pictures import EXACT_BYTES, SIDE, drawing, photo


def pixels(picture):
    kind, _, content = picture.src.partition(",")
    assert kind == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))


def test_a_drawing_keeps_every_pixel():
    areas = np.random.default_rng(0).choice(np.array([(0, 0, 0), (230, 159, 0), (1, 2, 3)], np.uint8), (70, 90))
    np.testing.assert_array_equal(pixels(drawing(areas)), areas)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (3000, 2), (700, 900)])
@pytest.mark.parametrize("store", [photo, drawing])
def test_any_shape_is_shrunk_to_the_side(shape, store):
    picture = store(np.zeros((*shape, 3), np.uint8))
    assert max(picture.width, picture.height) == min(SIDE, max(shape))
    assert min(picture.width, picture.height) >= 1
    assert pixels(picture).shape == (picture.height, picture.width, 3)


def test_noise_takes_no_more_than_a_photograph():
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    assert len(drawing(noise).src) == len(photo(noise).src) < 4 * EXACT_BYTES
