"""Pixels that hold no measurement."""

import itertools

import numpy as np
import pytest
import tifffile

from unet_tf.data.fingerprint import examine, measure_normalisation
from unet_tf.data.folder import Pair, read_pair
from unet_tf.data.masks import MaskFormat
from unet_tf.data.nodata import Measured, fill_nodata, nodata_of, nodata_pixels, nodata_values, occurring
from unet_tf.data.normalisation import Normalisation
from unet_tf.data.pictures import open_pictures, write_picture

LOWEST = float(np.finfo(np.float32).min)


def image_of(dtype, low, high, *sentinels):
    image = np.random.default_rng(0).uniform(low, high, (20, 30, 1)).astype(dtype)
    for row, value in enumerate(sentinels):
        image[row, :7] = value
    return image


@pytest.mark.parametrize(
    ("image", "declared", "expected"),
    [
        (image_of(np.float32, 0, 3000, -9999), (), (-9999.0,)),
        (image_of(np.float32, 0, 1, LOWEST), (), (LOWEST,)),
        (image_of(np.float32, 0, 1, LOWEST, -9999), (), (LOWEST, -9999.0)),
        (image_of(np.float32, 0, 1, 3e38), (), (float(np.float32(3e38)),)),
        (image_of(np.int16, 0, 2000, -32768), (), (-32768.0,)),
        (image_of(np.float32, -2, 2), (), ()),
        (image_of(np.float32, 5, 6, 900), (), ()),  # a saturated bead is a measurement
        (image_of(np.int16, -1000, 1000, -3000), (), ()),  # the air around a CT is one too
        (image_of(np.uint16, 100, 400, 65535), (), ()),
        (image_of(np.uint16, 100, 400, 65535), (65535,), (65535.0,)),
        (image_of(np.uint8, 1, 9, 0), (0,), (0.0,)),
        (image_of(np.uint8, 1, 9), (-9999, 300), ()),
        (np.array([[[-1], [1], [1]]], np.int16), (), ()),
        (np.array([[[-9999], [0], [0]]], np.int16), (), (-9999.0,)),
        (np.full((4, 4, 1), -9999, np.float32), (), ()),
        (np.full((4, 4, 1), -9999, np.float32), (-9999,), (-9999.0,)),
    ],
)
def test_values_that_stand_for_no_measurement(image, declared, expected):
    assert nodata_values(image, declared) == expected


def test_gdal_writes_the_lowest_float_with_fewer_digits():
    image = image_of(np.float32, 0, 1, LOWEST)
    values = nodata_values(image, (-3.40282346638529e38,))
    assert nodata_pixels(image, values).sum() == 7


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_lowest_float64_is_no_overflow(dtype):
    """R and ArcGIS write it; where a file of float32 names it, no pixel holds it."""
    lowest, image = float(np.finfo(np.float64).min), image_of(np.float64, 0, 1)
    image[0, :7] = lowest if dtype == np.float64 else 0.5
    values = nodata_values(image.astype(dtype), (lowest,))
    assert values == ((lowest,) if dtype == np.float64 else ())
    scaled = Normalisation((0.5,), (2.0,), np.dtype(dtype).name, values).scale(image.astype(dtype))
    assert (scaled[0, :7] == 0).all() and (scaled[1:] != 0).all()


def test_the_tag_of_gdal_is_read(tmp_path):
    for text, expected in (("-9999", (-9999.0,)), ("nan ", None), ("none", ())):
        tag = [(42113, "s", 0, text, True)]
        tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 9), np.float32), extratags=tag)
        found = open_pictures(tmp_path / "a.tif").nodata
        assert found == expected if expected is not None else np.isnan(found).tolist() == [True]
    write_picture(tmp_path / "b.png", np.zeros((9, 9), np.uint8))
    assert open_pictures(tmp_path / "b.png").nodata == ()


def test_a_pixel_without_a_channel_is_filled_and_one_without_all_is_void():
    image = image_of(np.float32, 0, 1).repeat(3, axis=2)
    image[0, 0], image[5, 5, 1] = -9999, -9999
    values = nodata_values(image)
    assert np.argwhere(nodata_pixels(image, values)).tolist() == [[0, 0]]
    filled = fill_nodata(image, values)
    assert filled[5, 5, 1] == np.median(np.delete(image[..., 1].ravel(), [0, 5 * 30 + 5]))
    assert (filled != image).sum() == 4


@pytest.mark.parametrize("declared", [True, False])
def test_such_pixels_are_void_and_no_part_of_the_normalisation(tmp_path, declared):
    clean = image_of(np.float32, 0, 100)
    image = clean.copy()
    image[:4] = -9999
    tags = [(42113, "s", 0, "-9999", True)] if declared else []
    tifffile.imwrite(tmp_path / "a.tif", image[..., 0], extratags=tags)
    write_picture(tmp_path / "a_mask.png", np.full((20, 30), 255, np.uint8))
    decoded = read_pair(Pair("a", tmp_path / "a.tif", tmp_path / "a_mask.png"), MaskFormat("binary"))
    assert (decoded.label[:4] == 255).all() and (decoded.label[4:] == 1).all()
    found = measure_normalisation([examine(decoded, 2)])
    np.testing.assert_allclose([found.mean[0], found.std[0]], [clean[4:].mean(), clean[4:].std()], rtol=1e-5)
    assert found.nodata == (-9999.0,)
    scaled = found.scale(image)
    assert (scaled[:4] == 0).all()
    np.testing.assert_allclose(scaled[4:], (clean[4:] - clean[4:].mean()) / clean[4:].std(), atol=1e-4)
    assert decoded.filled.min() >= 0


def test_a_normalisation_of_version_0_1_has_none():
    assert Normalisation.restore({"mean": [1.0], "std": [2.0], "dtype": "uint8"}) == Normalisation(
        (1.0,), (2.0,), "uint8"
    )


SEEN_IN_ROWS = [
    image_of(np.float32, 0, 3000, -9999),
    image_of(np.float32, 0, 1, LOWEST, -9999, -99),
    image_of(np.float32, -2, 2),
    image_of(np.int16, -1000, 1000, -3000),
    image_of(np.int16, -5, 2000, -32768),
    image_of(np.uint16, 100, 400, 65535),
    np.full((4, 4, 1), -9999, np.float32),
    np.float32([-9999, 5, 5, -9999]).reshape(4, 1, 1),
    np.dstack([image_of(np.float32, 0, 1, 3e38), image_of(np.float32, 0, 1, -9999)]),
]


@pytest.mark.parametrize("image", SEEN_IN_ROWS)
@pytest.mark.parametrize(("rows", "columns"), [(1, 100), (3, 7), (100, 2), (100, 100)])
def test_a_picture_that_is_read_in_windows_has_the_same_values(image, rows, columns, monkeypatch):
    monkeypatch.setattr("unet_tf.data.nodata.AREA", rows * columns)
    assert nodata_of(image, block=(rows, columns)) == nodata_values(image)


@pytest.mark.parametrize(
    ("block", "rows", "columns"),
    [
        ((1, 1), (0, 466, 932, 1398, 1500), (0, 9000)),
        ((8, 9000), (0, 464, 928, 1392, 1500), (0, 9000)),  # whole strips
        ((512, 512), (0, 512, 1024, 1500), (0, 8192, 9000)),  # whole tiles
        ((4000, 4000), (0, 1048, 1500), (0, 4000, 8000, 9000)),  # larger than a window may be
        ((1500, 9000), (0, 466, 932, 1398, 1500), (0, 9000)),
    ],
)
def test_windows_take_whole_blocks_and_none_is_larger_for_a_larger_picture(block, rows, columns):
    seen, told = [], []

    class Wide:
        shape, dtype = (1500, 9000, 1), np.dtype(np.float32)

        def __getitem__(self, window):
            seen.append(tuple((part.start, part.stop) for part in window))
            return np.zeros((window[0].stop - window[0].start, window[1].stop - window[1].start, 1), np.float32)

    assert nodata_of(Wide(), (), lambda done, total: told.append((done, total)), block) == ()
    assert seen == list(itertools.product(itertools.pairwise(rows), itertools.pairwise(columns)))
    assert told == [(number, len(seen)) for number in range(1, len(seen) + 1)]


def test_what_is_declared_need_not_be_found_and_is_no_part_of_the_rest():
    image = image_of(np.float32, 0, 1, -9999, -5)
    assert nodata_of(image, (-9999, np.nan)) == (-9999, -5.0)
    assert nodata_of(np.zeros((2, 2, 1), np.uint8), (255,)) == (255,)
    assert nodata_of(np.zeros((2, 2, 1), np.uint8), (-9999, 256)) == ()


def test_values_that_occur_are_found_in_the_last_window_too(monkeypatch):
    monkeypatch.setattr("unet_tf.data.nodata.AREA", 64)
    image = np.ones((40, 30, 2), np.uint8)
    image[39, 29, 1] = 0
    assert occurring(image, (0.0, 5.0, -9999.0)) == (0.0,)


def test_what_is_not_finite_is_no_sentinel_of_an_array():
    assert nodata_of(np.array([[[np.inf], [np.nan], [-np.inf], [2.0]]], np.float32)) == ()


@pytest.mark.parametrize(("mean", "channels"), [((7.0,), 1), ((7.0, 8.0, 9.0), 3), ((7.0, 8.0, 11.5), 1)])
def test_a_picture_gets_the_mean_where_nothing_was_measured(mean, channels):
    image = np.arange(12 * channels, dtype=np.int16).reshape(3, 4, channels)
    image[1, 2:] = -9999
    seen = Measured(image, (-9999.0,), mean)
    assert (seen.shape, seen.dtype) == (image.shape, image.dtype)
    part = seen[1:3, 1:4]
    np.testing.assert_array_equal(part[0, 1:], [mean if channels == len(mean) else [9]] * 2)
    np.testing.assert_array_equal(part[1], image[2, 1:])
    assert (image[1, 2:] == -9999).all()  # nothing is changed in it


GAPS = np.float32([[[-9999, 5], [4, -9999], [-9999, -9999], [1, 2]]])  # (1, 4, 2)
"""A gap in each channel by itself, in both, in none."""


def test_a_gap_in_one_channel_is_the_mean_of_that_channel():
    seen = Measured(GAPS, (-9999.0,), (3.0, 8.0))
    assert seen[0:1, 1:4].tolist() == [[[4, 8], [3, 8], [1, 2]]]
    assert nodata_pixels(GAPS, (-9999.0,)).tolist() == [[False, False, True, False]]  # void and 255 as ever
    known, unknown = (Normalisation((3.0, 8.0), (2.0, 4.0), "float32", values) for values in ((-9999.0,), ()))
    expected = np.float32([[[0, -0.75], [0.5, 0], [0, 0], [-1, -1.5]]])
    np.testing.assert_array_equal(known.scale(GAPS), expected)
    assert known.measured(GAPS, (-9999.0,)) is GAPS
    np.testing.assert_array_equal(unknown.scale(unknown.measured(GAPS, (-9999.0,))[:, :]), expected)


def test_training_and_prediction_see_the_measured_channel_beside_a_gap_alike():
    known = Normalisation((3.0, 8.0), (2.0, 4.0), "float32", (-9999.0,))
    trained, predicted = known.scale(fill_nodata(GAPS, (-9999.0,))), known.scale(GAPS)
    measured = GAPS != -9999
    np.testing.assert_array_equal(trained[measured], predicted[measured])
    assert np.abs(trained).max() < 2 and np.abs(predicted).max() < 2  # and nothing sticks out


def test_a_gap_of_a_grey_picture_is_one_in_all_channels_of_a_net_of_colour():
    known = Normalisation((3.0, 8.0, 9.0), (2.0, 4.0, 1.0), "float32", (-9999.0,))
    assert known.scale(np.float32([[[-9999]]])).tolist() == [[[0, 0, 0]]]
