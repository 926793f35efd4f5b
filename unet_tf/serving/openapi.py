"""What the server answers over HTTP, as OpenAPI 3.1 says it: `/openapi.json`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from unet_tf.version import __version__

Json = dict[str, Any]
REFUSALS = {
    "400": "The request is wrong; the message says what is.",
    "404": "There is no such model or version.",
    "405": "The path has no such method.",
    "408": "The request came too slowly.",
    "413": "The request, or a picture in it, is too large.",
    "415": "The body is compressed.",
    "429": "Too many requests wait, or hold too many bytes. Try again later.",
    "431": "The head of the request is too large.",
    "500": "The server has failed; its log says why.",
    "503": "The server is stopping.",
    "504": "There was no answer in time.",
}
ANY: Json = {}
STRING: Json = {"type": "string"}
INTEGER: Json = {"type": "integer"}


def openapi(models: Collection[str]) -> Json:
    """Describe the server of these models."""
    model = _parameter("model", {"type": "string", "enum": sorted(models)})
    version = _parameter("version", {"type": "integer", "minimum": 1, "maximum": 10**18})
    label = _parameter("label", {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9._-]*$"})
    paths: Json = {
        "/metrics": {"get": _operation("What Prometheus reads.", {"text/plain": {"schema": STRING}})},
        "/v2": {
            "get": _operation("The server.", _json(_object(name=STRING, version=STRING, extensions=_list(STRING))))
        },
        "/v2/health/live": {"get": _operation("Whether it answers.", _json(_object(live={"type": "boolean"})))},
        "/v2/health/ready": {"get": _operation("Whether it is ready.", _json(_object(ready={"type": "boolean"})))},
    }
    for place, more in (("", []), ("/versions/{version}", [version]), ("/labels/{label}", [label])):
        path, given = f"/v1/models/{{model}}{place}", [model, *more]
        statuses = _object(model_version_status=_list(_ref("Status")))
        paths[path] = {"get": _operation("How the versions stand.", _json(statuses), given)}
        described = _object(model_spec=ANY, metadata=ANY)
        paths[f"{path}/metadata"] = {"get": _operation("The signatures.", _json(described), given)}
        predicted = _json(_ref("Predictions"))
        paths[f"{path}:predict"] = {"post": _operation("Call a signature.", predicted, given, _ref("Predict"))}
    for place, more in (("", []), ("/versions/{version}", [version])):
        path, given = f"/v2/models/{{model}}{place}", [model, *more]
        paths[path] = {"get": _operation("The tensors.", _json(_ref("Metadata")), given)}
        ready = _object(name=STRING, ready={"type": "boolean"})
        paths[f"{path}/ready"] = {"get": _operation("Whether it is ready.", _json(ready), given)}
        paths[f"{path}/infer"] = {
            "post": _operation("Call a signature.", _json(_ref("Inferred")), given, _ref("Infer"))
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "unet-tf serve", "version": __version__},
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _object(required: Collection[str] | None = None, **properties: Json) -> Json:
    needed = list(properties if required is None else required)
    return {"type": "object", "properties": properties, "required": needed}


def _parameter(name: str, schema: Json) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _operation(summary: str, content: Json, parameters: Collection[Json] = (), body: Json | None = None) -> Json:
    refusals = {status: {"description": words, "content": _json(_ref("Error"))} for status, words in REFUSALS.items()}
    found: Json = {
        "summary": summary,
        "parameters": list(parameters),
        "responses": {"200": {"description": "The answer.", "content": content}, **refusals},
    }
    return found if body is None else found | {"requestBody": {"required": True, "content": _json(body)}}


_INPUT = _object(
    ("name", "shape", "datatype"),
    name=STRING,
    shape=_list({"type": "integer", "minimum": 0}),
    datatype=STRING,
    data={"type": "array"},
    parameters={"type": "object"},
)
_STATUS = _object(
    version=STRING,
    state={"enum": ["LOADING", "AVAILABLE", "END"]},
    status=_object(error_code=STRING, error_message=STRING),
)
_TENSOR = _object(name=STRING, datatype=STRING, shape=_list(INTEGER))
SCHEMAS: Json = {
    "Error": _object(error=STRING),
    "Status": _STATUS,
    "Predict": {
        **_object((), signature_name=STRING, instances={"type": "array", "minItems": 1}, inputs=ANY),
        "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
    },
    "Predictions": {"type": "object", "oneOf": [{"required": ["predictions"]}, {"required": ["outputs"]}]},
    "Metadata": _object(
        name=STRING, versions=_list(STRING), platform=STRING, inputs=_list(_TENSOR), outputs=_list(_TENSOR)
    ),
    "Infer": _object(
        ("inputs",),
        id=STRING,
        inputs={"type": "array", "items": _INPUT},
        outputs=_list(_object(("name",), name=STRING)),
        parameters={"type": "object"},
    ),
    "Inferred": _object(
        ("model_name", "model_version", "outputs"),
        model_name=STRING, model_version=STRING, id=STRING, outputs=_list(_TENSOR),
    ),
}  # fmt: skip
"""Of bodies. What the values of a tensor must be, its signature says, and not OpenAPI."""
