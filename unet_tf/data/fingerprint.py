"""What one look at decoded pairs tells: identity, sizes, class pixels, and the normalisation of all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.folder import Decoded
from unet_tf.data.nodata import fill_nodata, nodata_pixels
from unet_tf.data.normalisation import Normalisation
from unet_tf.errors import InputError
from unet_tf.labels import count_classes

FLAT = 1e-5
"""Deviation, as a share of the mean, below which OpenCV's is mostly rounding."""
ROUNDING = 1e-12
"""The same, below which it is that of float64, and the images are constant."""
STEPS = 4
"""Of float32 beside the mean that the deviation must have: with fewer, most of what a net sees is rounding."""
WHOLE = 2**24
"""Up to which float32 holds every whole number, so that nothing of them is rounded."""
PLACES = 2048
"""Pixels of a class that are remembered of each image, so that a tile can be put on one."""


@dataclass(frozen=True)
class Fingerprint:
    """What one look at a decoded pair tells.

    Attributes:
        shape: height and width, pixels.
        channels: of the image.
        dtype: pixel type of the image.
        sha256: `identity` of the image.
        measured: pixels that hold a measurement, which is all of them but for nodata.
        mean: (C,) float64, of those.
        variance: (C,) float64, of those.
        class_pixels: (num_classes,) pixels of each class.
        label_sha256: of shape and ids of the label.
        places: for each class up to `PLACES` of its pixels, as indices into the raveled label; empty if not asked for.
        nodata: values of the image that stand for "no measurement".
        names: of all channels of its files, "" for each that they do not name.
        ends: the lowest and the highest value of the image, and 0 where it holds it: what other files may name as "no
            measurement".
    """

    shape: tuple[int, int]
    channels: int
    dtype: str
    sha256: str
    measured: int
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    class_pixels: NDArray[np.int64]
    label_sha256: str = ""
    places: tuple[NDArray[np.uint32], ...] = ()
    nodata: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    ends: tuple[float, ...] = ()

    @property
    def pixels_by_class(self) -> dict[int, int]:
        """Pixels of each class that the pair holds, by id."""
        return {number: int(count) for number, count in enumerate(self.class_pixels) if count}


def examine(decoded: Decoded, num_classes: int, places: bool = False) -> Fingerprint:
    """The fingerprint of one decoded pair."""
    image, label = decoded.image, decoded.label
    numbers = image if image.dtype in (np.uint8, np.uint16, np.float32) else image.astype(np.float64)
    measured = ~nodata_pixels(image, decoded.nodata) if decoded.nodata else np.ones(label.shape, bool)  # (H, W)
    numbers = fill_nodata(numbers, decoded.nodata) if decoded.nodata else numbers  # one channel alone may hold none
    mean, deviation = _mean_and_deviation(numbers, measured.view(np.uint8) if decoded.nodata else None)
    return Fingerprint(
        label.shape,
        image.shape[2],
        str(image.dtype),
        identity(image),
        int(measured.sum()),
        mean,
        deviation**2,
        count_classes(label, num_classes),
        hashlib.sha256(str(label.shape).encode() + label.tobytes()).hexdigest(),
        tuple(_places(label, number) for number in range(num_classes)) if places else (),
        decoded.nodata,
        decoded.names,
        (float(image.min()), float(image.max()), *[0.0] * (not image.all())),
    )


def _mean_and_deviation(
    image: NDArray, mask: NDArray[np.uint8] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each channel, (C,) each; OpenCV takes four channels at a time.

    OpenCV takes the square of the mean from the mean of the squares, which leaves hardly a digit where a channel varies
    by little around a large mean: there NumPy takes the mean of the squared differences.
    """
    parts = [
        cv2.meanStdDev(np.ascontiguousarray(image[..., c : c + 4]), mask=mask) for c in range(0, image.shape[2], 4)
    ]
    mean, deviation = (np.concatenate([part[which][:, 0] for part in parts]) for which in (0, 1))
    for channel in np.flatnonzero(deviation < FLAT * abs(mean)):
        values = image[..., channel] if mask is None else image[..., channel][mask > 0]
        if (lowest := values.min()) == values.max():  # without the float64 of each pixel that `std` takes
            mean[channel], deviation[channel] = lowest, 0
        else:
            mean[channel], deviation[channel] = values.mean(dtype=np.float64), values.std(dtype=np.float64)
    return mean.astype(np.float64), deviation.astype(np.float64)


def identity(image: NDArray) -> str:
    """SHA-256 of type, shape and pixels of an image, to know it again whatever its file is called."""
    found = hashlib.sha256(f"{image.dtype} {image.shape}".encode())
    found.update(image.tobytes())
    return found.hexdigest()


def _places(label: NDArray[np.uint8], number: int) -> NDArray[np.uint32]:
    there = np.flatnonzero(label == number).astype(np.uint32)
    return there if there.size <= PLACES else np.random.default_rng(number).choice(there, PLACES, replace=False)


def measure_normalisation(fingerprints: Sequence[Fingerprint], channels: int = 1) -> Normalisation:
    """Mean and standard deviation of each channel over all measured pixels of all images; grey ones count in each.

    Args:
        fingerprints: of the images.
        channels: of the net, at least.

    Raises:
        InputError: the images vary by less than float32, in which the net computes, can hold, as numbers or beside
            their mean.
    """
    channels = max(channels, *(one.channels for one in fingerprints))
    pixels = np.array([one.measured for one in fingerprints], np.float64)[:, None]
    means = np.stack([np.broadcast_to(one.mean, channels) for one in fingerprints])
    variances = np.stack([np.broadcast_to(one.variance, channels) for one in fingerprints])
    total = max(pixels.sum(), 1.0)
    mean = (pixels * means).sum(0) / total
    std = np.sqrt((pixels * (variances + (means - mean) ** 2)).sum(0) / total)
    least = float(np.finfo(np.float32).tiny)
    if len(small := std[(std > 0) & (std < least)]):
        raise InputError(
            f"The standard deviation of images must be 0, or {least:.1e} at least, as float32 holds it; it is "
            f"{small.min():.1e}. Multiply all images by one number."
        )
    varies, steps = std > ROUNDING * abs(mean), STEPS * float(np.finfo(np.float32).eps) * abs(mean)
    furthest = abs(mean) + std * np.sqrt(total)  # from 0 that one value can lie
    whole = all(np.issubdtype(one.dtype, np.integer) for one in fingerprints) & (furthest <= WHOLE)
    for channel in np.flatnonzero(varies & (std < steps) & ~whole):
        raise InputError(
            f"The standard deviation of images must be {steps[channel]:.2g} at least around a mean of "
            f"{mean[channel]:.6g}, where float32 has a number every {np.spacing(np.float32(abs(mean[channel]))):.2g}; "
            f"it is {std[channel]:.2g}. Subtract one number from all images."
        )
    std = np.where(varies, std, 1.0)
    nodata = tuple(sorted({value for one in fingerprints for value in one.nodata}))
    return Normalisation(tuple(mean.tolist()), tuple(std.tolist()), fingerprints[0].dtype, nodata)
