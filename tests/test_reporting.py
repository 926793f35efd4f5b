import re
import shutil

import numpy as np

from unet_tf.labels import VOID
from unet_tf.reporting import INVENTED, MISSED, VOID_GREY, colour, difference, displayable, write_report


def test_the_report_is_one_file_with_curves_panels_and_scores(run):
    page = write_report(run.path).read_text()
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert page.count("data:image/png;base64,") == 3
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
