from contextlib import nullcontext

import numpy as np
import pytest
import tensorflow as tf

from unet_tf.data.normalisation import Normalisation
from unet_tf.exporting.saved_model import mirrored, signatures, write_saved_model
from unet_tf.geometry import Geometry
from unet_tf.model.calibration import Calibration, tempered
from unet_tf.model.unet import unet
from unet_tf.tiling import mirror_index


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_tiles_in_the_graph_are_those_of_one_pass(padding, tmp_path):
    model = unet((None, None, 3), 3, base_filters=2, depth=2, padding=padding)
    normalisation, geometry = Normalisation((99.0,) * 3, (50.0,) * 3, "uint8"), Geometry(2, padding)
    images = np.random.default_rng(0).integers(0, 256, (2, 91, 120, 3), dtype=np.uint8)
    found = []
    for tile in (84 if padding == "valid" else 88, 400):
        own = {"probabilities": signatures(model, normalisation, geometry, tile)["probabilities"]}
        write_saved_model(model, own, str(tmp_path / str(tile)))
        net = tf.saved_model.load(str(tmp_path / str(tile))).signatures["probabilities"]
        found.append(net(image=tf.constant(images))["probabilities"].numpy())
    assert found[0].shape == (2, 91, 120, 3)
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_the_graph_mirrors_as_numpy_does():
    for start, length, size in ((-5, 20, 4), (-3, 9, 1), (2, 7, 30)):
        found = mirrored(tf.constant(start), tf.constant(length), tf.constant(size)).numpy()
        np.testing.assert_array_equal(found, mirror_index(start, start + length, size))


def test_a_picture_that_is_not_finite_is_refused_before_the_net_sees_it():
    model = unet((None, None, 1), 2, base_filters=2, depth=1)
    found = signatures(model, Normalisation((0.0,), (1.0,), "float32"), Geometry(1, "valid"), 44)
    image = np.zeros((2, 30, 20, 1), np.float32)
    for signature in ("serving_default", "probabilities"):
        found[signature](tf.constant(image[:1]))
        for value in (np.nan, np.inf, -np.inf):
            image[1, 29, 19] = value
            words = "image must hold finite values; it holds NaN or inf"
            with pytest.raises(tf.errors.InvalidArgumentError, match=words):
                found[signature](tf.constant(image))


@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_a_net_that_gives_what_is_not_finite_has_no_mask(threshold):
    model = unet((None, None, 1), 2, base_filters=2, depth=1)
    how, normalisation = Calibration(1.0, threshold), Normalisation((0.0,), (1.0,), "uint8")
    found = signatures(model, normalisation, Geometry(1, "valid"), 44, calibration=how)
    image, weights = np.zeros((30, 20, 1), np.uint8), model.get_weights()
    for value in (0.0, np.nan, np.inf, -np.inf):
        weights[-1][0] = value
        model.set_weights(weights)
        for signature, given in (("serving_default", image[None]), ("encoded", [tf.io.encode_png(image).numpy()])):
            words = r"A net must give finite .* Export again\."
            with nullcontext() if value == 0 else pytest.raises(tf.errors.InvalidArgumentError, match=words):
                found[signature](tf.constant(given))
        p = found["probabilities"](tf.constant(image[None]))["probabilities"].numpy()
        if np.isfinite(value) or np.isnan(value):
            assert (np.isnan(p).any(-1) == np.isnan(value)).all()


def test_pixels_without_a_measurement_count_as_the_mean_in_the_graph():
    model = unet((None, None, 1), 2, base_filters=2, depth=1)
    known = Normalisation((120.0,), (40.0,), "int16", (-9999.0,))
    image = np.random.default_rng(0).integers(0, 255, (1, 40, 50, 1)).astype(np.int16)
    filled = image.copy()
    image[0, 5:20, 7:30], filled[0, 5:20, 7:30] = -9999, 120
    net = signatures(model, known, Geometry(1, "valid"), 44)["probabilities"]
    found = [net(tf.constant(one))["probabilities"].numpy() for one in (image, filled)]
    np.testing.assert_array_equal(*found)


def test_a_gap_in_one_channel_counts_as_its_mean_in_the_graph():
    model = unet((None, None, 2), 2, base_filters=2, depth=1)
    known = Normalisation((120.0, 90.0), (40.0, 30.0), "int16", (-9999.0,))
    image = np.random.default_rng(0).integers(0, 255, (1, 40, 50, 2)).astype(np.int16)
    filled = image.copy()
    image[0, 5:20, 7:30, 1], filled[0, 5:20, 7:30, 1] = -9999, 90
    net = signatures(model, known, Geometry(1, "valid"), 44)["probabilities"]
    found = [net(tf.constant(one))["probabilities"].numpy() for one in (image, filled)]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("value", [4294967295.0, -99999999.0, -9999.9, -1.7976931348623157e308])
def test_a_value_that_float32_does_not_have_is_known_among_float64(value):
    model = unet((None, None, 1), 2, base_filters=2, depth=1)
    known = Normalisation((120.0,), (40.0,), "float64", (value,))
    image = np.random.default_rng(0).integers(0, 255, (1, 40, 50, 1)).astype(np.float64)
    filled = image.copy()
    image[0, 5:20, 7:30], filled[0, 5:20, 7:30] = value, 120
    own = signatures(model, known, Geometry(1, "valid"), 44)
    for signature, output in (("probabilities", "probabilities"), ("serving_default", "mask")):
        found = [own[signature](tf.constant(one))[output].numpy() for one in (image, filled)]
        np.testing.assert_array_equal(*found)


def test_a_value_that_whole_pixels_cannot_hold_is_none_of_theirs():
    model = unet((None, None, 1), 2, base_filters=2, depth=1)
    image = np.arange(40 * 50).reshape(1, 40, 50, 1).astype(np.uint8)
    plain, known = (
        signatures(model, Normalisation((120.0,), (40.0,), "uint8", nodata), Geometry(1, "valid"), 44)
        for nodata in ((), (-9999.0, 300.0, 0.5, 4294967295.0))
    )
    found = [one["probabilities"](tf.constant(image))["probabilities"].numpy() for one in (plain, known)]
    np.testing.assert_array_equal(*found)


@pytest.fixture(scope="module")
def plain_net():
    """A net, and its signatures without temperature and threshold."""
    model = unet((None, None, 1), 2, base_filters=2, depth=1)
    return model, signatures(model, Normalisation((120.0,), (40.0,), "uint8"), Geometry(1, "valid"), 44)


@pytest.mark.parametrize("how", [Calibration(), Calibration(2.0), Calibration(2.0, 0.3), Calibration(0.7, 0.6)])
def test_the_graph_has_temperature_and_threshold(how, plain_net):
    model, plain = plain_net
    normalisation, geometry = Normalisation((120.0,), (40.0,), "uint8"), Geometry(1, "valid")
    image = np.random.default_rng(0).integers(0, 256, (1, 40, 50, 1), dtype=np.uint8)
    found = signatures(model, normalisation, geometry, 44, calibration=how)
    raw = plain["probabilities"](tf.constant(image))["probabilities"].numpy()
    p = found["probabilities"](tf.constant(image))["probabilities"].numpy()
    np.testing.assert_allclose(p, tempered(raw, how.temperature), atol=1e-6)
    mask = found["serving_default"](tf.constant(image))["mask"].numpy()
    expected = plain["serving_default"](tf.constant(image))["mask"].numpy()
    assert (mask == (expected if how.threshold == 0.5 else p[..., 1] > np.float32(how.threshold))).all()
    encoded = tf.io.encode_png(image[0]).numpy()
    content = found["encoded"](tf.constant([encoded]))["mask_bytes"].numpy()[0]
    assert (tf.io.decode_png(content).numpy()[..., 0] == mask[0]).all()
