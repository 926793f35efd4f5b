"""The values of a mask as they lie in its file: whole numbers, and how often each occurs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.errors import InputError


def whole_numbers(mask: NDArray, name: str = "the mask") -> NDArray:
    """A mask's values as unsigned integers, where they are whole numbers from 0 in whatever type.

    Raises:
        InputError: they are not.
    """
    kind = mask.dtype
    if mask.dtype.kind == "f" and np.isfinite(mask).all() and (mask == np.floor(mask)).all():
        mask = mask.astype(np.int64)  # ids that a program kept as float
    if mask.dtype.kind == "i" and mask.min(initial=0) >= 0:
        mask = mask.astype(np.uint32 if mask.max(initial=0) < 1 << 32 else np.uint64)
    if mask.dtype.kind not in "ub":
        raise InputError(
            f"{name} holds {kind} pixels, such as {_no_id(mask)}, and masks hold whole numbers from 0. "
            "Threshold it, rescale its values to class ids, or write 255 where nothing counts (--void 255)."
        )
    return mask.astype(np.uint8) if mask.dtype.kind == "b" else mask


def object_ids(mask: NDArray) -> NDArray:
    """The (H, W) ids of a mask as it lies in its file: whole numbers of any type, in three channels or one."""
    mask = whole_numbers(mask)
    return mask[..., 0] if mask.ndim == 3 else mask


def value_counts(picture: NDArray) -> dict[int, int]:
    """Value -> number of pixels, of an integer picture.

    Counts runs of equal values, of which a mask has far fewer than pixels.
    """
    flat = picture.ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]])) if flat.size else np.zeros(0, np.intp)
    values, inverse = np.unique(flat[starts], return_inverse=True)
    counts = np.bincount(inverse, np.diff(starts, append=flat.size), len(values))
    return dict(zip(values.tolist(), counts.astype(int).tolist(), strict=True))


def _no_id(mask: NDArray) -> Any:
    """A value that is no whole number from 0."""
    known = mask.dtype.kind in "if"
    wrong = mask[~np.isfinite(mask) | (mask < 0) | (mask != np.floor(mask))] if known else mask
    return wrong.flat[0]
