"""Lists of pairs, as people and other programs write them; files hold a byte, as no test here decodes a picture."""

import os
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from folders import names, put

from unet_tf.data.channels import Channels
from unet_tf.data.folder import Found
from unet_tf.data.layout import find_named
from unet_tf.data.lists import read_pairs, unused_note
from unet_tf.data.pictures import write_stack
from unet_tf.errors import InputError


def test_lines_name_pairs_or_paths(data):
    put(data, "more/nine.png", "more/nine mask.png")
    (data / "train.txt").write_text(
        "0\n1.png\nimages/2.png masks/2.png\n\nmore/nine.png, more/nine mask.png\nimages/4.png\n"
    )
    (data / "val.txt").write_text("images/3.png\tmasks/3.png\n")
    found = find_named(data)
    assert names(found) == {"train": ["0", "1", "2", "nine", "4"], "val": ["3"]}
    assert found.splits["train"][3].mask == data / "more" / "nine mask.png"
    assert {pair.split for pair in found.splits["val"]} == {"val"}
    assert found.notes == [
        "5 pictures are not used, as no list names them: "
        + ", ".join(str(data / "images" / f"{n}.png") for n in range(5, 10))
        + "."
    ]


def test_a_dot_in_a_name_begins_a_suffix_where_that_is_known(data):
    put(data, *(f"{role}/dose_0.5.png" for role in ("images", "masks")))
    (data / "train.txt").write_text("0.jpg\ndose_0.5\n1.svs\nimages/2.TIF\n")
    (problem,) = find_named(data).problems
    assert problem.endswith("these name no files: images/2.TIF.")
    (data / "train.txt").write_text("0.jpg\ndose_0.5\n1.svs\n")
    assert names(find_named(data)) == {"train": ["0", "dose_0.5", "1"]}
    (data / "train.txt").write_text("0.xml\nimages/1.png\n2.JSON\n3.txt\n")  # by its annotations
    assert names(find_named(data)) == {"train": ["0", "1", "2", "3"]}
    for line in ("dose_0.25", "0.5", "3.left"):
        (data / "train.txt").write_text(f"1\n{line}\n")
        (problem,) = find_named(data).problems
        assert problem.endswith(f"these name no files: {line}.")


@pytest.mark.parametrize(
    "line",
    [
        "{}/a b.png {}/m b.png",
        "/{}/a b.png /{}/m b.png",
        "./{}/a b.png ./{}/m b.png",
        "{}\\a b.png {}\\m b.png",
        "\\{}\\a b.png;\\{}\\m b.png",
        '"{}/a b.png" "{}/m b.png"',
        "'/{}/a b.png', '/{}/m b.png'",
        "{}/a b.png  \t {}/m b.png  ",
        "/SegNet/CamVid/{}/a b.png /SegNet/CamVid/{}/m b.png",
        "C:\\data\\camvid\\{}\\a b.png D:/{}/m b.png",
        "{root}/{}/a b.png {root}/{}/m b.png",
    ],
)
def test_paths_are_understood_however_they_are_written(tmp_path, line):
    put(tmp_path, "in put/a b.png", "out put/m b.png")
    (tmp_path / "train.txt").write_text(line.format("in put", "out put", root=tmp_path) + "\n")
    found = find_named(tmp_path)
    assert names(found) == {"train": ["a b"]}
    assert found.splits["train"][0].mask == tmp_path / "out put" / "m b.png"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_lists_from_windows(data, encoding):
    lines = [f"images\\{n}.png masks\\{n}.png" for n in range(10)]
    (data / "train.txt").write_bytes("\r\n".join(lines[:8]).encode(encoding))
    (data / "Valid.TXT").write_bytes("\r\n".join(lines[8:]).encode(encoding))
    assert names(find_named(data)) == {"train": [*"01234567"], "val": ["8", "9"]}


@pytest.mark.parametrize("line", ["images/é{}.png masks/é{}.png", "images/é{}.png", "é{}.png", "é{}"])
@pytest.mark.parametrize(("listed", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_lines_name_files_in_another_unicode_form(tmp_path, line, listed, stored):
    files = [f"{role}/é{n}.png" for role in ("images", "masks") for n in range(4)]
    put(tmp_path, *(unicodedata.normalize(stored, file) for file in files))
    for split, numbers in (("train", range(3)), ("val", [3])):
        text = "\n".join(line.format(n, n) for n in numbers)
        (tmp_path / f"{split}.txt").write_text(unicodedata.normalize(listed, text), "utf-8")
    read = [unicodedata.normalize("NFC", name) for of in names(find_named(tmp_path)).values() for name in of]
    assert read == ["é0", "é1", "é2", "é3"]


@pytest.mark.parametrize("line", ["Images\\A{}.PNG Masks\\A{}.PNG", "D:\\x\\Images\\A{}.PNG", "A{}.PNG", "A{}"])
def test_lines_name_files_in_another_case_where_there_is_one(tmp_path, line):
    put(tmp_path, *(f"{role}/a{n}.png" for role in ("images", "masks") for n in range(3)))
    lines = [line.format(n, n) for n in range(3)]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    assert names(find_named(tmp_path)) == {"train": ["a0", "a1", "a2"]}
    put(tmp_path, "images/A1.png", "masks/A1.png")
    found = find_named(tmp_path)
    if line in ("A{}.PNG", "A{}"):  # the suffix of a NAME says nothing
        assert names(found) == {"train": ["a0", "A1", "a2"]}
    else:
        assert found.problems[0].endswith(f"these name no files: {lines[1]}.")


def test_a_list_in_another_encoding_is_told_so(tmp_path):
    put(tmp_path, *(f"{role}/é{n}.png" for role in ("images", "masks") for n in range(3)))
    (tmp_path / "train.txt").write_bytes("é0\né1\né2\n".encode("cp1252"))
    problem = find_named(tmp_path).problems[0]
    assert problem.endswith("\udce90, \udce91, \udce92. Save it in UTF-8: it has bytes of another encoding.")


def test_lists_of_camvid_and_of_voc(tmp_path):
    put(tmp_path / "camvid", *(f"{folder}/f{n}.png" for folder in ("train", "trainannot") for n in range(3)))
    put(tmp_path / "camvid", "val/v.png", "valannot/v.png")
    (tmp_path / "camvid" / "train.txt").write_text("".join(f"/train/f{n}.png /trainannot/f{n}.png\n" for n in range(3)))
    (tmp_path / "camvid" / "val.txt").write_text("v\n")
    assert names(find_named(tmp_path / "camvid")) == {"train": ["f0", "f1", "f2"], "val": ["v"]}

    voc = tmp_path / "voc"
    put(voc, *(f"JPEGImages/{name}.jpg" for name in "abcde"), *(f"SegmentationClass/{name}.png" for name in "abc"))
    put(voc, *(f"SegmentationObject/{name}.png" for name in "abc"))
    lists = voc / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for name, text in (("train", "a\nb\n"), ("val", "c\n"), ("trainval", "a\nb\nc\n")):
        (lists / f"{name}.txt").write_text(text)
    found = find_named(voc)
    assert names(found) == {"train": ["a", "b"], "val": ["c"]}
    assert found.notes == [
        f"{lists / 'trainval.txt'} is not used.",
        f"2 pictures are not used, as no list names them: {voc}/JPEGImages/d.jpg, {voc}/JPEGImages/e.jpg.",
        f"Pictures in {voc} that are not used: 3 in SegmentationObject.",
    ]


def test_what_a_line_does_not_name_is_said(data):
    long = "9" * 300
    (data / "train.txt").write_text(f"0\n/SegNet/a.png /SegNet/b.png\nx\nelsewhere/2.png\nimages/1.png\n#\n/{long}\n")
    (data / "val.txt").write_text("\n")
    problems = find_named(data).problems
    assert problems == [
        f"A line of {data / 'train.txt'} must be the NAME of a pair, or IMAGE MASK as paths from {data}; these name no "
        f"files: #, /{long}, /SegNet/a.png /SegNet/b.png, elsewhere/2.png, x.",
        f"{data / 'val.txt'} names no pair.",
    ]


def test_a_pair_that_stands_twice_is_a_problem(data):
    (data / "train.txt").write_text("0\n1\nimages/1.png masks/1.png\n2\n")
    (data / "val.txt").write_text("2\n3\n")
    assert find_named(data).problems == [
        "A pair must stand in the lists once, or a net is judged on what it saw: 1 in train.txt and train.txt, "
        "2 in train.txt and val.txt."
    ]


def test_the_same_image_through_a_link_is_the_same_pair(data):
    (data / "link").symlink_to(data / "images")
    (data / "train.txt").write_text("0\n1\n")
    (data / "val.txt").write_text("link/1.png masks/1.png\n")
    assert "1 in train.txt and val.txt" in find_named(data).problems[0]


@pytest.mark.parametrize(("first", "second"), [("val", "valid"), ("val", "VAL"), ("dev", "validation")])
def test_two_lists_of_one_split_are_named(data, first, second):
    for name in ("train", first, second):
        (data / f"{name}.txt").write_text(f"{len(name)}\n")
    (problem,) = [text for text in find_named(data).problems if "mean the same split" in text]
    assert {f"{first}.txt", f"{second}.txt"} <= set(problem.split())


def test_a_list_and_a_link_to_it_are_one_list(data):
    (data / "train.txt").write_text("0\n1\n")
    (data / "valid.txt").write_text("2\n")
    (data / "val.txt").symlink_to("valid.txt")
    found = find_named(data)
    assert found.problems == []
    assert [pair.name for pair in found.splits["val"]] == ["2"]


def test_lists_without_one_for_training_are_not_passed_over(data):
    (data / "val.txt").write_text("0\n")
    (data / "test.txt").write_text("1\n")
    assert find_named(data).problems == [
        f"Lists must name the training pairs, too, in train.txt; {data} has test.txt and val.txt alone. Write the "
        "other names into train.txt, a line each, or lay these pairs into folders of their own (test/, val/)."
    ]


def test_a_list_of_test_files_alone_is_one_error_whose_remedies_work(data):
    (data / "test.txt").write_text("0\n1\n")
    with pytest.raises(InputError) as caught:
        find_named(data).check()
    assert str(caught.value) == find_named(data).problems[0]
    (data / "train.txt").write_text("\n".join("23456789"))
    assert names(find_named(data)) == {"train": [*"23456789"], "test": ["0", "1"]}
    (data / "train.txt").unlink()
    (data / "test.txt").unlink()
    for role in ("images", "masks"):
        (data / "test" / role).mkdir(parents=True)
        for number in "01":
            (data / role / f"{number}.png").rename(data / "test" / role / f"{number}.png")
    assert names(find_named(data)) == {"train": [*"23456789"], "test": ["0", "1"]}


def test_images_of_one_name_in_two_folders_are_told_apart(tmp_path):
    put(tmp_path, *(f"{place}/{role}/a.png" for place in ("left", "right") for role in ("in", "out")), "b.png", "c.png")
    lines = [f"{place}/in/a.png {place}/out/a.png" for place in ("left", "right")]
    (tmp_path / "train.txt").write_text("\n".join([*lines, "b.png c.png"]))
    assert names(find_named(tmp_path)) == {"train": ["left/in/a", "right/in/a", "b"]}


def test_a_stack_is_named_as_a_whole_or_by_its_pages(tmp_path):
    for role in ("images", "masks"):
        for name in ("one", "two"):
            write_stack(tmp_path / role / f"{name}.tif", np.zeros((3, 8, 6), np.uint8))
    (tmp_path / "train.txt").write_text("one.tif\ntwo_0\n")
    (tmp_path / "val.txt").write_text("two_2\n")
    assert names(find_named(tmp_path)) == {"train": ["one_0", "one_1", "one_2", "two_0"], "val": ["two_2"]}


def test_names_that_are_no_utf8_are_listed_in_their_bytes(tmp_path):
    put(tmp_path, "images/caf\udce9.png", "masks/caf\udce9.png")
    (tmp_path / "train.txt").write_bytes(b"images/caf\xe9.png masks/caf\xe9.png\n")
    assert names(find_named(tmp_path)) == {"train": ["caf\udce9"]}


@pytest.mark.parametrize(("train", "val"), [("images/s2_dapi.tif", "images/s2_gfp.tif"), ("s2", "images/s2_gfp.tif")])
@pytest.mark.parametrize("apart", [True, False])
def test_a_picture_is_one_whichever_of_its_files_a_list_names(tmp_path, train, val, apart):
    put(tmp_path, *(f"images/s{n}_{dye}.tif" for n in range(4) for dye in ("dapi", "gfp")))
    put(tmp_path, *(f"masks/s{n}.png" for n in range(4)))
    lines = [train if train == "s2" else f"{train} masks/s2.png", f"{val} masks/s2.png"]
    (tmp_path / "train.txt").write_text("\n".join(["s0", *lines[: 1 if apart else 2]]))
    (tmp_path / "val.txt").write_text("\n".join(["s1", *lines[1:]]) if apart else "s1")
    found = find_named(tmp_path, channels=Channels(suffixes=("_dapi", "_gfp")))
    first = "s2" if train == "s2" else "s2_dapi"
    assert found.problems == [
        "A pair must stand in the lists once, or a net is judged on what it saw: "
        f"{first} in train.txt and {'val' if apart else 'train'}.txt."
    ]
    others = ", ".join(str(tmp_path / f"images/s3_{dye}.tif") for dye in ("dapi", "gfp"))
    assert found.notes == [f"2 pictures are not used, as no list names them: {others}."]


@pytest.mark.parametrize(
    "name",
    [
        "train.csv",
        "VAL.tsv",
        "test.lst",
        "splits/train.txt",
        "split/1/val.txt",
        "train_list.txt",
        "trainlist01.txt",
        "testIds.txt",
        "ImageSets/train.txt",
        "ImageSets/Main/trainval.txt",
        "data_split.csv",
        "folds.list",
        "lists/validation.csv",
        "split.xlsx",
        "splits_final.pkl",
    ],
)
def test_lists_of_other_names_and_places_are_noted(data, name):
    put(data, name, name.replace(".", "_predictions."))
    expected = [
        f"Called like lists of splits, and not used: {name}. Lists are called train.txt, val.txt and test.txt, lie in "
        f"{data} and have a line for each pair."
    ]
    found = find_named(data)
    assert names(found) == {"": [*"0123456789"]} and found.notes == expected
    (data / "train.txt").write_text("\n".join("0123456789"))
    assert find_named(data).notes == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("split.json", '{"train": ["0", "1"], "test": ["2"]}'),
        ("splits_final.json", '[{"train": ["0"],\n "val": ["1"]}]'),  # nnU-Net
        ("datalist.json", '{"training": [{"image": "0"}], "validation": []}'),  # MONAI
        ("dataset.json", '{"training": [{"image": "0", "fold": 0}]}'),
        ("data.yaml", "path: ..\ntrain: images/train\nval: images/val\nnames: [a]\n"),  # YOLO
        ("train.json", '["0.png", "1.png"]'),
        ("lists/VAL.JSON", ' [ "2.png"]'),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_texts_that_list_splits_are_noted(data, name, text, encoding):
    put(data, name)
    (data / name).write_text(text, encoding)
    (note,) = find_named(data).notes
    assert note.startswith(f"Called like lists of splits, and not used: {name}. Lists are called train.txt")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("train.json", '{"images": [{"coco_url": "x/train2017/0.png"}], "annotations": [], "categories": []}'),
        ("val.json", '[{"id": 1, "file_upload": "val: 0.png", "annotations": []}]'),
        ("train_1.json", '{"shapes": [{"label": "train"}, {"label": "val"}], "imagePath": "train_1.png"}'),
        ("dataset.json", '{"labels": {"a": 1}, "numTraining": 9, "training": [{"image": "0"}], "test": ["1"]}'),
        ("data.json", '{"files": {"0": "training"}, "val_share": 0.1}'),
        ("data.yaml", "names:\n  0: train station\n"),
        ("results.json", '{"train": 0.9, "val": 0.8}'),
        ("test.json", "no JSON"),
        ("train.yaml", "lr: 1\ntrain: true\ntest: false\n"),
        ("test.yaml", "train:\n  batch: 8\nval:\n  batch: 2\n"),
    ],
)
def test_texts_that_hold_other_things_are_no_lists(data, name, text):
    (data / name).write_text(text)
    assert find_named(data).notes == []


def test_such_lists_beside_the_only_folder_are_noted_once(tmp_path):
    put(tmp_path, *(f"archive/{role}/{i}.png" for role in ("images", "masks") for i in range(3)))
    put(tmp_path, "archive/splits/a/train.txt", "train.csv", "lists/val.csv")
    inner, outer = find_named(tmp_path).notes
    assert "not used: splits/a/train.txt. Lists" in inner and "not used: lists/val.csv, train.csv. Lists" in outer


def test_files_that_are_called_like_images_or_otherwise_are_no_lists(tmp_path):
    put(tmp_path, *(f"{role}/train_{i}.{end}" for role, end in (("images", "png"), ("masks", "png"), ("yolo", "txt"))
                    for i in range(3)))  # fmt: skip
    put(tmp_path, "notes.txt", "trainer.json", "valley.csv", "testimony.txt", "contest.csv", "train.log", "data.yaml")
    put(tmp_path, "train_masks.csv", "instances_train2017.json", "training_set_pixel_size_and_HC.csv", "images.txt",
        "ISIC_Training_GroundTruth.csv", "stage1_train_labels.csv", "training_log.txt", "requirements-dev.txt", "1.csv",
        "test plan.xlsx", "yolo/train_9.txt", "labels_json/train_0.png.json")  # fmt: skip
    assert find_named(tmp_path).notes == []


def test_where_folders_say_splits_no_list_is_missing(tmp_path):
    put(tmp_path, *(f"{split}/{role}/0.png" for split in ("train", "val") for role in ("images", "masks")))
    put(tmp_path, "train.csv", "splits/val.txt")
    found = find_named(tmp_path)
    assert names(found) == {"train": ["0"], "val": ["0"]} and found.notes == []


def test_of_many_files_that_are_called_like_lists_five_are_named(data):
    put(data, *(f"splits/fold_{n}.txt" for n in range(9)))
    (note,) = find_named(data).notes
    assert "splits/fold_0.txt, splits/fold_1.txt, " in note and "splits/fold_4.txt and 4 more. Lists" in note


def test_folders_for_lists_that_cannot_be_read_hold_none(data, monkeypatch):
    put(data, "splits/train.txt")
    scandir = os.scandir

    def refusing(path):
        if Path(path).name == "splits":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("os.scandir", refusing)
    assert unused_note(data, None, Found()) == ""


def test_files_are_followed_to_where_links_lead_once_for_all_lists(data, monkeypatch):
    known, lists = find_named(data).splits, {split: data / f"{split}.txt" for split in ("train", "val", "test")}
    for number, path in enumerate(lists.values()):
        path.write_text(f"{number}\n")
    followed, resolve = Counter(), Path.resolve

    def counting(path):
        followed[path] += 1
        return resolve(path)

    monkeypatch.setattr(Path, "resolve", counting)
    found = Found()
    read_pairs(data, lists, known, found)
    assert names(found) == {"train": ["0"], "val": ["1"], "test": ["2"]}
    assert followed == {data / "images" / f"{number}.png": 1 for number in range(10)}


def test_a_heading_is_named_as_one(data):
    lines = ["image,mask", *(f"images/{n}.png,masks/{n}.png" for n in range(10))]
    (data / "train.txt").write_text("\n".join(lines))
    (problem,) = find_named(data).problems
    assert problem.endswith("these name no files: image,mask. Remove it if it is a heading.")
