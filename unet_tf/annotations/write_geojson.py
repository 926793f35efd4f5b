"""Outlines as GeoJSON in pixels, as QuPath reads and writes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unet_tf.annotations.outlines import Rings, polygons_of
from unet_tf.annotations.shapes import Shape
from unet_tf.annotations.writing import Add, Picture, as_stored, json_list, numbered, numbers_of, planes_of

PROBABILITY = "Mean probability"
"""Name of the measurement."""


@contextmanager
def geojson_writer(path: Path, picture: Picture, kind: str = "annotation") -> Iterator[Add]:
    """Yield a function that appends the objects of a page; the file is there, whole, when the block ends well.

    Each object is a Feature of a FeatureCollection: a Polygon with its holes, or a MultiPolygon of the parts that touch
    at corners. Its properties are QuPath's: `objectType`, `name` (the object's number), `classification` with name and
    colour, and `measurements`. The objects of a stack's page lie in its plane (`planes_of`). Of a picture that its file
    turns they lie on the stored pixels, which QuPath shows.

    Args:
        path: of the file.
        picture: whose objects they are.
        kind: what QuPath makes of them: "annotation", which people correct, or "detection", of which it holds more.

    Yields:
        The function.

    Reference:
        https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html, and RFC 7946, but for the
        coordinates: pixels, y down.
    """
    planes = iter(planes_of(picture))
    with json_list(path, {"type": "FeatureCollection"}, "features", {}) as features:

        def add(shapes: Sequence[Shape]) -> None:
            plane = next(planes)
            for number, shape in numbered(shapes):
                features.append(feature_of(number, shape, picture, kind, plane))

        yield add


def feature_of(
    number: int, shape: Shape, picture: Picture, kind: str, plane: tuple[int, int] = (0, 0)
) -> dict[str, Any]:
    """Describe an object as `geojson_writer` does.

    Args:
        number: of the object.
        shape: its class, rings and probability.
        picture: whose object it is.
        kind: "annotation" or "detection".
        plane: z and t, from 0.

    Returns:
        The Feature.
    """
    geometry = geometry_of(as_stored(shape.rings, picture))
    if picture.pages > 1:
        geometry["plane"] = {"c": -1, "z": plane[0], "t": plane[1]}
    return {"type": "Feature", "geometry": geometry, "properties": _properties(number, shape, picture, kind)}


def geometry_of(rings: Rings) -> dict[str, Any]:
    """Make a Polygon or MultiPolygon of the rings of an object, each closed by its first point.

    Args:
        rings: in the order of `find_outlines`.

    Returns:
        The geometry.

    Example:
        >>> from unet_tf.annotations.outlines import find_outlines
        >>> import numpy as np
        >>> geometry_of(find_outlines(np.array([[1]]))[1])
        {'type': 'Polygon', 'coordinates': [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}
    """
    polygons = [[_closed(numbers_of(ring)) for ring in polygon] for polygon in polygons_of(rings)]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _properties(number: int, shape: Shape, picture: Picture, kind: str) -> dict[str, Any]:
    classification: dict[str, Any] = {"name": shape.name}
    if shape.name in picture.colours:
        classification["color"] = list(picture.colours[shape.name])
    properties = {"objectType": kind, "name": str(number), "classification": classification}
    if shape.probability is not None:
        properties["measurements"] = {PROBABILITY: round(shape.probability, 4)}
    return properties


def _closed(points: list[list[float]]) -> list[list[float]]:
    return [*points, points[0]]
