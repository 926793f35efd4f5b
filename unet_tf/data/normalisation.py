"""What a run measured on its training images, applied to any image: (x - mean) / std of raw pixel values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unet_tf.errors import InputError
from unet_tf.tiling import Picture


@dataclass(frozen=True)
class Normalisation:
    """Per channel (x - mean) / std of raw pixel values, measured on the training images.

    Attributes:
        mean: raw pixel value of each channel.
        std: the same; 1 where a channel is constant.
        dtype: pixel type of the files, which predicted images share.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    dtype: str

    @property
    def channels(self) -> int:
        """Channels of the net."""
        return len(self.mean)

    def apply(self, image: NDArray, name: str = "the image") -> NDArray[np.float32]:
        """Normalise a raw (H, W, C) image; a grey one is repeated to the channels of the net.

        Raises:
            InputError: as `check` does.
        """
        self.check(image, name)
        return self.scale(image)

    def check(self, image: Picture, name: str = "the image") -> None:
        """Raise InputError for colour given to a net of grey images, and for another pixel type than it learnt from."""
        if str(image.dtype) != self.dtype:
            raise InputError(
                f"{name} holds {image.dtype} pixels, and the net was trained on {self.dtype}, whose range it expects. "
                f"Rescale it to the range of the training images, as {self.dtype}."
            )
        if image.shape[2] not in (1, self.channels):
            raise InputError(
                f"{name} has {image.shape[2]} channels, and the net was trained on {self.channels}. Convert it to grey."
            )

    def scale(self, image: NDArray) -> NDArray[np.float32]:
        """(x - mean) / std of a (..., C) or (..., 1) image known to be of the right type."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        return (image.astype(np.float32) - mean) / std
