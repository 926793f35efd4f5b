import json
import math

import numpy as np
import pytest

from unet_tf.annotations.annotated import (
    class_of,
    clean,
    ellipse,
    field,
    load_json,
    points,
    rectangle,
    ring,
    typed,
    used_attributes,
)
from unet_tf.annotations.raster import areas, rasterise
from unet_tf.annotations.shapes import Shape
from unet_tf.data.structure import Damage


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\0", '{"a": 1}x', "\xff"], ids=str)
def test_what_is_no_json_is_damaged(text, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(Damage):
        load_json(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_in_any_encoding(encoding, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps({"ä": 1}, ensure_ascii=False).encode(encoding))
    assert load_json(path) == {"ä": 1}


@pytest.mark.parametrize(
    "value", [1, "ab", {"a": 1}, [1, 2], [[1, 2], [3]], [[1, 2, 3]], [["1", "2"]], [[1, None]], [[10**400, 1]],
              [[2**31, 0]], [[True, False]], [[math.nan, 0]], [[math.inf, 0]], [[[1, 2]]]],
)  # fmt: skip
def test_what_are_no_points_is_damaged(value):
    with pytest.raises(Damage, match="the list"):
        points(value, "the list")


def test_points():
    assert points([], "it").shape == (0, 2)
    assert points([[1, 2.5], [3, 4]], "it").tolist() == [[1, 2.5], [3, 4]]


def test_rings_do_not_repeat_their_first_point():
    assert ring(np.array([[0, 0], [1, 0], [1, 1], [0, 0]])).tolist() == [[0, 0], [1, 0], [1, 1]]
    assert ring(np.zeros((0, 2))) is None and ring(np.array([[0, 0], [1, 0], [0, 0]])) is None


@pytest.mark.parametrize(
    ("value", "kind"), [(True, int), ("1", int), (1.0, int), (None, str), (math.nan, float), (2**31, float),
                        ("1", float), (True, float), ([], dict)],
)  # fmt: skip
def test_other_types_are_damaged(value, kind):
    with pytest.raises(Damage, match="it must be"):
        typed(value, kind, "it")


def test_fields_that_are_not_there_are_named_with_those_that_are():
    with pytest.raises(Damage, match="it must have the field 'x'; it has a, b"):
        field({"a": 1, "b": 2}, "x", int, "it")
    with pytest.raises(Damage, match="it must be an object"):
        field([], "x", int, "it")


@pytest.mark.parametrize("radius", [0.6, 3.3, 57.0, 900.0])
def test_an_ellipse_is_off_by_a_hundredth_of_a_pixel_at_most(radius):
    outline = ellipse(0, 0, radius, radius)
    middle = (outline + np.roll(outline, -1, axis=0)) / 2
    assert radius - np.linalg.norm(middle, axis=1).min() <= 0.01
    assert np.allclose(np.linalg.norm(outline, axis=1), radius)


def test_a_circle_holds_the_centres_that_are_nearer_than_its_radius():
    rows, columns = np.indices((60, 60)) + 0.5
    near = np.hypot(rows - 29.3, columns - 30.1) < 20.2
    assert areas(rasterise([Shape("a", (ellipse(30.1, 29.3, 20.2, 20.2),))], 60, 60), 1)[0] == near.sum()


def test_rectangles_turn_clockwise_as_the_eye_sees_it():
    assert rectangle(0, 0, 4, 2).tolist() == [[0, 0], [4, 0], [4, 2], [0, 2]]
    assert np.allclose(rectangle(0, 0, 4, 2, 90), [[3, -1], [3, 3], [1, 3], [1, -1]])  # the left upper one is right


@pytest.mark.parametrize(
    ("name", "expected"), [(" a  b\n", "a b"), ("", "object"), ("Void", "void"), ("BACKGROUND", "background"), (3, "3"),
                           ("'q'", "q"), ("\ud800", "?"), ("a\0b", "a b")],
)  # fmt: skip
def test_names_of_classes_in_one_line(name, expected):
    assert clean(name) == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, "object"),
        ({"any": "cell"}, "cell"),
        ({"colour": "red", "Label": "cell"}, "cell"),
        ({"note": "", "any": "cell"}, "cell"),
        ({"class": {"cell": True, "vessel": False}}, "cell"),
        ({"class": 3}, "3"),
        ({"class": "", "any": None}, "object"),
    ],
)
def test_the_attribute_that_is_the_class(attributes, expected):
    assert class_of(attributes, used_attributes([attributes])) == expected


@pytest.mark.parametrize("attributes", [{"colour": "red", "shape": "round"}, {"class": {"a": True, "b": True}}, [1]])
def test_attributes_that_leave_the_class_open(attributes):
    with pytest.raises(Damage):
        class_of(attributes, used_attributes([attributes]))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"class": "", "type": "blurry"}, "object"),
        ({"class": None, "type": "blurry"}, "object"),
        ({"Class": float("nan"), "any": "blurry"}, "object"),
        ({"type": "blurry"}, "blurry"),  # what is not asked for is not left blank
        ({"name": "", "type": "cell"}, "cell"),  # no region of the file has a name
        ({"class": 0}, "0"),
    ],
)
def test_a_blank_class_is_none_whatever_else_is_said(attributes, expected):
    used = used_attributes([{"class": "cell", "type": "round"}, {"name": "", "any": "x"}, "no attributes"])
    assert used == {"class", "type", "any"}
    assert class_of(attributes, used) == expected


def test_a_blank_attribute_is_one_of_several_that_leave_the_class_open():
    with pytest.raises(Damage, match="received kind, note"):
        class_of({"kind": "", "note": "blurry"}, used_attributes([{"kind": "cell"}, {"note": "blurry"}]))
