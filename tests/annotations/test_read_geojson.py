from collections import Counter
from pathlib import Path

import pytest

from unet_tf.annotations.annotated import load_json
from unet_tf.annotations.raster import areas, rasterise
from unet_tf.annotations.read_geojson import is_geojson, read_geojson
from unet_tf.data.structure import Damage


def square(low, high):
    return [[low, low], [high, low], [high, high], [low, high], [low, low]]


def read(*geometries, properties=None):
    skipped = Counter()
    features = [{"type": "Feature", "geometry": one, "properties": properties} for one in geometries]
    return read_geojson(Path("a.ome.geojson"), {"type": "FeatureCollection", "features": features}, skipped)[0], skipped


def test_holes_and_parts():
    found, _ = read(
        {"type": "Polygon", "coordinates": [square(0, 8), square(2, 4)]},
        {"type": "MultiPolygon", "coordinates": [[square(0, 2)], [square(4, 8), square(5, 6)]]},
        {"type": "GeometryCollection", "geometries": [{"type": "Polygon", "coordinates": [square(0, 1)]}]},
    )
    assert areas(rasterise(found.shapes, 9, 9), 4).tolist() == [60, 4, 15, 1]
    assert [shape.group for shape in found.shapes] == [None, 1, 1, 2]
    assert (found.picture, found.stem, found.shown, found.size) == ("a.ome", True, False, None)


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({"classification": {"name": "Tumor", "color": [1, 2, 3]}}, "Tumor"),
        ({"classification": {"names": ["Tumor", "CD3+"]}}, "Tumor: CD3+"),
        ({"classification": "Tumor"}, "Tumor"),
        ({"classification": {"name": "Ignore*"}}, "void"),
        ({}, "object"),
        (None, "object"),
    ],
)
def test_classes_of_qupath(properties, name):
    assert read({"type": "Polygon", "coordinates": [square(0, 1)]}, properties=properties)[0].shapes[0].name == name


@pytest.mark.parametrize("measurements", [{"Area": 3.5, "Mean": 7}, [{"name": "Area", "value": 3.5}]])
def test_of_measurements_the_name_is_kept_and_not_the_numbers(measurements):
    of_cell = {"objectType": "cell", "measurements": measurements, "kind": "a"}
    (told,) = read({"type": "Polygon", "coordinates": [square(0, 1)]}, properties=of_cell)[0].features
    assert told.properties == of_cell | {"measurements": {}}


def test_third_coordinates_are_left_out_and_lines_counted():
    ring = [[x, y, 7] for x, y in square(0, 2)]
    found, skipped = read({"type": "Polygon", "coordinates": [ring]}, {"type": "LineString", "coordinates": []}, None)
    assert areas(rasterise(found.shapes, 9, 9), 1).tolist() == [4] and skipped.total() == 2


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Polygon"},
        {"type": "Polygon", "coordinates": [[[1, "a"], [1, 2], [3, 4]]]},
        {"type": "Polygon", "coordinates": [3]},
        {"type": "Polygon", "coordinates": [[[1], [2], [3]]]},
        {"type": "MultiPolygon", "coordinates": [3]},
        {"type": "GeometryCollection", "geometries": [{"type": "GeometryCollection", "geometries": []}]},
        {"coordinates": []},
        [],
    ],
)
def test_wrong_geometries_are_damaged(geometry):
    with pytest.raises(Damage, match="feature 0"):
        read(geometry)


def test_a_list_and_a_feature_are_geojson_too():
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [square(0, 2)]}, "properties": {}}
    for content in ([feature], feature):
        assert is_geojson(content)
        assert len(read_geojson(Path("a.json"), content, Counter())[0].shapes) == 1
    assert not is_geojson([]) and not is_geojson({"type": "FeatureCollection", "features": 3})
    assert is_geojson({"type": "FeatureCollection", "features": []})


@pytest.mark.parametrize("axis", ["z", "t"])
def test_objects_of_several_planes_do_not_lie_over_each_other(axis):
    first = {"type": "Polygon", "coordinates": [square(0, 8)]}  # QuPath names no plane where it is the first one
    third = first | {"plane": {"c": 2, axis: 2.0}}
    assert len(read(first, first | {"plane": {"c": 1, "z": 0}})[0].shapes) == 2
    assert len(read(third, third, {"type": "Point", "coordinates": [1, 1]})[0].shapes) == 2
    with pytest.raises(Damage, match=f"in one plane; of these {axis} is 0, 2. .* take the planes out of the file"):
        read(first, third)


def test_measurements_need_not_be_finite(tmp_path):
    file = tmp_path / "a.geojson"
    file.write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"measurements": {"a": NaN}},'
        ' "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4]]]}}]}'
    )
    (found,) = read_geojson(file, load_json(file), Counter())
    assert len(found.shapes) == 1
    file.write_text(file.read_text().replace("[4, 4]", "[NaN, 4]"))
    with pytest.raises(Damage, match="coordinates of up to"):
        read_geojson(file, load_json(file), Counter())
