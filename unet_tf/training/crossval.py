"""The same training several times, on other folds or from other seeds: scores as mean and spread, in one report."""

from __future__ import annotations

import gc
import json
import logging
import math
import statistics
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from unet_tf.config import AUTO, TrainConfig, changed
from unet_tf.data.layout import find_named
from unet_tf.data.splits import split
from unet_tf.errors import InputError
from unet_tf.evaluation.charts import score_name
from unet_tf.evaluation.crossval_page import write_crossval_page
from unet_tf.evaluation.evaluate import evaluate_run
from unet_tf.evaluation.merging import merged
from unet_tf.evaluation.metrics import scores
from unet_tf.evaluation.result import Evaluation
from unet_tf.evaluation.verdict import absent_classes
from unet_tf.model.calibration import BEST
from unet_tf.pages.words import many
from unet_tf.plan import Plan
from unet_tf.planning.ancestors import ancestors
from unet_tf.prediction.folds import NAME, SUMMARY
from unet_tf.run import Run
from unet_tf.training.fit import Watchers
from unet_tf.training.run_writer import RunWriter
from unet_tf.training.start import with_whole_path
from unet_tf.training.strategy import check_one_host
from unet_tf.training.train import OF_ITS_FOLD, begin_run, go_on
from unet_tf.utils.chance import own_chance
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look, stoppable
from unet_tf.utils.typed_json import write_json

log = logging.getLogger("unet_tf")


def crossval(
    data: str | Path,
    out: str | Path,
    folds: int | None = None,
    seeds: int | None = None,
    config: TrainConfig | None = None,
    *,
    callbacks: Sequence[Any] = (),
    on_file: Progress = unseen,
    on_progress: Progress = unseen,
    on_image: Progress = unseen,
    **overrides: Any,
) -> dict[str, Any]:
    """Train and judge once for each fold of the data, or once for each seed.

    Folds share no file, and with `group` no group; together they hold out every file once. Seeds share one split. What
    is left open is planned once, for the first run, and all runs do the same. Each run is a folder in `out` that
    `unet_tf.train` fills; called again, what is complete is judged anew, what was stopped goes on, and what is missing
    follows the plan of those that are there. Writes `crossval.json` and `report.html` beside them; then the folder is
    one predictor, the mean of all nets, wherever a run is taken to predict, judge or export.

    Args:
        data: folder with `images/` and `masks/` of equal names, or with lists of names (`unet_tf.check` tells); for
            folds without `val/`.
        out: folder of the runs: `fold1`, ... or `seed0`, ...
        folds: how many folds, 2 or more; None for 5 unless seeds are given.
        seeds: how many seeds, 2 or more, instead of folds.
        config: settings of all runs; None for the defaults.
        callbacks: further Keras callbacks of each run; none that sets the learning rate, which has a schedule.
        on_file: called with (files read, files in all) while a run reads.
        on_progress: called with (done, in all) after each step of a run: seconds where time limits it, else steps.
        on_image: called with (images judged, images in all) at the end of a run.
        **overrides: single settings, fields of `TrainConfig`; `classes` may be a number or "a,b,c".

    Returns:
        "out_of_fold": what `unet_tf.evaluate` writes, of all files, each by the net that held it out; of seeds, of the
        files that all of them held out, by the mean of the nets. "runs": name -> scores; "mean" and "spread" (sample
        standard deviation) of each score over the runs; "pooled": the scores of the sum of all confusion matrices;
        "note": which runs were judged without a pixel of a class that others had, where there are such.

    Raises:
        InputError: the data, a setting or the folder cannot be used, a loss is not finite, or `out` is a run or the
            data folder, or holds runs of other settings or another report.
        Stopped: a signal has told to stop; it is a KeyboardInterrupt.

    Example:
        >>> unet_tf.crossval("cells", "runs/folds", folds=5, minutes=5)["mean"]["mean_iou"]  # doctest: +SKIP
        0.91
    """
    data, out = Path(data), Path(out)
    check_one_host("A cross-validation", "Unset it, or give each host folds of its own: unet-tf train --fold 1/5.")
    config = with_whole_path(changed(config, overrides))
    runs = _runs(config, folds, seeds)
    _check_out(out, data)
    named = find_named(data, config.naming, config.source).check()
    for one in runs.values():
        split(named, one.val_share, one.split_seed, one.group, one.fold)  # raises before the first run
    if seeds is not None and config.val_share == 0 and not {"val", "test"} & named.keys():
        raise InputError("Runs must be judged on files that they never saw; with val_share 0 none is held out.")
    _check_alike(out, runs)
    watchers = Watchers(callbacks, on_file, on_progress, on_image)
    try:
        with own_chance(), stoppable():
            stored, judged = {}, []
            for number, name in enumerate(runs, start=1):
                log.info(f"{name} ({number} of {len(runs)})")
                found = _do(name, runs, data, out, watchers, "val" if seeds is None and "test" in named else None)
                look()
                judged += [found] if found is not None else []
                stored[name] = json.loads((out / name / Run.EVALUATION).read_text(encoding="utf-8"))
            result = summarise(stored)
            write_json(out / SUMMARY, result)  # from here on the folder can be opened
            if seeds is None:
                together = _together(judged, data, Run(out / next(iter(runs))))
            else:  # of files that the net before them knows all, too
                held_out = "val" if any(one.learnt for one in judged) else None
                together = evaluate_run(out, data, held_out, on_image)
            result = {"out_of_fold": together.to_json(), **result}
            write_json(out / SUMMARY, result)
            write_crossval_page(out, list(stored), result, summary_rows(result))
    except KeyboardInterrupt:
        log.warning("Stopped. Go on with all that is left by the same crossval command.")
        raise
    return result


def _together(judged: Sequence[Evaluation], data: Path, run: Run) -> Evaluation:
    """What all folds have scored on what they held out, as one evaluation; the run is one of them, like all."""
    count = sum(len(one.judged) for one in judged)
    chose = "its epoch and the threshold" if run.plan.threshold == BEST else "its epoch"
    words = f"{many(count, 'file')} of {data}, each by the net that held it out, which chose {chose} by such files too"
    known = sum(one.learnt for one in judged)
    if known:
        words += f", on {'all' if known == count else 'some'} of which the net before them was trained"
    if unknown := ancestors(run).unknown:
        words += f"; they started from {', '.join(unknown)}, whose training files are not known"
    return replace(merged(judged, words, run.config.group), learnt=known)


def _do(
    name: str, runs: dict[str, TrainConfig], data: Path, out: Path, watchers: Watchers, judged: str | None
) -> Evaluation | None:
    """Begin a run by the plan that all share, or go on with it, and judge it: a fold on what it held out."""
    gc.collect()  # nets of earlier runs
    with RunWriter(out / name) as writer:
        if writer.begun:  # complete or not: held to its data, and judged anew
            return go_on(writer, data, watchers, judged)
        (out / SUMMARY).unlink(missing_ok=True)  # that of fewer runs, or of one that was removed
        if there := _begun(out, runs):
            first, own = next(iter(there.values())), runs[name]
            plan = Plan.of(replace(first.config, fold=own.fold, seed=own.seed), first.plan.reasons)
            return begin_run(writer, data, plan.config, watchers, (plan, first), judged=judged)
        folds = [one.fold for one in runs.values() if one.fold is not None]
        return begin_run(writer, data, runs[name], watchers, folds=folds, judged=judged)


def _begun(out: Path, runs: dict[str, TrainConfig]) -> dict[str, Run]:
    """Those of the runs that have begun, by name."""
    return {name: Run(out / name) for name in runs if (out / name / Run.CONFIG).exists()}


def _runs(config: TrainConfig, folds: int | None, seeds: int | None) -> dict[str, TrainConfig]:
    """Name and configuration of each run."""
    if folds is not None and seeds is not None:
        raise InputError(
            f"Runs must differ in their folds or in their seeds; received {folds} folds and {seeds} seeds."
        )
    count = 5 if folds is None and seeds is None else folds if seeds is None else seeds
    if count is None or count < 2:
        raise InputError(f"A spread needs 2 runs at least; received {count}.")
    if config.fold is not None:
        raise InputError(
            f"Cross-validation chooses the folds itself; received fold {config.fold}. Leave fold out of the settings."
        )
    if seeds is None:
        return {f"fold{i}": replace(config, fold=f"{i}/{count}") for i in range(1, count + 1)}
    return {f"seed{i}": replace(config, seed=config.seed + i) for i in range(count)}


def _check_out(out: Path, data: Path) -> None:
    """Raise InputError where runs would begin in the folder of a run, of the data, or of another report."""
    begun = (out / SUMMARY).exists() or any(NAME.fullmatch(path.name) for path in out.glob("*/"))
    what = "that of a run" if (out / Run.CONFIG).exists() else ""
    if not what and not begun and out.resolve() == data.resolve():
        what = "that of the data"
    elif not what and not begun and (out / Run.REPORT).exists():
        what = f"one with a {Run.REPORT} of other things"
    if what:
        raise InputError(f"Runs must have a folder of their own; {out} is {what}. Choose another --out.")


def _check_alike(out: Path, runs: dict[str, TrainConfig]) -> None:
    """Raise InputError where a run has begun that does other things than is said now, or than another run."""
    there = _begun(out, runs)
    for name, run in there.items():
        own, first = with_whole_path(runs[name]), with_whole_path(next(iter(there.values())).config)
        begun = with_whole_path(run.config)  # of an earlier version it may be relative
        held = {name: getattr(begun, name) for name in OF_ITS_FOLD if name in run.plan.reasons}
        for wanted in (own, replace(first, fold=own.fold, seed=own.seed, **held)):
            for setting in (field.name for field in fields(TrainConfig)):
                value, found = getattr(wanted, setting), getattr(begun, setting)
                is_open = value is None or (value == "auto" and setting in AUTO)
                if not is_open and value != found:
                    raise InputError(
                        f"All runs must have the same settings; {run.path} was begun with {setting} = {found!r}, and "
                        f"{value!r} is asked for or what another run has. Ask for the same, or choose another --out."
                    )


def summarise(stored: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Mean, spread and pooled scores of runs, from their `evaluation.json`.

    Returns:
        As `crossval`. A score that does not exist in a run is left out of mean and spread.
    """
    rows = {name: flat_scores(one) for name, one in stored.items()}
    keys = list(next(iter(rows.values())))
    values = {key: [value for row in rows.values() if (value := row[key]) is not None] for key in keys}
    confusion = np.sum([one["confusion"] for one in stored.values()], axis=0)
    pooled, classes = scores(confusion), next(iter(stored.values()))["classes"]
    flat = {f"IoU {name}": float(value) for name, value in zip(classes, pooled["iou"], strict=True)}
    flat |= {key: float(pooled[key]) for key in ("mean_iou", "mean_dice", "pixel_accuracy")}
    result = {
        "runs": rows,
        "mean": {key: statistics.mean(found) if found else None for key, found in values.items()},
        "spread": {key: statistics.stdev(found) if len(found) > 1 else None for key, found in values.items()},
        "pooled": {key: None if math.isnan(value) else value for key, value in flat.items()},
        "confusion": confusion.tolist(),
        "classes": classes,
    }
    in_none = {*absent_classes(result)}
    lacks = {name: [one for one in absent_classes(own) if one not in in_none] for name, own in stored.items()}
    if listed := "; ".join(f"{name} of {', '.join(absent)}" for name, absent in lacks.items() if absent):
        result["note"] = (
            f"No pixel of the files of these runs is of a class that others have: {listed}. Their mean IoU and Dice "
            "leave it out, or take 0 for it where some pixel is called so, and so do mean and spread over the runs; "
            "pooled scores are of all pixels."
        )
    return result


def flat_scores(stored: dict[str, Any]) -> dict[str, float | None]:
    """The scores of an `evaluation.json`, one level deep."""
    flat = {f"IoU {name}": value for name, value in stored["iou"].items()}
    return flat | {key: stored[key] for key in ("mean_iou", "mean_dice", "pixel_accuracy", "mean_soft_dice")}


def summary_rows(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """What `crossval` returns as text: a header, then a row a score."""
    rows: list[tuple[str, ...]] = [("", "mean", "spread", "pooled", *result["runs"])]
    for key in result["mean"]:
        found = (result["mean"][key], result["spread"][key], result["pooled"].get(key))
        values = [*found, *(run[key] for run in result["runs"].values())]
        rows.append((score_name(key), *("" if value is None else f"{value:.4f}" for value in values)))
    return rows
