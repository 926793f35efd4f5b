"""Whether a model is still the U-Net that `unet` built: what is folded by the names of its layers must be no other."""

from __future__ import annotations

import weakref
from typing import Any

import keras
import numpy as np
from keras import layers

from unet_tf.errors import InputError

IDLE = (
    layers.ActivityRegularization, layers.AlphaDropout, layers.Dropout, layers.GaussianDropout, layers.GaussianNoise,
    layers.Identity, layers.RandomBrightness, layers.RandomContrast, layers.RandomFlip, layers.RandomRotation,
    layers.RandomTranslation, layers.RandomZoom, layers.SpatialDropout2D,
)  # fmt: skip
"""Layers that do nothing where a net predicts."""
OF_TRAINING = "name", "trainable", "dtype", "initializer", "regularizer", "constraint"
"""Ends of the names of settings that change nothing that a layer computes but its rounding."""


def check_unchanged(model: keras.Model, copy: keras.Model) -> None:
    """Raise InputError where a model computes something else than its copy does with the weights of the model.

    Layers must be of the same class and settings, and take what those of their names take in the copy. Batch
    normalisation after a convolution, dropout, and a softmax of the logits at the end may lie between them.

    Args:
        model: a U-Net, or an ensemble of some.
        copy: built for it by `unet_tf.unet`, without batch normalisation and dropout, or by
            `unet_tf.model.ensemble.ensemble`.
    """
    if type(model).call is not type(copy).call:
        raise _refusal(model, f"{type(model).__name__} computes by a method of its own")
    if type(model) is not type(copy):
        model = keras.Model(model.inputs, model.outputs, name=model.name)  # of a subclass too, the graph can be read
    known = {type(one) for one in copy.operations} | {*IDLE, layers.Activation, layers.BatchNormalization}
    for one in model.operations:
        if type(one) not in known and not _is_softmax(one):
            raise _refusal(model, f"{one.name!r} is a {type(one).__name__}")
    found, expected = _computing(model), _of_copies.get(copy) or _computing(copy)
    _of_copies[copy] = expected
    for name in [*found, *expected]:
        if name not in expected:
            raise _refusal(model, f"there is a layer {name!r} where unet_tf.unet builds none")
        if name not in found:
            raise _refusal(model, f"there is no layer {name!r}")
        for what in {**found[name], **expected[name]}:
            there, wanted = found[name].get(what), expected[name].get(what)
            if there != wanted:
                raise _refusal(model, f"{name!r} has {what} = {there!r}, and not {wanted!r}")


_of_copies: weakref.WeakKeyDictionary[keras.Model, dict[str, dict[str, Any]]] = weakref.WeakKeyDictionary()
"""What copies compute, which are compared with again whenever their nets were trained."""


def _refusal(model: keras.Model, what: str) -> InputError:
    return InputError(
        f"A U-Net must be as unet_tf.unet builds it, for its tiles to be predicted; in {model.name!r} {what}. Build it "
        "with unet_tf.unet, or predict by the model's own method."
    )


def _computing(model: keras.Model) -> dict[str, dict[str, Any]]:
    """What each layer of a functional model is and takes, by its name; what changes no prediction is left out."""
    operations = {one.name: one for one in model.operations}
    stored = model.get_config()["layers"]  # each after those whose outputs it takes
    last = next(one for one in reversed(stored) if not _is_idle(operations[one["name"]]))
    passed: dict[str, str] = {}  # of what is left out, the layer before it
    found: dict[str, dict[str, Any]] = {}
    for one in stored:
        name, layer = one["name"], operations[one["name"]]
        if isinstance(layer, layers.InputLayer):
            passed[name] = "the image"
            continue
        takes = [passed.get(source, source) for node in one["inbound_nodes"] for source in _sources(node)]
        before = found.get(takes[0], {}) if len(takes) == 1 else {}
        if _is_idle(layer) and len(takes) == 1:
            passed[name] = takes[0]
        elif _normalises(layer, takes) and before.get("class") == "Conv2D" and not before["use_bias"]:
            passed[name], before["use_bias"] = takes[0], True  # it becomes the bias
        elif _is_softmax(layer) and before.get("class") == "Conv2D" and one is last:
            passed[name] = takes[0]  # which prediction takes too
        else:
            found[name] = {"class": type(layer).__name__, "input": takes, **_settings(layer)}
            if one is last and found[name].get("activation") == "softmax":
                found[name]["activation"] = "linear"
    return found


def _sources(node: dict[str, Any]) -> list[str]:
    """Names of the layers whose outputs a call of a layer takes, and of other arguments that change what it gives."""
    given = node["args"][0] if len(node["args"]) == 1 and isinstance(node["args"][0], list) else node["args"]
    names = [one["config"]["keras_history"][0] if isinstance(one, dict) else repr(one) for one in given]
    return names + [f"{name}={value}" for name, value in node["kwargs"].items() if value]


def _normalises(layer: keras.Layer, takes: list[str]) -> bool:
    """Whether a layer is a batch normalisation that can be folded into the layer of its name."""
    return (
        type(layer) is layers.BatchNormalization
        and [layer.name] == [f"{name}_norm" for name in takes]
        and layer.axis in (-1, 3)
        and layer.center
        and layer.scale
    )


def _is_idle(layer: keras.Layer) -> bool:
    """Whether a layer gives what it takes where a net predicts."""
    return type(layer) in IDLE or (type(layer) is layers.Activation and layer.activation is keras.activations.linear)


def _is_softmax(layer: keras.Operation) -> bool:
    """Whether a layer, or a function of `keras.ops`, is the softmax over the classes."""
    if type(layer) is layers.Activation:
        return layer.activation is keras.activations.softmax
    return type(layer).__name__ == "Softmax" and layer.axis in (-1, 3)


def _settings(layer: keras.Layer) -> dict[str, Any]:
    """All that changes what a layer computes; scales of an ensemble are read off it, and its nets looked at alone."""
    if isinstance(layer, keras.Model):
        return {}
    settings = {name: value for name, value in layer.get_config().items() if not name.endswith(OF_TRAINING)}
    if isinstance(layer, layers.Rescaling):
        del settings["scale"]
        settings["offset"] = np.ravel(settings["offset"]).tolist()  # of one axis in older files
    return settings
