"""The options of `unet-tf export`, in the order of its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unet_tf.exporting.bundle import STATIC_TILE

Out = Annotated[
    Path | None,
    typer.Option(
        help="The bundle, a new folder; with --add-version one that stands.", show_default="RUN, if it is a bundle"
    ),
]
Tile = Annotated[
    int | None,
    typer.Option(
        help="Side of the TFLite files' input, pixels.", show_default=f"by the pictures, at most {STATIC_TILE}"
    ),
]
Data = Annotated[Path | None, typer.Option(help="The data of the run, if it was moved.", show_default="where it was")]
Variants = Annotated[str, typer.Option(help="TFLite files to make; '' for none.")]
Bfloat16 = Annotated[bool, typer.Option(help="A second SavedModel, in bfloat16.")]
Onnx = Annotated[bool, typer.Option("--onnx", help="ONNX files too: of any size, and of the static tile.")]
Web = Annotated[
    bool,
    typer.Option("--web", help="A page too, BUNDLE/web, that runs the net in browsers; npm fetches LiteRT.js."),
]
Bioimageio = Annotated[
    bool,
    typer.Option(
        "--bioimageio",
        help="A package of the BioImage Model Zoo too, bioimageio.zip, for Fiji and bioimageio.core. It shows a "
        "part of a validation picture. Needs --author and --license.",
    ),
]
Author = Annotated[
    list[str] | None,
    typer.Option(help="Who made the net, 'Name' or 'Name, Affiliation'; once for each.", show_default="none"),
]
License = Annotated[str, typer.Option(help="Its licence, an SPDX identifier such as MIT or CC-BY-4.0.")]
MaxIouDrop = Annotated[
    float, typer.Option(help="Largest loss of mean IoU against Keras; more, and nothing is exported.")
]
AddVersion = Annotated[
    bool,
    typer.Option(
        "--add-version",
        help="Add the SavedModel of this run to a bundle that stands, as its next version, saved_model/2: servers "
        "take it up at once, and whole. The run must have the classes, channels, pixel type and kind of masks of "
        "the bundle. TFLite files, model.keras, card and report stay those of version 1.",
    ),
]
Hub = Annotated[
    str | None,
    typer.Option(
        help="USER/NAME: publish the bundle there on the Hugging Face Hub, in one commit. RUN may be a bundle that "
        "stands. unet_tf.load('hf://USER/NAME') opens it.",
        show_default="not published",
    ),
]
Private = Annotated[bool, typer.Option("--private", help="With --hub: a new repository that others do not see.")]
