"""A SavedModel that is loaded: its signatures, called with arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from unet_tf.errors import InputError
from unet_tf.exporting.saved_model import WARMUP
from unet_tf.serving.errors import ServingError, invalid

DEFAULT = "serving_default"


@dataclass(frozen=True)
class Tensor:
    """An input or output of a signature.

    Attributes:
        dtype: of its values.
        shape: None where any size will do.
        node: its name in the graph, as `saved_model_cli` shows it.
    """

    dtype: tf.DType
    shape: tuple[int | None, ...]
    node: str

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape may be given."""
        return len(shape) == len(self.shape) and all(a in (None, b) for a, b in zip(self.shape, shape, strict=True))

    @property
    def bytes_a_pixel(self) -> int:
        """Of an output (B, H, W) or (B, H, W, n); 0 of byte strings, whose length nobody knows before."""
        values = self.shape[3] or 1 if len(self.shape) == 4 else 1
        return 0 if self.dtype == tf.string else values * self.dtype.size

    @property
    def words(self) -> str:
        """Type and shape, such as uint8 (?, ?, ?, 1)."""
        return f"{self.dtype.name} ({', '.join('?' if size is None else str(size) for size in self.shape)})"


class Signature:
    """A signature of a SavedModel.

    Args:
        function: as `tf.saved_model.load` gives it.

    Attributes:
        inputs: by name.
        outputs: by name.
    """

    def __init__(self, function: tf.types.experimental.ConcreteFunction) -> None:
        self._function = function
        self.inputs = {
            name: Tensor(spec.dtype, tuple(spec.shape), f"{name}:0")
            for name, spec in function.structured_input_signature[1].items()
        }
        self.outputs = {
            name: Tensor(spec.dtype, tuple(spec.shape), f"StatefulPartitionedCall:{place}")
            for place, (name, spec) in enumerate(sorted(function.structured_outputs.items()))
        }

    def __call__(self, inputs: Mapping[str, NDArray]) -> dict[str, NDArray]:
        """Give the outputs by name, of arrays by name.

        Raises:
            ServingError: names, types or shapes are not those of the signature, or the graph refuses the values.
        """
        self.check(inputs)
        try:
            found = self._function(**{name: tf.constant(inputs[name], self.inputs[name].dtype) for name in inputs})
        except tf.errors.OpError as error:
            raise _refused(error) from error
        return {name: value.numpy() for name, value in found.items()}

    def check(self, inputs: Mapping[str, NDArray]) -> None:
        """Raise ServingError where names, types or shapes are not those of the signature."""
        if inputs.keys() != self.inputs.keys():
            raise invalid(f"The inputs must be {sorted(self.inputs)}; received {sorted(inputs)}.")
        for name, value in inputs.items():
            own = self.inputs[name]
            if not (_same_type(value, own.dtype) and own.takes(value.shape)):
                raise invalid(f"{name} must be {own.words}; received {value.dtype} {value.shape}.")


def _same_type(value: NDArray, dtype: tf.DType) -> bool:
    if dtype == tf.string:
        return value.dtype.kind in "OS"
    return bool(value.dtype == dtype.as_numpy_dtype)


def _refused(error: tf.errors.OpError) -> ServingError:
    """What the graph says of a request, without the names of its nodes."""
    said = (error.message or "").strip()
    # "assertion failed: [image_bytes[0] is not ...]" and what is around it
    _, found, rest = said.partition("assertion failed: [")
    words = rest.split("]\n")[0].split("] [[")[0].strip() if found else said.splitlines()[0] if said else ""
    words = words.removesuffix("]") if found and words.count("]") > words.count("[") else words
    if isinstance(error, tf.errors.ResourceExhaustedError):
        return ServingError("RESOURCE_EXHAUSTED", "The memory does not hold this request. Send a smaller picture.")
    if isinstance(error, tf.errors.InvalidArgumentError):
        return invalid(words)
    return ServingError("INTERNAL", words or type(error).__name__)


class Version:
    """A version of a model: a SavedModel, loaded and warmed up.

    Args:
        path: the folder of the SavedModel.

    Attributes:
        path: the folder.
        signatures: by name.
        example: a picture of those that it is warmed up with, (H, W, 1 or 3) of 8 or 16 bits; None without any.

    Raises:
        InputError: it cannot be loaded, or fails the requests that it brings to be warmed up with.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.example: NDArray | None = None
        if not (path / "saved_model.pb").is_file():
            raise InputError(f"{path} is no SavedModel: it has no saved_model.pb.", path)
        try:
            self._model = tf.saved_model.load(str(path))  # holds the weights as long as the signatures are called
            self.signatures = {
                name: Signature(function)
                for name, function in self._model.signatures.items()
                if not name.startswith("__")
            }
            self._warm_up()
        except Exception as error:  # TensorFlow raises whatever it meets in files that are damaged or half there
            said = next(iter(str(error).splitlines()), type(error).__name__)
            raise InputError(f"{path} is no SavedModel that can be served: {said}", path) from error
        if not self.signatures:
            raise InputError(f"{path} has no signature; export it again.", path)

    def signature(self, name: str) -> Signature:
        """The signature of a name; "" for the default.

        Raises:
            ServingError: there is none.
        """
        try:
            return self.signatures[name or DEFAULT]
        except KeyError:
            raise invalid(
                f'Serving signature name: "{name or DEFAULT}" not found in signature def; there are '
                f"{', '.join(sorted(self.signatures))}."
            ) from None

    def _warm_up(self) -> None:
        file = self.path / WARMUP
        if not file.is_file():
            return
        for record in tf.data.TFRecordDataset(str(file)):
            request = PredictionLog.FromString(record.numpy()).predict_log.request
            inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
            self.signature(request.model_spec.signature_name)(inputs)
            image = inputs.get("image", np.zeros(0))
            if image.ndim == 4 and image.shape[-1] in (1, 3) and image.dtype.name in ("uint8", "uint16"):
                self.example = image[0]


def object_array(values: list[bytes]) -> NDArray[np.object_]:
    """(B,) byte strings, none cut at its zeros."""
    found = np.empty(len(values), object)
    found[:] = values
    return found
