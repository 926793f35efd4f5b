"""The Open Inference Protocol (V2) from the side of a client, with binary data: KServe, Triton, `unet-tf serve`.

https://github.com/kserve/open-inference-protocol
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import NDArray

from unet_tf.edge.description import Description
from unet_tf.errors import InputError
from unet_tf.exporting.bundle import MASK, PROBABILITIES
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
    """Asks over HTTP by V2; pixels travel as bytes after the JSON.

    The protocol knows nothing of signatures: servers find them by the names of inputs and outputs, which are those of
    `unet_tf.exporting.saved_model`. Of the net they say little or nothing, so that the bundle has to say it. Picture
    files are decoded here: the servers do not agree on how bytes are written.

    Args:
        url: such as http://host:8080.
        timeout: seconds for an answer.
        ca: file of certificates that are trusted; None for those of the system.
        about: of the bundle that is served.

    Raises:
        InputError: the bundle is missing, or the address or the file of certificates cannot be used.
    """

    most_values = 1 << 26
    in_json = False

    def __init__(self, url: str, timeout: float, ca: str | Path | None, about: Description | None) -> None:
        if about is None:
            raise InputError("V2 does not say what a net takes; give the bundle that is served (bundle, --bundle).")
        super().__init__(url, timeout, ca)
        self._about = about

    def predict(
        self, which: Which, signature: str, name: str, value: NDArray | Sequence[bytes], output: str
    ) -> NDArray:
        """Ask for one output of a signature of one input, pixels; raises RequestError."""
        array = np.asarray(value)
        kind = TYPES[array.dtype.name]
        content = array.astype(NUMPY[kind]).tobytes()
        given: dict[str, object] = {"name": name, "shape": list(array.shape), "datatype": kind}
        given["parameters"] = {"binary_data_size": len(content)}
        wanted = {"name": output, "parameters": {"binary_data": True}}
        head = json.dumps({"inputs": [given], "outputs": [wanted]}).encode()
        headers = {HEADER: str(len(head)), "Content-Type": "application/octet-stream"}
        answer = self._answer("POST", f"{_path(which)}/infer", head + content, headers)
        try:
            return _tensor(answer, output)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise unreadable(self.url, f"other outputs ({error!r})") from error

    def metadata(self, which: Which) -> Metadata:
        """Ask for the version; the bundle says the signatures. Raises RequestError."""
        found = self._asked("GET", _path(which))
        try:
            version = which.version or max(map(int, found.get("versions") or ["1"]))
        except (TypeError, ValueError, AttributeError) as error:
            raise unreadable(self.url, f"other metadata ({error!r})") from error
        known = self._about.normalisation
        image = {"image": TensorSpec(known.dtype, (*SIZES, known.channels))}
        soft = TensorSpec("float32", (*SIZES, len(self._about.classes)))
        signatures = {
            MASK: SignatureSpec(image, {"mask": TensorSpec("uint8", SIZES)}),
            PROBABILITIES: SignatureSpec(image, {"probabilities": soft}),
        }
        return Metadata.of(self.url, version, signatures)

    def ready(self, which: Which) -> bool:
        """Ask whether a version answers; raises RequestError."""
        self._answer("GET", f"{_path(which)}/ready")
        return True


def _path(which: Which) -> str:
    if which.label is not None:
        raise InputError("V2 knows no labels. Give a version, or none for the newest.")
    path = f"/v2/models/{quote(which.model, safe='')}"
    return path if which.version is None else f"{path}/versions/{which.version}"


def _tensor(answer: httpx.Response, name: str) -> NDArray:
    """One output of an answer, in JSON or as bytes after it."""
    length = answer.headers.get(HEADER)
    at = len(answer.content) if length is None else int(length)
    for one in json.loads(answer.content[:at])["outputs"]:
        size = (one.get("parameters") or {}).get("binary_data_size")
        if one["name"] == name:
            kind = NUMPY[one["datatype"]]
            found = one["data"] if size is None else np.frombuffer(answer.content[at : at + size], kind)
            return np.asarray(found, kind).reshape(one["shape"])
        at += size or 0
    raise KeyError(name)
