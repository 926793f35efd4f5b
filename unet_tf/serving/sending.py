"""A picture on its way to a server: a file as it is where the net takes it so, or else its pixels."""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unet_tf.data.channels import ALL, Channels
from unet_tf.data.nodata import nodata_of
from unet_tf.data.pictures import count_pages
from unet_tf.errors import InputError
from unet_tf.serving.transport import Metadata
from unet_tf.tiling import Picture, with_channels

FORMATS = ("PNG", "JPEG", "BMP")
"""Of picture files, as the signature `encoded` takes them."""
MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"BM")
"""What these begin with."""
DEPTH = 24
"""Byte of a PNG file that says the bits of a value."""


@dataclass(frozen=True)
class Given:
    """What somebody wants to have segmented.

    Attributes:
        name: what to call it in an error.
        content: of a picture file that might be sent as it is; None of other things.
        path: of a picture file; None of other things.
        image: (H, W, C) raw pixels; None of files.
        nodata: values of the image that stand for "no measurement".
        channels: how the channels of the net come from files.
    """

    name: str
    content: bytes | None = None
    path: Path | None = None
    image: Picture | None = None
    nodata: tuple[float, ...] = ()
    channels: Channels = ALL

    @classmethod
    def of(cls, picture: str | Path | bytes | Picture, channels: Channels) -> Given:
        """Take a path, the bytes of a file, or an array.

        Raises:
            InputError: the file cannot be read, or is one of several that make a picture; the array is no image.
        """
        if isinstance(picture, bytes | bytearray | memoryview):
            if channels.suffixes:
                raise InputError(
                    f"The channels of a picture are files that end in {', '.join(channels.suffixes)}; received bytes "
                    "of one. Give the path of one of them."
                )
            return cls("the picture", bytes(picture), channels=channels)
        if not isinstance(picture, str | Path):
            return cls("the image", image=with_channels(picture))
        path = Path(picture)
        if not channels.plain:
            return cls(str(path), path=path, channels=channels)
        try:
            with path.open("rb") as file:
                head = file.read(4)  # a TIFF may be larger than the memory
                content = head + file.read() if head.startswith(MAGIC) else None
            return cls(str(path), content, path, channels=channels)
        except OSError as error:
            raise InputError(
                f"{path} cannot be read: {error.strerror}. Check the path and its permissions.", path
            ) from error

    def as_file(self, metadata: Metadata) -> int:
        """Count the pixels of a file that the net takes as it is; 0 where it takes none, or where this is none."""
        content = self.content
        if content is None or not metadata.takes_files or not self.channels.plain:
            return 0
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow warns of many pixels, which are counted here
                with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
                    pixels, kind = picture.width * picture.height, picture.format
        except Exception:  # Pillow's readers raise whatever they meet; our own say what is wrong
            return 0
        deep = kind == "PNG" and content[DEPTH] == 16
        return pixels if deep == (metadata.pixel_type == "uint16") else 0

    def read(self) -> tuple[Picture, tuple[float, ...]]:
        """Give the pixels, (H, W, C), and the values of a file that stand for "no measurement".

        Raises:
            InputError: the file cannot be read, or holds several pictures.
        """
        if self.image is not None:
            return self.image, self.nodata
        if self.path is not None:
            return self._read(self.path)
        with tempfile.TemporaryDirectory(prefix="unet_tf-") as folder:
            file = Path(folder, "picture")
            file.write_bytes(self.content or b"")
            try:
                return self._read(file)
            except InputError as error:
                raise InputError(str(error).replace(str(file), "The picture")) from None

    def _read(self, path: Path) -> tuple[Picture, tuple[float, ...]]:
        files = self.channels.files(path)
        if (pages := count_pages(files[0])) > 1:
            read = "unet_tf.read_image(path, page)"
            if not self.channels.plain:
                read = "client.channels.read(client.channels.files(path), page).image"
            raise InputError(
                f"One picture must be given; {path} holds {pages}. Give its pages one by one: {read}.",
                path,
            )
        image, _, declared = self.channels.read(files)
        return image, nodata_of(image, declared)


def as_png(image: NDArray) -> bytes:
    """Encode (H, W, 1) grey or (H, W, 3) RGB of 8 or 16 bits, quickly."""
    own = np.ascontiguousarray(image[..., ::-1], image.dtype.newbyteorder("="))  # OpenCV looks at no order of bytes
    done, found = cv2.imencode(".png", own, (cv2.IMWRITE_PNG_COMPRESSION, 1))
    if not done:
        raise InputError(f"{image.dtype} {image.shape} cannot be encoded as PNG.")
    return found.tobytes()


def of_png(content: bytes, url: str) -> NDArray[np.uint8]:
    """Decode a mask, (H, W) class ids.

    Raises:
        InputError: it is none.
    """
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
    if found is None or found.ndim != 2 or found.dtype != np.uint8:
        raise InputError(f"{url} must answer with a mask as PNG; received {content[:20]!r}. Check what it serves.")
    return found.astype(np.uint8, copy=False)


def shaped(found: NDArray, shape: Sequence[int], dtype: type[np.generic], url: str) -> NDArray:
    """See that an answer is of the shape and type that were asked for.

    Raises:
        InputError: it is not.
    """
    if found.shape != tuple(shape) or found.dtype.kind not in "uif":
        raise InputError(
            f"{url} must answer with {tuple(shape)} numbers; received {found.shape} of {found.dtype}. Check what it "
            "serves."
        )
    return found.astype(dtype, copy=False)
