"""What one pair shows, and which show the same."""

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tifffile

from unet_tf.data.folder import Pair
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import Pictures, write_picture
from unet_tf.data.unknown_values import UnknownValues
from unet_tf.planning.inspection import is_copied, look_at

HALF = np.tile(np.uint8([0, 255]), (40, 20))


def pair_of(folder, image, mask=HALF, suffix=".png"):
    pair = Pair("a", folder / f"a{suffix}", folder / "a_mask.png")
    write_picture(pair.image, image)
    write_picture(pair.mask, mask)
    return pair


def noise(seed, kind=np.uint8):
    return np.random.default_rng(seed).integers(0, 200, (40, 40)).astype(kind)


@pytest.mark.parametrize("at_fault", ["image", "mask"])
def test_an_error_knows_which_of_the_two_files_it_is_about(tmp_path, at_fault):
    pair = pair_of(tmp_path, noise(0))
    getattr(pair, at_fault).write_bytes(b"nothing")
    look = look_at(pair, MaskFormat(), False, False)
    assert look.error.file == getattr(pair, at_fault)
    assert look.fingerprint is None


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("varied", [False, True])
def test_a_mask_with_alpha_is_asked_for_it_where_it_is_read(tmp_path, suffix, varied, monkeypatch):
    layer, asked, alpha = np.dstack([HALF] * 3 + [HALF if varied else HALF | 255]), [], Pictures.alpha
    pair = replace(pair_of(tmp_path, noise(0)), mask=tmp_path / f"layer{suffix}")
    tifffile.imwrite(pair.mask, layer) if suffix == ".tif" else cv2.imwrite(str(pair.mask), layer)
    monkeypatch.setattr(Pictures, "alpha", lambda self, page: asked.append(self.path) or alpha(self, page))
    look = look_at(pair, MaskFormat(), False, False)
    assert (look.error, look.mask_alpha, asked) == (None, varied, [pair.image])


def test_a_size_or_a_value_at_fault_is_the_masks(tmp_path):
    pair = pair_of(tmp_path, noise(0), HALF[:20])
    assert look_at(pair, MaskFormat(), False, False).error.file == pair.mask
    pair = pair_of(tmp_path, noise(0), HALF // 3)
    error = look_at(pair, MaskFormat(), False, False).error
    assert isinstance(error, UnknownValues)
    assert error.file == pair.mask
    assert [(one.value, one.pixels) for one in error.strangers] == [(85, 800)]
    assert error.known == {0, 254}


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (np.uint8, 255, []),
        (np.uint16, 65535, [(65535, 0.0075)]),
        (np.uint16, 1500, []),
        (np.float32, 1e6, [(1e6, 0.0075)]),
        (np.int16, 32767, [(32767, 0.0075)]),
    ],
)
def test_a_value_that_a_gap_of_ten_spreads_parts_from_all_others_is_told(tmp_path, kind, value, expected):
    image = noise(0, kind)
    image[:3, :4] = value
    look = look_at(pair_of(tmp_path, image, suffix=".tif"), MaskFormat(), False, False)
    assert [(one.value, pytest.approx(one.share)) for one in look.outliers] == expected


@pytest.mark.parametrize(
    ("low", "high", "value", "kind", "told"),
    [
        (0, 6000, -9999, np.int16, True),  # reflectance
        (-100, 16000, -28672, np.int16, True),
        (-7900, 100, -9999, np.float32, True),  # depths of a sea
        (-7000, 3000, -32768, np.int16, True),
        (-990, 6000, -999, np.int16, False),  # numbers that go down to it
        (-1024, 3000, -2000, np.int16, False),  # Hounsfield units around which a scanner put another value
        (-40, 4000, -300, np.int16, False),  # brightness without that of the background
    ],
)
def test_a_value_by_which_programs_mean_no_measurement_is_told(tmp_path, low, high, value, kind, told):
    """None of them is three ranges below all others, as a sentinel is."""
    image = np.random.default_rng(0).integers(low, high, (40, 40)).astype(kind)
    image[:3, :4] = value
    look = look_at(pair_of(tmp_path, image, suffix=".tif"), MaskFormat(), False, False)
    assert look.unmeasured == 0
    assert [(one.value, pytest.approx(one.share)) for one in look.outliers] == [(value, 0.0075)] * told
    image[:3, :4] = low
    image[0, 0] = value  # one pixel alone may be by chance
    assert look_at(pair_of(tmp_path, image, suffix=".tif"), MaskFormat(), False, False).outliers == []


def test_bright_spots_on_a_dark_ground_are_no_outlier(tmp_path):
    image = np.random.default_rng(0).normal(100, 3, (200, 200))
    image[50:60, 50:60] = np.linspace(200, 4000, 100).reshape(10, 10)
    look = look_at(pair_of(tmp_path, image.astype(np.uint16), np.tile(HALF, (5, 5))), MaskFormat(), False, False)
    assert look.outliers == []


@pytest.mark.parametrize("value", [-9999, np.finfo(np.float32).min])
def test_pixels_without_a_measurement_are_void_and_bend_nothing(tmp_path, value):
    image = noise(0, np.float32)
    image[:3, :4] = value
    look = look_at(pair_of(tmp_path, image, suffix=".tif"), MaskFormat(), True, True)
    assert (look.unmeasured, look.outliers, look.fingerprint.measured) == (12, [], 40 * 40 - 12)
    assert look.fingerprint.class_pixels.sum() == 40 * 40 - 12
    assert abs(look.fingerprint.mean[0]) < 200


@pytest.mark.parametrize(
    ("image", "copied"),
    [
        (HALF, True),
        (HALF // 255, True),
        (255 - HALF, True),
        (np.stack([HALF, HALF // 2, 9 + HALF // 255], -1), True),
        (HALF.astype(np.uint16) * 257, True),
        (np.zeros_like(HALF), False),
        (np.where(np.indices(HALF.shape).sum(0) == 60, np.uint8(77), HALF), False),
        (noise(0), False),
    ],
)
def test_an_image_that_is_its_mask_whatever_its_colours_is_told(tmp_path, image, copied):
    suffix = ".tif" if image.dtype == np.uint16 else ".png"
    assert look_at(pair_of(tmp_path, image, suffix=suffix), MaskFormat(), False, False).copied == copied


def test_images_that_are_masks_of_objects_or_of_colours_are_told(tmp_path):
    ids = np.arange(1600, dtype=np.uint16).reshape(40, 40) // 7
    assert look_at(pair_of(tmp_path, ids), MaskFormat("instance"), False, False).error is None
    assert look_at(pair_of(tmp_path, ids, ids), MaskFormat("instance"), False, False).copied
    colours = np.array([(9, 9, 9), (9, 8, 9)], np.uint8)[HALF // 255]
    palette = MaskFormat("palette", 2, ((9, 9, 9), (9, 8, 9)))
    assert look_at(pair_of(tmp_path, colours, colours), palette, False, False).copied
    assert not look_at(pair_of(tmp_path, noise(0), colours), palette, False, False).copied


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colours_are_equal_where_all_their_channels_are(dtype):
    high = np.iinfo(dtype).max
    mask = np.array([[[0, 0, high], [0, 1, high], [1, 0, high], [high, high, high], [0, 1, high]]], dtype)
    assert is_copied(np.array([[[7], [8], [9], [1], [8]]]), mask)
    assert not is_copied(np.array([[[7], [8], [9], [1], [7]]]), mask)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_large_image_that_is_no_mask_is_told_by_some_pixels(channels):
    image = np.arange(1_000_000, dtype=np.uint32).reshape(1000, 1000, 1)
    mask = np.zeros((1000, 1000, channels), np.uint8).squeeze()
    tracemalloc.start()
    try:
        assert not is_copied(image, mask)
        assert tracemalloc.get_traced_memory()[1] < 500_000  # bytes: nothing of the size of the picture
    finally:
        tracemalloc.stop()


def test_one_pixel_of_many_tells_that_an_image_is_no_copy(tmp_path):
    mask = np.tile(HALF, (4, 4))
    image = mask.copy()
    image[1, 1] = 7  # which the first look does not see
    assert look_at(pair_of(tmp_path, mask, mask), MaskFormat(), False, False).copied
    assert not look_at(pair_of(tmp_path, image, mask), MaskFormat(), False, False).copied
