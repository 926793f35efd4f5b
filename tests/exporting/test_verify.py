import json
import os
import shutil
import signal

import numpy as np
import pytest
from bundles import make_bundle

from unet_tf import verify
from unet_tf.data.pictures import stack_writer, write_picture
from unet_tf.errors import InputError
from unet_tf.exporting import parity
from unet_tf.exporting.bundle import NETS, TFLITE, Bundle, hashes
from unet_tf.utils.signals import Stopped


@pytest.fixture
def copy(bundle, tmp_path):
    return shutil.copytree(bundle, tmp_path / "copy")


@pytest.fixture(scope="module")
def on_val(bundle, cells):
    """The bundle, verified on the validation files."""
    return verify(bundle, cells / "val")


@pytest.fixture(scope="module")
def on_noise(bundle):
    """The bundle, verified on noise."""
    return verify(bundle)


@pytest.fixture
def tiny(tmp_path):
    """A bundle of a net by chance."""
    return make_bundle(tmp_path / "tiny")


@pytest.fixture
def one_net(monkeypatch):
    """Of the nets of a bundle one alone is compared, where the test is of the pictures."""
    monkeypatch.setattr(Bundle, "artefacts", lambda bundle: [TFLITE["float32"]])


def test_what_was_exported_passes(on_val):
    found = on_val
    assert found.faults == []
    assert list(found.report["artefacts"]) == list(NETS)
    assert "mean_iou" in found.report["keras"]


@pytest.mark.usefixtures("one_net")
def test_pictures_without_their_masks_are_compared_without_scores(bundle, cells):
    alone = verify(bundle, cells / "val" / "images")
    assert alone.report["pictures"] == "2 pictures"
    assert "mean_iou" not in alone.report["keras"]


@pytest.mark.usefixtures("one_net")
def test_pictures_that_the_net_learnt_from_are_counted(bundle, cells, copy):
    assert verify(bundle, cells / "train").report["pictures"] == (
        "4 labelled pictures; the net was trained on 4 of them, on which it looks better than it is"
    )
    one = sorted((cells / "train" / "images").iterdir())[0]
    assert verify(bundle, one).report["pictures"] == (
        "1 picture; the net was trained on 1 of them, on which it looks better than it is"
    )
    assert verify(bundle).report["pictures"] == "noise"
    about = json.loads((copy / "bundle.json").read_text())
    (copy / "bundle.json").write_text(json.dumps(about | {"unknown": True}))
    words = "; it started from another, whose training files are not known"
    assert verify(copy, cells / "val").report["pictures"] == "2 labelled pictures" + words
    assert len(about.pop("learnt")) == 4
    (copy / "bundle.json").write_text(json.dumps(about))  # as of version 0.1
    words = "; which of them the net was trained on, this bundle does not say"
    assert verify(copy, cells / "val").report["pictures"] == "2 labelled pictures" + words


@pytest.mark.usefixtures("one_net")
def test_every_page_of_a_stack_without_masks_is_compared(bundle, tmp_path):
    pages = np.random.default_rng(0).integers(0, 256, (3, 20, 24), dtype=np.uint8)
    with stack_writer(tmp_path / "stack.tif") as add:
        for page in pages:
            add(page)
    seen = []
    found = verify(bundle, tmp_path / "stack.tif", on_image=lambda *done: seen.append(done))
    assert (found.faults, found.report["pictures"], seen) == ([], "3 pictures", [(1, 3), (2, 3), (3, 3)])


def test_each_difference_stands_beside_what_is_allowed(bundle, on_val, on_noise, call):
    found = on_val
    room = max(1.0, 1 / Bundle(bundle).description.calibration.temperature)
    assert found.allowed["saved_model/1"] == f"±{1e-4 * room:.1e}, IoU -0.1"
    assert found.allowed["model_float32.tflite"] == f"±{1e-4 * room:.1e}, IoU -0.1"
    assert found.allowed["model_uint8.tflite"] == "IoU -0.1"
    assert on_noise.allowed["model_uint8.tflite"] == "anything"
    code, out, _ = call("verify", bundle)
    assert code == 0
    assert next(line for line in out.splitlines() if "same labels" in line).split()[-1] == "allowed"
    assert next(line for line in out.splitlines() if "saved_model/1" in line).split()[-1] == f"±{1e-4 * room:.1e}"


def test_tampered_missing_and_foreign_files_are_named(copy):
    with (copy / "model_uint8.tflite").open("ab") as file:
        file.write(b"x")
    (copy / "MODEL_CARD.md").unlink()
    (copy / "saved_model" / "1" / "virus.so").touch()
    found = verify(copy)
    assert found.report is None
    assert found.faults == [
        "MODEL_CARD.md is missing.",
        "model_uint8.tflite was changed after the export.",
        "saved_model/1/virus.so came in after the export.",
    ]


def test_a_description_that_was_changed_is_named(copy):
    about = (copy / "bundle.json").read_text()
    (copy / "bundle.json").write_text(about.replace('"foreground"', '"cell"'))
    expected = "bundle.json was changed after the export: model_uint8.tflite says otherwise of the net."
    assert expected in verify(copy).faults


def test_a_net_that_differs_is_named(bundle, monkeypatch):
    monkeypatch.setitem(parity.EXACT, "saved_model/1", -1.0)
    assert verify(bundle).faults[0].startswith("saved_model/1 differs from Keras by ")


@pytest.mark.usefixtures("one_net")
def test_a_damaged_keras_model_is_named_even_where_its_hash_was_mended(copy):
    before = hashes(copy)["model.keras"]
    (copy / "model.keras").write_bytes((copy / "model.keras").read_bytes()[:-100])
    about = (copy / "bundle.json").read_text()
    (copy / "bundle.json").write_text(about.replace(before, hashes(copy)["model.keras"]))
    with pytest.raises(InputError, match=r"model\.keras must be a Keras model that can be loaded"):
        verify(copy)


@pytest.mark.usefixtures("one_net")
def test_images_without_masks_beside_others_are_not_taken_for_pictures_alone(bundle, cells, tmp_path):
    shutil.copytree(cells / "val", tmp_path / "data")
    (tmp_path / "data" / "masks" / "cells_000.png").unlink()
    with pytest.raises(InputError, match="must have one mask of the same name. 1 images? without a mask"):
        verify(bundle, tmp_path / "data")


def test_why_no_mask_fits_is_said_where_there_is_no_picture_beside(tiny, tmp_path):
    for kind, name in (("images", "img"), ("masks", "label")):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for number, letter in enumerate("abc"):
            file = tmp_path / "data" / kind / f"{name}_{number if kind == 'images' else f'{letter}x'}.png"
            write_picture(file, np.full((20, 20), number, np.uint8))
    with pytest.raises(InputError, match="one mask of the same name. 3 images without a mask"):
        verify(tiny, tmp_path / "data")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="There is no picture to predict in .*none. Give picture files, or folders"):
        verify(tiny, tmp_path / "none")


def test_a_signal_ends_it_between_two_pictures(bundle, cells, monkeypatch):
    seen, asked = [], []
    real = parity.Tally.add

    def tell(done, total):
        seen.append((done, total))
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(parity.Tally, "add", lambda *given: asked.append(real(*given)))
    with pytest.raises(Stopped):
        verify(bundle, cells / "train", on_image=tell)
    assert seen == [(1, 4)]
    assert len(asked) == 1 + len(NETS)  # Keras and each net, of the first picture
