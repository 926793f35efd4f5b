"""Pictures of results and the one HTML page of a run, drawn from the files in its folder."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from unet_tf.files import replacing
from unet_tf.labels import VOID
from unet_tf.run import Run

# One colour a class: Okabe and Ito's palette, told apart by colour-blind readers too; the background stays black.
PALETTE = np.array(
    [
        (0, 0, 0),
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (240, 228, 66),
        (0, 114, 178),
        (213, 94, 0),
        (204, 121, 167),
    ],
    np.uint8,
)
MISSED, INVENTED, VOID_GREY = (213, 94, 0), (86, 180, 233), (128, 128, 128)

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #d8dee4 }
th:first-child, td:first-child { text-align: left } table.scores tr:nth-child(2) td { font-weight: 600 }
img { max-width: 100% } code { background: #f2f4f6; padding: .1rem .3rem } p.note { color: #57606a }
"""


def colour(label: NDArray) -> NDArray[np.uint8]:
    """Draw (H, W) class ids as (H, W, 3) RGB; void is grey."""
    others = len(PALETTE) - 1
    picture = PALETTE[np.where(label == 0, 0, 1 + (label.astype(int) - 1) % others)]
    picture[label == VOID] = VOID_GREY
    return picture


def displayable(image: NDArray) -> NDArray[np.uint8]:
    """Stretch (H, W, C) raw pixels from their 0.5th to their 99.5th percentile to 8 bit, (H, W, 3) RGB."""
    low, high = np.percentile(image, (0.5, 99.5))
    byte = (255 * np.clip((image - low) / max(high - low, 1e-12), 0, 1)).astype(np.uint8)
    return np.repeat(byte, 3, axis=2) if byte.shape[2] == 1 else byte


def difference(image: NDArray, label: NDArray, prediction: NDArray) -> NDArray[np.uint8]:
    """Colour the wrong pixels of a prediction over the dimmed image: (H, W, 3) RGB.

    Orange: foreground of the truth that was missed or taken for another class; blue: foreground that is not there.
    """
    picture = displayable(image) // 2 + 64
    wrong = (prediction != label) & (label != VOID)
    picture[wrong & (label != 0)] = MISSED
    picture[wrong & (label == 0)] = INVENTED
    return picture


def write_panels(
    folder: Path,
    cases: Sequence[tuple[str, NDArray, NDArray, Callable[[NDArray], NDArray]]],
    classes: tuple[str, ...],
) -> None:
    """Draw image, truth, prediction and differences of each case into `folder`, replacing what was there.

    Args:
        folder: gets `0.png`, `1.png`, ...
        cases: (title, image (H, W, C), label (H, W), function from image to probabilities).
        classes: names of the classes.
    """
    with replacing(folder) as temporary:
        temporary.mkdir()
        for number, (title, image, label, predict_fn) in enumerate(cases):
            prediction = predict_fn(image).argmax(-1).astype(np.uint8)
            figure = _panel(title, image, label, prediction, classes)
            figure.savefig(temporary / f"{number}.png", dpi=100)


def _panel(
    title: str, image: NDArray, label: NDArray, prediction: NDArray[np.uint8], classes: tuple[str, ...]
) -> Figure:
    height, width = label.shape
    figure = Figure(figsize=(12, 12 / 4 * height / width + 0.75), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, parse_math=False)
    pictures = {
        "image": displayable(image),
        f"truth ({', '.join(classes[1:4])}{', ...' if len(classes) > 4 else ''})": colour(label),
        "prediction": colour(prediction),
        "missed (orange), invented (blue)": difference(image, label, prediction),
    }
    for axes, (name, picture) in zip(figure.subplots(1, 4), pictures.items(), strict=True):
        axes.imshow(picture, interpolation="nearest")
        axes.set_title(name, fontsize=9, parse_math=False)
        axes.set_axis_off()
    return figure


def curves(history: Sequence[dict[str, str]]) -> Figure:
    """Plot loss and mean IoU of training and validation by epoch."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    epochs = [int(row["epoch"]) + 1 for row in history]
    for axes, (name, unit) in zip(
        figure.subplots(1, 2), (("loss", "cross-entropy, nat a pixel"), ("mean_iou", "mean IoU")), strict=True
    ):
        for key, style in ((name, {"color": "#0072b2"}), (f"val_{name}", {"color": "#d55e00"})):
            label = "validation" if key.startswith("val") else "training (augmented)"
            axes.plot(
                epochs, [float(row[key]) for row in history], label=label, marker="." * (len(epochs) < 2), **style
            )
        axes.set(xlabel="epoch", ylabel=unit)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=9)
    # One bad first epoch must not flatten all others.
    losses = [float(row[key]) for row in history for key in ("loss", "val_loss")]
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
    sections = [_summary(folder), _scores(folder), _panels(folder), _curves(folder), _extra(folder), _settings(folder)]
    title = html.escape(folder.resolve().name)
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>unet_tf: {title}</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>Run {title}</h1>\n" + "\n".join(sections) + "\n</body></html>\n"
    )
    with replacing(folder / Run.REPORT) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return folder / Run.REPORT


def _summary(folder: Path) -> str:
    history = _history(folder)
    if not history:
        return "<p>No epoch is complete.</p>"
    best = max(history, key=lambda row: float(row["val_mean_iou"]))
    return (
        f"<p>{len(history)} epochs in {float(history[-1]['seconds']) / 60:.1f} minutes. Best validation mean IoU "
        f"{float(best['val_mean_iou']):.4f} after epoch {int(best['epoch']) + 1}: "
        f"that net is <code>{Run.BEST}</code>.</p>"
    )


def _scores(folder: Path) -> str:
    stored = _evaluation(folder)
    if stored is None:
        return ""
    header, *rows = score_rows(stored)
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "\n".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f"<h2>Scores</h2>\n<p>On {html.escape(stored['files'])}. Mean soft Dice of the U-Net: "
        f'{number(stored["mean_soft_dice"])}.</p>\n<table class="scores"><tr>{head}</tr>\n{body}</table>\n'
        '<p class="note">One confusion matrix over all pixels. '
        "The majority class of these files and Otsu's threshold (with the better of its polarities) need no net: "
        "a net is worth what it adds to them.</p>"
    )


def score_rows(stored: dict[str, Any]) -> list[tuple[str, ...]]:
    """What `evaluation.json` holds as a table of text: a header, the net, each baseline."""
    classes = stored["classes"]
    rows = [("", *(f"IoU {name}" for name in classes), "mean IoU", "mean Dice", "pixel accuracy")]
    for method, s in {"U-Net": stored, **stored["baselines"]}.items():
        numbers = (*(s["iou"][name] for name in classes), s["mean_iou"], s["mean_dice"], s["pixel_accuracy"])
        rows.append((method, *map(number, numbers)))
    return rows


def number(score: float | None) -> str:
    """A score with four digits; "none" where there is none."""
    return "none" if score is None else f"{score:.4f}"


def _panels(folder: Path) -> str:
    pictures = sorted((folder / Run.PANELS).glob("*.png")) if (folder / Run.PANELS).is_dir() else []
    if not pictures:
        return ""
    images = "\n".join(_embed(path.read_bytes(), "image, truth, prediction, differences") for path in pictures)
    return f"<h2>Predictions, worst files first, the best one last</h2>\n{images}"


def _curves(folder: Path) -> str:
    history = _history(folder)
    if not history:
        return ""
    buffer = io.BytesIO()
    curves(history).savefig(buffer, format="png", dpi=110)
    return f"<h2>Training</h2>\n{_embed(buffer.getvalue(), 'loss and mean IoU by epoch')}"


def _extra(folder: Path) -> str:
    """What other verbs left in the run folder: a large prediction, the parity of the export."""
    parts = []
    if (folder / Run.LARGE).is_file():
        picture = _embed((folder / Run.LARGE).read_bytes(), "an image larger than one tile and its prediction")
        parts.append(f"<h2>An image larger than one tile</h2>\n{picture}")
    parity = folder / Run.BUNDLE / "report.json"
    if parity.is_file():
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{entry['bytes'] / 1e6:.1f} MB</td>"
            f"<td>{entry['max_probability_difference']:.1e}</td><td>{entry['label_agreement']:.4%}</td></tr>"
            for name, entry in json.loads(parity.read_text())["artefacts"].items()
        )
        parts.append(
            "<h2>Export</h2>\n<table><tr><th></th><th>size</th><th>largest difference in probability to Keras</th>"
            f"<th>equal labels</th></tr>{rows}</table>"
        )
    return "\n".join(parts)


def _settings(folder: Path) -> str:
    stored = tomllib.loads((folder / Run.CONFIG).read_text(encoding="utf-8"))
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(str(value))}</td></tr>\n"
        for table in ("train", "normalisation", "versions")
        for name, value in stored[table].items()
    )
    return f"<h2>Settings</h2>\n<table>{rows}</table>"


def _history(folder: Path) -> list[dict[str, str]]:
    path = folder / Run.HISTORY
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _evaluation(folder: Path) -> dict[str, Any] | None:
    path = folder / Run.EVALUATION
    return json.loads(path.read_text()) if path.is_file() else None


def _embed(png: bytes, alt: str) -> str:
    return f'<p><img alt="{alt}" src="data:image/png;base64,{base64.b64encode(png).decode()}"></p>'
