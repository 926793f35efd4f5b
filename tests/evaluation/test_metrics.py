import keras
import numpy as np
import pytest

from unet_tf.errors import InputError
from unet_tf.evaluation.metrics import MeanIoU, confusion_matrix, marginals, scores, scores_of
from unet_tf.labels import VOID, one_hot
from unet_tf.model.losses import CrossentropyDice
from unet_tf.model.muon import Muon


def reference_iou(labels, predicted, num_classes):
    """IoU of each class by sets of pixels; None where it has none."""
    counted = labels != VOID
    ious = []
    for c in range(num_classes):
        true, found = (labels == c) & counted, (predicted == c) & counted
        union = (true | found).sum()
        ious.append((true & found).sum() / union if union else None)
    return ious


def test_the_parts_learn_by_xla_which_keras_takes_on_a_gpu_as_without_it():
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype(np.float32)
    labels = np.where(images[..., 0] > 1, VOID, images[..., 0] > 0).astype(np.uint8)
    logs = []
    for xla in (False, True):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, padding="same"), keras.layers.Conv2D(2, 1)]
        )
        model.compile(Muon(1e-3), CrossentropyDice(), metrics=[MeanIoU(2)], jit_compile=xla)
        for _ in range(2):
            logs.append(model.train_on_batch(images, labels))
    losses, scores_found = zip(*logs, strict=True)
    assert losses[2:] == pytest.approx(losses[:2], rel=1e-3)
    assert scores_found[2:] == pytest.approx(scores_found[:2], abs=0.05)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 1, 3, VOID], (6, 9, 11)).astype(np.uint8)  # class 2 occurs nowhere
    logits = rng.normal(size=(6, 9, 11, 4)).astype(np.float32)
    logits[..., 2] = -9
    return labels, logits


@pytest.mark.parametrize("value", [0.7, np.nan, np.inf])
def test_ids_that_are_no_whole_numbers_are_refused_and_those_that_are_count(value):
    label, prediction = np.array([[0, 1, VOID]]), np.array([[0.0, 1.0, 0.7]])  # void counts nowhere
    assert confusion_matrix(label, prediction, 2).tolist() == [[1, 0], [0, 1]]
    probabilities = np.array([[0.0, value, 1.0]])
    with pytest.raises(InputError, match="A prediction id must be a whole number; received (0.7|nan|inf). Of prob"):
        confusion_matrix(label, probabilities, 2)
    with pytest.raises(InputError, match="A label id must be a whole number"):
        confusion_matrix(probabilities, label, 2)
    with pytest.raises(InputError, match="A label id must be a whole number"):
        one_hot(probabilities, 2)


def test_scores_equal_a_reference_and_leave_absent_classes_out(batch):
    labels, logits = batch
    found = scores(confusion_matrix(labels, logits.argmax(-1), 4))
    expected = reference_iou(labels, logits.argmax(-1), 4)
    assert expected[2] is None
    assert np.isnan(found["iou"][2])
    assert [found["iou"][c] for c in (0, 1, 3)] == [expected[c] for c in (0, 1, 3)]
    assert found["mean_iou"] == pytest.approx(np.mean([e for e in expected if e is not None]), abs=1e-15)
    np.testing.assert_allclose(found["dice"], 2 * found["iou"] / (1 + found["iou"]))
    assert found["pixel_accuracy"] == (labels == logits.argmax(-1)).sum() / (labels != VOID).sum()


def test_the_scores_of_nine_pixels_by_hand():
    truth = np.array([[0, 0, 0], [0, 1, 1], [1, 1, 2]])
    found = scores(confusion_matrix(truth, np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1]]), 4))
    # of class 1 three are right, two are invented, one is missed; 5 pixels are of another class
    assert [found[name][1] for name in ("iou", "dice", "precision", "recall")] == [3 / 6, 6 / 9, 3 / 5, 3 / 4]
    assert found["specificity"].tolist()[:3] == [4 / 5, 3 / 5, 1.0]
    assert found["recall"][2] == 0
    assert np.isnan(found["precision"][2])  # nothing was said to be of class 2
    assert np.isnan([found[name][3] for name in ("iou", "dice", "precision", "recall")]).all()
    assert found["mean_iou"] == pytest.approx((3 / 5 + 3 / 6 + 0) / 3)
    assert found["pixel_accuracy"] == 6 / 9


def test_scores_of_several_sets_of_pixels_are_those_of_each():
    confusions = np.random.default_rng(0).integers(0, 9, (5, 3, 3))
    confusions[2, 1] = confusions[2, :, 1] = 0
    at_once = scores_of(np.stack([marginals(one) for one in confusions]))
    for number, one in enumerate(confusions):
        for name, value in scores(one).items():
            np.testing.assert_allclose(at_once[name][number], value, rtol=1e-12)


def test_the_metric_is_the_score_however_the_batches_are_split(batch):
    labels, logits = batch
    expected = scores(confusion_matrix(labels, logits.argmax(-1), 4))["mean_iou"]
    for size in (1, 2, 4, 6):
        metric = MeanIoU(4)
        for i in range(0, 6, size):
            metric.update_state(labels[i : i + size], logits[i : i + size])
        assert float(metric.result()) == pytest.approx(expected, abs=1e-7)


def test_weights_do_not_count(batch):
    labels, logits = batch
    plain, weighted = MeanIoU(4), MeanIoU(4)
    plain.update_state(labels, logits)
    weighted.update_state(labels, logits, sample_weight=np.random.default_rng(1).random(labels.shape))
    assert float(plain.result()) == float(weighted.result())


def test_one_hot_labels_and_probabilities_are_understood(batch):
    labels, logits = batch
    one_hot = np.eye(4, dtype=np.float32)[np.where(labels == VOID, 0, labels)]
    one_hot[labels == VOID] = 0
    integer, hot = MeanIoU(4), MeanIoU(4)
    integer.update_state(labels, logits)
    hot.update_state(one_hot, np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))
    assert float(integer.result()) == float(hot.result())


def test_perfect_is_one_and_empty_is_zero():
    metric = MeanIoU(2)
    assert float(metric.result()) == 0
    metric.update_state(np.array([[[0, 1]]]), np.array([[[[1.0, 0.0], [0.0, 1.0]]]]))
    assert float(metric.result()) == 1
    metric.reset_state()
    assert float(metric.result()) == 0


@pytest.mark.parametrize(
    ("label", "logits", "message"),
    [
        ((2, 4, 4), (2, 4, 4, 2), "the metric's 3 classes, background too; received 2. Give MeanIoU and the net one"),
        ((2, 4, 4), (2, 4, 4, 1), "3 classes, background too; received 1"),
        ((2, 4, 4, 3), (2, 4, 4, 4), "received 4"),
        ((2, 2, 2), (2, 4, 4, 3), r"A label must be as large as the logits, \(2, 4, 4\); received \(2, 2, 2\)"),
    ],
)
def test_logits_of_other_classes_and_labels_of_another_size_are_refused(label, logits, message):
    with pytest.raises(InputError, match=message):
        MeanIoU(3).update_state(np.zeros(label, np.uint8), np.zeros(logits, np.float32))


def test_it_counts_exactly_beyond_float32():
    metric = MeanIoU(2)
    metric.confusion.assign([[2**24, 0], [0, 2**24]])
    metric.update_state(np.array([[[0, 1]]]), np.array([[[[1.0, 0.0], [0.0, 1.0]]]]))
    assert np.array(metric.confusion).tolist() == [[2**24 + 1, 0], [0, 2**24 + 1]]


def test_bad_input_is_refused():
    with pytest.raises(InputError, match=r"one shape; received \(2, 2\) and \(2, 3\)"):
        confusion_matrix(np.zeros((2, 2), int), np.zeros((2, 3), int), 2)
    with pytest.raises(InputError, match="A label id must be below 2 .* received 0 to 7"):
        confusion_matrix(np.array([0, 7]), np.array([0, 0]), 2)
    with pytest.raises(InputError, match="received 1"):
        MeanIoU(1)
    label = np.full((1, 1, 1), VOID)
    with pytest.raises(InputError, match="255, which .* is one of 256 classes"):
        confusion_matrix(label, label, 256)
    with pytest.raises(InputError, match="255, which .* is one of 256 classes"):
        MeanIoU(256).update_state(label, np.zeros((1, 1, 1, 256), np.float32))
    assert confusion_matrix(label, label, 256, void_label=-1)[VOID, VOID] == 1


def test_callbacks_of_keras_know_that_more_is_better():
    images, labels = np.zeros((2, 8, 8, 1), np.float32), np.zeros((2, 8, 8), np.uint8)
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 1)])
    model.compile("sgd", CrossentropyDice(), metrics=[MeanIoU(2)])
    stopping = keras.callbacks.EarlyStopping("val_mean_iou")
    model.fit(images, labels, validation_data=(images, labels), callbacks=[stopping], verbose=0)
    assert stopping.monitor_op is keras.ops.greater


def test_every_pixel_counts_where_no_label_is_void():
    metric = MeanIoU(2, void_label=None)
    metric.update_state(np.array([[[0, 1, 1]]]), np.array([[[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]]]))
    assert float(metric.result()) == 0.5
