"""TF Serving's REST interface, by its document: https://www.tensorflow.org/tfx/serving/api_rest."""

import base64
import json

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import json_format
from servers import b64, picture, png
from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusResponse

UNET, MATHS = "/v1/models/unet", "/v1/models/maths"


def predict(http, body, path=UNET):
    answer = http.post(f"{path}:predict", content=body if isinstance(body, (str, bytes)) else json.dumps(body))
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, answer.json()


@pytest.fixture(scope="module")
def images():
    return np.stack([picture(seed) for seed in (1, 2)])


def test_rows_and_columns_are_the_answer_of_the_saved_model(http, served, images):
    expected = served.signature()(image=tf.constant(images))["mask"].numpy().tolist()
    assert 0 < np.mean(expected) < 1
    for body, key in (
        ({"instances": images.tolist()}, "predictions"),
        ({"instances": [{"image": one.tolist()} for one in images]}, "predictions"),
        ({"inputs": images.tolist()}, "outputs"),
        ({"inputs": {"image": images.tolist()}, "signature_name": "serving_default"}, "outputs"),
    ):
        assert predict(http, body) == (200, {key: expected})


def test_floats_are_the_same_to_the_bit(http, served, images):
    expected = served.signature("probabilities")(image=tf.constant(images))["probabilities"].numpy()
    status, found = predict(http, {"instances": images.tolist(), "signature_name": "probabilities"})
    assert status == 200
    np.testing.assert_array_equal(np.array(found["predictions"], np.float32), expected)


def test_bytes_go_and_come_in_base64(http, served):
    files = [png(picture(3)), png(picture(4, 30, 61))]  # of two sizes
    expected = served.signature("encoded")(image_bytes=tf.constant(files))["mask_bytes"].numpy().tolist()
    masks = [b64(one) for one in expected]
    for given, key in (
        ({"instances": [{"image_bytes": b64(one)} for one in files]}, "predictions"),
        ({"instances": [b64(one) for one in files]}, "predictions"),
        ({"inputs": [b64(one) for one in files]}, "outputs"),
        ({"inputs": {"image_bytes": [b64(one) for one in files]}}, "outputs"),
    ):
        assert predict(http, given | {"signature_name": "encoded"}) == (200, {key: masks})
    for text in (
        base64.urlsafe_b64encode(files[0]).decode().rstrip("="),
        base64.encodebytes(files[0]).decode().replace("\n", "\r\n"),
        base64.encodebytes(files[0]).decode().rstrip("=\n"),
    ):
        body = {"signature_name": "encoded", "instances": [{"b64": text}]}
        assert predict(http, body) == (200, {"predictions": masks[:1]})


def test_several_inputs_and_outputs_have_names(http):
    rows = [{"x": [1, 2.5], "y": 3}, {"x": [4, 5], "y": 6}]
    halves = [{"sum": [4, 5.5], "half": 1.5}, {"sum": [10, 11], "half": 3}]
    assert predict(http, {"instances": rows}, MATHS) == (200, {"predictions": halves})
    columns = {"x": [[1, 2.5], [4, 5]], "y": [3, 6]}
    assert predict(http, {"inputs": columns}, MATHS) == (
        200,
        {"outputs": {"sum": [[4, 5.5], [10, 11]], "half": [1.5, 3]}},
    )
    for body in ({"instances": [[1, 2]]}, {"inputs": [[1, 2]]}, {"instances": [rows[0], {"x": [4, 5]}]}):
        assert predict(http, body, MATHS)[0] == 400


def test_names_that_end_in_bytes_are_base64_and_other_strings_are_text(http):
    status, found = predict(http, {"signature_name": "texts", "instances": ["Zelle é", {"b64": "AP8="}]}, MATHS)
    first, second = found["predictions"]
    assert status == 200 and first == {"same_bytes": b64("Zelle é".encode()), "word": "Zelle é!"}
    assert second["same_bytes"] == {"b64": "AP8="}


def test_versions_and_labels_choose(http, served, images):
    body, by_number = {"instances": images.tolist()}, {}
    for number in (1, 2):
        by_number[number] = served.signature(version=number)(image=tf.constant(images))["mask"].numpy().tolist()
        assert predict(http, body, f"{UNET}/versions/{number}") == (200, {"predictions": by_number[number]})
    assert by_number[1] != by_number[2]
    for label, number in (("stable", 1), ("canary", 2)):
        assert predict(http, body, f"{UNET}/labels/{label}") == (200, {"predictions": by_number[number]})


def test_status_is_the_json_of_its_message(http):
    expected = [
        {"version": str(number), "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        for number in (2, 1)
    ]
    for path, found in (("", expected), ("/versions/1", expected[1:]), ("/labels/canary", expected[:1])):
        answer = http.get(UNET + path)
        assert (answer.status_code, answer.json()) == (200, {"model_version_status": found})
        json_format.ParseDict(answer.json(), GetModelStatusResponse())


def test_metadata_is_the_json_of_its_message_and_of_the_saved_model(http, served):
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    for path, number in (("", 2), ("/versions/1", 1), ("/labels/stable", 1)):
        found = http.get(f"{UNET}{path}/metadata").json()
        assert found["model_spec"] == {"name": "unet", "signature_name": "", "version": str(number)}
        said = json_format.ParseDict(found["metadata"]["signature_def"], SignatureDefMap()).signature_def
        stored = SavedModel.FromString((served.bundle / f"saved_model/{number}/saved_model.pb").read_bytes())
        own = stored.meta_graphs[0].signature_def
        assert set(said) == {name for name in own if not name.startswith("__")}
        for name, one in said.items():
            assert one.method_name == own[name].method_name == "tensorflow/serving/predict"
            for ours, theirs in ((one.inputs, own[name].inputs), (one.outputs, own[name].outputs)):
                assert {key: (value.dtype, value.tensor_shape) for key, value in ours.items()} == {
                    key: (value.dtype, value.tensor_shape) for key, value in theirs.items()
                }


NOT_FOUND = "Servable not found for request: "
MODELS, VERSIONS = ". Models served: maths, unet.", ". Versions served: 1, 2; on disk: 1, 2."
LABELS = ". Labels: canary, stable."


@pytest.mark.parametrize(
    "method, path, status, words",
    [
        ("POST", "/v1/models/half:predict", 404, NOT_FOUND + "Latest(half)" + MODELS),
        ("POST", "/v1/models/unet/versions/9:predict", 404, NOT_FOUND + "Specific(unet, 9)" + VERSIONS),
        ("POST", "/v1/models/unet/labels/old:predict", 400, "Unrecognized servable version label: old" + LABELS),
        ("GET", "/v1/models/half", 404, "Could not find any versions of model half" + MODELS),
        ("GET", "/v1/models/unet/versions/9", 404, "Could not find version 9 of model unet" + VERSIONS),
        ("GET", "/v1/models/half/metadata", 404, NOT_FOUND + "Latest(half)" + MODELS),
        ("GET", "/v1/models/unet:predict", 400, "Malformed request: GET /v1/models/unet:predict"),
        ("POST", "/v1/models/unet:classify", 400, "Malformed request: POST /v1/models/unet:classify"),
        ("GET", "/v1/models/unet/versions/one", 400, "The version must be a number; received 'one'."),
        ("GET", "/v1/other", 400, "Malformed request: GET /v1/other"),
        ("GET", "/other", 404, "Not Found: GET /other"),
        ("DELETE", "/v1/models/unet", 405, "Method Not Allowed: DELETE /v1/models/unet"),
    ],
)
def test_what_is_not_there_is_said_as_tf_serving_does(http, method, path, status, words):
    answer = http.request(method, path, content=json.dumps({"instances": [1]}) if method == "POST" else None)
    assert (answer.status_code, answer.json()) == (status, {"error": words})


@pytest.mark.parametrize(
    "body, words",
    [
        ("", "JSON Parse error"),
        ("{", "JSON Parse error"),
        ("[1]", "must be a JSON object"),
        ({}, "one of 'instances' and 'inputs'; it has neither"),
        ({"instances": [[[[0]]]], "inputs": [[[[0]]]]}, "it has both"),
        ({"instances": []}, "one value at least"),
        ({"instances": 3}, "must be a list"),
        ({"instances": [[[[0]]]], "signature_name": "other"}, 'name: "other" not found in signature def'),
        ({"instances": [[[[0]]]], "signature_name": 3}, "'signature_name' must be a string"),
        ({"instances": [[[[0]], [[0], [0]]]]}, "rectangular"),
        ({"instances": [[[["a"]]]]}, "numbers of type uint8"),
        ({"instances": [[[[0.5]]]]}, "numbers of type uint8"),
        ({"instances": [[[[256]]]]}, "must hold 0 to 255"),
        ({"instances": [[[[-1]]]]}, "must hold 0 to 255"),
        ({"instances": [[[0]]]}, r"image must be uint8 (?, ?, ?, 1); received shape (1, 1, 1)."),
        ({"instances": [[[[0, 0, 0]]]]}, "received shape (1, 1, 1, 3)"),
        ({"instances": [{"picture": [[[0]]]}]}, "inputs must be ['image']; received ['picture']"),
        ({"instances": [{"image": [[[0]]]}, [[[0]]]]}, "image"),
        ({"signature_name": "encoded", "instances": [{"b64": "!!"}]}, "no base64"),
        ({"signature_name": "encoded", "instances": [{"b64": "AAAA"}]}, "image_bytes[0] is not a complete"),
        ({"signature_name": "encoded", "instances": [5]}, 'objects {"b64": "..."}'),
    ],
)
def test_a_request_that_is_wrong_is_told_what(http, body, words):
    status, found = predict(http, body)
    assert status == 400 and found.keys() == {"error"} and words in found["error"]
