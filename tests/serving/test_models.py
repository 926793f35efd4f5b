"""Versions that come, are half there, broken, labelled and go, while requests go on."""

import logging
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from servers import picture

from unet_tf.serving.errors import ServingError
from unet_tf.serving.models import REPLACED, Model, Models, Status

IMAGE = picture(side=16)[None]


def answer(model, **which):
    """The number of the version that answers, and its mask."""
    number, version = model.find(**which)
    return number, version.signature("")({"image": IMAGE})["mask"]


@pytest.fixture(scope="module")
def masks(small_bundle):
    """What each version gives."""
    model = Model("unet", small_bundle / "saved_model", {"old": 1})
    model.refresh()
    found = {number: answer(model, version=number)[1] for number in (1, 2)}
    assert (found[1] != found[2]).all()
    return found


@pytest.fixture
def copy(small_bundle, tmp_path):
    """A function that copies a version into the folder of a model."""

    def copy(number, to=None):
        shutil.copytree(small_bundle / "saved_model" / str(number), tmp_path / str(to or number))

    return copy


def states(model):
    return {one.version: (one.state, one.code) for one in model.statuses()}


def test_a_new_version_is_taken_up_without_a_dropped_request(copy, tmp_path, masks):
    copy(1)
    model = Model("unet", tmp_path)
    assert model.refresh() and not model.refresh()
    found, stop, old = [], threading.Event(), threading.Event()

    def ask():
        while not stop.is_set():
            found.append(answer(model))
            old.set()

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for one in threads:
        one.start()
    assert old.wait(60)
    copy(2)
    assert model.refresh()
    count = len(found)
    while len(found) < count + 6:
        stop.wait(0.01)
    stop.set()
    for one in threads:
        one.join()
    assert {number for number, _ in found} == {1, 2}
    assert all((mask == masks[number]).all() for number, mask in found)
    assert states(model) == {2: ("AVAILABLE", "OK"), 1: ("END", "OK")}
    words = (
        r"Servable not found for request: Specific\(unet, 1\)\. Versions served: 2; on disk: 1, 2\. One that is not "
        r"the newest is served where it has a label: unet-tf serve --label old=1\."
    )
    with pytest.raises(ServingError, match=words):
        model.find(1)


def test_a_version_that_is_half_there_is_taken_up_when_it_is_whole(copy, tmp_path, masks, caplog):
    copy(1)
    model = Model("unet", tmp_path)
    model.refresh()
    copy(2, "whole")
    caplog.set_level(logging.INFO, "unet_tf.serving")
    (tmp_path / "2" / "variables").mkdir(parents=True)
    files = ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"]
    for name in files:
        content = (tmp_path / "whole" / name).read_bytes()
        for part in (content[: len(content) // 2], content):
            (tmp_path / "2" / name).write_bytes(part)
            model.refresh()
            number, mask = answer(model)
            whole = (name, part) == (files[-1], content)
            assert number == (2 if whole else 1) and (mask == masks[number]).all()
    assert model.find()[0] == 2
    said = [one.getMessage() for one in caplog.records]
    assert sum("version 2 is refused, version 1 serves on" in one for one in said) >= 3
    assert said[0] == "unet: version 2 is being loaded and warmed up."
    assert "unet: version 2 is served, with again, serving_default." in said


def test_a_broken_version_is_said_once_and_the_old_one_serves_on(copy, tmp_path, masks, caplog):
    copy(1)
    copy(2, "9")
    file = tmp_path / "9" / "variables" / "variables.data-00000-of-00001"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    file.write_bytes(content)
    model = Model("unet", tmp_path)
    model.refresh()
    assert not model.refresh()
    assert sum("version 9 is refused" in one.getMessage() for one in caplog.records) == 1
    assert answer(model)[0] == 1 and states(model) == {9: ("END", "INTERNAL"), 1: ("AVAILABLE", "OK")}
    assert str(tmp_path / "9") in model.statuses(9)[0].message
    with pytest.raises(ServingError, match=r"on disk: 1, 9\. 9 cannot be used; its status says why\."):
        model.find(9)
    shutil.rmtree(tmp_path / "9")  # mended: a new try
    copy(2, "9")
    assert model.refresh() and answer(model)[0] == 9 and (answer(model)[1] == masks[2]).all()


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"no SavedModel"])
def test_a_graph_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(content)
    model = Model("unet", tmp_path)
    model.refresh()
    assert not model.ready and states(model) == {1: ("END", "INTERNAL")}
    with pytest.raises(ServingError, match=r"Latest\(unet\)"):
        model.find()


def test_labels_keep_their_version_beside_the_newest(copy, tmp_path, masks):
    copy(1)
    copy(2)
    model = Model("unet", tmp_path, {"stable": 1, "canary": 2, "next": 5})
    model.refresh()
    assert answer(model, label="stable")[0] == 1 and answer(model, label="canary")[0] == answer(model)[0] == 2
    assert model.find(0)[0] == 2  # as OpenVINO's clients say the newest
    with pytest.raises(ServingError, match=r"Specific\(unet, 5\)"):
        model.find(label="next")
    with pytest.raises(ServingError, match="Unrecognized servable version label: old"):
        model.find(label="old")


def test_what_is_removed_is_served_no_more_but_never_the_last(copy, tmp_path):
    copy(1)
    copy(2)
    model = Model("unet", tmp_path, {"stable": 1})
    model.refresh()
    shutil.rmtree(tmp_path / "2")
    assert model.refresh() and model.find()[0] == 1
    shutil.rmtree(tmp_path / "1")  # as where a folder is away for a moment
    assert not model.refresh() and model.find()[0] == 1
    tmp_path.joinpath("3").mkdir()
    assert model.find()[0] == 1


def test_a_label_on_a_version_that_is_not_whole_takes_none_away(copy, tmp_path):
    copy(1)
    model = Model("unet", tmp_path, {"stable": 2})
    model.refresh()
    (tmp_path / "2").mkdir()  # is being copied
    model.refresh()
    (tmp_path / "1").rename(tmp_path / "aside")
    model.refresh()
    assert model.find()[0] == 1
    (tmp_path / "2").rmdir()
    copy(2)
    model.refresh()
    assert model.find()[0] == model.find(label="stable")[0] == 2


def test_another_net_in_the_place_of_a_version_is_said_and_not_served_by_its_number(copy, tmp_path, masks, caplog):
    copy(1)
    model = Model("unet", tmp_path)
    model.refresh()
    (tmp_path / "1").rename(tmp_path / "aside")
    copy(2, "1")
    assert not any(model.refresh() for _ in range(3))
    assert (answer(model)[1] == masks[1]).all() and states(model) == {1: ("AVAILABLE", "OK")}
    assert [one.getMessage() for one in caplog.records] == [f"unet: version 1. {REPLACED}"]
    assert model.statuses()[0].message == REPLACED
    copy(2)
    assert model.refresh() and (answer(model)[1] == masks[2]).all()
    assert model.statuses(2)[0].message == ""


def test_what_lies_beside_the_files_of_a_version_is_no_other_net(copy, tmp_path, caplog):
    copy(1)
    model = Model("unet", tmp_path)
    model.refresh()
    (tmp_path / "1" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "1").rename(tmp_path / "aside")
    (tmp_path / "1").mkdir()
    model.refresh()
    (tmp_path / "1").rmdir()
    (tmp_path / "aside").rename(tmp_path / "1")
    model.refresh()
    assert model.statuses()[0].message == "" and not caplog.records


def test_a_request_that_runs_keeps_its_version(copy, tmp_path, masks):
    copy(1)
    model = Model("unet", tmp_path)
    model.refresh()
    _, version = model.find()
    copy(2)
    model.refresh()
    shutil.rmtree(tmp_path / "1")
    np.testing.assert_array_equal(version.signature("")({"image": IMAGE})["mask"], masks[1])


def test_names_that_are_no_numbers_are_no_versions(tmp_path):
    for name in ("a", "1a", "-1", "1.0", "²", "٣", ".1", "tmp1"):
        (tmp_path / name).mkdir()
    (tmp_path / "4").write_text("a file")
    model = Model("unet", tmp_path)
    assert model.numbers() == {4}
    model.refresh()
    assert not model.ready
    assert not Models([model]).ready


def test_a_model_that_is_not_there_is_said():
    for call, words in (
        (Models([]).get, r"Latest\(other\)\. Models served: none\."),
        (Models([]).statuses, "any versions of"),
    ):
        with pytest.raises(ServingError, match=words) as caught:
            call("other")
        assert caught.value.code == "NOT_FOUND"


def test_a_version_that_may_not_be_read_is_a_broken_one(copy, tmp_path, monkeypatch, caplog):
    copy(1)
    model = Model("unet", tmp_path)
    model.refresh()
    copy(2)
    is_file = Path.is_file

    def refuse(path):
        if path.parent == tmp_path / "2":
            raise PermissionError(13, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", refuse)
    assert model.refresh() and not model.refresh()
    assert model.find()[0] == 1 and states(model) == {2: ("END", "INTERNAL"), 1: ("AVAILABLE", "OK")}
    assert "Permission denied" in model.statuses(2)[0].message
    assert "version 2 is refused, version 1 serves on. [Errno 13] Permission denied" in caplog.text


def test_versions_that_change_meanwhile_are_found_and_told(copy, tmp_path, monkeypatch):
    copy(1)
    model = Model("unet", tmp_path)
    model.refresh()
    monkeypatch.setattr(Model, "newest", property(lambda self: 2))  # as after a refresh between two looks
    assert model.find()[0] == 1

    class Changing(Status):
        """Which is made while another version is loaded, fails and ends."""

        def __new__(cls, version, *more):
            for numbers in (model._ended, model._loading):
                numbers.add(100 + len(numbers))
            model._broken[100 + len(model._broken)] = None, "No."
            return Status(version, *more)

    for kind in ("_ended", "_loading"):
        getattr(model, kind).add(3)
    model._broken[3] = None, "No."
    monkeypatch.setattr("unet_tf.serving.models.Status", Changing)
    assert {3, 1} <= states(model).keys()
