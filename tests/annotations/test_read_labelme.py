import base64
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from unet_tf.annotations.raster import paint, rasterise
from unet_tf.annotations.read_labelme import read_labelme
from unet_tf.data.structure import Damage

SQUARE = [[1, 1], [4, 1], [4, 3], [1, 3]]


def read(*shapes, **fields):
    skipped = Counter()
    content = {
        "shapes": [{"label": "cell", "points": SQUARE} | shape for shape in shapes],
        "imagePath": "a.png",
    } | fields
    return read_labelme(Path("a.json"), json.loads(json.dumps(content)), skipped)[0], skipped


def mask_of(*shapes):
    found = read(*shapes)[0].shapes
    mask = np.zeros((8, 8), np.uint8)
    paint(mask, rasterise(found, 8, 8), np.arange(1, len(found) + 1))
    return mask


def test_polygons_and_rectangles_by_any_two_corners():
    expected = np.zeros((8, 8), bool)
    expected[1:3, 1:4] = True
    assert (mask_of({}) == expected).all()
    for corners in ([[1, 1], [4, 3]], [[4, 3], [1, 1]], [[1, 3], [4, 1]]):
        assert (mask_of({"shape_type": "rectangle", "points": corners}) == expected).all()
    assert (mask_of({"shape_type": None}) == expected).all()  # as old versions wrote it


def test_circles_are_a_centre_and_a_point_of_the_border():
    rows, columns = np.indices((8, 8)) + 0.5
    expected = np.hypot(rows - 4, columns - 4) < 2.9
    assert (mask_of({"shape_type": "circle", "points": [[4, 4], [4, 6.9]]}) == expected).all()


def test_masks_lie_at_their_first_point():
    data = base64.b64encode(cv2.imencode(".png", np.array([[255, 0], [255, 255]], np.uint8))[1].tobytes()).decode()
    mask = mask_of({"shape_type": "mask", "points": [[2, 3], [3, 4]], "mask": data})
    assert np.argwhere(mask).tolist() == [[3, 2], [4, 2], [4, 3]]


def test_groups_are_of_one_label():
    found = read({"group_id": 1}, {"group_id": 1}, {"group_id": 1, "label": "b"}, {"group_id": 2}, {})[0]
    assert [shape.group for shape in found.shapes] == [0, 0, 1, 2, None]


def test_what_is_no_area_is_counted():
    found, skipped = read(
        {"shape_type": "point", "points": [[1, 1]]}, {"shape_type": "linestrip"}, {"shape_type": "x" * 99},
        {"points": [[1, 1], [2, 2]]},
    )  # fmt: skip
    assert not found.shapes and skipped.total() == 4
    assert skipped["outlines of fewer than three points"] == skipped["shapes of type point, which are no areas"] == 1


def test_labelme_s_own_words():
    assert [one.name for one in read({"label": "__ignore__"}, {"label": "_background_"})[0].shapes] == [
        "void", "background",
    ]  # fmt: skip
    found = read(imageHeight=5, imageWidth=7)[0]
    assert (found.size, found.picture, found.shown, found.embedded) == ((5, 7), "a.png", True, None)


@pytest.mark.parametrize(
    "shape", [{"label": None}, {"points": None}, {"points": [[1]]}, {"shape_type": "circle", "points": [[1, 1]]},
              {"shape_type": "mask"}, {"shape_type": "mask", "mask": "AAAA"}, {"shape_type": "mask", "mask": "?"},
              {"points": [[1e99, 0], [1, 1], [2, 2]]}],
)  # fmt: skip
def test_wrong_fields_are_damaged(shape):
    with pytest.raises(Damage, match="shape 1"):
        read({}, shape)


@pytest.mark.parametrize("fields", [{"imageHeight": 5}, {"imageHeight": 0, "imageWidth": 5}, {"imagePath": 3},
                                    {"imageHeight": 1.5, "imageWidth": 2}])  # fmt: skip
def test_wrong_pictures_are_damaged(fields):
    with pytest.raises(Damage):
        read(**fields)


def test_a_mask_that_declares_more_than_it_holds_is_damaged():
    data = bytearray(cv2.imencode(".png", np.ones((2, 2), np.uint8))[1].tobytes())
    data[16:24] = (100_000).to_bytes(4, "big") * 2
    with pytest.raises(Damage, match="must be a PNG picture"):
        read({"shape_type": "mask", "mask": base64.b64encode(bytes(data)).decode()})
