import json
import shutil
import statistics

import numpy as np
import pytest

from unet_tf import Run, crossval, train
from unet_tf.data.layout import find_named
from unet_tf.errors import InputError
from unet_tf.training.crossval import summarise

TINY = {
    "base_filters": 2, "depth": 1, "padding": "same", "tile": 32, "batch_size": 2, "precision": "float32",
    "steps_per_epoch": 2, "epochs": 1,
}  # fmt: skip


@pytest.fixture
def four(cells, tmp_path):
    for kind in ("images", "masks"):
        shutil.copytree(cells / "train" / kind, tmp_path / "data" / kind)
    return tmp_path / "data"


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

    shutil.rmtree(out / "fold2")
    before = (out / "fold1" / Run.LAST).stat().st_mtime_ns
    (out / "fold1" / Run.EVALUATION).write_text("judged on something else since")
    assert crossval(four, out, folds=2, **TINY) == result
    assert (out / "fold1" / Run.LAST).stat().st_mtime_ns == before
    with pytest.raises(InputError, match="fold1 was begun with epochs = 1, and 3 is asked for"):
        crossval(four, out, folds=2, **TINY | {"epochs": 3})


def test_folds_are_judged_on_what_they_held_out_where_there_are_test_files(four, cells, tmp_path):
    data = tmp_path / "both"
    shutil.copytree(four, data / "train")
    shutil.copytree(cells / "test", data / "test")
    result = crossval(data, tmp_path / "folds", folds=2, **TINY)
    assert np.sum(result["confusion"]) == 4 * 96 * 96


def test_runs_are_held_to_their_data(four, cells, tmp_path):
    crossval(four, tmp_path / "seeds", seeds=2, **TINY)
    with pytest.raises(InputError, match="changed, gone or new since then"):
        crossval(cells, tmp_path / "seeds", seeds=2, **TINY)


def test_groups_stay_in_one_fold(four, tmp_path):
    for path in four.glob("*/*"):
        path.rename(path.with_name(path.name.replace("cells_00", "ab"[int(path.stem[-1]) % 2])))
    crossval(four, tmp_path / "folds", folds=2, group="^.", **TINY)
    names = {pair.name for pair in find_named(four).splits[""]}
    rows = (tmp_path / "folds" / "fold1" / "files.csv").read_text().splitlines()
    held = {name for split, name, *_ in (row.split(",") for row in rows) if split == "val"}
    assert len(held) == 2
    assert len({name[0] for name in held}) == 1
    assert held < names


def test_seeds_share_the_split_and_differ_in_the_weights(four, tmp_path):
    result = crossval(four, tmp_path / "seeds", seeds=2, **TINY)
    runs = [Run(tmp_path / "seeds" / name) for name in result["runs"]]
    assert [run.config.seed for run in runs] == [0, 1]
    assert runs[0].files("val") == runs[1].files("val")
    a, b = (run.model.get_weights()[0] for run in runs)
    assert not np.allclose(a, b)


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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": 1}, "A spread needs 2 runs at least; received 1"),
        ({"folds": 2, "seeds": 2}, "differ in their folds or in their seeds; received 2 folds and 2 seeds"),
        ({"fold": "1/3"}, "chooses the folds itself; received fold 1/3"),
        ({"folds": 9}, "9 folds need 9 pairs; there are 4"),
        ({"folds": 2, "group": "cells"}, "Training needs 2 groups by 'cells'"),
    ],
)
def test_what_cannot_be_is_said(four, tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        crossval(four, tmp_path / "out", **TINY | settings)
    assert not (tmp_path / "out").exists()


def test_seeds_of_different_runs_train_alike_alone(four, tmp_path):
    """A run of crossval is the run that train makes, whatever was trained in the process before."""
    crossval(four, tmp_path / "seeds", seeds=2, **TINY)
    alone = train(four, tmp_path / "alone", seed=1, **TINY)
    together = Run(tmp_path / "seeds" / "seed1")
    for a, b in zip(alone.model.get_weights(), together.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
