import re
import shutil

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from unet_tf import TrainConfig, check
from unet_tf.data.pictures import read_image, write_picture, write_stack
from unet_tf.errors import InputError
from unet_tf.planning import doctor
from unet_tf.planning.page import write_overview
from unet_tf.planning.prepare import prepare
from unet_tf.synthetic.cells import generate_cells
from unet_tf.utils.signals import Stopped, stoppable, tell


@pytest.fixture
def data(cells, tmp_path):
    return shutil.copytree(cells, tmp_path / "cells")


def write_pairs(folder, *pairs):
    for number, (image, mask) in enumerate(pairs):
        write_picture(folder / "images" / f"{number:02d}.png", image)
        write_picture(folder / "masks" / f"{number:02d}.png", mask)
    return folder


def noise(seed, shape=(40, 40)):
    return np.random.default_rng(seed).integers(0, 200, shape, dtype=np.uint8)


HALF = np.tile(np.uint8([0, 255]), (40, 20))


def test_a_signal_ends_it_between_two_pairs(cells):
    seen = []
    with pytest.raises(Stopped), stoppable():
        check(cells, on_file=lambda done, total: seen.append(done) or tell())
    assert seen == [1]


def test_a_clean_folder_has_facts_and_nothing_to_say(cells):
    seen = []
    findings = check(cells, on_file=lambda done, total: seen.append((done, total)))
    assert findings.problems == findings.warnings == []
    assert {name: facts.pairs for name, facts in findings.splits.items()} == {"train": 4, "val": 2, "test": 2}
    train = findings.splits["train"]
    assert train.sizes == {(96, 96): 4}
    assert train.kinds == {"uint8 grey": 4}
    assert train.class_pixels.sum() == 4 * 96 * 96
    np.testing.assert_allclose(findings.class_weights @ train.class_pixels, train.class_pixels.sum())
    assert seen == [(i, 8) for i in range(1, 9)]
    assert (findings.masks.kind, findings.tile) == ("binary", 96)
    assert findings.why == "the 8 masks looked at hold 0, 255 and nothing else"


def test_a_folder_of_validation_files_alone_is_a_problem_that_is_said(tmp_path):
    for kind in ("images", "masks"):
        write_picture(tmp_path / kind / "val" / "a.png", HALF)
    findings = check(tmp_path)
    assert "Training needs pairs of its own; the data has val alone. Add train/ to it." in findings.problems
    assert findings.splits["val"].pairs == 1


def test_binary_masks_beside_object_ids_of_training_are_a_warning(tmp_path):
    numbered = np.zeros((40, 40), np.uint8)
    numbered[2:12, 2:12], numbered[20:30, 20:35] = 1, 2
    for split, mask in (
        ("train", numbered),
        ("val", (numbered > 0) * np.uint8(255)),
        ("test", (numbered > 1) * numbered),
    ):
        write_pairs(tmp_path / split, *((noise(len(split) + number), mask) for number in range(2)))
    findings = check(tmp_path, masks="instance")
    assert findings.problems == []
    assert [one for one in findings.warnings if "only id" in one or "alone" in one] == [
        "val: Object ids must tell objects apart; these are binary masks: 255 is the only id, in 4 pieces of 2 masks. "
        "They are judged as such, without objects."
    ]


def test_an_object_in_pieces_among_validation_files_is_no_warning(tmp_path):
    numbered = np.zeros((40, 40), np.uint8)
    numbered[2:12, 2:12], numbered[20:30, 20:35] = 1, 2
    for split, mask in (("train", numbered), ("val", (numbered > 0) * np.uint8(5))):
        write_pairs(tmp_path / split, *((noise(len(split) + number), mask) for number in range(2)))
    findings = check(tmp_path, masks="instance")
    assert findings.problems == [] and not [one for one in findings.warnings if "id" in one]


def test_every_problem_is_listed(data):
    images, masks = data / "train" / "images", data / "train" / "masks"
    write_picture(masks / "cells_000.png", np.full((96, 96), 128, np.uint8))
    (images / "cells_001.png").write_bytes(b"")
    (masks / "cells_002.png").unlink()
    write_picture(images / "cells_003.png", np.zeros((96, 96), np.uint16))
    problems = "\n".join(check(data, masks="binary").problems)
    assert "Masks hold values that no class has: 128 in 9,216 pixels of 1 mask (train/cells_000)" in problems
    assert "cells_001.png is empty" in problems
    assert "1 image without a mask" in problems
    assert "must have one pixel type; found uint16" in problems


def test_files_that_share_a_problem_share_a_line(tmp_path):
    colours = np.array([(0, 0, 0), (9, 0, 0)], np.uint8)[HALF // 255]
    data = write_pairs(tmp_path, *((noise(n), colours) for n in range(7)))
    findings = check(data, masks="binary")
    assert len(findings.problems) == 1
    problem, masks = findings.problems[0], data / "masks"
    assert problem.startswith(f"{masks / '00.png'} is colour-coded")
    assert f"So it is with {masks / '01.png'}, " in problem
    assert problem.endswith(f"{masks / '05.png'} and 1 more.")
    assert findings.problems[0].count("is colour-coded") == 1


@pytest.mark.parametrize("listed", [False, True])
def test_stacks_that_share_a_problem_share_a_line(tmp_path, listed):
    images, masks = tmp_path / "images", tmp_path / "masks"
    for number in range(9):
        write_stack(images / f"{number}.tif", np.stack([noise(number)] * 3))
        write_stack(masks / f"{number}.tif", np.stack([HALF] * (2 if 2 < number < 6 else 3)))
    for path in (images / "0.tif", masks / "1.tif", masks / "2.tif"):
        path.write_bytes(path.read_bytes()[:100])
    if listed:
        lines = "".join(f"images/{number}.tif masks/{number}.tif\n" for number in range(9))
        (tmp_path / "train.txt").write_text(lines)
    problems = [one for one in check(tmp_path).problems if ".tif" in one]
    assert [one.partition(" So it is with ")[::2] for one in problems[:2]] == [
        (problems[0].partition(" So ")[0], f"{masks / '1.tif'}, {masks / '2.tif'}."),
        (
            f"Two stacks that belong together must have one number of pages: {images / '3.tif'} has 3, its mask 2.",
            f"{images / '4.tif'}, {images / '5.tif'}.",
        ),
    ]
    assert problems[0].startswith(f"{images / '0.tif'} (100 bytes) is not a complete TIFF")


def test_masks_of_another_size_share_a_line(tmp_path):
    data = write_pairs(tmp_path, *((noise(n), HALF[:20]) for n in range(3)))
    assert check(data, masks="binary").problems[0] == (
        f"Image and mask of a pair must have one size: {data / 'masks' / '00.png'} is 20x40, its image 40x40. Export "
        f"the mask at the size of the image. So it is with {data / 'masks' / '01.png'}, {data / 'masks' / '02.png'}."
    )


def test_values_of_no_class_are_counted_over_all_masks(tmp_path):
    mask = HALF.copy()
    mask[0, :3], mask[1, 0] = 7, 9
    findings = check(write_pairs(tmp_path, (noise(0), mask), (noise(1), HALF), (noise(2), mask)), masks="binary")
    files = r"\(train/00, (train|val)/02\)"
    assert re.search(rf"7 in 6 pixels of 2 masks {files}; 9 in 2 pixels of 2 masks {files}\. Say", findings.problems[0])
    assert findings.problems[0].endswith("the farthest is 9 away: --mask-tolerance 9.")
    assert findings.splits["train"].pairs + findings.splits["val"].pairs == 1


def test_objects_that_one_mask_numbers_are_not_proposed_to_be_background(tmp_path):
    numbered = np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3), np.ones((20, 14), np.uint8))[:, :40]
    findings = check(write_pairs(tmp_path, (noise(0), numbered), *[(noise(n), HALF) for n in (1, 2)]), masks="binary")
    assert "are ids, and no soft edges" in findings.problems[0] and "--mask-tolerance" not in findings.problems[0]


def test_a_palette_is_suggested_for_colours_and_taken_when_written(tmp_path):
    colours = np.array([(0, 0, 0), (200, 0, 0), (0, 90, 0)], np.uint8)
    masks = [colours[np.random.default_rng(n).choice(3, (40, 40), p=[0.6, 0.3, 0.1])] for n in range(4)]
    data = write_pairs(tmp_path / "data", *((noise(n), mask) for n, mask in enumerate(masks)))
    findings = check(data)
    assert findings.masks is None
    assert findings.palette == (("class0", "class1", "class2"), ((0, 0, 0), (200, 0, 0), (0, 90, 0)))
    assert "nothing says which colour is which class" in findings.problems[0]
    write_overview(findings, tmp_path / "out")
    shutil.copy(tmp_path / "out" / "label_colors.txt", data)
    findings = check(data, void="class1")
    assert findings.problems == []
    assert findings.classes == ("class0", "class2")
    assert findings.masks.void == ((200, 0, 0),)


def test_a_colour_table_of_another_order_is_found_among_all_masks(tmp_path, caplog):
    """Training looks at 32 masks, and this is none of them."""
    write_pairs(tmp_path, *[(noise(number), HALF // 255) for number in range(64)])
    table = np.array([(0, 0, 0), (255, 0, 0)], np.uint8)
    for number in range(64):
        write_picture(tmp_path / "masks" / f"{number:02d}.png", HALF // 255, table)
    write_picture(tmp_path / "masks" / "01.png", 1 - HALF // 255, table[::-1])
    findings = check(tmp_path, classes=2)
    (words,) = [one for one in findings.warnings if "by the colour tables 0 is (0, 0, 0)" in one]
    assert words.startswith("The ids of masks tell the class, and their colours another: ") and "01.png" in words
    assert findings.problems == []
    assert set(findings.palette.colours) == {(0, 0, 0), (255, 0, 0)}
    write_picture(tmp_path / "masks" / "00.png", 1 - HALF // 255, table[::-1])  # which training looks at
    said = check(tmp_path, masks="index", classes=2)
    assert sum("their colours another" in one for one in said.warnings) == 1 and not caplog.records


def test_masks_of_one_bit_beside_void_are_told(tmp_path):
    write_pairs(tmp_path, *[(noise(number), np.resize(np.uint8([0, 1, 2, 255]), (40, 40))) for number in range(4)])
    Image.fromarray(HALF).convert("1").save(tmp_path / "masks" / "03.png")
    findings = check(tmp_path, classes=3)
    assert sum("their greys another: by its few bits 1 is the grey 255" in one for one in findings.warnings) == 1
    assert findings.palette is None


def test_images_in_which_white_is_zero_are_said_where_others_are_not(tmp_path):
    write_pairs(tmp_path, *[(noise(number), HALF) for number in range(4)])
    for number, photometric in enumerate(("miniswhite", "minisblack")):
        (tmp_path / "images" / f"{number:02d}.png").unlink()
        tifffile.imwrite(tmp_path / "images" / f"{number:02d}.tif", noise(number), photometric=photometric)
    (words,) = check(tmp_path).warnings
    assert words.startswith('1 image whose TIFF file says that "white is zero", beside others that do not; numbers are')
    assert words.endswith("save them alike: train/00.") or words.endswith("save them alike: val/00.")
    for number in range(1, 4):
        tifffile.imwrite(tmp_path / "images" / f"{number:02d}.tif", noise(number), photometric="miniswhite")
        (tmp_path / "images" / f"{number:02d}.png").unlink(missing_ok=True)
    assert check(tmp_path).warnings == []


def test_blurred_colours_count_as_one(tmp_path):
    colours = np.array([(0, 0, 0), (200, 0, 0), (0, 90, 200)], np.uint8)
    for number in range(4):
        label = np.kron(np.random.default_rng(number).integers(0, 3, (5, 5)), np.ones((16, 16), int))
        write_picture(tmp_path / "images" / f"{number}.png", noise(number, (80, 80)))
        (tmp_path / "masks").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "masks" / f"{number}.jpg"), colours[label][..., ::-1])
    findings = check(tmp_path)
    assert "is a JPEG file" in findings.problems[0]
    suggested = np.array(findings.palette.colours)
    nearest = np.abs(suggested[:3, None] - colours.astype(int)).max(-1)
    assert nearest.min(1).max() < 20
    assert sorted(nearest.argmin(1)) == [0, 1, 2]


def test_a_class_without_pixels_is_a_problem(cells):
    problems = check(cells, classes=3).problems  # 255 is void there
    assert len(problems) == 1
    assert "Every class must have pixels in the training masks; none has class1, class2" in problems[0]


def test_a_tile_larger_than_most_images_is_a_problem(data):
    for role in ("images", "masks"):
        write_picture(data / "train" / role / "cells_000.png", np.zeros((1, 7), np.uint8))
    assert check(data).problems == []  # one small image is mirrored
    problems = check(data, depth=4, padding="valid", tile=572).problems
    assert len(problems) == 1
    assert "cells_000 is 1x7 (and" in problems[0]
    assert "too small). Choose --tile 268 or less" in problems[0]


def test_copies_between_splits_are_found_by_pixels_and_by_looks(tmp_path):
    pictures = [generate_cells(128, 128, seed)[0] for seed in range(12)]
    for split, numbers in (("train", range(8)), ("val", range(8, 12))):
        for number in numbers:
            write_picture(tmp_path / split / "images" / f"{number:02d}.png", pictures[number])
            write_picture(tmp_path / split / "masks" / f"{number:02d}.png", np.tile(HALF, (4, 4))[:128, :128])
    assert check(tmp_path).warnings == []
    val = tmp_path / "val" / "images"
    cv2.imwrite(str(val / "08.bmp"), pictures[0])  # another file, the same pixels
    (val / "08.png").unlink()
    turned = np.ascontiguousarray(np.rot90(pictures[1])[:, ::-1])
    cv2.imwrite(str(val / "09.jpg"), np.clip(turned * 0.8 + 30, 0, 255).astype(np.uint8))
    (val / "09.png").unlink()
    small = cv2.resize(pictures[2], (96, 96), interpolation=cv2.INTER_AREA)
    write_picture(val / "10.png", small)
    write_picture(tmp_path / "val" / "masks" / "10.png", np.tile(HALF, (3, 3))[:96, :96])
    assert check(tmp_path).warnings == [
        "once the same image in two splits (the best epoch may be chosen by it; scores leave out what the net was "
        "trained on): train/00 = val/08.",
        "2 times nearly the same image in two splits, so that scores flatter the net: "
        "train/01 = val/09, train/02 = val/10.",
    ]


def test_the_nearest_class_is_not_offered_for_ids(tmp_path):
    masks = [(noise(n), np.uint8([0, 1, 2, 9])[(np.indices((40, 40)).sum(0)) % 4]) for n in range(4)]
    (problem,) = check(write_pairs(tmp_path, *masks), classes=3, masks="index").problems
    assert problem.endswith(" If they are class ids: --classes 4. To ignore them: --void 9.")
    assert "9 in 400 pixels of 1 mask" not in problem
    assert "9 in 1,600 pixels of 4 masks (train/" in problem


def blocks(*values):
    """Six masks of 8x8 blocks, each of which holds all values."""
    for seed in range(6):
        chosen = np.resize(np.array(values, np.uint16 if max(values) > 255 else np.uint8), 25)
        yield np.kron(np.random.default_rng(seed).permutation(chosen).reshape(5, 5), np.ones((8, 8), chosen.dtype))


def soft_grey():
    """Six masks in which black discs lie in white, with soft edges."""
    for seed in range(6):
        big = np.full((160, 160), 255, np.uint8)
        cv2.circle(big, (70 + seed, 80), 50, 0, -1)
        yield cv2.resize(big, (40, 40), interpolation=cv2.INTER_AREA)


def soft_colours():
    for mask in soft_grey():
        coloured = np.repeat(mask[..., None], 3, axis=2)
        coloured[:6, :6] = 128
        yield coloured


def few_objects():
    for seed in range(6):
        mask = np.zeros((40, 40), np.uint8)
        for number in range(1, 3 + seed):
            mask[4 * number : 4 * number + 3, 5:20] = number
        yield mask


def stray(value, among=(0, 255)):
    for number, mask in enumerate(blocks(*among)):
        mask[3, 3] = value if number in (2, 4) else mask[3, 3]  # of two: one of them trains
        yield mask


GREYS = "0 0 0 background\n255 255 255 cell\n128 128 128 debris\n"
OPTION = r"--(masks|classes|void|mask-tolerance) (\d+|binary|palette|index|instance)"
UNDECIDED = {
    "ids with gaps": (blocks(0, 7, 11, 26), {}, ""),
    "gaps and void": (blocks(0, 7, 11, 26, 255), {}, ""),
    "gaps, index said": (blocks(0, 7, 11, 26), {"masks": "index"}, ""),
    "gaps, fewer classes said": (blocks(0, 7, 11, 26), {"masks": "index", "classes": 3}, ""),
    "gaps, two classes said": (blocks(0, 7, 11, 26), {"classes": 2}, ""),
    "gaps, more classes said": (blocks(0, 7, 11, 26), {"masks": "index", "classes": 27}, ""),
    "gaps, a tolerance said": (blocks(0, 7, 11, 26), {"mask_tolerance": 5}, ""),
    "gaps, a void said": (blocks(0, 7, 11, 26), {"void": "7"}, ""),
    "16-bit ids": (blocks(0, 70, 300, 65_000), {}, ""),
    "grey of two bits": (blocks(0, 85, 170, 255), {}, ""),
    "ids": (blocks(0, 1, 2), {}, ""),
    "ids and void": (blocks(0, 1, 2, 255), {}, ""),
    "ids from 1": (blocks(1, 2, 3), {}, ""),
    "two ids from 1": (blocks(1, 2), {}, ""),
    "0, 1 and 255": (blocks(0, 1, 255), {}, ""),
    "0, 1 and 255, binary said": (blocks(0, 1, 255), {"masks": "binary"}, ""),
    "0, 1 and 2, binary said": (blocks(0, 1, 2), {"masks": "binary"}, ""),
    "1 in some files and 255 in others": ([*list(blocks(0, 1))[:3], *list(blocks(0, 255))[3:]], {}, ""),
    "a stray value": (stray(7), {"masks": "binary"}, ""),
    "a stray value, nothing said": (stray(7), {}, ""),
    "a stray value in 16 bit": (stray(900, (0, 65535)), {"masks": "binary"}, ""),
    "a stray id": (stray(9, (0, 1, 2)), {"masks": "index", "classes": 3}, ""),
    "a stray id, void said": (stray(9, (0, 1, 2, 4)), {"masks": "index", "classes": 3, "void": "4"}, ""),
    "soft edges": (soft_grey(), {}, ""),
    "soft edges, binary said": (soft_grey(), {"masks": "binary"}, ""),
    "few objects": (few_objects(), {}, ""),
    "soft edges in colours": (soft_colours(), {}, GREYS),
    "a colour of no class": ((np.repeat(mask[..., None], 3, axis=2) for mask in blocks(0, 255, 128, 90)), {}, GREYS),
    "ids with lines in label_colors.txt": (blocks(0, 1, 2), {}, GREYS),
}


@pytest.mark.parametrize("case", UNDECIDED)
def test_every_command_in_a_message_works(tmp_path, case):
    masks, said, palette = UNDECIDED[case]
    write_pairs(tmp_path, *((noise(n), mask) for n, mask in enumerate(masks)))
    if palette:
        (tmp_path / "label_colors.txt").write_text(palette)
    problems = check(tmp_path, **said).problems
    commands = [found[0] for found in re.finditer(rf"(?:{OPTION} ?)+", " ".join(problems))]
    assert bool(problems) == bool(commands)
    for command in commands:
        settings = {"void": [*filter(None, [said.get("void")])]}
        for name, value in re.findall(OPTION, command):
            if name == "void":
                settings["void"].append(value)
            else:
                settings[name.replace("-", "_")] = float(value) if name == "mask-tolerance" else value
        again = check(tmp_path, **(said | settings))
        assert again.problems == [], command
        assert again.splits["train"].class_pixels.all()


def test_the_advice_for_soft_edges_invents_no_class(tmp_path):
    masks = list(soft_colours())
    write_pairs(tmp_path, *((noise(n), mask) for n, mask in enumerate(masks)))
    (tmp_path / "label_colors.txt").write_text(GREYS)
    (problem,) = check(tmp_path).problems
    tolerance = float(problem.rpartition("--mask-tolerance ")[2].rstrip("."))
    findings = check(tmp_path, mask_tolerance=tolerance)
    pixels = sum(facts.class_pixels for facts in findings.splits.values())
    assert pixels[2] == 6 * 36
    assert pixels.sum() + sum(facts.void for facts in findings.splits.values()) == 6 * 40 * 40


def test_pairs_of_one_name_in_two_splits_are_kept_apart(tmp_path):
    flat = np.full((40, 40), 3, np.uint8)
    for split, pictures in (("train", (flat, noise(1), noise(2))), ("val", (noise(3), flat + 1, noise(4)))):
        write_pairs(tmp_path / split, *((picture, HALF) for picture in pictures))
    findings = check(tmp_path)
    assert findings.warnings == ["2 images of one value all over: train/00, val/01."]
    assert [name for name, _ in findings.overlays] == [
        f"{split}/{n:02d}" for split in ("train", "val") for n in range(3)
    ]
    mask = HALF.copy()
    mask[0, 0] = 9
    write_picture(tmp_path / "val" / "masks" / "00.png", mask)
    write_picture(tmp_path / "train" / "masks" / "00.png", mask)
    assert "9 in 2 pixels of 2 masks (train/00, val/00)." in check(tmp_path, masks="binary").problems[0]


def test_files_that_lie_in_two_splits_are_counted_in_both(tmp_path):
    write_pairs(tmp_path, *((noise(n), HALF) for n in range(3)))
    (tmp_path / "train.txt").write_text("00\n01\n02\n")
    (tmp_path / "val.txt").write_text("02\n")
    findings = check(tmp_path)
    assert {name: facts.pairs for name, facts in findings.splits.items()} == {"train": 3, "val": 1}
    harm = "the best epoch may be chosen by it; scores leave out what the net was trained on"
    assert f"once the same image in two splits ({harm}): train/02 = val/02." in findings.warnings


def test_values_that_stand_for_no_measurement_are_named(tmp_path):
    for number in range(4):
        image = np.random.default_rng(number).random((40, 40)).astype(np.float32)
        image[:4, :5] = -9999 if number != 1 else image[:4, :5]
        write_picture(tmp_path / "images" / f"{number}.tif", image)
        write_picture(tmp_path / "masks" / f"{number}.png", HALF)
    (warning,) = check(tmp_path).warnings
    assert warning.startswith("3 images with pixels that hold no measurement (-9999), which are void and no part of")
    assert sum(facts.void for facts in check(tmp_path).splits.values()) == 3 * 20


def test_a_nodata_value_that_stands_beside_a_file_is_said_where_the_file_names_none(tmp_path):
    write_pairs(tmp_path, *((noise(number), HALF) for number in range(4)))
    noted = "<PAMDataset><PAMRasterBand band='1'><NoDataValue>0</NoDataValue></PAMRasterBand></PAMDataset>"
    (tmp_path / "images" / "00.png.aux.xml").write_text(noted)  # no PNG file names any
    named = [(42113, "s", 0, "0", True)]
    dark = np.maximum(noise(1), 1)
    dark[0] = 0
    for name, image, tags in (("01", dark, []), ("02", np.maximum(noise(2), 1), []), ("03", noise(3) | 1, named)):
        (tmp_path / "images" / f"{name}.png").unlink()
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", image, extratags=tags)
        (tmp_path / "images" / f"{name}.tif.aux.xml").write_text(noted)
    (warning,) = check(tmp_path).warnings
    assert warning.startswith("1 image whose nodata value stands in a file NAME.aux.xml beside it, which is not read")
    assert warning.endswith("(gdal_edit.py -a_nodata VALUE NAME.tif): train/01.")


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (np.uint8, 0),
        (np.uint16, 65535),
        (np.int16, 0),
        (np.float32, 0),
        (np.float32, -9999),  # of heights that are no lower than a third of it, which is no sentinel
        (np.int32, -9999),
        (np.uint32, 2**32 - 1),
    ],
)
@pytest.mark.parametrize("named", [1, 3])
def test_a_value_that_is_nodata_in_some_images_and_held_by_others_is_said(dtype, value, named, tmp_path, caplog):
    """The net sees it as the mean in all, while labels have it void in the images that name it alone."""
    for split, count in (("train", 3), ("val", 1)):
        data = write_pairs(tmp_path / split, *((noise(number), HALF) for number in range(count)))
        for number in range(count):
            (data / "images" / f"{number:02d}.png").unlink()
            image = noise(number).astype(dtype) - dtype(100 if dtype == np.int16 else 0)
            image = image * dtype(20) if value == -9999 else image
            image[image == value] = 7
            image[:9] = value if split == "val" or number < 2 else 7
            tags = [(42113, "s", 0, str(value), True)] if split == "train" and number < named else []
            tifffile.imwrite(data / "images" / f"{number:02d}.tif", image, extratags=tags)
    prepare(tmp_path, TrainConfig(depth=1, tile=32))
    train, val = (tmp_path / split / "images" for split in ("train", "val"))
    holders = [train / "01.tif", val / "00.tif"][named > 1 :]
    namers = [train / "00.tif", train / "01.tif"][:named]
    for said in (check(tmp_path).warnings, caplog.messages):
        (words,) = [one for one in said if "stands for no measurement in" in one]
        assert words == (
            f"{value} stands for no measurement in {', '.join(map(str, namers))}, and so counts as the mean in all "
            f"images, also where these hold it and do not name it: {', '.join(map(str, holders))}. If it is a "
            "measurement in the first too, take the name away where a file has it (gdal_edit.py -unsetnodata); if in "
            "the second alone, give the gaps of the first another value, as uint16 where 8 bits have none left; if in "
            f"neither, save the second as TIFF files that name it (gdal_edit.py -a_nodata {value})."
        )


def test_images_that_float32_cannot_tell_apart_are_a_problem(tmp_path):
    data = write_pairs(tmp_path, *((noise(number), HALF) for number in range(3)))
    for number in range(3):
        (data / "images" / f"{number:02d}.png").unlink()
        tifffile.imwrite(data / "images" / f"{number:02d}.tif", noise(number) * 1e-41)
    (problem,) = check(data).problems
    assert re.fullmatch(
        r"The standard deviation of images must be 0, or 1\.2e-38 at least, as float32 holds it; it is 5\.\de-40\. "
        r"Multiply all images by one number\.",
        problem,
    )


@pytest.mark.parametrize("channels", [3, 4])
def test_samples_of_colour_that_are_named_as_nodata_are_counted(tmp_path, channels):
    data = write_pairs(tmp_path, *((noise(number), HALF) for number in range(3)))
    for number in range(3):
        (data / "images" / f"{number:02d}.png").unlink()
        image = np.random.default_rng(number).integers(0, 250, (40, 40, channels), dtype=np.uint8)
        image[0, :number, 0] = image[1, :number, :2] = 255
        options = {"photometric": "rgb"} if channels == 3 else {"photometric": "minisblack", "planarconfig": "contig"}
        tags = [(42113, "s", 0, "255", True)]
        tifffile.imwrite(data / "images" / f"{number:02d}.tif", image, extratags=tags, metadata=None, **options)
    said = [one for one in check(data).warnings if "some channels alone" in one]
    assert len(said) == (channels == 3)
    for one in said:
        assert one.startswith("2 images of colour with pixels of which some channels alone hold the value that")
        assert "(gdal_edit.py -unsetnodata)" in one and "01 (2 pixels)" in one and "02 (4 pixels)" in one


@pytest.mark.parametrize(("value", "said"), [(0, True), (2, True), (3, False), (255, False)])
def test_a_class_that_masks_name_as_nodata_counts_and_is_named(tmp_path, value, said):
    ids = np.tile(np.uint8([0, 1, 2, 255]), (40, 10))
    data = write_pairs(tmp_path, *((noise(number), ids) for number in range(3)))
    for number in range(2):
        (data / "masks" / f"{number:02d}.png").unlink()
        tags = [(42113, "s", 0, str(value), True)]
        tifffile.imwrite(data / "masks" / f"{number:02d}.tif", ids, extratags=tags)
    findings = check(data, masks="index", classes=3)
    assert sum(facts.class_pixels for facts in findings.splits.values()).tolist() == [3 * 400] * 3
    assert findings.problems == []
    assert findings.warnings == said * [
        f"2 images whose mask's file names {value} as nodata (GDAL's tag 42113), and which counts as the "
        "class that it is here; to ignore it, name it with --void: train/00, val/01."
    ]


def test_a_value_far_from_all_others_is_named(tmp_path):
    images = [np.random.default_rng(n).integers(1000, 1100, (40, 40)).astype(np.uint16) for n in range(4)]
    images[2][:3, :4] = 65535
    warning = check(write_pairs(tmp_path, *((image, HALF) for image in images))).warnings[-1]
    assert warning.startswith("1 image with a value that lies more than 10 times the spread of 99% of the other pixels")
    assert warning.endswith("(GDAL's tag 42113) or replace it: train/02 (65535 in 0.75%).")


def test_a_class_that_no_validation_pixel_has_is_named(tmp_path):
    for split, values in (("train", (0, 255)), ("val", (0,))):
        write_pairs(tmp_path / split, *((noise(10 * len(values) + n), next(blocks(*values))) for n in range(3)))
    warnings = check(tmp_path).warnings
    assert any(warning.startswith("No validation pixel is of foreground") for warning in warnings)


def test_among_very_many_images_only_equal_ones_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "COMPARED", 3)
    nearly = noise(0) + np.uint8(1)
    warnings = check(
        write_pairs(tmp_path, *((image, HALF) for image in (noise(0), noise(0), nearly, noise(1))))
    ).warnings
    assert warnings[0].startswith("Nearly equal images are looked for among 3 at most; here are 4")
    assert len(warnings) == 2
    assert "once the same image" in warnings[1]


def test_a_seeded_split_with_copies_is_told_to_group(tmp_path):
    data = write_pairs(tmp_path, *((noise(n // 4), HALF) for n in range(8)))
    warnings = " ".join(check(data).warnings)
    assert "the same image in two splits" in warnings
    assert "Keep related images together with --group." in warnings


def test_images_and_masks_that_deserve_a_look_are_named(tmp_path):
    saturated, flat, faint = noise(1), np.full((40, 40), 3, np.uint8), (noise(2) > 190).astype(np.uint8)
    saturated[:8] = 255
    near_empty = np.zeros((40, 40), np.uint8)
    near_empty[0, 0] = 255
    findings = check(
        write_pairs(
            tmp_path, (noise(0), HALF), (saturated, HALF), (flat, HALF), (faint, HALF), (noise(5), near_empty),
            *((noise(n), HALF) for n in range(10, 15)),
        )
    )  # fmt: skip
    assert findings.problems == []
    assert findings.warnings == [
        "1 image of one value all over: train/02.",
        "1 image with more than 10% of the pixels at the highest value: saturated or clipped: train/01.",
        "1 image whose contrast is more than 10 times that of the median image, or less than a 10th: one "
        "normalisation serves all images, so rescale them alike: train/03.",
        "1 image whose mask is of one class in more than 99.9% of its pixels: train/04.",
    ]


def test_instance_masks_are_counted_as_objects(cells, tmp_path):
    data = tmp_path / "nuclei"
    shutil.copytree(cells / "train" / "images", data / "images")
    shutil.copytree(cells / "train" / "instances", data / "labels")
    findings = check(data, masks="instance")
    assert findings.problems == []
    assert findings.masks.kind == "instance"
    counted = sum(facts.objects for facts in findings.splits.values())
    assert counted == sum(len(np.unique(read_image(path))) - 1 for path in (data / "labels").iterdir())


def test_the_facts_are_json(cells):
    facts = check(cells).to_json()
    assert facts["masks"] == "binary"
    assert facts["splits"]["train"]["sizes"] == {"96x96": 4}
    assert facts["problems"] == []


def test_a_test_split_of_training_images_alone_is_a_problem_as_it_is_for_training(tmp_path):
    for split in ("train", "test"):
        write_pairs(tmp_path / split, *((noise(n), HALF) for n in range(4)))
    problems = check(tmp_path, val_share=0).problems
    assert [one.partition(". ")[0] for one in problems] == [
        "A net must be judged on images that it never saw, and every test image is a training image too"
    ]


def test_a_folder_of_nothing_and_none_at_all(tmp_path):
    assert "has no pair of image and mask" in check(tmp_path).problems[0]
    with pytest.raises(InputError, match="There is no folder"):
        check(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no setting 'mask'; nearest: masks"):
        check(tmp_path, mask="binary")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        write_overview(check(tmp_path), tmp_path / "file")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_images_that_their_file_turns_and_masks_that_it_does_not_are_said(suffix, tmp_path):
    """A photograph: in a square one nothing else would tell."""
    noise, exif = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8), Image.Exif()
    mask = (noise > 127).astype(np.uint8) * 255
    (tmp_path / "images").mkdir()

    def said():
        return [words for words in check(tmp_path).warnings if "turned" in words]

    for number, exif[0x0112] in enumerate((1, 6, 3, 1)):
        Image.fromarray(noise).save(tmp_path / f"images/{number}{suffix}", exif=exif)
        write_picture(tmp_path / f"masks/{number}.png", mask)
    (words,) = said()
    assert words.startswith("2 images turned as the file says (orientation of EXIF or TIFF), and its mask not, which")
    assert re.search(r": \w+/1, \w+/2\.$", words)
    exif[0x0112] = 6
    Image.fromarray(mask).save(tmp_path / "masks/1.png", exif=exif)
    assert said()[0].startswith("1 image turned")
    Image.fromarray(noise[:30]).save(tmp_path / f"images/1{suffix}", exif=exif)
    write_picture(tmp_path / "masks/1.png", mask[:30])
    remedy = "its image 40x30. The image is turned as its file says (orientation): turn the mask too."
    assert remedy in " ".join(check(tmp_path).problems)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_alpha_that_is_not_the_same_all_over_may_be_a_channel(suffix, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 4), np.uint8)
    flat = noise.copy()
    flat[..., 3] = 255
    (tmp_path / "images").mkdir()

    def save(number, image, **options):
        path = tmp_path / f"images/{number}{suffix}"
        tifffile.imwrite(path, image, **options) if suffix == ".tif" else cv2.imwrite(str(path), image)

    def said():
        return [words for words in check(tmp_path).warnings if "alpha" in words]

    for number in range(4):
        save(number, flat)
        write_picture(tmp_path / f"masks/{number}.png", (noise[..., 0] > 127).astype(np.uint8) * 255)
    assert not said()
    save(2, noise)
    (words,) = said()
    assert words.startswith("1 image with alpha that is not the same all over, which is left out")
    if suffix == ".tif":
        for number in range(4):
            save(number, noise, photometric="minisblack")  # as the words advise
        assert not said()


def test_alpha_of_masks_that_is_not_the_same_all_over_is_said(tmp_path):
    layer = np.zeros((40, 48, 4), np.uint8)
    layer[5:30, 5:30] = 255
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 256, (40, 48), np.uint8)
        write_picture(tmp_path / f"images/{number}.png", noise)
        write_picture(tmp_path / f"masks/{number}.png", layer[..., 0])
    assert not [words for words in check(tmp_path).warnings if "alpha" in words]
    cv2.imwrite(str(tmp_path / "masks/2.png"), layer)
    (words,) = [words for words in check(tmp_path).warnings if "alpha" in words]
    assert words.startswith("1 image whose mask has alpha that is not the same all over, which is left out: what is")
    layer[:3, :3, :3] = 255
    cv2.imwrite(str(tmp_path / "masks/2.png"), layer)
    (words,) = check(tmp_path).problems
    assert "1286 of 1295 have another than the first, 0 and not 255" in words


def test_images_that_are_the_masks_are_said(tmp_path):
    (warning,) = (
        one
        for one in check(write_pairs(tmp_path, (HALF, HALF), (noise(1), HALF), (HALF.T, HALF.T))).warnings
        if "nothing but their masks" in one
    )
    assert warning.startswith(
        "2 images that show nothing but their masks: all pixels of one value in the mask have one"
    )
    assert "/00" in warning and "/02" in warning and "/01" not in warning
