"""Outlines beyond memory are those of the whole array, whatever the chunks."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rasterise import mask

from unet_tf.annotations.outlines import find_outlines
from unet_tf.annotations.write_geojson import geometry_of
from unet_tf.errors import InputError
from unet_tf.prediction.large_objects import number_objects
from unet_tf.prediction.large_polygons import outline_objects
from unet_tf.prediction.objects import find_objects
from unet_tf.utils.signals import Stopped

zarr = pytest.importorskip("zarr")
SIDES = st.integers(1, 12)


def outlined(path, min_area=1, **settings):
    """Number -> feature."""
    number_objects(path, min_area)
    features = json.loads(outline_objects(path, **settings).read_text())["features"]
    found = {int(one["properties"]["name"]): one for one in features}
    assert len(found) == len(features)
    return found


@given(
    arrays.arrays(np.uint8, st.tuples(SIDES, SIDES), elements=st.integers(0, 2)),
    st.tuples(SIDES, SIDES),
    st.integers(1, 4),
)
@settings(max_examples=60)
def test_any_chunks_give_the_outlines_of_the_whole(tmp_path_factory, label, chunk, min_area):
    found = outlined(mask(tmp_path_factory.mktemp("any") / "m.zarr", label, chunk), min_area)
    ids, objects = find_objects(label, None, min_area)
    expected = {number: geometry_of(rings) for number, rings in find_outlines(ids).items()}
    assert {number: one["geometry"] for number, one in found.items()} == expected
    for thing in objects:
        name = {"name": f"class {thing.label}", "color": [thing.label, 2, 3]}
        properties = {"objectType": "annotation", "name": str(thing.number), "classification": name}
        assert found[thing.number]["properties"] == properties


def test_planes_are_those_of_qupath(tmp_path):
    label = np.zeros((2, 3, 4), np.uint8)
    label[0, 0, 0] = label[1, 2, 1:3] = 1
    found = outlined(mask(tmp_path / "m.zarr", label, (2, 2)), kind="detections")
    assert [one["geometry"] for one in found.values()] == [
        {
            "type": "Polygon",
            "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]],
            "plane": {"c": -1, "z": 0, "t": 0},
        },
        {
            "type": "Polygon",
            "coordinates": [[[1, 2], [3, 2], [3, 3], [1, 3], [1, 2]]],
            "plane": {"c": -1, "z": 1, "t": 0},
        },
    ]
    assert (tmp_path / "m_detections.geojson").exists()


def test_points_are_left_out_of_whole_outlines(tmp_path):
    label = np.tri(20, dtype=np.uint8)
    whole = outlined(mask(tmp_path / "a.zarr", label, (20, 20)), tolerance=1)
    parts = outlined(mask(tmp_path / "b.zarr", label, (3, 7)), tolerance=1)
    assert whole == parts
    assert len(whole[1]["geometry"]["coordinates"][0]) < 10


def test_what_another_program_wrote_is_not_replaced(tmp_path):
    path = mask(tmp_path / "m.zarr", np.ones((4, 4), np.uint8), (2, 2))
    outlined(path)
    outlined(path)
    corrected = '{"type": "FeatureCollection", "features": []}'
    (tmp_path / "m.geojson").write_text(corrected)
    with pytest.raises(InputError, match="exists, and holds no outlines of m.zarr"):
        outlined(path)
    assert (tmp_path / "m.geojson").read_text() == corrected


def test_what_another_program_appended_an_object_to_is_not_replaced(tmp_path):
    pyogrio = pytest.importorskip("pyogrio")
    path = mask(tmp_path / "m.zarr", np.ones((4, 4), np.uint8), (2, 2))
    outlined(path)
    file = tmp_path / "m.geojson"
    head = file.read_bytes()[:70]
    about, _, geometry, _ = pyogrio.raw.read(file)
    pyogrio.raw.write(file, geometry, [], [], driver="GeoJSON", geometry_type="Polygon", crs=about["crs"], append=True)
    kept = file.read_bytes()
    assert kept.startswith(head) and len(json.loads(kept)["features"]) == 2  # GDAL appends behind the last object
    with pytest.raises(InputError, match="exists, and holds no outlines of m.zarr"):
        outlined(path)
    assert file.read_bytes() == kept


def test_without_objects_what_to_do_is_said(tmp_path):
    path = mask(tmp_path / "m.zarr", np.ones((4, 4), np.uint8), (2, 2))
    with pytest.raises(InputError, match="must have m_instances.zarr and m_objects.csv beside it"):
        outline_objects(path)
    assert [one.name for one in tmp_path.iterdir()] == ["m.zarr"]


def test_stopped_it_leaves_nothing(tmp_path):
    path = mask(tmp_path / "m.zarr", np.ones((4, 4), np.uint8), (2, 2))
    number_objects(path)

    def stop(done, total):
        assert total == 4
        if done == 2:
            raise Stopped

    with pytest.raises(Stopped):
        outline_objects(path, on_chunk=stop)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["m.zarr", "m_instances.zarr", "m_objects.csv"]


@pytest.mark.parametrize(
    ("axes", "planes"),
    [
        ("tzyx", [(0, 0), (1, 0), (0, 1), (1, 1)]),
        ("ztyx", [(0, 0), (0, 1), (1, 0), (1, 1)]),
        ("pzyx", [(0, 0), (1, 0), (2, 0), (3, 0)]),
    ],
)
def test_planes_are_those_of_the_axes_that_qupath_knows(tmp_path, axes, planes):
    found = outlined(mask(tmp_path / "m.zarr", np.ones((2, 2, 3, 4), np.uint8), (3, 4), axes=axes))
    assert [one["geometry"]["plane"] for one in found.values()] == [{"c": -1, "z": z, "t": t} for z, t in planes]
