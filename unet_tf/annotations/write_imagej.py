"""Outlines as regions of interest of ImageJ and Fiji."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from unet_tf.annotations.outlines import Rings
from unet_tf.annotations.shapes import Shape
from unet_tf.annotations.writing import DIGITS, Add, Picture, as_stored, numbered, planes_of
from unet_tf.utils.extras import import_extra
from unet_tf.utils.files import replacing

MOVE, LINE, CLOSE = 0, 1, 4
"""Commands of a composite's path."""
UNSAID = re.compile(r"[\x00-\x1f\ud800-\udfff\U00010000-\U0010ffff]")
"""What no name in the format can hold: ends of lines, and signs of more than 16 bits."""
NO_FILE = re.compile(r'[/\\:*?"<>|]')
"""What a file's name in the archive must not hold, too."""

COMMENT = b"unet-tf predict"
"""Of an archive that was written here: other programs leave it out."""


def import_roifile() -> Any:
    """The library that writes them.

    Raises:
        InputError: it is not installed.
    """
    needs = "Regions of interest of ImageJ need roifile: pip install 'unet-tf[annotations]'."
    return import_extra(needs, "roifile")


@contextmanager
def imagej_writer(path: Path, picture: Picture) -> Iterator[Add]:
    """Yield a function that appends the objects of a page; the archive is there, whole, when the block ends well.

    An object of one ring is a polygon, in whole pixels or between them; one with holes or several parts is a composite.
    Each is named by its number and class, "0012-cell", of a stack with the page (from 1) ahead, and lies on that page:
    where the file has pages for channels too, or counts along z and t, in all channels of its slice and frame.
    Class and mean probability are properties of it, its colour is that of the class, its group the class's number.
    Of a picture that its file turns they lie on the stored pixels, which ImageJ shows.

    Args:
        path: of the .zip file.
        picture: whose objects they are.

    Yields:
        The function.

    Raises:
        InputError: roifile is not installed.
    """
    roifile = import_roifile()
    planes = planes_of(picture)
    names = [name for name, _ in picture.axes]
    is_hyperstack = len(names) > 1 and {*names} <= {*"ctz"}
    groups = {name: number for number, name in enumerate(picture.colours, start=1)}
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment, page = COMMENT, 0

        def add(shapes: Sequence[Shape]) -> None:
            nonlocal page
            page += 1
            for number, shape in numbered(shapes):
                said = UNSAID.sub("_", shape.name)
                name = f"{number:04d}-{said}"
                roi = _region(roifile, as_stored(shape.rings, picture))
                if picture.pages > 1:
                    name = f"{page:04d}-{name}"
                    if is_hyperstack:
                        roi.z_position, roi.t_position = (place + 1 for place in planes[page - 1])
                    else:
                        roi.position = page
                roi.name, roi.group = name, groups.get(shape.name, 0)
                if shape.name in picture.colours:
                    roi.stroke_color = bytes((255, *picture.colours[shape.name]))
                roi.properties = {"class": said} | (
                    {} if shape.probability is None else {"mean_probability": f"{shape.probability:.4f}"}
                )
                entry = zipfile.ZipInfo(NO_FILE.sub("_", name) + ".roi")  # of 1980: the same objects are the same bytes
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, roi.tobytes())

        yield add


def _region(roifile: Any, rings: Rings) -> Any:
    """A polygon, or a composite whose path goes through all rings."""
    rings = tuple(ring.round(DIGITS) for ring in rings)
    if len(rings) == 1:
        (ring,) = rings
        whole = ring.astype(np.int64)
        roi = roifile.ImagejRoi.frompoints(whole if (whole == ring).all() else ring)
        roi.roitype = roifile.ROI_TYPE.POLYGON
        return roi
    path: list[float] = []
    for ring in rings:
        for command, (x, y) in zip([MOVE] + [LINE] * (len(ring) - 1), ring.tolist(), strict=True):
            path += [command, x, y]
        path.append(CLOSE)
    points = np.concatenate(rings)
    (left, top), (right, bottom) = np.floor(points.min(axis=0)).tolist(), np.ceil(points.max(axis=0)).tolist()
    roi = roifile.ImagejRoi(
        roitype=roifile.ROI_TYPE.RECT, left=int(left), top=int(top), right=int(right), bottom=int(bottom)
    )
    roi.multi_coordinates = np.array(path, np.float32)
    roi.shape_roi_size = len(path)
    roi.options = roifile.ROI_OPTIONS.OVERLAY_BACKGROUNDS | roifile.ROI_OPTIONS.OVERLAY_LABELS
    return roi
