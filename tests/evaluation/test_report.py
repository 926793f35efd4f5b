import json
import re
import shutil

import numpy as np
import pytest

from unet_tf.data.drawing import VOID_GREY, colour, displayable, legend
from unet_tf.errors import InputError
from unet_tf.evaluation.report import write_report
from unet_tf.labels import VOID
from unet_tf.run import Run


@pytest.fixture
def folder(run, tmp_path):
    return shutil.copytree(run.path, tmp_path / "run")


def test_the_report_is_one_file_with_curves_panels_and_scores(folder):
    page = write_report(folder).read_text()
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    # two cases of four layers, two epochs and their truth, four tiles and their labels
    assert page.count("data:image/webp;base64,") == 2 * 4 + 2 + 1 + 8
    for text in ("U-Net", "majority class", "Otsu threshold", "IoU background", "base_filters", "mean IoU"):
        assert text in page, text


def test_a_run_without_history_still_has_a_report(run, tmp_path):
    shutil.copy(run.path / "config.toml", tmp_path)
    assert "No epoch is complete" in write_report(tmp_path).read_text()


def test_names_cannot_break_the_page(run, tmp_path):
    folder = tmp_path / "<b>&"
    folder.mkdir()
    shutil.copy(run.path / "config.toml", folder)
    assert "&lt;b&gt;&amp;" in write_report(folder).read_text()


def test_scores_that_do_not_exist_are_said_to_be_none(folder):
    stored = json.loads((folder / "evaluation.json").read_text())
    stored["mean_iou"] = stored["iou"]["background"] = None
    (folder / "evaluation.json").write_text(json.dumps(stored))
    page = write_report(folder).read_text()
    assert "<td>none</td>" in page


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("evaluation.json", "{}"),
        ("evaluation.json", "[" * 100_000),
        ("evaluation.json", '{"files": "a"'),
        ("history.csv", "epoch,loss\n0,1\n"),
        ("history.csv", "epoch,loss,mean_iou,val_loss,val_mean_iou,seconds\nnan,1,1,1,1,1\n"),
        ("config.toml", "train = 3"),
    ],
)
def test_a_damaged_file_of_a_run_is_named(folder, name, content):
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=rf"{re.escape(str(folder / name))} is damaged"):
        write_report(folder)


def test_a_run_that_was_killed_before_its_last_row_still_has_a_page(folder):
    history = (folder / "history.csv").read_text().splitlines()
    (folder / "history.csv").write_text("\n".join(history[:-1]))
    assert f"after epoch {Run(folder).best_row['epoch'] + 1}" in write_report(folder).read_text()


def test_a_loss_that_is_not_finite_still_gives_a_page(folder):
    lines = (folder / "history.csv").read_text().splitlines()
    loss = lines[1].split(",")[lines[0].split(",").index("val_loss")]
    (folder / "history.csv").write_text("\n".join(lines).replace(loss, "nan"))
    assert "loss by epoch, 1 to 3" in write_report(folder).read_text()


def test_every_class_but_the_background_has_a_colour():
    picture = colour(np.arange(20, dtype=np.uint8)[None])[0]
    assert not picture[0].any()
    assert picture[1:].any(axis=1).all()


def test_void_is_grey():
    assert tuple(colour(np.array([[VOID]], np.uint8))[0, 0]) == VOID_GREY


def test_a_legend_of_very_many_classes_says_how_many_more_there_are():
    named = legend([f"class{n}" for n in range(30)], None, void=True)
    assert [named[0], named[1][0], *named[-2:]] == [
        ("class0", (0, 0, 0)), "class1", ("void", VOID_GREY), ("and 6 more", VOID_GREY),
    ]  # fmt: skip


def test_any_pixel_range_is_stretched_to_8_bit():
    image = np.linspace(0, 60000, 1000).astype(np.uint16).reshape(10, 100, 1)
    shown = displayable(image)
    assert (shown.shape, shown.dtype, shown.min(), shown.max()) == ((10, 100, 3), np.uint8, 0, 255)
    assert displayable(np.full((4, 4, 3), 7, np.uint8)).shape == (4, 4, 3)
