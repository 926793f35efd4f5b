"""Labelme files give the pixels back, and find their picture."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rasterise import PICTURES, inside, picture, write

from unet_tf.annotations import write_labelme
from unet_tf.annotations.write_labelme import labelme_writer
from unet_tf.errors import InputError


def check(path, label):
    """The pixels come back of polygons that are filled one by one: those of an object do not overlap."""
    (ids,) = write(labelme_writer, path, [label])
    found = json.loads(path.read_text(encoding="ascii"))
    got = np.zeros(ids.shape, np.int64)
    numbers = {}
    for i, shape in enumerate(found["shapes"]):
        assert shape["shape_type"] == "polygon"
        mask = inside([np.array(shape["points"])], ids.shape)
        assert not got[mask].any()
        assert shape["label"] == ("cell", "mitosis: α")[label[mask][0] - 1]
        key = i if shape["group_id"] is None else ("group", shape["group_id"])
        got[mask] = numbers.setdefault(key, len(numbers) + 1)
    np.testing.assert_array_equal(got, ids)
    return found


@pytest.mark.parametrize("rows", PICTURES.values(), ids=PICTURES)
def test_the_pixels_come_back(rows, tmp_path):
    check(tmp_path / "a.json", np.minimum(picture(rows), 2))


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2)))
@settings(max_examples=100)
def test_the_pixels_of_any_objects_come_back(tmp_path_factory, label):
    check(tmp_path_factory.mktemp("any") / "a.json", label)


def test_a_file_is_as_written_by_hand(tmp_path):
    assert check(tmp_path / "a.json", picture(["1110", "1012", "1110"])) == {
        "version": "5.5.0",
        "flags": {},
        "shapes": [
            {
                "label": "cell",
                "points": [[0, 0], [1, 1], [1, 2], [2, 2], [2, 1], [1, 1], [0, 0], [3, 0], [3, 3], [0, 3]],
                "group_id": None,
                "description": "mean probability 0.8750",
                "shape_type": "polygon",
                "flags": {},
            },
            {
                "label": "mitosis: α",
                "points": [[3, 1], [4, 1], [4, 2], [3, 2]],
                "group_id": None,
                "description": "mean probability 0.8750",
                "shape_type": "polygon",
                "flags": {},
            },
        ],
        "imagePath": "in/a.png",
        "imageData": None,
        "imageHeight": 3,
        "imageWidth": 4,
    }


def test_many_holes_are_reached_though_not_by_the_shortest_cuts(tmp_path, monkeypatch):
    monkeypatch.setattr(write_labelme, "PAIRS", 20)
    label = np.ones((43, 43), np.uint8)
    label[2:-1:2, 2:-1:2] = 0
    label[0, ::2] = 0  # a rim of many corners
    (shape,) = check(tmp_path / "a.json", label)["shapes"]
    assert len(shape["points"]) > 400 * 6


def test_a_stack_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"labelme opens pictures of one page; .*a.png has 2"):
        write(labelme_writer, tmp_path / "a.json", [picture(["1"]), picture(["0"])])
    assert list(tmp_path.iterdir()) == []
