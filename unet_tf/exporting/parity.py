"""The nets of a bundle side by side with Keras, on the same pictures: probabilities, labels, scores, time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unet_tf.data.folder import Pair, read_pair, title
from unet_tf.data.pictures import read_image
from unet_tf.edge.description import Description
from unet_tf.edge.net import EdgeNet
from unet_tf.evaluation.metrics import confusion_matrix, scores
from unet_tf.exporting.bundle import KERAS, SAVED_MODEL, TFLITE
from unet_tf.exporting.saved_model import PROBABILITIES
from unet_tf.tiling import cut, default_tile, run_tiles
from unet_tf.utils.progress import Progress, unseen

Predict = Callable[[NDArray], NDArray[np.float32]]
"""(H, W, C) raw pixels -> (H, W, num_classes) probabilities."""

EXACT = {SAVED_MODEL: 1e-5, TFLITE["float32"]: 1e-4}
"""Largest difference in probability to Keras that these may have; labels then differ only where two probabilities are
closer than twice that."""
THREADS = 2
"""Of the processor, for TFLite."""


class Example(NamedTuple):
    """A picture to compare on: image (H, W, C) raw, and its label (H, W) where it has one."""

    name: str
    image: NDArray
    label: NDArray[np.uint8] | None = None


class Worst(NamedTuple):
    """The picture on which a net and Keras agree least: their labels (H, W)."""

    example: Example
    reference: NDArray[np.uint8]
    label: NDArray[np.uint8]
    other: int


@dataclass
class Tally:
    """What a net said, summed over pictures.

    Attributes:
        confusion: (C, C) pixels over the pictures with labels; rows: true class.
        difference: largest to Keras in probability.
        equal: pixels with Keras' label.
        pixels: of all pictures.
        worst: the picture with most other labels; None before any.
    """

    confusion: NDArray[np.int64]
    difference: float = 0.0
    equal: int = 0
    pixels: int = 0
    worst: Worst | None = field(default=None, repr=False)

    def add(self, example: Example, reference: NDArray, found: NDArray) -> None:
        """Count one picture, by the probabilities of Keras and of the net."""
        label, expected = (p.argmax(-1).astype(np.uint8) for p in (found, reference))
        other = int((label != expected).sum())
        self.difference = max(self.difference, float(np.abs(found - reference).max()))
        self.equal += label.size - other
        self.pixels += label.size
        if example.label is not None:
            self.confusion += confusion_matrix(example.label, label, len(self.confusion))
        if other and (self.worst is None or other > self.worst.other):
            self.worst = Worst(example, expected, label, other)

    def to_json(self, classes: Sequence[str]) -> dict[str, Any]:
        """The numbers; without labels there are no scores."""
        numbers: dict[str, Any] = {
            "max_probability_difference": self.difference,
            "label_agreement": self.equal / self.pixels,
        }
        if self.confusion.sum():
            found = scores(self.confusion)
            iou = {n: None if math.isnan(v) else float(v) for n, v in zip(classes, found["iou"], strict=True)}
            numbers |= {"mean_iou": float(found["mean_iou"]), "iou": iou}
        return numbers


def compare(
    reference: Predict,
    nets: dict[str, Predict],
    examples: Sequence[Callable[[], Example]],
    num_classes: int,
    on_image: Progress = unseen,
) -> dict[str, Tally]:
    """Run all nets over the same pictures.

    Args:
        reference: Keras.
        nets: by name.
        examples: functions that read the pictures, each when it is its turn.
        num_classes: of the net.
        on_image: called with (pictures done, pictures in all) after each.

    Returns:
        By name; Keras itself under `KERAS`.
    """
    tallies = {name: Tally(np.zeros((num_classes, num_classes), np.int64)) for name in (KERAS, *nets)}
    for done, read in enumerate(examples, start=1):
        example = read()
        expected = reference(example.image)
        for name, tally in tallies.items():
            tally.add(example, expected, expected if name == KERAS else nets[name](example.image))
        on_image(done, len(examples))
    return tallies


def inexact(tallies: dict[str, Tally]) -> list[str]:
    """Which nets of `EXACT` differ from Keras by more than they may, in words."""
    return [
        f"{name} differs from Keras by {tallies[name].difference:.1e} in probability, and may by {bound:.0e}."
        for name, bound in EXACT.items()
        if name in tallies and not tallies[name].difference <= bound
    ]


def worse(tallies: dict[str, Tally], max_iou_drop: float) -> list[str]:
    """Which nets lose more mean IoU against Keras than `max_iou_drop`, in words; none without labels."""
    if not tallies[KERAS].confusion.sum():
        return []
    means = {name: float(scores(tally.confusion)["mean_iou"]) for name, tally in tallies.items()}
    return [
        f"{name} loses {means[KERAS] - mean:.4f} mean IoU against Keras ({means[KERAS]:.4f} -> {mean:.4f}), and may "
        f"lose {max_iou_drop:g}."
        for name, mean in means.items()
        if not means[KERAS] - mean <= max_iou_drop
    ]


def keras_net(model: keras.Model, description: Description) -> Predict:
    """The trained net itself, as Keras computes it, in tiles."""
    geometry, normalisation = description.geometry, description.normalisation

    @tf.function(input_signature=[tf.TensorSpec((1, None, None, normalisation.channels), tf.float32)])
    def net(window: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(model(window, training=False))

    def predict(image: NDArray) -> NDArray[np.float32]:
        normalised = normalisation.apply(image)
        grid = cut(geometry, image.shape[:2], default_tile(geometry))
        result = np.empty((*image.shape[:2], len(description.classes)), np.float32)
        for place, found in run_tiles(lambda window: net(window[None]).numpy()[0], normalised, grid):
            result[place] = found
        return result

    return predict


def bundled_net(folder: Path, name: str, description: Description) -> Predict:
    """A net of a bundle by the name of its file or folder."""
    if name in TFLITE.values():
        return EdgeNet(folder / name, THREADS).probabilities
    signatures = tf.saved_model.load(str(folder / name)).signatures
    channels = description.normalisation.channels

    def predict(image: NDArray) -> NDArray[np.float32]:
        whole = np.broadcast_to(image, (*image.shape[:2], channels))
        return signatures[PROBABILITIES](image=tf.constant(whole[None]))[PROBABILITIES].numpy()[0]

    return predict


def read_example(pair: Pair, description: Description) -> Example:
    """A labelled file."""
    decoded = read_pair(pair, description.masks)
    description.normalisation.check(decoded.image, str(pair.image))
    return Example(title(pair), decoded.filled, decoded.label)


def read_picture(file: Path, description: Description) -> Example:
    """A file without a label."""
    image = read_image(file)
    description.normalisation.check(image, str(file))
    return Example(file.name, image)


def noise_example(description: Description) -> Example:
    """Noise of more than a tile of TFLite, wider than high."""
    step = description.geometry.tile_step(description.tile)
    return Example("noise", noise(description, (step // 2 + 1, step + 3)))


def noise(description: Description, shape: tuple[int, int]) -> NDArray:
    """Raw pixels with mean and spread of the training images, the same each time: (H, W) -> (H, W, C)."""
    normalisation = description.normalisation
    values = np.random.default_rng(0).normal(normalisation.mean, normalisation.std, (*shape, normalisation.channels))
    dtype = np.dtype(normalisation.dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return values.astype(dtype)
