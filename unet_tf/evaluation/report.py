"""The page of a run, made of the files in its folder."""

from __future__ import annotations

import math
import statistics
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unet_tf.errors import InputError
from unet_tf.evaluation.cases import case, cases_of, class_legend, layer, progress_of
from unet_tf.evaluation.charts import (
    confusion_table,
    object_chart,
    reliability,
    score_chart,
    threshold_curves,
    training_curves,
)
from unet_tf.evaluation.strips import read_strip
from unet_tf.evaluation.tables import (
    ABSENT,
    EvaluationTable,
    bundle_rows,
    class_rows,
    image_words,
    lacking,
    peak_row,
    read_bundle_report,
    read_data,
    read_evaluation,
)
from unet_tf.evaluation.verdict import verdict, without_evaluation
from unet_tf.pages.charts import Chart, Line, chart
from unet_tf.pages.page import write_page
from unet_tf.pages.pictures import photo
from unet_tf.pages.words import count, number
from unet_tf.run import Run

MOST_FILES = 500
"""Files whose scores a page lists, the worst of all."""
NOT_SHOWN = ("thresholds", "words")


def write_report(run: str | Path) -> Path:
    """Write `report.html` of a run folder: one page, no other file needed to read it.

    Args:
        run: the folder; what is in it (history, evaluation, panels, predictions, bundle) is shown.

    Returns:
        The page.

    Raises:
        InputError: a file of the run is damaged.
    """
    folder = Path(run)
    opened, stored = Run(folder), _stored(folder)
    history = opened.history()
    evaluation = read_evaluation(folder / Run.EVALUATION) if (folder / Run.EVALUATION).is_file() else None
    classes = tuple(evaluation["classes"]) if evaluation else opened.classes
    cases, strips = cases_of(folder / Run.PANELS)
    data = {
        "heading": f"Run {folder.resolve().name}",
        "verdict": _verdict(opened, history, evaluation),
        "notes": [lacking(evaluation)] if evaluation and lacking(evaluation) else [],
        "scores": evaluation and scores_section(evaluation),
        "cases": cases,
        "strips": strips,
        "classes": class_legend(classes, opened.masks) if cases else [],
        "large": _picture(folder / Run.LARGE, "The whole image"),
        "confusion": evaluation and confusion_table(classes, evaluation["confusion"]),
        **calibration_section(evaluation or {}),
        "curves": training_curves(history, _kept(opened, history)) if history else [],
        "training_words": _training_words(opened, history),
        "progress": progress_of(folder / Run.PROGRESS),
        "objects": objects_section(evaluation or {}),
        "weights": _picture(folder / Run.WEIGHTS, "A training image", 2),
        "samples": _samples(folder / Run.SAMPLES),
        "data": _data(opened, stored),
        "bundle": _bundle(folder / Run.BUNDLE_REPORT),
        **stored["page"],
    }
    judged: Any = (evaluation or {}).get("judged") or {}
    data["commands"] = [stored["command"], *filter(None, [judged.get("command")])]
    data["sections"] = [(name, words) for name, words, there in SECTIONS if any(data[key] for key in there)]
    return write_page(folder / Run.REPORT, "run.html", **data)


SECTIONS = (
    ("scores", "Scores", ("scores",)),
    ("predictions", "Predictions", ("cases", "strips")),
    ("large", "Large image", ("large",)),
    ("confusion", "Confusion", ("confusion",)),
    ("calibration", "Calibration", ("calibration", "thresholds")),
    ("training", "Training", ("curves", "progress")),
    ("objects", "Objects", ("objects",)),
    ("tiles", "What it learns from", ("weights", "samples")),
    ("data", "Data", ("data",)),
    ("export", "Export", ("bundle",)),
    ("plan", "Plan", ("plan",)),
    ("again", "Do it again", ("commands",)),
)
"""Id, words, and the data of which a section needs some."""


def scores_section(found: EvaluationTable) -> dict[str, Any]:
    """The scores of an `evaluation.json` as the page of a run, or of several, shows them."""
    stored: Mapping[str, Any] = found
    values = sorted(value for value in stored["per_file_mean_iou"].values() if value is not None)
    per_file = _file_rows(stored)
    further = [(words, rows) for key, words in FURTHER if (rows := _scalars(stored.get(key) or {}))]
    further += [
        (f"{name}, which is thin", rows)
        for name, one in (stored.get("thin") or {}).items()
        if isinstance(one, Mapping) and (rows := _scalars(one))
    ]
    return {
        "files": stored["files"],
        "chart": score_chart(stored),
        "words": image_words(found),
        "classes": class_rows(found),
        "images": _image_rows(stored.get("images") or {}),
        "further": further,
        "curves": [curves for key, words in FURTHER if (curves := _curves(stored.get(key) or {}, words))],
        "spread": [_spread(values)] if len(values) > 2 else [],
        "per_file": per_file[: MOST_FILES + 1],
        "not_shown": max(0, len(per_file) - 1 - MOST_FILES),
    }


FURTHER = (("membranes", "Membranes, as in ISBI 2012"), ("field", "Inside of the field of view"))


def calibration_section(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Reliability diagram, threshold curve and what they say; nothing of versions that did not have them."""
    own, thresholds = stored.get("calibration"), stored.get("thresholds")
    words = []
    if own:
        said = f"Expected calibration error {number(own['ece'])}"
        if own.get("ece_raw") is not None:
            said += f", {number(own['ece_raw'])} before one temperature, {own['temperature']:.3g}, was fitted"
        words.append(f"{said}: so far is what it says of how sure it is from how often it is right, in the mean.")
    if thresholds:
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
    words = f"{count(found['true'])} true objects, {count(found['predicted'])} predicted. "
    words += f"{count(found['merges'])} predicted ones hold most of two or more true ones (merges), and "
    words += f"{count(found['splits'])} true ones most of two or more predicted ones (splits)."
    header = ("IoU", "found", *(name for name, _ in columns))
    return {"words": words, "chart": object_chart(found), "rows": [header, *rows]}


def _verdict(run: Run, history: Sequence[Mapping[str, Any]], evaluation: EvaluationTable | None) -> str:
    if evaluation:
        return verdict(evaluation)
    if not history:
        return "No epoch is complete."
    score = run.best_row.get("val_mean_iou")
    return without_evaluation(len(run.files("train")), None if score in (None, "") else float(score))


def _kept(run: Run, history: Sequence[Mapping[str, Any]]) -> int | None:
    return int(run.best_row["epoch"]) + 1 if history else None


def _training_words(run: Run, history: Sequence[Mapping[str, Any]]) -> str:
    if not history:
        return "No epoch is complete."
    kept, peak = run.best_row, peak_row(history)  # a run that was killed may have the one and not yet the other
    epochs = f"{len(history)} epoch{'s' * (len(history) != 1)} in {float(history[-1]['seconds']) / 60:.1f} minutes. "
    if "val_mean_iou" not in kept:
        return (
            f"{epochs}No file was held out, so the last epoch is {Run.BEST}, and no score here tells how good it is on "
            "others."
        )
    score, best, why = "val_mean_iou", "Best validation mean IoU", ""
    if kept.get(ABSENT):
        score, best = "val_loss", "Least validation loss"
        why = f"No validation pixel is of {kept[ABSENT]} of the classes, so the validation mean IoU leaves them out. "
    where = ""
    if (reason := run.plan.reasons.get("val_tiles", "")).startswith("of "):
        where = f", on {run.plan.val_tiles} tiles {reason.partition(',')[0]} that the held-out files have,"
    words = f"{best} {float(peak[score]):.4f}{where} after epoch {int(peak['epoch']) + 1}"
    if int(kept["epoch"]) == int(peak["epoch"]):
        words += f": that net is {Run.BEST}, at the dotted line."
    else:
        words += (
            f"; the net after epoch {int(kept['epoch']) + 1}, the last that is as good ({float(kept[score]):.4f}), is "
            f"{Run.BEST}, at the dotted line."
        )
    return epochs + why + words


def _stored(folder: Path) -> dict[str, Any]:
    """What `config.toml` says: the command, and the parts of the page that only show it."""
    path = folder / Run.CONFIG
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
        train, reasons = stored["train"], stored["plan"]
        facts = [(name, _facts(stored[name])) for name in ("masks", "normalisation", "channels") if name in stored]
        return {
            "command": stored["command"],
            "path": stored["data"]["path"],
            "facts": [(name.capitalize(), rows) for name, rows in facts],
            "page": {
                "plan": [(name, _text(train.get(name, "")), reason) for name, reason in reasons.items()],
                "settings": [(name, _text(value)) for name, value in train.items() if name not in reasons],
                "versions": _facts(stored["versions"]),
            },
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged or of another version: {error!r}. Train again.", path) from error


def _facts(stored: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, _text(value)) for name, value in stored.items()]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value) or "none"


def _data(run: Run, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Files, sizes and class shares; of a run that has no `data.json` what its list of files says."""
    rows: list[tuple[str, ...]] = [("", "files", "sizes")]
    shares: list[tuple[str, float, str]] = []
    if (run.path / Run.DATA).is_file():
        splits = read_data(run.path / Run.DATA)["splits"]
        for name, one in splits.items():
            sizes = [f"{size} ({files})" for size, files in list(one["sizes"].items())[:3]]
            more = len(one["sizes"]) - len(sizes)
            rows.append((NAMES.get(name, name), count(one["files"]), ", ".join(sizes) + f" and {more} more" * (more > 0)))
        pixels = splits["train"]["class_pixels"] if "train" in splits else []
        total = max(sum(pixels), 1)
        shares = [(name, each / total, "") for name, each in zip(run.classes, pixels, strict=False)]
    elif (run.path / Run.FILES).is_file():
        rows = [row[:2] for row in rows]
        rows += [(NAMES[name], count(len(found))) for name in ("train", "val") if (found := run.files(name))]
    facts = [("Folder", [("path", stored["path"])]), *stored["facts"]]
    return {"files": rows, "shares": shares, "facts": facts}


NAMES = {"train": "to learn from", "val": "held out"}


def _picture(path: Path, place: str, start: int | None = None) -> dict[str, Any] | None:
    """A picture of layers, or of an earlier version the whole of it; None where there is none."""
    if not path.is_file() or (strip := read_strip(path)) is None:
        return None
    if "" in strip.layers:
        return {"picture": photo(strip.layers[""]), "layers": [], "most": None}
    return case(strip, place, start) | {"most": strip.words.get("most")}


def _samples(path: Path) -> list[dict[str, Any]]:
    strip = read_strip(path) if path.is_file() else None
    return [layer(name, picture, "for training") for name, picture in strip.layers.items()] if strip else []


def _bundle(path: Path) -> list[tuple[str, ...]]:
    return bundle_rows(read_bundle_report(path)) if path.is_file() else []


def _spread(values: Sequence[float]) -> Chart:
    """The mean IoU of each image, from the worst to the best."""
    title = f"mean IoU of {len(values)} images, from {values[0]:.3f} over {statistics.median(values):.3f} in the middle"
    points = [(float(place), value) for place, value in enumerate(values, start=1)]
    line = Line("mean IoU", points)
    return chart(f"{title} to {values[-1]:.3f}", [line], "image, from the worst", "mean IoU", (1, len(values)), (0, 1), whole=True)


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


def _image_rows(found: Mapping[str, Any], name: str = "") -> list[tuple[str, ...]]:
    """Mean, median and worst over images, from tables within tables."""
    if found.keys() >= {"mean", "median", "worst"} and not any(isinstance(one, Mapping) for one in found.values()):
        return [(_words(name), *(number(found[key]) for key in ("mean", "median", "worst")))]
    inner = ((key, one) for key, one in found.items() if isinstance(one, Mapping))
    return [row for key, one in inner for row in _image_rows(one, f"{name} {key}".strip())]


def _scalars(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The single numbers and words of a table."""
    return [
        (_words(name), number(value) if isinstance(value, float) else count(value) if type(value) is int else str(value))
        for name, value in found.items()
        if isinstance(value, int | float | str)
    ]


def _curves(found: Mapping[str, Any], words: str) -> Chart | None:
    """The lists of a table that belong to its thresholds, as lines; None where there are none."""
    at = found.get("thresholds")
    if not isinstance(at, list) or len(at) < 2:
        return None
    lines = [
        Line(_words(name), [(x, math.nan if y is None else y) for x, y in zip(at, values, strict=True)])
        for name, values in found.items()
        if name != "thresholds" and isinstance(values, list) and len(values) == len(at)
    ][:4]
    return chart(f"{words}: scores by threshold", lines, "threshold", "score", (0, 1), (0, 1)) if lines else None


def _words(name: str) -> str:
    return name.replace("_", " ").replace("iou", "IoU").replace("dice", "Dice").replace("v rand", "V_rand").replace("v info", "V_info")
