"""A bundle in runtimes that others wrote: TensorFlow's C and C++ libraries and command line, OpenVINO, LiteRT."""

import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from agreement import same_labels
from forked import Forked
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from unet_tf import generate_cells
from unet_tf.edge.net import EdgeNet

ROOT = Path(__file__).parents[2]
LIBRARY = Path(tf.__file__).parent
LINK = [
    f"-I{LIBRARY}/include",
    f"-L{LIBRARY}",
    "-Wl,--no-as-needed",
    "-l:libtensorflow_cc.so.2",
    "-l:libtensorflow_framework.so.2",
    f"-Wl,-rpath,{LIBRARY}",
]


@pytest.fixture(scope="module")
def signatures(bundle):
    return tf.saved_model.load(str(bundle / "saved_model" / "1")).signatures


@pytest.fixture(scope="module")
def image():
    return generate_cells(101, 150, seed=3)[0][..., None]


def environment(name):
    """The interpreter of an environment beside the one of the tests."""
    python = Path(sys.prefix).with_name(f"{Path(sys.prefix).name}-{name}") / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{python} is missing: make test sets it up")
    return python


def build(compiler, source, *arguments):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is missing: apt install {compiler}")
    linker = ["-fuse-ld=gold"] if shutil.which("ld.gold") else []  # the quicker one
    command = [compiler, "-w", *linker, Path(__file__).parent / "programs" / source, *arguments, *LINK]
    subprocess.run([str(part) for part in command], check=True)


def test_a_c_program_gives_the_same_bits(bundle, signatures, image, tmp_path):
    build("gcc", "saved_model.c", "-o", tmp_path / "program")
    proto = SavedModel.FromString((bundle / "saved_model" / "1" / "saved_model.pb").read_bytes())
    signature = proto.meta_graphs[0].signature_def["probabilities"]
    names = signature.inputs["image"].name, signature.outputs["probabilities"].name
    command = [tmp_path / "program", bundle / "saved_model" / "1", *names, *image.shape]
    done = subprocess.run([*map(str, command)], input=image.tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    expected = signatures["probabilities"](image=tf.constant(image[None]))["probabilities"].numpy()
    assert done.stdout == expected.tobytes()


def test_a_cpp_program_with_the_loader_of_tf_serving_gives_the_same_files(bundle, signatures, image, tmp_path):
    build("g++", "saved_model.cc", "-std=c++17", "-o", tmp_path / "program")
    cv2.imwrite(str(tmp_path / "a.png"), image)
    cv2.imwrite(str(tmp_path / "b.jpg"), image[:40, :77])
    files = [tmp_path / "a.png", tmp_path / "b.jpg"]
    command = [tmp_path / "program", bundle / "saved_model" / "1", *files]
    done = subprocess.run([*map(str, command)], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    pictures = tf.constant([file.read_bytes() for file in files])
    assert done.stdout == b"".join(signatures["encoded"](image_bytes=pictures)["mask_bytes"].numpy())


def test_a_python_without_keras_gives_the_same_bits(bundle, signatures, image, tmp_path):
    venv.create(tmp_path / "env", with_pip=False)
    (site,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    for entry in LIBRARY.parent.iterdir():
        if not entry.name.lower().startswith("keras") and not (site / entry.name).exists():
            (site / entry.name).symlink_to(entry)
    np.save(tmp_path / "image.npy", image[None])
    code = (
        "import importlib.util, sys, numpy as np, tensorflow as tf; assert importlib.util.find_spec('keras') is None\n"
        "net = tf.saved_model.load(sys.argv[1]).signatures['serving_default']\n"
        "np.save(sys.argv[3], net(image=tf.constant(np.load(sys.argv[2])))['mask'].numpy())"
    )
    paths = bundle / "saved_model" / "1", tmp_path / "image.npy", tmp_path / "mask.npy"
    command = [tmp_path / "env" / "bin" / "python", "-c", code, *paths]
    subprocess.run([*map(str, command)], check=True, capture_output=True)
    expected = signatures["serving_default"](image=tf.constant(image[None]))["mask"].numpy()
    np.testing.assert_array_equal(np.load(tmp_path / "mask.npy"), expected)


def test_openvino_reads_the_saved_model_without_tensorflow(bundle, signatures, image, tmp_path):
    np.save(tmp_path / "image.npy", image[None])
    code = (
        "import importlib.util, sys, numpy as np, openvino; assert importlib.util.find_spec('tensorflow') is None\n"
        "core = openvino.Core()\n"
        "net = core.compile_model(core.read_model(sys.argv[1]), 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})\n"
        "np.save(sys.argv[3], net({'image': np.load(sys.argv[2])})['mask'])"
    )
    paths = bundle / "saved_model" / "1", tmp_path / "image.npy", tmp_path / "mask.npy"
    done = subprocess.run([str(environment("openvino")), "-c", code, *map(str, paths)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    probabilities = signatures["probabilities"](image=tf.constant(image[None]))["probabilities"].numpy()
    assert same_labels(np.load(tmp_path / "mask.npy"), probabilities, 2e-5)


@pytest.mark.parametrize("variant", ["float32", "uint8"])
def test_the_edge_runner_needs_litert_numpy_and_opencv_alone(bundle, signatures, image, variant, tmp_path):
    cv2.imwrite(str(tmp_path / "image.png"), image)
    arguments = bundle / f"model_{variant}.tflite", tmp_path / "image.png", tmp_path / "mask.png"
    done = subprocess.run(
        [str(environment("edge")), "-W", "error", "-m", "unet_tf.edge", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    packages = subprocess.run([str(environment("edge")), "-c", LISTED], capture_output=True, text=True, check=True)
    assert {"tensorflow", "keras", "pillow", "tifffile", "matplotlib"}.isdisjoint(json.loads(packages.stdout))
    found = cv2.imread(str(tmp_path / "mask.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(found, 255 * EdgeNet(arguments[0]).label(image))
    if variant == "float32":  # how far uint8 is from the net, the report of the bundle says
        probabilities = signatures["probabilities"](image=tf.constant(image[None]))["probabilities"].numpy()[0]
        assert same_labels(found / 255, probabilities, 2e-4, 0.5)


LISTED = (
    "import importlib.metadata as m, json; print(json.dumps([d.metadata['Name'].lower() for d in m.distributions()]))"
)


def saved_model_cli(*arguments):
    code = "from tensorflow.python.tools.saved_model_cli import main; main()"
    with Forked(code, *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as command:
        said = command.communicate()[0]
    assert command.returncode == 0, said
    return said


def test_saved_model_cli_shows_runs_and_finds_nothing_to_warn_of(bundle, signatures, image, tmp_path):
    model = bundle / "saved_model" / "1"
    shown = saved_model_cli("show", "--dir", model, "--all")
    for name in ("serving_default", "probabilities", "encoded", "image_bytes", "mask_bytes"):
        assert f"['{name}']" in shown
    assert "does not contain the default denylisted ops" in saved_model_cli(
        "scan", "--dir", model, "--tag_set", "serve"
    )
    np.save(tmp_path / "image.npy", image[None])
    saved_model_cli(
        "run", "--dir", model, "--tag_set", "serve", "--signature_def", "serving_default",
        "--inputs", f"image={tmp_path / 'image.npy'}", "--outdir", tmp_path,
    )  # fmt: skip
    expected = signatures["serving_default"](image=tf.constant(image[None]))["mask"].numpy()
    np.testing.assert_array_equal(np.load(tmp_path / "mask.npy"), expected)


def test_the_warm_up_requests_are_those_that_tf_serving_reads(bundle, signatures):
    file = bundle / "saved_model" / "1" / "assets.extra" / "tf_serving_warmup_requests"
    requests = [
        PredictionLog.FromString(record.numpy()).predict_log.request for record in tf.data.TFRecordDataset(str(file))
    ]
    assert [request.model_spec.signature_name for request in requests] == sorted(signatures, reverse=True)
    for request in requests:
        inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        assert signatures[request.model_spec.signature_name](**inputs)
