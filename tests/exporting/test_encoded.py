import io
import os
import struct
import zlib
from collections import Counter

import cv2
import numpy as np
import pytest
import tensorflow as tf
from fuzz_readers import mutated
from kinds_of_files import chunk
from PIL import Image

from unet_tf import read_image
from unet_tf.exporting import encoded
from unet_tf.exporting.encoded import decoded

RNG = np.random.default_rng(0)
GREY = cv2.resize(RNG.integers(0, 256, (9, 11), dtype=np.uint8), (47, 33), interpolation=cv2.INTER_CUBIC)
RGB = np.dstack([GREY, GREY[::-1], 255 - GREY])
G, C = Image.fromarray(GREY), Image.fromarray(RGB)
REVERSED = np.arange(255, -1, -1, np.uint8)[:, None].repeat(3, 1)
COLOURS = np.dstack([np.arange(256), np.arange(256)[::-1], np.full(256, 7)])[0].astype(np.uint8)


def pil(image, kind, **how):
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def png(picture):
    return cv2.imencode(".png", picture)[1].tobytes()


def bmp(bits, table=None, compression=0, top=False, core=False, used=0):
    """A BMP file of the picture, by hand."""
    height, width = GREY.shape
    rows = {
        8: [row.tobytes() for row in GREY],
        24: [row[:, ::-1].tobytes() for row in RGB],
        32: [np.c_[row[:, ::-1], row[:, :1]].tobytes() for row in RGB],
        4: [bytes(row[::2]) for row in GREY],
        1: [np.packbits(row > 99).tobytes() for row in GREY],
    }[bits]
    rows = [row + b"\0" * (-len(row) % 4) for row in rows]
    data = b"".join(rows if top else rows[::-1])
    entries = used or (1 << bits if bits <= 8 else 0)
    if table is None:
        table = np.linspace(0, 255, entries).astype(np.uint8)[:, None].repeat(3, 1)
    colours = b"".join(bytes(colour[::-1]) + b"\0" * (not core) for colour in table[:entries])
    size = width, -height if top else height
    head = struct.pack("<IHHHH", 12, width, height, 1, bits) if core else struct.pack(
        "<IiiHHIIiiII", 40, *size, 1, bits, compression, len(data), 0, 0, used, 0
    )  # fmt: skip
    offset = 14 + len(head) + len(colours)
    return b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + head + colours + data


def interlaced():
    lines = b""
    for x, y, dx, dy in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        lines += b"".join(b"\0" + row.tobytes() for row in GREY[y::dy, x::dx])
    head = struct.pack(">IIBBBBB", *GREY.shape[::-1], 8, 0, 0, 0, 1)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


READ = {
    "grey.png": pil(G, "PNG"),
    "rgb.png": pil(C, "PNG"),
    "rgba.png": pil(Image.fromarray(np.dstack([RGB, GREY])), "PNG"),
    "grey_alpha.png": pil(Image.merge("LA", (G, G)), "PNG"),
    "1bit.png": pil(G.point(lambda value: 255 * (value > 99)).convert("1"), "PNG"),
    "palette.png": pil(C.quantize(16), "PNG"),
    "palette_transparent.png": pil(C.quantize(16), "PNG", transparency=3),
    "grey_transparent.png": pil(G, "PNG", transparency=3),
    "grey_palette.png": pil(G.convert("P"), "PNG"),
    "interlaced.png": interlaced(),
    "grey.jpg": pil(G, "JPEG"),
    "rgb.jpg": pil(C, "JPEG"),
    "progressive.jpg": pil(C, "JPEG", progressive=True),
    "444.jpg": pil(C, "JPEG", subsampling=0),
    "restart.jpg": cv2.imencode(".jpg", RGB, [cv2.IMWRITE_JPEG_RST_INTERVAL, 2])[1].tobytes(),
    "of_a_phone.jpg": pil(C, "JPEG") + b"a film that goes with the picture",
    "8.bmp": bmp(8),
    "8_reversed.bmp": bmp(8, REVERSED),
    "8_coloured.bmp": bmp(8, COLOURS),
    "8_short_table.bmp": bmp(8, REVERSED, used=100),
    "8_from_the_top.bmp": bmp(8, REVERSED, top=True),
    "24.bmp": bmp(24),
    "24_from_the_top.bmp": bmp(24, top=True),
    "32.bmp": bmp(32),
}


def animated(pictures):
    """A PNG file that says it holds so many pictures."""
    return READ["grey.png"][:33] + chunk(b"acTL", struct.pack(">II", pictures, 0)) + READ["grey.png"][33:]


READ |= {
    "and_more.png": READ["grey.png"] + b"what a program keeps behind the picture",
    "animated_of_one.png": animated(1),
    "animated_of_none.png": animated(0),
}
INCOMPLETE, OTHER_BMP = "is not a complete PNG, JPEG or BMP picture", "is a BMP of another kind"


def changed(content, at, what):
    return content[:at] + what + content[at + len(what) :]


HUGE = 30_000
FRAME = READ["rgb.jpg"].index(b"\xff\xc0") + 5
REFUSED = {
    "empty": (b"", INCOMPLETE),
    "text": (b"hello", INCOMPLETE),
    "gif": (pil(G, "GIF"), INCOMPLETE),
    "webp": (pil(C, "WEBP"), INCOMPLETE),
    "tiff": (pil(C, "TIFF"), INCOMPLETE),
    "cmyk.jpg": (pil(C.convert("CMYK"), "JPEG"), "is a JPEG in CMYK; save it in RGB"),
    "4.bmp": (bmp(4), OTHER_BMP),
    "1.bmp": (bmp(1), OTHER_BMP),
    "run_length.bmp": (bmp(8, compression=1), OTHER_BMP),
    "os2.bmp": (bmp(8, core=True), OTHER_BMP),
    "deep.png": (png(GREY.astype(np.uint16) * 257), "is not of 8 bits a channel"),
    "deep_rgba.png": (png(np.dstack([RGB, GREY]).astype(np.uint16) * 257), "is not of 8 bits a channel"),
    **{
        f"{what}_{name}": (content, INCOMPLETE)
        for name in ("grey.png", "rgb.jpg", "24.bmp")
        for what, content in {
            "cut": READ[name][:-20],
            "without_its_last_byte": READ[name][:-1],
            "half": READ[name][: len(READ[name]) // 2],
            "head": READ[name][:30],
        }.items()
    },
    "cut_and_more.png": (READ["grey.png"][:-1] + b"garbage", INCOMPLETE),
    "animated.png": (animated(2), "is an animated PNG; send its pictures one by one"),
    "animated_often.png": (animated(1 << 16), "is an animated PNG"),
    "broken.png": (changed(READ["grey.png"], 60, b"xxxxxxxxxx"), INCOMPLETE),
    "huge.png": (changed(READ["grey.png"], 16, struct.pack(">II", HUGE, HUGE)), "declares 30000x30000 px in"),
    "wide.png": (changed(READ["grey.png"], 16, struct.pack(">II", 0x7FFFFFFF, 1)), "declares 1x2147483647 px in"),
    "no_width.png": (changed(READ["grey.png"], 16, struct.pack(">II", 0, 33)), INCOMPLETE),
    "large_for_its_bytes.png": (changed(READ["grey.png"], 16, struct.pack(">II", 4000, 4000)), INCOMPLETE),
    "huge.jpg": (changed(READ["rgb.jpg"], FRAME, struct.pack(">HH", HUGE, HUGE)), "declares 30000x30000 px in"),
    "huge.bmp": (changed(READ["24.bmp"], 18, struct.pack("<ii", HUGE, HUGE)), INCOMPLETE),
    "no_header_of_windows.bmp": (changed(READ["8.bmp"], 14, struct.pack("<I", 0xFFFF0000)), OTHER_BMP),
    "negative.bmp": (changed(READ["24.bmp"], 18, struct.pack("<ii", -47, 33)), INCOMPLETE),
    "offset.bmp": (changed(READ["24.bmp"], 10, struct.pack("<I", 1 << 31)), INCOMPLETE),
    "table.bmp": (changed(READ["8.bmp"], 46, struct.pack("<I", 1 << 31)), INCOMPLETE),
}


@pytest.fixture(scope="module")
def read():
    """`decoded` as a graph, by channels and type."""

    def graph(channels, dtype):
        signature = [tf.TensorSpec((), tf.string)]
        return tf.function(lambda content: decoded(tf.constant(7), content, channels, dtype), input_signature=signature)

    return {key: graph(*key) for key in ((1, "uint8"), (3, "uint8"), (1, "uint16"))}


@pytest.mark.parametrize("name", READ)
def test_a_picture_is_decoded_as_the_package_does(read, name, tmp_path):
    (tmp_path / name).write_bytes(READ[name])
    expected = read_image(tmp_path / name)
    found = read[3, "uint8"](tf.constant(READ[name])).numpy()
    np.testing.assert_array_equal(found, np.broadcast_to(expected, found.shape))
    if expected.shape[2] == 1:
        np.testing.assert_array_equal(read[1, "uint8"](tf.constant(READ[name])).numpy(), expected)
    else:
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"image_bytes\[7\] is in colour"):
            read[1, "uint8"](tf.constant(READ[name]))


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_with_number_and_reason(read, name):
    content, reason = REFUSED[name]
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"image_bytes\[7\] {reason}"):
        read[3, "uint8"](tf.constant(content))


def test_deep_pictures_are_decoded_with_all_their_bits(read):
    deep = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    np.testing.assert_array_equal(read[1, "uint16"](tf.constant(png(deep))).numpy()[..., 0], deep)
    for content in (READ["grey.png"], READ["grey.jpg"], READ["8.bmp"]):
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"image_bytes\[7\] is not a 16-bit PNG"):
            read[1, "uint16"](tf.constant(content))


def with_exif(kind, order, orientation, before=()):
    """A picture whose EXIF data says an orientation, in the second entry of its directory."""
    end = "<" if order == b"II" else ">"
    entries = struct.pack(f"{end}HHI4s", 0x010F, 2, 4, b"abc\0") + struct.pack(
        f"{end}HHIHH", 0x0112, 3, 1, orientation, 0
    )
    exif = order + struct.pack(f"{end}HIH", 42, 8, 2) + entries + bytes(4)
    if kind.startswith("png"):
        head = b"Exif\0\0" * (kind == "png of a segment")
        return READ["grey.png"][:33] + chunk(b"eXIf", head + exif) + READ["grey.png"][33:]
    segments = [*before, b"Exif\0\0" + exif]
    head = b"".join(b"\xff\xe1" + struct.pack(">H", len(one) + 2) + one for one in segments)
    return READ["grey.jpg"][:2] + head + READ["grey.jpg"][2:]


@pytest.mark.parametrize("kind", ["png", "png of a segment", "jpg"])
@pytest.mark.parametrize("order", [b"II", b"MM"])
@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_is_applied(read, kind, order, orientation, tmp_path):
    content = with_exif(kind, order, orientation)
    (tmp_path / f"a.{kind[:3]}").write_bytes(content)
    expected = read_image(tmp_path / f"a.{kind[:3]}")
    assert (expected.shape == (47, 33, 1)) == (orientation in (5, 6, 7, 8))
    np.testing.assert_array_equal(read[1, "uint8"](tf.constant(content)).numpy(), expected)


@pytest.mark.parametrize("damage", [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"])
def test_damaged_exif_data_turns_nothing(read, damage):
    content = with_exif("jpg", b"MM", 6)
    at = content.index(b"MM\0*") + 4  # where the directory begins
    found = read[1, "uint8"](tf.constant(changed(content, at, damage))).numpy()
    assert found.shape == (33, 47, 1)


def test_other_segments_before_exif_are_passed_over(read, tmp_path):
    content = with_exif("jpg", b"II", 6, before=[b"http://ns.adobe.com/xap/1.0/\0<x/>"])
    (tmp_path / "a.jpg").write_bytes(content)
    np.testing.assert_array_equal(read[1, "uint8"](tf.constant(content)).numpy(), read_image(tmp_path / "a.jpg"))


def test_searching_a_png_takes_little_memory_beside_its_bytes(read):
    (raw,) = (one for one in read[3, "uint8"].get_concrete_function().graph.get_operations() if one.type == "DecodeRaw")
    assert "Cast" not in {one.type for one in raw.outputs[0].consumers()}  # which would make four bytes of each
    size = 10_000
    graph = tf.function(encoded.png).get_concrete_function(tf.TensorSpec((size,), tf.uint8)).graph
    tensors = [one for operation in graph.get_operations() for one in operation.outputs if one.shape.rank == 1]
    assert None not in {one.shape[0] for one in tensors if one.dtype == tf.uint8}
    assert sum(one.dtype.size for one in tensors if (one.shape[0] or 0) > size // 2) < 25  # and each is soon let go


def like(image, other, most):
    """Whether two pictures differ by so much at most."""
    return image.shape == other.shape and np.abs(image.astype(int) - other).max() <= most


FUZZED = int(os.environ.get("UNET_TF_FUZZ", "600"))


def test_a_damaged_picture_is_decoded_as_opencv_does_or_refused_by_number(read):
    """A JPEG whose scan is damaged and ends all the same is decoded: libjpeg fills what is not there, in OpenCV too.

    What is left of a progressive one is smoothed, and not by the same rule in each version of libjpeg.
    """
    rng, names, counts, graph = np.random.default_rng(11), list(READ), Counter(), read[3, "uint8"]
    for number in range(FUZZED):
        name, other = names[number % len(names)], names[int(rng.integers(len(names)))]
        content = mutated(READ[name], READ[other], rng)
        try:
            found = graph(tf.constant(content)).numpy()
        except tf.errors.InvalidArgumentError as error:
            assert "image_bytes[7] " in error.message
            counts[name[-3:], "refused"] += 1
            continue
        second = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        if second is not None and like(found, second[..., ::-1], 2 * (name == "progressive.jpg")):
            counts[name[-3:], "as OpenCV"] += 1
        else:
            np.testing.assert_array_equal(found, graph(tf.constant(READ[name])).numpy(), f"{name}, {number}")
            counts[name[-3:], "original"] += 1
    print(dict(counts))
    assert {kind for kind, outcome in counts if outcome == "refused"} == {"bmp", "jpg", "png"}
    assert sum(count for (_, outcome), count in counts.items() if outcome != "refused") > FUZZED // 20
