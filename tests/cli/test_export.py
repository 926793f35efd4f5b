import shutil
import sys
from pathlib import Path

import pytest
import typer
from hub_server import WRITER

from unet_tf.cli.commands import main
from unet_tf.cli.export import _publish, _publishing
from unet_tf.errors import InputError
from unet_tf.exporting import hub
from unet_tf.exporting.bundle import MAX_IOU_DROP
from unet_tf.utils.signals import Stopped

RUN = Path(__file__).parents[1] / "saved" / "run_0_1"


@pytest.fixture
def refused(monkeypatch, capfd):
    """Run `unet-tf export`: what it says when it is refused, and it must be."""
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/no/token")

    def run_here(*arguments, token=WRITER):
        monkeypatch.setenv("HF_TOKEN", token)
        monkeypatch.setattr(sys, "argv", ["unet-tf", "export", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 1
        return capfd.readouterr().err

    return run_here


def test_the_command_that_publishes_takes_any_path():
    assert _publishing(Path("-my bundle"), "hf://me/cells", True) == (
        "unet-tf export './-my bundle' --hub hf://me/cells --private"
    )


@pytest.fixture
def bundle(tmp_path):
    """A folder that says that it is a bundle."""
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "bundle.json").write_text("{}")
    return tmp_path / "bundle"


def test_what_could_not_be_published_is_refused_before_anything_is_exported(refused, bundle, tmp_path):
    out = tmp_path / "out"
    for arguments, words in {
        (RUN,): "give --out DIR, a new folder",
        (RUN, "--out", out, "--private"): "give --hub USER/NAME beside it",
        (RUN, "--out", out, "--hub", "cells"): "must be named USER/NAME",
        (RUN, "--hub", "anna/cells"): "is no bundle that could be published. Say where it is to be written: --out DIR",
        (RUN, "--out", bundle, "--hub", "anna/cells", "--add-version"): "are two steps: add the version, then",
        (bundle, "--out", out, "--hub", "anna/cells"): "is a bundle that stands, and is published as it is",
        (bundle, "--hub", "anna/cells", "--tile", "84"): "leave out --out and what says how to export",
        (bundle, "--hub", "anna/cells", "--max-iou-drop", MAX_IOU_DROP): "leave out --out and what says how to export",
        (bundle, "--hub", "anna/cells"): "bundle.json is damaged",
    }.items():
        assert words in refused(*arguments)
    words = refused(RUN, "--out", out, "--hub", "anna/cells", token="")
    assert "there is no token. Log in with `hf auth login`" in words
    assert not out.exists()


def test_without_the_package_the_extra_is_named(refused, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    words = refused(RUN, "--out", tmp_path / "out", "--hub", "anna/cells")
    assert "pip install 'unet-tf[hub]'" in words
    assert not (tmp_path / "out").exists()


def test_a_bundle_that_cannot_be_published_stands(refused, monkeypatch, tmp_path):
    def make(run, out, *args, **kwargs):
        shutil.copytree(RUN, out)
        return {"artefacts": {}, "keras": {}, "pictures": "noise"}

    def fail(*args, **kwargs):
        raise InputError("The Hub cannot be reached.")

    monkeypatch.setattr("unet_tf.export", make, raising=False)
    monkeypatch.setattr("unet_tf.evaluation.bundle_tables.bundle_rows", lambda report: [("", "bytes")])
    monkeypatch.setattr(hub, "publish", fail)
    for name, more, command in (
        ("out", (), f"unet-tf export {tmp_path}/out --hub anna/cells publishes it"),
        ("my [b]", ("--private",), f"unet-tf export '{tmp_path}/my [b]' --hub anna/cells --private publishes it"),
    ):
        words = refused(RUN, "--out", tmp_path / name, "--hub", "anna/cells", *more).replace("\n", " ")
        assert f"The Hub cannot be reached. The bundle stands: {command}" in words
        assert (tmp_path / name).is_dir()


def test_the_command_that_goes_on_publishes_as_it_was_asked(monkeypatch, capsys):
    def stop(*args, **kwargs):
        raise Stopped

    monkeypatch.setattr(hub, "publish", stop)
    with pytest.raises(typer.Exit):
        _publish(Path("my [b]"), "anna/cells", True)
    words = capsys.readouterr().out.replace("\n", " ")
    assert "unet-tf export 'my [b]' --hub anna/cells --private goes on." in words
