"""What an exported net answers: raw pixels or picture files of any size to labels, in TensorFlow's own ops."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unet_tf.data.channels import Channels
from unet_tf.data.normalisation import Normalisation
from unet_tf.edge.tiles import NOT_FINITE
from unet_tf.exporting.bundle import ENCODED, MASK, PROBABILITIES
from unet_tf.exporting.encoded import decoded
from unet_tf.geometry import Geometry
from unet_tf.model.calibration import HALF, PLAIN, Calibration
from unet_tf.model.ensemble import parts_of, probabilities_of

Net = Callable[[tf.Tensor], tf.Tensor]

PICTURES = ("uint8", "uint16")
"""Pixel types that picture files decode to in a graph."""
WARMUP = "assets.extra/tf_serving_warmup_requests"
"""Requests that TF Serving runs through a net before it serves it, so that no caller waits for the first one."""
PREDICT_LOG, REQUEST, MODEL_SPEC, INPUTS, SIGNATURE_NAME, KEY, VALUE = 6, 1, 1, 2, 3, 1, 2
"""Field numbers in `PredictionLog`, `PredictLog`, `PredictRequest` (model_spec, inputs), `ModelSpec` and the entries of
a map: tensorflow_serving/apis/*.proto. The package that holds these messages would be one more to install, for nine
lines."""


def from_raw(model: keras.Model, normalisation: Normalisation) -> Net:
    """Make a function from raw pixels (B, h, w, C) of any type to what a model gives, normalisation in the graph.

    That is logits of a net. Of an ensemble it is probabilities; its nets compute one after the other, in the memory of
    one.
    """
    mean, std = (tf.constant(values, tf.float32) for values in (normalisation.mean, normalisation.std))
    parts = parts_of(model)

    def net(window: tf.Tensor) -> tf.Tensor:
        scaled = (tf.cast(window, tf.float32) - mean) / std
        for value in _of_type(normalisation.nodata, window.dtype.as_numpy_dtype):
            scaled = tf.where(window == value, 0.0, scaled)  # each channel by itself
        return _in_turn(parts, scaled) if parts else model(scaled, training=False)

    return net


def _of_type(values: Sequence[float], dtype: type[np.generic]) -> list[NDArray]:
    """Values for "no measurement" in the type of the pixels, as `unet_tf.data.nodata` compares them.

    Of a number of Python `tf.cast` makes a float32 first, which has no 4294967295. What no whole number of the type is,
    no pixel holds.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        own = [np.array(value).astype(dtype) for value in values]
    return [one for one, value in zip(own, values, strict=True) if one.dtype.kind == "f" or one == value]


def _in_turn(parts: Sequence[keras.Model], window: tf.Tensor) -> tf.Tensor:
    """The mean of what several models give."""
    total = parts[0](window, training=False)
    for part in parts[1:]:
        with tf.control_dependencies([total]):
            total += part(tf.identity(window), training=False)
    return total / len(parts)


def label_in_graph(model: keras.Model, found: tf.Tensor, calibration: Calibration) -> tf.Tensor:
    """The class ids (...) uint8 of what a model gave (..., C): `unet_tf.model.calibration.label_of`, in the graph."""
    if calibration.threshold == HALF:
        return tf.cast(tf.argmax(found, -1, output_type=tf.int32), tf.uint8)
    foreground = probabilities_of(model, found, calibration.temperature)[..., 1]
    return tf.cast(foreground > calibration.threshold, tf.uint8)


def write_saved_model(
    model: keras.Model, functions: dict[str, tf.types.experimental.GenericFunction], path: str
) -> None:
    """Write functions of a model as the signatures of a SavedModel; its weights are stored once."""
    module = tf.Module()
    module.weights = [weight.value for weight in model.weights]
    tf.saved_model.save(module, path, signatures=functions)


def signatures(
    model: keras.Model,
    normalisation: Normalisation,
    geometry: Geometry,
    max_tile: int,
    source: Channels | None = None,
    calibration: Calibration = PLAIN,
) -> dict[str, tf.types.experimental.GenericFunction]:
    """The signatures of a SavedModel for images of any size, cut into tiles in the graph.

    Args:
        model: normalised pixels (B, h, w, C) -> logits; or an ensemble.
        normalisation: of the images.
        geometry: of the net.
        max_tile: largest side of a tile, pixels that the net reads; bounds the memory that a request takes.
        source: how the channels of the images come from picture files; None for all of one file.
        calibration: how logits become probabilities and labels.

    Returns:
        `serving_default`: `image` (B, H, W, C) raw pixels -> `mask` (B, H, W) uint8 class ids. A net that gives what is
        not finite is an INVALID_ARGUMENT.
        `probabilities`: `image` -> `probabilities` (B, H, W, num_classes) float32, as they come.
        `encoded`, for grey and RGB of 8 and 16 bit: `image_bytes` (B,) PNG, JPEG or BMP files, of mixed sizes ->
        `mask_bytes` (B,) PNG files of class ids, turned as the EXIF orientation of the picture says. A file that cannot
        be used is an INVALID_ARGUMENT with its number and the reason.
    """
    logits = from_raw(model, normalisation)
    channels = normalisation.channels
    pixels = tf.TensorSpec((None, None, None, channels), normalisation.dtype, name="image")

    def label(window: tf.Tensor) -> tf.Tensor:
        found = logits(window)
        finite = tf.debugging.Assert(tf.reduce_all(tf.math.is_finite(found)), [NOT_FINITE])
        with tf.control_dependencies([finite]):  # what is not has no label that means anything
            return label_in_graph(model, found, calibration)[..., None]

    # No condition of Python is a tensor here: AutoGraph would rewrite all functions, for seconds, and change nothing.
    @tf.function(input_signature=[pixels], autograph=False)
    def mask(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"mask": tiled(label, image, geometry, max_tile, tf.uint8)[..., 0]}

    @tf.function(input_signature=[pixels], autograph=False)
    def probabilities(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {
            "probabilities": tiled(
                lambda window: probabilities_of(model, logits(window), calibration.temperature),
                image,
                geometry,
                max_tile,
                tf.float32,
                model.output_shape[-1],
            )
        }

    def one(item: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        image = decoded(*item, channels, normalisation.dtype)
        return tf.io.encode_png(mask(image[None])["mask"][0, ..., None])  # whose graph is traced and stored once

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")], autograph=False)
    def encoded(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        items = tf.range(tf.size(image_bytes)), image_bytes
        return {"mask_bytes": tf.map_fn(one, items, parallel_iterations=1, fn_output_signature=tf.string)}

    found = {MASK: mask, PROBABILITIES: probabilities}
    return found if why_not_encoded(normalisation, source or Channels()) else found | {ENCODED: encoded}


def why_not_encoded(normalisation: Normalisation, source: Channels) -> str:
    """Say why a net has no signature `encoded`; "" where it has it."""
    if normalisation.dtype not in PICTURES:
        return f"its pixels are {normalisation.dtype}, and pictures that TensorFlow decodes are uint8 or uint16"
    if normalisation.channels not in (1, 3):
        return f"it takes {normalisation.channels} channels, and pictures that TensorFlow decodes are grey or RGB"
    if not source.plain:
        return f"its channels are {', '.join(source.taken)}, and not those of one picture file as they are"
    return ""


def tiled(net: Net, image: tf.Tensor, geometry: Geometry, max_tile: int, dtype: tf.DType, values: int = 1) -> tf.Tensor:
    """Run a net over the tiles that `unet_tf.tiling.cut` finds, one after the other, in the graph.

    Args:
        net: (1, h, w, C) raw pixels -> (1, h', w', values), the net's whole output.
        image: (B, H, W, C) raw pixels.
        geometry: of the net.
        max_tile: legal input size that no tile exceeds.
        dtype: of the output.
        values: of the output at a pixel.

    Returns:
        (B, H, W, values).
    """
    has_pixels = tf.debugging.Assert(
        tf.size(image) > 0, ["image must be (B, H, W, C) with a pixel at least; received", tf.shape(image)]
    )
    finite = tf.reduce_all(tf.math.is_finite(image)) if image.dtype.is_floating else True
    is_finite = tf.debugging.Assert(finite, ["image must hold finite values; it holds NaN or infinity"])
    with tf.control_dependencies([has_pixels, is_finite]):  # before a division by zero
        batch, sizes = tf.shape(image)[0], tf.shape(image)[1:3]
    stride, halo, margin = geometry.stride, geometry.halo, geometry.margin
    counts = -(-sizes // geometry.tile_step(max_tile))
    steps = -(-sizes // (counts * stride)) * stride
    windows = steps + geometry.min_tile - stride

    def tile(number: tf.Tensor) -> tf.Tensor:
        place = tf.stack([number // counts[1] % counts[0], number % counts[1]]) * steps - halo
        rows, columns = (mirrored(place[axis], windows[axis], sizes[axis]) for axis in (0, 1))
        picture = image[number // (counts[0] * counts[1])]
        window = tf.gather(tf.gather(picture, rows, axis=0), columns, axis=1)
        return net(window[None])[0, margin : margin + steps[0], margin : margin + steps[1]]

    tiles = tf.map_fn(
        tile,
        tf.range(batch * counts[0] * counts[1]),
        parallel_iterations=1,  # one tile in memory
        fn_output_signature=tf.TensorSpec((None, None, values), dtype),
    )
    tiles = tf.reshape(tiles, tf.stack([batch, *tf.unstack(counts), *tf.unstack(steps), values]))
    whole = tf.reshape(tf.transpose(tiles, (0, 1, 3, 2, 4, 5)), tf.stack([batch, *tf.unstack(counts * steps), values]))
    return whole[:, : sizes[0], : sizes[1]]


def mirrored(start: tf.Tensor, length: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Compute in the graph what `unet_tf.tiling.mirror_index` gives for `length` positions from `start`."""
    period = tf.maximum(1, 2 * (size - 1))
    index = tf.math.floormod(tf.range(start, start + length), period)
    return tf.minimum(index, period - index)


def write_warmup(saved_model: Path, image: NDArray, signatures: Collection[str]) -> None:
    """Write a request for each signature into a SavedModel.

    Args:
        saved_model: its folder.
        image: (H, W, C) raw pixels.
        signatures: their names.
    """
    inputs: dict[str, tuple[str, NDArray]] = dict.fromkeys((MASK, PROBABILITIES), ("image", image[None]))
    if ENCODED in signatures:
        inputs[ENCODED] = "image_bytes", np.array([tf.io.encode_png(image).numpy()], object)
    path = saved_model / WARMUP
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, (name, value) in inputs.items():
            tensor = tf.make_tensor_proto(value).SerializeToString()
            entry = _field(KEY, name.encode()) + _field(VALUE, tensor)
            spec = _field(SIGNATURE_NAME, signature.encode())
            request = _field(MODEL_SPEC, spec) + _field(INPUTS, entry)
            writer.write(_field(PREDICT_LOG, _field(REQUEST, request)))


def _field(number: int, content: bytes) -> bytes:
    """Encode a field of a protocol buffer that holds bytes: the tag, the length, the bytes.

    The length comes in groups of 7 bits, the lowest first; all but the last have the eighth bit set.
    """
    length, left = bytearray(), len(content)
    while left > 127:
        length.append(left % 128 + 128)
        left //= 128
    return bytes([number << 3 | 2, *length, left]) + content
