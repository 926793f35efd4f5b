"""A run, opened."""

from pathlib import Path

import numpy as np

import unet_tf

SAVED = Path(__file__).parent / "saved" / "run_0_1"


def test_a_run_of_version_0_1_predicts_as_it_did():
    y, x = np.mgrid[:40, :50]
    found = unet_tf.predict(SAVED, ((x * 7 + y * 11) % 256).astype(np.uint8), probabilities=True)
    np.testing.assert_allclose(found[::4, ::4], np.load(SAVED / "expected.npy"), atol=1e-5)


def test_a_run_of_version_0_1_says_how_it_was_trained():
    run = unet_tf.Run(SAVED)
    assert (run.config.base_filters, run.config.border_weight, run.classes) == (2, 10, ("background", "foreground"))
    assert len(run.files("train")) == 3
