"""Training in step on several devices and hosts: a loop with the hooks, the losses and the weights of `model.fit`.

`fit` itself fails under MultiWorkerMirroredStrategy (keras #20585), and under MirroredStrategy it hands empty parts of
one-tile validation batches to the other devices, which Keras then cannot add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import keras
import tensorflow as tf

from unet_tf.errors import InputError
from unet_tf.labels import VOID
from unet_tf.training.strategy import host_share, learning_rate
from unet_tf.utils.signals import look

GONE = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)
"""What a step raises where another host is no more: its socket is closed, or it has missed its heartbeats."""


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
    changes that a callback makes to the net would stay on the chief: let it make none. The logs of an epoch are exact;
    those of a step are means over the replicas, as in `fit`.

    Args:
        model: a net whose loss is `WeightedCrossentropy`, built and compiled under `strategy.scope()`.
        strategy: of `choose_strategy`.
        tiles: batches of image, label, weight: the share of this host, `training_dataset(..., share=host_share())`.
        steps_per_epoch: optimizer steps an epoch.
        epochs: number of the epoch to stop before.
        initial_epoch: number of the first epoch.
        validation_data: the whole set, the same on each host; they share the work.
        callbacks: as of `fit`.

    Returns:
        The history, the same on each host.

    Raises:
        InputError: on the hosts that are left, where the chief has failed or a host has gone.
        Stopped: a signal has told this host to stop.
    """
    try:
        return _fit(
            _Steps(model, strategy), tiles, steps_per_epoch, (initial_epoch, epochs), validation_data, callbacks
        )
    except GONE as error:
        raise InputError(
            "All hosts train to the end together; one has gone or no longer answers. Its own message says why. "
            "Start all hosts again."
        ) from error


def _fit(
    steps: _Steps,
    tiles: tf.data.Dataset,
    steps_per_epoch: int,
    epochs: tuple[int, int],
    validation_data: tf.data.Dataset | None,
    callbacks: Sequence[keras.callbacks.Callback],
) -> keras.callbacks.History:
    """The loop of `fit_workers`."""
    model = steps.model
    hooks = keras.callbacks.CallbackList(
        list(callbacks) if steps.chief else [], add_history=True, model=model, epochs=epochs[1], steps=steps_per_epoch
    )
    batches = iter(_on_replicas(tiles, steps))
    model.stop_training = False
    with steps.failure_told():
        hooks.on_train_begin()
    logs: dict[str, Any] = {}
    for epoch in range(*epochs):
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
                look()  # each host: the callbacks are the chief's
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


def _on_replicas(tiles: tf.data.Dataset, steps: _Steps) -> Any:
    """The share of a host, split into the equal shares of its replicas."""
    if steps.replicas > 1:
        tiles = tiles.rebatch(tiles.element_spec[0].shape[0] // steps.replicas, drop_remainder=True)
    # Endless: hosts need not ask each other before each step whether one is at its end.
    return steps.strategy.distribute_datasets_from_function(lambda context: tiles.repeat())


class _Steps:
    """What the replicas of a net do together; each host calls the same methods in the same order."""

    def __init__(self, model: keras.Model, strategy: tf.distribute.Strategy) -> None:
        self.model, self.strategy = model, strategy
        self.host, self.hosts = host_share()
        self.chief = self.host == 0
        self.replicas = strategy.num_replicas_in_sync // self.hosts
        self.train, self._results = tf.function(self._train_step), tf.function(model.get_metrics_result)
        self.judge, self._share = tf.function(self._judge_step), tf.function(self._share_step)

    def _train_step(self, batches: Iterator) -> dict[str, Any]:
        """One optimizer step; the means of the replicas' logs."""
        outputs = self.strategy.run(self.model.train_step, args=(next(batches),))
        return {name: self.strategy.reduce("MEAN", value, axis=None) for name, value in outputs.items()}

    def _judge_step(self, tiles: Iterator) -> None:
        """Add one tile a replica of this host to the metrics; the other hosts need not take part."""
        self.strategy.run(self._judge_tile, args=next(tiles))

    def _judge_tile(self, image: tf.Tensor, label: tf.Tensor, weight: tf.Tensor, count: tf.Tensor) -> None:
        logits = self.model(image, training=False)
        self.model.metrics[0].update_state(self.model.loss.alone(label, logits, weight), sample_weight=count)
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
        except BaseException:  # Stopped too
            with suppress(*GONE):
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
            look()
    logs = steps.results()
    with steps.failure_told():
        hooks.on_test_end(logs)
    return logs


def _judged_tiles(own: tf.data.Dataset, steps: _Steps) -> Any:
    """Image, label, weight and count of each tile of a host; tiles of void that count 0 fill the last round."""

    def counted(image: tf.Tensor, label: tf.Tensor, weight: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return image, label, weight, tf.cast(tf.shape(image)[0], tf.float32)

    def idle(image: tf.Tensor, label: tf.Tensor, weight: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return image, tf.fill(tf.shape(label), tf.cast(VOID, label.dtype)), weight, 0.0

    tiles = own.map(counted).concatenate(own.take(1).map(idle).repeat(steps.replicas - 1)).repeat()
    return steps.strategy.distribute_datasets_from_function(lambda context: tiles)
