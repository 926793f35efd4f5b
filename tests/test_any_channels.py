"""Pictures of any number of channels, the whole way: train, predict files and an array, export, verify, edge."""

import logging

import numpy as np
import pytest
import tensorflow as tf
import tifffile
import zarr
from agreement import same_labels

import unet_tf
from unet_tf.data.channels import Channels
from unet_tf.data.pictures import read_image, write_picture, write_stack
from unet_tf.edge.__main__ import segment
from unet_tf.errors import InputError
from unet_tf.planning.page import write_overview

SIDE = 32
TINY = {"base_filters": 4, "depth": 1, "tile": 32, "batch_size": 2, "precision": "float32", "padding": "same"}
COURSE = {"epochs": 1, "steps_per_epoch": 2, "classes": 2, "warped": 1.0, "optimizer": "sgd"}


def pictures(channels, count=4, dtype=np.uint8):
    """Noise with a brighter square in the last channel alone, and the square."""
    rng = np.random.default_rng(channels)
    for number in range(count):
        image = rng.integers(0, 60, (SIDE, SIDE, channels)).astype(dtype)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[4 + number : 20, 6:24] = 1
        image[..., -1] += (100 * mask).astype(dtype)
        yield f"p{number}", image, mask


def as_npy(path, image):
    np.save(path.with_suffix(".npy"), image)
    return path.with_suffix(".npy")


def as_rgbn(path, image):
    tifffile.imwrite(path.with_suffix(".tif"), image, photometric="rgb", extrasamples=["unspecified"])
    return path.with_suffix(".tif")


def as_ome(path, image):
    names = [f"dye {n}" for n in range(image.shape[2])]
    planes, told = np.moveaxis(image, -1, 0), {"axes": "CYX", "Channel": {"Name": names}}
    tifffile.imwrite(path.with_suffix(".ome.tif"), planes, ome=True, metadata=told, photometric="minisblack")
    return path.with_suffix(".ome.tif")


def as_bands(path, image):
    planes = np.moveaxis(image, -1, 0)
    tifffile.imwrite(path.with_suffix(".tif"), planes, planarconfig="separate", photometric="minisblack", metadata=None)
    return path.with_suffix(".tif")


@pytest.mark.parametrize(
    ("channels", "write", "dtype"),
    [(2, as_npy, np.uint16), (4, as_rgbn, np.uint8), (5, as_ome, np.float32), (13, as_bands, np.uint16)],
)
def test_channels_go_the_whole_way(tmp_path, channels, write, dtype, caplog):
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    files = []
    for name, image, mask in pictures(channels, dtype=dtype):
        files.append(write(data / "images" / name, image))
        np.testing.assert_array_equal(read_image(files[-1]), image)
        write_picture(data / "masks" / f"{files[-1].stem}.png", mask * 255)
    assert not (found := unet_tf.check(data)).problems
    assert list(found.splits["train"].kinds) == [f"{np.dtype(dtype)} {channels} channels"]
    assert len(found.channels) == channels
    assert f"of {channels} as red, green" in write_overview(found, tmp_path / "page").read_text()
    run = unet_tf.train(data, tmp_path / "run", **TINY, **COURSE)
    assert run.normalisation.channels == run.model.input_shape[-1] == channels
    each = np.stack([read_image(file) for file in files if file.name[:2] in " ".join(run.names("train"))])
    np.testing.assert_allclose(run.normalisation.mean, each.mean((0, 1, 2), dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(run.normalisation.std, each.std((0, 1, 2), dtype=np.float64), rtol=1e-5)

    outcome = unet_tf.predict_files(run, data / "images", tmp_path / "masks", overlay=True)
    assert (outcome.failed, outcome.written) == ((), 4)
    expected = unet_tf.predict(run, image)
    drawn = read_image(tmp_path / "masks" / f"{files[-1].stem}.png")[..., 0]
    np.testing.assert_array_equal(drawn, run.masks.mask(expected))
    array = zarr.create_array(str(tmp_path / "a.zarr"), data=np.moveaxis(image, -1, 0), dimension_names="cyx")
    assert array.shape == (channels, SIDE, SIDE)
    unet_tf.predict_large(run, tmp_path / "a.zarr", tmp_path / "a_mask.zarr")
    np.testing.assert_array_equal(zarr.open_array(str(tmp_path / "a_mask.zarr/0"))[:], expected)

    variants = ["float32", "uint8"] if channels == 4 else ["float32"]
    with caplog.at_level(logging.WARNING):
        unet_tf.export(run, tmp_path / "bundle", variants=variants, max_iou_drop=1.0)
    assert "no signature `encoded`" in caplog.text
    saved = tf.saved_model.load(str(tmp_path / "bundle/saved_model/1")).signatures
    assert saved.keys() == {"serving_default", "probabilities"}
    assert "no signature `encoded`" in (tmp_path / "bundle/MODEL_CARD.md").read_text()
    assert unet_tf.verify(tmp_path / "bundle", data).faults == []
    for variant in variants:
        segment(tmp_path / f"bundle/model_{variant}.tflite", files[-1], tmp_path / f"{variant}.png")
    found = run.masks.label(read_image(tmp_path / "float32.png")[..., 0])
    assert same_labels(found, unet_tf.predict(run, image, probabilities=True), 2e-4)


def test_two_files_are_one_picture_the_whole_way(tmp_path):
    data = tmp_path / "data"
    for name, image, mask in pictures(2):
        for number, dye in enumerate(("_dapi", "_gfp")):
            write_picture(data / "images" / f"{name}{dye}.png", image[..., number])
        write_picture(data / "masks" / f"{name}.png", mask * 255)
    said = {"channel_suffix": "_dapi,_gfp", "channels": "gfp,dapi"}
    assert not unet_tf.check(data, **said).problems
    run = unet_tf.train(data, tmp_path / "run", **TINY, **COURSE, **said)
    assert run.channels == Channels(("gfp", "dapi"), ("_dapi", "_gfp"), 0, ("dapi", "gfp"))
    assert (run.plan.channels, run.plan.channel_suffix) == (("gfp", "dapi"), ("_dapi", "_gfp"))
    assert unet_tf.evaluate(run, data, "all").confusion.sum() == 4 * SIDE**2

    outcome = unet_tf.predict_files(run, data / "images", tmp_path / "masks")
    assert (outcome.failed, outcome.written) == ((), 4)
    assert sorted(path.name for path in (tmp_path / "masks").glob("*.png")) == [f"p{n}.png" for n in range(4)]
    drawn = read_image(tmp_path / "masks/p3.png")[..., 0]
    np.testing.assert_array_equal(drawn, run.masks.mask(unet_tf.predict(run, image[..., ::-1])))
    assert unet_tf.predict_files(run, data / "images", tmp_path / "masks").skipped == 4
    write_picture(data / "images/p3_gfp.png", image[..., 1])  # written anew
    outcome = unet_tf.predict_files(run, data / "images", tmp_path / "masks")
    assert (outcome.skipped, outcome.written) == (3, 1)
    with pytest.raises(InputError, match=r"end in _dapi, _gfp; .*p0\.png does not"):
        unet_tf.predict_files(run, data / "masks", tmp_path / "others")
    unet_tf.predict_files(run, data / "images", tmp_path / "drawn", polygons="labelme", overlay=True)
    with pytest.raises(InputError, match=r"Say --channel-suffix _dapi,_gfp\."):
        unet_tf.import_annotations(tmp_path / "drawn", tmp_path / "corrected", images=data)
    with pytest.raises(InputError, match="is one array. Predict the files into a folder"):
        zarr.create_array(str(tmp_path / "a.zarr"), data=image, dimension_names="yxc")
        unet_tf.predict_large(run, tmp_path / "a.zarr", tmp_path / "a_mask.zarr")

    apart = tmp_path / "apart"
    apart.mkdir()
    for number, dye in enumerate(("_dapi", "_gfp")):  # 20 m apart
        scale, place = (33550, "d", 3, (0.5, 0.5, 0.0), True), (33922, "d", 6, (0, 0, 0, 20.0 * number, 50, 0), True)
        tifffile.imwrite(apart / f"q{dye}.tif", image[..., number], extratags=[scale, place])
    outcome = unet_tf.predict_files(run, [apart, data / "images"], tmp_path / "both")
    assert (len(outcome.failed), outcome.written) == (1, 4)
    assert "q_dapi.tif has x 0 to 16, y 34 to 50; " in outcome.failed[0]

    some = tmp_path / "some"  # of which one picture is whole
    for name in ("a_dapi", "a_gfp", "b_dapi", "c_gfp", "a", "d_bright"):
        write_picture(some / f"{name}.png", image[..., 0])
    outcome = unet_tf.predict_files(run, some, tmp_path / "of_some", instances=True)
    assert (outcome.written, len(outcome.failed)) == (1, 4)
    said = {"a": "does not", "b_dapi": "no b_gfp.png", "c_gfp": "no c_dapi.png", "d_bright": "does not"}
    for words, (name, why) in zip(outcome.failed, said.items(), strict=True):
        assert f"/{name}.png" in words and why in words
    assert {path.name for path in (tmp_path / "of_some").glob("a*")} == {"a.png", "a_instances.tif", "a_objects.csv"}
    again = unet_tf.predict_files(run, some, tmp_path / "of_some", instances=True)
    assert (again.skipped, len(again.failed)) == (1, 4)
    write_picture(some / "b_gfp.png", image[..., 1])
    again = unet_tf.predict_files(run, some, tmp_path / "of_some", instances=True)
    assert (again.skipped, again.written, len(again.failed)) == (1, 1, 3)
    with pytest.raises(InputError, match=r"a\.png, which .*a_dapi\.png would write, is an input"):
        unet_tf.predict_files(run, some, some)

    unet_tf.export(run, tmp_path / "bundle", variants=["float32"], max_iou_drop=1.0)
    assert unet_tf.verify(tmp_path / "bundle", data / "images").faults == []
    net = tmp_path / "bundle/model_float32.tflite"
    segment(net, data / "images/p3_gfp.png", tmp_path / "edge.png")
    found = run.masks.label(read_image(tmp_path / "edge.png")[..., 0])
    assert same_labels(found, unet_tf.predict(run, image[..., ::-1], probabilities=True), 2e-4)
    (data / "images/p3_dapi.png").unlink()
    with pytest.raises(InputError, match=r"beside .*p3_gfp\.png there is no p3_dapi\.png"):
        segment(net, data / "images/p3_gfp.png", tmp_path / "edge.png")


def test_neighbouring_planes_are_channels_the_whole_way(tmp_path):
    data = tmp_path / "data"
    for name, of in (("a", 0), ("b", 100)):
        made = [(n, image + np.uint8(of), mask) for n, image, mask in pictures(1)]
        (data / "images").mkdir(parents=True, exist_ok=True)
        planes = np.stack([image[..., 0] for _, image, _ in made])
        tifffile.imwrite(data / f"images/{name}.tif", planes, metadata={"axes": "ZYX"}, photometric="minisblack")
        write_stack(data / f"masks/{name}.tif", [mask * 255 for *_, mask in made])
    run = unet_tf.train(data, tmp_path / "run", **TINY, **COURSE, context=1)
    assert run.normalisation.channels == 3
    assert run.channels.taken == ("z-1 0", "z+0 0", "z+1 0")
    assert unet_tf.predict_files(run, data / "images/b.tif", tmp_path / "masks").written == 1
    unet_tf.predict_large(run, data / "images/b.tif", tmp_path / "a.zarr")
    expected = [unet_tf.predict(run, np.dstack([planes[z] for z in (abs(n - 1), n, 3 - abs(2 - n))])) for n in range(4)]
    np.testing.assert_array_equal(zarr.open_array(str(tmp_path / "a.zarr/0"))[:], expected)
    for page, label in enumerate(expected):
        drawn = read_image(tmp_path / "masks/b.tif", page)[..., 0]
        np.testing.assert_array_equal(drawn, run.masks.mask(label))


def test_a_gap_in_one_channel_is_seen_alike_by_all_that_predict(tmp_path, monkeypatch):
    rasterio = pytest.importorskip("rasterio")
    data, other = tmp_path / "data", tmp_path / "other"
    for folder in (data, other):
        (folder / "images").mkdir(parents=True)
    for name, image, mask in pictures(2, dtype=np.int16):
        if name == "p0":
            image[:9, :, 1] = -9999
        as_bands(data / "images" / name, image)
        write_picture(data / "masks" / f"{name}.png", mask * 255)
    run = unet_tf.train(data, tmp_path / "run", **TINY, **COURSE, val_share=0)
    assert run.normalisation.nodata == (-9999.0,)

    filled = image.copy()
    image[2:12, 3:20, 0], image[9:20, 8:30, 1], image[28:, 28:] = -30000, -9999, (-30000, -9999)
    gone = image < -5000
    filled[gone] = np.broadcast_to(np.rint(run.normalisation.mean), image.shape)[gone]
    file = as_bands(other / "images/a", image)
    write_picture(other / "masks/a.png", mask * 255)
    expected = unet_tf.predict(run, filled, probabilities=True)
    unet_tf.predict_files(run, file, tmp_path / "masks", probabilities=True)
    written = np.load(tmp_path / "masks/a.npy")
    # the known value is the very mean, which is no whole number
    np.testing.assert_allclose(written, expected, atol=0.01)

    seen, wanted = [], unet_tf.Predictor.probabilities
    monkeypatch.setattr(
        unet_tf.Predictor, "probabilities", lambda *args, **more: seen.append(wanted(*args, **more)) or seen[-1]
    )
    unet_tf.evaluate(run, other, "all")
    np.testing.assert_array_equal(seen, [written])

    label = written.argmax(-1)
    array = zarr.create_array(str(tmp_path / "a.zarr"), data=np.moveaxis(image, -1, 0), dimension_names="cyx")
    assert array.shape == (2, SIDE, SIDE)
    unet_tf.predict_large(run, tmp_path / "a.zarr", tmp_path / "a_mask.zarr")
    np.testing.assert_array_equal(zarr.open_array(str(tmp_path / "a_mask.zarr/0"))[:], label)
    place = {"crs": "EPSG:25832", "transform": rasterio.Affine(1, 0, 5e5, 0, -1, 54e5), "dtype": "int16"}
    with rasterio.open(tmp_path / "m.tif", "w", driver="GTiff", count=2, height=SIDE, width=SIDE, **place) as target:
        target.write(np.moveaxis(image, -1, 0))
    unet_tf.predict_map(run, tmp_path / "m.tif", tmp_path / "map.tif")
    with rasterio.open(tmp_path / "map.tif") as found:
        np.testing.assert_array_equal(found.read(1), np.where(gone.all(-1), 255, label))
