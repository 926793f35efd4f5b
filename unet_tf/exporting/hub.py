"""A bundle published as a repository of the Hugging Face Hub: one commit, which holds all of it or nothing."""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from unet_tf.errors import InputError
from unet_tf.evaluation.bundle_tables import read_bundle_report
from unet_tf.exporting.bundle import (
    CARD,
    DESCRIPTION,
    HUB_FILES,
    KERAS,
    OWN,
    PAGE,
    README,
    REPORT,
    Bundle,
    StoredBundle,
)
from unet_tf.exporting.front_matter import front_matter
from unet_tf.prediction.hub import KERAS_FILES
from unet_tf.utils.files import sha256_of
from unet_tf.utils.hub import REMEDY, Address, checked_name, hub_errors, import_hub, no_bars
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look, stoppable
from unet_tf.version import __version__

log = logging.getLogger("unet_tf")

Contents = Mapping[str, Path | bytes]
"""Files of a repository, by name: where one lies, or what it holds."""


class Published(NamedTuple):
    """A bundle that is on the Hub.

    Attributes:
        address: `hf://USER/NAME@COMMIT`, which `unet_tf.load` opens, for ever the same.
        url: of the commit.
    """

    address: str
    url: str


def publish(
    bundle: str | Path,
    name: str,
    *,
    private: bool = False,
    on_step: Callable[[str], None] = lambda name: None,
    on_file: Progress = unseen,
) -> Published:
    """Publish a bundle as a repository of the Hugging Face Hub, new or of an earlier bundle.

    It gets all files that the bundle names by their SHA-256, which are checked first, but the page `report.html`, which
    shows pictures of the data; beside them `README.md`, the model card, and the files by which
    `keras.saving.load_model("hf://USER/NAME")` opens the net. All come in by one commit: whoever looks sees the bundle
    of before or the new one. What a call that was stopped has uploaded is not uploaded again by the next.

    Args:
        bundle: the folder that `export` filled.
        name: USER/NAME of the repository; of the user or an organisation that the token may write for.
        private: make a new repository one that others do not see; one that stands stays as it is, and is said where
            others see it.
        on_step: called with the name of each step as it begins.
        on_file: called with (files uploaded, files in all).

    Returns:
        Where it is.

    Raises:
        InputError: the folder is no bundle or not as it was exported, the name is not legal, `huggingface_hub` or a
            token is missing, the Hub refuses or cannot be reached, or the repository holds files of something else.
        Stopped: a signal came; nothing was published.

    Example:
        >>> publish("bundles/cells", "anna/cells").address  # doctest: +SKIP
        'hf://anna/cells@2f1c...'
    """
    api = writer(name)
    with stoppable():
        on_step("checking")
        opened = Bundle(bundle)
        if faults := opened.faults():
            remedy = "Remove what came in, or export again."
            raise InputError(f"A bundle must be as it was exported: {' '.join(faults)} {remedy}")
        files = contents(opened, name)
        if not _names_license(opened.path):
            log.warning("The model card names no licence, and nobody else may use the net. Export with --license.")
        address = Address(name)
        with hub_errors(address), no_bars():
            on_step(f"asking for {address}")
            look()
            api.create_repo(name, private=private or None, exist_ok=True)
            info = api.model_info(name)
            if private and not info.private:
                log.warning(f"{address} stood already, and everybody sees it. Make it private on its page.")
            there = {one.rfilename for one in info.siblings or ()}
            gone = sorted(_of_bundle(api, name, info.sha, there) - files.keys())
            on_step("uploading")
            return _committed(api, address, files, gone, info.sha, on_file)


def writer(name: str) -> Any:
    """Give the client of the Hub with which one may write, before anything is made that it is to publish.

    Args:
        name: USER/NAME of the repository that will be written.

    Raises:
        InputError: the name is not legal, or `huggingface_hub` or a token is missing.
    """
    hub = import_hub()
    checked_name(name)
    token = hub.get_token()
    if not token:
        raise InputError(f"To publish hf://{name}, the Hub has to know who you are, and there is no token. {REMEDY}.")
    return hub.HfApi(token=token, library_name="unet-tf", library_version=__version__)


def contents(bundle: Bundle, name: str) -> dict[str, Path | bytes]:
    """Say which files a repository holds of a bundle that has no faults.

    Args:
        bundle: the bundle.
        name: USER/NAME of the repository.
    """
    named, versions = [one for one in bundle.sha256 if one != PAGE], bundle.versions()
    for version in versions:
        named += [f"{version.name}/{one}" for one in (*version.sha256, f"{OWN}/{DESCRIPTION}")]
    files: dict[str, Path | bytes] = {one: bundle.path / one for one in named}
    with zipfile.ZipFile(bundle.path / KERAS) as archive:
        files |= {one: archive.read(one) for one in KERAS_FILES}
    hashes = {one: sha256_of(file) for one, file in files.items() if one in KERAS_FILES or one in bundle.sha256}
    stored: StoredBundle = {**bundle.stored, **bundle.description.to_json(), "sha256": hashes}
    files[DESCRIPTION] = _published(stored)
    for version in versions:
        files[f"{version.name}/{OWN}/{DESCRIPTION}"] = _published(version.stored)
    card = (bundle.path / CARD).read_text(encoding="utf-8")
    if not card.startswith("---\n"):  # of a bundle of version 0.1
        if "pictures" not in (scores := bundle.description.origin.scores) and scores.get("mean_iou") is not None:
            log.warning("The bundle does not say of how many files its scores are: the page has none. Export again.")
        head = front_matter(name.split("/")[1], bundle.description, read_bundle_report(bundle.path / REPORT))
        card = f"{head}\n\n{card}"
    files[README] = readme(card, name).encode()
    return files


def _published(stored: StoredBundle) -> bytes:
    """What a description says in public: not by which pictures a net was trained."""
    said = {name: value for name, value in stored.items() if name not in ("learnt", "unknown")}
    return json.dumps(said, indent=2, allow_nan=False).encode()


def readme(card: str, name: str) -> str:
    """The page of a repository: the model card, and how to load what is there.

    Args:
        card: Markdown of the bundle.
        name: USER/NAME.
    """
    return f"""{card.rstrip()}

## From the Hub

```python
import unet_tf  # in a clone of unet_tf: pip install '.[hub]'

predictor = unet_tf.load("hf://{name}")
mask = predictor.predict(unet_tf.read_image("image.png"))  # (H, W) class ids, of any size
```

`keras.saving.load_model("hf://{name}")` gives the net alone: normalised pixels in, as it was trained.
"""


def _names_license(bundle: Path) -> bool:
    card = (bundle / CARD).read_text(encoding="utf-8")
    head = card.split("\n---\n")[0] if card.startswith("---\n") else ""
    return any(line.startswith("license: ") for line in head.splitlines())


def _of_bundle(api: Any, name: str, revision: str, there: set[str]) -> set[str]:
    """Of the files of a repository those that an earlier bundle brought.

    Raises:
        InputError: there are others.
    """
    before: set[str] = set(HUB_FILES)
    if DESCRIPTION in there:
        file = Path(api.hf_hub_download(name, DESCRIPTION, revision=revision))
        with suppress(InputError):  # it is of something else
            before |= {DESCRIPTION, *Bundle(file.parent).sha256}
        before |= {one for one in there if one.startswith("saved_model/")}  # versions that were added say themselves
    if others := sorted(there - before):
        shown = ", ".join(others[:3]) + f" and {len(others) - 3} more" * (len(others) > 3)
        raise InputError(
            f"hf://{name} must be new, or hold a bundle alone; it has {shown}. Choose another name, or remove these "
            "files on its page. Nothing was published."
        )
    return (before & there) - set(HUB_FILES)


def _committed(
    api: Any, address: Address, files: Contents, gone: list[str], parent: str, on_file: Progress
) -> Published:
    """Upload the files, then make them a commit."""
    hub = import_hub()
    added = [
        hub.CommitOperationAdd(path_in_repo=one, path_or_fileobj=file if isinstance(file, bytes) else str(file))
        for one, file in sorted(files.items())
    ]
    for done, one in enumerate(added):
        on_file(done, len(added))
        look()
        api.preupload_lfs_files(address.name, [one])
    look()
    commit = api.create_commit(
        address.name,
        [*added, *(hub.CommitOperationDelete(path_in_repo=one) for one in gone)],
        commit_message=f"A bundle of unet_tf {__version__}",
        parent_commit=parent,
    )
    on_file(len(added), len(added))
    return Published(str(Address(address.name, commit.oid)), str(commit.commit_url))
