"""Requests that TF Serving runs through a net before it serves it, so that no caller waits for the first one."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unet_tf.signatures import ENCODED, MASK, PROBABILITIES

FILE = "assets.extra/tf_serving_warmup_requests"
PREDICT_LOG, REQUEST, MODEL_SPEC, INPUTS, SIGNATURE_NAME, KEY, VALUE = 6, 1, 1, 2, 3, 1, 2
"""Field numbers in `PredictionLog`, `PredictLog`, `PredictRequest` (model_spec, inputs), `ModelSpec` and the entries of
a map: tensorflow_serving/apis/*.proto. The package that holds these messages would be one more to install, for nine
lines."""


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
    path = saved_model / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, (name, value) in inputs.items():
            tensor = tf.make_tensor_proto(value).SerializeToString()
            entry = _field(KEY, name.encode()) + _field(VALUE, tensor)
            spec = _field(SIGNATURE_NAME, signature.encode())
            request = _field(MODEL_SPEC, spec) + _field(INPUTS, entry)
            writer.write(_field(PREDICT_LOG, _field(REQUEST, request)))


def _field(number: int, content: bytes) -> bytes:
    """A field of a protocol buffer that holds bytes: its tag, their length in groups of 7 bits, and they."""
    length, left = bytearray(), len(content)
    while left > 127:
        length.append(left % 128 + 128)
        left //= 128
    return bytes([number << 3 | 2, *length, left]) + content
