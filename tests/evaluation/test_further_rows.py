from unet_tf.evaluation.further_rows import further_rows, further_words, object_rows

SPREAD = {"files": 2, "mean": 0.75, "median": 0.75, "worst": 0.5}
STORED = {
    "classes": ["rest", "cell"],
    "per_file_mean_iou": {"a": 0.4, "b": 0.8},
    "images": {"mean IoU": SPREAD, "mean Dice": SPREAD, "IoU rest": SPREAD, "Dice rest": SPREAD},
    "objects": {
        "thresholds": [0.5, 0.55, 0.7], "ap": [0.5, 0.4, None], "ap_ends": [[0.25, 0.75], [0, 1], [None, None]],
        "ap_files": [0.6, 0.5, 0.1], "f1": [0.7, 0.6, 0.2], "pq": [0.65, 0.55, 0.15], "found": [7, 6, 2], "true": 9,
        "predicted": 8, "merges": 1, "splits": 2,
    },
    "thin": {"cell": {"cldice": 0.9, "precision": 0.8, "sensitivity": None, "words": "3.0 px wide"}},
    "membranes": {
        "borders": ["rest"], "v_rand": 0.9, "v_info": None, "pixel_error": 0.1,
        "best": {"v_rand": 0.6, "pixel_error": 0.5}, "thresholds": [0.5, 0.6],
        "curve": {
            "v_rand": [0.7, 0.9], "v_rand_split": [0.8, 0.9], "v_rand_merge": [0.6, 0.9], "v_info": [None, None],
            "v_info_split": [None, None], "v_info_merge": [None, None], "pixel_error": [0.1, 0.2],
        },
    },
    "field": {"roi": "pixels in it", "foreground": "cell", "auc": 0.98, "average_precision": 0.5, "within": 1e-6},
}  # fmt: skip


def test_scores_are_rows_that_fit_on_a_screen():
    images, membranes = further_rows(STORED)
    objects = object_rows(STORED)
    assert images == [
        ("image by image", "IoU: mean", "median", "worst", "Dice: mean", "median", "worst"),
        ("rest", "0.7500", "0.7500", "0.5000", "0.7500", "0.7500", "0.5000"),
        ("cell", *["none"] * 6),  # no file has any
        ("mean", "0.7500", "0.7500", "0.5000", "0.7500", "0.7500", "0.5000"),
    ]
    assert objects == [
        ("objects", "AP", "95 %", "AP, mean of files", "F1", "panoptic quality", "found"),
        ("IoU 0.5", "0.5000", "0.250 to 0.750", "0.6000", "0.7000", "0.6500", "7 of 9"),
        ("IoU 0.7", "none", "none", "0.1000", "0.2000", "0.1500", "2 of 9"),
    ]
    assert membranes == [
        ("membranes", "at 0.5", "split", "merge", "best", "at"),
        ("V_rand", "0.7000", "0.8000", "0.6000", "0.9000", "0.6"),
        ("V_info", "none", "none", "none", "none", ""),
        ("pixel error", "0.1000", "", "", "0.1000", "0.5"),
    ]
    for rows in (images, objects, membranes):
        assert sum(max(map(len, column)) + 2 for column in zip(*rows, strict=True)) <= 100


def test_and_sentences():
    assert further_words(STORED) == [
        "True objects: 9, of which 7 found (IoU 0.5) and 2 split; predicted: 8, of which 1 merge several.",
        "clDice of cell: 0.9000 (precision 0.8000, sensitivity none); it is 3.0 px wide.",
        "Ranked by the probability of cell, pixels have an area under the ROC curve of 0.9800 and an average precision "
        "of 0.5000.",
        "Pixels in it.",
    ]


def test_of_an_earlier_version_or_of_what_does_not_apply_nothing_is_said():
    old = {"classes": ["a"], "per_file_mean_iou": {"x": 0.5, "y": 0.5}}
    assert further_rows(old) == [[], []] and object_rows(old) == []
    assert further_words(old) == []
    assert further_words(old | {"field": {"auc": None, "foreground": "a"}}) == []
    assert further_rows(STORED | {"per_file_mean_iou": {"a": 1}})[0] == []  # one file has no spread
    few = STORED["objects"] | {"ap_ends": None}
    assert object_rows(STORED | {"objects": few})[0][:3] == ("objects", "AP", "AP, mean of files")
