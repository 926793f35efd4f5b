import json

import numpy as np
import pytest
import tifffile
from kinds_of_files import kinds

from unet_tf.data.pictures import read_image
from unet_tf.data.volumes import open_volume
from unet_tf.errors import InputError

zarr = pytest.importorskip("zarr")


def array_of(*shape):
    return np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)


def write_zarr(path, array, **options):
    made = zarr.create_array(str(path), shape=array.shape, dtype=array.dtype, chunks=(2,) * array.ndim, **options)
    made[...] = array
    return path


def write_ome(path, array, version, axes, scale=None):
    """An OME-Zarr image, whose level 0 is called "full"."""
    level = {"path": "full"}
    if scale:
        level["coordinateTransformations"] = [{"type": "scale", "scale": scale}]
    described = [{"name": name, "type": "space", "unit": "micrometer"} for name in axes]
    multiscales = [{"axes": described, "datasets": [level, {"path": "half"}]}]
    attributes = {"ome": {"version": "0.5", "multiscales": multiscales}}
    if version == 2:
        attributes = {"multiscales": multiscales}
    group = zarr.create_group(str(path), zarr_format=version, attributes=attributes)
    group.create_array("full", data=array, chunks=(2,) * array.ndim)
    return path


def scale(*sizes):
    return {"type": "scale", "scale": sizes}


def moved(*steps):
    return {"type": "translation", "translation": steps}


def test_planes_of_a_plain_array(tmp_path):
    array = array_of(2, 3, 5, 7)
    volume = open_volume(write_zarr(tmp_path / "a.zarr", array))
    assert (volume.shape, volume.planes) == ((5, 7), (2, 3))
    plane = volume.plane(4)
    assert (plane.shape, plane.dtype) == ((5, 7, 1), np.uint16)
    np.testing.assert_array_equal(plane[1:3, 2:7], array[1, 1, 1:3, 2:7, None])


def test_the_last_of_three_axes_is_colour_where_it_has_3(tmp_path):
    array = array_of(5, 7, 3)
    volume = open_volume(write_zarr(tmp_path / "a.zarr", array))
    assert (volume.planes, volume.plane(0).shape) == ((), (5, 7, 3))
    np.testing.assert_array_equal(volume.plane(0)[0:5, 0:7], array)


def test_axes_can_be_named(tmp_path):
    array = array_of(3, 5, 7)
    path = write_zarr(tmp_path / "a.zarr", array)
    turned = open_volume(path, axes="cyx").plane(0)
    np.testing.assert_array_equal(turned[0:5, 0:7], array.transpose(1, 2, 0))
    across = open_volume(path, axes="xzy")
    assert (across.shape, across.planes) == ((7, 3), (5,))
    np.testing.assert_array_equal(across.plane(2)[0:7, 0:3], array[:, 2].T[..., None])


@pytest.mark.parametrize(
    ("shape", "names", "colours", "planes"),
    [
        ((3, 5, 7), None, "cyx", "zyx"),
        ((2, 3, 5, 7), None, "tcyx", "tzyx"),
        ((3, 5, 7), ("slice", "y", "x"), "cyx", "zyx"),
        ((3, 3, 5, 7), ("band", "channel", "y", "x"), "czyx", "tzyx"),
        ((3, 2, 5, 7), ("b", "z", "y", "x"), "czyx", "bzyx"),
    ],
)
def test_an_axis_that_may_be_the_channels_of_the_net_must_be_named(tmp_path, shape, names, colours, planes):
    path = write_zarr(tmp_path / "a.zarr", array_of(*shape), **({"dimension_names": names} if names else {}))
    words = rf"the 3 channels of the net, .*: --axes {colours} if it counts channels, --axes {planes} if planes\."
    with pytest.raises(InputError, match=words):
        open_volume(path, channels=3)
    assert open_volume(path, colours, 3).plane(0).shape == (5, 7, 3)
    assert open_volume(path, planes, 3).plane(0).shape == (5, 7, 1)
    for channels in (None, 1, 4):
        assert open_volume(path, channels=channels).plane(0).shape == (5, 7, 1)


@pytest.mark.parametrize("names", ["tyx", "zyx"])
def test_planes_that_a_file_names_are_planes_however_many(tmp_path, names):
    path = write_zarr(tmp_path / "a.zarr", array_of(3, 5, 7), dimension_names=names)
    assert open_volume(path, channels=3).planes == (3,)
    tifffile.imwrite(tmp_path / "pages.tif", array_of(3, 5, 7), photometric="minisblack", metadata=None)
    assert open_volume(tmp_path / "pages.tif", channels=3).planes == (3,)


def test_names_of_dimensions_in_zarr_3_count(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", array_of(5, 7, 4), dimension_names=("y", "x", "z"))
    volume = open_volume(path)
    assert (volume.shape, volume.planes) == ((5, 7), (4,))


def write_xarray(path, array, names):
    """An array of zarr 2 with names of its axes, as xarray writes them."""
    zarr.open_array(str(write_zarr(path, array, zarr_format=2)), mode="r+").attrs["_ARRAY_DIMENSIONS"] = names
    return path


def test_names_of_dimensions_of_xarray_in_zarr_2_count(tmp_path):
    array = array_of(5, 7, 6)
    volume = open_volume(write_xarray(tmp_path / "a.zarr", array, ["y", "x", "time"]))
    assert (volume.axes, volume.shape, volume.planes) == (("y", "x", "time"), (5, 7), (6,))
    np.testing.assert_array_equal(volume.plane(2)[0:5, 0:7], array[..., 2, None])
    turned = open_volume(write_xarray(tmp_path / "b.zarr", array, ["time", "x", "y"])).plane(1)
    np.testing.assert_array_equal(turned[0:6, 0:7], array[1].T[..., None])
    unnamed = open_volume(write_xarray(tmp_path / "d.zarr", array, ["dim_0", "dim_1", "dim_2"]))
    assert (unnamed.axes, unnamed.planes) == (("d0", "y", "x"), (5,))
    half = open_volume(write_xarray(tmp_path / "e.zarr", array, ["y", "x", "dim_2"]))
    assert (half.axes, half.planes) == (("y", "x", "dim_2"), (6,))
    path = write_xarray(tmp_path / "c.zarr", array, ["time", "lat", "lon"])
    with pytest.raises(InputError, match="are time, lat, lon, and each must be named once, .* --axes tzyx"):
        open_volume(path)
    assert open_volume(path, "tyx").planes == (5,)


@pytest.mark.parametrize("names", [["y", "x"], ["z", "y", None], "zyx", 3, []])
def test_names_of_dimensions_that_do_not_fit_are_none(tmp_path, names):
    assert open_volume(write_xarray(tmp_path / "a.zarr", array_of(5, 7, 6), names)).axes == ("d0", "y", "x")


def test_names_of_one_letter_may_be_large(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", array_of(3, 5, 7), dimension_names=("Z", "Y", "X"))
    assert open_volume(path, channels=3).axes == ("z", "y", "x")
    assert open_volume(write_ome(tmp_path / "b.zarr", array_of(4, 5, 7), 3, "CYX")).plane(0).shape == (5, 7, 4)


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize(
    ("name", "made"),
    [("band", write_xarray), ("Channel", write_xarray), ("wavelength", write_xarray), ("channels", write_ome)],
)
def test_an_axis_that_is_called_after_channels_is_one(tmp_path, name, made, count):
    array, names = array_of(2, count, 5, 7), ["time", name, "y", "x"]
    path = made(tmp_path / "a.zarr", array, *([3] if made is write_ome else []), names)
    for channels in (None, 1, 3):
        volume = open_volume(path, channels=channels)
        assert (volume.axes, volume.planes) == (("time", "c", "y", "x"), (2,))
        np.testing.assert_array_equal(volume.plane(1)[0:5, 0:7], array[1].transpose(1, 2, 0))
    assert open_volume(path, "tzyx").planes == (2, count)


@pytest.mark.parametrize("names", [("band", "y", "x"), ("channel", "y", "x")])
def test_an_axis_of_one_entry_is_one_of_planes_whatever_its_name(tmp_path, names):
    volume = open_volume(write_zarr(tmp_path / "a.zarr", array_of(1, 5, 7), dimension_names=names), channels=1)
    assert (volume.axes, volume.planes, volume.plane(0).shape) == (names, (1,), (5, 7, 1))


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("name", ["channel", "C", "wavelength"])
def test_an_axis_that_ome_says_to_be_of_channels_is_one_whatever_its_name(tmp_path, name, count):
    array = array_of(count, 5, 7)
    path = write_ome(tmp_path / "a.zarr", array, 3, [name, "y", "x"])
    group = zarr.open_group(str(path), mode="r+")
    ome = dict(group.attrs["ome"])
    ome["multiscales"][0]["axes"][0] = {"name": name, "type": "channel"}
    group.attrs["ome"] = ome
    volume = open_volume(path, channels=3)
    assert (volume.axes, volume.planes) == (("c", "y", "x"), ())
    np.testing.assert_array_equal(volume.plane(0)[0:5, 0:7], array.transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("shape", "colours", "columns"),
    [
        ((5, 7, 4), "yxc", "zyx"),
        ((5, 7, 2), "yxc", "zyx"),
        ((20, 17, 13), "yxc", "zyx"),
        ((6, 5, 7, 4), "zyxc", "tzyx"),
    ],
)
def test_a_last_axis_without_a_name_that_may_be_of_channels_must_be_named(tmp_path, shape, colours, columns):
    path = write_zarr(tmp_path / "a.zarr", array_of(*shape))
    words = rf"axis of {shape[-1]} must be named; .*: --axes {colours} if it counts channels, --axes {columns} if"
    for channels in (None, 1, 3):
        with pytest.raises(InputError, match=words):
            open_volume(path, channels=channels)
    assert open_volume(path, channels=shape[-1]).plane(0).shape == shape[-3:]
    assert open_volume(path, colours, 1).plane(0).shape == shape[-3:]
    assert open_volume(path, columns, 3).plane(0).shape == (*shape[-2:], 1)


@pytest.mark.parametrize("version", [2, 3])
def test_level_0_of_ome_zarr(tmp_path, version):
    array = array_of(2, 1, 5, 7)
    volume = open_volume(write_ome(tmp_path / "a.zarr", array, version, "tcyx", [1.0, 1.0, 0.5, 0.25]))
    assert (volume.axes, volume.planes) == (("t", "c", "y", "x"), (2,))
    assert (volume.scale, volume.units[-1]) == ((1.0, 1.0, 0.5, 0.25), "micrometer")
    np.testing.assert_array_equal(volume.plane(1)[0:5, 0:7], array[1, 0, ..., None])


def test_transforms_of_level_0_and_of_all_levels_are_applied_one_after_another(tmp_path):
    path = write_ome(tmp_path / "a.zarr", array_of(5, 7), 3, "yx")
    group = zarr.open_group(str(path), mode="r+")
    ome = dict(group.attrs["ome"])
    of_level, of_all = (scale(0.5, 0.25), moved(100, 200)), (scale(2, 4), moved(1, 0))
    ome["multiscales"][0] |= {"coordinateTransformations": of_all}
    ome["multiscales"][0]["datasets"][0] |= {"coordinateTransformations": of_level}
    group.attrs["ome"] = ome
    volume = open_volume(path)
    assert (volume.scale, volume.translation) == ((1.0, 1.0), (201.0, 800.0))
    ome["multiscales"][0] |= {"coordinateTransformations": None}
    ome["multiscales"][0]["datasets"][0] |= {
        "coordinateTransformations": [scale(0.5, 0.25), {"type": "translation", "path": "place"}]
    }
    group.attrs["ome"] = ome
    volume = open_volume(path)
    assert (volume.scale, volume.translation) == ((0.5, 0.25), (0, 0))
    ome["multiscales"][0] |= {"coordinateTransformations": [scale(2)]}
    group.attrs["ome"] = ome
    words = r"names 2 axes with 2 and 1 scales, and its level 0 has 2\. Name .*a\.zarr/full --axes yx, if they are"
    with pytest.raises(InputError, match=words):
        open_volume(path)
    assert open_volume(path / "full", "yx").scale == (1, 1)


@pytest.mark.parametrize(("axes", "scales", "said"), [("cyx", 2, "cyx"), ("yxc", 4, "yxc"), ("yx", 3, "zyx")])
def test_where_axes_and_scales_differ_the_axes_of_the_file_are_proposed_if_they_fit(axes, scales, said, tmp_path):
    path = write_ome(tmp_path / "a.zarr", array_of(3, 5, 7), 3, axes, [1] * scales)
    words = f"names {len(axes)} axes with {scales} scales, and its level 0 has 3. Name .* --axes {said}, if they are"
    with pytest.raises(InputError, match=words):
        open_volume(path)


def test_a_tiff_is_mapped_and_not_read(tmp_path):
    array = array_of(3, 5, 7)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack")
    volume = open_volume(tmp_path / "a.tif")
    assert all(page.contiguous for pages in volume.array.pictures.pages for page in pages)
    np.testing.assert_array_equal(volume.plane(2)[0:5, 1:7], array[2, :, 1:, None])
    colour = array_of(5, 7, 3)
    tifffile.imwrite(tmp_path / "rgb.tif", colour, photometric="rgb")
    np.testing.assert_array_equal(open_volume(tmp_path / "rgb.tif").plane(0)[0:5, 0:7], colour)


@pytest.mark.parametrize("kind", [kind for kind in kinds() if kind.suffix == ".tif"], ids=lambda kind: kind.name)
def test_windows_of_a_tiff_are_those_of_the_picture(tmp_path, kind):
    """One reader: what is predicted into zarr is what is predicted into a folder, or is refused by name."""
    path = tmp_path / "a.tif"
    path.write_bytes(kind.data)
    try:
        plane = open_volume(path).plane(0)
    except InputError as error:
        assert error.file == path
        assert kind.refused or "strips are compressed" in str(error)
        return
    image = read_image(path)
    height, width, channels = plane.shape
    assert (image.shape[:2], image.dtype) == ((height, width), plane.dtype)
    assert channels >= image.shape[2]
    for rows, columns in (
        (slice(0, height), slice(0, width)),
        (slice(3, 18), slice(17, 19)),
        (slice(16, 17), slice(0, 5)),
    ):
        np.testing.assert_array_equal(plane[rows, columns] - image[rows, columns], 0)


def test_an_index_that_names_no_measurement_is_refused(tmp_path):
    table = np.arange(768, dtype=np.uint16).reshape(3, 256) * 80
    settings = {"photometric": "palette", "colormap": table, "extratags": [(42113, "s", 0, "3", True)]}
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 7), np.uint8), **settings)
    with pytest.raises(InputError, match=r"a\.tif names the index 3 of its colour table as nodata\. Save it"):
        open_volume(tmp_path / "a.tif")
    settings["extratags"] = [(42113, "s", 0, "-9999", True)]  # no index: nothing is without a measurement
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((5, 7), np.uint8), **settings)
    assert open_volume(tmp_path / "b.tif").nodata == ()


def test_blocks_are_chunks_of_rows_and_columns_strips_or_tiles(tmp_path):
    array = zarr.create_array(str(tmp_path / "a.zarr"), shape=(6, 40, 3, 50), dtype="uint8", chunks=(1, 20, 3, 10))
    array[...] = 1
    assert open_volume(tmp_path / "a.zarr", "tycx").block == (20, 10)
    tifffile.imwrite(tmp_path / "a.tif", array_of(2, 40, 50), photometric="minisblack", tile=(16, 32))
    assert open_volume(tmp_path / "a.tif").block == (16, 32)
    tifffile.imwrite(tmp_path / "b.tif", array_of(40, 50), rowsperstrip=8)
    assert open_volume(tmp_path / "b.tif").block == (8, 50)


def test_planes_of_a_tiff_bear_the_names_that_it_gives(tmp_path):
    array = array_of(2, 3, 5, 7)
    tifffile.imwrite(tmp_path / "ij.tif", array, imagej=True, metadata={"axes": "TZYX"})
    tifffile.imwrite(tmp_path / "ome.tif", array, ome=True, metadata={"axes": "TZYX"}, photometric="minisblack")
    tifffile.imwrite(tmp_path / "shaped.tif", array, photometric="minisblack")
    for name, axes in (("ij", "tzyx"), ("ome", "tzyx"), ("shaped", ("d0", "d1", "y", "x"))):
        volume = open_volume(tmp_path / f"{name}.tif")
        assert (volume.axes, volume.planes) == (tuple(axes), (2, 3))
        np.testing.assert_array_equal(volume.plane(4)[1:4, 2:6], array[1, 1, 1:4, 2:6, None])
    with pytest.raises(InputError, match="must be the last axes of a TIFF file"):
        open_volume(tmp_path / "ij.tif", axes="yxtz")


def bioformats2raw(path, version, images):
    mark = {"bioformats2raw.layout": 3}
    group = zarr.create_group(str(path), zarr_format=version, attributes={"ome": mark} if version == 3 else mark)
    group.create_group("OME")
    for number in range(images):
        write_ome(path / str(number), array_of(4, 5) + number, version, "yx")
    return path


@pytest.mark.parametrize("version", [2, 3])
def test_the_only_image_of_bioformats2raw_is_taken(tmp_path, version):
    np.testing.assert_array_equal(
        open_volume(bioformats2raw(tmp_path / "a.zarr", version, 1)).plane(0)[0:4, 0:5], array_of(4, 5)[..., None]
    )
    with pytest.raises(InputError, match=r"b\.zarr holds 2 images\. Name one: .*b\.zarr/0, .*b\.zarr/1\."):
        open_volume(bioformats2raw(tmp_path / "b.zarr", version, 2))


def test_ome_zarr_of_versions_that_do_not_name_axes(tmp_path):
    array = array_of(2, 1, 3, 5, 7)
    path = write_ome(tmp_path / "a.zarr", array, 2, "tczyx")
    group = zarr.open_group(str(path), mode="r+")
    group.attrs["multiscales"] = [{"version": "0.1", "datasets": [{"path": "full"}]}]
    volume = open_volume(path)
    assert (volume.axes, volume.planes) == (("t", "c", "z", "y", "x"), (2, 3))
    np.testing.assert_array_equal(volume.plane(4)[0:5, 0:7], array[1, 0, 1, ..., None])


def test_units_and_labels_of_null_are_none(tmp_path):
    path = write_ome(tmp_path / "a.zarr", array_of(2, 5, 7), 3, "cyx")
    group = zarr.open_group(str(path), mode="r+")
    ome = dict(group.attrs["ome"]) | {"omero": {"channels": [{"label": None}, {"label": "GFP"}]}}
    ome["multiscales"][0]["axes"] = [{"name": name, "unit": None} for name in "cyx"]
    group.attrs["ome"] = ome
    volume = open_volume(path)
    assert (volume.units, volume.channel_names) == (("", "", ""), ("", "GFP"))


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", ">i2", "int32", "uint32", "float16", ">f4", "float64"])
def test_a_plane_has_the_type_of_an_image_of_a_file(tmp_path, dtype):
    array = array_of(5, 7).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    expected = read_image(tmp_path / "a.npy")
    plane = open_volume(write_zarr(tmp_path / "a.zarr", array)).plane(0)
    assert plane.dtype == plane[0:5, 0:7].dtype == expected.dtype
    np.testing.assert_array_equal(plane[0:5, 0:7], expected)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "complex64"])
def test_a_plane_of_a_type_that_no_image_has_is_refused_by_name(tmp_path, dtype):
    path = write_zarr(tmp_path / "a.zarr", array_of(5, 7).astype(dtype))
    with pytest.raises(InputError, match=rf"a\.zarr holds {dtype}\. Save it as uint8, uint16 or float32") as refused:
        open_volume(path).plane(0)
    assert refused.value.file == path


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("how", ["cut", "empty", "list", "no shape", "unknown codec", "bad type"])
def test_damaged_metadata_of_zarr_are_named(tmp_path, version, how):
    path = tmp_path / "a.zarr"
    zarr.create_array(str(path), data=array_of(4, 5), chunks=(2, 5), zarr_format=version)
    file = path / ("zarr.json" if version == 3 else ".zarray")
    text, data = file.read_text(), json.loads(file.read_text())
    codec = {"name": "none such", "configuration": {}}
    change = {
        "no shape": {key: value for key, value in data.items() if key != "shape"},
        "list": [data],
        "unknown codec": data | ({"codecs": [codec]} if version == 3 else {"compressor": {"id": "none such"}}),
        "bad type": data | ({"data_type": "uint9"} if version == 3 else {"dtype": "<u9"}),
    }
    file.write_text(
        {"cut": text[: len(text) // 2], "empty": ""}.get(how, "") or json.dumps(change.get(how)) * (how in change)
    )
    with pytest.raises(InputError, match="is damaged") as raised:
        open_volume(path).plane(0)[0:4, 0:5]
    assert raised.value.file == file


@pytest.mark.parametrize(
    "change",
    [{"multiscales": 3}, {"multiscales": []}, {"multiscales": [{}]},
     {"multiscales": [{"axes": 3, "datasets": [{"path": "full"}]}]},
     {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": 7}]}]}, "text"],
)  # fmt: skip
def test_damaged_metadata_of_ome_are_named(tmp_path, change):
    path = write_ome(tmp_path / "a.zarr", array_of(4, 4), 3, "yx")
    data = json.loads((path / "zarr.json").read_text())
    data["attributes"] = {"ome": change}
    (path / "zarr.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"a\.zarr") as raised:
        open_volume(path)
    assert raised.value.file in (path, path / "zarr.json")


def test_what_cannot_be_read_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "packed.tif", array_of(50, 70), compression="zlib")
    with pytest.raises(
        InputError, match=r"packed\.tif cannot be read in windows: its strips are compressed.*with tiles"
    ):
        open_volume(tmp_path / "packed.tif")
    with pytest.raises(InputError, match=r"none\.zarr is neither a TIFF file nor a zarr array or group"):
        open_volume(tmp_path / "none.zarr")
    zarr.create_group(str(tmp_path / "group.zarr")).create_array("inside", data=array_of(4, 4))
    with pytest.raises(InputError, match=r"name an array inside it \(it has: inside\)"):
        open_volume(tmp_path / "group.zarr")
    path = write_ome(tmp_path / "ome.zarr", array_of(4, 4), 3, "yx")
    (path / "full").rename(path / "gone")
    with pytest.raises(InputError, match='names its level 0 "full", and there is no such array'):
        open_volume(path)
    plain = write_zarr(tmp_path / "plain.zarr", array_of(4, 4))
    with pytest.raises(InputError, match=r'received "tyx" for .*of shape \(4, 4\)'):
        open_volume(plain, axes="tyx")
    for axes in ("tx", "yy"):
        with pytest.raises(InputError, match="each must be named once, y and x among them"):
            open_volume(plain, axes=axes)


def test_a_damaged_chunk_is_named(tmp_path):
    path = write_zarr(tmp_path / "a.zarr", array_of(4, 4))
    (path / "c" / "1" / "1").write_bytes(b"no chunk")
    plane = open_volume(path).plane(0)
    assert plane[0:2, 0:4].shape == (2, 4, 1)
    with pytest.raises(InputError, match=r"a\.zarr cannot be read at rows 2 to 4, columns 0 to 4"):
        plane[2:4, 0:4]


def test_labels_of_channels_are_called_as_in_a_picture_file(tmp_path):
    path = write_ome(tmp_path / "a.zarr", array_of(2, 5, 7), 3, "cyx")
    group = zarr.open_group(str(path), mode="r+")
    labels = [{"label": "two  words "}, {"label": "c" * 200}]
    group.attrs["ome"] = dict(group.attrs["ome"]) | {"omero": {"channels": labels}}
    assert open_volume(path).channel_names == ("two words", "c" * 100)
