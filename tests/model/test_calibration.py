"""Temperature and threshold: NumPy alone."""

import numpy as np
import pytest

from unet_tf.errors import InputError
from unet_tf.model.calibration import (
    BEST,
    COOLEST,
    HOTTEST,
    MOST_SHIFT,
    Calibration,
    check_threshold,
    energy,
    fit_shift,
    fit_temperature,
    label_of,
    parse_threshold,
    tempered,
    weighed,
)


def softmax(logits):
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def drawn(classes, scale, pixels=200_000):
    """Logits times `scale`, and labels that were drawn by the softmax of the logits themselves."""
    rng = np.random.default_rng(classes)
    logits = rng.normal(0, 2, (pixels, classes))
    chances = softmax(logits).cumsum(-1)
    labels = (rng.random((pixels, 1)) > chances[:, :-1]).sum(-1)
    return (logits * scale).astype(np.float32), labels.astype(np.uint8)


@pytest.mark.parametrize("classes", [2, 3, 12])
@pytest.mark.parametrize("scale", [0.4, 1.0, 2.5, 7.0])
def test_a_known_factor_of_the_logits_is_found(classes, scale):
    assert fit_temperature(*drawn(classes, scale)) == pytest.approx(scale, rel=0.01)


def test_log_probabilities_and_any_shift_of_a_row_give_the_same_temperature():
    logits, labels = drawn(3, 2.0, 2000)
    found = fit_temperature(logits, labels)
    assert fit_temperature(np.log(softmax(logits)), labels) == pytest.approx(found, rel=1e-5)
    assert fit_temperature(logits + np.arange(2000)[:, None], labels) == pytest.approx(found, rel=1e-3)


def test_no_temperature_has_less_energy():
    logits, labels = drawn(4, 3.0, 5000)
    found = fit_temperature(logits, labels)
    least = energy(logits, labels, found)
    assert least < energy(logits, labels)
    assert all(least <= energy(logits, labels, found * factor) for factor in (0.5, 0.99, 1.01, 2))


def test_a_net_that_is_always_right_or_always_wrong_has_the_limits():
    logits = np.array([[3.0, -3.0], [-2.0, 2.0]])
    assert fit_temperature(logits, np.array([0, 1])) == pytest.approx(COOLEST)
    assert fit_temperature(logits, np.array([1, 0])) == pytest.approx(HOTTEST)


def test_few_pixels_none_and_equal_logits_are_no_trouble():
    assert fit_temperature(np.zeros((0, 2)), np.zeros(0, np.uint8)) == 1
    assert fit_temperature(np.zeros((3, 2)), np.zeros(3, np.uint8)) > 0  # no temperature changes these
    assert fit_temperature(np.array([[1e4, -1e4]] * 3), np.array([0, 0, 1])) == pytest.approx(HOTTEST)


def test_the_temperature_of_probabilities_is_that_of_the_logits():
    logits, _ = drawn(3, 1.0, 100)
    np.testing.assert_allclose(tempered(softmax(logits), 2.5), softmax(logits / 2.5), atol=1e-6)
    np.testing.assert_allclose(tempered(tempered(softmax(logits), 2.5), 1 / 2.5), softmax(logits), atol=1e-6)
    found = softmax(logits)
    assert tempered(found, 1) is found
    assert tempered(np.array([[1, 0]], np.float32), 0.5).tolist() == [[1, 0]]


def test_a_label_is_p_above_t_and_the_most_probable_class_at_a_half():
    p = np.linspace(0, 1, 101, dtype=np.float32)
    both = np.stack([1 - p, p], -1)
    for threshold in (0.01, 0.3, 0.31, 0.77, 0.99):
        assert (label_of(both, threshold) == (p > np.float32(threshold))).all()
    assert (label_of(both) == both.argmax(-1)).all()
    assert label_of(np.array([0.5, 0.5])) == 0
    assert label_of(np.array([[0.2, 0.3, 0.5]])).tolist() == [2]


def test_weighed_probabilities_are_equal_where_the_classes_part():
    p = np.array([[0.9, 0.1], [0.6, 0.4]], np.float32)
    assert weighed(p) is p
    found = weighed(p, 0.1)
    assert found[0, 0] == pytest.approx(found[0, 1])
    assert found[1, 1] - found[1, 0] == pytest.approx(2 * (0.4 - 0.1))


def test_thresholds_are_read_or_refused():
    assert [parse_threshold(one) for one in ("best", "0.4", 0.25, " 0.7 ")] == [BEST, 0.4, 0.25, 0.7]
    for wrong in ("worst", "", None, 0, 1, "1.0", -1, "nan", float("inf"), True, [0.4]):
        with pytest.raises(InputError, match="A threshold must lie between 0 and 1"):
            parse_threshold(wrong)


def test_more_classes_have_no_threshold():
    check_threshold(None, ("a", "b", "c"))
    check_threshold(0.5, ("a", "b", "c"))
    check_threshold(0.4, ("a", "b"))
    for given in (0.4, BEST):
        with pytest.raises(InputError, match="separates two classes; this net has 3: a, b, c. Leave --threshold out"):
            check_threshold(given, ("a", "b", "c"))


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), "1", None, True])
def test_a_temperature_is_a_positive_number(wrong):
    with pytest.raises(InputError, match="A temperature must be above 0"):
        Calibration(temperature=wrong)


@pytest.mark.parametrize("wrong", [0, 1, float("nan"), "best", None])
def test_a_threshold_is_a_number_between(wrong):
    with pytest.raises(InputError, match="A threshold must be a number between 0 and 1"):
        Calibration(threshold=wrong)


def test_a_logit_gets_what_it_lacks():
    logits, labels = drawn(3, 1.0)
    lacking = logits - np.array([1.5, 0, 0])
    assert fit_shift(lacking, labels) == pytest.approx(1.5, abs=0.02)  # the labels are drawn
    found = fit_shift(logits, labels, 2)
    p = softmax(logits + found * np.eye(3)[2])
    assert p[:, 2].mean() == pytest.approx((labels == 2).mean(), abs=1e-6)  # where the energy is least
    assert fit_shift(np.log(softmax(logits)), labels, 2) == pytest.approx(found, abs=1e-5)
    assert fit_shift(np.log(p), labels, 2) == pytest.approx(0, abs=1e-5)


def test_a_class_that_is_nowhere_or_everywhere_gets_the_limit():
    logits = np.zeros((4, 2), np.float32)
    assert fit_shift(logits, np.ones(4, int)) == pytest.approx(-MOST_SHIFT, abs=0.01)
    assert fit_shift(logits, np.zeros(4, int)) == pytest.approx(MOST_SHIFT, abs=0.01)
    assert fit_shift(np.zeros((0, 2)), np.zeros(0, int)) == 0
