"""Images beyond memory and beyond one machine: each chunk of a zarr array is a task that anyone may do."""

from __future__ import annotations

import functools
import itertools
import math
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.drawing import colour
from unet_tf.data.maps import open_map
from unet_tf.data.masks import MaskFormat
from unet_tf.data.nodata import nodata_of
from unet_tf.data.volumes import Volume, count_planes, import_zarr, open_volume
from unet_tf.errors import InputError
from unet_tf.model.calibration import PLAIN
from unet_tf.prediction.engines import TENSORFLOW, resolve
from unet_tf.prediction.objects import cut_of
from unet_tf.prediction.outputs import state_of
from unet_tf.prediction.predict import located, model_hash, predictor_for
from unet_tf.prediction.predictor import Predictor, memory_budget, turns_of
from unet_tf.prediction.tasks import parse_shard, run_tasks, workers_of
from unet_tf.run import Run
from unet_tf.tiling import Grid, Picture, cut, fixed
from unet_tf.utils.files import held, refusal
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look, stoppable
from unet_tf.utils.threads import ahead
from unet_tf.version import __version__

CHUNK = 2048
"""Largest side of a chunk, pixels, where none is given: the halo is then a fifth of what is computed."""
CUT = "cut"
"""Of the settings of an array: how its run tells objects apart (`unet_tf.prediction.objects.cut_of`)."""
OLDER = {CUT: cut_of(MaskFormat()), **asdict(PLAIN), "engine": TENSORFLOW}
"""Settings of arrays and maps that were begun before there were these."""
LEVEL = "0"
"""Name of the one level of resolution that is written."""


@dataclass(frozen=True)
class Job:
    """All that a process needs to predict a chunk: paths that every worker sees, and settings; no arrays, no model.

    Attributes:
        net: folder of the run or bundle.
        model: SHA-256 of the net's file, so that no process takes another one for it.
        image: what is predicted.
        axes: a letter for each axis of the image; None takes what the file says.
        out: the array that is filled.
        tta: "none", or turned tiles that are averaged: "rotations" or "all".
        tile: height and width of the net's input for a chunk.
        call: a name that no other call has: a process keeps files open for one call alone.
        is_map: rasterio reads the image (`unet_tf.data.maps`).
        threshold: of two classes; None for that of the run.
        engine: that computes, as `unet_tf.prediction.engines.resolve` gives it.
    """

    net: str
    model: str
    image: str
    axes: str | None
    out: str
    tta: str
    tile: tuple[int, int]
    call: str
    is_map: bool = False
    threshold: float | None = None
    engine: str = TENSORFLOW


def predict_large(
    run: Run | str | Path,
    image: str | Path,
    out: str | Path,
    axes: str | None = None,
    chunk: int | None = None,
    memory: int | str | None = None,
    tta: str = "none",
    shard: str | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    is_map: bool = False,
    on_chunk: Progress = unseen,
    on_pixels: Callable[[int], None] = lambda number: None,
    threshold: float | None = None,
    engine: str = TENSORFLOW,
) -> Path:
    """Predict an image of any size into a zarr array of class ids, chunk by chunk.

    The result is that of `predict` (below 1e-5 in probability in float32), and to the bit the same however many
    processes made it. Chunks that are there are not computed again, so the same call goes on after whatever stopped it.
    Ctrl-C and SIGTERM end it after the chunk under way.

    Args:
        run: a run or its folder, the folder of a bundle, or what else `unet_tf.load` opens by its path or address.
        image: a zarr array (path of the array), an OME-Zarr image, or a TIFF file that is not compressed. Each of its
            2-D planes is predicted.
        out: a new OME-Zarr image, NAME.zarr, (..., H, W) uint8 class ids; or one that the same call began.
        axes: a letter for each axis of the image, such as "tzyx" or "yxc"; None takes what the file says.
        chunk: largest side of a chunk, pixels; None for 2048, or what the memory holds.
        memory: what the tiles may take on this machine, bytes or such as "2GB"; the processes of "local:N" share it,
            and each worker of another scheduler may take it. None for a quarter of what is free.
        tta: "none", or average over turned tiles: "rotations" (4) or "all" (8).
        shard: "k/n": do every n-th chunk from number k on, as one of n jobs that share the work.
        scheduler: of Dask, or "local:N" for N processes; None for this process (`unet_tf.prediction.tasks.run_tasks`).
        overwrite: begin anew where `out` holds an earlier prediction; no other call may write into it then.
        is_map: let rasterio read a GeoTIFF file, of any compression, whose alpha and masks then say where nothing was
            measured (extra "geo").
        on_chunk: called with (chunks done, chunks in all) of this call's share, earlier ones included.
        on_pixels: called with the pixels of each chunk that was predicted.
        threshold: of two classes: a pixel is class 1 where its probability is larger; None for that of the run.
        engine: what computes: "tensorflow", "openvino", "onnxruntime" or "auto" (`unet_tf.predict`).

    Returns:
        `out`.

    Raises:
        InputError: the image, the run or a setting cannot be used; `out` holds something else, or cannot be written.
            Chunks that were finished stay.
        Stopped: a signal came; chunks that were finished stay.

    Example:
        >>> import tempfile, numpy as np, tifffile
        >>> folder = Path(tempfile.mkdtemp())
        >>> tifffile.imwrite(folder / "slide.tif", np.zeros((100, 90), np.uint8))
        >>> predict_large("tests/saved/run_0_1", folder / "slide.tif", folder / "mask.zarr").name
        'mask.zarr'

    Reference:
        OME-NGFF specification 0.5.
    """
    if shard is not None and (scheduler is not None or overwrite):
        raise InputError(
            "Jobs that share chunks (--shard) take no --scheduler, and no --overwrite, which would undo what others "
            "did; remove the output before they start."
        )
    number, of = parse_shard(shard)
    net, target = located(run), Path(out).resolve()
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        on_chunk(done, len(mine))

    def left() -> Iterator[int]:
        for one in mine:
            if opened.is_done(one):
                count()
            else:
                yield one

    with stoppable():
        turns_of(tta)
        budget = memory_budget(memory) / workers_of(scheduler)
        source = Source(net, model_hash(net), Path(image).resolve(), axes, tta, is_map, threshold).by(engine)
        _begin(source, target, chunk, budget, overwrite)
        with held(target):
            stored = stored_settings(target, source.settings(), chunk)  # of another job, where that was faster
            tile, call = tuple(stored["tile"]), uuid.uuid4().hex
            files = str(net), source.model, str(source.image), axes, str(target)
            job = Job(*files, tta, tile, call, is_map, source.calibration["threshold"], source.engine)
            opened = _opened(job)
            mine = range(number - 1, len(opened), of)
            if scheduler is None:
                finished = predict_chunks(job, left())
            else:
                finished = run_tasks(functools.partial(predict_chunks, job), ([one] for one in left()), scheduler)
            for one in finished:
                on_pixels(opened.pixels(one))
                count()
    return Path(out)


def predict_chunks(job: Job, numbers: Iterable[int]) -> Iterator[int]:
    """Predict chunks one after another: pure, and idempotent. A chunk is whole or absent.

    While one is computed, the next is read and the one before is written.

    Yields:
        The number of each chunk that is written.
    """
    opened = _opened(job)
    to_read, to_write = itertools.tee(_looking(numbers))
    labels = opened.predictor.predict_tiles(map(opened.tile, to_read), opened.grid, tta=job.tta)
    yield from ahead(lambda done: opened.write(*done), zip(to_write, labels, strict=True))


def _looking(numbers: Iterable[int]) -> Iterator[int]:
    for number in numbers:
        look()
        yield number


class Opened:
    """A job with its files open; nothing in it grows with the image.

    Attributes:
        volume: what is predicted.
        target: the array that is filled.
        nodata: of planes that hold such, by number: the values that stand for "no measurement".
        grid: how each plane is cut, a tile for each chunk.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.predictor = predictor_for(job.net, job.model).by(job.engine).at(job.threshold)
        if job.is_map:
            self.volume = open_map(job.image, _means_of_file(self.predictor))
        else:
            self.volume = open_volume(job.image, job.axes, channels_of_files(self.predictor))
        target = import_zarr().open_array(f"{job.out}/{LEVEL}", mode="r+")
        self.target = target.with_config({"write_empty_chunks": True})  # background alone is a result too
        self.nodata = dict(target.attrs["unet_tf"]).get("nodata", {})
        self.grid: Grid = fixed(self.predictor.network.geometry, self.volume.shape, job.tile)

    def __len__(self) -> int:
        return math.prod(self.volume.planes) * len(self.grid)

    def tile(self, number: int) -> tuple[Picture, int]:
        """Give the plane of a chunk and the number of the tile in it."""
        plane, tile = divmod(number, len(self.grid))
        picture = self.volume.picture(plane, self.predictor.channels)
        return self.predictor.checked(picture, self.job.image, self.nodata.get(str(plane), ())), tile

    def pixels(self, number: int) -> int:
        """Count the pixels of a chunk."""
        return math.prod(part.stop - part.start for part in self.grid.place(number % len(self.grid)))

    def is_done(self, number: int) -> bool:
        """Say whether a chunk lies there; one of background alone is written too."""
        plane, tile = divmod(number, len(self.grid))
        row, column = divmod(tile, len(self.grid.columns.origins))
        key = self.target.metadata.encode_chunk_key((*self._index(plane), row, column))
        return Path(self.job.out, LEVEL, key).exists()

    def write(self, number: int, label: NDArray[np.uint8]) -> int:
        """Write one chunk.

        Raises:
            InputError: the system refuses, or the image or the array was removed meanwhile.
        """
        plane, tile = divmod(number, len(self.grid))
        for path in (self.job.image, f"{self.job.out}/{LEVEL}/zarr.json"):
            if not Path(path).exists():  # zarr reads what is missing as background, and makes folders as it likes
                raise InputError(f"{path} must stay while it is in use, and was removed. Put it back and start again.")
        try:
            self.target[(*self._index(plane), *self.grid.place(tile))] = label
        except OSError as error:
            raise InputError(
                f"Cannot write into {self.job.out}: {error.strerror or error}. Free space and give the same command: "
                "what is done stays."
            ) from error
        return number

    def _index(self, plane: int) -> tuple[int, ...]:
        return tuple(int(i) for i in np.unravel_index(plane, self.volume.planes)) if self.volume.planes else ()


_opened = functools.lru_cache(maxsize=2)(Opened)  # once a process and call


@dataclass(frozen=True)
class Source:
    """What is predicted by what: all that the values of the result depend on.

    Attributes:
        net: folder of the run or bundle.
        model: SHA-256 of the net's file.
        image: the array or TIFF file.
        axes: a letter for each axis of the image; None takes what the file says.
        tta: "none", or turned tiles that are averaged.
        is_map: rasterio reads the image.
        threshold: of two classes; None for that of the run.
        engine: that computes, as `unet_tf.prediction.engines.resolve` gives it.
    """

    net: Path
    model: str
    image: Path
    axes: str | None
    tta: str
    is_map: bool = False
    threshold: float | None = None
    engine: str = TENSORFLOW

    def by(self, engine: str) -> Source:
        """The same, computed by an engine.

        Raises:
            InputError: there is none of that name, or its package is missing.
        """
        return replace(self, engine=resolve(engine, self.predictor.network))

    @property
    def predictor(self) -> Predictor:
        """The net, which stays loaded."""
        return predictor_for(str(self.net), self.model).by(self.engine)

    @functools.cached_property
    def volume(self) -> Volume:
        """The image, opened."""
        if self.is_map:
            return open_map(self.image)
        return open_volume(self.image, self.axes, channels_of_files(self.predictor))

    def settings(self) -> dict[str, Any]:
        """Give what an output must have been made with to be gone on with."""
        return {
            "image": str(self.image),
            "shape": list(self.volume.array.shape),
            "axes": list(self.volume.axes),
            "model": self.model,
            "tta": self.tta,
            "engine": self.engine,
            **self.calibration,
            **self._cut(),
        } | ({"state": state_of(self.image)} if self.image.is_file() else {})

    @functools.cached_property
    def calibration(self) -> dict[str, float]:
        """Temperature of the probabilities, and threshold of two classes."""
        return asdict(self.predictor.at(self.threshold).calibration)

    def _cut(self) -> dict[str, Any]:
        """What the ids of objects depend on; a map has none."""
        return {} if self.is_map else {CUT: cut_of(self.predictor.masks)}


def _begin(source: Source, out: Path, chunk: int | None, budget: float, overwrite: bool) -> None:
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
    predictor.checked(volume.picture(0, predictor.channels), str(source.image))
    grid = cut(predictor.network.geometry, volume.shape, _largest_tile(predictor, chunk or CHUNK, budget))
    pictures = ((str(plane), volume.picture(plane, predictor.channels)) for plane in range(count_planes(volume)))
    nodata = {plane: list(found) for plane, picture in pictures if (found := _nodata(volume, picture))}
    settings = source.settings() | {"chunk": chunk, "tile": list(grid.tile), "nodata": nodata, "unet_tf": __version__}
    with held(out, alone=True) if there else nullcontext():
        _create(out, volume, grid, predictor, settings)


def channels_of_files(predictor: Predictor) -> int:
    """How many channels the files have that a net was trained on."""
    return len(predictor.channels.names) or predictor.network.channels


def _means_of_file(predictor: Predictor) -> tuple[float, ...]:
    """What each channel of a file holds where nothing was measured; 0 in those that the net does not take."""
    known, channels = predictor.normalisation, predictor.channels
    means = (0.0,) * predictor.network.channels if known is None else known.mean
    if channels.plain:
        return means
    of_file = [0.0] * len(channels.names)
    for number, mean in zip(channels.numbers(channels.names, Path("the map")), means, strict=False):
        of_file[number] = mean
    return tuple(of_file)


def _nodata(volume: Volume, picture: Picture) -> tuple[float, ...]:
    """The values of a plane that stand for "no measurement"; planes of signed or float pixels are read for it."""
    look()
    return nodata_of(picture, volume.nodata)


def stored_nodata(out: str | Path) -> tuple[float, ...]:
    """The values for "no measurement" that were found in the image of a prediction, of all its planes.

    Args:
        out: what `predict_large` wrote.
    """
    return tuple(
        sorted(set(itertools.chain.from_iterable(stored_settings(Path(out), {}, None).get("nodata", {}).values())))
    )


def _create(out: Path, volume: Volume, grid: Grid, predictor: Predictor, settings: dict[str, Any]) -> None:
    """Put an empty array in the place of an earlier one, unless another job has just done so."""
    temporary, aside = (out.with_name(f".{out.stem[:20]}.{uuid.uuid4().hex[:8]}.zarr") for _ in range(2))
    there = out.exists()
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


def stored_settings(out: Path, settings: dict[str, Any], chunk: int | None = None) -> dict[str, Any]:
    """The settings of the prediction that `out` holds; raises InputError unless they are these."""
    try:
        stored = dict(import_zarr().open_array(f"{out}/{LEVEL}", mode="r").attrs["unet_tf"])
    except Exception as error:  # a class of errors of its own for each thing that may be missing
        raise InputError(f"{out} exists and is no prediction of unet_tf. Choose another --out.") from error
    there = OLDER | stored
    if chunk is not None and settings:
        settings = settings | {"chunk": chunk}
    if other := [name for name, value in settings.items() if there.get(name) != value]:
        words = "; ".join(f"{name} {there.get(name)} there, {settings[name]} here" for name in other)
        raise InputError(
            f"{out} holds a prediction with other settings: {words}. Choose another --out, or begin anew (--overwrite)."
        )
    return stored


def _make(path: Path, volume: Volume, grid: Grid, predictor: Predictor, settings: dict[str, Any]) -> None:
    """Write the metadata of the output: OME-Zarr 0.5, one level, with the colours and names of the classes."""
    kept = [*volume.plane_axes, volume.axes.index("y"), volume.axes.index("x")]
    axes = [volume.axes[i] for i in kept]
    kinds = {"t": "time"} | dict.fromkeys("zyx", "space")
    described = [
        {"name": name} | ({"type": kinds[name]} if name in kinds else {}) | ({"unit": unit} if unit else {})
        for name, unit in zip(axes, (volume.units[i] for i in kept), strict=True)
    ]
    level = {"path": LEVEL, "coordinateTransformations": [{"type": "scale", "scale": [volume.scale[i] for i in kept]}]}
    colours = colour(np.arange(len(predictor.classes), dtype=np.uint8)[None], predictor.masks)[0]
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
