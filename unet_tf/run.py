"""A run: the folder that training fills, and what is needed to use its model."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import logging
import platform
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, fields
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import tomli_w
from numpy.typing import NDArray

from unet_tf import __version__
from unet_tf.config import TrainConfig
from unet_tf.data.facts import Normalisation
from unet_tf.data.masks import MaskFormat, tuples
from unet_tf.data.samples import Samples
from unet_tf.errors import InputError
from unet_tf.files import replacing
from unet_tf.geometry import Geometry
from unet_tf.planning import Plan

if TYPE_CHECKING:
    import keras

    from unet_tf.inference import Network


class Run:
    """A run folder, opened to use its model.

    Args:
        path: the folder that `train` filled.

    Raises:
        InputError: the folder is missing or holds no run, or a file of it is damaged.

    Attributes:
        path: the folder.
        config: how it was trained.
        masks: how its masks say the classes, and how predictions are drawn.
        normalisation: what it measured on its training images.
        classes: names of the classes.
    """

    # Names of its files.
    CONFIG, FILES, HISTORY, BEST, LAST = "config.toml", "files.csv", "history.csv", "best.keras", "last.keras"
    EVALUATION, PANELS, REPORT = "evaluation.json", "panels", "report.html"
    LARGE, WEIGHTS, BUNDLE = "large.png", "weights.png", "bundle"
    LOG, LOCK, PROGRESS = "log.txt", ".lock", "progress"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        config = self.path / self.CONFIG
        if not config.is_file():
            raise InputError(
                f"{self.path} is no run: it has no {self.CONFIG}. Give the folder that train --out filled."
            )
        try:
            stored = tomllib.loads(config.read_text(encoding="utf-8"))
            known = {f.name for f in fields(TrainConfig)}
            unset = {name: None for name, value in asdict(TrainConfig()).items() if value is None}
            values = unset | {k: v for k, v in stored["train"].items() if k in known}
            self.config = TrainConfig(**{name: tuples(value) for name, value in values.items()})
            self.masks = MaskFormat.restore(stored["masks"])
            self.classes: tuple[str, ...] = tuple(stored["train"]["classes"])
            self.normalisation = Normalisation(
                tuple(stored["normalisation"]["mean"]),
                tuple(stored["normalisation"]["std"]),
                stored["normalisation"]["dtype"],
            )
            self.data = Path(stored["data"]["path"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{config} is damaged or of another version: {error}. Train again.") from error

    @property
    def geometry(self) -> Geometry:
        """Sizes of the net."""
        return self.config.geometry

    @cached_property
    def model(self) -> keras.Model:
        """The net with the best validation mean IoU.

        Raises:
            InputError: the file is missing, damaged, or holds another net than the configuration says.
        """
        return load_model(self.path / self.BEST, self.config, self.normalisation.channels)

    @cached_property
    def network(self) -> Network:
        """The same net, ready to predict."""
        from unet_tf.inference import Network

        return Network(self.model)

    @property
    def model_hash(self) -> str:
        """SHA-256 of the file of that net.

        Raises:
            InputError: there is none.
        """
        path = self.path / self.BEST
        if not path.is_file():
            raise InputError(f"There is no model {path}. Training writes it after its first epoch.")
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def normalise(self, image: NDArray, name: str = "the image") -> NDArray:
        """(H, W) or (H, W, C) raw pixels -> (H, W, C) float32, as the net was trained on."""
        return self.normalisation.apply(image if image.ndim == 3 else image[..., None], name)

    def files(self, split: str) -> set[str]:
        """SHA-256 of the images that were "train" or "val" of this run (`Facts.sha256`)."""
        path = self.path / self.FILES
        if not path.is_file():
            raise InputError(f"{path} is missing: without it nobody knows which files the run learnt from.")
        with path.open(newline="", encoding="utf-8") as file:
            return {row["sha256"] for row in csv.DictReader(file) if row["split"] == split}


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
                with self.path.open("a", encoding="utf-8") as file:
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
        temporary.write_text(tomli_w.dumps(stored), encoding="utf-8")


def save_files(path: Path, splits: dict[str, Samples]) -> None:
    """Write which pair (split, name, sha256 of the image's pixels and of the label's) was used for what."""
    with replacing(path / Run.FILES) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("split", "name", "sha256", "label_sha256"))
        writer.writerows(_rows(splits))


def check_files(path: Path, splits: dict[str, Samples]) -> None:
    """Raise InputError where the data is no longer what the run began with."""
    with (path / Run.FILES).open(newline="", encoding="utf-8") as file:
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
        for pair, facts in zip(samples.pairs, samples.facts, strict=True):
            yield split, pair.name, facts.sha256, facts.label_sha256


def load_model(path: Path, config: TrainConfig, channels: int) -> keras.Model:
    """Load a net for prediction, without its optimizer.

    Raises:
        InputError: the file is missing, damaged, not one of ours, or not the net of this configuration.
    """
    import keras

    from unet_tf.model import geometry_of

    if not path.is_file():
        raise InputError(f"There is no model {path}. Training writes it after its first epoch.")
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever its readers meet in a file that is none
        raise InputError(f"{path} is not a Keras model that can be loaded: {error}") from error
    expected = config.geometry, channels, config.num_classes
    if (found := (geometry_of(model), model.input_shape[-1], model.output_shape[-1])) != expected:
        raise InputError(f"{path} is not the net of its run: (sizes, channels, classes) {found}, and not {expected}.")
    return model


def _backend_version() -> str:
    import keras

    return import_module(keras.backend.backend()).__version__
