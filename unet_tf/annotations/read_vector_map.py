"""Polygons on the earth to outlines in the pixels of a raster: GeoPackage, GeoJSON, Shapefile, FlatGeobuf."""

from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.annotations.annotated import Annotated, Skipped, clean
from unet_tf.annotations.maps import Frame, extent_of, open_frame, polygonal, reproject, said, system
from unet_tf.annotations.shapes import Shape
from unet_tf.data.maps import import_geo
from unet_tf.errors import InputError

log = logging.getLogger("unet_tf")

VECTORS = (".gpkg", ".shp", ".fgb")
"""What the names of files of vectors that are no JSON end in, in lower case."""
CLASS_FIELDS = ("class", "class_name", "label", "category", "name", "type")
"""Fields that are looked for where nobody says which one names the class, in this order."""


def read_map(path: Path, skipped: Skipped) -> list[Annotated]:
    """Read polygons that lie over a GeoTIFF, which is called like the file.

    Args:
        path: GeoPackage, GeoJSON, Shapefile or FlatGeobuf.
        skipped: nothing is; `read_vector_map` says what it leaves out on the logger "unet_tf".
    """
    return [Annotated(path, path.stem, (), stem=True, shown=False, on=partial(_shapes, path))]


def _shapes(path: Path, picture: Path, class_field: str | None) -> list[Shape]:
    with warnings.catch_warnings(record=True) as heard:  # by GDAL, of what it mends
        warnings.simplefilter("always")
        shapes = read_vector_map(path, picture, class_field)
    for text in sorted({str(one.message) for one in heard}):
        log.warning(f"{path}: {text}.")
    return [replace(shape, name=clean(shape.name)) for shape in shapes]


def read_vector_map(
    vectors: str | Path, raster: str | Path, class_field: str | None = None, layer: str | None = None
) -> list[Shape]:
    """Read polygons on the earth as outlines in the pixels of a raster.

    The time is linear in the points. Holes and parts stay; polygons that cross themselves are taken by the even-odd
    rule, parts of one that lie over each other are joined. What is no polygon, or names no class, is left out, and
    counted on the logger "unet_tf"; so are polygons that lie outside of the raster, and parts of them stay as they are.

    Args:
        vectors: GeoPackage, GeoJSON, Shapefile or FlatGeobuf in any coordinate system.
        raster: a GeoTIFF file in any other.
        class_field: the field that names the class; None for the first of class, class_name, label, category, name and
            type that there is, or else the name of the layer for all.
        layer: which one, of a file that holds several.

    Returns:
        A shape for each polygon that touches the extent of the raster, in the order of the file; with the probability
        that the field "probability" holds, if there is one.

    Raises:
        InputError: a file cannot be read, does not say where it lies, holds geometries but no polygon, has no such
            field or layer, or the polygons do not lie on the raster.
    """
    vectors, frame, shapely = Path(vectors), open_frame(raster), import_geo("shapely")
    meta, fields, geometries, layer = _read(vectors, layer)
    if not meta["crs"]:
        raise InputError(
            f"Vectors must say their coordinate system to be laid on a raster; {vectors} does not. Say it in the file "
            "(ogr2ogr -a_srs EPSG:...; of a Shapefile, copy its .prj too).", vectors,
        )  # fmt: skip
    _check_finite(vectors, shapely.get_coordinates(geometries), meta["crs"])
    if not len(geometries):
        return []
    name_of, names = _names(vectors, fields, class_field, layer, len(geometries))
    kept, areas = _areas(vectors, geometries, [name is None for name in names], name_of)
    rings, owners = _rings(areas)
    points = np.concatenate(rings)
    points = reproject(points, meta["crs"], frame.crs, vectors)
    apart = _apart(vectors, frame, points, np.repeat(owners, [len(ring) for ring in rings]), len(areas))
    pixels = np.split(frame.to_pixels(points), np.cumsum([len(ring) for ring in rings])[:-1])
    mine: list[list[NDArray[np.float64]]] = [[] for _ in areas]
    for owner, ring in zip(owners.tolist(), pixels, strict=True):
        mine[owner].append(ring)
    probabilities = _probabilities(fields, len(geometries))
    return [
        Shape(str(names[number]), tuple(some), probabilities[number])
        for number, some, gone in zip(kept, mine, apart, strict=True)
        if not gone
    ]


def _read(path: Path, layer: str | None) -> tuple[dict[str, Any], dict[str, NDArray], NDArray, str]:
    """What the file says of itself, its fields by name, its geometries (None where one is missing), and the layer."""
    pyogrio, shapely = import_geo("pyogrio"), import_geo("shapely")
    if not path.is_file():
        raise InputError(f"There is no file {path}. Check the path.", path)
    if path.suffix.lower() not in (taken := (*VECTORS, ".geojson", ".json")):
        raise InputError(f"Vectors are read from {', '.join(taken)}; received {path.name!r}.", path)
    try:
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        if layer is not None and layer not in layers:
            raise InputError(f'{path} has no layer "{layer}" of geometries; it has: {", ".join(layers)}.', path)
        if layer is None and len(layers) != 1:
            remedy = "Write one into a file of its own: ogr2ogr NEW.gpkg OLD.gpkg LAYER."
            raise InputError(
                f"Vectors must have one layer of geometries, or it must be named; {path} has "
                f"{', '.join(layers) or 'none'}. {remedy if layers else 'Draw polygons in it.'}", path,
            )  # fmt: skip
        layer = layer or layers[0]
        meta, _, found, columns = pyogrio.raw.read(path, layer=layer, force_2d=True)
        geometries = shapely.from_wkb(found)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, shapely.errors.GEOSException) as error:
        raise InputError(f"{path} cannot be read: {error}. Write it again, as GeoPackage or GeoJSON.", path) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} must be in the encoding that it states (of a Shapefile, in its .cpg): {error}. Write the true one "
            "there, such as ISO-8859-1.", path,
        ) from error  # fmt: skip
    return meta, dict(zip(map(str, meta["fields"]), columns, strict=True)), geometries, layer


def _names(path: Path, fields: dict[str, NDArray], wanted: str | None, layer: str, count: int) -> tuple[str, list[Any]]:
    """The field of the class ("" for the name of the layer), and the class of each geometry, or None."""
    if wanted is not None and wanted not in fields:
        raise InputError(f'{path} has no field "{wanted}"; it has: {", ".join(fields) or "none"}.', path)
    by_lower = {name.lower(): name for name in fields}
    field = wanted or next((by_lower[name] for name in CLASS_FIELDS if name in by_lower), "")
    if not field:
        others = [name for name in fields if name.lower() != "probability"]
        if others:
            log.warning(
                f'All polygons of {path} are of the class "{layer}", the name of the layer: no field is called '
                f"{', '.join(CLASS_FIELDS[:-1])} or {CLASS_FIELDS[-1]}. It has {', '.join(others[:9])} (--class-field)."
            )
        return "", [layer] * count
    values = fields[field].tolist()
    return field, [None if value is None or value != value or value == "" else _text(value) for value in values]


def _text(value: Any) -> str:
    """A class as text; numbers that a missing value made floats are whole ones."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _probabilities(fields: dict[str, NDArray], count: int) -> list[float | None]:
    values = fields.get("probability")
    if values is None or values.dtype.kind not in "iuf":
        return [None] * count
    return [float(value) if 0 <= value <= 1 else None for value in values.tolist()]


def _areas(path: Path, geometries: NDArray, unnamed: list[bool], field: str) -> tuple[list[int], list[Any]]:
    """The numbers of the polygons that have a class, and their areas; says how many geometries are left out and why."""
    shapely = import_geo("shapely")
    kept: list[int] = []
    areas: list[Any] = []
    left = {"are no polygons": 0, "are empty": 0, f'name no class in the field "{field}"': 0}
    others, empty, nameless = left
    crossed = 0
    valid = shapely.is_valid(geometries)
    for number, one in enumerate(geometries):
        if one is None or one.is_empty:
            left[empty] += 1
        elif one.geom_type not in ("Polygon", "MultiPolygon"):
            left[others] += 1
        elif unnamed[number]:
            left[nameless] += 1
        else:
            if not valid[number]:
                crossed += 1
                one = shapely.union_all([polygonal(part) for part in shapely.get_parts(one)])
            if one.is_empty:  # of no area
                left[empty] += 1
                continue
            kept.append(number)
            areas.append(one)
    words = [f"{count} {why}" for why, count in left.items() if count]
    if not areas:
        raise InputError(
            f"Vectors must hold polygons; {path} has {len(geometries)} geometries"
            + (f", of which {', '.join(words)}. " if words else ". ")
            + "Draw polygons, or buffer lines and points.", path,
        )  # fmt: skip
    if words:
        log.warning(f"Left out of {path}: of {len(geometries)} geometries {', '.join(words)}.")
    if crossed:
        log.warning(
            f"{crossed} of {len(geometries)} polygons of {path} cross themselves, and are taken by the even-odd rule."
        )
    return kept, areas


def _rings(areas: list[Any]) -> tuple[list[NDArray[np.float64]], NDArray[np.intp]]:
    """All rings (N, 2), the last point not repeating the first, and the number of the area that each belongs to."""
    shapely = import_geo("shapely")
    parts, part_owners = shapely.get_parts(np.array(areas, object), return_index=True)
    rings, ring_owners = shapely.get_rings(parts, return_index=True)
    points, owners = shapely.get_coordinates(rings, return_index=True)
    split = np.split(points, np.flatnonzero(np.diff(owners)) + 1)
    return [ring[:-1] for ring in split], part_owners[ring_owners]


def _check_finite(path: Path, points: NDArray[np.float64], crs: str) -> None:
    """Refuse coordinates that are no numbers, and those that are no degrees where the file says degrees."""
    if not np.isfinite(points).all():
        count = np.count_nonzero(~np.isfinite(points).all(1))
        raise InputError(f"{path} has {count} points whose coordinates are not finite. Mend or remove them.", path)
    if system(crs, path).is_geographic and (np.abs(points[:, 1]) > 90).any():
        raise InputError(
            f"{path} says that its coordinates are degrees ({crs}; GeoJSON always does), and they are "
            f"{said(extent_of(points))}. Write it again with the coordinate system that they are in, as GeoPackage.",
            path,
        )  # fmt: skip


def _apart(path: Path, frame: Frame, points: NDArray[np.float64], owners: NDArray, count: int) -> NDArray[np.bool_]:
    """(count,) which areas lie outside of the extent of the raster.

    Raises:
        InputError: all of them do.
    """
    pixels, height_width = frame.to_pixels(points), np.array(frame.size[::-1])
    starts = np.searchsorted(owners, np.arange(count))
    low, high = np.minimum.reduceat(pixels, starts), np.maximum.reduceat(pixels, starts)  # (count, 2)
    apart = np.asarray(((high <= 0) | (low >= height_width)).any(1))
    if apart.all():
        raise InputError(
            f"Vectors and raster must lie on each other. In the coordinate system of the raster, {path} has "
            f"{said(extent_of(points))}; {frame.path} has {said(frame.extent)}. Take the raster that they were drawn "
            "on, or say their right coordinate system.", path,
        )  # fmt: skip
    if apart.any():
        log.warning(f"{apart.sum()} of {count} polygons of {path} lie outside of {frame.path}, and are left out.")
    return apart
