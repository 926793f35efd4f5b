import itertools
import json
import math
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from unet_tf import Predictor, Run, crossval, export, predict, predict_files, resume, train
from unet_tf.data.pictures import read_image, write_picture
from unet_tf.errors import InputError
from unet_tf.evaluation import evaluate
from unet_tf.evaluation.best_epoch import best_row
from unet_tf.plan import Plan
from unet_tf.planning import prepare as plan_module
from unet_tf.training import callbacks, run_writer
from unet_tf.training import compile as compile_module
from unet_tf.training import train as train_module
from unet_tf.training.fit import Watchers
from unet_tf.training.run_writer import RunWriter
from unet_tf.training.train import _of_its_fold, begin_run
from unet_tf.utils.signals import Stopped

TINY = {
    "base_filters": 2, "depth": 1, "padding": "valid", "tile": 52, "batch_size": 2, "precision": "float32",
    "steps_per_epoch": 2, "epochs": 2, "optimizer": "sgd",  # traced soonest; Muon: test_checkpoint, test_muon
}  # fmt: skip


DROPPING = TINY | {"dropout": 0.2, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def tiny(cells, tmp_path_factory):
    """A run with dropout. None writes to it."""
    return train(cells, tmp_path_factory.mktemp("runs") / "tiny", **DROPPING)


def test_a_run_holds_what_it_promises(run):
    names = {p.name for p in run.path.iterdir()}
    assert names == {
        "config.toml", "files.csv", "best.keras", "last.keras", "history.csv", "log.txt", "progress",
        "calibration.json", "evaluation.json", "panels", "report.html", "samples.png", "data.json", ".lock",
    }  # fmt: skip
    assert {p.name for p in (run.path / "progress").iterdir()} == {"epoch_00001.png", "epoch_00002.png"}
    rows = run.history()
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert set(rows[0]) == {
        "epoch", "loss", "mean_iou", "val_loss", "val_mean_iou", "learning_rate", "seconds", "classes_predicted"
    }  # fmt: skip


def test_a_run_with_a_border_class_draws_whole_objects_and_scores_them(cells, tmp_path):
    data = tmp_path / "nuclei"
    shutil.copytree(cells / "train" / "images", data / "images")
    shutil.copytree(cells / "train" / "instances", data / "labels")
    run = train(data, tmp_path / "run", masks="instance", **TINY | {"epochs": 1})
    assert (run.classes, run.masks.border) == (("background", "cell", "border"), 1)
    assert (run.masks.neck >= 1, run.masks.smallest > 1, run.masks.filled) == (True, True, True)
    scored = json.loads((run.path / "evaluation.json").read_text())
    assert (scored["classes"], np.shape(scored["confusion"])) == (["background", "cell"], (2, 2))
    predict_files(run, data / "images", tmp_path / "masks", instances=True)
    picture = next((data / "images").iterdir())
    drawn = read_image(tmp_path / "masks" / f"{picture.stem}.png")[..., 0]
    np.testing.assert_array_equal(drawn, read_image(tmp_path / "masks" / f"{picture.stem}_instances.tif")[..., 0])
    label = predict(run, read_image(picture))
    np.testing.assert_array_equal(drawn, run.masks.mask(label))
    bundle = tmp_path / "bundle"
    export(run, bundle, variants=[], max_iou_drop=1)
    assert Predictor(bundle).masks == run.masks
    card = (bundle / "MODEL_CARD.md").read_text()
    assert "2 border. The last one is the border of an object of the one before, 1 pixel wide. Depth" in card


def test_the_config_is_stored_whole_and_comes_back(run, cells):
    stored = tomllib.loads((run.path / "config.toml").read_text())
    assert stored["data"]["path"] == str(cells.resolve())
    assert stored["versions"]["keras"] == keras.__version__
    assert Run(run.path).config == run.config
    assert (run.config.base_filters, run.config.tile, run.config.epochs) == (4, 84, 3)


def test_it_learns(run):
    rows = run.history()
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_the_best_epoch_is_kept(run):
    rows = run.history()
    model = keras.saving.load_model(run.path / Run.BEST)
    assert model.count_params() == run.model.count_params()
    same = all((a == b).all() for a, b in zip(
        model.get_weights(), keras.saving.load_model(run.path / Run.LAST).get_weights(), strict=True
    ))  # fmt: skip
    assert same == (best_row(rows) is rows[-1])


def test_validation_while_training_equals_prediction_of_whole_images(run, cells):
    from unet_tf.data.folder import read_pair
    from unet_tf.data.layout import find_named
    from unet_tf.evaluation.metrics import confusion_matrix, scores

    confusion = sum(
        confusion_matrix(label, predict(run, image), 2)
        for image, label, *_ in (read_pair(pair, run.masks) for pair in find_named(cells / "val").splits[""])
    )
    assert scores(confusion)["mean_iou"] == pytest.approx(run.best_row["val_mean_iou"], abs=5e-4)  # four pixels


def test_rgb_images_of_three_classes_train_with_weights(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(3):
        label = np.repeat(np.repeat(rng.integers(0, 3, (8, 8)), 8, 0), 8, 1).astype(np.uint8)
        label[:4] = 255
        write_picture(tmp_path / "data" / "images" / f"{number}.png", np.stack([label, 255 - label, label * 50], -1))
        write_picture(tmp_path / "data" / "masks" / f"{number}.tif", label)
    weights = {"border_weight": 10.0, "class_balance": True, "batch_norm": False, "flips": False, "elastic": 0.0}
    run = train(tmp_path / "data", tmp_path / "run", classes=3, **TINY | weights | {"epochs": 1})
    assert math.isfinite(float(run.history()[0]["val_loss"]))
    assert run.classes == ("background", "class1", "class2")
    assert run.normalisation.channels == 3
    image = read_image(tmp_path / "data" / "images" / "0.png")
    assert predict(run, image, probabilities=True).shape == (64, 64, 3)
    assert run.files("train").isdisjoint(run.files("val"))


def test_sixteen_bit_images_train_in_bfloat16_and_padded(cells, tmp_path):
    data = shutil.copytree(cells, tmp_path / "data")
    for path in data.glob("*/images/*.png"):
        write_picture(path, read_image(path)[..., 0].astype(np.uint16) * 200)
    padded = {"padding": "same", "tile": 32, "dropout": 0.2, "precision": "bfloat16"}
    run = train(data, tmp_path / "run", **TINY | padded | {"epochs": 1})
    assert math.isfinite(float(run.history()[0]["val_loss"]))
    assert predict(run, np.zeros((40, 30), np.uint16)).shape == (40, 30)
    assert run.normalisation.dtype == "uint16"
    assert run.normalisation.mean[0] > 5000


def test_minutes_end_a_run_cleanly(cells, tmp_path, monkeypatch):
    clock = itertools.count()  # each look at it takes a second
    monkeypatch.setattr(train_module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    run = train(cells, tmp_path / "run", **TINY | {"epochs": None, "minutes": 1})
    assert run.plan.epochs == math.inf
    assert max(float(row["learning_rate"]) for row in run.history()) > 0.1 * run.plan.learning_rate
    assert (run.path / "report.html").is_file()
    before = run.history()
    assert resume(run).history() == before  # it has come to its end


def test_a_run_is_not_begun_in_the_folder_of_its_data(cells, tmp_path):
    data = shutil.copytree(cells, tmp_path / "data")
    before = sorted(data.rglob("*"))
    with pytest.raises(InputError, match="must have a folder of its own; .* is that of the data"):
        train(data, data / "train" / "..", **TINY)
    assert sorted(data.rglob("*")) == before


def test_another_backend_of_keras_is_refused_before_anything_is_done(run, cells, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    for call in (
        lambda: train(cells, tmp_path / "run", **TINY),
        lambda: resume(run),
        lambda: export(run, tmp_path / "bundle"),
        lambda: predict(Run(run.path), np.zeros((30, 30), np.uint8)),
        lambda: Predictor(run.model),
    ):
        with pytest.raises(InputError, match="must run on Keras' TensorFlow backend; KERAS_BACKEND, .* says jax. Set"):
            call()
    assert list(tmp_path.iterdir()) == []


def test_a_fold_looks_at_as_many_tiles_as_the_first_where_that_looks_at_some(run):
    reasons = {"val_tiles": "of 9, always the same ones: to look at all would take about 50% of the time"}
    plan = replace(run.plan, fold="2/3", val_tiles=5, reasons=reasons)
    for tiles, wanted in ((7, (5, "of 7, always the same ones")), (4, (4, "all of them"))):
        prepared = SimpleNamespace(config=plan.config, splits={"train": "ab", "val": "c"})
        prepared.work = {plan.batch_size: SimpleNamespace(tiles=tiles)}.get
        own = _of_its_fold(plan, prepared)
        assert (own.val_tiles, own.reasons["val_tiles"], own.val_share) == (*wanted, plan.val_share)
    seed = replace(plan, fold="")
    assert _of_its_fold(seed, None) == seed


def test_a_run_that_exists_is_not_touched(run, cells):
    before = {p: p.stat().st_mtime_ns for p in run.path.rglob("*")}
    with pytest.raises(
        InputError,
        match=r"already holds a run \(config\.toml, .*\)\. Go on with it by --resume",
    ):
        train(cells, run.path, **TINY)
    assert {p: p.stat().st_mtime_ns for p in run.path.rglob("*")} == before


def test_a_run_whose_time_is_gone_before_its_first_step_is_refused_and_not_said_to_have_learnt(
    cells, tmp_path, monkeypatch
):
    """While its steps are timed, nothing is written; a run that was killed in its first epoch is not finished."""

    monotonic, late = time.monotonic, [0.0]
    clock = SimpleNamespace(monotonic=lambda: monotonic() + late[0])
    monkeypatch.setattr(train_module, "time", clock)
    monkeypatch.setattr(callbacks, "time", clock)

    def timing(*arguments):
        late[0] += 1000
        return 1e-3

    settings = TINY | {"epochs": None, "minutes": 5, "base_filters": 2, "steps_per_epoch": None}
    with monkeypatch.context() as patch, pytest.raises(InputError, match=r"timing steps, took all of its 5 minutes"):
        patch.setattr(train_module, "step_seconds", timing)
        train(cells, tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()

    monkeypatch.setattr(train_module, "step_seconds", lambda *arguments: 1e-3)
    killed = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Stopped):
        train(cells, tmp_path / "run", callbacks=[killed], **settings)
    prepare = train_module.prepare
    monkeypatch.setattr(train_module, "prepare", lambda *a, **k: (timing(), prepare(*a, **k))[1])
    with pytest.raises(
        InputError, match=r"what comes before the first step took all of its 5 minutes .* Go on with it"
    ):
        resume(tmp_path / "run")
    assert not Run(tmp_path / "run").history()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tile": 571}, r"Input 571 is not a legal tile size"),
        ({"tile": 200}, r"a 200 tile gives 184x184 px: cells_000 is 96x96 .* Choose --tile 112 or less"),
        ({"classes": 3}, "none has class1, class2"),
        ({"classes": "a,a"}, "classes must be 2 to 254 different names"),
        ({"base_filter": 3}, "no setting 'base_filter'; nearest: base_filters"),
        ({"minutes": 1e-6}, "A run must have time to train; reading took all of its 1e-06 minutes"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(cells, tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        train(cells, tmp_path / "run", **TINY | settings)
    assert not (tmp_path / "run").exists()


def test_bad_data_is_refused_before_anything_is_written(cells, tmp_path):
    data = shutil.copytree(cells, tmp_path / "data")
    victim = data / "val" / "images" / "cells_000.png"
    victim.write_bytes(victim.read_bytes()[:200])
    with pytest.raises(InputError, match=r"val.images.cells_000\.png .* truncated"):
        train(data, tmp_path / "run", **TINY)
    write_picture(victim, np.zeros((96, 96), np.uint16))
    with pytest.raises(
        InputError, match=r"one pixel type; found uint8 \(such as the training image cells_000\), uint16"
    ):
        train(data, tmp_path / "run", **TINY)
    assert not (tmp_path / "run").exists()


def test_test_images_that_are_all_training_images_are_refused(cells, tmp_path):
    for split in ("train", "val", "test"):
        shutil.copytree(cells / ("val" if split == "val" else "train"), tmp_path / "data" / split)
    with pytest.raises(InputError, match="every test image is a training image too"):
        train(tmp_path / "data", tmp_path / "run", **TINY)
    assert not (tmp_path / "run").exists()


def test_a_file_in_the_place_of_the_run_is_refused(cells, tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        train(cells, tmp_path / "run", **TINY)
    assert (tmp_path / "run").read_text() == "mine"


def test_a_training_folder_alone_is_split_and_judged_on_what_was_held_out(cells, tmp_path):
    shutil.copytree(cells / "train", tmp_path / "data" / "train")
    run = train(tmp_path / "data", tmp_path / "run", **TINY)
    stored = json.loads((run.path / "evaluation.json").read_text())
    assert stored["files"].endswith("by which the best epoch was chosen")
    assert len(stored["per_file_mean_iou"]) == len(run.files("val")) == 1


def test_a_run_that_diverges_says_so_and_keeps_what_it_had(cells, tmp_path):
    with pytest.raises(
        InputError, match=r"A loss must be finite; it is (nan|inf) in step \d+, on tiles of cells_00\d.* Lower"
    ):
        train(cells, tmp_path / "run", **TINY | {"learning_rate": 1e30, "epochs": 4, "batch_norm": False})


def test_memory_that_does_not_do_is_said(cells, tmp_path, monkeypatch):
    def exhausted(plan, channels):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(Plan, "build", exhausted)
    with pytest.raises(InputError, match="2 base filters at depth 1 with 2 tiles of 52 px.* Lower --batch"):
        train(cells, tmp_path / "run", **TINY)


def test_a_run_that_goes_on_is_told_of_no_settings_that_it_cannot_change(own_run, monkeypatch):
    strategy = SimpleNamespace(num_replicas_in_sync=3)
    with monkeypatch.context() as patch:
        patch.setattr(train_module, "choose_strategy", lambda: strategy)
        with pytest.raises(InputError, match="received 4 tiles. The run has this batch: show it 2 of them a host"):
            resume(own_run.path)

    def exhausted(plan, channels):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(Plan, "build", exhausted)
    for _ in range(2):
        with pytest.raises(InputError, match="4 base filters at depth 2 .* The run goes on as it was begun"):
            resume(own_run.path)
        (own_run.path / Run.LAST).unlink(missing_ok=True)  # as of one that has no epoch yet


def test_a_run_by_the_plan_of_another_is_told_of_no_settings_that_it_cannot_change(run, cells, tmp_path, monkeypatch):
    def exhausted(plan, channels):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(Plan, "build", exhausted)
    with pytest.raises(InputError, match="The run goes on as it was begun"):  # a fold after the first
        begin_run(RunWriter(tmp_path / "fold2"), cells, run.config, Watchers(), (run.plan, run))


def test_a_full_disk_is_said_and_loses_nothing(cells, tmp_path):
    """A limit on the size of files, set before the second epoch is saved, stands for the disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full(epoch, logs):
        if epoch == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))

    limit = keras.callbacks.LambdaCallback(on_epoch_end=full)
    try:
        with pytest.raises(InputError, match="Cannot write .*Free space or choose another place"):
            train(cells, tmp_path / "run", callbacks=[limit], **TINY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    files = {p.name for p in (tmp_path / "run").iterdir()}
    assert files == {
        "config.toml", "files.csv", "best.keras", "last.keras", "history.csv", "log.txt", "progress", ".lock",
        "samples.png", "data.json",
    }  # fmt: skip
    assert len(Run(tmp_path / "run").history()) == 1
    assert predict(tmp_path / "run", np.zeros((40, 30), np.uint8)).shape == (40, 30)


def test_a_net_that_is_no_longer_finite_is_not_saved(cells, tmp_path):
    settings = TINY | {"learning_rate": 1e38, "optimizer": "sgd", "steps_per_epoch": 1, "epochs": 1}
    with pytest.raises(InputError, match=r"validation loss must be finite; it is (nan|inf) after epoch 1"):
        train(cells, tmp_path / "run", **settings)
    assert not (tmp_path / "run" / Run.LAST).exists()


def test_a_callback_may_end_a_run_and_add_to_its_logs_what_is_no_number(cells, tmp_path):
    class Enough(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True
            logs |= {"f1": np.float32(0.5), "count": tf.constant(3), "note": "good", "val_mean_iou": None}

    run = train(cells, tmp_path / "run", callbacks=[Enough()], **TINY | {"epochs": 9})
    [row] = resume(run.path).history()
    assert (row["f1"], row["count"], "note" in row) == ("0.5", "3", False)


def test_a_folder_that_cannot_be_made_is_said(cells, run):
    with pytest.raises(InputError, match="Cannot write into .*Choose another --out"):
        train(cells, run.path / "config.toml" / "x", **TINY)


def test_events_for_tensorboard_are_written(cells, tmp_path, monkeypatch):
    from unet_tf.cli import commands as cli

    monkeypatch.setattr(sys, "argv", [
        "unet-tf", "train", str(cells), "--out", str(tmp_path / "run"), "--tensorboard", "--base-filters", "2",
        "--depth", "1", "--tile", "32", "--epochs", "1", "--steps-per-epoch", "1", "--batch-size", "1",
        "--optimizer", "sgd",
    ])  # fmt: skip
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code
    assert list((tmp_path / "run" / "tensorboard").rglob("events.out.tfevents.*"))


class OneStep(keras.callbacks.Callback):
    """One step is enough."""

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = True


def test_the_callers_chance_and_policy_stay_as_they_were(cells, tmp_path):
    def begin():
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        tf.random.set_seed(1)

    def draws():
        return random.random(), np.random.random(), float(tf.random.uniform(()))  # noqa: NPY002

    begin()
    expected = draws()
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        begin()
        # the precision and a step are measured too
        settings = TINY | {"precision": "auto", "epochs": None, "steps_per_epoch": None, "minutes": 5}
        run = train(cells, tmp_path / "run", callbacks=[OneStep()], **settings)
        predict(run, np.zeros((40, 30), np.uint8))
        assert draws() == expected
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy(policy)


def kill(*arguments, **names):
    os.kill(os.getpid(), signal.SIGTERM)


def in_hook(name, number):
    """A signal arrives in the n-th call of a hook of Keras."""
    calls = itertools.count(1)

    def called(self, *arguments, **names):
        if next(calls) == number:
            kill()

    return lambda patch: {"callbacks": [type("Killer", (keras.callbacks.Callback,), {name: called})()]}


def in_function(owner, name):
    """A signal arrives in the midst of a function."""

    def arrange(patch):
        function = getattr(owner, name)

        def killed(*arguments, **names):
            kill()
            return function(*arguments, **names)

        patch.setattr(owner, name, killed)
        return {}

    return arrange


# Moment -> what arranges it, and the epochs that are kept then, of two with two steps each.
MOMENTS = {
    "first compile": (in_hook("on_train_batch_begin", 1), 0),
    "save": (in_function(run_writer, "save_checkpoint"), 1),
    "step": (in_hook("on_train_batch_end", 1), 1),
    "validation": (in_hook("on_test_batch_begin", 1), 1),
    "files that follow": (in_function(run_writer.csv, "DictWriter"), 1),
    "judging": (lambda patch: {"on_image": kill}, 2),
    "report": (in_function(evaluate, "write_report"), 2),
}


def test_a_run_that_signals_end_at_every_moment_is_whole_and_goes_on(cells, tiny, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "unet_tf")
    out = tmp_path / "a run"
    for moment, (arrange, kept) in MOMENTS.items():
        with monkeypatch.context() as patch, pytest.raises(Stopped):
            arguments = arrange(patch)
            resume(out, **arguments) if out.exists() else train(cells, out, **DROPPING, **arguments)
        line = f"Stopped. Go on with: unet-tf train --resume '{out}'"
        assert caplog.messages[-1] == line, moment
        assert (out / Run.LOG).read_text().splitlines()[-1].endswith(line), moment
        assert len(Run(out).history()) == kept, moment
        assert not [path for path in out.rglob(".*") if path.name != Run.LOCK], moment
    run = resume(out)
    for a, b in zip(run.model.get_weights(), tiny.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [row["loss"] for row in run.history()] == [row["loss"] for row in tiny.history()]
    assert (run.path / Run.REPORT).is_file()


def test_a_run_whose_data_has_moved_is_gone_on_with_where_it_is_now(cells, own_run, tmp_path, caplog):
    moved = shutil.copytree(cells, tmp_path / "moved here")
    with pytest.raises(Stopped):
        resume(own_run.path, moved, on_file=kill)
    assert caplog.messages[-1] == f"Stopped. Go on with: unet-tf train --resume {own_run.path} '{moved}'"


@pytest.mark.parametrize(
    "arrange",
    [
        lambda patch: {"on_file": kill},
        in_function(plan_module, "plan_flips"),
        in_function(compile_module, "instructions"),
        in_function(train_module, "compiled"),
    ],
    ids=["reading", "looking at objects", "looking at the processor", "timing steps"],
)
def test_a_signal_before_a_run_has_begun_says_so_and_leaves_nothing(cells, tmp_path, monkeypatch, caplog, arrange):
    settings = TINY | {"precision": "auto", "epochs": None, "steps_per_epoch": None, "minutes": 5}
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        train(cells, tmp_path / "run", **settings, **arrange(patch))
    message = f"Stopped before the run in {tmp_path / 'run'} had begun; there is nothing to go on with."
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"][-1:] == [message]
    assert not (tmp_path / "run").exists()


def test_a_callback_may_stop_a_run_itself(cells, tmp_path, caplog):
    class Enough(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise Stopped

    with pytest.raises(Stopped):
        train(cells, tmp_path / "run", callbacks=[Enough()], **TINY)
    assert "Stopped. Go on with:" in caplog.messages[-1]


@pytest.mark.parametrize(("split", "change"), [("train", "replace"), ("val", "remove")])
def test_a_file_that_goes_or_changes_while_training_is_named(cells, tmp_path, split, change):
    data = shutil.copytree(cells, tmp_path / "data")
    victim = data / split / "images" / "cells_001.png"

    class Disturb(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            for path in (data / split / "images").iterdir():
                path.unlink() if change == "remove" else write_picture(path, np.zeros((50, 50), np.uint8))

    settings = TINY | {"cache": "none", "epochs": 50, "steps_per_epoch": 4}
    with pytest.raises(InputError, match="A data set must stay as it is while it is used; .*changed or gone") as raised:
        train(data, tmp_path / "run", callbacks=[Disturb()], **settings)
    assert raised.value.file.parent == victim.parent
    assert raised.value.__suppress_context__
    assert 1 <= len(Run(tmp_path / "run").history()) < 50


def test_a_cache_that_goes_while_training_is_named(cells, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    class Clean(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            for folder in tmp_path.glob("unet_tf-*"):
                shutil.rmtree(folder)

    with pytest.raises(InputError, match="The cache on disk must stay while it is used; .* has gone"):
        train(cells, tmp_path / "run", callbacks=[Clean()], **TINY | {"cache": "disk", "epochs": 50})


def test_a_run_of_version_0_1_goes_on(tiny, tmp_path):
    """Its settings name some that are no more, at the values at which they did nothing."""
    out = shutil.copytree(tiny.path, tmp_path / "run")
    path = out / Run.CONFIG
    path.write_text(path.read_text().replace("[train]\n", "[train]\ngamma = 0.0\nnoise = 0.0\nvoid_outside = false\n"))
    assert resume(out).config == tiny.config
    path.write_text(path.read_text().replace("gamma = 0.0", "gamma = 0.2"))
    with pytest.raises(InputError, match="begun with gamma = 0.2, which this version does not have"):
        resume(out)
    assert predict(out, np.zeros((40, 30), np.uint8)).shape == (40, 30)


def test_a_class_that_validation_lacks_is_said_and_the_epoch_chosen_by_loss(tmp_path, caplog):
    for number in range(6):
        image = np.random.default_rng(number).integers(0, 256, (32, 32), dtype=np.uint8)
        mask = np.zeros((32, 32), np.uint8)
        mask[8:20, 8:20] = 255 * (number == 2)
        write_picture(tmp_path / "data" / "images" / f"{number}.png", image)
        write_picture(tmp_path / "data" / "masks" / f"{number}.png", mask)
    run = train(tmp_path / "data", tmp_path / "run", **{**TINY, "epochs": 3, "tile": 48})
    rows, report = run.history(), (run.path / "report.html").read_text()
    assert [row["val_classes_absent"] for row in rows] == ["1"] * 3
    least = min(rows, key=lambda row: float(row["val_loss"]))
    assert f"Least validation loss {float(least['val_loss']):.4f} after epoch {int(least['epoch']) + 1}" in report
    assert "No pixel of these files is of foreground" in report
    assert "No validation pixel is of foreground." in (run.path / "log.txt").read_text()
    assert "has predicted" not in caplog.text


def test_where_the_tiles_that_validation_looks_at_lack_a_class_the_history_says_so(tmp_path):
    rng = np.random.default_rng(0)
    for split, number in itertools.product(("train", "val"), range(4)):
        image, mask = rng.integers(0, 256, (32, 32), dtype=np.uint8), np.full((32, 32), 255 * (number == 2), np.uint8)
        write_picture(tmp_path / "data" / split / "images" / f"{number}.png", image)
        write_picture(tmp_path / "data" / split / "masks" / f"{number}.png", mask)
    stop = keras.callbacks.LambdaCallback(on_epoch_end=kill)
    for tiles, absent in ((1, "1"), (2, None)):
        settings = TINY | {"tile": 48, "epochs": 1, "val_tiles": tiles}
        with pytest.raises(Stopped):
            train(tmp_path / "data", tmp_path / f"run{tiles}", callbacks=[stop], **settings)
        [row] = Run(tmp_path / f"run{tiles}").history()
        assert row.get("val_classes_absent") == absent


def test_a_run_of_minutes_does_not_pay_for_reading_again(cells, tmp_path, monkeypatch):
    class Once(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch:
                raise Stopped

    with pytest.raises(Stopped):
        train(cells, tmp_path / "run", callbacks=[Once()], **TINY | {"minutes": 5})
    monotonic = train_module.time.monotonic  # reading takes 1000 s more than the run has
    monkeypatch.setattr(train_module, "time", SimpleNamespace(monotonic=lambda: monotonic() - 1000))
    first, second = (float(row["seconds"]) for row in resume(tmp_path / "run").history())
    assert first <= second < first + 100


def test_a_run_may_learn_from_all_files_and_keeps_its_last_epoch(cells, tmp_path, caplog):
    data = tmp_path / "data"
    shutil.copytree(cells / "train", data)
    run = train(data, tmp_path / "run", val_share=0, **TINY)
    assert "No file is held out: the net is trained on all, its last epoch is kept" in caplog.text
    assert run.names("train") == {path.stem for path in (data / "images").iterdir()}
    assert run.names("val") == set()
    assert [sorted(row) for row in run.history()] == [
        ["classes_predicted", "epoch", "learning_rate", "loss", "mean_iou", "seconds"]
    ] * 2
    with zipfile.ZipFile(run.path / Run.BEST) as best, zipfile.ZipFile(run.path / Run.LAST) as last:
        assert best.read("model.weights.h5") == last.read("model.weights.h5")
    assert "No file was held out, so the last epoch is" in (run.path / Run.REPORT).read_text()
    assert json.loads((run.path / Run.EVALUATION).read_text())["files"].endswith("on which it was trained")
    (run.path / Run.LAST).unlink()
    resume(run.path)
    assert len(run.history()) == 2
    with pytest.raises(InputError, match="Runs must be judged on files that they never saw"):
        crossval(data, tmp_path / "seeds", seeds=2, val_share=0, **TINY)
