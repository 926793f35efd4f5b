"""Command-line options from the fields of `TrainConfig`: one place says each setting's name, type, default and help."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Annotated, Any, get_type_hints

import typer

from unet_tf.config import NAMING, TrainConfig
from unet_tf.plan import UNSAID

PANELS = {
    "Data": (
        "classes", "masks", "void", "inverted", "mask_tolerance", *NAMING, "channels", "channel_suffix", "context",
        "val_share", "group", "fold", "split_seed", "cache",
    ),
    "Net": ("base_filters", "depth", "padding", "batch_norm", "dropout", "precision", "start_from", "logits_scale"),
    "Course": (
        "epochs", "minutes", "steps_per_epoch", "val_tiles", "patience", "loss", "optimizer", "learning_rate", "seed",
        "threshold",
    ),
    "Tiles and their weights": (
        "tile", "batch_size", "rare_share", "class_balance", "border_weight", "border_sigma", "border_class", "flips",
        "upright", "warped", "rotation", "scale", "elastic", "contrast", "brightness",
    ),
}  # fmt: skip
FLAGS = {"start_from": "--from"}
"""Options that are called otherwise than their settings: `from` is a word of Python's own."""
SETTINGS = tuple(name for names in PANELS.values() for name in names)


def flag(name: str) -> str:
    """The option of a setting, as it is typed."""
    return FLAGS.get(name, f"--{name.replace('_', '-')}")


def with_settings(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each of these settings; those that are given arrive in its argument `settings`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def with_options(**arguments: Any) -> None:
            values = {name: arguments.pop(name) for name in names}
            command(**arguments, settings={n: v for n, v in values.items() if v is not None and v != []})

        hints = get_type_hints(command, include_extras=True)
        own = [p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY)
               for p in inspect.signature(command).parameters.values() if p.name != "settings"]  # fmt: skip
        parameters = own + [_option(name) for name in names]
        with_options.__name__, with_options.__doc__ = command.__name__, command.__doc__
        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {p.name: p.annotation for p in parameters}
        return with_options

    return decorate


def _option(name: str) -> inspect.Parameter:
    setting = next(f for f in fields(TrainConfig) if f.name == name)
    kinds: dict[str, Any] = {
        "classes": str,
        "void": list[str],
        "channels": str,
        "channel_suffix": str,
        "threshold": str,
    }
    kind = kinds.get(name) or next(k for k in _members(get_type_hints(TrainConfig)[name]) if k is not type(None))
    panel = next(panel for panel, some in PANELS.items() if name in some)
    text = setting.metadata["words"]
    option = typer.Option(
        *([FLAGS[name]] if name in FLAGS else []),
        help=f"{text[0].upper()}{text[1:]}.",
        show_default=_default(name, setting.default),
        rich_help_panel=panel,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _default(name: str, default: Any) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    if name == "minutes":
        return "15 without --epochs"
    if default is None and name not in UNSAID:
        return "by the data"
    if name == "channels":
        return "all"
    return "none" if default in (None, (), "") else str(default)


def _members(kind: Any) -> tuple[Any, ...]:
    return getattr(kind, "__args__", None) or (kind,)
