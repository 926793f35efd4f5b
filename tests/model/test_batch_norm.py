"""TensorFlow's fused kernel in the place of Keras' own batch normalisation."""

import keras
import numpy as np
import pytest

from unet_tf.config import PRECISIONS
from unet_tf.model.batch_norm import fuse_batch_norm
from unet_tf.model.losses import WeightedCrossentropy
from unet_tf.model.unet import unet


@pytest.fixture
def float32_after():
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(("precision", "filters"), [("float32", 4), ("bfloat16", 4), ("bfloat16", 16)])
def test_fused_batch_norm_trains_and_predicts_as_keras_own_does(precision, filters, float32_after):
    models = []
    for fused in (False, True):
        keras.utils.set_random_seed(0)
        keras.config.set_dtype_policy(PRECISIONS[precision])
        model = unet((None, None, 1), 2, filters, 1, "same", batch_norm=True)
        if fused:
            fuse_batch_norm(model)
        models.append(model)
    plain, fused = models
    assert fused.to_json() == plain.to_json()
    rng = np.random.default_rng(0)
    images, labels = rng.normal(2, 3, (4, 16, 16, 1)).astype(np.float32), rng.integers(0, 2, (4, 16, 16))
    tolerance = 1e-5 if precision == "float32" else 0.1
    np.testing.assert_allclose(fused(images), plain(images), atol=tolerance)
    np.testing.assert_allclose(fused(images, training=True), plain(images, training=True), atol=tolerance)
    for model in models:
        model.compile(keras.optimizers.SGD(0.1), WeightedCrossentropy())
        model.train_on_batch(images, labels)
    for a, b in zip(plain.get_weights(), fused.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance, rtol=0.01)
    np.testing.assert_allclose(fused(images), plain(images), atol=0.1, rtol=0.1)  # the statistics are others now
    if precision == "float32":  # the fused kernel's variance is that of a sample, n / (n - 1) with n = 4 * 16 * 16
        a, b = (np.array(m.get_layer("down0_conv1_norm").moving_variance) - 0.9 for m in models)
        np.testing.assert_allclose(b / a, 1024 / 1023, rtol=2e-4)
        assert (b > a).all()
