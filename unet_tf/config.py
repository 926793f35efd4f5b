"""Everything that decides how a run is trained: names, limits, defaults."""

from __future__ import annotations

import difflib
import math
import tomllib
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from unet_tf.data.augment import Augmentation
from unet_tf.data.mask_kind import MaskSettings, class_names
from unet_tf.data.masks import KINDS, UNKNOWN
from unet_tf.data.samples import CACHES
from unet_tf.data.weight_map import Weighting
from unet_tf.errors import InputError
from unet_tf.geometry import PADDINGS, Geometry

if TYPE_CHECKING:
    import keras

PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
OPTIMIZERS = ("adam", "sgd")


def _at_least(low: float) -> tuple[str, Callable[[Any], bool]]:
    return f"{low} or more", lambda value: value >= low


def _one_of(names: Sequence[str]) -> tuple[str, Callable[[Any], bool]]:
    return f"one of {', '.join(names)}", lambda value: value in names


_POSITIVE = ("above 0", lambda value: value > 0)
_RATE = ("a rate in [0, 1)", lambda value: 0 <= value < 1)
RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "classes": (
        f"2 to {UNKNOWN} different names",
        lambda names: 2 <= len(names) <= UNKNOWN and len({*names, ""}) == len(names) + 1,
    ),
    "masks": _one_of(("auto", *KINDS)),
    "padding": _one_of(PADDINGS),
    "precision": _one_of(("auto", *PRECISIONS)),
    "optimizer": _one_of(OPTIMIZERS),
    "cache": _one_of(CACHES),
    **dict.fromkeys(("rare_share", "warped"), ("in [0, 1]", lambda value: 0 <= value <= 1)),
    "val_share": ("between 0 and 1", lambda value: 0 < value < 1),
    "seed": ("in [0, 2**32)", lambda value: 0 <= value < 2**32),
    **dict.fromkeys(("minutes", "learning_rate", "clip_norm", "border_sigma"), _POSITIVE),
    **dict.fromkeys(("base_filters", "epochs", "steps_per_epoch", "batch_size", "patience"), _at_least(1)),
    **dict.fromkeys(("mask_tolerance", "depth", "border_weight"), _at_least(0)),
    **dict.fromkeys(("rotation", "elastic", "brightness", "gamma", "noise"), _at_least(0)),
    **dict.fromkeys(("dropout", "contrast"), _RATE),
    "scale": ("in [0, 0.9]", lambda value: 0 <= value <= 0.9),
}
"""What each value must be, in words and as a test; None, where a field may be it, always does."""

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "paper": {
        "base_filters": 64,
        "depth": 4,
        "padding": "valid",
        "batch_norm": False,
        "dropout": 0.5,
        "precision": "float32",
        "batch_size": 1,
        "optimizer": "sgd",
        "learning_rate": 1e-3,
        "border_weight": 10.0,
        "class_balance": True,
        "warped": 1.0,
        "rotation": 180.0,
        "elastic": 10.0,
    },
}
"""Named settings: `default` plans itself; `paper` is Ronneberger, Fischer, Brox (2015) where the paper says it."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides how a run is trained; saved in the run with every value resolved.

    What is None is chosen when the data is known (`unet_tf.planning.plan`), and the reason is printed and stored.

    Attributes:
        classes: names of the classes in the order of their ids, the first of them the background, or their number.
            None where the masks or their palette tell.
        masks: convention of the masks: "auto", "binary", "palette", "index" or "instance".
        void: what counts nowhere: class names, mask values, or colours "R,G,B".
        inverted: in binary masks 0 is class 1.
        mask_tolerance: largest distance at which another mask value is taken for the nearest known one: for JPEG and
            soft edges 128 if binary, 442 (any) in colours.
        base_filters: filters of the first level, doubled with each pooling; 64 in the paper.
        depth: number of poolings; 4 in the paper.
        padding: "valid" (the paper's) or "same".
        batch_norm: batch normalisation after each 3x3 convolution: trains small nets from few images much faster.
        dropout: rate at the end of the contracting path, in [0, 1).
        precision: "float32", "bfloat16" or "float16" for mixed precision, or "auto" for what is fastest here.
        epochs: how many times `steps_per_epoch` steps are made; None for no limit but `minutes`.
        minutes: time for reading, training and validation together; None for no limit but `epochs`, and for 15 if
            that is None too.
        steps_per_epoch: optimizer steps between validations; where `epochs` are given one pass over the training
            pixels, and 64 at least.
        batch_size: tiles a step, over all devices.
        tile: input size of a tile, pixels.
        optimizer: "adam", or "sgd" with the paper's momentum of 0.99.
        learning_rate: at its peak, after a linear warm-up over 2 % of the run and before a cosine to zero.
        clip_norm: largest norm of all gradients together; longer ones are scaled down to it.
        patience: epochs without a better validation mean IoU after which training ends.
        seed: of the start weights, the order and the augmentation.
        split_seed: of the split, where the data has no `val/`.
        val_share: share of the files held out where the data has no `val/`.
        group: regular expression; files in whose names it finds the same text are held out together.
        fold: "i/k" holds out the i-th of k folds instead of a share.
        cache: where decoded pairs are kept: "memory", "disk", "none" (decoded anew each time), or "auto" by size.
        rare_share: share of the tiles put on a pixel of a class, each class as often, so that rare ones appear.
        border_weight: weight of the paper's separation borders (w0, 10 there), 0 for none; left open 10 with instance
            masks and 0 with others.
        border_sigma: width of the separation borders (sigma), pixels.
        class_balance: whether the weight map balances the classes.
        flips: mirror each axis at random.
        warped: share of the tiles that are turned, scaled and bent; the others stay as sharp as the files.
        rotation: largest random turn, degrees.
        scale: largest random change of size, share.
        elastic: standard deviation of the elastic grid's vectors, pixels; 10 in the paper.
        contrast: largest random change of contrast, share.
        brightness: largest random change of brightness, standard deviations.
        gamma: largest random change of the grey values' exponent, share.
        noise: largest standard deviation of added noise, standard deviations of the images.
        void_outside: beyond the border of an image labels are void; else mirrored, as the image is.
    """

    classes: tuple[str, ...] | None = None
    masks: str = "auto"
    void: tuple[str, ...] = ()
    inverted: bool = False
    mask_tolerance: float = 0.0
    base_filters: int | None = None
    depth: int | None = None
    padding: str | None = None
    batch_norm: bool = True
    dropout: float = 0.0
    precision: str = "auto"
    epochs: int | None = None
    minutes: float | None = None
    steps_per_epoch: int | None = None
    batch_size: int | None = None
    tile: int | None = None
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    clip_norm: float | None = None
    patience: int | None = None
    seed: int = 0
    split_seed: int = 0
    val_share: float = 0.2
    group: str | None = None
    fold: str | None = None
    cache: str = "auto"
    rare_share: float | None = None
    border_weight: float | None = None
    border_sigma: float = 5.0
    class_balance: bool = False
    flips: bool = True
    warped: float = 0.25
    rotation: float = 15.0
    scale: float = 0.1
    elastic: float = 10.0
    contrast: float = 0.2
    brightness: float = 0.2
    gamma: float = 0.0
    noise: float = 0.0
    void_outside: bool = False

    def __post_init__(self) -> None:
        kinds = get_type_hints(TrainConfig)
        for name, kind in kinds.items():
            if not _is_a(value := getattr(self, name), kind):
                raise InputError(f"{name} is {_in_words(kind)}; received {value!r}.")
        for name, (rule, holds) in RULES.items():
            if (value := getattr(self, name)) is not None and not holds(value):
                raise InputError(f"{name} is {rule}; received {value!r}.")
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"{name} is a finite number; received {value!r}.")
        if self.depth is not None and self.padding is not None and self.tile is not None:
            self.geometry.check(self.tile)

    @property
    def num_classes(self) -> int:
        """Channels of the logits.

        Raises:
            InputError: the classes are left to the data.
        """
        if self.classes is None:
            raise InputError("The number of classes is open until data is read. State classes.")
        return len(self.classes)

    @property
    def mask_settings(self) -> MaskSettings:
        """The part of the configuration that says what masks mean."""
        return MaskSettings(self.masks, self.classes, self.void, self.inverted, self.mask_tolerance)

    @property
    def geometry(self) -> Geometry:
        """Sizes of the net.

        Raises:
            InputError: depth or padding are left to the data.
        """
        if self.depth is None or self.padding is None:
            raise InputError("The sizes of the net are open until data is read. State depth and padding.")
        return Geometry(self.depth, self.padding)

    @property
    def augmentation(self) -> Augmentation:
        """The part of the configuration that changes tiles."""
        return Augmentation(**{f.name: getattr(self, f.name) for f in fields(Augmentation) if f.name != "shift"})

    @property
    def weighting(self) -> Weighting:
        """The part of the configuration that makes weight maps."""
        return Weighting(self.class_balance, self.border_weight or 0.0, self.border_sigma)

    def build(self, channels: int) -> keras.Model:
        """A new net of this configuration, in its precision."""
        import keras

        from unet_tf.model.unet import unet

        geometry = self.geometry
        if self.base_filters is None or self.precision == "auto":
            raise InputError("The width of the net is open until it is measured. State base_filters and precision.")
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy(PRECISIONS[self.precision])
        try:
            return unet(
                (None, None, channels),
                self.num_classes,
                self.base_filters,
                geometry.depth,
                geometry.padding,
                self.batch_norm,
                self.dropout,
            )
        finally:
            keras.config.set_dtype_policy(policy)


def read_config(path: str | Path) -> dict[str, Any]:
    """Settings from a TOML file: fields of `TrainConfig` and `preset`, at the top or in a table `train`.

    The `config.toml` of a run is such a file.

    Raises:
        InputError: the file cannot be read, or names a setting that does not exist.
    """
    path = Path(path)
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    except (OSError, ValueError) as error:
        raise InputError(f"Settings are a TOML file, such as the config.toml of a run; {path}: {error}.") from error
    table = stored.get("train", stored)
    if not isinstance(table, dict):
        raise InputError(f"{path}: train is a table of settings; received {table!r}.")
    preset = table.get("preset", "default")
    return preset_settings(preset) | config_changes({k: v for k, v in table.items() if k != "preset"})


def preset_settings(name: str) -> dict[str, Any]:
    """The settings of a preset.

    Raises:
        InputError: there is no such preset.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise InputError(f"A preset is one of {', '.join(PRESETS)}; received {name!r}.")
    return dict(PRESETS[name])


def config_changes(overrides: dict[str, Any]) -> dict[str, Any]:
    """Check names of configuration fields, and bring the values of classes and void to their form.

    Raises:
        InputError: a name is none; the message has the nearest ones.
    """
    known = [f.name for f in fields(TrainConfig)]
    for name in overrides:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=3, cutoff=0)
            raise InputError(f"A run has no setting {name!r}; nearest: {', '.join(nearest)}.")
    if (classes := overrides.get("classes")) is not None:
        if isinstance(classes, bool) or not isinstance(classes, (int, str, list, tuple)):
            raise InputError(f"classes is their number, or their names; received {classes!r}.")
        overrides = overrides | {"classes": class_names(classes)}
    if "void" in overrides:
        void = overrides["void"]
        if isinstance(void, bool) or not isinstance(void, (int, str, list, tuple)):
            raise InputError(f"void is a class, a mask value or a colour, or a list of these; received {void!r}.")
        overrides = overrides | {"void": tuple(map(str, void)) if isinstance(void, (list, tuple)) else (str(void),)}
    return overrides


def _is_a(value: Any, kind: Any) -> bool:
    """Whether a value is of an annotated type; a whole number is a float too, a bool is no number."""
    if isinstance(kind, types.UnionType):
        return any(_is_a(value, one) for one in get_args(kind))
    if kind == tuple[str, ...]:
        return isinstance(value, tuple) and all(isinstance(one, str) for one in value)
    if kind in (int, float):
        return isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
    return isinstance(value, kind)


def _in_words(kind: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", types.NoneType: "not set"}
    if isinstance(kind, types.UnionType):
        return " or ".join(_in_words(one) for one in get_args(kind))
    return names.get(kind, "a tuple of texts")
