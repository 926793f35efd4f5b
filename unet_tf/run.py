"""A run: the folder that training fills, and what is needed to use its model."""

from __future__ import annotations

import csv
import hashlib
import tomllib
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import NDArray

from unet_tf.config import TrainConfig
from unet_tf.data.masks import MaskFormat
from unet_tf.data.normalisation import Normalisation
from unet_tf.errors import InputError
from unet_tf.geometry import Geometry
from unet_tf.utils.files import identity, tuples

if TYPE_CHECKING:
    import keras

    from unet_tf.model.inference import Network


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
    LARGE, WEIGHTS = "large.png", "weights.png"
    BUNDLE, BUNDLE_REPORT = "bundle", "bundle/report.json"
    LOG, LOCK, PROGRESS = "log.txt", ".lock", "progress"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._model: tuple[tuple[int, ...] | None, keras.Model] | None = None
        self._network: Network | None = None
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
            self.normalisation = Normalisation.restore(stored["normalisation"])
            self.data = Path(stored["data"]["path"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{config} is damaged or of another version: {error}. Train again.") from error

    @property
    def geometry(self) -> Geometry:
        """Sizes of the net."""
        return self.config.geometry

    @property
    def model(self) -> keras.Model:
        """The net with the best validation mean IoU.

        Raises:
            InputError: the file is missing, damaged, or holds another net than the configuration says.
        """
        state = identity(self.path / self.BEST)
        if self._model is None or self._model[0] != state:  # training may have gone on
            found = load_model(self.path / self.BEST, self.config, self.normalisation.channels)
            self._model, self._network = (state, found), None
        return self._model[1]

    @property
    def network(self) -> Network:
        """The same net, ready to predict."""
        from unet_tf.model.inference import Network

        model = self.model
        if self._network is None:
            self._network = Network(model)
        return self._network

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
        """SHA-256 of the images that were "train" or "val" of this run (`Fingerprint.sha256`)."""
        path = self.path / self.FILES
        if not path.is_file():
            raise InputError(f"{path} is missing: without it nobody knows which files the run learnt from.")
        with path.open(newline="", encoding="utf-8") as file:
            return {row["sha256"] for row in csv.DictReader(file) if row["split"] == split}


def load_model(path: Path, config: TrainConfig, channels: int) -> keras.Model:
    """Load a net for prediction, without its optimizer.

    Raises:
        InputError: the file is missing, damaged, not one of ours, or not the net of this configuration.
    """
    import keras

    from unet_tf.model.unet import geometry_of

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
