"""Outlines between the pixels, where the probabilities of two classes are equal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.annotations.outlines import Rings

LEAST = 0.02
"""Of a pixel's lead: so a border keeps a fiftieth of the way to its neighbour off each centre, and rounding the
coordinates moves no pixel to another object."""


def find_subpixel_outlines(
    ids: NDArray, boxes: Mapping[int, tuple[int, int, int, int]], probabilities: NDArray[np.floating]
) -> dict[int, Rings]:
    """Outline objects by marching squares on the lead of each pixel's likeliest class over the second.

    The centres of exactly an object's pixels lie inside an odd number of its rings, as in `find_outlines`; but between
    a pixel inside and one outside the border lies where the two leads, drawn as a straight line from one centre to
    the other, come to nothing. Objects that touch so have one border, and at the edge of the picture it is the edge.
    Time is linear in the pixels of all boxes.

    Args:
        ids: (H, W) numbers of the objects, 0 where there is none.
        boxes: of each object, by its number: first row, first column, last row and last column.
        probabilities: (H, W, num_classes), num_classes at least 2.

    Returns:
        Number -> rings of `unet_tf.annotations.shapes.Shape`, in the order and direction of `find_outlines`.

    Example:
        >>> p = np.array([[[0.75, 0.25], [0.25, 0.75], [0.25, 0.75]]])
        >>> find_subpixel_outlines(np.array([[0, 1, 1]]), {1: (0, 1, 0, 2)}, p)[1][0][:, 0].max()
        np.float64(3.0)
    """
    from contourpy import FillType, contour_generator

    best = np.partition(probabilities, (-2, -1), axis=-1)[..., -2:]  # (H, W, 2), the second and the first
    lead = np.pad(np.clip(best[..., 1] - best[..., 0], LEAST, 1), 1, mode="edge")
    padded = np.pad(ids, 1)
    found = {}
    for number, (top, left, bottom, right) in boxes.items():
        window = slice(top, bottom + 3), slice(left, right + 3)
        height = np.where(padded[window] == number, lead[window], -lead[window])
        filled: Any = contour_generator(z=height, fill_type=FillType.OuterOffset).filled(0, 2)
        polygons, offsets = filled
        centre = left - 0.5, top - 0.5  # of the window's first pixel
        found[number] = tuple(
            points[first : last - 1] + centre  # the last point repeats the first
            for points, bounds in zip(polygons, offsets, strict=True)
            for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
        )
    return found
