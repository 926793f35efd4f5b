"""TF Serving's gRPC interface: PredictionService and ModelService, and gRPC's own health service."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse as Health
from numpy.typing import NDArray
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef, TensorInfo
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from unet_tf.serving.calls import Asked, Calls
from unet_tf.serving.errors import ServingError, invalid
from unet_tf.serving.versions import Signature, Tensor, Version, object_array

log = logging.getLogger("unet_tf.serving")

OTHERS = 64
"""Calls that may be open beside those that run or wait: those that watch its health, or ask for a status."""
LARGEST = (1 << 31) - 1
"""Bytes of a message that gRPC can count."""
STATES = get_model_status_pb2.ModelVersionStatus.State


class _Aborting:
    """Gives errors of a request to its caller."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def _answer(
        self, request: Any, context: grpc.aio.ServicerContext, work: Callable[[Asked], Any], queued: bool = False
    ) -> Any:
        """Do work in its turn (queued), or at once what takes no time."""
        asked = asked_for(request.model_spec)
        try:
            with self._calls.counted("grpc", asked.model) as line, self._holding(request.ByteSize()):
                line["peer"] = context.peer()
                if not asked.model:
                    raise invalid("ModelSpec has no name specified.")
                if queued:
                    found = await self._calls.run(lambda: work(asked), context.time_remaining())
                else:
                    found = work(asked)
                if "model_spec" in found.DESCRIPTOR.fields_by_name:  # an answer of one version
                    line["version"] = found.model_spec.version.value
                return found
        except ServingError as error:
            code, words = grpc.StatusCode[error.code], str(error)
        except Exception:
            log.exception("A request has failed.")
            code, words = grpc.StatusCode.INTERNAL, "The server has failed; its log says why."
        await context.abort(code, words)
        return None

    @contextmanager
    def _holding(self, count: int) -> Iterator[None]:
        self._calls.hold(count)
        try:
            yield
        finally:
            self._calls.hold(-count)


class Prediction(_Aborting, prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata."""

    async def Predict(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        """Call a signature."""

        def work(asked: Asked) -> Any:
            answer = self._calls.predict(asked, lambda signature: self._arrays(request.inputs, signature))
            wanted = set(request.output_filter) or answer.outputs.keys()
            if missing := wanted - answer.outputs.keys():
                raise invalid(f"output tensor alias not found in signature: {', '.join(sorted(missing))}")
            response = predict_pb2.PredictResponse(model_spec=_spec(asked.model, answer.version, answer.name))
            for name in wanted:
                response.outputs[name].CopyFrom(tf.make_tensor_proto(answer.outputs[name]))
            return response

        return await self._answer(request, context, work, queued=True)

    async def GetModelMetadata(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        """Give the signatures of a version."""

        def work(asked: Asked) -> Any:
            if list(request.metadata_field) != ["signature_def"]:
                raise invalid(f"Metadata field must be signature_def; received {list(request.metadata_field)}.")
            number, version = self._calls.models.get(asked.model).find(asked.version, asked.label)
            response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=_spec(asked.model, number, ""))
            response.metadata["signature_def"].Pack(_signatures(version))
            return response

        return await self._answer(request, context, work)

    def _arrays(self, inputs: Mapping[str, Any], signature: Signature) -> dict[str, NDArray]:
        """The inputs of a request; one value may stand for all, so the shape is looked at before it is filled."""
        found = {}
        for name, value in inputs.items():
            if (own := signature.inputs.get(name)) is None:
                raise invalid(f"The inputs must be {sorted(signature.inputs)}; received {sorted(inputs)}.")
            shape = tuple(one.size for one in value.tensor_shape.dim)
            if value.dtype != own.dtype.as_datatype_enum or not own.takes(shape) or min(shape, default=0) < 0:
                raise invalid(f"{name} must be {own.words}; received type {value.dtype}, shape {shape}.")
            self._calls.limits.check(math.prod(shape[:3]))
            try:
                if own.dtype == tf.string:
                    found[name] = object_array(list(value.string_val)).reshape(shape)
                else:
                    found[name] = np.asarray(tf.make_ndarray(value))
            except (TypeError, ValueError, OverflowError) as error:
                raise invalid(f"{name} is no tensor that can be read: {error}") from None
        return found


class Status(_Aborting, model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus."""

    async def GetModelStatus(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        """Give how the versions of a model stand."""

        def work(asked: Asked) -> Any:
            response = get_model_status_pb2.GetModelStatusResponse()
            for one in self._calls.models.statuses(asked.model, asked.version, asked.label):
                line = response.model_version_status.add(version=one.version, state=STATES.Value(one.state))
                line.status.error_code = 0 if one.code == "OK" else grpc.StatusCode[one.code].value[0]
                line.status.error_message = one.message
            return response

        return await self._answer(request, context, work)


def asked_for(spec: Any) -> Asked:
    """What a request's `model_spec` asks for."""
    choice = spec.WhichOneof("version_choice")
    return Asked(
        spec.name,
        spec.version.value if choice == "version" else None,
        spec.version_label if choice == "version_label" else None,
        spec.signature_name,
    )


def _spec(name: str, version: int, signature: str) -> Any:
    spec = model_pb2.ModelSpec(name=name, signature_name=signature)
    spec.version.value = version
    return spec


def _signatures(version: Version) -> Any:
    def info(one: Tensor) -> TensorInfo:
        shape = tf.TensorShape(one.shape).as_proto()
        return TensorInfo(name=one.node, dtype=one.dtype.as_datatype_enum, tensor_shape=shape)

    def definition(signature: Signature) -> SignatureDef:
        return SignatureDef(
            inputs={name: info(one) for name, one in signature.inputs.items()},
            outputs={name: info(one) for name, one in signature.outputs.items()},
            method_name="tensorflow/serving/predict",
        )

    return get_model_metadata_pb2.SignatureDefMap(
        signature_def={name: definition(signature) for name, signature in version.signatures.items()}
    )


class _Health(health_pb2_grpc.HealthServicer):
    """Check and Watch of the server as a whole. Watchers are let go when it ends: those of `grpc_health` hold it up."""

    def __init__(self) -> None:
        self._status, self._ended, self._changed = Health.SERVING, False, asyncio.Event()

    async def Check(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        """Say how it is."""
        if request.service:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return Health(status=self._status)

    async def Watch(self, request: Any, context: grpc.aio.ServicerContext) -> None:
        """Say how it is, now and whenever that changes."""
        told = None
        while True:
            changed, ended = self._changed, self._ended
            status = Health.SERVICE_UNKNOWN if request.service else self._status
            if status != told:
                await context.write(Health(status=status))
            if ended:
                return
            told = status
            await changed.wait()

    def fall(self, ended: bool = False) -> None:
        """Tell all who watch that they should go elsewhere, and let them go where it ends."""
        self._status, self._ended = Health.NOT_SERVING, ended
        self._changed.set()
        self._changed = asyncio.Event()


class GrpcServer:
    """The services on a port.

    Args:
        calls: what works on requests.
        host: address to listen on.
        port: 0 for one that is free.

    Attributes:
        port: that it listens on.
    """

    def __init__(self, calls: Calls, host: str, port: int) -> None:
        limits = calls.limits
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", min(limits.body, LARGEST)),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
            ],
            maximum_concurrent_rpcs=min(limits.running + limits.waiting + OTHERS, LARGEST),  # messages lie in memory
        )
        self._health = _Health()
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Prediction(calls), self._server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(Status(calls), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.port = self._server.add_insecure_port(f"{f'[{host}]' if ':' in host else host}:{port}")

    async def start(self) -> None:
        """Begin to answer."""
        await self._server.start()

    def drain(self) -> None:
        """Say to those who ask for its health that they should go elsewhere."""
        self._health.fall()

    async def stop(self, seconds: float) -> None:
        """Take no more requests; those that run have so many seconds."""
        self._health.fall(ended=True)
        await self._server.stop(seconds)
