import numpy as np
import pytest

from unet_tf.evaluation.intervals import DRAWS, FEWEST, bootstrap


def mean(sums):
    return sums[:, :1] / sums[:, 1:]


def counts_of(values):
    return np.stack([values, np.ones_like(values)], axis=1)


def test_the_interval_of_a_mean_is_that_of_its_standard_error():
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    low, high = bootstrap(counts_of(values), mean)[:, 0]
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_it_holds_the_truth_about_as_often_as_it_says():
    rng, held = np.random.default_rng(1), 0
    for seed in range(200):
        low, high = bootstrap(counts_of(rng.normal(size=40)), mean, seed=seed)[:, 0]
        held += low <= 0 <= high
    assert 178 <= held <= 198  # 95 % of 200, of which 40 values give a little less


def test_images_of_a_group_are_drawn_together():
    values = np.repeat(np.random.default_rng(2).normal(size=30), 10)
    alone = bootstrap(counts_of(values), mean)
    together = bootstrap(counts_of(values), mean, groups=np.repeat(np.arange(30), 10).tolist())
    ratio = np.ptp(together) / np.ptp(alone)
    assert ratio == pytest.approx(np.sqrt(10), rel=0.1)


def test_it_is_the_same_each_time_and_few_images_have_none():
    values = np.random.default_rng(3).normal(size=FEWEST)
    np.testing.assert_array_equal(bootstrap(counts_of(values), mean), bootstrap(counts_of(values), mean))
    assert bootstrap(counts_of(values[1:]), mean) is None
    assert bootstrap(counts_of(values), mean, groups=["a"] * FEWEST) is None


def test_what_does_not_exist_in_some_draws_is_left_out_of_them_and_in_all_is_none():
    counts = np.zeros((6, 2))
    counts[0] = 1
    with np.errstate(invalid="ignore"):
        ends = bootstrap(counts, lambda sums: np.concatenate([mean(sums), sums[:, :1] * np.nan], axis=1))
    assert ends[:, 0].tolist() == [1, 1]
    assert np.isnan(ends[:, 1]).all()


def test_the_parts_that_are_computed_at_once_change_nothing(monkeypatch):
    counts = np.random.default_rng(4).random((8, 2, 50))
    sums = []
    whole = bootstrap(counts, lambda some: sums.append(len(some)) or some[:, 0])
    monkeypatch.setattr("unet_tf.evaluation.intervals.AT_ONCE", 10_000)
    parts = bootstrap(counts, lambda some: some[:, 0])
    assert sums == [DRAWS]
    np.testing.assert_allclose(parts, whole)
