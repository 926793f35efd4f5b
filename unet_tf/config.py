"""Everything that decides how a run is trained: names, limits, defaults."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from unet_tf.data.augment import Augmentation
from unet_tf.data.masks import KINDS, UNKNOWN
from unet_tf.data.recognition import MaskSettings, class_names
from unet_tf.data.samples import CACHES, Weighting
from unet_tf.errors import InputError
from unet_tf.geometry import Geometry

if TYPE_CHECKING:
    import keras

PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides how a run is trained; saved in the run with every value resolved.

    Attributes:
        classes: names of the classes in the order of their ids; the first is the background. None where the masks or
            their palette tell.
        masks: "auto", "binary", "palette", "index" or "instance": `MaskFormat.kind`.
        void: what counts nowhere: class names, mask values, or colours "R,G,B".
        inverted: in binary masks 0 is class 1.
        mask_tolerance: largest distance at which another mask value is taken for the nearest known one.
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
        group: regular expression; files in whose names it finds the same text are held out together.
        fold: "i/k" holds out the i-th of k folds instead of a share.
        cache: where decoded pairs are kept: "memory", "disk", "none" (decoded anew each time), or "auto" by size.
        rare_share: share of the tiles put on a pixel of a class, each class as often, so that rare ones appear.
        border_weight: w0 of the paper's separation borders (10 there), 0 for none; None for 10 with instance masks and
            0 with others.
        border_sigma: their width, pixels.
        class_balance: whether the weight map balances the classes.
        flips: mirror each axis at random.
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
    group: str | None = None
    fold: str | None = None
    cache: str = "auto"
    rare_share: float = 0.0
    border_weight: float | None = None
    border_sigma: float = 5.0
    class_balance: bool = False
    flips: bool = True
    rotation: float = 15.0
    scale: float = 0.1
    elastic: float = 10.0
    contrast: float = 0.2
    brightness: float = 0.2
    gamma: float = 0.0
    noise: float = 0.0
    void_outside: bool = False

    def __post_init__(self) -> None:
        rules = {
            "classes": (
                self.classes is None
                or (2 <= len(self.classes) <= UNKNOWN and len({*self.classes, ""}) == len(self.classes) + 1),
                f"2 to {UNKNOWN} different names",
            ),
            "masks": (self.masks in ("auto", *KINDS), f"one of auto, {', '.join(KINDS)}"),
            "mask_tolerance": (self.mask_tolerance >= 0, "0 or more"),
            "cache": (self.cache in CACHES, f"one of {', '.join(CACHES)}"),
            "rare_share": (0 <= self.rare_share <= 1, "in [0, 1]"),
            "precision": (self.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
            "epochs": (self.epochs is None or self.epochs >= 1, "1 or more"),
            "minutes": (self.minutes is None or self.minutes > 0, "above 0"),
            "min_steps": (self.min_steps >= 1, "1 or more"),
            "batch_size": (self.batch_size >= 1, "1 or more"),
            "learning_rate": (self.learning_rate > 0, "above 0"),
            "patience": (self.patience is None or self.patience >= 1, "1 or more"),
            "val_share": (0 < self.val_share < 1, "between 0 and 1"),
            "border_weight": (self.border_weight is None or self.border_weight >= 0, "0 or more"),
            "border_sigma": (self.border_sigma > 0, "above 0"),
            "seed": (0 <= self.seed < 2**32, "in [0, 2**32)"),
            **{
                name: (getattr(self, name) >= 0, "0 or more")
                for name in ("rotation", "elastic", "brightness", "gamma", "noise")
            },
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
        """Sizes of the net."""
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
    if "classes" in overrides:
        overrides = overrides | {"classes": class_names(overrides["classes"])}
    if "void" in overrides:
        void = overrides["void"]
        overrides = overrides | {"void": (str(void),) if isinstance(void, str | int) else tuple(map(str, void))}
    return overrides
