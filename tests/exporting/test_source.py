import json
import logging
import shutil

import pytest

from unet_tf import InputError, Run, evaluate
from unet_tf.exporting.material import Material
from unet_tf.exporting.source import describe, material_of
from unet_tf.planning.ancestors import Ancestors
from unet_tf.prediction.folds import SUMMARY, Folds


@pytest.fixture
def judged(calibrated, cells):
    """A run that never saw the cells, judged on two of them: it, and the path of what was stored."""
    run = Run(calibrated())
    run.data = cells
    evaluate(run, cells)
    return run, run.path / Run.EVALUATION


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_scores_are_of_as_many_files_as_were_judged_and_bear_the_name_of_their_folder(judged, cells, tmp_path):
    run, path = judged
    evaluate(run, cells, split="all")
    found, name = describe(run, 136, 0.01)
    assert (found.origin.scores["pictures"], name) == (8, cells.name)  # none of which this run was trained on
    evaluate(run, cells / "test")
    assert describe(run, 136, 0.01)[1] == cells.name
    other = shutil.copytree(cells / "test", tmp_path / "other" / cells.name)
    evaluate(run, other)
    found, name = describe(run, 136, 0.01)
    assert (found.origin.scores["pictures"], found.origin.data["val"], name) == (2, len(run.files("val")), "")
    path.unlink()
    found, name = describe(run, 136, 0.01)
    assert (found.origin.scores, name) == ({}, "")


def test_the_name_of_a_folder_that_is_reached_by_a_link_is_known_and_that_of_an_earlier_version_is_not(
    judged, cells, tmp_path
):
    run, path = judged
    run.data = tmp_path / "link"
    run.data.symlink_to(cells)
    assert describe(run, 136, 0.01)[1] == "link"
    change(path, judged={"kind": "run", "path": "", "command": ""})
    found, name = describe(run, 136, 0.01)
    assert (found.origin.scores["pictures"], name) == (2, "")


def test_files_of_void_alone_are_not_counted(judged):
    run, path = judged
    change(path, per_file_mean_iou={"a.png": 0.5, "b.png": None})
    assert describe(run, 136, 0.01)[0].origin.scores["pictures"] == 1


@pytest.mark.parametrize(
    "files",
    [
        "2 files of data; the net started from a, whose training files are not known",
        "2 files of data; the net started from a, and which files that learnt from is not known",  # until 2026-11
        "all files of test/, seen in training or not",  # of version 0.1, as the next
        "the train files of the run",
        "the train files of the run in data",  # which held none out
        "the train files of the run in data, on which it was trained",
        "the train files of the run in data, from which it learnt",  # until 2026-11
    ],
)
def test_scores_of_files_that_the_net_learnt_from_or_may_have_are_none(judged, files, caplog):
    run, path = judged
    stored = json.loads(path.read_text())
    assert "learnt" not in stored  # as in all files of version 0.1
    change(path, files=files)
    found, name = describe(run, 136, 0.01)
    assert (found.origin.scores, name) == ({}, "")
    why = "of files that the net was trained on, or may have been, and the bundle has none: unet-tf evaluate"
    assert f"the scores in {path} are {why}" in caplog.text


def test_nobody_is_sent_to_judge_a_net_again_of_whose_files_nobody_knows(judged, monkeypatch, caplog):
    run, path = judged
    monkeypatch.setattr("unet_tf.exporting.source.ancestors", lambda run: Ancestors(frozenset(), ("a.keras",)))
    change(path, files="2 files of data; the net started from a, whose training files are not known")
    assert describe(run, 136, 0.01)[0].origin.scores == {}
    (said,) = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert said.endswith("and the bundle has none")


def test_scores_of_a_cross_validation_are_none_if_a_net_before_it_learnt_from_its_files(folds, tmp_path, caplog):
    own = Folds(shutil.copytree(folds, tmp_path / "folds"))
    stored = json.loads((own.path / SUMMARY).read_text())["out_of_fold"]
    taken = {name: stored[name] for name in ("files", "mean_iou", "iou", "per_file_mean_iou")}
    change(own.path / SUMMARY, out_of_fold=taken | {"baselines": "damaged"})  # nothing else is read
    found, name = describe(own, 32, 0.01)
    assert (found.origin.scores["pictures"], name) == (6, own.data.name)
    before = f"{stored['files']}, from all of which the net before them learnt"
    for further in ({"learnt": 2}, {"files": before}):  # the latter of builds that stored no number
        change(own.path / SUMMARY, out_of_fold=taken | further)
        caplog.clear()
        assert describe(own, 32, 0.01)[0].origin.scores == {}
        assert f"the scores in {own.path / SUMMARY} are of files that the net was trained on" in caplog.text


@pytest.mark.parametrize(("copied", "why"), [(False, "must have one mask"), (True, "holds none of the")])
def test_pictures_that_nobody_needs_and_that_cannot_be_used_are_said_once(
    calibrated, cells, tmp_path, caplog, copied, why
):
    run = Run(calibrated())
    run.data = cells if copied else tmp_path / "empty"
    (tmp_path / "empty").mkdir()
    assert material_of(run, None, None, needed=False) == Material([], [], [])
    (said,) = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert said.startswith("the pictures of the run cannot be used, and noise takes their place: ")
    assert why in said
    for data, needed in ((run.data, False), (None, True)):
        with pytest.raises(InputError, match=why):
            material_of(run, data, None, needed)
