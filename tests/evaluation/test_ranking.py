import numpy as np
import pytest
from scipy import stats

from unet_tf.evaluation.ranking import Ranking


def ranked(probability, truth):
    ranking = Ranking()
    ranking.add(np.ravel(np.asarray(probability, np.float32)), np.ravel(truth).astype(bool))
    return ranking


def exact(probability, truth):
    """AUC by the rank sum, average precision by sorting, both with equal probabilities taken together."""
    ranks = stats.rankdata(probability)
    hits = int(truth.sum())
    auc = (ranks[truth].sum() - hits * (hits + 1) / 2) / (hits * (~truth).sum())
    precision = [(truth & (probability >= one)).sum() / (probability >= one).sum() for one in probability[truth]]
    return auc, np.mean(precision)


def test_a_picture_of_nine_pixels_by_hand():
    truth = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]])
    found = ranked([[0.9, 0.6, 0.6], [0.3, 0.7, 0.2], [0.1, 0.1, 0.0]], truth)
    # 0.9 is above all 6 of the rest; 0.6 above 4 and equal to one: 4.5; 0.3 above 4: of 18 pairs 14.5
    assert found.auc == pytest.approx(14.5 / 18, abs=1e-12)
    # precision at 0.9: 1/1; at 0.6 (0.9, 0.7, 0.6, 0.6): 2/4; at 0.3: 3/5
    assert found.average_precision == pytest.approx((1 + 2 / 4 + 3 / 5) / 3, abs=1e-12)


@pytest.mark.parametrize("spread", [0.5, 3.0, 12.0])
def test_it_is_nearer_to_sorting_than_it_says(spread):
    rng = np.random.default_rng(0)
    truth = rng.random(4000) < 0.2
    logits = spread * rng.standard_normal(4000) + 1.5 * spread * truth
    probability = (1 / (1 + np.exp(-logits))).astype(np.float32)
    found = ranked(probability, truth)
    auc, precision = exact(probability, truth)
    assert abs(found.auc - auc) <= found.within
    assert abs(found.average_precision - precision) <= found.within
    assert found.auc == pytest.approx(auc, abs=1e-4)
    assert found.average_precision == pytest.approx(precision, abs=5e-4)


def test_of_many_pixels_the_error_is_below_one_in_ten_thousand():
    rng = np.random.default_rng(1)
    truth = rng.random(2_000_000) < 0.1
    logits = 3 * rng.standard_normal(truth.size) + 4 * truth
    found = ranked(1 / (1 + np.exp(-logits)), truth)
    assert found.within < 1e-4


def test_floats_that_are_nearest_to_one_and_a_half_have_a_bin_each():
    chances = [1 - k * 2.0**-24 for k in range(5)]
    found = ranked([*chances, 0.5], [0, 1, 0, 1, 0, 1])
    auc, precision = exact(np.float32([*chances, 0.5]), np.array([0, 1, 0, 1, 0, 1]) > 0)
    assert (found.auc, found.average_precision) == pytest.approx((auc, precision), abs=1e-12)
    assert found.within == 0


def test_files_add_up_in_any_order():
    rng = np.random.default_rng(2)
    chance, truth = rng.random(1000), rng.random(1000) < 0.5
    parts = Ranking()
    for part in np.array_split(rng.permutation(1000), 7):
        parts.add(chance[part], truth[part])
    np.testing.assert_array_equal(parts.counts, ranked(chance, truth).counts)


@pytest.mark.parametrize("chance", [0.0, -0.0, 1e-40, 0.5, 1.0, 1.0000001])
def test_equal_probabilities_rank_nothing(chance):
    found = ranked([chance] * 4, [0, 1, 1, 0])
    assert (found.auc, found.average_precision) == (0.5, 0.5)


@pytest.mark.parametrize("truth", [[], [0, 0], [1, 1]])
def test_of_one_kind_alone_there_is_no_auc(truth):
    found = ranked([0.3, 0.7][: len(truth)], truth)
    assert np.isnan(found.auc)
    assert np.isnan(found.average_precision) == (sum(truth) == 0)
