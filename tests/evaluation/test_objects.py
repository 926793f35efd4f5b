import numpy as np
import pytest
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from skimage.measure import label
from skimage.metrics import contingency_table

from unet_tf.data.instances import label_from_instances
from unet_tf.data.mask_values import object_ids
from unet_tf.data.masks import MaskFormat
from unet_tf.errors import InputError
from unet_tf.evaluation.objects import THRESHOLDS, score_objects, score_predicted
from unet_tf.labels import VOID

TRUE = np.zeros((12, 20), np.uint16)
TRUE[1:5, 1:5] = 3  # 16 pixels
TRUE[1:5, 8:12] = 40_000  # with a gap in the ids
TRUE[7:11, 1:5], TRUE[7:11, 5:9] = 5, 6  # two that touch
TRUE[7:11, 12:18] = 8  # 24 pixels
PREDICTED = np.zeros((12, 20), np.uint32)
PREDICTED[1:5, 1:5] = 1  # the same: IoU 1
PREDICTED[1:4, 8:12] = 2  # a row less: IoU 12 / 16
PREDICTED[7:11, 1:9] = 70_000  # a merge: IoU 16 / 32 with each
PREDICTED[7:11, 12:15], PREDICTED[7:11, 15:18] = 9, 11  # a split: IoU 12 / 24 with each
PREDICTED[0, 19] = 12  # nothing is there


def test_hand_made_objects_are_counted():
    found = score_objects(TRUE, PREDICTED, [0.5, 0.51, 0.75, 0.76, 1])
    assert (found.true, found.predicted, found.merges, found.splits) == (5, 6, 1, 1)
    assert found.found == (4, 2, 2, 1, 1)
    assert found.overlap == (2.75, 1.75, 1.75, 1.0, 1.0)
    np.testing.assert_allclose(found.average_precision, [4 / 7, 2 / 9, 2 / 9, 1 / 10, 1 / 10])
    np.testing.assert_allclose(found.precision, [4 / 6, 2 / 6, 2 / 6, 1 / 6, 1 / 6])
    np.testing.assert_allclose(found.recall, [4 / 5, 2 / 5, 2 / 5, 1 / 5, 1 / 5])
    np.testing.assert_allclose(found.f1, [8 / 11, 4 / 11, 4 / 11, 2 / 11, 2 / 11])
    np.testing.assert_allclose(found.panoptic_quality[:2], [2.75 / (4 + 1 + 0.5), 1.75 / (2 + 2 + 1.5)])


def test_pictures_add_up():
    once = score_objects(TRUE, PREDICTED)
    twice = once + once
    assert (twice.true, twice.predicted, twice.merges, twice.splits) == (10, 12, 2, 2)
    assert twice.found == tuple(2 * one for one in once.found)
    np.testing.assert_allclose(twice.panoptic_quality, once.panoptic_quality)
    with pytest.raises(InputError, match="one list of thresholds"):
        once + score_objects(TRUE, PREDICTED, [0.5])


@pytest.mark.parametrize("seed", range(20))
def test_an_optimal_assignment_finds_as_many(seed):
    true, predicted = _stripes(seed), _stripes(seed + 100)
    found = score_objects(true, predicted)
    iou = np.array([[_iou(true == t, predicted == p) for p in _objects(predicted)] for t in _objects(true)])
    for threshold, one, overlap in zip(THRESHOLDS, found.found, found.overlap, strict=True):
        # as StarDist does: most pairs above the threshold first, the higher IoU among equals
        costs = -(iou >= threshold).astype(float) - iou / (2 * min(iou.shape))
        rows, columns = linear_sum_assignment(costs)
        same = iou[rows, columns] >= threshold
        assert one == same.sum()
        assert overlap == pytest.approx(iou[rows, columns][same].sum())


def test_halves_of_one_object_count_once_at_a_half():
    true, halves = np.array([[4, 4, 0, 2, 3]]), np.array([[1, 2, 0, 6, 6]])
    assert score_objects(true, halves, [0.5]).found == (2,)
    assert score_objects(halves, true, [0.5]).found == (2,)


def test_of_two_halves_of_an_object_the_one_that_is_not_matched_is_not_counted_where_void_hides_most_of_it():
    true, label = np.array([[4, 4, 0, 0, 0]]), np.array([[1, 1, VOID, VOID, 0]], np.uint8)
    found = score_predicted(true, label, np.array([[1, 2, 2, 2, 0]]))  # each half has an IoU of 0.5
    assert (found.true, found.predicted, found.found[:2]) == (1, 1, (1, 0))


@pytest.mark.parametrize("shape", [(3, 4), (0, 5), (1, 1)])
def test_of_no_object_there_is_no_score(shape):
    nothing = np.zeros(shape, np.uint16)
    found = score_objects(nothing, nothing)
    assert (found.true, found.predicted, found.merges, found.splits, sum(found.found)) == (0, 0, 0, 0, 0)
    for name in ("average_precision", "precision", "recall", "f1", "panoptic_quality"):
        assert np.isnan(getattr(found, name)).all()
    missed = score_objects(np.ones((2, 2), bool), np.zeros((2, 2), bool))
    assert (missed.average_precision.tolist(), missed.recall.tolist()) == ([0.0] * 10, [0.0] * 10)
    assert np.isnan(missed.precision).all()


def test_many_objects_are_matched_by_their_pixels():
    ids = np.arange(1, 300 * 300 + 1, dtype=np.uint32).reshape(300, 300)
    found = score_objects(ids, ids[::-1, ::-1])
    assert (found.true, set(found.found)) == (90_000, {90_000})


@pytest.mark.parametrize(
    ("true", "predicted", "thresholds", "words"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), [0.5], "one shape"),
        (np.zeros((2, 3)), np.zeros((2, 3), int), [0.5], r"whole numbers from 0; received \(2, 3\) float64"),
        (np.zeros((2, 3), int), np.full((2, 3), -1), [0.5], "predicted objects must be"),
        (np.zeros((2, 3, 1), int), np.zeros((2, 3, 1), int), [0.5], "true objects must be"),
        (np.zeros((2, 3), int), np.zeros((2, 3), int), [0.4], "0.5 to 1"),
        (np.zeros((2, 3), int), np.zeros((2, 3), int), [float("nan")], "0.5 to 1"),
    ],
)
def test_what_are_no_objects_is_refused(true, predicted, thresholds, words):
    with pytest.raises(InputError, match=words):
        score_objects(true, predicted, thresholds)


def _stripes(seed):
    """(1, 60) ids of neighbouring stretches, so that halves and merges are common."""
    rng = np.random.default_rng(seed)
    ids = np.repeat(rng.permutation(30), rng.integers(1, 5, 30))[:60]
    return np.pad(ids, (0, 60 - len(ids)))[None]


def _objects(ids):
    return [one for one in np.unique(ids) if one]


def _iou(a, b):
    return (a & b).sum() / (a | b).sum()


def stardist(true, predicted, threshold):
    """TP, FP, FN and the sum of IoU by the formulas of StarDist's matching, pixel by pixel and pair by pair."""
    iou = np.array([[_iou(true == t, predicted == p) for p in _objects(predicted)] for t in _objects(true)])
    iou = iou.reshape(len(_objects(true)), len(_objects(predicted)))
    rows, columns = linear_sum_assignment(-(iou >= threshold).astype(float) - iou / (2 * max(1, *iou.shape)))
    matched = iou[rows, columns][iou[rows, columns] >= threshold]
    return len(matched), iou.shape[1] - len(matched), iou.shape[0] - len(matched), matched.sum()


@pytest.mark.parametrize("seed", range(6))
def test_scores_are_stardist_s_to_a_billionth(seed):
    rng = np.random.default_rng(seed)
    true = label(ndimage.gaussian_filter(rng.normal(size=(60, 60)), 2) > 0.05)
    predicted = label(ndimage.gaussian_filter(rng.normal(size=(60, 60)), 0.5) * 0.2 + (true > 0) > 0.5)
    found = score_objects(true, predicted)
    for place, threshold in enumerate(THRESHOLDS):
        tp, fp, fn, overlap = stardist(true, predicted, threshold)
        expected = {
            "precision": tp / (tp + fp), "recall": tp / (tp + fn), "average_precision": tp / (tp + fp + fn),
            "f1": 2 * tp / (2 * tp + fp + fn), "panoptic_quality": overlap / (tp + fp / 2 + fn / 2),
        }  # fmt: skip
        for name, value in expected.items():
            assert getattr(found, name)[place] == pytest.approx(value, abs=1e-9), (name, threshold)


@pytest.mark.parametrize("seed", range(4))
def test_overlaps_are_those_of_scikit_image_s_contingency_table(seed):
    rng = np.random.default_rng(seed)
    true, predicted = (np.kron(rng.integers(0, 7, (8, 8)), np.ones((3, 3), int)) for _ in range(2))
    predicted = np.roll(predicted, 1, axis=0)
    table = np.asarray(contingency_table(true, predicted).todense())
    iou = table / (table.sum(1)[:, None] + table.sum(0)[None] - table)
    held = table[1:, 1:]
    found = score_objects(true, predicted, [0.51])
    assert found.found == ((iou[1:, 1:] >= 0.51).sum(),)
    assert found.overlap[0] == pytest.approx(iou[1:, 1:][iou[1:, 1:] >= 0.51].sum(), abs=1e-9)
    assert found.merges == ((2 * held > table.sum(1)[1:, None]).sum(0) > 1).sum()
    assert found.splits == ((2 * held > table.sum(0)[None, 1:]).sum(1) > 1).sum()


def test_objects_of_a_border_class_lie_to_their_rim_and_void_counts_nowhere():
    ids = np.zeros((8, 16), np.uint16)
    ids[1:7, 1:7], ids[1:7, 9:15] = 4, 7
    masks = MaskFormat("instance", 3, border=1, void=(7,))
    true = masks.label(ids)
    drawn = label_from_instances(ids, 1)
    of_file = object_ids(np.repeat(ids[..., None], 3, axis=2).astype(np.float32))
    found = score_predicted(of_file, masks.real_label(true), masks.objects(drawn))
    assert (found.true, found.predicted, found.found[-1]) == (1, 1, 1)


def test_an_object_that_void_cuts_is_found_by_what_is_seen_of_it():
    """Eight columns, of which six are void: the true object and the one drawn lie there for the most part."""
    true, label, drawn = np.zeros((10, 12), np.uint16), np.zeros((10, 12), np.uint8), np.zeros((10, 12), np.uint32)
    label[:, :6] = VOID
    true[:, 1:8], drawn[:, :8] = 9, 70_000  # two columns of each count
    found = score_predicted(true, label, drawn)
    assert (found.true, found.predicted, set(found.found)) == (1, 1, {1})
    drawn[:4] = 0  # 12 of 20 pixels: the same at 0.5 to 0.6, and counted as no true object above
    found = score_predicted(true, label, drawn)
    assert (found.true, found.predicted, found.found) == (1, 1, (1, 1, 1, 0, 0, 0, 0, 0, 0, 0))
    drawn[:6] = 0  # 8 of 20: none that was to be found, and nobody knows what the rest is
    found = score_predicted(true, label, drawn)
    assert (found.true, found.predicted, sum(found.found)) == (1, 0, 0)


def test_a_predicted_object_that_is_mostly_void_and_fits_none_is_not_counted():
    true = np.zeros((4, 12), np.uint16)
    label = np.zeros((4, 12), np.uint8)
    true[:, :2], label[:, :2], label[:, 6:9] = 1, 1, VOID
    drawn = np.zeros((4, 12), np.uint8)
    drawn[:, :2], drawn[:, 6:10], drawn[1, 11] = 1, 1, 1  # found; three of four columns are void; invented
    found = score_predicted(true, label, MaskFormat("instance").objects(drawn))
    assert (found.true, found.predicted, found.found[0]) == (1, 2, 1)
