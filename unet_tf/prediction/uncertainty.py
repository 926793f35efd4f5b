"""How unsure a net is of each pixel: the entropy of its probabilities, and how far several predictions disagree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unet_tf.model.calibration import TINY


def entropy(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the entropy of (..., C) probabilities as a share of the largest, -sum(p log p) / log C: (...) in [0, 1].

    Example:
        >>> entropy(np.array([[0.5, 0.5], [1, 0]], np.float32)).tolist()
        [1.0, 0.0]
    """
    p = np.asarray(probabilities, np.float32)
    found = (p * -np.log(np.maximum(p, TINY))).sum(-1) / np.float32(np.log(p.shape[-1]))
    return np.clip(found, 0, 1).astype(np.float32)


def uncertainty_and_spread(found: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Part what `Predictor.with_entropy` gives into how unsure, and how much of that is disagreement.

    Args:
        found: (H, W, C + 1), mean probabilities of several predictions, and the mean of their entropies.

    Returns:
        (H, W) entropy of the mean; (H, W) the same less the mean entropy, which is the mutual information of class and
        prediction: 0 where all say the same. Both as shares of log C, in [0, 1].

    Example:
        >>> sure_of_either = np.array([[[0.5, 0.5, 0.0]]], np.float32)
        >>> [float(one[0, 0]) for one in uncertainty_and_spread(sure_of_either)]
        [1.0, 1.0]

    Reference:
        Depeweg et al.: Decomposition of Uncertainty in Bayesian Deep Learning (ICML 2018), section 3.
    """
    whole = entropy(found[..., :-1])
    return whole, np.clip(whole - found[..., -1], 0, 1)
