"""Pairs as people name them: a layout in, its pairs or the words of the problem out. Files hold a byte."""

import re
import shutil
import unicodedata
from pathlib import Path

import pytest
from folders import put

from unet_tf.data.layout import find_named
from unet_tf.data.naming import Affix, Naming
from unet_tf.errors import InputError


def pairs(folder, naming=None):
    """(split, name, image, mask) of each pair, paths from the folder."""
    found = find_named(folder, naming or Naming())
    assert found.problems == []
    return {
        (split, pair.name): (pair.image.relative_to(folder).as_posix(), pair.mask.relative_to(folder).as_posix())
        for split, some in found.splits.items()
        for pair in some
    }


def each(text, keys):
    return [name.format(key) for name in text.split() for key in keys]


DRIVE = "training/images/{}_training.tif training/1st_manual/{}_manual1.gif"
HRF = "images/{}.JPG manual1/{}.tif"
CITY = "leftImg8bit/train/aachen/aachen_{}_leftImg8bit.png gtFine/train/aachen/aachen_{}_gtFine_labelIds.png"
LAYOUTS = {
    # name: (files, {} the key; keys; the image and the mask of a pair; what is said)
    "plain": ("images/{}.jpg masks/{}.png", "ab"),
    "mask beside": ("{}.png {}_mask.png", "ab"),
    "img_01, mask_01": ("images/img_{}.png masks/mask_{}.png", ("01", "02", "11")),
    "img_01, mask_01 beside": ("img_{}.png mask_{}.png", ("01", "02", "11")),
    "raw, seg": ("images/{}_raw.tif masks/{}_seg.tif", ("01", "02")),
    "raw, seg beside": ("{}_raw.tif {}_seg.tif", ("01", "02")),
    "folders raw and seg": ("raw/{}.tif seg/{}.tif", ("01", "02")),
    "folders input and target": ("input/{}.tif target/{}.tif", ("01", "02")),
    "folders x and gt": ("x/{}.tif gt/{}.tif", ("01", "02")),
    "DRIVE": (DRIVE, ("21", "22", "30")),
    "HRF": (HRF, ("01_dr", "01_g", "02_dr")),
    "CHASE, one annotator": ("Image_{}.jpg Image_{}_1stHO.png", ("01L", "01R", "11L")),
    "STARE": ("images/{}.ppm labels/{}.ah.ppm", ("im0001", "im0002")),
    "STARE beside": ("{}.ppm {}.ah.ppm", ("im0001", "im0002")),
    "Kvasir": ("Kvasir-SEG/images/{}.jpg Kvasir-SEG/masks/{}.jpg", ("cju0", "cju1")),
    "ISIC": ("images/ISIC_{}.jpg masks/ISIC_{}_segmentation.png", ("0000001", "0000002")),
    "ISIC as it comes": (
        "ISIC2018_Task1-2_Training_Input/ISIC_{}.jpg ISIC2018_Task1_Training_GroundTruth/ISIC_{}_segmentation.png",
        ("0000001", "0000002"),
    ),
    "Carvana": ("train/{}.jpg train_masks/{}_mask.gif", ("x_01", "x_02")),
    "BSDS": ("images/train/{}.jpg groundTruth/train/{}.png", ("100075", "100080")),
    "LIVECell": (
        "images/livecell_images/A172/A172_Phase_{}.tif masks/A172/A172_Phase_{}.png",
        ("A7_1_00d00h00m_1", "A7_1_00d04h00m_1"),
    ),
    "Vaihingen": ("top/top_mosaic_09cm_{}.tif gts_for_participants/top_mosaic_09cm_{}.tif", ("area1", "area11")),
    "Potsdam": ("2_Ortho_RGB/top_potsdam_{}_RGB.tif 5_Labels_all/top_potsdam_{}_label.tif", ("2_10", "2_11")),
    "Massachusetts": ("tiff/train/{}.tiff tiff/train_labels/{}.tif", ("1", "11")),
    "Oxford pets": ("images/{}.jpg annotations/trimaps/{}.png", ("cat_1", "cat_11", "dog_1")),
    "Cityscapes, one kind": (CITY, ("000001", "000002")),
    "JPEG and PNG beside": ("{}.jpg {}.png", "ab"),
    "patients with folders": ("p1/images/{}.png p1/masks/{}.png", "ab"),
    "patients with folders of words": ("{0}/images_png/{0}.png {0}/masks_png/{0}.png", "ab"),
    "images of labels": ("images/{}.jpg mask_images/{}.png", "ab"),
    "images for segmentation": ("seg_images/{}.jpg gt/{}.png", "ab"),
    "patients in folders": ("images/p1/img_{}.png masks/p1/mask_{}.png", "ab"),
    "nnU-Net": ("imagesTr/case_{}_0000.png labelsTr/case_{}.png", ("001", "002")),
    "satellite, roads": ("images/satellite_{}.png masks/roads_{}.png", ("1", "2", "12")),
    "suffix of a suffix": ("images/{}.jpg masks/{}.jpg.png", "ab"),
    "words in one": ("images/frame{}.png masks/frame{}Mask.png", ("1", "2")),
    "other letters": ("images/größe_{}.png masks/größe_{}_läsion.png", ("1", "2")),
    "case": ("images/IMG_{}.JPG masks/img_{}_GT.png", ("1", "2")),
    "one pair": ("images/img_{}.png masks/mask_{}.png", ("07",)),
    "one OME-TIFF": ("images/{}.ome.tif masks/{}.tif", ("07",)),
    "one OME-TIFF, its mask with both suffixes": ("images/{}.OME.TIF masks/{}.ome.tif.png", ("07",)),
    "one suffix of a suffix": ("images/{}.jpg masks/{}.jpg.png", ("07",)),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_layouts_that_are_understood(tmp_path, case):
    files, keys = LAYOUTS[case]
    put(tmp_path, *each(files, keys))
    image, mask = files.split()
    assert set(pairs(tmp_path).values()) == {(image.format(key), mask.format(key)) for key in keys}
    assert find_named(tmp_path).notes == []


EYES = "Image_{}.jpg Image_{}_1stHO.png Image_{}_2ndHO.png"
STREETS = f"{CITY} {CITY.split()[1].replace('labelIds', 'instanceIds')} {CITY.split()[1].replace('labelIds', 'color')}"
TWO = "images/{}.ppm labels/{}.ah.ppm labels/{}.vk.ppm"
CHOSEN = {
    # name: (files, keys, words of the problem, what chooses, image, mask)
    "two annotators beside": (
        EYES, ("01L", "01R"),
        "each image has 2 masks by different annotators: NAME_1stHO, NAME_2ndHO. Choose one: --mask-suffix _1stHO or "
        "--mask-suffix _2ndHO.",
        Naming(mask_suffix="_2ndHO"), "Image_{}.jpg", "Image_{}_2ndHO.png",
    ),
    "two annotators in folders": (
        TWO, ("im1", "im2"),
        "each image has 2 masks by different annotators: NAME.ah, NAME.vk. Choose one: --mask-suffix .ah or "
        "--mask-suffix .vk.",
        Naming(mask_suffix=".vk.ppm"), "images/{}.ppm", "labels/{}.vk.ppm",
    ),
    "folders of annotators": (
        "images/{}.png masks/expert1/{}.png masks/expert2/{}.png", "ab",
        "Choose one: --masks-dir masks/expert1 or --masks-dir masks/expert2.",
        Naming(masks="masks/expert2"), "images/{}.png", "masks/expert2/{}.png",
    ),
    "Cityscapes": (
        STREETS, ("000001", "000002"),
        "each image has 3 masks: NAME_gtFine_color, NAME_gtFine_instanceIds, NAME_gtFine_labelIds. Choose one: "
        "--mask-suffix _gtFine_color or --mask-suffix _gtFine_instanceIds or --mask-suffix _gtFine_labelIds.",
        Naming(mask_suffix="_gtFine_labelIds"), *CITY.split(),
    ),
    "DRIVE as it comes": (
        f"{DRIVE} training/mask/{{}}_training_mask.gif", ("21", "22"),
        "The masks may lie in 1st_manual or in mask in ",
        Naming(masks="1st_manual"), *DRIVE.split(),
    ),
    "HRF as it comes": (
        f"{HRF} mask/{{}}_mask.tif", ("01_dr", "01_g"),
        "Choose one: --masks-dir manual1 or --masks-dir mask.",
        Naming(masks="manual1"), *HRF.split(),
    ),
    "Potsdam as it comes": (
        "2_Ortho_RGB/t_{}_RGB.tif 3_Ortho_IRRG/t_{}_IRRG.tif 5_Labels_all/t_{}_label.tif 5_Labels_no/t_{}_label.tif",
        ("2_10", "2_11"),
        "The masks may lie in 5_Labels_all or in 5_Labels_no",
        Naming(masks="5_Labels_all"), "2_Ortho_RGB/t_{}_RGB.tif", "5_Labels_all/t_{}_label.tif",
    ),
    "two kinds of masks": (
        "images/{}.png masks/{}_mask.png masks/{}_seg.png", "ab",
        "each image has 2 masks: NAME_mask, NAME_seg. Choose one: --mask-suffix _mask or --mask-suffix _seg.",
        Naming(mask_suffix="_seg"), "images/{}.png", "masks/{}_seg.png",
    ),
    "folders without words": (
        "a/{}.png b/{}.png", "12", "Other folders are said by --images-dir and --masks-dir.",
        Naming("b", "a"), "b/{}.png", "a/{}.png",
    ),
    "folders of images without a word beside one of masks": (
        "A/{}.png B/{}.png masks/{}.png predictions/{}.png", "12", "Choose one: --images-dir A or --images-dir B.",
        Naming("B"), "B/{}.png", "masks/{}.png",
    ),
    "and so in a split": (
        "train/A/{}.png train/B/{}.png train/masks/{}.png", "12", "Choose one: --images-dir A or --images-dir B.",
        Naming("A"), "train/A/{}.png", "train/masks/{}.png",
    ),
    "a word that says nothing": (
        "{}.png {}_left.png", "ab", "has no pair of image and mask",
        Naming(mask_suffix="_left"), "{}.png", "{}_left.png",
    ),
    "numbers": (
        "images/{}.png masks/2_{}.png", ("x", "y"), "2 images without a mask in ",
        Naming(mask_prefix="2_"), "images/{}.png", "masks/2_{}.png",
    ),
    "the kind of file": (
        "images/{}.tif masks/{}.png masks/{}.jpg", "ab", "more than one file for a, b. Keep one for each name.",
        Naming(mask_suffix=".png"), "images/{}.tif", "masks/{}.png",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHOSEN)
def test_what_is_ambiguous_is_said_and_chosen(tmp_path, case):
    files, keys, words, naming, image, mask = CHOSEN[case]
    put(tmp_path, *each(files, keys))
    assert words in " ".join(find_named(tmp_path).problems)
    assert set(pairs(tmp_path, naming).values()) == {(image.format(key), mask.format(key)) for key in keys}


def test_suffixes_with_blanks_stand_in_quotes(tmp_path):
    put(tmp_path, *(f"{name}.png" for key in "ab" for name in (f"images/{key}", f"masks/{key}_of Jo")))
    (problem,) = find_named(tmp_path, Naming(mask_suffix="_of Joe")).problems
    assert problem.endswith("no file is called NAME_of Joe. Correct --mask-suffix '_of Joe'.")
    assert Affix("-x", "_Simple Segmentation").flags == "--mask-prefix=-x --mask-suffix '_Simple Segmentation'"
    put(tmp_path, *(f"channels/images/{key}_{dye}.png" for key in "ab" for dye in ("red dye", "blue")))
    put(tmp_path, *each("channels/masks/{}.png", "ab"))
    assert "say --channel-suffix '_blue,_red dye'." in " ".join(find_named(tmp_path / "channels").problems)


def test_the_only_folder_beside_masks_is_that_of_the_images_with_a_test_folder_too(tmp_path):
    put(tmp_path, *each("CXR_png/{0}.png masks/{0}_mask.png", ("C_1", "C_2")), "test/C_9.png")
    assert pairs(tmp_path)["train", "C_1"] == ("CXR_png/C_1.png", "masks/C_1_mask.png")


def test_no_other_folder_is_taken_where_the_said_one_is_not(tmp_path):
    put(tmp_path, *each(f"{DRIVE} training/mask/{{}}_training_mask.gif", ("21", "22")))
    put(tmp_path, *each("test/images/{}_test.tif test/mask/{}_test_mask.gif", ("01", "02")))  # the field of view
    found = find_named(tmp_path, Naming(masks="1st_manual"))
    assert list(found.check()) == ["train"]
    assert found.notes[0].startswith(f"{tmp_path / 'test' / 'images'} holds 2 pictures and no masks")
    assert found.notes[1].endswith("that are not used: 2 in test/mask, 2 in training/mask.")
    files = "train/rgb/{0}.png train/gt/{0}.png val/images/{0}.png val/masks/{0}.png"
    put(tmp_path / "more", *each(files, "ab"))
    (problem,) = find_named(tmp_path / "more", Naming(masks="gt")).problems
    assert problem.endswith("must lie in a folder gt, as --masks-dir says; there is none.")
    assert "must lie in a folder rgb beside it" in find_named(tmp_path / "more", Naming(images="rgb")).problems[0]
    put(tmp_path, *each("p/p1/images/{0}.png p/p1/masks/{0}.png p/p2/images/{0}.png p/p2/gt/{0}.png", "ab"))
    assert find_named(tmp_path / "p", Naming(masks="gt")).splits == {"": []}
    shutil.rmtree(tmp_path / "p" / "p2" / "gt")
    put(tmp_path, *each("p/p2/masks/{}.png", "ab"))
    assert len(pairs(tmp_path / "p", Naming(masks="masks/"))) == 4


def test_a_folder_that_holds_the_said_one_is_looked_into(tmp_path):
    put(tmp_path, *each("images/{0}.png masks/fine/{0}.png", "ab"))
    assert pairs(tmp_path, Naming(masks="fine"))["", "a"] == ("images/a.png", "masks/fine/a.png")


REFUSED = {
    "img_1 and mask_11": ("images/img_1.png masks/mask_11.png", "1 image without a mask"),
    "other numbers": ("images/img_10.png images/img_11.png masks/mask_20.png masks/mask_21.png", "2 images without"),
    "other years": ("images/a_2019_1.png images/a_2019_2.png masks/b_2020_1.png masks/b_2020_2.png", "2 images"),
    "other patients": ("images/p1_1.png images/p1_2.png masks/p2_1.png masks/p2_2.png", "2 images without"),
    "other sides": ("images/left_1.png images/left_2.png masks/right_1.png masks/right_2.png", "2 images without"),
    "other splits": ("images/train_1.png images/train_2.png masks/test_1.png masks/test_2.png", "2 images without"),
    "other animals": ("images/cat_1.png masks/dog_1.png", "1 image without a mask"),
    "other folders": ("images/p1/a_img.png images/p2/b_img.png masks/p1/b_gt.png masks/p2/a_gt.png", "2 images"),
    "leading zeros": ("images/img_1.png images/img_2.png masks/mask_01.png masks/mask_02.png", "2 images without"),
    "words cut": ("images/bat.png images/cat.png masks/rat.png masks/hat.png", "2 images without a mask"),
    "an image too many": ("images/img_1.png images/img_2.png masks/mask_1.png", "2 images without a mask in"),
    "masks of two kinds": ("masks/a.png masks/b.png labels/a.png labels/b.png", "2 masks without an image in"),
    "copies of another kind of file": (
        "png/raw/a.png png/gt/a.png png/raw/b.png png/gt/b.png tif/raw/a.tif tif/gt/a.tif tif/raw/b.tif tif/gt/b.tif",
        "A list train.txt, IMAGE MASK a line, says any pairs.",
    ),
    "a lab beside a field": ("lab/a.png lab/b.png field/a.png field/b.png", "has no pair of image and mask"),
    "a test picture beside others": ("a.png a_mask.png b.png b_mask.png test.png", "1 image without a mask"),
    "a mask too many": ("images/img_1.png masks/mask_1.png masks/mask_2.png", "2 masks without an image in"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_may_be_wrong_is_no_pair(tmp_path, case):
    files, words = REFUSED[case]
    put(tmp_path, *files.split())
    assert words in " ".join(find_named(tmp_path).problems)


def test_what_is_left_over_is_named(tmp_path):
    put(tmp_path, *each("images/img_{}.png masks/mask_{}.png", "1234"), "images/img_5.png")
    (problem,) = find_named(tmp_path).problems
    assert problem == f"1 image without a mask in {tmp_path / 'masks'}: img_5."


def test_what_is_left_over_beside_one_ome_tiff_is_named(tmp_path):
    put(tmp_path, "images/a.ome.tif", "images/b.ome.tif", "masks/a.tif")
    (problem,) = find_named(tmp_path).problems
    assert problem == f"1 image without a mask in {tmp_path / 'masks'}: b.ome."


def test_the_rule_is_said(tmp_path):
    put(tmp_path, *each("images/{}_raw.png masks/{}_seg.png", ("01", "02")))
    assert find_named(tmp_path).rules == ["NAME_raw and NAME_seg in images/ and masks/"]


def test_folders_of_patients_are_said(tmp_path):
    put(
        tmp_path,
        *each("{0}/images/{0}.png {0}/masks/{0}.png", "ab"),
        *each("more/{0}/{0}.png more/{0}/{0}_gt.png", "ab"),
    )
    assert find_named(tmp_path / "more").rules == ["NAME and NAME_gt in one folder"]
    shutil.rmtree(tmp_path / "more")
    assert find_named(tmp_path).rules == ["NAME and NAME in images/ and masks/ of each folder"]


def test_what_an_archive_does_not_use_is_noted_once(tmp_path):
    files = "JPEGImages/{}.jpg SegmentationClass/{}.png SegmentationObject/{}.png"
    put(tmp_path / "VOCdevkit" / "VOC2012", *each(files, "ab"))
    where = "2 in VOCdevkit/VOC2012/SegmentationObject"
    assert find_named(tmp_path).notes == [f"Pictures in {tmp_path} that are not used: {where}."]


def test_what_is_said_and_not_there_is_named(tmp_path):
    put(tmp_path, *each("images/{}.png masks/{}.png", "ab"))
    with pytest.raises(InputError, match=r"--masks-dir must be a folder in .*; received 'gt'\. The folders there: im"):
        find_named(tmp_path, Naming(masks="gt"))
    problems = find_named(tmp_path, Naming(mask_suffix="_gt")).problems
    assert "no file is called NAME_gt. Correct --mask-suffix _gt." in problems[0]


def test_files_that_a_choice_leaves_out_are_noted(tmp_path):
    put(tmp_path, *each(EYES, ("01L", "01R")))
    (note,) = find_named(tmp_path, Naming(mask_suffix="_1stHO")).notes
    assert note.endswith("that are neither image nor mask: Image_01L_2ndHO.png, Image_01R_2ndHO.png.")


def test_names_are_compared_in_one_form_of_unicode(tmp_path):
    composed, apart = (unicodedata.normalize(form, "ä") for form in ("NFC", "NFD"))
    put(tmp_path, f"images/{composed}_1_raw.png", f"masks/{apart}_1_läsion.png")
    put(tmp_path, f"images/{composed}_2_raw.png", f"masks/{apart}_2_läsion.png")
    assert {name for _, name in pairs(tmp_path)} == {f"{composed}_1_raw", f"{composed}_2_raw"}


def test_lists_name_such_pairs(tmp_path):
    put(tmp_path, *each("images/img_{}.png masks/mask_{}.png", "1234"))
    (tmp_path / "train.txt").write_text("img_1\nimg_2.png\n")
    (tmp_path / "val.txt").write_text("images/img_3.png masks/mask_3.png\n")
    assert pairs(tmp_path)["train", "img_2"] == ("images/img_2.png", "masks/mask_2.png")


TABLE = [
    re.findall("`([^`]*NAME[^`]*)`", line)
    for line in (Path(__file__).parents[2] / "docs" / "layouts.md").read_text().splitlines()
    if line.startswith("| ") and line.count("NAME") == 2
]


@pytest.mark.parametrize(
    ("image", "mask"), [row for row in TABLE if "2ndHO" not in row[1] and ".jpg" not in row[1][-4:]]
)
def test_the_table_of_layouts_is_true(tmp_path, image, mask):
    files = {(image.replace("NAME", key), mask.replace("NAME", key)) for key in ("07", "17")}
    put(tmp_path, *(name for pair in files for name in pair))
    assert set(pairs(tmp_path).values()) == files


def test_loveda_and_floodnet_are_understood_in_each_split(tmp_path):
    for split in ("Train", "Val"):
        put(tmp_path / "a" / split, *each("Rural/images_png/{0}.png Rural/masks_png/{0}.png", ("1", "2")))
        put(tmp_path / "a" / split, *each("Urban/images_png/{0}.png Urban/masks_png/{0}.png", ("3", "4")))
    put(tmp_path / "a" / "Test", *each("Rural/images_png/{0}.png Urban/images_png/{0}.png", "5"))
    expected = [(split, name) for split in ("train", "val") for name in ("Rural/1", "Rural/2", "Urban/3", "Urban/4")]
    assert sorted(pairs(tmp_path / "a")) == expected
    for split in ("train", "val", "test"):
        put(tmp_path / "b" / split, *each(f"{split}-org-img/{{}}.jpg {split}-label-img/{{}}_lab.png", ("10", "11")))
    assert sorted(pairs(tmp_path / "b")) == [
        (split, name) for split in ("test", "train", "val") for name in ("10", "11")
    ]


@pytest.mark.parametrize("kind", ["volume", "input"])
def test_the_stacks_of_isbi_2012_and_snemi_are_a_pair_and_a_picture_without_a_mask(tmp_path, kind):
    put(tmp_path, f"train-{kind}.tif", "train-labels.tif", f"test-{kind}.tif")
    assert pairs(tmp_path) == {("", f"train-{kind}"): (f"train-{kind}.tif", "train-labels.tif")}
    assert find_named(tmp_path).notes == [
        f"Called test in {tmp_path}, and without a mask: test-{kind}.tif. Nothing is judged by what has none; predict "
        "segments it."
    ]


def test_the_option_of_masks_may_be_a_kind_of_file(tmp_path):
    put(tmp_path, *each("{}.png {}_GT.tif {}_GT.png", "ab"))
    chosen = pairs(tmp_path, Naming(mask_suffix="_gt.tif"))
    assert chosen["", "a"] == ("a.png", "a_GT.tif")


def test_pictures_of_validation_are_no_training_pictures(tmp_path):
    put(tmp_path, *each("p1/{}.png p1/{}_mask.png p2/{}.png p2/{}_mask.png val/v{}.png val/v{}_mask.png", "ab"))
    found = find_named(tmp_path)
    assert [pair.name for pair in found.splits["train"]] == ["p1/a", "p1/b", "p2/a", "p2/b"]
    assert [pair.name for pair in found.splits["val"]] == ["va", "vb"]


def test_what_was_made_of_pictures_is_no_mask(tmp_path):
    put(tmp_path, *each("images/{}.png predictions/{}.png thumbs/{}.png", "ab"))
    assert "no pictures in any of masks/" in find_named(tmp_path).problems[0]
    put(tmp_path, *each("masks/{}_label.png masks/{}_overlay.png", "ab"))
    (problem,) = find_named(tmp_path).problems
    assert "2 masks without an image in " in problem and "--mask-suffix" in problem


def test_no_picture_is_its_own_mask(tmp_path):
    put(tmp_path, *each("d/{}.png", "ab"))
    problems = find_named(tmp_path, Naming("d", "d")).problems
    assert problems[0].startswith("Images and masks must be other files; both roles have ")


def test_several_images_of_a_mask_may_be_channels(tmp_path):
    put(tmp_path, *each("images/{}_dapi.tif images/{}_gfp.tif masks/{}.png", "abc"))
    (problem,) = find_named(tmp_path, Naming()).problems
    assert "each mask has several images: NAME_dapi, NAME_gfp. Give each kind a folder of its own" in problem
    assert problem.endswith("say --channel-suffix _dapi,_gfp.")


NUMBERED = {
    # files, parted by commas; which images have several masks; the masks
    "BUSI": (
        "b (1), b (1)_mask, b (3), b (3)_mask, b (3)_mask_1", "1 image has", "b (3)_mask, b (3)_mask_1",
    ),
    "no plain one": ("a, a_mask_1, a_mask_2, b, b_mask_1, b_mask_2", "2 images have",
                     "a_mask_1, a_mask_2, b_mask_1, b_mask_2"),
    "no separator": ("a, a_seg, b, b_seg, b_seg2", "1 image has", "b_seg, b_seg2"),
    "in brackets": ("a, a_mask, a_mask (2), b, b_mask", "1 image has", "a_mask, a_mask (2)"),
    "folders": ("images/a, images/b, masks/a_label, masks/b_label, masks/b_label_2", "1 image has",
                "b_label, b_label_2"),
    "numbered ones alone": ("images/a, images/b, masks/a_mask1, masks/a_mask2, masks/b", "1 image has",
                            "a_mask1, a_mask2"),
    "a folder of images alone": ("images/a, images/a_mask_1, images/a_mask_2", "1 image has", "a_mask_1, a_mask_2"),
}  # fmt: skip


@pytest.mark.parametrize("case", NUMBERED)
def test_several_masks_of_an_image_are_to_be_joined(tmp_path, case):
    files, have, masks = NUMBERED[case]
    put(tmp_path, *(f"{file}.png" for file in files.split(", ")))
    (problem,) = find_named(tmp_path).problems
    assert re.search(rf"^An image must have one mask; in \S+ {have} several: {re.escape(masks)}\. Join those", problem)
    plain = case not in ("no plain one", "numbered ones alone", "a folder of images alone")
    assert problem.endswith("--mask-suffix takes those of one name alone.") == plain
    if plain:
        end = re.search("_(mask|seg|label)", masks)[0]
        assert len(pairs(tmp_path, Naming(mask_suffix=end))) == 2


def test_an_image_that_is_called_like_a_mask_is_none_of_several(tmp_path):
    put(tmp_path, "images/a.png", "images/a_mask_1.png", "masks/a_mask_1.png", "masks/a_mask_2.png")
    (problem,) = find_named(tmp_path).problems
    assert "1 image has several: a_mask_1, a_mask_2. Join" in problem


def test_further_masks_are_left_out_where_a_person_says_which_count(tmp_path):
    put(tmp_path, "a (1).png", "a (1)_mask.png", "a (3).png", "a (3)_mask.png", "a (3)_mask_1.png", "a (3)_mask_2.png")
    naming = Naming(mask_suffix="_mask")
    assert pairs(tmp_path, naming)["", "a (3)"] == ("a (3).png", "a (3)_mask.png")
    (note,) = find_named(tmp_path, naming).notes
    assert note.endswith("that are neither image nor mask: a (3)_mask_1.png, a (3)_mask_2.png.")


@pytest.mark.parametrize(
    "files",
    [
        "images/{0}.png masks/left/{0}.png masks/right/{0}.png",
        "CXR/{0}.png leftMask/{0}.png rightMask/{0}.png",
        "images/{0}.png masks/{0}_left_mask.png masks/{0}_right_mask.png",
    ],
)
def test_masks_of_several_parts_are_chosen_or_joined(tmp_path, files):
    put(tmp_path, *each(files, ("p1", "p2")))
    (problem, *_) = find_named(tmp_path).problems
    assert re.search(r"Choose one: .*\. Where each shows some of the objects, join those of an image into one", problem)


def test_numbers_that_tell_pictures_apart_are_no_further_masks(tmp_path):
    put(tmp_path, *each("one/scan_image_{}.png one/scan_mask_{}.png", "123"))
    assert set(pairs(tmp_path / "one").values()) == {(f"scan_image_{n}.png", f"scan_mask_{n}.png") for n in "123"}
    put(tmp_path, *each("two/images/{0}.png two/masks/{0}.png", ("a", "a_label_1", "a_label_2")))
    assert len(pairs(tmp_path / "two")) == 3


def test_where_pictures_lie_that_are_not_used_is_said_by_folder(tmp_path):
    put(tmp_path, "Slide_01/1.png", "Slide_01/2.png", "Slide_02/deep/1.png", "Rural/a.png")
    (note,) = find_named(tmp_path).notes
    assert note == f"Pictures in {tmp_path} that are not used: 1 in Rural, 1 in Slide_02, 2 in Slide_01."
