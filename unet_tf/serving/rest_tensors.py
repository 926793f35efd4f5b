"""JSON of TF Serving's REST interface to arrays and back: row and column format, bytes as {"b64": ...}."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.serving.errors import invalid
from unet_tf.serving.versions import Signature, Tensor, object_array

BYTES = "b64"
KINDS: dict[str, set[type]] = {"b": {bool}, "i": {int}, "u": {int}, "f": {int, float}}
"""Values of JSON that a kind of NumPy's types takes."""
AS_BYTES = "_bytes"
"""What the names of outputs end in whose strings are sent in base64, as TF Serving does."""


def read_request(body: Any, signature: Signature) -> tuple[dict[str, NDArray], bool]:
    """Give the arrays of a request, and whether it is in row format.

    Args:
        body: the parsed JSON: `instances`, a list of values or of objects, or `inputs`, a value or an object.
        signature: that is called.

    Raises:
        ServingError: the JSON is not what the signature takes.
    """
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object with 'instances' or 'inputs'.")
    rows, columns = "instances" in body, "inputs" in body
    if rows == columns:
        raise invalid("The body must have one of 'instances' and 'inputs'; it has both." if rows else
                      "The body must have one of 'instances' and 'inputs'; it has neither.")  # fmt: skip
    given = _columns_of_rows(body["instances"], signature) if rows else _columns(body["inputs"], signature)
    if given.keys() != signature.inputs.keys():
        raise invalid(f"The inputs must be {sorted(signature.inputs)}; received {sorted(given)}.")
    return {name: read_tensor(value, name, signature.inputs[name]) for name, value in given.items()}, rows


def _columns_of_rows(instances: Any, signature: Signature) -> dict[str, Any]:
    if not isinstance(instances, list) or not instances:
        raise invalid("'instances' must be a list with one value at least.")
    if all(isinstance(one, dict) and not _is_bytes(one) for one in instances):
        names = instances[0].keys()
        if any(one.keys() != names for one in instances):
            raise invalid("Each of 'instances' must have the same names.")
        return {name: [one[name] for one in instances] for name in names}
    return {_only(signature): instances}


def _columns(inputs: Any, signature: Signature) -> dict[str, Any]:
    if isinstance(inputs, dict) and not _is_bytes(inputs):
        return inputs
    return {_only(signature): inputs}


def _only(signature: Signature) -> str:
    if len(signature.inputs) > 1:
        raise invalid(f"Values need names where there are several inputs: {sorted(signature.inputs)}.")
    return next(iter(signature.inputs))


def _is_bytes(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {BYTES}


def read_tensor(value: Any, name: str, tensor: Tensor) -> NDArray:
    """Nested lists to an array of the type and rank of an input.

    Raises:
        ServingError: they are of another type or not rectangular, or a value does not fit the type.
    """
    if tensor.dtype.name == "string":
        values = value if isinstance(value, list) else [value]
        return object_array([_bytes(one, name) for one in values])
    found = read_numbers(value, name, np.dtype(tensor.dtype.as_numpy_dtype))
    if not tensor.takes(found.shape):
        raise invalid(f"{name} must be {tensor.words}; received shape {found.shape}.")
    return found


def read_numbers(value: Any, name: str, dtype: np.dtype) -> NDArray:
    """Nested lists to an array of a type that holds each of the numbers.

    Raises:
        ServingError: they are not rectangular or hold something else than numbers, or a number does not fit the type.
    """
    found = np.array(value, object)  # one long string among numbers would be as long in the place of each of them
    flat = found.ravel().tolist()
    kinds = set(map(type, flat))
    if list in kinds:
        raise invalid(f"{name} must be a rectangular list of numbers.")
    if not kinds <= KINDS.get(dtype.kind, set()):
        raise invalid(f"{name} must hold numbers of type {dtype}; it holds others.")
    if dtype.kind in "iuf" and flat:
        limits, low, high = (np.finfo if dtype.kind == "f" else np.iinfo)(dtype), min(flat), max(flat)
        if low < limits.min or high > limits.max:
            raise invalid(f"{name} must hold {limits.min} to {limits.max} ({dtype}); it holds {low} to {high}.")
    return found.astype(dtype)


def _bytes(value: Any, name: str) -> bytes:
    if isinstance(value, str):
        return value.encode(errors="surrogateescape")
    if not _is_bytes(value) or not isinstance(value[BYTES], str):
        raise invalid(f'{name} must be strings, or objects {{"b64": "..."}} for bytes.')
    text = value[BYTES].translate(_PLAIN)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid(f"{name} holds what is no base64.") from None


_PLAIN = str.maketrans("-_", "+/", " \t\n\v\f\r")
"""The alphabet of URLs and lines of any length, as TF Serving takes them; it takes base64 without its end too."""


def write_answer(outputs: Mapping[str, NDArray], rows: bool) -> dict[str, Any]:
    """Outputs by name as `predictions` (rows) or `outputs` (columns); arrays stay arrays."""
    values = {name: _value(value, name) for name, value in outputs.items()}
    if not rows:
        return {"outputs": next(iter(values.values())) if len(values) == 1 else values}
    if len(values) == 1:
        return {"predictions": next(iter(values.values()))}
    count = min(map(len, values.values()))
    return {"predictions": [{name: value[place] for name, value in values.items()} for place in range(count)]}


def _value(value: NDArray, name: str) -> Any:
    if value.dtype.kind not in "OS":
        return np.ascontiguousarray(value)
    if name.endswith(AS_BYTES):
        return [{BYTES: base64.b64encode(one).decode()} for one in value.ravel()]
    return [one.decode(errors="replace") for one in value.ravel()]
