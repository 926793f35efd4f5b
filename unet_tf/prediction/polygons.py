"""Outlines of predicted objects, in the formats of other programs."""

from __future__ import annotations

import functools
import math
import os
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_tf.annotations.maps import is_unchanged, map_writer
from unet_tf.annotations.outlines import find_outlines
from unet_tf.annotations.shapes import Shape
from unet_tf.annotations.simplify import simplify_all
from unet_tf.annotations.subpixel import find_subpixel_outlines
from unet_tf.annotations.suffixes import QUPATH, SUFFIXES
from unet_tf.annotations.write_coco import coco_writer
from unet_tf.annotations.write_geojson import geojson_writer
from unet_tf.annotations.write_imagej import COMMENT, imagej_writer, import_roifile
from unet_tf.annotations.write_labelme import labelme_writer
from unet_tf.annotations.writing import Writer
from unet_tf.data.maps import import_geo
from unet_tf.errors import InputError
from unet_tf.prediction.objects import Object

WRITERS: dict[str, tuple[str, Writer]] = {
    **{name: (SUFFIXES[name], functools.partial(geojson_writer, kind=kind)) for name, kind in QUPATH.items()},
    "coco": (SUFFIXES["coco"], coco_writer),
    "labelme": (SUFFIXES["labelme"], labelme_writer),
    "imagej": (SUFFIXES["imagej"], imagej_writer),
    "gpkg": (SUFFIXES["gpkg"], map_writer),
    "wgs84": (SUFFIXES["wgs84"], map_writer),
}
"""Format -> what follows the picture's name, and who writes it."""
MAPS = ("gpkg", "wgs84")
"""Formats of pictures that say where they lie on the earth."""
FIRST_LINES = {
    **dict.fromkeys(QUPATH, rb'{"type": "FeatureCollection", "features": \[\n'),
    "coco": rb'{"info": {"description": "unet-tf predict"}, .*"annotations": \[\n',
    "labelme": rb'{"version": "[^"]*", "flags": {}, "shapes": \[\n',
    "wgs84": rb'{ "type": "FeatureCollection",\n',
}
"""Format -> what a file that was written here begins with: other programs begin their lines elsewhere."""


def parse_polygons(polygons: str | Sequence[str], simplify: float = 0, subpixel: bool = False) -> tuple[str, ...]:
    """Read which formats are wanted, and see that they can be written so.

    Args:
        polygons: of `WRITERS`, in a sequence or parted by commas.
        simplify: how far a point that is left out may lie from the border, pixels.
        subpixel: whether borders lie between the pixels.

    Returns:
        Each format once, in the order of `WRITERS`.

    Raises:
        InputError: one is not known, its library is not installed, or the settings cannot be used.

    Example:
        >>> parse_polygons("coco, geojson")
        ('geojson', 'coco')
    """
    names = polygons.split(",") if isinstance(polygons, str) else polygons
    wanted = {name.strip().lower() for name in names} - {""}
    if unknown := sorted(wanted - WRITERS.keys()):
        raise InputError(f"Polygons are written as {', '.join(WRITERS)}; received {', '.join(unknown)}.")
    if not (0 <= simplify < math.inf):
        raise InputError(f"--simplify takes 0 or more pixels; received {simplify}.")
    if (simplify or subpixel) and not wanted:
        raise InputError("--simplify and --subpixel are of outlines; add --polygons and their format.")
    if "imagej" in wanted:
        import_roifile()
    if wanted & {*MAPS}:
        for package in ("rasterio", "pyogrio", "shapely"):
            import_geo(package)
    return tuple(name for name in WRITERS if name in wanted)


def check_outlines(out: str | Path, stem: str, kinds: Sequence[str]) -> None:
    """See that outlines of a picture would replace none that another program wrote, corrected perhaps.

    Args:
        out: their folder.
        stem: what the picture is called.
        kinds: of `WRITERS`.

    Raises:
        InputError: they would.
    """
    for kind in kinds:
        path = Path(out, stem + WRITERS[kind][0])
        if path.is_file() and not _is_ours(path, kind):
            raise InputError(
                f"Outlines that another program wrote, corrected perhaps, are not replaced; {path} is of these. "
                "Import it (unet-tf import), move it, or choose another --out.",
                path,
            )


def _is_ours(path: Path, kind: str) -> bool:
    """Whether outlines are as they are written here."""
    try:
        if kind == "imagej":
            with zipfile.ZipFile(path) as archive:
                return archive.comment == COMMENT
        if kind == "gpkg":
            return is_unchanged(path)
        return is_as_written(path, FIRST_LINES[kind], b"\n]}\n" if kind in QUPATH else b"")
    except (OSError, zipfile.BadZipFile):
        return False


def is_as_written(path: Path, first: bytes, last: bytes = b"") -> bool:
    """Whether the first line of a file is of a pattern, and it ends so: GDAL appends behind the last object."""
    with path.open("rb") as file:
        if re.fullmatch(first, file.readline()) is None:
            return False
        file.seek(-len(last), os.SEEK_END)
        return file.read() == last


def shapes_of(
    ids: NDArray,
    objects: Sequence[Object],
    classes: Sequence[str],
    tolerance: float = 0,
    probabilities: NDArray[np.float32] | None = None,
) -> list[Shape]:
    """Outline the objects of a picture.

    Args:
        ids: (H, W) as `find_objects` numbers them.
        objects: those of the ids.
        classes: names by class id.
        tolerance: how far a point that is left out may lie from the border, pixels (`simplify`).
        probabilities: (H, W, num_classes), for borders between the pixels (`find_subpixel_outlines`); None for borders
            along the pixels.

    Returns:
        A shape for each object.

    Example:
        >>> from unet_tf.prediction.objects import find_objects
        >>> (one,) = shapes_of(*find_objects(np.array([[0, 1]], np.uint8)), ["background", "cell"])
        >>> one.name, one.rings[0].tolist()
        ('cell', [[1.0, 0.0], [2.0, 0.0], [2.0, 1.0], [1.0, 1.0]])
    """
    if probabilities is None:
        outlines = find_outlines(ids)
    else:
        boxes = {one.number: (one.top, one.left, one.bottom, one.right) for one in objects}
        outlines = find_subpixel_outlines(ids, boxes, probabilities)
    outlines = simplify_all(outlines, tolerance)
    return [
        Shape(
            classes[one.label],
            outlines[one.number],
            None if math.isnan(one.probability) else one.probability,
            number=one.number,
        )
        for one in objects
    ]
