import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from unet_tf.data.folder import Pair, match, read_pair
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import write_stack
from unet_tf.data.splits import find_splits, hold_out
from unet_tf.errors import InputError
from unet_tf.utils.files import replacing


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array if array.ndim == 2 else array[..., ::-1])


@pytest.fixture
def data(tmp_path):
    """Ten pairs, 8x6 px."""
    for i in range(10):
        write(tmp_path / "images" / f"{i}.png", np.full((8, 6), i, np.uint8))
        write(tmp_path / "masks" / f"{i}.png", np.eye(8, 6, dtype=np.uint8) * 255)
    return tmp_path


def test_pairs_match_by_stem_whatever_the_suffix(data):
    write(data / "images" / "x.tif", np.zeros((8, 6), np.uint8))
    write(data / "masks" / "x.png", np.zeros((8, 6), np.uint8))
    (data / "images" / "notes.txt").write_text("not a picture")
    (data / "images" / ".hidden.png").write_bytes(b"")
    names = [pair.name for pair in match(data)[0]]
    assert names == [*map(str, range(10)), "x"]


def test_the_split_is_seeded_disjoint_and_complete(data):
    first, again, other = find_splits(data, seed=1), find_splits(data, seed=1), find_splits(data, seed=2)
    assert first == again
    assert first["val"] != other["val"]
    assert len(first["val"]) == 2
    assert sorted(p.name for p in first["train"] + first["val"]) == [*map(str, range(10))]
    assert first["test"] == []


def test_named_splits_are_taken_as_they_are(data, tmp_path):
    for split in ("train", "val", "test"):
        for role in ("images", "masks"):
            write(data / split / role / f"{split}.png", np.zeros((8, 6), np.uint8))
    assert {name: [p.name for p in pairs] for name, pairs in find_splits(data).items()} == {
        "train": ["train"],
        "val": ["val"],
        "test": ["test"],
    }


def test_unpaired_files_are_listed(data):
    (data / "masks" / "3.png").unlink()
    (data / "images" / "7.png").unlink()
    with pytest.raises(InputError, match=r"1 images without a mask in .*masks: 3\. 1 masks without an image .*: 7\."):
        find_splits(data)


def test_two_files_of_one_stem_are_refused(data):
    write(data / "images" / "3.bmp", np.zeros((8, 6), np.uint8))
    assert match(data)[1] == [f"{data / 'images'}: more than one file for 3. Keep one for each name."]


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(InputError, match="There is no folder .*nowhere"):
        find_splits(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"has no pair of image and mask: expected images/NAME\.png"):
        find_splits(tmp_path)
    (tmp_path / "file.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"file\.png is a file\. Give the folder"):
        find_splits(tmp_path / "file.png")
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match="has images/ and none of masks/, labels/, instances/"):
        find_splits(tmp_path)


def test_one_pair_cannot_be_split(tmp_path):
    for role in ("images", "masks"):
        write(tmp_path / role / "a.png", np.zeros((8, 6), np.uint8))
    with pytest.raises(InputError, match="Training needs 2 pairs, one of them for validation; found 1"):
        find_splits(tmp_path)


def test_sizes_that_differ_are_refused(data):
    write(data / "masks" / "0.png", np.zeros((6, 8), np.uint8))
    with pytest.raises(InputError, match=r"images.0\.png is 8x6, its mask 6x8\. Export"):
        read_pair(match(data)[0][0], MaskFormat())


@pytest.mark.parametrize("folder", ["masks", "labels", "instances"])
@pytest.mark.parametrize("suffix", ["", "_mask", "-label", ".seg", "_Segmentation"])
def test_masks_are_found_by_folder_and_suffix(tmp_path, folder, suffix):
    write(tmp_path / "images" / "a_1.jpg", np.zeros((8, 6), np.uint8))
    write(tmp_path / folder / f"a_1{suffix}.png", np.zeros((8, 6), np.uint8))
    assert match(tmp_path) == (
        [Pair("a_1", tmp_path / "images" / "a_1.jpg", tmp_path / folder / f"a_1{suffix}.png")],
        [],
    )


def test_masks_lie_beside_their_images(tmp_path):
    for name in ("x", "x_mask", "y", "z_mask", "masked"):
        write(tmp_path / f"{name}.png", np.zeros((8, 6), np.uint8))
    pairs, problems = match(tmp_path)
    assert [pair.name for pair in pairs] == ["x"]
    assert problems == [
        f"2 images without a mask (NAME_mask) in {tmp_path}: masked, y.",
        f"1 masks without an image in {tmp_path}: z.",
    ]


def test_list_files_name_pairs_or_paths(data):
    (data / "more").mkdir()
    (data / "images" / "9.png").rename(data / "more" / "nine.png")
    (data / "masks" / "9.png").rename(data / "more" / "nine mask.png")
    (data / "train.txt").write_text("0\n1.png\nimages/2.png masks/2.png\n\nmore/nine.png, more/nine mask.png\n")
    (data / "val.txt").write_text("images/3.png\tmasks/3.png\n")
    splits = find_splits(data)
    assert {name: [pair.name for pair in pairs] for name, pairs in splits.items()} == {
        "train": ["0", "1", "2", "nine"],
        "val": ["3"],
        "test": [],
    }
    assert splits["train"][3].mask == data / "more" / "nine mask.png"
    (data / "val.txt").write_text("\n")
    with pytest.raises(InputError, match=r"val\.txt names no pair"):
        find_splits(data)
    (data / "val.txt").write_text("/SegNet/a.png /SegNet/b.png\nx\n")
    with pytest.raises(InputError, match=r"these name no files: /SegNet/a\.png /SegNet/b\.png, x"):
        find_splits(data)


def test_lists_without_one_for_training_are_not_passed_over(data):
    (data / "val.txt").write_text("0\n")
    (data / "test.txt").write_text("1\n")
    with pytest.raises(InputError, match=r"has val\.txt and test\.txt, and no train\.txt\. Add it"):
        find_splits(data)


def test_the_pages_of_two_stacks_are_pairs(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 6), dtype=np.uint8)
    for role in ("images", "masks"):
        write_stack(tmp_path / role / "volume.tif", images if role == "images" else (images > 99) * np.uint8(255))
    pairs, problems = match(tmp_path)
    assert problems == []
    assert [pair.name for pair in pairs] == [f"volume_{page:02d}" for page in range(12)]
    for page, pair in enumerate(pairs):
        image, label, objects, _ = read_pair(pair, MaskFormat())
        np.testing.assert_array_equal(image[..., 0], images[page])
        np.testing.assert_array_equal(label, images[page] > 99)
        assert objects is None
    write_stack(tmp_path / "masks" / "volume.tif", images[:5])
    assert match(tmp_path)[1] == [
        "Two stacks that belong together have one number of pages: "
        f"{tmp_path / 'images' / 'volume.tif'} has 12, {tmp_path / 'masks' / 'volume.tif'} has 5."
    ]


def test_instance_masks_keep_their_ids(tmp_path):
    ids = np.array([[0, 3, 3, 900]], np.uint16)
    write(tmp_path / "images" / "a.png", np.zeros((1, 4), np.uint8))
    write(tmp_path / "masks" / "a.png", ids)
    _, label, objects, _ = read_pair(match(tmp_path)[0][0], MaskFormat("instance"))
    assert label.tolist() == [[0, 1, 0, 0]]
    np.testing.assert_array_equal(objects, ids)


PATIENTS = [Pair(f"{patient}_{number}", Path(), Path()) for patient in "abcdefgh" for number in range(3)]


@pytest.mark.parametrize("group", ["^[a-h]", "^([a-h])_", r"(.)_\d"])
def test_groups_stay_together(group):
    for seed in range(5):
        train, val = hold_out(PATIENTS, 0.2, seed, group)
        assert not {pair.name[0] for pair in train} & {pair.name[0] for pair in val}
        assert len(val) == 6
        assert sorted([*train, *val], key=lambda p: p.name) == PATIENTS


@pytest.mark.parametrize(("group", "count"), [(None, 5), (None, 24), ("^.", 3), ("^.", 8)])
def test_folds_hold_out_every_pair_once_and_no_group_twice(group, count):
    folds = [hold_out(PATIENTS, seed=3, group=group, fold=f"{i}/{count}") for i in range(1, count + 1)]
    assert sorted(pair.name for _, val in folds for pair in val) == [pair.name for pair in PATIENTS]
    sizes = [len(val) for _, val in folds]
    assert max(sizes) - min(sizes) <= (1 if group is None else 3)
    for train, val in folds:
        assert len(train) + len(val) == 24
        if group:
            assert not {pair.name[0] for pair in train} & {pair.name[0] for pair in val}


def stack(name, pages):
    return [Pair(f"{name}_{page:02d}", Path(f"{name}.tif"), Path(), page) for page in range(pages)]


def test_the_pages_of_a_stack_stay_together():
    several = [*stack("a", 20), *stack("b", 4), *stack("c", 6), Pair("d", Path("d.png"), Path())]
    for seed in range(8):
        train, val = hold_out(several, 0.2, seed)
        assert not {pair.image for pair in train} & {pair.image for pair in val}
        assert 6 <= len(val) <= 11  # never the 20 pages that are most of the data
    with pytest.raises(InputError, match="5 folds need 5 files; there are 4"):
        hold_out(several, fold="1/5")


@pytest.mark.parametrize("settings", [{"share": 0.2}, {"fold": "2/5"}])
def test_of_a_single_stack_consecutive_pages_are_held_out(settings):
    starts = set()
    for seed in range(8):
        train, val = hold_out(stack("a", 30), seed=seed, **settings)
        pages = {pair.page for pair in val}
        assert (len(train), len(val)) == (24, 6)
        assert sum((page + 1) % 30 not in pages for page in pages) == 1
        starts.add(min(pages))
    assert len(starts) > 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 1.0}, r"lies between 0 and 1; received 1\.0"),
        ({"fold": "0/5"}, r"A fold is \"i/k\".*received '0/5'"),
        ({"fold": "6/5"}, "received '6/5'"),
        ({"fold": "1/25"}, "25 folds need 25 pairs; there are 24"),
        ({"fold": "1/9", "group": "^."}, r"9 folds need 9 groups by '\^\.'; there are 8"),
        ({"group": "["}, "A group is a regular expression"),
        ({"group": "patient"}, "Every name has a group; 'patient' finds nothing in 'a_0'"),
        ({"group": "_"}, "Training needs 2 groups by '_', .* found 1"),
    ],
)
def test_bad_ways_to_split_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        hold_out(PATIENTS, **settings)


def test_a_split_that_is_there_is_not_folded(data):
    shutil.copytree(data / "images", data / "val" / "images")
    shutil.copytree(data / "masks", data / "val" / "masks")
    with pytest.raises(InputError, match="nothing is left to fold; received fold 1/5"):
        find_splits(data, fold="1/5")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(InputError, match=r"Cannot write .*a\.txt: No space left.*Free space"), replacing(target) as t:
        t.write_text("half")
        raise OSError(28, "No space left on device")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert target.read_text() == "old"


def test_other_errors_keep_their_name(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.txt"):
        (tmp_path / "nowhere").read_text()


def test_a_failed_folder_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "d") as temporary:
        temporary.mkdir()
        (temporary / "f").write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
