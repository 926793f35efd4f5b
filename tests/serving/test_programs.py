"""Programs that others wrote, in an environment of their own (.venv-serving): clients against our server, and kserve.

`make test` makes that environment.
"""

import base64
import json
import os
import socket
import subprocess
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import tensorflow as tf
from servers import b64, picture, png

from unet_tf.serving import Client
from unet_tf.serving.transport import RequestError

PYTHON = Path(__file__).parents[2] / ".venv-serving" / "bin" / "python"
HERE = Path(__file__).parent
IMAGE = np.stack([picture(1), picture(2)])

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason=".venv-serving is missing: `make test` makes it")


def environment():
    """Without our own package, which theirs does not hold."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def found(served, tmp_path_factory):
    """What the clients of others found."""
    folder = tmp_path_factory.mktemp("others")
    np.save(folder / "a.npy", IMAGE)
    (folder / "a.png").write_bytes(png(IMAGE[0]))
    command = [PYTHON, HERE / "others.py", served.http.removeprefix("http://"), served.grpc, folder / "a.npy"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def own(served, name="serving_default", version=2):
    """What the SavedModel gives."""
    signature = served.signature(name, version)
    given = {"image_bytes": tf.constant([png(IMAGE[0])])} if name == "encoded" else {"image": tf.constant(IMAGE)}
    (value,) = signature(**given).values()
    return value.numpy()


@pytest.mark.parametrize("protocol", ["REST", "gRPC"])
def test_ovmsclient_finds_what_tf_serving_would_tell_it(served, found, protocol):
    one = found[f"ovms {protocol}"]
    assert one["status"] == {"1": "AVAILABLE", "2": "AVAILABLE"}
    about = one["metadata"]
    if protocol == "REST":  # it reads OpenVINO's spelling, and passes TF Serving's on as it is
        assert about["model_spec"] == {"name": "unet", "signature_name": "", "version": "2"}
        about = about["metadata"]["signature_def"]["signature_def"]["serving_default"] | {"model_version": 2}
    assert (list(about["inputs"]), list(about["outputs"]), about["model_version"]) == (["image"], ["mask"], 2)
    np.testing.assert_array_equal(one["mask"], own(served))
    np.testing.assert_array_equal(one["version 1"], own(served, version=1))
    assert one["not found"][0] == one["no version"][0] == "ModelNotFoundError"
    assert one["bad shape"][0] == "InvalidInputError"
    assert "image must be uint8 (?, ?, ?, 1)" in one["bad shape"][1]


def test_tritonclient_finds_what_triton_would_tell_it(served, found):
    one = found["triton"]
    assert one["live"] and one["ready"] and one["model ready"] and not one["not there ready"]
    assert "binary_tensor_data" in one["server"] and one["versions"] == ["2", "1"]
    assert one["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 1]}]
    for name in ("mask", "mask in JSON"):
        np.testing.assert_array_equal(one[name], own(served))
    np.testing.assert_array_equal(one["version 1"], own(served, version=1))
    np.testing.assert_array_equal(np.array(one["probabilities"], np.float32), own(served, "probabilities"))
    assert base64.b64decode(one["mask file"]) == own(served, "encoded")[0]
    assert one["request id"] == "7"
    assert one["bad shape"][0] == "400" and "image must be uint8" in one["bad shape"][1]
    assert "Servable not found for request: Latest(other)" in one["not found"][1]


def answers(client, url):
    try:
        return client.get(url).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def kserve(net_bundle, tmp_path_factory):
    """kserve's model server of the same SavedModel: its address."""
    log, end = tmp_path_factory.mktemp("kserve") / "log", time.monotonic() + 300
    with httpx.Client(timeout=60) as client:
        for last in (False, False, True):
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            with log.open("w") as file:
                command = [PYTHON, HERE / "kserve_model.py", str(net_bundle / "saved_model" / "2"), str(port)]
                process = subprocess.Popen(command, stdout=file, stderr=file, env=environment())
            address = f"http://127.0.0.1:{port}"
            while process.poll() is None and not answers(client, f"{address}/v2/models/unet/ready"):
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)  # it starts beside other tests
            if process.poll() is None:
                break
            words = log.read_text()  # meanwhile another program may have got the port
            assert not last and "address already in use" in words.lower(), words
    yield address
    process.terminate()
    process.wait(60)


def test_kserve_answers_what_a_client_of_ours_sends(kserve, served):
    """V1 as TF Serving's REST, and V2 with bytes after the JSON and without."""
    mask = own(served, "encoded")[0]
    with httpx.Client(base_url=kserve, timeout=60) as client:
        body = {"signature_name": "encoded", "instances": [b64(png(IMAGE[0]))]}
        assert client.post("/v1/models/unet:predict", json=body).json() == {"predictions": [b64(mask)]}
        body = {"instances": IMAGE.tolist()}
        found = client.post("/v1/models/unet:predict", json=body).json()["predictions"]
        np.testing.assert_array_equal(found, own(served))

        one = {"name": "image_bytes", "shape": [1], "datatype": "BYTES"}
        text = base64.b64encode(png(IMAGE[0])).decode()
        found = client.post("/v2/models/unet/infer", json={"inputs": [one | {"data": [text]}]})
        assert found.json()["outputs"][0]["data"] == [b64(mask)["b64"]]
        # kserve 0.21 makes UTF-8 of BYTES that follow the JSON: files go in base64 alone, arrays as they are too
        one = {"name": "image", "shape": list(IMAGE.shape), "datatype": "UINT8"}
        head = json.dumps({
            "inputs": [one | {"parameters": {"binary_data_size": IMAGE.nbytes}}],
            "outputs": [{"name": "mask", "parameters": {"binary_data": True}}],
        }).encode()  # fmt: skip
        headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
        found = client.post("/v2/models/unet/infer", content=head + IMAGE.tobytes(), headers=headers)
        length = int(found.headers["inference-header-content-length"])
        assert found.content[length:] == own(served).tobytes()
        one = {"name": "image", "shape": list(IMAGE.shape), "datatype": "UINT8", "data": IMAGE.ravel().tolist()}
        (output,) = client.post("/v2/models/unet/infer", json={"inputs": [one]}).json()["outputs"]
        np.testing.assert_array_equal(np.reshape(output["data"], output["shape"]), own(served))
        assert client.get("/v2/models/other").status_code == 404


def test_our_client_asks_kserve_over_v2(kserve, served, net_bundle):
    with Client(f"v2+{kserve}", "unet", bundle=net_bundle, retries=0) as client:
        assert client.ready()
        np.testing.assert_array_equal(client.predict(IMAGE[0]), own(served)[0])
        np.testing.assert_array_equal(client.predict(png(IMAGE[1])), own(served)[1])
        np.testing.assert_array_equal(client.probabilities(IMAGE[0]), own(served, "probabilities")[0])
    with (
        Client(f"v2+{kserve}", "other", bundle=net_bundle, retries=0) as client,
        pytest.raises(RequestError, match="NOT_FOUND"),
    ):
        client.predict(IMAGE[0])
