import json
import shutil
import ssl
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusResponse

from unet_tf import InputError
from unet_tf.serving import Client
from unet_tf.serving.transport import Metadata, SignatureSpec, refused, shown


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Files of a key and of a certificate of its own for 127.0.0.1."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    key, file = folder / "key.pem", folder / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", file]
    subprocess.run(command, check=True, capture_output=True)
    return key, file


class Ready(BaseHTTPRequestHandler):
    """Says that a model is ready."""

    def do_GET(self):
        body = json.dumps({"model_version_status": [{"version": "1", "state": "AVAILABLE"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def https(certificate):
    key, file = certificate
    with ThreadingHTTPServer(("127.0.0.1", 0), Ready) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever).start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def grpcs(certificate):
    key, file = certificate
    answer = GetModelStatusResponse()
    answer.model_version_status.add(version=1, state="AVAILABLE")
    method = grpc.unary_unary_rpc_method_handler(lambda request, context: answer.SerializeToString())
    service = grpc.method_handlers_generic_handler("tensorflow.serving.ModelService", {"GetModelStatus": method})
    server = grpc.server(ThreadPoolExecutor(2), handlers=[service])
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), file.read_bytes())])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield f"grpcs://127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.mark.parametrize("scheme", ["https", "grpcs"])
def test_a_certificate_is_trusted_where_its_file_is_given_alone(certificate, scheme, request):
    url, waited = request.getfixturevalue(scheme), []
    with Client(url, ca=certificate[1]) as own:
        assert own.ready()
    with Client(url) as own:
        own._backoff._wait = waited.append
        assert not own.ready()
        with pytest.raises(InputError, match=r"must have a certificate that is trusted.*--ca"):
            own.metadata()
    assert waited == []


def test_words_of_a_server_are_cut_and_on_one_line():
    error = refused("http://a", "INVALID_ARGUMENT", "No\n" * 1000)
    assert len(str(error)) < 1100
    assert "\n" not in str(error)
    assert not error.passing


@pytest.mark.parametrize(
    "words, large",
    [
        ("SERVER: Received message larger than max (9 vs. 4)", True),
        ("OOM when allocating tensor with shape[1]", True),
        ("A request may have 200,000 pixels; this one has 208,000. Send a part of it.", True),
        ("The memory does not hold this request. Send a smaller picture.", True),
        ("declares 5000x5000 px in 9 bytes; from 16777216 px on there must be a byte for 100 of them.", True),
        ("All requests together may have 536,870,912 bytes. Try again later.", False),
        ("64 requests wait already, as many as may. Try again later.", False),
    ],
)
def test_what_a_smaller_picture_would_mend_is_told_from_what_waiting_does(words, large):
    error = refused("grpc://a", "RESOURCE_EXHAUSTED", words)
    assert (error.too_large, error.passing) == (large, not large)


@pytest.mark.parametrize(
    ("channels", "kind", "encoded", "may_be"),
    [(3, "uint8", True, True), (1, "uint16", True, True), (3, "uint8", False, False), (1, "uint16", False, False),
     (2, "uint8", False, True), (3, "float32", False, True), (1, "int16", False, True)],
)  # fmt: skip
def test_channels_may_be_those_of_a_file_where_encoded_is_there_or_never_is(channels, kind, encoded, may_be):
    found = Metadata(1, {"encoded": SignatureSpec({}, {})} if encoded else {}, channels, kind, 2)
    assert found.may_be_plain == may_be


def test_who_is_late_is_not_told_that_the_picture_is_too_large():
    words = "No answer within 120 s. Send a smaller picture, or later."  # as `unet-tf serve` says it
    error = refused("http://a", "DEADLINE_EXCEEDED", words)
    assert (error.too_large, error.passing) == (False, False)


def test_an_address_is_shown_without_its_password():
    assert shown("http://me:pa@ss@host:1/path/") == "http://host:1/path"
