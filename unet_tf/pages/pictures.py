"""Pictures inside of a page: small, of bounded size, as data in the address of an image."""

from __future__ import annotations

import base64
import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 640
"""Most pixels of the longer side of a picture in a page."""
EXACT_BYTES = 120_000
"""Most bytes that a drawing may take without loss; a larger one is stored as a photograph is."""


class Picture(NamedTuple):
    """A picture for the attribute `src` of an image, with its size in pixels."""

    src: str
    width: int
    height: int


def photo(pixels: NDArray[np.uint8]) -> Picture:
    """Store what a camera saw, (H, W, 3) RGB: WebP with loss, shrunk to `SIDE`."""
    return _picture(_shrunk(Image.fromarray(pixels), Image.Resampling.LANCZOS), None)


def drawing(pixels: NDArray[np.uint8]) -> Picture:
    """Store areas of plain colours, (H, W, 3) RGB: WebP without loss, shrunk to `SIDE`, unless that takes too much."""
    small = _shrunk(Image.fromarray(pixels), Image.Resampling.NEAREST)
    exact = _webp(small, lossless=True)
    return _picture(small, exact if len(exact) <= EXACT_BYTES else None)


def _shrunk(picture: Image.Image, resampling: Image.Resampling) -> Image.Image:
    factor = min(1.0, SIDE / max(picture.size))
    width, height = (max(1, round(side * factor)) for side in picture.size)
    return picture if factor == 1 else picture.resize((width, height), resampling)


def _picture(picture: Image.Image, content: bytes | None) -> Picture:
    content = _webp(picture, quality=78) if content is None else content
    return Picture(f"data:image/webp;base64,{base64.b64encode(content).decode()}", *picture.size)


def _webp(picture: Image.Image, **options: int | bool) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="webp", method=4, **options)
    return buffer.getvalue()
