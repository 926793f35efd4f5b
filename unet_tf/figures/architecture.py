"""The famous picture of a U-Net, drawn from a model."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import keras

from unet_tf.errors import InputError
from unet_tf.model.unet import geometry_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAP, COPIED = "#d7e5f4", "#ffffff"
EDGE = "#33506e"
ARROWS = {
    "conv 3x3, ReLU": "#1f4e9c",
    "copy and crop": "#8a8f96",
    "max pool 2x2": "#c0392b",
    "up-conv 2x2": "#1e8449",
    "conv 1x1": "#117a8b",
}
"""What an arrow stands for, and its colour: those of the paper."""
PAPER = 572
"""Side of the paper's input tile, pixels."""
TALL, LOW, GAP, BETWEEN = 4.0, 0.25, 1.1, 0.75
"""Height of the largest map and of the smallest, distance of levels and of neighbours, in units of the drawing."""
WIDE, NARROW = 1.3, 0.12
"""Width of the map with the most channels, and what each has at least."""


class Map(NamedTuple):
    """A feature map: its sides in pixels, its channels, and how many of these were copied."""

    height: int
    width: int
    channels: int
    copied: int = 0


class Box(NamedTuple):
    """Where a map is drawn: the left and the upper border, its width and height."""

    x: float
    y: float
    width: float
    height: float
    of: Map


def draw_architecture(model: keras.Model, size: int | None = None, axes: Axes | None = None) -> Axes:
    """Draw a U-Net as figure 1 of the paper: boxes for feature maps with sizes and channels, arrows for operations.

    Everything is read off the model: channels and sizes are what its layers give for an input of this size. A dashed
    line in a map is what is copied of it.

    Args:
        model: built by `unet_tf.unet`.
        size: side of the input, pixels, a legal one; None for the sides of the model, or 572 (the nearest legal size)
            where any will do.
        axes: to draw into; None makes a figure.

    Returns:
        The axes.

    Raises:
        InputError: the model is no such U-Net, or the size is not legal.

    Example:
        >>> from unet_tf import unet
        >>> axes = draw_architecture(unet(base_filters=4, depth=2))
        >>> [text.get_text() for text in axes.texts][:3]
        ['1', '572²', '4']

    Reference:
        Ronneberger, Fischer, Brox: U-Net (MICCAI 2015), figure 1.
    """
    geometry = geometry_of(model)
    own = model.input_shape[1:3]
    if size is None:
        size = own[0] or own[1] or geometry.nearest_legal(PAPER)[-1]
    elif any(side not in (None, size) for side in own):
        raise InputError(f"The model takes inputs of {own} pixels; received size {size}. Leave size out.")
    height, width = (side or size for side in own)
    geometry.check(height, width)
    if axes is None:
        import matplotlib.pyplot as plt

        size_of_figure = 3.5 + 2.6 * geometry.depth, 2 + 1.15 * geometry.depth
        axes = plt.subplots(figsize=size_of_figure, layout="constrained")[1]
    levels = read_maps(model, height, width)
    boxes = _place(levels)
    for level in boxes:
        for box in level:
            _draw_box(axes, box)
    _draw_arrows(axes, boxes, geometry.crop_margins)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.autoscale_view()
    return axes


def read_maps(model: keras.Model, height: int, width: int) -> list[list[Map]]:
    """The feature maps of each level, from the first to the deepest, in the order in which they arise.

    Args:
        model: built by `unet_tf.unet`.
        height: of the input, pixels.
        width: of the input, pixels.

    Returns:
        Of each level but the deepest: three of the contracting path, then three of the expansive one; the first level
        has the logits too.

    Example:
        >>> from unet_tf import unet
        >>> [one.channels for one in read_maps(unet(base_filters=4, depth=1), 20, 20)[0]]
        [1, 4, 4, 8, 4, 4, 2]
    """
    depth = geometry_of(model).depth
    names = [[f"down{level}_conv1", f"down{level}_conv2"] for level in range(depth + 1)]
    for level in range(depth):
        names[level] += [f"up{level}_concat", f"up{level}_conv1", f"up{level}_conv2"]
        names[level + 1].insert(0, f"down{level}_pool")
    names[0].append("logits")
    wanted = [name for level in names for name in level]
    shapes = keras.Model(model.input, [model.get_layer(name).output for name in wanted]).compute_output_shape(
        (1, height, width, model.input_shape[-1])
    )
    found = {name: Map(*shape[1:]) for name, shape in zip(wanted, shapes, strict=True)}
    for level in range(depth):
        name = f"up{level}_concat"
        found[name] = found[name]._replace(copied=found[f"down{level}_conv2"].channels)
    levels = [[found[name] for name in level] for level in names]
    return [[Map(height, width, model.input_shape[-1]), *levels[0]], *levels[1:]]


def _place(levels: list[list[Map]]) -> list[list[Box]]:
    """Where each map goes: the contracting path down from the left, the expansive one up from below."""
    most = max(one.channels for level in levels for one in level)
    largest = levels[0][0].height

    def sides(one: Map) -> tuple[float, float]:
        return NARROW + WIDE * (one.channels / most) ** 0.7, max(LOW, TALL * one.height / largest)

    placed: list[list[Box]] = []
    y, x = 0.0, 0.0
    for level in levels:  # the contracting path: the pooled map lies below the map that it was pooled from
        row = []
        at = x
        for one in level[:3]:
            width, height = sides(one)
            row.append(Box(at, y, width, height, one))
            at += width + BETWEEN
        placed.append(row)
        x = row[-1].x
        y -= max(box.height for box in row) + GAP
    for number in reversed(range(len(levels) - 1)):  # the expansive one: its first map lies above what was up-convolved
        below, own = placed[number + 1][-1], placed[number]
        at = max(below.x, own[-1].x + own[-1].width + 2 * BETWEEN)
        for one in levels[number][3:]:
            width, height = sides(one)
            own.append(Box(at, own[0].y, width, height, one))
            at += width + BETWEEN
    return placed


def _draw_box(axes: Axes, box: Box) -> None:
    from matplotlib.patches import Rectangle

    copied = box.width * box.of.copied / box.of.channels
    for x, width, colour in (box.x, copied, COPIED), (box.x + copied, box.width - copied, MAP):
        corner = x, box.y - box.height
        if width:
            axes.add_patch(Rectangle(corner, width, box.height, facecolor=colour, edgecolor=EDGE, lw=0.8))
    axes.text(box.x + box.width / 2, box.y + 0.1, str(box.of.channels), ha="center", va="bottom", fontsize=7.5)
    size = f"{box.of.height}²" if box.of.height == box.of.width else f"{box.of.height}x{box.of.width}"
    axes.text(box.x + 0.04, box.y - box.height - 0.06, size, ha="right", va="top", fontsize=7.5, color="#444444")


def _draw_arrows(axes: Axes, boxes: list[list[Box]], margins: tuple[int, ...]) -> None:
    """The operations between the maps, and their legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    def arrow(start: tuple[float, float], end: tuple[float, float], what: str) -> None:
        style: dict[str, Any] = {"arrowstyle": "-|>", "color": ARROWS[what], "lw": 1.6, "shrinkA": 2, "shrinkB": 2}
        axes.annotate("", end, start, arrowprops=style)

    for number, level in enumerate(boxes):
        for place, (one, after) in enumerate(itertools.pairwise(level)):
            if place == 2:
                continue  # from one path to the other
            last = number == 0 and place == 5
            height = max(one.y - one.height, after.y - after.height) + min(one.height, after.height) / 2
            arrow((one.x + one.width, height), (after.x, height), "conv 1x1" if last else "conv 3x3, ReLU")
        if number + 1 == len(boxes):
            continue
        copied, first, pooled = level[2], level[3], boxes[number + 1][0]
        height = first.y - first.height / 2
        arrow((copied.x + copied.width, height), (first.x, height), "copy and crop")
        if margin := margins[len(boxes) - 2 - number]:
            share = 1 - 2 * margin / copied.of.height
            inner = copied.height * share
            corner = copied.x, copied.y - (copied.height + inner) / 2
            axes.add_patch(Rectangle(corner, copied.width, inner, fill=False, ls="--", lw=0.8))
        middle = pooled.x + pooled.width / 2
        arrow((middle, copied.y - copied.height), (middle, pooled.y + 0.35), "max pool 2x2")
        last_below = boxes[number + 1][-1]
        rising = first.x + first.width * (1 + first.of.copied / first.of.channels) / 2
        start = min(max(rising, last_below.x), last_below.x + last_below.width)
        arrow((start, last_below.y + 0.35), (rising, first.y - first.height), "up-conv 2x2")
    names = {what: what if any(margins) else what.removesuffix(" and crop") for what in ARROWS}
    handles = [Line2D([], [], color=colour, lw=2, label=names[what]) for what, colour in ARROWS.items()]
    axes.legend(handles=handles, loc="lower right", frameon=False, fontsize=7.5)
