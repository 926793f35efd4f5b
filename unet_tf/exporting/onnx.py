"""A net to ONNX files: one for pictures of any legal size, one of a static tile, each saying what it is."""

from __future__ import annotations

import json
from pathlib import Path

import keras

from unet_tf.edge.description import Description
from unet_tf.edge.net import METADATA, NO_HASH, SHA256, seal
from unet_tf.edge.onnx_net import needs_onnxruntime
from unet_tf.exporting.bundle import ONNX
from unet_tf.model.onnx_graph import import_onnx, onnx_graph

HOW_TO = "unet_tf_tiles"
"""Name of the words in the metadata of a file that say how to cut a picture for it."""


def write_onnx(model: keras.Model, description: Description, folder: Path) -> None:
    """Write a net as ONNX (opset 17): raw pixels -> mask and probabilities, normalisation and gaps in the graph.

    Both files have the input `image`, float32, and the outputs `mask`, uint8 class ids, and `probabilities`, float32,
    as `unet_tf.model.onnx_graph` says: `model.onnx` for any batch, height and width that are legal, `model_tile.onnx`
    for (1, tile, tile, C). Their metadata holds the description as JSON, under the name "unet_tf", with the hash of the
    file, and under "unet_tf_tiles" how to cut a picture, in words.

    Args:
        model: normalised pixels -> logits, folded, float32; or an ensemble.
        description: of the net.
        folder: gets the files.

    Raises:
        InputError: the package onnx is missing, or the net is beyond 2 GiB.
    """
    about = json.dumps({**description.to_json(), SHA256: NO_HASH}).encode()
    normalisation, tile = description.normalisation, description.tile
    for name, size in (ONNX["onnx"], None), (ONNX["onnx_tile"], (tile, tile)):
        made = onnx_graph(
            model,
            description.calibration,
            mean=normalisation.mean,
            std=normalisation.std,
            nodata=normalisation.nodata,
            size=size,
            metadata={METADATA: about.decode(), HOW_TO: how_to_cut(description, size is not None)},
        )
        content = bytearray(made.SerializeToString())
        seal(content, about)
        (folder / name).write_bytes(content)


def how_to_cut(description: Description, static: bool) -> str:
    """Say in words how a picture is cut into tiles whose masks are that of the whole.

    Args:
        description: of the net.
        static: whether the file takes one size alone.
    """
    geometry, pixels = description.geometry, description.normalisation.dtype
    sides = f"{description.tile}" if static else f"{geometry.rule}, at least {geometry.min_tile}"
    return (
        f"Input: raw {pixels} pixels as float32, (batch, height, width, {description.normalisation.channels}). Height "
        f"and width: {sides}. A tile of T px gives the mask of S = (T - {2 * geometry.halo}) rounded down to a "
        f"multiple of {geometry.stride}: put it at multiples of S in the picture, read from {geometry.halo} px before "
        f"it, mirror the picture where it ends (its edge not repeated), and of the output take S px from "
        f"{geometry.margin} on. JSON of all this: {METADATA}."
    )


def needs_onnx() -> None:
    """Raise InputError with the install line where a package is missing that writes ONNX files or runs them."""
    needs_onnxruntime()
    import_onnx()
