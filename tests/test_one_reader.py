"""One reader: what comes of a file does not depend on the way by which it is read."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import zarr
from kinds_of_files import kinds

from unet_tf import predict_files, predict_large, read_image
from unet_tf.data.channels import Channels
from unet_tf.data.maps import open_map
from unet_tf.data.masks import MaskFormat
from unet_tf.data.nodata import nodata_of
from unet_tf.data.pictures import open_pictures
from unet_tf.edge import __main__ as edge
from unet_tf.errors import InputError
from unet_tf.exporting.encoded import decoded
from unet_tf.prediction import chunks, files, pictures, source
from unet_tf.prediction.arrays import stored_nodata
from unet_tf.prediction.predictor import Predictor

RUN = "tests/saved/run_0_1"
NOT_KNOWN = {"jpeg cut with an end", "jpeg with more"}
"""Damaged inside of the scan: TensorFlow's decoder does not tell, and the model card says so."""


class Seen(Predictor):
    """A predictor of a run that keeps what it is given, of any type and channels, and predicts black instead."""

    def checked(self, image, name="the image", nodata=()):
        self.image, self.nodata = np.asarray(image[: image.shape[0], : image.shape[1]]), tuple(nodata)
        return np.zeros((*image.shape[:2], 1), np.uint8)


@pytest.fixture(scope="module")
def predictor():
    return Seen(RUN)


@pytest.fixture
def seen(predictor, monkeypatch):
    """The predictor, in the place of the run's own."""
    for module in (files, pictures, source, chunks):
        monkeypatch.setattr(module, "predictor_for", lambda net, model: predictor)
    return predictor


@pytest.fixture(params=kinds(), ids=lambda kind: kind.name)
def kind(request):
    return request.param


@pytest.fixture
def file(kind, tmp_path):
    path = tmp_path / f"a{kind.suffix}"
    path.write_bytes(kind.data)
    return path


@pytest.fixture
def expected(file):
    """What `read_image` gives, and its words for a file that it refuses."""
    try:
        return read_image(file), ""
    except InputError as error:
        return None, str(error)


def assert_same(found, expected):
    """All channels are equal where a way gives three to a picture whose channels are equal."""
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, np.broadcast_to(expected, found.shape))


def test_into_a_folder(seen, file, expected, tmp_path):
    image, refusal = expected
    outcome = predict_files(RUN, file, tmp_path / "masks")
    if image is None:
        assert outcome.failed == (refusal,)
        assert not list((tmp_path / "masks").glob("a*"))
        return
    assert (outcome.failed, outcome.written) == ((), 1)
    assert_same(seen.image, image)
    assert read_image(tmp_path / "masks" / "a.png").shape == (*image.shape[:2], 1)
    assert (
        set(outcome.nodata.get(str(file), ())) == set(seen.nodata) == set(nodata_of(image, open_pictures(file).nodata))
    )


def test_into_zarr(seen, file, expected, tmp_path):
    image, refusal = expected
    out = tmp_path / "mask.zarr"
    try:
        predict_large(RUN, file, out)
    except InputError as error:
        assert file.name in str(error)
        assert not out.exists()
        assert refusal or file.suffix != ".tif" or "strips are compressed" in str(error)
        return
    assert_same(seen.image, image)
    assert zarr.open_array(f"{out}/0").shape == image.shape[:2]
    assert set(stored_nodata(out)) == set(seen.nodata) == set(nodata_of(image, open_pictures(file).nodata))


def test_into_a_map(kind, file, expected):
    """rasterio reads more kinds than we do, and none otherwise; colours and channels must be plain to both."""
    image, refusal = expected
    try:
        volume = open_map(file)
        found = volume.plane(0)[0 : volume.shape[0], 0 : volume.shape[1]]
    except InputError as error:
        assert file.name in str(error)
        others = ("cmyk", "turned", "imagej", "ome two channels")  # which are pages
        assert image is None or file.suffix != ".tif" or any(word in kind.name for word in others)
        return
    assert "in the colour space" not in refusal and "must be plain which" not in refusal
    if image is not None:
        assert_same(found, image)


def test_on_the_edge(file, expected, tmp_path, monkeypatch):
    image, refusal = expected
    found = {}

    def label(picture, out, on_tile, nodata):
        found.update(image=picture[: picture.shape[0], : picture.shape[1]], nodata=nodata)
        out[:, :] = 1

    net = SimpleNamespace(label=label, description=SimpleNamespace(masks=MaskFormat("index", 2)))
    monkeypatch.setattr(edge, "opened", lambda *arguments: net)
    size = SimpleNamespace(channels=3 if image is None else image.shape[2])
    about = SimpleNamespace(channels=Channels(), normalisation=size)
    monkeypatch.setattr(edge, "read_description", lambda path: about)
    if image is None:
        with pytest.raises(InputError) as raised:
            edge.segment(tmp_path / "model.tflite", file, tmp_path / "mask.png")
        assert str(raised.value) == refusal
        assert [path.name for path in tmp_path.iterdir()] == [file.name]
        return
    edge.segment(tmp_path / "model.tflite", file, tmp_path / "mask.png")
    assert_same(found["image"], image)
    assert set(found["nodata"]) == set(nodata_of(image, open_pictures(file).nodata))
    np.testing.assert_array_equal(read_image(tmp_path / "mask.png"), np.ones((*image.shape[:2], 1), np.uint8))


@pytest.fixture(scope="module")
def graphs():
    """What the SavedModel's signature `encoded` decodes with, by channels and type of the net."""
    signature = [tf.TensorSpec((), tf.string)]

    def graph(channels, dtype):
        read = lambda content: decoded(tf.constant(7), content, channels, dtype)  # noqa: E731
        return tf.function(read, input_signature=signature)

    return {key: graph(*key) for key in ((1, "uint8"), (3, "uint8"), (1, "uint16"))}


def test_in_the_saved_model(graphs, kind, file, expected):
    """A kind that TensorFlow cannot read so is refused by number."""
    image, _ = expected
    for (channels, dtype), graph in graphs.items():
        try:
            found = graph(tf.constant(kind.data)).numpy()
        except tf.errors.InvalidArgumentError as error:
            assert "image_bytes[7] " in error.message
            continue
        if kind.name in NOT_KNOWN:
            assert image is None
            continue
        assert found.dtype == dtype
        assert_same(found, image)
        assert image.shape[2] in (1, channels)
