from made_pages import evaluation, later

from unet_tf.evaluation.charts import confusion_table, score_chart, score_name, spread_chart


def test_scores_stand_beside_baselines_and_ends():
    stored = evaluation()
    early, late = score_chart(stored), score_chart(stored | later(stored))
    assert [row["name"] for row in early["rows"]] == [
        "IoU background", "IoU cell", "mean IoU", "mean Dice", "pixel accuracy",
    ]  # fmt: skip
    assert (early["intervals"], early["rows"][1]["ends"]) == (False, None)
    assert late["rows"][1]["ends"] == [0.6, 0.95]
    assert late["rows"][2] == {
        "name": "mean IoU", "value": stored["mean_iou"], "ends": [0.8, 0.9], "dots": [], "strong": True,
        "ticks": [("majority class", stored["baselines"]["majority class"]["mean_iou"])],
    }  # fmt: skip


def test_rows_of_a_confusion_matrix_have_shares():
    found = confusion_table(("a", "b"), ((3, 1), (0, 0)))
    assert found["rows"] == [
        ("a", [{"share": 0.75, "pixels": 3}, {"share": 0.25, "pixels": 1}]),
        ("b", [{"share": None, "pixels": 0}, {"share": None, "pixels": 0}]),
    ]


def test_of_very_many_classes_what_is_confused_most_is_told():
    classes = [f"c{n}" for n in range(254)]
    confusion = [[0] * 254 for _ in classes]
    confusion[3][5], confusion[3][3], confusion[7][1] = 30, 70, 9
    found = confusion_table(classes, confusion)
    assert found["rows"] == []
    assert found["most"] == [
        {"true": "c3", "predicted": "c5", "share": 0.3, "pixels": 30},
        {"true": "c7", "predicted": "c1", "share": 1.0, "pixels": 9},
    ]


def test_the_name_of_a_class_is_left_as_it_is():
    names = ["mean_iou", "mean_soft_dice", "IoU cell_wall", "IoU previous", "IoU dice_iou"]
    assert [score_name(key) for key in names] == ["mean IoU", "mean soft Dice", *names[2:]]


def test_runs_are_dots_around_their_mean():
    result = {
        "runs": {"a": {"mean_iou": 0.7}, "b": {"mean_iou": None}, "c": {"mean_iou": 0.8}},
        "mean": {"mean_iou": 0.75},
    }
    (row,) = spread_chart(result)["rows"]
    assert (row["name"], row["value"], row["dots"]) == ("mean IoU", 0.75, [0.7, 0.8])
