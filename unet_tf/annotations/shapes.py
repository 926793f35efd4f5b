"""What an annotation is, whatever program wrote it: rings of points in the coordinates of its picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_OBJECT = 0
"""Number of a region of a class that is of no object, where others are."""


@dataclass(frozen=True)
class Shape:
    """A region of one class, outlined by closed rings.

    Coordinates are pixels, x to the right and y down, from the outer corner of the first pixel: the centre of the pixel
    in row r and column c lies at (c + 0.5, r + 0.5). A pixel belongs to the shape if its centre lies inside an odd
    number of the rings (even-odd rule), so that a ring inside another is a hole, and rings beside it are further parts.

    Attributes:
        name: of its class.
        rings: (N, 2) float64 x and y each, N at least 3, the last point not repeating the first.
        probability: mean over its pixels of the probability of its class; None where nobody gave one.
        spans: (N, 3) int32 row, first column and the column past the last, instead of rings, where the file holds
            pixels and no outline.
        group: shapes of one picture and one group are parts of one object, and a pixel of any of them is of it; None
            where a shape is an object by itself.
        crowd: a region of several objects that nobody told apart.
        number: of the object, to be written; None for its place among those of its page, from 1; `NO_OBJECT` where it
            is of none.
    """

    name: str
    rings: tuple[NDArray[np.float64], ...] = ()
    probability: float | None = None
    spans: NDArray[np.int32] | None = None
    group: int | None = None
    crowd: bool = False
    number: int | None = None
