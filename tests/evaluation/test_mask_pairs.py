"""Which file answers for which picture: by names alone, so that the files may be empty."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from folders import put

from unet_tf.data.folder import Pair
from unet_tf.data.layout import find_named
from unet_tf.data.naming import Naming
from unet_tf.data.pictures import write_picture, write_stack
from unet_tf.errors import InputError
from unet_tf.evaluation.mask_pairs import foreign_predictions, pair_masks


def paired(folder, data, naming=Naming(), split=None):  # noqa: B008 - frozen
    splits = find_named(data, naming).check()
    everything = [pair for pairs in splits.values() for pair in pairs]
    pairs = everything if split is None else splits[split]
    found = pair_masks(folder, pairs, everything)
    return {pair.name: path.relative_to(folder).as_posix() for pair, path in found.items()}


@pytest.fixture
def data(tmp_path):
    put(tmp_path / "data", *(f"{role}/{name}.png" for role in ("images", "masks") for name in ("a1", "b2", "c3")))
    return tmp_path / "data"


@pytest.mark.parametrize(
    "name", ["{}.png", "{}.tif", "{}.npy", "{}_mask.png", "{}_pred.png", "prediction_{}.png", "{}_cp_masks.png",
             "masks/{}.png", "test/{}.png", "deep/er/{}.png", "Mask_{}.PNG", "{}-output.tif"],
)  # fmt: skip
def test_masks_of_other_programs_find_their_pictures(data, tmp_path, name):
    names = {one: name.format(one) for one in ("a1", "b2", "c3")}
    put(tmp_path / "theirs", *names.values())
    assert paired(tmp_path / "theirs", data) == names


def test_masks_may_be_called_as_those_of_the_truth(tmp_path):
    put(tmp_path, "data/images/x_1.png", "data/images/x_2.png", "data/masks/gt_1.png", "data/masks/gt_2.png")
    put(tmp_path, "theirs/gt_1.png", "theirs/gt_2.png")
    assert paired(tmp_path / "theirs", tmp_path / "data") == {"x_1": "gt_1.png", "x_2": "gt_2.png"}


def test_pictures_in_folders_find_masks_in_folders_or_in_one(tmp_path):
    names = ("p1/a", "p1/b", "p2/c")
    put(tmp_path / "data", *(f"{role}/{name}.png" for role in ("images", "masks") for name in names))
    put(tmp_path / "deep", *(f"{name}.png" for name in names))
    put(tmp_path / "flat", "a.png", "b.png", "c.png")
    assert paired(tmp_path / "deep", tmp_path / "data") == {name: f"{name}.png" for name in names}
    assert paired(tmp_path / "flat", tmp_path / "data") == {name: f"{name[3:]}.png" for name in names}
    put(tmp_path, "data/images/p2/a.png", "data/masks/p2/a.png")  # of two a.png nobody knows which is meant
    with pytest.raises(InputError, match="4 of 4 have none|1 of 4 have none"):
        paired(tmp_path / "flat", tmp_path / "data")


def test_the_masks_of_a_split_are_those_of_that_split(tmp_path):
    splits = ("train", "test")
    put(tmp_path / "data", *(f"{split}/{role}/a.png" for split in splits for role in ("images", "masks")))
    put(tmp_path / "theirs", *(f"{split}/a.png" for split in splits))
    assert paired(tmp_path / "theirs", tmp_path / "data", split="test") == {"a": "test/a.png"}
    with pytest.raises(InputError, match=r"1 of 1 have several, such as test/a.png, train/a.png. Give the folder"):
        paired(tmp_path / "theirs", tmp_path / "data" / "test")
    with pytest.raises(InputError, match=r"1 of 1 have none: test/a"):  # the truth of another picture of that name
        paired(tmp_path / "data" / "train" / "masks", tmp_path / "data", split="test")
    own = tmp_path / "data" / "test" / "masks"
    assert paired(own, tmp_path / "data", split="test") == {"a": "a.png"}


def test_masks_lie_in_folders_called_as_those_of_the_pictures_of_a_split_in_several_words(tmp_path):
    splits = ("train2017", "val2017")
    put(tmp_path / "data", *(f"{role}/{split}/a.png" for split in splits for role in ("images", "masks")))
    put(tmp_path / "theirs", *(f"{split}/a.png" for split in splits))
    assert paired(tmp_path / "theirs", tmp_path / "data", split="val") == {"a": "val2017/a.png"}
    put(tmp_path / "flat", "test_1/a.png")  # a folder that is none of the data's says no split
    assert paired(tmp_path / "flat", tmp_path / "data", split="val") == {"a": "test_1/a.png"}


def test_folders_of_patients_in_a_split_say_no_split(tmp_path):
    names = ("test_01/0", "test_02/0")
    put(tmp_path / "data", *(f"{split}/{role}/{name}.png" for split in ("train", "test") for role in ("images", "masks")
                             for name in names))  # fmt: skip
    put(tmp_path / "theirs", *(f"{name}.png" for name in names))
    wanted = {name: f"{name}.png" for name in names}
    assert paired(tmp_path / "theirs", tmp_path / "data", split="test") == wanted
    listed = tmp_path / "listed"
    put(listed, *(f"{role}/{name}.png" for name in (*names, "a/0") for role in ("images", "masks")))
    (listed / "train.txt").write_text("a/0\n")
    (listed / "test.txt").write_text("\n".join(names))
    assert paired(tmp_path / "theirs", listed, split="test") == wanted


def test_folders_above_the_data_say_no_split(tmp_path):
    data = tmp_path / "my_test" / "data"
    put(data, *(f"{role}/{split}2017/0.png" for split in ("train", "test") for role in ("images", "masks")))
    put(tmp_path / "theirs", "my_test/0.png", "test2017/0.png")
    assert paired(tmp_path / "theirs", data, split="test") == {"0": "test2017/0.png"}


def test_the_word_of_the_one_split_with_masks_counts_though_all_pictures_share_its_folder(tmp_path):
    scenes = ("uavid_train/seq1", "uavid_train/seq2")
    put(tmp_path / "data", *(f"{scene}/{role}/0.png" for scene in scenes for role in ("Images", "Labels")))
    put(tmp_path / "data", "uavid_test/seq1/Images/0.png")
    put(tmp_path / "theirs", *(f"{scene}/0.png" for scene in (*scenes, "uavid_test/seq1")))
    assert paired(tmp_path / "theirs", tmp_path / "data") == {f"seq{n}/0": f"uavid_train/seq{n}/0.png" for n in "12"}


def test_one_mask_answers_for_one_picture(tmp_path):
    splits = ("train", "test")
    put(tmp_path / "data", *(f"{split}/{role}/a.png" for split in splits for role in ("images", "masks")))
    put(tmp_path / "theirs", "a.png")
    assert paired(tmp_path / "theirs", tmp_path / "data", split="test") == {"a": "a.png"}
    with pytest.raises(InputError, match=r"theirs/a\.png may be that of train/a and of test/a. Judge .* \(--split\)"):
        paired(tmp_path / "theirs", tmp_path / "data")


def test_the_second_annotator_beside_the_first(tmp_path):
    names = [f"{number}_{eye}" for number in ("01", "02") for eye in "LR"]
    put(tmp_path, *(f"{name}{end}" for name in names for end in (".jpg", "_1stHO.png", "_2ndHO.png")))
    found = paired(tmp_path, tmp_path, Naming(mask_suffix="_1stHO"))
    assert found == {name: f"{name}_2ndHO.png" for name in names}


def test_of_what_predict_wrote_the_masks_alone_count(data, tmp_path):
    put(tmp_path / "out", "predict.json")
    for name in ("a1", "b2", "c3"):
        put(tmp_path / "out", *(name + end for end in (".png", ".npy", "_overlay.png", "_instances.tif")))
    assert paired(tmp_path / "out", data) == {name: f"{name}.png" for name in ("a1", "b2", "c3")}
    (tmp_path / "out" / "predict.json").unlink()  # then nobody says which are the masks
    with pytest.raises(InputError, match="3 of 3 have several"):
        paired(tmp_path / "out", data)


@pytest.mark.parametrize("mask", ["{}_mask.png", "mask_{}.png", "{}_gt.png"])
def test_what_predict_made_of_the_masks_of_the_truth_is_none(tmp_path, mask):
    """Masks lie beside the images, and the whole folder was predicted."""
    names = [file for one in ("a1", "b2", "c3") for file in (f"{one}.png", mask.format(one))]
    put(tmp_path / "data", *names)
    put(tmp_path / "out", "predict.json", *names)
    assert paired(tmp_path / "out", tmp_path / "data") == {one: f"{one}.png" for one in ("a1", "b2", "c3")}
    for one in ("a1", "b2", "c3"):
        (tmp_path / "out" / f"{one}.png").unlink()  # as where somebody named them so
    assert paired(tmp_path / "out", tmp_path / "data") == {one: mask.format(one) for one in ("a1", "b2", "c3")}


def test_images_are_no_masks(data, tmp_path):
    shutil.copytree(data, tmp_path / "second")  # the folder of a second annotator, images and all
    assert paired(tmp_path / "second", data) == {name: f"masks/{name}.png" for name in ("a1", "b2", "c3")}
    with pytest.raises(InputError, match="must hold some; .* has no picture but images of the data"):
        paired(data / "images", data)


def test_missing_masks_are_counted_and_the_first_ones_named(data, tmp_path):
    put(tmp_path / "theirs", "b2.png")
    with pytest.raises(InputError, match=r"2 of 3 have none: a1, c3\. Add them, .* or judge .* \(--split\)"):
        paired(tmp_path / "theirs", data)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="must hold some"):
        paired(tmp_path / "empty", data)


def test_more_masks_than_pictures_do_no_harm(data, tmp_path):
    put(tmp_path / "theirs", *(f"{name}.png" for name in ("a1", "b2", "c3", "d4", "e5")))
    assert len(paired(tmp_path / "theirs", data)) == 3


def test_pages_of_a_stack_are_pages_of_its_mask(tmp_path):
    pages = np.zeros((3, 4, 5), np.uint8)
    for place in ("data/images/s.tif", "data/masks/s.tif", "theirs/s.tif", "theirs/unused/t.png"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        write_stack(tmp_path / place, pages) if place.endswith("tif") else put(tmp_path, place)
    found = paired(tmp_path / "theirs", tmp_path / "data")
    assert found == {f"s_{page}": "s.tif" for page in range(3)}
    write_stack(tmp_path / "theirs" / "s.tif", pages[:2])
    with pytest.raises(InputError, match=r"one number of pages: .*images/s\.tif has 3, .*theirs/s\.tif 2"):
        paired(tmp_path / "theirs", tmp_path / "data")


def test_names_are_equal_in_any_unicode_form(tmp_path):
    put(tmp_path, "data/images/Zelle ä.png", "data/masks/Zelle ä.png", "theirs/Zelle a\u0308.png")
    assert [*paired(tmp_path / "theirs", tmp_path / "data").values()] == ["Zelle a\u0308.png"]


def test_predictions_of_other_pictures_of_the_same_names_are_said(tmp_path):
    for split in ("train", "test"):
        write_picture(tmp_path / split / "a.png", np.full((4, 4), len(split), np.uint8))
    put(tmp_path / "out", "predict.json", "a.png")
    manifest = tmp_path / "out" / "manifest.csv"
    manifest.write_text(f"{tmp_path / 'train' / 'a.png'},done,16,,\n")
    pairs = {split: Pair("a", tmp_path / split / "a.png", Path("m.png")) for split in ("train", "test")}
    mask = tmp_path / "out" / "a.png"
    assert foreign_predictions({pairs["train"]: mask}) == []
    (note,) = foreign_predictions({pairs["test"]: mask})
    assert f"are judged on: 1 of 1 mask of {tmp_path / 'out'}, as its manifest says" in note
    shutil.copy(tmp_path / "train" / "a.png", tmp_path / "test" / "a.png")
    assert foreign_predictions({pairs["test"]: mask}) == []  # a copy of it
    manifest.write_text("/gone/a.png,done,16,,\n")
    assert foreign_predictions({pairs["test"]: mask}) == []


def test_the_second_annotator_of_drive(tmp_path, caplog):
    for split, first in (("training", 21), ("test", 1)):
        for n in range(first, first + 3):
            ends = ("images/{}_{s}.tif", "1st_manual/{}_manual1.gif", "mask/{}_{s}_mask.gif")
            put(tmp_path / split, *(end.format(f"{n:02d}", s=split) for end in ends))
    put(tmp_path / "test" / "2nd_manual", *(f"{n:02d}_manual2.gif" for n in (1, 2, 3)))
    naming = Naming(masks="1st_manual")
    found = paired(tmp_path / "test" / "2nd_manual", tmp_path, naming, "test")
    assert found == {f"{n:02d}_test": f"{n:02d}_manual2.gif" for n in (1, 2, 3)}
    assert caplog.messages == []
    paired(tmp_path / "test", tmp_path, naming, "test")  # the field of view has better names
    words = f"Pictures in {tmp_path / 'test'} that are not used: 3 in 2nd_manual; the masks are those in mask."
    assert caplog.messages == [words]
