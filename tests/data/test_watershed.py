import cv2
import numpy as np
import pytest

from unet_tf.data.watershed import deepest_valley, part, spread, watershed


def disks(*centres, radius=10, shape=(60, 80)):
    mask = np.zeros(shape, np.uint8)
    for column, row in centres:
        cv2.circle(mask, (column, row), radius, 1, -1)
    return mask


def test_two_disks_that_overlap_are_parted_at_the_neck():
    mask = disks((20, 30), (36, 30))
    parts = part(mask, 0.75)
    assert parts.max() == 2
    np.testing.assert_array_equal(parts > 0, mask > 0)
    rows, columns = np.nonzero(parts == 1)
    assert columns.max() in (27, 28)  # half way
    assert (parts == 1).sum() == pytest.approx((parts == 2).sum(), rel=0.1)
    assert len(rows)


def test_depth_is_how_far_the_half_width_falls():
    mask = disks((20, 30), (36, 30))  # the distance is 10 at the centres, and 7 at the neck
    assert [part(mask, depth).max() for depth in (3.0, 4.0)] == [2, 1]


@pytest.mark.parametrize(
    "mask", [disks((20, 30)), np.ones((20, 30)), np.zeros((20, 30)), np.ones((1, 1)), np.ones((0, 3))]
)
def test_what_has_no_neck_stays_whole(mask):
    np.testing.assert_array_equal(part(mask, 0.5), mask)


def test_pieces_are_never_joined_and_corners_touch():
    mask = np.eye(4, dtype=bool)
    mask[0, 3] = True
    assert part(mask, 9.0).tolist() == [[1, 0, 0, 2], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_an_object_that_the_edge_cuts_goes_on_beyond_it():
    mask = disks((0, 30), (16, 30))
    assert part(mask, 0.75).max() == 2
    assert part(mask[:, :1], 0.75).max() == 1


def test_parts_do_not_depend_on_what_else_is_there():
    one, both = disks((20, 30), (36, 30)), disks((20, 30), (36, 30), (65, 30))
    np.testing.assert_array_equal(part(one, 0.75), np.where(one, part(both, 0.75), 0))


@pytest.mark.parametrize("seed", range(5))
def test_every_part_is_one_piece_and_every_pixel_is_of_one(seed):
    mask = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(90, 70)), (0, 0), 3) > 0
    for depth in (0.0, 0.5, 2.0):
        parts = part(mask, depth)
        np.testing.assert_array_equal(parts > 0, mask)
        assert sorted(set(parts[mask].tolist())) == list(range(1, parts.max() + 1))
        pieces = [cv2.connectedComponents((parts == n).astype(np.uint8))[0] - 1 for n in range(1, parts.max() + 1)]
        assert set(pieces) == {1}
    whole = part(mask, np.inf)
    assert whole.max() == cv2.connectedComponents(mask.astype(np.uint8))[0] - 1


def test_a_plateau_is_one_hill_and_equal_summits_are_joined_over_it():
    heights = np.array([[2, 2, 2, 2, 1, 2, 2]])
    assert watershed(heights, heights > 0, 0.5).tolist() == [[1, 1, 1, 1, 1, 2, 2]]
    assert watershed(heights, heights > 0, 1.5).tolist() == [[1] * 7]


def test_a_joined_hill_counts_by_its_highest_summit():
    # 5 and 4 are joined over 3.5; 4.5 then stands against 5: its valley to it is 4.5 - 2
    heights = np.array([[5, 3.5, 4, 2, 4.5]])
    assert watershed(heights, heights > 0, 1.0).tolist() == [[1, 1, 1, 2, 2]]
    assert watershed(heights, heights > 0, 2.6).tolist() == [[1] * 5]


def test_seeds_grow_as_fast_as_each_other_and_stay_in_their_piece():
    inside = np.array([[1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [1, 1, 0, 1, 1]])
    seeds = np.zeros((3, 5), np.uint16)
    seeds[0, 0], seeds[0, 4], seeds[2, 1] = 7, 3, 5
    assert spread(seeds, inside).tolist() == [[7, 7, 7, 3, 3], [0] * 5, [5, 5, 0, 8, 8]]


def test_seeds_grow_round_corners_and_not_through_walls():
    inside = np.ones((5, 5), int)
    inside[1:, 2] = 0
    seeds = np.zeros((5, 5), int)
    seeds[4, 0] = 1
    np.testing.assert_array_equal(spread(seeds, inside), inside)


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (4, 5)])
def test_without_seeds_pieces_are_numbered(shape):
    np.testing.assert_array_equal(spread(np.zeros(shape, int), np.ones(shape)), np.ones(shape))


def test_the_deepest_valley_is_where_parts_become_one():
    mask = disks((20, 30), (36, 30), (50, 30))
    valley = deepest_valley(mask)
    assert [part(mask, depth).max() for depth in (valley, np.nextafter(valley, 9))] == [2, 1]
    assert [deepest_valley(one) for one in (disks((20, 30), (60, 30)), np.ones((3, 3)), np.zeros((3, 3)))] == [0, 0, 0]
