"""A bundle, the folder that `export` fills: its files, what they say of their net, and whether they are as written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unet_tf.data.facts import Normalisation
from unet_tf.data.masks import MaskFormat, tuples
from unet_tf.errors import InputError
from unet_tf.geometry import Geometry

KERAS, SAVED_MODEL, SAVED_MODEL_BFLOAT16 = "model.keras", "saved_model/1", "saved_model_bfloat16/1"
TFLITE = {name: f"model_{name}.tflite" for name in ("float32", "float16", "dynamic", "uint8")}
"""TFLite files by variant."""
DESCRIPTION, REPORT, PAGE, CARD = "bundle.json", "report.json", "report.html", "MODEL_CARD.md"


@dataclass(frozen=True)
class Description:
    """What a runtime has to know of an exported net: `bundle.json`, and the metadata of each TFLite file.

    Attributes:
        classes: their names, by id.
        masks: how masks are drawn.
        normalisation: pixel type and channels of the images; mean and standard deviation, which are in the graphs.
        geometry: sizes of the net.
        tile: side of the static input of the TFLite files, pixels.
        origin: where it comes from, as JSON: versions, scores, fingerprint of the data.
    """

    classes: tuple[str, ...]
    masks: MaskFormat
    normalisation: Normalisation
    geometry: Geometry
    tile: int
    origin: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As JSON types."""
        geometry, masks = self.geometry, self.masks
        return {
            "classes": list(self.classes),
            "palette": [list(colour) for colour in masks.colours],
            "void": [list(value) if isinstance(value, tuple) else value for value in masks.void],
            "masks": {"kind": masks.kind, "inverted": masks.inverted, "tolerance": masks.tolerance},
            "pixel_type": self.normalisation.dtype,
            "channels": self.normalisation.channels,
            "normalisation": {"mean": list(self.normalisation.mean), "std": list(self.normalisation.std)},
            "depth": geometry.depth,
            "padding": geometry.padding,
            "stride": geometry.stride,
            "halo": geometry.halo,
            "margin": geometry.margin,
            "tile": self.tile,
            "output": geometry.output_size(self.tile),
            "step": geometry.tile_step(self.tile),
            **self.origin,
        }

    @classmethod
    def restore(cls, stored: dict[str, Any]) -> Description:
        """Of what `to_json` gave."""
        colours, void = tuples(stored["palette"]), tuples(stored["void"])
        normalisation = {name: tuples(values) for name, values in stored["normalisation"].items()}
        return cls(
            tuple(stored["classes"]),
            MaskFormat(num_classes=len(stored["classes"]), colours=colours, void=void, **stored["masks"]),
            Normalisation(dtype=stored["pixel_type"], **normalisation),
            Geometry(stored["depth"], stored["padding"]),
            stored["tile"],
            {
                name: stored[name]
                for name in ("unet_tf", "versions", "scores", "data", "max_iou_drop")
                if name in stored
            },
        )


class Bundle:
    """A bundle, opened.

    Args:
        path: the folder that `export` filled.

    Attributes:
        path: the folder.
        description: of its net.
        sha256: of each file but `bundle.json`, by its name in the folder.

    Raises:
        InputError: the folder is no bundle, or its `bundle.json` is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        file = self.path / DESCRIPTION
        if not file.is_file():
            raise InputError(f"{path} is no bundle: it has no {DESCRIPTION}. Give the folder that export --out made.")
        try:
            stored = json.loads(file.read_text(encoding="utf-8"))
            self.description, self.sha256 = Description.restore(stored), dict[str, str](stored["sha256"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{file} is damaged or of another version: {error!r}. Export again.") from error

    def faults(self) -> list[str]:
        """What is not as it was written, a sentence a file."""
        found = hashes(self.path)
        words = [f"{name} is missing." for name in self.sha256 if name not in found]
        for name, hash in found.items():
            if name not in self.sha256:
                words.append(f"{name} came in after the export.")
            elif hash != self.sha256[name]:
                words.append(f"{name} was changed after the export.")
        return sorted(words)

    def artefacts(self) -> list[str]:
        """The nets in it, in the order of the report."""
        known = (SAVED_MODEL, SAVED_MODEL_BFLOAT16, *TFLITE.values())
        return [name for name in known if any(file == name or file.startswith(f"{name}/") for file in self.sha256)]


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of all files below a folder but `bundle.json`, by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / DESCRIPTION)
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in files}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
