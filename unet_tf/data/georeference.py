"""Where a TIFF file says that its picture lies on the earth: its tags of GeoTIFF, without GDAL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.pictures import TIFF
from unet_tf.data.tiff import directories, first_picture, import_tifffile
from unet_tf.errors import InputError

SCALE, TIEPOINT, MATRIX, KEYS = 33550, 33922, 34264, 34735
TAGS = (SCALE, TIEPOINT, MATRIX, KEYS, 34736, 34737)
"""Tags of GeoTIFF: scale, tie points, matrix; keys of the coordinate system, with their numbers and texts."""
RASTER_TYPE, GEOGRAPHIC, PROJECTED = 1025, 2048, 3072
"""Keys: whether a tie point is a pixel's corner (1) or centre (2); numbers of coordinate systems in EPSG's list."""
OWN = 32767
"""In the place of a number of EPSG's: the file describes the coordinate system itself."""


@dataclass(frozen=True)
class Georeference:
    """Where a picture lies.

    Attributes:
        corners: (4, 2) x and y of the outer corners: first row from left to right, then last row.
        pixel: (2,) extent of a pixel in x and y.
        epsg: number of the coordinate system; 0 where the file describes it itself, or does not say it.
        tags: all that says so, as tifffile writes it into another file.
    """

    corners: NDArray[np.float64]
    pixel: NDArray[np.float64]
    epsg: int
    tags: tuple[tuple[int, int, int, Any, bool], ...]

    def __str__(self) -> str:
        """The extent in words: "x 100 to 300, y 700 to 900, EPSG:25832"."""
        (left, low), (right, high) = self.corners.min(0), self.corners.max(0)
        system = f", EPSG:{self.epsg}" if self.epsg else ""
        return f"x {left:.10g} to {right:.10g}, y {low:.10g} to {high:.10g}{system}"


def read_georeference(path: str | Path) -> Georeference | None:
    """Read where the first picture of a TIFF file lies; None of files that do not say it, or by points alone.

    Args:
        path: a picture that can be read.

    Reference:
        OGC GeoTIFF standard 1.1, section 7 and annex E.
    """
    path = Path(path)
    if path.suffix.lower() not in TIFF:
        return None
    tifffile = import_tifffile(path)
    try:
        with directories(path) as file:
            page = first_picture(file)
            found = {code: page.tags[code] for code in TAGS if code in page.tags}
            tags = tuple((code, int(tag.dtype), tag.count, tag.value, True) for code, tag in found.items())
            values = {code: tag.value for code, tag in found.items()}
            return _georeference(values, (page.imagelength, page.imagewidth), tags)
    except (tifffile.TiffFileError, ValueError, TypeError, IndexError, KeyError, OSError):  # no tags that say it
        return None


def check_places(*files: str | Path) -> None:
    """Raise InputError where files that belong together, as image and mask do, say that they lie apart.

    Files that do not say where they lie are left out. Corners may differ by half a pixel, as programs round.
    """
    told = [(file, place) for file in files if (place := read_georeference(file)) is not None]
    for file, place in told[1:]:
        first, of_first = told[0]
        apart = np.abs(of_first.corners - place.corners) > np.minimum(of_first.pixel, place.pixel) / 2
        if apart.any() or (of_first.epsg and place.epsg and of_first.epsg != place.epsg):
            raise InputError(
                "Files of one picture, and its mask, must lie on each other where they say where they lie: "
                f"{first} has {of_first}; {file} has {place}. Warp one onto the other, or cut both to one extent "
                "(gdalwarp -t_srs, -te).",
                Path(file),
            )


def _georeference(values: dict[int, Any], size: tuple[int, int], tags: tuple) -> Georeference | None:
    if MATRIX in values:
        matrix = np.array(values[MATRIX], float).reshape(4, 4)[[0, 1]][:, [0, 1, 3]]
    elif SCALE in values and TIEPOINT in values:
        (across, down), (column, row, _, x, y) = values[SCALE][:2], values[TIEPOINT][:5]
        matrix = np.array([(across, 0, x - column * across), (0, -down, y + row * down)], float)
    else:
        return None
    if not np.isfinite(matrix).all():
        return None
    keys = np.array(values.get(KEYS, ()), int)[4:].reshape(-1, 4)
    inline = {int(key): int(value) for key, place, _, value in keys if place == 0}
    height, width = size
    corners = np.array([(0, 0, 1), (width, 0, 1), (0, height, 1), (width, height, 1)], float)
    if inline.get(RASTER_TYPE) == 2:
        corners[:, :2] -= 0.5
    epsg = inline.get(PROJECTED, inline.get(GEOGRAPHIC, 0))
    return Georeference(corners @ matrix.T, np.abs(matrix[:, :2]).sum(1), 0 if epsg == OWN else epsg, tags)
