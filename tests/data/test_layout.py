"""Which files of a folder belong together; no test here decodes a picture, so files hold a byte."""

import os
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from folders import names, put

from unet_tf.data.channels import Channels
from unet_tf.data.folder import Found, Pair, read_pair, title
from unet_tf.data.layout import Place, find_named, match
from unet_tf.data.masks import MaskFormat
from unet_tf.data.naming import Naming
from unet_tf.data.pictures import write_stack
from unet_tf.data.splits import split
from unet_tf.errors import InputError


def pair_up(folder, *places):
    """In each place, a folder of images and one of masks, two pairs."""
    for number, place in enumerate(places):
        images, masks = place
        put(folder, *(f"{one}/{'abcdef'[number]}{n}.png" for one in (images, masks) for n in (0, 1)))


def test_pairs_match_by_stem_whatever_the_suffix(data):
    put(data, "images/x.jpg", "masks/x.png", "images/notes.txt", "images/.hidden.png", "images/Thumbs.db")
    (data / "images" / "looks like one.png").mkdir()
    found = find_named(data)
    assert names(found) == {"": [*map(str, range(10)), "x"]}
    assert found.notes == []


@pytest.mark.parametrize(
    "split_names",
    [
        ("train", "val", "test"),
        ("train", "valid", "test"),
        ("Training", "Validation", "Testing"),
        ("TRAIN", "dev", "TEST"),
    ],
)
@pytest.mark.parametrize(
    "layout",
    [
        ("{}/images", "{}/masks"),
        ("{}/image", "{}/mask"),
        ("{}/Images", "{}/Annotations"),
        ("{}/imgs", "{}/labels"),
        ("images/{}", "masks/{}"),
        ("JPEGImages/{}", "SegmentationClass/{}"),
        ("{}", "{}annot"),
        ("{}", "{}_masks"),
        ("{}_images", "{}_labels"),
        ("images-{}", "masks-{}"),
        ("{}", "{}/masks"),
    ],
)
def test_splits_are_understood_in_every_layout(tmp_path, split_names, layout):
    pair_up(tmp_path, *(tuple(part.format(name) for part in layout) for name in split_names))
    found = find_named(tmp_path)
    assert names(found) == {"train": ["a0", "a1"], "val": ["b0", "b1"], "test": ["c0", "c1"]}
    assert [title(pair) for pair in found.splits["val"]] == ["val/b0", "val/b1"]
    assert found.notes == []


@pytest.mark.parametrize("one", ["images", "masks"])
@pytest.mark.parametrize(("train", "val"), [("train", "valid"), ("train2017", "val2017")])
def test_images_or_masks_alone_in_splits_are_said_with_what_to_do(tmp_path, one, train, val):
    other = "masks" if one == "images" else "images"
    put(tmp_path, f"{one}/{train}/a.png", f"{one}/{val}/b.png", f"{other}/a.png", f"{other}/b.png")
    (problem,) = find_named(tmp_path).problems
    assert problem.endswith(
        "must hold the same splits; one of them lacks train, val. Give it folders of these names, or list the pairs in "
        f"{tmp_path / 'train.txt'} and val.txt, IMAGE MASK a line."
    )
    for name, key, folder in (("train", "a", train), ("val", "b", val)):
        (tmp_path / f"{name}.txt").write_text(
            " ".join(
                f"{role}/{folder}/{key}.png" if role == one else f"{role}/{key}.png" for role in ("images", "masks")
            )
        )
    assert names(find_named(tmp_path)) == {"train": ["a"], "val": ["b"]}


def test_a_folder_of_pairs_beside_other_pictures_is_said(tmp_path):
    pair_up(tmp_path / "data", ("train/images", "train/masks"), ("valid/images", "valid/masks"))
    put(tmp_path, "figures/a.png", "figures/b.png")
    (tmp_path / "figures/up").symlink_to(tmp_path)
    assert find_named(tmp_path).problems[1:] == [f"If the pairs of {tmp_path / 'data'} are meant, give that folder."]
    pair_up(tmp_path, ("older/images", "older/masks"))
    words = f"If the pairs of {tmp_path / 'data'} or of {tmp_path / 'older'} are meant, give that folder."
    assert find_named(tmp_path).problems[1:] == [words]


def test_masks_beside_their_images_in_split_folders(tmp_path):
    put(tmp_path, *(f"{split}/{n}{mask}.png" for split in ("train", "valid") for n in "ab" for mask in ("", "_mask")))
    assert names(find_named(tmp_path)) == {"train": ["a", "b"], "val": ["a", "b"]}


@pytest.mark.parametrize(("folder", "link"), [("validation", "valid"), ("valid", "val"), ("val", "validation")])
@pytest.mark.parametrize("layout", ["{}/images {}/masks", "images/{} masks/{}"])
def test_a_folder_and_a_link_to_it_are_one_split(tmp_path, layout, folder, link):
    pair_up(tmp_path, *(layout.format(split, split).split() for split in ("train", folder)))
    for path in [*tmp_path.rglob(folder)]:
        path.with_name(link).symlink_to(folder)
    found = find_named(tmp_path)
    assert names(found) == {"train": ["a0", "a1"], "val": ["b0", "b1"]}
    assert found.notes == []


@pytest.mark.parametrize(("first", "second"), [("val", "valid"), ("Train", "training"), ("test", "TEST")])
def test_two_folders_of_one_split_are_named(tmp_path, first, second):
    pair_up(tmp_path, ("images", "masks"), (f"{first}/images", f"{first}/masks"))
    pair_up(tmp_path, (f"{second}/images", f"{second}/masks"))
    assert f" in {tmp_path} mean the same split, " in find_named(tmp_path).problems[0]
    assert {first, second} <= set(find_named(tmp_path).problems[0].split())
    for path in (tmp_path / second).glob("*/*"):
        path.unlink()  # an empty one loses nothing
    assert find_named(tmp_path).problems == []


def test_splits_below_images_must_have_masks(tmp_path):
    pair_up(tmp_path, ("images/train", "masks/train"), ("images/val", "elsewhere/val"))
    found = find_named(tmp_path)
    assert found.problems == [
        f"{tmp_path / 'images'} and {tmp_path / 'masks'} must hold the same splits; one of them lacks val. Give it "
        f"folders of these names, or list the pairs in {tmp_path / 'train.txt'} and val.txt, IMAGE MASK a line."
    ]
    pair_up(tmp_path / "other", ("images/val", "masks/val"))
    assert find_named(tmp_path / "other").problems[0].endswith("must hold train/ beside val/.")


@pytest.mark.parametrize(
    ("paired", "bare"),
    {
        "folders": (("train/images", "train/masks"), "test/images/x.png"),
        "pictures": (("train/images", "train/masks"), "test/x.png"),
        "splits below": (("images/train", "masks/train"), "images/test/x.png"),
        "one word": (("train_images", "train_masks"), "test_images/x.png"),
        "no train": (("images", "masks"), "test/images/x.png"),
    }.values(),
)  # fmt: skip
@pytest.mark.parametrize("empty", [False, True], ids=["", "an empty folder of masks"])
def test_pictures_of_a_challenge_are_no_test_split(tmp_path, paired, bare, empty):
    pair_up(tmp_path, paired)
    put(tmp_path, bare, bare.replace("x", "y"))
    folder = (tmp_path / bare).parent
    if empty and "images" in bare:
        (tmp_path / bare.replace("images", "masks")).parent.mkdir()
    found = find_named(tmp_path)
    assert list(found.check()) == ["train"] and found.notes == [
        f"{folder} holds 2 pictures and no masks: nothing is judged by them. predict segments them."
    ]
    put(tmp_path, bare.replace("images", "masks") if "images" in bare else "test/x_mask.png")
    assert "image without a mask" in find_named(tmp_path).problems[0]  # some have masks: the others were lost


def test_the_folders_of_nnunet_are_training_and_test(tmp_path):
    put(tmp_path, *(f"imagesTr/{n}_0000.png" for n in "abc"), *(f"labelsTr/{n}.png" for n in "abc"))
    assert names(find_named(tmp_path)) == {"": ["a_0000", "b_0000", "c_0000"]}
    put(tmp_path, "imagesTs/d_0000.png", "imagesTs/e_0000.png", "dataset.json")
    found = find_named(tmp_path)
    assert names(found) == {"train": ["a_0000", "b_0000", "c_0000"]} and found.notes == [
        f"{tmp_path / 'imagesTs'} holds 2 pictures and no masks: nothing is judged by them. predict segments them."
    ]
    said = find_named(tmp_path, Naming(images="imagesTr"))
    assert names(said) == {"": ["a_0000", "b_0000", "c_0000"]}
    assert said.notes == [f"Pictures in {tmp_path} that are not used: 2 in imagesTs."]
    put(tmp_path, "labelsTs/d.png", "labelsTs/e.png")
    found = find_named(tmp_path)
    assert names(found) == {"train": ["a_0000", "b_0000", "c_0000"], "test": ["d_0000", "e_0000"]}
    assert (found.splits["test"][1].mask, found.notes) == (tmp_path / "labelsTs" / "e.png", [])
    put(tmp_path, "imagesVal/f_0000.png", "labelsVal/f.png")
    whole = names(find_named(tmp_path))
    assert whole == {"train": ["a_0000", "b_0000", "c_0000"], "val": ["f_0000"], "test": ["d_0000", "e_0000"]}
    for role in ("images", "labels"):
        (tmp_path / f"{role}Val").rename(tmp_path / f"{role}Va")  # as in AMOS
    assert names(find_named(tmp_path)) == whole
    for beside in ("images/{}.png masks/{}.png", "{}.png {}_mask.png"):  # from which these were made
        put(tmp_path / beside[:2], *(f"{file.relative_to(tmp_path)}" for file in tmp_path.glob("*T*/*.png")))
        put(tmp_path / beside[:2], *(beside.format(n, n).split()[at] for n in "xy" for at in (0, 1)))
        assert names(find_named(tmp_path / beside[:2])) == {"": ["x", "y"]}


@pytest.mark.parametrize("ends", [("_0000", "_0001"), ("_1", "_2", "_3")])
def test_channels_in_files_of_their_own_are_told_by_their_option(tmp_path, ends):
    put(tmp_path, *(f"imagesTr/{n}{end}.png" for n in "abc" for end in ends), *(f"labelsTr/{n}.png" for n in "abc"))
    put(tmp_path, *(f"imagesTs/d{end}.png" for end in ends), "labelsTs/d.png")
    first = find_named(tmp_path).problems[0]
    assert first.endswith(f" Where they are channels of one image, say --channel-suffix {','.join(ends)}.")
    whole = find_named(tmp_path, channels=Channels(suffixes=ends))
    assert {split: len(pairs) for split, pairs in whole.check().items()} == {"train": 3, "test": 1}
    (tmp_path / "imagesTr" / f"a{ends[1]}.png").unlink()
    assert "channels of one image" not in find_named(tmp_path).problems[0]


@pytest.mark.parametrize(
    "bare", ["val/{}.png", "Valid/images/{}.png", "dev/pictures/{}.png", "val/val/{}.png", "val_images/{}.png"]
)
@pytest.mark.parametrize("train", [("train/images", "train/masks"), ("images", "masks")])
def test_pictures_to_validate_by_without_masks_are_noted_and_a_share_of_the_others_validates(tmp_path, train, bare):
    pair_up(tmp_path, train)
    put(tmp_path, *(bare.format(name) for name in "xyz"))
    found = find_named(tmp_path)
    assert names(found) == {"train": ["a0", "a1"]}
    (note,) = found.notes
    assert note.endswith("holds 3 pictures and no masks: nothing is judged by them. predict segments them.")
    assert [len(pairs) for pairs in split(found.check()).values()][:2] == [1, 1]
    put(tmp_path / Path(bare).parts[0], "predictions/x.png")
    assert names(find_named(tmp_path)) == {"train": ["a0", "a1"]}


@pytest.mark.parametrize(
    "files",
    ["val/images/x val/images/y val/masks/x", "val/images/x val/other/x", "val/x val/old/x", "val/a/x val/b/x",
     "val_images/x val_other/x", "images/val/x", "val/val_images/x val/gt/x", "val/images/x val/masks/notes.txt"],
)  # fmt: skip
def test_pictures_to_validate_by_whose_masks_may_be_lost_stay_a_problem(tmp_path, files):
    pair_up(tmp_path, ("images/train", "masks/train") if files == "images/val/x" else ("train/images", "train/masks"))
    put(tmp_path, *(file if "." in file else f"{file}.png" for file in files.split()))
    assert find_named(tmp_path).problems


def test_folders_in_folders_of_their_own_name_are_understood(tmp_path):
    pair_up(tmp_path, ("train/train", "train_masks/train_masks"))  # as zip files that bear the name of their folder
    put(tmp_path, "test/test/x.png")
    found = find_named(tmp_path)
    assert names(found) == {"train": ["a0", "a1"]}
    assert found.notes[0].startswith(f"{tmp_path / 'test'} holds 1 picture and no masks")
    beside = tmp_path / "beside"
    put(beside, *(f"{one}/{one}/{n}{mask}.png" for one in ("train", "val") for n in "ab" for mask in ("", "_mask")))
    assert names(find_named(beside)) == {"train": ["train/a", "train/b"], "val": ["val/a", "val/b"]}
    pair_up(tmp_path / "roles", *((f"{one}/{one}/images", f"{one}/{one}/masks") for one in ("train", "test")))
    assert names(find_named(tmp_path / "roles")) == {"train": ["train/a0", "train/a1"], "test": ["test/b0", "test/b1"]}


def test_pictures_that_are_not_used_are_named_with_their_folder(data):
    put(data, "raw/a.png", "raw/deep/b.png", "labels/0.png", "empty/notes.txt", "images/old/c.tif", "images/d.heic")
    put(data, "images/e.SVS", "images/f.nii.gz", "export/only.svs", ".cache/hidden.png", "loose.png")
    (data / "images" / "volume.zarr").mkdir()
    found = find_named(data)
    assert names(found) == {"": [*map(str, range(10))]}
    assert found.notes == [
        f"Pictures in {data} that are not used: 1 in export, 1 in images/old, 1 in labels, 1 in the folder itself, "
        "2 in raw.",
        "Not read, as of another kind: 1 .heic, 1 .nii.gz, 1 .svs, 1 .zarr (d.heic, e.SVS, f.nii.gz, volume.zarr). "
        "Save them as PNG or TIFF. A zarr array is predicted by itself, with --out NAME.zarr.",
    ]
    assert found.check() == found.splits


def test_folders_that_links_lead_to_are_read_once(data):
    (data / "a link").symlink_to(data / "images")
    (data / "images" / "up").symlink_to(data)
    found = find_named(data)
    assert names(found) == {"": [*map(str, range(10))]}
    assert found.notes == []


def test_nested_folders_pair_by_their_path(tmp_path):
    put(tmp_path, *(f"{role}/{p}/a.png" for role in ("images", "masks") for p in ("p1", "p2/left", "p2/right")))
    put(tmp_path, "images/top.png", "masks/top_mask.png")
    assert names(find_named(tmp_path)) == {"": ["p1/a", "p2/left/a", "p2/right/a", "top"]}
    put(tmp_path, "images/p1/b.png")
    assert find_named(tmp_path).problems == [f"1 image without a mask in {tmp_path / 'masks'}: p1/b."]


def test_masks_beside_their_images_in_folders_of_patients(tmp_path):
    put(tmp_path, "p1/a.tif.png", "p1/a.tif_mask.png", "p2/a.png", "p2/a_mask.png")
    assert names(find_named(tmp_path)) == {"": ["p1/a.tif", "p2/a"]}


def test_the_layout_of_pascal_voc(tmp_path):
    pair_up(tmp_path, ("JPEGImages", "SegmentationClass"))
    put(tmp_path, "SegmentationObject/a0.png", "Annotations/a0.xml")
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Segmentation" / "default.txt").write_text("a0\na1\n")
    found = find_named(tmp_path)
    assert names(found) == {"": ["a0", "a1"]}
    assert found.notes == [f"Pictures in {tmp_path} that are not used: 1 in SegmentationObject."]


def test_unpaired_files_are_listed(data):
    (data / "masks" / "3.png").unlink()
    (data / "images" / "7.png").unlink()
    problems = f"1 image without a mask in {data / 'masks'}: 3. 1 mask without an image in {data / 'images'}: 7."
    assert " ".join(find_named(data).problems) == problems
    with pytest.raises(InputError, match="Every image must have one mask of the same name. 1 image without"):
        find_named(data).check()


def test_two_files_of_one_name_are_refused(data):
    put(data, "images/3.bmp")
    assert find_named(data).problems == [f"{data / 'images'}: more than one file for 3. Keep one for each name."]


def test_a_page_and_a_picture_of_one_name_are_refused(tmp_path):
    for role in ("images", "masks"):
        write_stack(tmp_path / role / "v.tif", np.zeros((2, 8, 6), np.uint8))
    put(tmp_path, "images/v_1.png", "masks/v_1.png")
    assert find_named(tmp_path).problems == [f"{tmp_path}: more than one pair is called v_1. Rename one of them."]


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(InputError, match="There is no folder .*nowhere"):
        find_named(tmp_path / "nowhere")
    assert f"{tmp_path} has no pair of image and mask: expected images/NAME.png" in find_named(tmp_path).problems[0]
    put(tmp_path, "file.png")
    with pytest.raises(InputError, match=r"file\.png is a file\. Give the folder"):
        find_named(tmp_path / "file.png")
    put(tmp_path, "images/a.png")
    problems = find_named(tmp_path).problems
    assert problems[0].endswith("has images/ and no pictures in any of masks/, labels/, instances/, annotations/.")


@pytest.mark.parametrize("folder", ["masks", "labels", "instances", "Annotations", "label"])
@pytest.mark.parametrize("suffix", ["", "_mask", "-label", ".seg", "_Segmentation"])
def test_masks_are_found_by_folder_and_suffix(tmp_path, folder, suffix):
    put(tmp_path, "images/a_1.jpg", f"{folder}/a_1{suffix}.png")
    expected = [Pair("a_1", tmp_path / "images" / "a_1.jpg", tmp_path / folder / f"a_1{suffix}.png")]
    assert find_named(tmp_path) == Found({"": expected}, used={tmp_path / "images", tmp_path / folder})


def test_masks_lie_beside_their_images(tmp_path):
    put(tmp_path, *(f"{name}.png" for name in ("x", "x_mask", "y", "z_mask", "masked")))
    found = find_named(tmp_path)
    assert [pair.name for pair in found.splits[""]] == ["x"]
    assert found.problems == [
        f"2 images without a mask (NAME_mask) in {tmp_path}: masked, y.",
        f"1 mask without an image in {tmp_path}: z.",
    ]


def test_names_are_equal_whatever_their_unicode_form(tmp_path):
    composed, apart = (unicodedata.normalize(form, "größe") for form in ("NFC", "NFD"))
    assert composed != apart
    put(tmp_path, f"images/{composed}.png", f"masks/{apart}_mask.png")
    assert names(find_named(tmp_path)) == {"": [composed]}


def test_case_is_told_apart_only_where_names_differ_by_it(tmp_path):
    put(tmp_path, "images/IMG_1.JPG", "masks/img_1.png")
    assert names(find_named(tmp_path)) == {"": ["IMG_1"]}
    put(tmp_path, "images/img_1.png", "masks/IMG_1.png")
    found = find_named(tmp_path)
    assert names(found) == {"": ["IMG_1", "img_1"]}
    assert [pair.mask.name for pair in found.splits[""]] == ["IMG_1.png", "img_1.png"]


def test_names_that_are_no_utf8_pair(tmp_path):
    put(tmp_path, "images/caf\udce9.png", "masks/caf\udce9.png")
    assert names(find_named(tmp_path)) == {"": ["caf\udce9"]}


def test_the_pages_of_two_stacks_are_pairs(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 6), dtype=np.uint8)
    for role in ("images", "masks"):
        write_stack(tmp_path / role / "volume.tif", images if role == "images" else (images > 99) * np.uint8(255))
    pairs = find_named(tmp_path).check()[""]
    assert [pair.name for pair in pairs] == [f"volume_{page:02d}" for page in range(12)]
    for page, pair in enumerate(pairs):
        decoded = read_pair(pair, MaskFormat())
        np.testing.assert_array_equal(decoded.image[..., 0], images[page])
        np.testing.assert_array_equal(decoded.label, images[page] > 99)
        assert decoded.objects is None
    write_stack(tmp_path / "masks" / "volume.tif", images[:5])
    found = Found()
    assert match(Place(tmp_path / "images", tmp_path / "masks"), "", found) == []
    assert found.problems == [
        "Two stacks that belong together must have one number of pages: "
        f"{tmp_path / 'images' / 'volume.tif'} has 12, its mask 5."
    ]


def test_a_folder_that_cannot_be_read_is_named(data, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        find_named(data)


def test_a_call_lists_each_folder_once_and_the_next_one_anew(tmp_path, monkeypatch):
    folders = [tmp_path / f"p{number}" for number in (1, 2, 3)]
    put(tmp_path, *(f"p{number}/{role}/a{number}.png" for number in (1, 2, 3) for role in ("images", "masks")))
    listed, scandir = Counter(), os.scandir

    def counting(path):
        listed[Path(path)] += 1
        return scandir(path)

    monkeypatch.setattr("os.scandir", counting)
    assert names(find_named(tmp_path)) == {"": ["p1/a1", "p2/a2", "p3/a3"]}
    inside = [one / role for one in folders for role in ("images", "masks")]
    assert listed == {tmp_path: 2} | dict.fromkeys([*folders, *inside], 1)  # the second time for lists of splits
    put(tmp_path, "p1/images/b.png", "p1/masks/b.png")
    assert names(find_named(tmp_path)) == {"": ["p1/a1", "p1/b", "p2/a2", "p3/a3"]}


@pytest.mark.parametrize("name", ["lost+found", "System Volume Information", "$RECYCLE.BIN"])
def test_folders_of_an_operating_system_on_top_of_a_disk_are_never_opened(data, monkeypatch, name):
    expected, read = find_named(data), os.scandir
    (data / name).mkdir()

    def refuse(path):
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", path)
        return read(path)

    monkeypatch.setattr("os.scandir", refuse)
    assert find_named(data) == expected


def test_a_folder_of_validation_files_alone_has_no_problem_but_trains_nothing(tmp_path):
    pair_up(tmp_path, ("val/images", "val/masks"))
    assert names(find_named(tmp_path)) == {"train": [], "val": ["a0", "a1"]}
    with pytest.raises(InputError, match="Training needs pairs of its own; the data has val alone. Add train/"):
        split(find_named(tmp_path).check())


@pytest.mark.parametrize("inside", ["", "train/", "val/"])
def test_predicted_masks_are_not_taken_for_the_truth_that_lies_beside_them(tmp_path, inside):
    pair_up(tmp_path, *((f"images/{one}", f"masks/{one}") for one in {inside, "train/" if inside else ""}))
    put(tmp_path, f"masks/{inside}predict.json", "val_labels/a0.png", "labels/notes.json")
    found = find_named(tmp_path)
    (note,) = (one for one in found.notes if "written by predict" in one)
    assert found.problems == [] and "only where a person has corrected them" in note
    put(tmp_path, f"labels/{inside}a0.png", f"gt_overlays/{inside}a0.png")
    (problem,) = find_named(tmp_path).problems
    assert f"The masks in {tmp_path / 'masks' / inside} were written by predict" in problem
    assert f"in labels or in masks in {tmp_path}. Choose one: --masks-dir labels or --masks-dir masks." in problem
    assert find_named(tmp_path, Naming(masks="masks")).problems == []
    assert not any("written by predict" in one for one in find_named(tmp_path, Naming(masks="labels")).notes)
    put(tmp_path, f"labels/{inside}predict.json")  # none of them is the truth
    assert find_named(tmp_path).problems == []


@pytest.mark.parametrize(
    ("files", "whose", "ids"),
    [
        ("{0}/images/{0}.png {0}/masks/{0}{1}.png", "each object", "object ids"),
        ("images/{0}.png masks/{0}/{0}{1}.png", "each object", "object ids"),
        ("images/{0}.png masks/{0}/organ{1}.png", "a class, or an object,", "ids of classes or objects"),
        ("{0}/images/a.png {0}/masks/organ{1}.png", "a class, or an object,", "ids of classes or objects"),
    ],
)
def test_a_mask_file_for_each_object_or_class_is_told_as_such(tmp_path, files, whose, ids):
    put(tmp_path, *{one.format(image, number) for one in files.split() for image in "abcdefgh" for number in (1, 2)})
    problems = find_named(tmp_path).problems
    assert f"{whose} has a file of its own. Join those of an image into one of {ids}: 0 is background" in problems[0]
    assert not any("--masks-dir" in problem for problem in problems)


def test_a_folder_of_masks_that_is_called_like_an_image_may_be_one_of_several_people(tmp_path):
    put(tmp_path, "images/a.png", "images/b.png", *(f"masks/{who}/{one}.png" for who in ("a", "eve") for one in "ab"))
    assert "Choose one: --masks-dir masks/a or --masks-dir masks/eve." in find_named(tmp_path).problems[0]


def test_originals_in_bigtiff_beside_images_are_noted(data):
    put(data, "images/3.btf")
    found = find_named(data)
    assert names(found) == {"": [*map(str, range(10))]}
    assert found.notes == ["Not read, as of another kind, or beside a picture called alike: 1 .btf (3.btf)."]


def test_a_folder_of_packed_pictures_alone_is_told_how_it_is_read(tmp_path):
    put(tmp_path, "images/im1.ppm.gz", "images/im2.ppm.gz", "labels/im1.ah.ppm.gz", "labels/im2.ah.ppm.gz")
    problem = find_named(tmp_path).problems[0]
    assert problem.startswith(f"{tmp_path} has images/ and no pictures in any of masks/, ")
    assert ". Not read, as of another kind: 4 .ppm.gz (" in problem
    assert problem.endswith(" Unpack those that end in .ppm.gz.")
    put(tmp_path / "flat", "im1.ppm.gz")
    (problem,) = find_named(tmp_path / "flat").problems
    assert problem.endswith("1 .ppm.gz (im1.ppm.gz). Unpack those that end in .ppm.gz.")


@pytest.mark.parametrize("left", ["x.png.gz", "x.tif.zip", "x.hgt", "x.mpo", "IMG_1"])
def test_what_is_named_alone_changes_no_layout(tmp_path, left):
    """Folders of such files are none of images, masks or splits beside those that hold pictures."""
    put(tmp_path / "only", *(f"set/{role}/{n}.png" for role in ("images", "masks") for n in "ab"))
    put(tmp_path / "roles", *(f"{role}/{n}.png" for role in ("raw", "labels") for n in "ab"))
    put(
        tmp_path / "splits",
        *(f"{role}/{split}17/{split}.png" for role in ("images", "masks") for split in ("train", "val")),
    )
    before = {name: find_named(tmp_path / name).check() for name in ("only", "roles", "splits")}
    for place in ("only/backup", "roles/raw_2", "roles/masks", "splits/images/other", "splits/masks/other"):
        put(tmp_path / place, left)
        (tmp_path / place / left).write_bytes(b"\xff\xd8\xff")
    for name, pairs in before.items():
        found = find_named(tmp_path / name)
        assert found.check() == pairs
        assert any("not used" in note or "Not read" in note for note in found.notes)


def test_of_many_folders_that_may_be_meant_some_are_named_in_quotes(tmp_path):
    put(tmp_path, "images/a.png", *(f"masks/by {number}/a.png" for number in range(7)))
    (problem,) = (one for one in find_named(tmp_path).problems if "Choose one" in one)
    options = " or ".join(f"--masks-dir 'masks/by {number}'" for number in range(5))
    assert f"or in masks/by 4 or in 2 more in {tmp_path}. Choose one: {options}." in problem


def test_masks_that_were_predicted_beside_their_images_are_said(tmp_path):
    put(tmp_path, "a.jpg", "a.png", "b.jpg", "b.png", "predict.json")
    found = find_named(tmp_path)
    said = [one for one in found.notes if f"The masks in {tmp_path} were written by predict" in one]
    assert (len(found.splits[""]), len(said)) == (2, 1)


@pytest.mark.parametrize(
    ("first", "second", "split"),
    [
        ("train2017", "val2017", "val"),
        ("training_set", "test_set", "test"),
        ("train_1", "test_1", "test"),
        ("trainA", "testA", "test"),
        ("TrainSet", "DevSet", "val"),
        ("traindata", "validdata", "val"),
        ("traincrop", "valcrop", "val"),
        ("uavid_train", "uavid_val", "val"),
    ],
)
@pytest.mark.parametrize(
    "layout",
    [("images/{}", "masks/{}"), ("{}/images", "{}/masks"), ("{}", "masks/{}"), ("{}/seq/Images", "{}/seq/Labels")],
)
def test_a_split_may_be_one_of_several_words(tmp_path, first, second, split, layout):
    pair_up(tmp_path / "archive", *(tuple(part.format(name) for part in layout) for name in (first, second)))
    found = find_named(tmp_path)
    seq = "seq/" * ("seq" in layout[0])
    assert {name: [pair.name.removeprefix(seq) for pair in pairs] for name, pairs in found.splits.items()} == {
        "train": ["a0", "a1"],
        split: ["b0", "b1"],
    }
    assert found.problems == [] and found.notes == []


def test_masks_beside_images_in_splits_of_several_words(tmp_path):
    for place in ("top", "below/images"):
        put(tmp_path / place, *(f"my {name}/a{gt}.png" for name in ("train", "val") for gt in ("", "_gt")))
    for place in ("top", "below"):
        assert names(find_named(tmp_path / place)) == {"train": ["a"], "val": ["a"]}


def test_lists_name_pictures_by_folders_of_such_splits(tmp_path):
    pair_up(tmp_path, *((f"images/{name}", f"masks/{name}") for name in ("train2017", "val2017")))
    (tmp_path / "train.txt").write_text("val2017/b0\nval2017/b1\ntrain2017/a0\n")
    assert names(find_named(tmp_path)) == {"train": ["val2017/b0", "val2017/b1", "train2017/a0"]}


TOGETHER = {
    # folders of images and of masks, or files; what is said of them
    "other words differ too": (("train_a", "val_b"), "images/train_a, images/val_b"),
    "two of one split": (("train_1", "train_2", "test_1"), "images/train_1, images/test_1"),
    "one more folder": (("site_train", "site_test", "site_a"), "images/site_train, images/site_test"),
    "two splits in one": (("trainval2012", "test2012"), "images/trainval2012, images/test2012"),
    "short words": (("tr", "te"), "images/tr, images/te"),
    "patients first": (("p1/train", "p1/val", "p2/train"), "images/p1/train, images/p1/val"),
    "none for training": (("val2017", "test2017"), "images/val2017, images/test2017"),
}


@pytest.mark.parametrize("case", TOGETHER)
def test_what_is_called_like_splits_and_is_none_for_sure_is_noted(tmp_path, case):
    folders, named = TOGETHER[case]
    pair_up(tmp_path / "archive", *((f"images/{one}", f"masks/{one}") for one in folders))
    found = find_named(tmp_path)  # in the only folder of an archive
    assert list(names(found)) == [""] and len(found.splits[""]) == 2 * len(folders)
    assert found.notes == [
        f"Called like splits, and taken together: {named}. If they are splits, lay them into folders train/, val/ and "
        "test/, or list their names in train.txt, val.txt and test.txt."
    ]


def test_files_that_are_called_like_splits_are_noted(tmp_path):
    put(tmp_path, *(f"{name}{anno}.bmp" for name in ("train_1", "train_2", "testA_1") for anno in ("", "_anno")))
    found = find_named(tmp_path)
    assert names(found) == {"": ["testA_1", "train_1", "train_2"]}
    assert "Called like splits, and taken together: train_1.bmp, testA_1.bmp. If" in found.notes[0]


@pytest.mark.parametrize(
    "folders",
    [
        ("train_station", "bus_station"),
        ("patient_test1", "patient_test2"),
        ("pre_test", "post_test"),
        ("tr", "de", "fr"),
        ("latest", "trained", "value"),
        ("trainstation", "valley", "testament"),
        ("p1", "p2"),
    ],
)
def test_classes_and_patients_are_no_splits(tmp_path, folders):
    pair_up(tmp_path, *((f"images/{one}", f"masks/{one}") for one in folders))
    pair_up(tmp_path / "first", *((f"{one}/images", f"{one}/masks") for one in folders))
    for place in (tmp_path, tmp_path / "first"):
        found = find_named(place)
        assert sorted(name for name in names(found)[""]) == sorted(
            f"{one}/{'abcdef'[number]}{n}" for number, one in enumerate(folders) for n in (0, 1)
        )
        assert [note for note in found.notes if "splits" in note] == []


def test_files_called_test_and_a_folder_of_images_called_training_stay(tmp_path):
    put(tmp_path, *(f"pool/{role}/test{n}.png" for role in ("images", "masks") for n in range(3)))
    found = find_named(tmp_path / "pool")
    assert names(found) == {"": ["test0", "test1", "test2"]} and found.notes == []
    put(tmp_path, *(f"said/train/{role}/test{n}.png" for role in ("images", "masks") for n in range(3)))
    assert find_named(tmp_path / "said").notes == []
    put(tmp_path, *(f"own/{folder}/{n}.png" for folder in ("training", "training_masks") for n in "ab"))
    found = find_named(tmp_path / "own")
    assert names(found) == {"train": ["a", "b"]} and found.notes == []


def test_exact_names_of_splits_come_first_and_pairs_outside_stay(tmp_path):
    pair_up(tmp_path, *((f"images/{one}", f"masks/{one}") for one in ("train", "val", "train_extra")))
    found = find_named(tmp_path)
    assert names(found) == {"train": ["a0", "a1"], "val": ["b0", "b1"]}
    unused = "2 in images/train_extra, 2 in masks/train_extra."
    assert found.notes == [f"Pictures in {tmp_path} that are not used: {unused}"]
    pair_up(tmp_path / "half", ("images/train2017", "masks/train2017"))
    put(tmp_path, "half/images/val2017/x.png")  # as archives have pictures without masks
    assert names(find_named(tmp_path / "half")) == {"": ["train2017/a0", "train2017/a1"]}


def test_a_picture_between_the_folders_of_splits_hides_none_of_them(tmp_path):
    pair_up(tmp_path, *((f"images/{name}", f"masks/{name}") for name in ("train2017", "val2017")))
    put(tmp_path, "masks/legend.png", "images/unlabeled2017/x.png")
    found = find_named(tmp_path)
    assert names(found) == {"train": ["a0", "a1"], "val": ["b0", "b1"]} and found.problems == []
    put(tmp_path, "images/overview.png")
    assert find_named(tmp_path).problems[0] == f"1 image without a mask in {tmp_path / 'masks'}: overview."


@pytest.mark.parametrize("name", ["val", "test", "Validation"])
@pytest.mark.parametrize(
    ("images", "masks", "noted"),
    [
        ("{}/images", "{}/masks", "{}"),
        ("images/{}", "masks/{}", "images/{}"),
        ("{}_images", "{}_masks", "{}_images"),
        ("{}", "{}_masks", "{}"),
    ],
)
def test_a_split_without_a_picture_is_noted_and_taken_as_if_it_were_not_there(tmp_path, name, images, masks, noted):
    pair_up(tmp_path, (images.format("train"), masks.format("train")))
    for folder in (images, masks):
        (tmp_path / folder.format(name)).mkdir(parents=True)
    found = find_named(tmp_path)
    assert names(found) == {"train": ["a0", "a1"]}
    assert found.notes == [f"{tmp_path / noted.format(name)} holds no picture, and is taken as if it were not there."]
    put(tmp_path, f"{masks.format(name)}/x.png")  # then something is lost
    assert find_named(tmp_path).problems != []


def test_half_of_a_split_that_is_empty_stays_a_problem(tmp_path):
    pair_up(tmp_path, ("images/train", "masks/train"), ("images/val", "masks/val"))
    for path in (tmp_path / "masks" / "val").iterdir():
        path.unlink()
    assert find_named(tmp_path).problems == [f"2 images without a mask in {tmp_path / 'masks' / 'val'}: b0, b1."]


def test_an_empty_folder_of_training_files_trains_nothing_and_is_said(tmp_path):
    pair_up(tmp_path, ("val/images", "val/masks"))
    (tmp_path / "train" / "images").mkdir(parents=True)
    found = find_named(tmp_path)
    assert f"{tmp_path / 'train'} holds no picture" in found.notes[0]
    with pytest.raises(InputError, match="Training needs pairs of its own; the data has val alone. Add train/"):
        split(found.check())
    pair_up(tmp_path, ("images", "masks"))
    assert names(find_named(tmp_path)) == {"train": ["a0", "a1"], "val": ["a0", "a1"]}


FURTHER = {
    "a run that has begun": ("files.csv", "data.json", "samples.png"),
    "a run": ("files.csv", "data.json", "samples.png", "weights.png", "config.toml", "progress/1.png", "panels/a.png"),
    "a check": ("check.json", "overlays.png", "check.html"),
    "scores": ("evaluation.json", "panels/a.png"),
}
"""What lies in folders that the verbs write, at the time of their first picture or later."""


@pytest.mark.parametrize("written", FURTHER)
@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{}/images/a.png", "{}/masks/a.png"),
        ("{}/image.png", "{}/label.png"),
        ("top/{}.png", "gts_for_participants/{}.png"),
        ("tiff/train/{}.png", "tiff/train_labels/{}.png"),
        ("Kvasir-SEG/images/{}.png", "Kvasir-SEG/masks/{}.png"),
    ],
)
def test_what_was_written_into_a_data_folder_changes_nothing(tmp_path, image, mask, written):
    put(tmp_path, *(one.format(name) for one in (image, mask) for name in ("alpha", "beta")))
    before = find_named(tmp_path)
    put(tmp_path, *(f"out/{name}" for name in FURTHER[written]))
    found = find_named(tmp_path)
    assert names(found) == names(before)
    assert sum(map(len, found.splits.values())) == 2 and found.notes == before.notes


@pytest.mark.parametrize("some", ["files.csv data.json", "data.json samples.png", "check.json", "panels/a.png"])
def test_a_folder_that_holds_some_of_these_files_is_a_folder_as_any(data, some):
    put(data, *(f"out/{name}" for name in (*some.split(), "picture.png")))
    assert any(" in out" in note for note in find_named(data).notes)
