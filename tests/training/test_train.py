import csv
import json
import math
import shutil
import subprocess
import sys
import time
import tomllib
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from unet_tf import Run, TrainConfig, predict, resume, train
from unet_tf.data.mask_kind import class_names
from unet_tf.data.pictures import read_image, write_picture
from unet_tf.errors import InputError
from unet_tf.evaluation.metrics import MeanIoU
from unet_tf.model.batch_norm import fuse_batch_norm
from unet_tf.model.losses import WeightedCrossentropy
from unet_tf.training.callbacks import Guard, RunClock, RunFiles, write_derived
from unet_tf.training.checkpoint import State

TINY = {
    "base_filters": 2, "depth": 1, "padding": "valid", "tile": 52, "batch_size": 2, "precision": "float32",
    "steps_per_epoch": 2, "epochs": 2,
}  # fmt: skip


def history(run):
    with (run.path / Run.HISTORY).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_holds_what_it_promises(run):
    names = {p.name for p in run.path.iterdir()}
    assert names == {
        "config.toml", "files.csv", "best.keras", "last.keras", "history.csv", "log.txt", "progress",
        "evaluation.json", "panels", "report.html", ".lock",
    }  # fmt: skip
    assert {p.name for p in (run.path / "progress").iterdir()} == {"epoch_00001.png", "epoch_00002.png"}
    rows = history(run)
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert set(rows[0]) == {
        "epoch", "loss", "mean_iou", "val_loss", "val_mean_iou", "learning_rate", "seconds", "classes_predicted"
    }  # fmt: skip


def test_the_config_is_stored_whole_and_comes_back(run, cells):
    stored = tomllib.loads((run.path / "config.toml").read_text())
    assert stored["data"]["path"] == str(cells.resolve())
    assert stored["versions"]["keras"] == keras.__version__
    assert Run(run.path).config == run.config
    assert (run.config.base_filters, run.config.tile, run.config.epochs) == (4, 84, 3)


def test_it_learns(run):
    rows = history(run)
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_the_best_epoch_is_kept(run):
    rows = history(run)
    scores = [float(row["val_mean_iou"]) for row in rows]
    model = keras.saving.load_model(run.path / Run.BEST)
    assert model.count_params() == run.model.count_params()
    same = all((a == b).all() for a, b in zip(
        model.get_weights(), keras.saving.load_model(run.path / Run.LAST).get_weights(), strict=True
    ))  # fmt: skip
    assert same == (scores.index(max(scores)) == len(scores) - 1)


def test_validation_while_training_equals_prediction_of_whole_images(run, cells):
    from unet_tf.data.folder import match, read_pair
    from unet_tf.evaluation.metrics import confusion_matrix, scores

    confusion = sum(
        confusion_matrix(label, predict(run, image), 2)
        for image, label, *_ in (read_pair(pair, run.masks) for pair in match(cells / "val")[0])
    )
    best = max(float(row["val_mean_iou"]) for row in history(run))
    assert scores(confusion)["mean_iou"] == pytest.approx(best, abs=1e-4)


def test_the_same_seed_gives_the_same_weights(cells, tmp_path):
    a, b, c = (train(cells, tmp_path / name, seed=seed, **TINY) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    weights = [r.model.get_weights() for r in (a, b, c)]
    assert all(np.allclose(x, y, atol=1e-6) for x, y in zip(weights[0], weights[1], strict=True))
    assert not all(np.allclose(x, y, atol=1e-3) for x, y in zip(weights[0], weights[2], strict=True))


def test_every_variant_trains(cells, tmp_path):
    variants = {
        "same": {"padding": "same", "tile": 32, "dropout": 0.2},
        "weights": {"border_weight": 10.0, "class_balance": True, "batch_norm": False, "flips": False, "elastic": 0.0},
        "bfloat16": {"precision": "bfloat16"},
    }
    for name, settings in variants.items():
        out = train(cells, tmp_path / name, **TINY | settings | {"epochs": 1}).path
        assert math.isfinite(float(history(Run(out))[0]["val_loss"]))
        assert predict(out, np.zeros((40, 30), np.uint8)).shape == (40, 30)


def test_rgb_images_of_three_classes_train(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(3):
        label = np.repeat(np.repeat(rng.integers(0, 3, (8, 8)), 8, 0), 8, 1).astype(np.uint8)
        label[:4] = 255
        write_picture(tmp_path / "data" / "images" / f"{number}.png", np.stack([label, 255 - label, label * 50], -1))
        write_picture(tmp_path / "data" / "masks" / f"{number}.tif", label)
    run = train(tmp_path / "data", tmp_path / "run", classes=3, **TINY)
    assert run.classes == ("background", "class1", "class2")
    assert run.normalisation.channels == 3
    image = read_image(tmp_path / "data" / "images" / "0.png")
    assert predict(run, image, probabilities=True).shape == (64, 64, 3)
    assert run.files("train").isdisjoint(run.files("val"))


def test_sixteen_bit_images_train(cells, tmp_path):
    data = shutil.copytree(cells, tmp_path / "data")
    for path in data.glob("*/images/*.png"):
        write_picture(path, read_image(path)[..., 0].astype(np.uint16) * 200)
    run = train(data, tmp_path / "run", **TINY)
    assert run.normalisation.dtype == "uint16"
    assert run.normalisation.mean[0] > 5000


def test_minutes_end_a_run_cleanly(cells, tmp_path):
    run = train(cells, tmp_path / "run", **TINY | {"epochs": None, "minutes": 0.2})
    rows = history(run)
    assert float(rows[-1]["seconds"]) < 40
    assert float(rows[-1]["learning_rate"]) < 1e-4
    assert (run.path / "report.html").is_file()


def test_the_learning_rate_warms_up_and_falls_to_zero():
    clock = RunClock(TrainConfig(epochs=10, steps_per_epoch=10, learning_rate=1.0), start=0)
    assert clock.learning_rate(0.01) == pytest.approx(0.5)
    assert clock.learning_rate(0.02) == pytest.approx(1.0)
    assert clock.learning_rate(0.51) == pytest.approx(0.5)
    assert clock.learning_rate(1.0) == pytest.approx(0.0)
    clock.step = 50
    assert clock.share == 0.5


def test_patience_ends_a_run_that_stands_still(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    keeper = RunFiles(tmp_path, patience=2, state=State())
    model.stop_training = False
    keeper.set_model(model)
    keeper.set_params({"epochs": 10})
    ended = []
    for epoch, score in enumerate((0.5, 0.6, 0.6, 0.55)):
        keeper.on_epoch_end(epoch, {"val_mean_iou": score})
        ended.append(model.stop_training)
    assert ended == [False, False, False, True]
    assert keeper.state.best == (1, 0.6)
    assert keeper.state.finished


def test_a_run_that_exists_is_not_touched(run, cells):
    before = {p: p.stat().st_mtime_ns for p in run.path.rglob("*")}
    with pytest.raises(
        InputError,
        match=r"already holds a run \(config\.toml, .*\)\. Go on with it by --resume",
    ):
        train(cells, run.path, **TINY)
    assert {p: p.stat().st_mtime_ns for p in run.path.rglob("*")} == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tile": 571}, r"Input 571 is not a legal tile size"),
        ({"tile": 200}, r"a 200 tile gives 184x184 px: cells_000 is 96x96 .* Choose --tile 112 or less"),
        ({"classes": 3}, "none has class1, class2"),
        ({"classes": "a,a"}, "classes is 2 to 254 different names"),
        ({"base_filter": 3}, "no setting 'base_filter'; nearest: base_filters"),
        ({"learning_rate": 0}, "learning_rate is above 0; received 0"),
        ({"precision": "float8"}, "precision is one of auto, float32, bfloat16, float16; received 'float8'"),
        ({"epochs": 1.5}, "epochs is a whole number or not set; received 1.5"),
        ({"tile": "44"}, "tile is a whole number or not set; received '44'"),
        ({"flips": 1}, "flips is true or false; received 1"),
        ({"elastic": math.inf}, "elastic is a finite number; received inf"),
        ({"scale": 0.99}, r"scale is in \[0, 0.9\]; received 0.99"),
        ({"classes": 2.5}, "classes is their number, or their names; received 2.5"),
        ({"void": 1.5}, "void is a class, a mask value or a colour.*; received 1.5"),
        ({"minutes": 1e-6}, "A run has time to train; reading took all of its 1e-06 minutes"),
        ({"minutes": -1}, "minutes is above 0; received -1"),
        ({"dropout": 2}, r"dropout is a rate in \[0, 1\); received 2"),
        ({"elastic": -1}, "elastic is 0 or more"),
        ({"seed": -1}, "seed is in"),
        ({"tile": 0}, "Input 0 is not a legal tile size"),
        ({"classes": ["a", ""]}, "different names"),
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


def test_a_damaged_config_is_named(run, tmp_path):
    (tmp_path / "config.toml").write_text("[train]\nclasses = ")
    with pytest.raises(InputError, match=r"config\.toml is damaged"):
        Run(tmp_path)


def test_names_of_classes():
    assert class_names(2) == ("background", "foreground")
    assert class_names("sky, road") == class_names(["sky", "road"]) == ("sky", "road")


def test_a_training_folder_alone_is_split_and_judged_on_what_was_held_out(cells, tmp_path):
    shutil.copytree(cells / "train", tmp_path / "data" / "train")
    run = train(tmp_path / "data", tmp_path / "run", **TINY)
    stored = json.loads((run.path / "evaluation.json").read_text())
    assert stored["files"].endswith("by which the best epoch was chosen")
    assert len(stored["per_file_mean_iou"]) == len(run.files("val")) == 1


def test_a_run_that_diverges_says_so_and_keeps_what_it_had(cells, tmp_path):
    with pytest.raises(InputError, match=r"it is (nan|inf) in step \d+, on tiles of cells_00\d.* Lower"):
        train(cells, tmp_path / "run", **TINY | {"learning_rate": 1e30, "epochs": 4, "batch_norm": False})


def test_memory_that_does_not_do_is_said(cells, tmp_path, monkeypatch):
    def exhausted(config, channels):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(TrainConfig, "build", exhausted)
    with pytest.raises(InputError, match="2 base filters at depth 1 with 2 tiles of 52 px .* Lower --batch"):
        train(cells, tmp_path / "run", **TINY)


def test_a_full_disk_is_said_and_loses_nothing(cells, tmp_path):
    """A limit on the size of files, set before the second epoch is saved, stands for the disk."""
    code = (
        "import keras, resource, sys, unet_tf\n"
        "def full(epoch, logs): epoch == 1 and resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "limit = keras.callbacks.LambdaCallback(on_epoch_end=full)\n"
        f"unet_tf.train({str(cells)!r}, {str(tmp_path / 'run')!r}, callbacks=[limit], **{TINY})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "InputError: Cannot write" in done.stderr
    assert "Free space or choose another place" in done.stderr
    files = {p.name for p in (tmp_path / "run").iterdir()}
    assert files == {
        "config.toml", "files.csv", "best.keras", "last.keras", "history.csv", "log.txt", "progress", ".lock"
    }  # fmt: skip
    assert len(history(Run(tmp_path / "run"))) == 1
    assert predict(tmp_path / "run", np.zeros((40, 30), np.uint8)).shape == (40, 30)


@pytest.mark.parametrize(("precision", "filters"), [("float32", 4), ("bfloat16", 4), ("bfloat16", 16)])
def test_fused_batch_norm_trains_as_keras_own_does(precision, filters):
    config = TrainConfig(("a", "b"), base_filters=filters, depth=1, padding="same", precision=precision)
    models = []
    for fused in (False, True):
        keras.utils.set_random_seed(0)
        model = config.build(1)
        if fused:
            fuse_batch_norm(model)
        models.append(model)
    plain, fused = models
    assert fused.to_json() == plain.to_json()
    rng = np.random.default_rng(0)
    images, labels = rng.normal(2, 3, (4, 16, 16, 1)).astype(np.float32), rng.integers(0, 2, (4, 16, 16))
    tolerance = 1e-5 if precision == "float32" else 0.1
    np.testing.assert_allclose(fused(images, training=True), plain(images, training=True), atol=tolerance)
    for model in models:
        model.compile(keras.optimizers.SGD(0.1), WeightedCrossentropy())
        model.train_on_batch(images, labels)
    for a, b in zip(plain.get_weights(), fused.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance, rtol=0.01)
    if precision == "float32":  # the fused kernel's variance is that of a sample, n / (n - 1) with n = 4 * 16 * 16
        a, b = (np.array(m.get_layer("down0_conv1_norm").moving_variance) - 0.9 for m in models)
        np.testing.assert_allclose(b / a, 1024 / 1023, rtol=2e-4)
        assert (b > a).all()


def test_a_net_that_is_no_longer_finite_is_not_saved(cells, tmp_path):
    settings = TINY | {"learning_rate": 1e38, "optimizer": "sgd", "steps_per_epoch": 1, "epochs": 1}
    with pytest.raises(InputError, match=r"validation loss is finite; it is (nan|inf) after epoch 1"):
        train(cells, tmp_path / "run", **settings)
    assert not (tmp_path / "run" / Run.LAST).exists()


def test_a_collapse_to_one_class_is_warned_of_once(caplog):
    metric = MeanIoU(2)
    metric.confusion.assign([[90, 0], [10, 0]])
    model = SimpleNamespace(metrics=[metric], distribute_strategy=tf.distribute.get_strategy())
    guard = Guard({"background": 0.9, "cell": 0.1}, lambda step: [], 0, 1)
    guard.set_model(model)
    for epoch in range(5):
        logs = {"val_loss": 1.0}
        guard.on_epoch_end(epoch, logs)
        assert logs["classes_predicted"] == 1
    assert len(caplog.records) == 1
    assert "has predicted background alone (training pixels: background 90.00%, cell 10.00%)" in caplog.text


def test_a_run_of_minutes_does_not_begin_an_epoch_without_time():
    clock = RunClock(TrainConfig(minutes=1, steps_per_epoch=1), start=time.monotonic() - 55)
    clock.validation_seconds = 10.0
    clock.set_model(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))
    clock.model.compile("adam")
    clock.model.stop_training = False
    clock.on_epoch_end(0, {"loss": 1.0, "val_loss": 1.0, "val_mean_iou": 0.5})
    assert clock.model.stop_training


def test_history_of_epochs_with_other_columns_is_written(tmp_path):
    """A run begun on several devices goes on with one."""
    rows = [{"epoch": 0, "val_mean_iou": 0.5}, {"epoch": 1, "val_mean_iou": 0.4, "classes_predicted": 2}]
    write_derived(tmp_path, State(rows))
    assert (tmp_path / Run.HISTORY).read_text().splitlines() == [
        "epoch,val_mean_iou,classes_predicted", "0,0.5,", "1,0.4,2"
    ]  # fmt: skip


def test_a_callback_that_ends_a_run_completes_it(cells, tmp_path):
    class Enough(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    run = train(cells, tmp_path / "run", callbacks=[Enough()], **TINY | {"epochs": 9})
    assert len(history(resume(run.path))) == 1


def test_a_folder_that_cannot_be_made_is_said(cells, run):
    with pytest.raises(InputError, match="Cannot write into .*Choose another --out"):
        train(cells, run.path / "config.toml" / "x", **TINY)


def test_events_for_tensorboard_are_written(cells, tmp_path, monkeypatch):
    from unet_tf.cli import commands as cli

    monkeypatch.setattr(sys, "argv", [
        "unet-tf", "train", str(cells), "--out", str(tmp_path / "run"), "--tensorboard", "--base-filters", "2",
        "--depth", "1", "--tile", "32", "--epochs", "1", "--steps-per-epoch", "1", "--batch-size", "1",
    ])  # fmt: skip
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code
    assert list((tmp_path / "run" / "tensorboard").rglob("events.out.tfevents.*"))
