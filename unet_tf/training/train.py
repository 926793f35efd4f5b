"""Training: what is open is planned, `model.fit` runs, and the evaluator has the last word."""

from __future__ import annotations

import logging
import math
import shlex
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from unet_tf.config import TrainConfig, config_changes
from unet_tf.data.pipeline import training_dataset
from unet_tf.errors import InputError
from unet_tf.evaluation.evaluate import evaluate
from unet_tf.evaluation.panels import write_weights
from unet_tf.planning.plan import FEWEST_STEPS, OPEN_EPOCHS, Plan, check_memory, plan_speed
from unet_tf.planning.prepare import Prepared, check_unseen, prepare
from unet_tf.run import Run
from unet_tf.training.callbacks import Guard, RunClock, RunFiles, SamplePredictions, write_derived
from unet_tf.training.checkpoint import State, restore_checkpoint
from unet_tf.training.compile import compiled, fastest_precision, memory_in_words, step_seconds
from unet_tf.training.distributed import fit_workers
from unet_tf.training.run_files import LogFile, check_files, locked, save_config, save_files
from unet_tf.training.strategy import check_batch, choose_strategy, host_share, is_chief
from unet_tf.utils.memory import free_memory
from unet_tf.utils.progress import Progress, unseen

log = logging.getLogger("unet_tf")

DEFAULT_MINUTES = 15.0
PATIENCE = 600.0
"""Seconds that a host waits for what the chief writes first."""


def train(
    data: str | Path,
    out: str | Path,
    config: TrainConfig | None = None,
    *,
    callbacks: Sequence[Any] = (),
    on_file: Progress = unseen,
    on_progress: Progress = unseen,
    on_image: Progress = unseen,
    **overrides: Any,
) -> Run:
    """Train a U-Net on a folder of images and masks.

    What the configuration leaves open is chosen from the data, the machine and measured step times, and said with its
    reason. Fills `out` with the configuration, the files used, `best.keras` (best validation mean IoU), `last.keras`
    (from which `resume` goes on), `history.csv` (one line an epoch), `log.txt` and sample predictions; then
    `unet_tf.evaluate` judges the best net and writes the report. Everything is said at level INFO of the logger
    "unet_tf".

    Trains on all GPUs of the machine; on several hosts where TF_CONFIG names them: each calls this alike, on one shared
    folder of the run, and the first of them writes.

    Args:
        data: folder with `images/` and `masks/` of equal names, directly or in `train/`, `val/`, `test/`, or with
            lists of names (`unet_tf.check` tells).
        out: folder of the new run; must not hold one already.
        config: all settings at once; None for the defaults.
        callbacks: further Keras callbacks.
        on_file: called with (files read, files in all) while reading.
        on_progress: called with (done, in all) after each step: seconds of a run limited by time, else steps.
        on_image: called with (images judged, images in all) at the end.
        **overrides: single settings, fields of `TrainConfig`; `classes` may be a number or "a,b,c".

    Returns:
        The run.

    Raises:
        InputError: the data, a setting or the folder cannot be used (nothing is written then), or the loss is not
            finite.

    Example:
        >>> run = train("cells", out="runs/cells", base_filters=16, minutes=5)  # doctest: +SKIP
        >>> unet_tf.predict(run, image)  # doctest: +SKIP
    """
    start = time.monotonic()
    out, data = Path(out), Path(data)
    config = replace(config or TrainConfig(), **config_changes(overrides))
    strategy = choose_strategy()
    if not is_chief(strategy):
        return _take_part(out, data, strategy, on_file)
    _check_free(out)
    with LogFile() as log_file:
        prepared = prepare(data, config, on_file)
        check_unseen({name: samples.seen for name, samples in prepared.splits.items()})
        plan = prepared.plan
        _complete(plan, prepared, start, strategy)
        with locked(out), _saying_how_to_resume(out):
            _check_free(out)
            log_file.open(out / Run.LOG)
            save_files(out, {name: prepared.splits[name] for name in ("train", "val")})
            if plan.config.border_weight or plan.config.class_balance:
                write_weights(out / Run.WEIGHTS, prepared.splits["train"], prepared.masks)
            # Last: where it is, a run has begun, and can be gone on with.
            save_config(out, plan, prepared.masks, prepared.normalisation, data)
            _fit(out, prepared, strategy, start, callbacks, on_progress)
            evaluate(out, data, on_image=on_image)
    return Run(out)


def resume(
    run: str | Path,
    data: str | Path | None = None,
    *,
    callbacks: Sequence[Any] = (),
    on_file: Progress = unseen,
    on_progress: Progress = unseen,
    on_image: Progress = unseen,
) -> Run:
    """Go on with a run that was stopped, from its last complete epoch.

    On a CPU, a run limited by epochs ends with the same weights, optimizer and history, to the bit, as if it had never
    been stopped. A run limited by minutes has those left that it had not used.

    Args:
        run: the run folder.
        data: where its data is now; None for where it was.
        callbacks: as for `train`.
        on_file: as for `train`.
        on_progress: as for `train`.
        on_image: as for `train`.

    Returns:
        The run, complete.

    Raises:
        InputError: the folder holds no run or another process trains in it, or its data or files have changed.

    Example:
        >>> resume("runs/cells")  # doctest: +SKIP
    """
    start = time.monotonic()
    opened = Run(run)
    out, data = opened.path, opened.data if data is None else Path(data)
    strategy = choose_strategy()
    if not is_chief(strategy):
        return _take_part(out, data, strategy, on_file)
    with locked(out), LogFile() as log_file, _saying_how_to_resume(out):
        log_file.open(out / Run.LOG)
        prepared = prepare(data, opened.config, on_file, masks=opened.masks, held=opened.names("val"))
        check_files(out, {name: prepared.splits[name] for name in ("train", "val")})
        _fit(out, prepared, strategy, start, callbacks, on_progress)
        evaluate(out, data, on_image=on_image)
    return Run(out)


def _take_part(out: Path, data: Path, strategy: tf.distribute.Strategy, on_file: Progress) -> Run:
    """Train on one of several hosts that is not the chief: with the chief's plan, writing nothing."""
    until = time.monotonic() + PATIENCE
    while not (out / Run.CONFIG).exists():
        if time.monotonic() > until:
            raise InputError(
                f"The hosts share the folder of the run; {out} has no {Run.CONFIG} of the chief after {PATIENCE} s. "
                "Mount one folder on all of them, and look at what the chief says."
            )
        time.sleep(1)
    run = Run(out)
    prepared = prepare(data, run.config, on_file, masks=run.masks, held=run.names("val"))
    check_files(out, {name: prepared.splits[name] for name in ("train", "val")})
    _fit(out, prepared, strategy, time.monotonic(), (), unseen)
    return run


def _complete(plan: Plan, prepared: Prepared, start: float, strategy: tf.distribute.Strategy) -> None:
    """Choose what is open after the data was read: time, precision, width, steps of an epoch; check the memory."""
    if "batch_size" in plan.reasons and (replicas := strategy.num_replicas_in_sync) > 1:
        plan.config = replace(plan.config, batch_size=(plan.config.batch_size or 1) * replicas)
        plan.reasons["batch_size"] += f", on each of {replicas} devices"
    check_batch(plan.config.batch_size or 1, strategy)
    if not (plan.config.minutes or plan.config.epochs):
        plan.choose("minutes", DEFAULT_MINUTES, "neither minutes nor epochs were given")
    channels, on_cpu = prepared.normalisation.channels, not tf.config.list_physical_devices("GPU")
    if plan.config.precision == "auto":
        plan.choose("precision", *fastest_precision())
    minutes = plan.config.minutes
    seconds_left = minutes * 60 - (time.monotonic() - start) if minutes else math.inf
    if seconds_left <= 0:
        raise InputError(
            f"A run has time to train; reading took all of its {minutes:g} minutes "
            f"({time.monotonic() - start:.0f} s). Give more --minutes, or --epochs."
        )

    def seconds(config: TrainConfig) -> float:
        if on_cpu:
            check_memory(config, channels, free_memory())
        return step_seconds(config, channels)

    plan_speed(plan, seconds_left, seconds)
    one_pass = math.ceil(len(prepared.tiles().draws) / (plan.config.batch_size or 1))
    words = f"{one_pass} steps see each pixel about once; {FEWEST_STEPS} at least"
    plan.choose("steps_per_epoch", max(FEWEST_STEPS, one_pass), words)
    for name, reason in plan.reasons.items():
        log.info(f"{name} = {getattr(plan.config, name)}: {reason}")
    if on_cpu:
        log.info(f"memory: {check_memory(plan.config, channels, free_memory())}")


def _fit(
    out: Path,
    prepared: Prepared,
    strategy: tf.distribute.Strategy,
    start: float,
    callbacks: Sequence[Any],
    on_progress: Progress,
) -> None:
    """Build the net, restore it where there is a checkpoint, and train it to the end of the run."""
    config = prepared.plan.config
    with memory_in_words(config):
        with strategy.scope():
            model = compiled(config, prepared.normalisation.channels)
            state = restore_checkpoint(model, out / Run.LAST) if (out / Run.LAST).exists() else State()
        if state.history:
            log.info(f"going on after epoch {len(state.history)}")
            start -= state.history[-1]["seconds"]
            if is_chief(strategy):
                write_derived(out, state)
        if state.finished:
            return
        done, steps, batch_size = len(state.history), config.steps_per_epoch or 1, config.batch_size or 1
        along = [
            _guard(prepared, done),  # before the clock, which says the line of the epoch
            RunClock(config, start, done, on_progress),
            *_samples(out, prepared, strategy),
            *callbacks,  # before the files: one may end the run
            RunFiles(out, config.patience, state),
        ]
        tiles = training_dataset(
            prepared.tiles(), batch_size, first_tile=done * steps * batch_size, share=host_share(strategy)
        )
        course: dict[str, Any] = {
            "steps_per_epoch": steps,
            "initial_epoch": done,
            "epochs": config.epochs or OPEN_EPOCHS,
        }
        course |= {"validation_data": prepared.held_out(), "callbacks": along}
        if strategy.num_replicas_in_sync > 1:
            fit_workers(model, strategy, tiles, **course)
        else:
            model.fit(tiles, **course, verbose=0, shuffle=False)  # the tiles are in their order already


def _guard(prepared: Prepared, epochs_done: int) -> Guard:
    config, train, draw = prepared.plan.config, prepared.splits["train"], prepared.tiles()
    batch_size, pixels = config.batch_size or 1, train.class_pixels / train.class_pixels.sum()

    def files(step: int) -> list[str]:
        return [train.pairs[draw.sample_of(n)].name for n in range(step * batch_size, (step + 1) * batch_size)]

    shares = dict(zip(config.classes or (), pixels.tolist(), strict=True))
    absent = int((prepared.splits["val"].class_pixels == 0).sum())
    return Guard(shares, files, epochs_done, config.steps_per_epoch or 1, absent)


def _samples(out: Path, prepared: Prepared, strategy: tf.distribute.Strategy) -> list[SamplePredictions]:
    """Sample predictions, where one device can make them alone."""
    if strategy.num_replicas_in_sync > 1:
        return []
    shown = prepared.splits["val"][0]
    classes = prepared.plan.config.classes or ()
    return [SamplePredictions(out, shown, prepared.normalisation.scale, classes, prepared.masks)]


def _check_free(out: Path) -> None:
    """Raise InputError if `out` holds a run or is a file."""
    if taken := [name for name in (Run.CONFIG, Run.HISTORY, Run.BEST, Run.LAST, Run.REPORT) if (out / name).exists()]:
        raise InputError(
            f"{out} already holds a run ({', '.join(taken)}). Go on with it by --resume {out}, choose another --out, "
            "or remove it first."
        )
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file. Choose another --out for the folder of the run.")


@contextmanager
def _saying_how_to_resume(out: Path) -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, and say in both cases how to go on."""
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _interrupt) if in_main else None
    try:
        yield
    except KeyboardInterrupt:
        if (out / Run.CONFIG).exists():
            log.warning(f"Stopped. Go on with: unet-tf train --resume {shlex.quote(str(out))}")
        raise
    finally:
        if in_main:
            signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
