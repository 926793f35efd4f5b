import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from unet_tf import Run, compare, evaluate
from unet_tf.data.fingerprint import identity
from unet_tf.data.pictures import read_image, write_picture
from unet_tf.edge.description import Description, Origin
from unet_tf.errors import InputError
from unet_tf.evaluation.choosing import choose_files
from unet_tf.evaluation.opening import subject_of
from unet_tf.evaluation.subject import Subject
from unet_tf.evaluation.tables import certainty_words
from unet_tf.evaluation.verdict import seen
from unet_tf.model.calibration import Calibration

SAVED = Path(__file__).parents[1] / "saved" / "run_0_1"


@pytest.fixture
def data(tmp_path):
    """Six pictures and masks, no splits."""
    rng = np.random.default_rng(0)
    for name in "abcdef":
        write_picture(tmp_path / "data" / "images" / f"{name}.png", rng.integers(0, 256, (20, 24), np.uint8))
        write_picture(tmp_path / "data" / "masks" / f"{name}.png", rng.integers(0, 2, (20, 24), np.uint8) * 255)
    return tmp_path / "data"


def known(data, *names):
    return sorted(identity(read_image(data / "images" / f"{name}.png")) for name in names)


def make_bundle(folder, fingerprint="", learnt=None, val=0, **further):
    """As much of a bundle of the saved run as is opened to predict; it may list what it learnt from."""
    run = Run(SAVED)
    origin = Origin(data={"fingerprint": fingerprint, "train": 0, "val": val})
    description = Description(run.classes, run.masks, run.normalisation, run.geometry, 32, origin, run.channels)
    folder.mkdir(parents=True)
    listed = {} if learnt is None else {"learnt": [one[:16] for one in learnt]}
    (folder / "bundle.json").write_text(json.dumps(description.to_json() | listed | further))
    shutil.copy(SAVED / Run.BEST, folder / "model.keras")
    return folder


def test_content_tells_who_is_judged(data, tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    for what, kind, home in (
        (SAVED, "run", SAVED), (Run(SAVED), "run", SAVED), (bundle, "bundle", None), (data / "masks", "masks", None),
        (data, "masks", None),
    ):  # fmt: skip
        subject = subject_of(what, data, {})
        assert (subject.kind, subject.home(data)) == (kind, home)


def test_the_folder_of_a_cross_validation_is_opened_as_one_net(data, folds):
    subject = subject_of(folds, data, {})
    assert (subject.kind, subject.classes) == ("runs", Run(folds / "fold1").classes)
    assert subject.learnt("train") == set()  # there is none that no net can judge
    assert subject.words == "each by the mean of those of the 3 nets that were not trained on it"
    assert subject.home(data) is None
    assert not subject.certainty().mixed


def test_a_file_has_the_threshold_of_the_nets_that_judge_it(data, folds, monkeypatch):
    thresholds = {"fold1": 0.2, "fold2": 0.4, "fold3": 0.4}
    monkeypatch.setattr(Run, "calibration", property(lambda run: Calibration(1.0, thresholds[run.path.name])))
    assert subject_of(folds, data, {}).certainty().mixed
    said = subject_of(folds, data, {}, np.float32(0.3))
    assert not said.certainty().mixed
    assert type(said.threshold) is float  # JSON has no NumPy


def test_of_the_mean_of_nets_with_temperatures_none_is_told(data, folds, tmp_path, monkeypatch):
    def calibration_of(subject):
        counted = subject.certainty()
        counted.add(np.zeros((1, 1), np.uint8), np.array([[[0.75, 0.25]]], np.float32))
        return counted.tables()[0]

    for temperature, averaged in ((1.0, False), (0.8, True)):
        heats = {"fold1": temperature, "fold2": 1.0, "fold3": 1.0}
        monkeypatch.setattr(Run, "calibration", property(lambda run, of=heats: Calibration(of.get(run.path.name, 1.0))))
        found = calibration_of(subject_of(folds, data, {}))
        assert (found["temperature"], found["ece"]) == (None if averaged else 1.0, 0.25)
        assert ("ece_raw" in found, "bins_raw" in found) == (not averaged, not averaged)
    for nets, temperature in ((1, 1.0), (3, None)):  # a bundle tells how many, and no temperature of each
        bundle = make_bundle(tmp_path / f"bundle_{nets}", nets=nets)
        assert calibration_of(subject_of(bundle, data, {}))["temperature"] == temperature


def test_scores_of_a_cross_validation_say_that_temperatures_were_fitted_on_these_files(folds):
    stored = evaluate(folds, folds.parent / "data").to_json()
    assert {Run(folds / name).calibration.temperature for name in ("fold1", "fold2", "fold3")} != {1.0}
    words = certainty_words(stored)
    error = f"Expected calibration error {stored['calibration']['ece']:.4f}, by the temperatures of the nets"
    assert words.startswith(f"{error}. Temperatures were fitted on validation files among these: ")


@pytest.mark.parametrize("group", ["[", "^[a-e]"])
def test_a_group_that_is_said_must_fit_the_files_and_one_of_the_run_is_left_out(data, tmp_path, caplog, group):
    run = shutil.copytree(SAVED, tmp_path / "run")
    for one in (run, data / "masks"):
        with pytest.raises(InputError, match="A group must be a regular expression|finds nothing in 'f'"):
            evaluate(one, data, group=group)
    with pytest.raises(InputError, match="A group must be a regular expression|finds nothing in 'f'"):
        compare(run, data / "masks", data, group=group)
    config = (run / Run.CONFIG).read_text()
    (run / Run.CONFIG).write_text(config.replace("[train]", f'[train]\ngroup = "{group}"'))
    result = evaluate(run, data)
    (said,) = [text for text in caplog.messages if "That is the group" in text]
    assert said.endswith(f"of {run}, not used here; evaluate and compare take another, --group REGEX.")
    assert [one["group"] for one in result.to_json()["per_file"]] == [pair.name for pair, _ in result.per_file]
    both = compare(run, data / "masks", data, group="^(.)").to_json()
    assert [one["group"] for one in both["images"]] == [*"abcdef"]


class Nets(Subject):
    """As much of the nets of a cross-validation as is asked for files."""

    def answer(self, pair, decoded):
        raise NotImplementedError

    def learnt(self, split):
        return {"train": set(), "val": {"held out"}}[split]


def test_nets_that_judge_what_each_has_held_out_are_not_said_to_have_seen_it(data):
    nets = Nets("runs", data, ("a", "b"), Run(SAVED).masks)
    words = choose_files(nets, data, "all", print).words
    chose = "among them the validation files, by which the best epoch was chosen"
    assert words(1, {"held out"}) == f"all files of {data}; {chose}"
    assert words(1, {"new"}) == f"all files of {data}"
    nets.before = lambda: frozenset({"earlier"})
    words = choose_files(nets, data, "all", print).words
    assert words(1, {"earlier"}) == f"all files of {data}, on all of which the net before it was trained"
    assert words(2, {"earlier", "held out"}) == f"all files of {data}, seen in training or not"
    assert seen(words(1, {"held out"})) == "it was not trained on, though its best epoch was chosen by such"


@pytest.mark.parametrize(
    ("make", "message"),
    [(lambda path: None, "is no run: there is no such folder"), (Path.mkdir, "is no run: it has no config.toml"),
     (Path.touch, "is no run: it is a file"), (lambda path: (path / "deep").mkdir(parents=True), "is no run")],
)  # fmt: skip
def test_what_is_none_of_these_is_refused(data, tmp_path, make, message):
    make(tmp_path / "what.keras")
    with pytest.raises(InputError, match=message):
        evaluate(tmp_path / "what.keras", data)


def test_settings_of_masks_are_said_where_masks_are_judged(data):
    for settings in ({"masks": "binary"}, {"channels": "0"}):
        with pytest.raises(InputError, match=f"A net knows of its masks .* Leave {next(iter(settings))} out"):
            subject_of(SAVED, data, settings)
    assert subject_of(SAVED, data, {"group": "^."}).group == "^."
    assert subject_of(SAVED, data, {"classes": "a,b"}).said == ("a", "b")
    assert subject_of(data / "masks", data, {"classes": "a,b"}).classes == ("a", "b")
    with pytest.raises(InputError, match="Where masks are judged .* are said of the data; received epochs"):
        subject_of(data / "masks", data, {"epochs": 3})
    with pytest.raises(InputError, match="Files are paired by"):
        subject_of(SAVED, data, {"epochs": 3})


def test_a_bundle_scores_as_its_run_and_is_left_as_it_is(data, tmp_path):
    run, bundle = shutil.copytree(SAVED, tmp_path / "run"), make_bundle(tmp_path / "bundle")
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    own, other = evaluate(run, data), evaluate(bundle, data, out=tmp_path / "out")
    np.testing.assert_array_equal(own.confusion, other.confusion)
    np.testing.assert_array_equal(own.soft_dice, other.soft_dice)
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before
    stored = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (stored["mean_iou"], stored["judged"]["kind"]) == (own.mean_iou, "bundle")
    assert other.files == f"6 files of {data}; the bundle's training files are not known"
    assert json.loads((run / "evaluation.json").read_text())["judged"]["command"] == f"unet-tf evaluate {run} {data}"
    with pytest.raises(InputError, match=r"holds bundle\.json\. Choose another --out"):
        evaluate(bundle, data, out=bundle)


def test_a_bundle_that_learnt_from_these_very_files_is_said(data, tmp_path):
    learnt = hashlib.sha256("".join(known(data, *"abcdef")).encode()).hexdigest()
    subject = subject_of(make_bundle(tmp_path / "bundle", learnt), data, {})
    words = choose_files(subject, data, None, str).words
    assert words(6, set(known(data, *"abcdef"))).endswith("was trained on these very files, and the scores flatter it")
    assert words(5, set(known(data, *"abcde"))).endswith("the bundle's training files are not known")


def test_files_that_a_bundle_lists_as_learnt_are_left_out_and_counted(data, tmp_path):
    bundle = make_bundle(tmp_path / "bundle", learnt=known(data, *"ab"))
    result = evaluate(bundle, data)
    assert sorted(pair.name for pair, _ in result.per_file) == [*"cdef"]
    assert result.files == f"4 files of {data}, without 2 that the bundle was trained on"
    assert seen(result.files) == "it never saw"
    every = evaluate(bundle, data, "all")
    assert (len(every.per_file), every.learnt, seen(every.files)) == (6, 2, "that it may have been trained on")
    trained = evaluate(bundle, data, "train")
    assert trained.files == f"the train files of the bundle in {data}, on which it was trained"
    assert (len(trained.per_file), trained.learnt) == (2, 2)
    with pytest.raises(InputError, match=r"The bundle was trained on every image of .*data; a score needs others"):
        evaluate(make_bundle(tmp_path / "all", learnt=known(data, *"abcdef")), data)


def test_what_a_bundle_lists_is_known_of_a_saved_model_in_it_and_not_of_another_file(data, tmp_path, tflite_files):
    bundle = make_bundle(tmp_path / "bundle", learnt=known(data, "a"))
    own = make_bundle(bundle / "saved_model" / "2" / "assets.extra", learnt=known(data, "b"))  # which a version says
    for number in "12":
        (bundle / "saved_model" / number).mkdir(exist_ok=True)
        (bundle / "saved_model" / number / "saved_model.pb").touch()
    shutil.copy(tflite_files / "model_float32.tflite", bundle)
    for net, name in ((bundle, "a"), (bundle / "saved_model" / "1", "a"), (own.parent, "b")):
        assert subject_of(net, data, {}).known() == {one[:16] for one in known(data, name)}
    for net in (bundle / "model_float32.tflite", make_bundle(tmp_path / "early")):
        assert subject_of(net, data, {}).learnt("train") is None
    (own / "bundle.json").write_text((own / "bundle.json").read_text().replace('"learnt": [', '"learnt": [5, '))
    with pytest.raises(InputError, match=r"bundle\.json is damaged or of another version: .*learnt"):
        subject_of(own.parent, data, {})


def test_a_bundle_does_not_list_the_files_by_which_its_epoch_was_chosen(data, tmp_path):
    files = evaluate(make_bundle(tmp_path / "bundle", learnt=known(data, "a"), val=2), data).files
    assert files == (
        f"5 files of {data}, without 1 that the bundle was trained on; by which files its best epoch was chosen is not "
        "known"
    )
    assert seen(files) == "it was not trained on, though its best epoch may have been chosen by such"


def test_a_bundle_whose_net_started_from_an_unknown_one_may_have_learnt_from_all(data, tmp_path):
    bundle = make_bundle(tmp_path / "bundle", learnt=known(data, "a"), val=2, unknown=True)
    said = "the net started from another, whose training files are not known"
    chosen = "by which files its best epoch was chosen is not known"
    words = choose_files(subject_of(bundle, data, {}), data, None, print).words
    assert words(5, set()) == f"5 files of {data}, without 1 that the bundle was trained on; {said}; {chosen}"
    assert seen(words(5, set())) == "that it may have been trained on"
    known_to_all = make_bundle(tmp_path / "other", learnt=known(data, "a"), unknown=False)
    assert subject_of(known_to_all, data, {}).doubt(set()) == ""


def test_splits_that_nobody_knows_are_refused(data, tmp_path):
    for what in (make_bundle(tmp_path / "bundle"), data / "masks"):
        for split in ("train", "val", "test"):
            with pytest.raises(InputError, match=f"has no {split} files; it has no splits. --split all scores all"):
                evaluate(what, data, split)


def test_the_out_of_a_run_may_be_elsewhere(data, tmp_path):
    before = sorted(path.name for path in SAVED.iterdir())
    evaluate(SAVED, data, out=tmp_path / "out")
    assert (tmp_path / "out" / "report.html").is_file()
    assert sorted(path.name for path in SAVED.iterdir()) == before
