import json
import logging
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from bundles import make_bundle

import unet_tf
from unet_tf import InputError, Predictor, Run, load
from unet_tf.data.pictures import write_picture
from unet_tf.edge.net import EdgeNet
from unet_tf.edge.onnx_net import OnnxNet
from unet_tf.exporting.bundle import Bundle
from unet_tf.exporting.shelves import write_version
from unet_tf.model.calibration import Calibration
from unet_tf.prediction.engines import resolve
from unet_tf.prediction.load import FILES, about_file

RUN = Path(__file__).parents[1] / "saved" / "run_0_1"
ENGINES = {"bundle": "tensorflow", "tflite": "LiteRT: model_uint8.tflite", "tf": "TensorFlow: saved_model/1"}
"""What the record of a prediction says computed."""


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (150, 97), dtype=np.uint8)


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, "unet_tf")
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A bundle whose net has a temperature and a threshold of its own."""
    how = Calibration(1.5, 0.3)
    return make_bundle(tmp_path_factory.mktemp("bundles") / "cells", calibration=how, variants=["float32", "uint8"])


def test_a_run_and_a_bundle_give_what_a_predictor_of_them_gives(image, small):
    for whole, others in {RUN: (str(RUN), Run(RUN), RUN / "best.keras"), small: (small / "model.keras",)}.items():
        expected = Predictor(whole)
        for where in (whole, *others):
            found = load(where)
            np.testing.assert_array_equal(found.probabilities(image), expected.probabilities(image))
            assert (found.classes, found.normalisation) == (expected.classes, expected.normalisation)
            assert found.calibration == expected.calibration


def test_a_predictor_is_given_back(image, small):
    for found in (load(RUN), load(small / "model_float32.tflite")):
        assert load(found) is found
        np.testing.assert_array_equal(unet_tf.predict(found, image), found.predict(image))
        np.testing.assert_array_equal(unet_tf.predict(found, image, threshold=0.9), found.at(0.9).predict(image))
        with pytest.raises(InputError, match="must be a model of Keras.*Predictor"):
            Predictor(found)


def test_a_net_in_memory_is_refused_where_files_are_predicted_or_judged(cells, tmp_path):
    pictures, calls = cells / "test" / "images", (unet_tf.predict_files, unet_tf.predict_large, unet_tf.suggest)
    for net in (load(RUN), unet_tf.unet(base_filters=2, depth=1), None):
        words = f"A run must be given, or its folder, .* received {type(net).__name__}. With a model in memory"
        for call in (*calls, unet_tf.predict_map):
            with pytest.raises(InputError, match=words):
                call(net, pictures, out=tmp_path / "out")
        for arguments in ((net, cells), (net, net, cells)):
            with pytest.raises(InputError, match=words):
                (unet_tf.evaluate if len(arguments) == 2 else unet_tf.compare)(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_the_runs_of_a_cross_validation_are_averaged(tmp_path, said, image):
    for name in ("seed0", "seed1"):
        shutil.copytree(RUN, tmp_path / "runs" / name)
    (tmp_path / "runs" / "crossval.json").write_text(json.dumps({"runs": {"seed0": {}, "seed1": {}}}))
    found = load(tmp_path / "runs")
    assert found.network.count == 2
    assert any("the mean of 2 nets" in one for one in said())
    np.testing.assert_allclose(found.probabilities(image), load(RUN).probabilities(image), atol=1e-6)


def test_the_last_net_of_a_run_has_the_pixels_of_the_run(tmp_path, image):
    run = Run(shutil.copytree(RUN, tmp_path / "run"))
    shutil.copy(RUN / "best.keras", run.path / "last.keras")
    found = load(run.path / "last.keras")
    np.testing.assert_array_equal(found.probabilities(image), load(RUN).probabilities(image))
    assert (found.classes, found.channels, found.masks) == (run.classes, run.channels, run.masks)


@pytest.mark.parametrize(("told", "expected"), [("0.9", 0.9), ('"best"', 0.5)])
def test_the_last_net_of_a_run_parts_classes_at_the_threshold_that_training_was_told(tmp_path, told, expected):
    """What was found on the validation files was found for the other net."""
    run = shutil.copytree(RUN, tmp_path / "run")
    shutil.copy(RUN / "best.keras", run / "last.keras")
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(text.replace("[train]", f"[train]\nthreshold = {told}", 1))
    assert load(run / "last.keras").calibration == Calibration(1.0, expected)


def test_a_keras_file_alone_takes_normalised_pixels_and_that_is_said(tmp_path, said):
    model = unet_tf.unet(base_filters=2, depth=1)
    model.save(tmp_path / "net.keras")
    for where in (tmp_path / "net.keras", str(tmp_path / "net.keras")):
        found = load(where)
        assert found.normalisation is None
        assert said()[-1].startswith(f"{tmp_path / 'net.keras'} does not say which pixels it was trained on: ")
    Predictor(tmp_path / "net.keras")
    assert [line.startswith(f"{tmp_path / 'net.keras'} does not say") for line in said()] == [True] * 3
    Predictor(tmp_path / "net.keras", unet_tf.Normalisation((1.0,), (2.0,), "uint8"))
    assert len(said()) == 3
    pixels = np.random.default_rng(0).normal(size=(30, 40, 1)).astype(np.float32)
    np.testing.assert_array_equal(found.probabilities(pixels), Predictor(model).probabilities(pixels))
    keras.saving.save_model(model, tmp_path / "folder", zipped=False)
    np.testing.assert_array_equal(load(tmp_path / "folder").probabilities(pixels), found.probabilities(pixels))


@pytest.mark.parametrize("variant", ["float32", "uint8"])
def test_a_tflite_file_gives_what_it_gives_on_the_edge(small, image, variant):
    file = small / f"model_{variant}.tflite"
    found, edge = load(file), EdgeNet(file)
    np.testing.assert_array_equal(found.predict(image), edge.label(image))
    np.testing.assert_array_equal(found.probabilities(image), edge.probabilities(image))
    assert (found.classes, found.masks) == (edge.description.classes, edge.description.masks)


@pytest.mark.parametrize("name", ["model.onnx", "model_tile.onnx"])
def test_an_onnx_file_gives_what_the_net_of_its_bundle_gives(bundle, image, name):
    found, expected = load(bundle / name), load(bundle).probabilities(image)
    np.testing.assert_allclose(found.probabilities(image), expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found.predict(image), OnnxNet(bundle / name).label(image))


def test_turned_tiles_of_a_graph_are_averaged_as_those_of_the_net(small, image):
    for tta in ("none", "rotations", "all"):
        expected = load(small).probabilities(image, tta=tta)
        for name in ("model_float32.tflite", "saved_model/1"):
            np.testing.assert_allclose(load(small / name).probabilities(image, tta=tta), expected, atol=1e-4)


@pytest.mark.parametrize("tile", [None, 64, 100])
def test_a_saved_model_gives_what_its_signatures_give_whatever_the_tiles(small, image, tile):
    found = load(small / "saved_model/1")
    signatures = tf.saved_model.load(str(small / "saved_model/1")).signatures
    whole = tf.constant(image[None, ..., None])
    expected = signatures["probabilities"](image=whole)["probabilities"].numpy()[0]
    np.testing.assert_allclose(found.probabilities(image, tile), expected, atol=1e-6)
    labels = signatures["serving_default"](image=whole)["mask"].numpy()[0]
    sure = abs(expected[..., 1] - 0.3) > 1e-5
    np.testing.assert_array_equal(found.predict(image, tile)[sure], labels[sure])


def test_a_saved_model_that_gives_what_is_not_finite_gives_nothing(small, image, tmp_path):
    model = keras.saving.load_model(small / "model.keras")
    weights = model.get_weights()
    weights[-1][0] = np.nan
    model.set_weights(weights)
    write_version(model, Bundle(small).description, tmp_path / "saved_model/1")
    shutil.copy(small / "bundle.json", tmp_path)
    found = load(tmp_path / "saved_model/1")
    for method in (found.predict, found.probabilities):
        with pytest.raises(InputError, match="A net must give finite probabilities; this one gives NaN or infinity"):
            method(image)


def test_a_version_says_itself_what_it_is(small, image, tmp_path):
    version = shutil.copytree(small / "saved_model/1", tmp_path / "7")
    shutil.copy(small / "bundle.json", version / "assets.extra")
    np.testing.assert_array_equal(load(version).predict(image), load(small / "saved_model/1").predict(image))


def test_a_version_that_says_nothing_is_not_taken_for_that_of_the_export(small, tmp_path):
    for name in ("saved_model/2", "saved_model_bfloat16/1", "other/1"):
        shutil.copytree(small / "saved_model/1", tmp_path / name)
    shutil.copy(small / "bundle.json", tmp_path)
    assert load(tmp_path / "saved_model_bfloat16/1").classes == load(small).classes
    for name in ("saved_model/2", "other/1"):
        with pytest.raises(InputError, match="does not say what its net is: .* speaks of version 1"):
            load(tmp_path / name)


def test_a_link_to_the_folder_of_a_server_is_the_net_of_its_bundle(small, tmp_path):
    (tmp_path / "unet").symlink_to(small / "saved_model")
    (tmp_path / "current").symlink_to(small / "saved_model/1")
    for name in ("unet/1", "current"):
        assert about_file(tmp_path / name) == about_file(small / "saved_model/1")


def test_labels_part_at_the_threshold_of_the_graph_or_at_another(small, image):
    expected = load(small).probabilities(image)[..., 1]
    for name in (".", "saved_model/1", "model_float32.tflite"):
        found = load(small / name)
        assert found.calibration == Calibration(1.5, 0.3)
        for threshold, one in ((0.3, found), (0.7, found.at(0.7)), (0.5, found.at(0.5))):
            sure = abs(expected - threshold) > 1e-4
            np.testing.assert_array_equal(one.predict(image)[sure], (expected > threshold)[sure])


def test_what_a_graph_does_not_know_is_said(small, image, tmp_path):
    found = load(small / "model_float32.tflite")
    with pytest.raises(InputError, match="not among the outputs of an exported graph"):
        found.features(image)
    assert found.with_entropy(image).shape == (150, 97, 3)
    for engine in ("tensorflow", "auto", "LiteRT: model_float32.tflite"):
        assert found.by(engine) is found
        assert resolve(engine, found.network) == "LiteRT: model_float32.tflite"
    with pytest.raises(InputError, match="by the runtime that it was made for, and not by openvino"):
        found.network.by("openvino")
    with pytest.raises(InputError, match="holds float64 pixels"):
        found.predict(image / 255)
    with pytest.raises(InputError, match=r"takes tiles of \[84, 84\] px alone. Give the folder of the bundle"):
        unet_tf.predict_large(small / "model_float32.tflite", _zarr(tmp_path, image), tmp_path / "out.zarr")


def _zarr(folder, image):
    zarr = pytest.importorskip("zarr")
    zarr.create_array(str(folder / "image.zarr"), data=image, chunks=(16, 16), overwrite=True)
    return folder / "image.zarr"


def test_what_holds_no_net_is_refused_with_what_does(tmp_path, small):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no net")
    (tmp_path / "a.tflite").write_bytes(b"\0" * 100)
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04")
    (tmp_path / "b.keras").write_bytes(b"PK\x03\x04 not a zip")
    (tmp_path / "c.tflite").write_bytes(b"")
    shutil.copytree(small / "saved_model" / "1", tmp_path / "1")
    broken = shutil.copytree(small, tmp_path / "broken")
    for part in broken.rglob("*.pb"):
        part.write_bytes(part.read_bytes()[:1000])
    for name, words in {
        "nothing": "There is no .*nothing. Give the folder",
        "nothing.tflite": "There is no .*nothing.tflite. Give the folder",
        "nothing.keras": "There is no model .*nothing.keras",
        "empty": r"is no run: it has no config\.toml\. It is no cross-validation",
        "notes.txt": "is no file of a net: it must be named .keras or .tflite",
        "a.tflite": "is no TFLite file of unet-tf export",
        "b.keras": "is not a Keras model that can be loaded",
        "c.tflite": "damaged",
        "1": "does not say what its net is: bundle.json must lie in the folder of its bundle",
        "broken/saved_model/1": "is damaged, or no SavedModel of unet-tf export",
        "broken/saved_model": r"holds versions of a SavedModel, 1: one is .*/saved_model/1\. Give .*broken, in which",
        "broken/bundle.json": r"is no file of a net: .* Give .*broken, in which it lies, or a file of a net in it\.",
        "broken/saved_model/1/saved_model.pb": r"is no file of a net: .* Give .*broken, in which it lies",
        "broken/saved_model/1/variables": r"is no run: it has no config\.toml.* Give .*broken, in which it lies",
        "a.zip": "is an archive, as of a package of the BioImage Model Zoo: Fiji and bioimageio.core run that. Give",
    }.items():
        with pytest.raises(InputError, match=words):
            load(tmp_path / name)
    for name in ("empty", "notes.txt", "broken/saved_model", "broken/bundle.json", "a.zip"):  # as `predict` says it
        with pytest.raises(InputError) as loaded:
            load(tmp_path / name)
        with pytest.raises(InputError) as predicted:
            unet_tf.predict_files(tmp_path / name, tmp_path, tmp_path / "out")
        assert str(predicted.value) == str(loaded.value)


def test_files_are_predicted_by_each_file_of_a_bundle(small, tmp_path, image):
    write_picture(tmp_path / "in" / "a.png", image)
    for name, net in (("bundle", small), ("tflite", small / "model_uint8.tflite"), ("tf", small / "saved_model/1")):
        out = tmp_path / name
        outcome = unet_tf.predict_files(net, tmp_path / "in", out, probabilities=True, instances=True, tta="rotations")
        assert (outcome.written, outcome.failed) == (1, ())
        found = load(net)
        np.testing.assert_array_equal(np.load(out / "a.npy"), found.probabilities(image, tta="rotations"))
        np.testing.assert_array_equal(unet_tf.predict(net, image), found.predict(image))
        again = unet_tf.predict_files(net, tmp_path / "in", out, probabilities=True, instances=True, tta="rotations")
        assert again.skipped == 1
        stored = json.loads((out / "predict.json").read_text())
        assert (stored["engine"], stored["temperature"], stored["threshold"]) == (ENGINES[name], 1.5, 0.3)
    shutil.copy(small / "model.keras", tmp_path / "alone.keras")
    for net, give in (
        (small / "model.keras", small),
        (RUN / "best.keras", RUN),
        (tmp_path / "alone.keras", "that folder"),
    ):
        with pytest.raises(InputError, match=f"by the folder of its run.*; received {net}. Give {give}; arrays are"):
            unet_tf.predict_files(net, tmp_path / "in", tmp_path / "keras")


def test_an_array_is_predicted_by_a_bundle_and_by_a_saved_model(small, image, tmp_path):
    zarr = pytest.importorskip("zarr")
    for name, net in (("bundle", small), ("tf", small / "saved_model/1")):
        unet_tf.predict_large(net, _zarr(tmp_path, image), tmp_path / f"{name}.zarr", chunk=64)
        found = zarr.open_array(str(tmp_path / f"{name}.zarr" / "0"), mode="r")[...]
        sure = abs(load(small).probabilities(image)[..., 1] - 0.3) > 1e-5
        np.testing.assert_array_equal(found[sure], load(small).predict(image)[sure])
        stored = zarr.open_array(str(tmp_path / f"{name}.zarr" / "0"), mode="r").attrs["unet_tf"]
        assert stored["engine"] == ENGINES[name]


def test_a_bundle_and_its_files_are_judged_alike(small, cells):
    files = small, small / "saved_model/1", small / "model_float32.tflite"
    scores = [unet_tf.evaluate(file, cells).scores["mean_iou"] for file in files]
    assert scores == pytest.approx([scores[0]] * 3, abs=5e-4)  # four pixels


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_a_file_of_a_bundle_computes_with_all_threads_that_it_may(suffix, tmp_path, monkeypatch):
    given = []

    def opened(path, threads):
        given.append(threads)
        raise InputError("enough")

    (tmp_path / f"net{suffix}").write_bytes(b"")
    monkeypatch.setitem(FILES, suffix, opened)
    monkeypatch.setattr("unet_tf.prediction.load.threads", lambda: 7)
    with pytest.raises(InputError, match="enough"):
        load(tmp_path / f"net{suffix}")
    assert given == [7]
