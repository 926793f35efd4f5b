"""Whether masks of class ids were resized with interpolation, which draws a rim of the id between two that touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.labels import VOID
from unet_tf.pages.words import many

FAR = 0.01
"""Share of contacts between classes that may be of ids that do not follow each other, where all were interpolated."""
FEW_RIMS = 3
"""Rims below which a folder says nothing."""
THIN, WIDE = 3, 7
"""Pixels: below the first a piece is a rim; objects of a border class alone are not as wide as the second."""


class Rims(NamedTuple):
    """What a mask of class ids shows.

    Attributes:
        contacts: pairs of neighbouring pixels of two classes.
        far: those of them whose ids do not follow each other.
        thin: (classes,) pieces of each class, nowhere `THIN` wide, that touch both the class below and the one above.
        wide: (classes,) pieces that are `WIDE` somewhere and do not touch the class above.
    """

    contacts: int
    far: int
    thin: NDArray[np.int64]
    wide: NDArray[np.int64]


def rims_of(label: NDArray[np.uint8], classes: int) -> Rims:
    """Count contacts and rims in a label.

    Args:
        label: (H, W) class ids; void has no contacts.
        classes: their number.

    Example:
        >>> rims_of(np.array([[0, 0, 1, 2, 2, 1, 0, 0]] * 4, np.uint8), 3).thin.tolist()
        [0, 2, 0]
    """
    known, contacts, far = label != VOID, 0, 0
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        steps = cv2.absdiff(label[one], label[other]) * (known[one] & known[other])
        contacts, far = contacts + int(np.count_nonzero(steps)), far + int(np.count_nonzero(steps > 1))
    pieces = np.zeros((2, classes), np.int64)
    if far <= FAR * contacts:
        for number in range(1, classes - 1):
            pieces[:, number] = _pieces(label, number)
    return Rims(contacts, far, *pieces)


def _pieces(label: NDArray[np.uint8], number: int) -> tuple[int, int]:
    """Thin pieces of a class between its two neighbours, and wide ones apart from the upper."""
    own = (label == number).astype(np.uint8)
    count, pieces = cv2.connectedComponents(own, connectivity=8)

    def holds(picture: NDArray) -> NDArray[np.bool_]:
        """Which pieces have a pixel in a picture, (count - 1,)."""
        return np.bincount(pieces[picture > 0], minlength=count)[1:] > 0

    below, above = (holds(cv2.dilate((label == number + step).astype(np.uint8), np.ones((3, 3)))) for step in (-1, 1))
    thin, wide = (holds(cv2.erode(own, np.ones((side, side)))) for side in (THIN, WIDE))
    return int((below & above & ~thin).sum()), int((wide & ~above).sum())


def doubt_of_rims(seen: Sequence[Rims], names: Sequence[str]) -> str:
    """Say which class lies in thin rims between two that touch nowhere, and in areas in the same mask; "" for none.

    A class of borders lies in rims alone, and classes that are drawn touch others whatever their ids.

    Args:
        seen: what each mask shows.
        names: of the classes.
    """
    contacts, far = (sum(column) for column in zip(*((one.contacts, one.far) for one in seen), strict=True))
    thin = np.sum([one.thin * (one.wide > 0) for one in seen], axis=0)
    found = np.flatnonzero(thin >= FEW_RIMS).tolist()
    if far > FAR * contacts or not found:
        return ""
    listed = "; ".join(
        f"{many(int(thin[number]), 'rim')} of {names[number]} between {names[number - 1]} and {names[number + 1]}"
        for number in found
    )
    return (
        f"Masks seem to be resized with interpolation, which draws a class between two others: {listed}, one or two "
        "pixels wide, while these touch nowhere. Resize masks to the nearest pixel."
    )
