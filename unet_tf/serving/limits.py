"""What one request, and all of them together, may take; pixels are counted before a picture is decoded."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numpy.typing import NDArray
from PIL import Image

from unet_tf.serving.errors import invalid, too_large

FORMATS = ("PNG", "JPEG", "BMP")
"""Of picture files, as the signature `encoded` takes them."""


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
    running: int = max(1, min(4, os.cpu_count() or 1))
    waiting: int = 64
    seconds: float = 120.0
    reading: float = 30.0

    def count_pixels(self, inputs: Mapping[str, NDArray]) -> int:
        """Count the pixels of a request: of arrays by their shape, of picture files by what their headers declare.

        Raises:
            ServingError: they are more than a request may have, or a file says no size.
        """
        pixels = 0
        for value in inputs.values():
            files = value.dtype.kind in "OS"
            pixels += sum(map(declared, range(value.size), value.flat)) if files else math.prod(value.shape[:3])
        self.check(pixels)
        return pixels

    def check(self, pixels: int) -> None:
        """Raise ServingError where a request has too many pixels."""
        if pixels > self.pixels:
            raise too_large(f"A request may have {self.pixels:,} pixels; this one has {pixels:,}. Send a part of it.")


def declared(number: int, content: object, formats: Sequence[str] = FORMATS) -> int:
    """Pixels that the header of a picture file declares; nothing is decoded.

    Args:
        number: of the file in its request.
        content: its bytes.
        formats: that it may be of, as Pillow calls them.

    Raises:
        ServingError: it is of none of these formats.
    """
    try:
        with Image.open(io.BytesIO(content), formats=formats) as picture:  # type: ignore[arg-type]
            return picture.width * picture.height
    except Exception as error:  # Pillow's readers raise whatever they meet in a file that is none
        if isinstance(error, Image.DecompressionBombError):
            raise too_large(f"image_bytes[{number}] declares too many pixels: {error}") from error
        raise invalid(
            f"image_bytes[{number}] is not a complete {' or '.join([', '.join(formats[:-1]), formats[-1]])} picture."
        ) from error
