"""PNG files: chunks are checked before anything is allocated; what is stored is told from what it shows."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.structure import Damage, Unread, orientation_of, quiet_opencv, turned, unpacked

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Numbers of a pixel in each colour type: grey, RGB, indices, grey and alpha, RGB and alpha."""
ALPHA = (b"\4", b"\6")
"""Colour types of which the last number is alpha."""
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row and column, and their steps, of each pass of an interlaced picture."""
STRIP = 1 << 25
"""Bytes that are undone at once: OpenCV takes up to 2^30 pixels, and a picture may have more."""
WIDEST = 1_000_000
"""Columns that libpng takes."""


@dataclass(frozen=True)
class Png:
    """What a PNG file declares, and where its pixels are.

    Attributes:
        width: columns.
        height: rows.
        bits: of a number.
        colour: the colour type.
        interlaced: whether the pixels come in the seven passes of Adam7.
        table: (N, 3) uint8 RGB, the colour table.
        orientation: as in EXIF, 1 to 8.
        packed: the compressed pixels, in pieces.
    """

    width: int
    height: int
    bits: int
    colour: int
    interlaced: bool
    table: NDArray
    orientation: int
    packed: list[memoryview]

    @property
    def shown(self) -> NDArray[np.uint8] | None:
        """What stored numbers show: (256, 3) RGB of a table, (N,) grey of 1, 2 or 4 bits; None: what they are."""
        if self.colour == 3:
            return np.pad(self.table, ((0, 256 - len(self.table)), (0, 0)))
        return None if self.bits > 4 else np.linspace(0, 255, 1 << self.bits, dtype=np.uint8)


def read_png(data: bytes, ids: bool, alpha: bool) -> NDArray:
    """Decode a PNG file of any size, turned as its EXIF orientation says.

    Args:
        data: the file.
        ids: give the stored numbers (indices of a colour table, grey below 8 bits) and not what they show.
        alpha: give it too, in a file of a colour type in `ALPHA`.

    Returns:
        (H, W) or (H, W, 3) RGB, uint8 or uint16; with alpha (H, W, 2) or (H, W, 4). Grey of 1, 2 or 4 bits that is
        shown goes from 0 to 255.

    Raises:
        Damage: the file contradicts itself or is cut.
        Unread: the picture is wider than a million pixels, or one of several.

    Reference:
        PNG Specification (Third Edition), sections 5, 7 to 9 and 11.
    """
    png = parse_png(data)
    stored = _stored(png)
    if not ids and (table := png.shown) is not None:
        image = table[stored[..., 0]]
    else:
        image = stored if alpha else stored[..., : {4: 1, 6: 3}.get(png.colour, stored.shape[-1])]
        image = image[..., 0] if image.shape[2] == 1 else image
    return turned(image, png.orientation)


def alpha_of_png(data: bytes) -> NDArray:
    """(H, W, 1) alpha of a PNG file of a colour type in `ALPHA`, as stored; raises as `read_png` does."""
    return _stored(parse_png(data))[..., -1:]


def _stored(png: Png) -> NDArray:
    """(H, W, samples) as stored."""
    passes = [
        one for one in (ADAM7 if png.interlaced else ((0, 0, 1, 1),)) if one[0] < png.height and one[1] < png.width
    ]
    stored: NDArray = np.zeros(0)
    inflated = _Inflated(png.packed)
    for first, begin, down, across in passes:
        height, width = -(-(png.height - first) // down), -(-(png.width - begin) // across)
        numbers = _numbers(_rows(inflated, height, width, png), width, png)  # (rows, columns, samples) of this pass
        if not stored.size:
            stored = numbers if len(passes) == 1 else np.zeros((png.height, png.width, numbers.shape[2]), numbers.dtype)
        if len(passes) > 1:
            stored[first::down, begin::across] = numbers
    inflated.end()
    return stored


def parse_png(data: bytes) -> Png:
    """Check the chunks of a PNG file and what they declare, before anything is decoded.

    Raises:
        Damage: chunks reach beyond the end of the file, are not what their checksums say, are missing, or declare more
            pixels than the file can hold.
        Unread: the picture is wider than a million pixels, or one of several.
    """
    view, at = memoryview(data), len(SIGNATURE)
    found: dict[bytes, memoryview] = {}
    packed: list[memoryview] = []
    while b"IEND" not in found:
        if at + 12 > len(data):
            raise Damage("it ends before its last chunk")
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            raise Damage(f"its chunk {kind!r} is {length} bytes long and reaches beyond its end")
        if zlib.crc32(view[at + 4 : at + 8 + length]) != struct.unpack_from(">I", data, at + 8 + length)[0]:
            raise Damage(f"the checksum of its chunk {kind!r} is wrong")
        content = view[at + 8 : at + 8 + length]
        packed += [content] if kind == b"IDAT" and length else []
        found.setdefault(kind, content)
        at += 12 + length
    if len(found.get(b"IHDR", b"")) != 13:
        raise Damage("it has no header")
    width, height, bits, colour, method, filters, interlaced = struct.unpack(">IIBBBBB", found[b"IHDR"])
    legal = bits in DEPTHS.get(colour, ()) and method == filters == 0 and interlaced < 2
    if not legal or not 0 < width < 1 << 31 or not 0 < height < 1 << 31:
        raise Damage(f"its header declares {height}x{width} px of {bits} bits, colour type {colour}")
    table = np.frombuffer(found.get(b"PLTE", b""), np.uint8)
    if len(table) % 3 or len(table) > 768 or (colour == 3 and not len(table)):
        raise Damage(f"its colour table has {len(table)} bytes")
    size = sum(map(len, packed))
    if height * -(-width * bits * SAMPLES[colour] // 8) > 1032 * size:  # deflate packs 1032 into one at best
        raise Damage(f"it declares {height}x{width} px in {size} bytes, which cannot hold them")
    if width > WIDEST:
        raise Unread(f"is {width} px wide, and PNG is read up to {WIDEST}. Save it as TIFF or zarr")
    if (pictures := int.from_bytes(found.get(b"acTL", b"")[:4], "big")) > 1:  # animated
        raise Unread(f"has {pictures} pictures, and PNG is read with one. Save them as pages of TIFF")
    turn = orientation_of(bytes(found.get(b"eXIf", b"")))
    return Png(width, height, bits, colour, bool(interlaced), table.reshape(-1, 3), turn, packed)


class _Inflated:
    """The bytes in compressed pieces, of which no more are unpacked than are asked for."""

    def __init__(self, pieces: list[memoryview]) -> None:
        self.pieces, self.rest, self.unpacker = iter(pieces), b"", zlib.decompressobj()

    def take(self, count: int) -> bytes:
        """The next bytes; raises Damage where there are fewer."""
        parts: list[bytes] = []
        while count:
            piece = self.rest or next(self.pieces, b"")
            parts.append(self._unpack(piece, count))
            count -= len(parts[-1])
            if not (piece or parts[-1]) or (count and self.unpacker.eof):
                raise Damage(f"it is {count} bytes short of its pixels")
        return b"".join(parts)

    def end(self) -> None:
        """Look at the checksum, after the last pixel; raises Damage where it is wrong."""
        while not self.unpacker.eof:
            piece = self.rest or next(self.pieces, b"")
            if self._unpack(piece, 1):
                raise Damage("it holds more pixels than it declares")
            if not piece and not self.unpacker.eof:
                raise Damage("it ends before the checksum of its pixels")

    def _unpack(self, piece: memoryview | bytes, most: int) -> bytes:
        try:
            found = self.unpacker.decompress(piece, most)
        except zlib.error as error:
            raise Damage(f"its pixels cannot be unpacked ({error})") from error
        self.rest = self.unpacker.unconsumed_tail
        return found


def _rows(inflated: _Inflated, height: int, width: int, png: Png) -> NDArray:
    """(height, bytes of a row) of a pass, its filters undone."""
    unit = max(1, png.bits * SAMPLES[png.colour] // 8)  # bytes that a filter looks back
    length = -(-width * png.bits * SAMPLES[png.colour] // 8)
    strip = max(1, STRIP // (length + 1))
    result = np.empty((height, length), np.uint8)
    above = b""
    for top in range(0, height, strip):
        rows = min(strip, height - top)
        filtered = inflated.take(rows * (length + 1))
        if max(filtered[:: length + 1]) > 4:
            raise Damage("its rows have a filter that PNG does not have")
        # the row above the strip goes before it, unfiltered, as filters look up
        undone = (
            _unfiltered(above + filtered, rows + 1, length, unit)[1:]
            if top
            else _unfiltered(filtered, rows, length, unit)
        )
        result[top : top + rows] = undone
        above = b"\0" + undone[-1].tobytes()
    return result


def _unfiltered(filtered: bytes, rows: int, length: int, unit: int) -> NDArray:
    """(rows, length) bytes: OpenCV undoes the filters of a picture whose pixels have as many bytes as ours."""
    bits, colour = {1: (8, 0), 2: (16, 0), 3: (8, 2), 4: (8, 6), 6: (16, 2), 8: (16, 6)}[unit]
    header = struct.pack(">IIBBBBB", length // unit, rows, bits, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered, 0)), (b"IEND", b""))
    whole = SIGNATURE + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
        for kind, content in chunks
    )
    with quiet_opencv:
        found = cv2.imdecode(np.frombuffer(whole, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None:
        raise Damage("its pixels cannot be decoded")
    if found.ndim == 3:
        found = cv2.cvtColor(found, cv2.COLOR_BGRA2RGBA if found.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    if bits == 16:
        found = found.astype(">u2")
    return np.ascontiguousarray(found).view(np.uint8).reshape(rows, length)


def _numbers(rows: NDArray, width: int, png: Png) -> NDArray:
    """(rows, columns, samples) of the bytes of rows."""
    if png.bits < 8:
        return unpacked(rows, width, png.bits)[..., None]
    dtype = np.dtype(">u2") if png.bits == 16 else np.dtype(np.uint8)
    return rows.view(dtype).reshape(len(rows), width, -1).astype(dtype.newbyteorder("="), copy=False)
