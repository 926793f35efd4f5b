import matplotlib.pyplot as plt
import numpy as np
import pytest

from unet_tf.errors import InputError
from unet_tf.figures.show import show, show_errors, show_history


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_panels_are_those_that_are_given():
    label = np.eye(8, 10, dtype=np.uint8)
    probabilities = np.stack([1 - label, label], axis=-1).astype(float)
    row = show(np.zeros((8, 10)), label, probabilities)
    assert [axes.get_title() for axes in row] == ["image", "truth", "prediction"]
    truth, prediction = (axes.images[0].get_array() for axes in row[1:])
    assert truth.shape == (8, 10, 3)
    np.testing.assert_array_equal(truth, prediction)
    assert [axes.get_title() for axes in show(np.zeros((8, 10, 3)), titles=["mine"])] == ["mine"]


def test_errors_are_counted_by_kind():
    label, prediction = np.zeros((2, 5, 5), np.uint8)
    label[1, 1], prediction[3, 3:] = 1, 1
    axes = show_errors(np.zeros((5, 5)), label, prediction)
    assert axes.get_title() == "1 missed, 2 invented"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["missed", "invented"]
    assert show_errors(np.zeros((5, 5)), label, label).get_title() == "no mistake"


def test_a_history_is_that_of_a_run_or_of_keras():
    rows = [{"epoch": "0", "loss": "1.5", "mean_iou": "0.2", "val_loss": "", "seconds": "3"}]
    loss, mean_iou = show_history(rows)
    assert [line.get_ydata().tolist() for line in loss.lines + mean_iou.lines] == [[1.5], [0.2]]
    loss, _ = show_history({"loss": [2.0, 1.0], "val_loss": [2.5, 1.5]})
    assert [line.get_label() for line in loss.lines] == ["training (augmented)", "validation"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: show(np.zeros(5)), r"An image is \(H, W\) or \(H, W, C\); received shape \(5,\)"),
        (lambda: show(np.zeros((4, 4)), np.zeros((4, 5))), r"one size; received \(4, 4\) and \(4, 5\)"),
        (lambda: show(np.zeros((4, 4)), titles=["a", "b"]), "a title for each of 1 panels; received 2"),
        (lambda: show_history([]), "one epoch at least"),
    ],
)
def test_what_cannot_be_shown_is_said(call, words):
    with pytest.raises(InputError, match=words):
        call()
