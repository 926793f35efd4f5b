import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from unet_tf.data.channels import Channels
from unet_tf.data.masks import MaskFormat
from unet_tf.data.normalisation import Normalisation
from unet_tf.edge.description import Description
from unet_tf.errors import InputError
from unet_tf.evaluation.bundle_tables import read_bundle_report
from unet_tf.exporting import bundle as bundle_module
from unet_tf.exporting.bundle import Bundle, hashes, unlike
from unet_tf.geometry import Geometry
from unet_tf.utils import files


@pytest.fixture
def folder(bundle, tmp_path):
    """A bundle without its nets, which are not opened here."""
    for name in ("bundle.json", "report.json"):
        shutil.copy(bundle / name, tmp_path)
    return tmp_path


def test_a_folder_within_a_bundle_is_refused_with_the_bundle(folder):
    (folder / "saved_model").mkdir()
    with pytest.raises(InputError, match=rf"saved_model is no bundle: .* Give {folder}, in which it lies\."):
        Bundle(folder / "saved_model")


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"3", b"\xff\xfe", b"[" * 100_000, b'{"classes": NaN}', b"null"]
)
@pytest.mark.parametrize(("name", "read"), [("bundle.json", Bundle), ("report.json", None)])
def test_another_file_is_refused_by_name(folder, content, name, read):
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} is damaged or of another version: .* Export"):
        read(folder) if read else read_bundle_report(folder / name)


def test_a_field_of_another_type_is_refused_by_its_name(folder):
    whole = json.loads((folder / "bundle.json").read_text()) | {"highest_version": 3}
    for field in whole:
        for value in (None, 3.5, "text", [], {"a": 1}, [[1]], True, -1, 10**30):
            (folder / "bundle.json").write_text(json.dumps({**whole, field: value}))
            try:
                Bundle(folder)  # an empty palette is one
            except InputError as error:
                assert "bundle.json is damaged" in str(error)
        (folder / "bundle.json").write_text(json.dumps({name: whole[name] for name in whole if name != field}))
        later = ("channels_of_files", "calibration", "nets", "learnt", "unknown", "highest_version")
        if field in later:  # version 0.1 had none
            found = Bundle(folder).description
            assert (found.channels.plain, found.nets) == (True, 1)
            continue
        with pytest.raises(InputError, match=f"must have the field '{field}'"):
            Bundle(folder)


def test_bytes_that_were_changed_are_an_input_error_or_another_text(folder):
    content, rng = (folder / "bundle.json").read_bytes(), np.random.default_rng(0)
    outcomes = {"opened": 0, "refused": 0}
    for _ in range(500):
        damaged = bytearray(content)
        for place in rng.integers(len(content), size=rng.integers(1, 9)):
            damaged[place] ^= int(rng.integers(1, 256))
        (folder / "bundle.json").write_bytes(damaged[: rng.integers(len(content) // 2, len(content) + 1)])
        try:
            Bundle(folder)
            outcomes["opened"] += 1
        except InputError as error:
            assert "bundle.json is damaged" in str(error)
            outcomes["refused"] += 1
    assert outcomes["refused"] > 400


def test_files_outside_of_the_folder_are_no_part_of_a_bundle(folder):
    stored = json.loads((folder / "bundle.json").read_text())
    stored["sha256"]["../secret"] = "0"
    (folder / "bundle.json").write_text(json.dumps(stored))
    with pytest.raises(InputError, match=r"must name files of its folder; it names '\.\./secret'"):
        Bundle(folder)


def test_a_version_that_is_half_there_is_nothing_to_the_others(folder):
    for number, text in ((2, (folder / "bundle.json").read_text()), (3, "{")):
        extra = folder / "saved_model" / str(number) / "assets.extra"
        extra.mkdir(parents=True)
        (extra / "bundle.json").write_text(text)
    found = Bundle(folder)
    assert found.describe(2) == found.description
    assert found.describe(4) is None
    for read in (found.describe, found.weights):
        with pytest.raises(InputError, match="bundle.json is damaged"):
            read(3)


def test_what_file_managers_and_git_leave_is_no_fault(folder):
    litter = (
        ".DS_Store", "saved_model/1/._saved_model.pb", "web/Thumbs.db", "Desktop.ini", ".git/objects/ab/cd",
        ".gitattributes", ".cache/huggingface/a.metadata", "README.md",
    )  # fmt: skip
    for name in (*litter, "git", "web/.git", "virus.so"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    came = [said for said in Bundle(folder).faults() if not said.endswith(" is missing.")]
    assert came == [f"{name} came in after the export." for name in ("git", "virus.so", "web/.git")]


def test_versions_that_come_in_and_what_git_writes_meanwhile_are_nothing_to_a_bundle(folder, monkeypatch):
    """As of `export --add-version` and of a clone that is updated while `verify` reads."""
    for name in (".git/objects/ab", ".adding-0123abcd/saved_model/2/saved_model.pb", "virus.so"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "saved_model").mkdir()
    whole = Bundle(folder)
    versions, read = whole.versions, []

    def meanwhile():
        shutil.rmtree(folder / ".git")
        (folder / ".adding-0123abcd" / "saved_model" / "2").rename(folder / "saved_model" / "2")
        return versions()

    def sha256_of(path):
        read.append(path.relative_to(folder).as_posix())
        return files.sha256_of(path)

    monkeypatch.setattr(whole, "versions", meanwhile)
    monkeypatch.setattr(bundle_module, "sha256_of", sha256_of)
    came = [said for said in whole.faults() if not said.endswith(" is missing.")]
    assert came == ["virus.so came in after the export."]
    assert read == ["report.json", "virus.so"]


def test_a_version_that_is_being_remembered_is_no_fault(folder, monkeypatch):
    """Nor is what is left of that, where the process is killed."""
    whole, expected = Bundle(folder), Bundle(folder).faults()
    with files.replacing(folder / "bundle.json") as temporary:
        shutil.copy(folder / "bundle.json", temporary)
        assert whole.faults() == expected
        monkeypatch.setattr(whole, "versions", lambda: temporary.rename(folder / "bundle.json") and [])
        assert whole.faults() == expected
        shutil.copy(folder / "bundle.json", temporary)
    (folder / "web").mkdir(exist_ok=True)
    (folder / "web" / ".bundle.0123abcd.json").touch()
    assert "web/.bundle.0123abcd.json came in after the export." in Bundle(folder).faults()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is missing: apt install git")
def test_a_clone_is_whole_on_windows_as_the_page_on_the_hub_says(folder, tmp_path_factory, monkeypatch):
    place = tmp_path_factory.mktemp("clones")
    (place / "config").write_text("[core]\n\tautocrlf = true\n[user]\n\tname = a\n\temail = a@b\n")  # as on Windows
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(place / "config"))
    pushed = place / "pushed"

    def git(*words):
        subprocess.run(["git", *map(str, words)], check=True, capture_output=True)

    def changed(clone):
        return [said for said in Bundle(clone).faults() if said.endswith(" was changed after the export.")]

    git("init", folder)
    for words in (["config", "core.autocrlf", "false"], ["add", "."], ["commit", "-m", "as it was published"]):
        git("-C", folder, *words)
    git("clone", "--bare", folder, pushed)
    git("clone", pushed, place / "plain")
    assert changed(place / "plain") == ["report.json was changed after the export."]
    page = (Path(__file__).parents[2] / "docs" / "hub.md").read_text()
    git("clone", *re.search(r"^git clone (-.+) https://", page, re.M)[1].split(), pushed, place / "said")
    assert changed(place / "said") == []
    (folder / ".gitattributes").write_text(re.search(r"the line `(.+)` in a file `.gitattributes`", page)[1] + "\n")
    for words in (["add", "."], ["commit", "-m", "with its attributes"], ["push", pushed, "HEAD"]):
        git("-C", folder, *words)
    git("clone", pushed, place / "own")
    assert changed(place / "own") == []


def test_such_a_file_that_was_exported_counts(folder):
    stored = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(stored | {"sha256": {"Thumbs.db": "0" * 64}}))
    (folder / "report.json").unlink()
    assert Bundle(folder).faults() == ["Thumbs.db is missing."]
    (folder / "Thumbs.db").touch()
    assert Bundle(folder).faults() == ["Thumbs.db was changed after the export."]


BANDS, TURNED, UNNAMED = ("blue", "green", "red", "NIR"), ("red", "green", "blue", "NIR"), ("",) * 4


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        (Channels(names=BANDS), Channels(names=TURNED), False),
        (Channels(("0", "3"), names=BANDS), Channels(("0", "3"), names=TURNED), False),
        (Channels(("0", "3"), names=UNNAMED), Channels(("3", "0"), names=UNNAMED), False),
        (Channels(("0", "3"), names=UNNAMED), Channels(("blue", "red"), names=BANDS), False),
        (Channels(context=1, names=BANDS), Channels(context=1, names=TURNED), False),
        (Channels(suffixes=("_r", "_g"), names=UNNAMED), Channels(suffixes=("_g", "_r"), names=UNNAMED), False),
        (Channels(names=UNNAMED), Channels(names=BANDS), True),
        (Channels(("NIR", "red"), names=BANDS), Channels(("3", "2"), names=BANDS), True),
        (Channels(("NIR", "red"), names=BANDS), Channels(names=("NIR", "red")), False),
        (Channels(names=("",) * 3), Channels(("0", "1", "2"), names=UNNAMED), False),
        (Channels(("NIR", "red")), Channels(("3", "0"), names=TURNED), False),
        (Channels(("3",)), Channels(("3",)), True),  # of builds that did not keep the names, as the next
        (Channels(("3",)), Channels(("2",)), False),
    ],
)
def test_nets_that_take_other_channels_are_no_versions_of_one_model(first, second, alike):
    known = Normalisation((9.0,), (2.0,), "uint8")
    about = [
        Description(("a", "b"), MaskFormat(), known, Geometry(1, "same"), 64, channels=channels)
        for channels in (first, second)
    ]
    for there, here in (about, about[::-1]):
        assert [words.split(" (")[0] for words in unlike(there, here)] == ["channels of files"] * (not alike)


def test_other_channels_are_said_by_name():
    known = Normalisation((9.0,) * 4, (2.0,) * 4, "uint8")
    about = [
        Description(("a", "b"), MaskFormat(), known, Geometry(1, "same"), 64, channels=Channels(names=names))
        for names in (BANDS, TURNED)
    ]
    assert unlike(*about) == [f"channels of files {(BANDS, (), (), 0)} there, {(TURNED, (), (), 0)} here"]


def test_files_behind_a_link_to_a_folder_are_files_of_a_bundle(bundle, tmp_path):
    whole, big = shutil.copytree(bundle, tmp_path / "whole"), tmp_path / "big"
    version = shutil.copytree(whole / "saved_model/1", whole / "saved_model/2")
    stored = json.loads((whole / "bundle.json").read_text())
    named = hashes(version)
    (version / "assets.extra/bundle.json").write_text(json.dumps(stored | {"sha256": named}))
    (version / "variables").rename(tmp_path / "variables")
    (version / "variables").symlink_to(tmp_path / "variables")
    (whole / "saved_model").rename(big)
    (whole / "saved_model").symlink_to(big)
    assert Bundle(whole).faults() == []
    (tmp_path / "variables/variables.index").unlink()
    (big / "1/saved_model.pb").write_bytes(b"x")
    assert Bundle(whole).faults() == [
        "saved_model/1/saved_model.pb was changed after the export.",
        "saved_model/2/variables/variables.index is missing.",
    ]
