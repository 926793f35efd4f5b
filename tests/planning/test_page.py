"""The page of a check."""

import json
import os
import shutil

import cv2
import numpy as np
import pytest

from unet_tf import check
from unet_tf.data.pictures import read_image, write_picture
from unet_tf.errors import InputError
from unet_tf.planning.findings import class_rows, verdict
from unet_tf.planning.page import COLUMNS, GAP, contact_sheet, suggestions, write_overview

HALF = np.tile(np.uint8([0, 255]), (40, 20))


def test_the_page_stands_alone_and_says_what_the_facts_say(cells, tmp_path):
    findings = check(cells)
    page = write_overview(findings, tmp_path / "out").read_text()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["check.html", "check.json", "overlays.png"]
    assert read_image(tmp_path / "out" / "overlays.png").shape == (2 * (256 + GAP), COLUMNS * (256 + GAP), 3)
    assert page.count("data:image/webp;base64,") == page.count("src=") == 8
    for text in ("Nothing stands in the way", "96x96 (4)", "binary: the 8 masks looked at", "balancing weight"):
        assert text in page, text
    assert class_rows(findings)[1][0] == "background"
    assert dict(suggestions(findings))["tile"] == "96 px"


def write(folder, *numbers, mask=HALF):
    for n in numbers:
        image = np.random.default_rng(n).integers(0, 200, (40, 40), dtype=np.uint8)
        write_picture(folder / "images" / f"{n}.png", image)
        write_picture(folder / "masks" / f"{n}.png", mask)
    return folder


def test_the_page_goes_into_a_folder_of_its_own(tmp_path):
    data = write(tmp_path / "data", *range(4))
    findings = check(data)
    (tmp_path / "other").mkdir()
    for out in (data / "page", tmp_path / "other", tmp_path / "other"):  # a new one, an empty one, that of a check
        write_overview(findings, out)
    shutil.copy(tmp_path / "other" / "check.json", data)
    (tmp_path / "other" / "check.json").unlink()
    before = sorted(tmp_path.rglob("*"))
    for out, names in (
        (data, "check.json, images, masks and 1 more"),
        (data / "images", "0.png, 1.png, 2.png and 1 more"),
        (tmp_path / "other", "check.html, overlays.png"),
    ):
        with pytest.raises(InputError, match=f"of its own; {out} holds {names}. Choose another --out"):
            write_overview(findings, out)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_page_names_files_and_folders_that_are_not_used(tmp_path):
    data = write(tmp_path / "data", *range(5))
    (data / "images" / "a.heic").write_bytes(b"x")
    write(data / "sketches", 7)
    findings = check(data)
    assert findings.notes
    page = write_overview(findings, tmp_path / "out").read_text()
    assert "a.heic" in page
    assert "sketches" in page
    assert json.loads((tmp_path / "out" / "check.json").read_text())["notes"] == findings.notes


def test_the_page_says_what_validation_lacks_and_how_much_is_void(tmp_path):
    ids = np.tile(np.uint8([0, 1, 2, 255]), (40, 10))
    write(tmp_path / "data" / "train", 0, 1, mask=ids)
    write(tmp_path / "data" / "val", 2, 3, mask=np.where(ids == 2, np.uint8(0), ids))
    findings = check(tmp_path / "data", masks="index", classes="sky,road,car")
    page = write_overview(findings, tmp_path / "out").read_text()
    assert "No validation pixel is of car" in page
    assert class_rows(findings)[-2:] == [("car", "33.33%", "0.00%", "1"), ("(void)", "25.00%", "25.00%", "0")]


def test_names_of_overlays_are_whole_and_tell_splits_apart(tmp_path):
    for split in ("train", "val"):
        write(tmp_path / split, 1, 2)
        (tmp_path / split / "images" / "1.png").rename(tmp_path / split / "images" / f"{'a' * 40}细胞1.png")
        (tmp_path / split / "masks" / "1.png").rename(tmp_path / split / "masks" / f"{'a' * 40}细胞1.png")
    page = write_overview(check(tmp_path), tmp_path / "out").read_text(encoding="utf-8")
    for split in ("train", "val"):
        assert f"<bdi>{split}/{'a' * 40}细胞1</bdi>" in page


def test_a_contact_sheet_holds_pictures_of_any_sizes():
    pictures = [np.full((height, 3, 3), height, np.uint8) for height in range(1, COLUMNS + 2)]
    sheet = contact_sheet(pictures)
    assert sheet.shape == (2 * (7 + GAP), COLUMNS * (3 + GAP), 3)
    assert (sheet[7 + GAP : 14 + GAP, :3] == 7).all()
    assert contact_sheet(pictures[:1]).shape == (1 + GAP, 3 + GAP, 3)


def test_the_verdict_is_honest(cells, tmp_path):
    findings = check(cells)
    assert findings.notes  # of instances/
    assert verdict(findings) == "Nothing stands in the way of training on these 8 pairs, and 1 thing is worth a look."
    findings.notes.clear()
    assert verdict(findings).endswith("on these 8 pairs.")
    findings.problems.append("one")
    assert verdict(findings) == "Training would fail: 1 problem to mend first."
    page = write_overview(findings, tmp_path).read_text()
    assert 'id="problems"' in page
    assert 'id="notes"' not in page


def test_soft_edges_that_become_void_are_drawn(tmp_path):
    mask = np.zeros((40, 40, 3), np.uint8)
    mask[20, 10:30] = 180
    mask[:2], mask[38:, :9] = 255, 128
    data = write(tmp_path / "data", *range(4), mask=mask)
    (data / "label_colors.txt").write_text("0 0 0 background\n255 255 255 cell\n128 128 128 debris\n")
    findings = check(data, mask_tolerance=130)
    assert findings.problems == []
    assert sum(facts.void for facts in findings.splits.values()) == 4 * 20
    write_overview(findings, tmp_path / "out")


def test_colours_that_nothing_names_are_shown_with_a_remedy(tmp_path):
    mask = np.zeros((40, 40, 3), np.uint8)
    mask[:, 20:] = 230, 159, 0
    findings = check(write(tmp_path / "data", *range(4), mask=mask))
    page = write_overview(findings, tmp_path / "out").read_text(encoding="utf-8")
    swatch = '<span class="swatch" style="background: rgb(230, 159, 0)"></span><span><bdi>colour (230, 159, 0), unnamed'
    assert swatch in page and "<code>label_colors.txt</code> beside this page" in page
    assert "230 159 0 class1" not in page
    assert (tmp_path / "out" / "label_colors.txt").read_text() == "0 0 0 class0\n230 159 0 class1\n"
    assert suggestions(findings)[-1][1] == "0 0 0 class0; 230 159 0 class1"


def test_colours_that_were_given_names_stay_so(tmp_path):
    mask = np.zeros((40, 40, 3), np.uint8)
    mask[:, 20:] = 230, 159, 0
    data, file = write(tmp_path / "data", *range(4), mask=mask), tmp_path / "out" / "label_colors.txt"
    write_overview(check(data), tmp_path / "out")
    first = file.read_text()
    for text, wanted in (
        ("7 7 7 class0\n0 0 0 class1\n", first),
        (first.replace("class0", "soil"), None),
        (first.replace("class0", "soil") + "0 0 255 rare\n", None),
        ("half 1\n", None),
    ):
        file.write_text(text)
        write_overview(check(data), tmp_path / "out")
        assert file.read_text() == (wanted or text)


def test_what_an_earlier_check_found_does_not_lie_beside_what_this_one_did_not_find(tmp_path):
    colours, sizes, out = (tmp_path / name for name in ("colours", "sizes", "out"))
    mask = np.zeros((40, 40, 3), np.uint8)
    mask[:, 20:] = 230, 159, 0
    write_overview(check(write(colours, *range(4), mask=mask)), out)
    everything = ["check.html", "check.json", "label_colors.txt", "overlays.png"]
    assert sorted(path.name for path in out.iterdir()) == everything
    found = check(write(sizes, *range(4), mask=HALF[:20]))  # no pair can be used
    write_overview(found, out)
    assert sorted(path.name for path in out.iterdir()) == ["check.html", "check.json"]
    (out / "label_colors.txt").write_text("0 0 0 soil\n")
    write_overview(found, out)
    assert (out / "label_colors.txt").read_text() == "0 0 0 soil\n"  # which a person has named


def test_names_that_are_no_utf_8_are_shown_as_escapes(tmp_path):
    data = write(tmp_path / "data", *range(4))
    for role in ("images", "masks"):
        (data / role / "1.png").rename(data / role / os.fsdecode(b"pr\xe9l.png"))
    write_picture(data / "images" / "0.png", cv2.imread(str(data / "images" / "2.png"), 0))
    findings = check(data)
    page = write_overview(findings, tmp_path / "out").read_text(encoding="utf-8")
    assert page.endswith("</html>\n")
    assert json.loads((tmp_path / "out" / "check.json").read_text())["splits"]
