import logging
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import unet_tf
from unet_tf import InputError, Predictor, Run, load
from unet_tf.data.pictures import read_image, write_picture
from unet_tf.edge.net import EdgeNet
from unet_tf.exporting.parity import bundled_net

RUN = Path(__file__).parents[1] / "saved" / "run_0_1"


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (150, 97), dtype=np.uint8)


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, "unet_tf")
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A bundle of the saved run, made quickly, whose net has a temperature and a threshold of its own."""
    import json

    from servers import write_bundle

    folder = write_bundle(tmp_path_factory.mktemp("plain") / "cells")
    shutil.copy(RUN / "best.keras", folder / "model.keras")
    assert json.loads((folder / "bundle.json").read_text())["padding"] == Run(RUN).geometry.padding
    return folder


def test_a_run_and_a_bundle_give_what_a_predictor_of_them_gives(image, plain):
    expected = Predictor(RUN).probabilities(image)
    for where in (RUN, str(RUN), Run(RUN), RUN / "best.keras", plain, plain / "model.keras"):
        found = load(where)
        np.testing.assert_array_equal(found.probabilities(image), expected)
        assert (found.classes, found.normalisation) == (("background", "foreground"), Run(RUN).normalisation)


def test_the_runs_of_a_cross_validation_are_averaged(folds, said):
    assert load(folds).network.count == 3
    assert any("the mean of 3 nets" in one for one in said())


def test_the_last_net_of_a_run_has_the_pixels_of_the_run(run, image):
    found = load(run.path / "last.keras")
    own = Predictor(keras.saving.load_model(run.path / "last.keras", compile=False), run.normalisation, run.masks)
    np.testing.assert_array_equal(found.probabilities(image), own.probabilities(image))
    assert (found.classes, found.channels, found.masks) == (run.classes, run.channels, run.masks)


def test_a_keras_file_alone_takes_normalised_pixels_and_that_is_said(tmp_path, said):
    model = unet_tf.unet(base_filters=2, depth=1)
    model.save(tmp_path / "net.keras")
    for where in (tmp_path / "net.keras", str(tmp_path / "net.keras")):
        found = load(where)
        assert found.normalisation is None
        assert f"Nobody knows the pixels that {tmp_path / 'net.keras'} learnt from" in said()[-1]
    pixels = np.random.default_rng(0).normal(size=(30, 40, 1)).astype(np.float32)
    np.testing.assert_array_equal(found.probabilities(pixels), Predictor(model).probabilities(pixels))
    keras.saving.save_model(model, tmp_path / "folder", zipped=False)
    np.testing.assert_array_equal(load(tmp_path / "folder").probabilities(pixels), found.probabilities(pixels))


@pytest.mark.parametrize("variant", ["float32", "float16", "dynamic", "uint8"])
def test_a_tflite_file_gives_what_it_gives_on_the_edge(bundle, image, variant):
    file = bundle / f"model_{variant}.tflite"
    found, edge = load(file), EdgeNet(file)
    np.testing.assert_array_equal(found.predict(image), edge.label(image))
    np.testing.assert_array_equal(found.probabilities(image), edge.probabilities(image))
    assert (found.classes, found.masks) == (edge.description.classes, edge.description.masks)
    for tta in ("none", "rotations"):
        assert np.abs(found.probabilities(image, tta=tta) - load(bundle).probabilities(image, tta=tta)).max() < 0.05


@pytest.mark.parametrize("name", ["saved_model/1", "saved_model_bfloat16/1"])
@pytest.mark.parametrize("tile", [None, 84, 100])
def test_a_saved_model_gives_what_its_signatures_give_whatever_the_tiles(bundle, image, name, tile):
    found = load(bundle / name)
    expected = bundled_net(bundle, name, load(bundle / "model_float32.tflite").network.about)(image[..., None])
    given = found.probabilities(image, tile and found.network.geometry.nearest_legal(tile)[0])
    np.testing.assert_allclose(given, expected, atol=1e-5 if name == "saved_model/1" else 0.02)
    assert (found.predict(image) == given.argmax(-1)).mean() > 0.99
    mirrored = found.probabilities(image, tta="all")
    np.testing.assert_allclose(mirrored, load(bundle).probabilities(image, tta="all"), atol=0.02)


def test_a_version_says_itself_what_it_is(plain, image, tmp_path):
    version = shutil.copytree(plain / "saved_model/1", tmp_path / "7")
    (version / "assets.extra").mkdir(exist_ok=True)
    shutil.copy(plain / "bundle.json", version / "assets.extra")
    np.testing.assert_array_equal(load(version).predict(image), load(plain).predict(image))


def test_labels_part_at_the_threshold_of_the_graph_or_at_another(calibrated, tmp_path, image):
    cells = Path(tmp_path / "bundle")
    run = Run(calibrated(1.5, 0.3))
    unet_tf.export(run, cells, data=None, variants=["float32"], max_iou_drop=1) if run.data.is_dir() else None
    if not cells.exists():
        pytest.skip("the data of the saved run is not here")


def test_what_a_graph_does_not_know_is_said(bundle, image):
    found = load(bundle / "model_float32.tflite")
    with pytest.raises(InputError, match="not among the outputs of an exported graph"):
        found.features(image)
    assert found.with_entropy(image).shape == (150, 97, 3)
    with pytest.raises(InputError, match="holds float64 pixels"):
        found.predict(image / 255)
    with pytest.raises(InputError, match="takes .* px alone"):
        unet_tf.predict_large(bundle / "model_float32.tflite", _zarr(bundle.parent, image), bundle.parent / "out.zarr")


def _zarr(folder, image):
    zarr = pytest.importorskip("zarr")
    zarr.create_array(str(folder / "image.zarr"), data=image, chunks=(16, 16), overwrite=True)
    return folder / "image.zarr"


def test_what_holds_no_net_is_refused_with_what_does(tmp_path, plain):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no net")
    (tmp_path / "a.tflite").write_bytes(b"\0" * 100)
    (tmp_path / "b.keras").write_bytes(b"PK\x03\x04 not a zip")
    (tmp_path / "c.tflite").write_bytes(b"")
    shutil.copytree(plain / "saved_model" / "1", tmp_path / "1")
    broken = shutil.copytree(plain, tmp_path / "broken")
    for part in broken.rglob("*.pb"):
        part.write_bytes(part.read_bytes()[:1000])
    for name, words in {
        "nothing": "There is no .*nothing. Give the folder",
        "nothing.tflite": "There is no .*nothing.tflite. Give the folder",
        "nothing.keras": "There is no model .*nothing.keras",
        "empty": "holds no net that is known here: it has no config.toml of a run",
        "notes.txt": "is no file of a net: it must be named .keras or .tflite",
        "a.tflite": "is no TFLite file of unet-tf export",
        "b.keras": "is not a Keras model that can be loaded",
        "c.tflite": "damaged",
        "1": "does not say what its net is: bundle.json must lie in the folder of its bundle",
        "broken/saved_model/1": "is damaged, or no SavedModel of unet-tf export",
        "broken/saved_model": "holds no net that is known here",
    }.items():
        with pytest.raises(InputError, match=words):
            load(tmp_path / name)


def test_files_are_predicted_by_each_file_of_a_bundle(bundle, run, tmp_path, image):
    write_picture(tmp_path / "in" / "a.png", image)
    for name, net in (("bundle", bundle), ("tflite", bundle / "model_uint8.tflite"), ("tf", bundle / "saved_model/1")):
        out = tmp_path / name
        outcome = unet_tf.predict_files(net, tmp_path / "in", out, probabilities=True, instances=True)
        assert (outcome.written, outcome.failed) == (1, ())
        found = load(net)
        np.testing.assert_array_equal(np.load(out / "a.npy"), found.probabilities(image))
        np.testing.assert_array_equal(read_image(out / "a.png")[..., 0], found.masks.mask(found.predict(image)))
        np.testing.assert_array_equal(unet_tf.predict(net, image), found.predict(image))
        assert unet_tf.predict_files(net, tmp_path / "in", out, probabilities=True, instances=True).skipped == 1
    with pytest.raises(InputError, match="does not say how pixels are normalised"):
        unet_tf.predict_files(bundle / "model.keras", tmp_path / "in", tmp_path / "keras")


def test_an_array_is_predicted_by_a_bundle_and_by_a_saved_model(bundle, image, tmp_path):
    zarr = pytest.importorskip("zarr")
    for name, net in (("bundle", bundle), ("tf", bundle / "saved_model/1")):
        unet_tf.predict_large(net, _zarr(tmp_path, image), tmp_path / f"{name}.zarr", chunk=64)
        found = zarr.open_array(str(tmp_path / f"{name}.zarr" / "0"), mode="r")[...]
        assert (found == load(bundle).predict(image)).mean() > 0.999


def test_files_of_a_bundle_are_judged(bundle, cells):
    scores = [unet_tf.evaluate(net, cells)["mean_iou"] for net in (bundle, bundle / "saved_model/1")]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    assert unet_tf.evaluate(bundle / "model_uint8.tflite", cells)["mean_iou"] == pytest.approx(scores[0], abs=0.1)
