from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from kinds_of_annotations import via_csv

from unet_tf.annotations.raster import areas, rasterise
from unet_tf.annotations.read_via import is_via, read_via, read_via_csv
from unet_tf.data.structure import Damage


def read(*regions):
    skipped = Counter()
    content = {
        "k": {"filename": "a.png", "regions": [{"shape_attributes": one, "region_attributes": {}} for one in regions]}
    }
    return read_via(Path("a.json"), content, skipped)[0].shapes, skipped


def test_rectangles_circles_and_ellipses():
    shapes, _ = read(
        {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4},
        {"name": "circle", "cx": 20, "cy": 20, "r": 10},
        {"name": "ellipse", "cx": 20, "cy": 20, "rx": 10, "ry": 5, "theta": np.pi / 2},
    )
    found = areas(rasterise(shapes, 40, 40), 3)
    assert found[0] == 12 and abs(found[1] - np.pi * 100) < 10 and abs(found[2] - np.pi * 50) < 8
    assert shapes[2].rings[0][:, 1].max() > 29  # turned, it stands


def test_lines_and_points_are_counted():
    shapes, skipped = read({"name": "polyline", "all_points_x": [], "all_points_y": []}, {"name": "point"}, {})
    assert not shapes and skipped.total() == 3


@pytest.mark.parametrize(
    "region", [{"name": "polygon"}, {"name": "polygon", "all_points_x": [1], "all_points_y": []},
               {"name": "rect", "x": "1"}, {"name": "circle", "cx": 1, "cy": 2}],
)  # fmt: skip
def test_wrong_regions_are_damaged(region):
    with pytest.raises(Damage):
        read(region)


@pytest.mark.parametrize("content", [{}, [], {"a": 1}, {"a": {"filename": "x"}}, {"_via_img_metadata": 3}])
def test_other_json_is_not_via(content):
    assert not is_via(content)


def test_lines_of_pictures_without_regions(tmp_path):
    file = via_csv(tmp_path)
    file.write_text(file.read_text() + 'b.png,9,"{}",0,0,"{}","{}"\n')
    assert [(one.picture, len(one.shapes)) for one in read_via_csv(file, Counter())] == [("a.png", 2), ("b.png", 0)]


@pytest.mark.parametrize(
    "line", ["b.png", 'b.png,1,2,3,4,"{x","{}"', ',1,2,3,4,"{}","{}"', 'b.png,1,2,3,4,"[1]","{}"', '"']
)
def test_wrong_lines_are_damaged(line, tmp_path):
    file = via_csv(tmp_path)
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(Damage):
        read_via_csv(file, Counter())


def test_version_1_calls_its_column_otherwise(tmp_path):
    file = via_csv(tmp_path)
    file.write_text("#" + file.read_text())
    assert read_via_csv(file, Counter())[0].picture == "a.png"
