"""What an `evaluation.json` says, section by section, as plain data for a page."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from unet_tf.evaluation.charts import object_chart, reliability, score_chart, threshold_curves
from unet_tf.evaluation.further_rows import TITLES, membrane_rows
from unet_tf.evaluation.tables import EvaluationTable, class_rows, fitted_words, image_words, interval
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
    per_file, membranes, field = _file_rows(stored), stored.get("membranes"), stored.get("field") or {}
    # of masks, and of more classes, it holds fields alone
    title = "Foreground, ranked by its probability" if "foreground" in field else "Fields of view"
    further = [(title, _facts_of(field))] if field else []
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
        "classes": class_rows(found, whole=True),
        "images": _image_rows(stored.get("images") or {}),
        "further": further,
        "membranes": membrane_rows(found),
        "membranes_words": f"Membranes ({', '.join(membranes['borders'])}), as in ISBI 2012" if membranes else "",
        "curves": [_curves(membranes)] if membranes else [],
        "spread": [_spread(values)] if len(values) >= FEW else [],
        "per_file": per_file[: MOST_FILES + 1],
        "not_shown": max(0, len(per_file) - 1 - MOST_FILES),
    }


OTSU = " and Otsu's threshold, with the better of its polarities,"
WORTH = f"The majority class of these files{OTSU} need no net: a net is worth what it adds."


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
        words.append(f"A pixel is foreground where its probability is above {thresholds['chosen']:g}.")
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
    columns = [
        ("found", map(count, found["found"])),
        ("AP", map(number, found["ap"])),
        ("95 %", map(interval, found.get("ap_ends") or ())),
        ("AP, mean of files", map(number, found.get("ap_files") or ())),
        ("F1", map(number, found["f1"])),
        ("panoptic quality", map(number, found["pq"])),
    ]
    by_name = {name: texts for name, values in columns if (texts := [*values])}
    rows = [(f"{at:g}", *texts) for at, *texts in zip(found["thresholds"], *by_name.values(), strict=True)]
    words = (
        f"True objects: {count(found['true'])}; predicted: {count(found['predicted'])}. Merges, predicted ones that "
    )
    words += (
        f"hold most of two or more true ones: {count(found['merges'])}. Splits, true ones that hold most of two or "
    )
    words += f"more predicted ones: {count(found['splits'])}."
    return {"words": words, "chart": object_chart(found), "rows": [("IoU", *by_name), *rows]}


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
        if isinstance(value, float | str):
            text = value if isinstance(value, str) else f"{value:.1g}" if name == "within" else number(value)
            rows.append((WORDS.get(name, name.replace("_", " ")), text))
    return rows


def _curves(found: Mapping[str, Any]) -> Chart:
    """The scores of membranes by threshold."""
    lines = [
        Line(title, [(x, math.nan if y is None else y) for x, y in zip(found["thresholds"], values, strict=True)])
        for name, title in TITLES.items()
        if (values := found["curve"][name])
    ]
    return chart("Membranes, as in ISBI 2012: scores by threshold", lines, "threshold", "score", (0, 1), (0, 1))


WORDS = {
    "auc": "AUC", "cldice": "clDice", "roi": "pixels that count", "words": "why",
    "within": "AUC and average precision may be off by",
}  # fmt: skip
