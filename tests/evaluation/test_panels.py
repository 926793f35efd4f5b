import math
from types import SimpleNamespace

import numpy as np
import pytest
from made_pages import NAMES, discs

from unet_tf.evaluation.mistakes import KINDS
from unet_tf.evaluation.panels import (
    DRAWN,
    LAYERS,
    WORST,
    Case,
    Gallery,
    heat,
    write_panel,
    write_panels,
    write_weights,
)
from unet_tf.evaluation.strips import read_strip


@pytest.mark.parametrize("title", [*NAMES, "$\\x"])
def test_any_title_is_kept(tmp_path, title):
    image, label = np.zeros((8, 8, 1), np.uint8), np.zeros((8, 8), np.uint8)
    write_panel(tmp_path / "panel.png", title, image, label, label, ("a", "b"), None)
    strip = read_strip(tmp_path / "panel.png")
    assert (tuple(strip.layers), strip.words["title"]) == (LAYERS, title)


def test_the_worst_and_the_best_are_kept_in_any_order():
    for order in ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], [0.7, 0.1, 0.6, 0.2, 0.5, 0.3, 0.4]):
        gallery = Gallery(("background", "cell"))
        for value in order:
            gallery.add(f"{value}", value, *discs(0, 24))
        cases = gallery.ranked(7)
        assert [(case.title, case.rank, case.among) for case in cases] == [
            ("0.1", 1, 7), ("0.2", 2, 7), ("0.3", 3, 7), ("0.4", 4, 7), ("0.7", 7, 7),
        ]  # fmt: skip
    assert len(cases) == WORST + 1


def test_a_gallery_of_nothing_has_no_places():
    assert Gallery(("background", "cell")).ranked(0) == []


def test_a_case_is_small_and_counts_every_pixel(tmp_path):
    image, label, prediction = discs(0, 2 * DRAWN + 2)
    case = Case.of("large", math.nan, image, label, prediction, background=True)
    assert case.image.shape == (428, 428, 1)
    assert case.counts.sum() == label.size
    assert case.counts[0] == (label == prediction).sum()
    write_panels(tmp_path / "panels", [case])
    words = read_strip(tmp_path / "panels" / "0.png").words
    assert (words["mean_iou"], sum(words["counts"].values())) == (None, label.size)
    assert tuple(words["counts"]) == ("right", *KINDS)


def test_weights_are_drawn_against_the_largest_of_the_whole_map(tmp_path, monkeypatch):
    weight = np.ones((2 * DRAWN + 2, 9))
    weight[1, 1] = 11  # where a small picture has no pixel
    sample = SimpleNamespace(image=np.zeros((*weight.shape, 1), np.uint8), label=np.zeros(weight.shape, np.uint8))
    sample.border, sample.name, sample.nodata = None, "a", ()

    class Samples(list):
        def weight(self, label, border):
            return weight

    write_weights(tmp_path / "weights.png", Samples([sample]), None)
    strip = read_strip(tmp_path / "weights.png")
    assert strip.words["most"] == 11
    np.testing.assert_array_equal(strip.layers["weight"][0, 0], heat(np.ones((1, 1)), 11.0)[0, 0])


def test_weights_of_one_value_and_of_nothing_are_drawn():
    assert heat(np.zeros((3, 4)), 0.0).shape == (3, 4, 3)
    assert (heat(np.full((2, 2), 7.0), 14.0) == heat(np.full((2, 2), 0.5), 1.0)).all()
