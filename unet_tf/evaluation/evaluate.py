"""Honest scores: a predict function against labelled files it never saw, beside two trivial baselines."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.fingerprint import identity
from unet_tf.data.folder import SPLITS, Pair, read_pair, title
from unet_tf.data.layout import find_named
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import read_image
from unet_tf.errors import InputError
from unet_tf.evaluation.metrics import confusion_matrix, scores
from unet_tf.evaluation.panels import write_panels
from unet_tf.evaluation.report import write_report
from unet_tf.labels import VOID
from unet_tf.prediction.predict import predict
from unet_tf.run import Run
from unet_tf.utils.files import replacing
from unet_tf.utils.progress import Progress, unseen


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
    """

    classes: tuple[str, ...]
    confusion: NDArray[np.int64]
    soft_dice: NDArray[np.float64]
    per_file: list[tuple[Pair, float]]
    baselines: dict[str, NDArray[np.int64]]
    files: str = ""

    @property
    def scores(self) -> dict[str, Any]:
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

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON types; a score that does not exist is null."""

        def plain(confusion: NDArray) -> dict[str, Any]:
            s = scores(confusion)
            lists = {name: dict(zip(self.classes, map(_or_none, s[name]), strict=True)) for name in ("iou", "dice")}
            means = {name: _or_none(s[name]) for name in ("mean_iou", "mean_dice", "pixel_accuracy")}
            return {**lists, **means, "confusion": confusion.tolist()}

        return {
            "files": self.files,
            "classes": list(self.classes),
            **plain(self.confusion),
            "soft_dice": dict(zip(self.classes, map(_or_none, self.soft_dice), strict=True)),
            "mean_soft_dice": _or_none(self.mean_soft_dice),
            "baselines": {name: plain(confusion) for name, confusion in self.baselines.items()},
            "per_file_mean_iou": {title(pair): _or_none(value) for pair, value in self.per_file},
        }


def judge(
    predict_fn: Callable[[NDArray], NDArray],
    pairs: Sequence[Pair],
    masks: MaskFormat,
    classes: tuple[str, ...],
    on_image: Progress = unseen,
) -> Evaluation:
    """Score any predict function on labelled files.

    Args:
        predict_fn: (H, W, C) raw pixels -> (H, W, num_classes) probabilities.
        pairs: the files.
        masks: how their masks say the classes.
        classes: names of the classes.
        on_image: called with (images done, images in all) after each.

    Returns:
        The scores over all pixels of all files; void pixels count nowhere.

    Raises:
        InputError: there are no files, or one cannot be used.
    """
    if not pairs:
        raise InputError("A score needs a labelled file at least; received none.")
    count = len(classes)
    confusion, otsu = np.zeros((count, count), np.int64), np.zeros((count, count), np.int64)
    overlap, mass = np.zeros(count), np.zeros(count)
    per_file = []
    for done, pair in enumerate(pairs, start=1):
        decoded = read_pair(pair, masks)
        image, label = decoded.filled, decoded.label
        try:
            probabilities = predict_fn(image)
        except InputError as error:
            raise InputError(f"{title(pair)}: {error}") from error
        own = confusion_matrix(label, probabilities.argmax(-1), count)
        confusion += own
        if count == 2:
            otsu += confusion_matrix(label, otsu_label(image), count)
        for c in range(count):
            believed, truth = probabilities[..., c][label != VOID], label[label != VOID] == c
            overlap[c] += believed[truth].sum(dtype=np.float64)
            mass[c] += np.square(believed, dtype=np.float64).sum() + truth.sum()
        per_file.append((pair, scores(own)["mean_iou"]))
        on_image(done, len(pairs))

    majority = np.zeros_like(confusion)
    majority[:, confusion.sum(1).argmax()] = confusion.sum(1)
    baselines = {"majority class": majority}
    if count == 2:
        baselines["Otsu threshold"] = max(otsu, otsu[:, ::-1], key=lambda c: scores(c)["mean_iou"])
    occurs = confusion.sum(0) + confusion.sum(1) > 0
    soft_dice = np.full(count, math.nan)
    soft_dice[occurs] = 2 * overlap[occurs] / mass[occurs]
    per_file.sort(key=lambda item: (math.isnan(item[1]), item[1]))
    return Evaluation(classes, confusion, soft_dice, per_file, baselines)


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
    tile: int | None = None,
    on_image: Progress = unseen,
) -> Evaluation:
    """Score a run on files that it did not learn from; writes `evaluation.json`, panels and `report.html` into it.

    Args:
        run: a run, or its folder.
        data: folder as for `train`. Of its `test/`, else `val/`, else `train/`, else all its files, those with the
            pixels of a training image are left out.
        split: "train", "val", "test" or "all" to score just these files, seen or not.
        tile: as for `predict`.
        on_image: called with (images done, images in all) after each.

    Returns:
        The scores.

    Raises:
        InputError: no file is left to score, or one cannot be used.

    Example:
        >>> evaluate("runs/cells", "cells").mean_iou  # doctest: +SKIP
        0.91
    """
    run = run if isinstance(run, Run) else Run(run)
    pairs, files = select_files(run, Path(data), split)

    def probabilities(image: NDArray) -> NDArray:
        return predict(run, image, tile=tile, probabilities=True)

    result = replace(judge(probabilities, pairs, run.masks, run.classes, on_image), files=files)
    with replacing(run.path / Run.EVALUATION) as temporary:
        temporary.write_text(json.dumps(result.to_json(), indent=2, allow_nan=False), encoding="utf-8")
    worst, best = result.per_file[:4], result.per_file[4:][-1:]
    cases = [
        (f"{title(pair)}: mean IoU {value:.3f}", *read_pair(pair, run.masks)[:2], probabilities)
        for pair, value in worst + best
    ]
    write_panels(run.path / Run.PANELS, cases, run.classes, run.masks)
    write_report(run.path)
    return result


def select_files(run: Run, data: Path, split: str | None = None) -> tuple[list[Pair], str]:
    """The pairs of `data` to score a run on, and in words which they are."""
    named = find_named(data).check()
    everything = [pair for pairs in named.values() for pair in pairs]
    if split == "all":
        return everything, f"all files of {data}, seen in training or not"
    if split is not None and split not in SPLITS:
        raise InputError(f"A split is one of {', '.join(SPLITS)}, all; received {split!r}.")
    if split in named:
        return named[split], f"all {split} files of {data}, seen in training or not"
    if split == "test":
        raise InputError(f"{data} has no test files; it has {', '.join(filter(None, named)) or 'no splits'}.")
    if split is not None:
        listed = run.files(split)
        pairs = [pair for pair in everything if _identity(pair) in listed]
        if not pairs:
            raise InputError(
                f"{data} holds none of the {len(listed)} {split} files of the run, which are known by their content. "
                "Give the folder that it was trained on."
            )
        return pairs, f"the {split} files of the run in {data}"

    name = next(name for name in ("test", "val", "train", "") if name in named)
    hashes = {pair: _identity(pair) for pair in named[name]}
    trained, validated = run.files("train"), run.files("val")
    unseen = [pair for pair in hashes if hashes[pair] not in trained]
    where = f"{data / name}" if (data / name).is_dir() else f"{data} ({name})"
    if not unseen:
        raise InputError(
            f"The run learnt from every image of {where}; a score needs others. (--split all scores them.)"
        )
    words = f"{len(unseen)} files of {where}"
    if len(unseen) < len(hashes):
        words += f", without {len(hashes) - len(unseen)} that the run learnt from"
    if any(hashes[pair] in validated for pair in unseen):
        words += "; among them the validation files, by which the best epoch was chosen"
    return unseen, words


def _identity(pair: Pair) -> str:
    return identity(read_image(pair.image, pair.page))


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
