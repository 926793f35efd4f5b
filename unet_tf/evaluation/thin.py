"""clDice: how well lines stay connected, of the classes that are thin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.evaluation.skeleton import skeleton
from unet_tf.labels import VOID

WIDEST = 10.0
"""Mean width, pixels, from which on a class is not thin: membranes have 7 (isbi2012), cracks 4, nuclei 22."""
LONGEST = 20.0
"""Lengths per width from which on it is: poles have 29 (CamVid), cracks 124, pedestrians 14, nuclei 1."""
BODY, MOST_BODY = 2.5, 0.22
"""Mean widths from which on a place is a body, and share of the area that may lie there: stars have long arms, too.
Membranes have 0.14 (isbi2012), cracks 0.07, poles 0.08 (CamVid), stars of five to twelve arms 0.25 to 0.36."""
LOOK = 8
"""Files in which a class is no area, by which it is told whether the others need to be looked at."""


class ClDice(NamedTuple):
    """How well the lines of a class were found; NaN where there are none.

    Attributes:
        cldice: 2 P S / (P + S).
        precision: P, topology precision: share of the predicted skeleton inside the true region.
        sensitivity: S, topology sensitivity: share of the true skeleton inside the predicted region.
    """

    cldice: float
    precision: float
    sensitivity: float


def cldice(counts: NDArray) -> ClDice:
    """Compute clDice from what it is made of, summed over images.

    Args:
        counts: (4,) pixels of the predicted skeleton inside the true region, all of it, of the true skeleton inside the
            predicted region, all of it.

    Example:
        >>> cldice(np.array([4, 4, 4, 5]))  # a line of five pixels, found without the middle one
        ClDice(cldice=0.888..., precision=1.0, sensitivity=0.8)

    Reference:
        Shit et al.: clDice, a novel topology-preserving loss function for tubular structure segmentation (CVPR 2021),
        equations 1 and 2.
    """
    inside, drawn, found, lines = np.asarray(counts, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, sensitivity = inside / drawn, found / lines
        both = 2 * precision * sensitivity / (precision + sensitivity)
    if drawn + lines > 0 and not inside + found > 0:  # only one of them has lines, or they meet nowhere
        both = np.float64(0)
    return ClDice(float(both), float(precision), float(sensitivity))


class Shape(NamedTuple):
    """How wide and long the true regions of a class are, by their skeletons.

    Attributes:
        width: pixels of the regions for each of their skeletons.
        length: of the piece of skeleton in which one of its pixels lies, pixels, in the mean.
        body: share of the regions that is `BODY` times as wide.
        files: number of files in which they lie, and of those that hold the class, where it is an area in some.
    """

    width: float
    length: float
    body: float = 0.0
    files: tuple[int, int] | None = None

    @property
    def thin(self) -> bool:
        """Whether regions of this shape are lines."""
        return self.width <= WIDEST and self.length >= LONGEST * self.width and self.body <= MOST_BODY

    def __str__(self) -> str:
        words = f"{self.width:.1f} px wide and {self.length / self.width:.0f} times as long"
        files = f" in {self.files[0]} of {self.files[1]} files, as it is an area in the others" if self.files else ""
        return f"{words}, by the skeleton of its truth{files}"


class ThinSums:
    """The counts of clDice over files, of the classes that are thin.

    Whether a class is thin its truth says: pixels per pixel of its skeleton are its mean width, at most `WIDEST`; the
    piece of skeleton that a pixel of it lies in is `LONGEST` times as long, in the mean; and at most `MOST_BODY` of its
    area lies where it is `BODY` times as wide, so that stars are no lines. A file in which it has more than ten times
    as many pixels as border pixels shows no line of it: that is left out, and needs no skeleton; a class of which most
    files are such is not thin, which is told at the end. Skeletons are drawn in the first `LOOK` of the other files
    that hold a class, and in the rest only if its shape in these is thin. So the order of the files may matter where
    its shape changes from file to file, and parts of them may look to the end where all together do not.

    Args:
        num_classes: C.
    """

    def __init__(self, num_classes: int) -> None:
        self.counts = np.zeros((num_classes, 4), np.int64)
        self.files, self.wide, self.area, self.squares, self.body = np.zeros((5, num_classes))
        self.looked_at = [*range(num_classes)]

    def add(self, label: NDArray, prediction: NDArray, confusion: NDArray, border: NDArray) -> None:
        """Count a file: two of (H, W) ids, their (C, C) confusion matrix, (C,) border pixels of the true regions."""
        counted, area, predicted = label != VOID, confusion.sum(1), confusion.sum(0)
        for number in [one for one in self.looked_at if area[one] or predicted[one]]:
            self.files[number] += area[number] > 0
            if area[number] > WIDEST * border[number]:
                self.wide[number] += 1
                continue
            true, found = ((ids == number) & counted for ids in (label, prediction))
            lines, drawn = skeleton(true), skeleton(found)
            self.counts[number] += (drawn & true).sum(), drawn.sum(), (lines & found).sum(), lines.sum()
            self.area[number] += area[number]
            self.squares[number] += _squared_lengths(lines)
            self.body[number] += _body(true, lines)
            if self.files[number] - self.wide[number] == LOOK and not self._has_lines(number):
                self.looked_at.remove(number)

    def __add__(self, other: ThinSums) -> ThinSums:
        """The counts of the files of both, of the classes that were looked at to the end in both."""
        total = ThinSums(len(self.counts))
        for name in ("counts", "files", "wide", "area", "squares", "body"):
            setattr(total, name, getattr(self, name) + getattr(other, name))
        total.looked_at = [number for number in self.looked_at if number in other.looked_at]
        return total

    def thin(self, number: int) -> bool:
        """Whether a class is thin by the files until now, of which most must show it as lines."""
        return bool(2 * self.wide[number] <= self.files[number]) and self._has_lines(number)

    def _has_lines(self, number: int) -> bool:
        """Whether a class is thin where it is no area."""
        return bool(self.counts[number, 3] > 0) and self.shape(number).thin

    def shape(self, number: int) -> Shape:
        """How wide and long the regions of a class are in the files until now that are not wide; it must have one."""
        lines = float(self.counts[number, 3])
        area = float(self.area[number])
        files, wide = int(self.files[number]), int(self.wide[number])
        shown = (files - wide, files) if wide else None
        return Shape(area / lines, float(self.squares[number]) / lines, float(self.body[number]) / area, shown)

    def of_classes(self, names: Sequence[str]) -> dict[str, tuple[ClDice, Shape]]:
        """The scores and shapes of the thin classes by name."""
        return {names[n]: (cldice(self.counts[n]), self.shape(n)) for n in self.looked_at if self.thin(n)}


def _body(region: NDArray[np.bool_], lines: NDArray[np.bool_]) -> int:
    """Pixels of a region where it is `BODY` times as wide as along its skeleton, of which long pieces count most."""
    pieces = cv2.connectedComponents(lines.astype(np.uint8))[1][lines]
    if not pieces.size:
        return 0
    outside = cv2.distanceTransform(np.pad(region.astype(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]
    width = np.average(2 * outside[lines] - 1, weights=np.bincount(pieces)[pieces])
    side = int(BODY * min(width, WIDEST)) + 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return int(cv2.morphologyEx(region.astype(np.uint8), cv2.MORPH_OPEN, disk).sum())


def _squared_lengths(lines: NDArray[np.bool_]) -> int:
    """Sum over the 8-connected pieces of a skeleton of the squares of their pixels."""
    pieces = cv2.connectedComponents(lines.astype(np.uint8))[1]
    return int(np.square(np.bincount(pieces[lines])).sum())
