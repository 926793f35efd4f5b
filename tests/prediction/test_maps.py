"""GeoTIFF in, a map of its classes out."""

import resource

import keras
import numpy as np
import pytest
from agreement import same_labels

from unet_tf import Normalisation, Predictor, predict, predict_large, predict_map, unet
from unet_tf.data.channels import Channels
from unet_tf.data.maps import MapArray
from unet_tf.data.pictures import write_picture
from unet_tf.errors import InputError
from unet_tf.prediction import chunks, maps, source
from unet_tf.prediction.maps import map_nodata, map_settings
from unet_tf.utils.files import held, identity
from unet_tf.utils.signals import Stopped, tell

rasterio = pytest.importorskip("rasterio")
pytest.importorskip("zarr")
RUN = "tests/saved/run_0_1"
PLACE = {"crs": "EPSG:25832", "transform": rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000)}


def write(path, image, names=(), mask=None, **options):
    """Write (H, W) as a GeoTIFF file."""
    height, width = image.shape
    shape = {"count": 1, "height": height, "width": width, "dtype": image.dtype, "compress": "lzw"}
    with rasterio.open(path, "w", driver="GTiff", **PLACE | shape | options) as target:
        target.write(image, 1)
        if mask is not None:
            target.write_mask(mask)
        for name in names:
            target.set_band_description(1, name)
        target.update_tags(TIFFTAG_DATETIME="2024:05:06 07:08:09", AREA_OR_POINT="Point")
    return path


def scene(height=300, width=350):
    """Noise in squares of 8 px, of which the net makes either class."""
    rng = np.random.default_rng(0)
    small = rng.integers(1, 256, (height // 8 + 1, width // 8 + 1), dtype=np.uint8)
    return np.kron(small, np.ones((8, 8), np.uint8))[:height, :width]


def is_map(labels, probabilities, nothing=False):
    """Whether labels are those of probabilities, and 255 where nothing was measured."""
    nothing = np.broadcast_to(nothing, labels.shape)
    return (labels[nothing] == 255).all() and same_labels(labels[~nothing], probabilities[~nothing])


def opened(path):
    return rasterio.open(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A scene, its map in chunks of 128 px, and the probabilities of the array."""
    folder = tmp_path_factory.mktemp("maps")
    image = scene(1100, 700)
    path = write(folder / "scene.tif", image, names=["red edge"], tiled=True)
    return path, predict_map(RUN, path, folder / "out" / "map.tif", chunk=128), predict(RUN, image, probabilities=True)


def test_the_map_is_the_prediction_of_the_array(made):
    _, out, expected = made
    with opened(out) as found:
        labels = found.read(1)
    assert is_map(labels, expected)
    assert 0.05 < labels.mean() < 0.95
    assert sorted(path.name for path in out.parent.iterdir()) == ["map.tif", "map.tif.aux.xml"]


def test_no_more_than_a_tile_of_the_image_is_read_at_once(made, tmp_path, monkeypatch):
    seen, stored = [], MapArray._stored

    def reading(self, rows, columns):
        seen.append((rows.stop - rows.start, columns.stop - columns.start))
        return stored(self, rows, columns)

    monkeypatch.setattr(MapArray, "_stored", reading)
    out = predict_map(RUN, made[0], tmp_path / "map.tif", chunk=128)
    height, width = map_settings(out)["tile"]
    assert max(rows for rows, _ in seen) <= height < 250
    assert max(columns for _, columns in seen) <= width < 250


def test_the_map_lies_on_the_image_and_says_its_classes(made):
    path, out, _ = made
    with opened(out) as found, opened(path) as image:
        assert (found.crs, found.transform, found.bounds) == (image.crs, image.transform, image.bounds)
        assert (found.nodata, found.dtypes, found.compression.name) == (255, ("uint8",), "deflate")
        assert (found.block_shapes, found.overviews(1)) == ([(512, 512)], [2, 4, 8])
        assert (found.colorinterp[0].name, found.colormap(1)[1]) == ("palette", (230, 159, 0, 255))
        assert found.colormap(1)[255] == (0, 0, 0, 0)
        assert found.tags(1) == {"CLASS_0": "background", "CLASS_1": "foreground"}
        assert found.descriptions == ("class",)
        assert (found.tags()["TIFFTAG_DATETIME"], found.tags()["BANDS"]) == ("2024:05:06 07:08:09", "red edge")
        # as the mode of four pixels is
        small = found.read(1, out_shape=(550, 350))
        assert (small[found.read(1).reshape(550, 2, 350, 2).sum((1, 3)) == 4] == 1).all()


def test_gdal_finds_the_names_of_the_classes(made, tmp_path):
    import rasterio.shutil

    rasterio.shutil.copy(made[1], tmp_path / "a.vrt", driver="VRT")
    assert "<Category>foreground</Category>" in (tmp_path / "a.vrt").read_text()


@pytest.mark.parametrize("options", [{"photometric": "rgb", "tiled": True}, {"interleave": "band"}])
def test_three_bands_are_three_channels(tmp_path, monkeypatch, options):
    keras.utils.set_random_seed(7)  # of a net that leaves few pixels undecided
    net = unet((None, None, 3), base_filters=2, depth=1)
    predictor = Predictor(net, Normalisation((90.0, 120.0, 140.0), (40.0, 50.0, 60.0), "uint8"))
    for module in (source, chunks):
        monkeypatch.setattr(module, "predictor_for", lambda net, model: predictor)
    image = np.stack([scene(), scene()[::-1], scene()[:, ::-1]])
    shape = {"count": 3, "height": 300, "width": 350, "dtype": "uint8", "compress": "lzw"}
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", **PLACE | shape | options) as target:
        target.write(image)
    expected = predictor.probabilities(image.transpose(1, 2, 0))
    with opened(predict_map(RUN, tmp_path / "a.tif", tmp_path / "map.tif", chunk=128)) as found:
        labels = found.read(1)
    assert is_map(labels, expected)
    assert 0.05 < labels.mean() < 0.95


def test_where_the_channels_of_the_net_have_no_measurement_there_is_no_class(tmp_path, monkeypatch):
    keras.utils.set_random_seed(7)
    predictor = Predictor(unet((None, None, 1), base_filters=2, depth=1), Normalisation((120.0,), (50.0,), "uint8"))
    predictor.channels = Channels(("2",), names=("", "", ""))
    for module in (source, chunks):
        monkeypatch.setattr(module, "predictor_for", lambda net, model: predictor)
    image = np.stack([scene(), scene(), scene()])
    image[2, 100:150, 200:300] = 0
    image[0, 10:20] = 0  # which says nothing of the third
    shape = {"count": 3, "height": 300, "width": 350, "dtype": "uint8", "nodata": 0}
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", **PLACE | shape) as target:
        target.write(image)
    expected = predictor.probabilities(image[2, ..., None], nodata=(0,))
    with opened(predict_map(RUN, tmp_path / "a.tif", tmp_path / "map.tif", chunk=128)) as found:
        assert is_map(found.read(1), expected, image[2] == 0)


@pytest.mark.parametrize(
    "transform",
    [
        rasterio.Affine(0.4, 0.3, 500_000, 0.3, -0.4, 5_400_000),
        rasterio.Affine(0.5, 0, 500_000, 0, 0.5, 5_400_000),
        rasterio.Affine(0.1 + 1e-12, 0, 1 / 3, 0, -0.3, 2 / 3),
    ],
)
def test_turned_and_south_up_images_keep_their_transform_to_the_bit(tmp_path, transform):
    path = write(tmp_path / "a.tif", scene(40, 50), transform=transform)
    with opened(predict_map(RUN, path, tmp_path / "map.tif")) as found, opened(path) as image:
        assert tuple(found.transform) == tuple(image.transform) == pytest.approx(tuple(transform))


def test_ground_control_points_are_kept(tmp_path):
    point = rasterio.control.GroundControlPoint
    points = [point(0, 0, 9, 50, 1), point(0, 50, 10, 50, 2), point(40, 0, 9, 49, 3)]
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = write(
            tmp_path / "a.tif", scene(40, 50), transform=rasterio.Affine.identity(), crs="EPSG:4326", gcps=points
        )
    with opened(predict_map(RUN, path, tmp_path / "map.tif")) as found, opened(path) as image:
        assert found.gcps[1] == "EPSG:4326"
        assert [one.asdict() for one in found.gcps[0]] == [one.asdict() for one in image.gcps[0]]


def test_an_image_that_lies_nowhere_is_predicted_and_said(tmp_path, caplog):
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = write(tmp_path / "a.tif", scene(40, 50), transform=rasterio.Affine.identity(), crs=None)
    out = predict_map(RUN, path, tmp_path / "map.tif")
    said = [record.getMessage() for record in caplog.records]
    assert f"{path} does not say where it lies, and its map will not either." in said
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning), opened(out) as found:
        np.testing.assert_array_equal(found.read(1), predict(RUN, scene(40, 50)))
        assert found.crs is None


def test_a_scene_that_is_a_link_to_a_file_without_a_suffix_is_predicted(tmp_path):
    write(tmp_path / "c0ffee", scene(40, 50))
    (tmp_path / "a.tif").symlink_to("c0ffee")
    with opened(predict_map(RUN, tmp_path / "a.tif", tmp_path / "map.tif")) as found:
        np.testing.assert_array_equal(found.read(1), predict(RUN, scene(40, 50)))


def test_a_link_to_a_scene_lies_where_the_files_beside_that_say(tmp_path):
    (tmp_path / "archive").mkdir()
    write_picture(tmp_path / "archive" / "a.tif", scene(40, 50))
    (tmp_path / "archive" / "a.tfw").write_text("0.5\n0\n0\n-0.5\n1000\n2000\n")
    (tmp_path / "b.tif").symlink_to(tmp_path / "archive" / "a.tif")
    with opened(predict_map(RUN, tmp_path / "b.tif", tmp_path / "map.tif")) as found:
        assert tuple(found.transform)[:6] == (0.5, 0, 999.75, 0, -0.5, 2000.25)


def test_pixels_of_the_nodata_value_are_the_mean_and_255_in_the_map(tmp_path):
    image = scene()
    image[100:150, 200:300] = 0
    out = predict_map(RUN, write(tmp_path / "a.tif", image, nodata=0), tmp_path / "map.tif", chunk=128)
    with opened(out) as found:
        assert is_map(found.read(1), Predictor(RUN).probabilities(image, nodata=(0,)), image == 0)
    assert map_nodata(out) == (0.0,)


def test_pixels_outside_of_the_mask_are_the_mean_and_255_in_the_map(tmp_path):
    image, mask = scene(), np.full((300, 350), 255, np.uint8)
    mask[:90, 200:] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = write(tmp_path / "a.tif", image, mask=mask)
    with opened(predict_map(RUN, path, tmp_path / "map.tif", chunk=128)) as found:
        labels = found.read(1)
    image[mask == 0] = 106  # the mean of the training images
    assert is_map(labels, predict(RUN, image, probabilities=True), mask == 0)
    assert map_nodata(tmp_path / "map.tif") == ()


def test_turned_tiles_are_averaged_as_elsewhere(tmp_path):
    path = write(tmp_path / "a.tif", scene())
    out = predict_map(RUN, path, tmp_path / "map.tif", chunk=128, tta="rotations")
    with opened(out) as found:
        assert is_map(found.read(1), predict(RUN, scene(), tta="rotations", probabilities=True))


def test_of_a_large_scene_it_is_said_that_its_map_is_written(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "unet_tf")
    for stride, said in ((512, 0), (256, 1)):
        monkeypatch.setattr(maps, "STRIDE", stride)
        predict_map(RUN, write(tmp_path / "a.tif", scene()), tmp_path / f"{stride}.tif", chunk=512)
        assert sum("All chunks are there" in record.getMessage() for record in caplog.records) == said


def test_the_last_of_the_jobs_that_share_chunks_writes_the_map(tmp_path):
    path, out = write(tmp_path / "a.tif", scene()), tmp_path / "map.tif"
    predict_map(RUN, path, out, chunk=128, shard="2/2")
    assert not out.exists()
    assert (tmp_path / "map.tif.parts.zarr").is_dir()
    predict_map(RUN, path, out, chunk=128, shard="1/2")
    with opened(out) as found:
        assert is_map(found.read(1), predict(RUN, scene(), probabilities=True))
    assert not (tmp_path / "map.tif.parts.zarr").exists()


def test_of_two_jobs_that_end_at_once_one_writes_the_map_and_neither_fails(tmp_path, monkeypatch):
    path, out, write_map = write(tmp_path / "a.tif", scene(40, 50)), tmp_path / "map.tif", maps._write

    def after_another(*arguments):
        monkeypatch.setattr(maps, "_write", write_map)
        predict_map(RUN, path, out)
        write_map(*arguments)

    monkeypatch.setattr(maps, "_write", after_another)
    predict_map(RUN, path, out)
    with opened(out) as found:
        np.testing.assert_array_equal(found.read(1), predict(RUN, scene(40, 50)))


def test_chunks_that_are_removed_while_they_are_put_together_are_no_background(tmp_path, monkeypatch):
    path, out, windows = write(tmp_path / "a.tif", scene(40, 50)), tmp_path / "map.tif", maps._windows

    def remove(*shape):
        next((tmp_path / "map.tif.parts.zarr").rglob("c/0/0")).unlink()
        return windows(*shape)

    monkeypatch.setattr(maps, "_windows", remove)
    with pytest.raises(InputError, match=r"parts\.zarr must stay while it is in use"):
        predict_map(RUN, path, out)
    assert not out.exists()


def test_a_chunk_of_another_job_that_cannot_be_decoded_is_named_and_predicted_anew_once_it_is_gone(tmp_path):
    path, out = write(tmp_path / "a.tif", scene()), tmp_path / "map.tif"
    predict_map(RUN, path, out, chunk=128, shard="2/2")
    file = tmp_path / "map.tif.parts.zarr" / "0" / "c" / "1" / "0"
    file.write_bytes(b"\0" * 20)
    with pytest.raises(InputError, match=rf"{file} cannot be read: .*\. Remove it, and predict what is left\."):
        predict_map(RUN, path, out, chunk=128, shard="1/2")
    assert not out.exists()
    file.unlink()
    predict_map(RUN, path, out, chunk=128)
    with opened(out) as found:
        assert is_map(found.read(1), predict(RUN, scene(), probabilities=True))


def test_an_empty_chunk_of_another_job_is_left_to_it(tmp_path):
    path, out = write(tmp_path / "a.tif", scene()), tmp_path / "map.tif"
    predict_map(RUN, path, out, chunk=128, shard="2/2")
    (tmp_path / "map.tif.parts.zarr" / "0" / "c" / "1" / "0").write_bytes(b"")  # as a machine that stops may leave it
    predict_map(RUN, path, out, chunk=128, shard="1/2")
    assert not out.exists()
    predict_map(RUN, path, out, chunk=128, shard="2/2")
    with opened(out) as found:
        assert is_map(found.read(1), predict(RUN, scene(), probabilities=True))


def test_a_call_that_is_stopped_goes_on(tmp_path):
    path, out = write(tmp_path / "a.tif", scene()), tmp_path / "map.tif"
    with pytest.raises(Stopped):
        predict_map(RUN, path, out, chunk=128, on_chunk=lambda done, total: done == 3 and tell())
    assert not out.exists()
    before = list((tmp_path / "map.tif.parts.zarr").rglob("c/*/*"))
    assert 3 <= len(before) < 9
    pixels = []
    predict_map(RUN, path, out, on_pixels=pixels.append)
    assert len(pixels) == 9 - len(before)
    with opened(out) as found:
        assert is_map(found.read(1), predict(RUN, scene(), probabilities=True))
    pixels.clear()
    predict_map(RUN, path, out, on_pixels=pixels.append)  # nothing is left to do
    assert pixels == []


def test_a_call_that_is_stopped_while_chunks_are_put_together_leaves_no_half_map(tmp_path, monkeypatch):
    path, out, windows = write(tmp_path / "a.tif", scene(40, 50)), tmp_path / "map.tif", maps._windows

    def stopping(*shape):
        tell()
        return windows(*shape)

    monkeypatch.setattr(maps, "_windows", stopping)
    with pytest.raises(Stopped):
        predict_map(RUN, path, out)
    monkeypatch.undo()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.tif", "map.tif.parts.zarr"]
    predict_map(RUN, path, out, on_pixels=lambda pixels: pytest.fail("a chunk is computed again"))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.tif", "map.tif", "map.tif.aux.xml"]


def test_a_disk_that_is_full_at_any_byte_is_said_and_leaves_no_map(tmp_path, monkeypatch):
    path = write(tmp_path / "a.tif", scene(600, 600))
    whole = predict_map(RUN, path, tmp_path / "whole.tif").stat().st_size
    write_map, done = maps._write, []

    def limited(*arguments):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))  # Python ignores the signal
        try:
            write_map(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    monkeypatch.setattr(maps, "_write", limited)
    for limit in range(0, whole, whole // 16):  # noqa: B007 - used by `limited`
        with pytest.raises(InputError, match=r"Cannot write .*map\.tif: "):
            predict_map(RUN, path, tmp_path / "map.tif", on_pixels=done.append)
        names = sorted(one.name for one in tmp_path.iterdir())
        assert names == ["a.tif", "map.tif.parts.zarr", "whole.tif", "whole.tif.aux.xml"]
    assert len(done) == 1  # chunks are computed once
    monkeypatch.undo()
    assert predict_map(RUN, path, tmp_path / "map.tif").stat().st_size == whole


@pytest.mark.parametrize("tta", ["none", "all"])
def test_a_map_that_cannot_be_written_anew_is_said_and_the_same_command_goes_on_without_overwrite(
    tmp_path, monkeypatch, tta
):
    path, out = write(tmp_path / "a.tif", scene(40, 50)), tmp_path / "map.tif"
    kept = predict_map(RUN, path, out).read_bytes()

    def full(parts, source, out, overwrite):
        raise maps._refusal(out, "No space left on device", overwrite)

    with monkeypatch.context() as patched:
        patched.setattr(maps, "_write", full)
        words = r"No space left on device\. Free space\. The same command without --overwrite does what is left\."
        with pytest.raises(InputError, match=words):
            predict_map(RUN, path, out, tta=tta, overwrite=True)
    assert out.read_bytes() == kept
    before = identity(out)
    predict_map(RUN, path, out, tta=tta, on_pixels=lambda pixels: pytest.fail("a chunk is computed again"))
    assert identity(out) != before
    assert map_settings(out)["tta"] == tta
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.tif", "map.tif", "map.tif.aux.xml"]


def test_chunks_that_a_killed_process_left_beside_its_map_are_removed_unless_they_are_in_use(tmp_path, monkeypatch):
    path, out, parts = write(tmp_path / "a.tif", scene(40, 50)), tmp_path / "map.tif", tmp_path / "map.tif.parts.zarr"
    with monkeypatch.context() as patched:
        patched.setattr(maps.shutil, "rmtree", lambda *arguments, **settings: None)
        predict_map(RUN, path, out)
    assert parts.is_dir()
    kept = identity(out)
    with held(parts):
        predict_map(RUN, path, out, on_pixels=lambda pixels: pytest.fail("a chunk is computed again"))
    assert parts.is_dir()
    predict_map(RUN, path, out, on_pixels=lambda pixels: pytest.fail("a chunk is computed again"))
    assert not parts.exists()
    assert identity(out) == kept


def test_chunks_of_a_stopped_call_with_other_settings_stay_and_are_named(tmp_path, caplog):
    path, out, parts = write(tmp_path / "a.tif", scene()), tmp_path / "map.tif", tmp_path / "map.tif.parts.zarr"
    predict_map(RUN, path, out)
    kept = identity(out)
    with pytest.raises(Stopped):
        predict_map(
            RUN, path, out, chunk=128, tta="rotations", overwrite=True, on_chunk=lambda done, _: done == 3 and tell()
        )
    before = sorted(parts.rglob("*"))
    predict_map(RUN, path, out, on_pixels=lambda pixels: pytest.fail("a chunk is computed again"))
    assert (sorted(parts.rglob("*")), identity(out)) == (before, kept)
    assert f"{parts} stays: it does not hold chunks of the map that is there" in caplog.text
    predict_map(RUN, path, out, tta="rotations")
    assert map_settings(out)["tta"] == "rotations"
    assert "overwrite" not in map_settings(out)
    assert not parts.exists()


def test_a_folder_of_the_name_of_the_chunks_stays(tmp_path):
    path, out, mine = write(tmp_path / "a.tif", scene(40, 50)), tmp_path / "map.tif", tmp_path / "map.tif.parts.zarr"
    predict_map(RUN, path, out)
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    predict_map(RUN, path, out)
    assert (mine / "notes.txt").read_text() == "mine"


def test_chunks_that_a_slower_job_began_when_the_map_was_whole_replace_no_map(tmp_path):
    path, out, parts = write(tmp_path / "a.tif", scene(40, 50)), tmp_path / "map.tif", tmp_path / "map.tif.parts.zarr"
    predict_map(RUN, path, out)
    kept = identity(out)
    predict_large(RUN, path, parts, is_map=True)
    assert (parts / "0" / "zarr.json").stat().st_mtime_ns > out.stat().st_mtime_ns
    predict_map(RUN, path, out, on_pixels=lambda pixels: pytest.fail("a chunk is computed again"))
    assert identity(out) == kept
    assert not parts.exists()


def test_what_does_not_fit_is_refused_and_nothing_is_lost(made, tmp_path):
    path, out, _ = made
    kept = out.read_bytes()
    with pytest.raises(
        InputError, match=r"map\.tif is a map with other settings: tta none there, all here.*--overwrite"
    ):
        predict_map(RUN, path, out, tta="all")
    other = write(tmp_path / "other.tif", scene(40, 50))
    for overwrite in (False, True):
        with pytest.raises(InputError, match=r"other\.tif exists and is no map of unet_tf"):
            predict_map(RUN, path, other, overwrite=overwrite)
    with pytest.raises(InputError, match=r"other\.tif is the input, and the map would replace it"):
        predict_map(RUN, other, other)
    with pytest.raises(InputError, match=r"A map is written into NAME\.tif; received 'a\.png'"):
        predict_map(RUN, other, tmp_path / "a.png")
    with pytest.raises(InputError, match=r"A map is made of a GeoTIFF file, NAME\.tif; received 'a\.png'"):
        predict_map(RUN, tmp_path / "a.png", tmp_path / "map.tif")
    wide = write(tmp_path / "wide.tif", scene(40, 50).astype(np.float32))
    with pytest.raises(InputError, match=r"wide\.tif holds float32 pixels, and the net was trained on uint8"):
        predict_map(RUN, wide, tmp_path / "map.tif")
    (tmp_path / "short.tif").write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(InputError, match=r"short\.tif .*(not a complete|cannot be)"):
        predict_map(RUN, tmp_path / "short.tif", tmp_path / "map.tif")
    assert not (tmp_path / "map.tif").exists()
    assert out.read_bytes() == kept


def test_overwrite_begins_anew(tmp_path):
    path, out = write(tmp_path / "a.tif", scene(40, 50)), tmp_path / "map.tif"
    predict_map(RUN, path, out)
    predict_map(RUN, path, out, tta="all", overwrite=True)
    assert map_settings(out)["tta"] == "all"
    write(path, scene(40, 50)[::-1])
    with pytest.raises(InputError, match=r"other settings: state "):
        predict_map(RUN, path, out, tta="all")


def test_a_map_parts_at_the_threshold_and_another_one_is_another_map(calibrated, tmp_path):
    run, image = calibrated(1.4, 0.45), scene()
    path, out = write(tmp_path / "scene.tif", image), tmp_path / "map.tif"
    p = predict(run, image, probabilities=True)[..., 1]
    with opened(predict_map(run, path, out, chunk=128)) as found:
        np.testing.assert_array_equal((found.read(1) == 1)[abs(p - 0.45) > 1e-5], (p > 0.45)[abs(p - 0.45) > 1e-5])
    with pytest.raises(InputError, match="threshold 0.45 there, 0.6 here"):
        predict_map(run, path, out, chunk=128, threshold=0.6)
    with opened(predict_map(run, path, out, chunk=128, threshold=0.6, overwrite=True)) as found:
        np.testing.assert_array_equal((found.read(1) == 1)[abs(p - 0.6) > 1e-5], (p > 0.6)[abs(p - 0.6) > 1e-5])


def test_what_a_program_says_of_the_planes_of_a_scene_is_not_said_of_its_map(tmp_path):
    """The map has one band, and would be read as damaged if it were said to have more."""

    def described(count):
        path = write(tmp_path / f"{count}.tif", scene(40, 50))
        said = f'{{"shape": [{count}, 40, 50], "axes": "CYX"}}'
        with rasterio.open(path, "r+") as target:
            target.update_tags(TIFFTAG_IMAGEDESCRIPTION=said, TIFFTAG_ARTIST="me")
        return path

    out = predict_map(RUN, described(1), tmp_path / "map.tif")
    with opened(out) as found:
        assert (found.tags().get("TIFFTAG_IMAGEDESCRIPTION"), found.tags()["TIFFTAG_ARTIST"]) == (None, "me")
    with pytest.raises(InputError, match=r"Cannot write .*map\.tif: not all of it came to the disk \(.*3 channels"):
        maps._check_written(described(3), out, overwrite=False)
