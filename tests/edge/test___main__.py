import errno
import os
import signal
import struct
import sys
from dataclasses import replace

import numpy as np
import pytest

from unet_tf import read_image
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import write_picture
from unet_tf.edge import __main__ as edge
from unet_tf.edge.net import EdgeNet
from unet_tf.errors import InputError
from unet_tf.utils.signals import STOPPED, Stopped


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


def test_a_picture_and_a_net_are_not_written_over_under_another_name(model, tmp_path):
    """As SCAN.BMP and scan.bmp are one file where the disk tells no case."""
    write_picture(tmp_path / "image.png", np.zeros((30, 30), np.uint8))
    os.link(tmp_path / "image.png", tmp_path / "mask.png")
    (tmp_path / "net.png").symlink_to(model)
    for name in ("mask.png", "net.png"):
        with pytest.raises(InputError, match=rf"{name} would be written over by its mask\. Choose another name"):
            edge.segment(model, tmp_path / "image.png", tmp_path / name)
    assert (tmp_path / "mask.png").samefile(tmp_path / "image.png")


def test_what_cannot_run_a_file_is_said_before_the_picture_is_decoded(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(edge, "_as_array", lambda *given: pytest.fail("it was decoded"))
    onnx, *given = bundle / "model.onnx", tmp_path / "image.png", tmp_path / "mask.png"
    with pytest.raises(InputError, match="An ONNX file is run by ONNX Runtime on the CPU; received 'compiled', 'cpu'"):
        edge.segment(onnx, *given, runtime="compiled")
    with pytest.raises(InputError, match="run by ONNX Runtime on the CPU; received 'auto', 'gpu'"):
        edge.segment(onnx, *given, accelerator="gpu")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match="run by ONNX Runtime, which is not installed"):
        edge.segment(onnx, *given)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(InputError, match="run by LiteRT, which is not installed or cannot be loaded"):
        edge.segment(bundle / "model_uint8.tflite", *given)


def test_a_picture_that_cannot_be_looked_at_is_named(model, tmp_path):
    name = f"{'a' * 300}.png"
    with pytest.raises(InputError, match=rf"{name} cannot be read: File name too long\. Check the path"):
        edge.segment(model, tmp_path / name, tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"a\.png cannot be read: No such file"):
        edge.segment(model, tmp_path / "a.png", tmp_path / "mask.png")
    assert list(tmp_path.iterdir()) == []


def test_a_program_without_a_terminal_gets_its_mask(model, net, tmp_path, monkeypatch):
    np.save(tmp_path / "image.npy", np.full((30, 30), 7, np.uint8))
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(edge, "nodata_of", lambda *given: (7.0,))  # which is said too
    edge.segment(model, tmp_path / "image.npy", tmp_path / "mask.npy")
    assert np.load(tmp_path / "mask.npy").shape == (30, 30)


def test_values_of_no_measurement_are_said_where_they_occur(model, tmp_path, monkeypatch, capsys):
    np.save(tmp_path / "image.npy", np.full((30, 30), 7, np.uint8))
    monkeypatch.setattr(edge, "nodata_of", lambda *given: (7.0, 9.0))
    edge.segment(model, tmp_path / "image.npy", tmp_path / "mask.npy")
    assert "\npixels of 7 hold no measurement" in capsys.readouterr().err


def test_what_may_not_be_looked_at_is_one_line(monkeypatch):
    def refused(**given):
        raise PermissionError(errno.EACCES, "Permission denied", "a_red.png")

    monkeypatch.setattr(edge, "segment", refused)
    monkeypatch.setattr(sys, "argv", ["edge", "model_uint8.tflite", "a_green.png", "mask.png"])
    with pytest.raises(SystemExit, match=r"^Error: Cannot use a_red\.png: Permission denied\. Check the path"):
        edge.main()


def test_whoever_stops_it_is_told_that_nothing_was_written(monkeypatch, capsys):
    def stopped(**given):
        raise Stopped

    monkeypatch.setattr(edge, "segment", stopped)
    monkeypatch.setattr(sys, "argv", ["edge", "model_uint8.tflite", "image.png", "mask.png"])
    with pytest.raises(SystemExit) as ended:
        edge.main()
    assert ended.value.code == STOPPED
    assert capsys.readouterr().err == "\nStopped. Nothing was written.\n"
