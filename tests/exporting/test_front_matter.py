from dataclasses import replace

import pytest
import yaml
from bundles import of_data
from huggingface_hub import EvalResult, ModelCard

from unet_tf import MaskFormat, Normalisation
from unet_tf.edge.description import Description, Origin
from unet_tf.exporting.front_matter import LICENSES, front_matter
from unet_tf.geometry import Geometry

REPORT = {"artefacts": {"saved_model/1": {}, "model_uint8.tflite": {}, "model.onnx": {}}}


def about(origin=None, classes=("background", "cell")):
    masks = MaskFormat("index", len(classes))
    return Description(classes, masks, Normalisation((1.0,), (1.0,), "uint8"), Geometry(2), 84, origin or Origin())


def card(*args, **kwargs):
    return ModelCard(front_matter(*args, **kwargs) + "\n\n# A net\n")


def test_the_card_is_read_by_the_parser_of_the_hub():
    scores = {"mean_iou": 0.75, "iou": {"background": 0.9, "cell": 0.6}, "pictures": 12}
    data = card("cells", about(of_data(**scores)), REPORT, "CC-BY-4.0", "isbi2012").data
    assert (data.library_name, data.pipeline_tag, data.license) == ("keras", "image-segmentation", "cc-by-4.0")
    assert data.tags == ["unet", "semantic-segmentation", "keras", "tensorflow", "unet-tf", "tflite", "onnx"]
    assert (data.model_name, data.metrics) == ("cells", ["mean_iou", "dice"])
    assert all(isinstance(one, EvalResult) for one in data.eval_results)
    assert {one.metric_name: one.metric_value for one in data.eval_results} == {
        "Mean IoU": 0.75,
        "Mean Dice": round((2 * 0.9 / 1.9 + 2 * 0.6 / 1.6) / 2, 6),
        "IoU background": 0.9,
        "IoU cell": 0.6,
    }
    first = data.eval_results[0]
    assert (first.task_type, first.dataset_type, first.dataset_name, first.metric_type) == (
        "image-segmentation", "isbi2012", "isbi2012, 12 files that it was not trained on", "mean_iou",
    )  # fmt: skip


@pytest.mark.parametrize(
    "origin",
    [
        Origin(),
        of_data(),
        of_data(mean_iou=None, iou={"background": None, "cell": None}, pictures=6),
        of_data(val=0, mean_iou=0.9, iou={"background": 0.9, "cell": 0.9}),  # of files that it was trained on
        of_data(mean_iou=0.9, iou={"background": 0.9, "cell": 0.9}),  # of an earlier version: nobody knows of which
    ],
)
def test_without_scores_on_files_that_are_known_there_are_none(origin):
    found = card("cells", about(origin), REPORT).data
    assert found.eval_results is None
    assert found.metrics is None
    assert found.license is None


def test_the_files_that_were_scored_are_counted_and_no_others():
    scores = {"mean_iou": 0.75, "iou": {}, "pictures": 1}
    (found,) = card("cells", about(of_data(**scores)), REPORT).data.eval_results
    assert (found.dataset_type, found.dataset_name) == ("unseen", "1 file that it was not trained on")
    (found,) = card("cells", replace(about(of_data(**scores)), nets=3), REPORT, dataset="cells").data.eval_results
    assert found.dataset_name == "cells, 1 file each by the nets that were not trained on it"


def test_small_numbers_are_numbers_to_every_reader_of_yaml():
    scores = {"mean_iou": 0.5, "iou": {"background": 1.0, "cell": 0.00005}, "pictures": 6}
    text = front_matter("cells", about(of_data(**scores)), REPORT).split("---")[1]
    metrics = yaml.safe_load(text)["model-index"][0]["results"][0]["metrics"]
    assert [one["value"] for one in metrics] == [0.5, 0.50005, 1.0, 5e-05]


def test_a_class_that_does_not_occur_has_no_score():
    scores = {"mean_iou": 0.9, "iou": {"background": 0.9, "cell": None}, "pictures": 6}
    found = card("cells", about(of_data(**scores)), REPORT).data.eval_results
    assert [one.metric_name for one in found] == ["Mean IoU", "Mean Dice", "IoU background"]


@pytest.mark.parametrize(
    "word",
    [
        "yes",
        "null",
        "1.5",
        "- a",
        "a: b",
        "#1",
        '"',
        "'",
        "a\nb",
        "ärzte 細胞 🔬",
        "\x7f\x85\u2028",
        "{x}",
        "",
        " a ",
        "---",
    ],
)
def test_names_are_text_whatever_they_are(word):
    scores = {"mean_iou": 0.5, "iou": {word: 0.5, "b": 0.5}, "pictures": 6}
    found = card(word or "x", about(of_data(**scores), (word, "b")), REPORT, dataset=word).data
    names, files = [one.metric_name for one in found.eval_results], "6 files that it was not trained on"
    assert names[2:] == [f"IoU {word}", "IoU b"]
    assert found.model_name == (word or "x")
    assert found.eval_results[0].dataset_name == (f"{word}, {files}" if word else files)


def test_names_that_are_no_utf8_are_written_as_escapes():
    text = front_matter("caf\udce9", about(of_data(mean_iou=0.5, iou={}, pictures=6)), REPORT)
    assert yaml.safe_load(text.split("---")[1])["model-index"][0]["name"] == "caf\\udce9"
    text.encode()


def test_a_licence_that_the_hub_does_not_know_has_a_name():
    assert "mit" in LICENSES
    found = card("cells", about(), REPORT, "GPL-3.0-or-later").data
    assert (found.license, found.license_name) == ("other", "gpl-3.0-or-later")
