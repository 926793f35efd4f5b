"""What a label map is: (H, W) uint8, one class id a pixel, `VOID` where nobody knows; the same as binary channels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unet_tf.errors import InputError

VOID = 255
"""Label id of pixels that are ignored: not in the loss, not in a score."""
MOST_CLASSES = 254
"""Most classes of a label map, the background too."""


def check_void(num_classes: int, void_label: int | None) -> None:
    """Raise InputError where `VOID`, which nobody has to say, would be the id of a class too."""
    if void_label == VOID < num_classes:
        raise InputError(
            f"The id of void must be that of no class; {VOID}, which it is where nothing else is said, is one of "
            f"{num_classes} classes. Say void_label=-1, or another id that no class has."
        )


def check_whole(ids: NDArray, name: str = "label") -> None:
    """Raise InputError where an id is no whole number, as probabilities are not."""
    if ids.dtype.kind == "f" and (wrong := ids[~(np.isfinite(ids) & (np.rint(ids) == ids))]).size:
        raise InputError(
            f"A {name} id must be a whole number; received {wrong[0]:g}. Of probabilities take the most probable class "
            "(argmax)."
        )


def check_ids(label: NDArray, num_classes: int) -> None:
    """Raise InputError where an id is neither a class nor `VOID`."""
    check_whole(label)
    wrong = ((label >= num_classes) & (label != VOID)) | (label < 0)
    if wrong.any():
        raise InputError(f"Label ids must be 0 to {num_classes - 1}, or {VOID}; received {label[wrong][0]}.")


def one_hot(label: NDArray, num_classes: int) -> NDArray[np.uint8]:
    """One binary channel a class.

    Args:
        label: (H, W) label ids.
        num_classes: number of classes, 254 at most.

    Returns:
        (H, W, num_classes) uint8 of 0 and 1; void pixels are 0 in all channels.

    Raises:
        InputError: an id is neither a class nor void, or no whole number; there are too many classes.
    """
    label = np.asarray(label)
    if num_classes > MOST_CLASSES:
        raise InputError(f"There must be {MOST_CLASSES} classes at most; received {num_classes}. Join some.")
    check_ids(label, num_classes)
    return (label[..., None] == np.arange(num_classes)).astype(np.uint8)


def label_from_one_hot(channels: NDArray) -> NDArray[np.uint8]:
    """The inverse of `one_hot`: (H, W, num_classes) of 0 and one other value to (H, W) label ids.

    Raises:
        InputError: there are not 2 to 254 channels, or a pixel is set in two.
    """
    there = np.asarray(channels) != 0
    if there.ndim < 3 or not 2 <= there.shape[-1] <= MOST_CLASSES:
        raise InputError(
            f"Channels must be (H, W, num_classes), 2 to {MOST_CLASSES}, the background too; received {there.shape}. "
            "Of a mask of one kind of thing MaskFormat().label(mask) makes a label."
        )
    count = there.sum(-1)
    if (count > 1).any():
        pixels = int((count > 1).sum())
        raise InputError(f"Each pixel must have one class; {pixels} of {count.size} are set in several channels.")
    return np.where(count == 0, VOID, there.argmax(-1)).astype(np.uint8)


def count_classes(label: NDArray, num_classes: int) -> NDArray[np.int64]:
    """Pixels of each class in a label map, (num_classes,) int64; void is left out."""
    return np.bincount(label[label != VOID].ravel(), minlength=num_classes)[:num_classes]
