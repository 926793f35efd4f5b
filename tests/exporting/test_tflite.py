import errno
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from unet_tf.data.masks import MaskFormat
from unet_tf.data.normalisation import Normalisation
from unet_tf.edge.description import Description
from unet_tf.edge.net import EdgeNet
from unet_tf.errors import InputError
from unet_tf.exporting import tflite
from unet_tf.exporting.bundle import TFLITE
from unet_tf.exporting.tflite import write_tflite
from unet_tf.geometry import Geometry
from unet_tf.model.calibration import Calibration
from unet_tf.model.unet import unet
from unet_tf.utils.files import replacing

NAMES = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}


def operations(model, graph):
    return [NAMES[model.operatorCodes[one.opcodeIndex].builtinCode] for one in graph.operators]


@pytest.mark.parametrize("variant", TFLITE)
def test_a_second_signature_gives_the_probabilities_without_argmax_and_shares_the_weights(tflite_files, variant):
    model = flatbuffer_utils.read_model(tflite_files / TFLITE[variant])
    whole, part = model.subgraphs
    assert [(one.signatureKey.decode(), one.subgraphIndex) for one in model.signatureDefs] == [
        ("serving_default", 0),
        ("probabilities", 1),
    ]
    tail = ("ARG_MAX", "CAST", "GREATER", "SELECT_V2", "STRIDED_SLICE")
    assert set(tail).isdisjoint(operations(model, part))
    assert set(tail) & set(operations(model, whole))
    without = [name for name in operations(model, whole) if name in operations(model, part)]
    assert len(without) >= len(operations(model, part)) > 8
    held = {graph.name: {one.buffer for one in graph.tensors if has_values(model, one)} for graph in (whole, part)}
    assert len(held[part.name]) > 5
    assert held[part.name] <= held[whole.name]


def has_values(model, tensor):
    values = model.buffers[tensor.buffer].data
    return values is not None and len(values) > 0


@pytest.mark.parametrize("variant", TFLITE)
def test_both_signatures_give_the_same_bits(tflite_files, variant):
    interpreter = Interpreter(str(tflite_files / TFLITE[variant]))
    whole, part = map(interpreter.get_signature_runner, ("serving_default", "probabilities"))
    (details,) = part.get_input_details().values()
    assert list(part.get_output_details()) == ["probabilities"]
    image = np.random.default_rng(0).integers(0, 256, details["shape"]).astype(details["dtype"])
    found, expected = part(image=image)["probabilities"], whole(image=image)["probabilities"]
    assert found.std() > 0
    np.testing.assert_array_equal(found, expected)


GONE = (-9999.0, 65535.0, -3.4028235e38)
ABOUT = Description(
    ("a", "b"),
    MaskFormat("index", 2),
    Normalisation((29315.0,), (4000.0,), "float32", GONE),
    Geometry(1, "same"),
    32,
    calibration=Calibration(1.238, 0.45),
)


@pytest.fixture(scope="module")
def temperatures(tmp_path_factory):
    """Files of a net of floats: mean, temperature, threshold and values of no measurement are no float16."""
    folder = tmp_path_factory.mktemp("temperatures")
    net = unet((None, None, 1), 2, base_filters=2, depth=1, padding="same")
    write_tflite(net, ABOUT, ["float32", "float16"], None, folder)
    return folder


def constants(file, kind):
    """The constants of one type of a file, by shape, sorted."""
    model = flatbuffer_utils.read_model(file)
    held = [one for one in model.subgraphs[0].tensors if one.type == kind and has_values(model, one)]
    return sorted(
        (tuple(() if one.shape is None else one.shape), bytes(model.buffers[one.buffer].data)) for one in held
    )


def test_float16_rounds_the_kernels_of_the_float32_file_and_nothing_else(temperatures):
    whole, half = (temperatures / TFLITE[name] for name in ("float32", "float16"))
    of = schema.TensorType
    every = constants(whole, of.FLOAT32)
    kernels = [(shape, values) for shape, values in every if len(shape) == 4]
    assert len(kernels) == 8
    assert constants(half, of.FLOAT32) == [one for one in every if one not in kernels]
    rounded = [(shape, np.frombuffer(values, "<f4").astype("<f2").tobytes()) for shape, values in kernels]
    assert constants(half, of.FLOAT16) == sorted(rounded)
    assert constants(whole, of.INT32) == constants(half, of.INT32)
    kept = {values for _, values in constants(half, of.FLOAT32)}
    for value in (*GONE, 29315.0, 0.45):
        assert np.float32(value).tobytes() in kept


@pytest.mark.parametrize("runtime", ["interpreter", "compiled"])
@pytest.mark.parametrize("variant", ["float32", "float16"])
def test_gaps_count_as_the_mean_in_a_file_of_floats(temperatures, variant, runtime):
    net = EdgeNet(temperatures / TFLITE[variant], runtime=runtime)
    image = np.random.default_rng(0).normal(29315, 4000, (40, 50)).astype(np.float32)
    filled = image.copy()
    for number, value in enumerate(GONE):
        image[12 * number : 12 * number + 9, 7:30], filled[12 * number : 12 * number + 9, 7:30] = value, 29315
    np.testing.assert_array_equal(net.probabilities(image), net.probabilities(filled))
    np.testing.assert_array_equal(net.label(image), net.label(filled))


def test_what_is_converted_lies_on_the_disk_of_the_bundle(tmp_path, monkeypatch):
    places = []
    monkeypatch.setattr(tflite, "write_saved_model", lambda model, functions, path: places.append(Path(path)))
    monkeypatch.setattr(tflite, "_follow", lambda command, folder, on_line: places.append(folder / "a"))
    monkeypatch.setattr(tflite, "describe", lambda path, description: None)
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    write_tflite(unet((None, None, 1), 2, 2, 1, padding="same"), ABOUT, ["float32"], None, tmp_path)
    assert [place.parents[1] for place in places] == [tmp_path] * 2
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def follow(converter_apart, tmp_path):
    """Runs code in the place of the converter's process."""

    def run(code):
        with converter_apart():
            tflite._follow([sys.executable, "-c", code], tmp_path, print)

    return run


def test_a_full_disk_is_said_where_the_converter_writes(follow, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tflite, "convert", lambda source, variant: b"")
    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr(sys, "argv", ["tflite", str(tmp_path), str(tmp_path), "float32"])
    with pytest.raises(SystemExit) as ended:
        tflite.main()
    words = r"Cannot write .*cells: No space left on device\. Free space or"
    with pytest.raises(InputError, match=words), replacing(tmp_path / "cells"):
        follow(f"raise SystemExit({ended.value.code})")


def test_a_converter_that_was_killed_or_failed_says_so(follow):
    with pytest.raises(InputError, match=r"The memory must hold the conversion .* was killed, .* a smaller --tile"):
        follow("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(RuntimeError, match=r"failed, with exit status -6:\n$"):
        follow("import os; os.kill(os.getpid(), 6)")
    with pytest.raises(RuntimeError, match=r"failed, with exit status 1:\nTraceback[^$]*ValueError: wrong"):
        follow("raise ValueError('wrong')")
