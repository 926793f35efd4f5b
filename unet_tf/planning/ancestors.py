"""What a net knows that started from another one: the images that those before it learnt from."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, TypedDict

from unet_tf.run import Run
from unet_tf.utils.typed_json import read_json


class Ancestors(NamedTuple):
    """The nets before one that started from another, as far as what they learnt from is known.

    Attributes:
        files: SHA-256 of the images that they learnt from (`unet_tf.data.fingerprint.identity`).
        unknown: those of which nobody knows that, by their paths: bundles, bare files, runs that lost their list.
    """

    files: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ()


class StoredAncestors(TypedDict):
    """What `ancestors.json` of a run holds.

    Attributes:
        files: as of `Ancestors`, sorted.
        unknown: likewise.
    """

    files: list[str]
    unknown: list[str]


def ancestors(run: Run) -> Ancestors:
    """The nets before that of a run, as the run has noted them; of one that an earlier version began none is known.

    Raises:
        InputError: the note is damaged.
    """
    path, start = run.path / Run.ANCESTORS, run.config.start_from
    if not start:
        return Ancestors()
    if not path.is_file():
        return Ancestors(unknown=(start,))
    stored = read_json(path, StoredAncestors, "Restore it, or train again.")
    return Ancestors(frozenset(stored["files"]), tuple(stored["unknown"]))


def ancestors_from(start: str | None) -> Ancestors:
    """The nets before one that starts from here: this one, and those before it.

    Args:
        start: what `unet_tf.training.start.read_start` reads; None for a net that starts anew. A bundle or a `.keras`
            file that lies in the folder of a run is of this run.

    Raises:
        InputError: it is a run, and damaged.
    """
    if not start:
        return Ancestors()
    folder = next((one for one in (Path(start), Path(start).parent) if (one / Run.CONFIG).is_file()), None)
    if folder is None or not (folder / Run.FILES).is_file():
        return Ancestors(unknown=(start,))
    run = Run(folder)
    before = ancestors(run)
    return Ancestors(before.files | run.files("train"), before.unknown)


def learnt(run: Run) -> set[str]:
    """SHA-256 of the images from which the net of a run learnt, or one before it.

    Raises:
        InputError: the list of files, or the note of the nets before it, is missing or damaged.
    """
    return run.files("train") | ancestors(run).files
