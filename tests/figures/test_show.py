from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest

from unet_tf import Run
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


def test_probabilities_part_at_the_threshold():
    foreground = np.array([[0.1, 0.3], [0.6, 0.9]])
    both = np.stack([1 - foreground, foreground], axis=-1)
    for probabilities in (foreground, both):
        shown = [show(foreground, prediction=probabilities, threshold=t)[1].images[0].get_array() for t in (0.5, 0.2)]
        drawn = [(picture != picture[0, 0]).any(-1).tolist() for picture in shown]
        assert drawn == [[[False, False], [True, True]], [[False, True], [True, True]]]
    errors = show_errors(foreground, np.array([[0, 0], [1, 1]]), foreground, threshold=0.2)
    assert errors.get_title() == "1 px invented"


def test_one_channel_is_what_it_is_without_its_axis():
    ids, p = np.array([[0, 1], [255, 1]]), np.array([[0.1, 0.9], [0.8, 0.2]])
    for truth, prediction in ((ids, p), (ids.astype(float), ids)):
        drawn = [
            [axes.images[0].get_array() for axes in show(p, *of)[1:]]
            for of in ((truth, prediction), (truth[..., None], prediction[..., None]))
        ]
        np.testing.assert_array_equal(*drawn)
    assert show_errors(p, ids[..., None], p[..., None], threshold=0.3).get_title() == "1 px missed"


def test_ids_may_be_floats_and_void_is_drawn_grey():
    row = show(np.zeros((2, 2)), np.array([[0.0, 1.0], [2.0, 255.0]]))
    assert row[1].images[0].get_array()[1, 1].tolist() == [128, 128, 128]


def test_errors_are_counted_by_kind():
    label, prediction = np.zeros((2, 5, 5), np.uint8)
    label[1, 1], prediction[3, 3:] = 1, 1
    axes = show_errors(np.zeros((5, 5)), label, prediction)
    assert axes.get_title() == "1 px missed, 2 px invented"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["missed", "invented"]
    assert show_errors(np.zeros((5, 5)), label, label).get_title() == "no mistake"


def test_without_a_background_every_mistake_is_one_of_the_class():
    label, prediction = np.array([[0, 1, 2]]), np.array([[1, 0, 0]])
    assert show_errors(np.zeros((1, 3)), label, prediction, background=False).get_title() == "3 px wrong class"


def test_a_history_is_that_of_a_run_or_of_keras():
    saved = Run(Path(__file__).parents[1] / "saved" / "run_0_1")
    rows = [{"epoch": "0", "loss": "1.5", "mean_iou": "0.2", "val_loss": "", "seconds": "3"}]
    loss, mean_iou = show_history(rows)
    assert [line.get_ydata().tolist() for line in loss.lines + mean_iou.lines] == [[1.5], [0.2]]
    drawn = [[line.get_ydata().tolist() for line in show_history(one)[0].lines] for one in (saved, saved.history())]
    assert drawn[0] == drawn[1] != []
    fitted = keras.callbacks.History()  # what fit returns
    fitted.history = {"loss": [2.0, 1.0], "val_loss": [2.5, 1.5]}
    for history in (fitted, fitted.history):
        loss, _ = show_history(history)
        assert [line.get_label() for line in loss.lines] == ["training (augmented)", "validation"]
    for every, epochs in ((1, 7), (2, 3), (2, 4), (3, 8), (3, 9), (5, 10)):
        loss, _ = show_history({"loss": [1.0] * epochs, "val_loss": [1.0] * (epochs // every)}, every)
        assert loss.lines[1].get_xdata().tolist() == list(range(every, epochs + 1, every))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: show(np.zeros(5)), r"An image is \(H, W\) or \(H, W, C\); received shape \(5,\)"),
        (lambda: show(np.zeros((4, 4)), np.zeros((4, 5))), r"one size; received \(4, 4\) and \(4, 5\)"),
        (lambda: show(np.zeros((4, 4)), titles=["a", "b"]), "a title for each of 1 panels; received 2"),
        (lambda: show(np.zeros((2, 2)), np.full((2, 2), 300)), "ids must be 0 to 254, or 255; received 300"),
        (lambda: show(np.zeros((2, 2)), np.full((2, 2), np.nan)), r"must lie in \[0, 1\]; received nan to nan"),
        (lambda: show(np.zeros((2, 2)), np.full((2, 2), 1.5)), r"must lie in \[0, 1\]; received 1.5 to 1.5"),
        (lambda: show(np.zeros((2, 2)), np.full((2, 2), 0.5), threshold=1), "number between 0 and 1; received 1"),
        (lambda: show(np.zeros((2, 2)), np.full((2, 2, 3), 0.5), threshold=0.4), "separates two classes; .* of 3"),
        (lambda: show_history([]), "one epoch at least"),
        (lambda: show_history({"loss": [1.0] * 9, "val_loss": [1.0] * 2}), "9 values of val_loss; received 2"),
        (lambda: show_history({"loss": [1.0] * 9}, 0), "1 epoch or more, as fit was told; received 0"),
    ],
)
def test_what_cannot_be_shown_is_said(call, words):
    with pytest.raises(InputError, match=words):
        call()
