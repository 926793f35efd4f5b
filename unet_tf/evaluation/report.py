"""The page of a run, made of the files in its folder."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unet_tf.data.drawing import Shade, legend
from unet_tf.data.masks import MaskFormat
from unet_tf.errors import InputError
from unet_tf.evaluation.best_epoch import ABSENT, BY_LOSS, peak_row
from unet_tf.evaluation.bundle_tables import bundle_rows, read_bundle_report
from unet_tf.evaluation.cases import case, cases_of, layer, progress_of
from unet_tf.evaluation.charts import confusion_table
from unet_tf.evaluation.data_table import read_data
from unet_tf.evaluation.sections import calibration_section, objects_section, scores_section
from unet_tf.evaluation.strips import read_strip
from unet_tf.evaluation.tables import EvaluationTable, lacking, read_evaluation
from unet_tf.evaluation.verdict import verdict, without_evaluation
from unet_tf.pages.charts import training_curves
from unet_tf.pages.page import write_page
from unet_tf.pages.words import count, many
from unet_tf.run import Run


def write_report(run: str | Path, masks: MaskFormat | None = None) -> Path:
    """Write `report.html` of a run folder: one page, no other file needed to read it.

    Args:
        run: the folder; what is in it (history, evaluation, panels, predictions, bundle) is shown. It may be no run,
            and hold the scores of a bundle or of masks alone.
        masks: in whose colours they are drawn, where it is no run.

    Returns:
        The page.

    Raises:
        InputError: a file of the run is damaged.
    """
    folder = Path(run)
    file = folder / Run.EVALUATION
    evaluation = read_evaluation(file) if file.is_file() else None
    judged: Mapping[str, Any] = dict(evaluation or {}).get("judged") or {}  # type: ignore[assignment]
    if evaluation and not (folder / Run.CONFIG).is_file():
        classes = tuple(evaluation["classes"])
        masks = masks or MaskFormat("index", len(classes))
        heading = f"Scores of {Path(judged['path']).resolve().name}" if judged else "Scores"
        own: dict[str, Any] = {"heading": heading, "verdict": verdict(evaluation), "commands": []}
    else:
        opened = Run(folder)
        classes = tuple(evaluation["classes"]) if evaluation else opened.classes
        masks, own = opened.masks, _of_run(opened, evaluation)
    cases = cases_of(folder / Run.PANELS)
    data = {
        **dict.fromkeys(key for _, _, there in SECTIONS for key in there),
        "settings": [],
        "versions": [],
        "notes": [lacking(evaluation)] if evaluation and lacking(evaluation) else [],
        "scores": evaluation and scores_section(evaluation),
        "cases": cases,
        "classes": _legend(cases, classes, masks),
        "confusion": evaluation and confusion_table(classes, evaluation["confusion"]),
        **calibration_section(evaluation or {}),
        "objects": objects_section(evaluation or {}),
        **own,
        "commands": [*own["commands"], *filter(None, [judged.get("command")])],
    }
    data["sections"] = [(name, words) for name, words, there in SECTIONS if any(data[key] for key in there)]
    return write_page(folder / Run.REPORT, "run.html", **data)


def _of_run(run: Run, evaluation: EvaluationTable | None) -> dict[str, Any]:
    """What the page shows of a run beside its scores."""
    folder, stored, history = run.path, _stored(run.path), run.history()
    return {
        "heading": f"Run {folder.resolve().name}",
        "verdict": _verdict(run, history, evaluation),
        "commands": [stored["command"]],
        "large": _picture(folder / Run.LARGE, "The whole image"),
        "curves": training_curves(history, int(run.best_row["epoch"]) + 1) if history else [],
        "training_words": _training_words(run, history),
        "progress": progress_of(folder / Run.PROGRESS),
        "weights": _picture(folder / Run.WEIGHTS, "A training image", 2),
        "samples": _samples(folder / Run.SAMPLES),
        "data": _data(run, stored),
        "bundle": _bundle(folder / Run.BUNDLE_REPORT),
        **stored["page"],
    }


SECTIONS = (
    ("objects", "Objects", ("objects",)),
    ("scores", "Scores", ("scores",)),
    ("predictions", "Predictions", ("cases",)),
    ("large", "Large image", ("large",)),
    ("confusion", "Confusion", ("confusion",)),
    ("calibration", "Calibration", ("calibration", "thresholds")),
    ("training", "Training", ("curves", "progress")),
    ("tiles", "What it is trained on", ("weights", "samples")),
    ("data", "Data", ("data",)),
    ("export", "Export", ("bundle",)),
    ("plan", "Plan", ("plan",)),
    ("again", "Do it again", ("commands",)),
)
"""Id, words, and the data of which a section needs some."""


def _legend(cases: Sequence[Mapping[str, Any]], classes: Sequence[str], masks: MaskFormat) -> list[tuple[str, Shade]]:
    """The colours of the classes, and of void where a case has some; of no case none."""
    return legend(classes, masks, any(one["void"] for one in cases)) if cases else []


def _verdict(run: Run, history: Sequence[Mapping[str, Any]], evaluation: EvaluationTable | None) -> str:
    if evaluation:
        return verdict(evaluation)
    if not history:
        return "No epoch is complete."
    score = run.best_row.get("val_mean_iou")
    return without_evaluation(len(run.files("train")), None if score in (None, "") else float(score))


def _training_words(run: Run, history: Sequence[Mapping[str, Any]]) -> str:
    if not history:
        return "No epoch is complete."
    kept, peak = run.best_row, peak_row(history)  # a run that was killed may have the one and not yet the other
    epochs = f"{many(len(history), 'epoch')} in {float(history[-1]['seconds']) / 60:.1f} minutes. "
    if "val_mean_iou" not in kept:
        return (
            f"{epochs}No file was held out, so the last epoch is {Run.BEST}, and no score here tells how good it is on "
            "others."
        )
    score, best, why = "val_mean_iou", "Best validation mean IoU", ""
    if kept.get(ABSENT):
        score, best = "val_loss", "Least validation loss"
        why = f"No pixel that validation looks at is of {kept[ABSENT]} of the classes, so the loss judges epochs. "
    elif kept.get(BY_LOSS):
        score, best = "val_loss", "Least validation loss"
        why = "The threshold was chosen after training, so the loss judges epochs, and not masks at 0.5. "
    where = ""
    if (reason := run.plan.reasons.get("val_tiles", "")).startswith("of "):
        where = f", on {many(run.plan.val_tiles, 'tile')} {reason.partition(',')[0]} that the held-out files have,"
    words = f"{best} {float(peak[score]):.4f}{where} after epoch {int(peak['epoch']) + 1}"
    if int(kept["epoch"]) == int(peak["epoch"]):
        words += f": that net is {Run.BEST}, at the dotted line."
    else:
        words += (
            f"; the net after epoch {int(kept['epoch']) + 1}, the last that is as good within what scores usually "
            f"change ({float(kept[score]):.4f}), is {Run.BEST}, at the dotted line."
        )
    return epochs + why + words


def _stored(folder: Path) -> dict[str, Any]:
    """What `config.toml` says: the command, and the parts of the page that only show it."""
    path = folder / Run.CONFIG
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8-sig", errors="surrogateescape"))
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
            rows.append(
                (NAMES.get(name, name), count(one["files"]), ", ".join(sizes) + f" and {more} more" * (more > 0))
            )
        pixels = splits["train"]["class_pixels"] if "train" in splits else []
        total = max(sum(pixels), 1)
        shares = [(name, each / total, "") for name, each in zip(run.classes, pixels, strict=False)]
    elif (run.path / Run.FILES).is_file():
        rows = [row[:2] for row in rows]
        rows += [(NAMES[name], count(len(found))) for name in ("train", "val") if (found := run.files(name))]
    facts = [("Folder", [("path", stored["path"])]), *stored["facts"]]
    return {"files": rows, "shares": shares, "facts": facts}


NAMES = {"train": "training", "val": "held out"}


def _picture(path: Path, place: str, start: int | None = None) -> dict[str, Any] | None:
    """A picture of layers; None where there is none."""
    if not path.is_file() or (strip := read_strip(path)) is None:
        return None
    return case(strip, place, start) | {"most": strip.words.get("most")}


def _samples(path: Path) -> list[dict[str, Any]]:
    strip = read_strip(path) if path.is_file() else None
    return [layer(name, picture, "for training") for name, picture in strip.layers.items()] if strip else []


def _bundle(path: Path) -> list[tuple[str, ...]]:
    return bundle_rows(read_bundle_report(path)) if path.is_file() else []
