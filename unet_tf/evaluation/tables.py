"""What `evaluation.json` holds, and the same as rows of text."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from unet_tf.evaluation.further_tables import SpecialTables
from unet_tf.evaluation.verdict import absent_classes, chosen_by
from unet_tf.utils.typed_json import read_json


class FurtherScores(TypedDict, total=False):
    """Scores that version 0.1 did not have; one that does not exist is null.

    Attributes:
        precision: by class.
        recall: by class.
        specificity: by class.
    """

    precision: dict[str, float | None]
    recall: dict[str, float | None]
    specificity: dict[str, float | None]


class MethodScores(FurtherScores):
    """Scores of a net or of a baseline; a score that does not exist is null.

    Attributes:
        iou: by class.
        dice: by class.
        mean_iou: of the classes that occur, in [0, 1].
        mean_dice: of the classes that occur, in [0, 1].
        pixel_accuracy: share of the pixels, in [0, 1].
        confusion: (C, C) pixels; rows: true class.
    """

    iou: dict[str, float | None]
    dice: dict[str, float | None]
    mean_iou: float | None
    mean_dice: float | None
    pixel_accuracy: float | None
    confusion: list[list[int]]


class Boundaries(TypedDict):
    """How well borders lie (`unet_tf.evaluation.boundary`).

    Attributes:
        distance: by which a border may be off, pixels.
        f: boundary F score by class.
        surface_dice: normalised surface distance by class.
        iou: boundary IoU by class.
    """

    distance: float
    f: dict[str, float | None]
    surface_dice: dict[str, float | None]
    iou: dict[str, float | None]


class IntervalTable(TypedDict):
    """95 % intervals (`unet_tf.evaluation.intervals`): lower and upper ends.

    Attributes:
        groups: files, or groups of files that belong together, which were drawn.
        iou: by class.
        dice: by class.
        mean_iou: of the classes that occur.
        mean_dice: of the classes that occur.
        pixel_accuracy: share of the pixels.
    """

    groups: int
    iou: dict[str, list[float | None]]
    dice: dict[str, list[float | None]]
    mean_iou: list[float | None]
    mean_dice: list[float | None]
    pixel_accuracy: list[float | None]


class _JudgedOn(TypedDict, total=False):
    data: str  # none in comparisons, and in files of earlier versions


class JudgedTable(_JudgedOn):
    """Who was judged.

    Attributes:
        kind: "run", "bundle", "runs" (of a cross-validation) or "masks".
        path: where it lay, absolute.
        command: that judges it again.
        data: folder of the files, absolute.
    """

    kind: str
    path: str
    command: str


class BinTable(TypedDict):
    """A bar of the reliability diagram; a bin without pixels has neither confidence nor accuracy.

    Attributes:
        low: of the confidence, the probability of the most probable class; not in the bin.
        high: of it; in the bin.
        confidence: mean over the pixels of the bin.
        accuracy: share of them whose most probable class is right.
        pixels: in the bin.
    """

    low: float
    high: float
    confidence: float | None
    accuracy: float | None
    pixels: int


class _Untempered(TypedDict, total=False):
    ece_raw: float
    bins_raw: list[BinTable]


class CalibrationTable(_Untempered):
    """Whether probabilities mean what they say (`unet_tf.evaluation.calibration`).

    Attributes:
        temperature: by which the logits were divided; null of several nets that each have their own.
        ece: expected calibration error.
        bins: of equal width over [0, 1].
        ece_raw: at temperature 1; none of the mean of several nets with temperatures.
        bins_raw: likewise.
    """

    temperature: float | None
    ece: float
    bins: list[BinTable]


class ThresholdTable(TypedDict):
    """What the foreground of two classes scores at each threshold of its probability.

    Attributes:
        chosen: the threshold of the run, which all other scores are of; null of several nets that differ in it.
        thresholds: of the curve.
        iou: of class 1, by threshold.
        dice: likewise.
        precision: likewise.
        recall: likewise.
    """

    chosen: float | None
    thresholds: list[float]
    iou: list[float | None]
    dice: list[float | None]
    precision: list[float | None]
    recall: list[float | None]


class FurtherTables(SpecialTables, total=False):
    """What version 0.1 did not have in `evaluation.json`.

    Attributes:
        calibration: whether probabilities mean what they say.
        thresholds: the curve of two classes.
        boundaries: how well borders lie.
        intervals: of the scores; none for fewer than five files.
        judged: who was.
        learnt: number of the files that it was trained on, where there are such.
    """

    calibration: CalibrationTable
    thresholds: ThresholdTable
    boundaries: Boundaries
    intervals: IntervalTable
    judged: JudgedTable
    learnt: int


class EvaluationTable(MethodScores, FurtherTables):
    """What `evaluation.json` of a run holds: the scores of its net, and of what needs no net.

    Attributes:
        files: which files were scored and why, in words.
        classes: their names, by id.
        soft_dice: by class.
        mean_soft_dice: of the classes that occur, in [0, 1].
        baselines: by name.
        per_file_mean_iou: by name of the file, worst first.
    """

    files: str
    classes: list[str]
    soft_dice: dict[str, float | None]
    mean_soft_dice: float | None
    baselines: dict[str, MethodScores]
    per_file_mean_iou: dict[str, float | None]


def read_evaluation(path: Path) -> EvaluationTable:
    """Read the `evaluation.json` of a run.

    Raises:
        InputError: the file is missing, damaged or of another version.
    """
    return read_json(path, EvaluationTable, "Score the run again with unet-tf evaluate.")


def score_rows(stored: EvaluationTable) -> list[tuple[str, ...]]:
    """Scores as text: a header, then a row a score, who was judged with 95 % intervals before the baselines."""
    methods: dict[str, MethodScores] = {name_of(stored): stored, **stored["baselines"]}
    ends = stored.get("intervals")
    rows = [("", *methods)]
    for name in stored["classes"]:
        rows.append((f"IoU {name}", *(number(one["iou"].get(name)) for one in methods.values())))
    rows.append(("mean IoU", *(number(one["mean_iou"]) for one in methods.values())))
    rows.append(("mean Dice", *(number(one["mean_dice"]) for one in methods.values())))
    rows.append(("pixel accuracy", *(number(one["pixel_accuracy"]) for one in methods.values())))
    if ends is None:
        return rows
    own = [*(ends["iou"][name] for name in stored["classes"]), ends["mean_iou"], ends["mean_dice"]]
    column = ["95 %", *map(interval, [*own, ends["pixel_accuracy"]])]
    return [(name, net, beside, *others) for (name, net, *others), beside in zip(rows, column, strict=True)]


def name_of(stored: EvaluationTable) -> str:
    """What to call who was judged: "U-Net", or "masks"."""
    return "masks" if stored.get("judged", {}).get("kind") == "masks" else "U-Net"


def class_rows(stored: EvaluationTable, whole: bool = False) -> list[tuple[str, ...]]:
    """Further scores of the net as text: a header, then a row a class; none of a version that did not have them.

    Args:
        stored: an `evaluation.json`.
        whole: those too for which a terminal has no room.
    """
    borders = stored.get("boundaries")
    if borders is None:
        return []
    columns: dict[str, Mapping[str, float | None]] = {
        "Dice": stored["dice"], "precision": stored["precision"], "recall": stored["recall"],
        "specificity": stored["specificity"], f"border F ({borders['distance']:g} px)": borders["f"],
        "border IoU": borders["iou"],
    }  # fmt: skip
    if whole:
        soft = {} if name_of(stored) == "masks" else {"soft Dice": stored["soft_dice"]}
        columns |= {"surface Dice": borders["surface_dice"]} | soft
    return [("", *columns), *((name, *(number(of[name]) for of in columns.values())) for name in stored["classes"])]


def image_words(stored: EvaluationTable) -> str:
    """Say how the mean IoU spreads over the images, and what the intervals are of."""
    values = sorted(value for value in stored["per_file_mean_iou"].values() if value is not None)
    if not values:
        return ""
    mean, middle = statistics.mean(values), statistics.median(values)
    words = (
        f"Image by image the mean IoU is {mean:.4f} in the mean, {middle:.4f} in the median, {values[0]:.4f} at worst."
    )
    if ends := stored.get("intervals"):
        return words + f" The 95 % intervals are of {ends['groups']} images, or groups of them, drawn again and again."
    return words + " There are too few images, or stacks of them, for intervals."


def certainty_words(stored: EvaluationTable) -> str:
    """Say how far probabilities are from what they say, and where two classes part if that is not at 0.5."""
    words = ""
    if found := stored.get("calibration"):
        words = f"Expected calibration error {found['ece']:.4f}"
        temperature = found["temperature"]
        if temperature != 1:
            by = "the temperatures of the nets" if temperature is None else f"a temperature of {temperature:.3f}"
            words += f", by {by}"
            words += f"; {found['ece_raw']:.4f} without" if "ece_raw" in found else ""
        words += fitted_words(stored)
    chosen = stored["thresholds"]["chosen"] if "thresholds" in stored else 0.5
    if chosen is not None and chosen != 0.5:
        words += f". {stored['classes'][1]} is where its probability is above {chosen:g}"
    return words and f"{words}."


def fitted_words(stored: Mapping[str, Any]) -> str:
    """Say, behind the error, that temperatures were fitted on files of those that were scored; "" where they were not.

    Args:
        stored: an `evaluation.json` that has "calibration".
    """
    own = stored["calibration"]["temperature"] != 1 and chosen_by(stored.get("files", ""))
    return ". Temperatures were fitted on validation files among these: on others the error is larger as a rule" * own


def lacking(stored: EvaluationTable) -> str:
    """Say which classes no pixel of the scored files has, from an `evaluation.json`; nothing where they have all."""
    if not (absent := absent_classes(stored)):
        return ""
    return (
        f"No pixel of these files is of {', '.join(absent)}: the scores cannot tell how well that is found. The means "
        "leave it out, or take 0 for it where some pixel is called so."
    )


def interval(ends: Sequence[float | None]) -> str:
    """Two ends with three digits; "none" where there are none."""
    low, high = ends
    return "none" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def number(score: float | None) -> str:
    """A score with four digits; "none" where there is none."""
    return "none" if score is None else f"{score:.4f}"
