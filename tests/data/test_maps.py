"""GeoTIFF files read in windows: the numbers of `read_image`, whatever the file."""

import sys
import threading

import numpy as np
import pytest
import tifffile
from kinds_of_files import GREY, raw_tiff

from unet_tf.data.channels import Channels
from unet_tf.data.maps import MapArray, open_map
from unet_tf.data.nodata import nodata_pixels, nodata_samples, nodata_values
from unet_tf.data.pictures import open_pictures, read_image, read_mask
from unet_tf.errors import InputError

rasterio = pytest.importorskip("rasterio")
PLACE = {"crs": "EPSG:25832", "transform": rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000)}


def write(path, image, colours=None, mask=None, **options):
    """Write (bands, H, W) as a GeoTIFF file."""
    bands, height, width = image.shape
    shape = {"count": bands, "height": height, "width": width, "dtype": image.dtype}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=mask is not None),
        rasterio.open(path, "w", driver="GTiff", **PLACE | shape | options) as target,
    ):
        if colours:
            target.write_colormap(1, colours)
        target.write(image)
        if mask is not None:
            target.write_mask(mask)
    return path


def noise(bands=1, dtype=np.uint8, high=250, size=(70, 90)):
    return np.random.default_rng(0).integers(1, high, (bands, *size)).astype(dtype)


def whole(volume):
    return volume.plane(0)[0 : volume.shape[0], 0 : volume.shape[1]]


TILES = {"tiled": True, "blockxsize": 32, "blockysize": 16}


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (noise(), {}),
        (noise(), {"compress": "lzw"}),
        (noise(), {"compress": "lzw", "predictor": 2, **TILES}),
        (noise(3), {"compress": "lzw", "photometric": "rgb"}),
        (noise(3), {"compress": "deflate", "interleave": "band", "photometric": "rgb", **TILES}),
        (noise(3), {"compress": "lzw", "bigtiff": "yes"}),
        (noise(dtype=np.uint16, high=60_000), {"compress": "lzw", "predictor": 2}),
        (noise(dtype=np.int16) - 100, {"compress": "packbits"}),
        (noise(dtype=np.int8, high=127), {}),
        (noise(dtype=np.float32), {"compress": "lzw", "predictor": 3, **TILES}),
        (noise(dtype=np.float64) / 7, {"compress": "deflate", "predictor": 2}),
        (noise(dtype=np.int32), {"compress": "zstd"}),
        (noise(high=2), {"nbits": 1}),
        (noise(high=16), {"nbits": 4, "compress": "lzw"}),
        (noise(4), {"photometric": "rgb", "alpha": "yes"}),
    ],
)
def test_windows_are_parts_of_what_read_image_gives(tmp_path, image, options):
    path = write(tmp_path / "a.tif", image, **options)
    expected, volume = read_image(path), open_map(path)
    assert (volume.shape, volume.axes) == ((70, 90), ("y", "x", "c"))
    for rows, columns in ((slice(0, 70), slice(0, 90)), (slice(11, 40), slice(33, 34)), (slice(69, 70), slice(0, 3))):
        found = volume.plane(0)[rows, columns]
        assert found.dtype == volume.plane(0).dtype == expected.dtype
        np.testing.assert_array_equal(found, np.broadcast_to(expected[rows, columns], found.shape))


@pytest.mark.parametrize("bands", [2, 4, 13])
def test_any_number_of_bands_is_read(tmp_path, bands):
    image = noise(bands)
    volume = open_map(write(tmp_path / "a.tif", image, compress="lzw", photometric="minisblack"))
    np.testing.assert_array_equal(whole(volume), image.transpose(1, 2, 0))


def test_bands_of_named_wavelengths_are_read_and_those_of_other_colours_are_refused(tmp_path):
    """GDAL names them from 3.10 on."""
    path = write(tmp_path / "a.tif", image := noise(4), photometric="minisblack")
    for name in ("nir", "cyan"):
        with rasterio.open(path, "r+") as target:
            target.colorinterp = [*target.colorinterp[:3], rasterio.enums.ColorInterp[name]]
        if name == "nir":
            np.testing.assert_array_equal(whole(open_map(path)), image.transpose(1, 2, 0))
    with pytest.raises(InputError, match=r"must be no part of CMYK, HSL or YCbCr, .*; .*a.tif has .*cyan"):
        open_map(path)


def test_a_colour_table_is_looked_up(tmp_path):
    image = noise(high=4)
    colours = {0: (0, 0, 0), 1: (255, 0, 0), 2: (1, 2, 3), 3: (9, 9, 9)}
    path = write(tmp_path / "a.tif", image, colours, photometric="palette")
    np.testing.assert_array_equal(whole(open_map(path)), read_image(path))
    grey = write(tmp_path / "b.tif", image, {n: (7 * n,) * 3 for n in range(4)}, photometric="palette")
    np.testing.assert_array_equal(whole(open_map(grey)), image.transpose(1, 2, 0) * 7)


@pytest.mark.parametrize("kind", ["nodata", "nan", "mask", "alpha", "beside", "palette", "sparse", "none"])
def test_pixels_without_a_measurement_are_known_and_hold_the_mean(tmp_path, kind):
    image, path = noise(3), tmp_path / "a.tif"
    gone = np.zeros((70, 90), bool)
    gone[10:30, 20:60] = kind != "none"
    image[0, 0, 0] = 0  # one of three channels is no pixel without a measurement
    values = ()
    if kind == "nodata":
        image[:, gone] = 0
        volume = open_map(write(path, image, nodata=0), (10.4, 20.0, 30.0))
        assert volume.nodata == (0.0,)
        values = volume.nodata  # the predictor fills these
    elif kind == "nan":
        image = image.astype(np.float32)
        image[:, gone] = np.nan
        volume = open_map(write(path, image, nodata=np.nan), (10.4, 20.0, 30.0))
        values = (float(np.finfo(np.float32).min),)
    elif kind == "alpha":
        alpha = np.where(gone, 0, 255).astype(np.uint8)
        volume = open_map(
            write(path, np.concatenate([image, alpha[None]]), photometric="rgb", alpha="yes"), (10.4, 20.0, 30.0)
        )
    elif kind == "palette":
        image = np.where(gone, 0, 1 + noise(high=3))
        volume = open_map(
            write(path, image.astype(np.uint8), {0: (5, 5, 5), 1: (5, 5, 5), 2: (7, 8, 9), 3: (1, 1, 1)},
                  photometric="palette", nodata=0), (10.4, 20.0, 30.0),
        )  # fmt: skip
    elif kind == "sparse":
        gone[...] = False
        gone[16:32, 32:64] = True
        with rasterio.open(path, "w", driver="GTiff", count=3, height=70, width=90, dtype="uint8", nodata=0,
                           sparse_ok=True, **TILES, **PLACE) as target:  # fmt: skip
            for top in range(0, 70, 16):
                for left in range(0, 90, 32):
                    if (top, left) != (16, 32):
                        part = image[:, top : top + 16, left : left + 32]
                        target.write(part, window=rasterio.windows.Window(left, top, part.shape[2], part.shape[1]))
        volume = open_map(path, (10.4, 20.0, 30.0))
        values = volume.nodata
    elif kind == "none":
        volume = open_map(write(path, image), (10.4, 20.0, 30.0))
    else:
        volume = open_map(write(path, image, mask=np.where(gone, 0, 255).astype(np.uint8)), (10.4, 20.0, 30.0))
        if kind == "beside":
            with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False):
                other = write(tmp_path / "b.tif", image)
                with rasterio.open(other, "r+") as target:
                    target.write_mask(np.where(gone, 0, 255).astype(np.uint8))
            assert (tmp_path / "b.tif.msk").is_file()
            volume = open_map(other, (10.4, 20.0, 30.0))
    found = volume.array.unmeasured(slice(5, 40), slice(15, 90), values, [*range(volume.array.shape[2])])
    np.testing.assert_array_equal(found, gone[5:40, 15:90])
    if kind in ("mask", "beside", "alpha", "palette"):
        assert np.unique(whole(volume)[gone], axis=0).tolist() == [[10, 20, 30]]
    if kind in ("mask", "beside", "alpha"):
        np.testing.assert_array_equal(whole(volume)[~gone], image.transpose(1, 2, 0)[~gone])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.#QNAN", np.nan),
        ("-1.#IND", np.nan),
        ("-1.#IND00", np.nan),
        ("-1.#INF", -np.inf),
        ("1.#INF", np.inf),
        ("-9999 -9999 -9999", -9999),
        ("-9999,5", -9999.5),
        (" -9999 ", -9999),
    ],
)
def test_a_nodata_value_is_known_however_it_is_written(tmp_path, text, value):
    image = noise(dtype=np.float32)[0]
    image[:9] = value
    tifffile.imwrite(tmp_path / "a.tif", image, extratags=[(42113, "s", 0, text, True)], metadata=None)
    np.testing.assert_array_equal(open_map(tmp_path / "a.tif").nodata, (value,))
    np.testing.assert_array_equal(open_pictures(tmp_path / "a.tif").nodata, (value,))
    assert (read_image(tmp_path / "a.tif") == whole(open_map(tmp_path / "a.tif"))).all()


def test_a_value_for_each_band_is_known_where_all_are_one(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise()[0], extratags=[(42113, "s", 0, "0 255", True)], metadata=None)
    assert open_pictures(tmp_path / "a.tif").nodata == ()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_nodata_value_of_grey_of_few_bits_is_the_one_that_is_shown(bits, tmp_path):
    high = (1 << bits) - 1
    path = write(tmp_path / "a.tif", noise(high=2) * np.uint8(high), nbits=bits, nodata=high)
    assert open_map(path).nodata == Channels().read([path]).nodata == (255.0,)
    assert nodata_values(read_image(path), (255.0,)) == (255.0,)
    assert (read_image(path) == 255).all()
    assert open_pictures(path).nodata_ids == (float(high),)  # what masks of ids are held to


def test_an_index_that_names_no_measurement_is_refused_where_colours_are_read(tmp_path):
    """Its colour may be that of another index, and its number that of another colour."""
    image = noise(high=4)
    colours = {0: (0, 0, 0), 1: (3, 3, 3), 2: (1, 2, 3), 3: (3, 3, 3)}
    path = write(tmp_path / "a.tif", image, colours, photometric="palette", nodata=3)
    count = f"{(image == 3).sum():,}"
    words = rf"names the index 3 of its colour table as nodata, and holds it in {count} pixels.*edit\.py -unsetnodata\)"
    with pytest.raises(InputError, match=words) as raised:
        Channels().read([path])
    assert raised.value.file == path
    np.testing.assert_array_equal(read_mask(path, ids=True), image[0])
    assert (open_pictures(path).nodata, open_pictures(path).nodata_ids) == ((), (3.0,))
    write(path, np.minimum(image, 2), colours, photometric="palette", nodata=3)
    assert Channels().read([path]).nodata == ()  # 3 is a grey value that is shown


@pytest.mark.parametrize("other", [(1, 2, 3), (1, 9, 3)])
def test_an_index_whose_grey_no_other_one_has_in_any_channel_names_it(tmp_path, other):
    image = noise(high=4)
    colours = {0: (0, 0, 0), 1: (255, 0, 0), 2: other, 3: (9, 9, 9)}
    path = write(tmp_path / "a.tif", image, colours, photometric="palette", nodata=3)
    if 9 in other:
        with pytest.raises(InputError, match="names the index 3"):
            Channels().read([path])
        return
    read = Channels().read([path])
    assert read.nodata == (9.0,) and open_pictures(path).nodata_ids == (3.0,)
    np.testing.assert_array_equal(nodata_pixels(read.image, read.nodata), image[0] == 3)
    assert (nodata_samples(read.image, read.nodata).any(-1) == (image[0] == 3)).all()


def test_blocks_are_strips_or_tiles(tmp_path):
    path = write(tmp_path / "a.tif", noise(size=(600, 700)), tiled=True, blockxsize=256, blockysize=128)
    assert open_map(path).block == (128, 256)
    assert open_map(write(path, noise(size=(600, 700)), blockysize=4)).block == (4, 700)


def test_smaller_versions_are_no_pages(tmp_path):
    path = write(tmp_path / "a.tif", noise(size=(600, 700)), tiled=True)
    with rasterio.open(path, "r+") as target:
        target.build_overviews([2, 4], rasterio.enums.Resampling.average)
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 3
    np.testing.assert_array_equal(whole(open_map(path)), read_image(path))


def test_threads_take_turns(tmp_path):
    image = noise(size=(300, 300))
    array = MapArray(write(tmp_path / "a.tif", image, compress="lzw", **TILES))
    found = {}

    def read(number):
        found[number] = [array[row : row + 7, number : number + 50] for row in range(0, 280, 7)]

    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for number, parts in found.items():
        np.testing.assert_array_equal(np.concatenate(parts)[..., 0], image[0, :280, number : number + 50])


def test_files_that_cannot_be_read_are_refused_by_name(tmp_path):
    whole_file = write(tmp_path / "whole.tif", noise(size=(300, 300)), compress="lzw").read_bytes()
    (tmp_path / "short.tif").write_bytes(whole_file[: len(whole_file) // 2])
    (tmp_path / "empty.tif").write_bytes(b"")
    (tmp_path / "text.tif").write_text("no picture")
    tifffile.imwrite(tmp_path / "stack.tif", noise(3), photometric="minisblack")
    tifffile.imwrite(tmp_path / "cmyk.tif", noise(4).transpose(1, 2, 0), photometric="separated")
    tifffile.imwrite(tmp_path / "lab.tif", noise(3).transpose(1, 2, 0), photometric="cielab")
    deep = noise(3, np.uint16).transpose(1, 2, 0)
    tifffile.imwrite(tmp_path / "deep_lab.tif", deep, photometric="cielab", compression="zlib", tile=(16, 16))
    tifffile.imwrite(tmp_path / "icc.tif", deep, photometric="icclab")
    tifffile.imwrite(tmp_path / "cfa.tif", noise()[0], photometric="cfa")
    (tmp_path / "two.tif").write_bytes(raw_tiff(GREY.tobytes(), photometric=[1, 2]))
    tifffile.imwrite(tmp_path / "raw.tif", deep, photometric="linear_raw")
    tifffile.imwrite(tmp_path / "four.tif", noise(4), photometric="rgb", planarconfig="separate")
    tifffile.imwrite(tmp_path / "virtual.tif", noise(5), photometric="minisblack", truncate=True)
    small, large = noise(size=(7, 9))[0], noise()[0]
    for name, sizes, below in (("preview.tif", (small, large), 0), ("dng.tif", (small, large), 1)):
        with tifffile.TiffWriter(tmp_path / name) as writer:
            writer.write(sizes[0], subfiletype=1, subifds=below, metadata=None)
            writer.write(sizes[1], metadata=None)
    tifffile.imwrite(tmp_path / "turned.tif", noise()[0], extratags=[(274, "H", 1, 6, True)])
    tifffile.imwrite(tmp_path / "twice.tif", noise()[0], extratags=[(274, "H", 2, (6, 1), True)])
    write(tmp_path / "complex.tif", noise().astype(np.complex64))
    write(tmp_path / "wide.tif", noise(dtype=np.int64))
    with rasterio.open(tmp_path / "sparse.tif", "w", driver="GTiff", count=1, height=70, width=90, dtype="uint8",
                       sparse_ok=True, **TILES, **PLACE) as target:  # fmt: skip
        target.write(noise()[:, :16, :32], window=rasterio.windows.Window(0, 0, 32, 16))
    for name, words in (
        ("missing.tif", "There is no file"),
        ("a.png", "A map is made of a GeoTIFF file, NAME.tif; received 'a.png'"),
        ("short.tif", "cannot be|not a complete"),
        ("empty.tif", "cannot be opened as a GeoTIFF"),
        ("text.tif", "cannot be opened as a GeoTIFF"),
        ("stack.tif", "has 3 pages"),
        ("cmyk.tif", "has CMYK"),
        ("lab.tif", "has CIELAB"),
        ("deep_lab.tif", "is in the colour space CIELab. Save it as RGB"),
        ("icc.tif", "is in the colour space ICCLab"),
        ("cfa.tif", "is in the colour space of a colour filter array"),
        ("two.tif", "is in the colour space with number 1, 2"),
        ("raw.tif", "is in the colour space with number 34892"),
        ("four.tif", r"has 4 channels \(RGB and alpha one after the other, or four pages\)"),
        ("virtual.tif", "has 5 pages"),
        ("preview.tif", r"begins with a preview of its picture. Save .* \(gdal_translate GTIFF_DIR:2:\.\.\.\)"),
        ("dng.tif", "begins with a preview of its picture. Save .* RAW"),
        ("turned.tif", "has orientation 6. Save"),
        ("twice.tif", "has orientation 6, 1. Save"),
        ("complex.tif", "holds complex64"),
        ("wide.tif", "holds int64"),
        ("sparse.tif", "lacks 14 of 15, and names no nodata value"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            whole(open_map(tmp_path / name))
        assert caught.value.file == tmp_path / name, name


def test_values_that_are_not_finite_and_no_nodata_are_refused(tmp_path):
    image = noise(dtype=np.float32)
    image[0, 3, 4] = np.inf
    with pytest.raises(InputError, match="1 values that are not finite"):
        whole(open_map(write(tmp_path / "a.tif", image)))


def test_a_strip_as_large_as_the_image_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("unet_tf.data.maps.LARGEST_BLOCK", 1 << 10)
    path = write(tmp_path / "a.tif", noise(3), compress="lzw", blockysize=70)
    with pytest.raises(InputError, match=r"those of .* have 70x90 px of 3 bytes.*TILED=YES"):
        open_map(path)


def test_a_missing_package_is_said_with_the_line_that_installs_it(tmp_path, monkeypatch):
    path = write(tmp_path / "a.tif", noise())
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(InputError, match=r"Maps need the package rasterio: pip install 'unet-tf\[geo\]'"):
        open_map(path)


def test_bands_are_called_as_in_a_picture_file(tmp_path):
    path = tmp_path / "a.tif"
    write(path, np.arange(288).astype(np.uint8).reshape(4, 8, 9), photometric="minisblack", alpha="no")
    with rasterio.open(path, "r+") as target:
        target.descriptions = ("Red  (665 nm)", "NIR ", "Grün\u00a0560", "b" * 200)
    names = ("Red (665 nm)", "NIR", "Grün 560", "b" * 100)
    assert open_map(path).channel_names == open_pictures(path).channel_names(4) == names
