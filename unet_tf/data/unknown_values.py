"""Values and colours of masks that no class has: which class is near, how far, and what lies between two of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.palette import Colour
from unet_tf.errors import InputError
from unet_tf.labels import VOID

Known = tuple[int, int]
"""A value that means something, as a number (a grey value, or 0xRRGGBB), and its label id."""
SAY_WHAT = "Say what they are (--classes, --void, label_colors.txt)"
FEW = 4
"""Values up to which each may be void."""
NEAR, FAR = (range(-2, 3), range(-16, 17, 4))
"""Rows and columns around a pixel where classes touch: anti-aliasing; blurs, and JPEG, whose colours bleed 16 px."""
CLOSE = 16
"""Distance at which a pixel has the colour of a class, as JPEG leaves it."""
FLAT = 8
"""Range of a channel within 3x3 pixels up to which they show one colour and no edge."""
NOWHERE = 254
"""In place of a label id: a pixel whose class is open."""
CHUNK = 1 << 15
"""Pixels that are settled at once, which bounds the memory."""


class Stranger(NamedTuple):
    """A mask value that no class has: how many pixels hold it, and which class is nearest."""

    value: int | Colour
    pixels: int
    nearest: int
    distance: float

    def __str__(self) -> str:
        nearest = "void" if self.nearest == VOID else f"class {self.nearest}"
        return f"{self.value} ({self.distance:.0f} from {nearest})"


def take_nearest(strangers: Sequence[Stranger], classes: Collection[int]) -> str:
    """Say what may be done about such values where near ones mean the same, and of ids, where they do not.

    Args:
        strangers: the values.
        classes: label ids of those that other pixels have.
    """
    values = sorted({stranger.value for stranger in strangers if isinstance(stranger.value, int)})
    # the nearest of ids is the class of 0, which would swallow them; beside another class, they may be noise
    follow = values[:1] == [1] and values[-1] <= 2 * len(values) + 1
    if follow and len({*classes, *(one.nearest for one in strangers)}) == 1:
        void = f" To ignore them: {' '.join(f'--void {value}' for value in values)}." * (len(values) <= FEW)
        return (
            f"{SAY_WHAT}. Values that follow each other from 1 are ids, and no soft edges: where they number objects, "
            f"write one value for all.{void}"
        )
    farthest = max(stranger.distance for stranger in strangers)
    return (
        f"{SAY_WHAT}, or take the nearest class (soft edges, JPEG); the farthest is {farthest:.0f} away: "
        f"--mask-tolerance {math.ceil(farthest)}."
    )


class UnknownValues(InputError):
    """A mask holds values that no class has.

    Attributes:
        strangers: these values, the most frequent first.
        known: label ids of the other pixels.
    """

    def __init__(self, message: str, strangers: Sequence[Stranger], known: set[int]) -> None:
        super().__init__(message)
        self.strangers, self.known = strangers, known


def as_colour(code: int) -> Colour:
    """Unpack 0xRRGGBB."""
    return code >> 16, code >> 8 & 255, code & 255


def find_nearest(
    codes: NDArray, known: Sequence[Known], colours: bool
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Find the known value nearest to each of some others.

    Args:
        codes: (N,) values.
        known: the values that mean something.
        colours: whether codes are colours, 0xRRGGBB.

    Returns:
        (N,) label ids, and (N,) distances in 8-bit values; of colours, Euclidean.
    """
    nearest, least = np.zeros(len(codes), np.uint8), np.full(len(codes), np.inf)
    for code, number in known:
        channels = [(codes, code)]
        if colours:
            channels = [(codes >> shift & 255, code >> shift & 255) for shift in (16, 8, 0)]
        distance = np.sqrt(sum(np.square(found.astype(float) - expected) for found, expected in channels))
        nearest = np.where(distance < least, np.uint8(number), nearest)
        least = np.minimum(least, distance)
    highest = max(code for code, number in known if number != VOID)
    return nearest, least * 255 / highest if not colours and highest > 255 else least


def settle_edges(
    label: NDArray[np.uint8],
    unknown: NDArray[np.bool_],
    mask: NDArray[np.uint8],
    known: Mapping[Colour, int],
    tolerance: float,
) -> None:
    """Give each pixel between two colours one of the classes that touch there, in place, and never a third one.

    The colour nearest to a mixture of two is often a third: grey lies between black and white. So a pixel on an edge
    takes the nearest of the classes around it. Where one class alone is around it and farther than the tolerance, or
    none is, the pixel becomes void. Pixels close to a class's colour keep it, but for those that may as well be
    mixtures: on an edge between two classes, with that colour between theirs, and no area of it around.

    Args:
        label: (H, W) label ids; those of unknown pixels by the nearest colour, which flat areas keep. Changed.
        unknown: (H, W), whether a pixel is farther than `CLOSE` from all colours.
        mask: (H, W, 3) RGB.
        known: label id of each colour.
        tolerance: largest distance of a pixel from the one class around it, Euclidean.
    """
    if len(known) < 3:  # the nearer of two is no third
        return
    ranges = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    flat = cv2.max(cv2.max(ranges[..., 0], ranges[..., 1]), ranges[..., 2]) <= FLAT
    edge = (unknown & ~flat) | _mixtures(label, unknown, flat, known)
    around = _Around(np.where(edge, np.uint8(NOWHERE), label))
    colours, numbers = np.array(list(known), np.int32), np.array(list(known.values()), np.uint8)  # (K, 3), (K,)
    points = np.flatnonzero(edge)
    for part in np.array_split(points, len(points) // CHUNK + 1):
        for reach in (NEAR, FAR):
            classes = around(part, reach)  # (N, 256)
            touching = classes.sum(1)
            distances = np.square(mask.reshape(-1, 3)[part][:, None].astype(np.int32) - colours).sum(-1)  # (N, K)
            nearest = numbers[distances.argmin(1)]
            distances = np.where(classes[:, numbers], distances, np.iinfo(np.int32).max)
            chosen = numbers[distances.argmin(1)]
            label.ravel()[part] = np.where((touching > 1) | (distances.min(1) <= tolerance**2), chosen, VOID)
            part = part[(touching == 0) | ((touching == 1) & (chosen != nearest))]


def _mixtures(
    label: NDArray[np.uint8], unknown: NDArray[np.bool_], flat: NDArray[np.bool_], known: Mapping[Colour, int]
) -> NDArray[np.bool_]:
    """Where a pixel has the colour of a class and may be a mixture of two others: (H, W) bool."""
    found = np.zeros(label.shape, bool)
    colours, numbers = np.array(list(known), float), np.array(list(known.values()))  # (K, 3), (K,)
    ways = np.swapaxes(colours[:, None] - colours, 0, 1)  # (K, K, 3), [a, b]: from a to b
    exact = ~flat & ~unknown
    areas = _Around(np.where(flat, label, np.uint8(NOWHERE)))
    classes = _Around(np.where(flat | ~unknown, label, np.uint8(NOWHERE)))
    softened = _Around(unknown.view(np.uint8))
    for k, number in enumerate(numbers):
        along = np.clip(
            ((colours[k] - colours)[:, None] * ways).sum(-1) / np.maximum(1, np.square(ways).sum(-1)), 0, 1
        )[..., None]
        between = np.linalg.norm(colours[:, None] + along * ways - colours[k], axis=-1) <= CLOSE  # (K, K)
        between &= (numbers[:, None] != numbers) & (numbers[:, None] != number) & (numbers != number)
        pairs = np.argwhere(np.triu(between))
        points = np.flatnonzero(exact & (label == number)) if len(pairs) else np.zeros(0, np.intp)
        for part in np.array_split(points, len(points) // CHUNK + 1):
            part = part[~areas(part, NEAR)[:, number]]
            near, far = classes(part, NEAR), classes(part, FAR) & softened(part, NEAR)[:, 1:2]
            for one in (near, near | far):
                mixed = (one[:, numbers[pairs[:, 0]]] & one[:, numbers[pairs[:, 1]]]).any(1)
                found.ravel()[part[mixed]] = True
    return found


class _Around:
    """Which values of a (H, W) uint8 picture lie around some of its pixels; `NOWHERE` is none."""

    def __init__(self, picture: NDArray[np.uint8]) -> None:
        border = -min(FAR)
        self.width = picture.shape[1]
        self.padded = np.pad(picture, border, constant_values=NOWHERE)

    def __call__(self, points: NDArray[np.intp], reach: range) -> NDArray[np.bool_]:
        """(N, 256) bool, of N pixels as indices into the raveled picture."""
        rows, columns = np.divmod(points, self.width)
        width = self.padded.shape[1]
        centres = (rows - min(FAR)) * width + columns - min(FAR)  # (N,)
        offsets = (np.array(reach)[:, None] * width + np.array(reach)).ravel()  # (R * R,)
        found = np.zeros((len(points), 256), bool)
        found[np.arange(len(points))[:, None], self.padded.ravel()[centres[:, None] + offsets]] = True
        found[:, NOWHERE] = False
        return found
