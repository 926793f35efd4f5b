"""A bundle, the folder that `export` fills: its files, what they say of their net, and whether they are as written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from unet_tf.data.channels import Channels
from unet_tf.edge import runtimes
from unet_tf.edge.description import (
    BUNDLE_DESCRIPTION,
    BUNDLE_NET,
    SAVED_MODEL,
    SAVED_MODEL_BFLOAT16,
    SAVED_WEIGHTS,
    Description,
    StoredDescription,
    restored,
)
from unet_tf.errors import InputError
from unet_tf.utils.files import LITTER, above, sha256_of
from unet_tf.utils.typed_json import read_json, write_json

KERAS = BUNDLE_NET
TFLITE = {name: f"model_{name}.tflite" for name in ("float32", "float16", "dynamic", "uint8")}
"""TFLite files by variant."""
ONNX = {"onnx": "model.onnx", "onnx_tile": "model_tile.onnx"}
"""ONNX files: of any legal size, and of one static tile."""
NETS = (SAVED_MODEL, SAVED_MODEL_BFLOAT16, *TFLITE.values(), *ONNX.values())
"""Everything that `export` makes and a runtime runs, in the order of the report."""
MAX_IOU_DROP = 0.01
"""Largest loss of mean IoU against Keras that a net may have, where nothing else is said."""
STATIC_TILE = 576
"""Largest side of a static tile, pixels, where nothing else is said: LiteRT takes about 450 bytes a pixel beside the
activations, which is 150 MB."""
MASK, PROBABILITIES, ENCODED = runtimes.BOTH, runtimes.PROBABILITIES, "encoded"
"""Names of the signatures of a SavedModel, the first two of which a TFLite file has too."""
VERSIONS, OWN = "saved_model", "assets.extra"
"""The folder of the versions; and, within a version, that of files which TF Serving does not read."""
KNOWN_BY = 16
"""Letters of a SHA-256 by which a training picture is known: by chance two of a million share them once in 10^7."""
ADDING = ".adding-"
"""What the name of a folder in a bundle begins with in which a version is written that has not its place yet."""
REMEMBERING = f".{Path(BUNDLE_DESCRIPTION).stem}."
"""What the name of a file in a bundle begins with that will take the place of `bundle.json`."""
DESCRIPTION, REPORT, PAGE, CARD = BUNDLE_DESCRIPTION, "report.json", "report.html", "MODEL_CARD.md"
README = "README.md"
HUB_FILES = (README, "LICENSE", ".gitattributes")
"""What a repository of the Hugging Face Hub may have beside a bundle, and people change there."""
FROM_HUB = (*HUB_FILES, ".cache/", ".git")
"""What the names of files begin with that came in with a download or a clone from there."""


class Learnt(TypedDict, total=False):  # none in bundles of version 0.1
    """What `bundle.json` says of the pictures that a net, and those before it, were trained on.

    Attributes:
        learnt: first `KNOWN_BY` letters of the `unet_tf.data.fingerprint.identity` of each of them that is known.
        unknown: whether a net before it was trained on others, of which nobody knows.
    """

    learnt: list[str]
    unknown: bool


class _Remembered(StoredDescription, Learnt, total=False):
    highest_version: int


class StoredBundle(_Remembered):
    """The fields of `bundle.json`.

    Attributes:
        sha256: of each file but `bundle.json`, by its name in the folder.
        learnt, unknown: as of `Learnt`.
        highest_version: the largest number that a version of the bundle ever had, where any was added: none is given
            twice, as servers and their callers know a net by its number alone.
    """

    sha256: dict[str, str]


class Bundle:
    """A bundle, opened.

    Args:
        path: the folder that `export` filled.

    Attributes:
        path: the folder.
        description: of its net.
        stored: what `bundle.json` holds.
        sha256: of each file but `bundle.json`, by its name in the folder.

    Raises:
        InputError: the folder is no bundle, or its `bundle.json` is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        file = self.path / DESCRIPTION
        if not file.is_file():
            around = above(self.path, DESCRIPTION)
            give = "the folder that export --out made" if around is None else f"{around}, in which it lies"
            raise InputError(f"{path} is no bundle: it has no {DESCRIPTION}. Give {give}.")
        self.description, self.stored = _read(file)
        self.sha256 = self.stored["sha256"]

    def faults(self) -> list[str]:
        """Say what is not as it was written, a sentence a file; what file managers and git leave is nothing of it."""
        # before the versions: none that comes in meanwhile is among them
        files = _files(self.path, DESCRIPTION, self.sha256)
        versions = self.versions()
        apart = (*(f"{one.name}/" for one in versions), ADDING, REMEMBERING, *FROM_HUB)
        found = {name: sha256_of(path) for name, path in files.items() if not name.startswith(apart)}
        words = _differences(self.sha256, found)
        for one in versions:
            own = hashes(one.path, f"{OWN}/{DESCRIPTION}", one.sha256)
            words += [f"{one.name}/{said}" for said in _differences(one.sha256, own)]
            words += [
                f"{one.name} must be a net of the same kind: {said}."
                for said in unlike(self.description, one.description)
            ]
        return sorted(words)

    def versions(self) -> list[Version]:
        """Give the versions that were added after the export, in order.

        Raises:
            InputError: what one says of itself is damaged.
        """
        numbers = [int(path.name) for path in (self.path / VERSIONS).glob("*") if path.name.isdecimal()]
        return [one for one in map(self.version, sorted(numbers)) if one is not None]

    def version(self, number: int) -> Version | None:
        """Give a version that was added after the export, None where there is none of this number; no other is opened.

        Raises:
            InputError: what it says of itself is damaged.
        """
        there = (self.path / VERSIONS / str(number) / OWN / DESCRIPTION).is_file()
        return Version.open(self.path, number) if there else None

    def describe(self, version: int) -> Description | None:
        """Say what is known of a version: None where it is none of this bundle."""
        if f"{VERSIONS}/{version}" == SAVED_MODEL:
            return self.description
        return None if (one := self.version(version)) is None else one.description

    def weights(self, version: int) -> str | None:
        """Give the SHA-256 of the weights of a version, by which its net is known: None where it is none of these."""
        if f"{VERSIONS}/{version}" == SAVED_MODEL:
            return self.sha256.get(f"{SAVED_MODEL}/{SAVED_WEIGHTS}")
        return None if (one := self.version(version)) is None else one.sha256.get(SAVED_WEIGHTS)

    def next_version(self) -> int:
        """Give a number that no version of the bundle has, or had and was taken back."""
        taken = [int(path.name) for path in (self.path / VERSIONS).glob("*") if path.name.isdecimal()]
        return max(self.stored.get("highest_version", 1), *taken, 1) + 1

    def remember(self, version: int) -> None:
        """Write into `bundle.json`, which no hash covers, that a version has this number.

        Raises:
            InputError: the system refuses to write.
        """
        write_json(self.path / DESCRIPTION, {**self.stored, "highest_version": version})

    def artefacts(self) -> list[str]:
        """Name the nets in it, in the order of the report."""
        return [name for name in NETS if any(file == name or file.startswith(f"{name}/") for file in self.sha256)]


@dataclass(frozen=True)
class Version:
    """A version that was added to a bundle: a folder that says everything of itself, and came in by one rename.

    Attributes:
        number: its own.
        path: of its folder.
        description: of its net.
        stored: what its description holds.
    """

    number: int
    path: Path
    description: Description
    stored: StoredBundle

    @classmethod
    def open(cls, bundle: Path, number: int) -> Version:
        """Read what a version says of itself.

        Raises:
            InputError: it is damaged.
        """
        path = bundle / VERSIONS / str(number)
        return cls(number, path, *_read(path / OWN / DESCRIPTION))

    @property
    def sha256(self) -> dict[str, str]:
        """Of each of its files but that which holds them, by name."""
        return self.stored["sha256"]

    @property
    def name(self) -> str:
        """Its folder in the bundle."""
        return f"{VERSIONS}/{self.number}"


def unlike(first: Description, second: Description) -> list[str]:
    """Say in which ways two nets are not of the same kind, as versions of one model have to be."""
    pairs = {
        "classes": (first.classes, second.classes),
        "channels": (first.normalisation.channels, second.normalisation.channels),
        "pixel type": (first.normalisation.dtype, second.normalisation.dtype),
        "masks": tuple((m.kind, m.values, m.colours, m.inverted, m.border) for m in (first.masks, second.masks)),
    }
    words = [f"{name} {there} there, {here} here" for name, (there, here) in pairs.items() if there != here]
    if _take_others(first.channels, second.channels):
        there, here = ((c.names, c.picked, c.suffixes, c.context) for c in (first.channels, second.channels))
        words.append(f"channels of files {there} there, {here} here")
    return words


def _take_others(first: Channels, second: Channels) -> bool:
    """Whether two nets take other channels of files: others by name, or where one has no name, by their place.

    Those of a file as they are and those that are picked differ too: the signature `encoded` takes the former alone.
    """
    if (first.suffixes, first.context, first.plain) != (second.suffixes, second.context, second.plain):
        return True
    if not (first.names and second.names):  # of builds between the versions, which did not keep them
        return first.picked != second.picked
    taken = [[(c.names[n], n) for n in c.numbers(c.names, Path("a picture"))] for c in (first, second)]
    pairs = zip(*taken, strict=False)  # their count is compared elsewhere
    return any(a != b if a and b else number != other for (a, number), (b, other) in pairs)


def _read(file: Path) -> tuple[Description, StoredBundle]:
    """What a net says of itself, and all that the file holds."""
    stored = read_json(file, StoredBundle, "Export again.")
    description = restored(file, stored)
    if strangers := [name for name in stored["sha256"] if Path(name).is_absolute() or ".." in Path(name).parts]:
        raise InputError(f"{file} is damaged: it must name files of its folder; it names {strangers[0]!r}.", file)
    return description, stored


def _differences(written: dict[str, str], found: dict[str, str]) -> list[str]:
    words = [f"{name} is missing." for name in written if name not in found]
    for name, hash in found.items():
        if name not in written:
            words += [f"{name} came in after the export."] * (not LITTER.fullmatch(Path(name).name))
        elif hash != written[name]:
            words.append(f"{name} was changed after the export.")
    return words


def hashes(folder: Path, but: str = DESCRIPTION, named: Iterable[str] = ()) -> dict[str, str]:
    """SHA-256 of all files below a folder but one, by name; of those that are named behind links to folders too."""
    return {name: sha256_of(path) for name, path in _files(folder, but, named).items()}


def _files(folder: Path, but: str, named: Iterable[str]) -> dict[str, Path]:
    """All files below a folder but one, by name; folders may be removed meanwhile, by which `rglob` would fail."""
    paths = {Path(place, name) for place, _, names in os.walk(folder) for name in names}
    paths |= {folder / name for name in named}
    found = {path.relative_to(folder).as_posix(): path for path in sorted(paths) if path.is_file()}
    return {name: path for name, path in found.items() if name != but}
