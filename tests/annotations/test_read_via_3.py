import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from kinds_of_annotations import SHAPES, via_3, via_3_csv

from unet_tf import import_annotations
from unet_tf.annotations.raster import areas, rasterise
from unet_tf.annotations.read_via import is_via, is_via_csv, read_via, read_via_csv
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
    entries = [{"xy": [1, 3, 3]}, {"xy": [8, *range(8)]}, {"xy": [77]}, {"xy": inside, "z": [1.2]}, {"xy": []}]
    [found], skipped = read(*entries)
    assert (found.picture, found.shapes) == ("a.png", ())
    assert [words.split(",")[0] for words in skipped] == [
        "points", "rectangles by extreme points", "regions of shape 77", "regions of videos"
    ]  # fmt: skip
    pictures, skipped = read({"xy": inside}, files=("a.png", "b.png"), view=(1, 2))
    assert ([one.picture for one in pictures], skipped.total()) == (["a.png", "b.png"], 1)


def test_videos_beside_pictures_leave_these_readable(tmp_path):
    content = json.loads(via_3(tmp_path).read_text())
    content["file"]["2"] = {"fname": "v.mp4", "type": 4}
    content["view"]["2"] = {"fid_list": ["2"]}
    content["metadata"]["2_0"] = {"vid": "2", "z": [1.5], "xy": [2, 1, 1, 5, 5], "av": {}}
    (tmp_path / "project.json").write_text(json.dumps(content))
    outcome = import_annotations(tmp_path, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "masks").iterdir()] == ["a.png"]
    assert any("videos" in note for note in outcome.notes)
    (tmp_path / "csv").mkdir()
    file = via_3_csv(tmp_path / "csv")
    file.write_text(file.read_text() + '"2_0","[""v.mp4""]",0,"[1,2]","[]","{""1"":""0""}"\n')
    assert [one.picture for one in read_via_csv(file, Counter())] == ["a.png"]


@pytest.mark.parametrize(
    ("attribute", "value", "name"),
    [(LABEL, "1", "debris"), ({"aname": "class", "type": 1, "options": None}, "nucleus", "nucleus"),
     (LABEL, 1, "debris"), (LABEL | {"type": 2}, "0", "cell"), (LABEL | {"type": 2}, "", "object"),
     (LABEL, None, "object")],
)  # fmt: skip
def test_an_option_is_the_class_that_it_stands_for(attribute, value, name):
    [found], _ = read({"xy": [2, 1, 2, 3, 4], "av": {"1": value}}, attribute={"1": attribute})
    assert found.shapes[0].name == name


@pytest.mark.parametrize(
    ("entry", "message"),
    [({"xy": [7, 1, 2, 3]}, "as many x as y"), ({"xy": [2, 1, 2, 3]}, "must have 4 numbers"),
     ({"xy": [3, "1", 2, 3]}, "must be a number"), ({"xy": [2, 1, 2, 3, 1e400]}, "must be a number"),
     ({"xy": 3}, "must be a list"), ({}, "must have the field 'xy'"), ({"xy": [], "z": 1}, "must be a list"),
     ({"xy": [2, 1, 2, 3, 4], "vid": "9"}, "must be of a view"),
     ({"xy": [2, 1, 2, 3, 4], "av": {"1": "0,1"}}, "must name one class"),
     ({"xy": [2, 1, 2, 3, 4], "av": {"1": "7"}}, "must choose of the options 0, 1"),
     ({"xy": [2, 1, 2, 3, 4], "av": {"1": ["0"]}}, "must be a text"),
     ({"xy": [2, 1, 2, 3, 4], "av": {"3": "0"}}, "must be described with its options")],
)  # fmt: skip
def test_wrong_entries_are_damaged(entry, message):
    with pytest.raises(Damage, match=message):
        read(entry, attribute={"1": LABEL | {"type": 2}})


def test_two_attributes_of_one_name_agree_or_are_damaged():
    entry = {"xy": [2, 1, 2, 3, 4], "av": {"1": "0", "2": ""}}
    [found], _ = read(entry, attribute={"1": LABEL, "2": LABEL})
    assert found.shapes[0].name == "cell"
    with pytest.raises(Damage, match="two values of class"):
        read(entry | {"av": {"1": "0", "2": "1"}}, attribute={"1": LABEL, "2": LABEL})


def test_a_view_of_no_file_and_files_without_a_name_are_damaged():
    with pytest.raises(Damage, match="files of the project"):
        read({"xy": [1, 2, 3]}, view=("4",))
    with pytest.raises(Damage, match="'fname'"):
        read_via(Path("a.json"), project() | {"file": {"1": {}}}, Counter())
    assert not is_via(project() | {"view": []})


def test_files_of_one_name_stay_two_and_addresses_are_names():
    content = project({"xy": [2, 1, 2, 3, 4]}, files=("a.png", "a.png"))
    for number, folder in enumerate("xy", start=1):
        content["file"][str(number)] |= {"loc": 2, "src": f"https://host/{folder}/a%20b.png"}
    found = read_via(Path("a.json"), content, Counter())
    assert [(one.picture, len(one.shapes)) for one in found] == [("/x/a b.png", 1), ("/y/a b.png", 0)]


def test_a_picture_without_a_region_is_one_of_background(tmp_path):
    content = json.loads(via_3(tmp_path).read_text())
    content["file"]["2"] = {"fname": "b.png"}
    assert [(one.picture, len(one.shapes)) for one in read_via(tmp_path, content, Counter())] == [
        ("a.png", len(SHAPES)), ("b.png", 0)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "message"),
    [('"1","[x]",0,"[]","[]","{}"', "must hold JSON"), ('"1","[""a""]",0', "must have the columns"),
     ('"1","[3]",0,"[]","[]","{}"', "must be a text"), ('"', "no CSV")],
)  # fmt: skip
def test_wrong_rows_are_damaged(row, message, tmp_path):
    file = via_3_csv(tmp_path)
    file.write_text(file.read_text() + row + "\n")
    with pytest.raises(Damage, match=f"line 6.*{message}"):
        read_via_csv(file, Counter())


def test_a_csv_that_names_attributes_without_their_options_is_damaged(tmp_path):
    file = via_3_csv(tmp_path)
    file.write_text('# ATTRIBUTES = {"1":"kind"}\n' + file.read_text().replace("# ATTRIBUTE =", "# OTHER ="))
    with pytest.raises(Damage, match="as a project"):
        read_via_csv(file, Counter())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_csv_of_any_system_is_read(encoding, tmp_path):
    file = via_3_csv(tmp_path)
    lines = file.read_text().splitlines()
    many = ", ".join(f"{x}.125, 1" for x in range(20_000))
    file.write_text(
        "\r\n".join([lines[0] + ",,,", *lines[1:], f'"9","[""a.png""]",0,"[]","[7, {many}]","{{}}"']), encoding
    )
    assert is_via_csv(file)
    assert [len(one.shapes) for one in read_via_csv(file, Counter())] == [len(SHAPES) + 1]
