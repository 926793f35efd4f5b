import json
import subprocess
import sys

import numpy as np
import onnx
import pytest

from unet_tf import generate_cells, predict
from unet_tf.data.pictures import write_picture
from unet_tf.edge import __main__ as edge
from unet_tf.edge.net import EdgeNet, read_description
from unet_tf.edge.onnx_net import OnnxNet, opened
from unet_tf.errors import InputError
from unet_tf.exporting.bundle import ONNX

FILES = list(ONNX.values())


@pytest.fixture(scope="module")
def content(bundle):
    return (bundle / "model_tile.onnx").read_bytes()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [(1, 1), (7, 30), (96, 96), (131, 200)])
def test_pictures_of_any_size_are_as_keras_predicts_them(run, bundle, name, size):
    image = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    net, expected = OnnxNet(bundle / name), predict(run, image, probabilities=True)
    found = net.probabilities(image)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(net.label(image), found.argmax(-1))


def test_a_file_of_any_size_reads_less_where_less_will_do(bundle, monkeypatch):
    sizes = {}
    for name in FILES:
        net = OnnxNet(bundle / name)
        run = net.run
        monkeypatch.setattr(
            net, "run", lambda window, name=name, run=run: sizes.setdefault(name, window.shape) and run(window)
        )
        net.label(np.zeros((20, 100), np.uint8))
    assert sizes == {"model.onnx": (60, 92, 1), "model_tile.onnx": (136, 136, 1)}


def test_the_kind_of_a_file_is_known_by_its_name(bundle):
    assert type(opened(bundle / "model.onnx")) is OnnxNet
    assert type(opened(bundle / "model_float32.tflite")) is EdgeNet


def test_a_file_that_was_cut_or_changed_anywhere_is_named_before_the_runtime_sees_it(content, tmp_path, monkeypatch):
    import onnxruntime

    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda *given, **more: pytest.fail("it was given to the runtime")
    )
    file, rng = tmp_path / "a.onnx", np.random.default_rng(0)
    damaged = [content[:size] for size in (0, 1, 3, 100, *np.linspace(200, len(content) - 1, 40).astype(int))]
    damaged += [content + b"x", content + content]
    for _ in range(400):
        changed = bytearray(content)
        for place in rng.integers(len(content), size=rng.integers(1, 9)):
            changed[place] ^= int(rng.integers(1, 256))
        damaged.append(bytes(changed))
    for one in damaged:
        file.write_bytes(one)
        with pytest.raises(InputError, match=r"a\.onnx is (damaged|no ONNX file)"):
            OnnxNet(file)


def test_files_of_others_are_named(bundle, tmp_path):
    foreign = onnx.helper.make_model(onnx.helper.make_graph([], "a", [], []))
    onnx.save(foreign, tmp_path / "a.onnx")
    with pytest.raises(InputError, match=r"a\.onnx is no ONNX file of unet-tf export"):
        OnnxNet(tmp_path / "a.onnx")
    (tmp_path / "b.onnx").write_bytes((bundle / "model_float32.tflite").read_bytes())
    with pytest.raises(InputError, match=r"b\.onnx is damaged, or of another version"):
        OnnxNet(tmp_path / "b.onnx")
    (tmp_path / "c.tflite").write_bytes((bundle / "model.onnx").read_bytes())
    with pytest.raises(InputError, match=r"c\.tflite is no TFLite file"):
        opened(tmp_path / "c.tflite")
    with pytest.raises(InputError, match=r"none\.onnx cannot be read: .* Give a TFLite or ONNX file of a bundle"):
        OnnxNet(tmp_path / "none.onnx")


def test_a_graph_that_is_not_as_it_says_is_refused(content, tmp_path, monkeypatch):
    """As if its hash had been made anew."""
    model = onnx.load_from_string(content)
    (shape,) = (one.type.tensor_type.shape for one in model.graph.input)
    shape.dim[1].dim_value = shape.dim[2].dim_value = 84
    for output in model.graph.output:
        for dim in output.type.tensor_type.shape.dim[1:3]:
            dim.dim_value = 44
    onnx.save(model, tmp_path / "a.onnx")
    about = json.loads(next(one.value for one in model.metadata_props if one.key == "unet_tf"))
    del about["file_sha256"]
    onnx.helper.set_model_props(model, {"unet_tf": json.dumps(about)})
    onnx.save(model, tmp_path / "a.onnx")
    assert read_description(tmp_path / "a.onnx").tile == 136
    with pytest.raises(
        InputError, match=r"must take \[1, 136, 136, 1\] and give mask and .*; it takes \[1, 84, 84, 1\]"
    ):
        OnnxNet(tmp_path / "a.onnx")
    del model.graph.node[:]
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(InputError, match=r"a\.onnx cannot be loaded: "):
        OnnxNet(tmp_path / "a.onnx")


def test_bad_input_is_refused(bundle):
    with pytest.raises(InputError, match="must have a thread or more; received 0"):
        OnnxNet(bundle / "model.onnx", 0)
    net = OnnxNet(bundle / "model.onnx")
    with pytest.raises(InputError, match="holds uint16 pixels, and the net was trained on uint8"):
        net.label(np.zeros((9, 9), np.uint16))


def test_the_command_line_takes_it_where_there_is_neither_tensorflow_nor_onnx(bundle, tmp_path):
    image = generate_cells(90, 100, seed=3)[0]
    write_picture(tmp_path / "image.png", image)
    code = (
        "import sys, runpy; sys.modules.update(dict.fromkeys(('tensorflow', 'keras', 'onnx', 'ai_edge_litert'))); "
        "runpy.run_module('unet_tf.edge', run_name='__main__')"
    )
    arguments = bundle / "model.onnx", tmp_path / "image.png", tmp_path / "mask.npy"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "mask.npy"), OnnxNet(bundle / "model.onnx").label(image))


def test_a_missing_runtime_is_named_and_leaves_nothing(bundle, tmp_path, monkeypatch):
    write_picture(tmp_path / "image.png", np.zeros((9, 9), np.uint8))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"pip install 'unet-tf\[onnxruntime\]' \(or, where there is no TensorFlow"):
        edge.segment(bundle / "model.onnx", tmp_path / "image.png", tmp_path / "mask.png")
    assert [path.name for path in tmp_path.iterdir()] == ["image.png"]
