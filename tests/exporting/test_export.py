import hashlib
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import tensorflow as tf
from agreement import same_labels
from forked import Forked

from unet_tf import Predictor, Run, evaluate, export, generate_cells, predict, read_image, verify
from unet_tf.data.pictures import write_picture
from unet_tf.edge.net import EdgeNet, read_description
from unet_tf.edge.runtimes import signatures_of
from unet_tf.errors import InputError
from unet_tf.exporting import parity as comparison
from unet_tf.exporting import shelves, tflite
from unet_tf.exporting.bundle import ONNX, TFLITE
from unet_tf.exporting.card import model_card
from unet_tf.exporting.judging import refusals_in_words
from unet_tf.exporting.source import describe, learnt_by, model_of
from unet_tf.model.calibration import Calibration
from unet_tf.training.start import read_start
from unet_tf.utils.signals import Stopped

NETS = ["saved_model/1", "saved_model_bfloat16/1", *TFLITE.values(), *ONNX.values()]


@pytest.fixture(scope="module")
def saved_model(bundle):
    return tf.saved_model.load(str(bundle / "saved_model" / "1")).signatures


@pytest.fixture(scope="module")
def report(bundle):
    return json.loads((bundle / "report.json").read_text())


def png(picture):
    return cv2.imencode(".png", picture)[1].tobytes()


def jpeg(picture):
    return cv2.imencode(".jpg", picture)[1].tobytes()


def test_the_bundle_is_complete_and_its_hashes_hold(bundle):
    described = json.loads((bundle / "bundle.json").read_text())
    assert described["classes"] == ["background", "foreground"]
    assert (described["tile"], described["halo"], described["step"], described["stride"]) == (136, 20, 96, 4)
    files = {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()} - {"bundle.json"}
    assert set(described["sha256"]) == files
    warmup = "saved_model/1/assets.extra/tf_serving_warmup_requests"
    assert {*TFLITE.values(), "saved_model/1/saved_model.pb", warmup, "report.json", "report.html"} <= files
    assert {"MODEL_CARD.md", "model.keras"} <= files
    for name, digest in described["sha256"].items():
        assert hashlib.sha256((bundle / name).read_bytes()).hexdigest() == digest


def test_scores_at_another_threshold_or_inside_fields_of_view_are_not_those_of_the_bundle(calibrated, cells, caplog):
    run = Run(calibrated(threshold=0.3))
    own = evaluate(run, cells)
    assert describe(run, 136, 0.01)[0].origin.scores["mean_iou"] == own.mean_iou
    evaluate(run, cells, threshold=0.6)  # which leaves those of the run
    assert describe(run, 136, 0.01)[0].origin.scores["mean_iou"] == own.mean_iou
    stored = own.to_json()
    assert "the bundle has none" not in caplog.text
    for other, why in (
        ({"thresholds": stored["thresholds"] | {"chosen": 0.6}}, "of labels at another threshold"),
        ({"learnt": 2}, "of files that the net was trained on, or may have been"),
        ({"field": {"roi": "pixels in fov"}}, "of pixels inside fields of view alone"),
    ):
        (run.path / Run.EVALUATION).write_text(json.dumps(stored | other))  # as earlier versions left it there
        assert describe(run, 136, 0.01)[0].origin.scores == {}
        assert f"the scores in {run.path / Run.EVALUATION} are {why}, and the bundle has none" in caplog.text


def test_a_bundle_says_whether_a_net_before_its_own_learnt_from_files_that_nobody_knows(own_run, monkeypatch):
    known = sorted(one[:16] for one in own_run.files("train"))
    assert learnt_by(own_run) == {"learnt": known, "unknown": False}
    monkeypatch.setattr(own_run, "config", replace(own_run.config, start_from="bundles/other"))
    assert learnt_by(own_run) == {"learnt": known, "unknown": True}


def test_bundle_json_says_where_the_net_comes_from(run, bundle):
    described = json.loads((bundle / "bundle.json").read_text())
    assert described["scores"]["mean_iou"] == json.loads((run.path / "evaluation.json").read_text())["mean_iou"]
    hashes = "".join(sorted(run.files("train")))
    assert described["data"] == {"train": 4, "val": 2, "fingerprint": hashlib.sha256(hashes.encode()).hexdigest()}
    assert described["versions"]["tensorflow"] == tf.__version__


def test_each_file_of_tflite_and_onnx_says_what_it_is(bundle):
    described = json.loads((bundle / "bundle.json").read_text())
    del described["sha256"], described["learnt"], described["unknown"]
    for name in (*TFLITE.values(), *ONNX.values()):
        assert read_description(bundle / name).to_json() == described


def test_every_net_is_held_against_keras(report):
    nets = report["artefacts"]
    assert list(nets) == NETS
    assert nets["saved_model/1"]["max_probability_difference"] <= 1e-5
    assert nets["model_float32.tflite"]["max_probability_difference"] <= 1e-4
    assert report["pictures"] == "2 validation files of the run, which chose its epoch too"
    for own in nets.values():
        assert own["label_agreement"] > 0.9
        assert own["milliseconds"] > 0
        assert set(own["iou"]) == {"background", "foreground"}


def test_what_is_less_than_float32_is_smaller(report):
    sizes = [report["artefacts"][name]["bytes"] for name in TFLITE.values()]
    assert sizes[1] < sizes[0]
    assert sizes[3] < sizes[0]


def test_the_page_and_the_card_show_the_report(bundle):
    page, card = (bundle / "report.html").read_text(), (bundle / "MODEL_CARD.md").read_text()
    for name in NETS:
        assert f'<th scope="row">{name}</th>' in page
        assert f"| {name} |" in card
    assert page.count("<img") >= 1
    assert "one tile of 136x136 px, of which the inner 96 px count" in card
    assert "hold no measurement" not in card


def test_the_python_of_the_card_runs_as_it_stands(bundle, run, tmp_path, monkeypatch):
    (tmp_path / "saved_model").symlink_to(bundle / "saved_model")
    picture = np.random.default_rng(0).integers(0, 256, (50, 60), dtype=np.uint8)
    (tmp_path / "image.png").write_bytes(png(picture))
    monkeypatch.chdir(tmp_path)
    names = {}
    exec((bundle / "MODEL_CARD.md").read_text().split("```python\n")[1].split("```")[0], names)
    expected = predict(run, picture, probabilities=True)
    assert same_labels(names["mask"].numpy()[0], expected, 2e-5)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"dtype": "uint16"}, 'tf.io.decode_png(tf.io.read_file("image.png"), channels=1, dtype=tf.uint16)'),
        ({"dtype": "float32"}, 'np.load("image.npy")  # (H, W, 1) float32, as the training images'),
        ({"mean": (0.0,) * 4, "std": (1.0,) * 4}, 'np.load("image.npy")  # (H, W, 4) uint8, as the training images'),
    ],
)
def test_the_card_reads_what_the_net_takes(bundle, report, changes, line):
    about = read_description(bundle / TFLITE["float32"])
    known = replace(about, normalisation=replace(about.normalisation, **changes))
    assert f"\nimage = {line}\n" in model_card("a", known, report)


def test_the_card_says_which_pixels_hold_no_measurement(bundle, report):
    about = read_description(bundle / TFLITE["float32"])
    known = replace(about, normalisation=replace(about.normalisation, nodata=(-9999.0,)))
    assert "- Pixels of -9999 hold no measurement and count as the mean" in model_card("a", known, report)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (30, 7), (44, 45), (131, 200)])
def test_the_saved_model_takes_raw_pixels_of_any_size(run, saved_model, size):
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 1), dtype=np.uint8)
    found = saved_model["probabilities"](image=tf.constant(images))["probabilities"].numpy()
    expected = np.stack([predict(run, image, probabilities=True) for image in images])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    mask = saved_model["serving_default"](image=tf.constant(images))["mask"].numpy()
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, found.argmax(-1))


def test_picture_files_of_mixed_kinds_and_sizes_come_back_as_masks(run, saved_model, tmp_path):
    grey = generate_cells(50, 61, seed=1)[0]
    contents = {
        "a.png": png(grey),
        "b.png": png(np.repeat(grey[:9, :33, None], 3, 2)),
        "c.jpg": jpeg(grey[:40]),
        "d.bmp": cv2.imencode(".bmp", grey[:20])[1].tobytes(),
        "e.png": png(np.dstack([grey, grey, grey, grey])),
    }
    masks = saved_model["encoded"](image_bytes=tf.constant([*contents.values()]))["mask_bytes"].numpy()
    for (name, content), mask in zip(contents.items(), masks, strict=True):
        (tmp_path / name).write_bytes(content)
        found = cv2.imdecode(np.frombuffer(mask, np.uint8), cv2.IMREAD_UNCHANGED)
        expected = predict(run, read_image(tmp_path / name), probabilities=True)
        assert same_labels(found, expected, 2e-5), name
        assert mask.startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_used_is_named_and_the_model_goes_on(saved_model):
    good = png(np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"image_bytes\[1\] is not a complete PNG, JPEG or BMP"):
        saved_model["encoded"](image_bytes=tf.constant([good, b"hello"]))
    assert len(saved_model["encoded"](image_bytes=tf.constant([good]))["mask_bytes"]) == 1


def test_an_image_without_pixels_is_refused(saved_model):
    with pytest.raises(tf.errors.InvalidArgumentError, match="with a pixel at least"):
        saved_model["serving_default"](image=tf.zeros((1, 0, 5, 1), tf.uint8))


def test_the_weights_are_stored_once(run, bundle):
    variables = sum(p.stat().st_size for p in (bundle / "saved_model" / "1" / "variables").iterdir())
    assert variables < 1.5 * 4 * run.model.count_params()


def test_the_uint8_file_takes_raw_bytes(bundle):
    net = EdgeNet(bundle / "model_uint8.tflite")
    assert net.tensors["image"][1:] == (np.uint8, 1.0, 0)
    assert {name: one.dtype for name, one in net.tensors.items()} == dict.fromkeys(
        ("image", "mask", "probabilities"), np.uint8
    )


def test_tflite_files_have_the_names_of_the_saved_model(bundle, saved_model):
    names = set(saved_model["serving_default"].structured_outputs) | set(
        saved_model["probabilities"].structured_outputs
    )
    for name in TFLITE.values():
        whole = signatures_of(bundle / name)["serving_default"]
        assert set(whole.outputs) == names == {"mask", "probabilities"}
        assert list(whole.inputs) == ["image"]


def test_a_difference_to_keras_fails_and_leaves_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setitem(comparison.EXACT, "saved_model/1", -1.0)
    with pytest.raises(RuntimeError, match=r"saved_model/1 differs from Keras by .* Nothing was exported"):
        export(run, tmp_path / "bundle", variants=())
    assert list(tmp_path.iterdir()) == []


def test_a_net_that_gives_nan_is_never_exported(own_run, tmp_path):
    model = own_run.model
    weights = model.get_weights()
    weights[-1][0] = np.nan
    model.set_weights(weights)
    model.save(own_run.path / Run.BEST)
    with pytest.raises(
        InputError, match=r"model\.keras must give finite .*saved_model/1 must give finite .* Nothing was"
    ):
        export(own_run, tmp_path / "bundle", variants=())
    assert [path.name for path in tmp_path.iterdir()] == ["own_run"]


@pytest.mark.usefixtures("no_saved_model")
def test_export_ends_between_two_steps_when_it_is_told_to(run, tmp_path, converter_apart, monkeypatch):
    def tell(name):
        if name == "TFLite float32":
            os.kill(os.getpid(), signal.SIGTERM)

    def process(command, **pipes):
        _, _, module, *arguments = command
        return Forked(f"import runpy; runpy.run_module({module!r}, run_name='__main__')", *arguments, **pipes)

    monkeypatch.setattr(tflite, "subprocess", SimpleNamespace(Popen=process))  # one that has TensorFlow already
    with pytest.raises(Stopped), converter_apart():
        export(run, tmp_path / "bundle", variants=["float32", "float16"], on_step=tell)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_saved_model")
def test_a_loss_of_iou_fails_and_leaves_nothing(run, tmp_path, monkeypatch):
    from unet_tf.exporting import export as exporting

    def wrong(folder, name, description):
        net = comparison.bundled_net(folder, name, description)
        if "float16" not in name:
            return net
        return comparison.BundledNet(lambda image: net(image)[..., ::-1], lambda image: 1 - net.label(image))

    monkeypatch.setattr(exporting, "bundled_net", wrong)
    with pytest.raises(
        InputError, match=r"model_float16\.tflite loses 0\.\d+ mean IoU .* Nothing was exported.*--variants"
    ):
        export(run, tmp_path / "bundle", variants=["float16"])
    assert list(tmp_path.iterdir()) == []


def test_float32_needs_no_data(calibrated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run(calibrated())  # whose data is not there
    assert not run.data.exists()
    config = run.path / Run.CONFIG
    config.write_text(config.read_text().replace('precision = "float32"', 'precision = "bfloat16"'))
    model_of(run, "bfloat16").save(run.path / Run.BEST)
    run = Run(run.path)
    assert run.model.layers[1].compute_dtype == "bfloat16"
    with pytest.raises(InputError, match=r"cells is not there. Say where they are now \(--data\)"):
        export(run, tmp_path / "bundle")
    report = export(run, tmp_path / "bundle", variants=["float32"])
    assert report["pictures"] == "noise, for want of files that can be used"
    assert report["artefacts"]["saved_model/1"]["max_probability_difference"] <= 1e-5
    assert report["artefacts"]["model_float32.tflite"]["max_probability_difference"] <= 1e-4
    assert not (tmp_path / "bundle" / "model_uint8.tflite").exists()


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("OOM when allocating tensor", r"memory must hold the nets and a tile; OOM .* a smaller --tile"),
        ("/b/variables; No space left on device", "Cannot write b: .* Free space or choose another place"),
    ],
)
def test_a_full_memory_and_a_full_disk_are_told_apart(told, words):
    with pytest.raises(InputError, match=words), refusals_in_words(Path("b")):
        raise tf.errors.ResourceExhaustedError(None, None, told)


def test_a_bundle_that_came_to_be_meanwhile_stays(run, tmp_path, monkeypatch):
    out = tmp_path / "b"
    for shelf in ("saved_model", "keras_net", "tflite_files", "card"):
        monkeypatch.setattr(shelves, shelf, lambda work, *report: work.folder.mkdir(exist_ok=True))
    monkeypatch.setattr(
        "unet_tf.exporting.export._reported", lambda *work: write_picture(out / "a.png", np.zeros((2, 2), np.uint8))
    )
    with pytest.raises(InputError, match="has come to be meanwhile, and stays as it is"):
        export(run, out)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert [path.name for path in out.iterdir()] == ["a.png"]


def test_bad_input_is_refused(run, bundle, cells, tmp_path):
    with pytest.raises(InputError, match="exists. Choose another --out"):
        export(run, bundle)
    with pytest.raises(InputError, match="Input 83 is not a legal tile size"):
        export(run, tmp_path / "b", tile=83)
    with pytest.raises(InputError, match="is no run"):
        export(tmp_path, tmp_path / "b")
    with pytest.raises(InputError, match="A run must be given, or its folder: .* received Functional"):
        export(run.model, tmp_path / "b")
    for variants in (["int4"], "int4"):
        with pytest.raises(InputError, match=r"variants must be of float32, float16, dynamic, uint8; received 'int4'"):
            export(run, tmp_path / "b", variants=variants)
    with pytest.raises(InputError, match="must lie between 0 and 1; received 2"):
        export(run, tmp_path / "b", max_iou_drop=2)
    with pytest.raises(InputError, match="is no bundle"):
        verify(cells)
    cv2.imwrite(str(tmp_path / "colour.png"), np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
    with pytest.raises(InputError, match=r"colour\.png has 3 channels, and the net was trained on 1"):
        verify(bundle, tmp_path / "colour.png")
    assert not (tmp_path / "b").exists()


def test_a_run_without_weights_and_data_of_another_kind_are_refused(run, cells, tmp_path):
    empty = tmp_path / "run"
    shutil.copytree(run.path, empty)
    (empty / "best.keras").unlink()
    with pytest.raises(InputError, match=r"There is no model .*best\.keras"):
        export(empty, tmp_path / "b")
    deep = tmp_path / "deep"
    shutil.copytree(cells, deep)
    for file in deep.glob("*/images/*.png"):
        cv2.imwrite(str(file), cv2.imread(str(file), -1).astype(np.uint16) * 257)
    with pytest.raises(InputError, match="holds uint16 pixels, and the net was trained on uint8"):
        export(run, tmp_path / "b", data=deep)
    assert not (tmp_path / "b").exists()


@pytest.fixture(scope="module")
def bundle_of_folds(folds, tmp_path_factory):
    """The bundle of a cross-validation."""
    out = tmp_path_factory.mktemp("bundles") / "folds"
    export(folds, out, variants=["float32", "uint8"], onnx=True, max_iou_drop=0.1)
    return out


def test_a_mean_of_nets_is_the_same_in_every_runtime(folds, bundle_of_folds):
    image = generate_cells(110, 130, seed=3)[0]
    expected = predict(folds, image, probabilities=True)
    np.testing.assert_allclose(predict(bundle_of_folds, image, probabilities=True), expected, atol=1e-6)
    net = tf.saved_model.load(str(bundle_of_folds / "saved_model" / "1")).signatures
    found = net["probabilities"](image=image[None, ..., None])["probabilities"].numpy()[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    mask = net["serving_default"](image=image[None, ..., None])["mask"].numpy()[0]
    np.testing.assert_array_equal(mask, found.argmax(-1))
    edge = EdgeNet(bundle_of_folds / TFLITE["float32"])
    np.testing.assert_allclose(edge.probabilities(image), expected, atol=1e-4)
    np.testing.assert_array_equal(edge.label(image), edge.probabilities(image).argmax(-1))
    assert np.abs(EdgeNet(bundle_of_folds / TFLITE["uint8"]).probabilities(image) - expected).max() < 0.1


def test_the_bundle_of_a_mean_says_what_it_is_and_is_verified(folds, bundle_of_folds):
    report = json.loads((bundle_of_folds / "report.json").read_text())
    assert report["pictures"] == "2 validation files of fold1, on which 2 of the 3 nets were trained"
    described = json.loads((bundle_of_folds / "bundle.json").read_text())
    out_of_fold = json.loads((folds / "crossval.json").read_text())["out_of_fold"]
    assert described["nets"] == read_description(bundle_of_folds / TFLITE["float32"]).nets == 3
    assert described["scores"]["mean_iou"] == out_of_fold["mean_iou"]
    assert (described["data"]["train"], described["data"]["val"]) == (6, 0)
    card = (bundle_of_folds / "MODEL_CARD.md").read_text()
    assert (
        "holds 3 such nets, of a cross-validation, and gives the mean of their probabilities: 3 times the size" in card
    )
    assert "6 training pictures, none that all nets held out" in card
    assert verify(bundle_of_folds).faults == []


def test_the_weights_of_all_nets_are_stored_once(folds, bundle_of_folds):
    variables = sum(p.stat().st_size for p in (bundle_of_folds / "saved_model" / "1" / "variables").iterdir())
    of_one = 4 * Run(folds / "fold1").model.count_params()
    assert 2.5 * of_one < variables < 4.5 * of_one


def test_all_nets_of_a_bundle_have_the_temperature_and_part_at_the_threshold(own_run, cells, tmp_path):
    stored = json.loads((own_run.path / "calibration.json").read_text()) | {"temperature": 1.7, "threshold": 0.35}
    (own_run.path / "calibration.json").write_text(json.dumps(stored))
    out = tmp_path / "bundle"
    report = export(own_run, out, variants=["float32", "uint8"], max_iou_drop=0.1)
    image = read_image(sorted((cells / "test" / "images").iterdir())[0])
    ours, theirs = Predictor(own_run), Predictor(out)
    expected = ours.probabilities(image)
    np.testing.assert_array_equal(theirs.probabilities(image), expected)
    np.testing.assert_array_equal(theirs.predict(image), expected[..., 1] > np.float32(0.35))
    assert theirs.calibration == ours.calibration == Calibration(1.7, 0.35)
    nets = tf.saved_model.load(str(out / "saved_model" / "1")).signatures
    p = nets["probabilities"](image=tf.constant(image[None]))["probabilities"].numpy()[0]
    np.testing.assert_allclose(p, expected, atol=1e-5)
    mask = nets["serving_default"](image=tf.constant(image[None]))["mask"].numpy()[0]
    np.testing.assert_array_equal(mask, p[..., 1] > np.float32(0.35))
    for name, near in ((TFLITE["float32"], 1e-4), (TFLITE["uint8"], 0.2)):
        net = EdgeNet(out / name)
        own = net.probabilities(image)
        assert np.abs(own - expected).max() < near
        assert (net.label(image) == (own[..., 1] > np.float32(0.35))).all()
        assert net.description.calibration == Calibration(1.7, 0.35)
    assert report["artefacts"][TFLITE["uint8"]]["label_agreement"] > 0.95
    assert verify(out, cells / "val").faults == []
    card = (out / "MODEL_CARD.md").read_text()
    assert "softmax(logits / 1.7)" in card
    assert "A pixel is of foreground where its probability is above 0.35." in card


def test_the_net_of_a_bundle_is_as_it_was_trained_and_one_starts_from_it_so(run, bundle):
    for own, there in zip(run.model.get_weights(), read_start(bundle).model.get_weights(), strict=True):
        np.testing.assert_array_equal(own, there)
