"""Mask pictures to label ids and back. A mask is what lies in the file, a label is what the net learns."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.errors import InputError
from unet_tf.labels import VOID


def label_from_mask(mask: NDArray, num_classes: int = 2, name: str = "the mask") -> NDArray[np.uint8]:
    """Read label ids out of a mask picture.

    Two classes: a binary mask, 0 and 255 or 0 and 1; the larger value is class 1, and there is no void. More classes:
    the grey values are the class ids, and 255 is void.

    Args:
        mask: (H, W) or (H, W, C) unsigned integers as decoded; a colour mask counts as grey if its channels are equal.
        num_classes: number of classes, 2 to 255.
        name: what to call the mask in an error.

    Returns:
        (H, W) uint8 label ids, 0 to num_classes - 1, or `VOID`.

    Raises:
        InputError: the mask holds another value; the message says which and how many pixels.

    Example:
        >>> label_from_mask(np.array([[0, 255]], np.uint8)).tolist()
        [[0, 1]]
    """
    if mask.ndim == 3:
        if (mask != mask[..., :1]).any():
            raise InputError(
                f"{name} is colour-coded, and masks are grey: 0/255 for two classes, class ids for more. "
                "Convert each colour to its class id."
            )
        mask = mask[..., 0]
    if not 2 <= num_classes <= VOID:
        raise InputError(f"There are 2 to {VOID} classes; received {num_classes}.")
    if mask.dtype.kind not in "ub":
        raise InputError(f"{name} holds {mask.dtype} pixels, and masks hold unsigned integers. Save it as 8-bit PNG.")
    legal = [0, 1, 255] if num_classes == 2 else [*range(num_classes), VOID]
    values, counts = np.unique(mask, return_counts=True)
    wrong = ~np.isin(values, legal)
    if num_classes == 2 and {1, 255} <= set(values.tolist()):
        wrong |= values == 1  # 0/255 and 0/1 in one mask
    if wrong.any():
        found = ", ".join(map(str, values[wrong][:5])) + (", ..." if wrong.sum() > 5 else "")
        pixels = counts[wrong].sum()
        rule = "binary (0 and 255, or 0 and 1)" if num_classes == 2 else f"class ids 0 to {num_classes - 1} (255: void)"
        raise InputError(
            f"{name} is not {rule}: it also holds {found} in {pixels} of {mask.size} pixels "
            f"({pixels / mask.size:.2%}). "
            "Threshold it, save it as PNG (JPEG blurs the values), or say how many classes there are with --classes."
        )
    if num_classes == 2:
        return (mask != 0).astype(np.uint8)
    return mask.astype(np.uint8)


def mask_from_label(label: NDArray, num_classes: int = 2) -> NDArray[np.uint8]:
    """Draw label ids as the mask picture that `label_from_mask` reads: 0/255 for two classes, else the ids.

    Args:
        label: (H, W) label ids.
        num_classes: number of classes.

    Returns:
        (H, W) uint8.
    """
    return np.where(label == 1, 255, 0).astype(np.uint8) if num_classes == 2 else label.astype(np.uint8)


def label_from_instances(instances: NDArray) -> NDArray[np.uint8]:
    """Turn object ids into background 0 and cell 1, with touching cells kept apart.

    A cell pixel with a pixel of another cell among its 8 neighbours becomes background, so that each cell stays a
    component of its own, as in the paper's "segmentation border" between touching cells.

    Args:
        instances: (H, W) object ids, 0 for background, below 2**24.

    Returns:
        (H, W) uint8 label ids.

    Example:
        >>> label_from_instances(np.array([[1, 1, 1, 2, 2, 2]])).tolist()
        [[1, 1, 0, 0, 1, 1]]
    """
    ids = np.asarray(instances).astype(np.float32)
    neighbours = np.ones((3, 3), np.uint8)
    highest = cv2.dilate(ids, neighbours)
    lowest = cv2.erode(np.where(ids == 0, np.inf, ids).astype(np.float32), neighbours)
    return ((ids > 0) & (highest == ids) & (lowest == ids)).astype(np.uint8)
