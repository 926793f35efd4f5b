"""What is exported: a run, or the nets of a cross-validation as one, and what a runtime has to know of them."""

from __future__ import annotations

import hashlib
import logging
import platform
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import keras
import tensorflow as tf

from unet_tf.edge.description import Description, Origin, TrainedScores
from unet_tf.errors import InputError
from unet_tf.evaluation.further_tables import FieldTable
from unet_tf.evaluation.tables import JudgedTable, ThresholdTable, read_evaluation
from unet_tf.evaluation.verdict import seen
from unet_tf.exporting.bundle import KNOWN_BY, Learnt
from unet_tf.exporting.material import Material, first_of, gather
from unet_tf.planning.ancestors import ancestors, learnt
from unet_tf.prediction.folds import AGAIN, SUMMARY, Folds
from unet_tf.run import Run
from unet_tf.utils.typed_json import read_json
from unet_tf.version import __version__

log = logging.getLogger("unet_tf")


class _Further(TypedDict, total=False):
    thresholds: ThresholdTable
    judged: JudgedTable
    field: FieldTable
    learnt: int


class _Scored(_Further):
    """What is taken of an `EvaluationTable`."""

    files: str
    mean_iou: float | None
    iou: dict[str, float | None]
    per_file_mean_iou: dict[str, float | None]


class _Summary(TypedDict, total=False):
    out_of_fold: _Scored  # none in files of version 0.1


def model_of(run: Run | Folds, precision: str) -> keras.Model:
    """The best net, rebuilt where it was trained in another precision; of several, their mean."""
    if isinstance(run, Folds):
        return run.averaged({name: model_of(one, precision) for name, one in run.runs.items()})
    if run.plan.precision == precision:
        return run.read()
    model = replace(run.plan, precision=precision).build(run.normalisation.channels)
    model.set_weights(run.read().get_weights())
    return model


def material_of(run: Run, data: str | Path | None, tile: int | None, needed: bool) -> Material:
    """What the export takes of the pictures of a run; nothing where they are gone, or no longer its, and not needed."""
    folder, optional = run.data if data is None else Path(data), not needed and data is None
    if folder.is_dir():
        try:
            return gather(run, folder, tile)
        except InputError as error:
            if not optional:
                raise
            log.warning(f"the pictures of the run cannot be used, and noise takes their place: {error}")
    elif not optional:
        raise InputError(
            "Nets of less than float32 are calibrated and judged on the pictures that the run was trained on, and "
            f"{folder} is not there. Say where they are now (--data), or make the float32 file alone (--variants "
            "float32)."
        )
    return Material([], [], [])


def describe(run: Run | Folds, tile: int, max_iou_drop: float) -> tuple[Description, str]:
    """Put together what a runtime has to know of the net of a run, or of the mean of several.

    Returns:
        That, and what the data folder is called, where its scores are of files that are known to lie in there; else "".
    """
    runs = list(run.runs.values()) if isinstance(run, Folds) else [run]
    trained = set[str]().union(*(one.files("train") for one in runs))
    training, validation = sorted(trained), run.files("val") - trained
    origin = Origin(
        unet_tf=__version__,
        versions={"python": platform.python_version(), "tensorflow": tf.__version__, "keras": keras.__version__},
        data={
            "fingerprint": hashlib.sha256("".join(training).encode()).hexdigest(),
            "train": len(training),
            "val": len(validation),
        },
        max_iou_drop=max_iou_drop,
    )
    scores, dataset = _scores(run)
    about = (run.geometry, tile, replace(origin, scores=scores), run.channels, run.calibration, len(runs))
    return Description(run.classes, run.masks, run.normalisation, *about), dataset


def learnt_by(run: Run | Folds) -> Learnt:
    """The pictures that a net was trained on, or any of several, or one before it, as `bundle.json` names them."""
    trained = run.learnt() if isinstance(run, Folds) else learnt(run)
    unknown = bool(ancestors(first_of(run)).unknown)  # several start from the same
    return {"learnt": sorted(known[:KNOWN_BY] for known in trained), "unknown": unknown}


def _evaluation(run: Run | Folds) -> _Scored | None:
    """The scores in the folder of a run; of several those of each file by the nets that were not trained on it."""
    if isinstance(run, Folds):
        return read_json(run.path / SUMMARY, _Summary, f"{AGAIN}, and writes it anew.").get("out_of_fold")
    path = run.path / Run.EVALUATION
    return read_evaluation(path) if path.is_file() else None


def _scores(run: Run | Folds) -> tuple[TrainedScores, str]:
    """Scores on files that the net was not trained on; and the name of its data folder, if they lie in there."""
    stored, several = _evaluation(run), isinstance(run, Folds)
    if stored is None:
        return {}, ""
    chosen = stored["thresholds"]["chosen"] if "thresholds" in stored else None
    if chosen not in (None, run.calibration.threshold):
        why = "of labels at another threshold"
    elif stored.get("learnt") or seen(stored["files"]).endswith("trained on"):
        why = "of files that the net was trained on, or may have been"
    elif "roi" in stored.get("field", {}):
        why = "of pixels inside fields of view alone"
    else:
        data = Path(stored.get("judged", {}).get("data", ""))
        own = several or data.is_relative_to(run.data.resolve())
        pictures = sum(one is not None for one in stored["per_file_mean_iou"].values())  # not those of void alone
        return {"mean_iou": stored["mean_iou"], "iou": stored["iou"], "pictures": pictures}, run.data.name * own
    file = run.path / (SUMMARY if several else Run.EVALUATION)
    remedy = ": unet-tf evaluate on other files makes some" * (not several and not ancestors(first_of(run)).unknown)
    log.warning(f"the scores in {file} are {why}, and the bundle has none{remedy}")
    return {}, ""
