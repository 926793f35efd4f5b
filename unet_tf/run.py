"""A run: the folder that training fills, its configuration, and what is needed to use its model."""

from __future__ import annotations

import csv
import platform
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w
from numpy.typing import NDArray

from unet_tf import __version__
from unet_tf.data.augment import Augmentation
from unet_tf.data.samples import Normalisation, Samples, Weighting
from unet_tf.errors import InputError
from unet_tf.files import replacing
from unet_tf.geometry import Geometry
from unet_tf.labels import VOID

if TYPE_CHECKING:
    import keras

PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides how a run is trained; saved in the run with every value resolved.

    Attributes:
        classes: names of the classes in the order of their ids; the first is the background.
        base_filters: filters of the first level, doubled with each pooling; 64 in the paper.
        depth: number of poolings; 4 in the paper.
        padding: "valid" (the paper's) or "same".
        batch_norm: batch normalisation after each 3x3 convolution: trains small nets from few images much faster.
        dropout: rate at the end of the contracting path, in [0, 1).
        precision: "float32", or "bfloat16" for mixed precision where the processor has it natively.
        epochs: passes over the training pixels; None for no limit but `minutes`.
        minutes: time for reading, training and validation together; None for no limit but `epochs`, and for 15 if
            that is None too.
        min_steps: shortest epoch, optimizer steps, so that validation does not eat the time on small data.
        batch_size: tiles a step.
        tile: input size of a tile, pixels; None for 572 (256 if "same"), or what fits into the smallest image.
        learning_rate: of Adam at its peak, after a linear warm-up over 2 % of the run and before a cosine to zero.
        patience: epochs without a better validation mean IoU after which training ends; None never ends it.
        seed: of the split, the start weights, the order and the augmentation.
        val_share: share of the files held out where the data has no `val/`.
        border_weight: w0 of the paper's separation borders (10 there), 0 for none.
        border_sigma: their width, pixels.
        class_balance: whether the weight map balances the classes.
        flips: mirror each axis at random.
        rotation: largest random turn, degrees.
        scale: largest random change of size, share.
        elastic: standard deviation of the elastic grid's vectors, pixels; 10 in the paper.
        contrast: largest random change of contrast, share.
        brightness: largest random change of brightness, standard deviations.
    """

    classes: tuple[str, ...] = ("background", "foreground")
    base_filters: int = 32
    depth: int = 4
    padding: str = "valid"
    batch_norm: bool = True
    dropout: float = 0.0
    precision: str = "float32"
    epochs: int | None = None
    minutes: float | None = None
    min_steps: int = 64
    batch_size: int = 2
    tile: int | None = None
    learning_rate: float = 1e-3
    patience: int | None = None
    seed: int = 0
    val_share: float = 0.2
    border_weight: float = 0.0
    border_sigma: float = 5.0
    class_balance: bool = False
    flips: bool = True
    rotation: float = 15.0
    scale: float = 0.1
    elastic: float = 10.0
    contrast: float = 0.2
    brightness: float = 0.2

    def __post_init__(self) -> None:
        rules = {
            "classes": (
                2 <= len(self.classes) <= VOID and len(set(self.classes)) == len(self.classes) and all(self.classes),
                f"2 to {VOID} different names",
            ),
            "precision": (self.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
            "epochs": (self.epochs is None or self.epochs >= 1, "1 or more"),
            "minutes": (self.minutes is None or self.minutes > 0, "above 0"),
            "min_steps": (self.min_steps >= 1, "1 or more"),
            "batch_size": (self.batch_size >= 1, "1 or more"),
            "learning_rate": (self.learning_rate > 0, "above 0"),
            "patience": (self.patience is None or self.patience >= 1, "1 or more"),
            "val_share": (0 < self.val_share < 1, "between 0 and 1"),
            "border_weight": (self.border_weight >= 0, "0 or more"),
            "border_sigma": (self.border_sigma > 0, "above 0"),
            "seed": (0 <= self.seed < 2**32, "in [0, 2**32)"),
            "rotation": (self.rotation >= 0, "0 or more"),
            "elastic": (self.elastic >= 0, "0 or more"),
            "brightness": (self.brightness >= 0, "0 or more"),
            "scale": (0 <= self.scale < 1, "in [0, 1)"),
            "contrast": (0 <= self.contrast < 1, "in [0, 1)"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise InputError(f"{name} is {rule}; received {getattr(self, name)!r}.")
        if self.tile is not None:
            self.geometry.check(self.tile)

    @property
    def num_classes(self) -> int:
        """Channels of the logits."""
        return len(self.classes)

    @property
    def geometry(self) -> Geometry:
        """Sizes of the net."""
        return Geometry(self.depth, self.padding)

    @property
    def augmentation(self) -> Augmentation:
        """The part of the configuration that changes tiles."""
        return Augmentation(**{f.name: getattr(self, f.name) for f in fields(Augmentation)})

    @property
    def weighting(self) -> Weighting:
        """The part of the configuration that makes weight maps."""
        return Weighting(self.class_balance, self.border_weight, self.border_sigma)

    def build(self, channels: int) -> keras.Model:
        """A new net of this configuration, in its precision."""
        import keras

        from unet_tf.model import unet

        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy(PRECISIONS[self.precision])
        try:
            return unet(
                (None, None, channels),
                self.num_classes,
                self.base_filters,
                self.depth,
                self.padding,
                self.batch_norm,
                self.dropout,
            )
        finally:
            keras.config.set_dtype_policy(policy)


def class_names(classes: int | str | Sequence[str]) -> tuple[str, ...]:
    """Names of the classes from a number ("3"), a list ("sky,road,void") or the names themselves.

    Example:
        >>> class_names(3), class_names("membrane,cell")
        (('background', 'class1', 'class2'), ('membrane', 'cell'))
    """
    if not isinstance(classes, int | str):
        return tuple(classes)
    text = str(classes)
    if text.isdecimal():
        return TrainConfig.classes if int(text) == 2 else ("background", *(f"class{i}" for i in range(1, int(text))))
    return tuple(name.strip() for name in text.split(","))


class Run:
    """A run folder, opened to use its model.

    Args:
        path: the folder that `train` filled.

    Raises:
        InputError: the folder is missing or holds no run, or a file of it is damaged.

    Attributes:
        path: the folder.
        config: how it was trained.
        normalisation: what it measured on its training images.
        classes: names of the classes.
    """

    # Names of its files.
    CONFIG, FILES, HISTORY, BEST, LAST = "config.toml", "files.csv", "history.csv", "best.keras", "last.keras"
    EVALUATION, PANELS, REPORT = "evaluation.json", "panels", "report.html"
    LARGE, BUNDLE = "large.png", "bundle"

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
            self.config = TrainConfig(**values | {"classes": tuple(stored["train"]["classes"])})
            self.normalisation = Normalisation(
                tuple(stored["normalisation"]["mean"]),
                tuple(stored["normalisation"]["std"]),
                stored["normalisation"]["dtype"],
            )
            self.data = Path(stored["data"]["path"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{config} is damaged or of another version: {error}. Train again.") from error

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of their ids."""
        return self.config.classes

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

    def normalise(self, image: NDArray, name: str = "the image") -> NDArray:
        """(H, W) or (H, W, C) raw pixels -> (H, W, C) float32, as the net was trained on."""
        return self.normalisation.apply(image if image.ndim == 3 else image[..., None], name)

    def files(self, split: str) -> set[str]:
        """SHA-256 of the image files that were "train" or "val" of this run."""
        path = self.path / self.FILES
        if not path.is_file():
            raise InputError(f"{path} is missing: without it nobody knows which files the run learnt from.")
        with path.open(newline="", encoding="utf-8") as file:
            return {row["sha256"] for row in csv.DictReader(file) if row["split"] == split}


def save_config(path: Path, config: TrainConfig, normalisation: Normalisation, data: Path) -> None:
    """Write the configuration of a new run, with the versions that made it."""
    import keras

    stored = {
        "train": {name: value for name, value in asdict(config).items() if value is not None},
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
    """Write which image file (split, name, sha256) was used for what."""
    with replacing(path / Run.FILES) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("split", "name", "sha256"))
        for split, samples in splits.items():
            names = (sample.name for sample in samples.samples)
            writer.writerows((split, name, sha256) for name, sha256 in zip(names, samples.sha256, strict=True))


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
    from importlib import import_module

    import keras

    return import_module(keras.backend.backend()).__version__


def config_changes(overrides: dict[str, Any]) -> dict[str, Any]:
    """Check names of configuration fields; raises InputError naming the nearest ones."""
    import difflib

    known = [f.name for f in fields(TrainConfig)]
    for name in overrides:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=3, cutoff=0)
            raise InputError(f"A run has no setting {name!r}; nearest: {', '.join(nearest)}.")
    if "classes" in overrides:
        return overrides | {"classes": class_names(overrides["classes"])}
    return overrides
