import json
import logging

import numpy as np
import pytest
from kinds_of_annotations import KINDS, truth

from unet_tf import import_annotations
from unet_tf.annotations.read_vector_map import read_vector_map
from unet_tf.annotations.recognise import read_source
from unet_tf.data.pictures import read_mask
from unet_tf.errors import InputError

rasterio = pytest.importorskip("rasterio")
pyogrio = pytest.importorskip("pyogrio")
shapely = pytest.importorskip("shapely")


@pytest.fixture
def raster(tmp_path):
    """60 rows, 80 columns of half a metre, from (500000, 5400000) to the south and east."""
    place = {"crs": "EPSG:25832", "transform": rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000)}
    path = tmp_path / "scene.tif"
    with rasterio.open(path, "w", driver="GTiff", height=60, width=80, count=1, dtype="uint8", **place) as target:
        target.write(np.zeros((60, 80), np.uint8), 1)
    return path


def box(left, top, width, height):
    """The square of these pixels, in map coordinates."""
    return shapely.box(
        500_000 + left / 2, 5_400_000 - (top + height) / 2, 500_000 + (left + width) / 2, 5_400_000 - top / 2
    )


def write(path, geometries, crs="EPSG:25832", kind="Unknown", layer=None, append=False, **fields):
    data = [np.array(values) if not isinstance(values[0], str | None) else np.array(values, object)
            for values in fields.values()]  # fmt: skip
    wkb = np.array([None if one is None else shapely.to_wkb(one) for one in geometries], object)
    options = {"layer": layer, "append": append, "geometry_type": kind}
    pyogrio.raw.write(path, wkb, data, list(fields), crs=crs, **options)
    return path


def corners(shape):
    return [sorted(map(tuple, ring.round(6).tolist())) for ring in shape.rings]


def test_polygons_are_outlines_in_pixels(tmp_path, raster):
    holed = box(10, 20, 30, 10).difference(box(12, 22, 3, 3))
    parts = shapely.MultiPolygon([box(0, 0, 1, 1), box(5, 5, 1, 1)])
    found = read_vector_map(write(tmp_path / "a.gpkg", [holed, parts], **{"class": ["roof", "tree"]}), raster)
    assert [one.name for one in found] == ["roof", "tree"]
    assert corners(found[0]) == [
        [(10, 20), (10, 30), (40, 20), (40, 30)], [(12, 22), (12, 25), (15, 22), (15, 25)],
    ]  # fmt: skip
    assert len(found[1].rings) == 2
    assert all(ring.dtype == np.float64 for one in found for ring in one.rings)


def test_another_coordinate_system_is_transformed(tmp_path, raster):
    from rasterio.warp import transform_geom

    there = shapely.geometry.shape(transform_geom("EPSG:25832", "EPSG:3857", shapely.geometry.mapping(box(4, 8, 2, 3))))
    found = read_vector_map(write(tmp_path / "a.gpkg", [there], crs="EPSG:3857"), raster)
    np.testing.assert_allclose(corners(found[0])[0], [(4, 8), (4, 11), (6, 8), (6, 11)], atol=1e-4)


@pytest.mark.parametrize(
    ("fields", "wanted", "expected"),
    [
        ({"name": ["x", "y"], "label": ["a", "b"]}, None, ["a", "b"]),
        ({"name": ["x", "y"], "label": ["a", "b"]}, "name", ["x", "y"]),
        ({"Class": ["x", "y"]}, None, ["x", "y"]),
        ({"class": [3, 4]}, None, ["3", "4"]),
        ({"class": [3.0, np.nan]}, None, ["3"]),
        ({"class": ["a", None]}, None, ["a"]),
        ({"class": ["a", ""]}, None, ["a"]),
        ({"height": [3, 4]}, None, ["roofs", "roofs"]),
    ],
)
def test_the_class_is_of_a_field_or_the_layer(tmp_path, raster, fields, wanted, expected, caplog):
    path = write(tmp_path / "a.gpkg", [box(0, 0, 9, 9), box(5, 5, 9, 9)], layer="roofs", **fields)
    assert [one.name for one in read_vector_map(path, raster, wanted)] == expected
    said = [record.getMessage() for record in caplog.records]
    if "height" in fields:
        assert f'All polygons of {path} are of the class "roofs"' in said[0] and "has height (--class-field)" in said[0]
        return
    assert said == [f'Left out of {path}: of 2 geometries 1 name no class in the field "class".'] * (2 - len(expected))


def test_what_is_no_polygon_or_lies_outside_is_left_out_and_counted(tmp_path, raster, caplog):
    some = [shapely.Point(500_001, 5_399_999), None, shapely.Polygon(), box(0, 0, 5, 5), box(500, 0, 5, 5)]
    assert len(read_vector_map(write(tmp_path / "a.gpkg", some), raster)) == 1
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == f"Left out of {tmp_path / 'a.gpkg'}: of 5 geometries 1 are no polygons, 2 are empty."
    assert said[1].startswith(f"1 of 2 polygons of {tmp_path / 'a.gpkg'} lie outside of {raster}")


def test_polygons_that_cross_themselves_are_even_odd_and_parts_that_overlap_are_joined(tmp_path, raster, caplog):
    x, y = 500_000, 5_400_000
    bow_tie = shapely.Polygon([(x, y), (x + 2, y - 2), (x + 2, y), (x, y - 2)])
    overlapping = shapely.MultiPolygon([box(10, 10, 4, 4), box(12, 10, 4, 4)])
    found = read_vector_map(write(tmp_path / "a.gpkg", [bow_tie, overlapping]), raster)
    assert [len(one.rings) for one in found] == [2, 1]
    assert caplog.records[0].getMessage().startswith("2 of 2 polygons of")


def test_heights_of_points_are_left_out(tmp_path, raster):
    high = shapely.force_3d(box(0, 0, 5, 5), 300.0)
    assert read_vector_map(write(tmp_path / "a.gpkg", [high]), raster)[0].rings[0].shape == (4, 2)


def test_vectors_that_do_not_lie_on_the_raster_are_refused_with_both_extents(tmp_path, raster):
    there, here = r"x 500250 to 500252\.5, y 5399997\.5 to 5400000", "x 500000 to 500040, y 5399970 to 5400000"
    with pytest.raises(InputError, match=rf"a\.gpkg has {there}; .*scene\.tif has {here}"):
        read_vector_map(write(tmp_path / "a.gpkg", [box(500, 0, 5, 5)]), raster)


def test_vectors_without_a_coordinate_system_are_refused(tmp_path, raster):
    with pytest.warns(UserWarning, match="crs"):
        path = write(tmp_path / "a.shp", [box(0, 0, 5, 5)], crs=None, kind="Polygon", label=["a"])
    with pytest.raises(InputError, match=r"must say their coordinate system .*a\.shp does not"):
        read_vector_map(path, raster)


def test_geojson_in_metres_is_refused(tmp_path, raster):
    feature = {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(box(0, 0, 5, 5))}
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with pytest.raises(InputError, match=r"says that its coordinates are degrees .*they are x 500000 to 500002\.5"):
        read_vector_map(tmp_path / "a.geojson", raster)


def test_files_that_cannot_be_read_are_named(tmp_path, raster):
    (tmp_path / "text.geojson").write_text("not json")
    (tmp_path / "empty.gpkg").write_bytes(b"")
    (tmp_path / "a.kml").write_text("<kml/>")
    whole = write(tmp_path / "whole.gpkg", [box(0, 0, 5, 5)], layer="one").read_bytes()
    (tmp_path / "short.gpkg").write_bytes(whole[: len(whole) // 2])
    write(tmp_path / "two.gpkg", [box(0, 0, 5, 5)], layer="one")
    write(tmp_path / "two.gpkg", [box(0, 0, 5, 5)], layer="two", append=True)
    options = {"crs": "EPSG:25832", "geometry_type": "Polygon", "encoding": "ISO-8859-1"}
    text = np.array(["Geb\u00e4ude"], object)
    pyogrio.raw.write(tmp_path / "text.shp", shapely.to_wkb([box(0, 0, 5, 5)]), [text], ["name"], **options)
    (tmp_path / "text.cpg").write_text("UTF-8")
    write(tmp_path / "points.gpkg", [shapely.Point(500_001, 5_399_999)])
    for name, words in (
        ("missing.gpkg", "There is no file"),
        ("text.geojson", "cannot be read"),
        ("empty.gpkg", "cannot be read"),
        ("short.gpkg", "cannot be read|must hold polygons|must have one layer"),
        ("a.kml", r"Vectors are read from \.gpkg, .*; received 'a\.kml'"),
        ("two.gpkg", "has one, two.*ogr2ogr NEW.gpkg OLD.gpkg LAYER"),
        ("text.shp", "must be in the encoding that it states"),
        ("points.gpkg", "has 1 geometries, of which 1 are no polygons"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            read_vector_map(tmp_path / name, raster)
        assert caught.value.file == tmp_path / name
    assert len(read_vector_map(tmp_path / "two.gpkg", raster, layer="two")) == 1
    with pytest.raises(InputError, match=r'no layer "three" of geometries; it has: one, two'):
        read_vector_map(tmp_path / "two.gpkg", raster, layer="three")
    with pytest.raises(InputError, match=r'no field "kind"; it has: none'):
        read_vector_map(tmp_path / "two.gpkg", raster, "kind", layer="two")


def test_coordinates_that_are_not_finite_are_refused(tmp_path, raster):
    wrong = shapely.Polygon([(500_000, 5_400_000), (np.inf, 5_400_000), (500_001, 5_399_999)])
    with pytest.raises(InputError, match="has 1 points whose coordinates are not finite"):
        read_vector_map(write(tmp_path / "a.gpkg", [wrong]), raster)


def test_many_polygons_keep_their_order(tmp_path, raster):
    boxes = shapely.box(500_000 + np.arange(2000) % 80 / 2, 5_399_990, 500_040, 5_400_000)
    path = write(tmp_path / "a.gpkg", boxes, kind="Polygon", label=list(map(str, range(2000))))
    assert [one.name for one in read_vector_map(path, raster)] == list(map(str, range(2000)))


def test_a_file_without_geometries_has_no_shapes(tmp_path, raster):
    (tmp_path / "none.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    assert read_vector_map(tmp_path / "none.geojson", raster) == []


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".shp"])
def test_every_kind_of_vectors(suffix, tmp_path):
    file = KINDS["map"](tmp_path / "source")
    meta, _, geometries, fields = pyogrio.raw.read(file)
    pyogrio.raw.write(file.with_suffix(suffix), geometries, fields, meta["fields"], geometry_type="Polygon",
                      crs=meta["crs"])  # fmt: skip
    file.unlink()
    import_annotations(tmp_path / "source", tmp_path / "data")
    assert (read_mask(tmp_path / "data/masks/a.png", ids=True) == truth()).all()


def test_degrees_are_read_if_one_says_that_it_is_a_map(tmp_path):
    from rasterio.warp import transform_geom

    file = KINDS["map"](tmp_path / "source")
    content = json.loads(file.read_text())
    for one in content["features"]:
        one["geometry"] = transform_geom("EPSG:32632", "EPSG:4326", one["geometry"], precision=12)
    del content["crs"]
    file.write_text(json.dumps(content))
    assert read_source(file).program == "qupath"  # nothing tells it from pixels
    import_annotations(file, tmp_path / "data", program="map")
    assert (read_mask(tmp_path / "data/masks/a.png", ids=True) != truth()).sum() <= 11  # centres on the diagonal
    assert pyogrio.read_info(file)["crs"] == "EPSG:4326"


def test_vectors_that_lie_elsewhere_are_refused_with_both_extents(tmp_path):
    file = KINDS["map"](tmp_path / "source")
    content = json.loads(file.read_text())
    for one in content["features"]:
        one["geometry"]["coordinates"] = (np.array(one["geometry"]["coordinates"]) + 1e5).tolist()
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match="must lie on each other") as caught:
        import_annotations(tmp_path / "source", tmp_path / "data")
    assert caught.value.file == file


def test_what_is_left_out_is_said(tmp_path, caplog):
    file = KINDS["map"](tmp_path / "source")
    content = json.loads(file.read_text())
    content["features"].append({"type": "Feature", "properties": {"class": "x"},
                                "geometry": {"type": "Point", "coordinates": [1010, 4990]}})  # fmt: skip
    file.write_text(json.dumps(content))
    with caplog.at_level(logging.WARNING, "unet_tf"):
        import_annotations(tmp_path / "source", tmp_path / "data")
    assert "1 are no polygons" in caplog.text


def test_a_damaged_geopackage_is_refused_by_name(tmp_path):
    file = KINDS["map"](tmp_path / "source")
    other = file.with_suffix(".gpkg")
    other.write_bytes(b"SQLite format 3\0 and nothing more")
    file.unlink()
    with pytest.raises(InputError) as caught:
        import_annotations(tmp_path / "source", tmp_path / "data")
    assert caught.value.file == other and str(other) in str(caught.value)


def test_the_field_of_the_class_is_said(tmp_path):
    file = KINDS["map"](tmp_path / "source")
    content = json.loads(file.read_text())
    for one in content["features"]:
        one["properties"] = {"landuse": one["properties"].pop("class")}
    file.write_text(json.dumps(content))
    assert len(import_annotations(tmp_path / "source", tmp_path / "one").classes) == 2  # all are called like the layer
    import_annotations(tmp_path / "source", tmp_path / "data", class_field="landuse")
    assert (read_mask(tmp_path / "data/masks/a.png", ids=True) == truth()).all()
    with pytest.raises(InputError, match='has no field "kind"; it has: landuse'):
        import_annotations(tmp_path / "source", tmp_path / "two", class_field="kind")


def test_a_map_without_features_is_a_picture_without_annotations(tmp_path):
    file = KINDS["map"](tmp_path / "source")
    content = json.loads(file.read_text())
    (tmp_path / "source/b.tif").write_bytes((tmp_path / "source/a.tif").read_bytes())
    (tmp_path / "source/b.geojson").write_text(json.dumps(content | {"features": []}))
    import_annotations(tmp_path / "source", tmp_path / "data", empty="background")
    assert not read_mask(tmp_path / "data/masks/b.png", ids=True).any()
