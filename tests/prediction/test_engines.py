"""Prediction by OpenVINO and ONNX Runtime: what TensorFlow gives, within the bounds that are said."""

import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
import tifffile
import zarr
from agreement import same_labels

from unet_tf import InputError, Predictor, Run, predict, predict_files, predict_large, unet
from unet_tf.cli.commands import main
from unet_tf.data.pictures import write_picture
from unet_tf.model.ensemble import Member, ensemble
from unet_tf.model.inference import Network
from unet_tf.prediction import engines
from unet_tf.prediction.engines import TESTED, resolve, with_engine

RUN = Path(__file__).parents[1] / "saved" / "run_0_1"
IMAGE = np.random.default_rng(0).integers(0, 256, (90, 110), dtype=np.uint8)
OTHERS = ["openvino", "onnxruntime"]
CLOSE = 1e-5
"""How far probabilities in float32 may lie apart."""
BFLOAT16 = 0.03
"""And those that OpenVINO computes in bfloat16, or in float32 where TensorFlow does so in bfloat16."""


def net(padding="same", classes=2, channels=1, seed=0):
    keras.utils.set_random_seed(seed)
    return unet((None, None, channels), classes, 4, 2, padding, batch_norm=True)


def several(padding="same"):
    nets = [Member(f"fold{n}", net(padding, 3, 1, n), (1.0 + n / 10,), (n / 10,), 1.3 + n) for n in range(3)]
    return ensemble(nets)


def install(monkeypatch, versions):
    """Modules of these versions, and none else of those that engines need; which package brought them, nobody asks."""
    for name in ("onnx", *OTHERS):
        module = SimpleNamespace(__version__=versions[name]) if name in versions else None
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize(("make", "padding"), [(net, "valid"), (net, "same"), (several, "same")])
def test_they_give_what_tensorflow_gives_whatever_is_asked(make, padding):
    image = np.random.default_rng(1).normal(size=(60, 90)).astype(np.float32)
    ours = Predictor(make(padding))
    for tta in ("none", "rotations"):
        expected = ours.with_entropy(image, tta=tta)
        for engine in OTHERS:
            other = ours.by(engine)
            assert other.network.runtime.name == f"{engine} float32"
            np.testing.assert_allclose(other.probabilities(image, tta=tta), expected[..., :-1], rtol=0, atol=CLOSE)
            np.testing.assert_allclose(other.with_entropy(image, tta=tta), expected, rtol=0, atol=1e-4)
            assert same_labels(other.predict(image, tta=tta), expected[..., :-1], 2 * CLOSE, 0.9)
    np.testing.assert_array_equal(other.features(image), ours.features(image))


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_the_result_does_not_depend_on_the_tiles_and_is_the_same_each_time(engine, padding):
    image = np.random.default_rng(1).normal(size=(150, 190)).astype(np.float32)
    predictor = Predictor(net(padding), engine=engine)
    whole = predictor.probabilities(image, tile=292)
    for tile in (100, 132, 180):
        found = predictor.probabilities(image, tile=tile)
        np.testing.assert_allclose(found, whole, rtol=0, atol=CLOSE)
        np.testing.assert_array_equal(predictor.probabilities(image, tile=tile), found)
        assert same_labels(predictor.predict(image, tile=tile), whole, 2 * CLOSE, 0.9)
    predictor.network.runtime.__init__(predictor.network.model, "float32")  # as another process loads it
    np.testing.assert_array_equal(predictor.probabilities(image, tile=tile), found)


@pytest.mark.parametrize("engine", OTHERS)
def test_temperature_and_threshold_are_those_of_the_run(engine, calibrated):
    folder = calibrated(1.7, 0.35)
    expected = Predictor(folder)
    found = Predictor(folder, engine=engine)
    probabilities = expected.probabilities(IMAGE)
    np.testing.assert_allclose(found.probabilities(IMAGE), probabilities, rtol=0, atol=CLOSE)
    sure = abs(probabilities[..., 1] - 0.35) > CLOSE
    np.testing.assert_array_equal(found.predict(IMAGE)[sure], expected.predict(IMAGE)[sure])
    np.testing.assert_array_equal(predict(folder, IMAGE, engine=engine), found.predict(IMAGE))
    by_its_own = predict(found, IMAGE, probabilities=True)
    np.testing.assert_array_equal(by_its_own, found.probabilities(IMAGE))
    assert (by_its_own != probabilities).any()  # TensorFlow rounds otherwise
    np.testing.assert_array_equal(predict(folder, IMAGE, threshold=0.9, engine=engine), found.at(0.9).predict(IMAGE))


def test_a_net_is_loaded_once_for_an_engine_and_again_when_it_has_learnt():
    model = net()
    image = np.random.default_rng(1).normal(size=(40, 40)).astype(np.float32)
    first = predict(model, image, probabilities=True, engine="openvino")
    network = Network(model)
    assert with_engine(network, "openvino float32") is with_engine(network, "openvino float32")
    assert with_engine(with_engine(network, "openvino float32"), "tensorflow") is network
    model.set_weights([values * 0.9 for values in model.get_weights()])
    again = predict(model, image, probabilities=True, engine="openvino")
    assert (again != first).any()
    np.testing.assert_allclose(again, predict(model, image, probabilities=True), rtol=0, atol=CLOSE)


@pytest.mark.parametrize("has", [True, False])
def test_nets_of_bfloat16_compute_in_it_where_the_processor_multiplies_matrices_in_it(monkeypatch, has):
    monkeypatch.setattr(engines, "instructions", lambda: frozenset({"avx512f", "amx_bf16"} if has else {"avx512f"}))
    monkeypatch.setattr(engines, "_openvino_has_bfloat16", lambda: True)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = Network(net())
    finally:
        keras.config.set_dtype_policy(before)
    engine = resolve("openvino", network)
    assert engine == ("openvino bfloat16" if has else "openvino float32")
    assert resolve("auto", network) == engine
    assert resolve("onnxruntime", network) == "onnxruntime float32"
    window = np.random.default_rng(1).normal(size=(100, 100, 1)).astype(np.float32)
    expected, other = network.probabilities(window), with_engine(network, engine)
    np.testing.assert_allclose(other.probabilities(window), expected, rtol=0, atol=BFLOAT16)
    assert same_labels(other.label(window), expected, 2 * BFLOAT16, 0.8)
    assert resolve("openvino", Network(net())) == "openvino float32"


@pytest.mark.parametrize(
    ("known", "installed", "expected"),
    [
        ({"avx2", "avx512f"}, {"openvino": "2026.4.1", "onnx": "1.23.2"}, "openvino float32"),
        ({"avx2"}, {"openvino": "2026.4.1", "onnx": "1.23.2"}, "tensorflow"),
        (set(), {"openvino": "2026.4.1", "onnx": "1.23.2"}, "tensorflow"),
        ({"avx2", "avx512f"}, {"openvino": "2026.4.1"}, "tensorflow"),
        ({"avx2", "avx512f"}, {"onnxruntime": "1.32.0", "onnx": "1.23.2"}, "tensorflow"),
    ],
)
def test_auto_is_decided_by_instructions_and_what_is_installed_and_said(
    monkeypatch, caplog, known, installed, expected
):
    engines._check_installed.cache_clear()
    monkeypatch.setattr(engines, "instructions", lambda: frozenset(known))
    install(monkeypatch, installed)
    caplog.set_level(logging.INFO, "unet_tf")
    assert resolve("auto", Network(net())) == expected
    assert [record.message.startswith(f"engine = {expected}: ") for record in caplog.records] == [True]
    engines._check_installed.cache_clear()


def test_a_missing_package_an_unknown_name_and_an_untested_version_are_said(monkeypatch, caplog):
    network = Network(net())
    with pytest.raises(InputError, match="must be one of auto, tensorflow, openvino, onnxruntime; received 'torch'"):
        resolve("torch", network)
    versions = {"onnx": "1.23.2", "openvino": "2024.6.0", "onnxruntime": "2.0.0rc1"}
    for missing in ("openvino", "onnxruntime", "onnx"):
        engines._check_installed.cache_clear()
        install(monkeypatch, {name: version for name, version in versions.items() if name != missing})
        for engine in OTHERS if missing == "onnx" else [missing]:
            for ask in (resolve, lambda engine, network: with_engine(network, f"{engine} float32")):
                with pytest.raises(InputError, match=rf"pip install 'unet-tf\[{engine}\]'"):
                    ask(engine, network)
    monkeypatch.setitem(sys.modules, "onnx", SimpleNamespace(__version__="1.23.2"))
    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace())  # a folder of that name, without the package
    with pytest.raises(InputError, match="needs the packages onnx and openvino"):
        resolve("openvino", network)
    install(monkeypatch, versions)
    for engine in OTHERS:
        resolve(engine, network)
        last = ".".join(map(str, TESTED[engine][1]))
        assert f"{versions[engine]} was not tested with this version of unet_tf; " in caplog.records[-1].message
        assert caplog.records[-1].message.endswith(f" to {last} was.")
    engines._check_installed.cache_clear()


def test_work_in_bfloat16_does_not_go_on_where_the_processor_has_none_of_it(monkeypatch):
    monkeypatch.setattr(engines, "_openvino_has_bfloat16", lambda: False)
    with pytest.raises(InputError, match="no instructions for bfloat16"):
        with_engine(Network(net()), "openvino bfloat16")


@pytest.mark.parametrize("layer", ["down0_conv1", "logits"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_net_that_gives_what_is_not_finite_is_refused(layer, value):
    model = net()
    one = model.get_layer(layer)
    one.set_weights([np.full_like(weights, value) for weights in one.get_weights()])
    for engine in OTHERS:
        for probabilities in (False, True):
            with pytest.raises(InputError, match="A net must give finite values"):
                predict(model, np.zeros((20, 20), np.float32), probabilities=probabilities, engine=engine)


@pytest.mark.parametrize("engine", OTHERS)
def test_logits_beyond_what_float32_holds_are_refused(engine):
    model = net()
    last = model.get_layer("logits")
    last.set_weights([np.full_like(weights, 3e38) for weights in last.get_weights()])
    with pytest.raises(InputError, match="A net must give finite values"):
        predict(model, np.ones((20, 20), np.float32), engine=engine)


@pytest.mark.parametrize("engine", OTHERS)
def test_what_an_engine_says_is_told_with_the_remedy(engine, monkeypatch):
    def refuse(self, graph):
        raise RuntimeError("an operation that is not known")

    monkeypatch.setattr(engines.OpenVINO, "_load", refuse)
    monkeypatch.setattr(engines.ONNXRuntime, "_load", refuse)
    words = "must be able to compute the net on a window of .* px, and says: an operation that is not known"
    with pytest.raises(InputError, match=words):
        Predictor(net(), engine=engine).predict(np.zeros((20, 20), np.float32))


def test_a_folder_says_its_engine_and_is_not_gone_on_with_by_another(tmp_path):
    write_picture(tmp_path / "in" / "a.png", IMAGE)
    predict_files(RUN, tmp_path / "in", tmp_path / "out", probabilities=True, uncertainty=True, engine="openvino")
    settings = json.loads((tmp_path / "out" / "predict.json").read_text())
    assert settings["engine"] == "openvino float32"
    np.testing.assert_allclose(
        np.load(tmp_path / "out" / "a.npy"), predict(RUN, IMAGE, probabilities=True), rtol=0, atol=CLOSE
    )
    assert predict_files(
        RUN, tmp_path / "in", tmp_path / "out", probabilities=True, uncertainty=True, engine="openvino"
    ).skipped
    for engine in ("tensorflow", "onnxruntime"):
        with pytest.raises(InputError, match=f"engine openvino float32 there, {engine}.* here"):
            predict_files(RUN, tmp_path / "in", tmp_path / "out", probabilities=True, uncertainty=True, engine=engine)


def test_a_folder_of_before_was_made_by_tensorflow(tmp_path):
    write_picture(tmp_path / "in" / "a.png", IMAGE)
    predict_files(RUN, tmp_path / "in", tmp_path / "out")
    file = tmp_path / "out" / "predict.json"
    settings = json.loads(file.read_text())
    assert settings.pop("engine") == "tensorflow"
    file.write_text(json.dumps(settings))
    assert predict_files(RUN, tmp_path / "in", tmp_path / "out").skipped == 1


@pytest.mark.parametrize("engine", OTHERS)
def test_an_array_is_what_predict_gives_and_all_its_jobs_take_one_engine(tmp_path, engine):
    tifffile.imwrite(tmp_path / "a.tif", IMAGE)
    out = tmp_path / "a.zarr"
    predict_large(RUN, tmp_path / "a.tif", out, chunk=32, shard="1/2", engine=engine)
    with pytest.raises(InputError, match=f"engine {engine} float32 there, tensorflow here"):
        predict_large(RUN, tmp_path / "a.tif", out, chunk=32, shard="2/2")
    predict_large(RUN, tmp_path / "a.tif", out, chunk=32, shard="2/2", engine=engine)
    found = zarr.open_array(f"{out}/0", mode="r")
    assert found.attrs["unet_tf"]["engine"] == f"{engine} float32"
    assert same_labels(found[...], predict(RUN, IMAGE, probabilities=True), 2 * CLOSE, 0.9)


def test_processes_that_share_the_machine_take_as_many_threads_as_they_are_told(monkeypatch):
    monkeypatch.setattr(engines, "cores", lambda: 8)
    for told, expected in (("", 8), ("2", 2), ("64", 8), ("0", 8), ("many", 8)):
        monkeypatch.setenv("OMP_NUM_THREADS", told)
        assert engines.threads() == expected


def test_the_command_says_its_engine(tmp_path, capsys, monkeypatch):
    write_picture(tmp_path / "a.png", IMAGE)
    monkeypatch.setattr(sys, "argv", ["unet-tf"])
    command = ["predict", str(RUN), str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--engine", "onnxruntime"]
    monkeypatch.setattr(sys, "argv", ["unet-tf", *command])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    shown = capsys.readouterr()
    assert "engine = onnxruntime float32" in shown.out + shown.err
    assert Run(RUN).network.runtime.name == "tensorflow"


def test_a_gpu_that_is_hidden_does_not_choose(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["one that is hidden"])
    assert "GPU" not in engines._choose(Network(net()))[1]
