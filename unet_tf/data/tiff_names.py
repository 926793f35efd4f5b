"""Names of the channels of a TIFF file, as OME, ImageJ and GDAL write them."""

from __future__ import annotations

import html
import re
import struct

import numpy as np

from unet_tf.data.tiff_colours import kept_samples
from unet_tf.data.tiff_pages import Tag, TiffPage

LONGEST = 100
"""Characters of a name that are kept."""
LABELS = b"labl"
"""Type of ImageJ's metadata that holds a label for each plane."""
NUMBERED = re.compile(r"\b[czt]:\d+/\d+", re.IGNORECASE)
"""What ImageJ itself labels planes with: "c:1/2 z:3/9 - file", which names no channel."""


def channel_names(page: TiffPage, channels: int) -> tuple[str, ...]:
    """The names of so many channels, each "" where the file names none.

    Args:
        page: the first one of a file.
        channels: how many a picture has.
    """
    for found in (_of_ome(page), _of_gdal(page), _of_imagej(page, channels)):
        if len(found) == channels and any(found):
            return tuple(map(plain_name, found))
    return ("",) * channels


def plain_name(name: str) -> str:
    """A name with single blanks, without what cannot be seen, of `LONGEST` characters at most: as channels have it.

    Example:
        >>> plain_name("NIR  (842 nm) ")
        'NIR (842 nm)'
    """
    return "".join(letter for letter in " ".join(name.split()) if letter.isprintable())[:LONGEST]


def attributes(tag: str) -> dict[str, str]:
    """The attributes of an element of XML, in double or single quotes, as they are written.

    Example:
        >>> attributes("Pixels SizeC='2' SizeZ = '3'")
        {'SizeC': '2', 'SizeZ': '3'}
    """
    found = re.findall(r"""(?<![\w:])(\w+)\s*=\s*(?:"([^"]*)"|'([^']*)')""", tag)
    return {name: double or single for name, double, single in found}


def _of_ome(page: TiffPage) -> list[str]:
    """Names of the channels of an OME-TIFF file's first image."""
    if "<OME" not in page.description[:2000] and ":OME" not in page.description[:2000]:
        return []
    first = re.split(r"</(?:\w+:)?Image>", page.description, maxsplit=1)[0]
    tags = re.findall(r"<(?:\w+:)?Channel\b([^>]*)>", first)
    return [html.unescape(attributes(tag).get("Name", "")) for tag in tags]


def _of_gdal(page: TiffPage) -> list[str]:
    """Descriptions of the bands of a GeoTIFF file but for alpha, which GDAL keeps as XML in a tag of its own."""
    names = [""] * page.samples
    for head, text in re.findall(r"<Item\b([^>]*)>([^<]*)</Item>", page.text(Tag.GDAL_METADATA)):
        said = attributes(head)
        band = said.get("sample", "")
        if said.get("role", "").lower() == "description" and band.isdecimal() and int(band[:9]) < page.samples:
            names[int(band[:9])] = html.unescape(text)
    return [names[sample] for sample in kept_samples(page)]


def _of_imagej(page: TiffPage, channels: int) -> list[str]:
    """Labels of the channels of an ImageJ file, its fastest axis, where all planes of a channel have the same."""
    labels = _labels(page) if channels > 1 else []
    numbered = any(NUMBERED.search(label) for label in labels)
    alike = labels == labels[:channels] * (len(labels) // channels)
    return labels[:channels] if alike and not numbered and len({*labels}) == channels else []


def _labels(page: TiffPage) -> list[str]:
    """ImageJ's labels of all planes.

    The tag begins with "IJIJ", and a type and a number for each kind of entry; the lengths are in another tag.
    """
    lengths = [int(one) for one in page.tags.get(Tag.IMAGEJ_LENGTHS, np.zeros(0, int))]
    data = page.tags.get(Tag.IMAGEJ, np.zeros(0, np.uint8)).tobytes()
    if not lengths or lengths[0] < 12 or sum(lengths) > len(data) or data[:4] not in (b"IJIJ", b"JIJI"):
        return []
    order = ">" if data[:4] == b"IJIJ" else "<"
    at, number = lengths[0], 1
    for kind, count in struct.iter_unpack(order + "4sI", data[4 : 4 + (lengths[0] - 4) // 8 * 8]):
        own = lengths[number : number + count]
        if (kind if order == ">" else kind[::-1]) == LABELS:
            starts = np.cumsum([at, *own])[:-1].tolist()
            coding = "utf-16-be" if order == ">" else "utf-16-le"
            return [data[a : a + length].decode(coding, "replace") for a, length in zip(starts, own, strict=True)]
        at, number = at + sum(own), number + len(own)
    return []
