"""TF Serving's gRPC interface: PredictionService and ModelService, and gRPC's own health service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
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

STATES = get_model_status_pb2.ModelVersionStatus.State


class _Aborting:
    """Gives errors of a request to its caller."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def _answer(self, asked: Asked, context: grpc.aio.ServicerContext, work: Any) -> Any:
        try:
            with self._calls.counted("grpc", asked.model) as line:
                line["peer"] = context.peer()
                return await self._calls.run(work, context.time_remaining())
        except ServingError as error:
            await context.abort(grpc.StatusCode[error.code], str(error))


class Prediction(_Aborting, prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata."""

    async def Predict(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        """Call a signature."""
        asked = asked_for(request.model_spec)

        def work() -> Any:
            given = dict(_arrays(request.inputs))
            answer = self._calls.predict(asked, lambda signature: given)
            wanted = set(request.output_filter) or answer.outputs.keys()
            if missing := wanted - answer.outputs.keys():
                raise invalid(f"output tensor alias not found in signature: {', '.join(sorted(missing))}")
            response = predict_pb2.PredictResponse(model_spec=_spec(asked.model, answer.version, answer.name))
            for name in wanted:
                response.outputs[name].CopyFrom(tf.make_tensor_proto(answer.outputs[name]))
            return response

        return await self._answer(asked, context, work)

    async def GetModelMetadata(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        """Give the signatures of a version."""
        asked = asked_for(request.model_spec)

        def work() -> Any:
            if list(request.metadata_field) != ["signature_def"]:
                raise invalid(f"Metadata field must be signature_def; received {list(request.metadata_field)}.")
            number, version = self._calls.models.get(asked.model).find(asked.version, asked.label)
            response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=_spec(asked.model, number, ""))
            response.metadata["signature_def"].Pack(_signatures(version))
            return response

        return await self._answer(asked, context, work)


class Status(_Aborting, model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus."""

    async def GetModelStatus(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        """Give how the versions of a model stand."""
        asked = asked_for(request.model_spec)

        def work() -> Any:
            response = get_model_status_pb2.GetModelStatusResponse()
            for one in self._calls.models.get(asked.model).statuses(asked.version, asked.label):
                line = response.model_version_status.add(version=one.version, state=STATES.Value(one.state))
                line.status.error_code = 0 if one.code == "OK" else grpc.StatusCode[one.code].value[0]
                line.status.error_message = one.message
            return response

        return await self._answer(asked, context, work)


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


def _arrays(inputs: Any) -> Iterator[tuple[str, NDArray]]:
    for name, value in inputs.items():
        try:
            array = tf.make_ndarray(value)
        except (TypeError, ValueError) as error:
            raise invalid(f"{name} is no tensor that can be read: {error}") from None
        if array.dtype.kind in "OS":
            array = object_array(list(array.ravel())).reshape(array.shape)
        yield name, np.asarray(array)


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
                ("grpc.max_receive_message_length", limits.body),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
            ],
            maximum_concurrent_rpcs=None,
        )
        self._health = health.aio.HealthServicer()
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Prediction(calls), self._server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(Status(calls), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.port = self._server.add_insecure_port(f"{f'[{host}]' if ':' in host else host}:{port}")

    async def start(self) -> None:
        """Begin to answer."""
        await self.tell(True)
        await self._server.start()

    async def tell(self, ready: bool) -> None:
        """Say to those who ask for its health whether it takes requests."""
        kind = health_pb2.HealthCheckResponse
        await self._health.set("", kind.SERVING if ready else kind.NOT_SERVING)

    async def stop(self, seconds: float) -> None:
        """Take no more requests; those that run have so many seconds."""
        await self._server.stop(seconds)
