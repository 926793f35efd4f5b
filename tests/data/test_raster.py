"""BMP, JPEG, JPEG 2000, PGM and PPM: what they declare is read by its rule, or refused by name."""

import io
import struct

import cv2
import numpy as np
import pytest
from kinds_of_files import pil
from PIL import Image

from unet_tf.data import raster
from unet_tf.data.pictures import read_image, read_mask
from unet_tf.data.raster import read_bmp, read_jp2, read_jpeg, read_pnm
from unet_tf.data.structure import Damage, Unread
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


SOFT = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8), (0, 0), 1)


@pytest.mark.parametrize("start", [0.3, 0.7])
def test_a_jpeg_2000_of_which_a_part_is_zeros_is_damaged(start):
    data = bytearray(pil(SOFT, "JPEG2000"))
    at = int(start * len(data))
    data[at : at + raster.MOST_ZEROS + 1] = bytes(raster.MOST_ZEROS + 1)
    with pytest.raises(Damage, match=f"from byte {at} on its compressed pixels are more than 16384 zeros in a row"):
        read_jp2(bytes(data))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_resolutions": 2},
        {"quality_mode": "rates", "quality_layers": [20, 2, 1]},
        {"precinct_size": (64, 64), "codeblock_size": (16, 16)},
    ],
)
def test_stripes_in_jpeg_2000_are_no_damage(options):
    stripes = np.tile(np.repeat(np.array([0, 255], np.uint8), 2), 128)[:, None].repeat(500, 1)
    data = pil(stripes, "JPEG2000", **options)
    assert options != {"num_resolutions": 2} or bytes(2000) in data
    assert read_jp2(data).shape == stripes.shape


def bmp(rows, bits, masks=(), header=40, down=False):
    """A BMP file of (H, bytes) rows, whose colours lie where masks say it; an old header of 12 bytes has none."""
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
    height, width = len(rows), RGB.shape[1]
    words = struct.pack(f"<{len(masks)}I", *masks)
    offset = 14 + max(header, 40 + len(words)) if header > 12 else 26
    high = -height if down else height
    info = struct.pack("<IiiHHIIiiII", header, width, high, 1, bits, 3 if masks else 0, rows.size, 0, 0, 0, 0) + words
    if header == 12:
        info = struct.pack("<IHHHH", header, width, height, 1, bits)
    start = b"BM" + struct.pack("<IHHI", offset + rows.size, 0, 0, offset)
    return (start + info).ljust(offset, b"\0") + (rows if down else rows[::-1]).tobytes()


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("header", [40, 52, 56, 64, 108, 124])
@pytest.mark.parametrize("order", ["BGRX", "RGBX", "XBGR", "XRGB", "GXRB"])
def test_the_masks_of_a_bmp_say_where_its_colours_lie(tmp_path, order, header, down):
    quads = np.dstack([RGB[..., "RGB".index(one)] if one != "X" else GREY for one in order])
    masks = [0xFF << 8 * order.index(one) for one in "RGB"]
    (tmp_path / "a.bmp").write_bytes(bmp(quads.reshape(len(RGB), -1), 32, masks, header, down))
    np.testing.assert_array_equal(read_image(tmp_path / "a.bmp"), RGB)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.bmp"), RGB)


@pytest.mark.parametrize("header", [40, 52, 56, 108, 124])
@pytest.mark.parametrize(
    "masks", [(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F), (0x1F, 0x7E0, 0xF800), (0xF00, 0xF0, 0xF), (0xE0, 0x1C, 3)]
)
def test_a_bmp_of_16_bits_holds_the_highest_bits_of_each_colour(masks, header):
    parts = [RGB[..., n].astype(np.uint16) >> 8 - mask.bit_count() for n, mask in enumerate(masks)]
    pixels = sum(part << mask.bit_length() - mask.bit_count() for part, mask in zip(parts, masks, strict=True))
    expected = np.dstack([part << 8 - mask.bit_count() for part, mask in zip(parts, masks, strict=True)])
    found, table = read_bmp(bmp(pixels.astype("<u2").view(np.uint8), 16, masks, header))
    assert (found.dtype, table) == (np.uint8, None)
    np.testing.assert_array_equal(found, expected)


def test_a_bmp_with_a_header_of_os2_keeps_its_colours():
    np.testing.assert_array_equal(read_bmp(bmp(RGB[..., ::-1].reshape(len(RGB), -1), 24, header=12))[0], RGB)


def test_masks_of_other_bits_are_those_that_opencv_scales_or_refused_by_name():
    ten = (0x3FF00000, 0xFFC00, 0x3FF)
    pixels = sum(RGB[..., n].astype(np.uint32) * 4 << 20 - 10 * n for n in range(3)).astype("<u4").view(np.uint8)
    assert np.abs(read_bmp(bmp(pixels, 32, ten, 56))[0].astype(int) - RGB).max() <= 1
    with pytest.raises(Unread, match="BMP file of 32 bits with the colour masks 3ff00000, 000ffc00, 000003ff"):
        read_bmp(bmp(pixels, 32, ten))
    with pytest.raises(Unread, match=r"masks 0000f800, 00000505, 0000001f, which .* Save it as PNG"):
        read_bmp(bmp(np.zeros((5, 100), np.uint8), 16, (0xF800, 0x505, 0x1F)))
    cut = bytearray(bmp(np.zeros((5, 200), np.uint8), 32, ten))
    cut[10:14] = struct.pack("<I", 54)
    with pytest.raises(Damage, match="declares 32 bits in compression 3, with pixels from 54"):
        read_bmp(bytes(cut))


@pytest.mark.parametrize("turn", [1, 3, 6])
@pytest.mark.parametrize("image", [GREY, RGB], ids=["grey", "RGB"])
def test_a_jpeg_with_more_pixels_than_opencv_takes_is_the_same_picture(monkeypatch, image, turn):
    exif = Image.Exif()
    exif[274] = turn
    data = pil(image, "JPEG", exif=exif, subsampling=2)
    expected = np.atleast_3d(read_jpeg(data))
    monkeypatch.setattr(raster, "MOST_PIXELS", image.shape[0] * image.shape[1] - 1)
    np.testing.assert_array_equal(read_jpeg(data), expected)


def test_larger_pictures_than_opencv_takes_are_not_called_damaged(tmp_path, monkeypatch):
    with Image.fromarray(RGB).convert("CMYK") as inks:
        inks.save(tmp_path / "a.jpg")
    (tmp_path / "a.jp2").write_bytes(OF_RGB)
    monkeypatch.setattr(raster, "MOST_PIXELS", 1000)
    for name in ("a.jpg", "a.jp2"):
        with pytest.raises(InputError, match=r"has 40x50 px, and .* read with 1000 px and sides of 1048576 px"):
            read_image(tmp_path / name)
    monkeypatch.setattr(raster, "MOST_PIXELS", 1 << 30)
    monkeypatch.setattr(raster, "MOST_SIDE", 49)
    with pytest.raises(InputError, match="Save it as a TIFF file with tiles, or as zarr"):
        read_image(tmp_path / "a.jp2")


@pytest.mark.parametrize("kind", [b"P5", b"P6", b"P2", b"P3"])
def test_several_pictures_in_one_file_are_not_read_as_one(kind):
    image = RGB[:4, :3] if kind in (b"P3", b"P6") else GREY[:4, :3]
    text = " ".join(map(str, image.ravel())).encode()
    one = kind + b" 3 4 255\n" + (image.tobytes() if kind in (b"P5", b"P6") else text)
    for fill in (b"", b"\n", b"\0\0\0", b"P5"):
        if fill in (b"", b"\n") or kind in (b"P5", b"P6"):
            np.testing.assert_array_equal(read_pnm(one + fill), image)
    with pytest.raises(Unread, match="has several pictures, and PGM and PPM are read with one"):
        read_pnm(one + b"\n" + one)
