"""Scores that lie in `evaluation.json` where they apply, and the same as rows of text."""

from __future__ import annotations

from typing import TypedDict


class FileTable(TypedDict):
    """The scores of a file alone; one that does not exist is null.

    Attributes:
        name: of the file.
        group: what it belongs to, the text of a group, the file of a stack or its own name; files of one group are
            drawn together for the intervals.
        mean_iou: of the classes that occur.
        iou: by class.
        dice: by class.
    """

    name: str
    group: str
    mean_iou: float | None
    iou: dict[str, float | None]
    dice: dict[str, float | None]


class Spread(TypedDict):
    """How a score spreads over the files that have it.

    Attributes:
        files: how many have it.
        mean: over them.
        median: over them.
        worst: of them.
    """

    files: int
    mean: float
    median: float
    worst: float


class ObjectTable(TypedDict):
    """How predicted objects fit the true ones, of all files together (`unet_tf.evaluation.objects`).

    Attributes:
        thresholds: IoU from which on two objects are the same.
        ap: TP / (TP + FP + FN) at each threshold.
        ap_ends: its 95 % interval at each threshold: lower and upper end; null for too few files.
        ap_files: mean over the files of AP at each threshold.
        f1: at each threshold.
        pq: panoptic quality at each threshold.
        found: TP at each threshold.
        true: number of true objects.
        predicted: number of predicted objects.
        merges: predicted objects that hold several true ones.
        splits: true objects that hold several predicted ones.
    """

    thresholds: list[float]
    ap: list[float | None]
    ap_ends: list[list[float | None]] | None
    ap_files: list[float | None]
    f1: list[float | None]
    pq: list[float | None]
    found: list[int]
    true: int
    predicted: int
    merges: int
    splits: int


class ThinTable(TypedDict):
    """How well the lines of a thin class were found (`unet_tf.evaluation.thin`).

    Attributes:
        cldice: of both.
        precision: topology precision.
        sensitivity: topology sensitivity.
        words: why the class is thin.
    """

    cldice: float | None
    precision: float | None
    sensitivity: float | None
    words: str


class MembraneCurve(TypedDict):
    """Scores of membranes at each threshold (`unet_tf.evaluation.membranes.PartitionScores`).

    Attributes:
        v_rand: foreground-restricted Rand score.
        v_rand_split: low where true segments are split.
        v_rand_merge: low where they are merged.
        v_info: information theoretic score.
        v_info_split: low where true segments are split.
        v_info_merge: low where they are merged.
        pixel_error: share of the pixels.
    """

    v_rand: list[float | None]
    v_rand_split: list[float | None]
    v_rand_merge: list[float | None]
    v_info: list[float | None]
    v_info_split: list[float | None]
    v_info_merge: list[float | None]
    pixel_error: list[float | None]


class MembraneTable(TypedDict):
    """How well membranes part the pictures, at the best threshold of each score.

    Attributes:
        borders: the classes that are membranes.
        v_rand: the highest.
        v_info: the highest.
        pixel_error: the lowest.
        best: threshold of each of these three.
        thresholds: of the probability of what is no membrane.
        curve: at each of them.
    """

    borders: list[str]
    v_rand: float | None
    v_info: float | None
    pixel_error: float | None
    best: dict[str, float]
    thresholds: list[float]
    curve: MembraneCurve


class FieldTable(TypedDict, total=False):
    """Which pixels count, and of two classes how well the probability ranks them (`unet_tf.evaluation.ranking`).

    Attributes:
        roi: which pixels count, in words; absent where all do.
        foreground: name of class 1.
        auc: area under the ROC curve.
        average_precision: of the foreground.
        within: how far these two may be off, at most, from sorting all pixels.
    """

    roi: str
    foreground: str
    auc: float | None
    average_precision: float | None
    within: float | None


class SpecialTables(TypedDict, total=False):
    """What further lies in `evaluation.json`, where it applies.

    Attributes:
        per_file: the scores of each file, worst first by its mean IoU.
        images: how "mean IoU", "mean Dice", "IoU CLASS" and "Dice CLASS" spread over the files.
        objects: where masks tell objects apart.
        thin: by class, of those that are thin.
        membranes: where it was asked for.
        field: of two classes, or where fields of view were given.
    """

    per_file: list[FileTable]
    images: dict[str, Spread]
    objects: ObjectTable
    thin: dict[str, ThinTable]
    membranes: MembraneTable
    field: FieldTable
