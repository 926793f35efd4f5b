"""Pixels that hold no measurement: the value that a GeoTIFF names, and sentinels far below all others."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.tiff import import_tifffile, is_tiff

GDAL_NODATA = 42113
"""Number of the TIFF tag that names the value, as text (GDAL, "GeoTIFF: Nodata value")."""
FAR = 3.0
"""A sentinel lies so many times the range of all other values below the lowest of them."""
HUGE = 1e30
"""No camera measures a value of this size; the lowest float32 is such a one."""


def declared_nodata(path: str | Path) -> tuple[float, ...]:
    """The value that a TIFF file itself names as nodata by GDAL's tag; none for every other file.

    Args:
        path: a picture that can be read.
    """
    path = Path(path)
    with path.open("rb") as file:
        if not is_tiff(file.read(4)):
            return ()
    with import_tifffile(path).TiffFile(path) as tiff, contextlib.suppress(ValueError):
        text = tiff.pages.first.tags.valueof(GDAL_NODATA)
        return () if text is None else (float(text),)
    return ()  # a text that is no number


def nodata_values(image: NDArray, declared: Sequence[float] = ()) -> tuple[float, ...]:
    """The values of an image that stand for "no measurement".

    Those are the declared ones that occur, and sentinels. A sentinel is a value beyond 1e30 to either side; or, among
    signed and float pixels, the lowest value where it is negative and further below all others than three times their
    range, as -9999 is below heights of 0 to 3000.

    Args:
        image: (H, W, C) raw pixels.
        declared: what the file names, as of `declared_nodata`.

    Example:
        >>> nodata_values(np.array([[[0.5], [-9999], [0.2]]]))
        (-9999.0,)
    """
    found = [value for value in declared if _equal(image, value).any()]
    if image.dtype.kind in "if":
        rest = image[~_any_of(image, found)]
        if image.dtype.kind == "f":
            huge = np.unique(rest[np.abs(rest) > HUGE])
            found += huge.tolist()
            rest = rest[np.abs(rest) <= HUGE]
        while rest.size and (low := rest.min()) < 0:
            others = rest[rest != low]
            if not others.size or float(others.min()) - float(low) <= FAR * (float(others.max()) - float(others.min())):
                break
            found.append(float(low))
            rest = others
    return tuple(map(float, found))


def nodata_pixels(image: NDArray, values: Sequence[float]) -> NDArray[np.bool_]:
    """Where an image (..., C) holds one of these values in all of its channels: (...) bool."""
    return np.asarray(_any_of(image, values).all(-1))


def fill_nodata(image: NDArray, values: Sequence[float]) -> NDArray:
    """Give the pixels without a measurement the median of the others in each channel, so that nothing sticks out.

    Args:
        image: (H, W, C) raw pixels.
        values: that stand for "no measurement".

    Returns:
        A copy of the same type; the image itself where no pixel is filled.
    """
    gone = _any_of(image, values)
    if not gone.any():
        return image
    filled = image.copy()
    for channel in range(image.shape[-1]):
        there = image[..., channel][~gone[..., channel]]
        filled[..., channel][gone[..., channel]] = np.median(there) if there.size else 0
    return filled


def _equal(image: NDArray, value: float) -> NDArray[np.bool_]:
    if np.isnan(value):
        return np.isnan(image) if image.dtype.kind == "f" else np.zeros(image.shape, bool)
    # in the image's own type: GDAL writes the lowest float32 with fewer digits than it has
    own = np.float64(value).astype(image.dtype) if image.dtype.kind == "f" else value
    return image == own


def _any_of(image: NDArray, values: Sequence[float]) -> NDArray[np.bool_]:
    gone = np.zeros(image.shape, bool)
    for value in values:
        gone |= _equal(image, value)
    return gone
