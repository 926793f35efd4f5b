"""Binary masks become object ids, a number a piece."""

import json
import os

import cv2
import numpy as np
import pytest

from unet_tf import check, import_annotations
from unet_tf.annotations.pieces import MASKS
from unet_tf.data.pictures import read_mask, write_picture, write_stack
from unet_tf.errors import InputError

THREE = np.zeros((8, 8), np.uint8)
THREE[1:3, 1:3] = THREE[3, 3] = 255  # corners touch: one piece
THREE[0, 7] = THREE[6:8, 5:8] = 255
IDS = np.zeros((8, 8), int)
IDS[0, 7], IDS[1:3, 1:3], IDS[3, 3], IDS[6:8, 5:8] = 1, 2, 2, 3  # in reading order
EMPTY = np.zeros((8, 8), np.uint8)
SLICE = np.kron(np.array([[0, 57], [130, 201]]), np.ones((4, 4), int))  # of ids of a volume


def write(folder, **masks):
    for name, mask in masks.items():
        write_picture(folder / "images" / f"{name}.png", np.full(mask.shape[:2], len(name), np.uint8))
        write_picture(folder / "masks" / f"{name}.png", mask)
    return folder


def number(source, out, **settings):
    return import_annotations(source, out, program=MASKS, instances=True, **settings)


def test_each_piece_is_an_object_and_pictures_are_copied_byte_for_byte(tmp_path):
    data = write(tmp_path / "data", a=THREE, bb=EMPTY)
    done = number(data, tmp_path / "out")
    assert (done.pictures, done.shapes, done.settings) == (2, 3, {"masks": "instance"})
    mask = read_mask(tmp_path / "out" / "masks" / "a.png", ids=True)
    assert (mask.dtype, mask.tolist()) == (np.uint16, IDS.tolist())
    assert not read_mask(tmp_path / "out" / "masks" / "bb.png", ids=True).any()
    assert (tmp_path / "out/images/a.png").read_bytes() == (data / "images/a.png").read_bytes()
    assert json.loads((tmp_path / "out" / "import.json").read_text())["program"] == MASKS
    assert (data / "masks/a.png").read_bytes() != (tmp_path / "out/masks/a.png").read_bytes()


def test_splits_folders_and_names_of_masks_stay_pairs(tmp_path):
    for split in ("train", "val"):
        write_picture(tmp_path / "data" / split / "images" / "p1" / "x_img.png", EMPTY)
        write_picture(tmp_path / "data" / split / "masks" / "p1" / "x_img_mask.png", THREE)
    number(tmp_path / "data", tmp_path / "out")
    found = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.png"))
    assert found == [f"{s}/{role}/p1/x_img.png" for s in ("train", "val") for role in ("images", "masks")]


def test_a_folder_of_masks_with_its_pictures_beside_it(tmp_path):
    data = write(tmp_path, a=THREE)
    assert number(data / "masks", tmp_path / "out", images=data / "images").shapes == 3
    with pytest.raises(InputError, match=r"There is no folder .*nowhere"):
        number(data / "masks", tmp_path / "other", images=tmp_path / "nowhere")
    assert not (tmp_path / "other").exists()


def test_soft_edges_and_other_values_of_two(tmp_path):
    soft = THREE.copy()
    soft[1, 3], soft[5, 5] = 100, 200
    for name, mask in (("soft", soft), ("ones", THREE // 255)):
        assert number(write(tmp_path / name, a=mask), tmp_path / f"{name}_out").shapes == 3, name
    write_picture(tmp_path / "jpeg/images/a.png", np.zeros((64, 64), np.uint8))
    (tmp_path / "jpeg/masks").mkdir()
    cv2.imwrite(str(tmp_path / "jpeg/masks/a.jpg"), np.kron(THREE, np.ones((8, 8), np.uint8)))
    assert number(tmp_path / "jpeg", tmp_path / "jpeg_out").shapes == 3


DOT = cv2.GaussianBlur(cv2.circle(np.zeros((48, 48), np.uint8), (24, 24), 2, 255, -1), (0, 0), 1.5)
LINE = cv2.line(np.zeros((384, 384), np.uint8), (5, 50), (350, 300), 255, 5)
CRACK = cv2.resize(LINE, (48, 48), interpolation=cv2.INTER_AREA)
CELL = cv2.GaussianBlur(cv2.circle(np.zeros((48, 48), np.uint8), (24, 24), 14, 255, -1), (0, 0), 1.5)
LEVELS = np.kron(np.array([[0, 85], [170, 255]], np.uint8), np.ones((8, 8), np.uint8))


@pytest.mark.parametrize(("mask", "objects"), [(DOT, 1), (255 - DOT, 1), (CRACK, 1), (DOT // 2, 0)])
def test_a_soft_mask_need_not_reach_both_values(tmp_path, mask, objects):
    """A small blurred object, one that leaves no background, a thin one that was scaled, and a faint one."""
    assert not {0, 255} <= {*mask.flat}
    assert number(write(tmp_path / "data", a=THREE, bb=mask), tmp_path / "out").shapes >= 3 + objects


def test_a_soft_mask_may_be_enlarged_by_whole_pixels(tmp_path):
    large = np.kron(CELL, np.ones((4, 4), np.uint8))
    assert {0, 255} <= {*large.flat}
    assert number(write(tmp_path / "data", a=THREE, bb=large), tmp_path / "out").shapes == 4


@pytest.mark.parametrize("high", [1, 255])
@pytest.mark.parametrize("other", [np.arange(64).reshape(8, 8) // 2, np.where(IDS, 30, 0), SLICE, LEVELS])
def test_a_mask_of_object_ids_among_binary_ones_is_refused(tmp_path, high, other):
    """It is the one of 33 that is not looked at first."""
    masks = {f"m{number:02d}": THREE // 255 * np.uint8(high) for number in range(33)}
    masks["m31"] = other.astype(np.uint8)
    data = write(tmp_path / "data", **masks)
    with pytest.raises(InputError, match=rf"others hold 0 and {high}, and .*m31\.png holds more") as refused:
        number(data, tmp_path / "out")
    assert refused.value.file == data / "masks" / "m31.png"


def test_a_stack_stays_a_stack(tmp_path):
    for role, pages in (("images", [EMPTY, EMPTY]), ("masks", [THREE, EMPTY])):
        (tmp_path / "data" / role).mkdir(parents=True)
        write_stack(tmp_path / "data" / role / "s.tif", pages)
    done = number(tmp_path / "data", tmp_path / "out")
    assert (done.pictures, done.shapes) == (2, 3)
    mask = tmp_path / "out" / "masks" / "s.tif"
    assert [read_mask(mask, page, ids=True).max() for page in (0, 1)] == [3, 0]


@pytest.fixture
def stacks(tmp_path):
    """Three pages of one, two and no pieces, and another stack of two."""
    two = np.where(IDS == 3, 0, THREE)
    pages = {"s": [np.where(IDS == 1, THREE, 0), two, EMPTY], "t": [EMPTY, THREE]}
    for name, masks in pages.items():
        for role, pictures in (("images", [EMPTY] * len(masks)), ("masks", masks)):
            (tmp_path / "data" / role).mkdir(parents=True, exist_ok=True)
            write_stack(tmp_path / "data" / role / f"{name}.tif", [one.astype(np.uint8) for one in pictures])
    return tmp_path / "data"


@pytest.mark.parametrize("listed", ["s_2 s_0 s_1 t", "s_1 t_1 s_0 t_0 s_2", "t s"])
def test_pages_of_a_stack_stay_in_its_order_whatever_that_of_a_list(stacks, listed, tmp_path):
    (stacks / "train.txt").write_text(listed.replace(" ", "\n"))
    assert number(stacks, tmp_path / "out").pictures == 5
    for name, objects in (("s", [1, 2, 0]), ("t", [0, 3])):
        mask = tmp_path / "out" / "train" / "masks" / f"{name}.tif"
        assert [read_mask(mask, page, ids=True).max() for page in range(len(objects))] == objects


@pytest.mark.parametrize(
    ("train", "val", "said"),
    [
        ("s_0 s_2", "t", "2 of them in train"),
        ("s_0", "s_1 s_2", "1 of them in train"),
        ("s t_1", "t_0", "1 of them in train"),
    ],
)
def test_stacks_of_which_a_list_names_some_pages_are_refused(stacks, train, val, said, tmp_path):
    for split, names in (("train", train), ("val", val)):
        (stacks / f"{split}.txt").write_text(names.replace(" ", "\n"))
    with pytest.raises(InputError, match=rf"all of its pages must be in one split; .*\.tif has \d, {said}"):
        number(stacks, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("suffix", "said"),
    [(".mha", r"is read\. Not read, as of another kind: 2 \.mha \(a"), (".txt", "is read. Give the folder")],
)
def test_folders_without_a_picture_that_is_read_are_said_to_have_none(suffix, said, tmp_path):
    for role in ("images", "masks"):
        (tmp_path / role).mkdir()
        (tmp_path / role / f"a{suffix}").write_bytes(b"x")
    with pytest.raises(InputError, match=f"must hold masks of pictures in .*; it holds none that {said}"):
        number(tmp_path / "masks", tmp_path / "out", images=tmp_path / "images")


def test_channels_of_several_files(tmp_path):
    for end in ("_dapi", "_gfp"):
        write_picture(tmp_path / "data" / "images" / f"a{end}.png", EMPTY)
    write_picture(tmp_path / "data" / "masks" / "a.png", THREE)
    done = number(tmp_path / "data", tmp_path / "out", channel_suffix="_dapi,_gfp")
    assert check(tmp_path / "out", **done.settings).splits["train"].objects == 3
    assert sorted(p.name for p in (tmp_path / "out/images").iterdir()) == ["a_dapi.png", "a_gfp.png"]


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (EMPTY, "must have a foreground pixel at least"),
        (np.tile(np.uint8([0, 1, 2, 2]), (8, 2)), "masks of two values; those of .* leave open"),
        (np.arange(1, 65, dtype=np.uint16).reshape(8, 8), "are of kind instance. Masks of object ids are used"),
        (np.dstack([THREE, EMPTY, EMPTY]), "masks of two values"),
    ],
)
def test_other_masks_are_refused_and_nothing_is_left(tmp_path, mask, said):
    with pytest.raises(InputError, match=said):
        number(write(tmp_path / "data", a=mask), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_makes_no_sense_is_refused(tmp_path):
    data = write(tmp_path / "data", a=THREE)
    for settings in ({"classes": "cell"}, {"overlap": "small"}, {"empty": "void"}):
        with pytest.raises(InputError, match="needs --instances, and no --classes"):
            number(data, tmp_path / "out", **settings)
    with pytest.raises(InputError, match="needs --instances"):
        import_annotations(data, tmp_path / "out", program=MASKS)
    with pytest.raises(InputError, match=r"must not hold what is imported"):
        number(data, tmp_path / "data")
    (data / "images" / "lone.png").write_bytes((data / "images" / "a.png").read_bytes())
    with pytest.raises(InputError, match="1 image without a mask"):
        number(data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_who_imports_masks_as_annotations_is_told_how(tmp_path):
    data = write(tmp_path / "data", a=THREE)
    with pytest.raises(InputError, match="must hold annotations .* --from masks --instances numbers the pieces"):
        import_annotations(data, tmp_path / "out")


def test_a_list_that_names_files_elsewhere_writes_in_the_new_folder_alone(tmp_path):
    write(tmp_path / "else", a=THREE)
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.txt").write_text("../else/images/a.png ../else/masks/a.png\n")
    before = set(tmp_path.rglob("*"))
    number(data, tmp_path / "out")
    assert set(tmp_path.rglob("*")) - before == {tmp_path / "out", *(tmp_path / "out").rglob("*")}


def test_names_that_are_no_utf_8(tmp_path):
    data = write(tmp_path / "data", a=THREE)
    for role in ("images", "masks"):
        (data / role / "a.png").rename(data / role / os.fsdecode(b"pr\xe9l.png"))
    assert number(data, tmp_path / "out").shapes == 3
