"""What picture files declare about themselves, held against their length before a decoder allocates for it."""

from __future__ import annotations

import struct
import threading

import cv2
import numpy as np
from numpy.typing import NDArray

PIXELS_PER_BYTE = 10_000
"""More than a picture holds in any format: a header that declares more is damaged, and not worth its memory."""
JPEG_PIXELS_PER_BYTE = 512
"""A block of 8x8 pixels takes a bit or more."""


class Damage(ValueError):
    """What a file declares contradicts itself or the length of the file; whoever knows the file's name adds it."""


class Unread(ValueError):
    """A file is whole, and of a kind that is not read: the message says what it "has" or "is", and the remedy."""


class _Quiet:
    """Silences OpenCV's log, which is one for all threads, as long as any of them is in such a block."""

    def __init__(self) -> None:
        self.lock, self.inside, self.level = threading.Lock(), 0, 0

    def __enter__(self) -> None:
        with self.lock:
            if not self.inside:
                self.level = cv2.utils.logging.getLogLevel()
                cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
            self.inside += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                cv2.utils.logging.setLogLevel(self.level)


quiet_opencv = _Quiet()
"""Our errors name the file, OpenCV's do not."""


def turned(image: NDArray, orientation: int) -> NDArray:
    """Turn a picture as the tag Orientation of TIFF and EXIF says, 1 to 8; any other number leaves it."""
    for step in TURNS.get(orientation, ""):
        image = {"h": image[:, ::-1], "v": image[::-1], "t": image.swapaxes(0, 1)}[step]
    return image


TURNS = {2: "h", 3: "hv", 4: "v", 5: "t", 6: "th", 7: "thv", 8: "tv"}
"""Orientation -> mirrorings: columns (h), rows (v), rows with columns (t)."""
TEXTS = (270, 271, 272, 305, 306, 33432)
"""Tags of EXIF that OpenCV reads as text: description, maker, model, software, date, copyright."""


def orientation_of(exif: bytes, like_opencv: bool = False) -> int:
    """The orientation in a block of EXIF; 1 where it says none or is damaged.

    OpenCV, which turns JPEG and WebP, reads no further than a text that is said to lie beyond the end of the block.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 10:
        return 1
    at = struct.unpack_from(order + "I", exif, 4)[0]
    entries = exif[at + 2 :]
    count = struct.unpack(order + "H", exif[at : at + 2])[0] if at + 2 <= len(exif) else 0
    for start in range(0, min(count * 12, len(entries) - 11), 12):
        tag, size, place = struct.unpack_from(order + "H2xII", entries, start)
        if like_opencv and tag in TEXTS and size > 4 and place + size > len(exif):
            break
        if tag == 274:
            value = struct.unpack_from(order + "H", entries, start + 8)[0]
            return value if value in range(1, 9) else 1
    return 1


def check_jpeg(data: bytes) -> tuple[int, int]:
    """Height and width of a JPEG file; refused is one that a decoder would only warn of, and show with grey or noise.

    Where the package simplejpeg is missing, as it may be on an edge device, markers and sizes alone are looked at.

    Raises:
        Damage: segments reach beyond the end, the size is not one that the file can hold, or its entropy-coded data
            are cut or altered.
        Unread: it has more than 8 bits.
    """
    height, width, bits = _jpeg_frame(data)
    if bits != 8:
        raise Unread(f"is a JPEG file of {bits} bits, and JPEG is read with 8. Save it as PNG or TIFF")
    if not 0 < height * width <= JPEG_PIXELS_PER_BYTE * len(data):
        raise Damage(f"it declares {height}x{width} px in {len(data)} bytes, which cannot hold them")
    if b"\xff\xd9" not in data:
        raise Damage("it ends before its end marker")
    try:
        import simplejpeg
    except ImportError:
        return height, width
    # an eighth of the size: all data are decoded, and hardly any memory is taken
    simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1, min_factor=8)
    return height, width


def _jpeg_frame(data: bytes) -> tuple[int, int, int]:
    """Height, width and bits in the header of the frame."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in (0xFF, 0x01, *range(0xD0, 0xD9)):  # fill bytes and markers without content
            at += 1 if marker == 0xFF else 2
            continue
        if marker in range(0xC0, 0xD0) and marker not in (0xC4, 0xC8, 0xCC) and at + 9 <= len(data):
            bits, height, width = struct.unpack_from(">BHH", data, at + 4)
            return height, width, bits
        if marker in (0xD9, 0xDA):
            break
        at += 2 + length
    raise Damage("it has no header of a frame")


def unpacked(rows: NDArray[np.uint8], count: int, bits: int) -> NDArray:
    """(rows, count) numbers of 1 to 16 bits each that lie in the bytes of a row without gaps, highest bit first."""
    digits = np.unpackbits(rows, axis=1)[:, : count * bits].reshape(len(rows), count, bits)
    return digits @ (1 << np.arange(bits)[::-1]).astype(np.uint8 if bits <= 8 else np.uint16)
