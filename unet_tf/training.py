"""Training: `model.fit`, its callbacks, and the run folder it fills; ends with the evaluator's verdict."""

from __future__ import annotations

import csv
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from unet_tf.config import TrainConfig, config_changes
from unet_tf.data.pipeline import TileDraw, training_dataset, validation_dataset
from unet_tf.errors import InputError
from unet_tf.evaluation import evaluate
from unet_tf.files import replacing
from unet_tf.fused import fuse_batch_norm
from unet_tf.geometry import default_tile
from unet_tf.losses import WeightedCrossentropy
from unet_tf.metrics import MeanIoU
from unet_tf.preparation import check_unseen, prepare
from unet_tf.reporting import write_weights
from unet_tf.run import Run, save_config, save_files

log = logging.getLogger("unet_tf")

DEFAULT_MINUTES = 15.0
WARM_UP = 0.02
"""Share of the run in which the learning rate rises."""


def train(
    data: str | Path,
    out: str | Path,
    config: TrainConfig | None = None,
    *,
    callbacks: Sequence[Any] = (),
    on_file: Callable[[int, int], None] = lambda done, total: None,
    on_image: Callable[[int, int], None] = lambda done, total: None,
    **overrides: Any,
) -> Run:
    """Train a U-Net on a folder of images and masks.

    Fills `out` with the configuration, the files used, `best.keras` (best validation mean IoU), `last.keras` and
    `history.csv` (one line an epoch); then `unet_tf.evaluate` judges the best net and writes the report. Each epoch is
    a line at level INFO of the logger "unet_tf".

    Args:
        data: folder with `images/` and `masks/` of equal stems, directly or in `train/`, `val/`, `test/`.
        out: folder of the new run; must not hold one already.
        config: all settings at once; None for the defaults.
        callbacks: further Keras callbacks.
        on_file: called with (files read, files in all) while reading.
        on_image: called with (images judged, images in all) at the end.
        **overrides: single settings, fields of `TrainConfig`; `classes` may be a number or "a,b,c".

    Returns:
        The run.

    Raises:
        InputError: the data, a setting or the folder cannot be used; nothing is written then.

    Example:
        >>> run = train("cells", out="runs/cells", base_filters=16, minutes=5)  # doctest: +SKIP
        >>> unet_tf.predict(run, image)  # doctest: +SKIP
    """
    start = time.monotonic()
    out, data = Path(out), Path(data)
    config = replace(config or TrainConfig(), **config_changes(overrides))
    _check_free(out)
    prepared = prepare(data, config, on_file)
    check_unseen(prepared.splits)
    minutes = config.minutes if config.minutes or config.epochs else DEFAULT_MINUTES
    config, geometry = replace(prepared.config, minutes=minutes), prepared.geometry
    samples, normalisation = prepared.splits["train"], prepared.normalisation

    with _memory_in_words(config):
        model = _compiled(config, normalisation.channels)
    draw = TileDraw(
        samples, normalisation, geometry, prepared.tile, config.augmentation, config.seed, config.rare_share
    )
    steps = max(config.min_steps, math.ceil(len(draw.draws) / config.batch_size))
    clock = RunClock(config, steps, start)
    tiles = training_dataset(draw, config.batch_size)
    held_out = validation_dataset(prepared.splits["val"], normalisation, geometry, default_tile(geometry))

    save_config(out, config, prepared.masks, normalisation, data)
    save_files(out, {name: prepared.splits[name] for name in ("train", "val")})
    if config.border_weight or config.class_balance:
        write_weights(out / Run.WEIGHTS, samples, prepared.masks)
    with _memory_in_words(config):
        model.fit(
            tiles,
            steps_per_epoch=steps,
            epochs=clock.epochs,
            validation_data=held_out,
            callbacks=[clock, RunFiles(out, config.patience), *callbacks],
            verbose=0,
            shuffle=False,  # the data set is in its order already
        )
    run = Run(out)
    evaluate(run, data, on_image=on_image)
    return run


def _check_free(out: Path) -> None:
    """Raise InputError if `out` holds a run or is a file."""
    if taken := [name for name in (Run.CONFIG, Run.HISTORY, Run.BEST, Run.LAST, Run.REPORT) if (out / name).exists()]:
        raise InputError(f"{out} already holds a run ({', '.join(taken)}). Choose another --out, or remove it first.")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file. Choose another --out for the folder of the run.")


@contextmanager
def _memory_in_words(config: TrainConfig) -> Iterator[None]:
    """Say what to lower where the memory of the device does not do."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise InputError(
            f"The memory does not hold {config.base_filters} base filters at depth {config.depth} with "
            f"{config.batch_size} tiles of {config.tile} px a step. Lower --batch-size, --tile, --base-filters "
            "or --depth."
        ) from error


def _compiled(config: TrainConfig, channels: int) -> keras.Model:
    """The net of a configuration, seeded, with optimizer, loss and metric."""
    keras.utils.set_random_seed(config.seed)
    model = config.build(channels)
    fuse_batch_norm(model)
    model.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate),
        loss=WeightedCrossentropy(),
        metrics=[MeanIoU(config.num_classes)],
    )
    return model


def epoch_line(epoch: int, logs: dict[str, Any]) -> str:
    """An epoch, counted from 0, in one line."""
    return (
        f"epoch {epoch + 1:4d}  {logs['seconds']:6.0f} s  loss {logs['loss']:.4f}  "
        f"validation loss {logs['val_loss']:.4f}  validation mean IoU {logs['val_mean_iou']:.4f}"
    )


class RunClock(keras.callbacks.Callback):
    """Sets the learning rate by how much of the run is done, and ends the run when its time is up.

    The share done is the larger of epochs done / epochs and minutes used / minutes, so that the cosine reaches zero
    whichever limit comes first. What the last validation took is kept free at the end.

    Args:
        config: its epochs, minutes and learning rate.
        steps: optimizer steps an epoch.
        start: `time.monotonic()` when the run began.
    """

    def __init__(self, config: TrainConfig, steps: int, start: float) -> None:
        super().__init__()
        self.epochs = config.epochs or 1_000_000
        self.seconds = config.minutes * 60 if config.minutes else math.inf
        self.peak, self.steps, self.start = config.learning_rate, steps, start
        self.step = 0
        self.validation_start = self.validation_seconds = 0.0

    @property
    def share(self) -> float:
        """Share of the run that is done, in [0, 1]."""
        usable = max(self.seconds - self.validation_seconds, 1e-9)
        by_time = (time.monotonic() - self.start) / usable
        return min(1.0, max(self.step / (self.epochs * self.steps), by_time))

    def learning_rate(self, share: float) -> float:
        """Linear warm-up, then a cosine from the peak to zero."""
        if share < WARM_UP:
            return self.peak * max(share, 1e-3) / WARM_UP
        return self.peak * 0.5 * (1 + math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP)))

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the learning rate of the step."""
        self.model.optimizer.learning_rate = self.learning_rate(self.share)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count the step; stop where the time is up."""
        self.step += 1
        if self.seconds < math.inf and self.share >= 1:
            self.model.stop_training = True

    def on_test_begin(self, logs: Any = None) -> None:
        """Note when validation began."""
        self.validation_start = time.monotonic()

    def on_test_end(self, logs: Any = None) -> None:
        """Note how long validation took."""
        self.validation_seconds = time.monotonic() - self.validation_start

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Add learning rate and seconds to the line of the epoch.

        Raises:
            InputError: the loss is not finite; the files of the epochs before stay.
        """
        if not math.isfinite(logs["loss"]):
            raise InputError(
                f"The loss is {logs['loss']} in epoch {epoch + 1}: training has diverged. Lower --learning-rate "
                f"({self.peak:g}); what the run saved before stays."
            )
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        logs["seconds"] = round(time.monotonic() - self.start, 1)
        log.info(epoch_line(epoch, logs))


class RunFiles(keras.callbacks.Callback):
    """Writes the files of a run, each whole: `last.keras` and `history.csv` each epoch, `best.keras` at a new best.

    Ends a run that stands still.

    Args:
        out: the run folder.
        patience: epochs without a better validation mean IoU after which training ends, or None.
    """

    def __init__(self, out: Path, patience: int | None) -> None:
        super().__init__()
        self.out, self.patience = out, patience
        self.history: list[dict[str, Any]] = []
        self.best, self.best_epoch = -math.inf, 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Save, compare, and stop where patience is at its end."""
        last = self.out / Run.LAST
        with replacing(last) as temporary:
            self.model.save(temporary)
        if logs["val_mean_iou"] > self.best:
            self.best, self.best_epoch = logs["val_mean_iou"], epoch
            with replacing(self.out / Run.BEST) as temporary:
                shutil.copyfile(last, temporary)
        self.history.append({"epoch": epoch, **logs})
        with replacing(self.out / Run.HISTORY) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.history[0])
            writer.writeheader()
            writer.writerows(self.history)
        if self.patience and epoch - self.best_epoch >= self.patience:
            self.model.stop_training = True
