"""What an `evaluation.json` says, section by section, as plain data for a page."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from unet_tf.evaluation.charts import object_chart, reliability, score_chart, threshold_curves
from unet_tf.evaluation.tables import EvaluationTable, class_rows, fitted_words, image_words
from unet_tf.pages.charts import Chart, Line, chart
from unet_tf.pages.words import count, number

MOST_FILES = 500
"""Files whose scores a page lists, the worst of all."""
FEW = 10
"""Files from which on their scores are drawn as a line."""


def scores_section(found: EvaluationTable) -> dict[str, Any]:
    """The scores of an `evaluation.json` as the page of a run, or of several, shows them."""
    stored: Mapping[str, Any] = found
    judged: Mapping[str, Any] = stored.get("judged") or {}
    values = sorted(value for value in stored["per_file_mean_iou"].values() if value is not None)
    per_file = _file_rows(stored)
    further = [(words, rows) for key, words in FURTHER if (rows := _facts_of(stored.get(key) or {}))]
    if further and "foreground" not in (stored.get("field") or {}):  # of masks, and of more classes: fields alone
        further = [(words.replace(RANKED, "Fields of view"), rows) for words, rows in further]
    further += [
        (f"{name}, which is thin", rows)
        for name, one in (stored.get("thin") or {}).items()
        if isinstance(one, Mapping) and (rows := _facts_of(one))
    ]
    return {
        "files": stored["files"],
        "chart": score_chart(stored, "masks" if judged.get("kind") == "masks" else "U-Net"),
        "words": image_words(found),
        "baselines": WORTH if len(stored["classes"]) == 2 else WORTH.replace(OTSU, "").replace("need", "needs", 1),
        "classes": class_rows(found),
        "images": _image_rows(stored.get("images") or {}),
        "further": further,
        "curves": [curves for key, words in FURTHER if (curves := _curves(stored.get(key) or {}, words))],
        "spread": [_spread(values)] if len(values) >= FEW else [],
        "per_file": per_file[: MOST_FILES + 1],
        "not_shown": max(0, len(per_file) - 1 - MOST_FILES),
    }


OTSU = " and Otsu's threshold, with the better of its polarities,"
WORTH = f"The majority class of these files{OTSU} need no net: a net is worth what it adds."
RANKED = "Foreground, ranked by its probability"
FURTHER = (("membranes", "Membranes, as in ISBI 2012"), ("field", RANKED))


def calibration_section(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Reliability diagram, threshold curve and what they say; nothing of versions that did not have them."""
    own, thresholds = stored.get("calibration"), stored.get("thresholds")
    words = []
    if own:
        said = f"Expected calibration error {number(own['ece'])}"
        temperature = own["temperature"]
        if temperature != 1 and own.get("ece_raw") is not None:
            by = (
                "the nets had temperatures"
                if temperature is None
                else f"one temperature, {temperature:.3g}, was fitted"
            )
            said += f", {number(own['ece_raw'])} before {by}"
        said += ": so far is what it says of how sure it is from how often it is right, in the mean"
        words.append(f"{said}{fitted_words(stored)}.")
    if thresholds and thresholds["chosen"] is not None:
        words.append(f"A pixel is foreground from a probability of {thresholds['chosen']:g} on.")
    return {
        "calibration": own and reliability(own),
        "thresholds": thresholds and threshold_curves(thresholds),
        "calibration_words": words,
    }


def objects_section(stored: Mapping[str, Any]) -> dict[str, Any] | None:
    """Counts and scores of objects, where masks tell them apart."""
    found = stored.get("objects")
    if not found or not found["thresholds"]:
        return None
    columns = [(name, found[key]) for key, name in (("ap", "AP"), ("f1", "F1"), ("pq", "panoptic quality"))]
    rows = [
        (f"{at:g}", count(hits), *(number(values[place]) for _, values in columns))
        for place, (at, hits) in enumerate(zip(found["thresholds"], found["found"], strict=True))
    ]
    words = (
        f"True objects: {count(found['true'])}; predicted: {count(found['predicted'])}. Merges, predicted ones that "
    )
    words += (
        f"hold most of two or more true ones: {count(found['merges'])}. Splits, true ones that hold most of two or "
    )
    words += f"more predicted ones: {count(found['splits'])}."
    header = ("IoU", "found", *(name for name, _ in columns))
    return {"words": words, "chart": object_chart(found), "rows": [header, *rows]}


def _spread(values: Sequence[float]) -> Chart:
    """The mean IoU of each image, from the worst to the best."""
    title = f"mean IoU of {len(values)} images, from {values[0]:.3f} over {statistics.median(values):.3f} in the middle"
    points = [(float(place), value) for place, value in enumerate(values, start=1)]
    line = Line("mean IoU", points)
    return chart(
        f"{title} to {values[-1]:.3f}",
        [line],
        "image, from the worst",
        "mean IoU",
        (1, len(values)),
        (0, 1),
        whole=True,
    )


def _file_rows(stored: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The scores of each file: a header, then a row each, the worst first."""
    per_file = stored.get("per_file")
    if not per_file:
        rows = [(name, number(value)) for name, value in stored["per_file_mean_iou"].items()]
        return [("image", "mean IoU"), *rows] if rows else []
    classes = stored["classes"] if len(stored["classes"]) <= 8 else []
    header = ("image", "mean IoU", *(f"IoU {name}" for name in classes))
    return [
        header,
        *(
            (one["name"], number(one["mean_iou"]), *(number(one["iou"].get(name)) for name in classes))
            for one in per_file
        ),
    ]


def _image_rows(found: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Mean, median and worst over images, by score."""
    return [(name, *(number(one[key]) for key in ("mean", "median", "worst"))) for name, one in found.items()]


def _facts_of(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The single numbers and words of a table."""
    rows = []
    for name, value in found.items():
        if isinstance(value, float):
            best = found.get("best", {}).get(name)
            rows.append((_words(name), number(value) + (f", at a threshold of {best:g}" if best is not None else "")))
        elif isinstance(value, int | str):
            rows.append((_words(name), str(value)))
        elif name == "borders":
            rows.append((_words(name), ", ".join(value)))
    return rows


def _curves(found: Mapping[str, Any], words: str) -> Chart | None:
    """The curve over the thresholds of a table; None where there is none."""
    lines = [
        Line(
            _words(name), [(x, math.nan if y is None else y) for x, y in zip(found["thresholds"], values, strict=True)]
        )
        for name in ("v_rand", "v_info", "pixel_error")
        if (values := found.get("curve", {}).get(name))
    ]
    return chart(f"{words}: scores by threshold", lines, "threshold", "score", (0, 1), (0, 1)) if lines else None


def _words(name: str) -> str:
    return WORDS.get(name, name.replace("_", " "))


WORDS = {
    "auc": "AUC", "cldice": "clDice", "roi": "pixels that count", "v_rand": "V_rand", "v_info": "V_info",
    "words": "why", "within": "AUC and average precision may be off by", "borders": "membranes",
}  # fmt: skip
