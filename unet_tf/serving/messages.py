"""TF Serving's gRPC messages, as many of their fields as a client needs, without TensorFlow.

The packages that hold these messages import TensorFlow. The field numbers are those of tensorflow_serving/apis/*.proto
and tensorflow/core/{framework,protobuf}/*.proto; names of messages do not travel, so that they are our own here, in a
pool of their own, where they meet no others. An enum travels as a whole number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from numpy.typing import NDArray

from unet_tf.serving.transport import TensorSpec

MESSAGES = {
    "Dim": {"size": (1, "int64")},
    "Shape": {"dim": (2, "[Dim]"), "unknown_rank": (3, "bool")},
    "Tensor": {
        "dtype": (1, "int32"), "tensor_shape": (2, "Shape"), "tensor_content": (4, "bytes"),
        "float_val": (5, "[float]"), "double_val": (6, "[double]"), "int_val": (7, "[int32]"),
        "string_val": (8, "[bytes]"), "int64_val": (10, "[int64]"), "bool_val": (11, "[bool]"),
        "uint32_val": (16, "[uint32]"), "uint64_val": (17, "[uint64]"),
    },
    "Number": {"value": (1, "int64")},
    "ModelSpec": {
        "name": (1, "string"), "version": (2, "Number"), "signature_name": (3, "string"),
        "version_label": (4, "string"),
    },
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "{Tensor}"), "output_filter": (3, "[string]")},
    "PredictResponse": {"outputs": (1, "{Tensor}"), "model_spec": (2, "ModelSpec")},
    "MetadataRequest": {"model_spec": (1, "ModelSpec"), "metadata_field": (2, "[string]")},
    "MetadataResponse": {"model_spec": (1, "ModelSpec"), "metadata": (2, "{Any}")},
    "Any": {"type_url": (1, "string"), "value": (2, "bytes")},
    "Signatures": {"signature_def": (1, "{Signature}")},
    "Signature": {"inputs": (1, "{Info}"), "outputs": (2, "{Info}"), "method_name": (3, "string")},
    "Info": {"name": (1, "string"), "dtype": (2, "int32"), "tensor_shape": (3, "Shape")},
    "StatusRequest": {"model_spec": (1, "ModelSpec")},
    "StatusResponse": {"model_version_status": (1, "[VersionStatus]")},
    "VersionStatus": {"version": (1, "int64"), "state": (2, "int32")},
}  # fmt: skip
"""Message -> field -> its number and type; [repeated], {of a map from names}."""
AVAILABLE = 30
"""State of a version that is served."""
DTYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 9: "int64", 10: "bool",
    17: "uint16", 22: "uint32", 23: "uint64",
}  # fmt: skip
"""Numbers of `DataType`."""
NUMBERS = {name: number for number, name in DTYPES.items()}
FIELDS = {
    "float32": "float_val", "float64": "double_val", "string": "string_val", "int64": "int64_val", "bool": "bool_val",
    "uint32": "uint32_val", "uint64": "uint64_val",
}  # fmt: skip
"""Type -> the field of its values, where these are not in `tensor_content`; `int_val` for the others."""


def _made() -> dict[str, type[Any]]:
    """The classes of all messages, by name."""
    file = descriptor_pb2.FileDescriptorProto(name="unet_tf_client.proto", package="unet_tf", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            made = message.field.add(name=field, number=number, label=kinds.LABEL_OPTIONAL)
            if kind[0] in "[{":
                made.label = kinds.LABEL_REPEATED
            of = kind.strip("[]{}")
            if kind[0] == "{":  # on the wire a map is a list of pairs
                pair = "".join(part.capitalize() for part in field.split("_")) + "Entry"
                entry = message.nested_type.add(name=pair)
                entry.options.map_entry = True
                entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
                value = entry.field.add(name="value", number=2, label=kinds.LABEL_OPTIONAL)
                value.type, value.type_name = kinds.TYPE_MESSAGE, f".unet_tf.{of}"
                of = f"{name}.{pair}"
            if of[0].isupper():
                made.type, made.type_name = kinds.TYPE_MESSAGE, f".unet_tf.{of}"
            else:
                made.type = kinds.Type.Value(f"TYPE_{of.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"unet_tf.{name}")) for name in MESSAGES}


CLASSES = _made()


def to_tensor(value: NDArray | Sequence[bytes]) -> Any:
    """Make a message of an array, or of byte strings (B,).

    Raises:
        KeyError: TF Serving has no such type.
    """
    tensor = CLASSES["Tensor"]()
    if isinstance(value, np.ndarray):
        tensor.dtype = NUMBERS[value.dtype.name]
        tensor.tensor_content = np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes()
        shape: tuple[int, ...] = value.shape
    else:
        tensor.dtype, shape = 7, (len(value),)
        tensor.string_val.extend(value)
    tensor.tensor_shape.SetInParent()  # a scalar has a shape too
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    return tensor


def from_tensor(tensor: Any) -> NDArray:
    """Make an array of a message, of objects where it holds byte strings.

    A server may send values as bytes, or one by one, and then leave out those at the end that repeat.

    Raises:
        ValueError: it is of another type, or its values do not fill its shape.
    """
    kind = DTYPES.get(tensor.dtype)
    if kind is None:
        raise ValueError(f"a tensor of type {tensor.dtype}")
    shape = tuple(one.size for one in tensor.tensor_shape.dim)
    dtype = np.dtype(object if kind == "string" else kind)
    if tensor.tensor_content and kind != "string":
        return np.frombuffer(tensor.tensor_content, dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(shape)
    given = getattr(tensor, FIELDS.get(kind, "int_val"))
    values = np.fromiter(given, dtype, len(given))
    missing = int(np.prod(shape)) - len(values)
    if missing > 0 and len(values):
        values = np.concatenate([values, np.repeat(values[-1:], missing)])
    return values.reshape(shape)


def to_spec(info: Any) -> TensorSpec:
    """Read what metadata say of an input or output."""
    sizes = (None if one.size < 0 else one.size for one in info.tensor_shape.dim)
    return TensorSpec(DTYPES.get(info.dtype, str(info.dtype)), tuple(sizes))
