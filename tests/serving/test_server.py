"""A server from its start to its end: what is served, new versions under load, and signals."""

import json
import shutil
import signal
import socket
import subprocess
import threading

import grpc
import httpx
import pytest
from forked import Forked
from grpc_health.v1 import health_pb2, health_pb2_grpc
from servers import picture, start

from unet_tf.errors import InputError
from unet_tf.serving.calls import Calls
from unet_tf.serving.limits import Limits
from unet_tf.serving.models import REPLACED, Models
from unet_tf.serving.server import _http, _listen, is_local, models_of

BODY = {"instances": picture(side=16)[None].tolist()}
READY = "/v2/health/ready"


@pytest.fixture(scope="module")
def bundle(small_bundle, tmp_path_factory):
    """Version 1 alone."""
    folder = tmp_path_factory.mktemp("server") / "cells"
    return shutil.copytree(small_bundle, folder, ignore=shutil.ignore_patterns("2"))


def test_bundles_and_labels_by_name(bundle, tmp_path):
    other = shutil.copytree(bundle, tmp_path / "other.2")
    assert [one.name for one in models_of([str(bundle)])] == ["unet"]
    assert [one.name for one in models_of([str(bundle), f"roads={other}", str(other)])] == ["cells", "roads", "other.2"]
    (one,) = models_of([str(bundle)], ["stable=1", "unet:canary=2"])
    assert one.labels == {"stable": 1, "canary": 2}


def test_an_equals_sign_may_stand_in_the_name_of_a_folder(bundle, tmp_path, monkeypatch):
    (tmp_path / "lr=0.1").mkdir()
    for name in ("lr=0.1/bundle", "cells=b"):
        shutil.copytree(bundle, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    given = ["lr=0.1/bundle", str(tmp_path / "lr=0.1" / "bundle"), "cells=b", "a=lr=0.1/bundle", "a=cells=b"]
    found = [next(iter(models_of([one]))) for one in given]
    assert [one.name for one in found] == ["unet", "unet", "unet", "a", "a"]
    folders = ["lr=0.1/bundle", "lr=0.1/bundle", "cells=b", "lr=0.1/bundle", "cells=b"]
    assert [one.folder for one in found] == [tmp_path / one / "saved_model" for one in folders]
    with pytest.raises(InputError, match=r"^\./none=1 is no bundle"):
        models_of(["./none=1"])


def test_a_link_to_a_bundle_that_is_switched_is_said_to_hold_another_net(small_bundle, tmp_path):
    for number in "12":
        (tmp_path / number / "saved_model").mkdir(parents=True)
        shutil.copy(small_bundle / "bundle.json", tmp_path / number)
        shutil.copytree(small_bundle / "saved_model" / number, tmp_path / number / "saved_model" / "1")
    link = tmp_path / "current"
    messages = []
    link.symlink_to("1")
    (model,) = models_of([str(link)])
    for number in "12":
        link.unlink()
        link.symlink_to(number)
        model.refresh()
        messages.append(model.statuses()[0].message)
    assert messages == ["", REPLACED]


@pytest.mark.parametrize(
    "bundles, labels, words",
    [
        ([], [], "needs a bundle at least"),
        (["{0}/none"], [], "is no bundle"),
        (["a/b={0}"], [], "a/b=.* is no bundle"),
        (["..={0}"], [], "takes letters, digits and"),
        (["={0}"], [], "takes letters, digits and"),
        (["a:b={0}"], [], "takes letters, digits and"),
        (["a={0}", "a={0}"], [], "Two models are called a."),
        (["{0}"], ["stable"], "A label is LABEL=VERSION"),
        (["{0}"], ["other:stable=1"], "with a name of unet; received 'other:stable=1'"),
        (["a={0}", "b={0}"], ["stable=1"], "NAME:LABEL=VERSION with a name of a, b"),
        (["{0}"], ["1=1"], "A label is LABEL=VERSION"),
        (["{0}"], ["stable=-1"], "A label is LABEL=VERSION"),
    ],
)
def test_what_is_no_bundle_name_or_label_is_refused(bundle, bundles, labels, words):
    with pytest.raises(InputError, match=words):
        models_of([one.format(bundle) for one in bundles], labels)


@pytest.mark.parametrize(
    "host, local", [("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
                    ("::", False), ("10.0.0.1", False), ("example.org", False)]
)  # fmt: skip
def test_addresses_that_only_this_machine_reaches(host, local):
    assert is_local(host) == local


def test_a_port_that_is_taken_and_a_bundle_without_versions_are_said(bundle, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for which in ("port", "grpc_port"):
            with pytest.raises(RuntimeError, match=f"Port {port} of 127.0.0.1 cannot be listened on"):
                start(tmp_path / "log", [bundle], **{which: port})
    empty = shutil.copytree(bundle, tmp_path / "empty", ignore=shutil.ignore_patterns("saved_model"))
    with pytest.raises(RuntimeError, match="Nothing of unet can be served"):
        start(tmp_path / "log", [empty])


class Loop:
    """As much of a loop as signals want; on Windows it takes none."""

    def __init__(self, takes):
        self.takes, self.set, self.removed, self.soon = takes, {}, [], []

    def add_signal_handler(self, number, handler):
        if not self.takes:
            raise NotImplementedError
        self.set[number] = handler

    def remove_signal_handler(self, number):
        if not self.takes:
            raise NotImplementedError
        self.removed.append(number)

    def call_soon_threadsafe(self, handler):
        self.soon.append(handler)


@pytest.mark.parametrize("takes", [True, False])
def test_the_first_signal_tells_and_the_second_does_what_the_system_does(takes):
    loop = Loop(takes)
    told = _listen(loop)
    if not takes:
        signal.getsignal(signal.SIGTERM)(signal.SIGTERM, None)
        assert len(loop.soon) == 1
    assert not told.is_set()
    (loop.set[signal.SIGTERM] if takes else loop.soon[0])()
    assert told.is_set()
    assert loop.removed == ([signal.SIGINT, signal.SIGTERM] if takes else [])
    assert {signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)} == {signal.SIG_DFL}


def test_a_signal_that_is_ignored_stays_so():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    loop = Loop(True)
    _listen(loop)
    assert list(loop.set) == [signal.SIGTERM]
    loop.set[signal.SIGTERM]()
    assert loop.removed == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


LOADING = """
import os, signal, sys
from unet_tf.serving.models import Model
from unet_tf.serving.server import serve

refresh = Model.refresh
def told(self):
    print(self.name, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    return refresh(self)
Model.refresh = told
serve([f"a={sys.argv[1]}", f"b={sys.argv[1]}"], port=0, grpc_port=0, on_ready=print)
"""


def test_a_signal_while_bundles_are_loaded_lets_no_other_one_be(bundle):
    with Forked(LOADING, bundle, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.communicate(timeout=60)[0] == "a\n"
        assert process.returncode == 0


def test_a_connection_without_a_request_outlives_that_of_a_proxy():
    assert _http(Calls(Models([]), Limits()), 30.0).timeout_keep_alive > 60


def test_a_label_of_a_version_that_is_not_there_is_said(bundle, tmp_path):
    process, _, _ = start(tmp_path / "log", [bundle], labels=["stable=1", "canary=2"])
    process.terminate()
    assert process.wait(60) == 0
    said = (tmp_path / "log").read_text()
    assert "unet: label canary waits for version 2, which is not there yet." in said and "label stable" not in said


def test_a_version_that_comes_under_load_loses_no_request(small_bundle, tmp_path):
    shutil.copytree(small_bundle, tmp_path / "unet", ignore=shutil.ignore_patterns("2"))
    process, address, _ = start(tmp_path / "log", [tmp_path / "unet"])
    found, begun, done = [], threading.Event(), threading.Event()

    def ask():
        with httpx.Client(base_url=address, timeout=60) as client:
            while not done.is_set():
                found.append(client.post("/v1/models/unet:predict", json=BODY))
                begun.set()

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for one in threads:
        one.start()
    assert begun.wait(60)
    shutil.copytree(small_bundle / "saved_model" / "2", tmp_path / "part")
    (tmp_path / "part").rename(tmp_path / "unet" / "saved_model" / "2")
    with httpx.Client(base_url=address, timeout=60) as client:
        while client.get("/v1/models/unet").json()["model_version_status"][0] != {
            "version": "2", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""},
        }:  # fmt: skip
            pass
        new = client.post("/v1/models/unet:predict", json=BODY).json()
    done.set()
    for one in threads:
        one.join()
    process.terminate()
    assert process.wait(60) == 0
    assert {one.status_code for one in found} == {200}
    masks = {json.dumps(one.json()) for one in found} | {json.dumps(new)}
    assert len(masks) == 2  # that of version 1, and that of version 2
    assert "unet: version 1 is served no more." in (tmp_path / "log").read_text()


def test_readiness_falls_first_and_a_second_signal_ends_it_at_once(bundle, tmp_path):
    process, address, at = start(tmp_path / "log", [bundle], drain=1000)
    with httpx.Client(base_url=address, timeout=60) as client, grpc.insecure_channel(at) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert client.get(READY).status_code == 200
        process.terminate()
        while client.get(READY).status_code == 200:
            pass
        assert client.get(READY).json() == {"ready": False}
        while health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING:
            pass
        assert client.get("/v2/models/unet/ready").status_code == 503
        assert client.get("/v2/health/live").status_code == 200
        assert client.post("/v1/models/unet:predict", json=BODY).status_code == 200
        process.terminate()
        assert process.wait(60) == -signal.SIGTERM


HELD = """
import sys
from unet_tf.serving.server import serve
from unet_tf.serving.versions import Signature

def ready(ports):
    call = Signature.__call__
    def held(self, inputs):
        print("begun", flush=True)
        sys.stdin.readline()
        return call(self, inputs)
    Signature.__call__ = held
    print(ports["http"], flush=True)

serve([sys.argv[1]], port=0, grpc_port=0, on_ready=ready)
"""


def test_who_watches_the_health_does_not_keep_the_server(bundle, tmp_path):
    process, _, at = start(tmp_path / "log", [bundle], grace=1000)
    with grpc.insecure_channel(at) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        process.terminate()
        assert process.wait(60) == 0


def test_what_runs_is_finished_and_what_is_new_refused(bundle):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with Forked(HELD, bundle, **pipes) as process:
        address, answers = f"http://127.0.0.1:{int(process.stdout.readline())}/v1/models/unet", []
        asking = threading.Thread(
            target=lambda: answers.append(httpx.post(f"{address}:predict", json=BODY, timeout=60))
        )
        asking.start()
        assert process.stdout.readline() == "begun\n"
        process.terminate()
        refused = None
        while refused is None:  # until it stops to listen
            try:
                httpx.get(f"{address}/metadata", timeout=60)
            except httpx.TransportError as error:
                refused = error
        process.stdin.write("\n")
        process.stdin.flush()
        asking.join()
        assert answers[0].status_code == 200 and len(answers[0].json()["predictions"]) == 1
        assert process.wait(60) == 0
