import math

import numpy as np
from made_pages import discs, evaluation, run_folder
from PIL import Image

from unet_tf.evaluation.cases import cases_of, progress_of
from unet_tf.evaluation.panels import Gallery, write_panels
from unet_tf.evaluation.report import write_report


def test_cases_are_named_by_their_places_the_best_first(tmp_path):
    gallery = Gallery(("background", "cell"))
    for n in range(6):
        gallery.add(f"{n}", n / 10, *discs(n))
    cases = gallery.ranked(11)
    cases.insert(-1, cases[0]._replace(title="m", rank=6))
    write_panels(tmp_path / "panels", cases)
    found = cases_of(tmp_path / "panels")
    assert [(one["place"], one["title"]) for one in found] == [
        ("Best", "5"),
        ("Median", "m"),
        ("Worst", "0"),
        ("Second worst", "1"),
        ("Third worst", "2"),
        ("Fourth worst", "3"),
    ]
    assert [name for name, *_ in found[0]["counts"]] == ["missed", "invented", "merged"]
    assert [layer["exact"] for layer in found[0]["layers"]] == [False, True, True, True]


def test_pictures_that_no_run_draws_are_left_out_and_said(tmp_path, caplog):
    run_folder(tmp_path, evaluation())
    Image.new("RGB", (40, 10)).save(tmp_path / "panels" / "9.png")
    Image.new("RGB", (40, 10)).save(tmp_path / "progress" / "epoch_00004.png")
    assert len(cases_of(tmp_path / "panels")) == 5
    assert "9.png is left out of the page: it is no picture of layers that can be read" in caplog.text
    assert [words for _, words in progress_of(tmp_path / "progress")] == ["after epoch 1", "after epoch 2", "truth"]


def test_a_prediction_without_a_mistake_has_no_legend_and_one_without_a_score_no_value(tmp_path):
    image, label, _ = discs(0, 24)
    gallery = Gallery(("background", "cell"))
    gallery.add("a", 1.0, image, label, label)
    write_panels(tmp_path / "panels", [gallery.ranked(1)[0]._replace(value=math.nan)])
    (one,) = cases_of(tmp_path / "panels")
    assert (one["place"], one["counts"], one["value"]) == ("The only image", [], "")


def test_a_case_says_whether_void_is_drawn_and_the_legend_names_it(tmp_path):
    folder = run_folder(tmp_path / "run", evaluation())
    assert "<bdi>void</bdi>" not in write_report(folder).read_text()
    image, label, prediction = discs(0, 24)
    for void in (0, 1):
        label[: 2 * void] = 255
        gallery = Gallery(("background", "cell"))
        gallery.add("a", 0.5, image, label, prediction)
        write_panels(folder / "panels", gallery.ranked(1))
        (one,) = cases_of(folder / "panels")
        assert one["void"] == bool(void)
        assert ("<bdi>void</bdi>" in write_report(folder).read_text()) == bool(void)
    (folder / "config.toml").unlink()  # scores alone
    assert "<bdi>void</bdi>" in write_report(folder).read_text()


def test_which_channels_are_drawn_is_said(tmp_path):
    image, label, prediction = discs(0, 24)
    gallery = Gallery(("background", "cell"))
    gallery.add("a", 0.5, np.repeat(image, 5, axis=2), label, prediction)
    write_panels(tmp_path / "panels", gallery.ranked(1))
    (one,) = cases_of(tmp_path / "panels")
    assert one["title"] == "a (channels 0, 1, 2 of 5 as red, green, blue)"


def test_folders_that_are_not_there_hold_nothing(tmp_path):
    assert cases_of(tmp_path / "none") == []
    assert progress_of(tmp_path / "none") == []
