"""The array of a large prediction: made whole with its settings, or found to be of the same call."""

from __future__ import annotations

import itertools
import logging
import math
import shutil
import uuid
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.masks import MaskFormat
from unet_tf.data.nodata import nodata_of
from unet_tf.data.volumes import TRANSFORMS, Volume, import_zarr
from unet_tf.errors import InputError
from unet_tf.model.calibration import PLAIN
from unet_tf.prediction.drawn import shades_of
from unet_tf.prediction.engines import TENSORFLOW
from unet_tf.prediction.objects import cut_of
from unet_tf.prediction.predictor import Predictor
from unet_tf.prediction.source import CUT, STATE, TURN, Source
from unet_tf.tiling import Grid, Picture, cut
from unet_tf.utils.files import held, refusal
from unet_tf.utils.signals import look
from unet_tf.version import __version__

log = logging.getLogger("unet_tf")

CHUNK = 2048
"""Largest side of a chunk, pixels, where none is given: the halo is then a fifth of what is computed."""
OLDER = {CUT: cut_of(MaskFormat()), TURN: 1, **asdict(PLAIN), "engine": TENSORFLOW}
"""Settings of arrays that were begun before there were these."""
ANEW = "overwrite"
"""Among the settings of an array that was begun to replace an earlier prediction."""
BEGUN = "begun"
"""Among the settings of an array: a name that no other has, as one may be begun in the place of another."""
LEVEL = "0"
"""Name of the one level of resolution that is written."""


def begin(source: Source, out: Path, chunk: int | None, budget: float, overwrite: bool) -> None:
    """Make the array that is to be filled, or see that the one there is of the same call."""
    volume = source.volume
    if out.suffix != ".zarr":
        raise InputError(f"Chunks must be written into an array of zarr, NAME.zarr; received {out}.")
    if out == source.image or out in source.image.parents or source.image in out.parents:
        raise InputError(f"{source.image} is the input, and {out} would write into it. Choose another --out.")
    there = out.exists()
    if there:
        stored_settings(out, {} if overwrite else source.settings(), chunk)
    if there and not overwrite:
        return
    predictor = source.predictor
    first = volume.picture(0, predictor.channels)
    predictor.checked(first, str(source.image))
    most = _largest_tile(predictor, CHUNK if chunk is None else chunk, budget)
    grid = cut(predictor.network.geometry, volume.shape, most)
    nodata: dict[str, list[float]] = {}
    if first.dtype.kind in "if":
        log.info(f"{source.image} is read once before the first chunk, for values that stand for no measurement.")
    for plane in range(math.prod(volume.planes)):
        if not there and out.exists():  # another job was faster, and may have filled chunks already
            stored_settings(out, source.settings(), chunk)
            return
        if found := _nodata(volume, volume.picture(plane, predictor.channels)):
            nodata[str(plane)] = list(found)
    settings = source.settings() | source.cut
    settings |= {"chunk": chunk, "tile": list(grid.tile), "nodata": nodata, "unet_tf": __version__}
    settings |= {BEGUN: uuid.uuid4().hex} | ({ANEW: True} if overwrite else {})
    with held(out, alone=True) if there else nullcontext():
        _create(out, there, volume, grid, predictor, settings)


def begun(array: Any) -> str:
    """Which array of zarr it is (`BEGUN`); "" of one that an earlier version began."""
    return dict(array.attrs["unet_tf"]).get(BEGUN, "")


def stored_settings(out: Path, settings: dict[str, Any], chunk: int | None = None) -> dict[str, Any]:
    """The settings of the prediction that `out` holds; raises InputError unless they are these."""
    try:
        stored = dict(import_zarr().open_array(f"{out}/{LEVEL}", mode="r").attrs["unet_tf"])
    except Exception as error:  # a class of errors of its own for each thing that may be missing
        raise InputError(f"{out} exists and is no prediction of unet_tf. Choose another --out.") from error
    there = OLDER | {STATE: settings.get(STATE)} | stored  # of zarr images it was not stored by earlier versions
    if chunk is not None and settings:
        settings = settings | {"chunk": chunk}
    if other := [name for name, value in settings.items() if there.get(name) != value]:
        words = "; ".join(f"{name} {there.get(name)} there, {settings[name]} here" for name in other)
        raise InputError(
            f"{out} holds a prediction with other settings: {words}. Choose another --out, or begin anew (--overwrite)."
        )
    return stored


def check_tile(out: Path, predictor: Predictor, tile: tuple[int, int], budget: float) -> None:
    """Raise InputError where a tile of an output that is gone on with, of so many pixels, is beyond `budget` bytes."""
    needed = predictor.network.memory_needed(math.prod(tile))
    if needed > budget:
        raise InputError(
            f"{out} was begun with tiles of {tile[0]}x{tile[1]} px, which take about {needed / 1e6:.0f} MB; allowed "
            f"are {budget / 1e6:.0f} MB. Give it more (--memory), or begin anew (--overwrite)."
        )


def is_chunk(out: str | Path, array: Any, index: tuple[int, ...]) -> bool:
    """Say whether a chunk of an array in the folder `out` lies there; one of background alone is written too.

    A machine that stopped may leave the name of a chunk with nothing in it.
    """
    with suppress(OSError):
        return Path(out, LEVEL, array.metadata.encode_chunk_key(index)).stat().st_size > 0
    return False


def chunks_left(out: Path, array: Any) -> int:
    """Count the chunks of an array in the folder `out` that do not lie there."""
    return sum(not is_chunk(out, array, index) for index in np.ndindex(*array.cdata_shape))


def read_part(out: Path, array: Any, window: tuple[Any, ...]) -> NDArray[np.uint8]:
    """Read a part of an array that was filled chunk by chunk.

    Args:
        out: the array's folder, to name it in errors.
        array: its level, opened.
        window: a number for each axis of planes, then a slice of rows and one of columns.

    Raises:
        InputError: a chunk cannot be decoded, as a machine that stopped may leave one empty.
    """
    try:
        return np.asarray(array[window])
    except Exception as error:  # codecs raise whatever they meet in damaged chunks
        damaged = next((index for index in _chunks_of(array, window) if _fails(array, index)), None)
        if damaged is None:
            raise
        file = Path(out, LEVEL, array.metadata.encode_chunk_key(damaged))
        raise InputError(f"{file} cannot be read: {error}. Remove it, and predict what is left.", file) from error


def _chunks_of(array: Any, window: tuple[Any, ...]) -> Iterator[tuple[int, ...]]:
    """The chunks that a window touches."""
    sides = zip(window[-2:], array.chunks[-2:], strict=True)
    places = (range(part.start // side, -(-part.stop // side)) for part, side in sides)
    return ((*window[:-2], *place) for place in itertools.product(*places))


def _fails(array: Any, index: tuple[int, ...]) -> bool:
    try:
        array.blocks[index]
    except Exception:  # as above
        return True
    return False


def renew_cut(out: Path, told: dict[str, Any]) -> None:
    """Let an array say how its run tells objects apart by now, which class ids do not depend on.

    Args:
        out: the array.
        told: `Source.cut`.

    Raises:
        InputError: the system refuses to write.
    """
    array = import_zarr().open_array(f"{out}/{LEVEL}", mode="r+")
    stored = dict(array.attrs["unet_tf"])
    if all((OLDER | stored).get(name) == value for name, value in told.items()):
        return
    try:
        array.attrs["unet_tf"] = stored | told
    except OSError as error:
        raise refusal(out, error) from error


def stored_nodata(out: str | Path) -> tuple[float, ...]:
    """The values for "no measurement" of the image of a prediction, of all its planes: named by it, or found in it.

    Args:
        out: what `predict_large` wrote.
    """
    return nodata_values(stored_settings(Path(out), {}))


def nodata_values(settings: dict[str, Any]) -> tuple[float, ...]:
    """These values among the settings of an array or a map."""
    return tuple(sorted(set(itertools.chain.from_iterable(settings.get("nodata", {}).values()))))


def _create(out: Path, there: bool, volume: Volume, grid: Grid, predictor: Predictor, settings: dict[str, Any]) -> None:
    """Put an empty array where none was, or in the place of the one that was there, unless a job has just done so."""
    temporary, aside = (out.with_name(f".{out.stem[:20]}.{uuid.uuid4().hex[:8]}.zarr") for _ in range(2))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _make(temporary, volume, grid, predictor, settings)
        if there:
            out.rename(aside)
        try:
            temporary.rename(out)
        except OSError:
            if not (out / LEVEL).exists():  # else another job was faster
                raise
    except OSError as error:
        raise refusal(out, error) from error
    finally:
        for path in (temporary, aside):
            shutil.rmtree(path, ignore_errors=True)


def _largest_tile(predictor: Predictor, chunk: int, budget: float) -> int:
    """Input size of a tile whose output has `chunk` pixels a side at most, and that `budget` bytes hold."""
    geometry = predictor.network.geometry
    if any(predictor.network.sizes):
        raise InputError(
            f"An array or a map is predicted in tiles of its chunks' size, and this net takes tiles of "
            f"{predictor.network.sizes} px alone. Give the folder of the bundle, or predict pictures."
        )
    if chunk < geometry.stride:
        raise InputError(f"Chunks of this net must have {geometry.stride} px a side or more; received {chunk}.")
    wanted = geometry.window_size(chunk // geometry.stride * geometry.stride)
    side = math.isqrt(predictor.pixels_within(budget))
    return min(wanted, geometry.nearest_legal(side)[0])


def _nodata(volume: Volume, picture: Picture) -> tuple[float, ...]:
    """The values of a plane that stand for "no measurement"; planes of signed or float pixels are read for it."""
    look()
    return nodata_of(picture, volume.nodata, lambda done, total: look(), volume.block)


def _make(path: Path, volume: Volume, grid: Grid, predictor: Predictor, settings: dict[str, Any]) -> None:
    """Write the metadata of the output: OME-Zarr 0.5, one level, with the colours and names of the classes."""
    kept = [*volume.plane_axes, volume.axes.index("y"), volume.axes.index("x")]
    axes = [volume.axes[i] for i in kept]
    kinds = {"t": "time"} | dict.fromkeys("zyx", "space")
    described = [
        {"name": name} | ({"type": kinds[name]} if name in kinds else {}) | ({"unit": unit} if unit else {})
        for name, unit in zip(axes, (volume.units[i] for i in kept), strict=True)
    ]
    transforms: list[dict[str, Any]] = [{"type": "scale", "scale": [volume.scale[i] for i in kept]}]
    if any(place := [volume.translation[i] for i in kept if volume.translation]):
        transforms.append({"type": "translation", "translation": place})
    level = {"path": LEVEL, TRANSFORMS: transforms}
    colours = shades_of(predictor.masks, len(predictor.classes))
    labels = {
        "colors": [{"label-value": i, "rgba": [*map(int, rgb), 255]} for i, rgb in enumerate(colours)],
        "properties": [{"label-value": i, "class": name} for i, name in enumerate(predictor.classes)],
    }
    ome = {"version": "0.5", "multiscales": [{"axes": described, "datasets": [level]}], "image-label": labels}
    group = import_zarr().create_group(str(path), zarr_format=3, attributes={"ome": ome})
    group.create_array(
        LEVEL,
        shape=(*volume.planes, *volume.shape),
        dtype="uint8",
        chunks=(*[1] * len(volume.planes), *grid.step),
        fill_value=0,
        dimension_names=axes,
        attributes={"unet_tf": settings},
    )
