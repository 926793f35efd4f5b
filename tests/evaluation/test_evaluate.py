import itertools
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from judging import judge

from unet_tf import Predictor, Run, evaluate, predict
from unet_tf.data.folder import read_pair
from unet_tf.data.layout import find_named
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import write_picture
from unet_tf.errors import InputError
from unet_tf.evaluation import panels
from unet_tf.evaluation.calibration import Reliability
from unet_tf.evaluation.evaluate import NotStored
from unet_tf.evaluation.judging import Truth
from unet_tf.evaluation.metrics import confusion_matrix, marginals
from unet_tf.evaluation.opening import subject_of
from unet_tf.evaluation.sums import otsu_label
from unet_tf.evaluation.tables import certainty_words, read_evaluation
from unet_tf.evaluation.verdict import seen
from unet_tf.model.calibration import tempered
from unet_tf.utils.signals import Stopped

CLASSES = ("background", "cell")
BINARY = MaskFormat("binary")


def test_a_perfect_predictor_scores_one_and_the_majority_class_what_it_must(cells):
    pairs = find_named(cells / "test").splits[""]
    labels = [read_pair(pair, BINARY).label for pair in pairs]
    answers = iter(labels)
    result = judge(lambda image: np.eye(2)[next(answers)], Truth(pairs, BINARY, CLASSES))
    assert result.mean_iou == result.mean_soft_dice == 1.0
    assert [value for _, value in result.per_file] == [1.0, 1.0]
    cell = np.concatenate([label.ravel() for label in labels]).mean()
    rows = result.baselines["majority class"]
    assert rows[:, 1].sum() == 0
    assert rows[0, 0] / rows.sum() == pytest.approx(1 - cell)
    assert result.confusion.sum() == 2 * 96 * 96


def test_soft_dice_uses_probabilities(cells):
    pairs = find_named(cells / "test").splits[""]
    truth = np.stack([read_pair(pair, BINARY).label for pair in pairs])
    result = judge(lambda image: np.full((96, 96, 2), 0.5), Truth(pairs, BINARY, CLASSES))
    for c in (0, 1):
        share = (truth == c).mean()
        assert result.soft_dice[c] == pytest.approx(2 * 0.5 * share / (0.25 + share))


def test_borders_count_as_the_objects_that_they_belong_to(tmp_path):
    ids = np.zeros((8, 8), np.uint16)
    ids[1:4, 1:4] = 1
    write_picture(tmp_path / "images" / "a.png", np.zeros((8, 8), np.uint8))
    write_picture(tmp_path / "labels" / "a.png", ids)
    masks, classes = MaskFormat("instance", 3, border=1), ("background", "cell", "border")
    label = masks.label(ids)
    label[2, 2], label[1, 1] = 2, 0  # the one is no mistake between classes that a person means, the other is
    result = judge(lambda image: np.eye(3)[label], Truth(find_named(tmp_path).splits[""], masks, classes))
    assert result.classes == ("background", "cell")
    assert result.confusion.tolist() == [[55, 0], [1, 8]]
    assert result.soft_dice[1] == pytest.approx(2 * 8 / (8 + 9))


def test_borders_of_the_masks_are_no_class_of_a_net_without_any(tmp_path):
    ids = np.zeros((8, 8), np.uint16)
    ids[1:4, 1:4] = 1
    write_picture(tmp_path / "images" / "a.png", np.zeros((8, 8), np.uint8))
    write_picture(tmp_path / "labels" / "a.png", ids)
    reading = MaskFormat("instance", 3, border=1)  # as the run that was trained on these files reads them
    assert 2 in reading.label(ids)
    truth = Truth(find_named(tmp_path).splits[""], MaskFormat("instance", 2), CLASSES, reading=reading)
    result = judge(lambda image: np.eye(2)[(ids > 0).astype(int)], truth)
    assert result.confusion.tolist() == [[55, 0], [0, 9]]


def test_the_worst_file_comes_first(cells):
    pairs = find_named(cells / "test").splits[""]
    answers = iter([read_pair(pairs[0], BINARY).label, 1 - read_pair(pairs[1], BINARY).label])
    result = judge(lambda image: np.eye(2)[next(answers)], Truth(pairs, BINARY, CLASSES))
    assert result.per_file == [(pairs[1], 0.0), (pairs[0], 1.0)]


@pytest.mark.parametrize(
    ("files", "ranks"), [(1, [1]), (5, [1, 2, 3, 4, 5]), (8, [1, 2, 3, 4, 8]), (11, [1, 2, 3, 4, 6, 11])]
)
def test_the_median_file_is_drawn_beside_the_worst_and_the_best(tmp_path, files, ranks):
    for number in range(files):
        image = np.full((12, 12), number, np.uint8)  # which the net knows by its number
        write_picture(tmp_path / "images" / f"{number:02d}.png", image)
        write_picture(tmp_path / "masks" / f"{number:02d}.png", np.tile(np.uint8([0, 255]).repeat(6), (12, 1)))
    write_picture(tmp_path / "images" / "void.png", np.full((12, 12), 99, np.uint8))
    write_picture(tmp_path / "masks" / "void.png", np.full((12, 12), 7, np.uint8))
    asked = []

    def answer(image):
        asked.append(int(image[0, 0, 0]))
        label = np.tile(np.arange(12) // 6, (12, 1)).astype(np.uint8)
        label[: asked[-1], 0] = 1  # ever worse
        return np.eye(2)[label]

    result = judge(answer, Truth(find_named(tmp_path).splits[""], MaskFormat("binary", void=(7,)), CLASSES))
    assert [case.rank for case in result.cases] == ranks
    assert {case.among for case in result.cases} == {files}
    assert [case.title for case in result.cases] == [f"{files - rank:02d}" for rank in ranks]
    assert len(asked) == files + 1 + (6 in ranks)  # the median is predicted once more


def test_scores_have_intervals_over_files_and_borders(tmp_path):
    rng, answers = np.random.default_rng(0), []
    for number in range(6):
        label = (rng.random((12, 12)) < 0.5).astype(np.uint8)
        write_picture(tmp_path / "images" / f"p{number // 2}_{number}.png", label * 9)
        write_picture(tmp_path / "masks" / f"p{number // 2}_{number}.png", label * 255)
        answers.append(np.where(rng.random((12, 12)) < 0.1 * number, 1 - label, label))  # ever worse
    pairs = find_named(tmp_path).splits[""]

    def judged(group):
        given = iter(answers)
        return judge(lambda image: np.eye(2)[next(given)], Truth(pairs, BINARY, CLASSES, group))

    result = judged(None)
    low, high = result.intervals["mean_iou"]
    worst, best = result.judged[0].mean_iou, result.judged[-1].mean_iou
    assert worst <= low < result.mean_iou < high <= best == 1
    np.testing.assert_array_equal(sum(one.counts for one in result.judged), marginals(result.confusion))
    stored = result.to_json()
    assert stored["intervals"]["groups"] == 6
    assert stored["intervals"]["mean_iou"] == [low, high]
    assert stored["intervals"]["iou"]["cell"] == result.intervals["iou"][:, 1].tolist()
    assert stored["boundaries"]["f"]["cell"] == result.boundaries.f[1]
    assert stored["recall"]["cell"] == result.scores["recall"][1]
    assert judged("^p[0-9]").intervals is None  # three patients are too few
    with pytest.raises(InputError, match="Every name must have a group; '\\^q' finds nothing in 'p0_0'"):
        judged("^q")


def test_files_of_void_alone_are_no_evidence(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(8):
        label = (rng.random((12, 12)) < 0.5) * 255
        write_picture(tmp_path / "images" / f"{number}.png", label.astype(np.uint8))
        write_picture(tmp_path / "masks" / f"{number}.png", (label if number < 5 else 0 * label + 7).astype(np.uint8))
    pairs = find_named(tmp_path).splits[""]

    def judged(pairs):
        masks = MaskFormat("binary", void=(7,))
        return judge(lambda image: np.eye(2)[(image[..., 0] > 9).astype(int)], Truth(pairs, masks, CLASSES))

    assert judged(pairs).to_json()["intervals"]["groups"] == 5
    assert judged(pairs[1:]).intervals is None  # four are too few, whatever lies beside them
    assert judged(pairs[5:]).intervals is None


def test_otsu_is_given_its_better_polarity(tmp_path):
    image = np.where(np.arange(64).reshape(8, 8) < 40, 200, 30).astype(np.uint8)
    write_picture(tmp_path / "images" / "a.png", image)
    write_picture(tmp_path / "masks" / "a.png", (image < 100).astype(np.uint8) * 255)
    result = judge(lambda image: np.zeros((8, 8, 2)), Truth(find_named(tmp_path).splits[""], BINARY, CLASSES))
    assert np.array_equal(result.baselines["Otsu threshold"], [[40, 0], [0, 24]])
    assert set(np.unique(otsu_label(image[..., None].astype(np.uint16) * 200))) == {0, 1}


def test_evaluate_takes_test_files_and_writes_scores_panels_and_report(own_run, cells):
    seen = []
    result = evaluate(own_run.path, cells, on_image=lambda done, total: seen.append((done, total)))
    assert result.files == f"2 files of {cells / 'test'}"
    assert seen == [(1, 2), (2, 2)]
    stored = json.loads((own_run.path / "evaluation.json").read_text())
    assert stored["mean_iou"] == result.mean_iou
    assert stored["confusion"] == result.confusion.tolist()
    assert set(stored["baselines"]) == {"majority class", "Otsu threshold"}
    assert sorted(p.name for p in (own_run.path / "panels").iterdir()) == ["0.png", "1.png"]


def test_what_is_not_used_is_said_once(own_run, cells, tmp_path, caplog):
    data = shutil.copytree(cells, tmp_path / "cells")
    for split in data.iterdir():
        shutil.rmtree(split / "instances")
    shutil.copytree(data / "test" / "images", data / "raw")
    (data / "test" / "images" / "slide.svs").touch()
    evaluate(own_run, data)
    *notes, replaced = [record.getMessage() for record in caplog.records if record.name == "unet_tf"]
    assert notes == [
        f"Pictures in {data} that are not used: 2 in raw.",
        "Not read, as of another kind: 1 .svs (slide.svs). Save them as PNG or TIFF.",
    ]
    assert replaced.startswith(f"{own_run.path / 'report.html'} was of ")  # those of the folder before


def test_each_picture_is_decoded_once_and_predicted_once(own_run, cells, monkeypatch):
    from unet_tf.data import folder

    decoded, predicted, read, predict = [], [], folder.Pair.read, Predictor.probabilities

    def reading(pair):
        decoded.append(pair.image)
        return read(pair)

    def predicting(self, image, **arguments):
        predicted.append(image.shape)
        return predict(self, image, **arguments)

    monkeypatch.setattr(folder.Pair, "read", reading)
    monkeypatch.setattr(Predictor, "probabilities", predicting)
    evaluate(own_run, cells, split="all")
    assert len(decoded) == len(set(decoded)) == len(predicted) == 8


def test_scores_of_files_that_it_learnt_from_do_not_replace_those_of_a_run(own_run, cells, tmp_path):
    evaluate(own_run, cells)
    before = (own_run.path / "evaluation.json").read_bytes()
    assert evaluate(own_run, cells, split="train").learnt == 4
    assert (own_run.path / "evaluation.json").read_bytes() == before
    evaluate(own_run, cells, split="all", out=tmp_path / "all")
    assert json.loads((tmp_path / "all" / "evaluation.json").read_bytes())["learnt"] == 4


def test_scores_of_the_validation_files_lie_beside_those_of_a_run(own_run, cells, caplog):
    evaluate(own_run, cells)
    before = (own_run.path / "evaluation.json").read_bytes()
    found = evaluate(own_run, cells, split="val")
    assert found.folder == own_run.path / "evaluation_val"
    assert json.loads((found.folder / "evaluation.json").read_bytes())["files"] == found.files
    assert (found.folder / "report.html").is_file()
    assert (own_run.path / "evaluation.json").read_bytes() == before
    caplog.clear()
    assert evaluate(own_run, cells).folder == own_run.path
    assert "report.html was of" not in caplog.text  # the same files as before
    (own_run.path / "evaluation.json").write_text('{"files": "others"}')
    evaluate(own_run, cells)
    assert f"{own_run.path / 'report.html'} was of others and is now of" in caplog.text


def test_scores_on_other_terms_leave_those_of_a_run_as_they_are(own_run, own_data, tmp_path):
    own_run, cells = Run(own_run.path), own_data
    evaluate(own_run, cells)
    before = {name: (own_run.path / name).read_bytes() for name in (Run.EVALUATION, Run.REPORT)}
    for number in (0, 1):
        write_picture(tmp_path / "fov" / f"cells_00{number}.png", np.ones((96, 96), np.uint8))
    for split in (None, "val"):
        assert evaluate(own_run, cells, split, threshold=0.2).folder is None
    assert evaluate(own_run, cells, roi=tmp_path / "fov").folder is None
    others = ({"threshold": 0.2}, {"void": 9}, {"mask_tolerance": 9}, {"masks_dir": "second"})
    assert [evaluate(own_run, cells, **how).folder for how in others] == [None] * 4
    for how in (*others, {"roi": tmp_path / "fov"}):
        with pytest.raises(InputError, match=r"Scores must go into a folder of their own; .* holds config\.toml"):
            evaluate(own_run, cells, out=own_run.path, **how)
    assert {name: (own_run.path / name).read_bytes() for name in before} == before
    assert not (own_run.path / "evaluation_val").exists()
    for own in ({"threshold": 0.5, "mask_tolerance": 0}, {"masks_dir": "masks"}, {"images_dir": "images"}):
        assert evaluate(own_run, cells, **own).folder == own_run.path
    elsewhere = shutil.copytree(cells / "test", tmp_path / "elsewhere")
    assert evaluate(own_run, elsewhere, masks_dir="masks").folder == own_run.path


def test_a_run_keeps_scores_of_its_own_data_by_its_own_pairing_and_of_others_by_any(own_run, cells, tmp_path):
    config = own_run.path / Run.CONFIG
    config.write_text(config.read_text().replace('masks_dir = ""', 'masks_dir = "./instances/"', 1))
    for said in ({}, {"masks_dir": "instances"}, {"masks_dir": "instances//"}, {"images_dir": "images"}):
        assert subject_of(own_run.path, cells, said).home(cells) == own_run.path
    for said in ({"masks_dir": "masks"}, {"masks_dir": ""}, {"mask_suffix": "_b"}):
        found = subject_of(own_run.path, cells, said)
        assert [found.home(data) for data in (cells, cells / "test", cells.parent, tmp_path)] == [
            None, None, own_run.path, own_run.path,
        ]  # fmt: skip


def test_what_was_chosen_by_the_files_of_a_folder_is_said_where_none_was_learnt_from(own_run, cells):
    chosen = "; among them the validation files, by which the best epoch was chosen"
    assert evaluate(own_run, cells, "val").files == f"all val files of {cells}{chosen}"
    assert evaluate(own_run, cells, "test").files == f"all test files of {cells}"
    assert evaluate(own_run, cells, "train").files == f"all train files of {cells}, seen in training or not"
    assert evaluate(own_run, cells, "all").files == f"all files of {cells}, seen in training or not"


def test_what_scores_of_other_terms_replace_is_said(own_run, cells, tmp_path, caplog):
    write_picture(tmp_path / "fov" / "cells_000.png", np.ones((96, 96), np.uint8))
    write_picture(tmp_path / "fov" / "cells_001.png", np.ones((96, 96), np.uint8))
    files, page = f"2 files of {cells / 'test'}", tmp_path / "out" / "report.html"
    inside = f"pixels outside of the fields of view in {tmp_path / 'fov'} are ignored, 0.0% of all"
    terms = {
        files: {},
        f"{files}; at a threshold of 0.2": {"threshold": 0.2},
        f"{files}; with membranes (background)": {"membranes": "background"},
        f"{files}; {inside}": {"roi": tmp_path / "fov"},
        f"{files}; paired by --masks-dir masks": {"masks_dir": "masks"},
    }
    terms = {f"{words}; judged: {own_run.path.resolve()}": how for words, how in terms.items()}
    for how in terms.values():
        for _ in range(2):  # the second time on the same terms
            evaluate(own_run, cells, out=tmp_path / "out", **how)
    said = [record.getMessage() for record in caplog.records if "was of" in record.getMessage()]
    assert said == [
        f"{page} was of {before} and is now of {now}. --out FOLDER keeps scores elsewhere."
        for before, now in itertools.pairwise(terms)
    ]


def test_scores_of_somebody_else_that_are_replaced_are_said(own_run, cells, tmp_path, caplog, monkeypatch):
    other = shutil.copytree(own_run.path, tmp_path / "other")
    monkeypatch.chdir(tmp_path)
    for run in (own_run.path, Path(own_run.path.name), other):  # the second is the first
        evaluate(run, cells, out="out")
    (said,) = [text for text in caplog.messages if "was of" in text]
    of, files, paths = Path("out") / "report.html", f"2 files of {cells / 'test'}", (own_run.path, other)
    before, now = (f"{files}; judged: {path.resolve()}" for path in paths)
    assert said == f"{of} was of {before} and is now of {now}. --out FOLDER keeps scores elsewhere."
    (tmp_path / "elsewhere").mkdir()
    evaluate(Path("other"), cells, out="out")
    monkeypatch.chdir(tmp_path / "elsewhere")  # where no "other" lies
    evaluate(other, cells, out=tmp_path / "out")
    assert len([text for text in caplog.messages if "was of" in text]) == 1
    moved = own_run.path.rename(tmp_path / "moved")
    evaluate(moved, cells)  # its own, wherever it lies
    assert len([text for text in caplog.messages if "was of" in text]) == 1


def test_where_nobody_knows_what_the_net_before_learnt_from_that_is_said(own_run, cells, monkeypatch):
    monkeypatch.setattr(own_run, "config", replace(own_run.config, start_from="bundles/first"))
    files = evaluate(own_run, cells).files
    assert files.endswith("; the net started from bundles/first, whose training files are not known")
    assert seen(files) == "that it may have been trained on"


def test_files_that_were_trained_on_are_left_out_whatever_their_name(own_run, cells, tmp_path):
    data = tmp_path / "data"
    for number, split in enumerate(("train", "test")):
        for role in ("images", "masks"):
            (data / role).mkdir(exist_ok=True, parents=True)
            shutil.copy(cells / split / role / "cells_000.png", data / role / f"renamed{number}.png")
    result = evaluate(own_run, data)
    assert [pair.name for pair, _ in result.per_file] == ["renamed1"]
    assert result.files == f"1 file of {data}, without 1 that the run was trained on"
    assert len(evaluate(own_run, data, split="all").per_file) == 2


def test_files_are_known_by_their_image_alone(own_run, cells, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "test"):
        shutil.copy(cells / split / "images" / "cells_000.png", data / f"{split}.png")
        shutil.copy(cells / split / "masks" / "cells_000.png", data / f"{split}_mask.png")
    (data / "train_mask.png").write_bytes(b"not read")
    assert [pair.name for pair, _ in evaluate(own_run, data).per_file] == ["test"]


def test_validation_files_are_said_to_have_chosen_the_epoch(own_run, cells, tmp_path):
    shutil.copytree(cells / "val", tmp_path / "data" / "val")
    assert "by which the best epoch was chosen" in evaluate(own_run, tmp_path / "data").files


def test_files_of_one_name_are_told_apart(own_run, cells, tmp_path):
    data = tmp_path / "data"
    (data / "a").mkdir(parents=True)
    (data / "b").mkdir()
    lines = []
    for number, folder in enumerate(("a/x", "b/x", "b/y")):
        for role in ("images", "masks"):
            to = data / folder / f"{role}.png"
            to.parent.mkdir(exist_ok=True)
            shutil.copy(cells / "test" / role / f"cells_00{number % 2}.png", to)
        lines.append(f"{folder}/images.png {folder}/masks.png")
    (data / "train.txt").write_text("\n".join(lines))
    result = evaluate(own_run, data, split="all")
    assert len(result.to_json()["per_file_mean_iou"]) == len(result.per_file) == 3


def test_a_class_that_occurs_nowhere_has_no_soft_dice(cells):
    pairs = find_named(cells / "test").splits[""]
    answer = np.dstack([np.full((96, 96), 0.6), np.full((96, 96), 0.3), np.full((96, 96), 0.1)])
    with pytest.raises(InputError):  # 255 is void and there is no class 1 and 2
        judge(lambda image: answer[:5], Truth(pairs, MaskFormat("index", 3), ("a", "b", "c")))
    result = judge(lambda image: answer, Truth(pairs, MaskFormat("index", 3), ("a", "b", "c")))
    assert np.isnan(result.soft_dice).tolist() == [False, True, True]
    assert result.mean_soft_dice == result.soft_dice[0]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_net_that_gives_what_is_not_finite_has_no_score(cells, value):
    answer = np.full((96, 96, 2), 0.5)
    answer[5, 7, 1] = value
    with pytest.raises(InputError, match="probabilities must be finite; the net gives NaN or infinity"):
        judge(lambda image: answer, Truth(find_named(cells / "test").splits[""], BINARY, CLASSES))


def test_the_worst_few_and_the_best_are_drawn_and_no_other_is_kept(tmp_path):
    (tmp_path / "images").mkdir()
    answers = []
    for number, wrong in enumerate((3, 0, 5, 1, 4, 2, 6)):
        image = np.full((700, 3), 100, np.uint8)
        image[0] = number
        label = np.zeros((700, 3), np.uint8)
        write_picture(tmp_path / "images" / f"{number}.png", image)
        write_picture(tmp_path / "masks" / f"{number}.png", label)
        label[:wrong] = 1
        answers.append(np.eye(2)[label])
    result = judge(lambda image: answers[image[0, 0, 0]], Truth(find_named(tmp_path).splits[""], BINARY, CLASSES))
    assert [case.title.split("/")[-1] for case in result.cases] == ["6", "2", "4", "0", "1"]
    assert {case.image.shape for case in result.cases} == {(350, 2, 1)}  # every second pixel


def test_scores_that_cannot_be_stored_are_not_lost(own_run, cells, monkeypatch):
    from unet_tf.evaluation import evaluate as evaluation

    def read_only(path, stored):
        raise InputError(f"Cannot write {path}: Read-only file system.")

    monkeypatch.setattr(evaluation, "write_json", read_only)
    with pytest.raises(NotStored, match=r"cannot be stored in .*own_run\. Cannot write .*Read-only") as caught:
        evaluate(own_run, cells)
    assert 0 <= caught.value.evaluation.mean_iou <= 1


def test_evaluation_ends_between_two_pictures_when_it_is_told_to(own_run, cells):
    before = (own_run.path / "evaluation.json").read_bytes()
    seen = []

    def tell(done, total):
        seen.append(done)
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Stopped):
        evaluate(own_run, cells, split="all", on_image=tell)
    assert seen == [1]
    assert (own_run.path / "evaluation.json").read_bytes() == before


def test_scores_panels_and_page_are_of_one_call_whenever_a_signal_comes(own_run, cells, monkeypatch):
    def kill(*told):
        os.kill(os.getpid(), signal.SIGTERM)

    (own_run.path / "evaluation.json").write_text("before")
    with pytest.raises(Stopped):
        evaluate(own_run, cells, on_image=lambda done, total: done == total and kill())
    assert (own_run.path / "evaluation.json").read_text() == "before"
    kills, draw = iter([kill]), panels.write_strip
    monkeypatch.setattr(panels, "write_strip", lambda *args, **words: (next(kills, list)(), draw(*args, **words)))
    shutil.rmtree(own_run.path / "panels")
    (own_run.path / "report.html").unlink()
    found = evaluate(own_run, cells)
    assert json.loads((own_run.path / "evaluation.json").read_text())["files"] == found.files
    assert sorted(p.name for p in (own_run.path / "panels").iterdir()) == ["0.png", "1.png"]
    assert (own_run.path / "report.html").is_file()


def test_nothing_left_to_score_is_refused(own_run, cells):
    with pytest.raises(InputError, match="was trained on every image"):
        evaluate(own_run, cells / "train")
    with pytest.raises(InputError, match="must be one of train, val, test, all; received 'dev'"):
        evaluate(own_run, cells, split="dev")
    assert len(evaluate(own_run, cells, split="train").per_file) == 4


def test_files_of_one_name_in_two_splits_have_a_score_each(tmp_path):
    for split in ("train", "val"):
        write_picture(tmp_path / split / "a.png", np.zeros((8, 8), np.uint8))
        write_picture(tmp_path / split / "a_mask.png", np.eye(8, dtype=np.uint8) * 255)
    pairs = [pair for some in find_named(tmp_path).splits.values() for pair in some]
    stored = judge(lambda image: np.zeros((8, 8, 2)), Truth(pairs, BINARY, CLASSES)).to_json()
    assert set(stored["per_file_mean_iou"]) == {"train/a", "val/a"}


def test_fields_of_view_and_membranes_are_looked_at_before_anything_is_predicted(own_run, cells, tmp_path):
    for number in (0, 1):
        write_picture(
            tmp_path / "fov" / f"cells_00{number}_mask.png", np.pad(np.ones((90, 96), np.uint8), ((6, 0), (0, 0)))
        )
    result = evaluate(own_run, cells, roi=tmp_path / "fov", membranes="background", out=tmp_path / "out")
    assert "--membranes background" in result.who["command"]
    assert result.confusion.sum() == 2 * 90 * 96
    stored = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert stored["field"]["roi"].endswith("are ignored, 6.2% of all")
    assert stored["membranes"]["borders"] == ["background"]
    assert [one["name"] for one in stored["per_file"]] == [*stored["per_file_mean_iou"]]
    assert read_evaluation(tmp_path / "out" / "evaluation.json")["images"] == stored["images"]

    def never(done, total):
        raise AssertionError

    (tmp_path / "fov" / "cells_001_mask.png").unlink()
    with pytest.raises(InputError, match=r"1 have none: .*test.images.cells_001.png"):
        evaluate(own_run, cells, roi=tmp_path / "fov", on_image=never)
    with pytest.raises(InputError, match="Membranes must be classes of the run"):
        evaluate(own_run, cells, membranes=["membrane"], on_image=never)
    write_picture(tmp_path / "fov" / "cells_001.png", np.ones((95, 96), np.uint8))
    with pytest.raises(InputError, match=r"cells_001.png is 95x96, .*cells_001.png 96x96") as refused:
        evaluate(own_run, cells, roi=tmp_path / "fov")
    assert refused.value.file == tmp_path / "fov" / "cells_001.png"


def test_a_run_on_instance_masks_scores_objects_as_they_are_predicted(own_run, cells, monkeypatch):
    seen, parted = [], MaskFormat.objects
    monkeypatch.setattr(MaskFormat, "objects", lambda masks, *given: seen.append(masks) or parted(masks, *given))
    own_run.masks = MaskFormat("instance", neck=1.5, smallest=5)
    result = evaluate(own_run, cells / "test", masks_dir="instances")
    assert seen == [own_run.masks] * 2
    assert result.objects.true == sum(one.objects.true for one in result.judged) > 2
    assert result.to_json()["objects"]["true"] == result.objects.true


def test_scores_are_of_labels_at_the_threshold_and_say_how_far_probabilities_are_off(own_run, cells, tmp_path):
    pairs = find_named(cells / "test").splits[""]
    truth = np.stack([read_pair(pair, own_run.masks).label for pair in pairs])
    p = np.stack([predict(own_run, read_pair(pair, own_run.masks).image, probabilities=True) for pair in pairs])
    for threshold in (None, 0.2):
        found = evaluate(own_run, cells, threshold=threshold, out=tmp_path / "out").to_json()
        label = p[..., 1] > np.float32(0.2) if threshold else p.argmax(-1)
        assert found["confusion"] == confusion_matrix(truth, label, 2).tolist()
        of = Reliability()
        of.add(truth, p)
        assert found["calibration"]["ece"] == pytest.approx(of.error)
        assert found["calibration"]["bins"] == of.table()
        assert found["calibration"]["temperature"] == own_run.calibration.temperature
        raw = Reliability()
        raw.add(truth, tempered(p, 1 / own_run.calibration.temperature))
        assert found["calibration"]["ece_raw"] == pytest.approx(raw.error)
        assert found["thresholds"]["chosen"] == (threshold or 0.5)
    number = found["thresholds"]["thresholds"].index(0.2)
    assert found["thresholds"]["iou"][number] == pytest.approx(found["iou"]["foreground"])
    assert found["thresholds"]["recall"][number] == pytest.approx(found["recall"]["foreground"])
    stored = read_evaluation(tmp_path / "out" / "evaluation.json")
    assert "foreground is where its probability is above 0.2." in certainty_words(stored)
    assert "Expected calibration error" in certainty_words(stored)


def test_masks_have_no_calibration(cells):
    pairs = find_named(cells / "test").splits[""]
    stored = judge(lambda image: np.eye(2)[np.zeros((96, 96), int)], Truth(pairs, BINARY, CLASSES)).to_json()
    assert not {"calibration", "thresholds"} & stored.keys()
    assert certainty_words(stored) == ""
