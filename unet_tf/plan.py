"""What a run does: every setting with its value, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from unet_tf.config import AUTO, PRECISIONS, Settings, TrainConfig
from unet_tf.errors import InputError
from unet_tf.geometry import Geometry

if TYPE_CHECKING:
    import keras

UNSAID: dict[str, Any] = {
    "epochs": math.inf,
    "minutes": math.inf,
    "patience": math.inf,
    "group": "",
    "fold": "",
    "start_from": "",
}
"""What a `Plan` holds where a person set no limit, or asked for no groups, no folds and no other start."""


@dataclass(frozen=True, kw_only=True)
class Plan(Settings):
    """Everything that a run does: each setting with its value, and why each that was left open has the value it has.

    Attributes are those of `TrainConfig`, and none is None: no limit is infinite; no group, no fold and no net to start
    from are "".

    Attributes:
        reasons: name of a setting -> why it has its value; those that a person said have no reason.
    """

    classes: tuple[str, ...]
    masks: str
    base_filters: int
    depth: int
    padding: str
    precision: str
    epochs: float
    minutes: float
    steps_per_epoch: int
    val_tiles: int
    patience: float
    start_from: str
    learning_rate: float
    loss: str
    batch_size: int
    tile: int
    val_share: float
    group: str
    fold: str
    upright: bool
    threshold: float | str
    rare_share: float
    border_class: int
    border_weight: float
    reasons: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, config: TrainConfig, reasons: Mapping[str, str]) -> Plan:
        """The plan that does what a configuration says.

        Args:
            config: a configuration in which nothing is left open.
            reasons: as the attribute.

        Raises:
            InputError: something is left open.
        """
        said: dict[str, Any] = asdict(config)
        filled: dict[str, Any] = {name: UNSAID.get(name) for name, value in said.items() if value is None}
        values = said | filled
        chosen = {*AUTO} - {"cache"}  # which is chosen anew each time
        if still_open := [n for n, value in values.items() if value is None or (value == "auto" and n in chosen)]:
            raise InputError(f"A plan must hold every value; these are open: {', '.join(still_open)}.")
        if values["epochs"] == values["minutes"] == math.inf:
            raise InputError("A plan must come to an end; it has neither epochs nor minutes.")
        return cls(**values, reasons=dict(reasons))

    @property
    def config(self) -> TrainConfig:
        """The configuration that asks for this plan, and leaves nothing open."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(TrainConfig)}
        unsaid: dict[str, Any] = {name: None for name, value in UNSAID.items() if values[name] == value}
        return TrainConfig(**values | unsaid)

    @property
    def num_classes(self) -> int:
        """Channels of the logits."""
        return len(self.classes)

    @property
    def geometry(self) -> Geometry:
        """Sizes of the net."""
        return Geometry(self.depth, self.padding)

    def build(self, channels: int) -> keras.Model:
        """Make a new net for images of so many channels, in the precision of the plan."""
        import keras

        from unet_tf.model.unet import unet

        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy(PRECISIONS[self.precision])
        try:
            sizes = self.base_filters, self.depth, self.padding
            return unet((None, None, channels), self.num_classes, *sizes, self.batch_norm, self.dropout)
        finally:
            keras.config.set_dtype_policy(policy)

    @property
    def words(self) -> str:
        """The net and its training in a sentence."""
        limits = [
            f"{value:g} {name}"
            for name, value in (("epochs", self.epochs), ("minutes", self.minutes))
            if math.isfinite(value)
        ]
        return (
            f'A net of depth {self.depth} with {self.base_filters} base filters, "{self.padding}" padding and '
            f"{self.num_classes} classes ({', '.join(self.classes)}); {self.batch_size} tiles of {self.tile} px a "
            f"step, {self.steps_per_epoch} steps an epoch, {' or '.join(limits)} at most; {self.precision}."
        )

    def _repr_html_(self) -> str:
        """What a notebook shows: what was chosen and why, and, to be unfolded, what was said."""
        from unet_tf.pages.notebook import Table, show_object

        values = {f.name: _text(getattr(self, f.name)) for f in fields(TrainConfig)}
        chosen = [(name, values[name], reason) for name, reason in self.reasons.items() if name in values]
        said = [(name, value) for name, value in values.items() if name not in self.reasons]
        tables = [
            Table(chosen, ("setting", "value", "why"), of_words=True),
            Table(said, ("setting", "value"), of_words=True, folded=f"{len(said)} more settings"),
        ]
        return show_object("Plan", "", self.words, tables)


def _text(value: Any) -> str:
    """A setting as people read it."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "no limit" if value == math.inf else str(value) or "none"
