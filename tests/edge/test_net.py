import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from unet_tf.data.masks import MaskFormat
from unet_tf.data.normalisation import Normalisation
from unet_tf.edge.description import Description
from unet_tf.edge.net import SHA256, EdgeNet, read_description
from unet_tf.errors import InputError
from unet_tf.exporting.bundle import TFLITE
from unet_tf.exporting.tflite import write_tflite
from unet_tf.geometry import Geometry
from unet_tf.model.unet import unet


@pytest.fixture(scope="module")
def content(bundle):
    return (bundle / TFLITE["float32"]).read_bytes()


def test_a_file_that_was_cut_anywhere_is_refused(content, tmp_path):
    file = tmp_path / "a.tflite"
    for size in (0, 3, 7, 8, 100, *np.linspace(200, len(content) - 1, 40).astype(int)):
        file.write_bytes(content[:size])
        with pytest.raises(InputError, match=r"a\.tflite (is damaged|is no TFLite file)"):
            EdgeNet(file)


def test_a_byte_that_was_changed_anywhere_is_found_before_the_interpreter_sees_it(content, tmp_path, monkeypatch):
    from ai_edge_litert import interpreter

    monkeypatch.setattr(interpreter, "Interpreter", lambda *arguments, **more: pytest.fail("it was given to LiteRT"))
    file, rng = tmp_path / "a.tflite", np.random.default_rng(0)
    for _ in range(400):
        damaged = bytearray(content)
        for place in rng.integers(len(content), size=rng.integers(1, 9)):
            damaged[place] ^= int(rng.integers(1, 256))
        file.write_bytes(damaged)
        with pytest.raises(InputError, match=r"a\.tflite (is damaged|is no TFLite file)"):
            EdgeNet(file)


def test_a_change_to_the_name_of_the_hash_does_not_take_the_hash_away(content, tmp_path):
    name = b'"file_sha256"'
    for place in range(content.index(name), content.index(name) + len(name)):
        for change in (1, 2, 4, 8, 16, 32, 64, 128):
            damaged = bytearray(content)
            damaged[place] ^= change
            (tmp_path / "a.tflite").write_bytes(damaged)
            with pytest.raises(InputError, match="is damaged"):
                read_description(tmp_path / "a.tflite")


def test_what_comes_after_the_end_is_found(content, tmp_path):
    (tmp_path / "a.tflite").write_bytes(content + b"x")
    with pytest.raises(InputError, match=r"a\.tflite is damaged: its SHA-256 must be"):
        EdgeNet(tmp_path / "a.tflite")


def test_a_file_without_a_hash_of_its_own_is_held_to_its_bundle(bundle, content, tmp_path):
    field = re.search(rb',\s*"%s":\s*"[0-9a-f]{64}"' % SHA256.encode(), content)
    old = content.replace(field[0], b" " * len(field[0]))  # as of version 0.1
    name = TFLITE["float32"]
    (tmp_path / name).write_bytes(old)
    assert read_description(tmp_path / name) == read_description(bundle / name)  # nothing says otherwise
    shutil.copy(bundle / "bundle.json", tmp_path)
    with pytest.raises(InputError, match="is damaged: its SHA-256 must be"):
        read_description(tmp_path / name)


@pytest.mark.parametrize("variant", ["float32", "uint8"])
@pytest.mark.parametrize("runtime", ["interpreter", "compiled"])
def test_threads_that_share_a_net_get_the_masks_of_their_own_pictures(tflite_files, variant, runtime):
    net = EdgeNet(tflite_files / TFLITE[variant], threads=1, runtime=runtime)
    images = np.random.default_rng(0).integers(0, 256, (4, 96, 96), np.uint8)
    masks = [net.label(image) for image in images]
    assert (masks[0] != masks[1]).any()
    with ThreadPoolExecutor(len(images)) as pool:
        found = list(pool.map(net.label, [*images] * 25))
    assert [(mask == masks[number % 4]).all() for number, mask in enumerate(found)] == [True] * 100


def test_a_litert_that_is_missing_is_named(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    for read in (EdgeNet, read_description):
        with pytest.raises(InputError, match=r"LiteRT, which is not installed or .* pip install ai-edge-litert"):
            read(bundle / TFLITE["uint8"])
    assert read_description(bundle / "model.onnx").tile == 136


def test_what_is_not_finite_goes_neither_in_nor_out(bundle, monkeypatch):
    net = EdgeNet(bundle / TFLITE["float32"])
    image = np.zeros((9, 9), np.uint8)
    outputs = net.run(np.zeros((136, 136, 1), np.uint8))
    outputs["probabilities"] = outputs["probabilities"] * np.nan
    monkeypatch.setattr(net, "run", lambda window: outputs)
    with pytest.raises(InputError, match="A net must give finite probabilities"):
        net.label(image)
    assert np.isnan(net.probabilities(image)).all()


@pytest.fixture(scope="module")
def heights(tmp_path_factory):
    """Files of a net of int16 heights, in which -9999 stands for no measurement, and 120 is the mean."""
    folder = tmp_path_factory.mktemp("heights")
    known, geometry = Normalisation((120.0,), (40.0,), "int16", (-9999.0,)), Geometry(1, "same")
    about = Description(("a", "b"), MaskFormat("index", 2), known, geometry, 64)
    windows = np.random.default_rng(1).integers(0, 255, (4, 64, 64, 1)).astype(np.int16)
    net = unet((None, None, 1), 2, base_filters=2, depth=1, padding="same")
    write_tflite(net, about, ["float32", "float16", "uint8"], windows, folder)
    return folder


@pytest.mark.parametrize("variant", ["float32", "float16", "uint8"])
@pytest.mark.parametrize("value", [-9999, -32768])
def test_pixels_without_a_measurement_count_as_the_mean_in_a_file(heights, variant, value):
    """-9999 is known to the file, -32768 is told by who reads the picture."""
    net = EdgeNet(heights / TFLITE[variant])
    image = np.random.default_rng(0).integers(0, 255, (70, 60)).astype(np.int16)
    filled = image.copy()
    image[5:40, 7:30], filled[5:40, 7:30] = value, 120
    np.testing.assert_array_equal(net.label(image, nodata=(float(value),)), net.label(filled))
    np.testing.assert_array_equal(net.probabilities(image, (float(value),)), net.probabilities(filled))
    if value == -9999:
        np.testing.assert_array_equal(net.probabilities(image), net.probabilities(filled))
    else:
        assert (net.probabilities(image) != net.probabilities(filled)).any()


def test_tensors_are_images_and_paths_are_none(heights):
    net = EdgeNet(heights / TFLITE["float32"])
    image = np.random.default_rng(0).integers(0, 255, (70, 60)).astype(np.int16)
    for method in (net.label, net.probabilities):
        np.testing.assert_array_equal(method(tf.constant(image)), method(image))
        with pytest.raises(InputError, match="received the path a.png. unet_tf.read_image reads a picture"):
            method("a.png")
        with pytest.raises(InputError, match="holds int64 pixels, and the net was trained on int16"):
            method([[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("dtype", "most", "nodata"), [("uint8", 255, (0.0,)), ("uint16", 4000, (0.0, 65535.0)), ("int16", 3000, (-9999.0,))]
)
def test_8_bit_files_leave_values_of_no_measurement_to_who_feeds_them(dtype, most, nodata, tmp_path):
    """LiteRT compares 8-bit tensors by their steps: all pixels are equal there, or the process ends."""
    known = Normalisation((most / 3,), (most / 9,), dtype, nodata)
    about = Description(("a", "b"), MaskFormat("index", 2), known, Geometry(1, "same"), 64)
    rng = np.random.default_rng(1)
    windows = rng.integers(1, most, (4, 64, 64, 1)).astype(dtype)
    net = unet((None, None, 1), 2, base_filters=2, depth=1, padding="same")
    net.layers[-1].set_weights([40 * values for values in net.layers[-1].get_weights()])  # no two classes alike
    write_tflite(net, about, ["float32", "uint8"], windows, tmp_path)
    exact, whole = (EdgeNet(tmp_path / TFLITE[name]) for name in ("float32", "uint8"))
    image = rng.integers(1, most, (70, 60)).astype(dtype)
    for value in nodata:
        image[5:40, 7:30] = value
        found, expected = whole.probabilities(image), exact.probabilities(image)
        assert expected.std() > 0.2
        assert np.abs(found - expected).mean() < 0.1  # 0.3 where all pixels were taken for gaps


@pytest.fixture(scope="module")
def two_channels(tmp_path_factory):
    """Files of such a net of two channels, whose means are 120 and 90."""
    folder = tmp_path_factory.mktemp("two_channels")
    known, geometry = Normalisation((120.0, 90.0), (40.0, 30.0), "int16", (-9999.0,)), Geometry(1, "same")
    about = Description(("a", "b"), MaskFormat("index", 2), known, geometry, 64)
    windows = np.random.default_rng(1).integers(0, 255, (4, 64, 64, 2)).astype(np.int16)
    write_tflite(
        unet((None, None, 2), 2, 2, 1, padding="same"), about, ["float32", "float16", "uint8"], windows, folder
    )
    return folder


@pytest.mark.parametrize("variant", ["float32", "float16", "uint8"])
@pytest.mark.parametrize("value", [-9999, -32768])
def test_a_gap_in_one_channel_counts_as_its_mean_in_a_file(two_channels, variant, value):
    net = EdgeNet(two_channels / TFLITE[variant])
    image = np.random.default_rng(0).integers(0, 255, (70, 60, 2)).astype(np.int16)
    filled = image.copy()
    image[5:40, 7:30, 1], filled[5:40, 7:30, 1] = value, 90
    np.testing.assert_array_equal(net.label(image, nodata=(float(value),)), net.label(filled))
    same = net.probabilities(image) == net.probabilities(filled)
    assert same.all() == (value == -9999)
