import numpy as np
import pytest
from made_pages import discs

from unet_tf.evaluation.comparison_page import BothCase, write_comparison

ROW = {"a": 0.8, "b": 0.83, "difference": 0.03, "interval": [-0.01, 0.07], "images": 9, "p": 0.0}
TABLE = {
    "verdict": "B is better.", "files": "", "differences": {"mean IoU": ROW}, "images": [],
    "classes": ["background", "cell"], "command": "",
}  # fmt: skip


def written(tmp_path, cases=(), **more):
    return write_comparison(tmp_path, TABLE | more, ("one", "<two>"), cases=cases).read_text(encoding="utf-8")


def images(*scores):
    return [{"name": name, "a": {"mean IoU": a}, "b": {"mean IoU": b}} for name, a, b in scores]


def test_a_comparison_without_points_and_pictures_is_a_page(tmp_path):
    page = written(tmp_path)
    for text in (
        "B is better.",
        "&lt;two&gt;",
        '+0.030<small class="ends">-0.010 to +0.070<',
        "-0.010 to +0.070",
        "&lt;0.001",
        ">-0.1<",
        ">+0.1<",
    ):
        assert text in page, text
    assert [one for one in ("images", "cases", "again") if f'id="{one}"' in page] == []


@pytest.mark.parametrize("difference", [0.0, 1.0, -1.0, 1e-9])
@pytest.mark.parametrize("ends", [2, 0])
def test_any_difference_fits_its_axis(tmp_path, difference, ends):
    row = ROW | {"difference": difference, "interval": [difference] * ends or None}
    assert ">mean IoU<" in written(tmp_path, differences={"mean IoU": row})


def test_a_score_that_no_image_has_is_no_row(tmp_path):
    row = ROW | {"a": None, "b": None, "difference": None, "interval": None, "images": 0}
    page = written(tmp_path, differences={"mean IoU": row})
    assert ">mean IoU<" not in page
    assert "nan" not in page


def test_images_are_dots_and_those_without_a_score_are_left_out(tmp_path):
    page = written(tmp_path, images=images(("a", 0.2, 0.4), ("b", 0.5, 0.5), ("c", 0.9, 0.1), ("void", None, 0.3)))
    assert page.count("<circle") == 3
    assert "mean IoU is higher with B on 1 of 3 images, with A on 1." in page
    assert page.index(">c</th>") < page.index(">b</th>") < page.index(">a</th>")


def test_no_difference_has_no_sign(tmp_path):
    label = np.zeros((4, 4), np.uint8)
    cases = [BothCase("c", label[..., None], label, label, label, 0.5, 0.49999)]
    rows = {"mean IoU": ROW | {"difference": -0.0001, "interval": [-0.0002, 0.0]}}
    page = written(tmp_path, cases, images=images(("a", 0.5, 0.5), ("b", 0.5, 0.49999)), differences=rows)
    assert '0.000<small class="ends">0.000 to 0.000<' in page
    assert "+0.000" not in page
    assert "-0.000" not in page


def test_very_many_images_are_bounded(tmp_path):
    page = written(tmp_path, images=images(*((f"image {n}", n / 1e5, 0.5) for n in range(100_000))))
    assert page.count("<circle") <= 1000
    assert "a dot for one in 100 of 100,000 images" in page.replace("\N{NO-BREAK SPACE}", " ")
    assert "99,500 more are not shown" in page
    assert all(f">image {n}</th>" in page for n in (0, 249, 99_750, 99_999))  # where B is better, and where A is
    assert ">image 250</th>" not in page
    assert len(page) < 400_000


def test_who_is_right_is_counted_by_hand(tmp_path):
    label = np.zeros((10, 10), np.uint8)
    a, b = label.copy(), label.copy()
    a[:2], b[1:4] = 1, 1  # rows: A wrong, both wrong, B wrong twice
    case = BothCase("细胞", label[..., None], label, a, b, 0.1, None)
    page = written(tmp_path, cases=[case]).replace("\N{NO-BREAK SPACE}", " ")
    for text in (
        "A 0.100, B none",
        "细胞",
        "A alone is right</bdi> 20 %",
        "B alone is right</bdi> 10 %",
        "both are wrong</bdi> 10 %",
    ):
        assert text in page, text


def test_void_is_nobody_s_mistake(tmp_path):
    image, label, prediction = discs(0, 24)
    void = np.full_like(label, 255)
    page = written(tmp_path, cases=[BothCase("v", image, void, prediction, label)])
    assert "is right</bdi>" not in page
    assert ">void<" in page
    assert ">void<" not in written(tmp_path, cases=[BothCase("v", image, label, prediction, label)])
    page = written(tmp_path, cases=[BothCase("v", image, label, void, void)])  # what an annotator left open
    assert "are wrong</bdi>" not in page
