"""Which pages of a TIFF file make which picture, by its directories and by what programs write into descriptions."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from unet_tf.data.structure import Unread
from unet_tf.data.tiff_colours import channels_refused, check_colour, check_count, kept_samples
from unet_tf.data.tiff_names import attributes
from unet_tf.data.tiff_pages import Tag, TiffPage
from unet_tf.data.tiff_segments import RGB
from unet_tf.pages.words import many

NARROWEST = 16
"""Largest size of a last axis without a name that may count channels, where it is shorter than the two before it."""
Pages = tuple[tuple[TiffPage, ...], ...]
Axes = tuple[tuple[str, int], ...]
Plane = tuple[int, int, int]
"""In OME's metadata: number of the image, of the plane whose channels make a picture, of the channel."""
SLICES = "ITZ"
"""Axes of tifffile's descriptions that no colours lie along: a sequence, time, depth."""


class Block(NamedTuple):
    """An element TiffData of OME's metadata: planes of an image that lie in directories which follow each other.

    Attributes:
        image: its number.
        first: number of the first plane among those of its image.
        directory: number of the first one.
        planes: how many there are.
    """

    image: int
    first: int
    directory: int
    planes: int


class Told(NamedTuple):
    """What a description tells of the planes of its file.

    Attributes:
        planes: how many there are.
        channels: how many of them make a picture.
        inner: planes between a channel of a picture and its next one: 1 where these follow each other.
        axes: names and sizes of the axes that count pictures, slowest first, where it tells.
        order: in which the pages come; empty where it is that of the file.
    """

    planes: int
    channels: int = 1
    inner: int = 1
    axes: Axes = ()
    order: tuple[int, ...] = ()


def pictures_of(pages: list[TiffPage], size: int) -> tuple[Pages, Axes]:
    """The page of each picture (its pages, where they are its channels), and the axes that count pictures.

    Args:
        pages: of a file, by `read_pages`; smaller versions and masks of transparency among them are left out.
        size: of the file in bytes.

    Raises:
        Unread: a description tells of more planes than there are, the pages differ, it is not plain which of them are
            channels, or there is a preview alone.
    """
    if all(page.accessory for page in pages) and any(Tag.SUB_DIRECTORIES in page.tags for page in pages):
        raise Unread(
            "holds a preview alone in its pages, and its picture in directories below them, which are not read: so do "
            "camera RAW and DNG. Develop it, and save it as TIFF of 8 or 16 bits"
        )
    kept = [number for number, page in enumerate(pages) if not page.accessory] or [*range(len(pages))]
    pages = [pages[number] for number in kept]
    shapes = list(dict.fromkeys((page.height, page.width, page.samples, page.bits, page.kind) for page in pages))
    if len(shapes) > 1:
        told = " and ".join(f"{h}x{w}x{samples} of {kind}{bits}" for h, w, samples, bits, kind in shapes[:3])
        raise Unread(f"has pages of {told}, and the pages of a stack must have one size and type. Save each as a file")
    if len(turns := sorted({page.orientation for page in pages})) > 1:
        raise Unread(
            f"has pages of the orientations {', '.join(map(str, turns))}, and the pages of a stack must be turned "
            "alike. Save each as a file"
        )
    first = pages[0]
    for page in pages:
        check_colour(page)
    if first.planar and first.photometric == RGB and first.samples == 4 and first.description.startswith('{"shape":'):
        # what tifffile makes by default of a stack of four pages
        raise channels_refused(4, "RGB and alpha one after the other, or four pages")
    planes, channels, inner, axes, order = _told(first, kept)
    if planes > len(pages):
        pages = _virtual(pages, planes, size)
    if channels < 1 or (channels > 1 and len(kept_samples(first)) > 1) or len(pages) % channels:
        raise channels_refused(channels * first.samples, f"an axis of {channels} channels, {len(pages)} pages")
    check_count(channels)
    if order:
        pages = [pages[at] for at in order]
        description = first.tags[Tag.DESCRIPTION]  # in which the names of the channels are
        pages[0] = replace(pages[0], tags={**pages[0].tags, Tag.DESCRIPTION: description})
    count = len(pages) // channels
    axes = tuple((name, length) for name, length in axes if length > 1)
    if math.prod(length for _, length in axes) != count or len(dict(axes)) < len(axes):
        axes = (("d0", count),) if count > 1 else ()
    if count % inner:
        raise channels_refused(channels, f"{inner} planes between them, {len(pages)} pages")
    firsts = (at // inner * inner * channels + at % inner for at in range(count))
    return tuple(tuple(pages[first : first + channels * inner : inner]) for first in firsts), axes


def _told(first: TiffPage, kept: Sequence[int]) -> Told:
    """What the description of the first page tells of those that are kept, by the numbers of their directories."""
    pages, description, samples = len(kept), first.description, first.samples
    if description.startswith("ImageJ="):
        found = {key: int(value) for key, value in re.findall(r"^(\w+)=(\d{1,9})\s*$", description, re.MULTILINE)}
        # the three samples of a pixel are told as channels too
        axes = ("t", found.get("frames", 1)), ("z", found.get("slices", 1))
        return Told(found.get("images", pages), found.get("channels", 1) if samples == 1 else 1, 1, axes)
    if description.startswith("SCIFIO="):
        return _told_by_scifio(description, pages, samples)
    if description.startswith('{"shape":'):
        return _told_by_tifffile(first, pages)
    if "<OME" in description[:2000] or ":OME" in description[:2000]:
        return _told_by_ome(description, kept, samples)
    return Told(pages)


def _told_by_scifio(description: str, pages: int, samples: int) -> Told:
    """Channels among pages of ImageJ2, which lists all axes, fastest first: axes=X,Y,Channel,Z and lengths=6,5,2,3."""
    found = dict(re.findall(r"^(axes|lengths)=(.*?)\s*$", description, re.MULTILINE))
    names, lengths = (found.get(key, "").split(",") for key in ("axes", "lengths"))
    outer = [(name, _natural(size)) for name, size in zip(names, lengths, strict=False) if name not in ("X", "Y")]
    channels = dict(outer).get("Channel", 1)
    if samples > 1 or pages == 1 or channels < 2:
        return Told(pages)
    if (planes := math.prod(size for _, size in outer)) != pages:
        raise channels_refused(channels, f"and {planes} planes in ImageJ2's description, {pages} pages")
    inner = math.prod(size for _, size in outer[: outer.index(("Channel", channels))])
    axes = [("t" if name == "Time" else name.lower(), size) for name, size in reversed(outer) if name != "Channel"]
    return Told(pages, channels, inner, tuple(axes))


def _told_by_tifffile(first: TiffPage, pages: int) -> Told:
    samples = first.samples
    try:
        told = json.loads(first.description)
        shape, axes = [int(size) for size in told["shape"]], str(told.get("axes", ""))
    except (ValueError, TypeError, KeyError, OverflowError):
        return Told(pages)  # somebody else's
    at = -3 if first.planar else -1
    if first.photometric == RGB and len(axes) == len(shape) > 2 and shape[at] == samples and axes[at] in SLICES:
        # what tifffile makes by default of a stack of three
        raise channels_refused(samples, f"RGB by its tags, and an axis {axes[at]} by its description")
    outer = max(0, len(shape) - (3 if samples > 1 else 2))  # axes that pages are counted along
    planes = math.prod(shape[:outer]) if told.get("truncated") else pages
    if math.prod(shape[:outer]) == planes:
        _check_last(shape, axes, outer)
    if len(axes) == len(shape) and axes[:outer].count("C") == 1:
        at = axes.index("C")
        left = tuple((axes[i].lower(), shape[i]) for i in range(outer) if i != at)
        return Told(planes, shape[at], max(1, math.prod(shape[at + 1 : outer])), left)
    named = len(axes) == len(shape) == len(set(axes))
    names = [axes[i].lower() if named else f"d{i}" for i in range(outer)]
    return Told(planes, axes=tuple(zip(names, shape[:outer], strict=True)))


def _check_last(shape: list[int], axes: str, outer: int) -> None:
    """Refuse arrays of which tifffile wrote each row as a page, as it does where the channels are their last axis."""
    told = len(axes) == len(shape) and {*axes[:outer]} & {*"YX"}
    guessed = not axes and len(shape) == outer + 2 > 2 and 1 < shape[-1] <= NARROWEST
    if told or (guessed and shape[-1] < min(shape[-3:-1])):
        how = f"the last axis of {'x'.join(map(str, shape))}{f', {axes},' if told else ''} of which each row is a page"
        raise channels_refused(shape[-1], how)


def _told_by_ome(description: str, kept: Sequence[int], samples: int) -> Told:
    """Channels among the pages of this file in OME's metadata, which may tell of the other files of a set too."""
    pages = len(kept)
    heads = re.findall(r"<(?:\w+:)?Pixels\b[^>]*>", description)  # one an image, such as a position of the stage
    if samples > 1 or pages == 1:
        return Told(pages)
    if not heads and re.search(r"<(?:\w+:)?BinaryOnly\b", description):
        raise Unread(
            f"has {pages} pages, and another file of OME's metadata (.companion.ome) tells which are channels. Save it "
            "as one OME-TIFF file"
        )
    if not heads:
        return Told(pages)
    sizes = [_sizes(attributes(head)) for head in heads]
    planes = _planes(description, sizes, kept)
    if planes is None or (len({image for image, _, _ in planes}) > 1 and len({*sizes}) > 1):
        counts = [dict(one) for one in sizes]
        if all(one["C"] == 1 for one in counts):
            return Told(pages)
        each = " and ".join(dict.fromkeys(" ".join(f"{axis}={one[axis]}" for axis in "CZT") for one in counts))
        raise Unread(
            f"has {many(len(sizes), 'image')} of {each} planes in OME's metadata, and {pages} pages, of which it is "
            "not plain which are channels. Save each image as a file, with an element TiffData for each page"
        )
    pictures: dict[tuple[int, int], dict[int, int]] = defaultdict(dict)
    for page, (image, picture, channel) in enumerate(planes):
        pictures[image, picture][channel] = page
    channels = sorted({channel for there in pictures.values() for channel in there})
    if len(channels) * len(pictures) != pages:
        raise channels_refused(len(channels), f"and {pages} planes of {len(pictures)} pictures in OME's metadata")
    order = tuple(pictures[key][channel] for key in sorted(pictures) for channel in channels)
    axes = [(axis.lower(), size) for axis, size in reversed(sizes[planes[0][0]]) if axis != "C"]
    return Told(pages, len(channels), 1, (("p", len({image for image, _ in pictures})), *axes), order)


def _sizes(pixels: dict[str, str]) -> Axes:
    """The axes that count planes, and their sizes, of OME's element Pixels, fastest first."""
    order = dict.fromkeys(axis for axis in pixels.get("DimensionOrder", "") + "CZT" if axis in "CZT")
    return tuple((axis, _natural(pixels.get(f"Size{axis}", "")) or 1) for axis in order)


def _natural(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _planes(description: str, sizes: list[Axes], kept: Sequence[int]) -> list[Plane] | None:
    """The plane of each page by OME's metadata; by the order of the planes where no block tells otherwise.

    Args:
        description: the metadata.
        sizes: of the axes of each image.
        kept: numbers of the directories of the pages; blocks count those of smaller versions too.

    Returns:
        None where blocks tell of some pages alone, or of several files, or of one plane in several pages.

    Reference:
        OME-TIFF specification, "The TiffData element".
    """
    root = re.search(r"<(?:\w+:)?OME\b[^>]*", description)
    own = attributes(root[0]).get("UUID") if root else None
    pages, at = len(kept), {number: page for page, number in enumerate(kept)}
    blocks: list[Block] = []
    for image, body in enumerate(re.split(r"<(?:\w+:)?Pixels\b[^>]*>", description)[1:]):
        for head, uuid in re.findall(r"<(?:\w+:)?TiffData\b([^>]*)>(?:\s*<(?:\w+:)?UUID\b[^>]*>([^<]*)<)?", body):
            if uuid and uuid.strip() != own:
                continue
            said = {name: _natural(value) for name, value in attributes(head).items()}
            first, step = 0, 1
            for axis, size in sizes[image]:
                first += said.get(f"First{axis}", 0) * step
                step *= size
            start = said.get("IFD", 0)
            count = said.get("PlaneCount", said.get("NumPlanes", 1 if "IFD" in said else pages))  # of 2007 and before
            blocks.append(Block(image, first, start, count))
    told: list[tuple[int, Plane]] = []
    for block in [] if _tell_nothing(blocks) else blocks:
        if (start := at.get(block.directory, pages)) < pages:
            stop = min(start + block.planes, pages)
            of_image = sizes[block.image]
            told += [(page, _plane(block.image, block.first + page - start, of_image)) for page in range(start, stop)]
    planes = dict(told)
    if len(told) == len(planes) == len({*planes.values()}) == pages:
        return [planes[page] for page in range(pages)]
    each = math.prod(size for _, size in sizes[0])
    if len({*sizes}) > 1 or pages not in (each, each * len(sizes)):
        return None
    assumed = [_plane(page // each, page % each, sizes[0]) for page in range(pages)]
    return assumed if all(assumed[page] == plane for page, plane in told) else None


def _tell_nothing(blocks: list[Block]) -> bool:
    """Whether blocks tell of first planes alone, several in each image, or all from the first directory on.

    Writers that leave FirstC, FirstZ and FirstT out, or count the directories of each image from 0, mean the order of
    the planes.
    """
    directories, times = [block.directory for block in blocks], Counter(block.image for block in blocks)
    if len(blocks) < 2 or any(block.first for block in blocks) or directories != sorted(directories):
        return False
    return not any(directories) or min(times.values()) > 1


def _plane(image: int, number: int, sizes: Axes) -> Plane:
    """A plane by its number among those of its image."""
    step = math.prod(size for _, size in sizes[: [axis for axis, _ in sizes].index("C")])
    channel = number // step % dict(sizes)["C"]
    return image, number - channel * step, channel


def _virtual(pages: list[TiffPage], planes: int, size: int) -> list[TiffPage]:
    """Pages for planes that follow each other in the file, of which the first alone has a directory."""
    first = pages[0]
    length = first.segment_bytes(1) * first.height * (first.samples if first.planar else 1)
    start = int(first.offsets[0])
    if len(pages) > 1 or first.compression != 1 or first.tiled or first.planar or start + planes * length > size:
        raise Unread(
            f"has {many(len(pages), 'page')}, and its description tells of {planes} planes: it is cut, or another "
            "program copied the description of a stack to some of its pages. Copy it again; if it is whole, take the "
            'description away: tifffile.tiffcomment(NAME, "")'
        )
    one = replace(first, segment=(first.height, first.width), counts=np.array([length], np.uint64))
    return [replace(one, offsets=np.array([start + number * length], np.uint64)) for number in range(planes)]
