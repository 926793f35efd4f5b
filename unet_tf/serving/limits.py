"""What one request, and all of them together, may take; pixels are counted before a picture is decoded."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass

from numpy.typing import NDArray
from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin

from unet_tf.serving.errors import invalid, too_large
from unet_tf.utils.threads import cores

READERS = (
    (b"\x89PNG", PngImagePlugin.PngImageFile),
    (b"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    (b"BM", BmpImagePlugin.BmpImageFile),
)
"""How the formats of the signature `encoded` begin, and Pillow's readers: `Image.open` has a limit of its own."""
FILES = "image_bytes"
"""Input of that signature."""

ANSWER = (1 << 31) - (1 << 16)
"""Bytes of an answer's numbers: a message of gRPC has less than 2^31, its names among them."""


@dataclass(frozen=True)
class Limits:
    """What requests may take.

    Attributes:
        body: bytes of one request.
        held: bytes of all requests that are being read, wait or are worked on.
        pixels: of all pictures of one request.
        running: requests that are worked on at once; each uses all cores in its convolutions.
        waiting: requests that wait for their turn.
        seconds: from the last byte of a request to its answer.
        reading: seconds from the first to the last byte of a request.
    """

    body: int = 64 << 20
    held: int = 512 << 20
    pixels: int = 1 << 26
    running: int = max(1, min(4, cores()))
    waiting: int = 64
    seconds: float = 120.0
    reading: float = 30.0

    def count_pixels(self, inputs: Mapping[str, NDArray]) -> int:
        """Count the pixels of a request: of arrays by their shape, of picture files by what their headers declare.

        Raises:
            ServingError: they are more than a request may have, or a file says no size.
        """
        pixels = 0
        for name, value in inputs.items():
            files = name == FILES and value.dtype.kind in "OS"
            pixels += sum(map(declared, range(value.size), value.flat)) if files else math.prod(value.shape[:3])
        self.check(pixels)
        return pixels

    def check(self, pixels: int) -> None:
        """Raise ServingError where a request has too many pixels."""
        if pixels > self.pixels:
            raise too_large(f"A request may have {self.pixels:,} pixels; this one has {pixels:,}. Send a part of it.")


def check_answer(size: int) -> None:
    """Raise ServingError where an answer would have more bytes than a message holds."""
    if size > ANSWER:
        raise too_large(f"An answer may have {ANSWER:,} bytes; this one would have {size:,}. Send a smaller picture.")


def declared(number: int, content: bytes, formats: str = "PNG, JPEG or BMP") -> int:
    """Pixels that the header of a picture file declares; nothing is decoded.

    Args:
        number: of the file in its request.
        content: its bytes.
        formats: what else would do, in words.

    Raises:
        ServingError: it is of none of `READERS`.
    """
    for begin, reader in READERS:
        if content.startswith(begin):
            try:
                with reader(io.BytesIO(content)) as picture:
                    return picture.width * picture.height
            except Exception:  # Pillow's readers raise whatever they meet in a file that is none
                break
    raise invalid(f"{FILES}[{number}] is not a complete {formats} picture.")
