"""Pictures of results and the one HTML page of a run, drawn from the files in its folder."""

from __future__ import annotations

import csv
import html
import json
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from unet_tf.bundle import REPORT
from unet_tf.data.masks import MaskFormat
from unet_tf.data.samples import Samples
from unet_tf.drawing import colour, difference, displayable
from unet_tf.files import replacing
from unet_tf.pages import embed, table, write_page
from unet_tf.run import Run


def write_panels(
    folder: Path,
    cases: Sequence[tuple[str, NDArray, NDArray, Callable[[NDArray], NDArray]]],
    classes: tuple[str, ...],
    masks: MaskFormat | None = None,
) -> None:
    """Draw image, truth, prediction and differences of each case into `folder`, replacing what was there.

    Args:
        folder: gets `0.png`, `1.png`, ...
        cases: (title, image (H, W, C), label (H, W), function from image to probabilities).
        classes: names of the classes.
        masks: in whose colours to draw, where they have some.
    """
    with replacing(folder) as temporary:
        temporary.mkdir()
        for number, (title, image, label, predict_fn) in enumerate(cases):
            prediction = predict_fn(image).argmax(-1).astype(np.uint8)
            write_panel(temporary / f"{number}.png", title, image, label, prediction, classes, masks)


def write_panel(
    path: Path,
    title: str,
    image: NDArray,
    label: NDArray,
    prediction: NDArray[np.uint8],
    classes: tuple[str, ...],
    masks: MaskFormat | None,
) -> None:
    """Draw image (H, W, C), label (H, W), prediction (H, W) and their differences side by side."""
    truth = f"truth ({', '.join(classes[1:4])}{', ...' if len(classes) > 4 else ''})"
    names = truth, "prediction", "missed (orange), invented (blue)"
    with replacing(path) as temporary:
        panel(title, image, label, prediction, names, masks).savefig(temporary, dpi=100)


def panel(
    title: str,
    image: NDArray,
    label: NDArray,
    prediction: NDArray[np.uint8],
    names: tuple[str, str, str],
    masks: MaskFormat | None,
    grown: int = 0,
) -> Figure:
    """Image, label, prediction and their differences side by side.

    Args:
        title: above them.
        image: (H, W, C) raw pixels.
        label: (H, W).
        prediction: (H, W).
        names: of the last three.
        masks: in whose colours to draw, where they have some.
        grown: pixels around a difference that are drawn as it is, so that a single one can be seen.
    """
    height, width = label.shape
    figure = Figure(figsize=(12, 12 / 4 * height / width + 0.75), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, parse_math=False)
    pictures = (displayable(image), colour(label, masks), colour(prediction, masks))
    shown = zip(("image", *names), (*pictures, difference(image, label, prediction, grown)), strict=True)
    for axes, (name, picture) in zip(figure.subplots(1, 4), shown, strict=True):
        axes.imshow(picture, interpolation="nearest")
        axes.set_title(name, fontsize=9, parse_math=False)
        axes.set_axis_off()
    return figure


def write_weights(path: Path, samples: Samples, masks: MaskFormat) -> None:
    """Draw image, label and weight map of the first training image."""
    sample = samples[0]
    weight = samples.weight(sample.label, sample.border)
    height, width = sample.label.shape
    figure = Figure(figsize=(12, 12 / 3 * height / width + 0.5), layout="constrained")
    axes = figure.subplots(1, 3)
    axes[0].imshow(displayable(sample.image))
    axes[0].set_title(sample.name, fontsize=9, parse_math=False)
    axes[1].imshow(colour(sample.label, masks), interpolation="nearest")
    axes[1].set_title("label", fontsize=9)
    shown = axes[2].imshow(weight, cmap="magma", vmin=0)
    axes[2].set_title("weight of each pixel in the loss", fontsize=9)
    figure.colorbar(shown, ax=axes[2], fraction=0.046, pad=0.02)
    for axis in axes:
        axis.set_axis_off()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)


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
    return (
        f"<h2>Scores</h2>\n<p>On {html.escape(stored['files'])}. Mean soft Dice of the U-Net: "
        f"{number(stored['mean_soft_dice'])}.</p>\n{table(rows, header, 'scores')}\n"
        '<p class="note">One confusion matrix over all pixels. '
        "The majority class of these files and Otsu's threshold (with the better of its polarities) need no net: "
        "a net is worth what it adds to them.</p>"
    )


def score_rows(stored: dict[str, Any]) -> list[tuple[str, ...]]:
    """What `evaluation.json` holds as text: a header, then a row a score, the net before the baselines."""
    methods = {"U-Net": stored, **stored["baselines"]}
    rows = [("", *methods)]
    for name in stored["classes"]:
        rows.append((f"IoU {name}", *(number(s["iou"][name]) for s in methods.values())))
    for key in ("mean_iou", "mean_dice", "pixel_accuracy"):
        label = key.replace("_", " ").replace("iou", "IoU").replace("dice", "Dice")
        rows.append((label, *(number(s[key]) for s in methods.values())))
    return rows


def bundle_rows(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """What `report.json` of a bundle holds as text: a header, then a row a net, Keras first."""
    keras, scored = report["keras"], "mean_iou" in report["keras"]
    timed = any("milliseconds" in own for own in report["artefacts"].values())
    rows = [("", *["size", "a tile"] * timed, *["mean IoU", "to Keras"] * scored, "probability", "same labels")]
    first = [""] * 2 * timed + [number(keras.get("mean_iou")), ""] * scored
    rows.append(("Keras", *first, "", ""))
    for name, own in report["artefacts"].items():
        size = [size_of(own["bytes"]), f"{own['milliseconds']:.1f} ms"] if timed else []
        score = [number(own["mean_iou"]), f"{own['mean_iou'] - keras['mean_iou']:+z.4f}"] if scored else []
        agreement = f"±{own['max_probability_difference']:.1e}", f"{own['label_agreement']:.3%}"
        rows.append((name, *size, *score, *agreement))
    return rows


def bundle_iou_rows(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """The IoU of each class by each net of a bundle as text; a header alone without scores."""
    nets = {"Keras": report["keras"], **report["artefacts"]}
    rows = [("IoU", *(name.removeprefix("model_").removesuffix(".tflite") for name in nets))]
    for one in report["keras"].get("iou", ()):
        rows.append((one, *(number(own["iou"][one]) for own in nets.values())))
    return rows


def size_of(count: int) -> str:
    """Bytes as text: 7.8 MB, 31 kB."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.0f} kB"


def number(score: float | None) -> str:
    """A score with four digits; "none" where there is none."""
    return "none" if score is None else f"{score:.4f}"


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
    bundle = folder / Run.BUNDLE / REPORT
    if bundle.is_file():
        header, *rows = bundle_rows(json.loads(bundle.read_text(encoding="utf-8")))
        parts.append(f"<h2>Export</h2>\n{table(rows, header)}")
    return "\n".join(parts)


def _settings(folder: Path) -> str:
    stored = tomllib.loads((folder / Run.CONFIG).read_text(encoding="utf-8"))
    rows = [(name, value, stored["plan"].get(name, "")) for name, value in stored["train"].items()]
    parts = ["<h2>Settings</h2>", table(rows, ("", "", "chosen because"), "facts")]
    for name in ("masks", "normalisation", "data", "versions"):
        parts.append(f"<h3>{name}</h3>\n{table(list(stored[name].items()), name='facts')}")
    return "\n".join(parts) + f"<p><code>{html.escape(stored['command'])}</code></p>"


def _history(folder: Path) -> list[dict[str, str]]:
    path = folder / Run.HISTORY
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _evaluation(folder: Path) -> dict[str, Any] | None:
    path = folder / Run.EVALUATION
    return json.loads(path.read_text()) if path.is_file() else None
