"""Pixels that hold no measurement: the value that a GeoTIFF names, and sentinels far below all others."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.tiling import Picture
from unet_tf.utils.progress import Progress, unseen

FAR = 3.0
"""A sentinel lies so many times the range of all other values below the lowest of them."""
LEAST = 10.0
"""How far below it lies where there is one other value."""
HUGE = 1e30
"""No camera measures a value of this size; the lowest float32 is such a one."""
AREA, MOST = 1 << 22, 4
"""Pixels of the largest window of a picture that is looked at at once, and sentinels that it may hold."""


def nodata_values(image: NDArray, declared: Sequence[float] = ()) -> tuple[float, ...]:
    """The values of an image that stand for "no measurement".

    Those are the declared ones that occur, and sentinels. A sentinel is a value beyond 1e30 to either side; or, among
    signed and float pixels, the lowest value where it is negative and further below all others than three times their
    range, as -9999 is below heights of 0 to 3000, and than 10 where there is one other value: a band of -1 and 1 has no
    sentinel. Channels that are neither grey nor RGB have ranges of their own: what is a sentinel in one of them is one
    in all.

    Args:
        image: (H, W, C) raw pixels.
        declared: what the file names, as of `Pictures.nodata`.

    Example:
        >>> nodata_values(np.array([[[0.5], [-9999], [0.2]]]))
        (-9999.0,)
    """
    found = [value for value in declared if _equal(image, value).any()]
    named = tuple(found)
    for part in _groups(image) if image.dtype.kind in "if" else ():
        rest = part[~nodata_samples(part, named)]
        if image.dtype.kind == "f":
            huge = np.unique(rest[np.abs(rest) > HUGE])
            found += huge.tolist()
            rest = rest[np.abs(rest) <= HUGE]
        while rest.size and (low := rest.min()) < 0:
            others = rest[rest != low]
            if not others.size:
                break
            nearest, highest = float(others.min()), float(others.max())
            if nearest - float(low) <= (FAR * (highest - nearest) or LEAST):
                break
            found.append(float(low))
            rest = others
    return tuple(dict.fromkeys(map(float, found)))


def nodata_of(
    picture: Picture,
    declared: Sequence[float] = (),
    on_window: Progress = unseen,
    block: tuple[int, int] = (1, 1),
) -> tuple[float, ...]:
    """Give the `nodata_values` of a picture of any size, of which one window is in memory at a time.

    Args:
        picture: (H, W, C) raw pixels; those that are declared need not occur, if they can.
        declared: what the file names.
        on_window: called with (windows looked at, windows in all), where pixels have to be read for it.
        block: rows and columns of the strips, tiles or chunks that are decoded whole: each window takes whole ones,
            where they are no larger than it may be.
    """
    kind = picture.dtype
    low, high = (np.iinfo(kind).min, np.iinfo(kind).max) if kind.kind in "iu" else (-np.inf, np.inf)
    # readers give what is not finite as a number; GDAL names -9999 for bytes too
    declared = tuple(value for value in declared if np.isfinite(value) and low <= value <= high)
    if kind.kind not in "if":
        return declared
    few: dict[int, NDArray] = {}  # by group of channels
    places = _places(picture, block)
    for done, place in enumerate(places, start=1):
        window = np.asarray(picture[place])
        for group, part in enumerate(_groups(window)):
            part = part[~nodata_samples(part, declared) & np.isfinite(part)]
            few[group] = _extremes(np.concatenate([few.get(group, np.zeros((0, 1), kind)), part[:, None]]))
        on_window(done, len(places))
    return tuple(dict.fromkeys([*declared, *(value for one in few.values() for value in nodata_values(one))]))


def occurring(picture: Picture, values: Sequence[float]) -> tuple[float, ...]:
    """Give those of these values that a picture of any size, (H, W, C), holds anywhere."""
    places = _places(picture) if values else []
    return tuple(one for one in values if any(_equal(np.asarray(picture[place]), one).any() for place in places))


def _places(picture: Picture, block: tuple[int, int] = (1, 1)) -> list[tuple[slice, slice]]:
    """The windows of a picture, one after another."""
    height, width = picture.shape[:2]
    rows, columns = _window(block, height, width)
    corners = itertools.product(range(0, height, rows), range(0, width, columns))
    return [(slice(top, min(top + rows, height)), slice(left, min(left + columns, width))) for top, left in corners]


def _window(block: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the windows of a picture: whole blocks side by side, then below each other."""
    rows, columns = min(block[0], height), min(block[1], width)
    wide = min(max(AREA // (rows * columns), 1) * columns, width, AREA)
    return min(max(AREA // (rows * wide), 1) * rows, height, AREA // wide), wide


def _groups(image: NDArray) -> list[NDArray]:
    """The channels (H, W, C) that share a range: all of grey and RGB, each of others."""
    return [image] if image.shape[-1] in (1, 3) else [image[..., c : c + 1] for c in range(image.shape[-1])]


def _extremes(values: NDArray) -> NDArray:
    """The few numbers that decide about sentinels: the lowest, the highest, and those beyond 1e30. (N, 1) -> (n, 1)."""
    huge = np.abs(values) > HUGE
    kept, rest = [np.unique(values[huge])], values[~huge]
    for _ in range(MOST + 1):
        if not rest.size:
            break
        low = rest.min()
        kept.append(low[None])
        rest = rest[rest != low]
        if low >= 0:
            break
    kept.append(rest.max(keepdims=True) if rest.size else rest)
    return np.concatenate(kept)[:, None]


class Measured:
    """A picture that holds the mean of the training images wherever a channel has no measurement.

    Args:
        picture: (H, W, C) raw pixels, or anything that can be sliced so.
        values: that stand for "no measurement".
        mean: of each channel, or of the net's three where the picture is grey.
    """

    def __init__(self, picture: Picture, values: Sequence[float], mean: Sequence[float]) -> None:
        self.picture, self.values = picture, values
        self.shape, self.dtype = picture.shape, picture.dtype
        self.mean = stand_in(mean, self.shape[2], self.dtype)

    def __getitem__(self, window: Any) -> NDArray:
        """(h, w, C) of slices of rows and columns."""
        part = np.asarray(self.picture[window])
        return np.where(nodata_samples(part, self.values), self.mean, part)


def stand_in(mean: Sequence[float], channels: int, dtype: np.dtype) -> NDArray:
    """The pixel (channels,) that counts as the mean of the training images, in the type of an image.

    Args:
        mean: of each channel of the net; their mean where the image has another number, as a grey one may.
        channels: of the image.
        dtype: of the image; integers are rounded.
    """
    means = np.array(mean if len(mean) == channels else [np.mean(mean)] * channels)
    return means.astype(dtype) if dtype.kind == "f" else np.rint(means).astype(dtype)


def nodata_pixels(image: NDArray, values: Sequence[float]) -> NDArray[np.bool_]:
    """Where an image (..., C) holds one of these values in all of its channels: (...) bool."""
    return np.asarray(nodata_samples(image, values).all(-1))


def nodata_samples(image: NDArray, values: Sequence[float]) -> NDArray[np.bool_]:
    """Where an image holds one of these values, in each channel by itself: bool of its shape."""
    gone = np.zeros(image.shape, bool)
    for value in values:
        gone |= _equal(image, value)
    return gone


def fill_nodata(image: NDArray, values: Sequence[float]) -> NDArray:
    """Give the pixels without a measurement the median of the others in each channel, so that nothing sticks out.

    Args:
        image: (H, W, C) raw pixels.
        values: that stand for "no measurement".

    Returns:
        A copy of the same type; the image itself where no pixel is filled.
    """
    gone = nodata_samples(image, values)
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
    with np.errstate(over="ignore"):  # the lowest float64, which float32 has not
        own = np.float64(value).astype(image.dtype) if image.dtype.kind == "f" else value
    return image == own
