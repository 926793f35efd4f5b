"""TIFF files, single pictures and stacks, by the package tifffile."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.errors import InputError

PIXELS_PER_BYTE = 10_000
"""More than any format can pack: a header that declares more is damaged, and not worth its memory."""
WHITE_IS_ZERO, COLOUR_TABLE = 0, 3
"""Values of the tag PhotometricInterpretation."""


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


def is_tiff(data: bytes) -> bool:
    """Whether a file begins like TIFF or BigTIFF."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def count_planes(path: Path) -> int:
    """Pictures in a TIFF file: all axes but rows, columns and channels count them.

    Raises:
        InputError: the file is damaged, its pages differ in size, or it has a number of channels that no picture has.
    """
    with _series(path) as series:
        return math.prod(size for axis, size in _axes(path, series).items() if axis not in "YXSC")


def read_plane(path: Path, plane: int, colour_table: bool = True) -> NDArray:
    """Decode one picture of a TIFF file.

    Args:
        path: the file.
        plane: number of the picture, from 0, slowest axis first.
        colour_table: give the colours of a picture with a colour table, not its indices.

    Returns:
        (H, W) or (H, W, C), turned as its orientation says; values as stored, where "white is zero" too: programs that
        write masks so mean the high value.

    Raises:
        InputError: as `count_planes`; or there is no such picture.
    """
    with _series(path) as series:
        axes = _axes(path, series)
        planes = math.prod(size for axis, size in axes.items() if axis not in "YXSC")
        if plane not in range(planes):
            raise InputError(f"{path} holds {planes} pictures; there is no page {plane}.")
        if math.prod(series.shape) > PIXELS_PER_BYTE * path.stat().st_size:
            raise InputError(
                f"{path} declares {'x'.join(map(str, series.shape))} values in {path.stat().st_size} bytes, which "
                "cannot hold them: it is damaged. Copy it again or remove it."
            )
        frame = series.keyframe
        try:
            if len(series.pages) == planes and set(frame.axes) <= set("YXS"):
                image = _channels_last(series.pages[plane].asarray(), frame.axes)[0]
            else:
                image = _channels_last(series.asarray(), series.axes)[plane]
        except (ValueError, ImportError) as error:
            if isinstance(error, ValueError) and "imagecodecs" not in str(error):
                raise
            # OpenCV brings codecs that tifffile does not: LZW, JPEG. It turns the picture, and inverts "white is zero".
            image = _by_opencv(path, plane)
            return ~image if frame.photometric == WHITE_IS_ZERO and image.dtype.kind == "u" else image
        return _turned(image, frame, colour_table)


def import_tifffile(path: Path) -> Any:
    """The package tifffile, which the edge does without.

    Raises:
        InputError: it is missing, and this file takes it.
    """
    try:
        import tifffile
    except ImportError as error:
        raise InputError(f"{path} is a TIFF file, which takes the package tifffile: pip install tifffile.") from error
    return tifffile


@contextmanager
def _series(path: Path) -> Iterator[Any]:
    """The one series of pictures of a TIFF file; whatever goes wrong with it in the block names the file."""
    tifffile = import_tifffile(path)
    with _complaints() as complaints:
        try:
            with tifffile.TiffFile(path) as file:
                series = list(file.series)
                if complaints or not series:  # it goes on with the pages that it finds
                    raise ValueError(*complaints)
                if len(series) > 1:
                    shapes = " and ".join("x".join(map(str, one.shape)) for one in series[:3])
                    raise InputError(f"The pages of a stack have one size; {path} has {shapes}. Save each as a file.")
                yield series[0]
        except InputError:
            raise
        except Exception as error:  # tifffile raises whatever its parsers meet in a damaged file
            raise InputError(
                f"{path} ({path.stat().st_size} bytes) is not a complete TIFF picture: truncated, damaged or of another"
                f" type ({error}). Copy it again or remove it."
            ) from error


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what tifffile logs about errors in this thread, instead of printing it."""
    complaints: list[str] = []
    thread = threading.get_ident()

    def collect(record: logging.LogRecord) -> bool:
        if record.thread == thread and record.levelno >= logging.ERROR:
            complaints.append(record.getMessage())
        return record.thread != thread

    logger = logging.getLogger("tifffile")
    logger.addFilter(collect)
    try:
        yield complaints
    finally:
        logger.removeFilter(collect)


def _axes(path: Path, series: Any) -> dict[str, int]:
    """Letter -> size: Y rows, X columns, S samples and C channels of a picture; all others count pictures."""
    axes = dict(zip(series.axes, series.shape, strict=True))
    channels = axes.get("S", 1), axes.get("C", 1)
    if not {"Y", "X"} <= set(axes) or channels[0] > 4 or channels[1] not in (1, 3) or min(channels) > 1:
        raise InputError(
            f"A picture has rows, columns, and 1 or 3 channels; {path} has axes {series.axes} of "
            f"{'x'.join(map(str, series.shape))}. Save its channels as separate files, or as RGB."
        )
    return axes


def _channels_last(volume: NDArray, axes: str) -> NDArray:
    """(planes, H, W, C) of an array with these axes."""
    order = sorted(range(len(axes)), key=lambda i: "YXSC".find(axes[i]))
    volume = volume.transpose(order)
    others = sum(axis not in "YXSC" for axis in axes)
    height, width = volume.shape[others : others + 2]
    return volume.reshape(math.prod(volume.shape[:others]), height, width, -1)


def _turned(image: NDArray, frame: Any, colour_table: bool) -> NDArray:
    """Apply colour table and orientation; types that OpenCV does not have become the next larger."""
    if frame.photometric == COLOUR_TABLE and colour_table and frame.colormap is not None:
        image = (frame.colormap[:, image[..., 0]] >> 8).astype(np.uint8).transpose(1, 2, 0)
    if image.dtype.kind == "b":
        image = image.astype(np.uint8)
    if image.dtype == np.float16:
        image = image.astype(np.float32)
    turns = {2: "h", 3: "hv", 4: "v", 5: "t", 6: "th", 7: "thv", 8: "tv"}
    for step in turns.get(int(frame.tags.valueof("Orientation", 1)), ""):
        image = {"h": image[:, ::-1], "v": image[::-1], "t": image.swapaxes(0, 1)}[step]
    return image


def _by_opencv(path: Path, plane: int) -> NDArray:
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
    with quiet_opencv:
        images = cv2.imreadmulti(str(path), start=plane, count=1, flags=flags)[1]
    if not images:
        raise InputError(f"{path} is compressed in a way that cannot be read. Save it with deflate, LZW or without.")
    return images[0][..., ::-1] if images[0].ndim == 3 else images[0]
