"""TIFF files, single pictures and stacks, parsed once and read by page or by window."""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.decode import beyond_memory
from unet_tf.data.structure import TURNS, Damage, Unread, turned
from unet_tf.data.tiff_axes import Pages, pictures_of
from unet_tf.data.tiff_colours import TABLE, alpha_samples, nodata_shown, shown, table_of
from unet_tf.data.tiff_names import channel_names
from unet_tf.data.tiff_pages import read_pages
from unet_tf.data.tiff_segments import JPEG, read_window
from unet_tf.errors import InputError
from unet_tf.pages.words import many
from unet_tf.utils.extras import import_extra

FRESH = 100_000_000
"""Nanoseconds within which two changes of a file may bear one time."""


def is_tiff(data: bytes) -> bool:
    """Whether a file begins like TIFF or BigTIFF."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def import_tifffile(path: Path) -> Any:
    """The package tifffile, which writes TIFF files, and which the edge does without.

    Raises:
        InputError: it is missing, and this file takes it.
    """
    return import_extra(f"{path} is written by the package tifffile: pip install tifffile.", "tifffile", path)


@contextmanager
def directories(path: Path) -> Iterator[Any]:
    """A TIFF file opened by tifffile, which is silent about tags that it cannot read: what counts we read ourselves."""
    tifffile = import_tifffile(path)
    log, own = logging.getLogger("tifffile"), threading.get_ident()

    def is_of_others(record: logging.LogRecord) -> bool:
        return record.thread != own

    log.addFilter(is_of_others)
    try:
        with tifffile.TiffFile(path) as file:
            yield file
    finally:
        log.removeFilter(is_of_others)


def first_picture(file: Any) -> Any:
    """The first page by tifffile that is neither a smaller version of another one nor a mask, if there is one."""
    return next((page for page in file.pages if not page.subfiletype & 5), file.pages[0])


@dataclass(frozen=True)
class TiffPictures:
    """The pictures of a TIFF file, whose directories are parsed once; pixels are read when they are asked for.

    Nothing stays open, so that threads and processes may share it.

    Attributes:
        path: of the file.
        state: modification time in ns, size and inode of the file that was parsed.
        pages: for each picture its page, or the pages that are its channels.
        axes: names and sizes of the axes that count pictures, slowest first.
    """

    path: Path
    state: tuple[int, int, int]
    pages: Pages
    axes: tuple[tuple[str, int], ...]

    def __len__(self) -> int:
        """How many pictures there are."""
        return len(self.pages)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of each picture, as it is shown."""
        first = self.pages[0][0]
        return (first.width, first.height) if "t" in self._turns else (first.height, first.width)

    @property
    def in_windows(self) -> bool:
        """Whether a small window costs little: pages have tiles, or are not compressed."""
        return all(page.tiled or page.compression == 1 for pages in self.pages for page in pages)

    @property
    def lossy(self) -> bool:
        """Whether the compression changes values; of those that are read, JPEG alone does."""
        return any(page.compression == JPEG for pages in self.pages for page in pages)

    @property
    def nodata(self) -> tuple[float, ...]:
        """The value that the file itself names as "no measurement", as it is shown; none if colours do not tell it."""
        return nodata_shown(self.pages[0][0]) if len(self.pages[0]) == 1 else self.nodata_ids

    @property
    def nodata_ids(self) -> tuple[float, ...]:
        """The same as it is stored; of a colour table none that is no index: GDAL names -9999 for bytes too."""
        page = self.pages[0][0]
        return tuple(one for one in page.nodata if page.photometric != TABLE or one in range(1 << page.bits))

    def channel_names(self, channels: int) -> tuple[str, ...]:
        """The names of so many channels of each picture, "" for one that the file does not name."""
        return channel_names(self.pages[0][0], channels)

    @property
    def _turns(self) -> str:
        return TURNS.get(self.pages[0][0].orientation, "")

    def read(self, number: int, ids: bool = False) -> NDArray:
        """Decode a picture.

        Args:
            number: of the picture, from 0; slowest axis first.
            ids: give the stored numbers (indices of a colour table, grey below 8 bits) and not what they show.

        Returns:
            (H, W) or (H, W, C) of the type of the file, turned as its orientation says. Grey is as it is stored, where
            "white is zero" too: programs that write masks so mean the high value.

        Raises:
            InputError: the picture is damaged, or of a kind that is not read.
        """
        height, width = self.size
        return self.window(number, slice(0, height), slice(0, width), ids)

    def table(self, number: int) -> NDArray[np.uint8] | None:
        """What the stored numbers of a picture show, as `table_of` says it; None of channels that are pages each."""
        own = self.pages[number]
        return table_of(own[0]) if len(own) == 1 else None

    def alpha(self, number: int) -> NDArray:
        """(H, W, K) the samples of a picture that are said to be alpha, as stored; K is 0 where there are none."""
        page = self.pages[number][0]
        if not (samples := alpha_samples(page)):
            return np.zeros((page.height, page.width, 0), np.uint8)
        with _named(self.path), self.path.open("rb") as file:
            return read_window(file, page, slice(0, page.height), slice(0, page.width))[..., samples]

    def window(self, number: int, rows: slice, columns: slice, ids: bool = False) -> NDArray:
        """Decode the rows and columns, from start to stop, of a picture, as `read` does the whole."""
        if number not in range(len(self)):
            raise InputError(f"{self.path} holds {many(len(self), 'picture')}; there is no page {number}.", self.path)
        height, width = self.size
        for step in reversed(self._turns):  # from what is shown back to what is stored
            if step == "h":
                columns = slice(width - columns.stop, width - columns.start)
            elif step == "v":
                rows = slice(height - rows.stop, height - rows.start)
            else:
                rows, columns, height, width = columns, rows, width, height
        with _named(self.path), self.path.open("rb") as file:
            if _state(file) != self.state:
                raise InputError(
                    f"{self.path} must stay as it is while it is read, and it was replaced. Read it again.", self.path
                )
            own = self.pages[number]  # what colours a channel among several is no part of its numbers
            parts = [shown(read_window(file, page, rows, columns), page, ids or len(own) > 1) for page in own]
        image = parts[0] if len(parts) == 1 else np.dstack(parts)
        return turned(image, self.pages[number][0].orientation)


def open_tiff(path: Path) -> TiffPictures:
    """Parse a TIFF file, or take what was parsed if it is one of the last files and did not change.

    Raises:
        InputError: the file is damaged, its pages differ in size, or it has a number of channels that no picture has.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}. Check the path and its permissions.", path
        ) from error
    state = found.st_mtime_ns, found.st_size, found.st_ino
    # a file that was just written may be written again within the same tick of the file system's clock
    fresh = abs(time.time_ns() - found.st_mtime_ns) < FRESH
    return _opened.__wrapped__(path, state) if fresh else _opened(path, state)


@functools.lru_cache(maxsize=16)
def _opened(path: Path, state: tuple[int, int, int]) -> TiffPictures:
    with _named(path), path.open("rb") as file:
        state = _state(file)
        return TiffPictures(path, state, *pictures_of(read_pages(file, state[1]), state[1]))


def _state(file: BinaryIO) -> tuple[int, int, int]:
    found = os.fstat(file.fileno())
    return found.st_mtime_ns, found.st_size, found.st_ino


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Whatever goes wrong with a file in the block names the file."""
    try:
        yield
    except InputError:
        raise
    except Unread as error:
        raise InputError(f"{path} {error}.", path) from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}. Check the path and its permissions.", path
        ) from error
    except MemoryError as error:
        raise beyond_memory(path, path.stat().st_size, error) from error
    except Damage as error:
        raise InputError(
            f"{path} ({path.stat().st_size} bytes) is not a complete TIFF picture: truncated, damaged or of another "
            f"type ({error}). Copy it again or remove it.",
            path,
        ) from error
