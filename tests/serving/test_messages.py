import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef, TensorInfo
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2, predict_pb2

from unet_tf.serving.messages import AVAILABLE, CLASSES, DTYPES, from_tensor, to_spec, to_tensor
from unet_tf.serving.transport import TensorSpec

ARRAYS = [
    np.arange(6, dtype="u1").reshape(1, 2, 3, 1), np.array([[1, 65535]], "u2"), np.array([-5, 300], "i2"),
    np.array([0.1, -np.inf], "f4"), np.array([1e300, 0.1]), np.array([], "f4").reshape(0, 3), np.array(7, "i8"),
    np.array([True, False]), np.array([2**31, 5], "u4"), np.array([2**63, 5], "u8"), np.array([-3, 5], "i1"),
]  # fmt: skip


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_a_tensor_has_the_bytes_that_tensorflow_reads_and_writes(array):
    ours = to_tensor(array).SerializeToString()
    assert ours == _real(array).SerializeToString()
    back = tf.make_ndarray(tensor_pb2.TensorProto.FromString(ours))
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


def _real(array):
    shape = tf.TensorShape(array.shape).as_proto()
    return tensor_pb2.TensorProto(
        dtype=tf.as_dtype(array.dtype).as_datatype_enum, tensor_shape=shape, tensor_content=array.tobytes()
    )


@pytest.mark.parametrize(
    "array", [*ARRAYS, np.array([[b"a\0b", b""]], object)], ids=lambda array: f"{array.dtype}{array.shape}"
)
def test_tensors_are_read_however_a_server_writes_them(array):
    bytes_, one_by_one = tf.make_tensor_proto(array), tf.make_tensor_proto(array.tolist(), array.dtype, array.shape)
    for given in (bytes_, one_by_one):
        found = from_tensor(CLASSES["Tensor"].FromString(given.SerializeToString()))
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert found.tolist() == array.tolist()


def test_values_that_repeat_may_be_left_out_at_the_end():
    given = tensor_pb2.TensorProto(dtype=4, int_val=[3, 9])
    given.tensor_shape.dim.add(size=5)
    assert from_tensor(CLASSES["Tensor"].FromString(given.SerializeToString())).tolist() == [3, 9, 9, 9, 9]


@pytest.mark.parametrize(
    "fields", [{"dtype": 4, "int_val": [1, 2, 3]}, {"dtype": 4, "tensor_content": b"abc"}, {"dtype": 8}]
)
def test_a_tensor_that_contradicts_itself_is_refused(fields):
    given = tensor_pb2.TensorProto(**fields)
    given.tensor_shape.dim.add(size=2)
    with pytest.raises(ValueError, match="tensor of type|reshape"):
        from_tensor(CLASSES["Tensor"].FromString(given.SerializeToString()))


@pytest.mark.parametrize("place", [{}, {"version": 7}, {"version_label": "stable"}])
def test_a_request_has_the_bytes_of_tensorflow_serving(place):
    image = ARRAYS[0]
    spec = model_pb2.ModelSpec(name="unet", signature_name="encoded", version_label=place.get("version_label"))
    if "version" in place:
        spec.version.value = 7
    real = predict_pb2.PredictRequest(model_spec=spec, output_filter=["mask"])
    real.inputs["image"].CopyFrom(_real(image))
    ours = CLASSES["PredictRequest"](output_filter=["mask"])
    ours.model_spec.name, ours.model_spec.signature_name = "unet", "encoded"
    if "version" in place:
        ours.model_spec.version.value = 7
    if "version_label" in place:
        ours.model_spec.version_label = "stable"
    ours.inputs["image"].CopyFrom(to_tensor(image))
    assert ours.SerializeToString() == real.SerializeToString()


def test_answers_are_read_as_tensorflow_serving_writes_them():
    answer = predict_pb2.PredictResponse(model_spec={"name": "unet", "version": {"value": 3}})
    answer.outputs["mask"].CopyFrom(_real(ARRAYS[0]))
    found = CLASSES["PredictResponse"].FromString(answer.SerializeToString())
    assert found.model_spec.version.value == 3
    assert (from_tensor(found.outputs["mask"]) == ARRAYS[0]).all()

    info = TensorInfo(name="image:0", dtype=17, tensor_shape=tf.TensorShape((None, None, 3)).as_proto())
    signatures = get_model_metadata_pb2.SignatureDefMap(signature_def={"encoded": SignatureDef(inputs={"image": info})})
    answer = get_model_metadata_pb2.GetModelMetadataResponse(model_spec={"name": "unet"})
    answer.metadata["signature_def"].Pack(signatures)
    found = CLASSES["MetadataResponse"].FromString(answer.SerializeToString())
    stored = CLASSES["Signatures"].FromString(found.metadata["signature_def"].value).signature_def
    assert to_spec(stored["encoded"].inputs["image"]) == TensorSpec("uint16", (None, None, 3))

    answer = get_model_status_pb2.GetModelStatusResponse()
    answer.model_version_status.add(version=2, state="AVAILABLE")
    found = CLASSES["StatusResponse"].FromString(answer.SerializeToString()).model_version_status[0]
    assert (found.version, found.state) == (2, AVAILABLE)


def test_types_bear_the_numbers_of_tensorflow():
    assert {number: tf.as_dtype(number).name for number in DTYPES} == DTYPES


def test_a_type_that_tf_serving_does_not_have_is_no_tensor():
    with pytest.raises(KeyError, match="complex64"):
        to_tensor(np.zeros(1, np.complex64))
