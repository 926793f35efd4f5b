"""The Open Inference Protocol (V2) from the side of a client: KServe, Triton, and `unet-tf serve`."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import NDArray

from unet_tf.edge.description import Description
from unet_tf.errors import InputError
from unet_tf.exporting.bundle import ENCODED, MASK, PROBABILITIES
from unet_tf.serving.rest_client import RestTransport
from unet_tf.serving.transport import Metadata, SignatureSpec, TensorSpec, Which, unreadable

HEADER = "Inference-Header-Content-Length"
TYPES = {
    "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "int8": "INT8", "int16": "INT16", "int32": "INT32",
    "float32": "FP32", "float64": "FP64",
}  # fmt: skip
"""NumPy's names of types, and the protocol's."""
NUMPY = {theirs: np.dtype(ours).newbyteorder("<") for ours, theirs in TYPES.items()}
SIZES = (None, None, None)


class V2Transport(RestTransport):
    """Asks over HTTP by V2; arrays travel as bytes after the JSON, picture files in base64 within it.

    The protocol knows nothing of signatures: they are told by the names of inputs and outputs, which are those of
    `unet_tf.exporting.saved_model`. What the net takes a server may leave unsaid; then the bundle says it.

    Args:
        url: such as http://host:8080.
        timeout: seconds for an answer.
        ca: file of certificates that are trusted; None for those of the system.
        about: of the bundle that is served; None where the server says it.
    """

    most_values = 1 << 26
    in_json = False

    def __init__(
        self, url: str, timeout: float, ca: str | Path | None = None, about: Description | None = None
    ) -> None:
        super().__init__(url, timeout, ca)
        self._told = about

    def predict(
        self, which: Which, signature: str, name: str, value: NDArray | Sequence[bytes], output: str
    ) -> NDArray:
        """Ask for one output of a signature of one input; raises RequestError."""
        wanted: dict[str, Any] = {"name": output}
        if isinstance(value, np.ndarray):
            own = value.astype(value.dtype.newbyteorder("<"))
            given = {"shape": list(own.shape), "datatype": TYPES[own.dtype.name]}
            given |= {"parameters": {"binary_data_size": own.nbytes}}
            tail, wanted["parameters"] = own.tobytes(), {"binary_data": True}
        else:
            given = {
                "shape": [len(value)],
                "datatype": "BYTES",
                "data": [base64.b64encode(one).decode() for one in value],
            }
            tail = b""
        body = json.dumps({"id": "1", "inputs": [{"name": name, **given}], "outputs": [wanted]}).encode()
        headers = {HEADER: str(len(body)), "Content-Type": "application/octet-stream"} if tail else {}
        answer = self._answer("POST", f"{_path(which)}/infer", body + tail, headers)
        try:
            return _tensor(answer, output)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise unreadable(self.url, f"other outputs ({error!r})") from error

    def metadata(self, which: Which) -> Metadata:
        """Ask for version and signatures; raises RequestError, or InputError where nobody says what the net takes."""
        found = self._asked("GET", _path(which))
        try:
            version = max(map(int, found.get("versions") or ["1"]))
            names = str((found.get("parameters") or {}).get("signatures", "")).split(",")
            shapes = {one["name"]: (one["datatype"], one["shape"]) for one in found.get("inputs") or []}
            kind, channels, classes = self._sizes(shapes)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise unreadable(self.url, f"other metadata ({error!r})") from error
        pixels, ids = TensorSpec(kind, (*SIZES, channels)), TensorSpec("uint8", SIZES)
        soft, files = TensorSpec("float32", (*SIZES, classes)), TensorSpec("string", (None,))
        signatures = {
            MASK: SignatureSpec({"image": pixels}, {"mask": ids}),
            PROBABILITIES: SignatureSpec({"image": pixels}, {"probabilities": soft}),
        }
        plain = self._told is not None and self._told.channels.plain and channels in (1, 3)
        if ENCODED in names or (names == [""] and plain and kind in ("uint8", "uint16")):
            signatures[ENCODED] = SignatureSpec({"image_bytes": files}, {"mask_bytes": files})
        return Metadata.of(self.url, version if which.version is None else which.version, signatures)

    def _sizes(self, inputs: dict[str, Any]) -> tuple[str, int, int]:
        """Pixel type, channels and number of classes."""
        if self._told is not None:
            known = self._told.normalisation
            return known.dtype, known.channels, len(self._told.classes)
        raise InputError(
            f"V2 does not say what a net takes; give the bundle that {self.url} serves (bundle, --bundle)."
        )

    def ready(self, which: Which) -> bool:
        """Ask whether a version answers; raises RequestError."""
        return bool(self._asked("GET", f"{_path(which)}/ready").get("ready", True))


def _path(which: Which) -> str:
    if which.label is not None:
        raise InputError("V2 knows no labels. Give a version, or none for the newest.")
    path = f"/v2/models/{quote(which.model, safe='')}"
    return path if which.version is None else f"{path}/versions/{which.version}"


def _tensor(answer: httpx.Response, name: str) -> NDArray:
    """One output of an answer, in JSON or as bytes after it."""
    length = answer.headers.get(HEADER)
    head = answer.content if length is None else answer.content[: int(length)]
    at = len(head)
    for one in json.loads(head)["outputs"]:
        size = (one.get("parameters") or {}).get("binary_data_size")
        if one["name"] == name:
            if one["datatype"] == "BYTES":
                found = np.empty(len(one["data"]), object)
                found[:] = [base64.b64decode(text, validate=True) for text in one["data"]]
                return found
            if size is None:
                return np.asarray(one["data"], NUMPY[one["datatype"]]).reshape(one["shape"])
            return np.frombuffer(answer.content, NUMPY[one["datatype"]], -1, at)[: int(np.prod(one["shape"]))].reshape(
                one["shape"]
            )
        at += size or 0
    raise KeyError(name)
