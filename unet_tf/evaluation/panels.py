"""Pictures of results: image, truth, prediction and differences side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from unet_tf.data.drawing import colour, difference, displayable, drawn_channels
from unet_tf.data.masks import MaskFormat
from unet_tf.data.samples import Samples
from unet_tf.utils.files import replacing
from unet_tf.utils.signals import look
from unet_tf.utils.text import shown

DRAWN = 600
"""Pixels of a picture's longer side that are kept to be drawn: twice as many as a panel shows."""
WORST = 4


class Case(NamedTuple):
    """A picture to draw, of at most about `DRAWN` pixels a side.

    Attributes:
        title: its name.
        value: its mean IoU; NaN where it has none.
        image: (H, W, C) raw pixels.
        label: (H, W) ids.
        prediction: (H, W) ids.
    """

    title: str
    value: float
    image: NDArray
    label: NDArray[np.uint8]
    prediction: NDArray[np.uint8]


class Gallery:
    """The `WORST` cases of those that are added, the worst first, and the best one last; no other stays in memory."""

    def __init__(self) -> None:
        self.cases: list[Case] = []

    def add(
        self, title: str, value: float, image: NDArray, label: NDArray[np.uint8], prediction: NDArray[np.uint8]
    ) -> None:
        """Add a case: image (H, W, C) raw, label and prediction (H, W) ids."""
        step = -(-max(label.shape) // DRAWN)
        small = (np.ascontiguousarray(whole[::step, ::step]) for whole in (image, label, prediction))
        self.cases.append(Case(title, value, *small))
        self.cases.sort(key=lambda case: (math.isnan(case.value), case.value))
        del self.cases[WORST:-1]


def write_panels(
    folder: Path, cases: Sequence[Case], classes: tuple[str, ...], masks: MaskFormat | None = None
) -> None:
    """Draw image, truth, prediction and differences of each case into `folder`, replacing what was there.

    Args:
        folder: gets `0.png`, `1.png`, ...
        cases: what to draw.
        classes: names of the classes.
        masks: in whose colours to draw, where they have some.
    """
    with replacing(folder) as temporary:
        temporary.mkdir()
        for number, case in enumerate(cases):
            look()
            text = f"{case.title}: {'void alone' if math.isnan(case.value) else f'mean IoU {case.value:.3f}'}"
            write_panel(temporary / f"{number}.png", text, case.image, case.label, case.prediction, classes, masks)


def write_panel(
    path: Path,
    title: str,
    image: NDArray,
    label: NDArray,
    prediction: NDArray[np.uint8],
    classes: tuple[str, ...],
    masks: MaskFormat | None,
) -> None:
    """Draw image (H, W, C), label (H, W), prediction (H, W) and their differences side by side."""
    truth = f"truth ({', '.join(classes[1:4])}{', ...' if len(classes) > 4 else ''})"
    names = truth, "prediction", "missed (orange), invented (blue)"
    with replacing(path) as temporary:
        panel(title, image, label, prediction, names, masks).savefig(temporary, dpi=100)


def panel(
    title: str,
    image: NDArray,
    label: NDArray,
    prediction: NDArray[np.uint8],
    names: tuple[str, str, str],
    masks: MaskFormat | None,
    grown: int = 0,
) -> Figure:
    """Draw image, label, prediction and their differences side by side.

    Args:
        title: above them.
        image: (H, W, C) raw pixels.
        label: (H, W).
        prediction: (H, W).
        names: of the last three.
        masks: in whose colours to draw, where they have some.
        grown: pixels around a difference that are drawn as it is, so that a single one can be seen.
    """
    height, width = label.shape
    figure = Figure(figsize=(12, 12 / 4 * height / width + 0.75), layout="constrained")
    figure.suptitle(shown(title), x=0.01, ha="left", fontsize=11, parse_math=False)
    pictures = (displayable(image), colour(label, masks), colour(prediction, masks))
    drawn = drawn_channels(image.shape[2])
    columns = zip(
        (f"image: {drawn}" if drawn else "image", *names),
        (*pictures, difference(image, label, prediction, grown)),
        strict=True,
    )
    for axes, (name, picture) in zip(figure.subplots(1, 4), columns, strict=True):
        axes.imshow(picture, interpolation="nearest")
        axes.set_title(shown(name), fontsize=9, parse_math=False)
        axes.set_axis_off()
    return figure


def write_weights(path: Path, samples: Samples, masks: MaskFormat) -> None:
    """Draw image, label and weight map of the first training image."""
    sample = samples[0]
    weight = samples.weight(sample.label, sample.border)
    height, width = sample.label.shape
    figure = Figure(figsize=(12, 12 / 3 * height / width + 0.5), layout="constrained")
    axes = figure.subplots(1, 3)
    axes[0].imshow(displayable(sample.image))
    drawn = drawn_channels(sample.image.shape[2])
    axes[0].set_title(shown(sample.name) + (f": {drawn}" if drawn else ""), fontsize=9, parse_math=False)
    axes[1].imshow(colour(sample.label, masks), interpolation="nearest")
    axes[1].set_title("label", fontsize=9)
    drawn = axes[2].imshow(weight, cmap="magma", vmin=0)
    axes[2].set_title("weight of each pixel in the loss", fontsize=9)
    figure.colorbar(drawn, ax=axes[2], fraction=0.046, pad=0.02)
    for axis in axes:
        axis.set_axis_off()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)
