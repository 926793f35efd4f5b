"""The deployment kits in export/, as their READMEs say to use them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import ai_edge_litert
import cv2
import numpy as np
import pytest
from agreement import same_labels

from unet_tf import generate_cells, predict
from unet_tf.data.masks import MaskFormat
from unet_tf.data.normalisation import Normalisation
from unet_tf.data.pictures import write_picture
from unet_tf.edge.description import Description
from unet_tf.edge.net import EdgeNet
from unet_tf.edge.runtimes import signatures_of
from unet_tf.errors import InputError
from unet_tf.exporting.tflite import write_tflite
from unet_tf.geometry import Geometry
from unet_tf.model.unet import unet

KITS = Path(__file__).parents[1] / "export"
WITHOUT_TENSORFLOW = (
    "import runpy, sys; absent = 'tensorflow', 'keras', 'matplotlib', 'rich', 'typer', 'tomli_w', 'PIL', 'tifffile'; "
    "sys.modules.update(dict.fromkeys(absent)); runpy.run_module('unet_tf.edge', run_name='__main__')"
)


def edge(*arguments):
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW, *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


@pytest.mark.parametrize("size", [(33, 40), (150, 301)])
def test_the_edge_runner_gives_the_masks_of_the_package_without_tensorflow(run, bundle, tmp_path, size):
    image = generate_cells(*size, seed=1)[0]
    write_picture(tmp_path / "image.png", image)
    np.save(tmp_path / "image.npy", image)
    probabilities = predict(run, image, probabilities=True)
    done = edge(bundle / "model_float32.tflite", tmp_path / "image.png", tmp_path / "mask.png")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert re.fullmatch(r"\d+ tiles?, \d+ ms each, Interpreter on the CPU\n", done.stderr)
    found = cv2.imread(str(tmp_path / "mask.png"), cv2.IMREAD_UNCHANGED)
    assert same_labels(found / 255, probabilities, 2e-4)
    done = edge(bundle / "model_float32.tflite", tmp_path / "image.npy", tmp_path / "mask.npy")
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "mask.npy"), found // 255)


def test_the_edge_runner_says_what_is_wrong(bundle, tmp_path):
    write_picture(tmp_path / "deep.png", np.zeros((9, 9), np.uint16))
    write_picture(tmp_path / "grey.png", np.zeros((9, 9), np.uint8))
    np.save(tmp_path / "row.npy", np.zeros(9, np.uint8))
    model, mask = bundle / "model_uint8.tflite", tmp_path / "mask.png"
    content = model.read_bytes()
    for number, size in enumerate((100, len(content) // 2, len(content) - 100)):
        (tmp_path / f"{number}.tflite").write_bytes(content[:size])
        with pytest.raises(InputError, match="is damaged|cannot be loaded"):
            EdgeNet(tmp_path / f"{number}.tflite")
        (tmp_path / f"{number}.tflite").unlink()
    for arguments, message in (
        ((tmp_path / "none.tflite", tmp_path / "grey.png", mask), "cannot be read"),
        ((tmp_path / "grey.png", tmp_path / "grey.png", mask), "is no TFLite file of unet-tf export"),
        ((model, tmp_path / "none.png", mask), "cannot be read"),
        ((model, tmp_path / "deep.png", mask), "holds uint16 pixels, and the net was trained on uint8"),
        ((model, tmp_path / "grey.png", tmp_path / "mask.tif"), "mask.tif is written by the package tifffile"),
        ((model, tmp_path / "row.npy", tmp_path / "mask.npy"), "a picture must be (H, W) or (H, W, C)"),
        ((model, tmp_path / "row.npy", tmp_path / "row.npy"), "row.npy would be written over by its mask"),
        ((model, tmp_path / "grey.png", mask, "--threads", "0"), "A net must have a thread or more; received 0"),
        (
            (model, tmp_path / "grey.png", mask, "--runtime", "other"),
            "one of auto, compiled, interpreter; received 'other'",
        ),
        ((model, tmp_path / "grey.png", tmp_path / "mask.jpg"), "A mask must be written as .png, .bmp, .tif"),
    ):
        done = edge(*arguments)
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".npy", ".png", ".png"]


def test_the_kotlin_file_names_the_fields_signatures_and_tensors_of_the_files(bundle):
    source = (KITS / "edge" / "Segmenter.kt").read_text()
    about = json.loads((bundle / "bundle.json").read_text())
    assert set(re.findall(r'about\.getInt\("(\w+)"\)', source)) == {
        "channels",
        "tile",
        "output",
        "step",
        "halo",
        "margin",
    }
    for name in re.findall(r'about\.\w+\("(\w+)"\)', source):
        assert name in about
    taken = re.findall(r'it\.get\w+\("(\w+)"\)', source)
    assert {*taken} == {*about["channels_of_files"]} - {"names"}
    cpu, gpu = re.search(r'file = if \(onCpu\) "(\S+)" else "(\S+)"', source).groups()
    signatures = re.search(r'signature = if \(onCpu\) "(\w+)" else "(\w+)"', source).groups()
    outputs = re.search(r"outputs = if \(onCpu\) listOf\((.+)\) else listOf\((.+)\)\n", source).groups()
    for file, signature, named, dtype in zip((cpu, gpu), signatures, outputs, (np.uint8, np.float32), strict=True):
        found = signatures_of(bundle / file)[signature]
        assert list(found.inputs) == re.findall(r'createInputBuffer\("(\w+)"', source) == ["image"]
        assert [f'"{name}"' for name in found.outputs] == named.split(", ")
        assert {one.dtype for one in (found.inputs | found.outputs).values()} == {np.dtype(dtype)}


def test_the_code_of_the_page_on_edge_runs(bundle, tmp_path, monkeypatch, capsys):
    page = (KITS.parent / "docs" / "edge.md").read_text()
    shutil.copy(bundle / "model_uint8.tflite", tmp_path)
    image = generate_cells(60, 50, seed=1)[0]
    write_picture(tmp_path / "image.png", image)
    monkeypatch.chdir(tmp_path)
    code, with_litert_alone = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names = {}
    exec(code.replace("bundles/cells/", ""), names)
    assert names["label"].shape == image.shape[:2]
    assert capsys.readouterr().out.strip() == re.search(r"print\(net\.where\)  # (.*)", code)[1]
    one = EdgeNet("model_uint8.tflite")
    tile = generate_cells(*one.tensors["image"].shape[1:3], seed=2)[0].reshape(one.tensors["image"].shape[1:])
    exec(with_litert_alone.replace("bundles/cells/", ""), names := {"tile": tile})
    np.testing.assert_array_equal(names["mask"], one.run(tile)["mask"])
    assert re.search(r"gcc -O2 .*", page)[0] in (KITS / "edge" / "segment.c").read_text()


@pytest.fixture(scope="module")
def segment(tmp_path_factory):
    """The C program, built by the command that it names."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing: apt install gcc")
    source, program = KITS / "edge" / "segment.c", tmp_path_factory.mktemp("segment") / "segment"
    command = re.search(r"gcc -O2 .*", source.read_text())[0]
    command = command.replace("$L", ai_edge_litert.__path__[0]).replace("-o segment", f"-o {program}")
    command = command.replace("segment.c", str(source), 1).split()
    subprocess.run([*command, "-Wall", "-Wextra", "-Werror", "-std=c11"], check=True)
    return lambda *arguments, pixels=b"": subprocess.run(
        [str(part) for part in (program, *arguments)], input=pixels, capture_output=True
    )


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (33, 40), (150, 301)])
def test_the_c_program_gives_the_same_bits(segment, tflite_files, bundle, size):
    image = generate_cells(64, 64, seed=1)[0]
    image = np.tile(image, (3, 5))[: size[0], : size[1]]
    for file in (bundle / "model_uint8.tflite", tflite_files / "model_uint8.tflite"):  # unpadded, padded
        done = segment(file, *size, pixels=image.tobytes())
        assert done.returncode == 0, done.stderr
        assert done.stdout == EdgeNet(file).label(image).tobytes()


@pytest.fixture(scope="module")
def gaps(tmp_path_factory):
    """8-bit files of a net of bytes of which two values are no measurement, and of one of int16."""
    folder = tmp_path_factory.mktemp("gaps")
    for dtype, channels in (("uint8", 3), ("int16", 1)):
        known = Normalisation((100.5, 90.0, 7.5)[:channels], (40.0,) * channels, dtype, (0.0, 255.0))
        about = Description(("a", "b"), MaskFormat("index", 2), known, Geometry(1, "same"), 64)
        windows = np.random.default_rng(1).integers(1, 255, (4, 64, 64, channels)).astype(dtype)
        (folder / dtype).mkdir()
        net = unet((None, None, channels), 2, base_filters=2, depth=1, padding="same")
        write_tflite(net, about, ["uint8"], windows, folder / dtype)
    return folder


def test_the_c_program_feeds_the_mean_where_nothing_was_measured(segment, gaps):
    file = gaps / "uint8" / "model_uint8.tflite"
    image = np.random.default_rng(0).integers(0, 256, (70, 60, 3), np.uint8)
    image[5:40, 7:30], image[50:, :, 1] = 255, 0
    done = segment(file, 70, 60, pixels=image.tobytes())
    assert done.returncode == 0, done.stderr
    assert done.stdout == EdgeNet(file).label(image).tobytes()
    filled = np.where(np.isin(image, (0, 255)), np.array([100, 90, 8], np.uint8), image)  # halves to even numbers
    assert done.stdout == segment(file, 70, 60, pixels=filled.tobytes()).stdout


def test_the_c_program_refuses_nets_of_other_pixels(segment, gaps):
    done = segment(gaps / "int16" / "model_uint8.tflite", 70, 60, pixels=bytes(70 * 60))
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"The net must have been trained on 8-bit pictures." in done.stderr


def test_the_c_program_says_what_is_wrong(segment, bundle, tmp_path):
    model = bundle / "model_uint8.tflite"
    (tmp_path / "empty.tflite").touch()
    for arguments, pixels, message in (
        ((), b"", "segment MODEL HEIGHT WIDTH [THREADS]"),
        ((model, 3, 0), b"", "numbers are 1 or more"),
        ((model, 3, 3, 0), b"", "numbers are 1 or more"),
        ((model, "x", 3), b"", "numbers are 1 or more"),
        ((model, 3, 3), bytes(8), "must be HEIGHT x WIDTH x channels bytes"),
        ((model, 3, 3), bytes(10), "must be HEIGHT x WIDTH x channels bytes"),
        ((bundle / "model_float32.tflite", 3, 3), bytes(9), "give it model_uint8.tflite"),
        ((tmp_path / "none.tflite", 3, 3), bytes(9), "none.tflite: LiteRT gives status"),
        ((tmp_path / "empty.tflite", 3, 3), bytes(9), "empty.tflite: LiteRT gives status"),
    ):
        done = segment(*arguments, pixels=pixels)
        assert (done.returncode, done.stdout) == (1, b"")
        assert message in done.stderr.decode()


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    """Commands that print what they are called with, first in the PATH."""
    bin = tmp_path / "bin"
    bin.mkdir()
    for name, script in {
        "unet-tf": 'echo "$TF_CONFIG $*"',
        "scontrol": 'if [ "$1" = show ]; then printf "n1\\nn2\\n"; else echo "scontrol $*"; fi',
        "srun": 'shift; for i in 0 1; do SLURM_PROCID=$i "$@"; done; exit ${SRUN_FAILS:-0}',
    }.items():
        (bin / name).write_text(f"#!/bin/bash\n{script}\n")
        (bin / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin}:{os.environ['PATH']}")
    monkeypatch.setenv("DATA", "data")
    monkeypatch.setenv("RUN", str(tmp_path / "run"))
    return tmp_path


def bash(*arguments, **environment):
    command = ["bash", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]


def test_a_host_of_a_cluster_begins_and_goes_on(stand_ins):
    def host(index):
        (line,) = bash(KITS / "cluster" / "host.sh", "--epochs", "2", HOSTS="a,b", INDEX=index)
        config, call = line.split(" train ")
        return json.loads(config), call

    config, call = host("1")
    assert config == {"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 1}}
    assert call == f"data --out {stand_ins / 'run'} --epochs 2"
    (stand_ins / "run").mkdir()
    (stand_ins / "run" / "config.toml").touch()
    assert host("0")[1] == f"--resume {stand_ins / 'run'}"


def test_slurm_starts_each_node_as_a_host_and_again_where_one_fails(stand_ins):
    slurm = {"SLURM_JOB_NODELIST": "n[1-2]", "SLURM_SUBMIT_DIR": str(KITS.parent), "SLURM_JOB_ID": "7"}
    lines = bash(KITS / "cluster" / "slurm.sh", "--epochs", "2", **slurm)
    configs = [json.loads(line.split(" train ")[0]) for line in lines]
    assert [config["task"]["index"] for config in configs] == [0, 1]
    assert configs[0]["cluster"]["worker"] == ["n1:2222", "n2:2222"]
    assert bash(KITS / "cluster" / "slurm.sh", **slurm, SRUN_FAILS="1")[-1] == "scontrol requeue 7"
    assert "requeue" not in bash(KITS / "cluster" / "slurm.sh", **slurm, SRUN_FAILS="1", SLURM_RESTART_COUNT="5")[-1]


def test_the_pods_of_the_kubernetes_job_know_what_host_sh_asks_for():
    job = (KITS / "cluster" / "kubernetes.yaml").read_text()
    asked = set(re.findall(r'"\$\{(\w+):\?', (KITS / "cluster" / "host.sh").read_text()))
    assert asked == {"HOSTS", "INDEX", "DATA", "RUN"}
    assert asked <= set(re.findall(r"name: ([A-Z]+)", job))
    assert re.search(r"completions: 2\n +parallelism: 2\n +completionMode: Indexed", job)


def test_jobs_of_slurm_and_kubernetes_share_the_chunks(stand_ins):
    places = {"RUN": "run", "IMAGE": "a.zarr", "OUT": "b.zarr"}

    def slurm(number, *array):
        told = dict(zip(("ID", "MIN", "MAX", "COUNT"), map(str, (number, *array)), strict=True))
        environment = {f"SLURM_ARRAY_TASK_{name}": value for name, value in told.items()}
        return bash(KITS / "cluster" / "predict_slurm.sh", "--tta", "all", **places, **environment)

    (line,) = slurm(5, 3, 10, 8)
    assert line.endswith(" predict run a.zarr --out b.zarr --shard 3/8 --tta all")
    (refusal,) = slurm(7, 3, 7, 2)  # --array=3,7: half of what is left would never be done
    assert refusal.startswith("The array must have no gaps")

    job = (KITS / "cluster" / "predict_kubernetes.yaml").read_text()
    assert re.search(r"completions: 8\n +parallelism: 8\n +completionMode: Indexed", job)
    command = re.search(r"'(exec unet-tf predict .*)'", job)[1]
    (stand_ins / "command.sh").write_text(command)
    (line,) = bash(stand_ins / "command.sh", **places, JOB_COMPLETION_INDEX="7")
    assert line.endswith(" predict run a.zarr --out b.zarr --shard 8/8")
