"""What one look at pairs measures, where float32 or OpenCV has too few digits for it."""

import tracemalloc

import numpy as np
import pytest

from unet_tf.data.fingerprint import _mean_and_deviation, examine, measure_normalisation
from unet_tf.data.folder import Decoded
from unet_tf.errors import InputError


def measured(*images, nodata=()):
    return measure_normalisation(
        [examine(Decoded(image, np.zeros(image.shape[:2], np.uint8), None, nodata), 2) for image in images]
    )


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_images_that_vary_by_less_than_float32_tells_apart_around_their_mean_are_refused(dtype):
    values = np.random.default_rng(0).normal(0, 50, (64, 64, 1)).round().astype(dtype)
    with pytest.raises(InputError, match=r"must be 1e\+03 at least around a mean of 2\.14748e\+09, .*; it is 50. Sub"):
        measured(values + 2**31)
    assert measured(values * 100 + 2**31).std == (pytest.approx(100 * values.std()),)


@pytest.mark.parametrize(
    ("value", "dtype", "other", "pixels"),
    [(65535, np.uint16, 65534, 30), (2_000_000, np.int32, 2_000_001, 32768)],
)
def test_whole_numbers_that_float32_holds_may_vary_by_little(value, dtype, other, pixels):
    image = np.full((256, 256, 1), value, dtype)
    image.ravel()[:pixels] = other
    with pytest.raises(InputError, match=rf"a number every {np.spacing(np.float32(value)):.2g}; it is"):
        measured(image.astype(np.float64) + 1 / 3)
    found = measured(image)
    assert found.std == (pytest.approx(image.std(dtype=np.float64), rel=1e-9),)
    assert len(np.unique(found.apply(image))) == 2


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_memory_of_a_constant_channel_is_not_multiplied(dtype):
    image = np.full((1000, 1000, 1), 200, dtype)
    tracemalloc.start()
    try:
        assert _mean_and_deviation(image, None) == (200, 0)
        assert tracemalloc.get_traced_memory()[1] < image.size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([9, 0, 255, 7], np.uint8, {0, 255}),
        ([9, 65535, 8], np.uint16, {8, 65535}),
        ([-9, 0, 8], np.int16, {-9, 0, 8}),
        ([-9, 3, 8], np.int16, {-9, 8}),
        ([-9.5, 0, 8], np.float32, {-9.5, 0, 8}),
        ([7, 2**32 - 1, 8], np.float64, {7, 2**32 - 1}),
    ],
)
def test_values_that_may_be_nodata_elsewhere_are_noted(values, dtype, expected):
    image = np.array(values, dtype)[None, :, None]
    assert {*examine(Decoded(image, np.zeros(image.shape[:2], np.uint8), None), 2).ends} == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_images_are_constant_whatever_their_value_and_size(dtype):
    for value in (0.1, 1e7 / 3):
        found = measured(*(np.full((side, side, 1), value, dtype) for side in (30, 177, 400)))
        assert found.std == (1.0,)
        assert not found.apply(np.full((5, 5, 1), value, dtype)).any()


def test_a_small_deviation_keeps_its_digits_beside_a_large_mean():
    values = np.random.default_rng(0).integers(0, 6, (50, 60, 1)).astype(np.float64)
    assert measured(values + 1e6).std[0] == pytest.approx(values.std(), rel=1e-9)
    values[:9] = -9  # of no measurement
    found = measured(np.where(values == -9, -9, values + 1e6), nodata=(-9.0,))
    assert found.std[0] == pytest.approx(values[9:].std(), rel=1e-9)
