import json
import re
import shutil

import numpy as np
import pytest

from unet_tf.data.drawing import INVENTED, MISSED, VOID_GREY, colour, difference, displayable
from unet_tf.errors import InputError
from unet_tf.evaluation.panels import Case, write_panels
from unet_tf.evaluation.report import write_report
from unet_tf.labels import VOID
from unet_tf.run import Run


@pytest.fixture
def folder(run, tmp_path):
    return shutil.copytree(run.path, tmp_path / "run")


def test_the_report_is_one_file_with_curves_panels_and_scores(folder):
    for panel in (folder / "panels").iterdir():
        panel.rename(folder / "panels" / "0.png")
    page = write_report(folder).read_text()
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert page.count("data:image/png;base64,") == 4  # one panel, the curves, two epochs
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
    stored["mean_soft_dice"] = stored["iou"]["background"] = None
    (folder / "evaluation.json").write_text(json.dumps(stored))
    page = write_report(folder).read_text()
    assert "Mean soft Dice of the U-Net: none." in page
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
    assert "loss and mean IoU by epoch" in write_report(folder).read_text()


def test_dollar_signs_are_no_formulas(folder, tmp_path):
    label = np.zeros((9, 9), np.uint8)
    write_panels(tmp_path / "p", [Case("$\\x", 1.0, label[..., None], label, label)], ("a$", "b$"))
    assert [p.name for p in (tmp_path / "p").iterdir()] == ["0.png"]


def test_every_class_but_the_background_has_a_colour():
    picture = colour(np.arange(20, dtype=np.uint8)[None])[0]
    assert not picture[0].any()
    assert picture[1:].any(axis=1).all()


def test_wrong_pixels_are_coloured_and_void_is_not():
    label = np.array([[0, 0, 1, 1, VOID]], np.uint8)
    prediction = np.array([[0, 1, 0, 1, 1]], np.uint8)
    picture = difference(np.zeros((1, 5, 1), np.uint8), label, prediction)
    assert [tuple(p) for p in picture[0]] == [(64,) * 3, INVENTED, MISSED, (64,) * 3, (64,) * 3]
    assert tuple(colour(label)[0, 4]) == VOID_GREY


def test_any_pixel_range_is_stretched_to_8_bit():
    image = np.linspace(0, 60000, 1000).astype(np.uint16).reshape(10, 100, 1)
    shown = displayable(image)
    assert (shown.shape, shown.dtype, shown.min(), shown.max()) == ((10, 100, 3), np.uint8, 0, 255)
    assert displayable(np.full((4, 4, 3), 7, np.uint8)).shape == (4, 4, 3)
