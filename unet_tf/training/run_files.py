"""The files of a run as training writes them: lock, log, configuration, the pairs that were used."""

from __future__ import annotations

import contextlib
import csv
import logging
import platform
import shlex
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import tomli_w

from unet_tf.data.masks import MaskFormat
from unet_tf.data.normalisation import Normalisation
from unet_tf.data.samples import Samples
from unet_tf.errors import InputError
from unet_tf.planning.plan import Plan
from unet_tf.run import Run
from unet_tf.utils.files import replacing
from unet_tf.version import __version__


class LogFile(logging.Handler):
    """Keeps what the library says, from INFO on, and appends it to a file once that is opened."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        self.lines: list[str] = []
        self.path: Path | None = None

    def open(self, path: Path) -> None:
        """Append to `path` what was said, and from now on what is being said."""
        self.path = path
        self._write("".join(self.lines))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep or append one record."""
        line = self.format(record) + "\n"
        self.lines.append(line)
        if self.path is not None:
            self._write(line)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a full disk is said by the files that matter
            if self.path is not None:
                with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(text)

    def __enter__(self) -> LogFile:
        logger = logging.getLogger("unet_tf")
        self.level_before = logger.level
        logger.addHandler(self)
        if logger.getEffectiveLevel() > logging.INFO:
            logger.setLevel(logging.INFO)
        return self

    def __exit__(self, *error: object) -> None:
        logger = logging.getLogger("unet_tf")
        logger.removeHandler(self)
        logger.setLevel(self.level_before)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let no other process train in a run folder while the block runs; the lock goes with the process.

    Raises:
        InputError: another process does, or the folder cannot be made.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path / Run.LOCK)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except OSError as error:
        if not isinstance(error, Timeout):
            raise InputError(f"Cannot write into {path}: {error.strerror}. Choose another --out.") from error
        raise InputError(
            f"One process at a time trains in a run folder, and another does in {path}. Wait for its end, or choose "
            "another --out."
        ) from error
    try:
        for left in path.glob(".*.keras"):  # by a process that was killed while it wrote
            left.unlink()
        yield
    finally:
        lock.release()


def save_config(path: Path, plan: Plan, masks: MaskFormat, normalisation: Normalisation, data: Path) -> None:
    """Write the configuration of a new run: every value, why, the data, the versions and the command that made it."""
    import keras

    stored = {
        "command": shlex.join(sys.argv),
        "train": {name: value for name, value in asdict(plan.config).items() if value is not None},
        "plan": plan.reasons,
        "masks": asdict(masks),
        "normalisation": asdict(normalisation),
        "data": {"path": str(data.resolve())},
        "versions": {
            "unet_tf": __version__,
            "python": platform.python_version(),
            "keras": keras.__version__,
            keras.backend.backend(): _backend_version(),
        },
    }
    with replacing(path / Run.CONFIG) as temporary:
        temporary.write_text(tomli_w.dumps(stored), encoding="utf-8", errors="surrogateescape")


def save_files(path: Path, splits: dict[str, Samples]) -> None:
    """Write which pair (split, name, sha256 of the image's pixels and of the label's) was used for what."""
    kept = {"newline": "", "encoding": "utf-8", "errors": "surrogateescape"}  # the bytes of names that are no UTF-8
    with replacing(path / Run.FILES) as temporary, temporary.open("w", **kept) as file:  # type: ignore[call-overload]
        writer = csv.writer(file)
        writer.writerow(("split", "name", "sha256", "label_sha256"))
        writer.writerows(_rows(splits))


def check_files(path: Path, splits: dict[str, Samples]) -> None:
    """Raise InputError where the data is no longer what the run began with."""
    with (path / Run.FILES).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        before = {tuple(row.values()) for row in csv.DictReader(file)}
    now = set(_rows(splits))
    if before != now:
        names = sorted({name for _, name, *_ in before ^ now})
        raise InputError(
            f"A run goes on with the data that it began with; changed, gone or new since then: "
            f"{', '.join(names[:5])}{' and others' * (len(names) > 5)}. Restore them, or train anew."
        )


def _rows(splits: dict[str, Samples]) -> Iterator[tuple[str, str, str, str]]:
    for split, samples in splits.items():
        for pair, one in zip(samples.pairs, samples.fingerprints, strict=True):
            yield split, pair.name, one.sha256, one.label_sha256


def _backend_version() -> str:
    import keras

    return import_module(keras.backend.backend()).__version__
