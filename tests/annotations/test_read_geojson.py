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


@pytest.mark.parametrize(
    ("properties", "names"),
    [
        (({"class": "tumor", "area": 3}, {"class": "stroma"}), ["tumor", "stroma"]),
        (({"label": "tumor"}, {"label": 2}), ["tumor", "2"]),
        (({"category": 1, "category_name": "tumor"}, {"category": 2, "category_name": "stroma"}), ["tumor", "stroma"]),
        (({"Class_Name": "tumor"}, {"Class_Name": None}), ["tumor", "object"]),
        (({"class": "", "label": "tumor"}, {"class": None, "label": "stroma"}), ["tumor", "stroma"]),
        (({"class": {"name": "tumor", "color": [1, 2, 3]}}, {"class": 2.0}), ["tumor", "2"]),
        (({"name": "tumor"}, {"name": "stroma"}), ["object", "object"]),
        (({"classification": {"name": "tumor"}, "class": "a"}, {"class": "b"}), ["tumor", "object"]),
        (({"classification": None, "class": "a"}, {"class": "b"}), ["a", "b"]),
    ],
)
def test_classes_of_other_programs(properties, names):
    features = [
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [square(0, 1)]}, "properties": one}
        for one in properties
    ]
    (found,) = read_geojson(Path("a.geojson"), features, Counter())
    assert [shape.name for shape in found.shapes] == names
    assert bool(found.fields) == ("object" in names)


def test_several_classes_of_a_feature_are_damaged():
    with pytest.raises(Damage, match="'class' of feature 0 must name one class; received"):
        read({"type": "Polygon", "coordinates": [square(0, 1)]}, properties={"class": ["a", "b"]})


def feature(kind, low, high, name=None, old=False):
    properties = {} if old else {"objectType": kind}
    return {
        "type": "Feature", "id": f"Path{kind.title()}Object" if old else "0d5f6c0e",
        "geometry": {"type": "Polygon", "coordinates": [square(low, high)]},
        "properties": properties | ({} if name is None else {"classification": {"name": name}}),
    }  # fmt: skip


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("outer", "inner", "left"),
    [
        (("annotation",), ("detection",), True),
        (("annotation",), ("cell", "Tumor"), True),
        (("annotation", "Region*"), ("cell", "Tumor"), True),
        (("tma_core",), ("tile",), True),
        (("annotation",), ("annotation", "Tumor"), False),
        (("annotation", "Stroma"), ("detection", "Tumor"), False),
        (("detection",), ("detection",), False),
    ],
)
def test_an_annotation_without_a_class_around_detections_is_a_region(outer, inner, left, order, old):
    skipped = Counter()
    objects = [feature(outer[0], 0, 80, *outer[1:], old=old)]
    objects += [feature(inner[0], low, low + 9, *inner[1:], old=old) for low in (5, 40)]
    (found,) = read_geojson(Path("a.geojson"), objects[::order], skipped)
    assert len(found.shapes) == 3 - left
    assert skipped == ({"annotations without a class around several detections, which are regions": 1} if left else {})
    assert found.regions[0] == left


def test_annotations_around_one_detection_may_be_cells_around_nuclei():
    cells = [feature("annotation", 0, 20), feature("annotation", 40, 60)]
    nuclei = [feature("detection", 5, 9), feature("detection", 45, 49)]
    (found,) = read_geojson(Path("a.geojson"), [*cells, *nuclei], Counter())
    assert (len(found.shapes), found.regions) == (4, (0, 2, 0))
    (found,) = read_geojson(Path("a.geojson"), [*cells, *nuclei, feature("annotation", 0, 90)], Counter())
    assert (len(found.shapes), found.regions) == (4, (1, 2, 0))


def test_an_annotation_beside_detections_is_an_object():
    skipped = Counter()
    corner = {"type": "Polygon", "coordinates": [[[0, 0], [80, 0], [0, 80], [0, 0]]]}  # its box holds the other
    objects = [feature("annotation", 0, 0) | {"geometry": corner}, feature("detection", 60, 70)]
    (found,) = read_geojson(Path("a.geojson"), objects, skipped)
    assert (len(found.shapes), found.regions, skipped) == (2, (0, 0, 1), {})


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
