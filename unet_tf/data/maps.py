"""GeoTIFF files of any size and compression, read in windows by rasterio, and which pixels hold no measurement."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.nodata import nodata_pixels, stand_in
from unet_tf.data.pictures import TIFF, as_image, image_type
from unet_tf.data.tiff import directories, first_picture, import_tifffile, open_tiff
from unet_tf.data.tiff_colours import NAMES, SHOWN, NotPlain, colours_of_table, step_of
from unet_tf.data.tiff_names import plain_name
from unet_tf.data.volumes import PICTURE, Volume
from unet_tf.errors import InputError
from unet_tf.utils.extras import import_extra

CACHE = 64_000_000
"""Bytes of decoded blocks that GDAL keeps between two windows; of itself it takes a twentieth of the memory."""
LARGEST_BLOCK = 1 << 28
"""Bytes of the largest strip or tile that is read: it is decoded whole for each window in it."""
PARTS = ("hue", "saturation", "lightness", "cyan", "magenta", "yellow", "black", "Y", "Cb", "Cr")
"""What GDAL calls bands that are no channels, but parts of colours; "alpha" says where there is something."""


class MapArray:
    """A GeoTIFF file as an array (H, W, C), of which windows are read: the numbers that `read_image` gives.

    Bands of alpha are no channels: together with the file's mask (internal, or NAME.tif.msk beside it) they say which
    pixels hold a measurement.

    Args:
        path: the file.
        mean: of each channel of the training images: what pixels without a measurement hold where alpha or a mask says
            so. Empty leaves them as stored.

    Attributes:
        dataset: the file, opened by rasterio; threads take turns.
        nodata: the value that the file names as "no measurement", as it is shown, or none; of a colour table it counts
            as a mask.
        chunks: height and width of its strips or tiles.

    Raises:
        InputError: the file cannot be read so.
    """

    def __init__(self, path: Path, mean: Sequence[float] = ()) -> None:
        self.path, self._lock, self._rasterio = path, threading.Lock(), import_geo("rasterio")
        try:
            with quiet_rasterio():
                self.dataset = self._rasterio.open(path, driver="GTiff")
            self._page = _first_page(path)
        except (self._rasterio.errors.RasterioError, OSError) as error:
            raise InputError(f"{path} cannot be opened as a GeoTIFF file: {error}. Copy it again.", path) from error
        kinds = [one.name for one in self.dataset.colorinterp]
        self._alpha = [band for band, kind in enumerate(kinds, start=1) if kind == "alpha"]
        self._bands = [band for band in range(1, len(kinds) + 1) if band not in self._alpha]
        self._check(kinds)
        flags = {flag.name for flag in self.dataset.mask_flag_enums[0]}
        self._masked = "per_dataset" in flags and "alpha" not in flags
        value = self.dataset.nodata
        self._table = _colours(self._page) if self._page.colormap is not None else None
        self._index = value if self._table is not None else None
        self._step = step_of(int(self.dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8)))
        self.nodata = () if value is None or self._table is not None else (float(value) * self._step,)
        self._stand_in: NDArray | None = None
        corner = self[0:1, 0:1]
        self.dtype, self.shape = corner.dtype, (*self.dataset.shape, corner.shape[2])
        self.chunks = self.dataset.block_shapes[0]
        if mean:
            self._stand_in = stand_in(mean, self.shape[2], self.dtype)

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray:
        """(h, w, C) of slices of rows and columns."""
        stored, gone = self._stored(*key[:2])
        image = self._shown(stored)
        if gone is not None and self._stand_in is not None:
            image[gone] = self._stand_in
        return image

    def unmeasured(
        self, rows: slice, columns: slice, values: Sequence[float], channels: Sequence[int]
    ) -> NDArray[np.bool_]:
        """Where a window has no measurement, (h, w): by alpha or mask, or since all of some channels hold such a value.

        Args:
            rows: of the window.
            columns: likewise.
            values: those that stand for no measurement.
            channels: numbers of those that count.
        """
        if not values and not self._alpha and not self._masked and self._index is None:
            return np.zeros((rows.stop - rows.start, columns.stop - columns.start), bool)
        stored, gone = self._stored(rows, columns)
        found = nodata_pixels(self._shown(stored)[..., channels], values)
        return found if gone is None else found | gone

    @property
    def band_names(self) -> list[str]:
        """What the file calls its channels; "" where it does not."""
        return [plain_name(self.dataset.descriptions[band - 1] or "") for band in self._bands]

    def _stored(self, rows: slice, columns: slice) -> tuple[NDArray, NDArray[np.bool_] | None]:
        """(h, w, bands) as stored, and (h, w) where alpha, mask or an index of the colour table say that nothing is."""
        window = self._rasterio.windows.Window.from_slices(rows, columns)
        try:
            with self._lock, self._rasterio.Env(GDAL_CACHEMAX=CACHE):
                stored = self.dataset.read(self._bands + self._alpha, window=window)
                mask = self.dataset.read_masks(1, window=window) if self._masked else None
        except self._rasterio.errors.RasterioError as error:
            why = str(error.__cause__ or error).rstrip(".")
            raise InputError(
                f"{self.path} cannot be read at rows {rows.start} to {rows.stop}, columns {columns.start} to "
                f"{columns.stop}: {why}. Copy it again, or write that part again.", self.path,
            ) from error  # fmt: skip
        image, alpha = stored[: len(self._bands)], stored[len(self._bands) :]
        gone = [part == 0 for part in (*alpha, *([] if mask is None else [mask]))]
        if self._index is not None:
            gone.append(image[0] == self._index)
        return np.moveaxis(image, 0, 2), np.logical_or.reduce(gone) if gone else None

    def _shown(self, stored: NDArray) -> NDArray:
        """(h, w, C) as `read_image` gives it: colours looked up, grey of 1, 2 and 4 bits over the whole range."""
        if self._table is not None:
            return self._table[stored[..., 0]]
        if self._step > 1:
            stored = stored * np.uint8(self._step)
        return as_image(np.ascontiguousarray(stored), self.path, self.nodata)

    def _check(self, kinds: Sequence[str]) -> None:
        """Raise InputError for files whose numbers are no picture, or cannot be read in windows."""
        dataset, path = self.dataset, self.path
        pages = max(len(dataset.subdatasets), _count_planes(path))
        if pages > 1:
            raise InputError(
                f"A map must be one picture; {path} has {pages} pages. Save the page as a file "
                "(gdal_translate GTIFF_DIR:1:...), or predict a stack into a folder or .zarr.", path,
            )  # fmt: skip
        space = dataset.tags(ns="IMAGE_STRUCTURE").get("SOURCE_COLOR_SPACE", "")
        strange = [kind for kind in kinds if kind in PARTS]
        if strange or (space and space != "YCbCr") or not self._bands or ("palette" in kinds and len(self._bands) > 1):
            named = space or ", ".join(strange or kinds)
            raise InputError(
                f"Bands must be no part of CMYK, HSL or YCbCr, and a colour table the only one; {path} has {named}. "
                "Save it as RGB, or as bands without names.",
                path,
            )
        told = np.ravel(self._page.photometric).tolist()
        if len(told) > 1 or told[0] not in SHOWN:
            name = NAMES.get(told[0], f"with number {', '.join(map(str, told))}")
            raise InputError(
                f"A map must be in grey or RGB, or have a colour table; {path} is in the colour space {name}. Save it "
                "as RGB.", path,
            )  # fmt: skip
        if len(set(dataset.dtypes)) > 1:
            raise InputError(f"Bands must have one type; {path} has {', '.join(dataset.dtypes)}. Save it so.", path)
        image_type(np.dtype(dataset.dtypes[0]), path)
        turn = self._page.tags.valueof("Orientation", 1)
        if turn != 1:
            numbers = ", ".join(map(str, np.ravel(turn).tolist()))
            raise InputError(
                f"A map must be stored as it is shown; {path} has orientation {numbers}. Save it so.", path
            )
        height, width = dataset.block_shapes[0]
        pixel = sum(np.dtype(kind).itemsize for kind in dataset.dtypes)
        if height * width * pixel > LARGEST_BLOCK:
            raise InputError(
                f"Strips or tiles must have {LARGEST_BLOCK >> 20} MiB at most; those of {path} have {height}x{width} "
                f"px of {pixel} bytes. Save it with tiles (gdal_translate -co TILED=YES).", path,
            )  # fmt: skip
        empty, blocks = np.count_nonzero(np.equal(self._page.databytecounts, 0)), len(self._page.databytecounts)
        if empty and dataset.nodata is None:
            raise InputError(
                f"Blocks that a file leaves out must be named as nodata; {path} lacks {empty} of {blocks}, and names "
                "no nodata value. Name one (gdal_edit.py -a_nodata 0), or copy the file again if it is to be whole.",
                path,
            )  # fmt: skip


def open_map(path: str | Path, mean: Sequence[float] = ()) -> Volume:
    """Open a GeoTIFF file as a volume of one picture.

    Args:
        path: NAME.tif, of any size and compression that GDAL reads.
        mean: of each channel of the training images: what pixels without a measurement hold where alpha or a mask says
            so; pixels of the nodata value are left to who knows all such values. Empty leaves both as stored.

    Raises:
        InputError: it is no such file, or of a kind that cannot be read so.
    """
    path = Path(path)
    if path.suffix.lower() not in TIFF:
        raise InputError(f"A map is made of a GeoTIFF file, NAME.tif; received {path.name!r}. Save it so.", path)
    if not path.is_file():
        raise InputError(f"There is no file {path}. Check the path.", path)
    array = MapArray(path, mean)
    return Volume(path, array, PICTURE, (1.0,) * 3, ("",) * 3, array.nodata, tuple(array.band_names))


def import_geo(name: str) -> Any:
    """One of the packages of the extra "geo".

    Raises:
        InputError: it is not installed.
    """
    needs = f"Maps need the package {name}: pip install 'unet-tf[geo]'."
    if name == "pyogrio":
        with _own_symbols():
            import_extra(needs, "pyogrio.raw")
    return import_extra(needs, name)


@contextmanager
def _own_symbols() -> Iterator[None]:
    """Libraries that are loaded meanwhile take their own functions before those of libraries that are there already.

    TensorFlow has an SQLite without R-trees, and GDAL would take it for its own: no index for a GeoPackage then.
    """
    deep = getattr(os, "RTLD_DEEPBIND", 0)  # of glibc; elsewhere libraries keep to themselves, or it is not to be had
    if not deep or "tensorflow" not in sys.modules or os.environ.get("LD_PRELOAD"):  # an allocator of its own, say
        yield
        return
    before = sys.getdlopenflags()
    sys.setdlopenflags(before | deep)
    try:
        yield
    finally:
        sys.setdlopenflags(before)


@contextmanager
def quiet_rasterio() -> Iterator[None]:
    """Without the warning that a file has no transform, of which we speak ourselves where it counts."""
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def _first_page(path: Path) -> Any:
    """The first directory of a TIFF file, for what GDAL does not say."""
    tifffile = import_tifffile(path)
    try:
        with directories(path) as file:
            page, number = file.pages[0], first_picture(file).index
            if number or (page.subfiletype & 1 and page.subifds):
                how = f"gdal_translate GTIFF_DIR:{number + 1}:..." if number else "from RAW by developing it"
                raise InputError(
                    f"A map must be the first page of its file; {path} begins with a preview of its picture. Save the "
                    f"picture as a file ({how}).", path,
                )  # fmt: skip
            page.databytecounts, page.colormap  # noqa: B018 - read before the file is closed
            return page
    except InputError:
        raise
    except (tifffile.TiffFileError, ValueError, IndexError, KeyError) as error:
        raise InputError(f"{path} is not a complete TIFF file: {error}. Copy it again.", path) from error


def _count_planes(path: Path) -> int:
    """Pages that a file holds, with or without a directory each: 1 of those that GDAL alone reads.

    Raises:
        InputError: it does not tell channels from pages or alpha.
    """
    try:
        return sum(map(len, open_tiff(path).pages))
    except InputError as error:
        if isinstance(error.__cause__, NotPlain):
            raise
        return 1


def _colours(page: Any) -> NDArray[np.uint8]:
    """(N, 3) RGB of a colour table, (N, 1) where all are grey: as `read_image` takes it."""
    colours = colours_of_table(page.colormap)
    return colours[:, :1] if (colours == colours[:, :1]).all() else colours
