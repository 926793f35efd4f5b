import json
import shutil

from unet_tf import Run, evaluate
from unet_tf.exporting.source import describe, judged_on
from unet_tf.prediction.folds import SUMMARY, Folds


def test_scores_are_of_as_many_files_as_were_judged_and_bear_the_name_of_their_folder(calibrated, cells, tmp_path):
    run = Run(calibrated())
    run.data = cells.resolve()
    evaluate(run, cells, split="all")
    assert describe(run, 136, 0.01).origin.scores["pictures"] == 8  # none of which this run learnt from
    assert judged_on(run) == cells.name
    other = shutil.copytree(cells / "test", tmp_path / "other" / cells.name)
    evaluate(run, other)
    found = describe(run, 136, 0.01).origin
    assert (found.scores["pictures"], found.data["val"]) == (2, len(run.files("val")))
    assert judged_on(run) == ""
    (run.path / Run.EVALUATION).unlink()
    assert (describe(run, 136, 0.01).origin.scores, judged_on(run)) == ({}, "")


def test_scores_of_a_cross_validation_whose_files_a_net_before_it_learnt_from_are_none(folds, tmp_path, caplog):
    own = Folds(shutil.copytree(folds, tmp_path / "folds"))
    stored = json.loads((own.path / SUMMARY).read_text())
    assert describe(own, 32, 0.01).origin.scores["pictures"] == 6
    assert judged_on(own) == own.data.name
    stored["out_of_fold"]["learnt"] = 2
    (own.path / SUMMARY).write_text(json.dumps(stored))
    assert describe(own, 32, 0.01).origin.scores == {}
    assert f"the scores in {own.path / SUMMARY} are of files that the net learnt from" in caplog.text
