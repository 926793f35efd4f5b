"""TF Serving's gRPC interface, by the stubs of `tensorflow-serving-api`."""

import json
from contextlib import contextmanager

import grpc
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from servers import picture, png
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.tensor_shape_pb2 import TensorShapeProto
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


@pytest.fixture(scope="module")
def channel(served):
    with grpc.insecure_channel(served.grpc) as channel:
        yield channel


@pytest.fixture(scope="module")
def prediction(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def predict(prediction, inputs, name="unet", signature="", outputs=(), **choice):
    request = predict_pb2.PredictRequest(output_filter=outputs)
    request.model_spec.name, request.model_spec.signature_name = name, signature
    choose(request.model_spec, **choice)
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(value if isinstance(value, TensorProto) else tf.make_tensor_proto(value))
    return prediction.Predict(request, timeout=60)


def choose(spec, version=None, label=None):
    if version is not None:
        spec.version.value = version
    if label is not None:
        spec.version_label = label


def arrays(response):
    return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}


@contextmanager
def refused(code, words):
    with pytest.raises(grpc.RpcError) as caught:
        yield
    assert caught.value.code() == code and words in caught.value.details()


@pytest.mark.parametrize("choice, number", [({}, 2), ({"version": 1}, 1), ({"label": "stable"}, 1)])
def test_predict_is_the_answer_of_the_saved_model(prediction, served, choice, number):
    images = np.stack([picture(seed) for seed in (1, 2)])
    response = predict(prediction, {"image": images}, **choice)
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("unet", number, "serving_default")
    np.testing.assert_array_equal(
        arrays(response)["mask"], served.signature(version=number)(image=tf.constant(images))["mask"].numpy()
    )
    response = predict(prediction, {"image": images}, signature="probabilities", **choice)
    own = served.signature("probabilities", number)(image=tf.constant(images))["probabilities"].numpy()
    np.testing.assert_array_equal(arrays(response)["probabilities"], own)


def test_picture_files_are_strings(prediction, served):
    files = [png(picture(3)), png(picture(4, 30, 61))]
    found = arrays(predict(prediction, {"image_bytes": files}, signature="encoded"))["mask_bytes"]
    assert found.tolist() == served.signature("encoded")(image_bytes=tf.constant(files))["mask_bytes"].numpy().tolist()


def test_several_inputs_and_the_outputs_that_are_asked_for(prediction):
    inputs = {"x": np.ones((1, 2), np.float32), "y": np.array([3], np.int32)}
    assert set(arrays(predict(prediction, inputs, "maths"))) == {"sum", "half"}
    (found,) = arrays(predict(prediction, inputs, "maths", outputs=["half"])).items()
    assert (found[0], found[1].tolist()) == ("half", [1.5])
    with refused(INVALID, "output tensor alias not found in signature: third"):
        predict(prediction, inputs, "maths", outputs=["third"])


def test_the_log_says_which_version_answered(prediction, served):
    before = len(served.log.read_text())
    for choice in ({}, {"label": "stable"}):
        predict(prediction, {"image": np.zeros((1, 8, 8, 1), np.uint8)}, **choice)
    with refused(NOT_FOUND, "Versions served: 1, 2; on disk: 1, 2."):
        predict(prediction, {"image": np.zeros((1, 8, 8, 1), np.uint8)}, version=9)
    lines = [json.loads(line[line.index("{") :]) for line in served.log.read_text()[before:].splitlines()]
    assert [(one["protocol"], one.get("version")) for one in lines] == [("grpc", 2), ("grpc", 1), ("grpc", None)]


def test_metadata_is_that_of_the_saved_model(prediction, served):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "unet"
    response = prediction.GetModelMetadata(request)
    found = get_model_metadata_pb2.SignatureDefMap()
    assert response.model_spec.version.value == 2 and response.metadata["signature_def"].Unpack(found)
    assert {name: list(one.inputs) for name, one in found.signature_def.items()} == {
        "serving_default": ["image"], "probabilities": ["image"], "encoded": ["image_bytes"],
    }  # fmt: skip
    del request.metadata_field[:]
    with refused(INVALID, "Metadata field must be signature_def"):
        prediction.GetModelMetadata(request)


def test_status_and_health(channel):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "unet"
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    available = get_model_status_pb2.ModelVersionStatus.State.AVAILABLE
    statuses = stub.GetModelStatus(request).model_version_status
    assert [(one.version, one.state, one.status.error_code) for one in statuses] == [
        (2, available, 0),
        (1, available, 0),
    ]
    request.model_spec.version.value = 9
    with refused(NOT_FOUND, "Could not find version 9 of model unet"):
        stub.GetModelStatus(request)
    request.model_spec.Clear()
    request.model_spec.name = "other"
    with refused(NOT_FOUND, "Could not find any versions of model other"):
        stub.GetModelStatus(request)
    health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert health.status == health_pb2.HealthCheckResponse.SERVING


def proto(dtype, shape, **values):
    sizes = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in shape])
    return TensorProto(dtype=dtype.as_datatype_enum, tensor_shape=sizes, **values)


HUGE = 1 << 40


@pytest.mark.parametrize(
    "inputs, name, signature, code, words",
    [
        ({"image": np.zeros((1, 1, 1, 1), np.uint8)}, "other", "", NOT_FOUND, "Latest(other)"),
        ({"image": np.zeros((1, 1, 1, 1), np.uint8)}, "", "", INVALID, "ModelSpec has no name specified."),
        ({"image": np.zeros((1, 1, 1, 1), np.uint8)}, "unet", "none", INVALID, '"none" not found in signature def'),
        ({}, "unet", "", INVALID, "inputs must be ['image']; received []"),
        ({"picture": np.zeros((1, 1, 1, 1), np.uint8)}, "unet", "", INVALID, "received ['picture']"),
        ({"image": np.zeros((1, 1, 1, 1), np.float32)}, "unet", "", INVALID, "image must be uint8 (?, ?, ?, 1)"),
        ({"image": np.zeros((1, 1, 1, 3), np.uint8)}, "unet", "", INVALID, "image must be uint8 (?, ?, ?, 1)"),
        ({"image": np.zeros((0, 1, 1, 1), np.uint8)}, "unet", "", INVALID, "with a pixel at least"),
        ({"image_bytes": [b""]}, "unet", "encoded", INVALID, "image_bytes[0] is not a complete PNG"),
        ({"image": proto(tf.uint8, (1, 30_000, 30_000, 1), int_val=[0])}, "unet", "", INVALID, "900,000,000"),
        ({"image": proto(tf.uint8, (HUGE, HUGE, HUGE, 1))}, "unet", "", INVALID, "may have 4,194,304 pixels"),
        ({"image": proto(tf.uint8, (-1, 1, 1, 1), int_val=[0])}, "unet", "", INVALID, "received type 4, shape (-1, "),
        ({"image": proto(tf.uint8, (1, 2, 2, 1), tensor_content=b"abc")}, "unet", "", INVALID, "no tensor that can"),
        ({"image": proto(tf.uint8, (1, 2, 2, 1), tensor_content=b"abcde")}, "unet", "", INVALID, "no tensor that can"),
        ({"image": proto(tf.uint8, (1, 1, 1, 1), int_val=[300])}, "unet", "", INVALID, "no tensor that can"),
        ({"image_bytes": proto(tf.string, (1 << 20,), string_val=[b"a"])}, "unet", "encoded", INVALID, "no tensor"),
        (
            {"image_bytes": proto(tf.string, (1,), tensor_content=b"a")},
            "unet",
            "encoded",
            INVALID,
            "no tensor that can",
        ),
    ],
)
def test_a_request_that_is_wrong_is_told_what(prediction, inputs, name, signature, code, words):
    with refused(code, words):
        predict(prediction, inputs, name, signature)


def test_one_value_stands_for_all(prediction, served):
    for value in (7, 0):  # and none for zeros
        filled = np.full((1, 16, 16, 1), value, np.uint8)
        given = proto(tf.uint8, filled.shape, int_val=[value] if value else [])
        found = arrays(predict(prediction, {"image": given}))["mask"]
        np.testing.assert_array_equal(found, served.signature()(image=tf.constant(filled))["mask"].numpy())


def test_a_message_that_is_too_large_and_what_is_no_message(prediction, channel):
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max"):
        predict(prediction, {"image": np.zeros((1, 2048, 2049, 1), np.uint8)})
    send = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    with pytest.raises(grpc.RpcError) as caught:
        send(b"\xff\xff\xff", timeout=60)
    assert caught.value.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, INVALID)
    with refused(grpc.StatusCode.UNIMPLEMENTED, ""):
        channel.unary_unary("/tensorflow.serving.PredictionService/Other")(b"", timeout=60)
