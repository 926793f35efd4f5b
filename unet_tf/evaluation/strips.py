"""Picture files of layers side by side that know what each layer shows, so that a page can lay them over each other."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from unet_tf.utils.files import replacing

log = logging.getLogger("unet_tf")

KEY = "unet_tf"
"""Name of the text in the PNG that holds the names of the layers and what else is said of them, as JSON."""


class Strip(NamedTuple):
    """A file of pictures side by side.

    Attributes:
        layers: (H, W, 3) uint8 RGB by name.
        words: what else the file says.
    """

    layers: dict[str, NDArray[np.uint8]]
    words: dict[str, Any]


def write_strip(path: Path, layers: Mapping[str, NDArray[np.uint8]], **words: Any) -> None:
    """Write pictures of one size, (H, W, 3) RGB each, side by side into a PNG, with their names and other words."""
    text = PngImagePlugin.PngInfo()
    text.add_text(KEY, json.dumps(words | {"layers": list(layers)}))
    with replacing(path) as temporary:
        Image.fromarray(np.hstack(list(layers.values()))).save(temporary, format="png", pnginfo=text, compress_level=3)


def read_strip(path: Path) -> Strip | None:
    """Read what `write_strip` wrote; None for any other file, which is said."""
    try:
        with Image.open(path) as file:
            whole = np.asarray(file.convert("RGB"))
            words = json.loads(file.info.get(KEY, "{}"))  # texts are read with the pixels
        names = words.pop("layers", [])
        return Strip(dict(zip(names, np.hsplit(whole, max(1, len(names))), strict=True)), words)
    except (OSError, ValueError, SyntaxError, TypeError, AttributeError, Image.DecompressionBombError) as error:
        log.warning(f"{path} is left out of the page: it is no picture of layers that can be read ({error}).")
        return None
