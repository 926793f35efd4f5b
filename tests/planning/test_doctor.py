import shutil

import cv2
import numpy as np
import pytest

from unet_tf import check
from unet_tf.data.pictures import read_image, write_picture
from unet_tf.data.synthetic import generate_cells
from unet_tf.errors import InputError
from unet_tf.planning import doctor
from unet_tf.planning.inspection import Look, near_copies
from unet_tf.planning.page import class_rows, suggestions, write_overview


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


def test_every_problem_is_listed(data):
    images, masks = data / "train" / "images", data / "train" / "masks"
    write_picture(masks / "cells_000.png", np.full((96, 96), 128, np.uint8))
    (images / "cells_001.png").write_bytes(b"")
    (masks / "cells_002.png").unlink()
    write_picture(images / "cells_003.png", np.zeros((96, 96), np.uint16))
    problems = "\n".join(check(data, masks="binary").problems)
    assert "Masks hold values that no class has: 128 in 9216 pixels of 1 masks (cells_000)" in problems
    assert "cells_001.png is empty" in problems
    assert "1 images without a mask" in problems
    assert "one pixel type; found uint16" in problems


def test_files_that_share_a_problem_share_a_line(tmp_path):
    colours = np.array([(0, 0, 0), (9, 0, 0)], np.uint8)[HALF // 255]
    data = write_pairs(tmp_path, *((noise(n), colours) for n in range(7)))
    findings = check(data, masks="binary")
    assert len(findings.problems) == 1
    assert findings.problems[0].startswith(f"7 files ({data / 'masks' / '00.png'}, ")
    assert findings.problems[0].count("is colour-coded") == 1


def test_values_of_no_class_are_counted_over_all_masks(tmp_path):
    mask = HALF.copy()
    mask[0, :3], mask[1, 0] = 7, 9
    findings = check(write_pairs(tmp_path, (noise(0), mask), (noise(1), HALF), (noise(2), mask)), masks="binary")
    assert "7 in 6 pixels of 2 masks (00, 02); 9 in 2 pixels of 2 masks (00, 02). Say" in findings.problems[0]
    assert findings.problems[0].endswith("the farthest is 9 away: --mask-tolerance 9.")
    assert findings.splits["train"].pairs + findings.splits["val"].pairs == 1


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
        "once the same image in two splits, so that scores flatter the net: train/00 = val/08.",
        "2 times nearly the same image in two splits, so that scores flatter the net: "
        "train/01 = val/09, train/02 = val/10.",
    ]


def test_the_nearest_class_is_not_offered_for_ids(tmp_path):
    findings = check(write_pairs(tmp_path, *[(noise(n), HALF // 100) for n in range(3)]), classes=2, masks="index")
    assert findings.problems[0].endswith("Say what they are (--classes, --void, label_colors.txt).")


def test_frames_that_are_all_alike_are_paired_with_the_first_of_each_split_alone():
    thumbnail = np.full((64, 64), 1 / 64, np.float32)
    other = np.diag(np.full(64, 1 / 8, np.float32))
    looks = [Look(thumbnail=one) for one in (other, *[thumbnail] * 1500, None, other)]
    splits = ["train"] * 1000 + ["val"] * 503
    expected = {(1, n) for n in range(2, 1501)} | {(1000, n) for n in range(1001, 1501)} | {(0, 1502)}
    assert near_copies(looks, splits) == expected


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
        "1 image of one value all over: 02.",
        "1 image with more than 10% of the pixels at the highest value: saturated or clipped: 01.",
        "1 image whose contrast is more than 10 times that of the median image, or less than a 10th: one "
        "normalisation serves all images, so rescale them alike: 03.",
        "1 image whose mask is of one class in more than 99.9% of its pixels: 04.",
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


def test_the_page_stands_alone_and_says_what_the_facts_say(cells, tmp_path):
    findings = check(cells)
    page = write_overview(findings, tmp_path / "out").read_text()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["check.html", "check.json", "overlays.png"]
    assert read_image(tmp_path / "out" / "overlays.png").shape[1] == 1400
    assert page.count("data:image/png;base64,") == 1
    assert "src=" in page
    assert 'src="http' not in page
    for text in ("Nothing stands in the way", "96x96 (4)", "binary: the 8 masks looked at", "balancing weight"):
        assert text in page, text
    assert class_rows(findings)[1][0] == "background"
    assert dict(suggestions(findings))["tile"] == "96 px"


def test_the_facts_are_json(cells):
    facts = check(cells).to_json()
    assert facts["masks"] == "binary"
    assert facts["splits"]["train"]["sizes"] == {"96x96": 4}
    assert facts["problems"] == []


def test_a_folder_of_nothing_and_none_at_all(tmp_path):
    assert "has no pair of image and mask" in check(tmp_path).problems[0]
    with pytest.raises(InputError, match="There is no folder"):
        check(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no setting 'mask'; nearest: masks"):
        check(tmp_path, mask="binary")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        write_overview(check(tmp_path), tmp_path / "file")
