"""Pictures of results: image, truth, prediction and differences side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from unet_tf.data.drawing import colour, difference, displayable
from unet_tf.data.masks import MaskFormat
from unet_tf.data.samples import Samples
from unet_tf.utils.files import replacing
from unet_tf.utils.text import shown


def write_panels(
    folder: Path,
    cases: Sequence[tuple[str, NDArray, NDArray, Callable[[NDArray], NDArray]]],
    classes: tuple[str, ...],
    masks: MaskFormat | None = None,
) -> None:
    """Draw image, truth, prediction and differences of each case into `folder`, replacing what was there.

    Args:
        folder: gets `0.png`, `1.png`, ...
        cases: (title, image (H, W, C), label (H, W), function from image to probabilities).
        classes: names of the classes.
        masks: in whose colours to draw, where they have some.
    """
    with replacing(folder) as temporary:
        temporary.mkdir()
        for number, (title, image, label, predict_fn) in enumerate(cases):
            prediction = predict_fn(image).argmax(-1).astype(np.uint8)
            write_panel(temporary / f"{number}.png", title, image, label, prediction, classes, masks)


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
    """Image, label, prediction and their differences side by side.

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
    columns = zip(("image", *names), (*pictures, difference(image, label, prediction, grown)), strict=True)
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
    axes[0].set_title(shown(sample.name), fontsize=9, parse_math=False)
    axes[1].imshow(colour(sample.label, masks), interpolation="nearest")
    axes[1].set_title("label", fontsize=9)
    drawn = axes[2].imshow(weight, cmap="magma", vmin=0)
    axes[2].set_title("weight of each pixel in the loss", fontsize=9)
    figure.colorbar(drawn, ax=axes[2], fraction=0.046, pad=0.02)
    for axis in axes:
        axis.set_axis_off()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)
