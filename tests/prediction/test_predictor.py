"""A net that is loaded once."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
import tifffile
import zarr

from unet_tf import InputError, Normalisation, Predictor, Run, predict, predict_files, predict_large, unet
from unet_tf.data.channels import Channels
from unet_tf.geometry import PADDINGS, Geometry
from unet_tf.model.calibration import Calibration, tempered
from unet_tf.model.ensemble import Member, ensemble
from unet_tf.prediction.tile_settings import MOST_PIXELS
from unet_tf.prediction.uncertainty import entropy, uncertainty_and_spread

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


def test_a_net_in_memory_is_read_as_that_of_its_run(tmp_path, caplog):
    run = Run(shutil.copytree(RUN, tmp_path / "run"))
    stored = {"temperature": 1.5, "threshold": 0.3, "model": run.model_hash}
    (run.path / "calibration.json").write_text(json.dumps(stored))
    run.channels, run.classes = Channels(("1",)), ("sky", "crack")
    run.model.save(tmp_path / "mine.keras")
    expected = Predictor(run)
    for found in (Predictor(run.model, like=run), Predictor(tmp_path / "mine.keras", like=run)):
        np.testing.assert_array_equal(found.probabilities(IMAGE), expected.probabilities(IMAGE))
        np.testing.assert_array_equal(found.predict(IMAGE), expected.predict(IMAGE))
        assert found.calibration == expected.calibration == Calibration(1.5, 0.3)
        assert (found.classes, found.channels, found.masks) == (run.classes, run.channels, run.masks)
    assert Predictor(run.model, like=run.path).calibration == Calibration(1.5, 0.3)
    assert caplog.records == []
    for arguments in ((run,), (RUN,), (run.model, run.normalisation), (run.model, None, run.masks)):
        with pytest.raises(InputError, match=r"or a run that has them \(like\), must be given to a model alone"):
            Predictor(*arguments, like=run)
    with pytest.raises(InputError, match="The net has 3 channels and 2 classes, and its .* they have 1 and 2"):
        Predictor(unet((None, None, 3), base_filters=2, depth=1), like=run)


def test_tensors_lists_and_other_byte_orders_are_images():
    net, image = unet(base_filters=2, depth=1, padding="same"), IMAGE.astype(np.uint16)
    predictor, wide = (Predictor(net, Normalisation((100.0,), (50.0,), kind)) for kind in ("uint16", "int64"))
    expected = predictor.probabilities(image)
    for form in (tf.constant, tf.Variable, lambda image: image.astype(">u2")):
        np.testing.assert_array_equal(predictor.probabilities(form(image)), expected)
    np.testing.assert_array_equal(wide.probabilities(image.tolist()), expected)
    lazy = SimpleNamespace(shape=image.shape, dtype="uint16")  # a type that NumPy knows by its name
    assert predictor.checked(lazy).dtype == "uint16"


def test_the_path_of_a_picture_is_no_image():
    for path in ("cells.png", Path("cells.png")):
        with pytest.raises(InputError, match="received the path cells.png. unet_tf.read_image reads a picture"):
            predict(RUN, path)


def test_an_image_that_was_replaced_is_predicted_anew(tmp_path):
    for number in (0, 1):
        image = np.random.default_rng(number).integers(0, 256, (40, 48), dtype=np.uint8)
        tifffile.imwrite(tmp_path / "a.tif", image)
        predict_large(RUN, tmp_path / "a.tif", tmp_path / "a.zarr", overwrite=bool(number))
        found = zarr.open_array(f"{tmp_path}/a.zarr/0", mode="r")[...]
        np.testing.assert_array_equal(found, predict(RUN, image))


@pytest.mark.parametrize(
    "channels", [Channels(context=1), Channels(("2", "1", "0")), Channels(suffixes=("_dapi", "_gfp", "_rfp"))]
)
def test_grey_is_no_array_of_a_net_whose_three_channels_are_not_those_of_a_file(channels):
    predictor = Predictor(unet((None, None, 3), 2, 4, 1, "same"), Normalisation((1.0,) * 3, (1.0,) * 3, "uint8"))
    expected = predictor.predict(np.repeat(IMAGE[..., None], 3, axis=2))
    np.testing.assert_array_equal(predictor.predict(IMAGE), expected)
    predictor.channels = channels
    np.testing.assert_array_equal(predictor.predict(np.repeat(IMAGE[..., None], 3, axis=2)), expected)
    for method in (predictor.predict, predictor.probabilities, predictor.with_entropy, predictor.features):
        with pytest.raises(InputError, match="the image has 1 channels, and the net was trained on 3"):
            method(IMAGE)


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


def test_labels_do_not_depend_on_the_temperature_and_probabilities_do(calibrated):
    plain, hot = Predictor(RUN), Predictor(calibrated(2.5))
    assert (hot.predict(IMAGE) == plain.predict(IMAGE)).all()
    expected = tempered(plain.probabilities(IMAGE), 2.5)
    np.testing.assert_allclose(hot.probabilities(IMAGE), expected, atol=1e-6)
    assert (expected != plain.probabilities(IMAGE)).any()


def test_at_temperature_one_and_a_half_all_is_as_without(calibrated):
    plain, other = Predictor(RUN), Predictor(calibrated())
    np.testing.assert_array_equal(other.probabilities(IMAGE), plain.probabilities(IMAGE))
    np.testing.assert_array_equal(plain.at(0.5).predict(IMAGE), plain.predict(IMAGE))
    assert plain.at(None) is plain


@pytest.mark.parametrize("tta", ["none", "rotations"])
def test_two_classes_part_at_the_threshold_and_another_one_may_be_given(calibrated, tta):
    predictor = Predictor(calibrated(1.3, 0.4))
    p = predictor.probabilities(IMAGE, tta=tta)[..., 1]
    for found, threshold in (
        (predictor.predict(IMAGE, tta=tta), 0.4),
        (predictor.at(0.7).predict(IMAGE, tta=tta), 0.7),
        (predict(predictor_path := calibrated(1.3, 0.45), IMAGE, tta=tta), 0.45),
        (predict(predictor_path, IMAGE, tta=tta, threshold=0.3), 0.3),
    ):
        assert (found == (p > np.float32(threshold))).all()
    assert predictor.calibration.threshold == 0.4  # at() gave another predictor
    assert len({int((p > t).sum()) for t in (0.3, 0.4, 0.45, 0.7)}) > 1


def test_a_threshold_of_three_classes_and_none_at_all_are_refused():
    three = Predictor(unet(num_classes=3, base_filters=2, depth=1))
    with pytest.raises(InputError, match="separates two classes; this net has 3"):
        three.at(0.4)
    for wrong in (0, 1, -2, float("nan"), "best"):
        with pytest.raises(InputError, match="A threshold must be a number between 0 and 1"):
            Predictor(RUN).at(wrong)


def test_the_entropy_comes_with_the_probabilities(calibrated):
    predictor = Predictor(calibrated(1.7))
    found = predictor.with_entropy(IMAGE)
    np.testing.assert_array_equal(found[..., :2], predictor.probabilities(IMAGE))
    np.testing.assert_allclose(found[..., 2], entropy(found[..., :2]), atol=1e-6)
    turned = predictor.with_entropy(IMAGE, tta="all")
    np.testing.assert_array_equal(turned[..., :2], predictor.probabilities(IMAGE, tta="all"))
    assert (entropy(turned[..., :2]) - turned[..., 2]).min() > -1e-5  # Jensen


def test_of_several_nets_the_entropy_is_the_mean_of_theirs():
    nets = [unet(base_filters=2, depth=1) for _ in range(2)]
    members = [Member(name, net, (1.0,), (0.0,)) for name, net in zip(("a", "b"), nets, strict=True)]
    image = np.random.default_rng(1).normal(size=(20, 30)).astype(np.float32)
    found = Predictor(ensemble(members)).with_entropy(image)
    each = [Predictor(net).probabilities(image) for net in nets]
    np.testing.assert_allclose(found[..., :2], np.mean(each, axis=0), atol=1e-6)
    np.testing.assert_allclose(found[..., 2], np.mean([entropy(one) for one in each], axis=0), atol=1e-6)
    assert uncertainty_and_spread(found)[1].max() > 1e-4


def test_the_features_of_a_picture_are_a_number_a_filter():
    predictor = Predictor(RUN)
    found = predictor.features(IMAGE)
    assert found.shape == (predictor.network.model.get_layer(
        f"down{predictor.network.geometry.depth}_conv2").filters,)  # fmt: skip
    np.testing.assert_array_equal(found, predictor.features(IMAGE))
    assert (found != predictor.features(255 - IMAGE)).any()
    assert predictor.features(IMAGE[:1, :1]).shape == found.shape


def test_a_zarr_array_without_channels_is_a_picture(tmp_path):
    array = zarr.create_array(str(tmp_path / "a.zarr"), data=IMAGE, chunks=(16, 16))
    np.testing.assert_array_equal(predict(RUN, array), predict(RUN, IMAGE))


def test_a_device_without_memory_for_a_tile_is_told_what_to_lower(monkeypatch):
    predictor = Predictor(RUN)

    def full(*arguments):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(predictor.network.runtime, "_label", full)
    with pytest.raises(InputError, match=r"memory of the device must hold a tile, .* --memory 1GB, or less"):
        predictor.predict(IMAGE)


def test_a_net_of_one_size_that_is_no_square_takes_no_turned_tile():
    predictor = Predictor(unet((32, 48, 1), base_filters=2, depth=1, padding="same"))
    image = np.zeros((40, 60, 1), np.float32)
    assert predictor.predict(image).shape == (40, 60)
    with pytest.raises(InputError, match="this one takes 32x48 px alone"):
        predictor.predict(image, tta="rotations")


@pytest.mark.parametrize("padding", PADDINGS)
def test_tiles_of_a_deep_net_are_as_large_as_its_smallest(padding):
    geometry = Geometry(8, padding)
    assert geometry.min_tile**2 > MOST_PIXELS
    net = SimpleNamespace(geometry=geometry, sizes=(None, None))
    grid = Predictor.grid(SimpleNamespace(network=net, pixels_within=lambda budget: 1 << 40), (5000, 5000))
    assert grid.tile == (geometry.min_tile, geometry.min_tile)
