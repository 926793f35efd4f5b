"""What two scored on the same images, image by image, and how they differ."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from unet_tf.data.masks import MaskFormat
from unet_tf.evaluation.comparison_page import BothCase
from unet_tf.evaluation.comparison_table import SCORE, ComparisonTable, DifferenceTable, ImageTable, verdict
from unet_tf.evaluation.fair import NAMES
from unet_tf.evaluation.metrics import scores_of
from unet_tf.evaluation.paired import Difference, compare_all
from unet_tf.evaluation.result import Evaluation, Judged, or_none
from unet_tf.evaluation.tables import number

OBJECTS_AT = (0.5, 0.75)
"""IoU from which on an object counts as found."""


@dataclass(frozen=True)
class Comparison:
    """Two who were judged on the same images.

    Attributes:
        a: what A scored.
        b: what B scored, of the same files.
        files: which files these are, in words.
        left_out: names of those that A or B was trained on, or that are none of the split of both.
        masks: how the masks of the truth say the classes.
        command: that compares them again.
        cases: the pictures on which they differ most, small, to be drawn.
    """

    a: Evaluation
    b: Evaluation
    files: str
    left_out: tuple[str, ...]
    masks: MaskFormat
    command: str = ""
    cases: tuple[BothCase, ...] = ()

    @cached_property
    def images(self) -> list[tuple[Judged, Judged]]:
        """Each image as A and as B were judged on it, in the order of their names."""
        of_b = {one.pair: one for one in self.b.judged}
        both = [(one, of_b[one.pair]) for one in self.a.judged]
        return sorted(both, key=lambda one: (one[0].pair.split, one[0].pair.name))

    @cached_property
    def differences(self) -> dict[str, Difference]:
        """By the name of the score, mean IoU first: means over images, paired by image."""
        of_a, of_b = ([image_scores(one, self.a.classes) for one in side] for side in zip(*self.images, strict=True))
        groups = [one.group for one, _ in self.images]
        first, second = ({name: [one[name] for one in side] for name in of_a[0]} for side in (of_a, of_b))
        return compare_all(first, second, groups)

    @property
    def verdict(self) -> str:
        """Which of the two is better, and how sure that is, in a sentence."""
        return verdict(self.differences[SCORE])

    def to_json(self) -> ComparisonTable:
        """Give everything as JSON types; a score that does not exist is null."""
        a, b = self.a.to_json(), self.b.to_json()
        names = dict(zip((one.pair for one in self.a.judged), a["per_file_mean_iou"], strict=True))
        images: list[ImageTable] = [
            {
                "name": names[one.pair],
                "group": str(one.group),
                "a": {name: or_none(value) for name, value in image_scores(one, self.a.classes).items()},
                "b": {name: or_none(value) for name, value in image_scores(other, self.a.classes).items()},
            }
            for one, other in self.images
        ]
        return {
            "verdict": self.verdict,
            "files": self.files,
            "left_out": list(self.left_out),
            "classes": list(self.a.classes),
            "command": self.command,
            "a": a,
            "b": b,
            "differences": {name: _table(one) for name, one in self.differences.items()},
            "images": images,
        }

    @property
    def names(self) -> tuple[str, str]:
        """What to call A and B: their folders, with those above where both are called the same."""
        paths = [
            Path(one.who["path"] if one.who else name).resolve()
            for one, name in zip((self.a, self.b), NAMES, strict=True)
        ]
        first, second = (path.name for path in paths)
        if first == second:  # without the folders above both, which are nobody else's business
            both = zip(*(path.parts[:-1] for path in paths), strict=False)
            shared = sum(1 for _ in itertools.takewhile(lambda parts: parts[0] == parts[1], both))
            first, second = (Path(*path.parts[shared:]).as_posix() for path in paths)
        return first, second

    @property
    def notes(self) -> list[str]:
        """What has to be known beside the differences, in sentences."""
        together = (number(or_none(one.mean_iou)) for one in (self.a, self.b))
        found = ["Over all pixels together the mean IoU is {} of A and {} of B.".format(*together)]
        lone = [name for name, one in self.differences.items() if 0 < one.images < len(self.images)]
        if lone:
            found.append(
                f"Images in which one of the two has no such score, as where a class occurs nowhere, are left out of "
                f"{', '.join(lone)}."
            )
        return found


def _table(one: Difference) -> DifferenceTable:
    return {
        "a": or_none(one.a),
        "b": or_none(one.b),
        "difference": or_none(one.difference),
        "interval": None if one.interval is None else [*one.interval],
        "images": one.images,
        "groups": one.groups,
        "better": one.better,
        "worse": one.worse,
        "ties": one.ties,
        "p": one.p,
    }


def image_scores(one: Judged, classes: Sequence[str]) -> dict[str, float]:
    """The scores of one image by name, mean IoU first; NaN where one does not exist."""
    found = scores_of(one.counts)
    named = {SCORE: found["mean_iou"], "mean Dice": found["mean_dice"], "pixel accuracy": found["pixel_accuracy"]}
    for score, values in (("IoU", found["iou"]), ("Dice", found["dice"])):
        named |= {f"{score} {name}": value for name, value in zip(classes, values, strict=True)}
    if one.objects is not None:
        precision = dict(zip(one.objects.thresholds, one.objects.average_precision, strict=True))
        named |= {f"AP at {threshold}": precision[threshold] for threshold in OBJECTS_AT}
    return {name: float(value) for name, value in named.items()}
