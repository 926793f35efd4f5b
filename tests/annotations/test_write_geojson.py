"""GeoJSON gives the pixels back, and says what QuPath reads."""

import json

import numpy as np
import pytest
from rasterise import PICTURES, numbered, picture, write

from unet_tf.annotations.write_geojson import geojson_writer


def features(path):
    found = json.loads(path.read_text(encoding="ascii"))
    assert found.keys() == {"type", "features"}
    assert found["type"] == "FeatureCollection"
    return found["features"]


def rings_of(geometry):
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    rings = [ring for polygon in polygons for ring in polygon]
    for ring in rings:
        assert ring[0] == ring[-1]
        assert len(ring) >= 5
    return [np.array(ring[:-1]) for ring in rings]


@pytest.mark.parametrize("rows", PICTURES.values(), ids=PICTURES)
def test_the_pixels_come_back(rows, tmp_path):
    label = np.minimum(picture(rows), 2)
    (ids,) = write(geojson_writer, tmp_path / "a.geojson", [label])
    found = features(tmp_path / "a.geojson")
    outlines = {int(one["properties"]["name"]): rings_of(one["geometry"]) for one in found}
    np.testing.assert_array_equal(numbered(outlines, ids.shape), ids)


def test_a_feature_is_as_written_by_hand(tmp_path):
    write(geojson_writer, tmp_path / "a.geojson", [picture(["1110", "1010", "1112"])])
    assert features(tmp_path / "a.geojson") == [
        {
            "type": "Feature",
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [[0, 0], [3, 0], [3, 3], [0, 3], [0, 0]],
                    [[1, 2], [2, 2], [2, 1], [1, 1], [1, 2]],
                ],
            },
            "properties": {
                "objectType": "annotation",
                "name": "1",
                "classification": {"name": "cell", "color": [230, 159, 0]},
                "measurements": {"Mean probability": 0.875},
            },
        },
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[[3, 2], [4, 2], [4, 3], [3, 3], [3, 2]]]},
            "properties": {
                "objectType": "annotation",
                "name": "2",
                "classification": {"name": "mitosis: α", "color": [86, 180, 233]},
                "measurements": {"Mean probability": 0.875},
            },
        },
    ]


def test_parts_that_touch_at_a_corner_are_one_feature(tmp_path):
    write(geojson_writer, tmp_path / "a.geojson", [picture(["10", "01"])])
    (one,) = features(tmp_path / "a.geojson")
    assert one["geometry"] == {
        "type": "MultiPolygon",
        "coordinates": [
            [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]],
            [[[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]],
        ],
    }


def test_detections_differ_in_their_kind_alone(tmp_path):
    for kind in ("annotation", "detection"):
        write(lambda path, of, kind=kind: geojson_writer(path, of, kind), tmp_path / kind, [picture(["1"])])
    text = (tmp_path / "annotation").read_text()
    assert '"objectType": "annotation"' in text
    assert text.replace("annotation", "detection") == (tmp_path / "detection").read_text()


def test_pages_of_a_stack_are_planes(tmp_path):
    write(geojson_writer, tmp_path / "a.geojson", [picture(rows) for rows in (["101"], ["000"], ["020"])])
    found = features(tmp_path / "a.geojson")
    assert [(one["geometry"]["plane"], one["properties"]["name"]) for one in found] == [
        ({"c": -1, "z": 0, "t": 0}, "1"),
        ({"c": -1, "z": 0, "t": 0}, "2"),
        ({"c": -1, "z": 2, "t": 0}, "1"),
    ]


def test_points_between_pixels_have_three_decimals(tmp_path):
    label = picture(["000", "010", "000"])
    probabilities = np.eye(3)[label] * np.float32(1 / 3) + 0.1
    write(geojson_writer, tmp_path / "a.geojson", [label], probabilities=probabilities)
    (one,) = features(tmp_path / "a.geojson")
    assert one["geometry"]["coordinates"] == [[[1.0, 1.5], [1.5, 1.0], [2.0, 1.5], [1.5, 2.0], [1.0, 1.5]]]


@pytest.mark.parametrize(
    ("axes", "planes"),
    [
        ((), [(0, 0), (1, 0), (2, 0), (3, 0)]),
        ((("q", 4), ("c", 2)), [(0, 0), (1, 0), (2, 0), (3, 0)]),
        ((("d0", 2), ("d1", 2)), [(0, 0), (1, 0), (2, 0), (3, 0)]),
        ((("p", 2), ("z", 2)), [(0, 0), (1, 0), (2, 0), (3, 0)]),
        ((("t", 4),), [(0, 0), (0, 1), (0, 2), (0, 3)]),
        ((("t", 2), ("z", 2), ("c", 3)), [(0, 0), (1, 0), (0, 1), (1, 1)]),
        ((("z", 2), ("t", 2)), [(0, 0), (0, 1), (1, 0), (1, 1)]),
    ],
)
def test_pages_lie_in_the_planes_of_the_axes(tmp_path, axes, planes):
    write(geojson_writer, tmp_path / "a.geojson", [picture(["1"])] * 4, axes=axes)
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert [one["geometry"]["plane"] for one in features] == [{"c": -1, "z": z, "t": t} for z, t in planes]
