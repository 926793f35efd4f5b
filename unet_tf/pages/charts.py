"""Lines over axes, as numbers that a template draws: paths, ticks and their words."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

WIDTH, HEIGHT = 360, 220
"""Size of a chart, in its own units; a page draws it as wide as there is room."""
LEFT, RIGHT, TOP, BOTTOM = 40, 10, 10, 34
MOST = 400
"""Points of a line that are drawn; of more, every so many."""


class Line(NamedTuple):
    """A named line; a point that is not finite is a gap."""

    name: str
    points: Sequence[tuple[float, float]]


class Tick(NamedTuple):
    """A mark of an axis: where it is, in the chart's units, and its words."""

    at: float
    text: str


class Path(NamedTuple):
    """A line as an SVG path in the chart's units, and its points where they are few."""

    name: str
    d: str
    dots: list[tuple[float, float]]


class Chart(NamedTuple):
    """What a template needs to draw lines.

    Attributes:
        title: what the chart shows, for those who cannot see it too.
        x_label: words of the horizontal axis.
        y_label: words of the vertical axis.
        paths: the lines.
        x_ticks: marks of the horizontal axis.
        y_ticks: marks of the vertical axis.
        diagonal: whether the line of equal x and y is drawn.
        marked: where a vertical line stands, if one does.
        box: left, top, width and height of the area between the axes.
    """

    title: str
    x_label: str
    y_label: str
    paths: list[Path]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    diagonal: bool
    marked: float | None
    box: tuple[int, int, int, int] = (LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM)


def chart(
    title: str,
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    diagonal: bool = False,
    marked: float | None = None,
    whole: bool = False,
) -> Chart:
    """Lay out lines over axes; what lies beyond a range is cut off where it is drawn.

    Args:
        title: in words.
        lines: what to draw, in the order of the legend.
        x_label: of the horizontal axis.
        y_label: of the vertical axis.
        x_range: its ends.
        y_range: its ends.
        diagonal: draw the line of equal x and y.
        marked: an x where a vertical line stands.
        whole: x counts something, and has no marks between whole numbers.
    """
    x, y = _Axis(x_range, LEFT, WIDTH - RIGHT), _Axis(y_range, HEIGHT - BOTTOM, TOP)
    return Chart(
        title,
        x_label,
        y_label,
        [_path(line, x, y) for line in lines],
        [Tick(x.at(value), f"{value:g}") for value in ticks(*x_range, least=float(whole))],
        [Tick(y.at(value), f"{value:g}") for value in ticks(*y_range)],
        diagonal,
        None if marked is None else x.at(marked),
    )


def ticks(low: float, high: float, least: float = 0.0) -> list[float]:
    """Some six round numbers from `low` to `high`, which are `least` apart or more.

    Example:
        >>> ticks(0, 1), ticks(1, 12)
        ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [2.0, 4.0, 6.0, 8.0, 10.0, 12.0])
    """
    raw = max((high - low) / 6, least)
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= 0.999 * raw)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def training_curves(history: Sequence[Mapping[str, Any]], kept: int | None) -> list[Chart]:
    """Loss and mean IoU of training and validation by epoch; `kept` is the epoch of the net that is used, from 1."""
    epochs = [int(row["epoch"]) + 1 for row in history]
    span = float(epochs[0]), float(max(epochs[-1], epochs[0] + 1))
    charts = []
    for key, name in (("loss", "loss"), ("mean_iou", "mean IoU")):
        lines = [
            Line(words, [(at, float(row[column])) for at, row in zip(epochs, history, strict=True)])
            for column, words in ((key, "training, augmented tiles"), (f"val_{key}", "files held out"))
            if column in history[0]
        ]
        values = [y for line in lines for _, y in line.points if math.isfinite(y)] or [1.0]
        # one bad first epoch must not flatten all others
        most = 1.0 if key == "mean_iou" else max(min(max(values), 3 * statistics.median(values)), 1e-6)
        last = ", ".join(f"{line.name} {line.points[-1][1]:.3f}" for line in lines)
        title = f"{name} by epoch, {epochs[0]} to {epochs[-1]}; after the last: {last}"
        charts.append(chart(title, lines, "epoch", name, span, (0.0, most), marked=kept, whole=True))
    return charts


class _Axis:
    def __init__(self, ends: tuple[float, float], start: float, stop: float) -> None:
        self.ends, self.start, self.stop = ends, start, stop

    def at(self, value: float) -> float:
        low, high = self.ends
        return round(self.start + (value - low) / (high - low) * (self.stop - self.start), 1)


def _path(line: Line, x: _Axis, y: _Axis) -> Path:
    step = -(-len(line.points) // MOST) or 1
    points = [*line.points[:-1:step], *line.points[-1:]]
    parts, pen, dots = [], "M", []
    for one in points:
        if not all(map(math.isfinite, one)):
            pen = "M"
            continue
        place = x.at(one[0]), y.at(one[1])
        parts.append(f"{pen}{place[0]:g} {place[1]:g}")
        dots.append(place)
        pen = "L"
    return Path(line.name, "".join(parts), dots if len(dots) <= 16 else [])
