"""Training on several devices and hosts: which strategy, whose share, and a loop with the hooks of `model.fit`.

`fit` itself fails under MultiWorkerMirroredStrategy (keras #20585), and under MirroredStrategy it hands empty parts of
its one-tile validation batches to the other devices.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from unet_tf.errors import InputError
from unet_tf.labels import VOID

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


def fit_workers(
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    tiles: tf.data.Dataset,
    *,
    steps_per_epoch: int,
    epochs: int,
    initial_epoch: int = 0,
    validation_data: tf.data.Dataset | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> keras.callbacks.History:
    """Do what `model.fit` does, in step with the other devices and hosts, to the same losses and weights.

    Each process calls it alike. Callbacks run on the chief alone, so files are written once; the learning rate they set
    and `model.stop_training` reach every process before the next step, and an exception of theirs ends all. Other
    changes that a callback makes to the net stay on the chief and are not allowed. The logs of an epoch are exact; those
    of a step are means over the replicas, as in `fit`.

    Args:
        model: a net whose loss is `WeightedCrossentropy`, built and compiled under `strategy.scope()`.
        strategy: of `choose_strategy`.
        tiles: batches of image, label, weight: the share of this host, `training_dataset(..., share=host_share(...))`.
        steps_per_epoch: optimizer steps an epoch.
        epochs: number of the epoch to stop before.
        initial_epoch: number of the first epoch.
        validation_data: the whole set, the same on each host; they share the work.
        callbacks: as of `fit`.

    Returns:
        The history, with lines on the chief alone.

    Raises:
        InputError: on the other hosts, where the chief has failed.
    """
    steps = _Steps(model, strategy)
    hooks = keras.callbacks.CallbackList(
        list(callbacks) if steps.chief else [], add_history=True, model=model, epochs=epochs, steps=steps_per_epoch
    )
    batches = iter(_on_replicas(tiles, strategy))
    model.stop_training = False
    with steps.failure_told():
        hooks.on_train_begin()
    logs: dict[str, Any] = {}
    for epoch in range(initial_epoch, epochs):
        steps.reset()
        with steps.failure_told():
            hooks.on_epoch_begin(epoch)
        for number in range(steps_per_epoch):
            with steps.failure_told():
                if not model.stop_training:
                    hooks.on_train_batch_begin(number)
            steps.agree()
            if model.stop_training:
                break
            outputs = steps.train(batches)
            with steps.failure_told():
                hooks.on_train_batch_end(number, outputs)
        logs = steps.results()
        if validation_data is not None:
            judged = _validate(steps, validation_data, hooks)
            logs |= {f"val_{name}": value for name, value in judged.items()}
        with steps.failure_told():
            hooks.on_epoch_end(epoch, logs)
        steps.agree()
        if model.stop_training:
            break
    hooks.on_train_end(logs)
    return model.history


def _on_replicas(tiles: tf.data.Dataset, strategy: tf.distribute.Strategy) -> Any:
    """The share of a host, split into the equal shares of its replicas."""
    replicas = strategy.num_replicas_in_sync // host_share(strategy)[1]
    if replicas > 1:
        tiles = tiles.rebatch(tiles.element_spec[0].shape[0] // replicas, drop_remainder=True)
    # Endless: hosts need not ask each other before each step whether one is at its end.
    return strategy.distribute_datasets_from_function(lambda context: tiles.repeat())


class _Steps:
    """What the replicas of a net do together; each host calls the same methods in the same order."""

    def __init__(self, model: keras.Model, strategy: tf.distribute.Strategy) -> None:
        self.model, self.strategy = model, strategy
        self.host, self.hosts = host_share(strategy)
        self.chief = self.host == 0
        self.replicas = strategy.num_replicas_in_sync // self.hosts
        with strategy.scope():
            model.optimizer.build(model.trainable_variables)  # variables are not made within a step
        self._train, self._results = tf.function(self._train_step), tf.function(model.get_metrics_result)
        self._judge, self._share = tf.function(self._judge_step), tf.function(self._share_step)

    def train(self, batches: Iterator) -> dict[str, Any]:
        """One optimizer step; the means of the replicas' logs."""
        return self._train(batches)

    def _train_step(self, batches: Iterator) -> dict[str, Any]:
        outputs = self.strategy.run(self.model.train_step, args=(next(batches),))
        return {name: self.strategy.reduce("MEAN", value, axis=None) for name, value in outputs.items()}

    def judge(self, tiles: Iterator) -> None:
        """Add one tile a replica of this host to the metrics; the other hosts need not take part."""
        self._judge(tiles)

    def _judge_step(self, tiles: Iterator) -> None:
        self.strategy.run(self._judge_tile, args=next(tiles))

    def _judge_tile(self, image: tf.Tensor, label: tf.Tensor, weight: tf.Tensor, count: tf.Tensor) -> None:
        logits = self.model(image, training=False)
        energy, total = self.model.loss.fraction(label, logits, weight)
        self.model.metrics[0].update_state(tf.math.divide_no_nan(energy, total), sample_weight=count)
        self.model.compute_metrics(image, label, logits, weight)

    def reset(self) -> None:
        """Begin the metrics anew."""
        with self.strategy.scope():
            self.model.reset_metrics()

    def results(self) -> dict[str, float]:
        """The metrics over all that the hosts have seen since `reset`."""
        self.agree()
        with self.strategy.scope():
            return {name: float(value) for name, value in self._results().items()}

    def agree(self, failed: bool = False) -> None:
        """Take the learning rate and the wish to stop from the chief.

        Raises:
            InputError: the chief has failed; raised on the others.
        """
        if self.hosts == 1:
            return
        optimizer = self.model.optimizer
        rate = learning_rate(self.model)
        own = tf.constant([rate, self.model.stop_training, failed], tf.float32)
        shared, stop, failed_there = self._share(own).numpy()
        if self.chief:
            return
        if failed_there:
            raise InputError("The chief has failed: its own message says why. Mend that, then start all hosts again.")
        self.model.stop_training = bool(stop)
        if shared != rate:
            optimizer.learning_rate = float(shared)

    def _share_step(self, own: tf.Tensor) -> tf.Tensor:
        def of_chief() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            first = tf.equal(context.replica_id_in_sync_group, 0)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(first, own, tf.zeros_like(own)))

        return self.strategy.experimental_local_results(self.strategy.run(of_chief))[0]

    @contextmanager
    def failure_told(self) -> Iterator[None]:
        """Where the chief's callbacks fail, the others end too, rather than wait for it."""
        try:
            yield
        except Exception:
            self.agree(failed=True)
            raise


def _validate(steps: _Steps, validation_data: tf.data.Dataset, hooks: keras.callbacks.CallbackList) -> dict[str, float]:
    """Loss and metrics of a data set whose batches the hosts, and their replicas, share."""
    with steps.failure_told():
        hooks.on_test_begin()
    steps.reset()
    own = validation_data.shard(steps.hosts, steps.host)
    rounds = -(-int(own.cardinality()) // steps.replicas)
    tiles = iter(_judged_tiles(own, steps)) if rounds else iter(())
    for number in range(rounds):
        with steps.failure_told():
            hooks.on_test_batch_begin(number)
        steps.judge(tiles)
        with steps.failure_told():
            hooks.on_test_batch_end(number)
    logs = steps.results()
    with steps.failure_told():
        hooks.on_test_end(logs)
    return logs


def _judged_tiles(own: tf.data.Dataset, steps: _Steps) -> Any:
    """Image, label, weight and what it counts, of each tile of a host; tiles of void that count 0 fill the last round."""

    def counted(image: tf.Tensor, label: tf.Tensor, weight: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return image, label, weight, tf.cast(tf.shape(image)[0], tf.float32)

    def idle(image: tf.Tensor, label: tf.Tensor, weight: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return image, tf.fill(tf.shape(label), tf.cast(VOID, label.dtype)), weight, 0.0

    tiles = own.map(counted).concatenate(own.take(1).map(idle).repeat(steps.replicas - 1)).repeat()
    return steps.strategy.distribute_datasets_from_function(lambda context: tiles)
