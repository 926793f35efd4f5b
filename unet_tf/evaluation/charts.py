"""Scores, curves and counts of an evaluation as plain data that a page draws."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from unet_tf.pages.charts import Chart, Line, chart

MOST_CLASSES = 24
"""Classes up to which a page has a whole confusion matrix."""
MOST_CONFUSIONS = 20
MEANS = {"mean_iou": "mean IoU", "mean_dice": "mean Dice", "pixel_accuracy": "pixel accuracy"}


def score_chart(stored: Mapping[str, Any], net: str = "U-Net") -> dict[str, Any]:
    """The scores of an `evaluation.json` with intervals and baselines: what the macro `scores` draws."""
    baselines, ends = stored["baselines"], stored.get("intervals")

    def row(name: str, of: Mapping[str, Any], key: str, strong: bool = False) -> dict[str, Any]:
        ticks = [(one, of_one(baselines[one], key)) for one in baselines]
        return {
            "name": name,
            "value": of_one(of, key),
            "ends": None if ends is None else of_one(ends, key),
            "ticks": ticks,
            "dots": [],
            "strong": strong,
        }

    def of_one(table: Mapping[str, Any], key: str) -> Any:
        kind, _, name = key.partition("\0")
        return table[kind].get(name) if name else table[kind]

    rows = [row(f"IoU {name}", stored, f"iou\0{name}") for name in stored["classes"]]
    rows += [row(words, stored, key, key == "mean_iou") for key, words in MEANS.items()]
    return {"rows": rows, "baselines": list(baselines), "net": net, "intervals": ends is not None}


def spread_chart(result: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of several runs, a dot each, and their mean: what the macro `scores` draws."""
    rows = []
    for key, mean in result["mean"].items():
        values = [run[key] for run in result["runs"].values() if run[key] is not None]
        name, strong = MEANS.get(key, score_name(key)), key == "mean_iou"
        rows.append({"name": name, "value": mean, "ends": None, "ticks": [], "dots": values, "strong": strong})
    return {"rows": rows, "baselines": [], "net": "mean of the runs", "intervals": False}


def score_name(key: str) -> str:
    """What a score of `crossval.json` is called; a class, as in "IoU cell_wall", as it is."""
    return key if key.startswith("IoU ") else key.replace("_", " ").replace("iou", "IoU").replace("dice", "Dice")


def confusion_table(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> dict[str, Any]:
    """A confusion matrix with the shares of its rows; of very many classes what is confused most, alone."""
    shares = [[(pixels / sum(row) if sum(row) else None) for pixels in row] for row in confusion]
    if len(classes) <= MOST_CLASSES:
        cells = (
            [{"share": share, "pixels": pixels} for share, pixels in zip(*both, strict=True)]
            for both in zip(shares, confusion, strict=True)
        )
        return {"classes": list(classes), "rows": list(zip(classes, cells, strict=True)), "most": None}
    wrong = [
        (confusion[true][other], true, other)
        for true in range(len(classes))
        for other in range(len(classes))
        if true != other and confusion[true][other]
    ]
    most = [
        {"true": classes[true], "predicted": classes[other], "share": shares[true][other], "pixels": pixels}
        for pixels, true, other in sorted(wrong, reverse=True)[:MOST_CONFUSIONS]
    ]
    return {"classes": list(classes), "rows": [], "most": most}


def reliability(found: Mapping[str, Any]) -> Chart:
    """The reliability diagram of `calibration`: how often a net is right, by how sure it says that it is."""
    lines: list[Line] = []
    for key, name in (("bins", "as shown and exported"), ("bins_raw", "before the temperature")):
        points = [(one["confidence"], one["accuracy"]) for one in found.get(key) or () if one["pixels"]]
        if points and points not in [line.points for line in lines]:  # at temperature 1 they are the same
            lines.append(Line(name, points))
    title = f"share that is right by confidence, {len(lines[0].points) if lines else 0} bins; the diagonal is perfect"
    return chart(title, lines, "confidence", "share that is right", (0.0, 1.0), (0.0, 1.0), diagonal=True)


def threshold_curves(found: Mapping[str, Any]) -> Chart:
    """Scores of the foreground by the probability above which a pixel is foreground."""
    names = {"iou": "IoU", "dice": "Dice", "precision": "precision", "recall": "recall"}
    lines = [
        Line(name, [(x, math.nan if y is None else y) for x, y in zip(found["thresholds"], found[key], strict=True)])
        for key, name in names.items()
        if found.get(key)
    ]
    used = "nets have their own" if found["chosen"] is None else f"{found['chosen']:g} is used"
    title = f"scores of the foreground by threshold; {used}"
    return chart(title, lines, "threshold", "score", (0.0, 1.0), (0.0, 1.0), marked=found["chosen"])


def object_chart(found: Mapping[str, Any]) -> Chart:
    """AP, F1 and panoptic quality of objects by the IoU from which on one counts as found."""
    lines = [
        Line(name, [(x, math.nan if y is None else y) for x, y in zip(found["thresholds"], found[key], strict=True)])
        for key, name in (("ap", "AP"), ("f1", "F1"), ("pq", "panoptic quality"))
        if found.get(key)
    ]
    low, high = min(found["thresholds"]), max(found["thresholds"])
    title = "AP, F1 and panoptic quality of objects by IoU threshold"
    return chart(title, lines, "IoU threshold", "score", (low, max(high, low + 0.1)), (0.0, 1.0))
