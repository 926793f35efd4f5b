"""Several U-Nets as one model that averages their probabilities: built-in layers alone, so that Keras loads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from unet_tf.errors import InputError
from unet_tf.model.unet import geometry_of, nets_of

PIXELS, TEMPERED, PROBABILITY, MEAN = "pixels", "tempered", "probability", "mean_probability"
"""Names of layers: each member has those of the first three after its own name; the last one is the model's."""


class Member(NamedTuple):
    """A net of several.

    Attributes:
        name: of no other of them.
        model: built by `unet_tf.unet`; normalised pixels -> logits.
        scale: of each channel: its pixels are scale * pixels of the ensemble + offset.
        offset: of each channel.
        temperature: by which its logits are divided.
    """

    name: str
    model: keras.Model
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    temperature: float = 1.0


def ensemble(members: Sequence[Member]) -> keras.Model:
    """Build the model of the mean probability of several nets.

    Args:
        members: nets of equal input and output; their weights are shared with the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) normalised pixels to float32 probabilities (batch,
        height - shrink, width - shrink, num_classes): sum(softmax(logits / temperature)) / N, in the order of the
        members. A single net gives logits; these are 1 in sum, and are not for another softmax.

    Raises:
        InputError: there is no net, or one has other sizes than the first.

    Example:
        >>> from unet_tf import unet
        >>> nets = [Member(name, unet(base_filters=4, depth=1), (1.0,), (0.0,)) for name in ("fold1", "fold2")]
        >>> ensemble(nets).output_shape
        (None, None, None, 2)
    """
    if not members:
        raise InputError("A mean needs a net at least; received none.")
    sizes = [(geometry_of(one.model), one.model.input_shape, one.model.output_shape) for one in members]
    for one, found in zip(members, sizes, strict=True):
        if found != sizes[0]:
            raise InputError(
                f"All nets must have the sizes of {members[0].name}, {sizes[0]}; those of {one.name} are {found}."
            )
    inputs = keras.Input(members[0].model.input_shape[1:], name="image")
    probabilities = []
    for name, model, scale, offset, temperature in members:
        net = keras.Model(model.input, model.output, name=name)  # the same layers, under a name of its own
        # of three axes, as Keras takes a list for other axes where its settings say "channels_first"
        x = layers.Rescaling([[list(scale)]], [[list(offset)]], dtype="float32", name=f"{name}_{PIXELS}")(inputs)
        x = layers.Rescaling(1 / temperature, dtype="float32", name=f"{name}_{TEMPERED}")(net(x))
        probabilities.append(layers.Softmax(dtype="float32", name=f"{name}_{PROBABILITY}")(x))
    mean = layers.Average(dtype="float32", name=MEAN)(probabilities) if len(members) > 1 else probabilities[0]
    return keras.Model(inputs, mean, name="ensemble")


def members_of(model: keras.Model) -> list[Member]:
    """Give the nets of a model that `ensemble` built, whichever way it was saved and loaded; none of a U-Net.

    Raises:
        InputError: the model has nets in it, and is no such ensemble.
    """
    try:
        return [
            Member(
                net.name,
                net,
                tuple(np.ravel(model.get_layer(f"{net.name}_{PIXELS}").scale).tolist()),  # a list in older files
                tuple(np.ravel(model.get_layer(f"{net.name}_{PIXELS}").offset).tolist()),
                1 / model.get_layer(f"{net.name}_{TEMPERED}").scale,
            )
            for net in nets_of(model)
        ]
    except (ValueError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise InputError(f"{model.name!r} must be a U-Net, or a mean of U-Nets that export made: {error}") from error


def probabilities_of(model: keras.Model, found: Any, temperature: float = 1.0) -> Any:
    """Give the probabilities of what a model gave: softmax(logits / temperature) of a net, or of an ensemble what came.

    The nets of an ensemble have their temperatures in it.
    """
    if nets_of(model):
        return found
    return keras.ops.softmax(found if temperature == 1 else found / temperature, axis=-1)


def parts_of(model: keras.Model) -> list[keras.Model]:
    """Give for each net of an ensemble a model of its own probabilities; pixels as those of the ensemble."""
    return [
        keras.Model(model.input, model.get_layer(f"{one.name}_{PROBABILITY}").output, name=one.name)
        for one in members_of(model)
    ]
