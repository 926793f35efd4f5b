import numpy as np
import pytest
import tensorflow as tf
import tifffile

from unet_tf.data.folder import Pair
from unet_tf.data.masks import MaskFormat
from unet_tf.data.normalisation import Normalisation
from unet_tf.data.pictures import write_picture
from unet_tf.edge.description import Description
from unet_tf.exporting.bundle import KERAS
from unet_tf.exporting.parity import (
    BundledNet,
    Example,
    bound_of,
    broken,
    compare,
    inexact,
    mislabelled,
    noise_example,
    read_example,
    read_picture,
    rounding_temperature,
    worse,
)
from unet_tf.geometry import Geometry
from unet_tf.model.calibration import Calibration
from unet_tf.model.ensemble import Member, ensemble
from unet_tf.model.unet import unet

LABEL = np.array([[0, 1, 1]], np.uint8)
RIGHT = np.eye(2, dtype=np.float32)[LABEL]


def held(value, label=None):
    """Tallies of a net that gives a value somewhere, as if it were a SavedModel and a TFLite file of float16."""
    found = RIGHT.copy()
    found[0, 1, 0] = value
    nets = dict.fromkeys(("saved_model/1", "model_float16.tflite"), lambda image: found)
    return compare(lambda image: RIGHT, nets, [lambda: Example("a", np.zeros((1, 3, 1)), label)], MaskFormat())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("label", [None, LABEL])
def test_what_is_not_finite_is_never_no_difference(value, label):
    tallies = held(value, label)
    assert broken(tallies) == [
        f"{name} must give finite probabilities; 1 of 3 pixels are NaN or infinite."
        for name in ("saved_model/1", "model_float16.tflite")
    ]
    assert tallies["saved_model/1"].difference == np.inf
    assert inexact(tallies)
    assert len(worse(tallies, 1.0)) == 2 * (label is not None)


def test_keras_itself_must_be_finite_too():
    tallies = compare(lambda image: RIGHT * np.nan, {}, [lambda: Example("a", np.zeros((1, 3, 1)))], MaskFormat())
    assert broken(tallies) == [f"{KERAS} must give finite probabilities; 3 of 3 pixels are NaN or infinite."]


def test_what_is_finite_is_counted():
    tallies = held(0.75, LABEL)
    own = tallies["saved_model/1"]
    assert (broken(tallies), own.difference, own.equal, own.pixels) == ([], 0.75, 3, 3)
    assert worse(tallies, 0.0) == []
    assert tallies[KERAS].to_json(["a", "b"])["iou"] == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_labels_that_are_not_those_of_the_probabilities_are_said(threshold):
    calibration = Calibration(1.0, threshold)
    about = Description(
        ("a", "b"), MaskFormat(), Normalisation((9.0,), (2.0,), "uint8"), Geometry(1, "same"), 64,
        calibration=calibration,
    )  # fmt: skip
    height, width, _ = noise_example(about).image.shape
    chance = np.linspace(0, 1, height * width, dtype=np.float32).reshape(height, width)
    nets = {
        "right": BundledNet(lambda image: np.dstack([1 - chance, chance]), lambda image: np.uint8(chance > threshold)),
        "near": BundledNet(
            lambda image: np.dstack([1 - chance, chance]), lambda image: np.uint8(chance > threshold + 0.004)
        ),
        "wrong": BundledNet(lambda image: np.dstack([1 - chance, chance]), lambda image: np.uint8(chance > 0.9)),
    }
    (said,) = mislabelled(nets, about)
    assert said.startswith("wrong must give the labels of its probabilities; ")
    assert said.endswith(f" of {chance.size} pixels differ.")


def test_a_gpu_is_to_compare_by_all_digits_of_float32():
    found = []

    def net(image):
        found.append(tf.config.experimental.tensor_float_32_execution_enabled())
        return RIGHT

    compare(net, {"saved_model/1": net}, [lambda: Example("a", np.zeros((1, 3, 1)), LABEL)], MaskFormat())
    assert found == [False, False]
    assert tf.config.experimental.tensor_float_32_execution_enabled()


def test_pictures_of_void_alone_have_no_score_and_lose_none():
    tallies = held(0.75, np.full((1, 3), 255, np.uint8))
    assert tallies[KERAS].mean_iou is None
    assert worse(tallies, 0.0) == []
    assert "mean_iou" not in tallies[KERAS].to_json(["a", "b"])


def test_nets_are_compared_on_what_a_prediction_gives_them(tmp_path):
    """Values that the training images had stay, for the graph knows them; a picture's own one becomes the mean."""
    known = Normalisation((20.0, 30.0), (9.0, 9.0), "int16", (-9999.0,))
    about = Description(("a", "b"), MaskFormat("binary"), known, Geometry(1, "same"), 64)
    image = np.random.default_rng(0).integers(0, 60, (8, 9, 2)).astype(np.int16)
    image[2, 3, 0], image[4, 5, 1] = -9999, -30000
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack", planarconfig="contig", metadata=None)
    write_picture(tmp_path / "a_mask.png", np.zeros((8, 9), np.uint8))
    image[4, 5, 1] = 30
    pair = Pair("a", tmp_path / "a.tif", tmp_path / "a_mask.png")
    for example in read_example(pair, about), read_picture(pair.image, about):
        np.testing.assert_array_equal(example.image, image)


def test_a_page_of_a_stack_is_read_by_its_number(tmp_path):
    about = Description(("a", "b"), MaskFormat(), Normalisation((9.0,), (2.0,), "uint8"), Geometry(1, "same"), 64)
    pages = np.arange(3 * 8 * 9, dtype=np.uint8).reshape(3, 8, 9)
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack")
    for number, page in enumerate(pages):
        np.testing.assert_array_equal(read_picture(tmp_path / "a.tif", about, number).image[..., 0], page)


def test_borders_that_are_a_class_count_as_their_objects():
    """As `evaluate` scores them: a net that takes a rim for the inside loses nothing, one that loses the rim does."""
    truth = np.array([[0, 2, 1, 2, 0, 255]], np.uint8)
    expected = np.eye(3, dtype=np.float32)[[[0, 2, 1, 2, 0, 1]]]
    nets = {
        name: np.eye(3, dtype=np.float32)[[label]]
        for name, label in (("in", [0] + [1] * 3 + [0] * 2), ("out", [0, 0, 1, 2, 0, 0]))
    }
    functions = {name: lambda image, found=found: found for name, found in nets.items()}
    masks = MaskFormat("instance", 3, border=1)
    tallies = compare(lambda image: expected, functions, [lambda: Example("a", np.zeros((1, 6, 1)), truth)], masks)
    classes = ["background", "cell", "border"]
    assert tallies[KERAS].to_json(classes)["iou"] == {"background": 1.0, "cell": 1.0}
    assert tallies["in"].to_json(classes)["iou"] == {"background": 1.0, "cell": 1.0}
    assert tallies["in"].equal == 3  # of the labels that the nets give, borders are one
    assert tallies["out"].to_json(classes)["iou"] == {"background": 2 / 3, "cell": 2 / 3}
    assert [words.split(" loses ")[0] for words in worse(tallies, 0.1)] == ["out"]


def test_rounding_of_several_nets_may_be_the_mean_of_what_their_temperatures_make_of_it():
    about = Description(
        ("a", "b"), MaskFormat(), Normalisation((9.0,), (2.0,), "uint8"), Geometry(1, "same"), 64,
        calibration=Calibration(0.5),
    )  # fmt: skip
    one = unet(base_filters=2, depth=1, padding="same")
    assert rounding_temperature(one, about) == 0.5
    nets = [Member(name, one, (1.0,), (0.0,), temperature) for name, temperature in (("a", 0.1), ("b", 2.0))]
    several = ensemble(nets)
    assert rounding_temperature(several, about) == pytest.approx(2 / 11)
    assert bound_of("saved_model/2", rounding_temperature(several, about)) == pytest.approx(5.5e-4)
    assert bound_of("model.onnx", 2.0) == 1e-4
    assert bound_of("model_float16.tflite", 0.1) == np.inf
