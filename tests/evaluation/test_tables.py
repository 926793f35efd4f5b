from unet_tf.evaluation.tables import certainty_words, class_rows, image_words, interval, lacking, score_rows


def test_scores_say_which_classes_they_cannot_tell():
    stored = {"classes": ["background", "cell"], "confusion": [[9, 0], [0, 0]]}
    assert lacking(stored).startswith("No pixel of these files is of cell: ")
    assert lacking(stored | {"confusion": [[9, 0], [1, 0]]}) == ""


def test_a_table_of_version_0_1_has_no_intervals_and_no_further_scores():
    own = {"iou": {"a": 0.5, "b": None}, "dice": {"a": 0.6, "b": None}, "mean_iou": 0.5, "mean_dice": 0.6}
    own |= {"pixel_accuracy": 0.9, "confusion": [[9, 0], [1, 0]]}
    stored = own | {
        "classes": ["a", "b"],
        "baselines": {"majority class": own},
        "per_file_mean_iou": {"x": 0.4, "y": 0.8},
    }
    assert score_rows(stored)[:3] == [
        ("", "U-Net", "majority class"), ("IoU a", "0.5000", "0.5000"), ("IoU b", "none", "none")
    ]  # fmt: skip
    assert class_rows(stored) == []
    assert image_words(stored) == (
        "Image by image the mean IoU is 0.6000 in the mean, 0.6000 in the median, 0.4000 at worst. There are too few "
        "images, or stacks of them, for intervals."
    )
    assert image_words(stored | {"per_file_mean_iou": {"x": None}}) == ""


def test_temperatures_that_were_fitted_on_the_files_themselves_are_said():
    stored = {
        "files": "6 files of data", "classes": ["background", "cell"], "thresholds": {"chosen": 0.4},
        "calibration": {"temperature": 1.3, "ece": 0.01, "ece_raw": 0.05},
    }  # fmt: skip
    error = "Expected calibration error 0.0100, by a temperature of 1.300; 0.0500 without"
    where = "cell is where its probability is above 0.4."
    assert certainty_words(stored) == f"{error}. {where}"
    fitted = "Temperatures were fitted on validation files among these: on others the error is larger as a rule"
    for files in ("6 files of data, each by the net that held it out", "the val files of the run in data"):
        assert certainty_words(stored | {"files": files}) == f"{error}. {fitted}. {where}"
        plain = stored | {"files": files, "calibration": stored["calibration"] | {"temperature": 1}}
        assert fitted not in certainty_words(plain)


def test_of_several_temperatures_there_may_be_no_error_without():
    stored = {"classes": ["background", "cell"], "calibration": {"temperature": None, "ece": 0.01}}
    assert certainty_words(stored) == "Expected calibration error 0.0100, by the temperatures of the nets."


def test_an_interval_has_three_digits_or_is_none():
    assert interval([0.71234, 0.80051]) == "0.712 to 0.801"
    assert interval([None, None]) == "none"
