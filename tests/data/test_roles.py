"""Which folders are read to tell what they hold."""

import os

import pytest
from folders import names, put

from unet_tf.data.layout import find_named
from unet_tf.data.roles import told_apart


@pytest.mark.parametrize(
    ("folders", "most"),
    [
        ([f"p{n}" for n in range(9)], 0),
        (["test_a", "val_a"], 0),  # none is for training
        (["train_a", "test_a", *(f"p{n}" for n in range(9))], 1),
        (["train_a", "test_a"], 2),
    ],
)
def test_names_tell_splits_before_folders_are_read(tmp_path, monkeypatch, folders, most):
    put(tmp_path, *(f"{name}/0.png" for name in folders))
    read, scandir = [], os.scandir

    def counting(path):
        read.append(path)
        return scandir(path)

    monkeypatch.setattr("os.scandir", counting)
    paths = [tmp_path / name for name in folders]
    assert told_apart(paths) == (dict(zip(("train", "test"), paths, strict=True)) if most == 2 else {})
    assert len(read) == most


PAIRS = [("{}.png", "{}_mask.png"), ("images/{}.png", "masks/{}.png")]


@pytest.mark.parametrize("pair", PAIRS)
def test_a_folder_of_pairs_beside_others_is_none_of_masks_whatever_it_is_called(tmp_path, pair):
    for place in ("site", "target"):
        put(tmp_path / "pool" / place, *(one.format(place[0] + n) for one in pair for n in "12"))
    assert names(find_named(tmp_path / "pool")) == {"": ["site/s1", "site/s2", "target/t1", "target/t2"]}
    for place in ("train_seg", "val_seg"):
        put(tmp_path / "splits" / place, *(one.format(n) for one in pair for n in "12"))
    assert names(find_named(tmp_path / "splits")) == {"train": ["1", "2"], "val": ["1", "2"]}


@pytest.mark.parametrize("pair", PAIRS)
def test_an_archive_that_holds_its_pairs_twice_is_refused(tmp_path, pair):
    places = ("kaggle_3m/TCGA", "lgg-mri-segmentation/kaggle_3m/TCGA")
    put(tmp_path, *(f"{place}/{one.format(n)}" for place in places for one in pair for n in "12"))
    (problem,) = find_named(tmp_path).problems
    assert problem == (
        f"Folders of pairs must hold different pictures; those of kaggle_3m and lgg-mri-segmentation in {tmp_path} "
        "have files of the same names and sizes. Give one of these folders, or list the pairs of all in train.txt."
    )
    assert len(names(find_named(tmp_path / "lgg-mri-segmentation"))[""]) == 2
    for path in (tmp_path / places[0]).rglob("*.png"):
        path.write_bytes(b"of another patient")
    assert len(names(find_named(tmp_path))[""]) == 4


def test_a_picture_that_cannot_be_had_has_a_name_all_the_same(tmp_path):
    put(tmp_path, "tissue_images/a.png", "tissue_masks/a.png", "tissue_masks/a_mask.png")
    for folder in ("tissue_images", "tissue_masks"):
        (tmp_path / folder / "b.png").symlink_to(tmp_path / "nowhere.png")
    assert find_named(tmp_path).problems


@pytest.mark.parametrize("drawn_on", ["labeled_images", "img_with_labels", "seg_images", "lab"])
def test_pictures_that_were_drawn_on_or_are_of_another_space_are_no_masks(tmp_path, drawn_on):
    """Images of labels are, and what is called lab beside the word of a split."""
    put(
        tmp_path,
        *(f"train/{role}/a.png" for role in ("images", "masks")),
        "test/images/x.png",
        f"test/{drawn_on}/x.png",
    )
    found = find_named(tmp_path)
    assert names(found) == {"train": ["a"]}
    assert any(note.endswith(f"that are not used: 1 in test/{drawn_on}.") for note in found.notes)
