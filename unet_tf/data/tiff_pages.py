"""The directories of a TIFF file: what its pages declare, checked against the length of the file before all else."""

from __future__ import annotations

import functools
import math
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.structure import TURNS, Damage, Unread

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value of each type of tag."""
DTYPES = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
RATIO = {1: 1, 2: 1000, 3: 30_000, 4: 30_000, 5: 3000, 7: 2000, 8: 1100, 32773: 64, 32946: 1100}
"""Bytes that a byte can hold at most in each compression, rounded up; 100,000 in any other."""


WHOLE = {"u": (8, 16, 32, 64), "i": (8, 16, 32, 64), "f": (16, 32, 64), "c": (64, 128)}
"""Bits of numbers that NumPy has."""


PADDING = 16
"""Bytes that a writer may put after a strip or tile, so that the next one begins at a round number."""


class Tag(IntEnum):
    """Tags that say how pixels lie and what they mean; all others are left alone, damaged or not."""

    NEW_SUBFILE, SUBFILE, WIDTH, LENGTH, BITS, COMPRESSION = 254, 255, 256, 257, 258, 259
    PHOTOMETRIC, FILL_ORDER = 262, 266
    DESCRIPTION, STRIPS, ORIENTATION, SAMPLES, ROWS, STRIP_BYTES, PLANAR = 270, 273, 274, 277, 278, 279, 284
    FAX3, FAX4, PREDICTOR, TABLE, TILE_WIDTH, TILE_LENGTH, TILES, TILE_BYTES = 292, 293, 317, 320, 322, 323, 324, 325
    SUB_DIRECTORIES, INK_SET, EXTRA_SAMPLES, FORMAT, JPEG_TABLES, NODATA = 330, 332, 338, 339, 347, 42113
    GDAL_METADATA, IMAGEJ_LENGTHS, IMAGEJ = 42112, 50838, 50839
    YCBCR_FACTORS, YCBCR_SUBSAMPLING, YCBCR_REFERENCE, DEPTH, METAMORPH = 529, 530, 532, 32997, 33629


KNOWN = frozenset(Tag)
BYTES = (Tag.DESCRIPTION, Tag.JPEG_TABLES, Tag.NODATA, Tag.GDAL_METADATA, Tag.IMAGEJ, Tag.METAMORPH)
TELLING = re.compile(rb'ImageJ=|SCIFIO=|\{"shape":|.{,1990}[<:]OME', re.DOTALL)
"""How a description begins that tells what the pages are."""
RATIONAL = (Tag.YCBCR_FACTORS, Tag.YCBCR_REFERENCE)
SEGMENTS = (Tag.TILES, Tag.STRIPS), (Tag.TILE_BYTES, Tag.STRIP_BYTES)
Tags = dict[int, NDArray]


@dataclass(frozen=True)
class TiffPage:
    """A directory of a TIFF file: how the pixels of one picture lie, and what they mean.

    Attributes:
        tags: values of the tags in `Tag` that the file has.
        order: byte order of the file, "<" or ">".
        height: rows of pixels as stored.
        width: columns of pixels as stored.
        samples: numbers that a pixel has.
        bits: of a sample.
        kind: "u" unsigned, "i" signed, "f" float, "c" complex.
        segment: rows and columns of a strip or tile.
        tiled: whether segments are tiles, each of the full size.
        planar: whether each sample has segments of its own.
        offsets: (N,) where the segments begin.
        counts: (N,) their lengths in bytes.
    """

    tags: Tags
    order: str
    height: int
    width: int
    samples: int
    bits: int
    kind: str
    segment: tuple[int, int]
    tiled: bool
    planar: bool
    offsets: NDArray
    counts: NDArray

    def number(self, tag: Tag, default: int) -> int:
        """The first value of a tag."""
        return _number(self.tags, tag, default)

    @property
    def compression(self) -> int:
        """The tag Compression; 1 is none."""
        return self.number(Tag.COMPRESSION, 1)

    @property
    def orientation(self) -> int:
        """The tag Orientation, 1 to 8; any other number turns nothing, as 1 does."""
        said = self.number(Tag.ORIENTATION, 1)
        return said if said in TURNS else 1

    @property
    def description(self) -> str:
        """The tag ImageDescription, in which programs keep what TIFF has no tag for."""
        return self.text(Tag.DESCRIPTION)

    @property
    def nodata(self) -> tuple[float, ...]:
        """The value that stands for "no measurement", which GDAL keeps as text in a tag of its own.

        Some programs write it once for each band, with a comma, or NaN as Windows did: "1.#QNAN", "-1.#IND".
        """
        words = {*self.text(Tag.NODATA).lower().replace(",", ".").split()}
        text = words.pop() if len(words) == 1 else ""
        try:
            return (float(re.sub(r"1\.#(inf)?\w*", lambda found: found[1] or "nan", text)),)
        except ValueError:
            return ()

    def text(self, tag: Tag) -> str:
        """The text of a tag, "" where there is none."""
        return self.tags.get(tag, np.zeros(0, np.uint8)).tobytes().rstrip(b"\0").decode("utf-8", "replace")

    @property
    def photometric(self) -> int:
        """The tag PhotometricInterpretation, the colour space."""
        return self.number(Tag.PHOTOMETRIC, 1)

    @property
    def accessory(self) -> bool:
        """Whether the page is a smaller version of another one, or says what is transparent in it."""
        return bool(self.number(Tag.NEW_SUBFILE, 0) & 5) or self.number(Tag.SUBFILE, 1) == 2

    @property
    def grid(self) -> tuple[int, int]:
        """Strips or tiles below and beside each other."""
        return math.ceil(self.height / self.segment[0]), math.ceil(self.width / self.segment[1])

    @functools.cached_property
    def contiguous(self) -> bool:
        """Whether pixels lie in the file as in an array: of whole bytes, not compressed, strip after strip."""
        if self.compression != 1 or self.tiled or self.number(Tag.FILL_ORDER, 1) != 1:
            return False
        if self.bits not in WHOLE[self.kind]:
            return False
        last = self.height - (self.grid[0] - 1) * self.segment[0]
        strips = [self.segment_bytes(self.segment[0])] * (self.grid[0] - 1) + [self.segment_bytes(last)]
        lengths = np.array(strips * (self.samples if self.planar else 1), np.uint64)
        return bool((self.counts == lengths).all() and (np.diff(self.offsets) == lengths[:-1]).all())

    def segment_bytes(self, rows: int) -> int:
        """Bytes of a strip or tile of so many rows, without compression; each row begins at a byte."""
        return rows * math.ceil(self.segment[1] * (1 if self.planar else self.samples) * self.bits / 8)


def read_pages(file: BinaryIO, size: int) -> list[TiffPage]:
    """Parse all directories of a TIFF or BigTIFF file, in the order of the file.

    Args:
        file: open for reading.
        size: its length in bytes.

    Raises:
        Damage: directories, values or pixels lie beyond the end of the file, directories overlap or lead in a circle,
            or the file cannot hold the pixels that it declares.
        Unread: a page is of a kind that is not read.

    Reference:
        TIFF Revision 6.0, section 2.
    """
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    if len(head) < (16 if big else 8) or (big and head[4:8] != struct.pack(order + "HH", 8, 0)):
        raise Damage("its header is not that of a TIFF file")
    counter, entry, link = (order + form for form in (("Q", "HHQ8s", "Q") if big else ("H", "HHI4s", "I")))
    at = int(struct.unpack(link, head[8:16] if big else head[4:8])[0])
    pages: list[TiffPage] = []
    left = size  # directories do not overlap, so that together they are no longer than the file
    while at:
        count = struct.unpack(counter, _read(file, at, struct.calcsize(counter), size))[0]
        length = count * struct.calcsize(entry)
        left -= length
        if not count or left < 0:
            raise Damage(f"directory {len(pages)} has {count} entries, or leads back to an earlier one")
        block = _read(file, at + struct.calcsize(counter), length + struct.calcsize(link), size)
        pages.append(_page(_values(file, size, order, struct.iter_unpack(entry, block[:length])), order, size))
        at = struct.unpack(link, block[length:])[0]
    if not pages:
        raise Damage("it has no directory")
    return pages


def _read(file: BinaryIO, at: int, length: int, size: int) -> bytes:
    if at + length > size:
        raise Damage(f"{length} bytes at {at} are beyond its end")
    file.seek(at)
    return file.read(length)


def _values(file: BinaryIO, size: int, order: str, entries: Iterable[tuple]) -> Tags:
    tags: Tags = {}
    for tag, kind, count, inline in entries:
        if tag not in KNOWN or not count:
            continue
        if tag == Tag.SUB_DIRECTORIES:  # what is below is not read, so that it may be damaged
            tags[tag] = np.frombuffer(inline, np.uint8)
            continue
        if kind not in SIZES:
            raise Damage(f"its tag {tag} is of type {kind}")
        if tag in tags and tag != Tag.DESCRIPTION:
            raise Damage(f"its tag {tag} stands twice in a directory")
        if tag in tags and TELLING.match(tags[tag].tobytes()):  # Micro-Manager adds ImageJ's to that of OME
            continue
        length = count * SIZES[kind]
        if length <= len(inline):
            data = inline[:length]
        else:  # the value is where the inline bytes point
            data = _read(file, struct.unpack(order + ("I" if len(inline) == 4 else "Q"), inline)[0], length, size)
        if tag in tags and not data.startswith(b'{"shape":'):  # that of tifffile counts behind a person's words
            continue
        if tag in BYTES:
            tags[tag] = np.frombuffer(data, np.uint8)
        elif kind in DTYPES:
            tags[tag] = np.frombuffer(data, order + DTYPES[kind])
        elif kind in (5, 10) and tag in RATIONAL:  # a numerator and a denominator
            parts = np.frombuffer(data, order + ("u4" if kind == 5 else "i4")).reshape(-1, 2).astype(float)
            tags[tag] = parts[:, 0] / np.where(parts[:, 1] == 0, 1, parts[:, 1])
        else:
            raise Damage(f"its tag {tag} holds numbers of type {kind}")
    return tags


def _number(tags: Tags, tag: Tag, default: int) -> int:
    if tag not in tags:
        return default
    if len(tags[tag]) > 1:
        raise Damage(f"its tag {tag} has {len(tags[tag])} values")
    return int(tags[tag][0])


def _page(tags: Tags, order: str, size: int) -> TiffPage:
    if _number(tags, Tag.DEPTH, 1) > 1 or len(tags.get(Tag.METAMORPH, ())) // 8 > 1:  # a fraction for each plane
        raise Unread("is a volume in one page. Save its planes as pages of TIFF, or as zarr")
    height, width, samples = _number(tags, Tag.LENGTH, 0), _number(tags, Tag.WIDTH, 0), _number(tags, Tag.SAMPLES, 1)
    bits, kind = (set(map(int, tags.get(tag, np.ones(1)))) for tag in (Tag.BITS, Tag.FORMAT))
    if len(bits) > 1 or len(kind) > 1:
        raise Unread("has samples of different types. Save it with samples of one type")
    if height < 1 or width < 1 or samples < 1 or not bits <= {*range(1, 129)} or not kind <= {1, 2, 3, 4, 5, 6}:
        raise Damage(f"it declares {height}x{width} px of {samples} samples of {bits} bits, format {kind}")
    tiled = Tag.TILE_WIDTH in tags
    rows = _number(tags, Tag.TILE_LENGTH, 0) if tiled else min(_number(tags, Tag.ROWS, height), height)
    columns = _number(tags, Tag.TILE_WIDTH, 0) if tiled else width
    if rows < 1 or columns < 1:
        raise Damage(f"its strips or tiles have {rows}x{columns} px")
    places, lengths = (new if new in tags else old for new, old in SEGMENTS)
    offsets, counts = (tags.get(tag, np.zeros(0)).astype(np.uint64) for tag in (places, lengths))
    planar = _number(tags, Tag.PLANAR, 1) == 2 and samples > 1
    sizes = height, width, samples, bits.pop(), " uifucc"[kind.pop()], (rows, columns)
    return _checked(TiffPage(tags, order, *sizes, tiled, planar, offsets, counts), size)


def _checked(page: TiffPage, size: int) -> TiffPage:
    """The page, if its segments are as many as its pixels take, lie within the file, and can hold the pixels."""
    values = max(page.height * page.width * page.samples, page.segment[0] * page.segment[1])
    if values * page.bits // 8 > RATIO.get(page.compression, 100_000) * size:
        shape = f"{page.height}x{page.width} px of {page.samples} samples, strips or tiles of {page.segment}"
        raise Damage(f"it declares {shape}, in {size} bytes, which cannot hold them")
    needed = math.prod(page.grid) * (page.samples if page.planar else 1)
    counts = page.counts
    if not len(counts) and page.compression == 1:  # old writers leave the lengths out
        last = page.height - (page.grid[0] - 1) * page.segment[0]
        counts = np.array([page.segment_bytes(page.segment[0])] * (needed - 1) + [page.segment_bytes(last)], np.uint64)
    if min(len(page.offsets), len(counts)) < needed:
        raise Damage(f"it takes {needed} strips or tiles, and lists {len(page.offsets)} places, {len(counts)} lengths")
    offsets, counts = page.offsets[:needed], counts[:needed]
    if not counts.all():
        empty = np.count_nonzero(counts == 0)
        raise Unread(f"has {empty} of {needed} strips or tiles without a byte (sparse, or damaged). Save it whole")
    if Tag.COMPRESSION not in page.tags:
        raise Damage("it does not say how it is compressed")
    if page.compression == 1 and counts.max() > page.segment_bytes(page.segment[0]) + PADDING:
        raise Damage(f"a strip or tile of {page.segment} px has {counts.max()} bytes without compression")
    if (offsets > size).any() or (counts > size - offsets).any():
        raise Damage("strips or tiles are beyond its end")
    return replace(page, offsets=offsets, counts=counts)
