"""A run: the folder that training fills, and what is needed to use its model."""

from __future__ import annotations

import csv
import json
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from numpy.typing import NDArray

from unet_tf.config import TrainConfig, without_removed
from unet_tf.data.channels import Channels
from unet_tf.data.masks import MaskFormat
from unet_tf.data.normalisation import Normalisation
from unet_tf.errors import InputError
from unet_tf.geometry import Geometry
from unet_tf.model.calibration import HALF, Calibration, check_threshold
from unet_tf.pages.words import number
from unet_tf.plan import Plan
from unet_tf.utils.files import identity, sha256_of, tuples, unreadable
from unet_tf.utils.text import argument
from unet_tf.utils.typed_json import read_json

if TYPE_CHECKING:
    import keras

    from unet_tf.model.inference import Network

EARLIER: dict[str, Any] = {
    "loss": "crossentropy",
    "logits_scale": 1.0,
    "val_share": 0.2,
    "val_tiles": sys.maxsize,
    "upright": False,
    "threshold": HALF,
    "border_class": 0,
}
"""What runs did whose version had not these settings yet: they validated on all tiles."""


class StoredCalibration(TypedDict):
    """What `calibration.json` must hold; it holds scores beside it (`unet_tf.training.calibrate`).

    Attributes:
        model: SHA-256 of the file of the net that it is of.
        temperature: as of `Calibration`.
        threshold: likewise.
    """

    model: str
    temperature: float
    threshold: float


class Run:
    """A run folder, opened to use its model.

    Whatever takes a path takes a run, and means its folder.

    Args:
        path: the folder that `train` filled.

    Raises:
        InputError: the folder is missing or holds no run, or a file of it is damaged or cannot be read.

    Attributes:
        path: the folder.
        plan: how it was trained, every setting with its value, and why.
        config: the configuration that asks for the same.
        masks: how its masks say the classes, and how predictions are drawn.
        normalisation: what it measured on its training images.
        channels: how the channels of its images come from picture files.
        classes: names of the classes.
        data: the folder that it was trained on.
        removed: settings that it was trained with, and that this version has no more; with these it cannot go on.
    """

    # Names of its files.
    CONFIG, FILES, HISTORY, BEST, LAST = "config.toml", "files.csv", "history.csv", "best.keras", "last.keras"
    STATE = "training.json"  # within `last.keras` and `best.keras`, zip archives that Keras reads its own members of
    EVALUATION, PANELS, REPORT = "evaluation.json", "panels", "report.html"
    CALIBRATION, ANCESTORS = "calibration.json", "ancestors.json"
    LARGE, WEIGHTS, SAMPLES, DATA = "large.png", "weights.png", "samples.png", "data.json"
    BUNDLE, BUNDLE_REPORT = "bundle", "bundle/report.json"
    LOG, LOCK, PROGRESS = "log.txt", ".lock", "progress"

    def __init__(self, path: Run | str | Path) -> None:
        self.path = Path(path)
        self._model: tuple[tuple[int, ...] | None, keras.Model] | None = None
        self._network: tuple[tuple[int, ...] | None, Network] | None = None
        self._calibration: tuple[Any, Calibration] | None = None
        config = self.path / self.CONFIG
        try:
            text = config.read_text(encoding="utf-8-sig", errors="surrogateescape") if config.is_file() else None
        except OSError as error:
            raise unreadable(config, error) from error
        if text is None:
            raise InputError(
                f"{self.path} is no run: it has no {self.CONFIG}. Give the folder that train --out filled."
            )
        try:
            stored = tomllib.loads(text)
            settings = without_removed(stored["train"])
            known = {f.name for f in fields(TrainConfig)}
            self.removed = {name: value for name, value in settings.items() if name not in known}
            settings = EARLIER | settings
            said = TrainConfig(**{name: tuples(value) for name, value in settings.items() if name in known})
            self.plan = Plan.of(said, {name: str(reason) for name, reason in stored["plan"].items()})
            self.config, self.classes = self.plan.config, self.plan.classes
            self.masks = MaskFormat.restore(stored["masks"])
            self.normalisation = Normalisation.restore(stored["normalisation"])
            self.channels = Channels.restore(stored.get("channels", {}))
            self.data = Path(stored["data"]["path"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            words = f"it has no {error}" if isinstance(error, KeyError) else str(error).rstrip(".")
            raise InputError(f"{config} is damaged or of another version: {words}. Train again.", config) from error

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def geometry(self) -> Geometry:
        """Sizes of the net."""
        return self.plan.geometry

    @property
    def model(self) -> keras.Model:
        """The net that training kept, of the last epoch that is as good as the best: yours, as one object.

        What it learns or becomes in memory is its own: the run is its file, and `unet_tf.predict(run, ...)`,
        `unet_tf.evaluate` and `unet_tf.export` read that. `unet_tf.Predictor(model, like=run)` predicts with it, by the
        pixels, classes, channels, temperature and threshold of the run.

        Raises:
            InputError: the file is missing, damaged, or holds another net than the configuration says.
        """
        state = identity(self.path / self.BEST)
        if self._model is None or self._model[0] != state:  # training may have gone on
            self._model = state, self.read()
        return self._model[1]

    def read(self) -> keras.Model:
        """Read the net that training kept from its file.

        Raises:
            InputError: the file is missing, damaged, or holds another net than the configuration says.
        """
        return load_model(self.path / self.BEST, self.plan, self.normalisation.channels)

    @property
    def network(self) -> Network:
        """The net of the file, ready to predict; kept until the file changes."""
        from unet_tf.model.inference import Network

        state = identity(self.path / self.BEST)
        if self._network is None or self._network[0] != state:
            self._network = state, Network(self.read())
        self._network[1].temperature = self.calibration.temperature
        return self._network[1]

    @property
    def calibration(self) -> Calibration:
        """How the logits of that net become probabilities and labels, as training found it on the validation files.

        Where it found nothing, or for another net than `best.keras` is now, the temperature is 1, and the threshold the
        number that training was told, or 0.5.

        Raises:
            InputError: the file is damaged.
        """
        path = self.path / self.CALIBRATION
        state = identity(path), identity(self.path / self.BEST)
        if self._calibration is None or self._calibration[0] != state:
            found = self.uncalibrated
            if path.is_file():
                again = f"Going on with the run (--resume {argument(self.path)}) writes it."
                stored = read_json(path, StoredCalibration, again)
                check_threshold(stored["threshold"], self.classes)
                if stored["model"] == self.model_hash:
                    found = Calibration(stored["temperature"], stored["threshold"])
            self._calibration = state, found
        return self._calibration[1]

    @property
    def uncalibrated(self) -> Calibration:
        """That of any other net of the run: temperature 1, and the threshold that training was told, if a number."""
        told = self.plan.threshold
        return Calibration(threshold=HALF if isinstance(told, str) else told)

    @property
    def best_row(self) -> dict[str, Any]:
        """The row of `history.csv` of the epoch after which that net was kept, as its file says.

        Raises:
            InputError: there is none, or its file does not say.
        """
        path = self.path / self.BEST
        try:
            with zipfile.ZipFile(path) as archive:
                return dict(json.loads(archive.read(self.STATE))["history"][-1])
        except (OSError, zipfile.BadZipFile, LookupError, ValueError, TypeError) as error:
            raise InputError(
                f"{path} does not say after which epoch it was kept: {error}. Train again.", path
            ) from error

    @property
    def model_hash(self) -> str:
        """SHA-256 of the file of that net.

        Raises:
            InputError: there is none, or it cannot be read.
        """
        path = self.path / self.BEST
        if not path.is_file():
            raise InputError(f"There is no model {path}. Training writes it after its first epoch.")
        return sha256_of(path)

    def normalise(self, image: NDArray) -> NDArray:
        """(H, W) or (H, W, C) raw pixels -> (H, W, C) float32, as the net was trained on."""
        return self.normalisation.apply(image, plain=self.channels.plain)

    def files(self, split: str) -> set[str]:
        """SHA-256 of the images that were "train" or "val" of this run (`Fingerprint.sha256`).

        Raises:
            InputError: the list of files is missing or damaged.
        """
        return {sha256 for of_split, _, sha256, _ in self.pairs() if of_split == split}

    def names(self, split: str) -> set[str]:
        """Names of the pairs that were "train" or "val" of this run.

        Raises:
            InputError: the list of files is missing or damaged.
        """
        return {name for of_split, name, *_ in self.pairs() if of_split == split}

    def pairs(self) -> set[tuple[str, str, str, str]]:
        """The pairs that the run used: split, name, SHA-256 of the image's pixels and of the label's.

        Raises:
            InputError: the list of files is missing or damaged.
        """
        path = self.path / self.FILES
        if not path.is_file():
            raise InputError(f"{path} is missing: without it nobody knows which files the run was trained on.", path)
        rows = read_table(path, ("split", "name", "sha256", "label_sha256"))
        return {(row["split"], row["name"], row["sha256"], row["label_sha256"]) for row in rows}

    def history(self) -> list[dict[str, str]]:
        """One row an epoch, as `history.csv` has it, its numbers as texts; none before the first.

        Raises:
            InputError: the file is damaged.
        """
        path = self.path / self.HISTORY
        if not path.exists():
            return []
        columns = ("epoch", "loss", "mean_iou", "seconds") + ("val_loss", "val_mean_iou") * bool(self.names("val"))
        rows = read_table(path, columns)
        try:
            for row in rows:
                list(map(float, (row[name] for name in columns)))
                int(row["epoch"])
        except ValueError as error:
            raise InputError(
                f"{path} is damaged: {error}. Going on with the run (--resume) writes it anew.", path
            ) from error
        return rows

    def _repr_html_(self) -> str:
        """What a notebook shows: its scores, its curves, its net and its files."""
        from unet_tf.pages.charts import training_curves
        from unet_tf.pages.notebook import Table, show_object

        rows, charts, words = [("net", self.plan.words), ("data", self.data.name)], [], "It has no epoch yet."
        try:
            for split in ("train", "val"):
                rows.append((f"files of {split}", str(len(self.names(split)))))
            if history := self.history():
                row = self.best_row if (self.path / self.BEST).is_file() else history[-1]
                kept = int(row["epoch"]) + 1
                charts, words = training_curves(history, kept), self._score_words(row)
                rows.append(("epochs", f"{len(history)}, of which the net of epoch {kept} is kept"))
            rows.append(("probabilities", f"temperature {self.calibration.temperature:.3g}"))
        except InputError as error:  # what is damaged is said, and hides nothing else
            words = str(error)
        return show_object("Run", str(self.path), words, [Table(rows, of_words=True)], charts=charts)

    def _score_words(self, row: Mapping[str, Any]) -> str:
        """How good the net is, of its evaluation, or else of the row of its epoch."""
        path = self.path / self.EVALUATION
        if path.is_file():
            try:
                stored = json.loads(path.read_text(encoding="utf-8"))
                where = str(stored["files"]).replace(str(self.data), self.data.name)
                return f"Mean IoU {number(stored['mean_iou'])} on {where}."
            except (OSError, ValueError, LookupError, TypeError) as error:
                return f"{path} is damaged: {error}."
        if row.get("val_mean_iou") in (None, ""):
            return "It was trained on all files: no score tells how good it is on others."
        return f"Mean IoU {number(float(row['val_mean_iou']))} while training, on the files held out."


def read_table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a table of a run, each with these columns.

    Raises:
        InputError: the file cannot be read, or is no such table.
    """
    try:
        # names that are no UTF-8 keep their bytes
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
            found = tuple(reader.fieldnames or ())
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path} is damaged: {error}. Restore it, or train again.", path) from error
    if missing := [name for name in columns if name not in found]:
        raise InputError(f"{path} is damaged: it has no column {missing[0]}. Restore it, or train again.", path)
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise InputError(f"{path} is damaged: line {line} is no full row. Restore it, or train again.", path)
    return rows


def load_model(path: Path, plan: Plan, channels: int) -> keras.Model:
    """Load a net.

    Raises:
        InputError: the file is missing, damaged, not one of ours, or not the net of this plan.
    """
    from unet_tf.model.reading import read_model
    from unet_tf.model.unet import geometry_of

    if not path.is_file():
        raise InputError(f"There is no model {path}. Training writes it after its first epoch.")
    model = read_model(path)
    expected = plan.geometry, channels, plan.num_classes
    if (found := (geometry_of(model), model.input_shape[-1], model.output_shape[-1])) != expected:
        raise InputError(
            f"{path} is not the net of its run: (sizes, channels, classes) {found}, and not {expected}.", path
        )
    return model
