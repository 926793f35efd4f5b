"""Outlines between the pixels of a raster and the earth: map coordinates, longitude and latitude, and files of them."""

from __future__ import annotations

import io
import sqlite3
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.annotations.shapes import Shape
from unet_tf.annotations.writing import Add, Picture, numbered
from unet_tf.data.maps import import_geo, quiet_rasterio
from unet_tf.data.pictures import open_pictures
from unet_tf.errors import InputError
from unet_tf.utils.files import replacing

WGS84 = "EPSG:4326"
"""Longitude and latitude in degrees, the one coordinate system of GeoJSON (RFC 7946, section 4)."""
DIGITS = 9
"""Decimals of a degree in GeoJSON: a tenth of a millimetre."""
DRIVERS = {".geojson": "GeoJSON", ".json": "GeoJSON", ".gpkg": "GPKG"}

WRITTEN = "1980-01-01T00:00:00.000Z"
"""When the content of a GeoPackage that was written here is said to have changed: whoever changes it says when."""

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """Where the pixels of a raster lie on the earth.

    Attributes:
        path: the raster, to name it in errors.
        transform: a, b, c, d, e, f of x = a column + b row + c, y = d column + e row + f, from the outer corner of the
            first pixel; rasters that are turned, or whose first row is the southern one, are of this kind too.
        crs: the coordinate system, as WKT or "EPSG:25832".
        size: rows and columns.
    """

    path: Path
    transform: tuple[float, float, float, float, float, float]
    crs: str
    size: tuple[int, int]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Lowest x, lowest y, highest x, highest y, in map coordinates."""
        height, width = self.size
        corners = self.to_map(np.array([(0, 0), (width, 0), (0, height), (width, height)], float))
        return extent_of(corners)

    def to_map(self, points: Points) -> Points:
        """Map coordinates (N, 2) of pixel coordinates, x to the right and y down from the first pixel's outer corner.

        Example:
            >>> Frame(Path("a.tif"), (2, 0, 100, 0, -2, 900), "EPSG:25832", (50, 50)).to_map(np.array([[1.0, 3.0]]))
            array([[102., 894.]])
        """
        a, b, c, d, e, f = self.transform
        return points @ np.array([(a, d), (b, e)]) + (c, f)

    def to_pixels(self, points: Points) -> Points:
        """Pixel coordinates (N, 2) of map coordinates: the inverse of `to_map`."""
        a, b, c, d, e, f = self.transform
        return (points - (c, f)) @ np.linalg.inv(np.array([(a, d), (b, e)], float))

    def to_degrees(self, points: Points) -> Points:
        """Longitude and latitude (N, 2) in WGS84 of pixel coordinates.

        Raises:
            InputError: a point lies where the coordinate system does not reach.
        """
        return reproject(self.to_map(points), self.crs, WGS84, self.path)


def open_frame(raster: str | Path) -> Frame:
    """Read where the pixels of a GeoTIFF file lie.

    Args:
        raster: a file that rasterio opens.

    Raises:
        InputError: it cannot be opened, or does not say where it lies: it has no coordinate system, no transform, or
            ground control points alone.
    """
    path, rasterio = Path(raster), import_geo("rasterio")
    try:
        with quiet_rasterio(), rasterio.open(path) as dataset:
            crs, transform, size = dataset.crs, dataset.transform, dataset.shape
            points = len(dataset.gcps[0])
    except rasterio.errors.RasterioError as error:
        raise InputError(f"{path} cannot be opened as a raster: {error}. Copy it again.", path) from error
    if points and transform.is_identity:
        raise InputError(
            f"A raster must have a transform to be laid under vectors; {path} has {points} ground control points "
            "alone. Warp it first (gdalwarp).", path,
        )  # fmt: skip
    if crs is None or transform.is_identity or not transform.determinant:
        lacks = "no coordinate system" if crs is None else "no transform that can be used"
        raise InputError(
            f"A raster must say where it lies to be laid under vectors; {path} has {lacks}. Give it one "
            "(gdal_edit.py -a_srs EPSG:... -a_ullr LEFT TOP RIGHT BOTTOM).", path,
        )  # fmt: skip
    return Frame(path, tuple(transform)[:6], crs.to_wkt(), size)


def reproject(points: Points, source: str, target: str, path: Path) -> Points:
    """Points (N, 2), x and y, from one coordinate system to another; x is longitude where it is in degrees.

    Args:
        points: in the first.
        source: the first.
        target: the second.
        path: the file that they are from, to name it in errors.

    Raises:
        InputError: a coordinate system is not known, or a point cannot be expressed in the second one.
    """
    import_geo("rasterio")
    from rasterio._err import CPLE_BaseError  # what a transformation raises is no RasterioError
    from rasterio.warp import transform

    first, second = system(source, path), system(target, path)
    if first == second:
        return points
    try:
        found = np.array(transform(first, second, *points.T.tolist()), float).reshape(2, -1).T
    except CPLE_BaseError as error:
        raise InputError(f"The coordinates of {path} cannot be expressed in another system: {error}.", path) from error
    if len(wrong := np.flatnonzero(~np.isfinite(found).all(1))):
        raise InputError(
            f"All points of {path} must lie where the coordinate system {_name(second)} reaches; "
            f"{len(wrong)} of {len(points)} do not, such as {tuple(points[wrong[0]].tolist())} in {_name(first)}. "
            "Check which system they are in.", path,
        )  # fmt: skip
    return found


def system(crs: str, path: Path) -> Any:
    """A coordinate system, of rasterio, as WKT or "EPSG:25832" names it; raises InputError where it is not known."""
    import_geo("rasterio")
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        return CRS.from_user_input(crs)
    except CRSError as error:
        raise InputError(f"{path} is in a coordinate system that is not known, {crs[:80]}: {error}.", path) from error


def write_vector_map(path: str | Path, shapes: Sequence[Shape], raster: str | Path) -> Path:
    """Write outlines as polygons on the earth, with their number, class and probability, whole or not at all.

    Args:
        path: NAME.gpkg, in the coordinate system of the raster; or NAME.geojson, in WGS84 as its standard says.
        shapes: with rings in pixels of the raster.
        raster: the GeoTIFF file whose pixels they are in.

    Returns:
        `path`.

    Raises:
        InputError: the raster does not say where it lies, a shape has no rings, or the file cannot be written.
    """
    path, frame = Path(path), open_frame(raster)
    if path.suffix.lower() not in DRIVERS:
        raise InputError(f"Vectors are written as {', '.join(DRIVERS)}; received {path.name!r}.")
    with replacing(path) as temporary:
        _write(temporary, path, shapes, frame)
    return path


def _write(temporary: Path, path: Path, shapes: Sequence[Shape], frame: Frame) -> None:
    """Write a file that is to be `path`, under another name, as `write_vector_map` says."""
    shapely, pyogrio = import_geo("shapely"), import_geo("pyogrio")
    if bare := [shape for shape in shapes if not shape.rings]:
        raise InputError(
            f"Each shape must have rings to be written into {path}; {len(bare)} of {len(shapes)} have not."
        )
    driver = DRIVERS[path.suffix.lower()]
    degrees = driver == "GeoJSON"
    rings = [ring for shape in shapes for ring in shape.rings]
    points = np.concatenate([*rings, np.zeros((0, 2))])
    points = frame.to_degrees(points) if degrees else frame.to_map(points)
    placed = iter(np.split(points, np.cumsum([len(ring) for ring in rings])[:-1]) if rings else ())
    areas = [even_odd([next(placed) for _ in shape.rings]) for shape in shapes]
    options = {"COORDINATE_PRECISION": str(DIGITS), "RFC7946": "YES"} if degrees else {}
    probabilities = [np.nan if shape.probability is None else shape.probability for shape in shapes]
    columns = {
        "id": np.array([number for number, _ in numbered(shapes)], np.int64),
        "class": np.array([shape.name for shape in shapes], object),
        "probability": np.array(probabilities, np.float64),
    }
    try:
        pyogrio.raw.write(
            temporary, shapely.to_wkb(np.array(areas, object)), [*columns.values()], [*columns],
            layer=path.stem, driver=driver, geometry_type="MultiPolygon",
            crs=WGS84 if degrees else frame.crs, nan_as_null=True, promote_to_multi=True, **options,
        )  # fmt: skip
        # GDAL is silent about what it cannot write when it closes the file, the index of a GeoPackage last
        info = pyogrio.read_info(temporary, force_feature_count=True)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise InputError(f"Cannot write {path}: {error}. Free space or choose another place.", path) from error
    is_whole = driver != "GPKG" or _is_indexed(info) or not _makes_indices()
    if info["features"] != len(shapes) or not is_whole:
        raise InputError(f"Cannot write {path}: not all of it came to the disk. Free space.", path)
    _mark(temporary, path)


def _mark(temporary: Path, path: Path) -> None:
    """Make a file such that it is told apart from what another program wrote or changed; it is to be `path`."""
    if path.suffix.lower() == ".gpkg":
        try:
            with closing(sqlite3.connect(temporary)) as database, database:
                database.execute("UPDATE gpkg_contents SET last_change = ?", (WRITTEN,))
        except sqlite3.Error as error:
            raise InputError(f"Cannot write {path}: {error}. Free space or choose another place.", path) from error
        return
    with temporary.open("rb+") as file:
        if file.read(2) == b"{\n":  # as GDAL begins
            file.seek(1)
            file.write(b" ")


def is_unchanged(path: Path) -> bool:
    """Whether a GeoPackage is as `write_vector_map` wrote it."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            return database.execute("SELECT DISTINCT last_change FROM gpkg_contents").fetchall() == [(WRITTEN,)]
    except sqlite3.Error:
        return False


def _is_indexed(info: dict[str, Any]) -> bool:
    """Whether a file, as pyogrio tells of it, has an index of its places."""
    return bool(info["capabilities"]["fast_spatial_filter"])


def _makes_indices() -> bool:
    """Whether GDAL makes an index in a GeoPackage here; it cannot where it took an SQLite without R-trees for its own.

    One in memory tells, which no disk is too full for.
    """
    pyogrio, shapely, content = import_geo("pyogrio"), import_geo("shapely"), io.BytesIO()
    places = shapely.to_wkb(np.array([shapely.Point(0, 0)], object))
    pyogrio.raw.write(content, places, [], [], layer="a", driver="GPKG", geometry_type="Point", crs=WGS84)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of its name, which has no suffix
        return _is_indexed(pyogrio.read_info(content.getvalue()))


@contextmanager
def map_writer(path: Path, picture: Picture) -> Iterator[Add]:
    """Yield a function that writes the objects of a GeoTIFF file; the file is there, whole, when the block ends well.

    Args:
        path: NAME.gpkg, in the coordinate system of the picture, or NAME.geojson, in longitude and latitude (WGS84).
        picture: whose objects they are.

    Yields:
        The function.

    Raises:
        InputError: the picture is a stack, is shown otherwise than it is stored, or does not say where it lies; or as
            `write_vector_map`.
    """
    if picture.pages > 1:
        raise InputError(
            f"A map is one picture; {picture.path} has {picture.pages} pages. Take another format of --polygons.",
            picture.path,
        )
    if (turn := open_pictures(picture.path).orientation) != 1:
        raise InputError(
            f"A map must be stored as it is shown; {picture.path} has orientation {turn}. Save it so, or take another "
            "format of --polygons.",
            picture.path,
        )
    frame = open_frame(picture.path)  # so that one that lies nowhere is refused before it is predicted
    with replacing(path) as temporary:

        def add(shapes: Sequence[Shape]) -> None:
            _write(temporary, path, shapes, frame)

        yield add


def even_odd(rings: Sequence[Points]) -> Any:
    """The area, of shapely, whose points lie inside an odd number of rings: what a `Shape` means by its rings.

    The rings are joined two by two, so that many of them take little more time than their points.
    """
    shapely = import_geo("shapely")
    left = np.array([polygonal(shapely.Polygon(ring)) for ring in rings], object)
    while len(left) > 1:
        whole = len(left) // 2 * 2
        left = np.append(shapely.symmetric_difference(left[:whole:2], left[1:whole:2]), left[whole:])
    return left[0]


def polygonal(area: Any) -> Any:
    """The polygons of a geometry of shapely, made valid by the even-odd rule; lines and points are left out."""
    shapely = import_geo("shapely")
    area = area if area.is_valid else shapely.make_valid(area)
    if area.geom_type in ("Polygon", "MultiPolygon"):
        return area
    parts = [part for part in shapely.get_parts(shapely.get_parts(area)) if part.geom_type == "Polygon"]
    return shapely.MultiPolygon(parts)


def extent_of(points: Points) -> tuple[float, float, float, float]:
    """Lowest x, lowest y, highest x, highest y."""
    (left, low), (right, high) = points.min(0).tolist(), points.max(0).tolist()
    return left, low, right, high


def said(extent: tuple[float, float, float, float]) -> str:
    """An extent in words for people: "x 100 to 300, y 700 to 900"."""
    left, low, right, high = extent
    return f"x {left:.10g} to {right:.10g}, y {low:.10g} to {high:.10g}"


def _name(crs: Any) -> str:
    return crs.to_string() if crs.to_epsg() else (crs.to_dict().get("proj") or crs.to_wkt()[:60])
