"""Which epoch of a run is the best, told by its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ABSENT = "val_classes_absent"
"""Column of `history.csv`, where there are any: classes that no pixel has which validation looks at."""
BY_LOSS = "val_by_loss"
"""Column of `history.csv`, 1 where the threshold is chosen after training, so that masks at 0.5 judge no epoch."""

AS_GOOD = 0.01
"""Of IoU, or of the loss as a share: epochs, or thresholds, that differ by less are as good as each other. A few
validation files do not tell them apart, and a later epoch was trained longer and at a lower rate."""


def peak_row(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The row of the epoch with the best score, the first of equals.

    The score is the validation mean IoU. It is the validation loss where validation pixels lack a class, of which mean
    IoU says nothing, and where the threshold is chosen after training: a rare class is found at another one than 0.5,
    and mean IoU at 0.5 tells little of what it will be. Without validation it is the last row.

    Args:
        history: a row an epoch, as in `history.csv`; one at least.
    """
    scores = _scores(history)
    return history[int(np.argmax(scores))] if len(scores) else history[-1]


def best_row(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The row of the epoch whose net is kept: the last that is as good as the best until then.

    As good are scores that lack `AS_GOOD` at most, or what scores change from one epoch to the next, in the median of
    three changes or more. While the learning rate is high, nets and scores go up and down, and the best of many scores
    is the luckiest: the net of the end, at a low rate, is the better one on other files though it does not reach it.

    Args:
        history: as of `peak_row`.
    """
    scores = _scores(history)
    kept = 0 if len(scores) else -1
    for number in range(1, len(scores)):
        known = scores[: number + 1]
        best, usual = known.max(), np.median(np.abs(np.diff(known))) if number > 2 else 0.0
        if known[-1] >= best - max(AS_GOOD * (-best if best < 0 else 1), usual):
            kept = number
    return history[kept]


def _scores(history: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """A score an epoch, the higher the better: mean IoU, or the loss less than 0; none without validation."""
    if history[-1].get("val_mean_iou") in (None, ""):  # 0 is a score
        return np.zeros(0)
    if any(float(row.get(column) or 0) for row in history for column in (ABSENT, BY_LOSS)):
        return -np.array([row["val_loss"] for row in history], float)
    return np.array([row["val_mean_iou"] for row in history], float)
