"""What a net scored on a set of labelled files, and the same as JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.folder import Pair, title
from unet_tf.evaluation.boundary import DISTANCE, BoundaryScores, boundary_scores
from unet_tf.evaluation.calibration import Certainty
from unet_tf.evaluation.charts import MOST_CLASSES, score_chart
from unet_tf.evaluation.further import (
    field_table,
    file_tables,
    membrane_table,
    object_table,
    or_none,
    thin_tables,
)
from unet_tf.evaluation.further_tables import SpecialTables
from unet_tf.evaluation.intervals import bootstrap
from unet_tf.evaluation.membranes import MembraneSums
from unet_tf.evaluation.metrics import Scores, scores, scores_of
from unet_tf.evaluation.objects import ObjectScores
from unet_tf.evaluation.panels import Case
from unet_tf.evaluation.ranking import Ranking
from unet_tf.evaluation.sums import Sums
from unet_tf.evaluation.tables import Boundaries, EvaluationTable, IntervalTable, JudgedTable, MethodScores
from unet_tf.evaluation.thin import ClDice, Shape
from unet_tf.evaluation.verdict import verdict
from unet_tf.pages.words import number

MEANS = ("mean_iou", "mean_dice", "pixel_accuracy")
WORST = 5
"""Files that a notebook lists."""


class Judged(NamedTuple):
    """A file that was scored.

    Attributes:
        pair: the file.
        mean_iou: of this file alone; NaN for one of void alone.
        counts: (3, C) pixels of each class that are right, true, predicted (`metrics.marginals`).
        group: which files belong together, such as the pages of a stack; they are drawn together for the intervals.
        objects: how its objects were found, where masks tell objects apart.
    """

    pair: Pair
    mean_iou: float
    counts: NDArray[np.int64]
    group: Hashable
    objects: ObjectScores | None = None


@dataclass(frozen=True)
class Evaluation:
    """What a net scored on a set of labelled files.

    Attributes:
        classes: names of the classes.
        confusion: (C, C) pixel counts over all files; rows: true class.
        soft_dice: (C,) 2 sum(p g) / (sum(p p) + sum(g g)) over all pixels, with probability p and truth g in {0, 1}
            (Milletari et al., V-Net, 2016); NaN for a class that is neither in the labels nor in the predictions.
        boundary: (6, C) counts over all files (`boundary.boundary_counts`).
        judged: each file, worst first by the mean IoU of this file alone; those of void alone last.
        baselines: (C, C) confusion matrices of what needs no net: "majority class", the one of these very labels; for
            two classes "Otsu threshold", with the better of its two polarities.
        files: which files were scored and why, in words.
        cases: the worst files, the median one and the best one, small, to be drawn.
        roi: which pixels count, in words, where not all do.
        who: was judged.
        learnt: number of the files that it was trained on, as far as that is known.
        folder: that keeps scores, panels and page; None where none does.
        sums: what was counted, so that evaluations of several sets of files can be put together
            (`unet_tf.evaluation.merging`).
    """

    classes: tuple[str, ...]
    confusion: NDArray[np.int64]
    soft_dice: NDArray[np.float64]
    boundary: NDArray[np.int64]
    judged: list[Judged]
    baselines: dict[str, NDArray[np.int64]]
    files: str = ""
    cases: tuple[Case, ...] = ()
    roi: str = ""
    who: JudgedTable | None = None
    learnt: int = 0
    folder: Path | None = None
    sums: Sums | None = None

    @classmethod
    def of(
        cls, classes: tuple[str, ...], sums: Sums, judged: list[Judged], files: str = "", roi: str = ""
    ) -> Evaluation:
        """Make an evaluation of what was counted, and of each file."""
        judged = sorted(judged, key=lambda one: (math.isnan(one.mean_iou), one.mean_iou))
        counted = sums.confusion, sums.soft_dice, sums.boundary
        return cls(classes, *counted, judged, sums.baselines, files, roi=roi, sums=sums)

    @property
    def thin(self) -> dict[str, tuple[ClDice, Shape]]:
        """The clDice of the classes that are thin, and what shows that they are, by name."""
        return {} if self.sums is None else self.sums.thin.of_classes(self.classes)

    @property
    def certainty(self) -> Certainty | None:
        """Whether probabilities mean what they say, and the curve of two classes; None where there were none."""
        return None if self.sums is None else self.sums.certainty

    @property
    def ranking(self) -> Ranking | None:
        """Of two classes with probabilities, how that of the second one ranks the pixels."""
        return None if self.sums is None else self.sums.ranking

    @property
    def membranes(self) -> MembraneSums | None:
        """How well membranes part the pictures, where that was asked for."""
        return None if self.sums is None else self.sums.membranes

    @property
    def per_file(self) -> list[tuple[Pair, float]]:
        """Each pair with the mean IoU of this file alone, worst first; NaN, for a file of void alone, last."""
        return [(one.pair, one.mean_iou) for one in self.judged]

    @property
    def scores(self) -> Scores:
        """`unet_tf.scores` of the confusion matrix."""
        return scores(self.confusion)

    @property
    def boundaries(self) -> BoundaryScores:
        """How well borders lie, by class."""
        return boundary_scores(self.boundary)

    @property
    def objects(self) -> ObjectScores | None:
        """How the objects of all files were found, where masks tell objects apart."""
        scored = [one.objects for one in self.judged if one.objects is not None]
        return sum(scored[1:], scored[0]) if scored else None

    @property
    def mean_iou(self) -> float:
        """Mean of the IoU of the classes that occur, in [0, 1]."""
        return self.scores["mean_iou"]

    @property
    def mean_soft_dice(self) -> float:
        """Mean of the soft Dice of the classes that occur, in [0, 1]; NaN if none does."""
        present = self.soft_dice[~np.isnan(self.soft_dice)]
        return float(present.mean()) if present.size else math.nan

    @property
    def _counted(self) -> list[Judged]:
        """The files that have a pixel that counts."""
        return [one for one in self.judged if one.counts[1].any()]

    @cached_property
    def intervals(self) -> dict[str, NDArray[np.float64]] | None:
        """95 % intervals by the bootstrap over files, or groups of them: lower and upper ends by the name of the score.

        (2, C) of "iou" and "dice", (2,) of "mean_iou", "mean_dice", "pixel_accuracy". None for fewer than five files;
        one of void alone is none.
        """
        number, counted = len(self.classes), self._counted
        if not counted:
            return None

        def statistic(sums: NDArray) -> NDArray:
            found = scores_of(sums)
            return np.concatenate(
                [found["iou"], found["dice"], *(np.asarray(found[name])[:, None] for name in MEANS)],  # type: ignore[literal-required]
                axis=1,
            )

        ends = bootstrap(
            np.stack([one.counts for one in counted]), statistic, [one.group for one in counted]
        )  # (2, 2 C + 3)
        if ends is None:
            return None
        means = {name: ends[:, 2 * number + place] for place, name in enumerate(MEANS)}
        return {"iou": ends[:, :number], "dice": ends[:, number : 2 * number]} | means

    def to_json(self) -> EvaluationTable:
        """Give everything as JSON types; a score that does not exist is null."""
        found: EvaluationTable = {
            "files": self.files,
            "classes": list(self.classes),
            **self._method(self.confusion),
            "soft_dice": self._by_class(self.soft_dice),
            "mean_soft_dice": or_none(self.mean_soft_dice),
            "boundaries": self._boundaries(),
            "baselines": {name: self._method(confusion) for name, confusion in self.baselines.items()},
            "per_file_mean_iou": dict(
                zip(
                    _names([one.pair for one in self.judged]),
                    (or_none(one.mean_iou) for one in self.judged),
                    strict=True,
                )
            ),
            **self._special(),
        }
        if self.who is not None:
            found["judged"] = self.who
        if self.learnt:
            found["learnt"] = self.learnt
        calibration, thresholds = (None, None) if self.certainty is None else self.certainty.tables()
        if calibration is not None:
            found["calibration"] = calibration
        if thresholds is not None:
            found["thresholds"] = thresholds
        if self.intervals is not None:
            found["intervals"] = self._intervals(self.intervals)
        return found

    def _special(self) -> SpecialTables:
        """What lies there where it applies."""
        groups = [one.group for one in self.judged]
        files, images = file_tables(
            self.classes, _names([one.pair for one in self.judged]), np.stack([o.counts for o in self.judged]), groups
        )
        found: SpecialTables = {"per_file": files, "images": images}
        counted = self._counted or self.judged  # as evidence, as of the intervals
        if scored := [(one.objects, one.group) for one in counted if one.objects is not None]:
            found["objects"] = object_table([objects for objects, _ in scored], [group for _, group in scored])
        if self.thin:
            found["thin"] = thin_tables(self.thin)
        if self.membranes is not None:
            found["membranes"] = membrane_table(self.membranes, self.classes)
        if table := field_table(self.ranking, self.classes, self.roi):
            found["field"] = table
        return found

    def _by_class(self, values: NDArray) -> dict[str, float | None]:
        return dict(zip(self.classes, map(or_none, values), strict=True))

    def _boundaries(self) -> Boundaries:
        f, surface_dice, iou = map(self._by_class, self.boundaries)
        return {"distance": DISTANCE, "f": f, "surface_dice": surface_dice, "iou": iou}

    def _intervals(self, ends: dict[str, NDArray]) -> IntervalTable:
        by_class = [
            {name: [or_none(low), or_none(high)] for name, low, high in zip(self.classes, *ends[score], strict=True)}
            for score in ("iou", "dice")
        ]
        mean_iou, mean_dice, accuracy = ([or_none(end) for end in ends[name]] for name in MEANS)
        return {
            "groups": len({one.group for one in self._counted}),
            "iou": by_class[0],
            "dice": by_class[1],
            "mean_iou": mean_iou,
            "mean_dice": mean_dice,
            "pixel_accuracy": accuracy,
        }

    def _method(self, confusion: NDArray) -> MethodScores:
        found = scores(confusion)
        return {
            "iou": self._by_class(found["iou"]),
            "dice": self._by_class(found["dice"]),
            "precision": self._by_class(found["precision"]),
            "recall": self._by_class(found["recall"]),
            "specificity": self._by_class(found["specificity"]),
            "mean_iou": or_none(found["mean_iou"]),
            "mean_dice": or_none(found["mean_dice"]),
            "pixel_accuracy": or_none(found["pixel_accuracy"]),
            "confusion": confusion.tolist(),
        }

    def _repr_html_(self) -> str:
        """What a notebook shows: the verdict, and the scores with intervals, beside those of the baselines."""
        from unet_tf.pages.notebook import Table, show_object

        stored = self.to_json()
        found = score_chart(stored)
        with_ends = found["intervals"]
        rows = [
            (
                row["name"], number(row["value"]), row["value"] if row["value"] is not None else "",
                *([" to ".join(map(number, row["ends"]))] if with_ends else []),
                *(number(value) for _, value in row["ticks"]),
            )
            for row in found["rows"]
        ]  # fmt: skip
        header = ("", "score", "", *(["95 % interval"] if with_ends else []), *found["baselines"])
        worst = [(title(one.pair), number(one.mean_iou)) for one in self.judged[:WORST]]
        first = len(self.classes) if len(self.classes) > MOST_CLASSES else 0
        tables = [
            Table(rows[first:], header),
            Table(rows[:first], header, folded=f"{first} classes"),
            Table(worst, ("file", "mean IoU"), folded=f"the worst {len(worst)} of {len(self.judged)} files"),
        ]
        return show_object("Evaluation on", self.files, verdict(stored), tables)


def _names(pairs: Sequence[Pair]) -> list[str]:
    """The titles of pairs; where several have one, the path of the image and its page."""
    titles = [title(pair) for pair in pairs]
    times = Counter(titles)
    return [
        one if times[one] == 1 else f"{pair.image}{f', page {pair.page}' if pair.page else ''}"
        for one, pair in zip(titles, pairs, strict=True)
    ]
