"""Outlines as polygons on the earth: GeoPackage in the map's own coordinates, GeoJSON in degrees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from unet_tf.annotations.maps import open_frame, write_vector_map
from unet_tf.annotations.shapes import Shape
from unet_tf.annotations.writing import Add, Picture
from unet_tf.errors import InputError


@contextmanager
def map_writer(path: Path, picture: Picture) -> Iterator[Add]:
    """Yield a function that adds the objects of a GeoTIFF file; the file is there, whole, when the block ends well.

    Args:
        path: NAME.gpkg, in the coordinate system of the picture, or NAME.geojson, in longitude and latitude (WGS84).
        picture: whose objects they are.

    Yields:
        The function.

    Raises:
        InputError: the picture is a stack, or does not say where it lies; or as `write_vector_map`.
    """
    if picture.pages > 1:
        raise InputError(
            f"A map is one picture; {picture.path} has {picture.pages} pages. Take another format of --polygons.",
            picture.path,
        )
    open_frame(picture.path)  # so that one that lies nowhere is refused before it is predicted
    shapes: list[Shape] = []

    def add(more: Sequence[Shape]) -> None:
        shapes.extend(more)

    yield add
    write_vector_map(path, shapes, picture.path)
