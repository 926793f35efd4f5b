import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from unet_tf import exporting, predict
from unet_tf.errors import InputError
from unet_tf.exporting import export


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundles") / "tiny"
    return out, export(run, out)


@pytest.fixture(scope="module")
def saved_model(bundle):
    return tf.saved_model.load(str(bundle[0] / "saved_model" / "1"))


def test_the_bundle_is_complete_and_its_hashes_hold(run, bundle):
    folder, report = bundle
    described = json.loads((folder / "bundle.json").read_text())
    assert described["classes"] == ["background", "foreground"]
    assert (described["tile"], described["halo"], described["step"]) == (84, 20, 44)
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {"bundle.json"}
    assert set(described["sha256"]) == files
    assert {"model_float32.tflite", "saved_model/1/saved_model.pb", "report.json"} <= files
    for name, digest in described["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert json.loads((folder / "report.json").read_text()) == report


def test_parity_is_measured_and_within_bounds(bundle):
    artefacts = bundle[1]["artefacts"]
    assert artefacts["saved_model/1"]["max_probability_difference"] <= 1e-5
    assert artefacts["model_float32.tflite"]["max_probability_difference"] <= 1e-4
    assert all(entry["label_agreement"] > 0.999 for entry in artefacts.values())


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (30, 7), (44, 45), (131, 200)])
def test_the_saved_model_takes_raw_pixels_of_any_size(run, saved_model, size):
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 1), dtype=np.uint8)
    found = saved_model.signatures["probabilities"](image=tf.constant(images))["probabilities"].numpy()
    expected = np.stack([predict(run, image, probabilities=True) for image in images])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    mask = saved_model.signatures["serving_default"](image=tf.constant(images))["mask"].numpy()
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, found.argmax(-1))


def test_the_weights_are_stored_once(run, bundle):
    variables = sum(p.stat().st_size for p in (bundle[0] / "saved_model" / "1" / "variables").iterdir())
    assert variables < 1.5 * 4 * run.model.count_params()


def test_a_same_net_and_a_bfloat16_net_are_exported_in_float32(cells, tmp_path):
    from unet_tf import train

    settings = {"padding": "same", "precision": "bfloat16", "base_filters": 2, "depth": 1, "tile": 32, "epochs": 1}
    run = train(cells, tmp_path / "run", steps_per_epoch=2, **settings)
    report = export(run, tmp_path / "bundle")
    assert report["artefacts"]["saved_model/1"]["max_probability_difference"] <= 1e-5
    assert report["artefacts"]["model_float32.tflite"]["max_probability_difference"] <= 1e-4


def test_the_saved_model_loads_without_keras(run, bundle):
    code = (
        "import sys; sys.modules['keras'] = None\n"
        "import numpy as np, tensorflow as tf\n"
        f"model = tf.saved_model.load({str(bundle[0] / 'saved_model' / '1')!r})\n"
        "found = model.signatures['serving_default'](image=tf.zeros((1, 50, 60, 1), tf.uint8))\n"
        "print(found['mask'].numpy().tobytes().hex())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert bytes.fromhex(done.stdout.strip()) == predict(run, np.zeros((50, 60), np.uint8)).tobytes()


def test_a_difference_to_keras_fails_and_leaves_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setitem(exporting.PARITY, exporting.SAVED_MODEL, -1.0)
    with pytest.raises(RuntimeError, match=r"saved_model/1 differs from Keras by .* Nothing was exported"):
        export(run, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_refused(run, bundle, tmp_path):
    with pytest.raises(InputError, match="exists. Choose another --out"):
        export(run, bundle[0])
    with pytest.raises(InputError, match="Input 83 is not a legal tile size"):
        export(run, tmp_path / "b", tile=83)
    with pytest.raises(InputError, match="is no run"):
        export(tmp_path, tmp_path / "b")
    assert not (tmp_path / "b").exists()
