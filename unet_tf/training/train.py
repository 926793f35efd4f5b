"""Training: what is open is planned, `model.fit` runs, and the evaluator has the last word."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from unet_tf.config import TrainConfig, changed
from unet_tf.errors import InputError
from unet_tf.evaluation.evaluate import evaluate_run
from unet_tf.evaluation.result import Evaluation
from unet_tf.model.inference import check_backend
from unet_tf.plan import Plan
from unet_tf.planning.ancestors import learnt
from unet_tf.planning.checks import check_unseen
from unet_tf.planning.holding_out import plan_share
from unet_tf.planning.plan import Choice, check_memory, choose, make_plan, plan_course
from unet_tf.planning.prepare import Prepared, prepare
from unet_tf.run import Run
from unet_tf.training.calibrate import calibrate
from unet_tf.training.callbacks import check_time
from unet_tf.training.compile import compiled, fastest_precision, step_seconds
from unet_tf.training.fit import Watchers, fit
from unet_tf.training.run_writer import RunWriter, check_same_files
from unet_tf.training.start import read_start, with_whole_path
from unet_tf.training.strategy import check_batch, choose_strategy, is_chief
from unet_tf.utils.chance import own_chance
from unet_tf.utils.memory import free_memory
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look, stoppable
from unet_tf.utils.text import argument

log = logging.getLogger("unet_tf")

DEFAULT_MINUTES = 15.0
LEARNING_RATES = 1e-3, 3e-4
"""At its peak, of a net that starts anew, and of one that was trained before."""
OF_ITS_FOLD = ("val_share", "val_tiles")
"""Settings that a fold has by what it holds out, though all follow one plan, where nobody said them."""
PATIENCE = 3600.0
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
    reason. Fills `out` with the configuration, the files used, `best.keras` (of the last epoch that is as good as the
    best), `last.keras` (from which `resume` goes on), `history.csv` (one line an epoch), `calibration.json` (how sure
    that net may be, by the validation files), `log.txt` and sample predictions; then `unet_tf.evaluate` judges
    `best.keras` and writes the report. Everything is said at level INFO of the logger "unet_tf".

    Ctrl-C and SIGTERM end the work after the step under way; the last complete epoch is kept. A second signal does what
    it does without this call.

    Trains on all GPUs of the machine; on several hosts where TF_CONFIG names them: each calls this alike, on one shared
    folder of the run, and the first of them writes.

    Args:
        data: folder with `images/` and `masks/` of equal names, directly or in `train/`, `val/`, `test/`, or with
            lists of names (`unet_tf.check` tells).
        out: folder of the new run; must not hold one already.
        config: all settings at once; None for the defaults.
        callbacks: further Keras callbacks; none that sets the learning rate, which has the schedule of the run.
        on_file: called with (files read, files in all) while reading.
        on_progress: called with (done, in all) after each step: seconds of a run limited by time, else steps.
        on_image: called with (images judged, images in all) at the end.
        **overrides: single settings, fields of `TrainConfig`; `classes` may be a number or "a,b,c".

    Returns:
        The run.

    Raises:
        InputError: the data, a setting or the folder cannot be used (nothing is written then), or the loss is not
            finite.
        Stopped: a signal has told to stop; it is a KeyboardInterrupt.

    Example:
        >>> run = train("cells", out="runs/cells", base_filters=16, minutes=5)  # doctest: +SKIP
        >>> unet_tf.predict(run, image)  # doctest: +SKIP
    """
    config = with_whole_path(changed(config, overrides))
    watchers = Watchers(callbacks, on_file, on_progress, on_image)
    with own_chance(), RunWriter(Path(out)) as writer, _saying_how_to_go_on(writer):
        begin_run(writer, Path(data), config, watchers)
    return Run(out)


def resume(
    run: Run | str | Path,
    data: str | Path | None = None,
    *,
    callbacks: Sequence[Any] = (),
    on_file: Progress = unseen,
    on_progress: Progress = unseen,
    on_image: Progress = unseen,
) -> Run:
    """Go on with a run that was stopped, from its last complete epoch.

    On a CPU, a run limited by epochs ends with the same weights, optimizer and history, to the bit, as if it had never
    been stopped. A run limited by minutes has those left that it had not used. A run that is complete is judged anew.

    Args:
        run: the run, or its folder.
        data: where its data is now; None for where it was.
        callbacks: further Keras callbacks; none that sets the learning rate, which has the schedule of the run.
        on_file: called with (files read, files in all) while reading.
        on_progress: called with (done, in all) after each step: seconds of a run limited by time, else steps.
        on_image: called with (images judged, images in all) at the end.

    Returns:
        The run, complete.

    Raises:
        InputError: the folder holds no run or another process trains in it, or its data or files have changed.
        Stopped: a signal has told to stop; it is a KeyboardInterrupt.

    Example:
        >>> unet_tf.resume("runs/cells", data="moved/cells")  # doctest: +SKIP
    """
    watchers = Watchers(callbacks, on_file, on_progress, on_image)
    with own_chance(), RunWriter(Path(run)) as writer, _saying_how_to_go_on(writer, data):
        go_on(writer, None if data is None else Path(data), watchers)
    return Run(run)


def begin_run(
    writer: RunWriter,
    data: Path,
    config: TrainConfig,
    watchers: Watchers,
    planned: tuple[Plan, Run] | None = None,
    folds: Sequence[str] = (),
    judged: str | None = None,
) -> Evaluation | None:
    """Plan a new run, train and judge it.

    Args:
        writer: of its folder.
        data: folder of images and masks.
        config: what a person said.
        watchers: of the run.
        planned: a plan that was made already, which asks for `config`, and the run that it was made for: masks say the
            classes as there, and files must be the same.
        folds: all that will be trained.
        judged: split that is scored; None for files that it was not trained on.

    Returns:
        What it scored; None on a host that is not the first.
    """
    check_backend()
    start = time.monotonic()
    strategy = choose_strategy()
    if not is_chief():
        _take_part(writer, data, strategy, watchers.on_file)
        return None
    writer.check_free()
    if writer.path.resolve() == data.resolve():
        raise InputError(
            f"A run must have a folder of its own; {writer.path} is that of the data. Choose another --out."
        )
    if config.start_from is not None and not planned:
        config = read_start(config.start_from).sizes_for(config)
    prepared = prepare(data, config, watchers.on_file, masks=planned[1].masks if planned else None, folds=folds)
    check_unseen({name: samples.seen for name, samples in prepared.splits.items()})
    if planned:
        check_same_files(prepared.splits, planned[1])
    plan, timed = (_of_its_fold(planned[0], prepared), None) if planned else _plan(prepared, start, strategy)
    with writer.locked():
        writer.check_free()
        writer.open_log()
        writer.begin(plan, prepared, data)
        fit(writer, plan, prepared, strategy, start, watchers, timed, begun=planned is not None)
        return _judge(Run(writer.path), prepared, data, watchers.on_image, judged)


def _of_its_fold(plan: Plan, prepared: Prepared) -> Plan:
    """A plan that was made for another fold, with share and tiles of what its own holds out; of no fold as it is."""
    if not plan.fold:
        return plan
    tiles = prepared.work(plan.batch_size).tiles
    own: dict[str, Choice[Any]] = {
        "val_share": plan_share(replace(prepared.config, val_share=None), prepared.splits, 0),
        "val_tiles": Choice(tiles, "all of them"),
    }
    if plan.reasons.get("val_tiles", "").startswith("of ") and plan.val_tiles < tiles:
        own["val_tiles"] = Choice(plan.val_tiles, f"of {tiles}, always the same ones")
    own = {name: one for name, one in own.items() if name in plan.reasons}
    reasons = {**plan.reasons, **{name: one.reason for name, one in own.items()}}
    return replace(plan, **{name: one.value for name, one in own.items()}, reasons=reasons)


def go_on(writer: RunWriter, data: Path | None, watchers: Watchers, judged: str | None = None) -> Evaluation | None:
    """Go on with a run from its last complete epoch, and judge it.

    Args:
        writer: of its folder.
        data: where its data is now; None for where it was.
        watchers: of the run.
        judged: split that is scored; None for files that it was not trained on.

    Returns:
        What it scored; None on a host that is not the first.
    """
    check_backend()
    start = time.monotonic()
    run = Run(writer.path)
    if run.removed:
        settings = ", ".join(f"{name} = {value!r}" for name, value in run.removed.items())
        raise InputError(
            f"A run must go on as it was begun; {run.path} was begun with {settings}, which this version does not "
            "have. Go on with the version that began it, or train anew."
        )
    data = run.data if data is None else data
    strategy = choose_strategy()
    if not is_chief():
        _take_part(writer, data, strategy, watchers.on_file)
        return None
    with writer.locked():
        writer.open_log()
        prepared = prepare(data, run.config, watchers.on_file, masks=run.masks, held=run.names("val"))
        writer.check_pairs(prepared.splits)
        fit(writer, run.plan, prepared, strategy, start, watchers, begun=True)
        return _judge(Run(writer.path), prepared, data, watchers.on_image, judged)


def _take_part(writer: RunWriter, data: Path, strategy: tf.distribute.Strategy, on_file: Progress) -> None:
    """Train on one of several hosts that is not the chief: with the chief's plan, writing nothing."""
    begun = writer.begun
    if not begun:
        log.info(
            f"waiting for the chief, which plans the run in {writer.path}, for {PATIENCE / 60:.0f} minutes at most"
        )
    until = time.monotonic() + PATIENCE
    while not writer.begun:
        look()
        if time.monotonic() > until:
            raise InputError(
                f"The hosts must share the folder of the run; {writer.path} has no {Run.CONFIG} of the chief after "
                f"{PATIENCE:.0f} s. Mount one folder on all of them, and look at what the chief says."
            )
        time.sleep(1)
    run = Run(writer.path)
    prepared = prepare(data, run.config, on_file, masks=run.masks, held=run.names("val"))
    writer.check_pairs(prepared.splits)
    fit(writer, run.plan, prepared, strategy, time.monotonic(), Watchers(), begun=begun)


def _plan(prepared: Prepared, start: float, strategy: tf.distribute.Strategy) -> tuple[Plan, keras.Model | None]:
    """Choose what is open after the data was read: time, precision, width, steps of an epoch; check the memory.

    Returns:
        The plan, and the net of it whose steps were timed, where one was, on one device.
    """
    config, choices = prepared.config, prepared.choices
    batch, replicas = prepared.sizes.batch_size, strategy.num_replicas_in_sync
    if batch.reason and replicas > 1:
        batch = Choice(batch.value * replicas, f"{batch.reason}, on each of {replicas} devices")
    check_batch(batch.value, strategy)
    choices["batch_size"] = batch
    seconds_left = math.inf
    if config.epochs is None:
        choices["minutes"] = choose(config.minutes, DEFAULT_MINUTES, "neither minutes nor epochs were given")
        config = replace(config, minutes=choices["minutes"].value)
    if config.minutes is not None:
        seconds_left = check_time(config.minutes, time.monotonic() - start, "reading")
    words = "usual" if config.start_from is None else "a trained net is to be changed, and not begun anew"
    choices["learning_rate"] = choose(config.learning_rate, LEARNING_RATES[config.start_from is not None], words)
    measured = config.precision == "auto"
    choices["precision"] = Choice(*fastest_precision()) if measured else Choice(config.precision)
    channels, on_cpu = prepared.normalisation.channels, not tf.config.get_visible_devices("GPU")

    nets: dict[int, keras.Model] = {}

    def seconds(width: int) -> float:
        tried = make_plan(
            config, choices | {"base_filters": Choice(width), "steps_per_epoch": Choice(1), "val_tiles": Choice(0)}
        )
        if on_cpu:
            check_memory(tried, channels, free_memory())
        nets[width] = compiled(tried, channels, prepared.class_shares)
        return step_seconds(nets[width], replace(tried, batch_size=batch.value // replicas), channels)

    course = plan_course(config, prepared.work(batch.value), seconds_left, seconds)
    plan = make_plan(config, choices | course._asdict())
    for name, reason in plan.reasons.items():
        value = getattr(plan, name)
        log.info(f"{name} = {f'{value:.4g}' if isinstance(value, float) else value}: {reason}")
    if on_cpu:
        log.info(f"memory: {check_memory(plan, channels, free_memory())}")
    check_time(plan.minutes, time.monotonic() - start, "reading, and timing steps,")
    return plan, nets.get(plan.base_filters) if replicas == 1 else None


def _judge(run: Run, prepared: Prepared, data: Path, on_image: Progress, split: str | None = None) -> Evaluation:
    """Calibrate the best net, score it and write the report.

    Where nothing is held out, the training files are scored, and it is said that they are. So are files all of which
    the net was trained on that it started from. Of a fold that `split` is scored that it held out.
    """
    judged = split or next((name for name in ("test", "val") if name in prepared.splits), "train")
    samples = prepared.splits[judged]
    if split is None and learnt(run).issuperset(one.sha256 for one in samples.fingerprints):
        split = judged
    calibrate(run, prepared.splits)
    among = {(pair.image, pair.page) for pair in samples.pairs}
    found = evaluate_run(run, data, split, on_image, among)
    look()
    return found


@contextmanager
def _saying_how_to_go_on(writer: RunWriter, data: str | Path | None = None) -> Iterator[None]:
    """Let signals end the block between two units of its work, and say in one line how to go on.

    Args:
        writer: of the run.
        data: where its data is now, if that was said.
    """
    try:
        with stoppable():
            look()
            yield
    except KeyboardInterrupt:
        if writer.begun:
            said = " ".join(argument(path) for path in (writer.path, data) if path is not None)
            log.warning(f"Stopped. Go on with: unet-tf train --resume {said}")
        else:
            log.warning(f"Stopped before the run in {writer.path} had begun; there is nothing to go on with.")
        raise
