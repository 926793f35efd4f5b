"""Image, label and weight map of each pair, read once, checked and kept; the normalisation measured on them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.folder import Pair, channels_of, read_pair, with_channels
from unet_tf.data.weight_map import border_weights, class_balance, components, count_classes
from unet_tf.errors import InputError
from unet_tf.labels import VOID


class Sample(NamedTuple):
    """One pair, decoded: image (H, W, C) of the file's type, label (H, W) uint8, weight (H, W) float32."""

    name: str
    image: NDArray
    label: NDArray[np.uint8]
    weight: NDArray[np.float32]


@dataclass(frozen=True)
class Weighting:
    """Which weight map training uses: w(x) = w_c(x) + w0 exp(-(d1(x) + d2(x))**2 / (2 sigma**2)).

    Attributes:
        balance: whether w_c balances the classes, from their pixels in the training set; else it is 1.
        w0: weight of the separation borders, background (class 0) between components of class 1; 0 for none, 10 in
            the paper.
        sigma: width of the borders, pixels.
    """

    balance: bool = False
    w0: float = 0.0
    sigma: float = 5.0

    def weight_map(self, label: NDArray[np.uint8], class_weights: NDArray[np.float64]) -> NDArray[np.float32]:
        """The weights of one label map, (H, W) float32."""
        if not (self.balance or self.w0):
            return np.broadcast_to(np.float32(1), label.shape)
        table = np.zeros(VOID + 1, np.float32)  # void stays 0
        table[: len(class_weights)] = class_weights
        weight = table[label]
        if self.w0:
            weight = weight + border_weights(components(label), self.w0, self.sigma) * (label == 0)
        return weight


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

    @classmethod
    def measure(cls, images: Sequence[NDArray]) -> Normalisation:
        """Mean and standard deviation over all pixels of all (H, W, C) images, in float64."""
        pixels = sum(image[..., 0].size for image in images)
        total = sum(image.sum((0, 1), dtype=np.float64) for image in images)
        mean = total / pixels
        squares = sum(((image - mean) ** 2).sum((0, 1)) for image in images)
        std = np.sqrt(squares / pixels)
        std = np.where(std > 0, std, 1.0)
        return cls(tuple(mean.tolist()), tuple(std.tolist()), str(images[0].dtype))

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
        return self.scale(with_channels(image, self.channels, name))

    def check(self, image: NDArray, name: str = "the image") -> None:
        """Raise InputError for colour given to a net of grey images, and for another pixel type than it learnt from."""
        if str(image.dtype) != self.dtype:
            raise InputError(
                f"{name} holds {image.dtype} pixels, and the net was trained on {self.dtype}, whose range it expects. "
                f"Convert it to {self.dtype}."
            )
        with_channels(image, self.channels, name)

    def scale(self, image: NDArray) -> NDArray[np.float32]:
        """(x - mean) / std of a (..., C) image known to be of the right type and channels."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        return (image.astype(np.float32) - mean) / std


@dataclass(frozen=True)
class Samples:
    """The decoded pairs of one split.

    Attributes:
        samples: in the order of the pairs, all with the same number of channels.
        sha256: hash of each image file, to know it again whatever its name.
        class_pixels: (num_classes,) pixels of each class.
    """

    samples: list[Sample]
    sha256: list[str]
    class_pixels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def read_samples(
    pairs: Sequence[Pair],
    num_classes: int,
    weighting: Weighting | None = None,
    like: Samples | None = None,
    on_file: Callable[[], None] = lambda: None,
) -> Samples:
    """Decode and check pairs, and compute their weight maps once.

    Args:
        pairs: what to read.
        num_classes: number of classes.
        weighting: which weight map; None for ones.
        like: the training samples, whose channels, pixel type and class balance these share.
        on_file: called after each file, for a progress bar.

    Raises:
        InputError: a file cannot be used, or the pixel types differ between files.
    """
    weighting = weighting or Weighting()
    images, labels, hashes = [], [], []
    for pair in pairs:
        image, label = read_pair(pair, num_classes)
        images.append(image)
        labels.append(label)
        hashes.append(file_hash(pair))
        on_file()
    known = {str(like[0].image.dtype): f"the training image {like[0].name}"} if like else {}
    _check_types(pairs, images, known)
    channels = like[0].image.shape[2] if like else channels_of(images)
    class_pixels = sum((count_classes(label, num_classes) for label in labels), np.zeros(num_classes, np.int64))
    balanced = class_balance(like.class_pixels if like else class_pixels)
    class_weights = balanced if weighting.balance else np.ones(num_classes)
    samples = [
        Sample(
            pair.name,
            with_channels(image, channels, str(pair.image)),
            label,
            weighting.weight_map(label, class_weights),
        )
        for pair, image, label in zip(pairs, images, labels, strict=True)
    ]
    return Samples(samples, hashes, class_pixels)


def file_hash(pair: Pair) -> str:
    """SHA-256 of the image file of a pair, in hexadecimal."""
    return hashlib.sha256(pair.image.read_bytes()).hexdigest()


def _check_types(pairs: Sequence[Pair], images: Sequence[NDArray], known: dict[str, str]) -> None:
    """Raise InputError if the pixel types differ: one mean and one standard deviation cannot serve two ranges."""
    found = dict(known)
    for pair, image in zip(pairs, images, strict=True):
        found.setdefault(str(image.dtype), str(pair.image))
    if len(found) > 1:
        types = ", ".join(f"{dtype} (such as {path})" for dtype, path in found.items())
        raise InputError(f"All images of a data set have one pixel type; found {types}. Convert them to one.")
