"""What all writers have in common: names of any signs, files whole or absent, more objects than 16 bits number."""

import json
import zipfile

import numpy as np
import pytest
from rasterise import COLOURS, PICTURES, drawn, inside, picture, write

from unet_tf.annotations.outlines import polygons_of
from unet_tf.annotations.shapes import Shape
from unet_tf.annotations.writing import Picture, as_stored, json_list
from unet_tf.data.structure import turned
from unet_tf.prediction.polygons import MAPS, WRITERS, check_outlines

SQUARE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
PLAIN = [kind for kind in WRITERS if kind not in MAPS]  # maps: tests/prediction/test_polygons.py
kinds = pytest.mark.parametrize("kind", PLAIN)


@pytest.fixture(scope="module")
def many():
    """The shapes of 66,049 objects."""
    label = np.zeros((514, 514), np.int64)
    label[::2, ::2] = 1
    ids, shapes = drawn(label)
    assert ids.max() == 257 * 257
    return shapes


@pytest.mark.slow
@kinds
def test_more_objects_than_16_bits_number(kind, many, tmp_path):
    suffix, writer = WRITERS[kind]
    path = tmp_path / f"a{suffix}"
    with writer(path, Picture(tmp_path / "in" / "a.png", 514, 514, 1, COLOURS)) as add:
        add(many)
    if kind == "imagej":
        with zipfile.ZipFile(path) as archive:
            assert len(set(archive.namelist())) == 257 * 257
    else:
        found = json.loads(path.read_text())
        (items,) = (value for name, value in found.items() if name in ("features", "annotations", "shapes"))
        assert len(items) == 257 * 257


@kinds
def test_a_picture_without_objects_is_a_file_without_items(kind, tmp_path):
    suffix, writer = WRITERS[kind]
    write(writer, tmp_path / f"a{suffix}", [np.zeros((3, 4), np.int64)] * (1 if kind == "labelme" else 3))
    check_outlines(tmp_path, "a", [kind])  # is not refused
    if kind == "imagej":
        assert zipfile.ZipFile(tmp_path / f"a{suffix}").namelist() == []
    else:
        assert [] in json.loads((tmp_path / f"a{suffix}").read_text()).values()


@kinds
def test_what_fails_half_way_leaves_nothing(kind, tmp_path):
    suffix, writer = WRITERS[kind]
    (tmp_path / f"a{suffix}").write_text("before")
    with pytest.raises(KeyError), writer(tmp_path / f"a{suffix}", Picture(tmp_path, 1, 1, 1, {"c": (1, 2, 3)})) as add:
        add([Shape("c", (SQUARE,))])
        raise KeyError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(f"a{suffix}", "before")]


@pytest.mark.parametrize("name", ["a\udcff.png", 'quote".png', "новый 🦠.png", "a\nb.png"])
@pytest.mark.parametrize("kind", [kind for kind in PLAIN if kind != "imagej"])
def test_names_of_any_signs_are_written(kind, name, tmp_path):
    suffix, writer = WRITERS[kind]
    label = name.removesuffix(".png")
    with writer(tmp_path / f"a{suffix}", Picture(tmp_path / name, 1, 1, 1, {label: (1, 2, 3)})) as add:
        add([Shape(label, (SQUARE,))])
    text = (tmp_path / f"a{suffix}").read_text(encoding="ascii")
    assert json.dumps(label) in text
    assert kind in ("geojson", "detections") or json.dumps(name) in text
    check_outlines(tmp_path, "a", [kind])  # is not refused


@pytest.mark.parametrize(("before", "after"), [({}, {}), ({"a": 1}, {}), ({}, {"b": [2]}), ({"a": 1}, {"b": None})])
@pytest.mark.parametrize("items", [[], [1], [1, {"x": "y"}]])
def test_a_list_is_written_as_it_grows(before, after, items, tmp_path):
    with json_list(tmp_path / "a.json", before, "items", after) as found:
        for item in items:
            found.append(item)
    assert found.length == len(items)
    assert json.loads((tmp_path / "a.json").read_text()) == before | {"items": items} | after


def test_numbers_that_json_does_not_know_are_no_file(tmp_path):
    with (
        pytest.raises(ValueError, match="not JSON compliant"),
        json_list(tmp_path / "a.json", {}, "items", {}) as items,
    ):
        items.append(float("nan"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rows", PICTURES.values(), ids=PICTURES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_rings_that_are_turned_back_hold_the_stored_pixels(rows, orientation):
    stored = np.minimum(picture(rows), 2)
    ids, shapes = drawn(turned(stored, orientation))
    of = Picture("a.png", *ids.shape, 1, COLOURS, orientation)
    for shape in shapes:
        back = as_stored(shape.rings, of)
        np.testing.assert_array_equal(turned(inside(back, stored.shape), orientation), ids == shape.number)
        sizes = [[list(map(len, polygon)) for polygon in polygons_of(rings)] for rings in (shape.rings, back)]
        assert sizes[0] == sizes[1]  # outer rings and their holes
