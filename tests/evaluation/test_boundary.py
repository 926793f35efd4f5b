import numpy as np
import pytest
from scipy import ndimage

from unet_tf.evaluation.boundary import boundary_counts, boundary_scores
from unet_tf.labels import VOID


def reference(label, prediction, number, distance):
    """The six counts of one class by the distances of all pairs of pixels."""
    counted = label != VOID

    def edge(region):
        found = set()
        for row, column in np.argwhere(region):
            for r, c in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
                inside = 0 <= r < label.shape[0] and 0 <= c < label.shape[1]
                if inside and counted[r, c] and not region[r, c]:
                    found.add((row, column))
        return found

    def near(one, others):
        return any((one[0] - r) ** 2 + (one[1] - c) ** 2 <= distance**2 for r, c in others)

    true, found = ((ids == number) & counted for ids in (label, prediction))
    true_edge, found_edge = edge(true), edge(found)
    rims = [
        {tuple(p) for p in np.argwhere(region) if near(p, np.argwhere(counted & ~region))} for region in (true, found)
    ]
    return [
        sum(near(p, true_edge) for p in found_edge), len(found_edge), sum(near(p, found_edge) for p in true_edge),
        len(true_edge), len(rims[0] & rims[1]), len(rims[0] | rims[1]),
    ]  # fmt: skip


@pytest.mark.parametrize("distance", [0, 1, 2, 2.5])
def test_counts_are_those_of_all_pairs_of_pixels(distance):
    rng = np.random.default_rng(0)
    for _ in range(4):
        label, prediction = (
            np.digitize(ndimage.gaussian_filter(rng.normal(size=(19, 23)), 2.0), (-0.05, 0.1)).astype(np.uint8)
            for _ in range(2)
        )
        label[rng.random(label.shape) < 0.05] = VOID
        found = boundary_counts(label, prediction, 3, distance)
        for number in range(3):
            assert found[:, number].tolist() == reference(label, prediction, number, distance)


def test_a_square_that_is_moved_by_one_pixel_lies_within_one_and_not_within_none():
    label, moved = np.zeros((2, 12, 12), np.uint8)
    label[3:7, 3:7] = 1
    moved[3:7, 4:8] = 1
    near, exact = (boundary_scores(boundary_counts(label, moved, 2, distance)) for distance in (1, 0))
    assert near.f[1] == near.surface_dice[1] == 1
    # of the 12 boundary pixels of either, rows 3 and 6 share columns 4 to 6
    assert exact.f[1] == exact.surface_dice[1] == 6 / 12
    # within one pixel of the outside: 12 pixels each, and the same 6 are of both
    assert near.iou[1] == 6 / 18


def test_a_border_that_only_one_has_scores_nothing_and_one_that_none_has_does_not_exist():
    label, prediction = np.zeros((2, 6, 6), np.uint8)
    prediction[2:4, 2:4] = 1
    found = boundary_scores(boundary_counts(label, prediction, 3))
    assert found.f[:2].tolist() == found.surface_dice[:2].tolist() == [0, 0]
    assert found.iou[1] == 0
    assert all(np.isnan(values[2]) for values in found)
    everywhere = boundary_scores(boundary_counts(np.ones((6, 6), np.uint8), np.ones((6, 6), np.uint8), 2))
    assert np.isnan(everywhere.f).all()  # the frame of a picture is no border


def test_void_has_no_border_and_counts_nowhere():
    label = np.zeros((5, 9), np.uint8)
    label[:, 3:6] = VOID
    label[:, 6:] = 1
    prediction = np.where(np.arange(9) < 5, 0, 1).astype(np.uint8) * np.ones((5, 1), np.uint8)
    assert boundary_counts(label, prediction, 2).tolist() == np.zeros((6, 2)).tolist()
