"""No point moves further than was allowed, and no ring is lost."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from unet_tf.annotations.outlines import find_outlines, signed_area
from unet_tf.annotations.simplify import simplify


def distance(point, ring):
    """From a point to the nearest side of a ring."""
    best = np.inf
    for begin, end in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        along, to = end - begin, point - begin
        share = min(1, max(0, float(to @ along) / max(float(along @ along), 1e-300)))
        best = min(best, float(np.hypot(*(to - share * along))))
    return best


@given(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 1)),
    st.floats(0.1, 5),
)
@settings(max_examples=150)
def test_no_point_moves_further_and_no_ring_is_lost(mask, tolerance):
    rings = find_outlines(mask).get(1, ())
    fewer = simplify(rings, tolerance)
    assert len(fewer) == len(rings)
    for old, new in zip(rings, fewer, strict=True):
        assert len(new) >= 3
        assert signed_area(old) * signed_area(new) > 0
        assert {tuple(point) for point in new.tolist()} <= {tuple(point) for point in old.tolist()}
        assert max(distance(point, new) for point in old) <= tolerance * (1 + 1e-9)


@pytest.mark.parametrize("tolerance", [0.5, 1, 2, 4])
def test_a_circle_has_the_fewer_points_the_more_may_move(tolerance):
    mask = cv2.circle(np.zeros((130, 130), np.uint8), (64, 64), 60, 1, -1)
    (ring,) = find_outlines(mask)[1]
    (new,) = simplify([ring], tolerance)
    (newer,) = simplify([ring], 2 * tolerance)
    assert len(newer) < len(new) < len(ring)
    assert abs(signed_area(new) - mask.sum()) <= 2 * np.pi * 61 * tolerance


def test_nothing_is_left_out_at_nought():
    ring = np.array([[0, 0], [1, 0], [2, 0], [2, 2], [0, 2]], float)
    assert simplify([ring], 0)[0] is ring
    assert simplify([], 3) == ()


def test_points_on_a_straight_side_go_at_the_least_tolerance():
    ring = np.array([[0, 0], [1, 0], [2, 0], [2, 2], [0, 2]], float)
    assert simplify([ring], 1e-9)[0].tolist() == [[0, 0], [2, 0], [2, 2], [0, 2]]


@pytest.mark.parametrize("tolerance", [1, 1e6, np.inf])
def test_rings_that_would_vanish_stay(tolerance):
    mask = np.zeros((5, 9), np.uint8)
    mask[2, 1:8] = 1  # a line one pixel wide
    (ring,) = find_outlines(mask)[1]
    assert simplify([ring], tolerance)[0].tolist() == [[1, 2], [8, 2], [8, 3], [1, 3]]


def test_a_ring_that_would_vanish_is_simplified_less():
    mask = cv2.circle(np.zeros((30, 30), np.uint8), (15, 15), 9, 1, -1)
    (ring,) = find_outlines(mask)[1]
    (new,) = simplify([ring], 100)
    assert 3 <= len(new) <= 6
    assert signed_area(new) > 0


def test_a_ring_of_a_million_points_is_simplified():
    turn = np.linspace(0, 2 * np.pi, 1_000_000, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1) * 1e5
    (new,) = simplify([ring], 10)
    assert 200 < len(new) < 1000
