"""ImageJ and Fiji: .roi files, and RoiSet.zip of many."""

from __future__ import annotations

import itertools
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.annotations.annotated import (
    NAMELESS,
    Annotated,
    Skipped,
    check_planes,
    checked,
    clean,
    ellipse,
    rectangle,
    region,
)
from unet_tf.annotations.shapes import Shape
from unet_tf.data.structure import Damage
from unet_tf.utils.extras import import_extra
from unet_tf.utils.files import LITTER

MAGIC = b"Iout"
LARGEST, SWELLING = 1 << 26, 200
"""Bytes of a region, and bytes that a packed one may become: more is no region."""
_SET = re.compile(r"[ _.-]*roi[ _.-]?set[ _.-]*", re.IGNORECASE)
_ROIS = re.compile(r"[ _.-]+rois?$", re.IGNORECASE)
CURVE = np.linspace(0, 1, 33)[1:, None]
"""Where a Bezier curve of a composite region is cut into lines."""
SPLINE = 1
"""Option of a polygon whose points ImageJ joins by a smooth curve."""


def is_imagej(path: Path) -> bool:
    """Whether a file is a region of ImageJ, or a zip archive that holds some.

    Raises:
        Damage: it is called as one of these, and is neither.
    """
    if _is_roi(path):
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.lower().endswith(".roi") for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, struct.error, OSError) as error:
        if path.suffix.lower() in (".zip", ".roi"):
            raise Damage(f"it is neither a region of ImageJ nor an archive ({error})") from error
        return False


def _is_roi(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == MAGIC


def read_imagej(path: Path, skipped: Skipped) -> list[Annotated]:
    """Read the regions of a picture, which is called like the file, without "RoiSet" in its name, or "rois" at its end.

    A region's class is its property "class", where it has one, as `predict --polygons imagej` writes it; else "group1",
    "group2", ... by its group in ImageJ, or "object" without one.

    Args:
        path: a .roi file, or a zip archive of such.
        skipped: counts what is no area.

    Raises:
        Damage: a region is damaged, or regions lie in several planes of a stack; the archive holds what is far larger
            than itself.
        InputError: the package roifile is missing.
    """
    roifile = import_extra(f"{path} is read by roifile: pip install 'unet-tf[annotations]'.", "roifile", path)
    shapes: list[Shape] = []
    planes: dict[str, set[int]] = {"position": set(), "z_position": set(), "t_position": set()}
    for name, data in _regions(path):
        if data[:4] != MAGIC:
            raise Damage(f"{name} must be a region of ImageJ; it begins with {data[:4]!r}")
        try:
            roi = roifile.ImagejRoi.frombytes(data)
            shapes += (found := _shapes(roi, skipped))
            for axis, numbers in planes.items() if found else ():
                numbers |= {getattr(roi, axis)} - {0}  # 0: in all of them
        except Damage as error:
            raise Damage(f"{name}: {error}") from error
        except (ValueError, TypeError, IndexError, OverflowError, RuntimeError, struct.error, MemoryError) as error:
            raise Damage(f"{name} is damaged: {error}") from error
    check_planes(planes, "ROI Manager > More > Remove Positions")
    name = _SET.sub("", path.stem)
    return [Annotated(path, name, tuple(shapes), stem=True, shown=False, original=_ROIS.sub("", name))]


def _regions(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each region of a file."""
    if _is_roi(path):
        if path.stat().st_size > LARGEST:
            raise Damage(f"a region must have {LARGEST} bytes at most")
        yield path.name, path.read_bytes()
        return
    left = LARGEST + SWELLING * path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                name = PurePosixPath(entry.filename).name
                if not name.lower().endswith(".roi") or LITTER.fullmatch(name):
                    continue
                with archive.open(entry) as file:
                    data = file.read(min(LARGEST, left) + 1)
                left -= len(data)
                if len(data) > LARGEST or left < 0:
                    raise Damage(f"{entry.filename} must not hold more than {LARGEST} bytes, nor all of them {SWELLING}"
                                 " times the archive: it is no set of regions")  # fmt: skip
                yield entry.filename, data
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        struct.error,
        OSError,
    ) as error:
        raise Damage(f"the archive is damaged: {error}") from error


def _shapes(roi: Any, skipped: Skipped) -> list[Shape]:
    kind = roi.roitype.name
    if roi.subtype.name in ("TEXT", "IMAGE", "ARROW"):  # whatever their outline is
        skipped[f"regions of type {roi.subtype.name.lower()}, which are no areas"] += 1
        return []
    name = clean(roi.properties.get("class") or (f"group{roi.group}" if roi.group > 0 else NAMELESS))
    left, top, right, bottom = roi.left, roi.top, roi.right, roi.bottom
    if roi.subpixelrect:
        left, top, right, bottom = roi.xd, roi.yd, roi.xd + roi.widthd, roi.yd + roi.heightd
    if kind == "RECT" and roi.composite:
        rings = _paths(roi.multi_coordinates.tolist())
    elif kind in ("RECT", "OVAL"):
        box = checked(np.array([left, top, right, bottom]), "a region")
        across, down = (box[2:] - box[:2]) / 2
        x, y = (box[:2] + box[2:]) / 2
        rings = [rectangle(*box) if kind == "RECT" else ellipse(x, y, across, down)]
        if kind == "RECT" and roi.rounded_rect_arc_size > 0:
            skipped["round corners of rectangles, which are read as corners"] += 1
    elif kind in ("POLYGON", "FREEHAND", "TRACED"):
        rings = [checked(roi.coordinates(), "a region")]
        if roi.options & SPLINE:
            skipped["fitted splines, which are read as straight lines"] += 1
    else:
        skipped[f"regions of type {kind.lower()}, which are no areas"] += 1
        return []
    return region(name, rings, skipped)


def _paths(path: list[float]) -> list[NDArray[np.float64]]:
    """The rings of a composite region: a number says what follows, 0 and 1 a point, 2 and 3 a curve, 4 the end."""
    rings: list[list[Any]] = []
    at = 0
    while at < len(path):
        kind = path[at]
        count = {0: 1, 1: 1, 2: 2, 3: 3, 4: 0}.get(int(kind) if kind in range(5) else -1)
        if count is None or at + 1 + 2 * count > len(path) or (kind != 0 and not rings):
            raise Damage(f"its path is damaged at number {at}")
        points = checked(np.array(path[at + 1 : at + 1 + 2 * count]).reshape(-1, 2), "a region")
        at += 1 + 2 * count
        if kind == 0:
            rings.append([])
        if kind > 1 and count:
            points = _curve(np.vstack([rings[-1][-1:], points]))
        rings[-1] += list(points)
    return [np.array(ring).reshape(-1, 2) for ring in rings]


def _curve(control: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points of a Bezier curve of three or four control points, without the first."""
    parts = list(control)
    while len(parts) > 1:
        parts = [a + (b - a) * CURVE for a, b in itertools.pairwise(parts)]
    return parts[0]
