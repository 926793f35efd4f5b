"""Where TIFF files lie, by their tags alone; rasterio says the same."""

import logging
import threading

import numpy as np
import pytest
import tifffile

from unet_tf import check
from unet_tf.data.channels import Channels
from unet_tf.data.folder import Pair, read_pair
from unet_tf.data.georeference import check_places, read_georeference
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import write_picture
from unet_tf.data.tiff import directories
from unet_tf.errors import InputError

SCALE, TIEPOINT = (33550, "d", 3, (0.5, 0.5, 0.0), True), (33922, "d", 6, (0, 0, 0, 500_000, 5_400_000, 0), True)
KEYS = (34735, "H", 12, (1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 25832), True)
MASKS = MaskFormat("binary")


def write(path, *tags, size=(60, 80)):
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, (np.indices(size).sum(0) % 2).astype(np.uint8) * 255, extratags=tags)
    return path


def moved(x, y, epsg=25832):
    tie = (33922, "d", 6, (0, 0, 0, 500_000 + x, 5_400_000 + y, 0), True)
    return SCALE, tie, (34735, "H", 12, (1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, epsg), True)


def test_a_file_lies_where_its_tags_say(tmp_path):
    found = read_georeference(write(tmp_path / "a.tif", SCALE, TIEPOINT, KEYS))
    assert found.corners.tolist() == [
        [500_000, 5_400_000], [500_040, 5_400_000], [500_000, 5_399_970], [500_040, 5_399_970],
    ]  # fmt: skip
    assert (found.epsg, found.pixel.tolist()) == (25832, [0.5, 0.5])
    assert str(found) == "x 500000 to 500040, y 5399970 to 5400000, EPSG:25832"


@pytest.mark.parametrize("small_first", [True, False])
def test_a_file_lies_where_its_picture_does_and_not_a_smaller_version(tmp_path, small_first):
    small, large = (np.zeros((6, 8), np.uint8), {"subfiletype": 1}), (np.zeros((60, 80), np.uint8), {})
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for pixels, options in (small, large) if small_first else (large, small):
            writer.write(pixels, metadata=None, extratags=(SCALE, TIEPOINT, KEYS), **options)
    assert str(read_georeference(tmp_path / "a.tif")) == "x 500000 to 500040, y 5399970 to 5400000, EPSG:25832"


@pytest.mark.parametrize(
    "tag", [(42113, "s", 0, "-3.402823e+38", True), (42113, "s", 0, "1.#QNAN", True), (274, "H", 1, 9, True)]
)
def test_tags_that_say_nothing_of_the_place_are_read_in_silence(tmp_path, tag, caplog):
    path = write(tmp_path / "a.tif", SCALE, TIEPOINT, KEYS, tag)
    with tifffile.TiffFile(path) as file:
        assert file.pages and caplog.records  # tifffile itself warns
    caplog.clear()
    assert read_georeference(path).epsg == 25832
    assert not caplog.records


def test_what_tifffile_says_to_other_threads_is_left(tmp_path, caplog):
    log = logging.getLogger("tifffile")
    with directories(write(tmp_path / "a.tif")):
        log.warning("here")
        other = threading.Thread(target=log.warning, args=("there",))
        other.start()
        other.join()
    log.warning("after")
    assert caplog.messages == ["there", "after"]


@pytest.mark.parametrize("crs", ["EPSG:25832", "EPSG:4326", "+proj=laea +lat_0=3"])
@pytest.mark.parametrize("matrix", [(0.5, 0, 9, 0, -0.5, 50), (0.4, 0.3, 9, 0.3, -0.4, 50), (0.5, 0, 9, 0, 0.25, 50)])
@pytest.mark.parametrize("point", ["Area", "Point"])
def test_rasterio_says_the_same(tmp_path, crs, matrix, point):
    rasterio = pytest.importorskip("rasterio")
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", width=80, height=60, count=1, dtype="uint8", crs=crs,
                       transform=rasterio.Affine(*matrix)) as target:  # fmt: skip
        target.write(np.zeros((1, 60, 80), np.uint8))
        target.update_tags(AREA_OR_POINT=point)
    found = read_georeference(tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as there:
        expected = [there.transform @ corner for corner in ((0, 0), (80, 0), (0, 60), (80, 60))]
        assert found.epsg == (there.crs.to_epsg() or 0)
    np.testing.assert_allclose(found.corners, expected, atol=1e-9)


@pytest.mark.parametrize(
    "tags",
    [
        (),
        (SCALE,),
        (TIEPOINT, KEYS),
        (KEYS,),
        ((33550, "d", 3, (np.nan, 1.0, 0.0), True), TIEPOINT),
        ((33550, "d", 1, (0.5,), True), TIEPOINT),
        ((34264, "d", 3, (1.0, 2.0, 3.0), True),),
        (SCALE, TIEPOINT, (34735, "H", 3, (1, 1, 0), True)),
    ],
)
def test_files_that_do_not_say_it_lie_nowhere(tmp_path, tags):
    found = read_georeference(write(tmp_path / "a.tif", *tags))
    assert found is None or found.epsg == 0


def test_pictures_of_other_formats_lie_nowhere(tmp_path):
    write_picture(tmp_path / "a.png", np.zeros((9, 9), np.uint8))
    assert read_georeference(tmp_path / "a.png") is None


@pytest.mark.parametrize("tags", [(), moved(0, 0), moved(0.2, -0.2), moved(0, 0, 32767)])
def test_a_mask_that_lies_on_its_image_or_nowhere_is_taken(tmp_path, tags):
    image, mask = write(tmp_path / "a.tif", SCALE, TIEPOINT, KEYS), write(tmp_path / "b.tif", *tags)
    check_places(image, mask)
    check_places(mask, image)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        (moved(0.5, 0), r"b\.tif has x 500000\.5 to 500040\.5, y 5399970 to 5400000, EPSG:25832"),
        (moved(0, 5000), r"b\.tif has x 500000 to 500040, y 5404970 to 5405000, EPSG:25832"),
        (moved(0, 0, 25833), r"b\.tif has x 500000 to 500040, y 5399970 to 5400000, EPSG:25833"),
    ],
)
def test_a_mask_that_lies_elsewhere_is_refused_with_both_extents(tmp_path, tags, words):
    image, mask = write(tmp_path / "a.tif", SCALE, TIEPOINT, KEYS), write(tmp_path / "b.tif", *tags)
    there = r"a\.tif has x 500000 to 500040, y 5399970 to 5400000, EPSG:25832; "
    with pytest.raises(InputError, match=there + r".*" + words) as caught:
        read_pair(Pair("a", image, mask), MASKS)
    assert caught.value.file == mask


@pytest.mark.parametrize("mask_lies", [True, False])
def test_files_of_one_picture_that_lie_apart_are_refused(tmp_path, mask_lies):
    first, other = write(tmp_path / "a_b2.tif", SCALE, TIEPOINT, KEYS), write(tmp_path / "a_b8.tif", *moved(20, 0))
    mask = write(tmp_path / "b.tif", *((SCALE, TIEPOINT, KEYS) if mask_lies else ()))
    pair = Pair("a", first, mask, others=(other,), channels=Channels(suffixes=("_b2", "_b8")))
    words = r"a_b2\.tif has x 500000 to 500040, .*; .*a_b8\.tif has x 500020 to 500060, "
    with pytest.raises(InputError, match=words) as caught:
        read_pair(pair, MASKS)
    assert caught.value.file == other


def test_a_mask_lies_on_the_file_that_says_where(tmp_path):
    """The first file says nothing."""
    files = write(tmp_path / "a_b2.tif"), write(tmp_path / "a_b8.tif", SCALE, TIEPOINT, KEYS)
    check_places(*files, write(tmp_path / "b.tif", *moved(0.2, 0)))
    with pytest.raises(InputError, match="must lie on each other"):
        check_places(*files, write(tmp_path / "b.tif", *moved(20, 0)))


def test_check_lists_masks_that_lie_elsewhere(tmp_path):
    for name in "abcd":
        write(tmp_path / "images" / f"{name}.tif", SCALE, TIEPOINT, KEYS)
        write(tmp_path / "masks" / f"{name}.tif", *moved(5 * (name == "c"), 0))
    problems = check(tmp_path).problems
    assert len([one for one in problems if "must lie on each other" in one]) == 1, problems
    assert "c.tif has x 500005 to 500045" in " ".join(problems)
