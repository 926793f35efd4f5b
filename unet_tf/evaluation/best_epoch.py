"""Which epoch of a run is the best, told by its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ABSENT = "val_classes_absent"
"""Column of `history.csv`, where there are any: classes that no pixel has which validation looks at."""
BY_LOSS = "val_by_loss"
"""Column of `history.csv`, 1 where the threshold is chosen after training, so that masks at 0.5 judge no epoch."""

AS_GOOD = 0.01
"""Of IoU, or of the loss as a share: epochs, or thresholds, that differ by less are as good as each other. A few
validation files do not tell them apart, and a later epoch has learnt longer and at a lower rate."""


def peak_row(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The row of the epoch with the best score, the first of equals.

    The score is the validation mean IoU. It is the validation loss where validation pixels lack a class, of which mean
    IoU says nothing, and where the threshold is chosen after training: a rare class is found at another one than 0.5,
    and mean IoU at 0.5 tells little of what it will be. Without validation it is the last row.

    Args:
        history: a row an epoch, as in `history.csv`; one at least.
    """
    if history[-1].get("val_mean_iou") in (None, ""):  # 0 is a score
        return history[-1]
    if _by_loss(history):
        return min(history, key=lambda row: float(row["val_loss"]))
    return max(history, key=lambda row: float(row["val_mean_iou"]))


def best_row(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The row of the epoch whose net is kept: the last that is as good as the best (`AS_GOOD`).

    It can be told as a run goes on: an epoch is kept until a later one is as good as the best until then.

    Args:
        history: as of `peak_row`.
    """
    peak = peak_row(history)
    if peak is history[-1]:
        return peak
    if _by_loss(history):
        most = float(peak["val_loss"]) * (1 + AS_GOOD)
        return next(row for row in reversed(history) if float(row["val_loss"]) <= most)
    least = float(peak["val_mean_iou"]) - AS_GOOD
    return next(row for row in reversed(history) if float(row["val_mean_iou"]) >= least)


def _by_loss(history: Sequence[Mapping[str, Any]]) -> bool:
    return any(float(row.get(column) or 0) for row in history for column in (ABSENT, BY_LOSS))
