"""The kit for TF Serving in export/serving: its files held to what reads them, its README to what it says."""

import base64
import json
import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.resources import files
from pathlib import Path
from threading import Thread

import check_jsonschema
import kubernetes_validate
import numpy as np
import pytest
import tensorflow as tf
import yaml
from agreement import same_labels
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from jsonschema.validators import validator_for
from PIL import Image
from tensorflow.python.tools.saved_model_utils import get_meta_graph_def
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from unet_tf import generate_cells, predict
from unet_tf.data.pictures import write_picture
from unet_tf.exporting.card import ENCODED_CALL

SERVING = Path(__file__).parents[1] / "export" / "serving"


def test_the_client_sends_what_the_signature_takes_and_writes_what_it_gives(bundle, tmp_path):
    signature = tf.saved_model.load(str(bundle / "saved_model" / "1")).signatures["encoded"]

    class Stub(BaseHTTPRequestHandler):
        """TF Serving's REST API, as its documentation has it."""

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            pictures = [base64.b64decode(one["b64"]) for one in body["instances"]]
            assert (self.path, body["signature_name"]) == ("/v1/models/unet:predict", "encoded")
            try:
                masks, code = signature(image_bytes=tf.constant(pictures))["mask_bytes"].numpy(), 200
                answer = {"predictions": [{"b64": base64.b64encode(mask).decode()} for mask in masks]}
            except tf.errors.InvalidArgumentError as error:
                answer, code = {"error": error.message}, 400
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_):
            pass

    image = generate_cells(40, 52, seed=2)[0]
    write_picture(tmp_path / "image.png", image)
    (tmp_path / "bad.png").write_bytes(b"bad")
    with HTTPServer(("127.0.0.1", 0), Stub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        command = [sys.executable, str(SERVING / "client.py")]
        url = ["--url", f"http://127.0.0.1:{server.server_port}/v1/models/unet"]
        subprocess.run([*command, "image.png", "mask.png", *url], cwd=tmp_path, check=True)
        refused = subprocess.run([*command, "bad.png", "b.png", *url], cwd=tmp_path, capture_output=True, text=True)
        server.shutdown()
    assert refused.returncode == 1
    assert "image_bytes[0] is not a complete PNG, JPEG or BMP picture" in refused.stderr
    assert not (tmp_path / "b.png").exists()
    mask = signature(image_bytes=tf.constant([(tmp_path / "image.png").read_bytes()]))["mask_bytes"].numpy()[0]
    assert (tmp_path / "mask.png").read_bytes() == mask
    with socket.socket() as held:  # where nobody listens, nor gets the port
        held.bind(("127.0.0.1", 0))
        url = ["--url", f"http://127.0.0.1:{held.getsockname()[1]}/v1/models/unet"]
        gone = subprocess.run([*command, "image.png", "b.png", *url], cwd=tmp_path, capture_output=True, text=True)
    assert "No server answers at" in gone.stderr


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"predictions": []}', b'{"predictions": [{"b64": "a"}]}'])
def test_the_client_says_what_is_no_answer_of_tf_serving(tmp_path, body):
    class Stub(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    (tmp_path / "image.png").write_bytes(b"a")
    with HTTPServer(("127.0.0.1", 0), Stub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        command = [sys.executable, str(SERVING / "client.py"), "image.png", "mask.png"]
        url = f"http://127.0.0.1:{server.server_port}"
        told = subprocess.run([*command, "--url", url], cwd=tmp_path, capture_output=True, text=True)
        server.shutdown()
    assert told.returncode == 1
    assert told.stderr.startswith(f"Error: {url} must answer as TF Serving does; it does not (")
    assert not (tmp_path / "mask.png").exists()


def test_the_client_waits_for_an_answer_so_long_and_no_longer():
    client = runpy.run_path(str(SERVING / "client.py"))
    client["segment"].__globals__["SECONDS"] = 0.05
    words = r"must answer within 0\.05 s, and did not"
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(RuntimeError, match=words):
        client["segment"](b"a", f"http://127.0.0.1:{silent.getsockname()[1]}/v1/models/unet")


def test_the_client_writes_no_mask_over_its_picture(tmp_path):
    (tmp_path / "image.png").write_bytes(b"a")
    (tmp_path / "link.png").symlink_to("image.png")
    for mask in ("image.png", "link.png"):
        command = [sys.executable, str(SERVING / "client.py"), "image.png", mask, "--url", "http://127.0.0.1:9"]
        told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert told.stderr == f"Error: {mask} would be written over by its mask. Choose another name for the mask.\n"
        assert (told.returncode, (tmp_path / "image.png").read_bytes()) == (1, b"a")


REQUESTS = {
    "the kit": (SERVING / "README.md").read_text(),
    "docs/serving.md": (SERVING.parents[1] / "docs" / "serving.md").read_text(),
    "docs/deploying.md": (SERVING.parents[1] / "docs" / "deploying.md").read_text(),
    "a model card": ENCODED_CALL,
}


@pytest.mark.parametrize("where", REQUESTS)
def test_the_request_with_a_file_is_json_where_base64_knows_no_options(where, tmp_path):
    (line,) = re.findall(r"^(echo '.*encoded.*) \|$", REQUESTS[where], re.M)
    content = bytes(range(256))  # of more than a line of base64
    for name in ("image.png", "cell.png"):
        (tmp_path / name).write_bytes(content)
    program = tmp_path / "base64"  # as on macOS, which has no -w
    program.write_text(f"#!/bin/sh\ntest $# = 0 && exec {shutil.which('base64')}\n")
    program.chmod(0o755)
    found = {"cwd": tmp_path, "env": os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}}
    said = json.loads(subprocess.run(["bash", "-c", line], capture_output=True, check=True, **found).stdout)
    assert [base64.b64decode(one["b64"]) for one in said["instances"]] == [content]


def test_the_request_of_the_serving_recipe_fits(run, bundle, tmp_path):
    image = generate_cells(40, 52, seed=2)[0]
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right
    Image.fromarray(np.rot90(image)).save(tmp_path / "image.png", exif=exif)
    readme = (SERVING / "README.md").read_text()
    code = re.search(r'python -c "(.+?)" \|', readme)[1]
    request = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    inputs = json.loads(request.stdout)["inputs"]
    signature = tf.saved_model.load(str(bundle / "saved_model" / "1")).signatures["serving_default"]
    found = signature(image=tf.constant(inputs, tf.uint8))
    assert list(found) == ["mask"]  # a single output: REST answers {"outputs": [...]}
    assert same_labels(found["mask"].numpy()[0], predict(run, image, probabilities=True), 2e-5)


def test_compose_files_are_valid_and_mount_what_export_writes(bundle):
    schema = json.loads((files(check_jsonschema) / "builtin_schemas" / "vendor" / "compose-spec.json").read_text())
    one, two = (yaml.safe_load((SERVING / name).read_text()) for name in ("compose.yaml", "compose.models.yaml"))
    for compose in one, two:
        validator_for(schema)(schema).validate(compose)
    service = one["services"]["unet"]
    assert service["image"] == "tensorflow/serving:2.20.0"  # and not latest
    assert service["volumes"][0].endswith("/saved_model:/models/unet:ro")
    assert (bundle / "saved_model" / "1" / "saved_model.pb").is_file()
    assert service["deploy"]["resources"]["limits"] == {"memory": "4G"}  # more cpus than there are is an error
    for command in service["command"], two["services"]["unet"]["command"]:
        for path in re.findall(r"=/config/(\S+)", " ".join(command)):
            assert (SERVING / path).is_file()


def test_the_health_check_of_the_recipe_asks_whether_a_version_is_served():
    service = yaml.safe_load((SERVING / "compose.yaml").read_text())["services"]["unet"]
    program, flag, script = service["healthcheck"]["test"][1:]

    class Stub(BaseHTTPRequestHandler):
        served = False

        def do_GET(self):
            known = self.path == "/v1/models/unet/metadata" and Stub.served
            self.send_response(200 if known else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Stub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        command = [program, flag, script.replace("8501", str(server.server_port))]
        assert subprocess.run(command, check=False).returncode != 0
        Stub.served = True
        assert subprocess.run(command, check=False).returncode == 0
        server.shutdown()
    assert subprocess.run(command, check=False, capture_output=True).returncode != 0


def test_kubernetes_takes_the_deployment_and_it_probes_what_it_serves():
    deployment, config, service = yaml.safe_load_all((SERVING / "kubernetes.yaml").read_text())
    for one in deployment, config, service:
        kubernetes_validate.validate(one, "1.31", strict=True)
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "tensorflow/serving:2.20.0"
    assert {port["targetPort"] for port in service["spec"]["ports"]} == {port["name"] for port in container["ports"]}
    assert service["spec"]["selector"] == pod["metadata"]["labels"] == deployment["spec"]["selector"]["matchLabels"]
    (name,) = config["data"]
    assert f"/config/{name}" in " ".join(container["args"])
    assert str(parsed(config["data"][name], monitoring())) == str(parsed((SERVING / name).read_text(), monitoring()))


def test_kserve_is_told_the_version_the_memory_and_the_time_of_the_kit():
    (container,) = next(yaml.safe_load_all((SERVING / "kubernetes.yaml").read_text()))["spec"]["template"]["spec"][
        "containers"
    ]
    model = yaml.safe_load((SERVING / "kserve.yaml").read_text())["spec"]["predictor"]["model"]
    assert f"tensorflow/serving:{model['runtimeVersion']}" == container["image"]
    assert model["resources"]["requests"] == container["resources"]["requests"]
    assert model["resources"]["limits"]["memory"] == container["resources"]["limits"]["memory"]
    (time,) = (one for one in container["args"] if one.startswith("--rest_api_timeout_in_ms="))
    assert model["args"] == [time]
    assert model["storageUri"] == "pvc://unet-bundle/saved_model"


def test_the_configurations_of_tf_serving_are_messages_of_its_own():
    models = parsed((SERVING / "models.config").read_text(), ModelServerConfig())
    first, second = models.model_config_list.config
    assert (first.name, first.base_path, dict(first.version_labels)) == (
        "unet", "/models/unet", {"stable": 1, "canary": 2},
    )  # fmt: skip
    assert list(first.model_version_policy.specific.versions) == [1, 2]
    assert (second.name, second.model_version_policy.latest.num_versions) == ("second", 1)
    batching = parsed((SERVING / "batching_parameters.txt").read_text(), batching_parameters())
    assert batching.max_batch_size.value == 1  # pictures of other sizes cannot be joined
    metrics = parsed((SERVING / "monitoring.config").read_text(), monitoring()).prometheus_config
    assert (metrics.enable, metrics.path) == (True, "/monitoring/prometheus/metrics")


def parsed(text, message):
    return text_format.Parse(text, message)


def message(name, fields):
    """A message of TF Serving that its package of messages lacks: fields as (name, number, type)."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package="stand_in", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    for kind, own in fields.items():
        one = file.message_type.add(name=kind)
        for field, number, kind_of_field in own:
            given = {"name": field, "number": number, "label": 1}
            if kind_of_field.startswith("."):
                one.field.add(**given, type=11, type_name=kind_of_field)
            else:
                one.field.add(**given, type={"bool": 8, "string": 9}[kind_of_field])
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"stand_in.{name}"))()


def batching_parameters():
    """`BatchingParameters` of tensorflow_serving/servables/tensorflow/session_bundle_config.proto."""
    names = "max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads"
    numbers = [(name, place, ".google.protobuf.Int64Value") for place, name in enumerate(names, start=1)]
    return message("BatchingParameters", {"BatchingParameters": numbers})


def monitoring():
    """`MonitoringConfig` of tensorflow_serving/config/monitoring_config.proto."""
    return message(
        "MonitoringConfig",
        {
            "PrometheusConfig": [("enable", 1, "bool"), ("path", 2, "string")],
            "MonitoringConfig": [("prometheus_config", 1, ".stand_in.PrometheusConfig")],
        },
    )


OPS_OF_TF_2_12 = """
    Abs AddV2 All Any ArgMax AsString Assert AssignVariableOp BiasAdd Cast ConcatV2 ConcatenateDataset Const Conv2D
    Conv2DBackpropInput DatasetToSingleElement DecodeImage DecodeJpeg DecodePng DecodeRaw DisableCopyOnRead EncodePng
    EnsureShape Equal ExpandDims Fill FloorDiv FloorMod GatherV2 Greater GreaterEqual Identity IgnoreErrorsDataset
    IsFinite Less LessEqual LogicalAnd LogicalNot LogicalOr MapDataset MaxPool Maximum Mean MergeV2Checkpoints Minimum
    Mul Neg NoOp NotEqual Pack Placeholder Prod Range ReadVariableOp RealDiv Relu Reshape RestoreV2 ReverseV2 SaveV2
    Select SelectV2 Shape ShardedFilename Size Softmax Squeeze StatefulPartitionedCall StatelessIf StatelessWhile
    StaticRegexFullMatch StridedSlice StringJoin Sub Sum TakeDataset TensorDataset TensorListFromTensor
    TensorListGetItem TensorListReserve TensorListSetItem TensorListStack Transpose Unpack VarHandleOp Where While
""".split()
"""Known to TensorFlow 2.12.0 and to each version since: their names are in the wheels' lists of ops. All but
DecodeImage (not in 2.2, in 2.4) and DisableCopyOnRead (not in 2.8, in 2.12) are in 2.2.0 too."""


def test_an_exported_graph_has_ops_alone_that_servers_of_the_last_years_know(bundle):
    graph = get_meta_graph_def(str(bundle / "saved_model" / "1"), "serve").graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    assert {node.op for node in nodes} - set(OPS_OF_TF_2_12) == set()
