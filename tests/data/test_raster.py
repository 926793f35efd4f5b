"""JPEG 2000: what its boxes declare is read by its rule, or refused by name."""

import io
import struct

import cv2
import numpy as np
import pytest
from kinds_of_files import pil
from PIL import Image

from unet_tf.data.pictures import read_image
from unet_tf.data.raster import read_jp2
from unet_tf.data.structure import Damage
from unet_tf.errors import InputError

RGB = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
GREY = RGB[..., 0]
OF_GREY, OF_RGB = pil(GREY, "JPEG2000"), pil(RGB, "JPEG2000")
TABLE = b"\0\2\3\7\7\7" + bytes(6)


def box(kind, content):
    return struct.pack(">I", 8 + len(content)) + kind + content


def colour(data):
    at = data.index(b"colr") - 4
    return data[at : at + struct.unpack_from(">I", data, at)[0]]


def in_ycc(image):
    file = io.BytesIO()
    Image.fromarray(image).convert("YCbCr").save(file, "JPEG2000")
    return file.getvalue()


def in_space(data, number):
    """The file with another number of a colour space."""
    at = data.index(b"colr") + 7
    return data[:at] + struct.pack(">I", number) + data[at + 4 :]


def with_colour(data, *boxes):
    """The file with other boxes in the place of the one that says its colours."""
    header, at = data.index(b"jp2h") - 4, data.index(b"colr") - 4
    length, own = (struct.unpack_from(">I", data, place)[0] for place in (header, at))
    new = b"".join(boxes)
    start = data[:header] + struct.pack(">I", length - own + len(new)) + data[header + 4 : at]
    return start + new + data[at + own :]


def of_depth(data, number):
    at = data.index(b"ihdr") + 14
    return data[:at] + bytes([number]) + data[at + 1 :]


def of_profile(data, method, space):
    return with_colour(data, box(b"colr", bytes([method, 0, 0]) + bytes(16) + space + bytes(108)))


REFUSED = {
    "three of grey": (in_space(OF_RGB, 17), "has 3 channels in grey, .* Save it as TIFF"),
    "CMYK": (in_space(OF_RGB, 12), "has 3 channels in CMYK"),
    "CIELab": (in_space(OF_RGB, 14), "has 3 channels in CIELab"),
    "sYCC": (in_ycc(RGB), "has 3 channels in YCbCr"),
    "another": (in_space(OF_RGB, 20), "has 3 channels in the colour space 00000014"),
    "CIELab by a profile": (of_profile(OF_RGB, 3, b"Lab "), "has 3 channels in CIELab"),
    "none": (with_colour(OF_RGB), "has 3 channels in no colour space"),
    "grey of CIELab": (in_space(OF_GREY, 14), "has 1 channel in CIELab"),
    "table": (
        with_colour(OF_GREY, colour(OF_GREY), box(b"pclr", TABLE)),
        "has a colour table, .* Save it as PNG or TIFF",
    ),
    "1 bit": (of_depth(OF_GREY, 0), "has numbers of 1 bit, .* unsigned ones of 8 to 16 bits. Save it as TIFF"),
    "signed": (of_depth(OF_GREY, 143), "has signed numbers of 16 bits"),
    "32 bits": (of_depth(OF_GREY, 31), "has numbers of 32 bits"),
    "mixed": (
        with_colour(of_depth(OF_RGB, 255), box(b"bpcc", b"\7\x0f\7"), colour(OF_RGB)),
        "has numbers of 8 bits and numbers of 16 bits",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_jpeg_2000_of_other_colours_or_numbers_is_refused_by_name(tmp_path, name):
    data, words = REFUSED[name]
    (tmp_path / "a.jp2").write_bytes(data)
    with pytest.raises(InputError, match=rf"a\.jp2 {words}"):
        read_image(tmp_path / "a.jp2")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("image", [GREY, RGB], ids=["grey", "RGB"])
def test_jpeg_2000_of_opencv_is_read(tmp_path, image, dtype):
    image = image.astype(dtype) * (np.iinfo(dtype).max // 255)
    shown = image if image.ndim == 2 else image[..., ::-1]
    assert cv2.imwrite(str(tmp_path / "a.jp2"), shown, [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])
    np.testing.assert_array_equal(read_image(tmp_path / "a.jp2"), np.atleast_3d(image))


def code(data, form, *numbers):
    """The file with another head of the box of its code stream."""
    at = data.index(b"jp2c") - 4
    return data[:at] + struct.pack(form, *numbers) + data[at + 8 :]


SAME = {
    "as it is": lambda data: data,
    "box after it": lambda data: data + box(b"uuid", bytes(16) + b"<x:xmpmeta>"),
    "box before it": lambda data: data[:32] + box(b"free", bytes(300)) + data[32:],
    "length to the end": lambda data: code(data, ">I4s", 0, b"jp2c"),
    "length of 64 bits": lambda data: code(data, ">I4sQ", 1, b"jp2c", len(data) - data.index(b"jp2c") + 12),
    "depth of each": lambda data: with_colour(
        of_depth(data, 255), box(b"bpcc", b"\7" * (3 if b"\0\0\0\x10" in data[:100] else 1)), colour(data)
    ),
    "profile": lambda data: of_profile(data, 2, b"RGB " if b"\0\0\0\x10" in data[:100] else b"GRAY"),
    "second colour": lambda data: with_colour(data, colour(data), box(b"colr", b"\1\0\0\0\0\0\x0e")),
    "a profile that not all read before it": lambda data: with_colour(
        data, box(b"colr", b"\3\0\0" + bytes(16) + b"Lab "), colour(data)
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_boxes_around_the_same_picture_change_nothing(name):
    for image, data in ((GREY, OF_GREY), (RGB, OF_RGB)):
        np.testing.assert_array_equal(read_jp2(SAME[name](data)), image)


def test_grey_that_names_no_colour_space_is_grey():
    np.testing.assert_array_equal(read_jp2(with_colour(OF_GREY)), GREY)


@pytest.mark.parametrize("size", [3, 11, 40, 90, len(OF_RGB) // 2, len(OF_RGB) - 1])
def test_a_cut_jpeg_2000_is_damaged(size):
    with pytest.raises(Damage, match="boxes reach beyond its end|no header, or ends"):
        read_jp2(OF_RGB[:size])
