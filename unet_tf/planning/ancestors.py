"""What a net knows that started from another one: the images that those before it were trained on."""

from __future__ import annotations

import itertools
import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypedDict

from unet_tf.data.channels import Channels
from unet_tf.data.fingerprint import identity
from unet_tf.data.layout import find_named
from unet_tf.errors import InputError
from unet_tf.run import Run
from unet_tf.utils.signals import look
from unet_tf.utils.typed_json import read_json

log = logging.getLogger("unet_tf")


class Ancestors(NamedTuple):
    """The nets before one that started from another, as far as their training images are known.

    Attributes:
        files: SHA-256 of the images that they were trained on (`unet_tf.data.fingerprint.identity`).
        unknown: those of which nobody knows that, by their paths: bundles, bare files, runs that lost their list, or
            took other channels of pictures that are gone.
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


def ancestors_from(start: str | None, channels: Channels, passed: frozenset[Path] = frozenset()) -> Ancestors:
    """The nets before one that starts from here: this one, and those before it.

    Images are known by the channels that a net takes: those of a run with others are read again from its data
    folder, as the new net sees it.

    Args:
        start: what `unet_tf.training.start.read_start` reads; None for a net that starts anew. A bundle or a `.keras`
            file that lies in the folder of a run is of this run.
        channels: which the net takes that starts, as it was told.
        passed: folders of runs that started from this one, as they say: where the names of folders were used again, it
            is one of them, and no earlier one.

    Raises:
        InputError: it is a run, and damaged.
        Stopped: a signal has told to stop.
    """
    if not start:
        return Ancestors()
    folder = next((one for one in (Path(start), Path(start).parent) if (one / Run.CONFIG).is_file()), None)
    if folder is None or not (folder / Run.FILES).is_file():
        return Ancestors(unknown=(start,))
    if folder.resolve() in passed:
        return Ancestors()
    run = Run(folder)
    own, (files, unknown) = run.files("train"), ancestors(run)
    files |= own
    if replace(run.channels, names=()) != channels:
        seen, before = _seen_by(channels, run, own), run.config.start_from
        try:
            earlier = ancestors_from(before, channels, passed | {folder.resolve()})
        except InputError:  # one that is damaged is not known
            earlier = Ancestors(unknown=(str(before),))
        files = files.union(earlier.files, *seen.values())  # who takes one channel may see pixels as they were seen
        missing = (start,) * (own > seen.keys())
        unknown = tuple(dict.fromkeys((*unknown, *earlier.unknown, *missing)))
    return Ancestors(files, unknown)


def _seen_by(channels: Channels, run: Run, known: set[str]) -> dict[str, set[str]]:
    """Known images in the data folder of a run: identity by its channels -> identities by other channels."""
    found: dict[str, set[str]] = {}
    if run.channels.suffixes != channels.suffixes:
        return found  # an image is other files
    log.info(f"{run.path} took other channels: its training files are read again in {run.data}")
    try:
        splits = find_named(run.data, run.config.naming, run.channels).splits
    except (InputError, OSError) as error:
        log.warning(f"The training files of {run.path} cannot be read again: {error}")
        return found
    for pair in itertools.chain.from_iterable(splits.values()):
        look()
        with suppress(InputError):  # what cannot be read is not known
            if (sha256 := identity(pair.read().image)) in known:
                seen = identity(replace(pair, channels=channels).read().image)
                found.setdefault(sha256, set()).add(seen)
    return found


def learnt(run: Run) -> set[str]:
    """SHA-256 of the images on which the net of a run was trained, or one before it.

    Raises:
        InputError: the list of files, or the note of the nets before it, is missing or damaged.
    """
    return run.files("train") | ancestors(run).files
