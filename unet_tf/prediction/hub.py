"""What of a repository of the Hugging Face Hub is needed to predict, fetched into its cache."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TypedDict

from unet_tf.edge.description import BUNDLE_DESCRIPTION, BUNDLE_NET
from unet_tf.errors import InputError
from unet_tf.utils.files import sha256_of
from unet_tf.utils.hub import SCHEME, Address, hub_errors, import_hub, no_bars
from unet_tf.utils.stderr import on_terminal
from unet_tf.utils.typed_json import read_json
from unet_tf.version import __version__

log = logging.getLogger("unet_tf")

KERAS_FILES = ("metadata.json", "config.json", "model.weights.h5")
"""What `keras.saving.load_model("hf://USER/NAME")` reads, at the root of a repository."""


class _Hashes(TypedDict):
    sha256: dict[str, str]


def fetch(address: Address) -> Path:
    """Fetch a net, and of the other files of its repository none.

    Args:
        address: of the repository.

    Returns:
        A folder of the Hub's cache, of one revision for ever: with `bundle.json` and `model.keras`, or where there is
        no bundle with the files of Keras. Which revision it is stands in a line of the log, unless the address says
        the commit. Where the Hub cannot be reached, it is what the cache has.

    Raises:
        InputError: `huggingface_hub` is missing, there is no such repository or revision, it holds no net, the net is
            not the one that the bundle names by its SHA-256, or the Hub cannot be reached and the cache has it not.
    """
    folder = _snapshot(address, [BUNDLE_DESCRIPTION])
    pinned = Address(address.name, folder.name)
    if (folder / BUNDLE_DESCRIPTION).is_file():
        _snapshot(pinned, [BUNDLE_NET])
        _check(folder, address)
    else:
        _snapshot(pinned, KERAS_FILES)
        if not all((folder / name).is_file() for name in KERAS_FILES[1:]):
            raise InputError(
                f"{address} holds neither a bundle ({BUNDLE_DESCRIPTION}) nor a model of Keras ({KERAS_FILES[1]}). "
                "Give a repository that unet-tf export --hub filled."
            )
    if not address.is_pinned:
        log.info(f"{SCHEME}{address.name} is at revision {folder.name}; {pinned} stays that one")
    return folder


def _snapshot(address: Address, files: Sequence[str]) -> Path:
    """The folder of the cache, with these files where the repository has them."""
    bars = nullcontext() if on_terminal() else no_bars()
    with hub_errors(address), _quiet(), bars:
        found = import_hub().snapshot_download(
            address.name,
            revision=address.revision,
            allow_patterns=list(files),
            library_name="unet-tf",
            library_version=__version__,
        )
    return Path(found)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the client from saying that a pattern matched no file, which is said in words here."""
    import_hub()
    logger = logging.getLogger("huggingface_hub._snapshot_download")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _check(folder: Path, address: Address) -> None:
    """Raise InputError where the net is not that of the bundle."""
    remedy = f"Publish it again, or give another revision ({SCHEME}{address.name}@COMMIT)."
    wanted = read_json(folder / BUNDLE_DESCRIPTION, _Hashes, remedy)["sha256"].get(BUNDLE_NET)
    net = folder / BUNDLE_NET
    if not net.is_file():
        raise InputError(f"{address} holds a bundle without its {BUNDLE_NET}. {remedy}", net)
    if (found := sha256_of(net)) != wanted:
        raise InputError(
            f"{BUNDLE_NET} of {address} must have the SHA-256 that its {BUNDLE_DESCRIPTION} names, {wanted}; it has "
            f"{found}. {remedy}",
            net,
        )
