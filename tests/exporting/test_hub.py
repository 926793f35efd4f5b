import json
import logging
import os
import shutil
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from bundles import make_bundle, of_data, rehash
from forked import Forked
from hub_server import READER, WRITER, served, talk_to

import unet_tf
from unet_tf import InputError, load
from unet_tf.exporting.bundle import Bundle, hashes
from unet_tf.exporting.hub import contents, publish
from unet_tf.utils.signals import Stopped, tell

NAME = "anna/cells"
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's own LFS client


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A bundle with a TFLite file and a licence."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "cells", variants=["float32"], license="MIT")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another one, without both."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "other", padding="same")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with served() as found:
        talk_to(monkeypatch, found.url, tmp_path / "home")
        yield found


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (90, 70), dtype=np.uint8)


def test_what_is_published_and_loaded_predicts_the_same_to_the_bit(hub, made, image, caplog):
    caplog.set_level(logging.INFO, "unet_tf")
    found = publish(made, NAME)
    (revision,) = (oid for oid, _ in hub.repositories[NAME].commits[1:])
    assert found == (f"hf://{NAME}@{revision}", f"{hub.url}/{NAME}/commit/{revision}")
    expected = load(made)
    for where in (f"hf://{NAME}", f"hf://{NAME}@main", found.address, Path(f"hf://{NAME}")):
        loaded = load(where)
        np.testing.assert_array_equal(loaded.probabilities(image), expected.probabilities(image))
        assert (loaded.classes, loaded.masks, loaded.normalisation) == (
            expected.classes, expected.masks, expected.normalisation,
        )  # fmt: skip
    assert f"hf://{NAME} is at revision {revision}; hf://{NAME}@{revision} stays that one" in caplog.messages
    assert not {path for method, path in hub.asked if method == "GET" and path.endswith((".tflite", ".pb"))}


def test_keras_loads_it_too(hub, made):
    import keras

    publish(made, NAME)
    pixels = np.random.default_rng(0).normal(size=(1, 84, 84, 1)).astype(np.float32)
    expected = keras.saving.load_model(made / "model.keras")(pixels)
    found = keras.saving.load_model(f"hf://{NAME}")(pixels)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_a_model_that_keras_published_takes_normalised_pixels(hub, monkeypatch, image):
    import keras

    model = unet_tf.unet(base_filters=2, depth=1)
    monkeypatch.setattr(keras.src.saving.saving_lib, "check_pydot", lambda: False)
    model.save("hf://anna/bare")
    found = load("hf://anna/bare")
    pixels = np.random.default_rng(0).normal(size=(30, 40, 1)).astype(np.float32)
    np.testing.assert_array_equal(found.probabilities(pixels), unet_tf.predict(model, pixels, probabilities=True))
    assert found.normalisation is None


def test_a_repository_holds_the_bundle_and_its_hashes(hub, made, tmp_path):
    publish(made, NAME)
    files = hub.holds(NAME)
    for name, content in files.items():
        path = tmp_path / "copy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert Bundle(tmp_path / "copy").faults() == []
    of_hub = {"README.md", ".gitattributes", "config.json", "metadata.json", "model.weights.h5"}
    assert set(files) == {*Bundle(made).sha256, "bundle.json"} - {"report.html"} | of_hub
    (tmp_path / "copy" / "config.json").write_text("{}")
    assert Bundle(tmp_path / "copy").faults() == ["config.json was changed after the export."]


def test_nothing_of_the_data_or_of_this_machine_is_published(hub, made, bundle):
    """`bundle` was trained on files whose folder, and every folder above, has a name that must not be seen."""
    publish(bundle, NAME)
    secrets = {str(bundle), str(bundle.parent), f"{Path.home()}/", WRITER}
    secrets |= {part for part in bundle.parts if part.startswith("pytest-")}
    for name, content in hub.holds(NAME).items():
        assert not [one for one in secrets if len(one) > 5 and one.encode() in content], name
        assert b"<img" not in content
        assert b'"unknown"' not in content
        assert b'"learnt"' not in content  # hashes of the training pictures, which the bundle here has
    assert Bundle(bundle).stored["learnt"]
    assert b"a picture of the data" not in b"".join(hub.holds(NAME).values())


def test_the_page_of_a_repository_is_the_model_card(hub, made):
    from huggingface_hub import ModelCard

    publish(made, NAME)
    text = hub.holds(NAME)["README.md"].decode()
    card = ModelCard(text)
    assert (card.data.library_name, card.data.pipeline_tag, card.data.license) == ("keras", "image-segmentation", "mit")
    assert text.startswith((made / "MODEL_CARD.md").read_text().rstrip())
    assert f'unet_tf.load("hf://{NAME}")' in text


def test_versions_that_were_added_are_published_too(hub, made, tmp_path, image):
    copy = shutil.copytree(made, tmp_path / "copy")
    version = shutil.copytree(copy / "saved_model" / "1", copy / "saved_model" / "2")
    rehash(version, Bundle(copy).description, lambda folder: hashes(folder, "assets.extra/bundle.json"))
    (version / "bundle.json").rename(version / "assets.extra" / "bundle.json")
    assert Bundle(copy).faults() == []
    publish(copy, NAME)
    for name, content in hub.holds(NAME).items():
        path = tmp_path / "back" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert Bundle(tmp_path / "back").faults() == []
    assert [one.number for one in Bundle(tmp_path / "back").versions()] == [2]
    found = load(tmp_path / "back" / "saved_model" / "2").predict(image)
    np.testing.assert_array_equal(found, load(made / "saved_model" / "1").predict(image))
    publish(made, NAME)
    assert not [name for name in hub.holds(NAME) if name.startswith("saved_model/2")]


def test_a_bundle_of_before_gets_a_head(hub, made, tmp_path):
    from huggingface_hub import ModelCard

    copy = shutil.copytree(made, tmp_path / "copy")
    card = (copy / "MODEL_CARD.md").read_text().split("\n---\n", 1)[1].lstrip()
    assert card.startswith("# cells")
    (copy / "MODEL_CARD.md").write_text(card)
    rehash(copy, Bundle(copy).description, hashes)
    publish(copy, NAME)
    assert ModelCard(hub.holds(NAME)["README.md"].decode()).data.library_name == "keras"
    assert hub.holds(NAME)["MODEL_CARD.md"].decode() == card


@pytest.mark.parametrize(("scores", "said"), [({}, False), ({"mean_iou": 0.7, "iou": {"background": 0.7}}, True)])
def test_scores_of_nobody_knows_how_many_files_are_not_published_which_is_said(made, tmp_path, caplog, scores, said):
    copy = shutil.copytree(made, tmp_path / "copy")
    (copy / "MODEL_CARD.md").write_text("# cells\n")
    rehash(copy, replace(Bundle(copy).description, origin=of_data(**scores)), hashes)
    assert b"model-index" not in contents(Bundle(copy), NAME)["README.md"]
    assert ("does not say of how many files its scores are: the page has none" in caplog.text) == said


def test_a_second_bundle_takes_the_place_of_the_first_in_one_commit(hub, made, other, image):
    publish(made, NAME)
    publish(other, NAME)
    commits = hub.repositories[NAME].commits
    assert len(commits) == 3  # the first is the Hub's own
    assert "model_float32.tflite" in commits[1][1]
    assert "model_float32.tflite" not in commits[2][1]
    np.testing.assert_array_equal(load(f"hf://{NAME}").predict(image), load(other).predict(image))
    np.testing.assert_array_equal(load(f"hf://{NAME}@{commits[1][0]}").predict(image), load(made).predict(image))
    publish(other, NAME)  # nothing is new
    assert len(commits) == 3


def test_a_call_that_was_stopped_publishes_nothing_and_the_next_goes_on(hub, made):
    def stop(done, total):
        if done == total // 2:
            tell()

    with pytest.raises(Stopped):
        publish(made, NAME, on_file=stop)
    before = hub.uploads()
    assert before > 0
    assert list(hub.holds(NAME)) == [".gitattributes"]
    seen = []
    publish(made, NAME, on_file=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(hub.holds(NAME)) - 1,) * 2
    assert hub.uploads() == len(hub.large)  # each once


def test_a_commit_that_fails_publishes_nothing(hub, made):
    hub.fail = lambda method, path: 500 if "/commit/" in path else None
    with pytest.raises(InputError, match="has a fault of its own .*500.* Try again later"):
        publish(made, NAME)
    assert list(hub.holds(NAME)) == [".gitattributes"]
    hub.fail = lambda method, path: None
    publish(made, NAME)


def test_who_comes_in_between_is_not_overwritten(hub, made):
    def meanwhile(done, total):
        if done == 1:
            repository = hub.repositories[NAME]
            repository.commit({**repository.commits[-1][1], "LICENSE": b"text", "notes.txt": b"mine"})

    with pytest.raises(InputError, match="was changed meanwhile, by someone else"):
        publish(made, NAME, on_file=meanwhile)
    assert set(hub.holds(NAME)) == {".gitattributes", "LICENSE", "notes.txt"}
    with pytest.raises(InputError, match=r"must be new, or hold a bundle alone; it has notes\.txt\."):
        publish(made, NAME)


def test_a_repository_of_something_else_is_left_alone(hub, made):
    from hub_server import Repository

    files = {f"data/{number}.png": b"" for number in range(5)} | {"bundle.json": b"[1]", "README.md": b"theirs"}
    hub.repositories[NAME] = Repository(False)
    hub.repositories[NAME].commit(files)
    with pytest.raises(InputError, match=r"it has bundle.json, data/0.png, data/1.png and 3 more"):
        publish(made, NAME)
    assert hub.holds(NAME) == files
    with pytest.raises(InputError, match="bundle.json is damaged"):
        load(f"hf://{NAME}")


def test_private_repositories_are_seen_by_those_who_may(hub, made, monkeypatch, image):
    publish(made, NAME, private=True)
    assert hub.repositories[NAME].private
    assert load(f"hf://{NAME}").predict(image).shape == image.shape
    monkeypatch.setenv("HF_TOKEN", READER)
    shutil.rmtree(Path(os.environ["HF_HOME"]) / "hub")
    with pytest.raises(InputError, match=f"has no repository hf://{NAME}, or it is private"):
        load(f"hf://{NAME}")


def test_a_repository_that_stands_and_that_all_see_is_said(hub, made, caplog):
    words = "stood already, and everybody sees it"
    publish(made, "anna/new", private=True)
    publish(made, NAME)
    assert words not in caplog.text
    publish(made, NAME, private=True)
    assert f"hf://anna/cells {words}" in caplog.text


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("", "there is no token. Log in with `hf auth login`, or set HF_TOKEN"),
        ("hf_old", "does not know who asks for hf://anna/cells: there is no token, or it is not valid"),
        (READER, "does not let this token do so with hf://anna/cells .*You don't have the rights"),
    ],
)
def test_who_may_not_write_is_told_why(hub, made, monkeypatch, token, words):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(InputError, match=words) as caught:
        publish(made, NAME)
    assert not token or token not in str(caught.value)
    assert not hub.repositories


@pytest.mark.parametrize(
    "name", ["cells", "anna/", "/cells", "a/b/c", "anna/ce lls", "anna/..", "anna/a--b", "ä/b", ""]
)
def test_a_name_that_is_none_is_refused_before_anything(hub, made, name):
    with pytest.raises(InputError, match="must be named USER/NAME"):
        publish(made, name)
    with pytest.raises(InputError, match="must be named USER/NAME"):
        load(f"hf://{name}")
    assert not hub.asked


def test_a_bundle_that_was_changed_is_not_published(hub, made, tmp_path):
    copy = shutil.copytree(made, tmp_path / "copy")
    (copy / "notes of a patient.txt").write_text("secret")
    (copy / "report.json").write_text("{}")
    with pytest.raises(
        InputError,
        match=r"as it was exported: notes of a patient.txt came in .* report.json was changed .* Remove what came in",
    ):
        publish(copy, NAME)
    with pytest.raises(InputError, match="is no bundle: it has no bundle.json"):
        publish(tmp_path, NAME)
    assert not hub.repositories


def test_a_licence_that_is_missing_is_said(hub, other, caplog):
    publish(other, NAME)
    assert "The model card names no licence" in caplog.text


def test_what_the_cache_has_is_loaded_without_the_hub(made, image, monkeypatch, tmp_path):
    from huggingface_hub import constants

    with served() as hub:
        talk_to(monkeypatch, hub.url, tmp_path / "home")
        address = publish(made, NAME).address
        expected = load(f"hf://{NAME}").predict(image)
    with socket.socket() as held:  # nobody listens there, nor gets the port
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", urlsplit(hub.url).port))
        for offline in (False, True):  # nobody answers; nobody is asked
            monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
            np.testing.assert_array_equal(load(f"hf://{NAME}").predict(image), expected)
            np.testing.assert_array_equal(load(address).predict(image), expected)
            with pytest.raises(InputError, match="The Hub cannot be reached for hf://anna/other"):
                load("hf://anna/other")
            with pytest.raises(InputError, match="The Hub cannot be reached for hf://anna/cells"):
                publish(made, NAME)


def test_a_net_that_is_not_that_of_the_bundle_is_refused(hub, made):
    publish(made, NAME)
    repository = hub.repositories[NAME]
    files = repository.commits[-1][1]
    repository.commit({**files, "model.keras": files["model.keras"] + b"!"})
    with pytest.raises(InputError, match=r"model.keras of hf://anna/cells must have the SHA-256 that its bundle.json"):
        load(f"hf://{NAME}")
    repository.commit({name: own for name, own in files.items() if name != "model.keras"})
    with pytest.raises(InputError, match=r"holds a bundle without its model.keras"):
        load(f"hf://{NAME}")
    repository.commit({"README.md": b"nothing"})
    with pytest.raises(InputError, match=r"holds neither a bundle \(bundle.json\) nor a model of Keras"):
        load(f"hf://{NAME}")
    with pytest.raises(InputError, match=r"hf://anna/cells has no revision 'v7'"):
        load(f"hf://{NAME}@v7")
    with pytest.raises(InputError, match="has no repository hf://anna/nothing, or it is private"):
        load("hf://anna/nothing")


def test_the_command_line_publishes_and_predicts_by_the_address(hub, made, tmp_path, image):
    from unet_tf.data.pictures import write_picture

    write_picture(tmp_path / "in" / "a.png", image)
    command = (
        "import runpy, warnings; warnings.filterwarnings('error', category=UserWarning)\n"
        "runpy.run_module('unet_tf', run_name='__main__')"
    )

    def call(*arguments):
        environment = {**os.environ, "COLUMNS": "200"}
        with Forked(command, *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment) as done:
            words = done.communicate()[0]
        return done.returncode, words

    code, words = call("export", made, "--hub", NAME)
    assert (code, f"hf://{NAME}@" in words) == (0, True), words
    code, words = call("predict", f"hf://{NAME}", tmp_path / "in", "--out", tmp_path / "out")
    assert (code, "1 of 1 mask written" in words, "is at revision" in words) == (0, True, True), words
    stored = json.loads((tmp_path / "out" / "predict.json").read_text())
    assert stored["model"] == Bundle(made).sha256["model.keras"]


def test_the_code_of_the_page_runs(hub, made, tmp_path, image, monkeypatch):
    from unet_tf.data.pictures import write_picture

    page = (Path(__file__).parents[2] / "docs" / "hub.md").read_text().replace("USER/NAME", NAME)
    shutil.copytree(made, tmp_path / "bundles" / "cells")
    write_picture(tmp_path / "image.png", image)
    monkeypatch.chdir(tmp_path)
    blocks = [part.split("```")[0] for part in page.split("```python\n")[1:]]
    assert len(blocks) == 4
    found = {}
    for block in blocks:
        exec(block, found)
    np.testing.assert_array_equal(found["mask"], load(made).predict(image))
    assert found["found"].address.startswith(f"hf://{NAME}@")
