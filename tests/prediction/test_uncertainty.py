"""Entropy and spread of probabilities."""

import numpy as np
import pytest

from unet_tf.prediction.uncertainty import entropy, uncertainty_and_spread


def test_the_entropy_is_a_share_of_the_largest():
    p = np.array([[0.5, 0.5], [1, 0], [0, 1], [0.9, 0.1]], np.float32)
    own = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1)) / np.log(2)
    np.testing.assert_allclose(entropy(p), [1, 0, 0, own], atol=1e-6)
    assert entropy(np.full((1, 7), 1 / 7, np.float32))[0] == pytest.approx(1)
    assert entropy(p).dtype == np.float32


def test_predictions_that_agree_have_no_spread_and_sure_ones_that_do_not_have_nothing_else():
    one, other = np.array([0.9, 0.1], np.float32), np.array([0.1, 0.9], np.float32)
    agreeing = np.append(one, entropy(one))[None, None]
    whole, spread = uncertainty_and_spread(agreeing)
    assert (whole[0, 0], spread[0, 0]) == (pytest.approx(entropy(one)), 0)
    apart = np.append((one + other) / 2, (entropy(one) + entropy(other)) / 2)[None, None]
    whole, spread = uncertainty_and_spread(apart)
    assert (whole[0, 0], spread[0, 0]) == (1, pytest.approx(1 - entropy(one)))
