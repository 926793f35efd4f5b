"""Images, labels and mistakes as RGB pictures for people."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.masks import MaskFormat
from unet_tf.labels import VOID

# One colour a class: Okabe and Ito's palette, told apart by colour-blind readers too; the background stays black.
PALETTE = np.array(
    [
        (0, 0, 0),
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
        (204, 121, 167),
    ],
    np.uint8,
)
LUMA = np.array((0.299, 0.587, 0.114), np.float32)
"""Shares of red, green and blue in how light a colour is (ITU-R BT.601)."""
Shade = tuple[int, int, int]
MISSED, INVENTED, VOID_GREY = (213, 94, 0), (86, 180, 233), (128, 128, 128)


def drawn_channels(channels: int) -> str:
    """Say which channels of a picture `displayable` draws; nothing where they are grey or RGB.

    Example:
        >>> drawn_channels(5)
        'channels 0, 1, 2 of 5 as red, green, blue'
    """
    if channels in (1, 3):
        return ""
    several = channels > 2
    return f"channels 0, 1{', 2' * several} of {channels} as red, green{', blue' * several}"


def displayable(image: NDArray) -> NDArray[np.uint8]:
    """Stretch (H, W, C) raw pixels from their 0.5th to their 99.5th percentile to 8 bit, (H, W, 3) RGB.

    Grey and RGB are stretched as a whole; of other numbers of channels the first three are drawn, each stretched by
    itself, and of two no blue (`drawn_channels` says so).
    """
    if image.shape[2] not in (1, 3):
        return _each(image[..., :3])
    image = image.astype(np.uint8) if image.dtype == bool else image
    pixels = image.reshape(-1, image.shape[2])  # whole ones, or each third value may be red
    low, high = np.percentile(pixels[:: max(1, image.size // 1_000_000)], (0.5, 99.5))
    byte = (255 * np.clip((image - np.float32(low)) / np.float32(max(high - low, 1e-12)), 0, 1)).astype(np.uint8)
    return np.repeat(byte, 3, axis=2) if byte.shape[2] == 1 else byte


def _each(image: NDArray) -> NDArray[np.uint8]:
    """Two or three channels, each stretched by itself, as (H, W, 3) RGB."""
    few = [displayable(image[..., c : c + 1])[..., 0] for c in range(image.shape[2])]
    return np.dstack([*few, np.zeros_like(few[0])][:3])


def colour(label: NDArray, masks: MaskFormat | None = None) -> NDArray[np.uint8]:
    """Draw (H, W) class ids as (H, W, 3) RGB: in the colours of their masks, where these have some, else in ours."""
    table = np.empty((VOID + 1, 3), np.uint8)
    numbers = np.arange(VOID)
    table[:VOID] = PALETTE[np.where(numbers == 0, 0, 1 + (numbers - 1) % (len(PALETTE) - 1))]
    table[VOID] = VOID_GREY
    if masks is not None and masks.kind == "palette":
        table[: masks.num_classes] = masks.colours
        table[VOID] = masks.void[0] if masks.void else VOID_GREY
    return table[label]


MOST_COLOURS = 24
"""Classes whose colours a legend names."""


def legend(classes: Sequence[str], masks: MaskFormat | None, void: bool = False) -> list[tuple[str, Shade]]:
    """The colours of classes, of very many the first ones, and of void where it is drawn: (name, RGB)."""
    named = [*enumerate(classes[:MOST_COLOURS]), *[(VOID, "void")] * void]
    shades = colour(np.array([[number for number, _ in named]], np.uint8), masks)[0].tolist()
    found = [(name, (red, green, blue)) for (_, name), (red, green, blue) in zip(named, shades, strict=True)]
    more = len(classes) - MOST_COLOURS
    return found if more <= 0 else [*found, (f"and {more} more", VOID_GREY)]


def overlay(image: NDArray, label: NDArray, masks: MaskFormat | None = None, side: int = 256) -> NDArray[np.uint8]:
    """A small picture of an image with its label laid over it, the outlines of the classes drawn.

    Where a class borders on what is left clear, its outline is a double line: in its colour inside, and outside black
    beside a light colour, white beside a dark one, so that it is seen on pictures of any colour.

    Args:
        image: (H, W, C) raw pixels.
        label: (H, W) class ids.
        masks: whose colours to use, if they have some; else class 0 is left clear.
        side: of the longer side, pixels.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    factor = side / max(label.shape)
    size = max(1, round(label.shape[1] * factor)), max(1, round(label.shape[0] * factor))
    # (H, W, 1 to 3), all that is drawn; OpenCV looks at no order of bytes
    few = np.ascontiguousarray(image[..., :3], image.dtype.newbyteorder("="))
    shrunk = cv2.resize(few, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST)
    shrunk = shrunk.reshape(*shrunk.shape[:2], -1)  # OpenCV drops an axis of one channel
    picture = displayable(shrunk) if image.shape[2] in (1, 3) else _each(shrunk)
    label = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)
    over = colour(label, masks)
    shown = label != 0 if masks is None or masks.kind != "palette" else np.ones(label.shape, bool)
    edges = cv2.morphologyEx(label, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    opacity = np.where(edges & shown, 0.9, np.where(shown, 0.35, 0))[..., None]
    found = (picture * (1 - opacity) + over * opacity).astype(np.uint8)
    light = over @ LUMA > 127
    for ring, beside in ((0, light), (255, ~light)):
        around = cv2.dilate((shown & beside).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        found[around & ~shown] = ring
    return found
