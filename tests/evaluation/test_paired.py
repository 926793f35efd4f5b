import math

import numpy as np
import pytest

from unet_tf.evaluation.paired import compare_all, sign_test


def compare(a, b, groups=None):
    return compare_all({"IoU": a}, {"IoU": b}, groups)["IoU"]


@pytest.mark.parametrize(
    ("better", "worse", "p"),
    # twice the lower tail of the binomial distribution with 1/2, from the tables of Dixon and Mood
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (6, 0, 0.03125), (0, 6, 0.03125), (7, 1, 0.0703125), (8, 1, 0.0390625),
     (9, 1, 0.021484375), (10, 2, 0.03857421875), (4, 4, 1.0), (17, 3, 2 * 1351 / 2**20)],
)  # fmt: skip
def test_the_sign_test_gives_the_numbers_of_the_table(better, worse, p):
    assert sign_test(better, worse) == pytest.approx(p, abs=1e-15)


def test_the_sign_test_takes_very_many():
    assert 0 < sign_test(5200, 4800) < 1e-4
    assert sign_test(100_000, 0) == 0.0  # below all floats


def test_a_constant_difference_has_the_interval_of_that_constant():
    a = np.linspace(0, 0.5, 8)
    found = compare(a, a + 0.25)
    assert found.interval == pytest.approx((0.25, 0.25), abs=1e-15)
    assert found.difference == pytest.approx(0.25)
    assert (found.better, found.worse, found.ties, found.p) == (8, 0, 0, 2 / 2**8)
    assert found.clear
    assert not found.likely


def test_equals_differ_by_exactly_nothing():
    found = compare([0.1, 0.7, 0.3, 0.4, 0.5], [0.1, 0.7, 0.3, 0.4, 0.5])
    assert (found.difference, found.interval, found.ties, found.p) == (0.0, (0.0, 0.0), 5, 1.0)
    assert not found.clear
    assert not found.likely


def test_fewer_than_five_have_no_interval_and_are_not_told_apart():
    found = compare([0.0] * 4, [1.0] * 4)
    assert (found.interval, found.p) == (None, 0.125)
    assert not found.clear
    assert not found.likely


def test_images_without_a_score_are_left_out_for_both():
    found = compare([0.5, math.nan, 0.5, 0.5], [0.75, 1.0, math.nan, 0.5])
    assert (found.images, found.a, found.b, found.better, found.ties) == (2, 0.5, 0.625, 1, 1)
    none = compare([math.nan], [math.nan])
    assert (none.images, none.groups, none.p, none.interval) == (0, 0, 1.0, None)
    assert math.isnan(none.a)


def test_a_group_counts_once():
    """Ten pages of a stack are no ten images: six images, of which one has five pages."""
    a, groups = [0.5] * 10, [1, 2, 3, 4, 5, *[6] * 5]
    b = [0.75, 0.75, 0.75, 0.75, 0.75, 0, 0, 0, 0, 0]
    found = compare(a, b, groups)
    assert (found.images, found.groups, found.better, found.worse) == (10, 6, 5, 1)
    assert found.difference == pytest.approx(-0.125)  # a mean over images
    low, high = found.interval
    assert low < -0.125 < high
    assert compare(a[:5], b[:5], [0, 0, 1, 1, 2]).interval is None


def test_interval_and_sign_must_point_the_same_way():
    b = [0.9, *[-0.001] * 9]  # one large gain, nine tiny losses
    found = compare([0.0] * 10, b)
    assert found.difference > 0
    assert found.p < 0.05
    assert not found.clear
    assert found.likely


def test_scores_that_few_images_have_have_no_interval():
    a = {"all": [0.5] * 6, "some": [0.5] * 4 + [math.nan] * 2}
    found = compare_all(a, {"all": [0.75] * 6, "some": [0.75] * 6})
    assert (found["all"].interval, found["some"].interval) == ((0.25, 0.25), None)
    assert (found["all"].images, found["some"].images) == (6, 4)
