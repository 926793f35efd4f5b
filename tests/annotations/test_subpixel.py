"""Outlines between pixels hold the centres of the same pixels, and lie where the probabilities are equal."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from rasterise import numbered

from unet_tf.annotations.outlines import find_outlines, polygons_of, signed_area
from unet_tf.annotations.subpixel import LEAST, find_subpixel_outlines
from unet_tf.prediction.objects import find_objects


def outlines_of(probabilities):
    ids, found = find_objects(probabilities.argmax(-1).astype(np.uint8), probabilities)
    boxes = {one.number: (one.top, one.left, one.bottom, one.right) for one in found}
    return ids, find_subpixel_outlines(ids, boxes, probabilities)


@given(arrays.arrays(np.float32, (7, 8, 3), elements=st.floats(0, 1, width=32)))
@settings(max_examples=150)
def test_the_pixels_come_back_from_rounded_outlines(values):
    probabilities = values / np.maximum(values.sum(-1, keepdims=True), np.float32(1e-6))
    ids, outlines = outlines_of(probabilities)
    rounded = {number: [ring.round(3) for ring in rings] for number, rings in outlines.items()}
    np.testing.assert_array_equal(numbered(rounded, ids.shape), ids)
    for rings in outlines.values():
        for shell, *holes in polygons_of(rings):
            assert signed_area(shell) > 0
            assert all(signed_area(hole) < 0 for hole in holes)


def test_the_border_is_where_the_probabilities_are_equal():
    one = np.array([0.1, 0.3, 0.8, 0.9])  # leads of 0.4 and 0.6: at 0.4 of the step
    probabilities = np.repeat(np.stack([1 - one, one], axis=-1)[None], 3, axis=0)
    _, outlines = outlines_of(probabilities)
    (ring,) = outlines[1]
    assert ring[:, 0].min() == 1.5 + 0.4
    assert (ring[:, 0].max(), ring[:, 1].min(), ring[:, 1].max()) == (4, 0, 3)


def test_objects_that_touch_share_their_border():
    probabilities = np.array([[[0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]] * 2)
    _, outlines = outlines_of(probabilities)
    left, right = outlines[1][0], outlines[2][0]
    at = 0.5 + 0.7 / (0.7 + 0.4)  # by the leads over the second class
    np.testing.assert_allclose((left[:, 0].max(), right[:, 0].min()), (at, at), rtol=1e-12)


def test_a_sure_net_gives_the_border_halfway():
    label = np.zeros((9, 9), np.uint8)
    label[3:6, 2:7] = 1
    ids, outlines = outlines_of(np.eye(2)[label])
    (ring,), (exact,) = outlines[1], find_outlines(ids)[1]
    np.testing.assert_array_equal([ring.min(0), ring.max(0)], [exact.min(0), exact.max(0)])


def test_a_border_keeps_off_the_centres():
    one = np.array([[0.5000001, 0.0, 0.0]])
    _, outlines = outlines_of(np.stack([1 - one, one], axis=-1))
    np.testing.assert_allclose(outlines[1][0][:, 0].max(), 0.5 + LEAST / (1 + LEAST), rtol=1e-12)
