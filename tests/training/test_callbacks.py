"""What goes along with `model.fit`, each callback by itself."""

import time
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from unet_tf import TrainConfig
from unet_tf.data.samples import Sample
from unet_tf.evaluation.best_epoch import ABSENT, BY_LOSS
from unet_tf.evaluation.metrics import MeanIoU
from unet_tf.plan import Plan
from unet_tf.prediction import predictor
from unet_tf.training.callbacks import BEFORE, Guard, RunClock, RunFiles, SamplePredictions, as_number
from unet_tf.training.checkpoint import State
from unet_tf.training.run_writer import RunWriter

WHOLE = {
    "classes": ("a", "b"), "masks": "binary", "base_filters": 2, "depth": 1, "padding": "same", "tile": 32,
    "batch_size": 1, "precision": "float32", "steps_per_epoch": 10, "rare_share": 0.0, "border_class": 0,
    "border_weight": 0.0, "threshold": 0.5, "loss": "crossentropy", "learning_rate": 1e-3, "val_tiles": 1,
    "val_share": 0.2, "upright": False,
}  # fmt: skip


def clock_plan(**settings):
    return Plan.of(TrainConfig(**WHOLE | settings), {})


def clock_of(start=0.0, **settings):
    return RunClock(clock_plan(**settings), start)


def model():
    net = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    net.compile("adam")
    net.stop_training = False
    return net


def test_a_picture_of_the_progress_is_drawn_however_little_memory_is_free(run, tmp_path, monkeypatch):
    monkeypatch.setattr(predictor, "memory_budget", lambda memory: 1.0)
    sample = Sample("a", np.zeros((40, 50, run.normalisation.channels), np.uint8), np.zeros((40, 50), np.uint8), None)
    draws = SamplePredictions(RunWriter(tmp_path), sample, run.normalisation.apply, run.classes, run.masks)
    draws.set_model(run.read())
    draws.on_epoch_end(0, {})
    assert (tmp_path / "progress" / "epoch_00001.png").is_file()


def test_the_learning_rate_warms_up_stays_and_falls_to_zero():
    clock = clock_of(epochs=10, learning_rate=1.0)
    assert clock.learning_rate(0.0) == pytest.approx(0.05)
    assert clock.learning_rate(0.01) == pytest.approx(0.5)
    assert clock.learning_rate(0.02) == pytest.approx(1.0)
    assert clock.learning_rate(0.5) == pytest.approx(1.0)
    assert clock.learning_rate(0.75) == pytest.approx(0.5)
    assert clock.learning_rate(1.0) == 0.0
    clock.step = 50
    assert clock.share == 0.5


def test_a_run_of_minutes_begins_at_its_first_step():
    clock = clock_of(start=time.monotonic() - 3000, minutes=100)
    clock.on_train_begin()
    assert clock.before == pytest.approx(3000, abs=100)
    assert clock.share < 0.03
    clock.start -= 1500
    assert clock.share == pytest.approx(0.5, abs=0.03)
    gone_on = RunClock(clock_plan(minutes=100), time.monotonic() - 4500, 1, before=3000.0)
    gone_on.on_train_begin()
    assert gone_on.share == pytest.approx(0.5, abs=0.03)


def test_the_first_step_which_is_traced_is_no_part_of_the_schedule():
    clock = clock_of(start=time.monotonic() - 600, minutes=100)
    clock.set_model(model())
    clock.on_train_begin()
    clock.start -= 1200  # so long did the first step take
    clock.on_train_batch_end(0)
    assert clock.before == pytest.approx(1800, abs=60)
    assert clock.share < 0.01
    clock.start -= 2100
    clock.on_train_batch_end(1)
    assert clock.before == pytest.approx(1800, abs=60)
    assert clock.share == pytest.approx(0.5, abs=0.02)


def test_a_first_step_that_takes_what_is_left_is_said(caplog):
    clock = clock_of(start=time.monotonic() - 600, minutes=20)
    clock.set_model(model())
    clock.on_train_begin()
    clock.start -= 1000
    clock.on_train_batch_end(0)
    assert clock.model.stop_training
    assert "took what was left of the 20 minutes: the net was trained for one step" in caplog.text


def test_a_run_of_minutes_goes_on_where_it_stopped_whatever_reading_and_tracing_take_again():
    clock = RunClock(clock_plan(minutes=100), time.monotonic() - 4500, 1, before=3000.0)
    clock.set_model(model())
    for moment in (clock.on_train_begin, lambda: clock.on_train_batch_end(0)):
        clock.start -= 600  # so long did that take
        moment()
        assert clock.share == pytest.approx(0.5, abs=0.02)
    assert clock.before == 3000
    clock.start -= 600
    clock.on_train_batch_end(1)
    assert clock.share == pytest.approx(0.7, abs=0.02)
    logs = {"loss": 1.0, "mean_iou": 0.5}
    clock.on_epoch_end(1, logs)
    assert (logs["seconds"], logs[BEFORE]) == (pytest.approx(5100, abs=60), 3000)


def test_a_run_of_minutes_alone_is_done_by_its_time_and_not_by_its_steps():
    clock = clock_of(start=time.monotonic(), minutes=1000)
    clock.step = 10**9
    assert 0 < clock.share < 0.5


def test_a_run_of_minutes_does_not_begin_an_epoch_without_time():
    clock = clock_of(start=time.monotonic() - 55, minutes=1)
    clock.validation_seconds = 10.0
    clock.set_model(model())
    clock.on_epoch_end(0, {"loss": 1.0, "val_loss": 1.0, "val_mean_iou": 0.5})
    assert clock.model.stop_training


def keeper_of(path, **arguments):
    keeper = RunFiles(RunWriter(path), state=State(), **arguments)
    keeper.set_model(model())
    keeper.set_params({"epochs": 10})
    return keeper


def test_patience_ends_a_run_that_stands_still(tmp_path):
    keeper, ended = keeper_of(tmp_path, patience=2), []
    for epoch, score in enumerate((0.5, 0.6, 0.6, 0.45)):
        keeper.on_epoch_end(epoch, {"val_mean_iou": score})
        ended.append(keeper.model.stop_training)
    assert ended == [False, False, False, True]
    assert keeper.state.best == 2
    assert keeper.state.finished


class NoArray:
    def __array__(self, *arguments, **names):
        raise TypeError("none")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3), (0.5, 0.5), (True, 1),
        (np.float32(0.5), 0.5), (np.int64(3), 3), (np.bool_(True), 1), (np.array(0.5), 0.5), (np.array([7]), 7),
        (tf.constant(0.5), 0.5), (tf.constant([3]), 3), (tf.Variable(2.0), 2.0), (tf.constant(True), 1),
        ("0.5", None), (None, None), ([1], None), (1j, None), (np.array([1, 2]), None), (np.array([]), None),
        (np.array("text"), None), (np.array(None), None), (tf.constant("text"), None), (tf.constant([1.0, 2.0]), None),
        (tf.constant(1j), None), (NoArray(), None), (lambda: 3, None),
    ],
)  # fmt: skip
def test_what_is_a_number_in_logs_is_kept_as_pythons_own(value, number):
    assert as_number(value) == number
    assert type(as_number(value)) in (int, float, type(None))


def test_logs_of_other_callbacks_do_not_end_a_run(tmp_path, caplog):
    own = {"loss": 1.0, "val_mean_iou": 0.5, "seconds": 1.0}
    keeper = keeper_of(tmp_path, patience=9, own=lambda: own)
    for epoch in range(2):
        theirs = {"f1": np.float32(0.25), "note": "good", "curve": np.arange(3), "val_mean_iou": "best", "epoch": 99}
        keeper.on_epoch_end(epoch, theirs)
    assert keeper.state.history == [own | {"epoch": epoch, "f1": 0.25} for epoch in (0, 1)]
    assert [record.getMessage() for record in caplog.records] == [
        "The history of a run holds numbers; note, curve, val_mean_iou of a callback's logs is left out."
    ]
    assert "epoch,f1,loss,val_mean_iou,seconds\n0,0.25,1.0,0.5,1.0\n" in (tmp_path / "history.csv").read_text()


def test_a_collapse_to_one_class_is_warned_of_once(caplog):
    metric = MeanIoU(2)
    metric.confusion.assign([[90, 0], [10, 0]])
    guard = Guard({"background": 0.9, "cell": 0.1}, lambda step: [], 0, 1)
    guard.set_model(SimpleNamespace(metrics=[metric], distribute_strategy=tf.distribute.get_strategy()))
    for epoch in range(5):
        logs = {"val_loss": 1.0}
        guard.on_epoch_end(epoch, logs)
        assert logs == guard.line == {"val_loss": 1.0, "classes_predicted": 1}
    assert len(caplog.records) == 1
    assert "has predicted background alone (training pixels: background 90.00%, cell 10.00%)" in caplog.text


def test_predicting_the_one_class_that_validation_has_is_no_collapse(caplog):
    metric = MeanIoU(2)
    metric.confusion.assign([[90, 0], [0, 0]])
    guard = Guard({"background": 0.9, "cell": 0.1}, lambda step: [], 0, 1)
    guard.set_model(SimpleNamespace(metrics=[metric], distribute_strategy=tf.distribute.get_strategy()))
    for epoch in range(5):
        guard.on_epoch_end(epoch, {"val_loss": 1.0})
    assert caplog.text == ""


def test_the_line_of_an_epoch_says_what_its_mean_iou_cannot_judge(caplog):
    clock = RunClock(clock_plan(epochs=2), 0.0, absent=1)
    clock.set_model(model())
    logs = {"loss": 1.0, "val_loss": 1.0, "val_mean_iou": 1.0}
    with caplog.at_level("INFO", "unet_tf"):
        clock.on_epoch_end(0, logs)
    assert logs[ABSENT] == 1
    assert "validation mean IoU 1.0000 (no pixel that is looked at is of 1 of the classes)" in caplog.text


@pytest.mark.parametrize(("threshold", "judge"), [("best", {BY_LOSS: 1}), (0.4, {})])
def test_an_epoch_says_whether_the_loss_judges_it(threshold, judge):
    clock = clock_of(epochs=2, threshold=threshold)
    clock.set_model(model())
    logs = {"loss": 1.0, "val_loss": 1.0, "val_mean_iou": 1.0}
    clock.on_epoch_end(0, logs)
    assert {name: value for name, value in logs.items() if name == BY_LOSS} == judge
    logs = {"loss": 1.0, "mean_iou": 1.0}  # nothing is held out
    clock.on_epoch_end(1, logs)
    assert BY_LOSS not in logs


def test_where_validation_lacks_a_class_the_least_loss_is_the_best_epoch(tmp_path):
    keeper, ended = keeper_of(tmp_path, patience=2), []
    for epoch, (score, loss) in enumerate(((0.5, 3.0), (1.0, 4.0), (0.6, 2.0), (1.0, 2.5), (0.5, 2.0))):
        keeper.on_epoch_end(epoch, {"val_mean_iou": score, "val_loss": loss, ABSENT: 1})
        ended.append(keeper.model.stop_training)
    assert keeper.state.best == 4
    assert ended == [False] * 4 + [True]
