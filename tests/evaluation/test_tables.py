from unet_tf.evaluation.tables import class_rows, image_words, interval, lacking, score_rows


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


def test_an_interval_has_three_digits_or_is_none():
    assert interval([0.71234, 0.80051]) == "0.712 to 0.801"
    assert interval([None, None]) == "none"
