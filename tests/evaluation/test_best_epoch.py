"""The best epoch, told by a history, and the same as a run goes on."""

import numpy as np
import pytest

from unet_tf.evaluation.best_epoch import ABSENT, BY_LOSS, best_row, peak_row


def rows_of(scores, losses=None, column=ABSENT):
    if losses is None:
        return [{"epoch": n, "val_mean_iou": str(score), "val_loss": "0"} for n, score in enumerate(scores)]
    return [{"epoch": n, "val_mean_iou": 1 - n / 9, "val_loss": loss, column: 1} for n, loss in enumerate(losses)]


def test_the_peak_is_the_first_of_equals_and_the_best_the_last_that_is_as_good():
    rows = rows_of((0.5, 0.9, 0.9, 0.895, 0.85))
    assert peak_row(rows)["epoch"] == 1
    assert best_row(rows)["epoch"] == 3


@pytest.mark.parametrize("column", [ABSENT, BY_LOSS])
def test_where_validation_lacks_a_class_or_the_threshold_is_to_come_the_loss_decides(column):
    rows = rows_of((), (3.0, 1.0, 1.0, 1.005, 1.2), column)
    assert peak_row(rows)["epoch"] == 1
    assert best_row(rows)["epoch"] == 3
    assert best_row([{name: str(value) for name, value in row.items()} for row in rows])["epoch"] == "3"


@pytest.mark.parametrize("by_loss", [False, True])
def test_scores_that_go_up_and_down_leave_the_last_epoch_and_those_that_get_steadily_worse_do_not(by_loss):
    def kept_of(*scores):
        return best_row(rows_of(scores, [1 - score for score in scores] if by_loss else None))["epoch"]

    assert kept_of(0.60, 0.70, 0.66, 0.72, 0.67, 0.69) == 5  # they change by 0.05 usually, and the last lacks 0.03
    assert kept_of(0.60, 0.70, 0.66, 0.72, 0.65, 0.64) == 3  # by 0.06, and 0.08
    assert kept_of(0.70, 0.60) == kept_of(0.60, 0.70, 0.65) - 1 == 0  # what they change usually is not known yet
    assert kept_of(0.60, 0.70, 0.72, 0.71, 0.66, 0.63, 0.60) == 3  # the last before it falls for good


def test_without_validation_the_last_epoch_is_the_best():
    assert best_row([{"epoch": 0}, {"epoch": 1}])["epoch"] == peak_row([{"epoch": 0}, {"epoch": 1}])["epoch"] == 1


@pytest.mark.parametrize("by_loss", [False, True])
def test_what_was_kept_as_a_run_went_on_is_what_its_history_tells(by_loss):
    rng = np.random.default_rng(0)
    for _ in range(300):
        scores = 0.8 + 0.01 * rng.standard_normal(12).cumsum() + 0.005 * rng.standard_normal(12)
        rows, kept = rows_of(scores, scores if by_loss else None), 0
        for number in range(1, 13):
            if best_row(rows[:number])["epoch"] == number - 1:
                kept = number - 1
            assert kept == best_row(rows[:number])["epoch"]
