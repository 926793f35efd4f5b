import json
import os
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from forked import Forked

from unet_tf.annotations.maps import Frame, even_odd, map_writer, open_frame, reproject, write_vector_map
from unet_tf.annotations.read_vector_map import read_vector_map
from unet_tf.annotations.shapes import Shape
from unet_tf.annotations.writing import Picture
from unet_tf.errors import InputError

rasterio = pytest.importorskip("rasterio")
pyogrio = pytest.importorskip("pyogrio")
shapely = pytest.importorskip("shapely")

NORTH_UP = (0.5, 0, 500_000, 0, -0.5, 5_400_000)
TURNED = (0.4, 0.3, 500_000, 0.3, -0.4, 5_400_000)
SOUTH_UP = (0.5, 0, 500_000, 0, 0.5, 5_400_000)


def square(x, y, side):
    return np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side)], float)


def write_raster(path, transform=NORTH_UP, crs="EPSG:25832", size=(60, 80), **options):
    options = {"transform": rasterio.Affine(*transform)} | options
    shape = {"height": size[0], "width": size[1], "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, **shape, **options) as target:
        target.write(np.zeros(size, np.uint8), 1)
    return path


def test_pixels_are_placed_by_hand_made_numbers():
    frame = Frame("a.tif", NORTH_UP, "EPSG:25832", (60, 80))
    corners = np.array([(0, 0), (80, 60), (0.5, 0.5)], float)
    expected = [(500_000, 5_400_000), (500_040, 5_399_970), (500_000.25, 5_399_999.75)]
    assert frame.to_map(corners).tolist() == [list(point) for point in expected]
    assert frame.extent == (500_000, 5_399_970, 500_040, 5_400_000)
    degrees = frame.to_degrees(corners[:1])  # on the central meridian of the zone
    assert degrees[0, 0] == pytest.approx(9, abs=1e-12)
    assert degrees[0, 1] == pytest.approx(48.753, abs=1e-3)


@pytest.mark.parametrize("transform", [NORTH_UP, TURNED, SOUTH_UP])
def test_a_frame_and_back_is_where_it_was(transform):
    points = np.random.default_rng(0).uniform(0, 60, (50, 2))
    frame = Frame("a.tif", transform, "EPSG:25832", (60, 80))
    np.testing.assert_allclose(frame.to_pixels(frame.to_map(points)), points, atol=1e-8)
    np.testing.assert_allclose(
        frame.to_map(points), [rasterio.Affine(*transform) @ tuple(point) for point in points], rtol=1e-15
    )


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "ö.GPKG"])
@pytest.mark.parametrize("transform", [NORTH_UP, TURNED, SOUTH_UP])
def test_outlines_written_and_read_lie_on_the_same_pixels(tmp_path, name, transform):
    raster = write_raster(tmp_path / "a.tif", transform)
    shapes = [
        Shape("Größe", (square(3, 4, 20), square(6, 7, 5)), 0.75),
        Shape("b", (square(40, 40, 5), square(50, 50, 6))),
    ]
    back = read_vector_map(write_vector_map(tmp_path / name, shapes, raster), raster)
    assert [(one.name, one.probability) for one in back] == [("Größe", 0.75), ("b", None)]
    for one, before in zip(back, shapes, strict=True):
        found = {tuple(point) for ring in one.rings for point in ring.round(3).tolist()}
        assert found == {tuple(point) for ring in before.rings for point in ring.tolist()}
        assert even_odd(one.rings).area == pytest.approx(even_odd(before.rings).area, rel=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a.tif", name])


def test_a_geopackage_is_in_the_system_of_the_raster_and_geojson_in_degrees(tmp_path):
    raster, shapes = write_raster(tmp_path / "a.tif"), [Shape("a", (square(0, 0, 10),))]
    write_vector_map(tmp_path / "a.gpkg", shapes, raster)
    write_vector_map(tmp_path / "c.geojson", shapes, raster)
    infos = [pyogrio.read_info(tmp_path / name) for name in ("a.gpkg", "c.geojson")]
    assert [info["crs"] for info in infos] == ["EPSG:25832", "EPSG:4326"]
    assert infos[0]["total_bounds"] == (500_000, 5_399_995, 500_005, 5_400_000)
    ring = json.loads((tmp_path / "c.geojson").read_text())["features"][0]["geometry"]["coordinates"][0][0]
    assert [ring[0] == ring[-1], len(ring)] == [True, 5]
    assert all(abs(x - 9) < 1e-4 and abs(y - 48.753) < 1e-3 for x, y in ring)


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson"])
def test_objects_have_their_numbers_or_those_of_their_places(tmp_path, name):
    shapes = [Shape("a", (square(9 * n, 0, 5),), number=number) for n, number in enumerate((7, None, 70_000))]
    write_vector_map(tmp_path / name, shapes, write_raster(tmp_path / "a.tif"))
    meta, _, _, columns = pyogrio.raw.read(tmp_path / name)
    assert meta["fields"].tolist() == ["id", "class", "probability"] and columns[0].tolist() == [7, 2, 70_000]


def test_no_shape_is_a_file_without_features(tmp_path):
    written = write_vector_map(tmp_path / "a.gpkg", [], write_raster(tmp_path / "a.tif"))
    assert pyogrio.read_info(written)["features"] == 0


def test_rings_are_joined_by_the_even_odd_rule():
    hole = even_odd([square(0, 0, 10), square(2, 2, 3)])
    beside = even_odd([square(0, 0, 10), square(20, 0, 3)])
    island = even_odd([square(0, 0, 10), square(1, 1, 8), square(4, 4, 2)])
    crossed = even_odd([square(0, 0, 10), square(5, 0, 10)])
    bow_tie = even_odd([np.array([(0, 0), (2, 2), (2, 0), (0, 2)], float)])
    flat = even_odd([np.array([(0, 0), (2, 2), (1, 1)], float)])
    assert [one.area for one in (hole, beside, island, crossed, bow_tie, flat)] == [91, 109, 40, 100, 2, 0]


def test_many_rings_take_little_more_than_their_points():
    area = even_odd([square(0, 0, 1000), *(square(3 * x + 1, 3 * y + 1, 1) for x in range(50) for y in range(50))])
    assert area.area == 1000**2 - 50**2


def test_rasters_that_do_not_say_where_they_lie_are_refused(tmp_path):
    point = rasterio.control.GroundControlPoint
    points = [point(0, 0, 9, 50), point(0, 80, 10, 50), point(60, 0, 9, 49)]
    plain = {"crs": None, "transform": rasterio.Affine.identity()}
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        write_raster(tmp_path / "plain.tif", **{"transform": plain["transform"], "crs": None})
        write_raster(tmp_path / "points.tif", crs="EPSG:4326", transform=plain["transform"], gcps=points)
    write_raster(tmp_path / "no_crs.tif", crs=None)
    (tmp_path / "no.tif").write_bytes(b"II*\0")
    for name, words in (
        ("plain.tif", "has no coordinate system"),
        ("points.tif", "has 3 ground control points alone. Warp it first"),
        ("no_crs.tif", "has no coordinate system. Give it one"),
        ("no.tif", "cannot be opened as a raster"),
        ("missing.tif", "cannot be opened as a raster"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            open_frame(tmp_path / name)
        assert caught.value.file == tmp_path / name


def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path):
    raster = write_raster(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"Vectors are written as \.geojson, .*; received 'a\.shp'"):
        write_vector_map(tmp_path / "a.shp", [], raster)
    with pytest.raises(InputError, match="Each shape must have rings .*; 1 of 1 have not"):
        write_vector_map(tmp_path / "a.gpkg", [Shape("a", spans=np.int32([[0, 0, 9]]))], raster)
    with pytest.raises(InputError, match=r"coordinates of .*a\.tif cannot be expressed in another system"):
        reproject(np.array([(1e30, 0.0)]), "EPSG:25832", "EPSG:4326", raster)
    with pytest.raises(InputError, match=r"a\.tif is in a coordinate system that is not known, EPSG:1"):
        reproject(np.zeros((1, 2)), "EPSG:25832", "EPSG:1", raster)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("name", ["m.gpkg", "m.geojson"])
def test_a_disk_that_is_full_at_any_byte_is_said_and_leaves_nothing(tmp_path, name):
    """A limit on the size of files stands for the disk."""
    resource = pytest.importorskip("resource")
    raster = write_raster(tmp_path / "a.tif")
    shapes = [Shape("a", (square(x, y, 2),), 0.5) for x in range(0, 80, 4) for y in range(0, 60, 4)]
    whole = write_vector_map(tmp_path / name, shapes, raster).stat().st_size
    (tmp_path / name).unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in range(0, whole, whole // 24):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))  # Python ignores the signal
        try:
            write_vector_map(tmp_path / name, shapes, raster)
            said = ""
        except InputError as error:
            said = str(error)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        if limit < whole / 2 or name == "m.geojson":  # a GeoPackage needs less room than it takes in the end
            assert f"Cannot write {tmp_path / name}: " in said
        if said:
            assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
        else:
            assert len(read_vector_map(tmp_path / name, raster)) == len(shapes)
            (tmp_path / name).unlink()


def test_a_geopackage_whose_index_did_not_come_to_the_disk_is_not_written(tmp_path):
    """In a process of its own: in others TensorFlow's SQLite may be loaded already, by which GDAL makes none."""
    pytest.importorskip("resource")
    code = (
        "import resource, sqlite3, numpy as np\n"
        "from unet_tf.annotations.maps import write_vector_map\n"
        "from unet_tf.annotations.shapes import Shape\n"
        "from unet_tf.errors import InputError\n"
        "square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], float)\n"
        "shapes, said = [Shape('a', (square + n % 50,)) for n in range(400)], 0\n"
        "whole = write_vector_map('a.gpkg', shapes, 'a.tif').stat().st_size\n"
        "for limit in range(whole // 2, whole, whole // 24):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))\n"
        "    try:\n"
        "        with sqlite3.connect(write_vector_map('b.gpkg', shapes, 'a.tif')) as file:\n"
        "            assert file.execute('SELECT count(*) FROM rtree_b_geom').fetchone() == (400,)\n"
        "    except InputError as error:\n"
        "        said += 'Cannot write b.gpkg: not all of it came to the disk. Free space.' in str(error)\n"
        "assert said\n"
    )
    write_raster(tmp_path / "a.tif")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_map_of_a_picture_is_written_before_it_gets_its_name(tmp_path):
    """So that a disk that is full then leaves the other files of the picture as they were."""
    raster = write_raster(tmp_path / "a.tif")
    with map_writer(tmp_path / "m.gpkg", Picture(raster, 60, 80, 1, {})) as add:
        add([Shape("a", (square(0, 0, 2),))])
        (file,) = tmp_path.glob(".m.*.gpkg")
        size = file.stat().st_size
    assert [path.name for path in tmp_path.glob("*m*")] == ["m.gpkg"]
    assert (tmp_path / "m.gpkg").stat().st_size == size
    assert len(read_vector_map(tmp_path / "m.gpkg", raster)) == 1


def test_a_map_of_a_picture_that_is_shown_otherwise_than_it_is_stored_is_refused(tmp_path):
    """Outlines are then of the turned picture, and the transform is of the stored one."""
    keys = (34735, "H", 12, (1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 25832), True)
    place = (33550, "d", 3, (0.5, 0.5, 0), True), (33922, "d", 6, (0, 0, 0, 500_000, 5_400_000, 0), True), keys
    raster = tmp_path / "a.tif"
    tifffile.imwrite(raster, np.zeros((60, 80), np.uint8), extratags=[*place, (274, "H", 1, 6, True)])
    with (
        pytest.raises(InputError, match=r"as it is shown; .*a\.tif has orientation 6\. Save it so") as caught,
        map_writer(tmp_path / "m.gpkg", Picture(raster, 80, 60, 1, {})),
    ):
        pass
    assert caught.value.file == raster
    assert open_frame(raster).size == (60, 80)  # outlines of vectors are read in the stored picture


def test_a_missing_package_is_said_with_the_line_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(InputError, match=r"Maps need the package rasterio: pip install 'unet-tf\[geo\]'"):
        open_frame(tmp_path / "a.tif")


@pytest.mark.parametrize("preloaded", [False, True])
def test_a_geopackage_has_its_index_though_tensorflow_brings_an_sqlite_of_its_own(tmp_path, preloaded):
    """Where a library is loaded before all others GDAL cannot make one, and the file is written without."""
    code = (
        "import tensorflow, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from unet_tf.annotations.maps import write_vector_map\n"
        "from unet_tf.annotations.shapes import Shape\n"
        "square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], float)\n"
        "write_vector_map('a.gpkg', [Shape('a', (square,))], 'a.tif')\n"
    )
    write_raster(tmp_path / "a.tif")
    environment = os.environ | {"LD_PRELOAD": "libm.so.6"}
    if preloaded:
        command = [sys.executable, "-c", code]
        done = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment)
    else:
        done = Forked(code, stderr=subprocess.PIPE, folder=tmp_path)
    with done:
        errors = done.communicate()[1]
    assert done.returncode == 0, errors
    assert ("rtree" in errors) <= preloaded
    with sqlite3.connect(tmp_path / "a.gpkg") as file:
        assert file.execute("SELECT count(*) FROM a").fetchone() == (1,)
        if not preloaded:
            assert file.execute("SELECT count(*) FROM rtree_a_geom_rowid").fetchone() == (1,)
