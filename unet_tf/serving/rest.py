"""TF Serving's REST interface: https://www.tensorflow.org/tfx/serving/api_rest."""

from __future__ import annotations

from typing import Any

import orjson
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from unet_tf.serving.calls import Asked, Calls
from unet_tf.serving.errors import ServingError, invalid
from unet_tf.serving.models import Status
from unet_tf.serving.rest_tensors import read_request, write_answer
from unet_tf.serving.versions import Signature, Version

MODEL = "/v1/models/{model}"
PLACES = ("", "/versions/{version}", "/labels/{label}")
OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def routes(calls: Calls) -> list[Route]:
    """The paths of the interface."""

    async def status(request: Request) -> Response:
        asked = asked_for(request)
        with calls.counted("rest", asked.model):
            found = calls.models.statuses(asked.model, asked.version, asked.label)
        return JSONResponse({"model_version_status": list(map(_status, found))})

    async def metadata(request: Request) -> Response:
        asked = asked_for(request)
        with calls.counted("rest", asked.model) as line:
            number, version = calls.models.get(asked.model).find(asked.version, asked.label)
            line["version"] = number
        spec = {"name": asked.model, "signature_name": "", "version": str(number)}
        return JSONResponse({"model_spec": spec, "metadata": {"signature_def": signature_def(version)}})

    async def predict(request: Request) -> Response:
        asked = asked_for(request)
        with calls.counted("rest", asked.model) as line:
            body = await request.body()
            content, line["version"] = await calls.run(lambda: _predicted(calls, asked, body))
        return Response(content, media_type="application/json")

    async def unknown(request: Request) -> Response:
        raise malformed(request)

    found = []
    for place in PLACES:
        found += [
            Route(f"{MODEL}{place}:predict", predict, methods=["POST"]),
            Route(f"{MODEL}{place}/metadata", metadata, methods=["GET"]),
            Route(f"{MODEL}{place}", status, methods=["GET"]),
        ]
    return [*found, Route("/v1/{path:path}", unknown, methods=["GET", "POST"])]


def _predicted(calls: Calls, asked: Asked, body: bytes) -> tuple[bytes, int]:
    """The body of a request -> the body of its answer, and the version that gave it."""
    calls.models.get(asked.model).find(asked.version, asked.label)  # before what is said of the body
    parsed = parse(body)
    name = parsed.get("signature_name", "") if isinstance(parsed, dict) else ""
    if not isinstance(name, str):
        raise invalid("'signature_name' must be a string.")
    in_rows = False

    def inputs(signature: Signature) -> dict[str, NDArray]:
        nonlocal in_rows
        values, in_rows = read_request(parsed, signature)
        return values

    answer = calls.predict(asked._replace(signature=name), inputs)
    return orjson.dumps(write_answer(answer.outputs, in_rows), option=OPTIONS), answer.version


def parse(body: bytes) -> Any:
    """The JSON of a body.

    Raises:
        ServingError: it is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid(f"JSON Parse error: {error.msg} at offset: {error.pos}") from None


def asked_for(request: Request) -> Asked:
    """The model, and the version or label, in the path of a request.

    Raises:
        ServingError: the version is no number, or the path ends in a method that there is not.
    """
    model, version, label = (request.path_params.get(name) for name in ("model", "version", "label"))
    if ":" in f"{model}{version}{label}":
        raise malformed(request)
    if version is not None and not (version.isascii() and version.isdecimal() and len(version) < 20):
        raise invalid(f"The version must be a number; received {version[:40]!r}.")
    return Asked(model or "", None if version is None else int(version), label)


def malformed(request: Request) -> ServingError:
    """What TF Serving says of a path that is none of its interface."""
    return invalid(f"Malformed request: {request.method} {request.url.path[:100]}")


def answer_error(error: ServingError) -> Response:
    """An error as TF Serving writes it."""
    return JSONResponse({"error": str(error)}, error.status)


def _status(status: Status) -> dict[str, Any]:
    said = {"error_code": status.code, "error_message": status.message}
    return {"version": str(status.version), "state": status.state, "status": said}


def signature_def(version: Version) -> dict[str, Any]:
    """The signatures of a version as TF Serving's metadata has them: the JSON of `SignatureDefMap`."""

    def tensors(given: Any) -> dict[str, Any]:
        return {
            name: {
                "dtype": f"DT_{one.dtype.name.upper().replace('FLOAT32', 'FLOAT')}",
                "tensor_shape": {
                    "dim": [{"size": str(-1 if size is None else size), "name": ""} for size in one.shape],
                    "unknown_rank": False,
                },
                "name": one.node,
            }
            for name, one in given.items()
        }

    return {
        "signature_def": {
            name: {
                "inputs": tensors(one.inputs),
                "outputs": tensors(one.outputs),
                "method_name": "tensorflow/serving/predict",
                "defaults": {},
            }
            for name, one in version.signatures.items()
        }
    }
