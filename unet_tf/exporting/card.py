"""What a bundle says to people: `report.html` and `MODEL_CARD.md`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from unet_tf.data.drawing import colour, displayable, legend
from unet_tf.data.nodata import fill_nodata
from unet_tf.edge.description import Description
from unet_tf.evaluation.bundle_tables import BundleReport, bundle_iou_rows, bundle_rows, size_of
from unet_tf.evaluation.cases import kinds_legend, layer
from unet_tf.evaluation.mistakes import KINDS, draw_mistakes, has_background, mistakes
from unet_tf.evaluation.panels import DRAWN
from unet_tf.exporting.bundle import KERAS, ONNX, SAVED_MODEL, TFLITE
from unet_tf.exporting.front_matter import front_matter
from unet_tf.exporting.parity import Tally, Worst
from unet_tf.exporting.saved_model import why_not_encoded
from unet_tf.model.calibration import HALF
from unet_tf.pages.page import write_page
from unet_tf.pages.words import count, many, number, percent

ENCODED_CALL = """\
TF Serving, a picture file in, a PNG of class ids out:

```
echo '{"signature_name": "encoded", "instances": [{"b64": "'$(base64 < image.png | tr -d '\\n')'"}]}' |
  curl -s -d @- localhost:8501/v1/models/unet:predict
```"""
ENCODED_LIMITS = (
    "`encoded` takes PNG (8 bit; 16 bit where the net was trained on it), JPEG in grey or RGB, and BMP of 8, 24 or 32 "
    "bits, and turns them as their EXIF orientation says: the mask lies as the picture is seen. Other kinds, files "
    "that are cut off and headers that declare more than the bytes can hold are refused. A JPEG that is damaged "
    "inside of its scan, and ends well, is not known as such."
)
EDGE = (
    "Without TensorFlow (`pip install ai-edge-litert lazy-loader numpy opencv-python-headless`, `onnxruntime` for "
    "ONNX; and in the folder of unet_tf `pip install --no-deps .`):"
)


def write_bundle_page(
    path: Path, name: str, description: Description, report: BundleReport, tallies: dict[str, Tally]
) -> None:
    """Write the page of a bundle: the table, and for each net the picture on which it differs most from Keras."""
    differ = [(one, tally.worst) for one, tally in tallies.items() if tally.worst is not None and one != KERAS]
    data = {
        "heading": f"Exported: {name}",
        "verdict": verdict(report),
        "notes": [],
        **{key: report[key] for key in ("pictures", "tile", "threads")},
        "exact": SAVED_MODEL,
        "max_iou_drop": description.origin.max_iou_drop,
        "nets": bundle_rows(report),
        "classes": bundle_iou_rows(report),
        "cases": [_case(one, worst, description) for one, worst in differ],
        "colours": legend(description.classes, description.masks),
        "sections": [("nets", "The nets"), *[("differences", "Differences")] * bool(differ)],
    }
    write_page(path, "bundle.html", **data)


def verdict(report: BundleReport) -> str:
    """Say in one sentence what was exported, and what the nets lose."""
    nets, keras_iou = report["artefacts"].values(), report["keras"].get("mean_iou")
    smallest = min((one["bytes"] for one in nets if "bytes" in one), default=None)
    of_size = f", the smallest of {size_of(smallest)}" if smallest is not None else ""
    words = f"{len(nets)} net{'s' * (len(nets) != 1)} to serve and to ship{of_size}, "
    scores = [one["mean_iou"] for one in nets if one.get("mean_iou") is not None]
    if keras_iou is None or not scores:
        least = min((one["label_agreement"] for one in nets), default=1.0)
        return (
            f"{words}{'which give' if len(nets) != 1 else 'which gives'} {percent(least)} of the pixels Keras' class."
        )
    lost = max(0.0, keras_iou - min(float(score or 0) for score in scores))
    one = len(nets) == 1
    if lost < 0.00005:  # as the table below has it, of four digits
        loses = "which loses no" if one else "none of which loses any"
    else:
        much = "less than 0.001" if lost < 0.001 else f"{number(lost)}{'' if one else ' at most'}"
        loses = f"which {'loses' if one else 'lose'} {much} of"
    return f"{words}{loses} mean IoU beside Keras' {number(keras_iou)}."


def _case(name: str, worst: Worst, description: Description) -> dict[str, Any]:
    """Image, the classes of Keras and of a net, and where they differ, as the macro `case` draws it."""
    masks = description.masks
    found = mistakes(worst.label, worst.reference, has_background(description.classes))
    counts = dict(zip(("right", *KINDS), np.bincount(found.ravel(), minlength=len(KINDS) + 1).tolist(), strict=True))
    step = -(-max(found.shape) // DRAWN)
    grown = 2 * (step + max(found.shape) // 300) + 1
    drawn = cv2.dilate(found, np.ones((grown, grown), np.uint8)).astype(np.uint8)
    shown = fill_nodata(worst.example.image, description.normalisation.nodata)
    small = [np.ascontiguousarray(one[::step, ::step]) for one in (shown, worst.reference, worst.label)]
    image, reference, label = small
    pictures = {
        "image": displayable(image),
        "Keras": colour(reference, masks),
        "this net": colour(label, masks),
        "difference": draw_mistakes(image, np.ascontiguousarray(drawn[::step, ::step])),
    }
    named = [(WORDS.get(kind, kind), shade, share) for kind, shade, share in kinds_legend(counts)]
    return {
        "place": name,
        "title": worst.example.name,
        "value": f"{count(worst.other)} of {count(worst.label.size)} px",
        "layers": [layer(one, picture, worst.example.name) for one, picture in pictures.items()],
        "counts": named,
        "start": len(pictures) - 1,
    }


WORDS = {"missed": "more foreground", "invented": "less foreground", "merged": "less foreground, a gap",
         "wrong class": "another class"}  # fmt: skip


def model_card(name: str, description: Description, report: BundleReport, license: str = "", dataset: str = "") -> str:
    """Markdown for whoever gets the bundle: what the net does, how well, on what, how to call it, and its limits.

    Args:
        name: of the bundle.
        description: of its net.
        report: of its files.
        license: of the net, as SPDX names it; "" says none.
        dataset: what the folder is called whose files the scores of the run are of; "" says nothing.

    Returns:
        The card, with a head for the Hugging Face Hub (`unet_tf.exporting.front_matter`).
    """
    origin, normalisation = description.origin, description.normalisation
    header, *rows = bundle_rows(report)
    head = front_matter(name, description, report, license, dataset)
    parts = [head, f"# {name}", _purpose(description), "## How well", f"On {report['pictures']}:"]
    parts.append(_markdown(header, rows))
    header, *rows = bundle_iou_rows(report)
    parts += [_markdown(header, rows)] * bool(rows)
    parts.append("## Data")
    held = (
        f"{origin.data['val']} held out"
        if origin.data["val"] or description.nets == 1
        else "none that all nets held out"
    )
    parts.append(
        f"{many(origin.data['train'], 'training picture')}, {held}. Fingerprint (SHA-256 of "
        f"the sorted SHA-256 of the training pictures): `{origin.data['fingerprint']}`."
    )
    parts += [
        "## How to call it",
        _calls(description, report["artefacts"]),
        "## Limits",
        _limits(description, report["artefacts"]),
        "## Made by",
    ]
    versions = ", ".join(f"{package} {version}" for package, version in origin.versions.items())
    parts.append(
        f"unet_tf {origin.unet_tf}, {versions}. Pixels are normalised in the graph: mean "
        f"{_figures(normalisation.mean)}, standard deviation {_figures(normalisation.std)}."
    )
    return "\n\n".join(parts) + "\n"


def _purpose(description: Description) -> str:
    geometry = description.geometry
    classes = ", ".join(f"{number} {name}" for number, name in enumerate(description.classes))
    rim = ""
    if border := description.masks.border:
        rim = f" The last one is the border of an object of the one before, {many(border, 'pixel')} wide."
    return (
        f"A U-Net that gives each pixel of a picture one of {len(description.classes)} classes: {classes}.{rim} Depth "
        f'{geometry.depth}, padding "{geometry.padding}", {_colours(description)} pictures of '
        f"`{description.normalisation.dtype}` pixels.{_averaged(description.nets)}"
    )


def _averaged(nets: int) -> str:
    """What a mean of several nets costs."""
    if nets == 1:
        return ""
    return (
        f" Each file holds {nets} such nets, of a cross-validation, and gives the mean of their probabilities: {nets} "
        "times the size and the time of one."
    )


def _colours(description: Description) -> str:
    channels, source = description.normalisation.channels, description.channels
    if source.plain and channels in (1, 3) and not any(source.names):
        return "grey" if channels == 1 else "RGB"
    return f"{channels}-channel ({', '.join(source.taken)})" if source.names else f"{channels}-channel"


def _calls(description: Description, files: Collection[str]) -> str:
    words = why_not_encoded(description.normalisation, description.channels)
    serving = f"TF Serving takes raw pixels alone (no signature `encoded`): {words}." if words else ENCODED_CALL
    alone = [name for name in (*reversed(TFLITE.values()), ONNX["onnx"]) if name in files]
    picture = "image.tif" if words else "image.png"
    calls = "\n".join(f"python -m unet_tf.edge {name} {picture} mask.png" for name in alone)
    edge = f"\n\n{EDGE}\n\n```\n{calls}\n```" if alone else ""
    return f"""\
With unet_tf, any size: `unet_tf.load("BUNDLE").predict(image)`, `unet-tf predict BUNDLE pictures/ --out masks/`.

TensorFlow, any size, raw pixels as TensorFlow decodes them (the line above turns them as EXIF says, and refuses
pictures of other colours or bits than the net was trained on):

```python
{_reading(description)}
net = tf.saved_model.load("{SAVED_MODEL}").signatures["serving_default"]
mask = net(image=image[None])["mask"]  # (1, H, W, {description.normalisation.channels}) -> (1, H, W) uint8 class ids
```

{serving}{edge}"""


def _reading(description: Description) -> str:
    """The lines by which a picture becomes the tensor `image`."""
    channels, dtype = description.normalisation.channels, description.normalisation.dtype
    if why_not_encoded(description.normalisation, description.channels):
        words = f"(H, W, {channels}) {dtype}, as the training images"
        return f'import numpy as np\nimport tensorflow as tf\n\nimage = np.load("image.npy")  # {words}'
    decode = "decode_png" if dtype == "uint16" else "decode_image"
    more = f"channels={channels}, " + ("dtype=tf.uint16" if dtype == "uint16" else "expand_animations=False")
    return f'import tensorflow as tf\n\nimage = tf.io.{decode}(tf.io.read_file("image.png"), {more})'


def _limits(description: Description, files: Collection[str]) -> str:
    geometry, side = description.geometry, description.tile
    static = [f"`{name}`" for name in (*TFLITE.values(), ONNX["onnx_tile"]) if name in files]
    tiles = (
        f"A call of {' or '.join(static)} takes one tile of {side}x{side} px, of which the inner "
        f"{geometry.tile_step(side)} px count (`bundle.json`: halo, margin, step)."
    )
    limits = [
        f"The net knows pictures like those that it was trained on: {_colours(description)}, "
        f"`{description.normalisation.dtype}` pixels of their range, objects of their size. It says nothing of how "
        "sure it is on others.",
        *_certainty(description),
        *[ENCODED_LIMITS] * (not why_not_encoded(description.normalisation, description.channels)),
        f"A pixel is judged by what lies up to {geometry.halo} px around it; beyond the picture it is mirrored.",
        *[tiles] * bool(static),
        "Numbers above are of the processor that made the bundle; `unet-tf verify` holds it against Keras on yours.",
    ]
    if gone := description.normalisation.nodata:
        limits.append(
            f"Pixels of {_figures(gone)} hold no measurement and count as the mean of the training pictures; what else "
            "stands for that in a picture has to be replaced before. Their class is what the net makes of the mean."
            + f" `{TFLITE['uint8']}` wants the mean itself, rounded, in their place."
            * (TFLITE["uint8"] in files)
        )
    return "\n".join(f"- {limit}" for limit in limits)


def _certainty(description: Description) -> list[str]:
    """What was done to the probabilities and the labels, a sentence each."""
    how, said = description.calibration, []
    if how.temperature != 1:
        said.append(
            f"Probabilities are softmax(logits / {how.temperature:.4g}), in the graphs: that temperature made them "
            f"true on the validation files of the run, and changes no label. `{KERAS}` gives the logits themselves."
        )
    if how.threshold != HALF:
        said.append(f"A pixel is of {description.classes[1]} where its probability is above {how.threshold:g}.")
    return said


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    cells = [[cell.replace("|", r"\|") for cell in line] for line in lines]  # names may hold what parts columns
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _figures(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
