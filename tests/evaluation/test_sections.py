import pytest
from made_pages import evaluation, later, run_folder

from unet_tf.evaluation.report import write_report
from unet_tf.evaluation.sections import calibration_section, objects_section, scores_section

SHOWN = {
    "objects": ("True objects: 412; predicted: 409", "panoptic quality", "AP, mean of files"),
    "thin": ("cell, which is thin", "clDice", "its skeleton is long"),
    "membranes": ("Membranes (background), as in ISBI 2012", "V_rand", ">merge<", "0.8000</td><td>0.7<"),
    "field": ("average precision", "0.981", "masks of fields/", "1e-05<"),
    "images": ("Scores of each image alone", "0.710"),
    "calibration": ("Expected calibration error 0.012, 0.050 before one temperature, 1.3", "the diagonal is perfect"),
    "thresholds": ("A pixel is foreground where its probability is above 0.4.", "scores of the foreground by thresh"),
    "judged": ("unet-tf evaluate runs/cells cells",),
    "per_file": ("IoU cell</th>",),
    "intervals": ("95 % interval", "0.600 to 0.950"),
    "boundaries": ("border F (2 px)", "surface Dice", "soft Dice"),
}


def test_every_key_of_a_later_version_has_a_test():
    stored = evaluation()
    assert later(stored).keys() == SHOWN.keys()


@pytest.mark.parametrize("key", SHOWN)
def test_what_is_there_is_shown_and_what_is_not_is_left_out(tmp_path, key):
    stored = evaluation()
    without = write_report(run_folder(tmp_path / "without", stored)).read_text()
    page = write_report(run_folder(tmp_path / "with", stored | {key: later(stored)[key]})).read_text()
    assert [words for words in SHOWN[key] if words not in page] == []
    assert [words for words in SHOWN[key] if words in without] == []


def test_sections_are_listed_where_they_are_there(tmp_path):
    stored = evaluation()
    early = write_report(run_folder(tmp_path / "early", stored)).read_text()
    late = write_report(run_folder(tmp_path / "late", stored | later(stored))).read_text()
    for one in ("calibration", "objects"):
        assert (f'href="#{one}"' in early, f'id="{one}"' in early) == (False, False)
        assert (f'href="#{one}"' in late, f'id="{one}"' in late) == (True, True)


def test_files_are_listed_up_to_a_bound_and_the_others_counted():
    found = scores_section(evaluation(images=1200))
    assert (len(found["per_file"]), found["not_shown"]) == (501, 700)
    assert found["spread"][0].title == "mean IoU of 1200 images, from 0.500 over 0.700 in the middle to 0.900"
    few = scores_section(evaluation(images=6))
    assert (len(few["per_file"]), few["not_shown"], few["spread"]) == (7, 0, [])


def test_a_file_of_void_alone_and_none_at_all_have_scores():
    stored = evaluation() | {"per_file_mean_iou": {"void": None}}
    assert scores_section(stored)["per_file"][1:] == [("void", "none")]
    assert scores_section(stored | {"per_file_mean_iou": {}})["per_file"] == []


def test_otsu_is_spoken_of_where_there_are_two_classes():
    assert "Otsu's threshold" in scores_section(evaluation())["baselines"]
    three = evaluation(("a", "b", "c"), ((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    assert (
        scores_section(three)["baselines"]
        == "The majority class of these files needs no net: a net is worth what it adds."
    )


def test_no_objects_and_empty_bins_are_no_error():
    assert objects_section({}) is None
    nothing = {"thresholds": [0.5], "ap": [None], "f1": [None], "pq": [None], "found": [0], "true": 0, "predicted": 0}
    section = objects_section({"objects": nothing | {"merges": 0, "splits": 0}})
    assert section["rows"][1:] == [("0.5", "0", "none", "none", "none")]
    empty = [{"low": 0.0, "high": 1.0, "confidence": None, "accuracy": None, "pixels": 0}]
    own = {"temperature": 1.0, "ece": 0.0, "bins": empty, "ece_raw": 0.0, "bins_raw": empty}
    assert calibration_section({"calibration": own})["calibration"].paths == []
    assert calibration_section({}) == {"calibration": None, "thresholds": None, "calibration_words": []}


def test_intervals_of_objects_are_shown_where_there_are_some():
    found = later(evaluation())["objects"] | {"ap_ends": [[0.85, 0.95], [0.6, 0.8], [None, None]]}
    rows = objects_section({"objects": found})["rows"]
    assert rows[0] == ("IoU", "found", "AP", "95 %", "AP, mean of files", "F1", "panoptic quality")
    assert rows[1] == ("0.5", "380", "0.900", "0.850 to 0.950", "0.900", "0.950", "0.850")
    assert rows[3][3] == "none"


def test_masks_have_no_soft_dice():
    stored = evaluation() | {"boundaries": later(evaluation())["boundaries"]}
    assert scores_section(stored)["classes"][0][-2:] == ("surface Dice", "soft Dice")
    of_masks = stored | {"judged": {"kind": "masks", "path": "masks", "command": ""}}
    assert scores_section(of_masks)["classes"][0][-1] == "surface Dice"


def test_the_mean_of_nets_has_no_temperature_and_several_have_no_one_threshold():
    found = later(evaluation())
    own = found["calibration"] | {"ece": 0.1, "ece_raw": 0.1, "bins_raw": found["calibration"]["bins"]}
    curve = found["thresholds"] | {"chosen": None}
    mean = calibration_section({"calibration": own | {"temperature": 1.0}, "thresholds": curve})
    assert mean["calibration_words"][0].startswith("Expected calibration error 0.100: ")
    assert (len(mean["calibration_words"]), len(mean["calibration"].paths)) == (1, 1)
    assert mean["thresholds"].title == "scores of the foreground by threshold; nets have their own"
    several = calibration_section({"calibration": own | {"temperature": None}})
    assert ", 0.100 before the nets had temperatures: " in several["calibration_words"][0]
    of_mean = {"temperature": None, "ece": 0.1, "bins": own["bins"]}
    found = calibration_section({"calibration": of_mean})
    assert found["calibration_words"][0].startswith("Expected calibration error 0.100: so far is")
    assert len(found["calibration"].paths) == 1
    assert several["calibration_words"][0].endswith(", in the mean.")
    own_files = {"files": "6 files of data, each by the net that held it out", "calibration": own}
    (words,) = calibration_section(own_files)["calibration_words"]
    fitted = "Temperatures were fitted on validation files among these: on others the error is larger as a rule."
    assert words.endswith(f", in the mean. {fitted}")


def test_fields_of_view_of_who_has_no_probabilities_rank_nothing():
    titles = [title for title, _ in scores_section(evaluation() | {"field": {"roi": "pixels of fov/"}})["further"]]
    assert titles == ["Fields of view"]
