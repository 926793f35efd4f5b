from made_pages import evaluation, later

from unet_tf.evaluation.crossval_page import write_crossval_page

RUNS = {"fold1": {"mean_iou": 0.8}, "fold 2": {"mean_iou": 0.9}}
RESULT = {
    "runs": RUNS, "mean": {"mean_iou": 0.85}, "classes": ["a", "b"], "confusion": [[3, 1], [0, 4]],
    "out_of_fold": evaluation(),
}  # fmt: skip
ROWS = [("", "mean"), ("mean IoU", "0.8500")]


def test_runs_are_linked(tmp_path):
    page = write_crossval_page(tmp_path, list(RUNS), RESULT, ROWS).read_text()
    assert '<a href="fold1/report.html">' in page
    assert '<a href="fold%202/report.html">' in page
    assert "No pixel of these files is of" not in page


def test_classes_that_no_file_has_are_said(tmp_path):
    stored = evaluation(("background", "cell", "rim"), ((9, 1, 0), (0, 9, 0), (0, 0, 0)))
    page = write_crossval_page(tmp_path, list(RUNS), RESULT | {"out_of_fold": stored}, ROWS).read_text()
    assert "No pixel of these files is of rim: the scores cannot tell how well that is found." in page


def test_a_note_on_the_runs_is_shown(tmp_path):
    page = write_crossval_page(tmp_path, list(RUNS), RESULT | {"note": "Of fold1 & of fold 2."}, ROWS).read_text()
    assert "Of fold1 &amp; of fold 2." in page


def test_all_files_by_the_nets_that_held_them_out_come_first(tmp_path):
    stored = evaluation() | {"files": "6 files, each by the net that had not seen it"}
    result = RESULT | {"out_of_fold": stored | later(stored)}
    page = write_crossval_page(tmp_path, list(RUNS), result, ROWS).read_text()
    assert '<h2 id="together">All files, each by the net that held it out</h2>' in page
    seeds = write_crossval_page(tmp_path, ["seed0", "seed1"], result, ROWS).read_text()
    assert '<h2 id="together">The files that no run was trained on</h2>' in seeds
    assert 'class="verdict">Finds 380 of 412 objects' in page
    assert page.index('<h2 id="together">') < page.index('<h2 id="runs">')
    assert "6 files, each by the net that had not seen it" in page
    assert [one for one in ("objects", "calibration") if f'<h2 id="{one}">' not in page] == []
    assert "cell, which is thin" in page
    assert "Scores of each image alone" in page


def test_nets_that_differ_in_temperature_and_threshold_have_none_together(tmp_path):
    stored = evaluation()
    more = later(stored)
    more["calibration"] |= {"temperature": None}
    more["thresholds"] |= {"chosen": None}
    page = write_crossval_page(tmp_path, list(RUNS), RESULT | {"out_of_fold": stored | more}, ROWS).read_text()
    assert "before the nets had temperatures" in page
    assert "A pixel is foreground where" not in page
