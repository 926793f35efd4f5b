"""From a plan to a trained net: `model.fit` with all that goes along, from the last complete epoch to the end."""

from __future__ import annotations

import gc
import logging
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unet_tf.data.pipeline import training_dataset
from unet_tf.errors import InputError
from unet_tf.plan import Plan
from unet_tf.planning.prepare import Prepared
from unet_tf.training.callbacks import BEFORE, Guard, Looking, RunClock, RunFiles, SamplePredictions
from unet_tf.training.checkpoint import State
from unet_tf.training.compile import compiled, memory_in_words
from unet_tf.training.distributed import fit_workers
from unet_tf.training.run_writer import RunWriter
from unet_tf.training.start import read_start, renaming, said_of
from unet_tf.training.strategy import check_batch, host_share, is_chief
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look

log = logging.getLogger("unet_tf")

SCHEDULES = keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau
"""Callbacks that set the learning rate after an epoch."""
OPEN_EPOCHS = 1_000_000
"""What `fit` of Keras is told where the number of epochs is not limited."""


@dataclass(frozen=True)
class Watchers:
    """Who watches a run: further Keras callbacks, and who is told how far reading, training and judging are.

    Raises:
        InputError: a callback sets the learning rate, which the clock of the run sets before each step.
    """

    callbacks: Sequence[Any] = ()
    on_file: Progress = unseen
    on_progress: Progress = unseen
    on_image: Progress = unseen

    def __post_init__(self) -> None:
        given: Any = self.callbacks  # as Keras takes them: one by itself, lists in lists, None for none; iterators too
        listed = keras.tree.flatten([given] if isinstance(given, keras.callbacks.Callback) else list(given or ()))
        object.__setattr__(self, "callbacks", listed)
        for one in listed:
            if isinstance(one, SCHEDULES):
                raise InputError(
                    "A run has its own schedule of the learning rate: a warm-up, the peak, a fall to zero; received a "
                    f"{type(one).__name__}, which would change nothing. Leave it out, and choose the peak "
                    "(learning_rate, --learning-rate) and the length (epochs, minutes, patience) of the run."
                )


def fit(
    writer: RunWriter,
    plan: Plan,
    prepared: Prepared,
    strategy: tf.distribute.Strategy,
    start: float,
    watchers: Watchers,
    timed: keras.Model | None = None,
    begun: bool = False,
) -> None:
    """Build the net, restore it where there is a checkpoint, and train it to the end of the run.

    Args:
        writer: of the run folder.
        plan: of the run.
        prepared: its data.
        strategy: of `choose_strategy`.
        start: `time.monotonic()` when this process began with the run; of one that goes on it does not count.
        watchers: of the run.
        timed: the net whose steps were timed for the plan, at its start; it is taken, where there is one, for what it
            has traced.
        begun: whether the plan is one that was made before, of this run or of another that it must equal.

    Raises:
        InputError: the memory does not hold a step, a file was changed or has gone, or the loss is not finite.
        Stopped: a signal has told to stop.
    """
    check_batch(plan.batch_size, strategy, planned=True)
    with memory_in_words(plan, begun), _data_in_words(prepared):
        with strategy.scope():
            model = timed or compiled(plan, prepared.normalisation.channels, prepared.class_shares)
            state = writer.restore(model)
            if plan.start_from and not state.history:
                start_from = read_start(plan.start_from)
                log.info(said_of(start_from.give(model, plan.classes), start_from, model))
                if words := renaming(start_from, plan.classes):
                    log.warning(words)
        done = len(state.history)
        if done:
            log.info(f"going on after epoch {done}")
            if is_chief():
                writer.save_derived(state)
        if state.finished:
            return
        look()
        looked_at = prepared.looked_at(plan.val_tiles) if "val" in prepared.splits else None
        absent = 0 if looked_at is None else int((looked_at.class_pixels == 0).sum())
        along = _callbacks(writer, plan, prepared, strategy, state, start, watchers, absent)
        first = done * plan.steps_per_epoch * plan.batch_size
        tiles = training_dataset(prepared.tiles(), plan.batch_size, first_tile=first, share=host_share())
        course: dict[str, Any] = {
            "steps_per_epoch": plan.steps_per_epoch,
            "initial_epoch": done,
            "epochs": int(min(plan.epochs, OPEN_EPOCHS)),
            "validation_data": None if looked_at is None else prepared.held_out(tiles=looked_at.tiles),
            "callbacks": along,
        }
        with _threads_ended():
            if strategy.num_replicas_in_sync > 1:
                fit_workers(model, strategy, tiles, **course)
            else:
                model.fit(tiles, **course, verbose=0, shuffle=False)  # the tiles are in their order already


def _callbacks(
    writer: RunWriter,
    plan: Plan,
    prepared: Prepared,
    strategy: tf.distribute.Strategy,
    state: State,
    start: float,
    watchers: Watchers,
    absent: int,
) -> list[Any]:
    """All callbacks of a run, in their order: those of others before the files, since one may end the run."""
    done = len(state.history)
    guard = _guard(plan, prepared, done)
    before = state.history[-1].get(BEFORE, 0.0) if done else None
    if done:
        start = time.monotonic() - state.history[-1]["seconds"]
    along = [RunClock(plan, start, done, watchers.on_progress, absent, before), guard]
    along += _samples(writer, plan, prepared, strategy)
    return [*along, *watchers.callbacks, RunFiles(writer, plan.patience, state, lambda: guard.line), Looking()]


@contextmanager
def _threads_ended() -> Iterator[None]:
    """End the threads of tf.data where the block fails: they run our Python, and must not outlive the interpreter.

    The frames of a failed `fit` hold the iterators of these threads, and the error holds the frames.
    """
    try:
        yield
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)
        gc.collect()
        raise


def _guard(plan: Plan, prepared: Prepared, epochs_done: int) -> Guard:
    train, draw, batch_size = prepared.splits["train"], prepared.tiles(), plan.batch_size
    pixels = train.class_pixels / train.class_pixels.sum()

    def files(step: int) -> list[str]:
        return [train.pairs[draw.sample_of(n)].name for n in range(step * batch_size, (step + 1) * batch_size)]

    shares = dict(zip(plan.classes, pixels.tolist(), strict=True))
    return Guard(shares, files, epochs_done, plan.steps_per_epoch)


def _samples(
    writer: RunWriter, plan: Plan, prepared: Prepared, strategy: tf.distribute.Strategy
) -> list[SamplePredictions]:
    """Sample predictions, where one device can make them alone."""
    if strategy.num_replicas_in_sync > 1:
        return []
    shown, normalisation = prepared.splits["val" if "val" in prepared.splits else "train"][0], prepared.normalisation

    def scaled(image: NDArray) -> NDArray[np.float32]:
        return normalisation.scale(normalisation.measured(image, shown.nodata)[:, :])

    return [SamplePredictions(writer, shown, scaled, plan.classes, prepared.masks)]


@contextmanager
def _data_in_words(prepared: Prepared) -> Iterator[None]:
    """Say which file was at fault where a tile could not be made; tf.data hides it in a traceback."""
    try:
        yield
    except tf.errors.OpError as error:
        failures = [split.failure for split in prepared.splits.values() if split.failure is not None]
        if failures:
            raise failures[0] from None
        raise error
