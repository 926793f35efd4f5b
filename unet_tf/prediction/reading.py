"""The files of a net, read: a Keras model, and what a bundle says of its nets."""

from __future__ import annotations

import json
from pathlib import Path

import keras

from unet_tf.edge.description import BUNDLE_DESCRIPTION, Description
from unet_tf.errors import InputError


def read_model(path: Path) -> keras.Model:
    """Load a `.keras` file.

    Raises:
        InputError: there is none, or it is damaged.
    """
    if not path.is_file():
        raise InputError(f"There is no model {path}.", path)
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever its readers meet in a file that is none
        raise InputError(f"{path} is not a Keras model that can be loaded: {error}", path) from error


def read_bundle(path: Path) -> Description:
    """Read what a bundle says of its nets.

    Raises:
        InputError: its file is damaged or of another version.
    """
    file = path / BUNDLE_DESCRIPTION
    try:
        return Description.restore(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is damaged or of another version: {error!r}. Export again.", file) from error
