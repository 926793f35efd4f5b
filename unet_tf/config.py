"""What a person may say of a run: names, limits, defaults."""

from __future__ import annotations

import difflib
import math
import numbers
import os
import tomllib
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

import numpy as np

from unet_tf.data.augment import Augmentation
from unet_tf.data.channels import Channels
from unet_tf.data.mask_kind import MaskSettings, class_names
from unet_tf.data.masks import KINDS, MOST_BORDER, UNKNOWN
from unet_tf.data.naming import Naming
from unet_tf.data.samples import CACHES
from unet_tf.errors import InputError
from unet_tf.geometry import PADDINGS, Geometry
from unet_tf.model.calibration import BEST, HALF, parse_threshold

PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
OPTIMIZERS = ("muon", "adam", "sgd")
LOSSES = ("crossentropy", "crossentropy_dice")
REMOVED: dict[str, Any] = {"gamma": 0.0, "noise": 0.0, "void_outside": False}
"""Settings of version 0.1 that are no more and had a value at which they did nothing, with this value."""

AUTO = ("masks", "precision", "cache")
"""Settings that "auto" leaves open; in others, such as names of folders, it is a word like any."""

NAMING = ("images_dir", "masks_dir", "mask_prefix", "mask_suffix")
"""Settings by which files are paired."""

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "paper": {
        "base_filters": 64, "depth": 4, "padding": "valid", "batch_norm": False, "dropout": 0.5, "precision": "float32",
        "batch_size": 1, "loss": "crossentropy", "optimizer": "sgd", "learning_rate": 1e-3, "logits_scale": 1.0,
        "border_weight": 10.0, "class_balance": True, "threshold": HALF, "warped": 1.0, "rotation": 180.0,
        "elastic": 10.0,
    },
}  # fmt: skip
"""Named settings: `default` plans itself; `paper` is Ronneberger, Fischer, Brox (2015) where the paper says it."""


class Rule(NamedTuple):
    """What a value must be, in words and as a test."""

    words: str
    holds: Callable[[Any], bool]


def _one_of(names: Sequence[str]) -> Rule:
    return Rule(f"one of {', '.join(names)}", lambda value: value in names)


_ANY = Rule("", lambda value: True)
_POSITIVE = Rule("above 0", lambda value: value > 0)
_COUNT = Rule("1 or more", lambda value: value >= 1)
_NOT_NEGATIVE = Rule("0 or more", lambda value: value >= 0)
_SHARE = Rule("in [0, 1]", lambda value: 0 <= value <= 1)
_RATE = Rule("a rate in [0, 1)", lambda value: 0 <= value < 1)
_ZOOM = Rule("in [0, 0.9]", lambda value: 0 <= value <= 0.9)
_CONTEXT = Rule("0 to 16", lambda value: 0 <= value <= 16)
_RIM = Rule(f"0 to {MOST_BORDER}", lambda value: 0 <= value <= MOST_BORDER)
_SEED = Rule("in [0, 2**32)", lambda value: 0 <= value < 2**32)
_NAMES = Rule(
    f"2 to {UNKNOWN} different names", lambda names: 2 <= len(names) <= UNKNOWN and len({*names, ""}) == len(names) + 1
)

_THRESHOLD = Rule(
    f'above 0 and below 1, or "{BEST}"', lambda value: value == BEST if isinstance(value, str) else 0 < value < 1
)

_DIFFERENT = Rule("different names or numbers", lambda names: len({*names, ""}) == len(names) + 1)
_ENDINGS = Rule(
    "2 or more different endings, none of which ends in another",
    lambda names: not names or (len(names) > 1 and _DIFFERENT.holds(names) and not _end_alike(names)),
)


def _end_alike(names: Sequence[str]) -> bool:
    return any(one != other and one.endswith(other) for one in names for other in names)


def _setting(default: Any, rule: Rule, words: str, *, by_name: bool = True) -> Any:
    return field(default=default, kw_only=by_name, metadata={"words": words, "rule": rule})


# fmt: off
@dataclass(frozen=True)
class Settings:
    """The settings that have a value whatever the data is."""

    channels: tuple[str, ...] = _setting((), _DIFFERENT,
        "which channels of the images the net takes, by name or number from 0, in this order")
    channel_suffix: tuple[str, ...] = _setting((), _ENDINGS,
        "what the names of the files of one image end in, one for each file: _dapi,_gfp for a_dapi.tif and a_gfp.tif")
    context: int = _setting(0, _CONTEXT,
        "planes of a stack before and behind each that are its channels too, mirrored at the ends")
    void: tuple[str, ...] = _setting((), _ANY, 'what is ignored: class names, mask values, or colours "R,G,B"')
    inverted: bool = _setting(False, _ANY, "in binary masks 0 is class 1")
    images_dir: str = _setting("", _ANY,
        "folder of the images in DATA, or in each split of it, where its name does not say so")
    masks_dir: str = _setting("", _ANY, "folder of the masks, likewise")
    mask_prefix: str = _setting("", _ANY, "what stands before the name of the image in that of its mask")
    mask_suffix: str = _setting("", _ANY,
        'what stands behind it, such as "_1stHO" where two people drew masks, or "_gt.png"')
    mask_tolerance: float = _setting(0.0, _NOT_NEGATIVE,
        "largest distance at which another mask value is taken for the nearest known one: for JPEG and soft edges 128 "
        "if binary, 442 (any) in colours")
    batch_norm: bool = _setting(True, _ANY,
        "batch normalisation after each 3x3 convolution: trains small nets from few images much faster")
    dropout: float = _setting(0.0, _RATE, "rate at the end of the contracting path, in [0, 1)")
    optimizer: str = _setting("muon", _one_of(OPTIMIZERS),
        '"muon", which is Adam but for orthogonal steps of the convolutions\' kernels, "adam", or "sgd" with the '
        "paper's momentum of 0.99")
    logits_scale: float = _setting(0.3, _POSITIVE,
        "factor of the logits' He-normal start: small, a net begins at the class shares of the training pixels; 1 in "
        "the paper")
    seed: int = _setting(0, _SEED, "of the start weights, the order and the augmentation")
    split_seed: int = _setting(0, _SEED, "of the split, where the data has no `val/`")
    cache: str = _setting("auto", _one_of(CACHES),
        'where decoded pairs are kept: "memory", "disk", "none" (decoded anew each time), or "auto" by size')
    border_sigma: float = _setting(5.0, _POSITIVE, "width of the separation borders (sigma), pixels")
    class_balance: bool = _setting(False, _ANY, "whether the weight map balances the classes")
    flips: bool = _setting(True, _ANY, "mirror each axis at random")
    warped: float = _setting(0.25, _SHARE,
        "share of the tiles that are turned, scaled and bent; the others stay as sharp as the files")
    rotation: float = _setting(15.0, _NOT_NEGATIVE, "largest random turn, degrees")
    scale: float = _setting(0.1, _ZOOM, "largest random change of size, share")
    elastic: float = _setting(10.0, _NOT_NEGATIVE,
        "standard deviation of the elastic grid's vectors, pixels; 10 in the paper")
    contrast: float = _setting(0.2, _RATE, "largest random change of contrast, share")
    brightness: float = _setting(0.2, _NOT_NEGATIVE, "largest random change of brightness, standard deviations")

    @property
    def naming(self) -> Naming:
        """Where images and masks lie, and how their names differ, as far as it is said."""
        images, masks = (one and Path(one).as_posix() for one in (self.images_dir, self.masks_dir))  # masks/ is masks
        return Naming(images, masks, self.mask_prefix, self.mask_suffix)

    @property
    def augmentation(self) -> Augmentation:
        """How far training tiles may differ from the files."""
        return Augmentation(**{f.name: getattr(self, f.name) for f in fields(Augmentation)})

    @property
    def source(self) -> Channels:
        """How the channels of the images come from picture files."""
        return Channels(self.channels, self.channel_suffix, self.context)


@dataclass(frozen=True)
class TrainConfig(Settings):
    """Everything that a person may say of a run.

    What is None, or of `masks`, `precision` and `cache` "auto", is chosen when the data is known
    (`unet_tf.planning.plan`); the reason is said and stored.

    Raises:
        InputError: a value is of another type, or outside of its limits.
    """

    classes: tuple[str, ...] | None = _setting(None, _NAMES,
        "names of the classes in the order of their ids, the first of them the background, or their number; None where "
        "the masks or their palette tell", by_name=False)
    masks: str = _setting("auto", _one_of(("auto", *KINDS)),
        'convention of the masks: "auto", "binary", "palette", "index" or "instance"')
    base_filters: int | None = _setting(None, _COUNT,
        "filters of the first level, doubled with each pooling; 64 in the paper")
    depth: int | None = _setting(None, _NOT_NEGATIVE, "number of poolings; 4 in the paper")
    padding: str | None = _setting(None, _one_of(PADDINGS), '"valid" (the paper\'s) or "same"')
    precision: str = _setting("auto", _one_of(("auto", *PRECISIONS)),
        '"float32", "bfloat16" or "float16" for mixed precision, or "auto" for what is fastest here')
    epochs: int | None = _setting(None, _COUNT,
        "how many times `steps_per_epoch` steps are made; None for no limit but `minutes`")
    minutes: float | None = _setting(None, _POSITIVE,
        "time for reading, training and validation together; None for no limit but `epochs`, and for 15 if that is "
        "None too")
    steps_per_epoch: int | None = _setting(None, _COUNT,
        "optimizer steps between validations; where `epochs` are given one pass over the training pixels, and 64 at "
        "least")
    val_tiles: int | None = _setting(None, _NOT_NEGATIVE,
        "tiles of the held-out files that each validation looks at, always the same ones; left open as many as take "
        "5 % of the time")
    patience: int | None = _setting(None, _COUNT,
        "epochs without a better validation score after which training ends")
    start_from: str | None = _setting(None, _ANY,
        "a run, a bundle, a .keras file or hf://USER/NAME of the Hugging Face Hub, from whose weights the net starts, "
        "as far as they fit")
    learning_rate: float | None = _setting(None, _POSITIVE,
        "at its peak, after a linear warm-up over 2 % of the run and before a linear fall to zero in its second half; "
        "left open 1e-3, and 3e-4 from a trained net")
    loss: str | None = _setting(None, _one_of(LOSSES),
        '"crossentropy", the paper\'s weighted cross-entropy, or "crossentropy_dice", with a soft Dice loss beside it '
        "that counts rare classes most")
    batch_size: int | None = _setting(None, _COUNT, "tiles a step, over all devices")
    tile: int | None = _setting(None, _ANY, "input size of a tile, pixels")
    val_share: float | None = _setting(None, _RATE,
        "share of the files held out where the data has no `val/`, 0 to train on all and keep the last epoch; left "
        "open 0.2, and 0.1 of few files")
    group: str | None = _setting(None, _ANY,
        "regular expression; files in whose names it finds the same text are held out together")
    fold: str | None = _setting(None, _ANY, '"i/k" holds out the i-th of k folds instead of a share')
    upright: bool | None = _setting(None, _ANY,
        "whether pictures have an up, as photographs of streets do, and no flip turns tiles upside down")
    threshold: float | str | None = _setting(None, _THRESHOLD,
        'of two classes: the probability above which a pixel is class 1, or "best" for the one nearest to 0.5 within '
        "a standard error of the best IoU on the validation files; left open 0.5, and best where class 1 is rare")
    rare_share: float | None = _setting(None, _SHARE,
        "share of the tiles put on a pixel of a class, each class as often, so that rare ones appear")
    border_class: int | None = _setting(None, _RIM,
        "width in pixels of the border of each object, which is a class of its own, border, and separates touching "
        "objects: with instance masks alone; 0 for none; left open 1 with them, and none where a border weight or a "
        "threshold is given, which are of two classes")
    border_weight: float | None = _setting(None, _NOT_NEGATIVE,
        "weight of the paper's separation borders (w0, 10 there), 0 for none; left open 10 with instance masks that "
        "have no border class, and 0 with others")
    # fmt: on

    def __post_init__(self) -> None:
        kinds = get_type_hints(TrainConfig)
        for one in fields(self):
            name, rule = one.name, one.metadata["rule"]
            value = _in_form(name, getattr(self, name))
            plain = _plain(value, kinds[name])
            if plain is _WRONG:
                raise InputError(f"{name} must be {_in_words(kinds[name])}; received {value!r}.")
            if isinstance(plain, float) and not math.isfinite(plain):
                raise InputError(f"{name} must be a finite number; received {value!r}.")
            if plain is not None and not rule.holds(plain):
                raise InputError(f"{name} must be {rule.words}; received {value!r}.")
            object.__setattr__(self, name, plain)
        if self.depth is not None and self.padding is not None and self.tile is not None:
            Geometry(self.depth, self.padding).check(self.tile)

    @property
    def of_two_classes(self) -> bool:
        """Whether something is said that object ids have only where their borders are no class."""
        return self.border_weight is not None or self.threshold is not None

    @property
    def mask_settings(self) -> MaskSettings:
        """What is said of the masks."""
        border = 0 if self.border_class is None and self.of_two_classes else self.border_class
        return MaskSettings(self.masks, self.classes, self.void, self.inverted, self.mask_tolerance, border)


def read_config(path: str | Path) -> dict[str, Any]:
    """Settings from a TOML file: fields of `TrainConfig` and `preset`, all at the top or all in a table `train`.

    The `config.toml` of a run is such a file.

    Raises:
        InputError: the file cannot be read, names a setting that does not exist, or has some outside of the table.
    """
    path = Path(path)
    try:
        stored = tomllib.loads(path.read_text(encoding="utf-8-sig", errors="surrogateescape"))
    except (OSError, ValueError) as error:
        raise InputError(f"Settings must be a TOML file, such as the config.toml of a run; {path}: {error}.") from error
    table = stored.get("train", stored)
    if not isinstance(table, dict):
        raise InputError(f"{path}: train must be a table of settings; received {table!r}.")
    known = {"train", "command", *(name for name, one in stored.items() if "plan" in stored and isinstance(one, dict))}
    others = [name for name in stored if name not in known]  # a run writes its plan, and further tables beside it
    if others and table is not stored:
        raise InputError(
            f"{path}: settings must stand in the table train where there is one; received {', '.join(others)} outside "
            "of it. Move them below [train], or remove what is no setting."
        )
    preset = table.pop("preset", "default")
    check_names(kept := without_removed(table))
    return preset_settings(preset) | kept


def without_removed(table: dict[str, Any]) -> dict[str, Any]:
    """Settings without those that are no more, as far as they did nothing."""
    return {name: value for name, value in table.items() if name not in REMOVED or value != REMOVED[name]}


def preset_settings(name: str) -> dict[str, Any]:
    """The settings of a preset.

    Raises:
        InputError: there is no such preset.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise InputError(f"A preset must be one of {', '.join(PRESETS)}; received {name!r}.")
    return dict(PRESETS[name])


def changed(config: TrainConfig | None, changes: Mapping[str, Any]) -> TrainConfig:
    """A configuration, or the default one, with some settings said.

    Raises:
        InputError: as of `check_names` and `TrainConfig`.
    """
    check_names(changes)
    return replace(config or TrainConfig(), **changes)


def check_names(names: Iterable[str]) -> None:
    """Check names of configuration fields.

    Raises:
        InputError: a name is none; the message has the nearest ones.
    """
    known = [f.name for f in fields(TrainConfig)]
    for name in names:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=3, cutoff=0)
            raise InputError(f"A run has no setting {name!r}; nearest: {', '.join(nearest)}.")


def _in_form(name: str, value: Any) -> Any:
    """A setting that may be said in several ways in the one in which it is kept; others as they are.

    Raises:
        InputError: classes, void or channels are of no type that says them, or a threshold is no number.
    """
    if name == "classes" and value is not None:
        if isinstance(value, bool) or not isinstance(value, (numbers.Integral, str, list, tuple)):
            raise InputError(f"classes must be their number, or their names; received {value!r}.")
        return class_names(int(value) if isinstance(value, numbers.Integral) else value)
    if name == "void":
        if isinstance(value, bool) or not isinstance(value, (numbers.Integral, str, list, tuple)):
            raise InputError(f"void must be a class, a mask value or a colour, or a list of these; received {value!r}.")
        return _void_texts(value) if isinstance(value, (list, tuple)) else (str(value),)
    if name in ("channels", "channel_suffix"):
        return _texts(name, value)
    if name == "threshold" and isinstance(value, str):
        return parse_threshold(value)
    return os.fspath(value) if name == "start_from" and isinstance(value, os.PathLike) else value


def _void_texts(value: Sequence[Any]) -> tuple[str, ...]:
    """The texts of a list of what is void, whose numbers are classes or values; a colour may be three in a list."""
    found = tuple(",".join(map(str, one)) if isinstance(one, (list, tuple)) else str(one) for one in value)
    if len(value) == 3 and len(set(found)) < 3 and all(isinstance(one, numbers.Integral) for one in value):
        raise InputError(
            f"void must name each class, value or colour once; received {list(value)}. A colour is one text, "
            f'"{",".join(found)}", or a list in the list.'
        )
    return found


def _texts(name: str, value: Any) -> tuple[str, ...]:
    """The texts of a list, or of one text with commas between them; whole numbers are texts too."""
    if isinstance(value, bool) or not isinstance(value, (numbers.Integral, str, list, tuple)):
        raise InputError(f"{name} must be texts with commas between them, or a list of these; received {value!r}.")
    listed = value if isinstance(value, (list, tuple)) else str(value).split(",") if value != "" else ()
    return tuple(str(one).strip() for one in listed)


def naming_changes(said: dict[str, Any]) -> dict[str, Any]:
    """Check names of the settings by which files are paired.

    Raises:
        InputError: a name is none of these.
    """
    if others := said.keys() - set(NAMING):
        raise InputError(f"Files are paired by {', '.join(NAMING)}; received {', '.join(sorted(others))}.")
    return said


_WRONG = object()


def _plain(value: Any, kind: Any) -> Any:
    """The value as Python's own type, where it is of an annotated type; a whole number is a float too, a bool is none.

    NumPy's scalars are numbers as well. `_WRONG` stands for a value of another type.
    """
    if isinstance(kind, types.UnionType):
        return next((plain for one in get_args(kind) if (plain := _plain(value, one)) is not _WRONG), _WRONG)
    if kind == tuple[str, ...]:
        of_texts = isinstance(value, tuple) and all(isinstance(one, str) for one in value)
        return tuple(map(str, value)) if of_texts else _WRONG
    accepted: Any = {bool: (bool, np.bool_), int: numbers.Integral, float: numbers.Real}.get(kind, kind)
    if not isinstance(value, accepted) or (kind in (int, float) and isinstance(value, bool)):
        return _WRONG
    try:
        return value if value is None else kind(value)
    except OverflowError:  # a whole number beyond all floats
        return _WRONG


def _in_words(kind: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", types.NoneType: "not set"}
    if isinstance(kind, types.UnionType):
        return " or ".join(_in_words(one) for one in get_args(kind))
    return names.get(kind, "a tuple of texts")


_WORDS = "\n".join(f"        {one.name}: {one.metadata['words']}." for one in fields(TrainConfig))
TrainConfig.__doc__ = f"{TrainConfig.__doc__ or ''}\n    Attributes:\n{_WORDS}\n    "
