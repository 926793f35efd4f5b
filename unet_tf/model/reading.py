"""A net as Keras saved it, read."""

from __future__ import annotations

from pathlib import Path

import keras

from unet_tf.errors import InputError
from unet_tf.utils.chance import own_chance


def read_model(path: Path, compile: bool = False) -> keras.Model:
    """Load a `.keras` file, or a folder that Keras saved, with the optimizer where `compile` says so.

    Raises:
        InputError: there is none, or it is damaged.
    """
    if not path.exists():
        raise InputError(f"There is no model {path}.", path)
    try:
        with own_chance():  # Keras draws seeds for layers that it makes
            return keras.saving.load_model(path, compile=compile)
    except Exception as error:  # Keras raises whatever its readers meet in a file that is none
        raise InputError(f"{path} is not a Keras model that can be loaded: {error}", path) from error
