"""What a package of the BioImage Model Zoo says of its net: the fields of `rdf.yaml`, and its README.md."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from unet_tf.edge.description import Description
from unet_tf.exporting.credits import Credits
from unet_tf.model.calibration import HALF
from unet_tf.model.onnx_graph import IMAGE, OPSET, PROBABILITIES
from unet_tf.utils.text import shown

FORMAT = "0.5.10"
"""Version of the model format: the newest whose documentation and covers are plain names, which Fiji's engine reads.
Newer readers take it for their own."""
RDF, README, COVER = "rdf.yaml", "README.md", "cover.png"
WEIGHTS = {"keras_v3": "weights.keras", "onnx": "weights.onnx"}
TENSORS = {IMAGE: "test_image.npy", PROBABILITIES: "test_probabilities.npy"}
"""Files of a package."""
TYPES = ("float32", "float64", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
"""Pixel types that the format knows."""
LEAST_STD = 1.0
"""Below this standard deviation the 1e-6 that the format's own step adds to it changes pixels by over a millionth."""
MOST_NAME, MOST_WORDS = 64, 512
"""Characters of a name and of a description, beyond which the format warns."""
PAPER = {
    "text": "Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation. MICCAI 2015",
    "doi": "10.1007/978-3-319-24574-4_28",
}


def normalises_itself(description: Description) -> bool:
    """Whether both weights take raw pixels, because the format has no step that does what the net needs.

    So it is with values of no measurement, which become the mean, and with standard deviations below `LEAST_STD`.
    """
    return bool(description.normalisation.nodata) or min(description.normalisation.std) < LEAST_STD


def pixel_type(description: Description) -> str:
    """The type of the input's pixels: that of the training pictures; "float32" where the format does not know it."""
    return description.normalisation.dtype if description.normalisation.dtype in TYPES else "float32"


def resource(
    name: str, description: Description, credit: Credits, parameters: int, sha256: Mapping[str, str]
) -> dict[str, Any]:
    """Put together the fields of `rdf.yaml`.

    Args:
        name: of the bundle; letters that the format does not take are left out.
        description: of the net.
        credit: authors and licence.
        parameters: how many the net has.
        sha256: of each file of the package, by name.

    Returns:
        Types of YAML alone.
    """
    known = legal_name(name)
    return {
        "format_version": FORMAT,
        "type": "model",
        "name": known,
        "description": summary(description),
        "authors": [
            {"name": one.name, **({"affiliation": one.affiliation} if one.affiliation else {})}
            for one in credit.authors
        ],
        "license": credit.license,
        "cite": [PAPER],
        "tags": ["unet", "2d", "semantic-segmentation", "tensorflow", "keras", "onnx", "unet_tf"],
        "documentation": README,
        "covers": [COVER],
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [_input(description, sha256)],
        "outputs": [_output(description, sha256)],
        "weights": _weights(description, sha256),
        "config": {
            "bioimageio": {  # Fiji's engine fails where it finds neither a nickname nor an id
                "nickname": known.lower().replace(" ", "-"),
                "architecture_type": "U-Net",
                "task": "semantic segmentation",
                "model_parameter_count": parameters,
            },
            "unet_tf": json.loads(json.dumps(description.to_json())),
        },
    }


def legal_name(name: str) -> str:
    """The name of a package: ASCII letters, digits and _+-() alone, at most 64.

    Example:
        >>> legal_name("Zellen größer/2"), legal_name("細胞")
        ('U-Net Zellen groer 2', 'U-Net')
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    kept = " ".join(re.sub(r"[^A-Za-z0-9_+\-()]", " ", plain).split())
    return f"U-Net {kept}"[:MOST_NAME].strip()


def summary(description: Description) -> str:
    """Say in at most 512 characters what the net does."""
    classes, threshold = [shown(one) for one in description.classes], description.calibration.threshold
    start = f"A U-Net that gives each pixel of a picture the probabilities of {len(classes)} classes: "
    end = "."
    if threshold != HALF:
        end = f". A pixel is of the second one where that is above {threshold:g}."
    room, taken, listed = MOST_WORDS - len(start) - len(end), len(classes), ", ".join(classes)
    while len(listed) > room:
        taken -= 1
        listed = ", ".join([*classes[:taken], f"and {len(classes) - taken} more"])
    return f"{start}{listed}{end}"


def _axes(channels: Sequence[str], sizes: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Batch, y, x, channel, with what `sizes` says of y and x."""
    return [
        {"type": "batch"},
        *[{"type": "space", "id": axis, **sizes[axis]} for axis in ("y", "x")],
        {"type": "channel", "channel_names": [shown(one) for one in channels]},
    ]


def _tensor(name: str, sha256: Mapping[str, str]) -> dict[str, Any]:
    return {"id": name, "test_tensor": {"source": TENSORS[name], "sha256": sha256[TENSORS[name]]}}


def channel_names(description: Description) -> list[str]:
    """What the channels of the input are called."""
    count, source = description.normalisation.channels, description.channels
    said = any(source.names) or not source.plain or count not in (1, 3)
    if source.names and len(source.taken) == count and said:
        return list(source.taken)
    return {1: ["grey"], 3: ["red", "green", "blue"]}.get(count) or [f"channel {number}" for number in range(count)]


def _input(description: Description, sha256: Mapping[str, str]) -> dict[str, Any]:
    """The picture: raw pixels; the smallest that gives a whole cell of the pooling grid, and any cells more."""
    geometry, normalisation = description.geometry, description.normalisation
    size = {"size": {"min": geometry.min_tile, "step": geometry.stride}}
    steps: list[dict[str, Any]] = [{"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}]
    if not normalises_itself(description):
        mean, std = (list(map(float, values)) for values in (normalisation.mean, normalisation.std))
        kwargs = {"axis": "channel", "mean": mean, "std": std}
        steps += [{"id": "fixed_zero_mean_unit_variance", "kwargs": kwargs}, steps[0]]
    return {
        **_tensor(IMAGE, sha256),
        "description": "Raw pixels as decoded.",
        "axes": _axes(channel_names(description), {"y": size, "x": size}),
        "data": {"type": pixel_type(description)},
        "pad": {"mode": "reflect"},  # as unet_tf mirrors
        "preprocessing": steps,
    }


def _output(description: Description, sha256: Mapping[str, str]) -> dict[str, Any]:
    """The probabilities. What a "valid" net cuts off itself is the offset; what is to be cut off a "same" one, halo."""
    geometry = description.geometry
    halo = {"halo": geometry.margin} if geometry.margin else {}
    sizes = {
        axis: {"size": {"tensor_id": IMAGE, "axis_id": axis, "offset": -geometry.shrink}, **halo} for axis in ("y", "x")
    }
    return {
        **_tensor(PROBABILITIES, sha256),
        "description": "Probability of each class.",
        "axes": _axes(description.classes, sizes),
        "data": {"type": "float32", "range": [0.0, 1.0]},
    }


def _weights(description: Description, sha256: Mapping[str, str]) -> dict[str, Any]:
    versions = description.origin.versions
    files = {kind: {"source": file, "sha256": sha256[file]} for kind, file in WEIGHTS.items()}
    return {
        "keras_v3": {
            **files["keras_v3"],
            "keras_version": versions["keras"],
            "backend": ["tensorflow", versions["tensorflow"]],
        },
        "onnx": {**files["onnx"], "parent": "keras_v3", "opset_version": OPSET},
    }


def documentation(card: str, description: Description, credit: Credits) -> str:
    """Make README.md: what the model card of a bundle says of net, scores and data, and what holds for the package."""
    body = re.sub(r"\A---\n.*?\n---\n+", "", card, flags=re.DOTALL)  # what a hub reads
    head, *sections = re.split(r"^## ", body, flags=re.MULTILINE)
    said = {title: text.strip() for title, _, text in (section.partition("\n") for section in sections)}
    exact = (
        "The weights of this package are held against Keras on its test input; the other rows are files of the bundle "
        "that it came with."
    )
    versions = ", ".join(f"{package} {version}" for package, version in description.origin.versions.items())
    names = "; ".join(", ".join(filter(None, one)) for one in credit.authors)
    parts = {
        "Validation": "\n\n".join(filter(None, [said.get("How well"), exact])),
        "Data": said.get("Data", ""),
        "How to call it": _bullets(_calls(description)),
        "Limits": _bullets(_limits(description)),
        "Made by": f"unet_tf {description.origin.unet_tf}, {versions}.",
        "Authors and licence": f"{names}. Licence: {credit.license}.",
    }
    return "\n\n".join([head.rstrip(), *(f"## {title}\n\n{text}" for title, text in parts.items() if text)]) + "\n"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _calls(description: Description) -> list[str]:
    """How to give the net a picture, and what comes of it, a sentence or two each."""
    geometry, normalisation = description.geometry, description.normalisation
    size = f"height and width of {geometry.rule} px each, at least {geometry.min_tile}"
    lines = [
        f"`{IMAGE}`, the input, holds raw `{pixel_type(description)}` pixels (batch, y, x, channel), {size}; channels: "
        f"{', '.join(channel_names(description))}.",
        f"`{PROBABILITIES}`, the output, holds one channel a class, 1 in sum: "
        f"{', '.join(f'{number} {name}' for number, name in enumerate(description.classes))}. Softmax"
        f"{_temperature(description)} is in both weights.",
    ]
    if geometry.margin:
        lines.append(
            f"The output is as large as the input, and its outer {geometry.margin} px (`halo`) are to be cut off: "
            "there the net saw the border of the tile. Tiles whose origins are multiples of "
            f"{geometry.stride} px give what the whole picture gives."
        )
    else:
        lines.append(
            f"The output is {geometry.shrink} px smaller each way than the input (`size.offset`): mirror the picture "
            f"by {geometry.halo} px before. `bioimageio.core` cuts no tiles for such a net: give it one picture of a "
            "legal size."
        )
    if normalises_itself(description):
        why = "pixels of such a standard deviation"
        if normalisation.nodata:
            gone = ", ".join(f"{value:g}" for value in normalisation.nodata)
            why = f"pixels of {gone}, which hold no measurement and count as the mean"
        lines.append(f"Normalisation is in both weights, because the format has no step for {why}.")
    if (label := description.calibration.threshold) != HALF:
        lines.append(f"A pixel is of {description.classes[1]} where its probability is above {label:g}: do that last.")
    lines.append("Everything that a runtime may want to know is in `rdf.yaml` under `config: unet_tf`.")
    return lines


def _limits(description: Description) -> list[str]:
    """What the net is not to be asked for."""
    masks = description.masks
    lines = [
        "The net knows pictures like those that it was trained on, of their range of pixel values and with objects of "
        "their size. It says nothing of how sure it is on others.",
        f"A pixel is judged by what lies up to {description.geometry.halo} px around it: mirror the picture beyond its "
        "edge.",
    ]
    if masks.neck or masks.border or masks.filled or masks.smallest > 1:
        lines.append(
            "Objects are not separated, filled or filtered by size, and borders are a class: `unet-tf predict` does so."
        )
    return lines


def _temperature(description: Description) -> str:
    heat = description.calibration.temperature
    return f" of logits / {heat:.4g}" if heat != 1 and description.nets == 1 else ""
