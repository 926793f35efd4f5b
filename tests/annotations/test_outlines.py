"""Outlines give back exactly the pixels they were made of, and are valid polygons."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rasterise import PICTURES, inside, numbered, picture

from unet_tf.annotations.outlines import (
    Borders,
    find_borders,
    find_outlines,
    outlines_of,
    polygons_of,
    signed_area,
    signed_areas,
)
from unet_tf.prediction.objects import find_objects

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))


def check(ids):
    """The pixels come back, no ring meets itself, and a polygon is pixels that hang together by their sides."""
    outlines = find_outlines(ids)
    assert list(outlines) == [one for one in np.unique(ids).tolist() if one]
    np.testing.assert_array_equal(numbered(outlines, ids.shape), ids)
    for number, rings in outlines.items():
        assert signed_areas(rings).tolist() == [signed_area(ring) for ring in rings]
        assert sum(map(signed_area, rings)) == (ids == number).sum()
        for ring in rings:
            assert ring.dtype == np.float64
            assert len(ring) >= 4
            assert len(np.unique(ring, axis=0)) == len(ring)
            turns = np.diff([*ring, ring[0], ring[1]], axis=0)  # of corners alone each side is across the one before
            assert (np.count_nonzero(turns, axis=1) == 1).all()
            assert (turns[1:] * turns[:-1] == 0).all()
        count, pieces = cv2.connectedComponents((ids == number).astype(np.uint8), connectivity=4)
        polygons = polygons_of(rings)
        assert len(polygons) == count - 1
        for shell, *holes in polygons:
            assert signed_area(shell) > 0
            assert all(signed_area(hole) < 0 for hole in holes)
            found = inside([shell, *holes], ids.shape)
            np.testing.assert_array_equal(found, pieces == pieces[found][0])


@pytest.mark.parametrize("rows", PICTURES.values(), ids=PICTURES)
def test_the_pixels_come_back(rows):
    check(picture(rows))


@given(arrays.arrays(np.uint16, SHAPES, elements=st.integers(0, 2)))
@settings(max_examples=150)
def test_the_pixels_of_any_ids_come_back(ids):
    check(ids)


@given(arrays.arrays(np.uint8, SHAPES, elements=st.integers(0, 1)))
@settings(max_examples=150)
def test_the_pixels_of_any_objects_come_back(label):
    check(find_objects(label)[0])


@given(arrays.arrays(np.uint16, SHAPES, elements=st.integers(0, 2)), SHAPES)
@settings(max_examples=150)
def test_borders_of_windows_make_the_same_outlines(ids, window):
    height, width = ids.shape
    padded = np.pad(ids, 1)
    found = [
        find_borders(padded[top : top + window[0] + 2, left : left + window[1] + 2], width, top, left)
        for top in range(0, height, window[0])
        for left in range(0, width, window[1])
    ]
    joined = outlines_of(Borders(*map(np.concatenate, zip(*found, strict=True))), width)
    assert {number: [ring.tolist() for ring in rings] for number, rings in joined.items()} == {
        number: [ring.tolist() for ring in rings] for number, rings in find_outlines(ids).items()
    }


def test_rings_are_as_drawn_by_hand():
    ids = picture(["1110", "1010", "1112"])
    assert {number: [ring.tolist() for ring in rings] for number, rings in find_outlines(ids).items()} == {
        1: [[[0, 0], [3, 0], [3, 3], [0, 3]], [[1, 2], [2, 2], [2, 1], [1, 1]]],
        2: [[[3, 2], [4, 2], [4, 3], [3, 3]]],
    }


def test_an_empty_picture_has_no_outlines():
    assert find_outlines(np.zeros((0, 5), np.uint16)) == find_outlines(np.zeros((4, 0), np.uint16)) == {}


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32, np.int32, np.int64])
def test_ids_of_any_integers_are_kept(kind):
    top = np.iinfo(kind).max
    assert list(find_outlines(np.array([[top, 0, 1]], kind))) == [1, int(top)]


def test_more_objects_than_16_bits_number():
    ids = np.zeros((600, 600), np.int32)
    ids[::2, ::2] = np.arange(90_000).reshape(300, 300) + 1
    outlines = find_outlines(ids)
    assert list(outlines) == [*range(1, 90_001)]
    assert outlines[301][0].tolist() == [[0, 2], [1, 2], [1, 3], [0, 3]]


def test_areas_of_convex_objects_are_those_of_opencv():
    """OpenCV's contours run through the centres of the pixels at the border: half a pixel of each is missing."""
    mask = cv2.circle(np.zeros((60, 70), np.uint8), (30, 28), 20, 1, -1)
    (ring,) = find_outlines(mask)[1]
    (contour,), _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    assert signed_area(ring) == mask.sum() == cv2.countNonZero(mask)
    assert signed_area(ring) > cv2.contourArea(contour)
    drawn = cv2.drawContours(np.zeros_like(mask), [contour], 0, 1, -1)
    np.testing.assert_array_equal(inside([ring], mask.shape), drawn)
