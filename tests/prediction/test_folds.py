import json
import shutil

import numpy as np
import pytest

from unet_tf import Predictor, Run, evaluate, predict, predict_files, predict_large, read_image
from unet_tf.data.layout import find_named
from unet_tf.data.pictures import write_picture
from unet_tf.errors import InputError
from unet_tf.evaluation.opening import subject_of
from unet_tf.model.inference import Network
from unet_tf.model.unet import nets_of
from unet_tf.prediction.folds import Folds, holds_folds, opened
from unet_tf.prediction.predict import model_hash, predictor_of

IMAGE = np.random.default_rng(0).integers(0, 256, (90, 130), dtype=np.uint8)
NAMES = ["fold1", "fold2", "fold3"]


@pytest.fixture
def own_folds(folds, tmp_path):
    """A copy of the cross-validation, which a test may change."""
    return shutil.copytree(folds, tmp_path / "own_folds")


@pytest.mark.parametrize("tta", ["none", "all"])
def test_the_folder_predicts_the_mean_of_its_runs(folds, tta):
    by_hand = np.mean([Predictor(folds / name).probabilities(IMAGE, tta=tta) for name in NAMES], axis=0)
    found = predict(folds, IMAGE, probabilities=True, tta=tta)
    np.testing.assert_allclose(found, by_hand, atol=1e-6)
    np.testing.assert_array_equal(predict(folds, IMAGE, tta=tta), found.argmax(-1))
    normalisations = {Run(folds / name).normalisation for name in NAMES}
    assert len(normalisations) == 3  # so that each net has read pixels of its own


def test_a_prediction_does_not_depend_on_the_tile(folds):
    found = [Predictor(folds).probabilities(IMAGE, tile=tile) for tile in (56, 100)]
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_it_has_what_a_predictor_has(folds):
    predictor, first = Predictor(folds), Run(folds / "fold1")
    assert (predictor.classes, predictor.masks, predictor.channels) == (first.classes, first.masks, first.channels)
    assert predictor.normalisation == first.normalisation
    assert predictor.pixels_within(1e9) == Predictor(first).pixels_within(1e9)


def test_values_of_no_measurement_of_one_run_are_those_of_all(own_folds):
    path = own_folds / "fold2" / Run.CONFIG
    text = path.read_text()
    path.write_text(text.replace("nodata = []", "nodata = [255.0]", 1))
    assert path.read_text() != text
    assert Folds(own_folds).normalisation.nodata == (255.0,)
    image = np.full((40, 40), 255, np.uint8)
    mean = round(Run(own_folds / "fold1").normalisation.mean[0])
    found = predict(own_folds, image, probabilities=True)
    np.testing.assert_allclose(found, predict(own_folds, np.full_like(image, mean), probabilities=True), atol=0.02)


def test_its_files_are_those_of_arrays_whoever_makes_them(folds, tmp_path):
    for number in range(3):
        write_picture(tmp_path / "scans" / f"{number}.png", np.roll(IMAGE, 10 * number))
    out = tmp_path / "out"
    outcome = predict_files(folds, tmp_path / "scans", out, shard="1/2", probabilities=True, instances=True)
    assert (outcome.written, outcome.failed) == (2, ())
    outcome = predict_files(folds, tmp_path / "scans", out, probabilities=True, instances=True)
    assert (outcome.written, outcome.skipped) == (1, 2)
    for number in range(3):
        expected = predict(folds, np.roll(IMAGE, 10 * number), probabilities=True)
        np.testing.assert_array_equal(np.load(out / f"{number}.npy"), expected)
    assert json.loads((out / "predict.json").read_text())["model"] == model_hash(folds)
    predict_files(folds, tmp_path / "scans" / "0.png", tmp_path / "unsure", uncertainty=True)
    spread = read_image(tmp_path / "unsure" / "0_spread.tif")
    assert 0 <= spread.min() < spread.max() <= read_image(tmp_path / "unsure" / "0_uncertainty.tif").max()


def test_it_fills_arrays_of_any_size(folds, tmp_path):
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(tmp_path / "image.zarr", shape=IMAGE.shape, chunks=(64, 64), dtype="uint8")
    array[:] = IMAGE
    predict_large(folds, tmp_path / "image.zarr", tmp_path / "out.zarr", chunk=48)
    found = zarr.open_array(tmp_path / "out.zarr" / "0", mode="r")[:]
    sure = np.abs(np.diff(predict(folds, IMAGE, probabilities=True))[..., 0]) > 1e-4
    np.testing.assert_array_equal(found[sure], predict(folds, IMAGE)[sure])


def test_each_net_has_its_own_temperature(own_folds):
    def store(name, temperature):
        file = own_folds / name / Run.CALIBRATION
        file.write_text(json.dumps(json.loads(file.read_text()) | {"temperature": temperature}))

    by_hand, temperatures = [], {"fold1": 1.0, "fold2": 3.0, "fold3": 0.5}
    for name, temperature in temperatures.items():
        store(name, 1.0)
        logits = np.log(Predictor(own_folds / name).probabilities(IMAGE)) / np.float32(temperature)
        by_hand.append(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))
    hashed = model_hash(own_folds)
    for name, temperature in temperatures.items():
        store(name, temperature)
    np.testing.assert_allclose(predict(own_folds, IMAGE, probabilities=True), np.mean(by_hand, axis=0), atol=1e-5)
    assert model_hash(own_folds) != hashed


def test_the_last_folder_stays_loaded_until_a_net_changes(own_folds):
    kept = predictor_of(own_folds)
    assert predictor_of(str(own_folds)) is kept
    before, hashed = predict(own_folds, IMAGE, probabilities=True), model_hash(own_folds)
    shutil.copy(own_folds / "fold1" / Run.BEST, own_folds / "fold2" / Run.BEST)
    assert predictor_of(own_folds) is not kept
    assert model_hash(own_folds) != hashed
    assert np.abs(predict(own_folds, IMAGE, probabilities=True) - before).max() > 1e-4


def test_the_cost_is_said_once(folds, caplog):
    caplog.set_level("INFO", "unet_tf")
    opened(folds)
    assert caplog.messages == [f"{folds}: the mean of 3 nets, 3 times the time of one, and 3 times its size"]


@pytest.mark.parametrize("gone", ["fold2", f"fold2/{Run.BEST}", f"fold2/{Run.CONFIG}"])
def test_fewer_nets_are_never_averaged_in_silence(own_folds, gone):
    path = own_folds / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    for use in (Predictor, model_hash, lambda one: evaluate(one, one.parent)):
        with pytest.raises(InputError, match=r"lacks the nets of fold2 of fold1 to fold3. The same crossval command"):
            use(own_folds)


def test_what_was_stopped_says_what_is_missing_and_that_a_run_serves_alone(own_folds):
    (own_folds / "crossval.json").unlink()
    with pytest.raises(InputError, match=r"crossval.json, which is written at the end, is not there\. The same"):
        Predictor(own_folds)
    shutil.rmtree(own_folds / "fold3")
    with pytest.raises(InputError, match=r"lacks the nets of fold3 of fold1 to fold3"):
        Predictor(own_folds)
    assert predict(own_folds / "fold1", IMAGE).shape == IMAGE.shape


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is damaged or of another version"),
        ('{"runs": {}}', "must name runs, as fold1"),
        ('{"runs": {"../elsewhere": {}}}', "must name runs, as fold1"),
        ('{"runs": {"fold1": {}, "fold1/../fold2": {}}}', "must name runs, as fold1"),
        ('{"runs": ["fold1"]}', "is damaged or of another version"),
        ("[]", "is damaged or of another version"),
    ],
)
def test_a_damaged_summary_is_refused(own_folds, text, message):
    (own_folds / "crossval.json").write_text(text)
    with pytest.raises(InputError, match=message):
        Predictor(own_folds)


def test_the_odd_one_is_named(own_folds):
    path = own_folds / "fold1" / Run.CONFIG
    path.write_text(path.read_text().replace("depth = 1", "depth = 2", 1))
    with pytest.raises(InputError, match=r"the same sizes; the others have \(1, 'same'\), and fold1 has \(2, 'same'\)"):
        Predictor(own_folds)


def test_folders_are_told_apart(folds, run, bundle, tmp_path):
    assert [holds_folds(path) for path in (folds, run.path, bundle, tmp_path, tmp_path / "none")] == [True] + 4 * [
        False
    ]
    assert isinstance(opened(run.path), Run)
    with pytest.raises(InputError, match="is no run: it has no config.toml"):
        opened(tmp_path)
    with pytest.raises(InputError, match="is no cross-validation"):
        Folds(tmp_path)


def test_a_file_is_judged_by_the_nets_that_have_not_learnt_from_it_and_by_no_other(own_folds, folds, monkeypatch):
    """By events: the weights that compute, between the ends of two files."""
    name_of = {_bias(Network(Run(folds / name).model).model): name for name in NAMES}
    believe, asked, of_file = Network.probabilities, set(), []

    def recorded(self, window):
        asked.update(name_of[_bias(net)] for net in nets_of(self.model))
        return believe(self, window)

    def ended(done, total):
        of_file.append(set(asked))
        asked.clear()

    monkeypatch.setattr(Network, "probabilities", recorded)
    evaluate(own_folds, folds.parent / "data", on_image=ended)
    pairs = find_named(folds.parent / "data").splits[""]
    learnt = {name: Run(folds / name).names("train") for name in NAMES}
    assert [{name for name in NAMES if pair.name not in learnt[name]} for pair in pairs] == of_file
    assert sorted(map(len, of_file)) == [1] * 6


def _bias(net):
    return net.get_layer("logits").bias.numpy().tobytes()


def test_who_has_not_learnt_from_an_image(folds):
    found = Folds(folds)
    assert found.unseen("new") is found
    assert found.files("train") == set()  # there is none that no net can judge
    assert found.learnt() == found.files("val")
    for name, run in found.runs.items():
        for sha256 in run.files("val"):
            assert list(found.unseen(sha256).runs) == [name]
            assert found.unseen(sha256) is found.unseen(sha256)


def test_some_of_the_runs_are_not_taken_for_all_of_them(folds):
    image = np.random.default_rng(3).integers(0, 256, (40, 40), np.uint8)
    assert predict(Folds(folds, ["fold2"]), image).shape == (40, 40)
    with pytest.raises(InputError, match=r"of all its runs, fold1, fold2, fold3; these are fold2 alone.*fold2\.$"):
        predict_files(Folds(folds, ["fold2"]), [], "out")


def test_what_the_net_before_learnt_from_is_known_to_all_of_them(own_folds):
    for name in NAMES:
        config = own_folds / name / Run.CONFIG
        config.write_text(config.read_text().replace("[train]\n", '[train]\nstart_from = "runs/first"\n', 1))
        (own_folds / name / Run.ANCESTORS).write_text('{"files": ["old"], "unknown": ["bundles/b"]}')
    found = Folds(own_folds)
    assert found.files("train") == {"old"}  # by which none of them can be judged
    assert [*found.unseen("old").runs] == NAMES
    subject = subject_of(own_folds, own_folds.parent, {})
    assert subject.known() == {"old"}
    assert subject.words.endswith("; the net started from bundles/b, whose training files are not known")


def test_out_of_fold_scores_are_those_of_all_files_by_evaluate_too(own_folds, folds):
    stored = json.loads((own_folds / "crossval.json").read_text())["out_of_fold"]
    data, page = folds.parent / "data", (own_folds / "report.html").read_bytes()
    result = evaluate(own_folds, data)
    assert result.confusion.sum() == np.sum(stored["confusion"]) == 6 * 96 * 96
    assert result.mean_iou == pytest.approx(stored["mean_iou"], abs=1e-3)  # rounding may turn a pixel
    assert sorted(stored["per_file_mean_iou"]) == sorted(pair.name for pair, _ in result.per_file)
    assert result.files.endswith("; each by the mean of those of the 3 nets that were not trained on it")
    assert (own_folds / "report.html").read_bytes() == page


def test_files_that_no_net_has_learnt_from_are_judged_by_the_mean_of_all(own_folds, cells):
    result = evaluate(own_folds, cells, split="test")
    label = np.concatenate([
        (predict(own_folds, read_image(pair.image)) == 1).ravel() for pair, _ in result.per_file
    ])  # fmt: skip
    assert result.confusion.sum(0)[1] == label.sum()
