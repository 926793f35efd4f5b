"""Two of them on the same images: what differs, how sure that is, and where."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from unet_tf.data.folder import Decoded, Pair, read_pair, title
from unet_tf.data.masks import MaskFormat
from unet_tf.errors import InputError
from unet_tf.evaluation.compared import BothCase, Comparison
from unet_tf.evaluation.comparison_page import PAGE, write_comparison
from unet_tf.evaluation.fair import NAMES, answers_of, judge_of, read_alike, same_files, same_terms
from unet_tf.evaluation.judging import Truth, judge_answers
from unet_tf.evaluation.keeping import COMPARED, check_out, command_of, replaced
from unet_tf.evaluation.opening import Whom, subjects_of
from unet_tf.evaluation.panels import DRAWN
from unet_tf.evaluation.subject import Answer
from unet_tf.evaluation.tables import JudgedTable
from unet_tf.evaluation.truth import truth_of
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look, stoppable
from unet_tf.utils.typed_json import write_json

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
    """Compare two on the labelled files that neither was trained on: nets, or masks of any origin.

    Scores are those of each image; their differences are means over the images, with a 95 % interval by the paired
    bootstrap and an exact sign test. Images of a group, such as the pages of a stack, count as one. What the masks of
    the truth mean is told by the names of their classes, else as a net was trained on it, whichever of the two comes
    first.

    Args:
        a: whatever `unet_tf.evaluate` takes.
        b: likewise, with classes of the same names.
        data: folder of images and masks, as `unet_tf.evaluate` takes it.
        split: "train", "val", "test" or "all" to take just these files, seen or not.
        on_image: called with (images done, images in all) after each, those of A and of B.
        on_file: called with (images done, images in all) while those that A or B was trained on are found.
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
        first, judged = judge_of(subjects), []
        masks = truth_of(first, [one for one in subjects if one is not first], chosen.pairs, data)
        subjects, group = read_alike(subjects, first, masks), first.grouping(chosen.pairs)
        for one in subjects:
            one.ready(chosen.pairs)
        total, answers = 2 * len(chosen.pairs), [answers_of(one, subjects, first, masks) for one in subjects]
        for number, answer in enumerate(answers):
            before = number * len(chosen.pairs)
            seen = _after(on_image, before, total)
            truth = Truth(chosen.pairs, first.masks, first.classes, group, reading=masks)
            judged.append(judge_answers(answer, truth, seen))
        of: list[JudgedTable] = [
            {"kind": one.kind, "path": str(one.path.absolute()), "command": command} for one in subjects
        ]
        both = [
            replace(found, files=_joined(words, first.naming.words, one.words), who=who)
            for found, words, one, who in zip(judged, chosen.of_each, subjects, of, strict=True)
        ]
        words = [f"{name}: {one.words}" for name, one in zip(NAMES, subjects, strict=True) if one.words]
        files = _joined(chosen.words, first.naming.words, *words)
        result = Comparison(both[0], both[1], files, chosen.left_out, first.masks, command)
        result = replace(result, cases=tuple(_cases(result, answers, masks)))
        if out is not None:
            _store(Path(out), result)
    return result


def _joined(*words: str) -> str:
    return "; ".join(filter(None, words))


def _after(on_image: Progress, before: int, total: int) -> Progress:
    """Count on from what is done."""
    return lambda done, _: on_image(before + done, total)


def _cases(
    result: Comparison, answers: Sequence[Callable[[Pair, Decoded], Answer]], truth: MaskFormat
) -> list[BothCase]:
    """The pictures on which the mean IoU differs most, each answered once more."""
    differing = [(one.pair, one.mean_iou, other.mean_iou) for one, other in result.images]
    differing = [one for one in differing if not math.isnan(one[1] - one[2]) and one[1] != one[2]]
    differing.sort(key=lambda one: -abs(one[1] - one[2]))
    cases = []
    for pair, a, b in differing[:MOST_CASES]:
        look()
        decoded = read_pair(pair, truth)
        step = -(-max(decoded.label.shape) // DRAWN)
        predictions = (answer(pair, decoded).label for answer in answers)
        whole = decoded.filled, truth.real_label(decoded.label), *predictions
        image, label, of_a, of_b = (np.ascontiguousarray(one[::step, ::step]) for one in whole)
        cases.append(BothCase(title(pair), image, label, of_a, of_b, a, b))
    return cases


def _terms(stored: Mapping[str, Any]) -> str:
    """Who was compared on which files, in words, by a `compare.json`."""
    sides = [f"{name}: {Path(stored[key]['judged']['path']).resolve()}" for name, key in zip(NAMES, "ab", strict=True)]
    return "; ".join([*sides, stored["files"]])


def _store(folder: Path, result: Comparison) -> None:
    """Write the comparison and its page into a folder, and say what they replace."""
    stored = result.to_json()
    if note := replaced(folder / COMPARED, PAGE, stored, _terms):
        log.warning(note)
    try:
        write_json(folder / COMPARED, stored)
        write_comparison(folder, stored, result.names, result.notes, result.cases, result.masks)
    except InputError as error:
        raise NotKept(f"The comparison cannot be stored in {folder}. {error}", result) from error
