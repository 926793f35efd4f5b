"""Reading pictures: what is right comes back exactly, what is broken is named. Nothing crashes, nothing is guessed."""

import functools
import io
import json
import os
import struct
import subprocess
import sys
import threading
import tracemalloc
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from kinds_of_files import GREY as FULL
from kinds_of_files import HEIGHT, kinds, lzw, pil, png_of, raw_tiff, tiff, with_table
from PIL import Image

from unet_tf.data import decode as decode_module
from unet_tf.data import pictures as pictures_module
from unet_tf.data import png as png_module
from unet_tf.data import tiff as tiff_module
from unet_tf.data.folder import scan
from unet_tf.data.pictures import (
    SUFFIXES,
    UNREAD_SUFFIXES,
    count_pages,
    open_pictures,
    read_image,
    read_mask,
    write_picture,
    write_stack,
)
from unet_tf.data.structure import turned
from unet_tf.data.tiff_pages import read_pages
from unet_tf.data.volumes import open_volume
from unet_tf.errors import InputError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (7, 5), dtype=np.uint8)
RGB = RNG.integers(0, 256, (7, 5, 3), dtype=np.uint8)
DEEP = RGB.astype(np.uint16) * 256
TABLE = np.arange(1, 10, dtype=np.uint8).reshape(3, 3)
COLORMAP = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))


def exif(orientation):
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def tagged(array, tag, value):
    return tiff(array, extratags=[(tag, 3, 1, value, True)])


def tagged_lzw():
    """LZW, "white is zero": OpenCV's to decode."""
    data = bytearray(pil(GREY, "TIFF", compression="tiff_lzw"))
    at = data.index(struct.pack("<HHI", 262, 3, 1))
    data[at + 8 : at + 10] = struct.pack("<H", 0)
    return bytes(data)


def composite(channels):
    return tiff(np.zeros((channels, 7, 5), np.uint8), imagej=True, metadata={"axes": "CYX"})


def wide_tiff(width, **options):
    """A TIFF file of 7x5 px that says it is wider."""
    data = bytearray(tiff(GREY, **options))
    at = data.index(struct.pack("<HHI", 256, 4, 1))
    data[at + 8 : at + 12] = struct.pack("<I", width)
    return bytes(data)


def pages(*arrays):
    file = io.BytesIO()
    first, *others = (Image.fromarray(array) for array in arrays)
    first.save(file, "TIFF", save_all=True, append_images=others)
    return file.getvalue()


@pytest.fixture(params=kinds(), ids=lambda kind: kind.name)
def kind(request):
    return request.param


def test_a_kind_of_file_is_read_by_its_rule_or_refused_by_name(tmp_path, kind, capfd):
    path = tmp_path / f"a{kind.suffix}"
    path.write_bytes(kind.data)
    if kind.refused:
        for read in (read_image, functools.partial(read_mask, allow_jpeg=True, ids=True)):
            with pytest.raises(InputError, match=kind.refused) as raised:
                read(path)
            assert raised.value.file == path
        return
    image = kind.shown if kind.image is None else kind.image
    found = read_image(path)
    assert (found.dtype, found.shape) == (image.dtype, image.shape if image.ndim == 3 else (*image.shape, 1))
    assert np.abs(found.astype(float).squeeze() - image).max() <= kind.lossy
    if kind.lossy:
        with pytest.raises(InputError, match="compression may change values"):
            read_mask(path)
        return
    if kind.no_mask:
        with pytest.raises(InputError, match=kind.no_mask):
            read_mask(path)
        return
    ids = kind.shown if kind.ids is None else kind.ids
    for found, expected in ((read_mask(path), kind.shown), (read_mask(path, ids=True), ids)):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    assert capfd.readouterr() == ("", "")


RIGHT = {
    "grey png": (pil(GREY, "PNG"), GREY),
    "rgb png": (pil(RGB, "PNG"), RGB),
    "rgba png": (pil(np.dstack([RGB, GREY]), "PNG"), RGB),
    "grey and alpha png": (pil(np.dstack([GREY, GREY]), "PNG", "LA"), GREY),
    "equal channels": (pil(np.dstack([GREY] * 3), "PNG"), GREY),
    "one bit png": (pil(GREY > 99, "PNG"), (GREY > 99) * np.uint8(255)),
    "16 bit png": (pil(GREY.astype(np.uint16) * 256, "PNG"), GREY.astype(np.uint16) * 256),
    "16 bit rgb png": (cv2.imencode(".png", DEEP[..., ::-1])[1].tobytes(), DEEP),
    "colour table png": (with_table(GREY % 3, "PNG", TABLE), TABLE[GREY % 3]),
    "interlaced 1x1 png": (pil(GREY[:1, :1], "PNG"), GREY[:1, :1]),
    "grey bmp": (pil(GREY, "BMP"), GREY),
    "rgb bmp": (pil(RGB, "BMP"), RGB),
    "turned png": (pil(GREY, "PNG", exif=exif(6)), np.rot90(GREY, -1)),
    "mirrored png": (pil(RGB, "PNG", exif=exif(2)), RGB[:, ::-1]),
    "grey tiff": (tiff(GREY), GREY),
    "rgb tiff": (tiff(RGB, photometric="rgb"), RGB),
    "planar rgb tiff": (tiff(np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate"), RGB),
    "big endian tiff": (tiff(GREY.astype(np.uint16), byteorder=">"), GREY.astype(np.uint16)),
    "bigtiff": (tiff(GREY, bigtiff=True), GREY),
    "deflated tiff": (tiff(GREY, compression="zlib"), GREY),
    "white is zero lzw tiff": (tagged_lzw(), GREY),
    "lzw tiff": (pil(GREY, "TIFF", compression="tiff_lzw"), GREY),
    "tiled tiff": (tiff(np.tile(GREY, (9, 9)), tile=(16, 16)), np.tile(GREY, (9, 9))),
    "int16 tiff": (tiff(GREY.astype(np.int16) - 100), GREY.astype(np.int16) - 100),
    "uint32 tiff": (tiff(GREY.astype(np.uint32)), GREY.astype(np.float64)),
    "float32 tiff": (tiff(GREY.astype(np.float32) / 7), GREY.astype(np.float32) / 7),
    "float64 tiff": (tiff(GREY.astype(np.float64) / 7), GREY.astype(np.float64) / 7),
    "float16 tiff": (tiff(GREY.astype(np.float16)), GREY.astype(np.float32)),
    "one bit tiff": (tiff(GREY > 99), (GREY > 99) * np.uint8(255)),
    "white is zero tiff": (tiff(GREY, photometric="miniswhite"), GREY),
    "rgba tiff": (tiff(np.dstack([RGB, GREY]), photometric="rgb", extrasamples=["unassalpha"]), RGB),
    "turned tiff": (tagged(GREY, 274, 8), np.rot90(GREY)),
    "colour table tiff": (tiff(GREY, photometric="palette", colormap=COLORMAP), GREY),
}  # fmt: skip


@pytest.mark.parametrize("case", RIGHT)
def test_a_picture_is_read_as_it_is_displayed(tmp_path, case):
    content, expected = RIGHT[case]
    suffix = ".tif" if "tiff" in case else ".png"
    (tmp_path / f"a{suffix}").write_bytes(content)
    found = read_image(tmp_path / f"a{suffix}")
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected if expected.ndim == 3 else expected[..., None])
    mask = read_mask(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_image_and_mask_turn_alike_whatever_their_format(tmp_path, orientation):
    smooth = np.tile(np.arange(0, 240, 5, dtype=np.uint8), (24, 1))
    upright = np.array(Image.open(io.BytesIO(pil(smooth, "PNG"))))
    (tmp_path / "a.jpg").write_bytes(pil(smooth, "JPEG", quality=100, exif=exif(orientation)))
    (tmp_path / "a.png").write_bytes(pil(smooth, "PNG", exif=exif(orientation)))
    (tmp_path / "a.tif").write_bytes(tagged(smooth, 274, orientation))
    table = Image.fromarray(smooth)
    table.putpalette([value for index in range(256) for value in (index, index, 0)])
    table.save(tmp_path / "t.png", exif=exif(orientation))
    png_read = read_image(tmp_path / "a.png")
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - png_read).max() <= 3
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), png_read)
    np.testing.assert_array_equal(read_mask(tmp_path / "t.png", ids=True), png_read[..., 0])
    for name in ("a.jpg", "a.png", "a.tif", "t.png"):
        assert open_pictures(tmp_path / name).orientation == orientation
    assert sorted(png_read.ravel()) == sorted(upright.ravel())


XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>"""


@pytest.mark.parametrize(
    ("written", "turn"),
    [
        ({"xmp": XMP}, 1),  # EXIF alone turns
        ({"xmp": XMP, "exif": exif(3)}, 3),
        # of 32 bits OpenCV takes the first 16
        ({"exif": b"Exif\0\0II*\0" + struct.pack("<IHHHII4x", 8, 1, 274, 4, 1, 6)}, 6),
        ({"exif": b"Exif\0\0MM\0*" + struct.pack(">IHHHII4x", 8, 1, 274, 4, 1, 6)}, 1),
    ],
)
@pytest.mark.parametrize("form", ["JPEG", "WEBP", "PNG"])
def test_a_picture_is_turned_as_it_is_said_to_be(tmp_path, form, written, turn):
    picture = np.kron(np.uint8([[50, 100], [150, 250]]), np.ones((16, 32), np.uint8))
    path = tmp_path / f"a.{form.lower()}"
    path.write_bytes(pil(picture, form, **written))
    assert open_pictures(path).orientation == turn
    assert np.abs(turned(picture, turn).astype(int) - read_image(path)[..., 0]).max() < 20


@pytest.mark.parametrize("tag", [270, 271, 272, 305])
@pytest.mark.parametrize(
    ("size", "at", "turn"), [(20, 90_000, 1), (5, 50, 1), (20, 34, 1), (20, 33, 6), (4, 90_000, 6)]
)
def test_a_text_beyond_the_end_of_exif_ends_what_opencv_reads_of_it(tmp_path, tag, size, at, turn):
    """As where a tool cut the block: JPEG and WebP are said to be turned where OpenCV turns them."""
    ends = struct.pack("<IHHHIIHHIHH4x", 8, 2, tag, 2, size, at, 274, 3, 1, 6, 0) + bytes(15)  # 53 bytes in all
    picture = np.kron(np.uint8([[50, 100], [150, 250]]), np.ones((16, 32), np.uint8))
    for form, said in (("WEBP", turn), ("PNG", 6)):  # PNG is read here, as in the browser
        path = tmp_path / f"a.{form.lower()}"
        path.write_bytes(pil(picture, form, exif=b"Exif\0\0II*\0" + ends))
        assert open_pictures(path).orientation == said
        assert np.abs(turned(picture, said).astype(int) - read_image(path)[..., 0]).max() < 20


def test_indices_of_a_colour_table_are_the_ids(tmp_path):
    (tmp_path / "a.png").write_bytes(with_table(GREY % 3, "PNG", [(0, 0, 0), (128, 0, 0), (0, 128, 0)]))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", ids=True), GREY % 3)
    assert read_mask(tmp_path / "a.png").shape == (7, 5, 3)
    colormap = RNG.integers(0, 65535, (3, 256)).astype(np.uint16)
    (tmp_path / "a.tif").write_bytes(tiff(GREY, photometric="palette", colormap=colormap))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif", ids=True), GREY)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif"), (colormap >> 8).astype(np.uint8).T[GREY])


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_a_large_picture_with_a_colour_table_is_no_bomb(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", GREY.size // 3)
    picture = Image.fromarray(GREY % 3)
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    picture.save(tmp_path / f"a.{kind}", kind)
    np.testing.assert_array_equal(read_mask(tmp_path / f"a.{kind}", ids=True), GREY % 3)


@pytest.mark.parametrize("number", [6, 34892, 50001])
def test_masks_in_a_compression_that_is_not_read_are_not_called_jpeg(tmp_path, number):
    (tmp_path / "a.tif").write_bytes(raw_tiff(GREY.tobytes(), compression=number, width=5, height=7))
    for read in (read_image, read_mask):
        with pytest.raises(InputError, match=rf"in a way that is not read \(TIFF compression {number}\)"):
            read(tmp_path / "a.tif")


STACK = RNG.integers(0, 256, (5, 7, 6), dtype=np.uint8)


@pytest.mark.parametrize(
    "content",
    [
        tiff(STACK, photometric="minisblack"),
        tiff(STACK, imagej=True, metadata={"axes": "ZYX"}),
        tiff(STACK, photometric="minisblack", compression="zlib"),
        pages(*STACK),
        tiff(STACK, ome=True, metadata={"axes": "ZYX"}, photometric="minisblack"),
        tiff(STACK, bigtiff=True, photometric="minisblack"),
    ],
    ids=["tifffile", "imagej", "deflated", "pillow", "ome", "bigtiff"],
)
def test_the_pages_of_a_stack_are_read_one_by_one(tmp_path, content):
    path = tmp_path / "stack.tif"
    path.write_bytes(content)
    assert count_pages(path) == 5
    for page in range(5):
        np.testing.assert_array_equal(read_image(path, page)[..., 0], STACK[page])
    with pytest.raises(InputError, match="holds 5 pictures; there is no page 5"):
        read_image(path, 5)


def test_a_compressed_stack_that_tifffile_has_no_codec_for_is_read(tmp_path):
    first, *others = (Image.fromarray(page) for page in STACK)
    first.save(tmp_path / "stack.tif", save_all=True, append_images=others, compression="tiff_lzw")
    for page in (0, 4):
        np.testing.assert_array_equal(read_image(tmp_path / "stack.tif", page)[..., 0], STACK[page])


def test_a_colour_stack_and_a_composite(tmp_path):
    colour = RNG.integers(0, 256, (4, 7, 6, 3), dtype=np.uint8)
    write_stack(tmp_path / "rgb.tif", colour)
    np.testing.assert_array_equal(read_image(tmp_path / "rgb.tif", 2), colour[2])
    (tmp_path / "composite.tif").write_bytes(tiff(np.moveaxis(colour, -1, 1), imagej=True, metadata={"axes": "ZCYX"}))
    assert count_pages(tmp_path / "composite.tif") == 4
    np.testing.assert_array_equal(read_image(tmp_path / "composite.tif", 3), colour[3])


NOISE = RNG.integers(0, 256, (64, 64), dtype=np.uint8)
NAN = np.where(np.eye(4) > 0, np.nan, 1).astype(np.float32)
BROKEN = {
    "nothing.png": (b"", r"is empty \(0 bytes\)"),
    "text.png": (b"this is text", r"\(12 bytes\) is not a complete picture"),
    "signature.png": (b"\x89PNG\r\n\x1a\n", "not a complete picture"),
    "signature.jpg": (b"\xff\xd8\xff\xe0", "not a complete picture"),
    "signature.bmp": (b"BM\x00\x00", "not a complete picture"),
    "signature.tif": (b"II*\x00\xff\xff\xff\xff", "not a complete TIFF"),
    "bigtiff_signature.tif": (b"II+\x00\x08\x00\x00\x00", "not a complete TIFF"),
    "html.jpg": (b"<html>404 Not Found</html>", "not a complete picture"),
    "zip.png": (b"PK\x03\x04" + bytes(60), "not a complete picture"),
    "webp.png": (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "not a complete picture"),
    "zeros.png": (bytes(1000), "not a complete picture"),
    "huge.png": (png_of(30_000, 30_000), r"declares 30000x30000 px in \d+ bytes, which cannot hold them"),
    "huger.png": (png_of(65_535, 65_535), "declares 65535x65535 px"),
    "wide.png": (png_of(2**31 - 1, 1), "declares 1x2147483647 px"),
    "no_width.png": (png_of(0, 5), "not a complete picture"),
    "bad_depth.png": (png_of(4, 4, bits=3, data=bytes(20)), "not a complete picture"),
    "bad_colour.png": (png_of(4, 4, colour=5, data=bytes(20)), "not a complete picture"),
    "table_without_table.png": (png_of(4, 4, colour=3, data=bytes(20)), "not a complete picture"),
    "bad_checksum.png": (pil(NOISE, "PNG").replace(b"IDAT", b"IDAX"), "not a complete picture"),
    "huge.tif": (wide_tiff(100_000_000, metadata=None), r"declares 7x100000000 px .* in \d+ bytes, which cannot"),
    "wide.tif": (wide_tiff(1000), "not a complete TIFF"),
    "two_and_a_half.tif": (composite(5).replace(b"channels=5", b"channels=2"), "axis of 2 channels, 5 pages"),
    "two_sizes.tif": (pages(NOISE, NOISE[:9]), "has pages of 64x64x1 of u8 and 9x64x1 of u8, .* must have one size"),
    "nan.tif": (tiff(NAN), "holds 4 values that are not finite"),
    "infinite.tif": (tiff(np.full((2, 2), np.inf)), "holds 4 values that are not finite"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_with_what_is_wrong(tmp_path, name, capfd):
    content, message = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as raised:
        read_image(tmp_path / name)
    assert name in str(raised.value)


DECODERS = {"a.png": (decode_module, "read_png"), "a.tif": (tiff_module, "read_pages")}


@pytest.mark.parametrize("name", DECODERS)
def test_a_whole_picture_beyond_memory_is_not_told_as_damage(tmp_path, name, monkeypatch):
    def full(*_):
        raise MemoryError("Unable to allocate 9 GiB")

    write_picture(tmp_path / name, NOISE)
    monkeypatch.setattr(*DECODERS[name], full)
    said = r"\(\d+ bytes\) takes more memory than there is \(Unable to allocate 9 GiB\).* store it as zarr"
    with pytest.raises(InputError, match=said) as raised:
        read_image(tmp_path / name)
    assert name in str(raised.value) and "damaged" not in str(raised.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_truncated_picture_is_refused(tmp_path, suffix, share, capfd):
    data = cv2.imencode(suffix, NOISE)[1].tobytes()
    (tmp_path / f"a{suffix}").write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match="truncated, damaged or of another type"):
        read_image(tmp_path / f"a{suffix}")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_stack_is_refused_and_not_taken_for_a_shorter_one(tmp_path, share, capfd):
    data = pages(*[NOISE] * 4)
    (tmp_path / "a.tif").write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match="not a complete TIFF"):
        for page in range(count_pages(tmp_path / "a.tif")):
            assert read_image(tmp_path / "a.tif", page).any()
    assert capfd.readouterr() == ("", "")


def test_a_cmyk_picture_is_read_as_rgb(tmp_path):
    Image.fromarray(np.full((9, 9, 4), (255, 0, 0, 0), np.uint8), "CMYK").save(tmp_path / "a.jpg", quality=100)
    found = read_image(tmp_path / "a.jpg")
    assert found.shape == (9, 9, 3)
    assert (found[..., 0] < 60).all()
    assert (found[..., 1:] > 120).all()


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_image(tmp_path / "a.png")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_image(tmp_path)


def test_a_second_page_of_a_single_picture_is_refused(tmp_path):
    write_picture(tmp_path / "a.png", GREY)
    with pytest.raises(InputError, match="holds one picture; there is no page 1"):
        read_image(tmp_path / "a.png", 1)


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.gif"])
def test_pictures_are_written_without_loss_or_not_at_all(tmp_path, name):
    with pytest.raises(InputError, match="which lose nothing; received"):
        write_picture(tmp_path / name, np.zeros((3, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_the_log_of_opencv_is_as_before_after_reads_at_once(tmp_path, monkeypatch):
    write_picture(tmp_path / "a.png", GREY)
    level, decode = cv2.utils.logging.getLogLevel(), cv2.imdecode
    one_inside, both_inside = threading.Event(), threading.Event()

    def overlapping(*args):
        """The second read begins within the first, and ends after it."""
        if one_inside.is_set():
            both_inside.set()
            first.result(300)
        else:
            one_inside.set()
            assert both_inside.wait(300)
        return decode(*args)

    monkeypatch.setattr(cv2, "imdecode", overlapping)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(read_image, tmp_path / "a.png")
        assert one_inside.wait(300)
        read_image(tmp_path / "a.png")
    assert cv2.utils.logging.getLogLevel() == level != cv2.utils.logging.LOG_LEVEL_SILENT


def test_ids_that_a_png_cannot_hold_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.png holds 8 or 16 bit; received uint32 .* Write it as \.tif"):
        write_picture(tmp_path / "a.png", np.full((2, 2), 70_000, np.uint32))
    write_picture(tmp_path / "a.tif", np.full((2, 2), 70_000, np.uint32))
    assert read_mask(tmp_path / "a.tif").tolist() == [[70_000] * 2] * 2


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_colour_table_keeps_indices_and_colours(tmp_path, suffix):
    colours = np.array([(0, 0, 0), (230, 159, 0), (10, 20, 30)], np.uint8)
    label = np.random.default_rng(0).integers(0, 3, (5, 7), dtype=np.uint8)
    write_picture(tmp_path / f"a{suffix}", label, colours)
    np.testing.assert_array_equal(read_mask(tmp_path / f"a{suffix}"), colours[label])
    np.testing.assert_array_equal(read_mask(tmp_path / f"a{suffix}", ids=True), label)


def test_a_bmp_has_no_colour_table(tmp_path):
    with pytest.raises(InputError, match=r"into \.png and \.tif; received one for .*a\.bmp\. Write it as \.png"):
        write_picture(tmp_path / "a.bmp", GREY, TABLE)
    assert list(tmp_path.iterdir()) == []


FUZZED = int(os.environ.get("UNET_TF_FUZZ", "2000"))
SILENCE = 120
"""Seconds without a line after which a file counts as one that hangs: a file takes about a millisecond."""


def test_a_damaged_file_is_read_as_others_read_it_or_refused_by_name(tmp_path):
    command = [sys.executable, str(Path(__file__).parents[1] / "fuzz_readers.py"), str(tmp_path), str(FUZZED)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        watch = threading.Timer(SILENCE, child.kill)
        watch.start()
        lines = []
        for line in child.stdout:
            watch.cancel()
            lines.append(json.loads(line))
            watch = threading.Timer(SILENCE, child.kill)
            watch.start()
        watch.cancel()
    assert child.returncode == 0, f"ended after {lines[-1:]}: the next file hangs, crashes or takes too much"
    counts = Counter(line["outcome"] for line in lines)
    print(dict(counts))
    assert set(counts) == {"original", "second decoder", "refused"}, [
        line for line in lines if line["outcome"] not in ("original", "second decoder", "refused")
    ]


def lying_chunk(colour):
    """A PNG file whose pixels are 2 GB long, it says."""
    data = bytearray(png_of(64, 64, colour=colour, data=bytes(64 * 65)))
    at = data.index(b"IDAT") - 4
    data[at : at + 4] = b"\x7f\xff\xff\xf0"
    return bytes(data)


def in_a_circle():
    data = bytearray(tiff(GREY, metadata=None))
    at = struct.unpack("<I", data[4:8])[0]
    (entries,) = struct.unpack("<H", data[at : at + 2])
    data[at + 2 + 12 * entries : at + 6 + 12 * entries] = struct.pack("<I", at)
    return bytes(data)


def count_of(tag, count):
    """A TIFF file of which a tag says that it has so many values."""
    data = bytearray(tiff(np.tile(GREY, (30, 1)), metadata=None, rowsperstrip=1))
    at = next(at for at in range(len(data)) if data[at : at + 2] == struct.pack("<H", tag) and data[at + 2] in (3, 4))
    data[at + 4 : at + 8] = struct.pack("<I", count)
    return bytes(data)


def wide_bmp():
    data = bytearray(pil(GREY, "BMP"))
    data[18:26] = struct.pack("<ii", 40_000, 40_000)
    return bytes(data)


def wide_jpeg():
    data = bytearray(pil(GREY, "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    return bytes(data)


LIES = {
    "png chunk": (lying_chunk(0), "reaches beyond its end"),
    "png table chunk": (lying_chunk(3), "reaches beyond its end"),
    "tiff circle": (in_a_circle(), "leads back to an earlier one"),
    "tiff count": (count_of(273, 0x7FFFFFFF), "are beyond its end"),
    "tiff few": (count_of(273, 3), "takes 210 strips or tiles, and lists 3 places"),
    "bmp": (wide_bmp(), "declares 40000x40000 px"),
    "jpeg": (wide_jpeg(), "declares 65000x65000 px"),
    "gif": (b"GIF89a\xff\xff\xff\xff\0\0\0\x3b", "declares 65535x65535 px"),
    "ppm": (b"P6 60000 60000 255\n", "holds 0 of 10800000000 values"),
    "webp": (b"RIFF\xff\xff\xff\x7fWEBPVP8L" + bytes(9), "declares 2147483655 bytes, and has 25"),
}


@pytest.mark.parametrize("name", LIES)
def test_files_that_lie_are_refused_before_anything_is_allocated(tmp_path, name):
    data, message = LIES[name]
    (tmp_path / "a").write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message) as raised:
            read_image(tmp_path / "a")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert raised.value.file == tmp_path / "a"


@pytest.mark.parametrize("rows", [HEIGHT, HEIGHT - 1])
def test_pixels_that_lzw_is_short_of_are_missed_whatever_the_depth(tmp_path, rows):
    """OpenCV passes over this in pictures of 8 bits."""
    data = raw_tiff(lzw(FULL[: HEIGHT - 3].tobytes()), compression=5, height=rows)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(InputError, match="cannot be decompressed|ends before its last pixel"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(("count", "is_big"), [(3, False), (4, True)])
def test_pages_that_32_bits_do_not_count_make_a_bigtiff(tmp_path, monkeypatch, count, is_big):
    monkeypatch.setattr(pictures_module, "CLASSIC", 3 * GREY.nbytes)
    pages = [GREY + np.uint8(page) for page in range(count)]
    write_stack(tmp_path / "a.tif", pages)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_bigtiff == is_big
    for page, expected in enumerate(pages):
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif", page)[..., 0], expected)


def test_a_stack_is_parsed_once_and_not_once_a_page(tmp_path, monkeypatch):
    write_stack(tmp_path / "a.tif", [GREY + page for page in range(40)])
    parsed = []
    monkeypatch.setattr(tiff_module, "read_pages", lambda *args: parsed.append(1) or read_pages(*args))
    monkeypatch.setattr(tiff_module, "FRESH", 0)
    for page in range(count_pages(tmp_path / "a.tif")):
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif", page)[..., 0], GREY + np.uint8(page))
    assert len(parsed) == 1
    write_stack(tmp_path / "a.tif", [GREY.T] * 3)
    assert count_pages(tmp_path / "a.tif") == 3
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", 2)[..., 0], GREY.T)
    assert len(parsed) == 2


def test_pages_of_a_stack_are_read_by_many_threads(tmp_path):
    write_stack(tmp_path / "a.tif", [GREY + page for page in range(40)])
    pictures = open_pictures(tmp_path / "a.tif")
    assert len(pictures) == 40
    with ThreadPoolExecutor(8) as pool:
        for page, found in enumerate(pool.map(pictures.read, range(40))):
            np.testing.assert_array_equal(found[..., 0], GREY + np.uint8(page))


def test_a_file_that_is_replaced_while_it_is_read_is_named(tmp_path):
    write_stack(tmp_path / "a.tif", [GREY] * 2)
    pictures = open_pictures(tmp_path / "a.tif")
    write_stack(tmp_path / "a.tif", [GREY.T] * 3)
    with pytest.raises(InputError, match="must stay as it is while it is read"):
        pictures.read(1)


def test_a_png_is_read_in_strips_where_opencv_takes_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(png_module, "STRIP", 100)
    for number, picture in enumerate((GREY, RGB, DEEP, np.dstack([RGB, GREY]))):
        data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_ALL_FILTERS])[1].tobytes()
        (tmp_path / f"{number}.png").write_bytes(data)
        expected = picture if picture.ndim == 2 else picture[..., 2::-1]
        np.testing.assert_array_equal(read_mask(tmp_path / f"{number}.png"), expected)


@pytest.mark.parametrize("part", [slice(None), slice(1, 5)])
def test_a_file_of_an_ome_set_is_what_it_holds_itself(tmp_path, part):
    names = [f"m_t{t}.ome.tif" for t in range(6)]
    blocks = "".join(
        f'<TiffData FirstT="{t}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{t}</UUID></TiffData>'
        for t, name in enumerate(names)
    )
    for t, name in list(enumerate(names))[part]:
        xml = (
            f'<?xml version="1.0"?><OME UUID="urn:uuid:{t}"><Image><Pixels DimensionOrder="XYCZT" SizeC="1" '
            f'SizeT="6" SizeX="5" SizeY="7" SizeZ="1" Type="uint8">{blocks}</Pixels></Image></OME>'
        )
        (tmp_path / name).write_bytes(tiff(GREY + t, description=xml, metadata=None))
    for t, name in list(enumerate(names))[part]:
        assert count_pages(tmp_path / name) == 1
        np.testing.assert_array_equal(read_image(tmp_path / name)[..., 0], GREY + np.uint8(t))


def test_a_second_description_is_left_alone(tmp_path):
    """Micro-Manager writes that of OME and, after it, that of ImageJ."""
    xml = (
        '<?xml version="1.0"?><OME><Image><Pixels DimensionOrder="XYCZT" SizeC="1" SizeT="1" SizeZ="1"/></Image></OME>'
    )
    second = (271, "s", 0, "ImageJ=1.50\nimages=7\nchannels=7\n", True)
    data = tiff(GREY, description=xml, metadata=None, extratags=[second])
    (tmp_path / "a.tif").write_bytes(data.replace(struct.pack("<HH", 271, 2), struct.pack("<HH", 270, 2)))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert len([tag for tag in file.pages[0].tags if tag.code == 270]) == 2
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], GREY)


@pytest.mark.parametrize(
    ("axes", "shape", "refused"),
    [
        ("ZYX", (3, 7, 6), "3 channels .*axis Z"),
        ("TYX", (3, 7, 6), "3 channels .*axis T"),
        ("TZYX", (2, 3, 7, 6), "3 channels .*axis Z"),
        ("YXZ", (7, 6, 3), "3 channels .*axis Z"),
        ("ZYX", (4, 7, 6), "4 channels .*or four pages"),
        ("CYX", (3, 7, 6), ""),
        ("SYX", (3, 7, 6), ""),
        ("TCYX", (2, 3, 7, 6), ""),
        ("YXS", (7, 6, 3), ""),
        ("ZYXS", (2, 7, 6, 3), ""),
    ],
)
@pytest.mark.parametrize("words", [None, "in words of a person"])
def test_slices_are_no_colours_where_the_description_says_so(tmp_path, axes, shape, refused, words):
    array = RNG.integers(0, 256, shape, dtype=np.uint8)
    options = {"photometric": "rgb"} | ({} if shape[-1] == 3 else {"planarconfig": "separate"})
    tifffile.imwrite(tmp_path / "a.tif", array, description=words, metadata={"axes": axes}, **options)
    if refused:
        with pytest.raises(InputError, match=refused):
            read_image(tmp_path / "a.tif")
        return
    first = array.reshape(-1, *shape[-3:])[0]
    pixels = first if shape[-1] == 3 else np.moveaxis(first, 0, -1)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), pixels)


def test_axes_behind_the_words_of_a_person_count(tmp_path):
    """Of two descriptions that of tifffile tells what the pages are."""
    pages = RNG.integers(0, 256, (2, 5, 7, 6), dtype=np.uint8)
    options = {"photometric": "minisblack", "metadata": {"axes": "TCYX"}}
    tifffile.imwrite(tmp_path / "a.tif", pages, description="in words of a person", **options)
    assert count_pages(tmp_path / "a.tif") == 2
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", 1), np.moveaxis(pages[1], 0, -1))


@pytest.mark.parametrize("planes", [1, 2])
def test_a_metamorph_file_of_one_plane_is_a_picture_and_of_more_is_refused_by_name(tmp_path, planes):
    tag = (33629, "2I", planes, (1, 1) * planes, True)
    tifffile.imwrite(tmp_path / "a.tif", GREY, metadata=None, extratags=[tag])
    if planes == 1:
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], GREY)
        return
    with pytest.raises(InputError, match="is a volume in one page. Save its planes as pages"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_page_with_depth_is_a_volume_whatever_its_compression(tmp_path, compression):
    volume = np.zeros((16, 32, 48), np.uint16)
    options = {"volumetric": True, "tile": (16, 16, 16), "photometric": "minisblack", "compression": compression}
    tifffile.imwrite(tmp_path / "a.tif", volume, **options)
    with pytest.raises(InputError, match=r"a\.tif is a volume in one page\. Save its planes as pages"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("count", [1, 2])
def test_pages_with_the_description_of_their_stack_are_read_without_it_as_the_refusal_says(
    tmp_path, count, compression
):
    """So GDAL copies pages of a stack."""
    path = tmp_path / "a.tif"
    text = "ImageJ=1.54f\nimages=5\nslices=5\n"
    with tifffile.TiffWriter(path) as writer:
        for number in range(count):
            page = GREY + np.uint8(number)
            writer.write(page, compression=compression, metadata=None, description=None if number else text)
    with pytest.raises(InputError, match=rf"a\.tif has {count} pages?, and its description tells of 5 planes") as said:
        read_image(path)
    way = str(said.value).rpartition("away: ")[2].removesuffix(".")
    exec(way, {"tifffile": tifffile, "NAME": str(path)})
    assert count_pages(path) == count
    np.testing.assert_array_equal(read_image(path, count - 1)[..., 0], GREY + np.uint8(count - 1))


@pytest.mark.parametrize("factors", [(1, 1), (2, 2)])
def test_planes_of_ycbcr_in_jpeg_become_rgb_or_are_refused(tmp_path, factors):
    rows, columns = np.mgrid[:64, :64]
    image = np.dstack([rows * 3, columns * 3, 255 - rows * 2]).astype(np.uint8)
    planes = np.moveaxis(np.asarray(Image.fromarray(image).convert("YCbCr")), -1, 0)
    codes = [pil(np.ascontiguousarray(plane), "JPEG", quality=95) for plane in planes]
    path, tag = tmp_path / "a.tif", (530, "H", 2, factors, True)
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate", metadata=None, extratags=[tag])
    with tifffile.TiffFile(path, mode="r+b") as file:
        tags = file.pages[0].tags
        offsets = tags[273].value
        for number, value in ((259, 7), (262, 6), (279, [len(code) for code in codes])):
            tags[number].overwrite(value)
    data = bytearray(path.read_bytes())
    for at, code in zip(offsets, codes, strict=True):
        assert len(code) < 64 * 64
        data[at : at + len(code)] = code
    path.write_bytes(data)
    if factors == (2, 2):
        with pytest.raises(InputError, match="in YCbCr with fewer pixels of colour than of brightness"):
            read_image(path)
        return
    assert np.abs(read_image(path).astype(int) - image).max() <= 8


def test_a_pgm_header_of_blank_lines_is_damaged_at_once(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5" + b"\n" * 4000 + b"x")
    with pytest.raises(InputError, match="its header is not that of a PGM or PPM file"):
        read_image(tmp_path / "a.pgm")


def test_smaller_versions_in_a_file_are_no_pages(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(GREY, metadata=None)
        writer.write(GREY[::2, ::2], metadata=None, subfiletype=1)
    assert count_pages(tmp_path / "a.tif") == 1
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], GREY)


def test_a_preview_whose_picture_lies_below_it_is_refused(tmp_path):
    """As cameras write RAW files, and DNG is defined."""
    with tifffile.TiffWriter(tmp_path / "a.nef") as writer:
        writer.write(RGB[::2, ::2], metadata=None, subfiletype=1, subifds=1)
        writer.write(GREY, metadata=None)
    with pytest.raises(InputError, match=r"a.nef holds a preview alone in its pages.* Develop it, and save it as TIFF"):
        read_image(tmp_path / "a.nef")
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:  # a picture with a smaller version below it
        writer.write(GREY, metadata=None, subifds=1)
        writer.write(GREY[::2, ::2], metadata=None, subfiletype=1)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], GREY)


@pytest.mark.parametrize(
    ("orientations", "words"),
    [([1, 6], "has pages of the orientations 1, 6, and the pages of a stack"), ([(6, 1)], "its tag 274 has 2 values")],
)
def test_pages_are_turned_alike_and_in_one_way(tmp_path, orientations, words):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for one in orientations:
            tag = (274, "H", np.size(one), one, True)
            writer.write(STACK[0, :6], metadata=None, extratags=[tag])
    with pytest.raises(InputError, match=words):
        open_pictures(tmp_path / "a.tif")


def test_an_orientation_that_there_is_not_turns_nothing(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for one in (0, 1, 9):
            writer.write(GREY, metadata=None, extratags=[(274, "H", 1, one, True)])
    assert open_pictures(tmp_path / "a.tif").orientation == 1
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", 2)[..., 0], GREY)


def test_directories_below_a_page_may_be_damaged(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(GREY, metadata=None, subifds=2)
        for _ in range(2):
            writer.write(GREY[::2, ::2], metadata=None, subfiletype=1)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.filehandle.seek(file.pages[0].tags[330].offset + 8)
        file.filehandle.write(struct.pack("<I", 1 << 31))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], GREY)


@pytest.mark.parametrize("suffix", [".btf", ".tf2", ".TF8"])
def test_a_folder_of_bigtiff_files_is_one_of_pictures(suffix, tmp_path):
    (tmp_path / f"a{suffix}").write_bytes(tiff(GREY, bigtiff=True))
    listing = scan(tmp_path)
    assert (listing.pictures, listing.unread) == ([tmp_path / f"a{suffix}"], [])
    np.testing.assert_array_equal(open_volume(tmp_path / f"a{suffix}").plane(0)[0:7, 0:5], GREY[..., None])


def test_suffixes_are_read_or_are_not():
    assert not set(SUFFIXES) & set(UNREAD_SUFFIXES)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in (*SUFFIXES, *UNREAD_SUFFIXES))
    assert {kind.suffix for kind in kinds() if not kind.refused} <= set(SUFFIXES)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_alpha_is_given_apart_from_the_image(suffix, dtype, tmp_path):
    image, path = RNG.integers(0, 256, (7, 5, 4)).astype(dtype), tmp_path / f"a{suffix}"
    tifffile.imwrite(path, image) if suffix == ".tif" else cv2.imwrite(str(path), image)
    assert read_image(path).shape == (7, 5, 3)
    assert (open_pictures(path).alpha() == image[..., 3:]).all()
    write_picture(path, image[..., :3])
    assert open_pictures(path).alpha().shape[2] == 0


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_alpha_of_grey_is_given_apart_too(suffix, tmp_path):
    image, path = RNG.integers(0, 256, (7, 5, 2), np.uint8), tmp_path / f"a{suffix}"
    Image.fromarray(image, "LA").save(path)
    assert (read_image(path) == image[..., :1]).all()
    assert (open_pictures(path).alpha() == image[..., 1:]).all()


LAYER = np.zeros((7, 5, 4), np.uint8)  # transparent, of 0 all over
LAYER[1:5, 1:4] = 255  # drawn
LAYER[5, 3, 3] = 9  # the rim of a soft brush


@pytest.mark.parametrize("kind", [".png", ".tif", "turned.png", "LA.png", "16 bit.png"])
def test_what_was_erased_from_a_transparent_mask_is_refused(kind, tmp_path):
    path = tmp_path / f"a{kind}"

    def save(layer):
        if kind == "16 bit.png":
            cv2.imwrite(str(path), layer.astype(np.uint16) * 257)
        elif kind == "LA.png":
            Image.fromarray(np.ascontiguousarray(layer[..., 2:]), "LA").save(path)
        elif kind == "turned.png":
            exif = Image.Exif()
            exif[274] = 6
            Image.fromarray(layer).save(path, exif=exif)
        else:
            Image.fromarray(layer).save(path)

    save(LAYER)
    drawn = LAYER[..., 0] if kind != "turned.png" else np.rot90(LAYER[..., 0], -1)
    np.testing.assert_array_equal(read_mask(path) > 0, drawn > 0)
    erased = LAYER.copy()
    erased[3:5, 2, 3] = 0
    save(erased)
    high = {"LA.png": "255", "16 bit.png": "65535"}.get(kind, "255")
    with pytest.raises(
        InputError, match=rf"2 of 24 have another than the first, {high} and not 0\. Lay the.* as grey\."
    ) as raised:
        read_mask(path)
    assert raised.value.file == path
    assert read_image(path).shape == (*drawn.shape, 1)  # of an image alpha says nothing about values
    save(np.dstack([erased[..., :3], np.zeros((7, 5), np.uint8)]))  # the same all over
    np.testing.assert_array_equal(read_mask(path) > 0, drawn > 0)
    save(np.dstack([erased[..., :3], LAYER[..., :1] // 2 + 1]))  # nothing is transparent as a whole
    np.testing.assert_array_equal(read_mask(path) > 0, drawn > 0)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_a_mask_with_alpha_is_decoded_once(mode, tmp_path, monkeypatch):
    Image.fromarray(LAYER).convert(mode).save(tmp_path / "a.png")
    decoded, stored = [], png_module._stored
    monkeypatch.setattr(png_module, "_stored", lambda one: decoded.append(one) or stored(one))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png") > 0, LAYER[..., 0] > 0)
    assert len(decoded) == 1


def test_transparent_pixels_of_two_colours_are_refused(tmp_path):
    layer = np.zeros((4, 6, 4), np.uint8)
    layer[:, 3:] = 0, 0, 7, 255
    layer[0, 0, :3] = 0, 9, 0
    Image.fromarray(layer).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="11 of 12 have another than the first, 0, 0, 0 and not 0, 9, 0"):
        read_mask(tmp_path / "a.png")
