"""Honest scores: a predict function against labelled files it never saw, beside two trivial baselines."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.config import naming_changes
from unet_tf.data.fingerprint import identity
from unet_tf.data.folder import SPLITS, Decoded, Pair, read_pair, title
from unet_tf.data.layout import find_named
from unet_tf.data.masks import MaskFormat
from unet_tf.data.naming import Naming
from unet_tf.data.splits import parts_of
from unet_tf.errors import InputError
from unet_tf.evaluation.metrics import scores_of
from unet_tf.evaluation.panels import WORST, Case, Gallery, write_panels
from unet_tf.evaluation.report import write_report
from unet_tf.evaluation.result import Evaluation, Judged
from unet_tf.evaluation.sums import Sums
from unet_tf.prediction.predict import predict
from unet_tf.run import Run
from unet_tf.utils.files import replacing
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look, stoppable

log = logging.getLogger("unet_tf")


class NotStored(InputError):
    """The scores of a run were computed, and its folder cannot be written.

    Attributes:
        evaluation: the scores.
    """

    def __init__(self, message: str, evaluation: Evaluation) -> None:
        super().__init__(message)
        self.evaluation = evaluation


def judge(
    predict_fn: Callable[[NDArray], NDArray],
    pairs: Sequence[Pair],
    masks: MaskFormat,
    classes: tuple[str, ...],
    on_image: Progress = unseen,
    counts: Callable[[NDArray], bool] = lambda image: True,
    nothing: str = "A score needs a labelled file at least; received none.",
    group: str | None = None,
    seen: Callable[[Decoded], NDArray] = lambda decoded: decoded.filled,
) -> Evaluation:
    """Score any predict function on labelled files, each of which is read once.

    Args:
        predict_fn: (H, W, C) raw pixels -> (H, W, num_classes) probabilities.
        pairs: the files.
        masks: how their masks say the classes.
        classes: names of the classes.
        on_image: called with (images done, images in all) after each.
        counts: whether an image, (H, W, C) raw pixels, counts; of one that does not the mask is not read.
        nothing: what to say where no file counts.
        group: regular expression; files in whose names it finds the same text belong together, and where it does not
            find something in each of them, the pages of a stack do.
        seen: what of a file is given to `predict_fn`; left out, its pixels without a measurement have the median.

    Returns:
        The scores over all pixels of all files; void pixels count nowhere. Borders that are a class of the net count as
        the objects that they belong to.

    Raises:
        InputError: no file counts, one cannot be used, or a probability is not finite.
    """
    classes = classes[: masks.real_classes]
    sums, gallery = Sums(len(classes)), Gallery(classes)
    judged, groups = [], parts_of(pairs, group)

    def decide(pair: Pair, decoded: Decoded) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray]:
        """Label, prediction and probabilities of a file; borders belong to their objects, which a person means."""
        try:
            probabilities = predict_fn(seen(decoded))
        except InputError as error:
            raise InputError(f"{title(pair)}: {error}", pair.image) from error
        if not np.isfinite(probabilities).all():
            raise InputError(
                f"{title(pair)}: probabilities must be finite; the net gives NaN or infinity. Train it again, with a "
                "lower --learning-rate or in float32.",
                pair.image,
            )
        prediction = masks.real_label(probabilities.argmax(-1).astype(np.uint8))  # as masks are drawn
        return masks.real_label(decoded.label), prediction, masks.real_probabilities(probabilities)

    for done, (pair, of_group) in enumerate(zip(pairs, groups, strict=True), start=1):
        look()
        read = pair.read()
        if counts(read.image):
            decoded = read_pair(pair, masks, read)
            label, prediction, probabilities = decide(pair, decoded)
            own = sums.add(decoded.filled, label, prediction, probabilities)
            value = float(scores_of(own)["mean_iou"])
            judged.append(Judged(pair, value, own, of_group))
            if not math.isnan(value):  # void alone shows nothing
                gallery.add(title(pair), value, decoded.filled, label, prediction)
        on_image(done, len(pairs))
    if not judged:
        raise InputError(nothing)
    judged.sort(key=lambda one: (math.isnan(one.mean_iou), one.mean_iou))
    scored = sum(not math.isnan(one.mean_iou) for one in judged)
    cases, middle = gallery.ranked(scored), (scored - 1) // 2
    if WORST <= middle < scored - 1:  # which is the median is known now alone: it is predicted once more
        decoded = read_pair((pair := judged[middle].pair), masks)
        label, prediction, _ = decide(pair, decoded)
        case = Case.of(title(pair), judged[middle].mean_iou, decoded.filled, label, prediction, gallery.background)
        cases.insert(-1, case._replace(rank=middle + 1, among=scored))
    counted = sums.confusion, sums.soft_dice, sums.boundary
    return Evaluation(classes, *counted, judged, sums.baselines, cases=tuple(cases))


def evaluate(
    run: Run | str | Path,
    data: str | Path,
    split: str | None = None,
    on_image: Progress = unseen,
    **naming: str,
) -> Evaluation:
    """Score a run on files that it did not learn from; writes `evaluation.json`, panels and `report.html` into it.

    Args:
        run: a run, or its folder.
        data: folder of images and masks, as `unet_tf.train` takes it. Of its `test/`, else `val/`, else `train/`, else
            all its files, those with the pixels of a training image are left out.
        split: "train", "val", "test" or "all" to score just these files, seen or not.
        on_image: called with (images done, images in all) after each.
        **naming: `images_dir`, `masks_dir`, `mask_prefix` or `mask_suffix` of these files, where they differ from what
            the run was told of its own.

    Returns:
        The scores. What lies in the folder and is not used is said on the logger "unet_tf".

    Raises:
        InputError: no file is left to score, one cannot be used, or the net gives what is not finite.
        NotStored: the scores are there, as its attribute `evaluation`, and the folder of the run cannot be written.

    Example:
        >>> evaluate("runs/cells", "cells").mean_iou  # doctest: +SKIP
        0.91
    """
    return evaluate_run(run, data, split, on_image, log.warning, **naming)


def evaluate_run(
    run: Run | str | Path,
    data: str | Path,
    split: str | None = None,
    on_image: Progress = unseen,
    say: Callable[[str], None] = lambda note: None,
    **naming: str,
) -> Evaluation:
    """Do what `evaluate` does; `say` gets what lies in the folder and is not used, which training has said before."""
    run = run if isinstance(run, Run) else Run(run)
    choice = choose_files(run, Path(data), split, say, replace(run.config, **naming_changes(naming)).naming)
    found: set[str] = set()

    def counts(image: NDArray) -> bool:
        known = identity(image)
        if choice.counts(known):
            found.add(known)
        return known in found

    def probabilities(image: NDArray) -> NDArray:
        return predict(run, image, probabilities=True)

    def seen(decoded: Decoded) -> NDArray:
        return np.asarray(run.normalisation.measured(decoded.image, decoded.nodata)[:, :])  # as predict gives it

    with stoppable():
        result = judge(
            probabilities, choice.pairs, run.masks, run.classes, on_image, counts, choice.nothing, run.plan.group, seen
        )
        result = replace(result, files=choice.words(len(result.judged), found))
        try:
            _store(run.path, result, run.masks)
        except (InputError, OSError) as error:
            raise NotStored(f"The scores cannot be stored in {run.path}. {error}", result) from error
    return result


def _store(folder: Path, result: Evaluation, masks: MaskFormat) -> None:
    """Write scores, panels and page into a run folder."""
    with replacing(folder / Run.EVALUATION) as temporary:
        temporary.write_text(json.dumps(result.to_json(), indent=2, allow_nan=False), encoding="utf-8")
    write_panels(folder / Run.PANELS, result.cases, masks)
    write_report(folder)


class Choice(NamedTuple):
    """Which files of a folder are scored.

    Attributes:
        pairs: the files to look at.
        counts: whether a file counts, by the identity of its image.
        words: number of files that counted, and their identities -> which they are.
        nothing: what to say where none counts.
    """

    pairs: list[Pair]
    words: Callable[[int, set[str]], str]
    counts: Callable[[str], bool] = lambda known: True
    nothing: str = "A score needs a labelled file at least; received none."


def choose_files(
    run: Run, data: Path, split: str | None, say: Callable[[str], None], naming: Naming | None = None
) -> Choice:
    """Choose the files of a folder to score a run on; none is read.

    Raises:
        InputError: files do not pair, or there is no such split.
    """
    found = find_named(data, run.config.naming if naming is None else naming, run.channels)
    named = found.check()
    for note in found.notes:
        say(note)
    everything = [pair for pairs in named.values() for pair in pairs]
    if split == "all":
        return Choice(everything, lambda count, _: f"all files of {data}, seen in training or not")
    if split is not None and split not in SPLITS:
        raise InputError(f"A split must be one of {', '.join(SPLITS)}, all; received {split!r}.")
    if split in named:
        return Choice(named[split], lambda count, _: f"all {split} files of {data}, seen in training or not")
    if split == "test":
        raise InputError(f"{data} has no test files; it has {', '.join(filter(None, named)) or 'no splits'}.")
    if split is not None:
        listed = run.files(split)
        return Choice(
            everything,
            lambda count, _: f"the {split} files of the run in {data}{', from which it learnt' * (split == 'train')}",
            listed.__contains__,
            f"{data} holds none of the {len(listed)} {split} files of the run, which are known by their content. "
            "Give the folder that it was trained on.",
        )

    name = next(name for name in ("test", "val", "train", "") if name in named)
    trained, validated = run.files("train"), run.files("val")
    where = f"{data / name}" if (data / name).is_dir() else f"{data} ({name})"

    def words(count: int, found: set[str]) -> str:
        text = f"{count} files of {where}"
        if count < len(named[name]):
            text += f", without {len(named[name]) - count} that the run learnt from"
        if found & validated:
            text += "; among them the validation files, by which the best epoch was chosen"
        return text

    return Choice(
        named[name],
        words,
        lambda known: known not in trained,
        f"The run learnt from every image of {where}; a score needs others. (--split all scores them.)",
    )
