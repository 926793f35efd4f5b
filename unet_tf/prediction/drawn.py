"""Class ids as the values and colours of a mask file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.drawing import colour
from unet_tf.data.masks import MaskFormat


def shades_of(masks: MaskFormat, classes: int) -> NDArray[np.uint8]:
    """(classes, 3) RGB by which classes are drawn."""
    return colour(np.arange(classes, dtype=np.uint8)[None], masks)[0]


def colour_table(masks: MaskFormat, classes: int) -> NDArray[np.uint8] | None:
    """(N, 3) RGB of the values of a mask file; None where masks of this kind have no colour table."""
    shades = shades_of(masks, classes)
    if masks.kind == "palette":
        return shades
    if masks.kind != "index":
        return None
    values = masks.mask(np.arange(classes)[None])[0]  # (classes,), with gaps
    if values.dtype != np.uint8:  # a class, or void, has too large a value for a colour table
        return None
    table = np.zeros((int(values.max()) + 1, 3), np.uint8)
    table[values] = shades
    return table


def drawn_mask(label: NDArray[np.uint8], masks: MaskFormat) -> NDArray:
    """(H, W) class ids -> the values of a mask file, as the masks that the net was trained on."""
    return label if masks.kind == "palette" else masks.mask(label)
