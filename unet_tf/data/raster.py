"""JPEG, BMP, GIF, WebP, JPEG 2000, PGM and PPM: what they declare is checked, then NumPy, OpenCV or Pillow decodes."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.structure import (
    PIXELS_PER_BYTE,
    Damage,
    Unread,
    check_jpeg,
    orientation_of,
    quiet_opencv,
    turned,
    unpacked,
)
from unet_tf.pages.words import many

SPACES = {
    b"": "no colour space", b"\0\0\0\x11": "grey", b"GRAY": "grey", b"\0\0\0\x10": "RGB", b"RGB ": "RGB",
    b"\0\0\0\x0c": "CMYK", b"CMYK": "CMYK", b"\0\0\0\x0e": "CIELab", b"Lab ": "CIELab", b"\0\0\0\x12": "YCbCr",
}  # fmt: skip
"""Numbers of colour spaces in JPEG 2000, and names of those of ICC profiles -> what they are called."""
BYTES = tuple(0xFF << shift for shift in range(0, 32, 8))
"""Masks of whole bytes in a BMP file, first byte first."""
MASKS = {16: (0x7C00, 0x3E0, 0x1F), 24: BYTES[2::-1], 32: BYTES[2::-1]}
"""Bits of a pixel in a BMP file -> which of them are red, green and blue where it does not say it."""
MOST_ZEROS = 1 << 14
"""Bytes of zero in a row that a JPEG 2000 file has at most: stripes of 16 bits fill one block of 64x64 px with 6650."""
MOST_PIXELS, MOST_SIDE = 2**30, 2**20
"""Of a picture that OpenCV decodes."""


def decoded(data: bytes, height: int = 1, width: int = 1) -> NDArray:
    """(H, W) or (H, W, 3) RGB as OpenCV decodes a file, at its depth, without alpha, turned as its EXIF says.

    Raises:
        Damage: it cannot.
        Unread: the file says to have more pixels than it decodes.
    """
    if height * width > MOST_PIXELS or max(height, width) > MOST_SIDE:
        raise Unread(
            f"has {height}x{width} px, and such a file is read with {MOST_PIXELS} px and sides of {MOST_SIDE} px at "
            "most. Save it as a TIFF file with tiles, or as zarr"
        )
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


def read_jpeg(data: bytes) -> NDArray:
    """Decode a JPEG file of any size, as `decoded` does.

    Raises:
        Damage: it is cut, or altered.
        Unread: it has more than 8 bits; or more pixels than OpenCV decodes, and four inks.
    """
    height, width = check_jpeg(data)
    if height * width <= MOST_PIXELS:
        return decoded(data)
    try:
        import simplejpeg
        from PIL import JpegImagePlugin
    except ImportError:
        return decoded(data, height, width)
    with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as picture:
        kind, exif = picture.mode, picture.info.get("exif", b"")
    if kind not in ("L", "RGB"):
        return decoded(data, height, width)
    image = simplejpeg.decode_jpeg(data, "GRAY" if kind == "L" else "RGB")
    return turned(image, orientation_of(exif, like_opencv=True))


def read_bmp(data: bytes) -> tuple[NDArray, NDArray[np.uint8] | None]:
    """Decode a BMP file.

    Returns:
        Of a picture with a colour table (up to 8 bits) its (H, W) indices and the table, (256, 3) RGB; of another
        (H, W) or (H, W, 3) uint8 and None.

    Raises:
        Damage: pixels or colour table reach beyond the end of the file.
        Unread: the file is a JPEG or PNG picture in disguise, or its colours lie in bits that are not read.
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
        if packing not in (0, 3, 6) or (packing and (bits == 24 or offset < 66)):
            raise Damage(f"it declares {bits} bits in compression {packing}, with pixels from {offset}")
        masks = struct.unpack_from("<III", data, 54) if packing else MASKS[bits]
        if bits == 32 and not any(masks):
            masks = MASKS[bits]
        if bits == 32 and header > 52 and not {*masks} <= {*BYTES}:
            return decoded(data, rows, width), None  # which knows no masks behind a smaller header
        stored = np.frombuffer(data, np.uint8, stride * rows, offset).reshape(rows, stride)[:, : width * bits // 8]
        return _by_masks(stored[::-1] if height > 0 else stored, bits, masks), None
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


def _by_masks(stored: NDArray[np.uint8], bits: int, masks: Sequence[int]) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of (H, bytes) of a BMP file, the bits of each colour given by a mask; few bits are the highest."""
    if bits > 16 and {*masks} <= {*BYTES}:
        pixels = stored.reshape(len(stored), -1, bits // 8)
        return np.stack([pixels[..., BYTES.index(mask)] for mask in masks], -1)
    if bits == 16 and all(0 < mask < 1 << 16 and not mask & (mask + (mask & -mask)) for mask in masks):  # in one piece
        numbers = np.ascontiguousarray(stored).view("<u2").astype(np.uint32)
        return np.stack([((numbers & mask) << 8 >> mask.bit_length()).astype(np.uint8) for mask in masks], -1)
    shown = ", ".join(f"{mask:08x}" for mask in masks)
    raise Unread(f"is a BMP file of {bits} bits with the colour masks {shown}, which are not read. Save it as PNG")


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
    header, colours, is_whole, code = dict[bytes, bytes](), list[bytes](), False, (0, 0)
    for kind, start, stop in _boxes(data, 0, len(data)):
        if kind == b"jp2c":
            is_whole = data[stop - 2 : stop] == b"\xff\xd9"
            code = start, stop
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
    if (at := data.find(bytes(MOST_ZEROS + 1), *code)) >= 0 and _is_dense(data, *code):
        raise Damage(f"from byte {at} on its compressed pixels are more than {MOST_ZEROS} zeros in a row")
    return decoded(data, height, width)


def _is_dense(data: bytes, start: int, stop: int) -> bool:
    """Whether the code stream of a JPEG 2000 file, in that part of it, has no places for many bytes of zero in a row.

    Packets of further layers and of small places may be empty, which is such a byte; so may be bits that are not coded.
    """
    marks, at = dict[int, int](), start + 2
    while at + 4 <= stop and data[at : at + 2] != b"\xff\x90":  # the first part of a tile
        marks.setdefault(data[at + 1], at + 4)
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    if 0x52 not in marks or marks[0x52] + 9 > stop or marks.keys() & {0x53, 0x5F}:  # a channel, or a part, has its own
        return False
    places, layers, modes = struct.unpack_from(">BxHxxxxB", data, marks[0x52])
    return not places & 1 and layers == 1 and not modes & 0x41


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
        Unread: its highest value is neither 255 nor 65535, so that others would have to scale; or it has several
            pictures.
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
        words = re.sub(rb"#[^\n]*\n", b" ", body).split()
        rest = b" ".join(words[values : values + 2])
        try:
            numbers = np.array(words[:values], np.int64)
        except ValueError as error:
            raise Damage("it holds other things than numbers") from error
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() <= highest:
            raise Damage(f"it holds values outside of 0 to {highest}")
    else:
        size = values * (2 if highest > 255 else 1)
        numbers, rest = np.frombuffer(body[:size], ">u2" if highest > 255 else np.uint8), body[size : size + 99]
    if not values or len(numbers) < values:
        raise Damage(f"it declares {height}x{width} px, and holds {len(numbers)} of {values} values")
    if re.match(rb"\s*P[1-7]\s", rest):
        raise Unread("has several pictures, and PGM and PPM are read with one. Save them as pages of TIFF")
    shape = (height, width, 3) if kind in (3, 6) else (height, width)
    return numbers.reshape(shape).astype(np.uint16 if highest > 255 else np.uint8)
