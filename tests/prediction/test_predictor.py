"""A net that is loaded once."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tifffile
import zarr

from unet_tf import InputError, Normalisation, Predictor, Run, predict, predict_files, predict_large, unet

RUN = Path(__file__).parents[1] / "saved" / "run_0_1"
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 48), dtype=np.uint8)


@pytest.fixture
def loads(monkeypatch):
    """Files that Keras has loaded, one by one."""
    found, load = [], keras.saving.load_model

    def counted(path, *arguments, **settings):
        found.append(Path(path).name)
        return load(path, *arguments, **settings)

    monkeypatch.setattr(keras.saving, "load_model", counted)
    return found


def test_a_loop_over_pictures_loads_the_net_once_and_again_when_it_was_replaced(tmp_path, loads):
    folder = shutil.copytree(RUN, tmp_path / "run")
    masks = [predict(folder, IMAGE) for _ in range(3)]
    assert loads == ["best.keras"]
    shutil.copyfile(RUN / "best.keras", tmp_path / "new.keras")
    (tmp_path / "new.keras").replace(folder / "best.keras")
    np.testing.assert_array_equal(predict(folder, IMAGE), masks[0])
    assert loads == ["best.keras"] * 2


def test_a_run_its_file_and_its_model_predict_alike():
    run = Run(RUN)
    expected = predict(run, IMAGE, probabilities=True)
    for predictor in (
        Predictor(RUN),
        Predictor(run),
        Predictor(RUN / "best.keras", run.normalisation, run.masks),
        Predictor(run.model, run.normalisation),
    ):
        np.testing.assert_array_equal(predictor.probabilities(IMAGE), expected)
        np.testing.assert_array_equal(predictor.predict(IMAGE), expected.argmax(-1))
    with pytest.raises(InputError, match="A run or bundle brings its normalisation"):
        Predictor(run, run.normalisation)


def test_an_image_that_was_replaced_is_predicted_anew(tmp_path):
    for number in (0, 1):
        image = np.random.default_rng(number).integers(0, 256, (40, 48), dtype=np.uint8)
        tifffile.imwrite(tmp_path / "a.tif", image)
        predict_large(RUN, tmp_path / "a.tif", tmp_path / "a.zarr", overwrite=bool(number))
        found = zarr.open_array(f"{tmp_path}/a.zarr/0", mode="r")[...]
        np.testing.assert_array_equal(found, predict(RUN, image))


@pytest.mark.parametrize("known", [(), (-1.0,)])
def test_pixels_without_a_measurement_count_as_the_mean_of_the_training_images(known):
    predictor = Predictor(
        unet(base_filters=4, depth=1, padding="same"), Normalisation((120.0,), (40.0,), "int16", known)
    )
    image = np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.int16)
    filled = image.copy()
    image[5:20, 7:30], filled[5:20, 7:30] = -1, 120
    np.testing.assert_array_equal(predictor.probabilities(image, nodata=(-1.0,)), predictor.probabilities(filled))
    np.testing.assert_array_equal(predictor.predict(image, nodata=(-1.0,)), predictor.predict(filled))
    if not known:
        assert (predictor.probabilities(image) != predictor.probabilities(filled)).any()


@pytest.mark.parametrize("known", [(), (-1.0,)])
def test_a_gap_in_one_channel_counts_as_its_mean_in_the_training_images(known):
    predictor = Predictor(
        unet((None, None, 2), base_filters=4, depth=1, padding="same"),
        Normalisation((120.0, 90.0), (40.0, 30.0), "int16", known),
    )
    image = np.random.default_rng(0).integers(0, 255, (40, 50, 2)).astype(np.int16)
    filled = image.copy()
    image[5:20, 7:30, 1], filled[5:20, 7:30, 1] = -1, 90
    np.testing.assert_array_equal(predictor.probabilities(image, nodata=(-1.0,)), predictor.probabilities(filled))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_net_that_gives_what_is_not_finite_is_refused_whatever_is_asked_of_it(tmp_path, value):
    folder = shutil.copytree(RUN, tmp_path / "run")
    model = keras.saving.load_model(folder / "best.keras", compile=False)
    model.layers[-1].set_weights([np.full_like(weights, value) for weights in model.layers[-1].get_weights()])
    model.save(folder / "best.keras")
    tifffile.imwrite(tmp_path / "a.tif", IMAGE)
    words = "A net must give finite values; this one gives NaN or infinity"
    for ask in (
        lambda: predict(folder, IMAGE),
        lambda: predict(folder, IMAGE, probabilities=True),
        lambda: predict_large(folder, tmp_path / "a.tif", tmp_path / "a.zarr"),
    ):
        with pytest.raises(InputError, match=words):
            ask()
    outcome = predict_files(folder, tmp_path / "a.tif", tmp_path / "out", probabilities=True)
    assert outcome.failed[0].startswith(f"{tmp_path / 'a.tif'}: {words}")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["manifest.csv", "predict.json"]
