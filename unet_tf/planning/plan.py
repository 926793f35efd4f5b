"""A run that configures itself: each setting that was left open, from facts of the data and measured step times.

The rules and the measurements behind them stand in CONTRIBUTING.md. No TensorFlow here: who measures is handed in.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.config import PRECISIONS, TrainConfig
from unet_tf.data.masks import MaskFormat
from unet_tf.errors import InputError
from unet_tf.geometry import Geometry
from unet_tf.model.calibration import BEST, HALF
from unet_tf.plan import Plan

WIDTHS = (16, 32, 64)
"""Base filters to choose from: oneDNN works in blocks of 16 channels (24 take twice as long as 32)."""
STEP_PIXELS = 4 * 256**2
"""Pixels that carry loss in a step: four tiles of 256 px."""
MOST_TILES = 32
"""Tiles of a step."""
ENOUGH_STEPS = 1200
"""Steps of `STEP_PIXELS` that a wider net needs to be the better one."""
EPOCHS, FEWEST_EPOCHS = 20, 8
"""Validations of a run that is limited by time: as usual, and where they are dear."""
VALIDATION_SHARE = 0.05
"""Of the time of an epoch that its validation may take."""
VALIDATION_COST = 0.3
"""Time that a pixel takes to be validated, of that which it takes in a training step (measured 0.24 to 0.26)."""
SHORTEST_EPOCH, LONGEST_EPOCH = 10.0, 600.0
"""Seconds of an epoch: with less, validating and saving eat the time; more is too much to lose."""
FEWEST_STEPS = 64
"""Shortest epoch where the number of epochs is given, so that validation does not eat the time on small data."""
MOST_DEPTH, USUAL_DEPTH = 5, 4
FEWEST_BOTTOM = 8
"""Pixels along a tile at the deepest level, at least."""
RARE, RARE_SHARE = 0.05, 0.33
"""Share of the pixels below which a class is rare, and share of the tiles that then look for classes."""
FEWEST_ALIKE, ONE_HALF, SURE = 6, 0.65, 5.0
"""Parts of the data with a class from which on it may tell where up is, the share of it that must lie in one half, and
by how many standard errors more than a half, of two classes."""
USUAL_TILE = 256
"""Pixels along the largest tile of a "same" net that is used."""
LOOKED_AT_SIDE = 1024
"""Pixels along the shorter side of a label that are looked at, or up to twice as many: of a larger one every n-th."""
PAPER_W0 = 10.0
"""Of the separation borders (the paper, section 3)."""
LOGIT_MAPS = 6
"""float32 values for each class and pixel that loss and metric take."""


Value = TypeVar("Value")


class Choice(NamedTuple, Generic[Value]):
    """The value of a setting, and why it is that; no reason where a person said it."""

    value: Value
    reason: str = ""


class Sizes(NamedTuple):
    """What the size of the images decides: padding and depth of the net, side of a tile, tiles a step."""

    padding: Choice[str]
    depth: Choice[int]
    tile: Choice[int]
    batch_size: Choice[int]

    @property
    def geometry(self) -> Geometry:
        """Sizes of the net."""
        return Geometry(self.depth.value, self.padding.value)


class Course(NamedTuple):
    """What the time decides: width of the net, steps between validations, tiles of each validation."""

    base_filters: Choice[int]
    steps_per_epoch: Choice[int]
    val_tiles: Choice[int]


class Work(NamedTuple):
    """What there is to do.

    Attributes:
        one_pass: steps that see each training pixel about once.
        step_pixels: pixels that a step computes.
        tiles: those of the files that are held out; 0 where none is.
        tile_pixels: pixels that all of these compute.
    """

    one_pass: int
    step_pixels: int
    tiles: int
    tile_pixels: int

    def validation_of(self, tiles: int | None) -> float:
        """Time that it takes to validate on so many tiles, or on all, in training steps."""
        share = 1.0 if tiles is None or tiles >= self.tiles else tiles / self.tiles
        return share * VALIDATION_COST * self.tile_pixels / self.step_pixels


def choose(said: Value | None, value: Value, reason: str) -> Choice[Value]:
    """What a person said; where that is nothing, or "auto", the value and its reason."""
    return Choice(value, reason) if said is None or said == "auto" else Choice(said)


def make_plan(config: TrainConfig, choices: Mapping[str, Choice[Any]]) -> Plan:
    """The plan of a configuration and of the choices that were made for it.

    Raises:
        InputError: something is left open.
    """
    chosen = replace(config, **{name: one.value for name, one in choices.items()})
    return Plan.of(chosen, {name: one.reason for name, one in choices.items() if one.reason})


def plan_sizes(config: TrainConfig, shapes: Sequence[tuple[int, int]], object_size: float) -> Sizes:
    """Choose padding, depth, tile and batch size, as far as a configuration leaves them open.

    Args:
        config: what a person said.
        shapes: height and width of each training image, pixels.
        object_size: as of `object_size`.
    """
    side = usual_side(shapes)
    words = "every pixel that is computed carries loss; unpadded, two thirds would carry none"
    padding = choose(config.padding, "same", words)
    fits = max(0, int(math.log2(max(side, 1) / FEWEST_BOTTOM)))
    sees = Geometry(USUAL_DEPTH, "same").halo
    wanted, legal = MOST_DEPTH if object_size > 2 * sees else USUAL_DEPTH, True
    if config.tile is not None and USUAL_DEPTH < wanted <= fits:
        legal = Geometry(MOST_DEPTH, padding.value).is_legal(config.tile)
        wanted = wanted if legal else USUAL_DEPTH
    shown = f"three quarters of the tiles lie in images with {side} px or more along their shorter side"
    words = f"{shown}, of which the lowest level of a deeper net would have fewer than {FEWEST_BOTTOM}"
    if fits >= wanted:
        words = f"objects are up to {object_size:.0f} px across, and depth {USUAL_DEPTH} sees {sees} px to each side"
        words += "" if legal else f"; a tile of {config.tile} px is not legal at depth {MOST_DEPTH}"
    depth = choose(config.depth, min(wanted, fits) or min(1, side // 2), words)
    geometry = Geometry(depth.value, padding.value)
    best = training_tile(shapes, geometry)
    words = (
        f"its output of {geometry.output_size(best)} px is the largest of {largest_output(geometry)} px at most that "
    )
    words += f"fits into the images: {shown}"
    tile = choose(config.tile, best, words)
    output = geometry.output_size(tile.value)
    tiles = min(MOST_TILES, max(1, round(STEP_PIXELS / output**2)))
    words = (
        f"tiles of {output}x{output} px that carry loss, 1 to {MOST_TILES}: as near to {STEP_PIXELS} px a step as goes"
    )
    batch_size = choose(config.batch_size, tiles, words)
    return Sizes(padding, depth, tile, batch_size)


def training_tile(shapes: Sequence[tuple[int, int]], geometry: Geometry) -> int:
    """The largest useful tile whose output fits into the images: at most the paper's 572, 256 for "same"."""
    return geometry.nearest_legal(min(usual_side(shapes), largest_output(geometry)) + geometry.shrink)[0]


def usual_side(shapes: Sequence[tuple[int, int]]) -> int:
    """Largest shorter side such that three quarters of the tiles lie in images with at least that.

    So a few small images do not decide for all: tiles are spread over images by their pixels, but one at least lies in
    each (`unet_tf.data.pipeline.draws_per_epoch`).
    """
    by_side = sorted(shapes, key=min)
    pixels = np.cumsum([max(height * width, USUAL_TILE**2) for height, width in by_side])
    return min(by_side[int(np.searchsorted(pixels, pixels[-1] / 4, side="right"))])


def largest_output(geometry: Geometry) -> int:
    """Output of the largest tile that is used: 388 px as in the paper, 256 px for "same", which wastes no halo."""
    return 388 if geometry.padding == "valid" else USUAL_TILE


def plan_sampling(config: TrainConfig, class_pixels: NDArray[np.int64], classes: Sequence[str]) -> Choice[float]:
    """Choose the share of the tiles that look for classes, where some class is rare."""
    shares = class_pixels / max(1, class_pixels.sum())
    rarest = int(shares.argmin())
    words = f"the rarest class, {classes[rarest]}, has {shares[rarest]:.2%} of the pixels"
    return choose(config.rare_share, RARE_SHARE if shares[rarest] < RARE else 0.0, words)


def plan_threshold(
    config: TrainConfig, class_pixels: NDArray[np.int64], classes: Sequence[str], held_out: NDArray[np.int64] | None
) -> Choice[float | str]:
    """Choose where two classes part: at one half, or where validation files say so, if class 1 is rare.

    Args:
        config: what a person said.
        class_pixels: (C,) of the training files.
        classes: their names.
        held_out: (C,) of the validation files; None where there are none.
    """
    if len(classes) > 2:
        return choose(config.threshold, HALF, "each pixel gets the most probable of its classes")
    share = class_pixels[1] / max(1, class_pixels.sum())
    words = f"{classes[1]} has {share:.2%} of the pixels"
    if share >= RARE:
        return choose(config.threshold, HALF, f"each pixel gets its more probable class: {words}")
    if held_out is None:
        return choose(config.threshold, HALF, f"{words}, and no file is held out to choose on")
    if not held_out[1]:
        return choose(config.threshold, HALF, f"{words}, and those held out, to choose on, have none")
    return choose(config.threshold, BEST, f"{words}: few pixels decide how well it is found, and often not at 0.5")


def plan_flips(
    config: TrainConfig, labels: Sequence[NDArray[np.uint8]], classes: Sequence[str], parts: Sequence[Hashable]
) -> Choice[bool]:
    """Choose whether pictures are upright: whether some class lies above, or below, in one like in the other.

    Labels of one part count as one, by their mean: the pages of a stack show nearly the same. As any of many classes
    may decide by chance, the bound grows with their number n, by n^(1 / d) for d degrees of freedom: so much further
    out the tail of Student's distribution has a n-th of its weight.

    Args:
        config: what a person said; where that is whether they are, nothing is looked at.
        labels: (H, W) ids each.
        classes: their names.
        parts: the part of the data, a picture, stack or group, that each label belongs to.
    """
    if config.upright is not None:
        return Choice(config.upright)
    found = []
    for number, name in enumerate(classes):
        shares = _halves(labels, number, parts)
        if len(shares) < FEWEST_ALIKE:
            continue
        mean, error = shares.mean(axis=0), shares[:, 0].std(ddof=1) / math.sqrt(len(shares))
        bound = SURE * (len(classes) - 1) ** (1 / (len(shares) - 1))  # of two classes each is what the other is not
        if mean.max() >= ONE_HALF and mean.max() - 0.5 > bound * error:
            found.append((mean.max(), ("upper", "lower")[int(mean.argmax())], name))
    words = "no class lies in the same half of all pictures"
    if found:
        share, side, name = max(found)
        words = f"{share:.0%} of {name} lies in the {side} half of the pictures: they have an up"
    return Choice(bool(found), words)


def _halves(labels: Sequence[NDArray[np.uint8]], number: int, parts: Sequence[Hashable]) -> NDArray[np.float64]:
    """Shares of a class above and below, (N, 2): the mean over the labels of each part that have it."""
    of_part: dict[Hashable, list[NDArray[np.float64]]] = {}
    for label, part in zip(labels, parts, strict=True):
        region = _coarse(label)[0] == number
        half = (len(region) + 1) // 2  # a middle row is in both halves
        pixels = np.array([region[:half].sum(), region[-half:].sum()])
        if pixels.any():
            of_part.setdefault(part, []).append(pixels / pixels.sum())
    return np.array([np.mean(shares, axis=0) for shares in of_part.values()]).reshape(-1, 2)


def _coarse(label: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """Every n-th pixel of a label along both axes, so that a large one takes no minutes; and n."""
    step = max(1, min(label.shape) // LOOKED_AT_SIDE)
    return label[::step, ::step], step


def plan_border(config: TrainConfig, masks: MaskFormat) -> Choice[int]:
    """Choose whether borders of objects are a class: where masks tell objects apart, unless what is said wants two."""
    if masks.kind != "instance":
        return Choice(0)
    words = "touching objects are separated by borders, and drawn more exactly than by weights of the gaps between"
    if config.of_two_classes:
        words = "a border weight, or a threshold, is of two classes"
    elif not masks.border:
        words = "the masks hold no background, or objects with less inside than border"
    return choose(config.border_class, masks.border, words)


def plan_border_weight(config: TrainConfig, masks: MaskFormat) -> Choice[float]:
    """Choose w0 of the paper's weight map: where masks tell objects apart, and no class does so."""
    words = f"the paper's where masks tell objects apart; these are {masks.kind} masks"
    if masks.border:
        words += ", with a border class"
    return choose(config.border_weight, PAPER_W0 if masks.kind == "instance" and not masks.border else 0.0, words)


def plan_course(config: TrainConfig, work: Work, seconds_left: float, step_seconds: Callable[[int], float]) -> Course:
    """Choose width, steps of an epoch and tiles of a validation, after precision and sizes.

    Args:
        config: what a person said.
        work: what there is to do.
        seconds_left: of the run's time; infinite without a limit.
        step_seconds: measures one optimizer step of a net of so many base filters.
    """
    if config.epochs is not None:
        words = f"{work.one_pass} steps see as many pixels as there are; {FEWEST_STEPS} at least"
        width = choose(config.base_filters, WIDTHS[1], "epochs limit the run, and not time alone; 64 in the paper")
        length = choose(config.steps_per_epoch, max(FEWEST_STEPS, work.one_pass), words)
        return Course(width, length, _validated(config, work, length.value))
    seconds = functools.lru_cache(step_seconds)
    width = Choice(config.base_filters) if config.base_filters is not None else _widest(seconds, seconds_left)
    if config.steps_per_epoch is not None:
        return Course(width, Choice(config.steps_per_epoch), _validated(config, work, config.steps_per_epoch))
    in_all = seconds_left / seconds(width.value)  # steps
    epochs = min(max(EPOCHS, seconds_left / LONGEST_EPOCH), max(1, seconds_left / SHORTEST_EPOCH))
    if work.tiles:  # fewer where each is dear
        fewest = max(FEWEST_EPOCHS, seconds_left / LONGEST_EPOCH)
        epochs = min(epochs, max(fewest, VALIDATION_SHARE * in_all / work.validation_of(config.val_tiles or None)))
    val_tiles = _validated(config, work, in_all / epochs)
    takes = work.validation_of(val_tiles.value)
    # however many tiles were said, it learns for as long as it validates
    steps = max(1, round(max(in_all / epochs - takes, min(takes, in_all / 2))))
    words = f"about {max(1, in_all / (steps + takes)):.0f} validations; a step takes {seconds(width.value):.2f} s"
    return Course(width, Choice(steps, words), val_tiles)


def _validated(config: TrainConfig, work: Work, steps: float) -> Choice[int]:
    """How many tiles each validation looks at, where one comes after so many steps."""
    if work.tiles and config.val_tiles == 0:
        raise InputError(
            "A validation must look at a tile at least; received val_tiles 0. To train on all files say --val-share "
            "0, and have no val/."
        )
    takes = work.validation_of(None) / steps
    some = max(1, int(work.tiles * VALIDATION_SHARE / takes)) if takes else 0
    if takes <= VALIDATION_SHARE or some == work.tiles:
        words = (
            f"all of them; to look at them takes about {takes:.1%} of the time" if work.tiles else "none is held out"
        )
        return choose(config.val_tiles, work.tiles, words)
    words = f"of {work.tiles}, always the same ones: to look at all would take about {takes:.0%} of the time"
    return choose(config.val_tiles, some, words)


def _widest(seconds: Callable[[int], float], seconds_left: float) -> Choice[int]:
    """The widest net that makes enough steps in time, and fits into the memory; the narrowest where none makes them."""
    width, measured = WIDTHS[0], {WIDTHS[0]: seconds(WIDTHS[0])}
    why = "no wider one is tried"
    for wider in WIDTHS[1:]:
        why = f"{wider} would make fewer than the {ENOUGH_STEPS} that a wider net needs to be the better one"
        if 2 * measured[width] * ENOUGH_STEPS > seconds_left:
            break  # a doubled width takes twice the time at least: no need to measure that
        try:
            measured[wider] = seconds(wider)
        except InputError:
            why = f"the memory does not hold {wider}"
            break
        if measured[wider] * ENOUGH_STEPS > seconds_left:
            break
        width, why = wider, "no wider one is tried"
    times = ", ".join(f"{known:.2f} s a step at {one}" for one, known in measured.items())
    steps = f"about {seconds_left / measured[width]:.0f} steps in the time that is left"
    return Choice(width, f"it makes {steps}, and {why}; measured {times}")


def object_size(labels: Sequence[NDArray[np.uint8]], num_classes: int) -> float:
    """Width in pixels of the thickest thing in the labels: of each class but the first the median over the images.

    The width of a region is that of the largest circle inside it, so that a network of thin lines is thin.
    """
    widths = []
    for number in range(1, num_classes):
        of_class = [width for label in labels if (width := _width(label, number))]
        widths += [float(np.median(of_class))] if of_class else []
    return max(widths, default=0.0)


def _width(label: NDArray[np.uint8], number: int) -> float:
    """Width in pixels of the thickest thing of a class in a label; 0 where it has none."""
    coarse, step = _coarse(label)
    region = np.pad(coarse == number, 1).astype(np.uint8)
    if not region.any():
        return 0.0
    # n pixels across have a distance of (n + 1) / 2, and stand for n steps; a pixel more, as of labels looked at whole
    return (2 * float(cv2.distanceTransform(region, cv2.DIST_L2, 3).max()) - 1) * step + 1


def memory_needed(plan: Plan, channels: int) -> int:
    """Estimate the bytes that a training step takes, within about a third (measured on CPU).

    Kept for the way back are, at each level, what convolutions, normalisations and ReLUs put out; weights have a
    gradient and the optimizer's two moments beside them. Muon has one of them for kernels, and its matrices take as
    much as the other.
    """
    pixels = plan.batch_size * plan.tile**2
    maps = 6 if plan.batch_norm else 4
    floats = channels * pixels
    for level in range(plan.depth + 1):
        of_block = maps * (1 if level == plan.depth else 2) + (0 if level == plan.depth else 3)
        floats += of_block * plan.base_filters * 2**level * pixels // 4**level
    weights = 2.0 * 31.03e6 * (plan.base_filters / 64) ** 2 * 4.0 ** (plan.depth - 4)
    each = 4 if PRECISIONS[plan.precision] == "float32" else 2
    logits = LOGIT_MAPS * 4 * plan.num_classes * pixels
    return int(floats * each + logits + 16 * weights)


def check_memory(plan: Plan, channels: int, free: int) -> str:
    """Say how much memory a run takes.

    Raises:
        InputError: more than is free.
    """
    need = memory_needed(plan, channels)
    words = f"about {need / 1e9:.1f} GB for {plan.batch_size} tiles of {plan.tile} px and {plan.base_filters} base"
    words += f" filters at depth {plan.depth} ({plan.precision}); {free / 1e9:.1f} GB are free"
    if need > free:
        raise InputError(
            f"A training step must fit into the free memory; it takes {words}. Lower --batch-size, --tile or "
            "--base-filters, or choose --precision bfloat16."
        )
    return words
