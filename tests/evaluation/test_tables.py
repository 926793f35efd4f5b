from unet_tf.evaluation.tables import ABSENT, best_row, lacking


def test_the_best_epoch_has_the_best_mean_iou_the_first_of_equals():
    rows = [{"epoch": n, "val_mean_iou": str(iou), "val_loss": "0"} for n, iou in enumerate((0.5, 0.9, 0.9, 0.1))]
    assert best_row(rows)["epoch"] == 1


def test_where_validation_lacks_a_class_the_best_epoch_has_the_least_loss():
    rows = [
        {"epoch": n, "val_mean_iou": 1 - n / 9, "val_loss": loss, ABSENT: 1} for n, loss in enumerate((3.0, 1.0, 1.0))
    ]
    assert best_row(rows)["epoch"] == 1
    assert best_row([{name: str(value) for name, value in row.items()} for row in rows])["epoch"] == "1"


def test_scores_say_which_classes_they_cannot_tell():
    stored = {"classes": ["background", "cell"], "confusion": [[9, 0], [0, 0]]}
    assert lacking(stored).startswith("No pixel of these files is of cell: ")
    assert lacking(stored | {"confusion": [[9, 0], [1, 0]]}) == ""
