"""Strips and tiles of a TIFF page to arrays: any window of a page costs the segments that it touches."""

from __future__ import annotations

import lzma
import struct
import zlib
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.structure import Damage, Unread, check_jpeg, quiet_opencv, unpacked
from unet_tf.data.tiff_pages import WHOLE, Tag, TiffPage

NONE, LZW, JPEG, PACKBITS, ZSTD, LZMA = 1, 5, 7, 32773, 50000, 34925
DEFLATE = (8, 32946)
FAX = (2, 3, 4)
RGB, CMYK, YCBCR = 2, 5, 6
"""Values of the tag PhotometricInterpretation."""
CLEAR = 256
"""Code of LZW that empties the table, with which the data begin."""
LEAST_WIDTH, OPENCV_SIDE = 64, 1 << 20
"""Columns of the picture for which OpenCV takes a segment of an odd number of bytes, at least; sides that it takes."""
REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def read_window(file: BinaryIO, page: TiffPage, rows: slice, columns: slice) -> NDArray:
    """Decode a window of a page.

    Args:
        file: open for reading.
        page: one of `read_pages` of this file.
        rows: from start to stop, within the page as it is stored.
        columns: likewise.

    Returns:
        (rows, columns, samples) numbers as they are stored; YCbCr in JPEG becomes RGB.

    Raises:
        Damage: a segment cannot be decoded, or holds fewer pixels than it must.
        Unread: the compression or the type is not read.
    """
    if page.contiguous:
        return _mapped(file, page, rows, columns)
    result = np.zeros(0)
    height, width = page.segment
    for plane in range(page.samples if page.planar else 1):
        for down in range(rows.start // height, -(-rows.stop // height)):
            for across in range(columns.start // width, -(-columns.stop // width)):
                number = (plane * page.grid[0] + down) * page.grid[1] + across
                file.seek(int(page.offsets[number]))
                part = _segment(file.read(int(page.counts[number])), page, down)
                if not result.size:
                    shape = rows.stop - rows.start, columns.stop - columns.start, page.samples
                    result = np.zeros(shape, part.dtype)
                top, left = down * height, across * width  # of this segment in the page
                first, begin = max(rows.start, top), max(columns.start, left)
                last, end = min(rows.stop, top + part.shape[0]), min(columns.stop, left + part.shape[1])
                target = result[first - rows.start : last - rows.start, begin - columns.start : end - columns.start]
                where = slice(plane, plane + 1) if page.planar else slice(None)
                target[..., where] = part[first - top : last - top, begin - left : end - left]
    return result


def _mapped(file: BinaryIO, page: TiffPage, rows: slice, columns: slice) -> NDArray:
    """A window of pixels that lie in the file as they lie in an array."""
    shape = (page.samples, page.height, page.width) if page.planar else (page.height, page.width, page.samples)
    dtype = np.dtype(f"{page.order}{page.kind}{page.bits // 8}")
    mapped = np.memmap(file, dtype, "r", int(page.offsets[0]), shape)
    window = np.moveaxis(mapped[:, rows, columns], 0, 2) if page.planar else mapped[rows, columns]
    return np.array(window, dtype.newbyteorder("="))


def _segment(data: bytes, page: TiffPage, down: int) -> NDArray:
    """(rows, columns, samples) of a strip or tile; samples is 1 where each has segments of its own."""
    rows = page.segment[0] if page.tiled else min(page.segment[0], page.height - down * page.segment[0])
    if page.compression == JPEG:
        return _jpeg(data, page, rows)
    if page.number(Tag.FILL_ORDER, 1) == 2:
        data = data.translate(REVERSED)
    size = page.segment_bytes(rows)
    data = _decompressed(data, page, rows, size)
    if len(data) < size:
        raise Damage(f"a strip or tile holds {len(data)} bytes, and its pixels take {size}")
    return _predicted(data[:size], page, rows)


def _decompressed(data: bytes, page: TiffPage, rows: int, size: int) -> bytes:
    kind = page.compression
    try:
        if kind == NONE:
            return data
        if kind in DEFLATE:
            return zlib.decompressobj().decompress(data, size + 1)  # one more, so that the checksum is looked at
        if kind == LZMA:
            return lzma.LZMADecompressor().decompress(data, size)
        if kind == ZSTD:
            return _zstd(data)
    except (zlib.error, lzma.LZMAError, RuntimeError, MemoryError) as error:
        raise Damage(f"a strip or tile cannot be decompressed: {error}") from error
    if kind in (LZW, PACKBITS, *FAX):
        return _by_opencv(data, page, rows)
    raise Unread(f"is compressed in a way that is not read (TIFF compression {kind}). Save it with deflate or LZW")


def _zstd(data: bytes) -> bytes:
    try:
        from numcodecs import zstd  # zarr brings it
    except ImportError as error:
        raise Unread("is compressed by zstd, which takes the package numcodecs: pip install numcodecs") from error
    return bytes(zstd.decompress(data))


def _by_opencv(data: bytes, page: TiffPage, rows: int) -> bytes:
    """Bytes of a segment in LZW, PackBits or fax, by the codecs of OpenCV, which reads the segment as a picture.

    The picture is grey, of two bytes (fax: one bit) a pixel, so that colour tables, predictors, channels and types of
    the true one are left to us.
    """
    if page.compression in FAX:
        if page.bits * page.samples != 1:
            raise Damage(f"it declares fax compression of {page.samples} samples of {page.bits} bits")
        return np.packbits(_as_picture(data, page, rows, page.segment[1], 1) > 0, axis=1).tobytes()
    width = page.segment_bytes(1)
    if width % 2 == 0:
        return _as_picture(data, page, rows, width // 2, 16).tobytes()
    if rows % 2 == 0:
        return _as_picture(data, page, rows // 2, width, 16).tobytes()
    # pictures of 8 bits would do, but OpenCV passes over damage in them
    size, width = rows * width, max(LEAST_WIDTH, rows * width // OPENCV_SIDE)
    fill = -size % (2 * width)
    return _as_picture(_filled(data, page, fill), page, (size + fill) // (2 * width), width, 16).tobytes()[fill:]


def _filled(data: bytes, page: TiffPage, count: int) -> bytes:
    """The bytes of a segment in LZW or PackBits before which so many zeros stand, packed too.

    Reference:
        TIFF Revision 6.0, sections 9 and 13.
    """
    if page.compression == PACKBITS:
        return bytes(2 * count) + data  # a run of one byte each
    if int.from_bytes(data[:2], "big") >> 7 != CLEAR:
        raise Damage("a strip or tile does not begin as LZW does")
    # a code that empties the table before each zero, and as many more as make whole bytes: all codes have 9 bits
    bits = f"{CLEAR:09b}" * (-2 * count % 8) + f"{CLEAR:09b}{0:09b}" * count
    return int(bits, 2).to_bytes(len(bits) // 8, "big") + data


def _as_picture(data: bytes, page: TiffPage, rows: int, width: int, bits: int) -> NDArray:
    tags = [(Tag.WIDTH, width), (Tag.LENGTH, rows), (Tag.BITS, bits), (Tag.COMPRESSION, page.compression)]
    tags += [(Tag.PHOTOMETRIC, 1), (Tag.STRIPS, 8), (Tag.SAMPLES, 1), (Tag.ROWS, rows), (Tag.STRIP_BYTES, len(data))]
    tags += [(tag, page.number(tag, 0)) for tag in (Tag.FAX3, Tag.FAX4) if tag in page.tags]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    start = 8 + len(data) + len(data) % 2
    head = b"II*\0" + struct.pack("<I", start) + data.ljust(start - 8, b"\0")
    whole = head + struct.pack("<H", len(tags)) + directory + bytes(4)
    try:
        with quiet_opencv:
            found = cv2.imdecode(np.frombuffer(whole, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        found = None
    if found is None or found.shape != (rows, width):
        raise Damage("a strip or tile cannot be decompressed")
    return found


def _predicted(data: bytes, page: TiffPage, rows: int) -> NDArray:
    """Unpack numbers, (rows, columns, samples), and add up those that are stored as differences.

    Reference:
        TIFF Revision 6.0, section 14 (predictor 2); Adobe Photoshop TIFF Technical Note 3 (predictor 3).
    """
    samples = 1 if page.planar else page.samples
    shape = rows, page.segment[1], samples
    predictor = page.number(Tag.PREDICTOR, 1) if page.compression in (LZW, *DEFLATE, ZSTD, LZMA) else 1
    if page.bits in (1, 2, 4, 10, 12, 14) and page.kind == "u" and predictor == 1:
        stored = np.frombuffer(data, np.uint8).reshape(rows, -1)
        return unpacked(stored, shape[1] * samples, page.bits).reshape(shape)
    if page.bits not in WHOLE[page.kind]:
        raise Unread(f"has samples of {page.bits} bits ({page.kind}), predictor {predictor}. Save it with 8 or 16 bits")
    dtype = np.dtype(f"{page.kind}{page.bits // 8}")
    if predictor == 3 and page.kind == "f":
        bytewise = np.frombuffer(data, np.uint8).reshape(rows, -1, samples).cumsum(axis=1, dtype=np.uint8)
        planes = bytewise.reshape(rows, dtype.itemsize, -1)  # (rows, bytes of a number, columns * samples)
        return (
            np.ascontiguousarray(planes.transpose(0, 2, 1)).view(dtype.newbyteorder(">")).reshape(shape).astype(dtype)
        )
    stored = np.frombuffer(data, page.order + dtype.str[1:]).reshape(shape).astype(dtype, copy=False)
    if predictor == 1:
        return stored
    if predictor == 2 and page.bits <= 64:  # differences of words, whatever these mean
        words = np.dtype(f"u{dtype.itemsize}")
        return stored.view(words).cumsum(axis=1, dtype=words).view(dtype)
    raise Unread(f"has predictor {predictor} on samples of type {page.kind}. Save it without predictor")


def _jpeg(data: bytes, page: TiffPage, rows: int) -> NDArray:
    """(rows, columns, samples) of a segment that is a JPEG picture, whose tables are in a tag.

    Reference:
        Adobe Photoshop TIFF Technical Notes, "JPEG compression".
    """
    samples = 1 if page.planar else page.samples
    if page.bits != 8 or samples not in (1, 3):
        raise Unread(f"has {samples} samples of {page.bits} bits in JPEG. Save it with deflate or LZW")
    if data[:2] != b"\xff\xd8":
        raise Damage("a strip or tile is no JPEG picture")
    tables = page.tags[Tag.JPEG_TABLES].tobytes() if Tag.JPEG_TABLES in page.tags else b""
    # Adobe's marker says to the decoder whether the three components are RGB or YCbCr
    adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + (b"\1" if page.number(Tag.PHOTOMETRIC, 1) == YCBCR else b"\0")
    whole = b"\xff\xd8" + adobe * (samples == 3) + tables[2:-2] + data[2:]
    try:
        check_jpeg(whole)
        with quiet_opencv:
            flags = cv2.IMREAD_IGNORE_ORIENTATION | (cv2.IMREAD_COLOR if samples == 3 else cv2.IMREAD_GRAYSCALE)
            found = cv2.imdecode(np.frombuffer(whole, np.uint8), flags)
    except (cv2.error, ValueError) as error:
        raise Damage(f"a strip or tile cannot be decompressed: {error}") from error
    if found is None or found.shape[0] < rows or found.shape[1] < page.segment[1]:
        raise Damage(f"a strip or tile holds fewer than {rows}x{page.segment[1]} px")
    return found[:rows, :, ::-1] if samples == 3 else found[:rows, :, None]
