"""A GeoTIFF file of any size to a map of its classes, which lies where the image lies."""

from __future__ import annotations

import itertools
import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from unet_tf.data.maps import CACHE, MapArray, import_geo, open_map, quiet_rasterio
from unet_tf.data.pictures import TIFF
from unet_tf.data.tiff import open_tiff
from unet_tf.data.volumes import import_zarr
from unet_tf.errors import InputError
from unet_tf.labels import VOID
from unet_tf.prediction.arrays import ANEW, BEGUN, LEVEL, chunks_left, nodata_values, read_part, stored_settings
from unet_tf.prediction.calls import rest
from unet_tf.prediction.drawn import shades_of
from unet_tf.prediction.engines import TENSORFLOW
from unet_tf.prediction.large import predict_large
from unet_tf.prediction.predict import located, model_hash
from unet_tf.prediction.source import Source
from unet_tf.run import Run
from unet_tf.utils.files import held, identity, is_one_file, placed, replacing
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look, stoppable

log = logging.getLogger("unet_tf")

BLOCK, STRIDE = 512, 2048
"""Side of the tiles of a map, and of the part of it that is in memory while it is written, pixels."""
SMALLEST = 256
"""Longest side of the smallest overview, pixels, or half of it."""
TAG = "UNET_TF"
"""The tag of the file that says what it was made of and by what, as JSON."""
AGAIN = "Give the same command again."
DROPPED = (
    "AREA_OR_POINT", "TIFFTAG_SOFTWARE", "TIFFTAG_MINSAMPLEVALUE", "TIFFTAG_MAXSAMPLEVALUE", "TIFFTAG_IMAGEDESCRIPTION",
)  # fmt: skip
"""Tags of the image that say nothing of its map; in the description programs say how many channels there are."""


def predict_map(
    run: Run | str | Path,
    image: str | Path,
    out: str | Path,
    chunk: int | None = None,
    memory: int | str | None = None,
    tta: str = "none",
    shard: str | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    on_chunk: Progress = unseen,
    on_pixels: Callable[[int], None] = lambda number: None,
    threshold: float | None = None,
    engine: str = TENSORFLOW,
) -> Path:
    """Predict a GeoTIFF file of any size and compression into a GeoTIFF of class ids that lies on it.

    The classes are those of `predict`, whatever the chunks; 255, the nodata value of the map, stands where the image
    has no measurement: where all channels that the net takes hold its nodata value or a sentinel
    (`unet_tf.data.nodata`), and where its alpha or its mask says so. For the net such pixels are the mean of the
    training images.

    The map has tiles of 512 px in deflate, overviews, the colours of the classes, their names as tags and, in
    NAME.tif.aux.xml, as GDAL's categories, and coordinate system, transform, ground control points, tags and names of
    bands of the image. It is whole or absent; chunks that are done lie beside it in NAME.tif.parts.zarr until it is, so
    that the same call goes on after whatever stopped it. The memory that it takes does not grow with the image.

    Args:
        run: a run or its folder, the folder of a bundle, or what else `unet_tf.load` opens by its path or address.
        image: a GeoTIFF file, NAME.tif, of one picture.
        out: the map, another NAME.tif.
        chunk: largest side of a chunk, pixels; None for 2048, or what the memory holds.
        memory: what the tiles may take on this machine, bytes or such as "2GB"; see `predict_large`.
        tta: "none", or average over turned tiles: "rotations" (4) or "all" (8).
        shard: "k/n": do every n-th chunk from number k on, as one of n jobs that share the work; the job that does the
            last chunk writes the map.
        scheduler: of Dask, or "local:N" for N processes; None for this process.
        overwrite: begin anew where `out` is an earlier map.
        on_chunk: called with (chunks done, chunks in all) of this call's share, earlier ones included.
        on_pixels: called with the pixels of each chunk that was predicted.
        threshold: of two classes: a pixel is class 1 where its probability is larger; None for that of the run.
        engine: what computes: "tensorflow", "openvino", "onnxruntime" or "auto" (`unet_tf.predict`).

    Returns:
        `out`.

    Raises:
        InputError: the image, the run or a setting cannot be used; `out` is something else, or cannot be written.
            Chunks that were finished stay.
        Stopped: a signal came; chunks that were finished stay.

    Reference:
        OGC GeoTIFF standard 1.1; GDAL, "GTiff -- GeoTIFF File Format".
    """
    image, out = placed(image, TIFF), Path(out).resolve()
    net = located(run)
    if out.suffix.lower() not in TIFF:
        raise InputError(f"A map is written into NAME.tif; received {out.name!r}.", out)
    if is_one_file(out, image):
        raise InputError(f"{image} is the input, and the map would replace it. Choose another --out.", image)
    with stoppable():
        source = Source(net, model_hash(net), image, None, tta, True, threshold).by(engine)
        parts, before = out.with_name(f"{out.name}.parts.zarr"), identity(out)
        if before is not None and _is_done(out, parts, source.settings(), overwrite):
            _remove_left(parts, source.settings())
            return out
        shared = (chunk, memory, tta, shard, scheduler, overwrite)
        predict_large(
            run, image, parts, None, *shared, is_map=True, on_chunk=on_chunk, on_pixels=on_pixels,
            threshold=threshold, engine=source.engine,
        )  # fmt: skip
        try:
            if _left(parts):  # another job has them, and will put them together
                return out
            with held(parts):
                _write(parts, source, out, overwrite)
        except InputError:
            by_another = identity(out) not in (None, before) and _is_done(out, parts, source.settings(), False)
            if not by_another:
                raise
        shutil.rmtree(parts, ignore_errors=True)
    return out


def map_settings(out: str | Path) -> dict[str, Any]:
    """What a map was made of and by what.

    Raises:
        InputError: the file is no map of `predict_map`.
    """
    rasterio = import_geo("rasterio")
    try:
        with quiet_rasterio(), rasterio.open(out) as dataset:
            return dict(json.loads(dataset.tags()[TAG]))
    except (rasterio.errors.RasterioError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{out} exists and is no map of unet_tf. Choose another --out.") from error


def map_nodata(out: str | Path) -> tuple[float, ...]:
    """The values for "no measurement" of the image of a map: named by it, or found in it.

    Args:
        out: what `predict_map` wrote.
    """
    return nodata_values(map_settings(out))


def _is_done(out: Path, parts: Path, settings: dict[str, Any], overwrite: bool) -> bool:
    """Whether the map that is there is that of this call; raises InputError if it is another one, or no map."""
    stored = map_settings(out)
    if overwrite or _begun_anew(out, parts, settings):
        return False
    if other := [name for name, value in settings.items() if stored.get(name) != value]:
        words = "; ".join(f"{name} {stored.get(name)} there, {settings[name]} here" for name in other)
        raise InputError(
            f"{out} is a map with other settings: {words}. Choose another --out, or begin anew (--overwrite)."
        )
    return True


def _begun_anew(out: Path, parts: Path, settings: dict[str, Any]) -> bool:
    """Whether the chunks that lie there are those of this call, and were begun to replace the map, which is older.

    A job that looked for nodata while others wrote the map and removed the chunks makes such that are later, too.
    """
    try:
        is_later = (parts / LEVEL / "zarr.json").stat().st_mtime_ns > out.stat().st_mtime_ns
        return is_later and ANEW in stored_settings(parts, settings)
    except (InputError, OSError):
        return False


def _remove_left(parts: Path, settings: dict[str, Any]) -> None:
    """Remove the chunks of a process that was killed when its map was whole; what else bears the name stays."""
    if not parts.exists():
        return
    try:
        stored_settings(parts, settings)
    except InputError:
        log.warning(
            f"{parts} stays: it does not hold chunks of the map that is there, but those of a call with other settings "
            "that was stopped, or something else. Give that call again, without --overwrite, or remove the folder."
        )
        return
    with suppress(InputError), held(parts, alone=True):
        shutil.rmtree(parts, ignore_errors=True)


def _left(parts: Path) -> int:
    """Count the chunks that are not there."""
    try:
        array = import_zarr().open_array(f"{parts}/{LEVEL}", mode="r")
    except FileNotFoundError as error:
        raise InputError(f"{parts} must stay while it is in use, and was removed. {AGAIN}") from error
    return chunks_left(parts, array)


def _write(parts: Path, source: Source, out: Path, overwrite: bool) -> None:
    """Put the chunks together."""
    predictor = source.predictor
    scene = open_map(source.image)
    raster = scene.array
    settings = stored_settings(parts, source.settings())
    for name in (ANEW, BEGUN):
        settings.pop(name, None)
    values = nodata_values(settings)
    channels = predictor.channels.numbers(scene.channel_names, source.image)
    rasterio = import_geo("rasterio")
    height, width = raster.shape[:2]
    colours = shades_of(predictor.masks, len(predictor.classes))
    options = _place(raster) | {
        "height": height, "width": width, "count": 1, "dtype": "uint8", "nodata": VOID, "photometric": "palette",
        "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "deflate", "bigtiff": "if_safer",
    }  # fmt: skip
    labels = import_zarr().open_array(f"{parts}/{LEVEL}", mode="r")
    windows = [*_windows(height, width)]
    if len(windows) > 1:  # which may take minutes
        log.info(f"All chunks are there: {out} is written from them, with its overviews.")
    with replacing(out) as temporary, rasterio.Env(GDAL_CACHEMAX=CACHE), quiet_rasterio():
        try:
            with rasterio.open(temporary, "w", driver="GTiff", **options) as target:
                target.write_colormap(1, dict(enumerate((*map(int, rgb), 255) for rgb in colours)) | {VOID: (0,) * 4})
                target.update_tags(**_tags(raster), **{TAG: json.dumps(settings)})
                target.update_tags(1, **{f"CLASS_{number}": name for number, name in enumerate(predictor.classes)})
                target.set_band_description(1, "class")
                for rows, columns in windows:
                    look()
                    part = read_part(parts, labels, (rows, columns))
                    part[raster.unmeasured(rows, columns, values, channels)] = VOID
                    target.write(part, 1, window=rasterio.windows.Window.from_slices(rows, columns))
            with rasterio.open(temporary, "r+", driver="GTiff") as target:
                target.build_overviews(_factors(height, width), rasterio.enums.Resampling.mode)
            look()
        except (rasterio.errors.RasterioError, rasterio._err.CPLE_BaseError) as error:
            raise _refusal(out, error.__cause__ or error, overwrite) from error
        _check_written(temporary, out, overwrite)
        if _left(parts):
            raise InputError(f"{parts} must stay while it is in use, and was removed. {AGAIN}")
        _write_categories(out, predictor.classes)


def _check_written(temporary: Path, out: Path, overwrite: bool) -> None:
    """Raise InputError unless all tiles are in the file: GDAL is silent about what it cannot write at the end."""
    try:
        open_tiff(temporary)
    except InputError as error:
        raise _refusal(out, f"not all of it came to the disk ({error.__cause__ or error})", overwrite) from error


def _refusal(out: Path, why: Any, overwrite: bool) -> InputError:
    return InputError(f"Cannot write {out}: {why}. Free space. {rest(overwrite)}", out)


def _place(raster: MapArray) -> dict[str, Any]:
    """What says where the map lies: transform or ground control points, and coordinate system; says if nothing does."""
    dataset = raster.dataset
    points, system = dataset.gcps
    if not dataset.transform.is_identity:
        return {"transform": dataset.transform, "crs": dataset.crs}
    if points:
        return {"gcps": points, "crs": system}
    log.warning(f"{raster.path} does not say where it lies, and its map will not either.")
    return {}


def _tags(raster: MapArray) -> dict[str, str]:
    """Tags of the image that its map keeps, and the names of its bands."""
    kept = {name: value for name, value in raster.dataset.tags().items() if name not in (*DROPPED, TAG)}
    return kept | ({"BANDS": ", ".join(raster.band_names)} if any(raster.band_names) else {})


def _windows(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    for top, left in itertools.product(range(0, height, STRIDE), range(0, width, STRIDE)):
        yield slice(top, min(top + STRIDE, height)), slice(left, min(left + STRIDE, width))


def _factors(height: int, width: int) -> list[int]:
    """How many pixels of the map a pixel of each overview stands for, along a side."""
    factors = [2]
    while max(height, width) / factors[-1] > SMALLEST:
        factors.append(2 * factors[-1])
    return factors[: None if max(height, width) > SMALLEST else 0]


def _write_categories(out: Path, classes: tuple[str, ...]) -> None:
    """Write the names of the classes where GDAL looks for them: a GeoTIFF file has no place of its own for them."""
    root = ElementTree.Element("PAMDataset")
    names = ElementTree.SubElement(ElementTree.SubElement(root, "PAMRasterBand", band="1"), "CategoryNames")
    for name in classes:
        ElementTree.SubElement(names, "Category").text = name
    with replacing(out.with_name(f"{out.name}.aux.xml")) as temporary:
        temporary.write_text(ElementTree.tostring(root, encoding="unicode"), encoding="utf-8")
