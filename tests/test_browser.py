"""Pages in headless Chromium: what a person with a browser, a phone, a keyboard or a screen reader gets."""

from itertools import pairwise

import numpy as np
import pytest
from made_pages import NAMES, discs, evaluation, later, run_folder

from unet_tf.data.masks import MaskFormat
from unet_tf.evaluation.comparison_page import BothCase, write_comparison
from unet_tf.evaluation.crossval_page import write_crossval_page
from unet_tf.evaluation.report import write_report
from unet_tf.planning.doctor import check
from unet_tf.planning.page import write_overview

browsing = pytest.importorskip("browsing", reason="playwright and axe are not installed: pip install 'unet-tf[test]'")
DESK, PHONE, opened, overflow, serious = (
    getattr(browsing, name) for name in ("DESK", "PHONE", "opened", "overflow", "serious")
)
STREET = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")


def crossval_result():
    stored = evaluation()
    runs = {f"fold{n}": {"IoU background": 0.9, "IoU cell": 0.7 + n / 50, "mean_iou": 0.8 + n / 100} for n in (1, 2, 3)}
    mean = dict.fromkeys(runs["fold1"], 0.8)
    together = stored | later(stored) | {"files": "6 files, each by the net that had not seen it"}
    return {
        "out_of_fold": together, "runs": runs, "mean": mean, "spread": mean, "pooled": mean,
        "classes": stored["classes"], "confusion": stored["confusion"],
    }  # fmt: skip


def comparison():
    scores = [(f"image {n}", n / 20, (n + 1) / 21) for n in range(20)] + [("void", None, None)]
    return {
        "verdict": "B is better: mean IoU +0.030, on 17 of 20 images.", "files": "20 files of cells/test",
        "classes": ["background", "cell"], "command": "unet-tf compare runs/one runs/two cells",
        "differences": {
            "mean IoU": {"a": 0.81, "b": 0.84, "difference": 0.03, "interval": [0.01, 0.05], "images": 20, "p": 0.0004},
            "IoU 细胞": {"a": 0.7, "b": 0.7, "difference": 0.0, "interval": None, "images": 1, "p": 1.0},
        },
        "images": [{"name": name, "a": {"mean IoU": a}, "b": {"mean IoU": b}} for name, a, b in scores],
    }  # fmt: skip


@pytest.fixture(scope="module")
def pages(tmp_path_factory, cells):
    folder = tmp_path_factory.mktemp("pages")
    stored = evaluation()
    many = np.random.default_rng(0).integers(1, 999, (11, 11)) + np.eye(11, dtype=int) * 9000
    rows = [("", "mean"), ("mean IoU", "0.8")]
    return {
        "run": write_report(run_folder(folder / "run", stored | later(stored))),
        "early": write_report(run_folder(folder / "early", evaluation(STREET, many))),
        "begun": write_report(run_folder(folder / "begun")),
        "check": write_overview(check(cells), folder / "check"),
        "crossval": write_crossval_page(folder, ["fold1", "fold2", "fold3"], crossval_result(), rows),
        "comparison": write_comparison(
            folder,
            comparison(),
            ("runs/one", "runs/<two>"),
            ["Both learnt from the same images."],
            [BothCase(NAMES[0], *discs(0), discs(1)[1], 0.6, 0.8)],
            MaskFormat("binary", 2),
        ),
    }


@pytest.mark.parametrize("name", ["run", "early", "begun", "check", "crossval", "comparison"])
def test_a_page_keeps_what_every_page_keeps(browser, pages, name):
    with opened(browser, pages[name], PHONE) as page:
        assert overflow(page) == 0
        for details in page.query_selector_all("summary"):
            details.click()
        assert overflow(page) == 0
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert serious(page) == []
        page.set_viewport_size({"width": DESK, "height": 900})
        assert overflow(page) == 0
        assert serious(page) == []
        headings = page.eval_on_selector_all("h1, h2, h3", "all => all.map(one => Number(one.tagName[1]))")
        assert headings[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(headings))
        targets = page.eval_on_selector_all("nav a", "all => all.map(one => one.getAttribute('href').slice(1))")
        assert [page.query_selector(f"#{target}") is not None for target in targets] == [True] * len(targets)


def test_a_table_is_a_stop_for_the_keyboard_where_it_scrolls_alone(browser, pages):
    with opened(browser, pages["early"], PHONE) as page:
        page.wait_for_selector(".scroll[tabindex='-1']", state="attached")
        pairs = "[one.tabIndex === 0, one.scrollWidth > one.clientWidth]"
        found = page.eval_on_selector_all(
            ".scroll", f"all => all.filter(one => one.checkVisibility()).map(one => {pairs})"
        )
        assert [stop for stop, _ in found] == [scrolls for _, scrolls in found]
        assert {True, False} == {stop for stop, _ in found}


def opacities(case):
    return case.eval_on_selector_all(".layers figure", "all => all.map(one => Number(one.style.opacity))")


def test_a_slider_goes_through_the_layers_by_keyboard_and_by_name(browser, pages):
    with opened(browser, pages["run"]) as page:
        case = page.query_selector(".case")
        slider = case.query_selector("input[type=range]")
        slider.focus()
        assert (slider.get_attribute("aria-valuetext"), opacities(case)) == ("error", [0, 0, 0, 1])
        page.keyboard.press("ArrowLeft")
        assert opacities(case) == [0, 0, 1, 0.75]
        assert slider.get_attribute("aria-valuetext") == "truth under error"
        for _ in range(3):
            page.keyboard.press("ArrowLeft")
        assert (slider.get_attribute("aria-valuetext"), opacities(case)) == ("truth", [0, 0, 1, 0])
        page.keyboard.press("Home")
        page.keyboard.press("PageUp")
        assert slider.get_attribute("aria-valuetext") == "prediction"
        page.keyboard.press("Tab")  # to the first of the names
        page.keyboard.press("Enter")
        assert (slider.get_attribute("aria-valuetext"), opacities(case)) == ("image", [1, 0, 0, 0])
        hidden = case.eval_on_selector_all(".layers figure", "all => all.map(one => one.getAttribute('aria-hidden'))")
        assert hidden == ["false", "true", "true", "true"]


def boxes(case):
    return [figure.bounding_box() for figure in case.query_selector_all(".layers figure")]


@pytest.mark.parametrize(("script", "media"), [(False, "screen"), (True, "print")])
def test_without_script_and_on_paper_all_layers_lie_side_by_side(browser, pages, script, media):
    with opened(browser, pages["run"], java_script_enabled=script) as page:
        page.emulate_media(media=media)
        case = page.query_selector(".case")
        places = {(box["x"], box["y"]) for box in boxes(case)}
        assert len(places) == 4
        assert not page.is_visible(".slider")
        assert page.is_visible(".layers figcaption >> text=truth")


def test_names_in_any_script_are_shown_and_are_no_markup(browser, pages):
    with opened(browser, pages["run"]) as page:
        for details in page.query_selector_all("summary"):
            details.click()
        text = page.inner_text("main")
        assert [name for name in NAMES if name.encode("utf-8", "backslashreplace").decode() not in text] == []
        assert page.query_selector("main b") is None


def test_a_page_of_a_thousand_large_noisy_images_stays_small(browser, tmp_path):
    stored = evaluation(images=1000)
    path = write_report(run_folder(tmp_path / "run", stored | later(stored), side=640, images=1000))
    assert path.stat().st_size < 5_000_000
    with opened(browser, path, PHONE) as page:
        assert overflow(page) == 0
        assert page.locator(".case").count() == 6
