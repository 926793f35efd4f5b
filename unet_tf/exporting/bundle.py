"""A bundle, the folder that `export` fills: its files, what they say of their net, and whether they are as written."""

from __future__ import annotations

import hashlib
from pathlib import Path

from unet_tf.edge.description import BUNDLE_DESCRIPTION, BUNDLE_NET, Description, StoredDescription
from unet_tf.errors import InputError
from unet_tf.utils.typed_json import read_json

KERAS, SAVED_MODEL, SAVED_MODEL_BFLOAT16 = BUNDLE_NET, "saved_model/1", "saved_model_bfloat16/1"
TFLITE = {name: f"model_{name}.tflite" for name in ("float32", "float16", "dynamic", "uint8")}
"""TFLite files by variant."""
NETS = (SAVED_MODEL, SAVED_MODEL_BFLOAT16, *TFLITE.values())
"""Everything that `export` makes and a runtime runs, in the order of the report."""
MAX_IOU_DROP = 0.01
"""Largest loss of mean IoU against Keras that a net may have, where nothing else is said."""
STATIC_TILE = 576
"""Largest side of a static tile, pixels, where nothing else is said: LiteRT takes about 450 bytes a pixel beside the
activations, which is 150 MB."""
MASK, PROBABILITIES, ENCODED = "serving_default", "probabilities", "encoded"
"""Names of the signatures of a SavedModel."""
DESCRIPTION, REPORT, PAGE, CARD = BUNDLE_DESCRIPTION, "report.json", "report.html", "MODEL_CARD.md"


class StoredBundle(StoredDescription):
    """The fields of `bundle.json`.

    Attributes:
        sha256: of each file but `bundle.json`, by its name in the folder.
    """

    sha256: dict[str, str]


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
        stored = read_json(file, StoredBundle, "Export again.")
        try:
            self.description, self.sha256 = Description.restore(stored), stored["sha256"]
        except ValueError as error:
            raise InputError(f"{file} is damaged or of another version: {error}. Export again.", file) from error
        if strangers := [name for name in self.sha256 if Path(name).is_absolute() or ".." in Path(name).parts]:
            raise InputError(f"{file} is damaged: it must name files of its folder; it names {strangers[0]!r}.", file)

    def faults(self) -> list[str]:
        """Say what is not as it was written, a sentence a file."""
        found = hashes(self.path)
        words = [f"{name} is missing." for name in self.sha256 if name not in found]
        for name, hash in found.items():
            if name not in self.sha256:
                words.append(f"{name} came in after the export.")
            elif hash != self.sha256[name]:
                words.append(f"{name} was changed after the export.")
        return sorted(words)

    def artefacts(self) -> list[str]:
        """Name the nets in it, in the order of the report."""
        return [name for name in NETS if any(file == name or file.startswith(f"{name}/") for file in self.sha256)]


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of all files below a folder but `bundle.json`, by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / DESCRIPTION)
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in files}


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check its permissions.", path) from error
