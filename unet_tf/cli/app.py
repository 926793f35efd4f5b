"""The app that all verbs join, the arguments that several take, and which of them stand in a command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from unet_tf.cli.console import console
from unet_tf.cli.options import flag
from unet_tf.config import PRESETS
from unet_tf.version import __version__

app = typer.Typer(
    name="unet-tf",
    help="The U-Net paper made whole in Keras 3: train, judge, predict at any size, export.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
Data = Annotated[
    Path,
    typer.Argument(help="Folder with images/ and masks/ (equal names), train/ val/ test/ of them, or train.txt lists."),
]
DataOrNone = Annotated[
    Path | None,
    typer.Argument(help="Folder of images and masks, as for check. Beside --resume: where it is now.", metavar="DATA"),
]
ConfigFile = Annotated[
    Path | None, typer.Option(help="TOML file of settings, such as the config.toml of a run; flags override it.")
]
Preset = Annotated[str | None, typer.Option(help=f"Named settings below file and flags: {', '.join(PRESETS)}.")]
RunFolder = Annotated[Path, typer.Argument(help="Folder that train or crossval filled.", metavar="RUN")]
Threshold = Annotated[
    float | None,
    typer.Option(
        help="Of two classes: a pixel is class 1 where its probability is above it.", show_default="that of the run"
    ),
]


def said(context: typer.Context, names: Sequence[str]) -> list[str]:
    """Those of the options that stand in the command, whatever they say."""
    sources = {name: context.get_parameter_source(name) for name in names}
    return [flag(name) for name, one in sources.items() if one and one.name == "COMMANDLINE"]


def _version(wanted: bool) -> None:
    if wanted:
        console.print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
