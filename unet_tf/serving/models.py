"""The models of a server: their version folders looked at again and again, the right version found for a request."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from unet_tf.errors import InputError
from unet_tf.serving.errors import ServingError
from unet_tf.serving.versions import Version
from unet_tf.utils.files import identity

log = logging.getLogger("unet_tf.serving")

WRITTEN = ("saved_model.pb", "variables/variables.index")
"""Files of a version that every export writes: the graph, and the checksums of the weights."""
REPLACED = (
    "Its files were written anew since it was loaded, and the net that was loaded answers: a number means one net as "
    "long as a server runs. Add a new net as another version (unet-tf export --add-version), or start the server again."
)
"""What is said of a version in whose place lies another."""


class Status(NamedTuple):
    """How a version stands, in the words of TF Serving.

    Attributes:
        version: its number.
        state: LOADING, AVAILABLE or END.
        code: OK, or why it is not served.
        message: that in words.
    """

    version: int
    state: str
    code: str = "OK"
    message: str = ""


class Model:
    """A model with its versions: folders of the names 1, 2, ... of which the newest is served, and those with a label.

    Args:
        name: by which requests ask for it.
        folder: holds the versions.
        labels: names of versions, such as `stable`, and their numbers.

    Attributes:
        name: by which requests ask for it.
        folder: holds the versions.
        labels: number of the version by label.
    """

    def __init__(self, name: str, folder: Path, labels: Mapping[str, int] | None = None) -> None:
        self.name, self.folder, self.labels = name, folder, dict(labels or {})
        self._served: dict[int, Version] = {}
        self._broken: dict[int, tuple[object, str]] = {}  # what its folder looked like, and what was wrong with it
        self._loaded: dict[int, list[tuple[int, int]]] = {}  # what the files of a version looked like
        self._replaced: set[int] = set()
        self._loading: set[int] = set()
        self._ended: set[int] = set()
        self._lock = threading.Lock()

    def refresh(self) -> bool:
        """Load what is new and wanted, then let go of what is not wanted any more; a broken version is said once.

        So is one in whose place lies another: what callers and folders of predictions know of a net is its number.

        Returns:
            Whether something has changed.
        """
        there = self.numbers()
        changed = False
        for number in sorted(there, reverse=True):
            newest = max((one for one in self._served if one in there), default=None)  # one may have been taken back
            if number not in self.labels.values() and newest is not None and number <= newest:
                continue
            changed |= number not in self._served and self._load(number)
        self._look_for_others(there)
        wanted = {number for number in self.labels.values() if number in there and number in self._served}
        if (newest := max((number for number in self._served if number in there), default=None)) is not None:
            wanted.add(newest)
        if not wanted:  # its folder is away for a moment, or all of it is broken: what is served goes on
            return changed
        with self._lock:
            gone = self._served.keys() - wanted
            self._ended |= gone  # first, so that a version is never nowhere
            self._served = {number: one for number, one in self._served.items() if number in wanted}
        for number in sorted(gone):
            log.info(f"{self.name}: version {number} is served no more.")
        if gone:
            gc.collect()  # what TensorFlow loads holds itself in circles, and would keep its memory for a while
        return changed or bool(gone)

    def numbers(self) -> set[int]:
        """The versions that lie in the folder."""
        try:
            return {int(path.name) for path in self.folder.iterdir() if path.name.isascii() and path.name.isdecimal()}
        except OSError:
            return set()

    @property
    def newest(self) -> int | None:
        """The newest version that is served."""
        return max(self._served, default=None)

    @property
    def ready(self) -> bool:
        """Whether a version is served."""
        return bool(self._served)

    def find(self, version: int | None = None, label: str | None = None) -> tuple[int, Version]:
        """Give the number of a version and itself: of a number, of a label, or the newest.

        Raises:
            ServingError: there is none, in the words of TF Serving.
        """
        served, version = self._served, self._wanted(version, label)
        number = max(served, default=None) if version is None else version
        if number is None or number not in served:
            which = "Latest({})" if version is None else f"Specific({{}}, {version})"
            words = f"Servable not found for request: {which.format(self.name)}. {self._instead(version)}"
            raise ServingError("NOT_FOUND", words)
        return number, served[number]

    def statuses(self, version: int | None = None, label: str | None = None) -> list[Status]:
        """How the versions stand, newest first; all of them, or one.

        Raises:
            ServingError: there is no such version.
        """
        # copies: another thread may be loading a version
        found = {number: Status(number, "END") for number in tuple(self._ended)}
        found |= {number: Status(number, "LOADING") for number in tuple(self._loading)}
        found |= {number: Status(number, "END", "INTERNAL", said) for number, (_, said) in dict(self._broken).items()}
        replaced = tuple(self._replaced)
        found |= {one: Status(one, "AVAILABLE", "OK", REPLACED if one in replaced else "") for one in self._served}
        wanted = self._wanted(version, label)
        if wanted is None:
            return [found[number] for number in sorted(found, reverse=True)]
        if wanted not in found:
            words = f"Could not find version {wanted} of model {self.name}. {self._instead(wanted)}"
            raise ServingError("NOT_FOUND", words)
        return [found[wanted]]

    def _instead(self, version: int | None) -> str:
        """What may be asked for where a version is not served, and how it comes to be."""
        there = self.numbers()
        words = f"Versions served: {_listed(self._served)}; on disk: {_listed(there)}."
        if version in self._loading:
            words += f" {version} is being loaded."
        elif version in self._broken:
            words += f" {version} cannot be used; its status says why."
        elif version in there and self.newest is not None and version < self.newest:
            words += f" One that is not the newest is served where it has a label: unet-tf serve --label old={version}."
        return words

    def _wanted(self, version: int | None, label: str | None) -> int | None:
        """The version of a number or label; None for the newest, which OpenVINO's clients call 0."""
        if label is None:
            return None if version == 0 and 0 not in self._served else version
        if label not in self.labels:
            known = ", ".join(sorted(self.labels)) or "none"
            raise ServingError("INVALID_ARGUMENT", f"Unrecognized servable version label: {label}. Labels: {known}.")
        return self.labels[label]

    def _looks(self, number: int) -> list[tuple[int, int]]:
        """Time and size of the files of a version; none where they are away."""
        try:
            found = [(self.folder / str(number) / name).stat() for name in WRITTEN]
        except OSError:
            return []
        return [(one.st_mtime_ns, one.st_size) for one in found]

    def _look_for_others(self, there: set[int]) -> None:
        """Say once where the files of a version that is served are others than it was loaded from."""
        looks = {number: self._looks(number) for number in self._served.keys() & there}
        replaced = {number for number, found in looks.items() if found and found != self._loaded[number]}
        for number in sorted(replaced - self._replaced):
            log.error(f"{self.name}: version {number}. {REPLACED}")
        self._replaced = replaced

    def _load(self, number: int) -> bool:
        path = self.folder / str(number)
        looks = tuple(sorted((str(file), identity(file)) for file in path.rglob("*")))
        if self._broken.get(number, (None, ""))[0] == looks:
            return False
        self._loading.add(number)
        self._loaded[number] = self._looks(number)
        log.info(f"{self.name}: version {number} is being loaded and warmed up.")
        try:  # it is told of as loading until it is told of otherwise
            version = Version(path)
            with self._lock:
                self._served = self._served | {number: version}  # readers hold the one before, whole
                self._broken.pop(number, None)
                self._ended.discard(number)
        except (InputError, OSError) as error:  # OSError: of a folder that may not be read
            self._broken[number] = looks, str(error)
            others = f"version {self.newest} serves on" if self.ready else "no other is served"
            log.error(f"{self.name}: version {number} is refused, {others}. {error}")
            return True
        finally:
            self._loading.discard(number)
        log.info(f"{self.name}: version {number} is served, with {', '.join(sorted(version.signatures))}.")
        return True


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers))) or "none"


class Models:
    """The models of a server, by name.

    Args:
        models: them.
    """

    def __init__(self, models: list[Model]) -> None:
        self._models = {model.name: model for model in models}

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def get(self, name: str) -> Model:
        """The model of a name.

        Raises:
            ServingError: there is none.
        """
        try:
            return self._models[name]
        except KeyError:
            raise self._missing(f"Servable not found for request: Latest({name})") from None

    def statuses(self, name: str, version: int | None = None, label: str | None = None) -> list[Status]:
        """How the versions of a model stand; see `Model.statuses`.

        Raises:
            ServingError: there is no such model or version.
        """
        if name not in self._models:
            raise self._missing(f"Could not find any versions of model {name}")
        return self._models[name].statuses(version, label)

    def _missing(self, words: str) -> ServingError:
        return ServingError("NOT_FOUND", f"{words}. Models served: {', '.join(sorted(self._models)) or 'none'}.")

    @property
    def ready(self) -> bool:
        """Whether each of them has a version that is served."""
        return all(model.ready for model in self)
