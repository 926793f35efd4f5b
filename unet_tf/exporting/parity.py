"""The nets of a bundle side by side with Keras, on the same pictures: probabilities, labels, scores, time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unet_tf.data.fingerprint import identity
from unet_tf.data.folder import Pair, read_pair, title
from unet_tf.data.masks import MaskFormat
from unet_tf.data.nodata import nodata_values
from unet_tf.edge.description import Description
from unet_tf.edge.onnx_net import opened
from unet_tf.evaluation.bundle_tables import ComparisonReport, ExportedNet
from unet_tf.evaluation.metrics import confusion_matrix, scores
from unet_tf.exporting.bundle import KERAS, MASK, ONNX, PROBABILITIES, SAVED_MODEL, TFLITE, VERSIONS
from unet_tf.model.calibration import HALF, label_of
from unet_tf.model.ensemble import members_of, probabilities_of
from unet_tf.tiling import cut, default_tile, run_tiles
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look

Predict = Callable[[NDArray], NDArray[np.float32]]
"""(H, W, C) raw pixels -> (H, W, num_classes) probabilities."""

EXACT = dict.fromkeys((SAVED_MODEL, TFLITE["float32"], *ONNX.values()), 1e-4)
"""Largest difference in probability to Keras that these may have, whose float32 sums are rounded in another order.
Keras itself is 5e-6 from what 64 bits give for the net of the demo. Labels then differ only where two probabilities are
closer than twice that."""
THREADS = 2
"""Of the processor, for TFLite and ONNX Runtime."""
SURE = 0.01
"""A label is another than that of the probabilities only where these are further than this from undecided: quantised
ones are equal where what the label was made of is not."""


@dataclass(frozen=True)
class BundledNet:
    """A net of a bundle, on pictures of any size.

    Attributes:
        probabilities: (H, W, C) raw pixels -> (H, W, num_classes).
        label: (H, W, C) raw pixels -> (H, W) class ids, as the net itself gives them.
    """

    probabilities: Predict
    label: Callable[[NDArray], NDArray[np.uint8]]

    def __call__(self, image: NDArray) -> NDArray[np.float32]:
        """Give the probabilities."""
        return self.probabilities(image)


class Example(NamedTuple):
    """A picture to compare on: image (H, W, C) raw, its label (H, W) where it has one, its identity if of a file."""

    name: str
    image: NDArray
    label: NDArray[np.uint8] | None = None
    known: str = ""


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
        masks: how the masks of the net say the classes.
        threshold: of two classes.
        confusion: (C, C) pixels over the pictures with labels; rows: true class. Borders that are a class of the net
            count as the objects that they belong to, as in `unet_tf.evaluate`.
        difference: largest to Keras in probability; infinite where the net gave what is not finite.
        not_finite: pixels where the net gave NaN or infinity.
        equal: pixels with Keras' label.
        pixels: of all pictures.
        worst: the picture with most other labels; None before any.
    """

    masks: MaskFormat
    threshold: float = HALF
    confusion: NDArray[np.int64] = field(init=False)
    difference: float = 0.0
    not_finite: int = 0
    equal: int = 0
    pixels: int = 0
    worst: Worst | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.confusion = np.zeros((self.masks.real_classes, self.masks.real_classes), np.int64)

    def add(self, example: Example, reference: NDArray, found: NDArray) -> None:
        """Count one picture, by the probabilities of Keras and of the net."""
        finite = np.isfinite(found).all(-1)  # (H, W)
        self.not_finite += int((~finite).sum())
        self.pixels += finite.size
        if not finite.all():  # has no label that means anything
            self.difference = math.inf
            return
        label, expected = (label_of(p, self.threshold) for p in (found, reference))
        other = int((label != expected).sum())
        self.difference = max(self.difference, float(np.abs(found - reference).max()))
        self.equal += label.size - other
        if example.label is not None:
            truth, real = self.masks.real_label(example.label), self.masks.real_label(label)
            self.confusion += confusion_matrix(truth, real, len(self.confusion))
        if other and (self.worst is None or other > self.worst.other):
            self.worst = Worst(example, expected, label, other)

    @property
    def mean_iou(self) -> float | None:
        """Mean IoU over the pictures with labels; None without any, or where they are void alone."""
        value = float(scores(self.confusion)["mean_iou"])
        return None if math.isnan(value) else value

    def to_json(self, classes: Sequence[str]) -> ExportedNet:
        """Give the numbers as JSON types; without labels there are no scores."""
        numbers: ExportedNet = {
            "max_probability_difference": self.difference,
            "label_agreement": self.equal / self.pixels,
        }
        if self.confusion.sum():
            iou = scores(self.confusion)["iou"]
            numbers["mean_iou"] = self.mean_iou
            real = classes[: self.masks.real_classes]
            numbers["iou"] = {n: None if math.isnan(v) else float(v) for n, v in zip(real, iou, strict=True)}
        return numbers


def compare(
    reference: Predict,
    nets: Mapping[str, Predict],
    examples: Sequence[Callable[[], Example]],
    masks: MaskFormat,
    on_image: Progress = unseen,
    threshold: float = HALF,
) -> dict[str, Tally]:
    """Run all nets over the same pictures.

    Args:
        reference: Keras.
        nets: by name.
        examples: functions that read the pictures, each when it is its turn.
        masks: how the masks of the net say the classes.
        on_image: called with (pictures done, pictures in all) after each.
        threshold: of two classes, by which labels are made.

    Returns:
        By name; Keras itself under `KERAS`.
    """
    tallies = {name: Tally(masks, threshold) for name in (KERAS, *nets)}
    with all_digits():
        for done, read in enumerate(examples, start=1):
            example = read()
            expected = reference(example.image)
            for name, tally in tallies.items():
                look()
                tally.add(example, expected, expected if name == KERAS else nets[name](example.image))
            on_image(done, len(examples))
    return tallies


@contextmanager
def all_digits() -> Iterator[None]:
    """Let a GPU multiply by all digits of float32 in the block; else TensorFlow takes ten bits of them (TF32)."""
    allowed = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(allowed)


def mislabelled(nets: Mapping[str, BundledNet], description: Description) -> list[str]:
    """Say of which nets the labels are not those of their own probabilities, on noise."""
    image, threshold, wrong = noise_example(description).image, description.calibration.threshold, []
    for name, net in nets.items():
        look()
        found = net.probabilities(image)
        if not np.isfinite(found).all():  # has no label that means anything
            wrong.append(f"{name} must give finite probabilities; on noise it gives NaN or infinity.")
            continue
        label = net.label(image)
        ordered = np.sort(found, axis=-1)
        gap = np.abs(found[..., 1] - threshold) if threshold != HALF else ordered[..., -1] - ordered[..., -2]
        if other := int(((label != label_of(found, threshold)) & (gap > SURE)).sum()):
            wrong.append(f"{name} must give the labels of its probabilities; {other} of {label.size} pixels differ.")
    return wrong


def comparison_report(tallies: dict[str, Tally], classes: Sequence[str], pictures: str) -> ComparisonReport:
    """Put what `compare` found into the form of a report; `pictures` says what on."""
    numbers = {name: tally.to_json(classes) for name, tally in tallies.items()}
    return {"pictures": pictures, "keras": numbers.pop(KERAS), "artefacts": numbers}


def broken(tallies: dict[str, Tally]) -> list[str]:
    """Say which nets gave what is not finite."""
    return [
        f"{name} must give finite probabilities; {tally.not_finite} of {tally.pixels} pixels are NaN or infinite."
        for name, tally in tallies.items()
        if tally.not_finite
    ]


def bound_of(name: str, temperature: float = 1.0) -> float:
    """Largest difference in probability to Keras that a net may have; infinite of one that is less than float32.

    A temperature below 1 multiplies logits, and with them their rounding: the bounds are divided by it.
    """
    bound = EXACT.get(SAVED_MODEL if name.startswith(f"{VERSIONS}/") else name, math.inf)
    return bound * max(1.0, 1 / temperature)


def rounding_temperature(model: keras.Model, description: Description) -> float:
    """The temperature that divides the rounding of a net's logits; of an ensemble, one that does as those of its nets.

    What these make of rounding, where they are below 1, is its mean over the nets, as the difference in probability is.
    """
    growth = [max(1.0, 1 / one.temperature) for one in members_of(model)]
    return len(growth) / sum(growth) if growth else description.calibration.temperature


def inexact(tallies: dict[str, Tally], temperature: float = 1.0) -> list[str]:
    """Say which nets of `EXACT`, and versions of the SavedModel, differ from Keras by more than they may."""
    return [
        f"{name} differs from Keras by {tally.difference:.1e} in probability, and may by {bound:.1e}."
        for name, tally in tallies.items()
        if not tally.difference <= (bound := bound_of(name, temperature))
    ]


def allowed(name: str, temperature: float, max_iou_drop: float | None) -> str:
    """What a net may differ by, in words: in probability where it is exact, in mean IoU where there are scores."""
    bound = bound_of(name, temperature)
    words = [f"±{bound:.1e}"] * math.isfinite(bound) + ([] if max_iou_drop is None else [f"IoU {-max_iou_drop:+g}"])
    return ", ".join(words) or "anything"


def worse(tallies: dict[str, Tally], max_iou_drop: float) -> list[str]:
    """Say which nets lose more mean IoU against Keras than `max_iou_drop`; none without labels."""
    best = tallies[KERAS].mean_iou
    if best is None:
        return []
    means = {name: math.nan if tally.mean_iou is None else tally.mean_iou for name, tally in tallies.items()}
    return [
        f"{name} loses {best - mean:.4f} mean IoU against Keras ({best:.4f} -> {mean:.4f}), and may "
        f"lose {max_iou_drop:g}."
        for name, mean in means.items()
        if not best - mean <= max_iou_drop
    ]


def keras_net(model: keras.Model, description: Description) -> Predict:
    """Make a predict function of the trained net itself, or of an ensemble, as Keras computes it, in tiles."""
    geometry, normalisation = description.geometry, description.normalisation

    window = tf.TensorSpec((1, None, None, normalisation.channels), tf.float32)

    @tf.function(input_signature=[window], autograph=False)
    def net(window: tf.Tensor) -> tf.Tensor:
        return probabilities_of(model, model(window, training=False), description.calibration.temperature)

    def predict(image: NDArray) -> NDArray[np.float32]:
        normalised = normalisation.apply(image)
        grid = cut(geometry, image.shape[:2], default_tile(geometry))
        result = np.empty((*image.shape[:2], len(description.classes)), np.float32)
        for place, found in run_tiles(lambda window: net(window[None]).numpy()[0], normalised, grid):
            result[place] = found
        return result

    return predict


def bundled_net(folder: Path, name: str, description: Description) -> BundledNet:
    """Open a net of a bundle, by the name of its file or folder."""
    if name in (*TFLITE.values(), *ONNX.values()):
        net = opened(folder / name, THREADS)
        return BundledNet(net.probabilities, net.label)
    signatures = tf.saved_model.load(str(folder / name)).signatures
    channels = description.normalisation.channels

    def asked(signature: str, output: str, image: NDArray) -> NDArray:
        whole = np.broadcast_to(image, (*image.shape[:2], channels))
        return signatures[signature](image=tf.constant(whole[None]))[output].numpy()[0]

    return BundledNet(partial(asked, PROBABILITIES, PROBABILITIES), partial(asked, MASK, "mask"))


def read_example(pair: Pair, description: Description) -> Example:
    """Read a labelled file."""
    decoded = read_pair(pair, description.masks)
    description.normalisation.check(decoded.image, str(pair.image))
    measured = _measured(decoded.image, decoded.nodata, description)
    return Example(title(pair), measured, decoded.label, identity(decoded.image))


def read_picture(file: Path, description: Description, page: int = 0) -> Example:
    """Read a file without a label, or one picture of a stack."""
    image, _, declared = description.channels.read(description.channels.files(file), page)
    description.normalisation.check(image, str(file))
    measured = _measured(image, nodata_values(image, declared), description)
    return Example(file.name, measured, known=identity(image))


def _measured(image: NDArray, nodata: Sequence[float], description: Description) -> NDArray:
    """The pixels that a prediction gives to the net, whose graph knows the values of the training images itself."""
    return np.asarray(description.normalisation.measured(image, nodata)[:, :])


def noise_example(description: Description) -> Example:
    """Make noise of more than a tile of TFLite, wider than high."""
    step = description.geometry.tile_step(description.tile)
    return Example("noise", noise(description, (step // 2 + 1, step + 3)))


def noise(description: Description, shape: tuple[int, int]) -> NDArray:
    """Make raw pixels with mean and spread of the training images, the same each time: (H, W) -> (H, W, C)."""
    normalisation = description.normalisation
    values = np.random.default_rng(0).normal(normalisation.mean, normalisation.std, (*shape, normalisation.channels))
    dtype = np.dtype(normalisation.dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return values.astype(dtype)
