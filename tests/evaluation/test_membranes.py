import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import adapted_rand_error, contingency_table, variation_of_information

from unet_tf.evaluation.membranes import (
    THRESHOLDS,
    MembraneSums,
    partition_counts,
    partition_scores,
    segments,
)
from unet_tf.labels import VOID


def test_a_picture_of_nine_pixels_by_hand():
    true = np.array([[1, 1, 0], [1, 1, 0], [2, 2, 0]])  # of 6 pixels 4 are of segment 1, 2 of segment 2
    found = np.array([[1, 1, 1], [1, 0, 1], [1, 2, 2]])  # a pixel of segment 1 is membrane: a segment by itself
    # shared: 1 and 1: 3; 1 and 2: 1 (merged); 2 and 2: 1; the single pixel: 1
    pairs = 3**2 + 1 + 1 + 1
    in_found, in_true = 4**2 + 1 + 1, 4**2 + 2**2
    log = np.log2
    of_found = 4 * log(6 / 4) + log(6) + log(6)
    of_true = 4 * log(6 / 4) + 2 * log(6 / 2)
    joint = 3 * log(6 / 3) + 3 * log(6)
    mutual = of_found + of_true - joint
    counts = partition_counts(true, found)
    np.testing.assert_allclose(counts, [pairs, in_found, in_true, mutual, of_found, of_true], atol=1e-12)
    expected = [
        2 * 12 / 38, 12 / 20, 12 / 18, 2 * mutual / (of_found + of_true), mutual / of_found, mutual / of_true,
    ]  # fmt: skip
    np.testing.assert_allclose(partition_scores(counts), expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_scikit_image_s_of_the_true_foreground(seed):
    rng = np.random.default_rng(seed)
    true, found = (np.kron(rng.integers(0, 5, (6, 6)), np.ones((5, 5), int)) for _ in range(2))
    found = np.roll(found, 2, axis=1)
    pairs, in_found, in_true, mutual, of_found, of_true = partition_counts(true, found)
    inside = true > 0
    singles = np.where(found == 0, found.max() + 1 + np.arange(found.size).reshape(found.shape), found)
    shares = contingency_table(true[inside], singles[inside], normalize=False).astype(float)
    number = inside.sum()
    assert pairs == pytest.approx((shares.multiply(shares)).sum(), abs=1e-9)
    # scikit-image leaves out the pairs of a pixel with itself
    error, precision, recall = adapted_rand_error(true[inside], singles[inside], ignore_labels=())
    assert (pairs - number) / (in_true - number) == pytest.approx(precision, abs=1e-9)  # by the rows of its table
    assert (pairs - number) / (in_found - number) == pytest.approx(recall, abs=1e-9)
    assert 1 - 2 * (pairs - number) / (in_found + in_true - 2 * number) == pytest.approx(error, abs=1e-9)
    split, merge = variation_of_information(true[inside], singles[inside])  # H(found | true), H(true | found)
    assert (of_found - mutual) / number == pytest.approx(split, abs=1e-9)
    assert (of_true - mutual) / number == pytest.approx(merge, abs=1e-9)


def test_the_same_partition_scores_one_whatever_its_ids():
    rng = np.random.default_rng(0)
    true = np.kron(rng.integers(0, 9, (6, 6)), np.ones((4, 4), int))
    np.testing.assert_allclose(partition_scores(partition_counts(true, (true * 7) % 31)), np.ones(6), atol=1e-12)


def test_membranes_are_thinned_and_still_reach_the_edge():
    membrane = np.zeros((20, 31), bool)
    membrane[:, 10:17] = True
    found = segments(membrane)
    assert found.max() == 2
    assert (found == 0).sum() == 20  # one pixel in each row
    assert segments(np.zeros((3, 4), bool)).tolist() == np.ones((3, 4)).tolist()
    assert segments(np.ones((3, 4), bool)).max() <= 2  # a picture of membrane alone


def test_the_width_of_membranes_costs_nothing_and_a_gap_merges_at_some_thresholds():
    label = np.ones((40, 41), np.uint8)
    label[:, 20] = 0  # the membrane
    chance = np.full((40, 41), 0.05)
    chance[:, 18:23] = 0.95
    chance[20, 18:23] = 0.45
    sums = MembraneSums((0,))
    sums.add(label, np.stack([chance, 1 - chance], axis=-1))
    found = sums.scores
    # a gap: the probability of no membrane is 0.55 there, so from 0.6 on it is closed
    whole = np.array(THRESHOLDS) > 0.55
    assert (found.v_rand[whole] > 0.99).all()
    assert (found.v_rand[~whole] < 0.7).all()
    assert (found.v_rand_split[~whole] > 0.9).all()  # merged, not split
    assert (found.v_info[~whole] < found.v_info[whole].min()).all()
    assert found.pixel_error[4] == pytest.approx((39 * 4 + 1) / label.size)


def test_images_add_up_and_void_and_true_membranes_count_nowhere():
    rng = np.random.default_rng(0)
    chance = ndimage.gaussian_filter(rng.random((30, 30)), 2)
    label = (chance > np.median(chance)).astype(np.uint8)
    label[:, :3] = VOID
    chance = (chance - chance.min()) / np.ptp(chance)
    probabilities = np.stack([1 - chance, chance], axis=-1)
    once, twice = MembraneSums((0,)), MembraneSums((0,))
    once.add(label, probabilities)
    for _ in range(2):
        twice.add(label, probabilities)
    for one, other in zip(once.scores, twice.scores, strict=True):
        np.testing.assert_allclose(one, other)
    other = np.where(label[..., None] == VOID, 0.5, probabilities)
    changed = MembraneSums((0,))
    changed.add(label, other)
    assert changed.pixels == once.pixels == 30 * 27
    np.testing.assert_array_equal(changed.wrong, once.wrong)


def test_cells_that_void_crosses_are_parted_by_it_in_truth_and_prediction_alike():
    rng = np.random.default_rng(0)
    labels = ndimage.zoom(rng.random((9, 9)), 16, order=1)
    label = (np.abs(labels - 0.5) > 0.02).astype(np.uint8)  # thin membranes
    probabilities = np.stack([1.0 - label, label], axis=-1)
    label[:, 40:52] = label[70:80] = VOID
    sums = MembraneSums((0,))
    sums.add(label, probabilities)
    assert (sums.scores.v_rand > 0.999).all()
    assert (sums.scores.v_info > 0.999).all()


def test_true_segments_may_be_said():
    label, chance = np.ones((6, 8), np.uint8), np.zeros((6, 8, 2))
    chance[..., 1] = 1
    objects = np.repeat([[1, 1, 1, 1, 2, 2, 2, 2]], 6, axis=0)
    sums = MembraneSums((0,))
    sums.add(label, chance, objects)
    np.testing.assert_allclose(sums.scores.v_rand_merge, 0.5)
    np.testing.assert_allclose(sums.scores.v_rand_split, 1)


def test_without_a_true_segment_there_is_no_score():
    sums = MembraneSums((0,))
    assert all(np.isnan(values).all() for values in sums.scores)
    sums.add(np.zeros((4, 4), np.uint8), np.full((4, 4, 2), 0.5))
    assert np.isnan(sums.scores.v_rand).all()
    assert np.isnan(sums.scores.v_info).all()
    assert not np.isnan(sums.scores.pixel_error).any()
