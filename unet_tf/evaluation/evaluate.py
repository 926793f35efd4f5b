"""Honest scores: who gives pixels their classes against labelled files it never saw, beside two trivial baselines."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from unet_tf.data.fields_of_view import FieldsOfView
from unet_tf.data.masks import MaskFormat
from unet_tf.errors import InputError
from unet_tf.evaluation.choosing import choose_files
from unet_tf.evaluation.judging import Truth, judge_answers
from unet_tf.evaluation.keeping import check_out, command_of, replaced
from unet_tf.evaluation.membranes import MembraneSums, border_ids
from unet_tf.evaluation.opening import Whom, subject_of
from unet_tf.evaluation.panels import write_panels
from unet_tf.evaluation.report import write_report
from unet_tf.evaluation.result import Evaluation
from unet_tf.evaluation.subject import Subject
from unet_tf.evaluation.sums import Sums
from unet_tf.evaluation.tables import EvaluationTable, JudgedTable
from unet_tf.evaluation.truth import truth_of
from unet_tf.model.calibration import HALF
from unet_tf.run import Run
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look, stoppable
from unet_tf.utils.typed_json import write_json

log = logging.getLogger("unet_tf")


class NotStored(InputError):
    """The scores were computed, and the folder that is to keep them cannot be written.

    Attributes:
        evaluation: the scores.
    """

    def __init__(self, message: str, evaluation: Evaluation) -> None:
        super().__init__(message)
        self.evaluation = evaluation


def evaluate(
    subject: Whom,
    data: str | Path,
    split: str | None = None,
    on_image: Progress = unseen,
    out: str | Path | None = None,
    roi: str | Path | None = None,
    membranes: str | Sequence[str] = (),
    threshold: float | None = None,
    **settings: Any,
) -> Evaluation:
    """Score a net, or masks of any origin, on labelled files that it was not trained on.

    Of a run `evaluation.json`, panels and `report.html` go into its folder; those of its validation files alone
    (`split="val"`) into `evaluation_val/` there, beside the report that it has. Not so where it was trained on some of
    the files, or is judged on other terms than its own, at another threshold, by other files of its own data
    (`images_dir`, `masks_dir`, `mask_prefix`, `mask_suffix`) or masks with another `void` or `mask_tolerance`, or in
    fields of view alone: these, and those of others, which are left as they are, go into `out`, where it is given.

    Args:
        subject: a run, or its folder; the folder of a bundle, or of a cross-validation; or a folder of masks, drawn by
            another program or person, or by `unet_tf.predict_files`. Their names pair with the pictures of the data as
            masks do anywhere here, and they are read as the truth is, or as they tell by themselves. They have no
            probabilities, and so no soft Dice.
        data: folder of images and masks, as `unet_tf.train` takes it. Of its `test/`, else `val/`, else `train/`, else
            all its files, those with the pixels of a training image of a run are left out.
        split: "train", "val", "test" or "all" to score just these files, seen or not.
        on_image: called with (images done, images in all) after each.
        out: folder for what is written: a new one, an empty one, or one that holds such scores.
        roi: folder of fields of view: pictures called as the images are, whose pixels that are not 0 count; all others
            are void (`unet_tf.data.fields_of_view`).
        membranes: name, or names, of the classes that part the pictures, as cell membranes do in electron microscopy:
            adds V_rand, V_info and pixel error over thresholds (`unet_tf.evaluation.membranes`).
        threshold: of two classes: a pixel is class 1 where its probability is larger; None for that of the run. One
            that is chosen by these scores is to be judged on other files.
        **settings: of the data: `images_dir`, `masks_dir`, `mask_prefix` or `mask_suffix` where they differ from what
            a run was told of its own; `group` for the intervals; `classes`, what the masks of the data call theirs, in
            their order, where a net calls them otherwise; `void`, values of the masks to ignore, and
            `mask_tolerance`, as of soft edges and JPEG, where a net was trained on other masks; where masks are judged
            `masks`, `inverted`, `channels`, `channel_suffix` and `context` too, as `unet_tf.TrainConfig` has them.

    Returns:
        The scores. What lies in the folder and is not used is said on the logger "unet_tf".

    Raises:
        InputError: the subject cannot be opened; no file is left to score, one cannot be used, or has no mask among
            those that are judged, or no field of view; there is no such class; the net gives what is not finite; or
            `out` holds other things.
        NotStored: the scores are there, as its attribute `evaluation`, and their folder cannot be written.

    Example:
        >>> evaluate("runs/cells", "cells").mean_iou  # doctest: +SKIP
        0.91
        >>> evaluate("second_annotator", "cells", out="human").mean_iou  # doctest: +SKIP
        0.94
    """
    with stoppable():
        membranes = [membranes] if isinstance(membranes, str) else membranes
        opened = subject_of(subject, data, settings, threshold)
        home = opened.home(Path(data)) if roi is None else None
        if out is not None and (home is None or Path(out).resolve() != home.resolve()):
            check_out(Path(out))
        further = {"roi": roi, "threshold": threshold, "membranes": ",".join(membranes) or None}
        command = command_of("evaluate", [opened.path, data], split, out, settings | further)
        return evaluate_subject(opened, Path(data), split, on_image, log.warning, out, command, roi, membranes)


def evaluate_run(
    run: Run | str | Path,
    data: str | Path,
    split: str | None = None,
    on_image: Progress = unseen,
    among: Collection[tuple[Path, int]] | None = None,
) -> Evaluation:
    """Do what `evaluate` does with a run, and say nothing of what is not used: training has said it.

    Its folder keeps the scores in any case, of a run that was trained on all files too. `among`, where they are known,
    are images, and pages of them, that it was not trained on: no other one is read to find that out.
    """
    subject = subject_of(run, data, {})
    command = command_of("evaluate", [subject.path, data], split)
    home = subject.home(Path(data))
    return evaluate_subject(subject, Path(data), split, on_image, out=home, command=command, among=among)


def evaluate_subject(
    subject: Subject,
    data: Path,
    split: str | None = None,
    on_image: Progress = unseen,
    say: Callable[[str], None] = lambda note: None,
    out: str | Path | None = None,
    command: str = "",
    roi: str | Path | None = None,
    membranes: Sequence[str] = (),
    among: Collection[tuple[Path, int]] | None = None,
) -> Evaluation:
    """Do what `evaluate` does; `say` gets what lies in the folder and is not used; `command` does it again."""
    with stoppable():
        result = _judge(subject, data, split, on_image, say, command, roi, membranes, among)
        home = subject.home(data)
        if home is not None and split == "val":
            home /= f"{Path(Run.EVALUATION).stem}_val"
        own = not result.learnt and roi is None
        folder = Path(out) if out is not None else home if own else None
        if folder is None:
            return result
        result = replace(result, folder=folder)
        stored, its_own = result.to_json(), home is not None and folder.resolve() == home.resolve()
        if note := replaced(folder / Run.EVALUATION, Run.REPORT, stored, lambda one: _terms(one, its_own)):
            say(note)
        look()  # from here on scores, panels and page belong together
        try:
            _store(folder, result, stored, subject.masks)
        except (InputError, OSError) as error:
            raise NotStored(f"The scores cannot be stored in {folder}. {error}", result) from error
    return result


def _judge(
    subject: Subject, data: Path, split: str | None, on_image: Progress, say: Callable[[str], None], command: str,
    roi: str | Path | None, membranes: Sequence[str], among: Collection[tuple[Path, int]] | None,
) -> Evaluation:  # fmt: skip
    """Do what `evaluate_subject` does, and store nothing."""
    borders = border_ids(subject.real_classes, membranes)
    choice = choose_files(subject, data, split, say)
    pairs = choice.pairs if among is None else [pair for pair in choice.pairs if (pair.image, pair.page) in among]
    fields = None if roi is None else FieldsOfView(roi, pairs)
    reading = truth_of(subject, [], pairs, data)
    subject.ready(pairs)
    found: set[str] = set()

    def counts(image: NDArray) -> bool:
        known = subject.known_as(image)
        if choice.counts is None or choice.counts(known):
            found.add(known)
        return known in found

    parting = MembraneSums(borders) if borders else None
    sums = Sums(len(subject.real_classes), parting, subject.certainty())
    group = subject.grouping(pairs)
    truth = Truth(pairs, subject.masks, subject.classes, group, fields, counts, choice.nothing, reading)
    result = judge_answers(subject.answer, truth, on_image, sums)
    files = "; ".join(filter(None, (choice.words(len(result.judged), found), subject.naming.words, subject.words)))
    judged: JudgedTable = {"kind": subject.kind, "path": str(subject.path.absolute()), "command": command}
    judged["data"] = str(data.resolve())
    return replace(result, files=files, who=judged, learnt=len(found & subject.known()))


def _terms(stored: Mapping[str, Any], its_own: bool) -> str:
    """What scores are of, in words: files, threshold where that is not a half, membranes, pixels, and who was judged.

    Args:
        stored: an `evaluation.json`.
        its_own: whether it lies in the folder of who was judged, which may have been moved.
    """
    chosen = stored.get("thresholds", {}).get("chosen") or HALF
    borders, who = stored.get("membranes", {}).get("borders", []), stored.get("judged", {}).get("path")
    terms = (
        str(stored["files"]),
        "" if chosen == HALF else f"at a threshold of {chosen:g}",
        f"with membranes ({', '.join(borders)})" if borders else "",
        stored.get("field", {}).get("roi"),
        "" if its_own or who is None else f"judged: {Path(who).resolve()}",
    )
    return "; ".join(filter(None, terms))


def _store(folder: Path, result: Evaluation, stored: EvaluationTable, masks: MaskFormat) -> None:
    """Write scores, panels and page into a folder."""
    write_json(folder / Run.EVALUATION, stored)
    write_panels(folder / Run.PANELS, result.cases, masks)
    write_report(folder, masks)
