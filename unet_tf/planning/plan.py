"""A run that configures itself: each setting that was left open, from facts of the data and measured step times.

The rules and the measurements behind them stand in CONTRIBUTING.md. No TensorFlow here: who measures is handed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.config import PRECISIONS, TrainConfig
from unet_tf.errors import InputError
from unet_tf.geometry import Geometry

WIDTHS = (16, 32, 64)
"""Base filters to choose from: oneDNN works in blocks of 16 channels (24 take twice as long as 32)."""
STEP_PIXELS = 4 * 256**2
"""Pixels that carry loss in a step: four tiles of 256 px."""
ENOUGH_STEPS = 1200
"""Steps of `STEP_PIXELS` that a wider net needs to be the better one."""
EPOCHS = 20
"""Validations of a run that is limited by time."""
SHORTEST_EPOCH, LONGEST_EPOCH = 10.0, 600.0
"""Seconds of an epoch: with less, validating and saving eat the time; more is too much to lose."""
FEWEST_STEPS = 64
"""Shortest epoch where the number of epochs is given, so that validation does not eat the time on small data."""
MOST_DEPTH, USUAL_DEPTH = 5, 4
FEWEST_BOTTOM = 8
"""Pixels along a tile at the deepest level, at least."""
RARE, RARE_SHARE = 0.01, 0.25
"""Share of the pixels below which a class is rare, and share of the tiles that then look for classes."""
OPEN_EPOCHS = 1_000_000
LOGIT_MAPS = 6
"""float32 values for each class and pixel that loss and metric take."""


class Plan:
    """A configuration under way to having no open values, and the reason of each value that was chosen.

    Attributes:
        config: the configuration so far.
        reasons: name of the setting -> why it has its value.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config, self.reasons = config, dict[str, str]()

    def choose(self, name: str, value: Any, reason: str) -> None:
        """Set what is open."""
        if getattr(self.config, name) in (None, "auto"):
            self.config = replace(self.config, **{name: value})
            self.reasons[name] = reason


def plan_sizes(plan: Plan, shapes: Sequence[tuple[int, int]], object_size: float) -> None:
    """Choose padding, depth, tile and batch size.

    Args:
        plan: changed.
        shapes: height and width of each training image, pixels.
        object_size: as of `object_size`.
    """
    side = usual_side(shapes)
    plan.choose("padding", "same", "every pixel that is computed carries loss; unpadded, two thirds would carry none")
    fits = max(0, int(math.log2(max(side, 1) / FEWEST_BOTTOM)))
    sees = Geometry(USUAL_DEPTH, "same").halo
    wanted = MOST_DEPTH if object_size > 2 * sees else USUAL_DEPTH
    plan.choose(
        "depth",
        min(wanted, fits) or min(1, side // 2),
        f"objects are up to {object_size:.0f} px across, and depth {USUAL_DEPTH} sees {sees} px to each side"
        if fits >= wanted
        else f"images have {side} px, and one level more would have fewer than {FEWEST_BOTTOM} of them",
    )
    geometry = plan.config.geometry
    tile = training_tile(shapes, geometry)
    plan.choose("tile", tile, f"images have {side} px; more than {largest_output(geometry)} px are not used")
    output = geometry.output_size(plan.config.tile or tile)
    batch = min(32, max(1, round(STEP_PIXELS / output**2)))
    plan.choose("batch_size", batch, f"about {STEP_PIXELS} px a step carry loss, {output}x{output} a tile")


def training_tile(shapes: Sequence[tuple[int, int]], geometry: Geometry) -> int:
    """The largest useful tile whose output fits into the images: at most the paper's 572, 256 for "same"."""
    return geometry.nearest_legal(min(usual_side(shapes), largest_output(geometry)) + geometry.shrink)[0]


def usual_side(shapes: Sequence[tuple[int, int]]) -> int:
    """Shorter side that three of four images have at least, so that a few small ones do not decide for all."""
    sides = sorted(min(shape) for shape in shapes)
    return sides[len(sides) // 4]


def largest_output(geometry: Geometry) -> int:
    """Output of the largest tile that is used: 388 px as in the paper, 256 px for "same", which wastes no halo."""
    return 388 if geometry.padding == "valid" else 256


def plan_sampling(plan: Plan, class_pixels: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Choose whether tiles look for rare classes."""
    shares = class_pixels / max(1, class_pixels.sum())
    rarest = int(shares.argmin())
    words = f"the rarest class, {classes[rarest]}, has {shares[rarest]:.2%} of the pixels"
    plan.choose("rare_share", RARE_SHARE if shares[rarest] < RARE else 0.0, words)


def plan_speed(plan: Plan, seconds_left: float, step_seconds: Callable[[TrainConfig], float]) -> None:
    """Choose width and steps of an epoch, after precision and sizes.

    Args:
        plan: changed.
        seconds_left: of the run's time.
        step_seconds: measures one optimizer step of a configuration.
    """
    if plan.config.epochs is not None:
        plan.choose("base_filters", WIDTHS[1], "epochs limit the run, and not time alone; 64 in the paper")
        return
    measured: dict[int, float] = {}

    def seconds(width: int) -> float:
        if width not in measured:
            measured[width] = step_seconds(replace(plan.config, base_filters=width))
        return measured[width]

    width = plan.config.base_filters
    if width is None:
        width = WIDTHS[0]
        for wider in WIDTHS[1:]:  # a doubled width takes twice the time at least: no need to measure that
            if 2 * seconds(width) * ENOUGH_STEPS > seconds_left or not _fits(wider, seconds, seconds_left):
                break
            width = wider
        times = ", ".join(f"{known:.2f} s a step at {one}" for one, known in measured.items())
        plan.choose("base_filters", width, f"the widest that makes {ENOUGH_STEPS} steps in time; measured {times}")
    if plan.config.steps_per_epoch is None:
        epochs = min(max(EPOCHS, seconds_left / LONGEST_EPOCH), max(1, seconds_left / SHORTEST_EPOCH))
        steps = max(1, round(seconds_left / epochs / seconds(width)))
        plan.choose("steps_per_epoch", steps, f"about {epochs:.0f} validations; a step takes {seconds(width):.2f} s")


def _fits(width: int, seconds: Callable[[int], float], seconds_left: float) -> bool:
    """Whether a net makes enough steps in time, and fits into the memory."""
    try:
        return seconds(width) * ENOUGH_STEPS <= seconds_left
    except InputError:
        return False


def object_size(labels: Sequence[NDArray[np.uint8]], num_classes: int) -> float:
    """Width in pixels of the thickest thing in the labels: of each class but the first the median over the images.

    The width of a region is that of the largest circle inside it, so that a network of thin lines is thin.
    """
    widths = []
    for number in range(1, num_classes):
        regions = [label == number for label in labels if (label == number).any()]
        of_class = [2 * cv2.distanceTransform(np.pad(r, 1).astype(np.uint8), cv2.DIST_L2, 3).max() for r in regions]
        widths += [float(np.median(of_class))] if of_class else []
    return max(widths, default=0.0)


def memory_needed(config: TrainConfig, channels: int) -> int:
    """Estimate the bytes that a training step takes, within about a third (measured on CPU).

    Kept for the way back are, at each level, what convolutions, normalisations and ReLUs put out; weights have a
    gradient and the optimizer's two moments beside them.
    """
    geometry, base = config.geometry, config.base_filters or WIDTHS[-1]
    pixels = (config.batch_size or 1) * (config.tile or 0) ** 2
    maps = 6 if config.batch_norm else 4
    floats = channels * pixels
    for level in range(geometry.depth + 1):
        of_block = maps * (1 if level == geometry.depth else 2) + (0 if level == geometry.depth else 3)
        floats += of_block * base * 2**level * pixels // 4**level
    weights = 2.0 * 31.03e6 * (base / 64) ** 2 * 4.0 ** (geometry.depth - 4)
    each = 4 if PRECISIONS[config.precision] == "float32" else 2
    logits = LOGIT_MAPS * 4 * (len(config.classes or ()) or 2) * pixels
    return int(floats * each + logits + 16 * weights)


def check_memory(config: TrainConfig, channels: int, free: int) -> str:
    """Say how much memory a run takes.

    Raises:
        InputError: more than is free.
    """
    need = memory_needed(config, channels)
    words = (
        f"about {need / 1e9:.1f} GB for {config.batch_size} tiles of {config.tile} px and {config.base_filters} base"
    )
    words += f" filters at depth {config.depth} ({config.precision}); {free / 1e9:.1f} GB are free"
    if need > free:
        raise InputError(
            f"A training step fits into the free memory; it takes {words}. Lower --batch-size, --tile or "
            "--base-filters, or choose --precision bfloat16."
        )
    return words
