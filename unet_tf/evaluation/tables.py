"""Scores and exported nets as rows of text, for pages and the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ABSENT = "val_classes_absent"
"""Column of `history.csv`, where there are any: classes that no validation pixel has."""


def best_row(history: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The row of the epoch whose net is kept, the first of equals.

    It has the best validation mean IoU; where validation pixels lack a class, and this score says nothing of it, the
    least validation loss.

    Args:
        history: a row an epoch, as in `history.csv`; one at least.
    """
    if any(float(row.get(ABSENT) or 0) for row in history):
        return min(history, key=lambda row: float(row["val_loss"]))
    return max(history, key=lambda row: float(row["val_mean_iou"]))


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


def lacking(stored: dict[str, Any]) -> str:
    """Say which classes no pixel of the scored files has, from an `evaluation.json`; nothing where they have all."""
    absent = [name for name, row in zip(stored["classes"], stored["confusion"], strict=True) if not sum(row)]
    if not absent:
        return ""
    return (
        f"No pixel of these files is of {', '.join(absent)}: the scores cannot tell how well that is found, and the "
        "means are those of the other classes."
    )


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
