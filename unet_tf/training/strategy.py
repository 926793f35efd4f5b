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
    if host_share()[1] > 1:
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except RuntimeError as error:
            raise InputError(
                f"Training on several hosts starts before any other use of TensorFlow; {error}. Start a new process."
            ) from error
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def host_share() -> tuple[int, int]:
    """(k, n): this process is the k-th of n, from 0; the share of each batch that its tiles are, `training_dataset`.

    The hosts are those of the environment's TF_CONFIG, the chief before the others; without it there is one.

    Raises:
        InputError: TF_CONFIG cannot be read.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text.strip():
        return 0, 1
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
    before = len(jobs.get("chief", [])) if kind == "worker" else 0
    return before + index, sum(map(len, jobs.values()))


def is_chief() -> bool:
    """Whether this process is the one that writes files: the first of TF_CONFIG, or the only one."""
    return host_share()[0] == 0


def check_one_host(work: str, instead: str) -> None:
    """Raise InputError where TF_CONFIG names several hosts, for work that one does alone."""
    if (hosts := host_share()[1]) > 1:
        raise InputError(f"{work} is done by one host alone; TF_CONFIG names {hosts}. {instead}")


def check_batch(batch_size: int, strategy: tf.distribute.Strategy, planned: bool = False) -> None:
    """Raise InputError if a batch of `batch_size` tiles does not divide by the replicas.

    Args:
        batch_size: tiles a step.
        strategy: of `choose_strategy`.
        planned: the run has its batch already, and other devices are the remedy.
    """
    replicas, hosts = strategy.num_replicas_in_sync, host_share()[1]
    if batch_size % replicas == 0:
        return
    lower = batch_size // replicas * replicas
    remedy = f"Choose --batch-size {' or '.join(str(size) for size in (lower, lower + replicas) if size)}"
    if planned:
        few = next((n for n in range(replicas // hosts, 0, -1) if batch_size % (n * hosts) == 0), 0)
        shown = f"CUDA_VISIBLE_DEVICES={','.join(map(str, range(few)))}"
        remedy = f"The run has this batch: show it {few} of them a host, such as {shown}"
        if not few:
            remedy = f"The run has this batch: give it as many hosts as divide it, and not {hosts}"
    raise InputError(
        f"A batch is split into equal parts over the {replicas} devices of {hosts} host(s); received {batch_size} "
        f"tiles. {remedy}."
    )


def learning_rate(model: keras.Model) -> float:
    """Learning rate of the optimizer; `float(...)` of a variable that devices mirror raises."""
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
