import base64
import json
import zlib
from collections import Counter

import numpy as np
import pytest
from kinds_of_annotations import bitmap, supervisely

from unet_tf.annotations.raster import areas, rasterise
from unet_tf.annotations.read_supervisely import read_supervisely
from unet_tf.data.structure import Damage


def read(tmp_path, *objects, **fields):
    file, skipped = supervisely(tmp_path), Counter()
    content = json.loads(file.read_text()) | {"objects": [{"classTitle": "a"} | one for one in objects]} | fields
    return read_supervisely(file, content, skipped)[0], skipped


def outline(kind, exterior, interior=()):
    return {"geometryType": kind, "points": {"exterior": exterior, "interior": list(interior)}}


def test_rectangles_hold_both_their_pixels_and_polygons_run_through_centres(tmp_path):
    found, _ = read(
        tmp_path,
        outline("rectangle", [[2, 3], [9, 8]]),
        outline("polygon", [[2, 3], [9, 3], [9, 8], [2, 8]], [[[4, 4], [6, 4], [6, 6], [4, 6]]]),
    )
    assert areas(rasterise(found.shapes, 20, 24), 2).tolist() == [8 * 6, 7 * 5 - 4]
    assert (found.picture, found.size) == ("a.png", (20, 24))


def test_bitmaps_lie_at_their_origin(tmp_path):
    mask = np.array([[1, 0], [1, 1]])
    found, _ = read(tmp_path, {"geometryType": "bitmap", "bitmap": {"origin": [5, 7], "data": bitmap(mask)}})
    assert found.shapes[0].spans.tolist() == [[7, 5, 6], [8, 5, 7]]


def test_lines_are_counted(tmp_path):
    found, skipped = read(tmp_path, outline("line", [[0, 0], [1, 1]]))
    assert not found.shapes and skipped.total() == 1


def packed(data):
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    "data",
    [
        "?",
        packed(b"nothing"),
        packed(zlib.compress(b"nothing")),
        packed(zlib.compress(bytes(100_000_000))),  # it would be larger than its picture
        packed(base64.b64decode(bitmap(np.ones((2, 2))))[:-8]),
    ],
    ids=["no base64", "no zlib", "no png", "bomb", "cut"],
)
def test_damaged_bitmaps_are_damaged(data, tmp_path):
    with pytest.raises(Damage, match="object 0"):
        read(tmp_path, {"geometryType": "bitmap", "bitmap": {"origin": [5, 7], "data": data}})


@pytest.mark.parametrize(
    "one",
    [
        {"geometryType": "bitmap", "bitmap": {"origin": [0.5, 1], "data": bitmap(np.ones((1, 1)))}},
        {"geometryType": "bitmap", "bitmap": {"origin": [1], "data": bitmap(np.ones((1, 1)))}},
        {"geometryType": "bitmap"},
        outline("rectangle", [[1, 2]]),
        outline("polygon", [[1, 2], [3]]),
        {"geometryType": 3},
        {"classTitle": None, "geometryType": "polygon"},
    ],
)
def test_wrong_objects_are_damaged(one, tmp_path):
    with pytest.raises(Damage):
        read(tmp_path, one)


@pytest.mark.parametrize("size", [{}, {"height": 20}, {"height": "20", "width": 24}])
def test_wrong_sizes_are_damaged(size, tmp_path):
    with pytest.raises(Damage):
        read(tmp_path, size=size)
