import shutil
from dataclasses import replace

import pytest
from made_pages import evaluation, later

from unet_tf.evaluation.choosing import choose_files
from unet_tf.evaluation.opening import subject_of
from unet_tf.evaluation.verdict import absent_classes, seen, verdict, without_evaluation

SEEN, MAY_BE_SEEN = "that it was trained on", "that it may have been trained on"
OBJECTS = {"true": 412, "predicted": 409, "found": [388, 300], "merges": 3, "splits": 0}


def words(*args, **more):
    return verdict(evaluation(*args, **more)).replace("\N{NO-BREAK SPACE}", " ")


def test_two_classes():
    assert words() == "Finds 96 % of the cell area and invents 9.4 % of what it draws; on 6 images it never saw."
    assert (
        words(("background", "foreground"), ((9, 0), (0, 5)), 1)
        == "Finds 100 % of the foreground; on 1 image it never saw."
    )


def test_images_of_void_alone_are_not_counted():
    values = {"a": 0.9, "b": None, "c": 0.5}
    assert words(per_file_mean_iou=values).endswith("on 2 images it never saw.")
    assert words(per_file_mean_iou={"a": None}, confusion=((0, 0), (0, 0))).startswith("No pixel of 1 image it")


def test_no_share_is_rounded_to_all_or_nothing():
    assert "Finds over 99.9 % of" in words(confusion=((10**6, 0), (1, 10**6)))
    assert "invents under 0.1 % of" in words(confusion=((10**6, 1), (0, 10**6)))


def test_nothing_found_and_nothing_to_find():
    assert words(confusion=((90, 0), (10, 0))).startswith("Finds nothing of the cell area, which is no better than")
    assert words(confusion=((90, 10), (0, 0))).startswith(
        "There is no cell to find, and it draws 10 % of the background as cell"
    )
    assert words(confusion=((0, 0), (0, 0))) == "No pixel of 6 images it never saw is labelled, so nothing can be said."


def test_objects_and_thin_classes():
    assert words(objects=OBJECTS) == (
        "Finds 388 of 412 objects and draws 21 that fit none, with 3 merges; finds 96 % of the cell area and invents "
        "9.4 % of what it draws; on 6 images it never saw."
    )
    one = {"true": 1, "predicted": 1, "found": [0], "merges": 1, "splits": 2}
    assert words(objects=one).startswith("Finds 0 of 1 object and draws 1 that fits none, with 1 merge and 2 splits; f")
    assert words(objects=one | {"merges": 0, "splits": 0}).startswith(
        "Finds 0 of 1 object and draws 1 that fits none; f"
    )
    whole = {"true": 5, "predicted": 5, "found": [5], "merges": 0, "splits": 0}
    assert words(objects=whole).startswith("Finds 5 of 5 objects, none merged or split; finds 96 %")
    assert words(objects=OBJECTS | {"true": 0, "found": [0]}).startswith("Draws 409 objects where there are none; f")
    nothing = OBJECTS | {"true": 0, "predicted": 0, "found": [0]}
    assert "object" not in words(objects=nothing)
    assert "object" not in words(objects=OBJECTS | {"found": []})
    assert "follows cell with a clDice of 0.830;" in words(thin={"cell": {"cldice": 0.83}, "rest": {"cldice": None}})
    assert "clDice" not in words(thin={})


def test_many_classes():
    many = ((90, 5, 5), (2, 8, 0), (10, 0, 90))
    assert words(("sky", "car", "road"), many) == (
        "Gives 90 % of the pixels their class, is best at road (IoU 0.857) and worst at car (IoU 0.533); "
        "on 6 images it never saw."
    )
    assert "best at road (IoU" in words(("background", "car", "road"), many)  # what lies around is not a find
    assert "finds nothing of car" in words(("sky", "car", "road"), ((90, 0, 0), (9, 0, 0), (0, 0, 9)))
    none = [[9, 0, 0, 0, 0]] + [[5, 0, 0, 0, 0]] * 4
    assert "and finds nothing of b, c and 2 more," in words(("background", "b", "c", "d", "e"), none)


def test_classes_that_are_absent_are_not_named_as_best_or_worst():
    stored = evaluation(("sky", "car", "road"), ((90, 0, 0), (0, 0, 0), (0, 5, 90)))
    assert absent_classes(stored) == ["car"]
    assert "car" not in verdict(stored)


def test_a_trivial_method_that_is_as_good_is_said():
    assert "no better than calling every pixel the commonest class; on" in words(confusion=((90, 0), (10, 0)))
    stored = evaluation()
    stored["baselines"]["Otsu threshold"] = stored["baselines"]["majority class"] | {"mean_iou": 0.99}
    assert "draws, which is no better than Otsu's threshold; on 6 images" in verdict(stored)


def test_a_trivial_method_that_is_better_on_the_foreground_alone_is_said():
    stored = evaluation()
    own = stored["iou"]["cell"]
    for iou, said in ((own + 0.05, "better (IoU 0.923, here 0.873)"), (own, "equally well (IoU 0.873)")):
        worse = stored["baselines"]["majority class"] | {"mean_iou": 0.5, "iou": {"background": 0.2, "cell": iou}}
        found = verdict(stored | {"baselines": {"Otsu threshold": worse}})
        assert f"draws, though Otsu's threshold finds the cell area {said}; on 6 images" in found
    assert "though" not in verdict(stored)
    of_objects = verdict(stored | {"baselines": {"Otsu threshold": worse}, "objects": OBJECTS})
    assert of_objects.startswith("Finds 388 of 412") and "though Otsu's" in of_objects


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("8 files of data/test, without 2 that the run was trained on", "it never saw"),
        ("the train files of the run in data, on which it was trained", SEEN),
        ("all files of data, seen in training or not", MAY_BE_SEEN),
        ("8 files of data; the bundle was trained on these very files, and the scores flatter it", SEEN),
        ("8 files of data; the bundle's training files are not known", MAY_BE_SEEN),
        ("all test files of data, seen in training or not", MAY_BE_SEEN),
        (
            "8 files of data; by which files its best epoch was chosen is not known",
            "it was not trained on, though its best epoch may have been chosen by such",
        ),
        (
            "3 files of data; among them validation files of B, by which the best epoch was chosen",
            "it was not trained on, though its best epoch was chosen by such",
        ),
        ("8 files of /a/validation files/seen in training or not", "it never saw"),
        ("the train files of the run", SEEN),  # of version 0.1, which said no more
        ("8 files of /a/the train files", "it never saw"),
        ("the val files of the run in data", "it was not trained on, though its best epoch was chosen by such"),
        (
            "the val files of the run in data, by which the best epoch and the threshold were chosen",
            "it was not trained on, though its best epoch and threshold were chosen by such",
        ),
        (
            "6 files of x, each by the net that held it out, which chose its epoch and the threshold by such files too",
            "it was not trained on, though its best epoch and threshold were chosen by such",
        ),
        (
            "6 files of data; among them the validation files, by which the best epoch was chosen",
            "it was not trained on, though its best epoch was chosen by such",
        ),
    ],
)
def test_what_it_was_judged_on_is_told_honestly(files, said):
    assert seen(files) == said


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("8 files of data/test, without 2 that the run learnt from", "it never saw"),
        ("6 files of data; each by the mean of those of the 3 nets that have not learnt from it", "it never saw"),
        ("the train files of the bundle in data, from which it learnt", SEEN),
        ("all files of data, from all of which the net before it learnt", SEEN),
        ("8 files of data; the bundle learnt from these very files, and the scores flatter it", SEEN),
        ("the val files of the run in data, from some of which the net before it learnt", MAY_BE_SEEN),
        ("8 files of data; which files the bundle learnt from is not known", MAY_BE_SEEN),
        ("2 files of data; the net started from a, and which files that learnt from is not known", MAY_BE_SEEN),
    ],
)
def test_the_words_of_evaluations_of_before_are_understood(files, said):
    assert seen(files) == said


def test_the_words_of_an_evaluation_are_those_that_are_understood(run, cells):
    def of(split, *names):
        found = set().union(*map(run.files, names))
        return seen(choose_files(subject_of(run, cells, {}), cells, split, print).words(len(found), found))

    assert [of("train", "train"), of("all", "train", "val")] == [MAY_BE_SEEN] * 2
    chosen = "it was not trained on, though its best epoch was chosen by such"
    assert [of(None, "val"), of("val", "val"), of("all", "val")] == [chosen] * 3
    assert of("test") == "it never saw"


@pytest.mark.parametrize(("threshold", "said"), [(0.5, "best epoch was"), ("best", "best epoch and threshold were")])
def test_what_was_chosen_by_validation_files_is_told_of_these_alone_too(own_run, cells, tmp_path, threshold, said):
    data = tmp_path / "data"
    for kind in ("images", "masks"):
        shutil.copytree(cells / "val" / kind, data / kind)
    own_run.plan = replace(own_run.plan, threshold=threshold)
    files = choose_files(subject_of(own_run, data, {}), data, "val", print).words(2, own_run.files("val"))
    assert files.startswith(f"the val files of the run in {data}, by which the best epoch ")
    assert seen(files) == f"it was not trained on, though its {said} chosen by such"


def test_masks_have_seen_nothing():
    assert words(judged={"kind": "masks", "path": "second", "command": ""}).endswith("of what it draws; on 6 images.")


def test_a_run_that_was_not_judged():
    assert without_evaluation(24, None) == "Trained on all 24 images: no score tells how good it is on others."
    assert without_evaluation(1, 0.5).startswith("Mean IoU 0.500 while training, on the files held out;")


def test_all_of_a_later_version_and_very_long_names():
    stored = evaluation(("background", "c" * 300))
    assert len(verdict(stored | later(stored))) < 300
