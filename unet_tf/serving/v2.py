"""The Open Inference Protocol (V2), as KServe, Triton and OpenVINO Model Server speak it, with its binary extension.

https://github.com/kserve/open-inference-protocol; binary data: Triton's `extension_binary_data`.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unet_tf.serving.calls import Asked, Calls
from unet_tf.serving.errors import invalid
from unet_tf.serving.rest import OPTIONS, asked_for, parse
from unet_tf.serving.rest_tensors import read_numbers
from unet_tf.serving.versions import DEFAULT, Tensor, Version, object_array
from unet_tf.version import __version__

HEADER = "inference-header-content-length"
SIGNATURE = "signature_name"
"""Parameter of a request by which a signature is chosen, of which the protocol knows nothing."""
TYPES = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64", "int8": "INT8",
    "int16": "INT16", "int32": "INT32", "int64": "INT64", "float16": "FP16", "float32": "FP32", "float64": "FP64",
    "string": "BYTES",
}  # fmt: skip
"""Names of types: NumPy's, and the protocol's."""
NUMPY = {theirs: np.dtype(ours).newbyteorder("<") for ours, theirs in TYPES.items() if ours != "string"}


def routes(calls: Calls) -> list[Route]:
    """The paths of the interface."""

    async def server(request: Request) -> Response:
        return JSONResponse({"name": "unet_tf", "version": __version__, "extensions": ["binary_tensor_data"]})

    async def live(request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(request: Request) -> Response:
        return JSONResponse({"ready": calls.ready}, 200 if calls.ready else 503)

    async def model_ready(request: Request) -> Response:
        asked = asked_for(request)
        calls.models.get(asked.model).find(asked.version)
        return JSONResponse({"name": asked.model, "ready": not calls.draining}, 503 if calls.draining else 200)

    async def metadata(request: Request) -> Response:
        asked = asked_for(request)
        model = calls.models.get(asked.model)
        _, version = model.find(asked.version)
        signature = version.signature("")
        return JSONResponse(
            {
                "name": asked.model,
                "versions": [str(one.version) for one in model.statuses() if one.state == "AVAILABLE"],
                "platform": "tensorflow_savedmodel",
                "inputs": _tensors(signature.inputs),
                "outputs": _tensors(signature.outputs),
                "parameters": {SIGNATURE: DEFAULT, "signatures": ",".join(sorted(version.signatures))},
            }
        )

    async def infer(request: Request) -> Response:
        asked = asked_for(request)
        with calls.counted("v2", asked.model) as line:
            body = await request.body()
            length = request.headers.get(HEADER)
            content, header, line["version"] = await calls.run(lambda: _inferred(calls, asked, body, length))
        if header is None:
            return Response(content, media_type="application/json")
        return Response(content, media_type="application/octet-stream", headers={HEADER: str(header)})

    found = [
        Route("/v2", server, methods=["GET"]),
        Route("/v2/health/live", live, methods=["GET"]),
        Route("/v2/health/ready", ready, methods=["GET"]),
    ]
    for place in ("", "/versions/{version}"):
        path = f"/v2/models/{{model}}{place}"
        found += [
            Route(f"{path}/ready", model_ready, methods=["GET"]),
            Route(f"{path}/infer", infer, methods=["POST"]),
            Route(path, metadata, methods=["GET"]),
        ]
    return found


def _tensors(given: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "datatype": TYPES[one.dtype.name],
            "shape": [-1 if size is None else size for size in one.shape],
        }
        for name, one in given.items()
    ]


def _inferred(calls: Calls, asked: Asked, body: bytes, length: str | None) -> tuple[bytes, int | None, int]:
    """The body of a request -> the body of its answer, the length of its JSON where bytes follow it, the version."""
    _, version = calls.models.get(asked.model).find(asked.version)
    size = len(body) if length is None else _size(length, len(body))
    request, rest = parse(body[:size]), memoryview(body)[size:]
    if not isinstance(request, dict) or not isinstance(request.get("inputs"), list):
        raise invalid("The body must be a JSON object with the list 'inputs'.")
    given = dict(_inputs(request["inputs"], rest))
    wanted, binary = _wanted(request)
    name = _parameters(request).get(SIGNATURE) or _fitting(version, given, wanted)
    if not isinstance(name, str):
        raise invalid(f"The parameter {SIGNATURE} must be a string.")
    answer = calls.predict(asked._replace(signature=name), lambda _: given)
    if missing := wanted - answer.outputs.keys():
        raise invalid(f"The outputs are {sorted(answer.outputs)}; {sorted(missing)} were asked for.")
    head = {"model_name": asked.model, "model_version": str(answer.version)}
    if isinstance(given_id := request.get("id"), str):
        head["id"] = given_id
    outputs, tail = [], []
    for name, value in answer.outputs.items():
        if wanted and name not in wanted:
            continue
        one: dict[str, Any] = {"name": name, "datatype": _type_of(value), "shape": list(value.shape)}
        if binary.get(name, binary[""]):
            tail.append(_as_bytes(value))
            one["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            one["data"] = _as_json(value)
        outputs.append(one)
    text = orjson.dumps(head | {"outputs": outputs}, option=OPTIONS)
    return b"".join([text, *tail]), len(text) if tail else None, answer.version


def _size(length: str, most: int) -> int:
    if not (length.isascii() and length.isdecimal() and len(length) < 20 and int(length) <= most):
        raise invalid(f"The header {HEADER} must be a number of at most {most} bytes, as the body has.")
    return int(length)


def _parameters(one: Mapping[str, Any]) -> dict[str, Any]:
    found = one.get("parameters") or {}
    if not isinstance(found, dict):
        raise invalid("'parameters' must be an object.")
    return found


def _wanted(request: Mapping[str, Any]) -> tuple[set[str], dict[str, bool]]:
    """The outputs that are asked for, all where none is named; whether each is wanted as bytes, "" for the others."""
    outputs = request.get("outputs") or []
    if not isinstance(outputs, list) or not all(isinstance(one, dict) and isinstance(one.get("name"), str)
                                                for one in outputs):  # fmt: skip
        raise invalid("'outputs' must be a list of objects with a name.")
    binary = {"": bool(_parameters(request).get("binary_data_output", False))}
    for one in outputs:
        binary[one["name"]] = bool(_parameters(one).get("binary_data", binary[""]))
    return {one["name"] for one in outputs}, binary


def _fitting(version: Version, given: Mapping[str, NDArray], wanted: set[str]) -> str:
    """The signature with these inputs that gives the outputs that are asked for; the default one first."""
    names = sorted(version.signatures, key=lambda name: name != DEFAULT)
    of_inputs = [name for name in names if version.signatures[name].inputs.keys() == given.keys()]
    fitting = [name for name in of_inputs if wanted <= version.signatures[name].outputs.keys()]
    return next(iter(fitting or of_inputs), DEFAULT)


def _inputs(inputs: list[Any], rest: memoryview) -> Any:
    """Name and array of each input; those that are sent as bytes follow one another in `rest`."""
    at = 0
    for one in inputs:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            raise invalid("Each of 'inputs' must be an object with a name.")
        name, shape, kind = one["name"], one.get("shape"), one.get("datatype")
        if not isinstance(shape, list) or not all(type(size) is int and 0 <= size < 1 << 31 for size in shape):
            raise invalid(f"{name} must have a shape, a list of sizes.")
        if not isinstance(kind, str) or kind not in TYPES.values():
            raise invalid(f"{name} must have a datatype of {', '.join(TYPES.values())}; received {str(kind)[:40]!r}.")
        size = _parameters(one).get("binary_data_size")
        if size is None:
            found = _of_json(one.get("data"), kind, name)
        else:
            if type(size) is not int or not 0 <= size <= len(rest) - at:
                raise invalid(f"{name} must have as many bytes as it says, {size}; {len(rest) - at} follow.")
            found = _of_bytes(rest[at : at + size], kind, name)
            at += size
        try:
            yield name, found.reshape(shape)
        except ValueError:
            raise invalid(f"{name} has {found.size} values, and its shape is {shape}.") from None
    if at != len(rest):
        raise invalid(f"{len(rest) - at} bytes belong to no input.")


def _of_json(data: Any, kind: str, name: str) -> NDArray:
    if not isinstance(data, list):
        raise invalid(f"{name} must have data, a list.")
    if kind == "BYTES":
        try:
            values = np.array(data, object).ravel().tolist()
            return object_array([base64.b64decode(one, validate=True) for one in values])
        except (binascii.Error, ValueError, TypeError):
            raise invalid(f"{name} must hold base64: JSON has no bytes.") from None
    return read_numbers(data, name, NUMPY[kind].newbyteorder("="))


def _of_bytes(data: memoryview, kind: str, name: str) -> NDArray:
    if kind != "BYTES":
        dtype = NUMPY[kind]
        if len(data) % dtype.itemsize:
            raise invalid(f"{name} must have whole values of {dtype.itemsize} bytes; it has {len(data)} bytes.")
        return np.frombuffer(data, dtype).astype(dtype.newbyteorder("="))
    values, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at) if at + 4 <= len(data) else (len(data),)
        if at + 4 + size > len(data):
            raise invalid(f"{name} must hold each value after its length, 4 bytes; it ends within one.")
        values.append(bytes(data[at + 4 : at + 4 + size]))
        at += 4 + size
    return object_array(values)


def _type_of(value: NDArray) -> str:
    return TYPES["string" if value.dtype.kind in "OS" else value.dtype.name]


def _as_bytes(value: NDArray) -> bytes:
    if value.dtype.kind in "OS":
        return b"".join(struct.pack("<I", len(one)) + one for one in value.ravel())
    return value.astype(value.dtype.newbyteorder("<")).tobytes()


def _as_json(value: NDArray) -> Any:
    if value.dtype.kind in "OS":
        return [base64.b64encode(one).decode() for one in value.ravel()]
    return np.ascontiguousarray(value).ravel()
