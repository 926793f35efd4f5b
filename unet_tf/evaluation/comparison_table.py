"""What `compare.json` holds, and the same in words and as rows of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from unet_tf.evaluation.paired import Difference
from unet_tf.evaluation.tables import EvaluationTable, number
from unet_tf.pages.words import many, signed

SCORE = "mean IoU"
"""By which two are told apart."""


class DifferenceTable(TypedDict):
    """How a score of B differs from that of A (`paired.Difference`); what does not exist is null.

    Attributes:
        a: mean over the images, of A.
        b: of B.
        difference: b - a.
        interval: lower and upper end of its 95 % interval; null for fewer than five images or groups.
        images: that have the score.
        groups: images, or groups of them, that are compared.
        better: groups in which B has more.
        worse: in which A has more.
        ties: in which both have the same.
        p: of the exact two-sided sign test.
    """

    a: float | None
    b: float | None
    difference: float | None
    interval: list[float] | None
    images: int
    groups: int
    better: int
    worse: int
    ties: int
    p: float


class ImageTable(TypedDict):
    """An image.

    Attributes:
        name: of the image.
        group: what it belongs to: the text of a group, the file of a stack, or its own name.
        a: scores of A by name; null where one does not exist.
        b: those of B.
    """

    name: str
    group: str
    a: dict[str, float | None]
    b: dict[str, float | None]


class ComparisonTable(TypedDict):
    """What `compare.json` holds.

    Attributes:
        verdict: which of the two is better, in a sentence.
        files: which files were judged, in words.
        left_out: names of those that A or B was trained on, or that are none of the split of both.
        classes: their names, by id.
        command: that compares them again.
        a: scores of A, as of `evaluation.json`.
        b: those of B, of the same files.
        differences: by name of the score.
        images: each image.
    """

    verdict: str
    files: str
    left_out: list[str]
    classes: list[str]
    command: str
    a: EvaluationTable
    b: EvaluationTable
    differences: dict[str, DifferenceTable]
    images: list[ImageTable]


def verdict(found: Difference) -> str:
    """Say which of the two is better by `SCORE`, and how sure that is.

    Example:
        >>> verdict(Difference(0.8, 0.825, 20, 20, 17, 2, 1, (0.0078125, 0.03125)))
        'B is better: mean IoU +0.025 (95 % +0.008 to +0.031), better on 17 of 20 images and equal on 1, p = 0.00073.'
    """
    of = "" if found.groups == found.images else f" of {many(found.images, 'image')}"
    each = many(found.groups, "group" if of else "image") + of
    these = f"this {each[2:]}" if found.groups == 1 else f"these {each}"
    if not found.groups:
        return f"A and B cannot be told apart: no image has a {SCORE}."
    if found.ties == found.groups:
        return f"A and B have the same {SCORE} on {'each of ' * (found.groups > 1)}{these}."
    sign = 1 if found.difference >= 0 else -1
    leader = "B" if sign > 0 else "A"
    gained = found.better if sign > 0 else found.worse
    figures = f"{SCORE} {signed(sign * found.difference)}"
    if found.interval is not None:
        low, high = sorted(sign * end for end in found.interval)
        figures += f" (95 % {signed(low)} to {signed(high)})"
    figures += f", better on {gained} of {each}"
    figures += f" and equal on {found.ties}" * bool(found.ties) + f", {probability(found.p)}"
    if found.clear:
        return f"{leader} is better: {figures}."
    if found.likely:
        return f"{leader} may be better; interval and sign test do not agree: {figures}."
    few = "" if found.interval else f" Fewer than five {'groups' if of else 'images'} have no interval."
    return f"A and B cannot be told apart on {these}: {leader} has {figures}.{few}"


def difference_rows(differences: Mapping[str, Difference]) -> list[tuple[str, ...]]:
    """The differences as text: a header, then a row a score."""
    rows: list[tuple[str, ...]] = [
        ("mean over images", "A", "B", "B - A", "95 %", "B better", "A better", "equal", "sign test")
    ]
    for name, one in differences.items():
        if not one.images:
            continue
        ends = "none" if one.interval is None else " to ".join(map(signed, one.interval))
        counts = map(str, (one.better, one.worse, one.ties))
        rows.append((name, number(one.a), number(one.b), signed(one.difference), ends, *counts, probability(one.p)))
    return rows


def probability(p: float) -> str:
    """A p in words.

    Example:
        >>> probability(0.0123), probability(1), probability(1e-9)
        ('p = 0.012', 'p = 1', 'p < 0.0001')
    """
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"
