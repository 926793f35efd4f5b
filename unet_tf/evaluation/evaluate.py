"""Honest scores: a predict function against labelled files it never saw, beside two trivial baselines."""

from __future__ import annotations

import json
import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.fingerprint import identity
from unet_tf.data.folder import SPLITS, Pair, read_pair, title
from unet_tf.data.layout import find_named
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import read_image
from unet_tf.errors import InputError
from unet_tf.evaluation.metrics import Scores, confusion_matrix, scores
from unet_tf.evaluation.panels import Case, Gallery, write_panels
from unet_tf.evaluation.report import write_report
from unet_tf.evaluation.tables import EvaluationTable, MethodScores
from unet_tf.labels import VOID
from unet_tf.prediction.predict import predict
from unet_tf.run import Run
from unet_tf.utils.files import replacing
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look, stoppable

log = logging.getLogger("unet_tf")


@dataclass(frozen=True)
class Evaluation:
    """What a net scored on a set of labelled files.

    Attributes:
        classes: names of the classes.
        confusion: (C, C) pixel counts over all files; rows: true class.
        soft_dice: (C,) 2 sum(p g) / (sum(p p) + sum(g g)) over all pixels, with probability p and truth g in {0, 1}
            (Milletari et al., V-Net, 2016); NaN for a class that is neither in the labels nor in the predictions.
        per_file: each pair with the mean IoU of this file alone, worst first; NaN, for a file of void alone, last.
        baselines: (C, C) confusion matrices of what needs no net: "majority class", the one of these very labels; for
            two classes "Otsu threshold", with the better of its two polarities.
        files: which files were scored and why, in words.
        cases: the worst files and the best one, small, to be drawn.
    """

    classes: tuple[str, ...]
    confusion: NDArray[np.int64]
    soft_dice: NDArray[np.float64]
    per_file: list[tuple[Pair, float]]
    baselines: dict[str, NDArray[np.int64]]
    files: str = ""
    cases: tuple[Case, ...] = ()

    @property
    def scores(self) -> Scores:
        """`unet_tf.scores` of the confusion matrix."""
        return scores(self.confusion)

    @property
    def mean_iou(self) -> float:
        """Mean of the IoU of the classes that occur, in [0, 1]."""
        return self.scores["mean_iou"]

    @property
    def mean_soft_dice(self) -> float:
        """Mean of the soft Dice of the classes that occur, in [0, 1]; NaN if none does."""
        present = self.soft_dice[~np.isnan(self.soft_dice)]
        return float(present.mean()) if present.size else math.nan

    def to_json(self) -> EvaluationTable:
        """Give everything as JSON types; a score that does not exist is null."""
        return {
            "files": self.files,
            "classes": list(self.classes),
            **self._method(self.confusion),
            "soft_dice": self._by_class(self.soft_dice),
            "mean_soft_dice": _or_none(self.mean_soft_dice),
            "baselines": {name: self._method(confusion) for name, confusion in self.baselines.items()},
            "per_file_mean_iou": dict(
                zip(_names([pair for pair, _ in self.per_file]), (_or_none(v) for _, v in self.per_file), strict=True)
            ),
        }

    def _by_class(self, values: NDArray) -> dict[str, float | None]:
        return dict(zip(self.classes, map(_or_none, values), strict=True))

    def _method(self, confusion: NDArray) -> MethodScores:
        found = scores(confusion)
        return {
            "iou": self._by_class(found["iou"]),
            "dice": self._by_class(found["dice"]),
            "mean_iou": _or_none(found["mean_iou"]),
            "mean_dice": _or_none(found["mean_dice"]),
            "pixel_accuracy": _or_none(found["pixel_accuracy"]),
            "confusion": confusion.tolist(),
        }


class NotStored(InputError):
    """The scores of a run were computed, and its folder cannot be written.

    Attributes:
        evaluation: the scores.
    """

    def __init__(self, message: str, evaluation: Evaluation) -> None:
        super().__init__(message)
        self.evaluation = evaluation


class Sums:
    """The counts of an evaluation, file by file.

    Args:
        num_classes: of the net.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.confusion, self.otsu = np.zeros((2, num_classes, num_classes), np.int64)
        self.overlap, self.mass = np.zeros((2, num_classes))

    def add(self, image: NDArray, label: NDArray, prediction: NDArray, probabilities: NDArray) -> float:
        """Count a file and return its mean IoU: (H, W, C) raw, two of (H, W) ids, (H, W, num_classes)."""
        own = confusion_matrix(label, prediction, self.num_classes)
        self.confusion += own
        if self.num_classes == 2:
            self.otsu += confusion_matrix(label, otsu_label(image), 2)
        counted = label != VOID
        for c in range(self.num_classes):
            believed, truth = probabilities[..., c][counted], label[counted] == c
            self.overlap[c] += believed[truth].sum(dtype=np.float64)
            self.mass[c] += np.square(believed, dtype=np.float64).sum() + truth.sum()
        return scores(own)["mean_iou"]

    @property
    def baselines(self) -> dict[str, NDArray[np.int64]]:
        """The confusion matrices of what needs no net, by name."""
        majority = np.zeros_like(self.confusion)
        majority[:, self.confusion.sum(1).argmax()] = self.confusion.sum(1)
        found = {"majority class": majority}
        if self.num_classes == 2:
            # void alone has no mean IoU in either polarity
            polarities = self.otsu, self.otsu[:, ::-1]
            found["Otsu threshold"] = max(polarities, key=lambda c: np.nan_to_num(scores(c)["mean_iou"]))
        return found

    @property
    def soft_dice(self) -> NDArray[np.float64]:
        """(C,) by class; NaN for a class that occurs nowhere."""
        occurs = self.confusion.sum(0) + self.confusion.sum(1) > 0
        found = np.full(self.num_classes, math.nan)
        found[occurs] = 2 * self.overlap[occurs] / self.mass[occurs]
        return found


def judge(
    predict_fn: Callable[[NDArray], NDArray],
    pairs: Sequence[Pair],
    masks: MaskFormat,
    classes: tuple[str, ...],
    on_image: Progress = unseen,
    counts: Callable[[NDArray], bool] = lambda image: True,
    nothing: str = "A score needs a labelled file at least; received none.",
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

    Returns:
        The scores over all pixels of all files; void pixels count nowhere. Borders that are a class of the net count as
        the objects that they belong to.

    Raises:
        InputError: no file counts, one cannot be used, or a probability is not finite.
    """
    classes = classes[: masks.real_classes]
    sums, gallery = Sums(len(classes)), Gallery()
    per_file = []
    for done, pair in enumerate(pairs, start=1):
        look()
        image = read_image(pair.image, pair.page)
        if counts(image):
            decoded = read_pair(pair, masks, image)
            image, label = decoded.filled, decoded.label
            try:
                probabilities = predict_fn(image)
            except InputError as error:
                raise InputError(f"{title(pair)}: {error}", pair.image) from error
            if not np.isfinite(probabilities).all():
                raise InputError(
                    f"{title(pair)}: probabilities must be finite; the net gives NaN or infinity. Train it again, with "
                    "a lower --learning-rate or in float32.",
                    pair.image,
                )
            # borders belong to their objects, which are what a person means
            prediction = masks.real_label(probabilities.argmax(-1).astype(np.uint8))  # as masks are drawn
            label, probabilities = masks.real_label(label), masks.real_probabilities(probabilities)
            value = sums.add(image, label, prediction, probabilities)
            per_file.append((pair, value))
            gallery.add(title(pair), value, image, label, prediction)
        on_image(done, len(pairs))
    if not per_file:
        raise InputError(nothing)
    per_file.sort(key=lambda item: (math.isnan(item[1]), item[1]))
    return Evaluation(classes, sums.confusion, sums.soft_dice, per_file, sums.baselines, cases=tuple(gallery.cases))


def otsu_label(image: NDArray) -> NDArray[np.uint8]:
    """Split the grey values of one (H, W, C) image in two by Otsu's threshold: (H, W) uint8, 1 where brighter."""
    grey = image.mean(-1)
    span = max(float(grey.max() - grey.min()), 1e-12)
    byte = np.rint(255 * (grey - grey.min()) / span).astype(np.uint8)
    return cv2.threshold(byte, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1]


def evaluate(
    run: Run | str | Path,
    data: str | Path,
    split: str | None = None,
    on_image: Progress = unseen,
) -> Evaluation:
    """Score a run on files that it did not learn from; writes `evaluation.json`, panels and `report.html` into it.

    Args:
        run: a run, or its folder.
        data: folder of images and masks, as `unet_tf.train` takes it. Of its `test/`, else `val/`, else `train/`, else
            all its files, those with the pixels of a training image are left out.
        split: "train", "val", "test" or "all" to score just these files, seen or not.
        on_image: called with (images done, images in all) after each.

    Returns:
        The scores. What lies in the folder and is not used is said on the logger "unet_tf".

    Raises:
        InputError: no file is left to score, one cannot be used, or the net gives what is not finite.
        NotStored: the scores are there, as its attribute `evaluation`, and the folder of the run cannot be written.

    Example:
        >>> evaluate("runs/cells", "cells").mean_iou  # doctest: +SKIP
        0.91
    """
    return evaluate_run(run, data, split, on_image, log.warning)


def evaluate_run(
    run: Run | str | Path,
    data: str | Path,
    split: str | None = None,
    on_image: Progress = unseen,
    say: Callable[[str], None] = lambda note: None,
) -> Evaluation:
    """Do what `evaluate` does; `say` gets what lies in the folder and is not used, which training has said before."""
    run = run if isinstance(run, Run) else Run(run)
    choice = choose_files(run, Path(data), split, say)
    found: set[str] = set()

    def counts(image: NDArray) -> bool:
        known = identity(image)
        if choice.counts(known):
            found.add(known)
        return known in found

    def probabilities(image: NDArray) -> NDArray:
        return predict(run, image, probabilities=True)

    with stoppable():
        result = judge(probabilities, choice.pairs, run.masks, run.classes, on_image, counts, choice.nothing)
        result = replace(result, files=choice.words(len(result.per_file), found))
        try:
            _store(run.path, result, run.masks)
        except (InputError, OSError) as error:
            raise NotStored(f"The scores cannot be stored in {run.path}. {error}", result) from error
    return result


def _store(folder: Path, result: Evaluation, masks: MaskFormat) -> None:
    """Write scores, panels and page into a run folder."""
    with replacing(folder / Run.EVALUATION) as temporary:
        temporary.write_text(json.dumps(result.to_json(), indent=2, allow_nan=False), encoding="utf-8")
    write_panels(folder / Run.PANELS, result.cases, result.classes, masks)
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


def choose_files(run: Run, data: Path, split: str | None, say: Callable[[str], None]) -> Choice:
    """Choose the files of a folder to score a run on; none is read.

    Raises:
        InputError: files do not pair, or there is no such split.
    """
    found = find_named(data)
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


def _names(pairs: Sequence[Pair]) -> list[str]:
    """The titles of pairs; where several have one, the path of the image and its page."""
    titles = [title(pair) for pair in pairs]
    times = Counter(titles)
    return [
        one if times[one] == 1 else f"{pair.image}{f', page {pair.page}' if pair.page else ''}"
        for one, pair in zip(titles, pairs, strict=True)
    ]


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
