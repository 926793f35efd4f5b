"""From the counts of an evaluation to the tables of scores that apply to it alone."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from unet_tf.evaluation.further_tables import (
    FieldTable,
    FileTable,
    MembraneTable,
    ObjectTable,
    Spread,
    ThinTable,
)
from unet_tf.evaluation.intervals import bootstrap
from unet_tf.evaluation.membranes import THRESHOLDS, MembraneSums
from unet_tf.evaluation.metrics import scores_of
from unet_tf.evaluation.objects import ObjectScores
from unet_tf.evaluation.ranking import Ranking
from unet_tf.evaluation.thin import ClDice, Shape


def file_tables(
    classes: Sequence[str], names: Sequence[str], counts: NDArray, groups: Sequence[Hashable]
) -> tuple[list[FileTable], dict[str, Spread]]:
    """Give the scores of each file, and how they spread.

    Args:
        classes: C names.
        names: of N files.
        counts: (N, 3, C) `metrics.marginals` of each file.
        groups: which of the files belong together.

    Returns:
        A table a file, in their order; by name of the score, how it spreads over the files that have it.
    """
    found = scores_of(counts)
    files: list[FileTable] = [
        {
            "name": name,
            "group": str(group),
            "mean_iou": or_none(mean),
            "iou": dict(zip(classes, map(or_none, iou), strict=True)),
            "dice": dict(zip(classes, map(or_none, dice), strict=True)),
        }
        for name, group, mean, iou, dice in zip(
            names, groups, found["mean_iou"], found["iou"], found["dice"], strict=True
        )
    ]
    columns = {"mean IoU": found["mean_iou"], "mean Dice": found["mean_dice"]}
    for number, name in enumerate(classes):
        columns |= {f"IoU {name}": found["iou"][:, number], f"Dice {name}": found["dice"][:, number]}
    there = {name: values[~np.isnan(values)] for name, values in columns.items()}
    return files, {name: _spread(values) for name, values in there.items() if len(values)}


def object_table(scored: Sequence[ObjectScores], groups: Sequence[Hashable]) -> ObjectTable:
    """Add up the objects of files, one at least, with the interval of AP over files or groups of them."""
    total = sum(scored[1:], scored[0])
    counts = np.array([(*one.found, one.true + one.predicted) for one in scored], np.float64)

    def precision(sums: NDArray) -> NDArray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return sums[:, :-1] / (sums[:, -1:] - sums[:, :-1])

    ends, of_files = bootstrap(counts, precision, groups), precision(counts)
    of_files = of_files[~np.isnan(of_files[:, 0])]  # files without any object have none
    return {
        "thresholds": list(total.thresholds),
        "ap": _list(total.average_precision),
        "ap_ends": None if ends is None else [_list(both) for both in ends.T],
        "ap_files": _list(of_files.mean(axis=0) if len(of_files) else total.average_precision),
        "f1": _list(total.f1),
        "pq": _list(total.panoptic_quality),
        "found": list(total.found),
        "true": total.true,
        "predicted": total.predicted,
        "merges": total.merges,
        "splits": total.splits,
    }


def thin_tables(thin: dict[str, tuple[ClDice, Shape]]) -> dict[str, ThinTable]:
    """The scores of classes that are thin, by name."""
    return {
        name: {
            "cldice": or_none(scores.cldice),
            "precision": or_none(scores.precision),
            "sensitivity": or_none(scores.sensitivity),
            "words": str(shape),
        }
        for name, (scores, shape) in thin.items()
    }


def membrane_table(sums: MembraneSums, classes: Sequence[str]) -> MembraneTable:
    """The scores of membranes at the best threshold of each, and at all."""
    found, best, places = sums.scores, {}, {}
    for name, values in (("v_rand", found.v_rand), ("v_info", found.v_info), ("pixel_error", -found.pixel_error)):
        if not np.isnan(values).all():
            places[name] = int(np.nanargmax(values))
            best[name] = THRESHOLDS[places[name]]
    at_best = {
        name: or_none(getattr(found, name)[places[name]]) if name in places else None
        for name in ("v_rand", "v_info", "pixel_error")
    }
    return {
        "borders": [classes[number] for number in sums.borders],
        "v_rand": at_best["v_rand"],
        "v_info": at_best["v_info"],
        "pixel_error": at_best["pixel_error"],
        "best": best,
        "thresholds": list(THRESHOLDS),
        "curve": {name: _list(values) for name, values in found._asdict().items()},  # type: ignore[typeddict-item]
    }


def field_table(ranking: Ranking | None, classes: Sequence[str], roi: str) -> FieldTable:
    """Which pixels count, where not all do, and how those of two classes rank; empty where neither is known."""
    found: FieldTable = {"roi": roi} if roi else {}
    if ranking is not None:
        found |= {
            "foreground": classes[1],
            "auc": or_none(ranking.auc),
            "average_precision": or_none(ranking.average_precision),
            "within": or_none(ranking.within),
        }
    return found


def or_none(value: float) -> float | None:
    """The value as JSON has it: null where it is none."""
    return None if math.isnan(value) else float(value)


def _list(values: NDArray) -> list[float | None]:
    return [or_none(value) for value in values.tolist()]


def _spread(values: NDArray) -> Spread:
    """How some values spread, one at least."""
    return {
        "files": len(values),
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "worst": float(values.min()),
    }
