from collections import Counter

import pytest
from kinds_of_annotations import yolo

from unet_tf import InputError, import_annotations
from unet_tf.annotations.read_yolo import is_yolo, read_yolo, yolo_names
from unet_tf.data.structure import Damage


def read(tmp_path, text, names=None):
    file, skipped = tmp_path / "a.txt", Counter()
    file.write_text(text)
    return read_yolo(file, names or {}, skipped)[0], skipped


def test_outlines_in_shares_of_the_sides(tmp_path):
    found, skipped = read(tmp_path, "1 0 0 .5 0 .5 1\r\n\n0 0.1 0.1 0.2 0.2\n0 0 0 1 1 1 0 0 0\n", {1: "vessel"})
    assert [(shape.name, len(shape.rings[0])) for shape in found.shapes] == [("vessel", 3), ("class0", 3)]
    assert skipped == {"boxes, which are no outlines": 1} and found.shares and found.stem


@pytest.mark.parametrize("line", ["0 1 2 3", "a 0 0 1 1 1 0", "0 0 0 1 nan 1 0", "0 0 0 1 inf 1 0", "-1 0 0 1 1 1 0",
                                  "0 0 0 1 1 x 0", "0.5 0 0 1 1 1 0", f"{'9' * 30} 0 0 1 1 1 0"])  # fmt: skip
def test_wrong_lines_are_damaged(line, tmp_path):
    with pytest.raises(Damage, match="line 2"):
        read(tmp_path, f"0 0 0 1 1 1 0\n{line}\n")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("0 .1 .2 .3 .4\n", True),
        ("\n  \r\n0 .1 .2 .3 .4\n", True),
        ("\n\n", False),
        ("cat 1 2\n", False),
        ("", False),
        ("1\n", False),
    ],
)
def test_the_first_line_that_is_not_blank_tells(text, is_one, tmp_path):
    (tmp_path / "a.txt").write_text(text)
    assert is_yolo(tmp_path / "a.txt") == is_one


@pytest.mark.parametrize(
    ("file", "text", "names"),
    [
        ("data.yaml", "names: [cell, vessel]", {0: "cell", 1: "vessel"}),
        ("my.yml", "names: {0: cell, 7: vessel}", {0: "cell", 7: "vessel"}),
        ("classes.txt", "cell\nvessel\n", {0: "cell", 1: "vessel"}),
        ("data.yaml", "names: [0, 1.5, yes, no]", {0: "0", 1: "1.5", 2: "yes", 3: "no"}),
        ("data.yaml", "names: [1.10, 1.1, 010, 1e3]", {0: "1.10", 1: "1.1", 2: "010", 3: "1e3"}),
        ("data.yaml", "names: {'0': cell, \"7\": 3}", {0: "cell", 7: "3"}),
        ("other.yaml", "path: x", {}),
        ("other.yaml", "!!python/object/apply:os.abort []", {}),
    ],
)
def test_names_of_classes(file, text, names, tmp_path):
    (tmp_path / file).write_text(text)
    assert yolo_names(tmp_path) == names


@pytest.mark.parametrize(
    "text",
    ["names: 3", "names: [a, []]", "names: {a: b}", "names: {010: a}", "names: {0: }", "names: {yes: a}", "names: [",
     "&a [*a]: {"],
)  # fmt: skip
def test_damaged_lists_of_names_are_refused_by_name(text, tmp_path):
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        yolo_names(tmp_path)
    assert caught.value.file == tmp_path / "data.yaml"


def test_splits_stay_apart(tmp_path):
    import shutil

    yolo(tmp_path / "one")
    for split in ("train", "val"):
        for role, name in (("images", "a.png"), ("labels", "a.txt")):
            (tmp_path / f"source/{role}/{split}").mkdir(parents=True)
            shutil.copy(tmp_path / f"one/{role}/{name}", tmp_path / f"source/{role}/{split}/{name}")
    shutil.copy(tmp_path / "one/data.yaml", tmp_path / "source")
    import_annotations(tmp_path / "source", tmp_path / "data")
    from unet_tf import check

    assert {name: one.pairs for name, one in check(tmp_path / "data").splits.items()} == {"train": 1, "val": 1}


def test_classes_that_no_list_names_are_said(tmp_path):
    dataset = tmp_path / "dataset"
    yolo(dataset)
    (tmp_path / "data.yaml").write_text("names: [dog, cat]")  # of other data

    def notes(source, **said):
        return import_annotations(
            source, tmp_path / f"out{len([*tmp_path.iterdir()])}", images=dataset / "images", **said
        ).notes

    assert notes(dataset) == notes(dataset / "labels", classes="nucleus=class0,vessel=class1") == []
    assert notes(dataset / "labels") == [
        "No list of names (data.yaml, classes.txt) lies in SOURCE: classes are called class0, class1. Give the folder "
        "that holds the list, or names: --classes NAME=class0,NAME=class1."
    ]


def test_key_points_are_no_outlines(tmp_path):
    (tmp_path / "data.yaml").write_text("kpt_shape: [4, 2]\nnames: [cell]\n")
    with pytest.raises(InputError, match=r"data\.yaml has kpt_shape: they are key points"):
        yolo_names(tmp_path)
