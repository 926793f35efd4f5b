"""The Open Inference Protocol: https://github.com/kserve/open-inference-protocol, and Triton's binary data."""

import base64
import json
import struct

import numpy as np
import pytest
import tensorflow as tf
from servers import picture, png

UNET, MATHS = "/v2/models/unet", "/v2/models/maths"
LENGTH = "Inference-Header-Content-Length"


def infer(http, request, tail=b"", path=UNET):
    head = json.dumps(request).encode()
    headers = {LENGTH: str(len(head))} if tail else {}
    return http.post(f"{path}/infer", content=head + tail, headers=headers)


def tensor(name, array, kind, **more):
    return {"name": name, "shape": list(array.shape), "datatype": kind, "data": array.ravel().tolist()} | more


def as_bytes(files):
    return b"".join(struct.pack("<I", len(one)) + one for one in files)


@pytest.fixture(scope="module")
def images():
    return np.stack([picture(seed) for seed in (1, 2)])


def test_the_server_says_what_it_is_and_that_it_is_ready(http):
    assert http.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert http.get("/v2/health/live").json() == {"live": True}
    assert http.get("/v2/health/ready").status_code == 200
    for path in (UNET, f"{UNET}/versions/1"):
        assert http.get(f"{path}/ready").json() == {"name": "unet", "ready": True}
    for path in ("/v2/models/other", f"{UNET}/versions/9"):
        answer = http.get(f"{path}/ready")
        assert (answer.status_code, answer.json().keys()) == (404, {"error"})


def test_metadata_names_the_tensors(http):
    found = http.get(UNET).json()
    assert (found["name"], found["versions"], found["platform"]) == ("unet", ["2", "1"], "tensorflow_savedmodel")
    assert found["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 1]}]
    assert found["outputs"] == [{"name": "mask", "datatype": "UINT8", "shape": [-1, -1, -1]}]


@pytest.mark.parametrize("number", [1, 2])
def test_arrays_in_json_give_the_answer_of_the_saved_model(http, served, images, number):
    expected = served.signature(version=number)(image=tf.constant(images))["mask"].numpy()
    nested = tensor("image", images, "UINT8", data=images.tolist())  # the protocol allows both
    for one in (tensor("image", images, "UINT8"), nested):
        found = infer(http, {"id": "a", "inputs": [one]}, path=f"{UNET}/versions/{number}").json()
        assert found == {
            "model_name": "unet",
            "model_version": str(number),
            "id": "a",
            "outputs": [tensor("mask", expected, "UINT8")],
        }
    assert "id" not in infer(http, {"inputs": [nested]}).json()


def test_bytes_after_the_json_give_the_same(http, served, images):
    expected = served.signature("probabilities")(image=tf.constant(images))["probabilities"].numpy()
    request = {
        "inputs": [{"name": "image", "shape": list(images.shape), "datatype": "UINT8",
                    "parameters": {"binary_data_size": images.nbytes}}],
        "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}],
    }  # fmt: skip
    answer = infer(http, request, images.tobytes())
    length = int(answer.headers[LENGTH])
    (output,) = json.loads(answer.content[:length])["outputs"]
    assert output == {
        "name": "probabilities",
        "datatype": "FP32",
        "shape": list(expected.shape),
        "parameters": {"binary_data_size": expected.nbytes},
    }
    np.testing.assert_array_equal(np.frombuffer(answer.content[length:], "<f4"), expected.ravel())


def test_picture_files_are_bytes_or_base64(http, served):
    files = [png(picture(3)), png(picture(4, 30, 61))]
    expected = served.signature("encoded")(image_bytes=tf.constant(files))["mask_bytes"].numpy().tolist()
    texts = [base64.b64encode(one).decode() for one in files]
    one = {"name": "image_bytes", "shape": [2], "datatype": "BYTES"}
    found = infer(http, {"inputs": [one | {"data": texts}]}).json()["outputs"]
    assert found == [{"name": "mask_bytes", "datatype": "BYTES", "shape": [2],
                      "data": [base64.b64encode(one).decode() for one in expected]}]  # fmt: skip
    tail = as_bytes(files)
    request = {
        "inputs": [one | {"parameters": {"binary_data_size": len(tail)}}],
        "parameters": {"binary_data_output": True},
    }
    answer = infer(http, request, tail)
    assert answer.content[int(answer.headers[LENGTH]) :] == as_bytes(expected)


def test_several_inputs_in_any_order_and_outputs_as_asked_for(http):
    x, y = np.array([[1, 2.5], [4, 5]], np.float32), np.array([3, 6], np.int32)
    tail = y.tobytes()
    request = {
        "inputs": [{"name": "y", "shape": [2], "datatype": "INT32", "parameters": {"binary_data_size": len(tail)}},
                   tensor("x", x, "FP32")],
        "outputs": [{"name": "half"}],
    }  # fmt: skip
    assert infer(http, request, tail, MATHS).json()["outputs"] == [tensor("half", y / 2, "FP32")]


GOOD = {"name": "image", "shape": [1, 1, 2, 1], "datatype": "UINT8", "data": [0, 1]}


@pytest.mark.parametrize(
    "request_, tail, words",
    [
        ([], b"", "the list 'inputs'"),
        ({"inputs": {}}, b"", "the list 'inputs'"),
        ({"inputs": [3]}, b"", "an object with a name"),
        ({"inputs": [GOOD | {"name": "picture"}]}, b"", "inputs must be ['image']"),
        ({"inputs": [GOOD | {"shape": [1, 1, 3, 1]}]}, b"", "has 2 values, and its shape is [1, 1, 3, 1]"),
        ({"inputs": [GOOD | {"shape": [1, 1, -2, -1]}]}, b"", "a list of sizes"),
        ({"inputs": [GOOD | {"shape": [True, 1, 2, 1]}]}, b"", "a list of sizes"),
        ({"inputs": [GOOD | {"shape": [2]}]}, b"", "image must be uint8 (?, ?, ?, 1); received uint8 (2,)."),
        ({"inputs": [GOOD | {"shape": [(1 << 31) - 1] * 4}]}, b"", "has 2 values"),
        ({"inputs": [GOOD | {"shape": [0] + [(1 << 31) - 1] * 3, "data": []}]}, b"", "has 0 values"),
        ({"inputs": [GOOD | {"shape": [0, 4, 4, 1], "data": []}]}, b"", "with a pixel at least"),
        ({"inputs": [GOOD | {"datatype": "UINT9"}]}, b"", "must have a datatype of"),
        ({"inputs": [GOOD | {"datatype": "FP32"}]}, b"", "image must be uint8 (?, ?, ?, 1); received float32"),
        ({"inputs": [GOOD | {"data": [0, 256]}]}, b"", "must hold 0 to 255"),
        ({"inputs": [GOOD | {"data": ["0", 1]}]}, b"", "must hold numbers of type uint8"),
        ({"inputs": [GOOD | {"data": "01"}]}, b"", "must have data, a list"),
        ({"inputs": [GOOD], "outputs": [{"name": "other"}]}, b"", "['other'] were asked for"),
        ({"inputs": [GOOD], "outputs": ["mask"]}, b"", "a list of objects with a name"),
        ({"inputs": [GOOD], "parameters": {"signature_name": 3}}, b"", "must be a string"),
        ({"inputs": [GOOD], "parameters": []}, b"", None),
        ({"inputs": [GOOD], "parameters": 3}, b"", "'parameters' must be an object"),
        ({"inputs": [GOOD]}, b"more", "4 bytes belong to no input"),
        ({"inputs": [GOOD | {"parameters": {"binary_data_size": 3}}]}, b"ab", "as many bytes as it says, 3; 2 follow"),
        ({"inputs": [GOOD | {"parameters": {"binary_data_size": -1}}]}, b"ab", "as many bytes as it says"),
        ({"inputs": [{"name": "image_bytes", "shape": [1], "datatype": "BYTES",
                      "parameters": {"binary_data_size": 6}}]}, b"\xff\xff\xff\xffab", "ends within one"),
        ({"inputs": [{"name": "image_bytes", "shape": [1], "datatype": "BYTES",
                      "parameters": {"binary_data_size": 2}}]}, b"\1\0", "ends within one"),
        ({"inputs": [{"name": "image_bytes", "shape": [1], "datatype": "BYTES", "data": ["!"]}]}, b"", "base64"),
        ({"inputs": [{"name": "image_bytes", "shape": [1], "datatype": "BYTES", "data": ["AAAA"]}]}, b"",
         "image_bytes[0] is not a complete"),
    ],
)  # fmt: skip
def test_a_request_that_is_wrong_is_told_what(http, request_, tail, words):
    answer = infer(http, request_, tail)
    if words is None:
        assert answer.status_code == 200
    else:
        assert answer.status_code == 400 and words in answer.json()["error"]


@pytest.mark.parametrize("length", ["-1", "x", "99999", "9" * 30])
def test_a_length_that_lies_is_refused(http, length):
    answer = http.post(f"{UNET}/infer", content=b"{}", headers={LENGTH: length})
    assert answer.status_code == 400 and "number of at most 2 bytes" in answer.json()["error"]
