"""Everything that decides how a run is trained: names, limits, defaults."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from unet_tf.data.augment import Augmentation
from unet_tf.data.samples import Weighting
from unet_tf.errors import InputError
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


def config_changes(overrides: dict[str, Any]) -> dict[str, Any]:
    """Check names of configuration fields; raises InputError naming the nearest ones."""
    known = [f.name for f in fields(TrainConfig)]
    for name in overrides:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=3, cutoff=0)
            raise InputError(f"A run has no setting {name!r}; nearest: {', '.join(nearest)}.")
    if "classes" in overrides:
        return overrides | {"classes": class_names(overrides["classes"])}
    return overrides
