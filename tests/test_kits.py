"""The deployment kits in export/, as their READMEs say to use them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf

from unet_tf import export, generate_cells, predict
from unet_tf.data.pictures import write_picture

KITS = Path(__file__).parents[1] / "export"
WITHOUT_TENSORFLOW = (
    "import runpy, sys; absent = 'tensorflow', 'keras', 'matplotlib', 'rich', 'typer', 'tomli_w'; "
    "sys.modules.update(dict.fromkeys(absent)); "
    "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("kits") / "bundle"
    export(run, out)
    return out


def edge(*arguments):
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW, KITS / "edge" / "run.py", *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


@pytest.mark.parametrize("size", [(33, 40), (150, 101)])
def test_the_edge_runner_gives_the_masks_of_the_package_without_tensorflow(run, bundle, tmp_path, size):
    image = generate_cells(*size, seed=1)[0]
    write_picture(tmp_path / "image.png", image)
    done = edge(bundle, tmp_path / "image.png", tmp_path / "mask.png")
    assert done.returncode == 0, done.stderr
    assert re.search(r"tile (\d+)/\1, \d+ ms each", done.stderr)
    probabilities = predict(run, image, probabilities=True)
    sure = np.abs(probabilities[..., 0] - probabilities[..., 1]) > 2e-4
    found = cv2.imread(str(tmp_path / "mask.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(found[sure], 255 * probabilities.argmax(-1)[sure])
    assert sure.mean() > 0.99


def test_the_edge_runner_says_what_is_wrong(bundle, tmp_path):
    write_picture(tmp_path / "deep.png", np.zeros((9, 9), np.uint16))
    for arguments, message in (
        ((tmp_path, tmp_path / "deep.png"), "is no bundle"),
        ((bundle, tmp_path / "none.png"), "cannot be read"),
        ((bundle, tmp_path / "deep.png"), "holds uint16 pixels; the net expects uint8"),
    ):
        done = edge(*arguments, tmp_path / "mask.png")
        assert done.returncode == 1
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "mask.png").exists()


def test_the_serving_recipe_mounts_what_export_writes_and_its_request_fits(run, bundle, tmp_path):
    compose = (KITS / "serving" / "compose.yaml").read_text()
    assert re.search(r"image: tensorflow/serving:", compose)
    assert "/saved_model:/models/unet:ro" in compose
    assert (bundle / "saved_model" / "1" / "saved_model.pb").is_file()

    image = generate_cells(40, 52, seed=2)[0]
    write_picture(tmp_path / "image.png", image)
    readme = (KITS / "serving" / "README.md").read_text()
    code = re.search(r'python -c "(.+?)" \|', readme)[1]
    request = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    inputs = json.loads(request.stdout)["inputs"]
    signature = tf.saved_model.load(str(bundle / "saved_model" / "1")).signatures["serving_default"]
    found = signature(image=tf.constant(inputs, tf.uint8))
    assert list(found) == ["mask"]  # a single output: REST answers {"outputs": [...]}
    np.testing.assert_array_equal(found["mask"].numpy()[0], predict(run, image))
