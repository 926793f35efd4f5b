"""What kind of mistake each pixel of a prediction is: missed, invented, of a wrong class, or joining two objects."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.drawing import INVENTED, MISSED, displayable
from unet_tf.labels import VOID

KINDS = ("missed", "invented", "wrong class", "merged")
"""Names of the kinds, whose ids are 1, 2, 3, 4; 0 is no mistake."""
COLOURS: tuple[tuple[int, int, int], ...] = (MISSED, INVENTED, (240, 228, 66), (204, 121, 167))
"""Their colours, of Okabe and Ito's palette: told apart by colour-blind readers too."""
MERGED = 4
GREYS = 16
"""Steps of grey of what is right: a picture of few colours is stored exactly in little room."""
NAMES_OF_BACKGROUND = {"background", "bg", "none", "nothing", "other", "rest", "unlabelled", "unlabeled", "empty"}


def has_background(classes: Sequence[str]) -> bool:
    """Whether class 0 is what lies around the others: of two classes always, of more where its name says so.

    Example:
        >>> has_background(("membrane", "cell")), has_background(("sky", "road", "car"))
        (True, False)
    """
    return len(classes) <= 2 or classes[0].strip().lower() in NAMES_OF_BACKGROUND


def mistakes(label: NDArray, prediction: NDArray, background: bool = True) -> NDArray[np.uint8]:
    """Tell the kind of each mistake.

    - missed (1): background where the label has another class;
    - invented (2): another class where the label has background;
    - wrong class (3): one class for another; without a background all mistakes are;
    - merged (4): invented between two pieces of the label, more than half of each of which lies in one predicted piece.

    Args:
        label: (H, W) ids; void is no mistake.
        prediction: (H, W) ids.
        background: whether id 0 is what lies around the other classes.

    Returns:
        (H, W) uint8, 0 where the prediction is right.

    Example:
        >>> mistakes(np.array([[1, 1, 0, 2, 2, 0]]), np.array([[1, 1, 1, 2, 1, 0]])).tolist()
        [[0, 0, 4, 0, 3, 0]]
    """
    wrong = (prediction != label) & (label != VOID)
    found = np.where(wrong, np.uint8(3), np.uint8(0))
    if not background:
        return found
    found[wrong & (prediction == 0)] = 1
    found[wrong & (label == 0)] = 2
    found[(found == 2) & _joints(label, prediction)] = MERGED
    return found


def _joints(label: NDArray, prediction: NDArray) -> NDArray[np.bool_]:
    """Where the pieces of the label that lie nearest are two, and most of each is in one predicted piece."""
    truth = (label != 0) & (label != VOID)
    if not truth.any():
        return truth
    outside = (~truth).astype(np.uint8)
    nearest = cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP)[1]
    pieces = cv2.connectedComponents((prediction != 0).astype(np.uint8))[1]
    holds = _most_of_each(nearest[truth], pieces[truth])
    numbers = nearest.astype(np.float32)  # of which OpenCV takes the largest and least of a neighbourhood
    square = np.ones((3, 3), np.uint8)
    ends = [cv2.morphologyEx(numbers, how, square).astype(np.int32) for how in (cv2.MORPH_ERODE, cv2.MORPH_DILATE)]
    low, high = (holds[end] for end in ends)
    return (ends[0] != ends[1]) & (low == high) & (low == pieces) & (pieces != 0)


def _most_of_each(objects: NDArray[np.int32], pieces: NDArray[np.int32]) -> NDArray[np.int32]:
    """By object, the predicted piece that has more than half of its pixels; -1 where none has."""
    pairs, shared = np.unique(objects.astype(np.int64) << 32 | pieces, return_counts=True)
    of, piece = (pairs >> 32).astype(np.int64), (pairs & 0xFFFFFFFF).astype(np.int32)
    most = np.full(int(objects.max()) + 1, -1, np.int32)
    mainly = (2 * shared > np.bincount(objects)[of]) & (piece != 0)
    most[of[mainly]] = piece[mainly]
    return most


def shrink(found: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Every `step`-th pixel, and all joints, which are a pixel or two wide."""
    small = np.ascontiguousarray(found[::step, ::step])
    if step > 1:
        joints = cv2.dilate((found == MERGED).astype(np.uint8), np.ones((step, step), np.uint8))
        small[joints[::step, ::step] > 0] = MERGED
    return small


def draw_mistakes(image: NDArray, found: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Draw mistakes in their colours over the dimmed grey image: (H, W, C) raw and (H, W) kinds to (H, W, 3) RGB."""
    grey = displayable(image).mean(-1)
    dim = (np.rint(grey / 255 * (GREYS - 1)) * (150 / (GREYS - 1)) + 40).astype(np.uint8)
    table = np.array([(0, 0, 0), *COLOURS], np.uint8)
    return np.where(found[..., None] > 0, table[found], dim[..., None])
