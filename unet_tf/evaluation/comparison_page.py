"""The page of a comparison of two nets on the same images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.drawing import colour, displayable, legend
from unet_tf.data.masks import MaskFormat
from unet_tf.evaluation.cases import layer
from unet_tf.evaluation.comparison_table import SCORE, ComparisonTable, DifferenceTable
from unet_tf.evaluation.mistakes import COLOURS, draw_mistakes
from unet_tf.labels import VOID
from unet_tf.pages.charts import Tick, ticks
from unet_tf.pages.page import write_page
from unet_tf.pages.words import many, number, percent, signed

PAGE = "compare.html"
MOST_POINTS = 1000
"""Images that are drawn, and half as many are listed."""


class Point(NamedTuple):
    """The score of both nets on an image, in [0, 1]; None where it has none."""

    name: str
    a: float | None
    b: float | None


class BothCase(NamedTuple):
    """An image that both have predicted, of at most about `unet_tf.evaluation.panels.DRAWN` pixels a side.

    Attributes:
        title: its name.
        image: (H, W, C) raw pixels.
        label: (H, W) ids.
        prediction_a: (H, W) ids.
        prediction_b: (H, W) ids.
        a: mean IoU of A; None where it has none.
        b: that of B.
    """

    title: str
    image: NDArray
    label: NDArray[np.uint8]
    prediction_a: NDArray[np.uint8]
    prediction_b: NDArray[np.uint8]
    a: float | None = None
    b: float | None = None


def write_comparison(
    folder: Path,
    table: ComparisonTable,
    names: tuple[str, str],
    notes: Sequence[str] = (),
    cases: Sequence[BothCase] = (),
    masks: MaskFormat | None = None,
) -> Path:
    """Write `compare.html` into a folder: one page, no other file needed to read it.

    Args:
        folder: gets it.
        table: what `compare.json` holds.
        names: what to call A and B.
        notes: further sentences.
        cases: images on which they differ most.
        masks: in whose colours to draw, where they have some.

    Returns:
        The page.
    """
    points = [Point(one["name"], one["a"][SCORE], one["b"][SCORE]) for one in table["images"]]
    points = [one for one in points if one.a is not None and one.b is not None]
    listed = sorted(points, key=lambda one: (one.b or 0) - (one.a or 0))
    half = MOST_POINTS // 4
    shown = listed if len(listed) <= 2 * half else listed[:half] + listed[-half:]  # where A is better, and B
    rows = {name: one for name, one in table["differences"].items() if one["images"]}
    drawn = (label for one in cases for label in (one.label, one.prediction_a, one.prediction_b))
    void = any((label == VOID).any() for label in drawn)
    sections = (("scores", "Scores", True), ("images", "Image by image", points), ("cases", "Pictures", cases))
    return write_page(
        folder / PAGE,
        "comparison.html",
        heading=" and ".join(names),
        verdict=table["verdict"],
        a=names[0],
        b=names[1],
        files=table["files"],
        notes=notes,
        rows=rows,
        command=table["command"],
        sections=[(name, words) for name, words, there in sections if there],
        reach=_reach(rows.values()),
        scatter=_scatter(points) if points else None,
        scatter_words=_scatter_words(points),
        points=[_point_row(one) for one in shown],
        not_shown=len(listed) - len(shown),
        cases=[_case(one, masks) for one in cases],
        colours=legend(table["classes"], masks, void) if cases else [],
    )


STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def _reach(rows: Iterable[DifferenceTable]) -> float:
    """The largest number on the axis of differences, a round one."""
    values = [value for row in rows for value in (row["difference"] or 0.0, *(row["interval"] or ()))]
    most = max(map(abs, values), default=0.0)
    return next((step for step in STEPS if step >= most), most)


def _scatter(points: Sequence[Point]) -> Mapping[str, Any]:
    left, top, side = 40, 10, 310

    def at(value: float) -> float:
        return round(side * min(max(value, 0.0), 1.0), 1)

    step = -(-len(points) // MOST_POINTS)
    marks = ticks(0, 1)
    return {
        "title": f"{SCORE} of A and of B, a dot for {'each' if step == 1 else f'one in {step}'} of "
        f"{many(len(points), 'image')}",
        "box": (left, top, side, side),
        "dots": [(left + at(one.a or 0), top + side - at(one.b or 0), one.name) for one in points[::step]],
        "x_ticks": [Tick(left + at(value), f"{value:g}") for value in marks],
        "y_ticks": [Tick(top + side - at(value), f"{value:g}") for value in marks],
    }


def _scatter_words(points: Sequence[Point]) -> str:
    above = sum((one.b or 0) > (one.a or 0) for one in points)
    below = sum((one.b or 0) < (one.a or 0) for one in points)
    return f"{SCORE} is higher with B on {above} of {many(len(points), 'image')}, with A on {below}."


def _point_row(one: Point) -> tuple[str, str, str, str]:
    return one.name, number(one.a), number(one.b), signed((one.b or 0) - (one.a or 0))


BETTER: tuple[tuple[str, int], ...] = (("A alone is right", 1), ("B alone is right", 2), ("both are wrong", 3))
"""What a pixel of the last layer may be, in the colours of the kinds of mistakes."""


def _case(one: BothCase, masks: MaskFormat | None) -> dict[str, Any]:
    """Image, truth, both predictions, and who is right where they are not both."""
    image, label, a, b = one.image, one.label, one.prediction_a, one.prediction_b
    counted = np.all([one != VOID for one in (label, a, b)], axis=0)
    wrong_a, wrong_b = ((found != label) & counted for found in (a, b))
    who = (wrong_b & ~wrong_a) * np.uint8(1) + (wrong_a & ~wrong_b) * np.uint8(2) + (wrong_a & wrong_b) * np.uint8(3)
    pictures = {
        "image": displayable(image),
        "truth": colour(label, masks),
        "A": colour(a, masks),
        "B": colour(b, masks),
        "who is right": draw_mistakes(image, who),
    }
    counts = np.bincount(who.ravel(), minlength=4)
    return {
        "place": f"A {number(one.a)}, B {number(one.b)}",
        "title": one.title,
        "value": "" if one.a is None or one.b is None else signed(one.b - one.a),
        "layers": [layer(name, picture, one.title) for name, picture in pictures.items()],
        "counts": [
            (name, COLOURS[kind - 1], percent(counts[kind] / who.size)) for name, kind in BETTER if counts[kind]
        ],
        "start": len(pictures) - 1,
    }
