"""Two of them on the same images: what differs, how sure that is, and where."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.folder import Decoded, Pair, read_pair, title
from unet_tf.data.masks import MaskFormat
from unet_tf.errors import InputError
from unet_tf.evaluation.comparison_table import ComparisonTable, DifferenceTable, ImageTable, verdict
from unet_tf.evaluation.evaluate import judge_answers
from unet_tf.evaluation.fair import NAMES, answers_of, judge_of, same_files, same_terms
from unet_tf.evaluation.keeping import COMPARED, check_out, command_of
from unet_tf.evaluation.metrics import scores_of
from unet_tf.evaluation.opening import Whom, subjects_of
from unet_tf.evaluation.paired import Difference, compare_scores
from unet_tf.evaluation.panels import DRAWN
from unet_tf.evaluation.report import write_comparison
from unet_tf.evaluation.result import Evaluation, Judged, or_none
from unet_tf.evaluation.subject import Answer
from unet_tf.evaluation.tables import JudgedTable, number
from unet_tf.utils.files import replacing
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look, stoppable

log = logging.getLogger("unet_tf")

MOST_CASES = 6
"""Pictures that are drawn."""


class NotKept(InputError):
    """Two were compared, and the folder that is to keep it cannot be written.

    Attributes:
        comparison: of the two.
    """

    def __init__(self, message: str, comparison: Comparison) -> None:
        super().__init__(message)
        self.comparison = comparison


class BothCase(NamedTuple):
    """A picture on which A and B differ, of at most about `DRAWN` pixels a side.

    Attributes:
        title: its name.
        image: (H, W, C) raw pixels.
        label: (H, W) ids.
        prediction_a: (H, W) ids.
        prediction_b: (H, W) ids.
        a: mean IoU of A.
        b: that of B.
    """

    title: str
    image: NDArray
    label: NDArray[np.uint8]
    prediction_a: NDArray[np.uint8]
    prediction_b: NDArray[np.uint8]
    a: float
    b: float


@dataclass(frozen=True)
class Comparison:
    """Two who were judged on the same images.

    Attributes:
        a: what A scored.
        b: what B scored, of the same files.
        files: which files these are, in words.
        left_out: names of those that A or B learnt from.
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
        return {
            name: compare_scores([one[name] for one in of_a], [one[name] for one in of_b], groups) for name in of_a[0]
        }

    @property
    def verdict(self) -> str:
        """Which of the two is better, and how sure that is, in a sentence."""
        return verdict(self.differences["mean IoU"])

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
            Path(one.of["path"]) if one.of else Path(name) for one, name in zip((self.a, self.b), NAMES, strict=True)
        ]
        alike = paths[0].resolve().name == paths[1].resolve().name
        first, second = (str(path) if alike else path.resolve().name for path in paths)
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

    def page(self) -> dict[str, Any]:
        """What `report.write_comparison` shows: plain data, and the pictures."""
        table = self.to_json()
        rows = [
            {"name": name, **{key: one[key] for key in ("a", "b", "difference", "p")}}
            | dict(zip(("low", "high"), one["interval"] or (None, None), strict=True))
            for name, one in table["differences"].items()
            if one["images"]
        ]
        return {
            "verdict": self.verdict,
            "a": self.names[0],
            "b": self.names[1],
            "files": self.files,
            "notes": self.notes,
            "score": "mean IoU",
            "rows": rows,
            "points": [(one["name"], one["a"]["mean IoU"], one["b"]["mean IoU"]) for one in table["images"]],
            "cases": self.cases,
            "classes": self.a.classes,
            "masks": self.masks,
            "commands": [self.command],
        }


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
    named = {"mean IoU": found["mean_iou"], "mean Dice": found["mean_dice"], "pixel accuracy": found["pixel_accuracy"]}
    for score, values in (("IoU", found["iou"]), ("Dice", found["dice"])):
        named |= {f"{score} {name}": value for name, value in zip(classes, values, strict=True)}
    return {name: float(value) for name, value in named.items()}


def compare(
    a: Whom,
    b: Whom,
    data: str | Path,
    split: str | None = None,
    on_image: Progress = unseen,
    on_file: Progress = unseen,
    out: str | Path | None = None,
    **settings: Any,
) -> Comparison:
    """Compare two on the labelled files that neither learnt from: nets, or masks of any origin.

    Scores are those of each image; their differences are means over the images, with a 95 % interval by the paired
    bootstrap and an exact sign test. Images of a group, such as the pages of a stack, count as one. What the masks of
    the truth mean is as the first net says.

    Args:
        a: whatever `unet_tf.evaluate` takes.
        b: likewise, with classes of the same names.
        data: folder of images and masks, as `unet_tf.evaluate` takes it.
        split: "train", "val", "test" or "all" to take just these files, seen or not.
        on_image: called with (images done, images in all) after each, those of A and of B.
        on_file: called with (images done, images in all) while those that A or B learnt from are found.
        out: folder that gets `compare.json` and `compare.html`: a new one, an empty one, or one that holds scores.
        **settings: of the data, as `unet_tf.evaluate` takes them.

    Returns:
        The scores of both, and how they differ.

    Raises:
        InputError: as of `unet_tf.evaluate`; or the classes differ, or no file is left.
        NotKept: the scores are there, as its attribute `comparison`, and `out` cannot be written.

    Example:
        >>> compare("runs/old", "runs/new", "cells").verdict  # doctest: +SKIP
        'B is better: mean IoU +0.021 (95 % +0.008 to +0.034), better on 17 of 20 images, p = 0.0026.'
    """
    data = Path(data)
    if out is not None:
        check_out(Path(out))
    with stoppable():
        subjects = same_terms(subjects_of([a, b], data, settings))
        command = command_of("compare", [*(one.path for one in subjects), data], split, out, settings)
        if subjects[0].path.resolve() == subjects[1].path.resolve():
            log.warning(f"A and B are the same, {subjects[0].path}: they can only be equal.")
        chosen = same_files(subjects, data, split, log.warning, on_file)
        for one in subjects:
            one.ready(chosen.pairs)
        first, judged = judge_of(subjects), []
        total, answers = 2 * len(chosen.pairs), [answers_of(one, subjects, first) for one in subjects]
        for number, answer in enumerate(answers):
            before = number * len(chosen.pairs)
            seen = _after(on_image, before, total)
            judged.append(judge_answers(answer, chosen.pairs, first.masks, first.classes, seen, group=first.group))
        of: list[JudgedTable] = [{"kind": one.kind, "path": str(one.path), "command": command} for one in subjects]
        both = [replace(one, files=chosen.words, of=who) for one, who in zip(judged, of, strict=True)]
        words = [f"{name}: {one.words}" for name, one in zip(NAMES, subjects, strict=True) if one.words]
        files = "; ".join([chosen.words, *words])
        result = Comparison(both[0], both[1], files, chosen.left_out, first.masks, command)
        result = replace(result, cases=tuple(_cases(result, answers)))
        if out is not None:
            _store(Path(out), result)
    return result


def _after(on_image: Progress, before: int, total: int) -> Progress:
    """Count on from what is done."""
    return lambda done, _: on_image(before + done, total)


def _cases(result: Comparison, answers: Sequence[Callable[[Pair, Decoded], Answer]]) -> list[BothCase]:
    """The pictures on which the mean IoU differs most, each answered once more."""
    differing = [(one.pair, one.mean_iou, other.mean_iou) for one, other in result.images]
    differing = [one for one in differing if not math.isnan(one[1] - one[2]) and one[1] != one[2]]
    differing.sort(key=lambda one: -abs(one[1] - one[2]))
    cases = []
    for pair, a, b in differing[:MOST_CASES]:
        look()
        decoded = read_pair(pair, result.masks)
        step = -(-max(decoded.label.shape) // DRAWN)
        predictions = (answer(pair, decoded).label for answer in answers)
        whole = decoded.filled, result.masks.real_label(decoded.label), *predictions
        image, label, of_a, of_b = (np.ascontiguousarray(one[::step, ::step]) for one in whole)
        cases.append(BothCase(title(pair), image, label, of_a, of_b, a, b))
    return cases


def _store(folder: Path, result: Comparison) -> None:
    """Write the comparison and its page into a folder."""
    try:
        with replacing(folder / COMPARED) as temporary:
            temporary.write_text(json.dumps(result.to_json(), indent=2, allow_nan=False), encoding="utf-8")
        write_comparison(folder, result.page())
    except InputError as error:
        raise NotKept(f"The comparison cannot be stored in {folder}. {error}", result) from error
