"""What is wrong over HTTP is refused with the right status, costs no memory, and reads nothing outside."""

import gzip
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
import tensorflow as tf
from malformed import BAD, V1, Case, cases, post
from malformed import http as request
from servers import picture

WAIT = 60
"""Seconds that a test waits for an answer; the server's own limit is 2."""


def answer(address, raw, close=False):
    """Send bytes and give the status and everything that came, 0 where nothing came."""
    with socket.create_connection((address.hostname, address.port), WAIT) as line:
        try:
            line.sendall(raw)
            if close:
                line.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the answer may lie there all the same
        found = bytearray()
        try:
            while part := line.recv(1 << 16):
                found += part
        except ConnectionResetError:
            pass
    return int(found[9:12]) if found.startswith(b"HTTP/1.") else 0, bytes(found)


@pytest.fixture(scope="module")
def good(served):
    """A function that sends a good request and checks its answer."""
    image = picture(side=16)[None]
    expected = served.signature()(image=tf.constant(image))["mask"].numpy()
    raw, address = post(V1, {"instances": image.tolist()}), urlsplit(served.http)

    def check():
        status, found = answer(address, raw)
        assert status == 200
        mask = json.loads(found.partition(b"\r\n\r\n")[2])["predictions"]
        np.testing.assert_array_equal(mask, expected)

    return check


def test_each_of_500_wrong_requests_gets_its_status_and_the_next_good_one_is_right(served, good):
    address, process = urlsplit(served.http), psutil.Process(served.process.pid)
    wrong, memory, every = [], [], cases()
    assert len(every) >= 500
    large = [one for one in every if len(one.raw) > 1 << 20]  # which must come within 2 seconds: each by itself
    small = [one for one in every if len(one.raw) <= 1 << 20]
    together = [small[first : first + 50] for first in range(0, len(small), 50)] + [[one] for one in large]
    for _ in range(2):  # the first pass takes what stays: buffers, code
        good()
        files = process.num_fds()
        with ThreadPoolExecutor(25) as pool:  # those that the server waits for take it 2 seconds each
            for some in together:
                for case, (status, found) in zip(
                    some, pool.map(lambda one: answer(address, one.raw), some), strict=True
                ):
                    if status not in case.statuses or b"root:" in found or b"Traceback" in found:
                        wrong.append((case.name, status, found[-200:]))
                good()
        memory.append(process.memory_info().rss)
        assert process.num_fds() <= files + 5
    assert not wrong
    assert memory[1] - memory[0] < 48 << 20
    assert served.process.poll() is None


SLOW = [
    Case("no byte", b"", (408,)),
    Case("half a head", b"POST /v1/models/unet:predict HTTP/1.1\r\nHost: a\r\n", (408,)),
    Case("half a body", post(V1, {"instances": [1]})[:-3], (408,)),
    Case("a chunked body without an end",
         b"POST /v2/models/unet/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", (408,)),
    Case("half a head after a good request", request("GET", "/v2").replace(b"close", b"keep-alive") + b"GET", (200,)),
]  # fmt: skip
CLOSED = [
    Case("nothing", b"", (0,)),
    Case("half a head, closed", b"GET /v2 HTTP/1.1\r\nHost", (0, 400)),
    Case("half a body, closed", post(V1, {"instances": [1]})[:-3], (0, 400)),
    Case("a whole request, closed", request("GET", "/v2"), (200,)),
    Case("a whole request with a body, closed", post(V1, {"instances": [1]}), BAD),
]


def test_slow_senders_and_half_closed_sockets_hold_nothing(served, good):
    address = urlsplit(served.http)
    with ThreadPoolExecutor(40) as pool:
        slow = [(case, pool.submit(answer, address, case.raw)) for case in SLOW * 6]
        for case in CLOSED:
            assert answer(address, case.raw, close=True)[0] in case.statuses, case.name
        good()  # while all of them wait
        assert {case.name for case, found in slow if found.result()[0] not in case.statuses} == set()
    good()


def test_who_does_not_read_the_answer_is_cut(served, good):
    """Half a million probabilities in JSON are some 10 MB, which no buffer of a socket holds."""
    address, process = urlsplit(served.http), psutil.Process(served.process.pid)
    image = np.zeros((1, 512, 512, 1), int)
    raw = post(V1, {"signature_name": "probabilities", "instances": image.tolist()})
    with socket.create_connection((address.hostname, address.port), WAIT) as line:
        line.sendall(raw.replace(b"Connection: close", b"Connection: keep-alive"))
        port = line.getsockname()[1]
        assert line.recv(1)  # the answer has begun

        def there():
            return any(one.laddr and one.laddr.port == address.port and one.raddr and one.raddr.port == port
                       for one in process.net_connections("tcp"))  # fmt: skip

        assert there()
        end = time.monotonic() + WAIT
        while there():
            assert time.monotonic() < end
            good()
            time.sleep(0.1)


def test_a_page_and_its_files_are_all_that_is_read(http):
    page = http.get("/")
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert "text/html" in page.headers["content-type"]
    for name, kind in (("segment.css", "text/css"), ("png.js", "text/javascript"), ("page.js", "text/javascript")):
        assert http.get(f"/page/{name}").headers["content-type"].startswith(kind)
    assert http.get("/page/index.html").status_code == 404


def test_metrics_count_by_protocol_model_and_status(http, good):
    def count():
        text = http.get("/metrics").text
        name = 'unet_tf_requests_total{model="unet",protocol="rest",status="OK"}'
        line = next(one for one in text.splitlines() if one.startswith(name))
        return float(line.split()[-1])

    good()
    before = count()
    good()
    assert count() == before + 1
    http.post("/v1/models/made-up:predict", content="{}")
    text = http.get("/metrics").text
    assert 'unet_tf_requests_total{model="",protocol="rest",status="NOT_FOUND"}' in text and "made-up" not in text
    for name in ("unet_tf_seconds_bucket", "unet_tf_pixels_total", "unet_tf_queue", "unet_tf_running", "unet_tf_held"):
        assert name in text


def test_what_is_refused_before_it_is_read_is_counted_and_has_its_line(http, served):
    name = 'unet_tf_requests_total{model="",protocol="http",status="INVALID_ARGUMENT"}'
    before = len(served.log.read_text())
    http.post(V1, content=b"", headers={"Content-Encoding": "own"})
    assert name in http.get("/metrics").text
    (line,) = [one for one in served.log.read_text()[before:].splitlines() if "own" in one]
    found = json.loads(line[line.index("{") :])
    assert (found["protocol"], found["model"], found["status"]) == ("http", "", "INVALID_ARGUMENT")


@pytest.mark.parametrize("path", ["/v1/models/unet:predict", "/v2/models/unet/infer", "/page/models/unet/segment"])
def test_a_body_that_is_compressed_is_refused_in_words(http, path):
    body = gzip.compress(json.dumps({"instances": [[[[0]]]]}).encode())
    found = http.post(path, content=body, headers={"Content-Encoding": "gzip"})
    assert (found.status_code, found.json()) == (
        415,
        {"error": "The body of a request must come as it is, without Content-Encoding: gzip."},
    )
    plain = http.post(V1, json={"instances": [[[[0]]]]}, headers={"Content-Encoding": "identity"})
    assert plain.status_code == 200
