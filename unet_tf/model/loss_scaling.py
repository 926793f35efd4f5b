"""Training in float16: the scale of the loss, which replicas share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from unet_tf.model.replicas import sum_over_replicas


@keras.saving.register_keras_serializable("unet_tf")
class LossScaling(keras.optimizers.LossScaleOptimizer):
    """Keras' optimizer that scales the loss, for replicas of `tf.distribute` too.

    A step whose gradients overflow is left out, and the scale halved. Keras asks the first replica alone whether they
    do, before gradients are added up: an overflow on another one would get into the weights of all.

    Args:
        inner_optimizer: makes the step.
        **settings: of `keras.optimizers.LossScaleOptimizer`.
    """

    def check_finite(self, grads: Sequence[Any]) -> Any:
        """Whether the gradients of all replicas are finite."""
        overflows = ops.cast(ops.logical_not(super().check_finite(grads)), "float32")
        return sum_over_replicas(overflows) == 0
