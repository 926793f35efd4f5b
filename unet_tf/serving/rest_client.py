"""TF Serving's REST interface from the side of a client, by httpx: https://www.tensorflow.org/tfx/serving/api_rest."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import NDArray

from unet_tf.errors import InputError
from unet_tf.exporting.bundle import PROBABILITIES
from unet_tf.serving.errors import STATUS
from unet_tf.serving.transport import (
    Metadata,
    SignatureSpec,
    TensorSpec,
    Which,
    closed,
    late,
    refused,
    shown,
    unreachable,
    unreadable,
)

CODES = {int(status): code for code, status in STATUS.items()} | {
    401: "PERMISSION_DENIED", 403: "PERMISSION_DENIED", 408: "DEADLINE_EXCEEDED", 413: "INVALID_ARGUMENT",
    502: "UNAVAILABLE",
}  # fmt: skip
"""Status of HTTP -> code of gRPC; others are INTERNAL."""
TYPES = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64"}
"""Names of `DataType` that are not NumPy's in capitals."""
KINDS = ("inputs", "outputs")
CONNECT = 10.0
"""Seconds for a connection at most: a host that drops packets is tried as often as one that refuses."""


class RestTransport:
    """Asks over HTTP.

    Args:
        url: such as http://host:8501.
        timeout: seconds for an answer.
        ca: file of certificates that are trusted; None for those of the system.

    Attributes:
        url: the same, without a password.
        in_json: whether numbers travel as text.
        most_values: numbers of one tensor; as JSON, and as objects of Python, they take 10 to 50 bytes each.

    Raises:
        InputError: the address or the file of certificates cannot be used.
    """

    most_values = 1 << 22
    in_json = True

    def __init__(self, url: str, timeout: float, ca: str | Path | None = None) -> None:
        self.url, self._timeout = shown(url), timeout
        try:
            verify = ssl.create_default_context(cafile=ca) if ca is not None else True
            within = httpx.Timeout(timeout, connect=min(timeout, CONNECT))
            self._base = str(httpx.URL(url)).rstrip("/")
        except (OSError, httpx.InvalidURL) as error:
            raise InputError(f"{ca or url} cannot be used: {error}. Check it.") from error
        try:
            self._client = httpx.Client(timeout=within, verify=verify)
        except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
            raise InputError(
                "Proxies and certificates of the environment (ALL_PROXY, HTTPS_PROXY, HTTP_PROXY, NO_PROXY, "
                f"SSL_CERT_FILE, SSL_CERT_DIR) must be of use: {str(error).rstrip('.')}. Mend or unset them."
            ) from error

    def predict(
        self, which: Which, signature: str, name: str, value: NDArray | Sequence[bytes], output: str
    ) -> NDArray:
        """Ask for one output of a signature of one input; raises RequestError."""
        given: Any
        if isinstance(value, np.ndarray):
            given = value.tolist()
        else:
            given = [{"b64": base64.b64encode(one).decode()} for one in value]
        body = json.dumps({"signature_name": signature, "inputs": {name: given}}, separators=(",", ":"))
        found = self._asked("POST", f"{_path(which)}:predict", body.encode())
        try:
            values = found["outputs"]
            values = values[output] if isinstance(values, dict) and values.keys() != {"b64"} else values
            if not isinstance(value, np.ndarray):
                return _strings(values)
            return np.asarray(values, np.float32 if signature == PROBABILITIES else None)  # JSON's null becomes NaN
        except (KeyError, TypeError, ValueError) as error:
            raise unreadable(self.url, f"other outputs ({error!r})") from error

    def metadata(self, which: Which) -> Metadata:
        """Ask for version and signatures; raises RequestError, or InputError where it is no net of ours."""
        found = self._asked("GET", f"{_path(which)}/metadata")
        try:
            version = int(found["model_spec"]["version"])
            stored = found["metadata"]["signature_def"]["signature_def"]
            signatures = {
                name: SignatureSpec(*({key: _spec(one) for key, one in own.get(kind, {}).items()} for kind in KINDS))
                for name, own in stored.items()
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise unreadable(self.url, f"other metadata ({error!r})") from error
        return Metadata.of(self.url, version, signatures)

    def ready(self, which: Which) -> bool:
        """Ask whether a version answers; raises RequestError."""
        found = self._asked("GET", _path(which))
        try:
            return any(one["state"] == "AVAILABLE" for one in found["model_version_status"])
        except (KeyError, TypeError) as error:
            raise unreadable(self.url, f"another status ({error!r})") from error

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def _asked(self, method: str, path: str, body: bytes | None = None) -> Any:
        answer = self._answer(method, path, body)
        try:
            return answer.json()
        except ValueError as error:
            raise unreadable(self.url, f"{answer.text[:60]!r}") from error

    def _answer(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = MappingProxyType({})
    ) -> httpx.Response:
        try:
            answer = self._client.request(
                method, self._base + path, content=body, headers={"Content-Type": "application/json", **headers}
            )
        except (httpx.ReadTimeout, httpx.WriteTimeout) as error:
            raise late(self.url, self._timeout) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise unreachable(self.url, str(error) or type(error).__name__) from error
        except RuntimeError as error:
            raise closed(self.url) from error
        if answer.status_code != 200:
            raise self._refused(answer, path)
        return answer

    def _refused(self, answer: httpx.Response, path: str) -> InputError:
        if answer.has_redirect_location:
            there = str(answer.request.url.join(answer.headers["Location"]))
            remedy = f"Give {shown(there.removesuffix(path))}." if there.endswith(path) else "Give what lies behind it."
            return InputError(f"{self.url} must be the address of a server; it leads to {shown(there)}. {remedy}")
        try:
            words = str(answer.json()["error"])
        except (ValueError, KeyError, TypeError):
            words = f"HTTP {answer.status_code}, {answer.text[:200]}".removesuffix(", ")
        too_large = answer.status_code in (408, 413)  # the former of a body that takes too long to arrive
        return refused(self.url, CODES.get(answer.status_code, "INTERNAL"), words, too_large)


def _path(which: Which) -> str:
    path = f"/v1/models/{quote(which.model, safe='')}"
    if which.version is not None:
        return f"{path}/versions/{which.version}"
    return path if which.label is None else f"{path}/labels/{quote(which.label, safe='')}"


def _spec(stored: Any) -> TensorSpec:
    sizes = (int(one["size"]) for one in stored["tensor_shape"].get("dim", []))
    kind = stored["dtype"]
    name = TYPES.get(kind, kind.removeprefix("DT_").lower())
    return TensorSpec(name, tuple(None if size < 0 else size for size in sizes))


def _strings(values: Any) -> NDArray:
    """(B,) byte strings of what was sent as base64."""
    found = np.empty(len(values), object)
    found[:] = [base64.b64decode(one["b64"], validate=True) for one in values]
    return found
