"""TF Serving's gRPC interface from the side of a client: PredictionService and ModelService."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from numpy.typing import NDArray

from unet_tf.errors import InputError
from unet_tf.serving.messages import AVAILABLE, CLASSES, from_tensor, to_spec, to_tensor
from unet_tf.serving.transport import (
    Metadata,
    SignatureSpec,
    Which,
    closed,
    late,
    refused,
    shown,
    unreachable,
    unreadable,
)

PORT = 8500
METHODS = {
    "Predict": ("PredictionService/Predict", "PredictRequest", "PredictResponse"),
    "Metadata": ("PredictionService/GetModelMetadata", "MetadataRequest", "MetadataResponse"),
    "Status": ("ModelService/GetModelStatus", "StatusRequest", "StatusResponse"),
}
OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),  # those are ours
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),  # else a server that comes back is not seen for two minutes
]
READS = "signature_def"


class GrpcTransport:
    """Asks over gRPC.

    Args:
        url: such as grpc://host:8500, or grpcs://host:8500 for TLS.
        timeout: seconds for an answer.
        ca: file of certificates that are trusted; None for those of gRPC.

    Attributes:
        url: the same, without a password.
        in_json: whether numbers travel as text.
        most_values: numbers of one tensor; a message may have 2 GB.

    Raises:
        InputError: the file of certificates cannot be read.
    """

    most_values = 1 << 27
    in_json = False

    def __init__(self, url: str, timeout: float, ca: str | Path | None = None) -> None:
        parts = urlsplit(url)
        self.url, self._timeout = shown(url), timeout
        place = parts.netloc.rpartition("@")[2]
        target = place if parts.port is not None else f"{place}:{PORT}"
        if parts.scheme == "grpcs":
            try:
                roots = None if ca is None else Path(ca).read_bytes()
            except OSError as error:
                raise InputError(f"{ca} cannot be used: {error.strerror}. Check it.") from error
            self._channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(roots), OPTIONS)
        else:
            self._channel = grpc.insecure_channel(target, OPTIONS)
        self._methods: dict[str, Callable[..., Any]] = {
            name: self._channel.unary_unary(
                f"/tensorflow.serving.{path}", CLASSES[request].SerializeToString, CLASSES[response].FromString
            )
            for name, (path, request, response) in METHODS.items()
        }

    def predict(
        self, which: Which, signature: str, name: str, value: NDArray | Sequence[bytes], output: str
    ) -> NDArray:
        """Ask for one output of a signature of one input; raises RequestError."""
        request = CLASSES["PredictRequest"](output_filter=[output])
        _say(request.model_spec, which, signature)
        request.inputs[name].CopyFrom(to_tensor(value))
        found = self._asked("Predict", request)
        if output not in found.outputs:
            raise unreadable(self.url, f"other outputs ({sorted(found.outputs)})")
        try:
            return from_tensor(found.outputs[output])
        except ValueError as error:
            raise unreadable(self.url, error) from error

    def metadata(self, which: Which) -> Metadata:
        """Ask for version and signatures; raises RequestError, or InputError where it is no net of ours."""
        request = CLASSES["MetadataRequest"](metadata_field=[READS])
        _say(request.model_spec, which)
        found = self._asked("Metadata", request)
        try:
            stored = CLASSES["Signatures"].FromString(found.metadata[READS].value).signature_def
        except Exception as error:  # of protobuf, whose class is another one in each of its implementations
            raise unreadable(self.url, f"other metadata ({error!r})") from error
        signatures = {
            name: SignatureSpec(
                {key: to_spec(one) for key, one in own.inputs.items()},
                {key: to_spec(one) for key, one in own.outputs.items()},
            )
            for name, own in stored.items()
        }
        return Metadata.of(self.url, found.model_spec.version.value, signatures)

    def ready(self, which: Which) -> bool:
        """Ask whether a version answers; raises RequestError."""
        request = CLASSES["StatusRequest"]()
        _say(request.model_spec, which)
        return any(one.state == AVAILABLE for one in self._asked("Status", request).model_version_status)

    def close(self) -> None:
        """Let go of connections."""
        self._channel.close()

    def _asked(self, method: str, request: Any) -> Any:
        try:
            return self._methods[method](request, timeout=self._timeout)
        except grpc.RpcError as error:
            raise self._refused(error.code().name, error.details() or "") from error
        except ValueError as error:  # of a channel that was closed
            raise closed(self.url) from error

    def _refused(self, code: str, words: str) -> InputError:
        if code == "UNAVAILABLE":
            return unreachable(self.url, words)
        if code == "DEADLINE_EXCEEDED" and "Deadline Exceeded" in words:  # our own
            return late(self.url, self._timeout)
        return refused(self.url, code, words)


def _say(spec: Any, which: Which, signature: str = "") -> None:
    spec.name, spec.signature_name = which.model, signature
    if which.version is not None:
        spec.version.value = which.version
    elif which.label is not None:
        spec.version_label = which.label
