"""The client over V2, against `unet-tf serve`; kserve's own server is asked in test_programs.py."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from agreement import same_labels
from served_nets import KINDS, picture

from unet_tf import InputError, predict
from unet_tf.data.pictures import write_picture
from unet_tf.serving import Client
from unet_tf.serving.transport import RequestError


def client(nets, kind, **options):
    return Client(f"v2+{nets.http}", kind, retries=0, bundle=nets.bundles[kind], **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"max_pixels": 6000, "version": 1}])
def test_masks_and_probabilities_are_those_of_the_net_here(nets, kind, options):
    image = picture(kind, 91, 133)
    here = predict(nets.bundles[kind], image, probabilities=True)
    with client(nets, kind, **options) as own:
        assert own.ready()
        assert same_labels(own.predict(image), here)
        assert np.abs(own.probabilities(image) - here).max() <= 1e-5
        assert own.metadata().version == options.get("version", max(2 if kind == "grey" else 1, 1))


def test_a_file_travels_as_its_pixels(nets, tmp_path):
    image = picture("rgb", 40, 60)
    file = tmp_path / "a.png"
    write_picture(file, image)
    with client(nets, "rgb") as own:
        assert same_labels(own.predict(file), predict(nets.bundles["rgb"], image, probabilities=True))


def test_what_v2_does_not_know_is_said(nets):
    with pytest.raises(InputError, match=r"give the bundle that is served \(bundle, --bundle\)"):
        Client(f"v2+{nets.http}", "grey")
    with client(nets, "grey", label="stable") as own, pytest.raises(InputError, match="V2 knows no labels"):
        own.predict(picture("grey", 20, 20))
    with client(nets, "grey", version=9) as own:
        assert not own.ready()
        with pytest.raises(RequestError, match="NOT_FOUND.*9"):
            own.predict(picture("grey", 20, 20))


@contextmanager
def answering(body, headers=()):
    """A server that answers everything with a body."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            for name, value in [*headers, ("Content-Length", len(body))]:
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"v2+http://127.0.0.1:{server.server_port}"
        server.shutdown()


LENGTH = "Inference-Header-Content-Length"
MASK = {"name": "mask", "datatype": "UINT8", "shape": [1, 20, 20]}
BYTES = json.dumps({"outputs": [MASK | {"parameters": {"binary_data_size": 400}}]}).encode()


@pytest.mark.parametrize(
    "body, headers",
    [
        (b"no JSON", ()),
        (b"[]", ()),
        (b"{}", ()),
        (b'{"outputs": [{"name": "other", "datatype": "UINT8", "shape": [1], "data": [1]}]}', ()),
        (json.dumps({"outputs": [MASK | {"datatype": "COMPLEX", "data": [0]}]}).encode(), ()),
        (json.dumps({"outputs": [MASK | {"data": [0, 1]}]}).encode(), ()),
        (json.dumps({"outputs": [MASK | {"data": ["x"]}]}).encode(), ()),
        (BYTES + b"\0" * 399, [(LENGTH, len(BYTES))]),
        (BYTES + b"\0" * 400, [(LENGTH, "x")]),
        (BYTES + b"\0" * 400, [(LENGTH, 10)]),
    ],
)
def test_an_answer_of_another_kind_is_refused(nets, body, headers):
    with (
        answering(body, headers) as url,
        Client(url, "grey", retries=0, bundle=nets.bundles["grey"]) as own,
        pytest.raises(InputError, match="127.0.0.1"),
    ):
        own._transport.predict(own.which, "serving_default", "image", picture("grey", 20, 20)[None], "mask")


def test_a_mask_in_json_is_read_too(nets):
    body = json.dumps({"versions": [], "outputs": [MASK | {"data": [1] * 400}]}).encode()
    with answering(body) as url, Client(url, "grey", retries=0, bundle=nets.bundles["grey"]) as own:
        assert own.predict(picture("grey", 20, 20)).tolist() == np.ones((20, 20)).tolist()
