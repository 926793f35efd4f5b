"""What `report.json` of a bundle holds, and the same as rows of text."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from unet_tf.evaluation.tables import number
from unet_tf.utils.typed_json import read_json


class NetScores(TypedDict, total=False):
    """Scores of a net on the labelled pictures of a comparison; without labels there are none.

    Attributes:
        mean_iou: of the classes that occur, in [0, 1]; null where none does.
        iou: by class.
    """

    mean_iou: float | None
    iou: dict[str, float | None]


class NetReport(NetScores):
    """A net side by side with Keras.

    Attributes:
        max_probability_difference: largest at any pixel.
        label_agreement: share of the pixels with Keras' class, in [0, 1].
    """

    max_probability_difference: float
    label_agreement: float


class ExportedNet(NetReport, total=False):
    """A net of a bundle; size and time are those of the export.

    Attributes:
        bytes: of its files.
        milliseconds: median time of one tile.
    """

    bytes: int
    milliseconds: float


class ComparisonReport(TypedDict):
    """The nets of a bundle side by side with Keras.

    Attributes:
        pictures: what they were compared on, in words.
        keras: the scores of Keras itself.
        artefacts: by name of the file or folder.
    """

    pictures: str
    keras: NetReport
    artefacts: dict[str, ExportedNet]


class BundleReport(ComparisonReport):
    """What `report.json` of a bundle holds.

    Attributes:
        tile: side of the static tile of the TFLite files, pixels.
        threads: of the processor, for TFLite, while the nets were timed.
    """

    tile: int
    threads: int


def read_bundle_report(path: Path) -> BundleReport:
    """Read the `report.json` of a bundle.

    Raises:
        InputError: the file is missing, damaged or of another version.
    """
    return read_json(path, BundleReport, "Export the run again.")


def bundle_rows(report: ComparisonReport) -> list[tuple[str, ...]]:
    """The nets of a bundle as text: a header, then a row a net, Keras first."""
    keras_iou = report["keras"].get("mean_iou")
    timed = any("milliseconds" in own for own in report["artefacts"].values())
    scored = keras_iou is not None
    rows = [("", *["size", "a tile"] * timed, *["mean IoU", "to Keras"] * scored, "probability", "same labels")]
    rows.append(("Keras", *["", ""] * timed, *[number(keras_iou), ""] * scored, "", ""))
    for name, own in report["artefacts"].items():
        size = [size_of(own["bytes"]), f"{own['milliseconds']:.1f} ms"] if timed else []
        mean_iou = own.get("mean_iou")
        drop = "none" if keras_iou is None or mean_iou is None else f"{mean_iou - keras_iou:+z.4f}"
        agreement = f"±{own['max_probability_difference']:.1e}", agreed(own["label_agreement"])
        rows.append((name, *size, *[number(mean_iou), drop] * scored, *agreement))
    return rows


def bundle_iou_rows(report: ComparisonReport) -> list[tuple[str, ...]]:
    """The IoU of each class by each net of a bundle as text; a header alone without scores."""
    nets: dict[str, NetReport] = {"Keras": report["keras"], **report["artefacts"]}
    short = [name.removeprefix("model_").removesuffix(".tflite") if ".tflite" in name else name for name in nets]
    rows = [("IoU", *short)]
    for one in report["keras"].get("iou", ()):
        rows.append((one, *(number(own.get("iou", {}).get(one)) for own in nets.values())))
    return rows


def agreed(share: float) -> str:
    """A share as text: 100.000% is all of them."""
    return f"{share if share == 1 else min(share, 0.99999):.3%}"


def size_of(count: int) -> str:
    """Bytes as text: 7.8 MB, 31 kB."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.0f} kB"
