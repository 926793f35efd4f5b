"""Pictures of results, layer by layer: image, prediction, truth and mistakes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.drawing import colour, displayable, drawn_channels
from unet_tf.data.masks import MaskFormat
from unet_tf.data.nodata import fill_nodata
from unet_tf.data.samples import Samples
from unet_tf.evaluation.mistakes import KINDS, draw_mistakes, has_background, mistakes, shrink
from unet_tf.evaluation.strips import write_strip
from unet_tf.labels import VOID
from unet_tf.utils.files import replacing

DRAWN = 640
"""Pixels of a picture's longer side that are kept to be drawn."""
WORST = 4
IMAGE, PREDICTION, TRUTH, ERROR = LAYERS = ("image", "prediction", "truth", "error")
SAMPLES = 4
"""Training tiles that a run shows."""


class Case(NamedTuple):
    """A picture to draw, of at most about `DRAWN` pixels a side.

    Attributes:
        title: its name.
        value: its mean IoU; NaN where it has none.
        image: (H, W, C) raw pixels.
        label: (H, W) ids.
        prediction: (H, W) ids.
        wrong: (H, W) kinds of mistakes.
        counts: (5,) pixels of the whole picture that are right and of each kind of mistake.
        rank: its place by mean IoU, from the worst, 1; 0 where nobody has said.
        among: how many have such a place.
    """

    title: str
    value: float
    image: NDArray
    label: NDArray[np.uint8]
    prediction: NDArray[np.uint8]
    wrong: NDArray[np.uint8]
    counts: NDArray[np.int64]
    rank: int = 0
    among: int = 0

    @classmethod
    def of(
        cls,
        title: str,
        value: float,
        image: NDArray,
        label: NDArray[np.uint8],
        prediction: NDArray[np.uint8],
        background: bool,
    ) -> Case:
        """The case of a whole picture: image (H, W, C) raw, label and prediction (H, W) ids."""
        step = -(-max(label.shape) // DRAWN)
        wrong = mistakes(label, prediction, background)
        image, label, prediction = (np.ascontiguousarray(whole[::step, ::step]) for whole in (image, label, prediction))
        counts = np.bincount(wrong.ravel(), minlength=len(KINDS) + 1)
        return cls(title, value, image, label, prediction, shrink(wrong, step), counts)


class Gallery:
    """The `WORST` cases of those that are added, the worst first, and the best one last; no other stays in memory.

    Args:
        classes: names of the classes.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.background = has_background(classes)
        self.cases: list[Case] = []

    def add(
        self, title: str, value: float, image: NDArray, label: NDArray[np.uint8], prediction: NDArray[np.uint8]
    ) -> None:
        """Add a case: image (H, W, C) raw, label and prediction (H, W) ids."""
        if len(self.cases) > WORST and self.cases[WORST - 1].value <= value < self.cases[-1].value:
            return
        self.cases.append(Case.of(title, value, image, label, prediction, self.background))
        self.cases.sort(key=lambda case: case.value)
        del self.cases[WORST:-1]

    def ranked(self, total: int) -> list[Case]:
        """The cases with their places among `total`."""
        places = [*range(1, len(self.cases)), total] if self.cases else []
        return [case._replace(rank=place, among=total) for case, place in zip(self.cases, places, strict=True)]


def write_panels(folder: Path, cases: Sequence[Case], masks: MaskFormat | None = None) -> None:
    """Draw image, prediction, truth and mistakes of each case into `folder`, replacing what was there.

    Args:
        folder: gets `0.png`, `1.png`, ...
        cases: what to draw.
        masks: in whose colours to draw, where they have some.
    """
    with replacing(folder) as temporary:
        temporary.mkdir()
        for number, case in enumerate(cases):
            said = {
                "title": case.title,
                "mean_iou": None if math.isnan(case.value) else case.value,
                "rank": case.rank,
                "of": case.among,
                "channels": drawn_channels(case.image.shape[2]),
                "void": bool((case.label == VOID).any()),
                "counts": dict(zip(("right", *KINDS), case.counts.tolist(), strict=True)),
            }
            write_strip(temporary / f"{number}.png", layers_of(case, masks), **said)


def layers_of(case: Case, masks: MaskFormat | None) -> dict[str, NDArray[np.uint8]]:
    """The pictures of a case by the name of the layer, (H, W, 3) RGB each."""
    pictures = (
        displayable(case.image),
        colour(case.prediction, masks),
        colour(case.label, masks),
        draw_mistakes(case.image, case.wrong),
    )
    return dict(zip(LAYERS, pictures, strict=True))


def write_panel(
    path: Path,
    title: str,
    image: NDArray,
    label: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    classes: tuple[str, ...],
    masks: MaskFormat | None,
) -> None:
    """Draw image (H, W, C), prediction (H, W), label (H, W) and mistakes side by side into one file."""
    case = Case.of(title, math.nan, image, label, prediction, has_background(classes))
    write_strip(path, layers_of(case, masks), title=title)


def write_weights(path: Path, samples: Samples, masks: MaskFormat) -> None:
    """Draw image, label and weight map of the first training image."""
    sample = samples[0]
    weight = samples.weight(sample.label, sample.border)
    most, step = float(weight.max()), -(-max(weight.shape) // DRAWN)
    filled = fill_nodata(sample.image, sample.nodata)
    image, label, weight = (np.ascontiguousarray(one[::step, ::step]) for one in (filled, sample.label, weight))
    layers = {IMAGE: displayable(image), "label": colour(label, masks), "weight": heat(weight, most)}
    write_strip(path, layers, title=sample.name, most=most, channels=drawn_channels(image.shape[2]))


def write_samples(path: Path, draw: Callable[[int], tuple[NDArray, NDArray, NDArray]], masks: MaskFormat) -> None:
    """Draw the first training tiles, as the net gets them: each image, and beside it its label.

    Args:
        path: the file.
        draw: number -> image (H, W, C), label (h, w) of its middle, weight.
        masks: in whose colours to draw.
    """
    layers = {}
    for number in range(SAMPLES):
        image, label, _ = draw(number)
        rim = (image.shape[0] - label.shape[0]) // 2
        image = image[rim : rim + label.shape[0], rim : rim + label.shape[1]]  # of which there is a label
        layers[f"tile {number + 1}"] = displayable(image)
        layers[f"label {number + 1}"] = colour(label, masks)
    write_strip(path, layers)


def heat(values: NDArray, most: float) -> NDArray[np.uint8]:
    """Draw (H, W) values from 0 to `most` as (H, W, 3) RGB, dark to light, in a map for all kinds of eyes."""
    byte = np.rint(255 * np.clip(values / max(most, 1e-12), 0, 1)).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(byte, cv2.COLORMAP_INFERNO)[..., ::-1])
