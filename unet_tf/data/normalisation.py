"""What a run measured on its training images, applied to any image: (x - mean) / std of raw pixel values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.nodata import Measured, nodata_samples
from unet_tf.errors import InputError
from unet_tf.tiling import Picture, with_channels
from unet_tf.utils.files import tuples


@dataclass(frozen=True)
class Normalisation:
    """Per channel (x - mean) / std of raw pixel values, measured on the training images.

    Attributes:
        mean: raw pixel value of each channel, finite.
        std: the same, above 0; 1 where a channel is constant.
        dtype: pixel type of the files, which predicted images share, by its name in NumPy.
        nodata: values of the training images that stand for "no measurement"; a channel becomes its mean where it
            holds one.

    Raises:
        InputError: there is not such a mean and deviation for each channel, or no such pixel type.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtype: str
    nodata: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        try:
            for name in ("mean", "std"):
                object.__setattr__(self, name, tuple(float(value) for value in getattr(self, name)))
            nodata, kind = np.asarray(tuple(self.nodata)), np.dtype(self.dtype or "none")  # None would be float64
        except (TypeError, ValueError, OverflowError) as error:
            raise _refusal(self) from error
        object.__setattr__(self, "nodata", tuple(nodata.tolist()))
        object.__setattr__(self, "dtype", kind.name)
        whole = len(self.mean) == len(self.std) > 0 and all(map(math.isfinite, self.mean + self.std))
        if not whole or min(self.std) <= 0 or kind.kind not in "buif" or nodata.dtype.kind not in "iuf":
            raise _refusal(self)

    @classmethod
    def restore(cls, stored: dict[str, Any]) -> Normalisation:
        """Make a normalisation of what `dataclasses.asdict` gave and TOML or JSON stored."""
        return cls(**{name: tuples(value) for name, value in stored.items()})

    @property
    def channels(self) -> int:
        """Channels of the net."""
        return len(self.mean)

    def apply(self, image: NDArray, name: str = "the image", plain: bool = True) -> NDArray[np.float32]:
        """Normalise a raw (H, W) or (H, W, C) image; a grey one is repeated to the three channels of a net of colour.

        Raises:
            InputError: as `check` does, or it has another number of axes or no pixel.
        """
        picture = with_channels(image)
        self.check(picture, name, plain)
        return self.scale(picture[:])

    def check(self, image: Picture, name: str = "the image", plain: bool = True) -> None:
        """Raise InputError for another number of channels or pixel type than the net was trained on.

        Grey images are taken by nets of colour: of three channels that are those of one file as they are (`plain`).
        """
        if np.dtype(image.dtype).newbyteorder("=") != np.dtype(self.dtype):
            raise InputError(
                f"{name} holds {image.dtype} pixels, and the net was trained on {self.dtype}, whose range it expects. "
                f"Rescale it to the range of the training images, as {self.dtype}."
            )
        if image.shape[2] != self.channels and (image.shape[2], self.channels, plain) != (1, 3, True):
            joined = "" if plain else " (channels.read(channels.files(path), page).image joins them of files)"
            raise InputError(
                f"{name} has {image.shape[2]} channels, and the net was trained on {self.channels}: an image must have "
                f"as many{', or be grey' * (plain and self.channels == 3)}. Give it such images{joined}, or train a "
                "net on images like this."
            )

    def measured(self, image: Picture, nodata: Sequence[float]) -> Picture:
        """The picture as `scale` is to see it: values for "no measurement" of its own become the mean.

        Args:
            image: (H, W, C) raw pixels.
            nodata: its values for "no measurement"; those of the training images are known to `scale`, and stay.
        """
        unknown = [value for value in nodata if value not in self.nodata]
        return Measured(image, unknown, self.mean) if unknown else image

    def with_mean(self, image: Picture, nodata: Sequence[float]) -> Picture:
        """The picture as training warps it: values for "no measurement" become the mean, rounded in whole numbers.

        Args:
            image: (H, W, C) raw pixels.
            nodata: its values for "no measurement"; those of the training images count too, as in `scale`.
        """
        values = tuple(dict.fromkeys((*nodata, *self.nodata)))
        return Measured(image, values, self.mean) if values else image

    def scale(self, image: NDArray) -> NDArray[np.float32]:
        """(x - mean) / std of a (..., C) or (..., 1) image of the right type; 0 where a channel has no measurement."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        with np.errstate(over="ignore"):  # what is nodata may be beyond float32
            scaled = (image.astype(np.float32) - mean) / std
        if self.nodata:
            scaled[np.broadcast_to(nodata_samples(image, self.nodata), scaled.shape)] = 0
        return scaled


def _refusal(found: Normalisation) -> InputError:
    return InputError(
        "A normalisation must have a finite mean and a std above 0 for each channel, as in Normalisation((120.0,), "
        f'(40.0,), "uint8"), and a type of numbers; received {found.mean}, {found.std}, {found.dtype!r}.'
    )
