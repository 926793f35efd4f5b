"""ONNX files of an export, run by ONNX Runtime, OpenVINO and OpenCV: what Keras gives, by runtimes of others."""

import re
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
from agreement import same_labels
from PIL import Image

from unet_tf import InputError, export, generate_cells, predict, unet, verify
from unet_tf.data.masks import MaskFormat
from unet_tf.data.normalisation import Normalisation
from unet_tf.edge.description import Description
from unet_tf.edge.net import read_description
from unet_tf.exporting.bundle import ONNX
from unet_tf.exporting.onnx import HOW_TO, how_to_cut, write_onnx
from unet_tf.exporting.parity import EXACT
from unet_tf.geometry import Geometry
from unet_tf.model.calibration import Calibration, label_of
from unet_tf.model.ensemble import Member, ensemble
from unet_tf.model.inference import Network, folded

NEAR = 1e-5


def by_onnxruntime(file, image):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(["mask", "probabilities"], {"image": image})


def by_openvino(file, image):
    net = openvino.compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = net({"image": image})
    return found["mask"], found["probabilities"]


def by_opencv(file, image):
    net = cv2.dnn.readNetFromONNX(str(file))
    net.setInput(image, "image")
    return net.forward(["mask", "probabilities"])


RUNTIMES = (by_onnxruntime, by_openvino, by_opencv)


def about(channels=1, threshold=0.5, temperature=1.0, padding="valid", nodata=(), dtype="uint8"):
    known = Normalisation((100.0,) * channels, (50.0,) * channels, dtype, nodata)
    how = Calibration(temperature, threshold)
    return Description(("a", "b"), MaskFormat(), known, Geometry(2, padding), 84, calibration=how)


def net_of(description, count=1):
    """A net of random weights, batch normalisation among them, or the mean of several."""
    channels = description.normalisation.channels
    rng = np.random.default_rng(0)
    nets = []
    for seed in range(count):
        keras.utils.set_random_seed(seed)
        net = unet((None, None, channels), 2, 4, 2, description.geometry.padding, batch_norm=True)
        net.set_weights([one + rng.normal(0, 0.05, one.shape).astype(np.float32) for one in net.get_weights()])
        nets.append(net)
    members = [Member(f"fold{n}", net, (1.0,) * channels, (0.1,) * channels, 1.3) for n, net in enumerate(nets)]
    return nets[0] if count == 1 else ensemble(members)


CASES = {
    "grey": (about(), 1),
    "rgb, padded, a threshold": (about(3, 0.4, padding="same"), 1),
    "five channels of floats with gaps": (about(5, dtype="float32", nodata=(-9999.0, 3.0)), 1),
    "a temperature, uint16": (about(temperature=1.7, dtype="uint16"), 1),
    "a mean of three": (about(2, padding="same"), 3),
}


@pytest.mark.parametrize(("description", "count"), CASES.values(), ids=CASES)
def test_every_runtime_gives_what_keras_gives(tmp_path, description, count):
    model, known = net_of(description, count), description.normalisation
    write_onnx(folded(model), description, tmp_path)
    images = np.random.default_rng(1).integers(0, 200, (1, 100, 84, known.channels)).astype(np.float32)
    images[0, 30:50, 40:60, 0] = known.nodata[0] if known.nodata else 7
    network = Network(model, description.calibration.temperature)
    for name, image in (ONNX["onnx"], images), (ONNX["onnx_tile"], images[:, :84]):
        expected = network.probabilities(known.scale(image[0].astype(known.dtype)))
        label = label_of(expected, description.calibration.threshold)
        assert 0.05 < label.mean() < 0.95
        sure = np.abs(expected[..., 1] - description.calibration.threshold) > NEAR
        for run in RUNTIMES:
            mask, probabilities = run(tmp_path / name, image)
            np.testing.assert_allclose(probabilities[0], expected, rtol=0, atol=NEAR, err_msg=run.__name__)
            assert (mask.dtype, probabilities.dtype) == (np.uint8, np.float32)
            np.testing.assert_array_equal(mask[0][sure], label[sure], err_msg=run.__name__)


def test_a_file_of_any_size_takes_batches(tmp_path):
    description = about()
    write_onnx(folded(net_of(description)), description, tmp_path)
    images = np.random.default_rng(1).integers(0, 256, (3, 64, 72, 1)).astype(np.float32)
    together = by_onnxruntime(tmp_path / ONNX["onnx"], images)[0]
    each = [by_onnxruntime(tmp_path / ONNX["onnx"], image[None])[0][0] for image in images]
    np.testing.assert_array_equal(together, each)


def test_the_files_are_valid_and_say_what_they_are(bundle):
    for key, name in ONNX.items():
        model = onnx.load(bundle / name)
        onnx.checker.check_model(model, full_check=True)
        assert [(one.domain, one.version) for one in model.opset_import] == [("", 17)]
        described = read_description(bundle / name)
        said = onnxruntime.InferenceSession(bundle / name).get_modelmeta().custom_metadata_map
        assert said[HOW_TO] == how_to_cut(described, key == "onnx_tile")
        assert described.to_json() == read_description(bundle / "model_float32.tflite").to_json()


def test_the_words_cut_a_picture_as_the_grid_does():
    assert how_to_cut(about(padding="same"), True) == (
        "Input: raw uint8 pixels as float32, (batch, height, width, 1). Height and width: 84. A tile of T px gives the "
        "mask of S = (T - 48) rounded down to a multiple of 4: put it at multiples of S in the picture, read from 24 "
        "px before it, mirror the picture where it ends (its edge not repeated), and of the output take S px from 24 "
        "on. JSON of all this: unet_tf."
    )
    assert "Height and width: 4k, at least 44. A tile" in how_to_cut(about(), False)


def test_they_are_held_against_keras_and_reported(bundle, cells):
    found = verify(bundle, cells / "val")
    assert found.faults == []
    card, page = (bundle / "MODEL_CARD.md").read_text(), (bundle / "report.html").read_text()
    for name in ONNX.values():
        assert found.report["artefacts"][name]["max_probability_difference"] <= EXACT[name]
        assert f"| {name} |" in card
        assert f'<th scope="row">{name}</th>' in page


def test_an_onnx_file_that_differs_is_named(bundle, monkeypatch):
    monkeypatch.setitem(EXACT, "model.onnx", -1.0)
    assert verify(bundle).faults[0].startswith("model.onnx differs from Keras by ")


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named_before_anything_is_written(run, tmp_path, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(InputError, match=rf"pip install 'unet-tf\[{missing}\]'"):
        export(run, tmp_path / "bundle", onnx=True, on_step=lambda name: pytest.fail(name))
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_with_onnx_files_is_verified_with_onnxruntime_alone(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"pip install 'unet-tf\[onnxruntime\]'"):
        verify(bundle)


def test_the_code_of_the_documentation_gives_the_mask_of_a_prediction(bundle, run, tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "docs" / "onnx.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    image = generate_cells(110, 201, seed=3)[0]
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right
    Image.fromarray(np.rot90(image)).save(tmp_path / "image.png", exif=exif)
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "cells").symlink_to(bundle)
    monkeypatch.chdir(tmp_path)
    expected = predict(run, image, probabilities=True)
    names = {"__name__": "docs"}
    masks = []
    for block in blocks:
        exec(block, names)
        masks += [names.pop("mask")] if "mask" in names else []
    assert len(masks) == 4  # of OnnxNet and of three runtimes
    for mask in masks:
        assert mask.shape == image.shape
        assert same_labels(mask, expected, 2 * NEAR)
