import csv
import json
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


BOX = {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4}
SAID = [{"class": "cell", "type": "round"}, {"class": "", "type": "round"}, {"name": "", "type": "round"}]


def test_a_region_without_its_class_is_an_object_in_every_form(tmp_path):
    """JSON, CSV and version 3: of the last the attributes have numbers."""
    regions = [{"shape_attributes": BOX, "region_attributes": one} for one in SAID]
    entries = {str(n): {"filename": "a.png", "regions": [one]} for n, one in enumerate(regions)}
    found = [one.shapes[0].name for one in read_via(Path("a.json"), entries, Counter())]
    assert found == ["cell", "object", "round"]
    file = via_csv(tmp_path)
    with file.open("w", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["filename", "region_shape_attributes", "region_attributes"])
        rows.writerows(["a.png", json.dumps(BOX), json.dumps(one)] for one in SAID)
    (read_of_csv,) = read_via_csv(file, Counter())
    assert [shape.name for shape in read_of_csv.shapes] == found
    names = ("class", "type", "name")
    content = {
        "project": {}, "attribute": {name: {"aname": name, "type": 1} for name in names},
        "file": {"1": {"fname": "a.png", "type": 2}}, "view": {"1": {"fid_list": ["1"]}},
        "metadata": {str(n): {"vid": "1", "z": [], "xy": [2, 1, 2, 3, 4], "av": one} for n, one in enumerate(SAID)},
    }  # fmt: skip
    (read_of_3,) = read_via(Path("a.json"), content, Counter())
    assert [shape.name for shape in read_of_3.shapes] == found
