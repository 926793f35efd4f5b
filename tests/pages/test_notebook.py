import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from browsing import overflow
from made_pages import NAMES

from unet_tf import Run
from unet_tf.data.folder import Pair
from unet_tf.evaluation.result import Evaluation, Judged
from unet_tf.pages.charts import Line, chart
from unet_tf.pages.notebook import PICTURES, SIDE, Table, show_object
from unet_tf.planning.findings import Findings, SplitFacts

SAVED = Path(__file__).parents[1] / "saved" / "run_0_1"
INKS = "[...new Set([...document.querySelectorAll('p,th,td')].map(one => getComputedStyle(one).color))]"
MARKUP = "<script>alert(1)</script>"


def findings(**more):
    facts = SplitFacts(3, class_pixels=np.array([30, 10]))
    facts.sizes[(96, 96)] = facts.kinds["uint8 grey"] = 3
    return Findings(Path("cells"), classes=("background", MARKUP), splits={"train": facts}, **more)


def test_what_is_data_is_never_markup_and_there_is_no_script():
    found = [show_object(MARKUP, name, MARKUP, [Table([(MARKUP, MARKUP)], (MARKUP,))], [MARKUP]) for name in NAMES]
    found.append(findings(problems=[MARKUP], overlays=[(MARKUP, np.zeros((9, 9, 3), np.uint8))])._repr_html_())
    for html in found:
        assert "<script" not in html
        assert "<b>bold" not in html
        html.encode("utf-8")
    assert "caf\\udce9" in found[NAMES.index("caf\udce9")]


def test_pictures_are_few_and_small():
    pictures = [(str(n), np.zeros((1000, 10 + n, 3), np.uint8)) for n in range(9)]
    sizes = re.findall(r'width="(\d+)" height="(\d+)"', show_object("a", "b", "c", pictures=pictures))
    assert len(sizes) == PICTURES
    assert all(int(height) <= SIDE for _, height in sizes)


def test_empty_tables_are_left_out_and_shares_are_bars():
    html = show_object("a", "b", "c", [Table([]), Table([("x", 0.25)], folded="more")])
    assert html.count("<table") == 1
    assert "width: 25.0%" in html
    assert "<summary>more</summary>" in html


def test_a_run_says_its_net_its_scores_and_its_epochs():
    html = Run(SAVED)._repr_html_()
    assert "depth 1 with 2 base filters" in html
    assert "2, of which the net of epoch" in html
    assert html.count('class="chart"') == 2


def test_a_run_was_judged_on_files_of_a_folder_whose_place_is_not_told(tmp_path):
    run = Run(shutil.copytree(SAVED, tmp_path / "run"))
    run.data = Path("/somewhere/private/cells")
    (run.path / Run.EVALUATION).write_text(json.dumps({"mean_iou": 0.9, "files": f"6 files of {run.data}/test"}))
    assert "Mean IoU 0.900 on 6 files of cells/test." in run._repr_html_()
    (run.path / Run.EVALUATION).write_text(json.dumps({"mean_iou": None, "files": "6 files"}))
    assert "Mean IoU none on 6 files." in run._repr_html_()


def test_a_run_without_an_epoch_and_one_that_is_damaged_are_shown_too(tmp_path):
    folder = shutil.copytree(SAVED, tmp_path / "run")
    (folder / Run.HISTORY).unlink()
    assert "It has no epoch yet." in Run(folder)._repr_html_()
    (folder / Run.FILES).write_text("nonsense")
    assert "files.csv is damaged" in Run(folder)._repr_html_()
    folder = shutil.copytree(SAVED, tmp_path / "other")
    (folder / Run.EVALUATION).write_text("[")
    assert "evaluation.json is damaged" in Run(folder)._repr_html_()
    (folder / Run.BEST).write_bytes(b"")
    assert "best.keras does not say" in Run(folder)._repr_html_()


def test_a_plan_says_why():
    plan = Run(SAVED).plan
    html = plan._repr_html_()
    assert "the rarest class, foreground, has 36.28% of the pixels" in html
    assert f"{len(vars(plan)) - 1 - len(plan.reasons)} more settings" in html


def test_findings_say_whether_one_can_train():
    assert "Nothing stands in the way" in findings()._repr_html_()
    assert "75.00%" in findings()._repr_html_()
    assert "Training would fail: 1 problem" in Findings(Path("x"), problems=["no pair"])._repr_html_()


def test_very_many_classes_are_folded():
    facts = SplitFacts(1, class_pixels=np.ones(254, np.int64))
    found = Findings(Path("cells"), classes=tuple(map(str, range(254))), splits={"train": facts})
    assert "<summary>254 classes</summary>" in found._repr_html_()
    assert "<details>" not in findings()._repr_html_()
    judged = [Judged(Pair("a", Path("a.png"), Path("a.png")), 1.0, np.ones((3, 254), np.int64), 0)]
    ones = np.ones((6, 254), np.int64)
    html = Evaluation(found.classes, np.eye(254, dtype=np.int64), ones[0], ones, judged, {})._repr_html_()
    assert "<summary>254 classes</summary>" in html
    assert html.index("mean IoU") < html.index("IoU 253")


def evaluation(images=6):
    confusion = np.array([[90, 10], [0, 20]])
    counts = np.array([[90, 20], [100, 20], [90, 30]])
    judged = [Judged(Pair(str(n), Path(f"{n}.png"), Path(f"{n}.png")), 0.5 + n / 100, counts, n) for n in range(images)]
    nothing = np.zeros((2, 2), np.int64)
    return Evaluation(
        ("background", MARKUP), confusion, np.array([0.9, 0.8]), np.ones((6, 2), np.int64), judged,
        {"majority class": nothing}, files="6 files of cells/test",
    )  # fmt: skip


def test_an_evaluation_has_scores_intervals_and_the_worst_files():
    html = evaluation()._repr_html_()
    assert "Finds 100" in html
    assert "0.900</bdi>" in html
    assert "95 % interval" in html
    assert "the worst 5 of 6 files" in html
    assert "95 % interval" not in evaluation(3)._repr_html_()
    assert "<script" not in html


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_takes_the_ink_of_its_page_and_does_not_overflow(browser, tmp_path, scheme):
    line = chart("t", [Line("a", [(0, 0), (1, 1)])], "x", "y", (0, 1), (0, 1))
    parts = [evaluation()._repr_html_(), Run(SAVED)._repr_html_(), show_object("a", "b" * 300, "c", charts=[line])]
    ink, paper = ("#111", "#fff") if scheme == "light" else ("#eee", "#111")
    page_file = tmp_path / "page.html"
    page_file.write_text(f'<meta charset=utf-8><body style="color:{ink};background:{paper}">' + "".join(parts))
    with browser.new_context(viewport={"width": 390, "height": 900}) as context:
        context.set_default_timeout(120_000)
        page = context.new_page()
        page.goto(page_file.as_uri())
        assert overflow(page) == 0
        colours = page.evaluate(INKS)
        assert colours == [page.evaluate("getComputedStyle(document.body).color")]
