import os
import signal
import struct
from dataclasses import replace

import numpy as np
import pytest

from unet_tf import read_image
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import write_picture
from unet_tf.edge import __main__ as edge
from unet_tf.edge.net import EdgeNet
from unet_tf.errors import InputError
from unet_tf.utils.signals import Stopped


@pytest.fixture(scope="module")
def model(bundle):
    return bundle / "model_uint8.tflite"


@pytest.fixture(scope="module")
def net(model):
    return EdgeNet(model)


def header(text):
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"PK\3\4damaged",
        b"\x93NUMPY\x09\x00" + bytes(200),
        header("{'descr': '|u1', 'fortran_order': False, 'shape': (9, 9), }"),  # without its pixels
        header("{'descr': '|u1', 'fortran_order': False, 'shape': (99999999, 99999999), }") + bytes(99),
        header("{'descr': '|u1', 'fortran_order': False, 'shape': (-3, -3), }") + bytes(99),
        header("{'descr': '|O', 'fortran_order': False, 'shape': (3, 3), }") + bytes(99),
        header("{'descr': 'no type', 'fortran_order': False, 'shape': (3, 3), }") + bytes(99),
        header("{'shape': (3, 3), }") + bytes(99),
        header("((((((((((") + bytes(99),
        header("{'descr': '|u1', 'fortran_order': False, 'shape': (9,), }") + bytes(9),
        header("{'descr': '|u1', 'fortran_order': False, 'shape': (0, 9), }"),
    ],
)
def test_an_array_that_is_none_is_refused(content, model, tmp_path):
    (tmp_path / "image.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"image\.npy"):
        edge.segment(model, tmp_path / "image.npy", tmp_path / "mask.npy")
    assert [path.name for path in tmp_path.iterdir()] == ["image.npy"]


def test_masks_of_16_bit_are_no_bmp(model, net, tmp_path, monkeypatch):
    """OpenCV would write 255 for each larger number."""
    write_picture(tmp_path / "image.png", np.zeros((30, 30), np.uint8))
    about = replace(net.description, masks=MaskFormat("instance", 2))
    monkeypatch.setattr(edge, "read_description", lambda model: about)
    monkeypatch.setattr(edge, "opened", lambda *arguments: pytest.fail("it was opened"))
    with pytest.raises(InputError, match=r"\.bmp holds 8 bit, and this net's masks have 16; .* Write \.png"):
        edge.segment(model, tmp_path / "image.png", tmp_path / "mask.bmp")
    with pytest.raises(InputError, match=r"\.bmp holds 8 bit; received uint16"):
        write_picture(tmp_path / "mask.bmp", np.full((2, 2), 300, np.uint16))


def test_an_array_of_three_equal_channels_is_grey_as_elsewhere(model, net, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (50, 40), np.uint8)
    np.save(tmp_path / "image.npy", np.dstack([image] * 3))
    edge.segment(model, tmp_path / "image.npy", tmp_path / "mask.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "mask.npy"), net.label(image))


def test_it_ends_between_two_tiles_when_it_is_told_to_and_leaves_nothing(model, net, tmp_path, monkeypatch):
    write_picture(tmp_path / "image.png", np.zeros((300, 300), np.uint8))
    tiles = []

    def run(window):
        tiles.append(window.shape)
        os.kill(os.getpid(), signal.SIGINT)
        return EdgeNet.run(net, window)

    monkeypatch.setattr(edge, "opened", lambda *arguments: net)
    monkeypatch.setattr(net, "run", run)
    with pytest.raises(Stopped):
        edge.segment(model, tmp_path / "image.png", tmp_path / "mask.png")
    assert len(tiles) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["image.png"]


def test_a_folder_that_is_not_there_is_made_or_refused(model, net, tmp_path, monkeypatch):
    write_picture(tmp_path / "image.png", np.zeros((30, 30), np.uint8))
    monkeypatch.setattr(edge, "opened", lambda *arguments: net)
    edge.segment(model, tmp_path / "image.png", tmp_path / "new" / "mask.png")
    assert read_image(tmp_path / "new" / "mask.png").shape == (30, 30, 1)
    with pytest.raises(InputError, match="Cannot make the folder"):
        edge.segment(model, tmp_path / "image.png", tmp_path / "image.png" / "mask.png")
