import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unet_tf import InputError, Run, add_version, export, predict, verify
from unet_tf.exporting import add_version as module
from unet_tf.exporting.bundle import Bundle, unlike
from unet_tf.exporting.parity import bundled_net
from unet_tf.prediction.predict import model_hash
from unet_tf.serving.models import Model


@pytest.fixture(scope="module")
def stands(run, tmp_path_factory):
    """A bundle with a SavedModel and one TFLite file. None writes to it."""
    out = tmp_path_factory.mktemp("stands") / "bundle"
    export(run, out, variants=["float32"], max_iou_drop=0.1)
    return out


@pytest.fixture
def own(stands, tmp_path):
    """A copy of it, which a test may change."""
    return shutil.copytree(stands, tmp_path / "bundle")


@pytest.fixture
def longer(own_run):
    """The run after something else was learnt: its classes change places."""
    kernel, bias = own_run.model.layers[-1].get_weights()
    own_run.model.layers[-1].set_weights([-kernel, -bias])
    own_run.model.save(own_run.path / Run.BEST)
    return Run(own_run.path)


@pytest.fixture
def written_before(stands, monkeypatch):
    """The SavedModel of the shared run is not written anew, for seconds, but that of its bundle taken."""
    first = stands / "saved_model/1"
    monkeypatch.setattr(module, "write_version", lambda net, about, path: shutil.copytree(first, path))


def versions(bundle):
    return sorted(path.name for path in (bundle / "saved_model").iterdir())


def contents(bundle):
    return {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}


def test_a_version_is_added_and_verified_against_its_own_net(own, longer, cells):
    before, about = contents(own), own / "bundle.json"
    report = add_version(longer, own)
    assert versions(own) == ["1", "2"]
    assert json.loads(about.read_text()) == json.loads(before[about]) | {"highest_version": 2}
    assert {path: content for path, content in contents(own).items() if path in before} | {
        about: before[about]
    } == before
    assert report["artefacts"]["saved_model/2"]["max_probability_difference"] <= 1e-5
    assert report == json.loads((own / "saved_model/2/assets.extra/report.json").read_text())
    own_words = {"assets.extra/model.keras", "assets.extra/bundle.json", "assets.extra/report.json"}
    served = [path for path in (own / "saved_model/2").rglob("*") if path.is_file()]
    served = [path for path in served if path.relative_to(own / "saved_model/2").as_posix() not in own_words]
    assert report["artefacts"]["saved_model/2"]["bytes"] == sum(path.stat().st_size for path in served)
    found = verify(own, cells)
    assert found.faults == []
    assert list(found.versions) == ["saved_model/2"]
    assert found.versions["saved_model/2"]["keras"] != found.report["keras"]

    opened, image = Bundle(own), np.random.default_rng(0).integers(0, 255, (50, 60, 1), np.uint8)
    net = bundled_net(own, "saved_model/2", opened.describe(2))
    assert np.abs(net(image) - predict(longer, image, probabilities=True)).max() <= 1e-5
    assert opened.describe(1) == opened.description
    assert opened.describe(3) is None


@pytest.mark.usefixtures("written_before")
def test_the_number_of_a_version_that_was_taken_back_is_not_given_again(own, run):
    add_version(run, own)
    add_version(run, own)
    shutil.rmtree(own / "saved_model/3")  # a server may have been asked for it
    assert Bundle(own).faults() == []
    add_version(run, own)
    assert versions(own) == ["1", "2", "4"]


def test_no_number_is_given_twice_whatever_is_there(own):
    assert Bundle(own).next_version() == 2
    (own / "saved_model/7").mkdir()
    assert Bundle(own).next_version() == 8
    for number in (9, 11):
        Bundle(own).remember(number)
    for folder in (own / "saved_model").iterdir():
        shutil.rmtree(folder)
    assert Bundle(own).next_version() == 12


def test_the_weights_of_each_version_are_known(own):
    known = Bundle(own).weights(1)
    assert known == model_hash(own / "saved_model/1")
    assert Bundle(own).weights(2) is None


@pytest.mark.usefixtures("written_before")
@pytest.mark.parametrize("moment", ["SavedModel", "comparing with Keras", "timing", "the end"])
def test_a_process_killed_at_any_moment_leaves_a_bundle_that_is_right(own, run, monkeypatch, moment):
    class Killed(BaseException):
        pass

    def step(name):
        assert versions(own) == ["1"]  # what a server that polls sees meanwhile
        if name == moment:
            raise Killed

    def rename(source, target):
        os_rename(source, target)
        raise Killed

    os_rename = Path.rename
    monkeypatch.setattr(Path, "rename", rename)
    monkeypatch.setattr(module.shutil, "rmtree", lambda *_, **__: None)  # as a process that is killed does not do it
    with pytest.raises(Killed):
        add_version(run, own, on_step=step)
    monkeypatch.undo()
    assert versions(own) == (["1", "2"] if moment == "the end" else ["1"])
    assert Bundle(own).faults() == []
    if moment == "the end":
        assert (own / "saved_model/2/saved_model.pb").is_file()
        assert Bundle(own).describe(2) is not None


@pytest.mark.usefixtures("written_before")
def test_a_version_of_which_a_file_was_changed_is_faulty(own, run):
    add_version(run, own)
    two = own / "saved_model/2"
    (two / "assets.extra/model.keras").write_bytes(b"another")
    (two / "saved_model.pb").unlink()
    (two / "more").write_text("")
    (own / "saved_model/7").mkdir()
    (own / "saved_model/7/saved_model.pb").write_text("")
    assert Bundle(own).faults() == [
        "saved_model/2/assets.extra/model.keras was changed after the export.",
        "saved_model/2/more came in after the export.",
        "saved_model/2/saved_model.pb is missing.",
        "saved_model/7/saved_model.pb came in after the export.",
    ]
    (two / "assets.extra/bundle.json").write_text("{}")
    with pytest.raises(InputError, match="bundle.json is damaged"):
        Bundle(own).faults()


def test_a_run_of_another_kind_is_refused_with_both(own, own_run):
    config = own_run.path / Run.CONFIG
    config.write_text(config.read_text().replace('dtype = "uint8"', 'dtype = "uint16"'))
    with pytest.raises(InputError, match=r"pixel type uint8 there, uint16 here.*bundle of its own"):
        add_version(own_run.path, own)
    assert versions(own) == ["1"]


def test_what_must_be_alike_is_named(own):
    about = Bundle(own).description
    assert unlike(about, replace(about, tile=4, origin=replace(about.origin, max_iou_drop=0.3))) == []
    other = replace(about, classes=("a", "b", "c"))
    assert unlike(about, other) == [f"classes {about.classes} there, {other.classes} here"]
    masks = replace(about, masks=replace(about.masks, kind="index"))
    assert [words.split()[0] for words in unlike(about, masks)] == ["masks"]


@pytest.mark.usefixtures("written_before")
def test_a_version_that_another_call_added_meanwhile_is_said(own, run):
    def step(name):
        if name == "timing":
            shutil.copytree(own / "saved_model/1", own / "saved_model/2")

    with pytest.raises(InputError, match="was added by another call meanwhile"):
        add_version(run, own, on_step=step)
    assert not list(own.glob(".adding-*"))


@pytest.mark.parametrize("wrong", ["none", "run"])
def test_what_is_no_bundle_is_refused(run, tmp_path, wrong):
    with pytest.raises(InputError, match="is no bundle"):
        add_version(run, run.path if wrong == "run" else tmp_path / "none")


@pytest.mark.usefixtures("written_before")
def test_a_server_takes_a_version_up_and_goes_back_where_its_folder_is_removed(own, run):
    served = Model("unet", own / "saved_model")
    served.refresh()
    assert served.newest == 1
    add_version(run, own)
    served.refresh()
    assert served.newest == 2
    shutil.rmtree(own / "saved_model/2")
    served.refresh()
    assert served.newest == 1


def test_the_command_adds_a_version_and_verifies_all(own, run, call):
    code, out, err = call("export", run.path, "--out", own, "--add-version")
    assert (code, err) == (0, "")
    assert f"Added: {own / 'saved_model/2'}; to take it back, remove that folder." in " ".join(out.split())
    code, out, _ = call("verify", own)
    assert code == 0
    assert "saved_model/1" in out
    assert "saved_model/2" in out


@pytest.mark.parametrize(
    "option", [("--tile", "64"), ("--bfloat16",), ("--onnx",), ("--variants", ""), ("--max-iou-drop", "0.5")]
)
def test_what_is_of_a_whole_export_is_refused(own, run, call, option):
    code, _, err = call("export", run.path, "--out", own, "--add-version", *option)
    assert code == 1
    assert "--add-version writes a SavedModel alone" in err
    assert versions(own) == ["1"]
