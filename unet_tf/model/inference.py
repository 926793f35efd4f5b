"""A trained net made ready for tiles: normalisation folded into the convolutions, one compiled function."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unet_tf.errors import InputError
from unet_tf.model.calibration import HALF
from unet_tf.model.changed import check_unchanged
from unet_tf.model.ensemble import ensemble, members_of, parts_of
from unet_tf.model.unet import geometry_of, nets_of, unet
from unet_tf.utils.chance import own_chance

BYTES_A_FILTER = {"float32": 23.5, "bfloat16": 18.5, "float16": 18.5}
"""Peak bytes for each input pixel and base filter, by the type that the net computes in: measured on CPU from base 4 to
64 and tiles of 1000 to 4000 px, where the process as a whole stays within 12 % of it."""
MOST_VALUES = 2**31 - 1
"""Values that one array may hold: TensorFlow's kernels count them by 32 bits."""


class Runtime(Protocol):
    """What computes a folded net, or each of several.

    Attributes:
        name: of the library, and of the type it computes in where that is a choice.
        bytes_a_filter: as `BYTES_A_FILTER`.
    """

    name: str
    bytes_a_filter: float

    def label(self, window: NDArray[np.float32]) -> tuple[NDArray[np.uint8], bool]:
        """(1, h, w, C) -> ids of the most probable classes of a net alone, (1, ...), and whether logits are finite."""

    def probabilities(
        self, number: int, window: NDArray[np.float32], temperature: float
    ) -> tuple[NDArray[np.float32], bool]:
        """(1, h, w, C) -> probabilities of a net by its number, (1, ..., num_classes), and whether all is finite.

        The temperature is that of a net alone; those of several have theirs.
        """

    def refresh(self) -> None:
        """The weights of the model may have changed."""


class Network:
    """A U-Net, or the mean of several, that predicts windows of normalised pixels, as fast as this machine does.

    Batch normalisation has become a part of the convolutions before it: the same function but for rounding (about
    1e-6 in float32), without its passes over memory. Weights are copied; dropout is gone. Several nets compute one
    after the other, so that the memory is that of one; the probabilities are added in their order, in float32.

    Args:
        model: built by `unet_tf.unet` or `unet_tf.model.ensemble.ensemble`.
        temperature: that the logits of a net are divided by; those of several have theirs.

    Attributes:
        temperature: the same; it may be set.
        geometry: of the net.
        sizes: height and width of its input, each None where any legal size will do.
        channels: of its images.
        num_classes: channels of the logits.
        model: the folded copy.
        count: number of nets.
        runtime: what computes it: TensorFlow, or another one (`unet_tf.prediction.engines`).
        only: what alone can compute it, in words, of a net in a file made for that; None, as here, for any engine.
        threshold: at which its labels part two classes.

    Raises:
        InputError: the model is not such a U-Net, or Keras does not compute by TensorFlow.
    """

    only: str | None = None
    threshold = HALF

    def __init__(self, model: keras.Model, temperature: float = 1.0) -> None:
        check_backend()
        self.temperature = temperature
        self.geometry = geometry_of(model)
        *self.sizes, self.channels = model.input_shape[1:]
        self.num_classes: int = model.output_shape[-1]
        self.model = folded(model)
        self.count = len(members_of(self.model)) or 1
        self.runtime: Runtime = TensorFlow(self.model)
        self._features: Callable[[tf.Tensor], tf.Tensor] | None = None
        self._by = {TensorFlow.name: self}

    def by(self, name: str, make: Callable[[keras.Model], Runtime] | None = None) -> Network:
        """The same net, computed by another runtime, which is made once.

        Args:
            name: of the runtime.
            make: makes it of the folded model, unless it is there, as TensorFlow is.
        """
        if make is not None and name not in self._by:
            made = copy(self)
            made.runtime = make(self.model)
            self._by[name] = made
        found = self._by[name]
        found.temperature = self.temperature
        return found

    def take(self, model: keras.Model) -> None:
        """Take the weights of the model again, which may have been trained meanwhile."""
        fold_weights(model, self.model)
        for network in self._by.values():
            network.runtime.refresh()

    def label(self, window: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(h, w, C) normalised pixels -> (h - shrink, w - shrink) ids of the most probable classes.

        Raises:
            InputError: the net gives what is not finite, of which no class is the most probable.
        """
        if self.count > 1:
            return self.probabilities(window).argmax(-1).astype(np.uint8)
        return _checked(*self.runtime.label(window[None]))[0]

    def probabilities(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """(h, w, C) normalised pixels -> (h - shrink, w - shrink, num_classes) probabilities.

        Raises:
            InputError: the net gives what is not finite.
        """
        total: NDArray[np.float32] = functools.reduce(np.add, self.each(window))  # in order, one after the other
        return total if self.count == 1 else np.divide(total, self.count, dtype=np.float32)

    def each(self, window: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """The probabilities of each net, one after the other, as `probabilities` gives their mean."""
        found = (self.runtime.probabilities(i, window[None], self.temperature) for i in range(self.count))
        return (_checked(*one)[0] for one in found)

    def features(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """(h, w, C) normalised pixels -> (F,) mean over the deepest level; of several nets, over that of the first."""
        if self._features is None:
            net = (nets_of(self.model) or [self.model])[0]
            encoder = keras.Model(net.inputs, net.get_layer(f"down{self.geometry.depth}_conv2_relu").output)
            signature = [tf.TensorSpec((1, *self.sizes, self.channels), tf.float32)]
            self._features = _graph(
                lambda window: tf.reduce_mean(tf.cast(encoder(window, training=False), tf.float32), (0, 1, 2)),
                signature,
            )
        return self._features(tf.constant(window[None])).numpy()

    def memory_needed(self, pixels: int) -> int:
        """Estimate the bytes that predicting a window of so many pixels takes beside the net itself, on a CPU."""
        return int(pixels * self._bytes_a_pixel)

    def pixels_within(self, memory: float) -> int:
        """The largest window, in pixels, that `memory` bytes hold."""
        return min(int(memory / self._bytes_a_pixel), MOST_VALUES // (2 * self._filters))

    @property
    def dtype(self) -> str:
        """The type that the net was made to compute in."""
        return str(first_convolution(self.model).compute_dtype)

    @property
    def _filters(self) -> int:
        return first_convolution(self.model).filters

    @property
    def _bytes_a_pixel(self) -> float:
        return self.runtime.bytes_a_filter * self._filters + 12 * self.channels + 6 * self.num_classes


def _checked(found: NDArray, finite: bool) -> NDArray:
    if not finite:
        raise InputError(
            "A net must give finite values; this one gives NaN or infinity. Train it again, with a lower "
            "--learning-rate or in float32."
        )
    return found


class TensorFlow:
    """The runtime that trained the net: one graph for all sizes."""

    name = "tensorflow"

    def __init__(self, model: keras.Model) -> None:
        dtype = first_convolution(model).compute_dtype
        self.bytes_a_filter = BYTES_A_FILTER.get(dtype, 2 * BYTES_A_FILTER["float32"])  # of float64
        signature = [tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)]

        def label(window: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            logits = model(window, training=False)
            ids = tf.cast(tf.argmax(logits, -1, output_type=tf.int32), tf.uint8)
            return ids, tf.reduce_all(tf.math.is_finite(logits))

        def believing(model: keras.Model) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
            several = bool(nets_of(model))

            def probabilities(window: tf.Tensor, temperature: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                found = model(window, training=False)
                return found if several else tf.nn.softmax(found / temperature), tf.reduce_all(tf.math.is_finite(found))

            return _graph(probabilities, [*signature, tf.TensorSpec((), tf.float32)])

        self._label = _graph(label, signature)
        self._probabilities = [believing(one) for one in parts_of(model) or [model]]

    def label(self, window: NDArray[np.float32]) -> tuple[NDArray[np.uint8], bool]:
        """See `Runtime.label`."""
        with _memory_in_words(window):
            ids, finite = self._label(tf.constant(window))
            return ids.numpy(), bool(finite)

    def probabilities(
        self, number: int, window: NDArray[np.float32], temperature: float
    ) -> tuple[NDArray[np.float32], bool]:
        """See `Runtime.probabilities`."""
        with _memory_in_words(window):
            found, finite = self._probabilities[number](tf.constant(window), tf.constant(temperature, tf.float32))
            return found.numpy(), bool(finite)

    def refresh(self) -> None:
        """See `Runtime.refresh`; its graph reads the weights each time."""


@contextmanager
def _memory_in_words(window: NDArray) -> Iterator[None]:
    """Say what to lower where the memory of the device, which may be a GPU's, holds no tile."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        height, width = window.shape[1:3]
        raise InputError(
            f"The memory of the device must hold a tile, and does not hold one of {height}x{width} px. Let tiles be "
            "smaller: --memory 1GB, or less."
        ) from error


def _graph(function: Callable[..., Any], signature: list[tf.TensorSpec]) -> Callable[..., Any]:
    """One graph of a function, made when it is first called.

    Called as a graph, and not as a `tf.function`: TensorFlow counts how often these are made anew, and warns where
    somebody uses many nets. AutoGraph would rewrite the function and change nothing: no condition in it is a tensor.
    """

    @functools.cache
    def made() -> Callable[..., Any]:
        return tf.function(function, input_signature=signature, autograph=False).get_concrete_function()

    return lambda *given: made()(*given)


def check_backend() -> None:
    """Raise InputError where Keras computes by another library than TensorFlow, which is all that the parts need."""
    if (found := keras.backend.backend()) != "tensorflow":
        raise InputError(
            f"Training, prediction and export must run on Keras' TensorFlow backend; KERAS_BACKEND, or keras.json in "
            f"the folder .keras, says {found}. Set KERAS_BACKEND=tensorflow. The parts alone (unet, the losses, "
            "MeanIoU, Muon) run on it in a loop of your own."
        )


def first_convolution(model: keras.Model) -> keras.Layer:
    """The first convolution of a net, or of the first of several: by it type and memory of a net are known."""
    return (nets_of(model) or [model])[0].get_layer("down0_conv1")


def folded(model: keras.Model) -> keras.Model:
    """A copy without dropout, and with each batch normalisation folded into the convolution before it.

    Raises:
        InputError: as `fold_weights`.
    """
    if several := members_of(model):
        mean = ensemble([one._replace(model=folded(one.model)) for one in several])
        check_unchanged(model, mean)
        return mean
    geometry = geometry_of(model)
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(first.dtype_policy)
    try:
        with own_chance():  # start weights are drawn, though they are not kept
            copy = unet(
                model.input_shape[1:], model.output_shape[-1], first.filters, geometry.depth, geometry.padding,
                name=model.name,
            )  # fmt: skip
    finally:
        keras.config.set_dtype_policy(policy)
    fold_weights(model, copy)
    return copy


def fold_weights(model: keras.Model, copy: keras.Model) -> None:
    """Copy the weights of a model into its folded copy.

    scale = gamma / sqrt(variance + epsilon) multiplies the kernel; beta - mean * scale is the bias.

    Raises:
        InputError: the model computes something else than `unet_tf.unet` builds, which the copy would not.
    """
    check_unchanged(model, copy)
    for net, net_copy in zip(nets_of(model), nets_of(copy), strict=True):
        fold_weights(net, net_copy)
    layers = {layer.name: layer for layer in model.layers}
    for layer in copy.layers:
        if not layer.weights or isinstance(layer, keras.Model):
            continue
        weights, norm = layers[layer.name].get_weights(), layers.get(f"{layer.name}_norm")
        if norm is not None:
            gamma, beta, mean, variance = (np.array(weight, np.float64) for weight in norm.get_weights())
            scale = gamma / np.sqrt(variance + norm.epsilon)
            weights = [weights[0] * scale, beta - mean * scale]
        layer.set_weights(weights)
