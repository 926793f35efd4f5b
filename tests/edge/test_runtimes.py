import ctypes.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import compiled_model
from ai_edge_litert.tools import flatbuffer_utils

from unet_tf.data.pictures import write_picture
from unet_tf.edge.net import EdgeNet, read_description
from unet_tf.edge.runtimes import signatures_of
from unet_tf.errors import InputError
from unet_tf.exporting import tflite
from unet_tf.exporting.bundle import TFLITE

SWIFTSHADER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")
"""A GPU that is computed by the processor; comes with Chromium."""


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (41, 70)).astype(np.uint8)


@pytest.mark.parametrize("variant", TFLITE)
def test_both_runtimes_give_the_same_bits(tflite_files, image, variant):
    file = tflite_files / TFLITE[variant]
    interpreted, compiled = EdgeNet(file, runtime="interpreter"), EdgeNet(file, runtime="compiled")
    assert interpreted.where == "Interpreter on the CPU"
    assert compiled.where == "CompiledModel on the CPU, accelerated in part"  # XNNPACK has no ARG_MAX
    label = interpreted.label(image)
    assert set(np.unique(label)) == {0, 1}
    np.testing.assert_array_equal(compiled.label(image), label)
    np.testing.assert_array_equal(compiled.probabilities(image), interpreted.probabilities(image))


def test_on_the_processor_the_interpreter_is_chosen(tflite_files):
    assert EdgeNet(tflite_files / TFLITE["uint8"]).where == "Interpreter on the CPU"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"runtime": "tflite"}, "The runtime must be one of auto, compiled, interpreter; received 'tflite'"),
        ({"accelerator": "tpu"}, "The accelerator must be one of cpu, gpu; received 'tpu'"),
        ({"runtime": "interpreter", "accelerator": "gpu"}, "The interpreter computes on the CPU; received 'gpu'"),
        ({"threads": 0}, "A net must have a thread or more; received 0"),
        ({"threads": -1, "runtime": "compiled"}, "A net must have a thread or more; received -1"),
    ],
)
def test_what_cannot_be_is_refused_before_the_file_is_read(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        EdgeNet(tmp_path / "none.tflite", **arguments)


def test_a_litert_without_compiled_model_is_told(tflite_files, image, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.compiled_model", None)
    file = tflite_files / TFLITE["float32"]
    with pytest.raises(InputError, match=r"no CompiledModel with options\. pip install 'ai-edge-litert>=2\.3'"):
        EdgeNet(file, runtime="compiled")
    net = EdgeNet(file, accelerator="gpu")
    assert net.where == "Interpreter on the CPU"
    assert "has no CompiledModel with options: the Interpreter computes, on the CPU." in caplog.text
    np.testing.assert_array_equal(net.label(image), EdgeNet(file).label(image))


def test_a_gpu_that_is_not_there_is_told(tflite_files, monkeypatch):
    def from_file(path, options):
        raise RuntimeError("no adapter")

    monkeypatch.setattr(compiled_model.CompiledModel, "from_file", from_file)
    with pytest.raises(InputError, match=r"The accelerator 'gpu' cannot be used: .* model_uint8\.tflite\. Use 'cpu'"):
        EdgeNet(tflite_files / TFLITE["uint8"], accelerator="gpu")
    with pytest.raises(InputError, match=r"model_uint8\.tflite cannot be loaded: no adapter"):
        EdgeNet(tflite_files / TFLITE["uint8"], runtime="compiled")


@pytest.mark.parametrize("variant", ["float32", "uint8"])
@pytest.mark.parametrize("runtime", ["interpreter", "compiled"])
def test_a_file_without_the_second_signature_is_read(tflite_files, image, variant, runtime, tmp_path, monkeypatch):
    new, old = tflite_files / TFLITE[variant], tmp_path / "old.tflite"
    model = flatbuffer_utils.read_model(new)
    for kept in (model.subgraphs, model.signatureDefs, model.metadata):
        del kept[-1]
    old.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    monkeypatch.setattr(tflite, "add_signature", lambda model, output: None)
    tflite.describe(old, read_description(new))
    assert list(signatures_of(old)) == ["serving_default"]
    np.testing.assert_array_equal(EdgeNet(old, runtime=runtime).label(image), EdgeNet(new).label(image))


def test_signatures_of_bytes_at_random_are_refused(tflite_files, tmp_path):
    content, rng = (tflite_files / TFLITE["uint8"]).read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(content[: rng.integers(8, len(content))])
        for place in rng.integers(len(damaged), size=20):
            damaged[place] = rng.integers(256)
        (tmp_path / "a.tflite").write_bytes(damaged)
        try:
            signatures_of(tmp_path / "a.tflite")
        except ValueError:
            refused += 1
    assert refused > 150


@pytest.mark.skipif(
    not SWIFTSHADER.exists() or ctypes.util.find_library("vulkan") is None,
    reason="no GPU that is computed by the processor: apt install chromium libvulkan1",
)
@pytest.mark.parametrize("variant", ["float32", "float16"])
def test_a_gpu_gives_the_same_labels(tflite_files, image, variant, tmp_path):
    write_picture(tmp_path / "image.png", image)
    file = tflite_files / TFLITE[variant]
    arguments = [file, tmp_path / "image.png", tmp_path / "mask.npy", "--accelerator", "gpu"]
    done = subprocess.run(
        [sys.executable, "-m", "unet_tf.edge", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"VK_ICD_FILENAMES": str(SWIFTSHADER)},
    )
    assert done.returncode == 0, done.stderr
    assert "1 tile" not in done.stderr and "ms each, CompiledModel on the GPU, accelerated in part\n" in done.stderr
    probability = EdgeNet(file).probabilities(image)[..., 1]
    sure = np.abs(probability - 0.45) > 1e-4
    assert sure.mean() > 0.99
    np.testing.assert_array_equal(np.load(tmp_path / "mask.npy")[sure], (probability > 0.45)[sure])
