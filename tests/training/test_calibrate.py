"""Temperature and threshold of a run, by its validation files."""

import json
import logging
import shutil
import tomllib
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tomli_w

from unet_tf import Predictor, Run, TrainConfig, read_image, resume, train
from unet_tf.data.folder import read_pair
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import write_picture
from unet_tf.data.samples import Samples
from unet_tf.data.weight_map import Weighting
from unet_tf.errors import InputError
from unet_tf.evaluation.calibration import Curve, best_threshold
from unet_tf.labels import VOID
from unet_tf.model.calibration import PLAIN, Calibration, fit_temperature, tempered
from unet_tf.model.reading import read_model
from unet_tf.planning.prepare import prepare
from unet_tf.training import calibrate as module
from unet_tf.training.calibrate import Seen, calibrate, observe, outline
from unet_tf.training.checkpoint import replace_net
from unet_tf.utils.signals import Stopped


@pytest.fixture(scope="module")
def val(cells, run):
    return prepare(cells, run.config).splits["val"]


def observed(run, val):
    """(N, C) probabilities of the net itself, and (N,) ids, of all pixels."""
    predictor, decoded = Predictor(run.model, run.normalisation), [read_pair(pair, run.masks) for pair in val.pairs]
    found = [predictor.probabilities(one.image).reshape(-1, 2) for one in decoded]
    return np.concatenate(found), np.concatenate([one.label.ravel() for one in decoded])


def settings(run, **changes):
    path = run.path / Run.CONFIG
    stored = tomllib.loads(path.read_text())
    stored["train"] |= changes
    path.write_text(tomli_w.dumps(stored))
    return Run(run.path)


def test_training_fits_the_temperature_of_all_validation_pixels(run, val):
    probabilities, labels = observed(run, val)
    stored = json.loads((run.path / Run.CALIBRATION).read_text())
    assert stored["temperature"] == run.calibration.temperature != 1
    assert stored["temperature"] == pytest.approx(fit_temperature(np.log(probabilities), labels), rel=1e-4)
    assert (stored["files"], stored["pixels"], stored["threshold"]) == (2, 2 * 96 * 96, 0.5)
    of_label = np.take_along_axis(probabilities, labels[:, None].astype(int), axis=1)
    assert stored["energy_raw"] == pytest.approx(-np.log(of_label).mean(), rel=1e-4)
    assert stored["energy"] < stored["energy_raw"]
    assert "temperature = " in (run.path / Run.LOG).read_text()


def test_probabilities_have_the_temperature_and_labels_are_the_same_to_the_bit(run, own_run, cells):
    (own_run.path / Run.CALIBRATION).unlink()
    assert own_run.calibration == PLAIN
    for file in sorted((cells / "test" / "images").iterdir()):
        image = read_image(file)
        plain, calibrated = Predictor(own_run), Predictor(run)
        expected = tempered(plain.probabilities(image), run.calibration.temperature)
        np.testing.assert_allclose(calibrated.probabilities(image), expected, atol=1e-6)
        assert (calibrated.predict(image) == plain.predict(image)).all()
    assert not np.allclose(plain.probabilities(image), expected, atol=1e-3)


def test_doing_it_again_gives_the_same_bytes_and_the_net_itself_is_not_touched(own_run, val):
    net, before = (own_run.path / Run.BEST).read_bytes(), (own_run.path / Run.CALIBRATION).read_bytes()
    calibrate(own_run, {"val": val})
    assert (own_run.path / Run.CALIBRATION).read_bytes() == before
    assert (own_run.path / Run.BEST).read_bytes() == net


def test_a_net_that_came_later_has_no_old_temperature(own_run):
    assert own_run.calibration.temperature != 1
    with (own_run.path / Run.BEST).open("ab") as file:
        file.write(b" ")
    assert own_run.calibration == PLAIN
    assert own_run.network.temperature == 1


def test_the_best_threshold_is_that_of_the_validation_files(own_run, val):
    run = settings(own_run, threshold="best")
    calibrate(run, {"val": val})
    probabilities, labels = observed(run, val)
    foreground, curves = tempered(probabilities, run.calibration.temperature)[:, 1], []
    for own in np.split(np.arange(len(labels)), len(val)):  # of files of one size
        curves.append(Curve())
        curves[-1].add(labels[own], foreground[own])
    assert run.calibration.threshold == best_threshold(curves)
    stored = json.loads((run.path / Run.CALIBRATION).read_text())
    assert stored["thresholds"]["chosen"] == run.calibration.threshold
    assert stored["thresholds"]["iou"][49] <= max(stored["thresholds"]["iou"])


def test_a_threshold_that_was_said_holds_whether_or_not_anything_was_fitted(own_run, val):
    run = settings(own_run, threshold=0.3)
    (run.path / Run.CALIBRATION).unlink()
    assert run.calibration == Calibration(1, 0.3)
    calibrate(run, {"val": val})
    assert run.calibration.threshold == 0.3
    assert run.calibration.temperature != 1


def test_without_validation_files_nothing_is_fitted_and_that_is_said(own_run, caplog):
    (own_run.path / Run.CALIBRATION).unlink()
    with caplog.at_level(logging.INFO, logger="unet_tf"):
        calibrate(own_run, {})
    assert "temperature = 1: no file is held out to fit it on" in caplog.text
    assert not (own_run.path / Run.CALIBRATION).exists()


def test_on_pixels_of_one_class_nothing_is_fitted_and_that_is_said(own_run, val, caplog, monkeypatch):
    run = settings(own_run, threshold="best")
    (run.path / Run.CALIBRATION).unlink()
    monkeypatch.setattr(
        module, "observe", lambda *_: Seen(np.zeros((9, 2), np.float32), np.zeros(9, np.uint8), np.zeros(9, int), 1)
    )
    with caplog.at_level(logging.INFO, logger="unet_tf"):
        calibrate(run, {"val": val})
    assert run.calibration == PLAIN
    assert "temperature = 1: validation pixels are of one class" in caplog.text
    assert "threshold = 0.5: nor can one be chosen on them" in caplog.text


@pytest.fixture(scope="module")
def _rims(cells, tmp_path_factory):
    data = tmp_path_factory.mktemp("rims")
    shutil.copytree(cells / "train" / "images", data / "images")
    shutil.copytree(cells / "train" / "instances", data / "masks")
    sizes = {"base_filters": 2, "depth": 1, "tile": 52, "batch_size": 2, "steps_per_epoch": 2, "epochs": 1}
    run = train(data, data / "run", masks="instance", precision="float32", optimizer="sgd", **sizes)
    return run.path, prepare(data, run.config).splits


@pytest.fixture
def rims(_rims, tmp_path):
    """A run that has learnt rims for two steps, its files, and what adds to the background's logit."""
    run, splits = Run(shutil.copytree(_rims[0], tmp_path / "run")), _rims[1]

    def background(change):
        model = read_model(run.path / Run.BEST, compile=True)
        model.get_layer("logits").bias.assign_add([change, 0, 0])
        replace_net(run.path / Run.BEST, model)
        return (run.path / Run.BEST).read_bytes()

    return run, splits, background


def at_outlines(run, files):
    """Mean probability of the background at outlines, and its share of their pixels."""
    seen = observe(Predictor(run.model, run.normalisation), files, run.masks, outline)
    return np.exp(seen.logits[:, 0]).mean(), (seen.labels == 0).mean()


def test_rims_that_are_too_wide_get_their_width_once(rims):
    run, splits, background = rims
    background(-4.0)
    calibrate(run, splits)
    found, share = at_outlines(run, splits["val"])
    assert found == pytest.approx(share, abs=1e-3)
    assert run.best_row["epoch"] == 0
    assert run.calibration.temperature != 1  # of the mended net
    last = keras.saving.load_model(run.path / Run.LAST)
    *same, biases = zip(run.model.get_weights(), last.get_weights(), strict=True)
    assert all((one == other).all() for one, other in same)
    assert (biases[0] == biases[1]).tolist() == [False, True, True]
    steps = [int(keras.saving.load_model(run.path / file).optimizer.iterations) for file in (Run.BEST, Run.LAST)]
    assert steps == [2, 2]  # with the optimizer: it can be fitted on
    before = (run.path / Run.BEST).read_bytes()
    calibrate(run, splits)
    assert (run.path / Run.BEST).read_bytes() == before
    resume(run.path)
    assert (run.path / Run.BEST).read_bytes() == before


@pytest.mark.parametrize(
    ("change", "words"), [(4.0, "borders: not too wide"), (-40.0, "borders: the net draws objects wherever it looks")]
)
def test_a_net_that_has_hardly_learnt_is_left_as_it_is(rims, change, words, caplog):
    run, splits, background = rims
    before = background(change)
    with caplog.at_level(logging.INFO, logger="unet_tf"):
        calibrate(run, splits)
    assert (run.path / Run.BEST).read_bytes() == before
    assert words in caplog.text


def test_the_energy_alone_draws_rims_of_their_width(rims):
    run, splits, background = rims
    before = background(-4.0)
    calibrate(settings(run, loss="crossentropy"), splits)
    assert (run.path / Run.BEST).read_bytes() == before


def test_rims_are_fitted_on_training_files_where_no_other_shows_any(rims, caplog, monkeypatch):
    run, splits, background = rims
    background(-4.0)
    with caplog.at_level(logging.INFO, logger="unet_tf"):
        calibrate(run, {"train": splits["train"]})
    assert at_outlines(run, splits["train"])[0] == pytest.approx(at_outlines(run, splits["train"])[1], abs=1e-3)
    assert f"by {len(splits['train'])} training files" in caplog.text
    background(-4.0)
    plain = observe
    none = Seen(np.zeros((0, 3), np.float32), np.zeros(0, np.uint8), np.zeros(0, int), 1)
    monkeypatch.setattr(
        module, "observe", lambda _, files, *rest: plain(_, files, *rest) if files is splits["train"] else none
    )
    calibrate(run, splits)
    assert at_outlines(run, splits["train"])[0] == pytest.approx(at_outlines(run, splits["train"])[1], abs=1e-3)
    before = background(-4.0)
    with caplog.at_level(logging.INFO, logger="unet_tf"):
        calibrate(run, {"val": splits["val"]})
    assert (run.path / Run.BEST).read_bytes() == before
    assert "no mask that was looked at has an outline" in caplog.text


def test_an_outline_is_the_rim_and_two_pixels_of_background():
    label = np.array([[0, 0, 0, 2, 1, 1, 2, VOID, 0, 0, 0]], np.uint8)
    assert outline(label).astype(int).tolist() == [[0, 1, 1, 1, 0, 0, 1, 0, 1, 0, 0]]


def test_a_file_of_no_training_is_no_net_of_a_run(rims):
    run, _, _ = rims
    model = run.model
    model.save(run.path / Run.BEST)
    with pytest.raises(InputError, match="not the net of this run"):
        replace_net(run.path / Run.BEST, model)


def test_what_is_looked_at_is_bounded_and_always_the_same(run, val, monkeypatch):
    predictor = Predictor(run.model, run.normalisation)
    monkeypatch.setattr(module, "MOST_PIXELS", 96 * 96)
    assert observe(predictor, val, run.masks).files == 1
    monkeypatch.setattr(module, "MOST_PIXELS", 10)
    assert observe(predictor, val, run.masks).files == 1  # one at least
    monkeypatch.undo()
    monkeypatch.setattr(module, "MOST_VALUES", 2000)
    one, two = (observe(predictor, val, run.masks) for _ in range(2))
    assert len(one.labels) == 1000
    assert (one.logits == two.logits).all()
    monkeypatch.undo()
    monkeypatch.setattr(module, "SIDES", (40,))
    assert len(observe(predictor, val, run.masks).labels) == 2 * 40 * 40


@pytest.mark.parametrize(
    ("shapes", "side", "files"),
    [
        ([(512, 512)] * 30, 2048, 7),
        ([(1024, 1024)] * 30, 512, 7),
        ([(3000, 2000)] * 2, 512, 2),
        ([(700, 700)] * 4, 2048, 4),
        ([(1000, 4000)], 2048, 1),
    ],
)
def test_large_pictures_are_seen_in_parts_so_that_several_are_seen(shapes, side, files):
    assert module._windows(shapes) == (side, files)


def test_where_a_threshold_is_to_be_chosen_four_times_as_many_pixels_are_seen(own_run, val, monkeypatch):
    monkeypatch.setattr(module, "MOST_PIXELS", 96 * 96 // 2)
    for threshold, files in ((0.5, 1), ("best", 2)):
        run = settings(own_run, threshold=threshold)
        calibrate(run, {"val": val})
        assert json.loads((run.path / Run.CALIBRATION).read_text())["files"] == files


@pytest.mark.parametrize(("count", "expected"), [(1, [7]), (2, [2, 5]), (4, [1, 3, 6, 9]), (10, list(range(10)))])
def test_files_lie_evenly_in_the_order_of_the_rarest_class(count, expected):
    pixels = [0, 0, 0, 10, 1, 40, 50, 7, 90, 0]  # of class 2; from few to many: 0 1 2 9 4 7 3 5 6 8
    facts = [SimpleNamespace(class_pixels=np.array([500, 900 - one, one, 0])) for one in pixels]
    files = Samples([None] * 10, facts, Weighting(), "none", None)
    assert module._spread(files, count) == expected


def test_a_class_is_shown_where_a_pixel_of_it_is_kept(run, val, monkeypatch):
    monkeypatch.setattr(module, "MOST_VALUES", 40)  # of 20 pixels

    def one_pixel(pair, masks):
        decoded = read_pair(pair, masks)
        label = np.zeros_like(decoded.label)
        label[-1, -1] = 1
        return decoded._replace(label=label)

    monkeypatch.setattr(module, "read_pair", one_pixel)
    seen = observe(Predictor(run.model, run.normalisation), val, run.masks)
    assert np.bincount(seen.labels).tolist() == [30, 1]  # 10 of each file, and of the window for the one pixel


def test_a_class_that_the_middles_of_pictures_lack_is_looked_for(run, tmp_path, monkeypatch):
    for number in range(4):
        mask = np.zeros((48, 48), np.uint8)
        mask[40:44, 2:5] = 255 * (number == 2)
        for split in ("train", "val"):
            write_picture(tmp_path / split / "images" / f"{number}.png", mask // 3 + np.uint8(9))
            write_picture(tmp_path / split / "masks" / f"{number}.png", mask)
    val = prepare(tmp_path, TrainConfig(depth=1)).splits["val"]
    monkeypatch.setattr(module, "SIDES", (16,))
    seen = observe(Predictor(run.model, run.normalisation), val, MaskFormat())
    assert np.bincount(seen.labels).tolist() == [5 * 16 * 16 - 12, 12]
    assert seen.files == 4


def test_a_signal_and_a_file_that_has_gone_leave_what_was_there(own_run, val, tmp_path, cells, monkeypatch):
    before = (own_run.path / Run.CALIBRATION).read_bytes()

    def stop():
        raise Stopped

    monkeypatch.setattr(module, "look", stop)
    with pytest.raises(Stopped):
        calibrate(own_run, {"val": val})
    monkeypatch.undo()
    moved = shutil.copytree(cells, tmp_path / "moved")
    gone = prepare(moved, own_run.config).splits["val"]
    gone.pairs[0].image.unlink()
    with pytest.raises(InputError, match=gone.pairs[0].image.name):
        calibrate(own_run, {"val": gone})
    assert (own_run.path / Run.CALIBRATION).read_bytes() == before
    assert not list(own_run.path.glob(".*.json"))


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"model": "x", "temperature": "1", "threshold": 0.5}',
     '{"model": "x", "temperature": NaN, "threshold": 0.5}'],
)  # fmt: skip
def test_a_damaged_file_is_refused_by_its_name(own_run, content):
    (own_run.path / Run.CALIBRATION).write_text(content)
    with pytest.raises(InputError, match=r"calibration\.json is damaged.*--resume"):
        _ = Run(own_run.path).calibration


@pytest.mark.parametrize(("temperature", "threshold"), [(0, 0.5), (-1, 0.5), (1, 0), (1, 1)])
def test_values_that_are_none_are_refused(own_run, temperature, threshold):
    stored = {"model": own_run.model_hash, "temperature": temperature, "threshold": threshold}
    (own_run.path / Run.CALIBRATION).write_text(json.dumps(stored))
    with pytest.raises(InputError, match="must be"):
        _ = Run(own_run.path).calibration


def test_a_threshold_is_refused_where_it_parts_nothing(cells, tmp_path):
    with pytest.raises(InputError, match="none is held out"):
        prepare(cells / "train", TrainConfig(threshold="best", val_share=0))
    for name in "abc":
        rows = np.repeat(np.arange(3, dtype=np.uint8), 32)[:, None].repeat(96, axis=1)
        write_picture(tmp_path / "images" / f"{name}.png", rows * 50)
        write_picture(tmp_path / "masks" / f"{name}.png", rows)
    with pytest.raises(InputError, match="A threshold separates two classes; this net has 3"):
        prepare(tmp_path, TrainConfig(threshold=0.4, classes=("a", "b", "c")))
