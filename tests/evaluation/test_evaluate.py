import json
import shutil

import numpy as np
import pytest

from unet_tf import evaluate
from unet_tf.data.folder import read_pair
from unet_tf.data.layout import find_named
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import write_picture
from unet_tf.errors import InputError
from unet_tf.evaluation.evaluate import judge, otsu_label, select_files

CLASSES = ("background", "cell")
BINARY = MaskFormat("binary")


def test_a_perfect_predictor_scores_one_and_the_majority_class_what_it_must(cells):
    pairs = find_named(cells / "test").splits[""]
    labels = [read_pair(pair, BINARY).label for pair in pairs]
    answers = iter(labels)
    result = judge(lambda image: np.eye(2)[next(answers)], pairs, BINARY, CLASSES)
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
    result = judge(lambda image: np.full((96, 96, 2), 0.5), pairs, BINARY, CLASSES)
    for c in (0, 1):
        share = (truth == c).mean()
        assert result.soft_dice[c] == pytest.approx(2 * 0.5 * share / (0.25 + share))


def test_the_worst_file_comes_first(cells):
    pairs = find_named(cells / "test").splits[""]
    answers = iter([read_pair(pairs[0], BINARY).label, 1 - read_pair(pairs[1], BINARY).label])
    result = judge(lambda image: np.eye(2)[next(answers)], pairs, BINARY, CLASSES)
    assert result.per_file == [(pairs[1], 0.0), (pairs[0], 1.0)]


def test_otsu_is_given_its_better_polarity(tmp_path):
    image = np.where(np.arange(64).reshape(8, 8) < 40, 200, 30).astype(np.uint8)
    write_picture(tmp_path / "images" / "a.png", image)
    write_picture(tmp_path / "masks" / "a.png", (image < 100).astype(np.uint8) * 255)
    result = judge(lambda image: np.zeros((8, 8, 2)), find_named(tmp_path).splits[""], BINARY, CLASSES)
    assert np.array_equal(result.baselines["Otsu threshold"], [[40, 0], [0, 24]])
    assert set(np.unique(otsu_label(image[..., None].astype(np.uint16) * 200))) == {0, 1}


def test_evaluate_takes_test_files_and_writes_scores_panels_and_report(run, cells):
    seen = []
    result = evaluate(run.path, cells, on_image=lambda done, total: seen.append((done, total)))
    assert result.files == f"2 files of {cells / 'test'}"
    assert seen == [(1, 2), (2, 2)]
    stored = json.loads((run.path / "evaluation.json").read_text())
    assert stored["mean_iou"] == result.mean_iou
    assert stored["confusion"] == result.confusion.tolist()
    assert set(stored["baselines"]) == {"majority class", "Otsu threshold"}
    assert sorted(p.name for p in (run.path / "panels").iterdir()) == ["0.png", "1.png"]


def test_files_that_were_trained_on_are_left_out_whatever_their_name(run, cells, tmp_path):
    for number, split in enumerate(("train", "test")):
        for role in ("images", "masks"):
            (tmp_path / role).mkdir(exist_ok=True)
            shutil.copy(cells / split / role / "cells_000.png", tmp_path / role / f"renamed{number}.png")
    result = evaluate(run, tmp_path)
    assert [pair.name for pair, _ in result.per_file] == ["renamed1"]
    assert result.files == f"1 files of {tmp_path}, without 1 that the run learnt from"
    assert len(evaluate(run, tmp_path, split="all").per_file) == 2


def test_files_are_known_by_their_image_alone(run, cells, tmp_path):
    for split in ("train", "test"):
        shutil.copy(cells / split / "images" / "cells_000.png", tmp_path / f"{split}.png")
        (tmp_path / f"{split}_mask.png").write_bytes(b"not read")
    assert [pair.name for pair in select_files(run, tmp_path)[0]] == ["test"]


def test_validation_files_are_said_to_have_chosen_the_epoch(run, cells, tmp_path):
    shutil.copytree(cells / "val", tmp_path / "val")
    assert "by which the best epoch was chosen" in evaluate(run, tmp_path).files


def test_files_of_one_name_in_several_splits_are_told_apart(run, cells):
    result = evaluate(run, cells, split="all")
    stored = json.loads((run.path / "evaluation.json").read_text())
    assert len(stored["per_file_mean_iou"]) == len(result.per_file) == 8
    assert {"train/cells_000", "val/cells_000", "test/cells_000"} <= set(stored["per_file_mean_iou"])


def test_a_class_that_occurs_nowhere_has_no_soft_dice(cells):
    pairs = find_named(cells / "test").splits[""]
    answer = np.dstack([np.full((96, 96), 0.6), np.full((96, 96), 0.3), np.full((96, 96), 0.1)])
    with pytest.raises(InputError):  # 255 is void and there is no class 1 and 2
        judge(lambda image: answer[:5], pairs, MaskFormat("index", 3), ("a", "b", "c"))
    result = judge(lambda image: answer, pairs, MaskFormat("index", 3), ("a", "b", "c"))
    assert np.isnan(result.soft_dice).tolist() == [False, True, True]
    assert result.mean_soft_dice == result.soft_dice[0]


def test_nothing_left_to_score_is_refused(run, cells):
    with pytest.raises(InputError, match="learnt from every image"):
        evaluate(run, cells / "train")
    with pytest.raises(InputError, match="one of train, val, test, all; received 'dev'"):
        evaluate(run, cells, split="dev")
    assert len(evaluate(run, cells, split="train").per_file) == 4
