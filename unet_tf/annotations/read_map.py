"""Polygons on the earth, over a GeoTIFF of the same name."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from unet_tf.annotations.annotated import Annotated, Skipped, clean
from unet_tf.annotations.read_geojson import is_geojson
from unet_tf.annotations.read_vector_map import read_vector_map
from unet_tf.annotations.shapes import Shape
from unet_tf.annotations.suffixes import SUFFIXES

log = logging.getLogger("unet_tf")
VECTORS = (".gpkg", ".shp", ".fgb")
"""What file names of vectors that are no JSON end in, in lower case."""
_WGS84 = Path(SUFFIXES["wgs84"]).stem


def is_geojson_of_pixels(content: Any) -> bool:
    """Whether parsed JSON is GeoJSON that names no coordinate system, nor is called a map: QuPath's, in pixels."""
    on_earth = isinstance(content, dict) and ("crs" in content or str(content.get("name")).endswith(_WGS84))
    return is_geojson(content) and not on_earth


def read_map(path: Path, skipped: Skipped) -> list[Annotated]:
    """Read polygons that lie over a GeoTIFF, which is called like the file.

    Args:
        path: GeoPackage, GeoJSON, Shapefile or FlatGeobuf.
        skipped: nothing is; `read_vector_map` says what it leaves out on the logger "unet_tf".
    """
    return [Annotated(path, path.stem, (), stem=True, shown=False, on=partial(_shapes, path))]


def _shapes(path: Path, picture: Path, class_field: str | None) -> list[Shape]:
    with warnings.catch_warnings(record=True) as said:  # by GDAL, of what it mends
        warnings.simplefilter("always")
        shapes = read_vector_map(path, picture, class_field)
    for text in sorted({str(one.message) for one in said}):
        log.warning(f"{path}: {text}.")
    return [replace(shape, name=clean(shape.name)) for shape in shapes]
