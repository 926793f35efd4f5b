import json
import os
import random
import shutil
import signal
import statistics
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pytest

from unet_tf import Predictor, Run, crossval, evaluate, train
from unet_tf.data.layout import find_named
from unet_tf.data.pictures import read_image, write_picture
from unet_tf.errors import InputError
from unet_tf.training.crossval import _check_alike, _check_out, _together, summarise
from unet_tf.training.train import OF_ITS_FOLD
from unet_tf.utils.signals import Stopped

TINY = {
    "base_filters": 2, "depth": 1, "padding": "same", "tile": 32, "batch_size": 2, "precision": "float32",
    "steps_per_epoch": 2, "epochs": 1, "optimizer": "sgd",
}  # fmt: skip


SAVED = Path(__file__).parents[1] / "saved" / "run_0_1"


class Seeds(NamedTuple):
    """A cross-validation of two seeds: its data, its folder, what it gave, the caller's policy and chance after it."""

    data: Path
    out: Path
    result: dict
    policy: str
    chance_kept: bool


def copied(cells, data):
    for kind in ("images", "masks"):
        shutil.copytree(cells / "train" / kind, data / kind)
    return data


@pytest.fixture
def four(cells, tmp_path):
    return copied(cells, tmp_path / "data")


@pytest.fixture(scope="module")
def seeds(cells, tmp_path_factory):
    """Two seeds of four files, for a caller who has a policy of mixed precision. None writes to them."""
    folder = tmp_path_factory.mktemp("seeds")
    data, out, before = copied(cells, folder / "data"), folder / "seeds", keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    state = random.getstate()
    try:
        result = crossval(data, out, seeds=2, **TINY)
        return Seeds(data, out, result, keras.config.dtype_policy().name, random.getstate() == state)
    finally:
        keras.config.set_dtype_policy(before)


def test_folds_hold_out_every_file_once_and_go_on_where_they_stopped(four, tmp_path):
    out = tmp_path / "folds"
    result = crossval(four, out, folds=2, **TINY)
    held = [Run(out / name).files("val") for name in ("fold1", "fold2")]
    trained = [Run(out / name).files("train") for name in ("fold1", "fold2")]
    assert held[0].isdisjoint(held[1])
    assert [len(h) for h in held] == [2, 2]
    assert trained == held[::-1]
    pixels = sum(np.array(result["confusion"]).ravel())
    assert pixels == 4 * 96 * 96
    scores = [run["mean_iou"] for run in result["runs"].values()]
    assert result["mean"]["mean_iou"] == statistics.mean(scores)
    assert result["spread"]["mean_iou"] == statistics.stdev(scores)
    assert json.loads((out / "crossval.json").read_text()) == result
    assert '<a href="fold2/report.html">' in (out / "report.html").read_text()
    together, single = (
        result["out_of_fold"],
        [json.loads((out / n / Run.EVALUATION).read_text()) for n in result["runs"]],
    )
    assert together["confusion"] == result["confusion"]
    assert together["per_file_mean_iou"] == single[0]["per_file_mean_iou"] | single[1]["per_file_mean_iou"]
    chose = "which chose its epoch by such files too"
    assert together["files"] == f"4 files of {four}, each by the net that held it out, {chose}"

    shutil.rmtree(out / "fold2")
    before = (out / "fold1" / Run.LAST).stat().st_mtime_ns
    (out / "fold1" / Run.EVALUATION).write_text("judged on something else since")
    assert crossval(four, out, folds=2, **TINY) == result
    assert (out / "fold1" / Run.LAST).stat().st_mtime_ns == before
    with pytest.raises(InputError, match="fold1 was begun with epochs = 1, and 3 is asked for or what another run has"):
        crossval(four, out, folds=2, **TINY | {"epochs": 3})


@pytest.fixture(scope="module")
def chosen(cells, tmp_path_factory):
    """Two folds of data with test files, whose threshold is the best one, which is 0.3: their folder, what it gave."""
    folder = tmp_path_factory.mktemp("chosen")
    copied(cells, folder / "data" / "train")
    shutil.copytree(cells / "test", folder / "data" / "test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unet_tf.training.calibrate.best_threshold", lambda curves: 0.3)
        return folder / "folds", crossval(folder / "data", folder / "folds", folds=2, threshold="best", **TINY)


def test_folds_are_judged_on_what_they_held_out_where_there_are_test_files(chosen):
    folds, result = chosen
    assert np.sum(result["confusion"]) == 4 * 96 * 96
    for fold in (folds / name for name in ("fold1", "fold2")):
        judged = json.loads((fold / Run.EVALUATION).read_text())["per_file_mean_iou"]
        assert {name.removeprefix("train/") for name in judged} == Run(fold).names("val")


def test_a_copy_of_what_a_fold_learnt_from_is_not_scored(four, tmp_path):
    copies = {f"cells_00{number}": f"copy_{number}" for number in range(4)}
    for kind in ("images", "masks"):
        for name, copy in copies.items():
            shutil.copy(four / kind / f"{name}.png", four / kind / f"{copy}.png")
    result = crossval(four, tmp_path / "folds", folds=2, **TINY)
    held = [Run(tmp_path / "folds" / name).names("val") for name in ("fold1", "fold2")]
    together = {name for pair in copies.items() if any(fold.issuperset(pair) for fold in held) for name in pair}
    assert set(result["out_of_fold"]["per_file_mean_iou"]) == together < held[0] | held[1]


def test_folds_that_chose_their_threshold_say_so(chosen):
    folds, result = chosen
    together = result["out_of_fold"]
    assert together["files"].endswith("which chose its epoch and the threshold by such files too")
    temperatures = {Run(folds / name).calibration.temperature for name in ("fold1", "fold2")}
    assert (len(temperatures), together["calibration"]["temperature"]) == (2, None)
    assert together["thresholds"]["chosen"] == 0.3  # which both have, though their temperatures differ
    page = (folds / "report.html").read_text()
    assert "0.3 is used" in page and "nets have their own" not in page
    assert "All files, each by the net that held it out" in page
    assert "its best epoch and threshold were chosen by such" in page


def test_groups_stay_in_one_fold(four, tmp_path):
    for path in sorted(four.glob("*/*")):
        number = int(path.stem[-1])
        path.rename(path.with_name("ab"[number % 2] + "xy"[number // 2] + path.suffix))
    names = {pair.name for pair in find_named(four).splits[""]}
    for place, group in enumerate(("^.", ".$")):  # no draw of single files keeps both
        out = tmp_path / f"folds{place}"
        with pytest.raises(Stopped):
            crossval(four, out, folds=2, group=group, callbacks=[AtOnce()], **TINY)
        rows = (out / "fold1" / "files.csv").read_text().splitlines()
        held = {name for split, name, *_ in (row.split(",") for row in rows) if split == "val"}
        assert len(held) == 2 and held < names
        assert len({name[place] for name in held}) == 1


def test_a_call_that_goes_on_judges_as_the_first_one_said(four, tmp_path):
    net = shutil.copy(SAVED / Run.BEST, tmp_path / "net.keras")
    first = crossval(four, tmp_path / "folds", folds=2, group=".$", start_from=str(net), **TINY)
    assert f"; they started from {net}, whose training files are not known" in first["out_of_fold"]["files"]
    assert {one["group"] for one in first["out_of_fold"]["per_file"]} == {*"0123"}
    assert crossval(four, tmp_path / "folds", folds=2, **TINY) == first


def test_of_how_many_files_a_net_before_learnt_is_kept_when_folds_are_put_together(calibrated, cells):
    run = Run(calibrated())
    one, other = (evaluate(run, cells, split=name) for name in ("val", "test"))
    assert "learnt" not in _together([one, other], cells, run).to_json()
    stored = _together([replace(one, learnt=1), other], cells, run).to_json()
    assert stored["learnt"] == 1
    assert "on some of which the net before them was trained" in stored["files"]


def test_seeds_share_the_split_and_each_is_the_run_that_train_makes(seeds, cells, tmp_path):
    result = seeds.result
    by_mean = evaluate(seeds.out, seeds.data)
    assert result["out_of_fold"] == by_mean.to_json()
    assert np.sum(result["out_of_fold"]["confusion"]) == len(by_mean.judged) * 96 * 96
    words = "each by the mean of those of the 2 nets that were not trained on it, or of all where each net was"
    assert by_mean.files.endswith(words)
    runs = [Run(seeds.out / name) for name in result["runs"]]
    assert [run.config.seed for run in runs] == [0, 1]
    assert runs[0].files("val") == runs[1].files("val")
    first, second = (run.model.get_weights() for run in runs)
    assert not np.allclose(first[0], second[0])
    alone = train(seeds.data, tmp_path / "alone", seed=1, **TINY)  # whatever was trained in the process before
    for a, b in zip(alone.model.get_weights(), second, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(InputError, match="changed, gone or new since then"):
        crossval(cells, shutil.copytree(seeds.out, tmp_path / "seeds"), seeds=2, **TINY)


class AtOnce(keras.callbacks.Callback):
    """Stops all in the first step, when the run is planned."""

    def on_train_batch_end(self, batch, logs=None):
        raise Stopped


class Clock:
    """A step timer of a machine that gets busy: each measurement takes ten times as long as the one before."""

    def __init__(self):
        self.asked = []

    def __call__(self, model, plan, channels):
        self.asked.append(plan.base_filters)
        return 1e-4 * 10 ** len(self.asked)


class Once(keras.callbacks.Callback):
    """One step is enough."""

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = True


@pytest.mark.parametrize("change", ["a mask", "a pair"])
def test_data_that_changes_between_two_folds_is_refused_before_the_second(four, tmp_path, change):
    (mask, *_), (image, *_) = (sorted(four.rglob(f"{role}/*")) for role in ("masks", "images"))

    def annotate(epoch, logs):
        if change == "a mask":
            write_picture(mask, 255 - read_image(mask)[..., 0])
        else:
            for path in (mask, image):
                shutil.copy(path, path.with_stem("new"))

    named = mask.stem if change == "a mask" else "new"
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=annotate)]
    with pytest.raises(InputError, match=rf"must have the same files; .* since fold1 began: {named}\. Restore"):
        crossval(four, tmp_path / "folds", folds=2, callbacks=callbacks, **TINY)
    assert not (tmp_path / "folds" / "fold2" / Run.CONFIG).exists()
    assert (tmp_path / "folds" / "fold1" / Run.EVALUATION).exists()


def test_all_folds_follow_one_plan_however_busy_the_machine_gets(four, tmp_path, monkeypatch):
    clock, precisions = Clock(), iter([("float32", "it is so"), ("bfloat16", "it has changed")])
    monkeypatch.setattr("unet_tf.training.train.step_seconds", clock)
    monkeypatch.setattr("unet_tf.training.train.fastest_precision", lambda: next(precisions))
    monkeypatch.setattr("unet_tf.planning.plan.WIDTHS", (2, 4, 8))
    settings = {"depth": 1, "padding": "same", "tile": 32, "batch_size": 2, "minutes": 5, "optimizer": "sgd"}
    out = tmp_path / "folds"

    def until_stopped():
        stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(Stopped):
            crossval(four, out, folds=2, callbacks=[Once(), stop], **settings)

    def shared(plan):
        return {name: why for name, why in plan.reasons.items() if name not in OF_ITS_FOLD}

    until_stopped()
    planned, asked = Run(out / "fold1").plan, list(clock.asked)
    assert asked
    until_stopped()  # in the second fold; the first had one epoch to train, and has been judged
    second = Run(out / "fold2").plan
    assert clock.asked == asked
    assert replace(second, fold="1/2", reasons=planned.reasons) == planned
    assert shared(second) == shared(planned)
    assert planned.precision == "float32"

    shutil.rmtree(out / "fold1")  # what is missing follows those that are there
    until_stopped()
    again = Run(out / "fold1").plan
    assert replace(again, reasons=planned.reasons) == planned
    assert shared(again) == shared(second)
    assert clock.asked == asked

    path = out / "fold2" / Run.CONFIG  # as version 0.1 planned each fold anew
    path.write_text(path.read_text().replace("steps_per_epoch = ", "steps_per_epoch = 1", 1))
    with pytest.raises(InputError, match="must have the same settings; .*fold2 was begun with steps_per_epoch"):
        crossval(four, out, folds=2, **settings)


def test_a_tile_that_was_planned_serves_every_fold_and_each_says_what_it_holds_out(tmp_path):
    """The training images of the second fold alone are smaller than the tile that the first fold chose."""
    rng = np.random.default_rng(0)
    for number, side in enumerate((96, 96, 40, 40, 40)):
        label = np.kron(rng.integers(0, 2, (side // 8, side // 8)), np.ones((8, 8), int)).astype(np.uint8) * 255
        group = "ab"[side == 40]
        write_picture(
            tmp_path / "data" / "images" / f"{group}{number}.png",
            label // 2 + rng.integers(0, 9, label.shape, np.uint8),
        )
        write_picture(tmp_path / "data" / "masks" / f"{group}{number}.png", label)
    settings = {name: value for name, value in TINY.items() if name not in ("tile", "padding")}
    settings["steps_per_epoch"] = 4  # beside which it takes little to look at all tiles
    result = crossval(tmp_path / "data", tmp_path / "folds", folds=2, group="^.", **settings)
    plans = {name: Run(tmp_path / "folds" / name).plan for name in ("fold1", "fold2")}
    assert plans["fold1"].tile == plans["fold2"].tile
    for name, plan in plans.items():
        held = len(Run(tmp_path / "folds" / name).files("val"))
        assert (plan.val_share, plan.reasons["val_share"]) == (held / 5, f"fold {plan.fold} holds {held} of 5 files")
        assert (plan.val_tiles, plan.reasons["val_tiles"][:11]) == (held, "all of them")  # an image is one tile
    assert {plan.val_tiles for plan in plans.values()} == {2, 3}
    assert crossval(tmp_path / "data", tmp_path / "folds", folds=2, group="^.", **settings) == result


def test_a_fold_without_a_class_to_learn_is_found_before_the_first_begins(four, tmp_path):
    for path in sorted((four / "masks").iterdir())[1:]:
        write_picture(path, np.zeros((96, 96), np.uint8))
    with pytest.raises(InputError, match=r"fold \d/2 holds out all of foreground"):
        crossval(four, tmp_path / "folds", folds=2, **TINY)
    assert not (tmp_path / "folds" / "fold1" / Run.CONFIG).exists()


def test_a_signal_ends_all_with_one_line_of_its_own(seeds, tmp_path, caplog):
    def kill(batch, logs):
        os.kill(os.getpid(), signal.SIGTERM)

    done = shutil.copytree(seeds.out, tmp_path / "done")
    killer = keras.callbacks.LambdaCallback(on_train_batch_end=kill)
    with pytest.raises(Stopped):
        crossval(seeds.data, done, seeds=3, callbacks=[killer], **TINY)
    with pytest.raises(InputError, match="lacks the nets of seed2 of seed0 to seed2"):  # and not the mean of two
        Predictor(done)
    caplog.clear()
    with pytest.raises(Stopped):
        crossval(seeds.data, tmp_path / "seeds", seeds=2, callbacks=[killer], **TINY)
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == ["Stopped. Go on with all that is left by the same crossval command."]
    assert [path.name for path in (tmp_path / "seeds").iterdir()] == ["seed0"]


def test_the_callers_policy_and_chance_stay_as_they_were(seeds):
    assert seeds.policy == "mixed_bfloat16"
    assert seeds.chance_kept


def test_a_score_that_a_run_lacks_is_left_out():
    one = {
        "classes": ["a", "b"], "iou": {"a": 1.0, "b": None}, "mean_iou": 1.0, "mean_dice": 1.0, "pixel_accuracy": 1.0,
        "mean_soft_dice": 1.0, "confusion": [[5, 0], [0, 0]],
    }  # fmt: skip
    two = one | {"iou": {"a": 0.5, "b": 0.5}, "confusion": [[1, 1], [0, 1]]}
    result = summarise({"x": one, "y": two})
    assert (result["mean"]["IoU a"], result["mean"]["IoU b"], result["spread"]["IoU b"]) == (0.75, 0.5, None)
    assert result["pooled"]["IoU a"] == 6 / 7
    assert result["pooled"]["IoU b"] == 0.5


def test_runs_that_lack_a_class_that_others_have_are_named():
    none = {"mean_iou": 1.0, "mean_dice": 1.0, "pixel_accuracy": 1.0, "mean_soft_dice": 1.0}
    none |= {
        "classes": ["a", "b", "c"],
        "iou": dict.fromkeys("abc", 1.0),
        "confusion": [[4, 1, 0], [0, 0, 0], [0, 0, 0]],
    }
    some = none | {"confusion": [[5, 0, 0], [0, 2, 0], [0, 0, 0]]}
    result = summarise({"fold1": none, "fold2": some, "fold3": none})
    assert result["note"].startswith(
        "No pixel of the files of these runs is of a class that others have: fold1 of b; fold3 of b. Their mean IoU and"
    )
    assert "note" not in summarise({"fold1": none, "fold3": none}) | summarise({"fold2": some})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": 1}, "A spread needs 2 runs at least; received 1"),
        ({"folds": 2, "seeds": 2}, "must differ in their folds or in their seeds; received 2 folds and 2 seeds"),
        ({"fold": "1/3"}, "chooses the folds itself; received fold 1/3"),
        ({"folds": 9}, "9 folds need 9 pairs; there are 4"),
        ({"folds": 2, "group": "cells"}, "Training needs 2 groups by 'cells'"),
    ],
)
def test_what_cannot_be_is_said(four, tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        crossval(four, tmp_path / "out", **TINY | settings)
    assert not (tmp_path / "out").exists()


def test_runs_begin_in_no_folder_of_a_run_the_data_or_another_report(four, tmp_path):
    out = tmp_path / "out"
    _check_out(out, four)
    out.mkdir()
    (out / ".hidden").touch()
    _check_out(out, four)
    (out / "report.html").touch()
    for folder, what in ((out, "one with a report.html of other things"), (four, "that of the data")):
        with pytest.raises(InputError, match=f"must have a folder of their own; .* is {what}. Choose another --out"):
            crossval(four, folder, folds=2, **TINY)
        (folder / "fold1").mkdir()  # of earlier versions or of other numbers of runs: it goes on
        _check_out(folder, four)
    (out / Run.CONFIG).touch()
    with pytest.raises(InputError, match="must have a folder of their own; .* is that of a run"):
        crossval(four, out, folds=2, **TINY)
    assert sorted(path.name for path in out.iterdir()) == [".hidden", Run.CONFIG, "fold1", "report.html"]


def test_several_hosts_are_refused_before_anything_is_written(four, tmp_path, monkeypatch):
    config = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    with pytest.raises(InputError, match="by one host alone; TF_CONFIG names 2. Unset it, or .* train --fold 1/5"):
        crossval(four, tmp_path / "out", **TINY)
    assert not (tmp_path / "out").exists()


def test_auto_leaves_open_what_is_chosen_and_is_a_name_elsewhere(seeds):
    runs = {"seed0": replace(Run(seeds.out / "seed0").config, masks="auto", precision="auto", cache="auto")}
    _check_alike(seeds.out, runs)
    with pytest.raises(InputError, match="begun with masks_dir = '', and 'auto' is asked for"):
        _check_alike(seeds.out, {"seed0": replace(runs["seed0"], masks_dir="auto")})


def test_a_net_to_start_from_is_the_same_by_its_relative_path(seeds, tmp_path, monkeypatch):
    """Which versions wrote that did not make it whole."""
    out = shutil.copytree(seeds.out, tmp_path / "seeds")
    for name in ("seed0", "seed1"):
        config = out / name / Run.CONFIG
        config.write_text(config.read_text().replace("[train]\n", '[train]\nstart_from = "net.keras"\n'))
    runs = {
        name: replace(Run(out / name).config, start_from=str(tmp_path / "net.keras")) for name in ("seed0", "seed1")
    }
    assert Run(out / "seed0").config.start_from == "net.keras"
    monkeypatch.chdir(tmp_path)
    _check_alike(out, runs)
    monkeypatch.chdir(out)
    with pytest.raises(InputError, match=r"begun with start_from = '.*seeds/net\.keras', and '.*/net\.keras' is asked"):
        _check_alike(out, runs)
