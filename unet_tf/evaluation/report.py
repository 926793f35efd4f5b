"""Pictures of results and the one HTML page of a run, drawn from the files in its folder."""

from __future__ import annotations

import html
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from unet_tf.errors import InputError
from unet_tf.evaluation.tables import (
    ABSENT,
    EvaluationTable,
    bundle_rows,
    class_rows,
    image_words,
    lacking,
    name_of,
    number,
    peak_row,
    read_bundle_report,
    read_evaluation,
    score_rows,
)
from unet_tf.run import Run
from unet_tf.utils.html import embed, table, write_page


def curves(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Plot loss and mean IoU of training and validation by epoch.

    Args:
        history: rows of `history.csv`: epoch, loss, mean_iou, seconds, and val_loss and val_mean_iou where files were
            held out.
    """
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    epochs = [int(row["epoch"]) + 1 for row in history]
    for axes, (name, unit) in zip(figure.subplots(1, 2), (("loss", "loss"), ("mean_iou", "mean IoU")), strict=True):
        for key, style in ((name, {"color": "#0072b2"}), (f"val_{name}", {"color": "#d55e00"})):
            label = "validation" if key.startswith("val") else "training (augmented)"
            if key not in history[0]:
                continue
            values = [float(row[key]) for row in history]
            axes.plot(epochs, values, label=label, marker="." * (len(epochs) < 2), **style)
        axes.set(xlabel="epoch", ylabel=unit)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=9)
    # One bad first epoch must not flatten all others.
    losses = [float(row[key]) for row in history for key in ("loss", "val_loss") if key in row]
    losses = [loss for loss in losses if np.isfinite(loss)] or [1.0]
    figure.axes[0].set_ylim(0, max(min(max(losses), 3 * float(np.median(losses))), 1e-6))
    figure.axes[1].set_ylim(0, 1)
    return figure


def write_report(run: str | Path) -> Path:
    """Write `report.html` of a run folder: one page, no other file needed to read it.

    Args:
        run: the folder; what is in it (history, evaluation, panels, predictions, bundle) is shown.

    Returns:
        The page.
    """
    folder = Path(run)
    if not (folder / Run.CONFIG).is_file() and (stored := _evaluation(folder)) is not None:  # of no run
        heading = f"Scores of {Path(stored['judged']['path']).name}" if "judged" in stored else "Scores"
        return write_page(folder / Run.REPORT, heading, [_scores(folder), _panels(folder)])
    sections = [
        _summary(folder),
        _scores(folder),
        _panels(folder),
        _curves(folder),
        _progress(folder),
        _extra(folder),
        _settings(folder),
    ]
    return write_page(folder / Run.REPORT, f"Run {folder.resolve().name}", sections)


def write_comparison(folder: Path, page: Mapping[str, Any]) -> Path:
    """Write `compare.html`: one page, no other file needed to read it.

    Args:
        folder: gets it.
        page: `unet_tf.evaluation.comparison.Comparison.page`: verdict, names `a` and `b`, `files`, `notes`, `rows` of
            scores, `points` (name, a, b) of images, `cases` to draw, `classes`, `masks`, `commands`.

    Returns:
        The page.
    """
    keys = ("name", "a", "b", "difference", "low", "high", "p")
    rows = [[row["name"], *(number(row[key]) for key in keys[1:])] for row in page["rows"]]
    points = [(name, number(a), number(b)) for name, a, b in page["points"]]
    sections = [
        f"<p>{html.escape(page['verdict'])}</p>",
        f"<p>A is {html.escape(page['a'])}, B is {html.escape(page['b'])}. On {html.escape(page['files'])}.</p>",
        table(rows, ["", "A", "B", "B - A", "lower end", "upper end", "p"], "scores"),
        *(f"<p>{html.escape(note)}</p>" for note in page["notes"]),
        f"<h2>{html.escape(page['score'])} of each image</h2>\n{table(points, ['', 'A', 'B'])}",
        *(f"<p><code>{html.escape(command)}</code></p>" for command in page["commands"]),
    ]
    return write_page(folder / "compare.html", f"{page['a']} and {page['b']}", sections)


def _summary(folder: Path) -> str:
    history = _history(folder)
    if not history:
        return "<p>No epoch is complete.</p>"
    run = Run(folder)
    kept, peak = run.best_row, peak_row(history)  # a run that was killed may have the one and not yet the other
    if "val_mean_iou" not in kept:
        return (
            f"<p>{len(history)} epochs in {float(history[-1]['seconds']) / 60:.1f} minutes. No file was held out, so "
            f"the last epoch is <code>{Run.BEST}</code>, and no score here tells how good it is on others.</p>"
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
        words += f": that net is <code>{Run.BEST}</code>."
    else:
        words += (
            f"; the net after epoch {int(kept['epoch']) + 1}, the last that is as good ({float(kept[score]):.4f}), is "
            f"<code>{Run.BEST}</code>."
        )
    return f"<p>{len(history)} epochs in {float(history[-1]['seconds']) / 60:.1f} minutes. {why}{words}</p>"


def _scores(folder: Path) -> str:
    stored = _evaluation(folder)
    if stored is None:
        return ""
    header, *rows = score_rows(stored)
    further = class_rows(stored)
    where, who = f"On {stored['files']}. {lacking(stored)}", name_of(stored)
    soft = "" if who == "masks" else f"Mean soft Dice of the {who}: {number(stored['mean_soft_dice'])}. "
    return (
        f"<h2>Scores</h2>\n<p>{html.escape(where)} {soft}{image_words(stored)}</p>\n{table(rows, header, 'scores')}\n"
        f"{table(further[1:], further[0]) if further else ''}\n"
        '<p class="note">One confusion matrix over all pixels. '
        "The majority class of these files and Otsu's threshold (with the better of its polarities) need no net: "
        "a net is worth what it adds to them.</p>"
    )


def _panels(folder: Path) -> str:
    pictures = sorted((folder / Run.PANELS).glob("*.png")) if (folder / Run.PANELS).is_dir() else []
    if not pictures:
        return ""
    images = "\n".join(embed(path.read_bytes(), "image, truth, prediction, differences") for path in pictures)
    return f"<h2>Predictions, worst files first, the best one last</h2>\n{images}"


def _curves(folder: Path) -> str:
    history = _history(folder)
    if not history:
        return ""
    return f"<h2>Training</h2>\n{embed(curves(history), 'loss and mean IoU by epoch')}"


def _progress(folder: Path) -> str:
    pictures = sorted((folder / Run.PROGRESS).glob("*.png"))
    if not pictures:
        return ""
    return "<h2>A validation image as training went on</h2>\n" + "\n".join(
        embed(path.read_bytes(), "image, truth, prediction, differences") for path in pictures
    )


def _extra(folder: Path) -> str:
    """What training and other verbs left in the run folder: weight map, large prediction, parity of the export."""
    parts = []
    if (folder / Run.WEIGHTS).is_file():
        picture = embed((folder / Run.WEIGHTS).read_bytes(), "image, label and weight map of a training image")
        parts.append(f"<h2>Weight map</h2>\n{picture}")
    if (folder / Run.LARGE).is_file():
        picture = embed((folder / Run.LARGE).read_bytes(), "an image larger than one tile and its prediction")
        parts.append(f"<h2>An image larger than one tile</h2>\n{picture}")
    bundle = folder / Run.BUNDLE_REPORT
    if bundle.is_file():
        header, *rows = bundle_rows(read_bundle_report(bundle))
        parts.append(f"<h2>Export</h2>\n{table(rows, header)}")
    return "\n".join(parts)


def _settings(folder: Path) -> str:
    path = folder / Run.CONFIG
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
        rows = [(name, value, stored["plan"].get(name, "")) for name, value in stored["train"].items()]
        parts = ["<h2>Settings</h2>", table(rows, ("", "", "chosen because"), "facts")]
        for name in ("masks", "normalisation", *["channels"] * ("channels" in stored), "data", "versions"):
            parts.append(f"<h3>{name}</h3>\n{table(list(stored[name].items()), name='facts')}")
        return "\n".join(parts) + f"<p><code>{html.escape(stored['command'])}</code></p>"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged or of another version: {error!r}. Train again.", path) from error


def _history(folder: Path) -> list[dict[str, str]]:
    return Run(folder).history()


def _evaluation(folder: Path) -> EvaluationTable | None:
    path = folder / Run.EVALUATION
    return read_evaluation(path) if path.is_file() else None
