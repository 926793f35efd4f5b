"""The U-Net as a Keras functional model, from `keras` alone. Builds; never compiles, loads or prints."""

from __future__ import annotations

import operator
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import ArrayLike

from unet_tf.errors import InputError
from unet_tf.geometry import Geometry

LAST: dict[str, Any] = {"data_format": "channels_last"}
"""Said to each layer that has a choice, as the settings of Keras on a machine may say otherwise."""


def unet(
    input_shape: tuple[int | None, int | None, int] = (None, None, 1),
    num_classes: int = 2,
    base_filters: int = 64,
    depth: int = 4,
    padding: str = "valid",
    batch_norm: bool = False,
    dropout: float = 0.0,
    name: str = "unet",
) -> keras.Model:
    """Build the U-Net: normalised image in, logits out.

    The defaults are the paper's net: 31,030,658 parameters, 572 x 572 -> 388 x 388. Kernels start He-normal, with N
    incoming nodes: of convolutions with the standard deviation sqrt(2 / N), of up-convolutions, which no ReLU follows,
    with sqrt(1 / N).

    Args:
        input_shape: (height, width, channels); height and width may be None for any legal size.
        num_classes: channels of the logits, 2 or more; the background counts.
        base_filters: filters of the first level; they double with each pooling.
        depth: number of 2x2 poolings.
        padding: "valid" for unpadded convolutions with copy-and-crop, "same" for zero-padded ones.
        batch_norm: batch normalisation between each 3x3 convolution and its ReLU (not in the paper), its momentum 0.9.
        dropout: rate after the two deepest levels of the contracting path, in [0, 1).
        name: name of the model.

    Returns:
        A `keras.Model` from (batch, height, width, channels) to float32 logits
        (batch, height - shrink, width - shrink, num_classes); `unet_tf.geometry.Geometry` has the arithmetic.

    Raises:
        InputError: an argument is out of range, or a given height or width is not legal (the nearest are named). Where
            these are None, Keras fails at a concatenation when the model is called with an illegal size, such as 256
            of the paper's net: `Geometry(depth, padding).check(256)` says so first, with the nearest.

    Example:
        >>> unet(base_filters=4, depth=2).compute_output_shape((1, 60, 60, 1))
        (1, 20, 20, 2)

    Reference:
        Ronneberger, Fischer, Brox: U-Net (MICCAI 2015), section 2 and figure 1.
    """
    _check_arguments(input_shape, num_classes, base_filters, depth, dropout)
    geometry = Geometry(depth, padding)
    geometry.check(*(size for size in input_shape[:2] if size is not None))

    # Layers
    def conv_block(x: Any, filters: int, level: int, side: str) -> Any:
        for i in (1, 2):
            prefix = f"{side}{level}_conv{i}"
            kernel = {"use_bias": not batch_norm, "kernel_initializer": "he_normal"}
            x = layers.Conv2D(filters, 3, padding=padding, name=prefix, **kernel, **LAST)(x)
            if batch_norm:
                # The default momentum 0.99 lags behind the weights in runs of a few hundred steps.
                x = layers.BatchNormalization(momentum=0.9, name=f"{prefix}_norm")(x)
            x = layers.ReLU(name=f"{prefix}_relu")(x)
        if dropout and side == "down" and level >= depth - 1:
            x = layers.Dropout(dropout, name=f"{side}{level}_dropout")(x)
        return x

    # Functional model; x: (B, H, W, C)
    x = inputs = keras.Input(input_shape, name="image")
    skips = []
    for level in range(depth):
        x = conv_block(x, base_filters * 2**level, level, "down")  # paper: 568, 280, 136, 64 px; 64 .. 512 filters
        skips.append(x)
        x = layers.MaxPooling2D(2, strides=2, name=f"down{level}_pool", **LAST)(x)
    x = conv_block(x, base_filters * 2**depth, depth, "down")  # paper: 32 -> 28 px; 1024 filters
    for level, margin in zip(reversed(range(depth)), geometry.crop_margins, strict=True):
        filters = base_filters * 2**level
        # No ReLU follows (figure 1). For a 2x2 stride-2 kernel Keras counts twice the incoming nodes, so
        # he_normal has the variance 1 / N here, which a linear layer needs to keep the variance of its input.
        x = layers.Conv2DTranspose(
            filters, 2, strides=2, kernel_initializer="he_normal", name=f"up{level}_upconv", **LAST
        )(x)
        skip = skips[level]
        if margin:
            skip = layers.Cropping2D(margin, name=f"up{level}_crop", **LAST)(skip)
        x = layers.Concatenate(name=f"up{level}_concat")([skip, x])
        x = conv_block(x, filters, level, "up")  # paper: 52, 100, 196, 388 px; 512 .. 64 filters
    # Logits are float32 under every precision policy: the loss needs their digits.
    logits = layers.Conv2D(num_classes, 1, kernel_initializer="he_normal", dtype="float32", name="logits", **LAST)(x)
    return keras.Model(inputs, logits, name=name)


def start_at_shares(model: keras.Model, class_shares: ArrayLike, scale: float = 0.3) -> None:
    """Let a net that `unet` built, and that is not trained yet, predict the class shares everywhere.

    The bias of the logits becomes the logarithm of the shares, and their kernel `scale` times what it is: He-normal
    suits a layer that a ReLU follows, and on these the first loss is a lottery. Then the first cross-entropy, without
    weights, is near the shares' entropy; a Dice loss comes on top.

    Args:
        model: a new net; changed.
        class_shares: of the training pixels, one a class; they need not add up to 1.
        scale: factor of the logits' kernel.

    Raises:
        InputError: there is not one positive share a class.

    Example:
        >>> net = unet(base_filters=4, depth=1)
        >>> start_at_shares(net, [0.9, 0.1])
        >>> [round(float(bias), 2) for bias in net.get_layer("logits").bias.numpy()]
        [-0.11, -2.3]

    Reference:
        Lin et al.: Focal loss for dense object detection (ICCV 2017), section 3.3, for two classes.
    """
    logits = model.get_layer("logits")
    shares = np.asarray(class_shares, np.float64)
    if shares.shape != tuple(logits.bias.shape) or not (shares > 0).all():
        raise InputError(
            f"There must be one share above 0 for each of {logits.bias.shape[0]} classes; received {shares}."
        )
    logits.bias.assign(np.log(shares / shares.sum()))
    logits.kernel.assign(logits.kernel * scale)


def start_at_edges(model: keras.Model) -> None:
    """Let the first kernels of a net that `unet` built, and that is not trained yet, sum to zero over their window.

    Pictures of one set often differ in brightness more than anything within one of them. Such kernels answer to what
    changes from pixel to pixel alone, so that the net begins with edges, and batch normalisation brings them to scale;
    what brightness says it learns later. The variance of the kernels stays He-normal.

    Args:
        model: a new net; changed.

    Example:
        >>> net = unet(base_filters=4, depth=1)
        >>> start_at_edges(net)
        >>> bool(abs(net.get_layer("down0_conv1").kernel.numpy().sum((0, 1))).max() < 1e-6)
        True
    """
    kernel = model.get_layer("down0_conv1").kernel
    start = np.asarray(kernel)  # (3, 3, channels, filters)
    kernel.assign((start - start.mean((0, 1))) * np.sqrt(9 / 8))  # of nine values, less their mean, eight are free


def nets_of(model: keras.Model) -> list[keras.Model]:
    """Give the models that are layers of a model, in their order; none of a U-Net."""
    return [layer for layer in model.layers if isinstance(layer, keras.Model)]


def geometry_of(model: keras.Model) -> Geometry:
    """Read depth and padding off a model that `unet` built, whichever way it was saved and loaded.

    Of several such nets in one model (`unet_tf.model.ensemble`) it reads the first.

    Raises:
        InputError: the model is not such a U-Net.
    """
    if not isinstance(model, keras.Model) or not all(
        len(getattr(model, ends, None) or ()) == 1 for ends in ("inputs", "outputs")
    ):
        raise InputError(
            "A net must be a model of Keras with one input and one output, as unet_tf.unet builds it; received "
            f"{getattr(model, 'name', model)!r} of class {type(model).__name__}. Build it with unet_tf.unet."
        )
    if nets := nets_of(model):
        return geometry_of(nets[0])
    poolings = [layer for layer in model.layers if isinstance(layer, layers.MaxPooling2D)]
    convolutions = [layer for layer in model.layers if type(layer) is layers.Conv2D]
    up_convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2DTranspose)]
    depth = len(poolings)
    if len(up_convolutions) != depth or len(convolutions) != 4 * depth + 3:
        raise InputError(
            "The model must be one that unet_tf.unet built (of depth d: d poolings, d up-convolutions, 4d + 3 "
            f"convolutions); {model.name!r} has {depth}, {len(up_convolutions)}, {len(convolutions)}. Build it with "
            "unet_tf.unet."
        )
    return Geometry(depth, convolutions[0].padding)


def _is_whole(value: Any) -> bool:
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


def _check_arguments(input_shape: Any, num_classes: Any, base_filters: Any, depth: Any, dropout: Any) -> None:
    sizes = tuple(input_shape) if hasattr(input_shape, "__len__") else ()
    if len(sizes) != 3 or not all(size is None or _is_whole(size) for size in sizes) or (sizes[-1] or 0) < 1:
        raise InputError(
            "input_shape must be (height, width, channels) of whole numbers, with 1 channel or more; received "
            f"{input_shape!r}."
        )
    for name, value in {"num_classes": num_classes, "base_filters": base_filters, "depth": depth}.items():
        if not _is_whole(value):
            raise InputError(f"{name} must be a whole number; received {value!r}.")
    if num_classes < 2:
        raise InputError(f"num_classes counts the background and must be 2 or more; received {num_classes}.")
    if base_filters < 1:
        raise InputError(f"base_filters must be 1 or more; received {base_filters}.")
    try:
        is_rate = 0 <= dropout < 1
    except TypeError:
        is_rate = False
    if not is_rate:
        raise InputError(f"dropout must be a rate in [0, 1); received {dropout}.")
