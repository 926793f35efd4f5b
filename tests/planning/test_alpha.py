"""Alpha that may be a channel is said."""

import cv2
import numpy as np
import pytest
import tifffile

from unet_tf import check
from unet_tf.data.pictures import open_pictures, read_image, write_picture

NOISE = np.random.default_rng(0).integers(0, 256, (40, 48, 4), np.uint8)


def save(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        cv2.imwrite(str(path), image)
    else:
        tifffile.imwrite(path, image, **options)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_it_is_given_apart_from_the_image(name, dtype, tmp_path):
    image = NOISE.astype(dtype)
    save(tmp_path / name, image)
    pictures = open_pictures(tmp_path / name)
    assert read_image(tmp_path / name).shape == (40, 48, 3)
    assert (pictures.alpha() == image[..., 3:]).all()
    save(tmp_path / name, image[..., :3])
    assert open_pictures(tmp_path / name).alpha().shape[2] == 0


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_where_it_differs_from_pixel_to_pixel_check_says_that_it_is_left_out(name, tmp_path):
    flat = NOISE.copy()
    flat[..., 3] = 255
    for number in range(4):
        save(tmp_path / f"images/{number}{name}", flat)
        write_picture(tmp_path / f"masks/{number}a.png", (NOISE[..., 0] > 127).astype(np.uint8) * 255)
    assert not [words for words in check(tmp_path).warnings if "alpha" in words]
    save(tmp_path / f"images/2{name}", NOISE)
    (said,) = (words for words in check(tmp_path).warnings if "alpha" in words)
    assert said.startswith("1 image with alpha that is not the same all over, which is left out") and "2a" in said
    if name.endswith("tif"):
        for number in range(4):
            save(tmp_path / f"images/{number}{name}", NOISE, photometric="minisblack")
        assert not [words for words in check(tmp_path).warnings if "alpha" in words]
