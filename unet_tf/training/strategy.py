"""Several devices and hosts: the strategy for them, and whose share of the work is this process's."""

from __future__ import annotations

import json
import os

import keras
import tensorflow as tf

from unet_tf.errors import InputError

JOBS = ("chief", "worker")


def choose_strategy() -> tf.distribute.Strategy:
    """The strategy for what this process has: several hosts, several GPUs, or one device.

    Several hosts are those of the environment's TF_CONFIG, one process a host, where it names more than one; the call
    then is the first of TensorFlow in the process, and returns once all of them have come. Build and compile the net
    under `strategy.scope()`.

    Returns:
        MultiWorkerMirroredStrategy, MirroredStrategy, or TensorFlow's default.

    Raises:
        InputError: TF_CONFIG cannot be read, or TensorFlow has run already.

    Example:
        >>> choose_strategy().num_replicas_in_sync  # on one device
        1
    """
    if len(_cluster()) > 1:
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except RuntimeError as error:
            raise InputError(
                f"Training on several hosts starts before any other use of TensorFlow; {error}. Start a new process."
            ) from error
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def _cluster() -> list[str]:
    """Addresses of all hosts in TF_CONFIG, the chief's first; none without it.

    Raises:
        InputError: TF_CONFIG cannot be read.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text.strip():
        return []
    try:
        config = json.loads(text)
        jobs, kind, index = config["cluster"], config["task"]["type"], config["task"]["index"]
        known = all(job in JOBS and isinstance(hosts, list) for job, hosts in jobs.items())
        legal = known and isinstance(index, int) and 0 <= index < len(jobs[kind]) and len(jobs.get("chief", [])) < 2
    except (ValueError, KeyError, TypeError, AttributeError):
        legal = False
    if not legal:
        raise InputError(
            'TF_CONFIG is JSON such as {"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", '
            f'"index": 0}}}}, with an index below the number of workers; received {text!r}. Mend it, or unset it to '
            "train on this host alone."
        )
    return [host for job in JOBS for host in jobs.get(job, [])]


def host_share(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """(k, n): this process is the k-th of n, from 0; the share of each batch that its tiles are, `training_dataset`."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.cluster_spec():
        return 0, 1
    cluster = resolver.cluster_spec()
    counts = {job: cluster.num_tasks(job) for job in JOBS if job in cluster.jobs}
    before = counts.get("chief", 0) if resolver.task_type == "worker" else 0
    return before + resolver.task_id, sum(counts.values())


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes files: the first of TF_CONFIG, or the only one."""
    return host_share(strategy)[0] == 0


def check_batch(batch_size: int, strategy: tf.distribute.Strategy) -> None:
    """Raise InputError if a batch of `batch_size` tiles does not divide by the replicas."""
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        lower = batch_size // replicas * replicas
        nearest = ", ".join(str(size) for size in (lower, lower + replicas) if size)
        raise InputError(
            f"A batch is split into equal parts over the {replicas} devices of {host_share(strategy)[1]} host(s); "
            f"received {batch_size} tiles. Choose --batch-size {nearest.replace(', ', ' or ')}."
        )


def learning_rate(model: keras.Model) -> float:
    """Learning rate of the optimizer; `float(...)` of a variable that devices mirror raises."""
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
