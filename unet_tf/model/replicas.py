"""Sums over the replicas that train one net in step; on one device, and on other backends, nothing happens."""

from __future__ import annotations

from typing import Any

import keras


def replicas_in_step() -> int:
    """Number of replicas that each see a part of the batch: 1 outside of a step of `tf.distribute`."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return 1 if context is None else int(context.num_replicas_in_sync)


def sum_over_replicas(value: Any) -> Any:
    """Sum of a tensor of any shape over the replicas, the same on each; `value` itself where there is one.

    Its gradient is the sum of the replicas' gradients.
    """
    if replicas_in_step() == 1:
        return value
    import tensorflow as tf

    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, value)


def over_replicas(value: Any) -> Any:
    """Values of all replicas stacked, (replicas, ...), the same on each.

    Made of one sum, so that it has a gradient on every kind of device.
    """
    import tensorflow as tf

    count = replicas_in_step()
    number = tf.distribute.get_replica_context().replica_id_in_sync_group
    own = tf.reshape(tf.one_hot(number, count, dtype=value.dtype), [count] + [1] * len(value.shape))
    return sum_over_replicas(own * value[None])
