"""`unet-tf serve` as people call it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import httpx
import pytest
from forked import Forked
from servers import b64, picture, png, write_bundle
from typer.testing import CliRunner

from unet_tf.cli.commands import app

RUN = CliRunner()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("serve") / "cells")


def test_it_says_where_it_answers_logs_requests_and_ends_at_ctrl_c(bundle, tmp_path):
    command = [sys.executable, "-m", "unet_tf", "serve", str(bundle), "--port", "0", "--grpc-port", "0"]
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
    said = ""
    while "Ctrl-C stops it." not in said:
        line = process.stdout.readline()
        assert line, (tmp_path / "log").read_text()
        said += line
    assert said.startswith("Starting: TensorFlow, then the versions that are to be served.")
    assert "unet: version 1 is being loaded and warmed up." in said
    address = re.search(r"Page:\s+(http://127\.0\.0\.1:\d+)/", said)[1]
    assert re.search(r"gRPC:\s+127\.0\.0\.1:\d+", said)
    body = {"signature_name": "encoded", "instances": [b64(png(picture()))]}
    assert httpx.post(f"{address}/v1/models/unet:predict", json=body, timeout=60).status_code == 200
    assert httpx.post(f"{address}/v1/models/unet:predict", json={}, timeout=60).status_code == 400
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    assert [(one["protocol"], one["model"], one["status"]) for one in lines] == [
        ("rest", "unet", "OK"),
        ("rest", "unet", "INVALID_ARGUMENT"),
    ]
    assert lines[0]["version"] == 1 and lines[0]["seconds"] > 0 and "neither" in lines[1]["error"]
    assert "util.cc" not in (tmp_path / "log").read_text()  # TensorFlow's own lines
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}", lines[0]["time"])


def test_it_serves_on_where_nobody_reads_what_it_says(bundle, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "cells")
    code = "import runpy; runpy.run_module('unet_tf', run_name='__main__')"
    arguments = ["serve", folder, "--port", 0, "--grpc-port", -1]
    with (tmp_path / "log").open("w") as log:
        process = Forked(code, *arguments, stdout=subprocess.PIPE, stderr=log)
    said = ""
    while "Ctrl-C stops it." not in said:
        line = process.stdout.readline()
        assert line, (tmp_path / "log").read_text()
        said += line
    process.stdout.close()  # as `| head -4` does
    address, until = re.search(r"Page:\s+(http://127\.0\.0\.1:\d+)/", said)[1], time.monotonic() + 300
    try:
        (folder / "saved_model" / "1").rename(folder / "saved_model" / "2")  # which is said
        newest = {}
        while (newest.get("version"), newest.get("state")) != ("2", "AVAILABLE"):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.1)
            newest = httpx.get(f"{address}/v1/models/unet", timeout=60).json()["model_version_status"][0]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()


@pytest.mark.parametrize(
    "options, words",
    [
        (["--max-pixels", "0"], "--max-pixels must be above 0; received 0."),
        (["--max-bytes", "-1"], "--max-bytes must be above 0"),
        (["--timeout", "0"], "--timeout must be above 0"),
        (["--queue", "-1"], "--queue and --drain must be 0 or more"),
        (["--drain", "-1"], "--queue and --drain must be 0 or more"),
        (["--port", "65536"], "--port must be 0 to 65535; received 65536."),
        (["--grpc-port", "-2"], "--grpc-port must be -1 to 65535; received -2."),
        (["--label", "stable"], "A label is LABEL=VERSION"),
    ],
)
def test_options_that_are_wrong_are_said(bundle, options, words):
    found = RUN.invoke(app, ["serve", str(bundle), *options])
    assert found.exit_code == 1 and words in str(found.exception)


def test_a_missing_package_is_named_with_the_command_that_installs_it(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "orjson", None)
    found = RUN.invoke(app, ["serve", str(bundle)])
    assert str(found.exception) == "unet-tf serve needs the package orjson: pip install 'unet-tf[serve]'."


def test_a_package_that_lacks_another_is_not_said_to_be_missing(bundle, monkeypatch, tmp_path):
    (tmp_path / "orjson.py").write_text("import no_such_package")
    monkeypatch.delitem(sys.modules, "orjson")
    monkeypatch.syspath_prepend(tmp_path)
    found = RUN.invoke(app, ["serve", str(bundle)])
    assert isinstance(found.exception, ModuleNotFoundError) and found.exception.name == "no_such_package"


def test_what_is_no_bundle_is_said_and_an_open_address_warned_of(tmp_path):
    found = RUN.invoke(app, ["serve", str(tmp_path), "--host", "0.0.0.0"])
    assert "is no bundle: it has no bundle.json" in str(found.exception)
    assert "Open to others" in found.output and "no password" in found.output
