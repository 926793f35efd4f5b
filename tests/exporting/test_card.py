import numpy as np
import pytest

from unet_tf.data.channels import Channels
from unet_tf.data.drawing import displayable
from unet_tf.data.masks import MaskFormat
from unet_tf.data.normalisation import Normalisation
from unet_tf.edge.description import Description
from unet_tf.exporting import card
from unet_tf.exporting.card import model_card, verdict
from unet_tf.exporting.parity import Example, Worst
from unet_tf.geometry import Geometry


def net(**more):
    return {"max_probability_difference": 0.0, "label_agreement": 0.9991, "bytes": 500_000} | more


def words(keras_iou, *nets):
    keras = {} if keras_iou is None else {"mean_iou": keras_iou}
    found = verdict({"keras": keras, "artefacts": {f"{n}": one for n, one in enumerate(nets)}, "pictures": "a few"})
    return found.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("keras_iou", "nets", "said"),
    [
        (0.9, [net(mean_iou=0.9), net(mean_iou=0.9004)], "none of which loses any mean IoU beside Keras' 0.900."),
        (0.9, [net(mean_iou=0.9), net(mean_iou=0.8999)], "which lose less than 0.001 of mean IoU beside Keras' 0.900."),
        (0.9, [net(mean_iou=0.9), net(mean_iou=0.893)], "which lose 0.007 at most of mean IoU beside Keras' 0.900."),
        (None, [net(), net(label_agreement=0.97)], "which give 97 % of the pixels Keras' class."),
        (0.0, [net(mean_iou=0.0), net(mean_iou=None)], "none of which loses any mean IoU beside Keras' 0.000."),
    ],
)
def test_the_worst_of_the_nets_is_told(keras_iou, nets, said):
    assert words(keras_iou, *nets) == f"2 nets to serve and to ship, the smallest of 0.5 MB, {said}"


def test_one_net_without_a_size():
    alone = {"max_probability_difference": 0.0, "label_agreement": 1.0}
    assert words(None, alone) == "1 net to serve and to ship, which gives 100 % of the pixels Keras' class."
    assert words(0.9, net(mean_iou=0.9)).endswith("of 0.5 MB, which loses no mean IoU beside Keras' 0.900.")
    assert words(0.9, net(mean_iou=0.8)).endswith("which loses 0.100 of mean IoU beside Keras' 0.900.")


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        (Channels(), "RGB pictures"),
        (Channels(names=("", "", "")), "RGB pictures"),
        (Channels(names=("NIR", "red", "green")), "3-channel (NIR, red, green) pictures"),
        (Channels(names=("", "", "DAPI")), "3-channel (0, 1, DAPI) pictures"),
    ],
)
def test_channels_that_the_files_name_are_not_called_rgb(channels, words):
    three = Normalisation((9.0,) * 3, (2.0,) * 3, "uint8")
    about = Description(("a", "b"), MaskFormat("index", 2), three, Geometry(1, "same"), 64, channels=channels)
    report = {"pictures": "a few", "keras": net(), "artefacts": {"model_uint8.tflite": net(milliseconds=1.0)}}
    assert f'padding "same", {words} of `uint8` pixels' in model_card("cells", about, report)


def test_a_name_with_a_bar_stays_in_its_column():
    classes = ("ground", "cell|rim")
    about = Description(
        classes, MaskFormat("index", 2), Normalisation((9.0,), (2.0,), "uint8"), Geometry(1, "same"), 64
    )
    scored = net(mean_iou=0.8, iou={"ground": 0.9, "cell|rim": 0.7}, milliseconds=1.0)
    report = {"pictures": "a few", "keras": scored, "artefacts": {"model_uint8.tflite": scored}}
    lines = model_card("cells", about, report).splitlines()
    assert r"| cell\|rim | 0.7000 | 0.7000 |" in lines
    assert "| ground | 0.9000 | 0.9000 |" in lines


@pytest.mark.parametrize(
    ("files", "tile", "mean"),
    [
        (["saved_model/1"], "", False),
        (["model_float32.tflite"], "A call of `model_float32.tflite` takes one tile of 64x64 px", False),
        (["model.onnx", "model_tile.onnx"], "A call of `model_tile.onnx` takes one tile of 64x64 px", False),
        (
            ["model_float16.tflite", "model_uint8.tflite"],
            "of `model_float16.tflite` or `model_uint8.tflite` takes",
            True,
        ),
    ],
)
def test_limits_are_those_of_the_files_that_are_there(files, tile, mean):
    known = Normalisation((9.0,), (2.0,), "uint8", (0.0,))
    about = Description(("a", "b"), MaskFormat("index", 2), known, Geometry(1, "same"), 64)
    report = {"pictures": "a few", "keras": net(), "artefacts": {name: net(milliseconds=1.0) for name in files}}
    card = model_card("cells", about, report)
    assert tile in card
    assert ("one tile of" in card) == bool(tile)
    assert "Pixels of 0 hold no measurement" in card
    assert ("`model_uint8.tflite` wants the mean itself, rounded, in their place." in card) == mean


@pytest.mark.parametrize("gone", [-9999.0, -3.4028234663852886e38])
def test_a_picture_with_gaps_is_stretched_by_what_was_measured(gone, monkeypatch):
    known = Normalisation((500.0,), (100.0,), "float32", (gone,))
    about = Description(("background", "b"), MaskFormat("index", 2), known, Geometry(1, "same"), 64)
    gaps = np.random.default_rng(0).normal(500, 100, (40, 50, 1)).astype(np.float32)
    gaps[5:25, 7:30] = gone
    image = np.where(gaps == np.float32(gone), np.median(gaps[gaps > 0]), gaps)
    label = np.zeros((40, 50), np.uint8)
    monkeypatch.setattr(card, "layer", lambda name, picture, title: picture)
    drawn, *_, difference = card._case("net", Worst(Example("a", gaps), label, 1 - label, label.size), about)["layers"]
    np.testing.assert_array_equal(drawn, displayable(image))
    assert drawn[30:].std() > 40
    assert difference.shape == drawn.shape
