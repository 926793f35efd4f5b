"""BMP, GIF, WebP, JPEG 2000, PGM and PPM: what they declare is checked, then OpenCV or Pillow decodes."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.structure import PIXELS_PER_BYTE, Damage, Unread, quiet_opencv, unpacked
from unet_tf.pages.words import many

SPACES = {
    b"": "no colour space", b"\0\0\0\x11": "grey", b"GRAY": "grey", b"\0\0\0\x10": "RGB", b"RGB ": "RGB",
    b"\0\0\0\x0c": "CMYK", b"CMYK": "CMYK", b"\0\0\0\x0e": "CIELab", b"Lab ": "CIELab", b"\0\0\0\x12": "YCbCr",
}  # fmt: skip
"""Numbers of colour spaces in JPEG 2000, and names of those of ICC profiles -> what they are called."""


def decoded(data: bytes) -> NDArray:
    """(H, W) or (H, W, 3) RGB as OpenCV decodes a file, at its depth, without alpha, turned as its EXIF says."""
    try:
        with quiet_opencv:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        raise Damage("it cannot be decoded") from error
    if image is None:
        raise Damage("it cannot be decoded")
    if image.ndim == 2:
        return image
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.dtype.kind == "u" else image[..., ::-1]


def read_bmp(data: bytes) -> tuple[NDArray, NDArray[np.uint8] | None]:
    """Decode a BMP file.

    Returns:
        Of a picture with a colour table (up to 8 bits) its (H, W) indices and the table, (256, 3) RGB; of another
        (H, W) or (H, W, 3) uint8 and None.

    Raises:
        Damage: pixels or colour table reach beyond the end of the file.
        Unread: the file is a JPEG or PNG picture in disguise.
    """
    if len(data) < 26:
        raise Damage("it ends within its header")
    offset, header = struct.unpack_from("<II", data, 10)
    old = header == 12
    if header not in (12, 40, 52, 56, 64, 108, 124) or len(data) < 14 + header:
        raise Damage(f"it declares a header of {header} bytes")
    width, height, _, bits = struct.unpack_from("<HHHH" if old else "<iiHH", data, 18)
    packing, colours = (0, 0) if old else (struct.unpack_from("<I", data, 30)[0], struct.unpack_from("<I", data, 46)[0])
    rows = abs(height)
    if packing in (4, 5):
        raise Unread("is a BMP file that holds a JPEG or PNG picture. Save it as PNG")
    if (
        width < 1
        or not rows
        or bits not in (1, 4, 8, 16, 24, 32)
        or packing > 6
        or width * rows > PIXELS_PER_BYTE * len(data)
    ):
        raise Damage(f"it declares {rows}x{width} px of {bits} bits in {len(data)} bytes, which cannot hold them")
    stride = -(-width * bits // 32) * 4
    if packing in (0, 3, 6) and offset + stride * rows > len(data):
        raise Damage(f"its {rows}x{width} px take {stride * rows} bytes from {offset}, and it has {len(data)}")
    if bits > 8:
        return decoded(data), None
    entry, start = (3 if old else 4), 14 + header
    colours = colours or min(1 << bits, (offset - start) // entry)
    if not 0 < colours <= 1 << bits or start + colours * entry > min(offset, len(data)):
        raise Damage(f"its colour table of {colours} colours does not lie before its pixels")
    if packing:
        indices, _ = _by_pillow(data)
    else:
        stored = np.frombuffer(data, np.uint8, stride * rows, offset).reshape(rows, stride)
        indices = unpacked(stored, width, bits) if bits < 8 else stored[:, :width]
        indices = indices[::-1] if height > 0 else indices
    table = np.frombuffer(data, np.uint8, colours * entry, start).reshape(colours, entry)[:, 2::-1]  # BGR
    return indices, np.pad(table, ((0, 256 - colours), (0, 0)))


def read_gif(data: bytes) -> tuple[NDArray, NDArray[np.uint8]]:
    """Decode a GIF file of one picture: (H, W) indices, and the table of the colours that they show, (256, 3) RGB.

    Raises:
        Damage: the file is cut or contradicts itself.
        Unread: it has several pictures.
    """
    if len(data) < 13 or b"\x3b" not in data[-64:]:
        raise Damage("it ends before its end marker")
    width, height = struct.unpack_from("<HH", data, 6)
    if not 0 < width * height <= PIXELS_PER_BYTE * len(data):
        raise Damage(f"it declares {height}x{width} px in {len(data)} bytes, which cannot hold them")
    return _by_pillow(data)


def _by_pillow(data: bytes) -> tuple[NDArray, NDArray[np.uint8]]:
    """Indices of a BMP or GIF file, and the table of the colours that they show, (256, 3) RGB."""
    try:
        from PIL import BmpImagePlugin, GifImagePlugin
    except ImportError as error:
        raise Unread("takes the package Pillow: pip install pillow") from error
    reader: Any = GifImagePlugin.GifImageFile if data[:3] == b"GIF" else BmpImagePlugin.BmpImageFile
    try:
        with reader(io.BytesIO(data)) as picture:  # Image.open refuses more than 179 megapixels
            if getattr(picture, "n_frames", 1) > 1:
                raise Unread(f"has {picture.n_frames} pictures, and GIF is read with one. Save them as pages of TIFF")
            picture.load()
            indices = np.array(picture, np.uint8)
            table = np.array(picture.getpalette() or np.arange(256).repeat(3), np.uint8).reshape(-1, 3)
    except Unread:
        raise
    except Exception as error:  # Pillow raises whatever its parsers meet in a damaged file
        raise Damage(f"it cannot be decoded ({error})") from error
    return indices, np.pad(table, ((0, 256 - len(table)), (0, 0)))


def read_webp(data: bytes) -> tuple[NDArray, bool]:
    """Decode a WebP file, without alpha, and say whether its compression loses something.

    Raises:
        Damage: chunks reach beyond the end of the file.
        Unread: it moves.
    """
    size = struct.unpack_from("<I", data, 4)[0] + 8 if len(data) > 20 else len(data) + 1
    if size > len(data):
        raise Damage(f"it declares {size} bytes, and has {len(data)}")
    kinds, at = set(), 12
    while at + 8 <= size:
        kinds.add(data[at : at + 4])
        at += 8 + (length := struct.unpack_from("<I", data, at + 4)[0]) + length % 2
        if at > size + 1:
            raise Damage("its chunks reach beyond its end")
    if kinds & {b"ANIM", b"ANMF"}:
        raise Unread("has several pictures, and WebP is read with one. Save them as pages of TIFF")
    return decoded(data), b"VP8L" not in kinds


def read_jp2(data: bytes) -> NDArray:
    """Decode a JPEG 2000 file (JP2): grey or RGB, unsigned, of 8 to 16 bits.

    Raises:
        Damage: the file is cut, or declares more than it can hold.
        Unread: its colours or numbers are others.

    Reference:
        ISO/IEC 15444-1, annex I.
    """
    header, colours, is_whole = dict[bytes, bytes](), list[bytes](), False
    for kind, start, stop in _boxes(data, 0, len(data)):
        if kind == b"jp2c":
            is_whole = data[stop - 2 : stop] == b"\xff\xd9"
            break
        for inside, first, last in _boxes(data, start, stop) if kind == b"jp2h" else ():
            header.setdefault(inside, data[first:last])  # the first of each kind counts
            colours += [data[first:last]] * (inside == b"colr")
    if len(header.get(b"ihdr", b"")) < 14 or not is_whole:
        raise Damage("it has no header, or ends before its end marker")
    height, width, channels, depth = struct.unpack_from(">IIHB", header[b"ihdr"])
    if not 0 < height * width <= PIXELS_PER_BYTE * len(data):
        raise Damage(f"it declares {height}x{width} px in {len(data)} bytes, which cannot hold them")
    if channels not in (1, 3):
        raise Unread(f"has {channels} channels, and JPEG 2000 is read with 1 or 3. Save it as grey or RGB")
    if b"pclr" in header:
        raise Unread("has a colour table, and JPEG 2000 is read without one. Save it as PNG or TIFF")
    depths = set(header.get(b"bpcc") or b"\xff") if depth == 255 else {depth}
    if len(depths) > 1 or not depths <= {*range(7, 16)}:  # bits - 1, and 128 more where numbers are signed
        told = " and ".join(
            f"{'signed ' * (one > 127)}numbers of {many(one % 128 + 1, 'bit')}" for one in sorted(depths)
        )
        raise Unread(f"has {told}, and JPEG 2000 is read with unsigned ones of 8 to 16 bits. Save it as TIFF")
    simple = (one for one in colours if one[:1] in (b"\1", b"\2"))  # by a number or a restricted profile
    colour = next(simple, header.get(b"colr", b""))
    space = colour[19:23] if colour[:1] in (b"\2", b"\3") else colour[3:7]  # of an ICC profile, or its number
    name = SPACES.get(space, f"the colour space {space.hex()}")
    if name != "RGB" and (channels == 3 or name not in ("grey", SPACES[b""])):
        raise Unread(
            f"has {many(channels, 'channel')} in {name}, and JPEG 2000 is read as grey of one or RGB of three. "
            "Save it as TIFF"
        )
    return decoded(data)


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of what is in each box of a JPEG 2000 file between two places."""
    while at < end:
        length, head = int.from_bytes(data[at : at + 4], "big"), 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        elif not length:
            length = end - at
        if not head <= length <= end - at:
            raise Damage("its boxes reach beyond its end")
        yield data[at + 4 : at + 8], at + head, at + length
        at += length


def read_pnm(data: bytes) -> NDArray:
    """Decode a PGM or PPM file (P2, P3, P5, P6) of 8 or 16 bits.

    Raises:
        Damage: the file is shorter than it declares.
        Unread: its highest value is neither 255 nor 65535, so that others would have to scale.
    """
    head = re.match(
        rb"P([2356])(?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,5})\s", data[:4096]
    )
    if head is None:
        raise Damage("its header is not that of a PGM or PPM file")
    kind, width, height, highest = (int(group) for group in head.groups())
    if highest not in (255, 65535):
        raise Unread(f"has values up to {highest}, and PGM and PPM are read with 255 or 65535. Save it as PNG")
    values = width * height * (3 if kind in (3, 6) else 1)
    body = data[head.end() :]
    if kind in (2, 3):
        if values > len(body):
            raise Damage(f"it declares {height}x{width} px in {len(data)} bytes, which cannot hold them")
        try:
            numbers = np.array(re.sub(rb"#[^\n]*\n", b" ", body).split()[:values], np.int64)
        except ValueError as error:
            raise Damage("it holds other things than numbers") from error
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() <= highest:
            raise Damage(f"it holds values outside of 0 to {highest}")
    else:
        numbers = np.frombuffer(body[: values * (2 if highest > 255 else 1)], ">u2" if highest > 255 else np.uint8)
    if not values or len(numbers) < values:
        raise Damage(f"it declares {height}x{width} px, and holds {len(numbers)} of {values} values")
    shape = (height, width, 3) if kind in (3, 6) else (height, width)
    return numbers.reshape(shape).astype(np.uint16 if highest > 255 else np.uint8)
