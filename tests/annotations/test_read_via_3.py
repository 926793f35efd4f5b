import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from kinds_of_annotations import SHAPES, via_3, via_3_csv

from unet_tf.annotations.raster import areas, rasterise
from unet_tf.annotations.read_via import is_via, read_via, read_via_csv
from unet_tf.data.structure import Damage

LABEL = {"aname": "class", "type": 4, "options": {"0": "cell", "1": "debris"}}


def project(*entries, attribute=None, files=("a.png",), view=("1",)):
    return {
        "project": {}, "attribute": attribute or {"1": LABEL}, "view": {"1": {"fid_list": list(view)}},
        "file": {str(number): {"fname": name} for number, name in enumerate(files, start=1)},
        "metadata": {f"1_{number}": {"vid": "1", "z": [], "av": {}} | one for number, one in enumerate(entries)},
    }  # fmt: skip


def read(*entries, **parts):
    skipped = Counter()
    return read_via(Path("a.json"), project(*entries, **parts), skipped), skipped


def test_rectangles_circles_and_ellipses():
    [found], skipped = read({"xy": [2, 1, 2, 3, 4]}, {"xy": [3, 20, 20, 10]}, {"xy": [4, 20, 20, 10, 5]})
    sizes = areas(rasterise(found.shapes, 40, 40), 3)
    assert sizes[0] == 12 and abs(sizes[1] - np.pi * 100) < 10 and abs(sizes[2] - np.pi * 50) < 8
    assert not skipped


def test_what_is_no_area_and_what_is_of_a_video_is_counted():
    inside = [7, 1, 1, 5, 1, 5, 5]
    [found], skipped = read(
        {"xy": [1, 3, 3]}, {"xy": [8, *range(8)]}, {"xy": [77]}, {"xy": inside, "z": [1.2]}, {"xy": []}
    )
    assert (found.picture, found.shapes) == ("a.png", ())
    assert sorted(skipped.values()) == [1, 1, 1, 1]
    pictures, skipped = read({"xy": inside}, files=("a.png", "b.png"), view=("1", "2"))
    assert ([one.picture for one in pictures], skipped.total()) == (["a.png", "b.png"], 1)


@pytest.mark.parametrize(
    ("attribute", "value", "name"),
    [(LABEL, "1", "debris"), ({"aname": "class", "type": 1, "options": {}}, "nucleus", "nucleus"),
     (LABEL | {"type": 2}, "0", "cell"), (LABEL | {"type": 2}, "", "object")],
)  # fmt: skip
def test_an_option_is_the_class_that_it_stands_for(attribute, value, name):
    [found], _ = read({"xy": [2, 1, 2, 3, 4], "av": {"1": value}}, attribute={"1": attribute})
    assert found.shapes[0].name == name


@pytest.mark.parametrize(
    "entry",
    [{"xy": [7, 1, 2, 3]}, {"xy": [2, 1, 2, 3]}, {"xy": [3, "1", 2, 3]}, {"xy": 3}, {}, {"xy": [], "z": 1},
     {"xy": [2, 1, 2, 3, 4], "vid": "9"}, {"xy": [2, 1, 2, 3, 4], "av": {"1": "0,1"}}],
)  # fmt: skip
def test_wrong_entries_are_damaged(entry):
    with pytest.raises(Damage):
        read(entry, attribute={"1": LABEL | {"type": 2}})


def test_a_view_of_no_file_and_files_without_a_name_are_damaged():
    with pytest.raises(Damage):
        read({"xy": [1, 2, 3]}, view=("4",))
    with pytest.raises(Damage):
        read_via(Path("a.json"), project() | {"file": {"1": {}}}, Counter())
    assert not is_via(project() | {"view": []})


def test_a_picture_without_a_region_is_one_of_background(tmp_path):
    content = json.loads(via_3(tmp_path).read_text())
    content["file"]["2"] = {"fname": "b.png"}
    assert [(one.picture, len(one.shapes)) for one in read_via(tmp_path, content, Counter())] == [
        ("a.png", len(SHAPES)), ("b.png", 0)
    ]  # fmt: skip


@pytest.mark.parametrize("row", ['"1","[x]",0,"[]","[]","{}"', '"1","[""a""]",0', '"1","[3]",0,"[]","[]","{}"', '"'])
def test_wrong_rows_are_damaged(row, tmp_path):
    file = via_3_csv(tmp_path)
    file.write_text(file.read_text() + row + "\n")
    with pytest.raises(Damage):
        read_via_csv(file, Counter())
