"""Which pages of a TIFF file make which picture, by its directories and by what programs write into descriptions."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from unet_tf.data.structure import Damage, Unread
from unet_tf.data.tiff_colours import channels_refused, check_colour, check_count, kept_samples
from unet_tf.data.tiff_pages import Tag, TiffPage
from unet_tf.data.tiff_segments import RGB

Pages = tuple[tuple[TiffPage, ...], ...]
Axes = tuple[tuple[str, int], ...]


class Told(NamedTuple):
    """What a description tells of the planes of its file.

    Attributes:
        planes: how many there are.
        channels: how many of them make a picture.
        inner: planes between a channel of a picture and its next one: 1 where these follow each other.
        axes: names and sizes of the axes that count pictures, slowest first, where it tells.
    """

    planes: int
    channels: int = 1
    inner: int = 1
    axes: Axes = ()


def pictures_of(pages: list[TiffPage], size: int) -> tuple[Pages, Axes]:
    """The page of each picture (its pages, where they are its channels), and the axes that count pictures.

    Args:
        pages: of a file, by `read_pages`; smaller versions and masks of transparency among them are left out.
        size: of the file in bytes.

    Raises:
        Damage: a description tells of more planes than there are.
        Unread: the pages differ, or it is not plain which of them are channels.
    """
    pages = [page for page in pages if not page.accessory] or pages
    shapes = list(dict.fromkeys((page.height, page.width, page.samples, page.bits, page.kind) for page in pages))
    if len(shapes) > 1:
        told = " and ".join(f"{h}x{w}x{samples} of {kind}{bits}" for h, w, samples, bits, kind in shapes[:3])
        raise Unread(f"has pages of {told}, and the pages of a stack must have one size and type. Save each as a file")
    first = pages[0]
    planes_of_metamorph = len(first.tags.get(Tag.METAMORPH, ())) // 8  # a fraction each
    if first.number(Tag.DEPTH, 1) > 1 or planes_of_metamorph > 1:
        raise Unread("is a volume in one page. Save its planes as pages of TIFF, or as zarr")
    for page in pages:
        check_colour(page)
    if first.planar and first.photometric == RGB and first.samples == 4 and first.description.startswith('{"shape":'):
        # what tifffile makes by default of a stack of four pages
        raise channels_refused(4, "RGB and alpha one after the other, or four pages")
    planes, channels, inner, axes = _told(first.description, len(pages), first.samples)
    if planes > len(pages) == 1:
        pages = _virtual(first, planes, size)
    elif planes > len(pages):
        raise Damage(f"its description tells of {planes} planes, and it has {len(pages)}")
    if channels < 1 or (channels > 1 and len(kept_samples(first)) > 1) or len(pages) % channels:
        raise channels_refused(channels * first.samples, f"an axis of {channels} channels, {len(pages)} pages")
    check_count(channels)
    count = len(pages) // channels
    axes = tuple((name, length) for name, length in axes if length > 1)
    if math.prod(length for _, length in axes) != count or len(dict(axes)) < len(axes):
        axes = (("d0", count),) if count > 1 else ()
    if count % inner:
        raise channels_refused(channels, f"{inner} planes between them, {len(pages)} pages")
    firsts = (at // inner * inner * channels + at % inner for at in range(count))
    return tuple(tuple(pages[first : first + channels * inner : inner]) for first in firsts), axes


def _told(description: str, pages: int, samples: int) -> Told:
    if description.startswith("ImageJ="):
        found = {key: int(value) for key, value in re.findall(r"^(\w+)=(\d{1,9})\s*$", description, re.MULTILINE)}
        # the three samples of a pixel are told as channels too
        axes = ("t", found.get("frames", 1)), ("z", found.get("slices", 1))
        return Told(found.get("images", pages), found.get("channels", 1) if samples == 1 else 1, 1, axes)
    if description.startswith('{"shape":'):
        return _told_by_tifffile(description, pages, samples)
    if "<OME" in description[:2000] or ":OME" in description[:2000]:
        return _told_by_ome(description, pages, samples)
    return Told(pages)


def _told_by_tifffile(description: str, pages: int, samples: int) -> Told:
    try:
        told = json.loads(description)
        shape, axes = [int(size) for size in told["shape"]], str(told.get("axes", ""))
    except (ValueError, TypeError, KeyError, OverflowError):
        return Told(pages)  # somebody else's
    outer = max(0, len(shape) - (3 if samples > 1 else 2))  # axes that pages are counted along
    planes = math.prod(shape[:outer]) if told.get("truncated") else pages
    if len(axes) == len(shape) and axes[:outer].count("C") == 1:
        at = axes.index("C")
        left = tuple((axes[i].lower(), shape[i]) for i in range(outer) if i != at)
        return Told(planes, shape[at], max(1, math.prod(shape[at + 1 : outer])), left)
    named = len(axes) == len(shape) == len(set(axes))
    names = [axes[i].lower() if named else f"d{i}" for i in range(outer)]
    return Told(planes, axes=tuple(zip(names, shape[:outer], strict=True)))


def _told_by_ome(description: str, pages: int, samples: int) -> Told:
    """Channels among the pages of this file in OME's metadata, which may tell of the other files of a set too.

    Reference:
        OME-TIFF specification, "The TiffData element".
    """
    heads = re.findall(r"<(?:\w+:)?Pixels\b[^>]*>", description)  # one an image, such as a position of the stage
    if not heads or samples > 1:
        return Told(pages)
    images = [dict(re.findall(r'(\w+)="([^"]*)"', head)) for head in heads]
    told, sizes = images[0], _sizes(images[0])
    alike = all((_sizes(one), one.get("DimensionOrder")) == (sizes, told.get("DimensionOrder")) for one in images)
    positions = len(images) if alike and len(images) * math.prod(sizes.values()) == pages else 1
    if positions * math.prod(sizes.values()) == pages and sizes.get("C"):
        order = [axis for axis in told.get("DimensionOrder", "XYCZT") if axis in sizes]
        axes = ("p", positions), *((axis.lower(), sizes[axis]) for axis in reversed(order) if axis != "C")
        return Told(pages, sizes["C"], math.prod(sizes[axis] for axis in order[: order.index("C")]), axes)
    # a part of a set: the channels that this file holds of it
    own = re.search(r'<(?:\w+:)?OME\b[^>]*\bUUID="([^"]*)"', description)
    blocks = re.findall(r"<(?:\w+:)?TiffData\b([^>]*)>\s*<(?:\w+:)?UUID\b[^>]*>([^<]*)<", description)
    here = [head for head, uuid in blocks if own is not None and uuid.strip() == own.group(1)]
    held = {axis: {number for head in here for number in re.findall(rf'\bFirst{axis}="(\d+)"', head)} for axis in "CZT"}
    faster = told.get("DimensionOrder", "XYCZT").partition("C")[0]
    inner = math.prod(max(1, len(held[axis])) for axis in faster if axis in held)
    if len(images) > 1 and any(_sizes(one).get("C", 1) > 1 for one in images) and not (here and (alike or inner == 1)):
        each = " and ".join(dict.fromkeys(" ".join(f"{a}={n}" for a, n in _sizes(one).items()) for one in images))
        raise Unread(
            f"has {len(images)} images of {each} planes in OME's metadata, and {pages} pages, of which it is not plain "
            "which are channels. Save each image as a file"
        )
    if len(held["C"]) < 2:
        return Told(pages)
    a_block_each = len(here) == pages
    if pages > len(held["C"]) and faster != "XY" and not a_block_each:
        raise channels_refused(pages, f"of an OME set, {len(held['C'])} channels in {len(here)} blocks")
    return Told(pages, len(held["C"]), inner)


def _sizes(pixels: dict[str, str]) -> dict[str, int]:
    """The sizes of the axes that count planes, of OME's element Pixels."""
    return {axis: int(pixels[f"Size{axis}"]) for axis in "CZT" if pixels.get(f"Size{axis}", "").isdecimal()}


def _virtual(first: TiffPage, planes: int, size: int) -> list[TiffPage]:
    """Pages for planes that follow each other in the file, of which the first alone has a directory."""
    length = first.segment_bytes(1) * first.height * (first.samples if first.planar else 1)
    start = int(first.offsets[0])
    if first.compression != 1 or first.tiled or first.planar or start + planes * length > size:
        raise Damage(f"its description tells of {planes} planes, and it has one")
    one = replace(first, segment=(first.height, first.width), counts=np.array([length], np.uint64))
    return [replace(one, offsets=np.array([start + number * length], np.uint64)) for number in range(planes)]
