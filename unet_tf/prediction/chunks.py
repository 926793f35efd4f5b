"""Chunks of a large prediction: each is a task that any process does, whole or absent."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.maps import open_map
from unet_tf.data.volumes import import_zarr, open_volume
from unet_tf.errors import InputError
from unet_tf.prediction.arrays import LEVEL, begun, is_chunk
from unet_tf.prediction.calls import rest
from unet_tf.prediction.engines import TENSORFLOW
from unet_tf.prediction.predict import predictor_for
from unet_tf.prediction.source import channels_of_files, means_of_file
from unet_tf.tiling import Grid, Picture, fixed
from unet_tf.utils.signals import look
from unet_tf.utils.threads import ahead


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
        overwrite: the call began anew where an earlier prediction was.
        begun: which array it is, of those that may come one in the place of the other.
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
    overwrite: bool = False
    begun: str = ""


def predict_chunks(job: Job, numbers: Iterable[int]) -> Iterator[int]:
    """Predict chunks one after another: pure, and idempotent. A chunk is whole or absent.

    While one is computed, the next is read and the one before is written.

    Yields:
        The number of each chunk that is written.
    """
    array = open_job(job)
    to_read, to_write = itertools.tee(_looking(numbers))
    labels = array.predictor.predict_tiles(map(array.tile, to_read), array.grid, tta=job.tta)
    yield from ahead(lambda done: array.write(*done), zip(to_write, labels, strict=True))


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
            self.volume = open_map(job.image, means_of_file(self.predictor))
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
        """Say whether a chunk lies there."""
        plane, tile = divmod(number, len(self.grid))
        row, column = divmod(tile, len(self.grid.columns.origins))
        return is_chunk(self.job.out, self.target, (*self._index(plane), row, column))

    def write(self, number: int, label: NDArray[np.uint8]) -> int:
        """Write one chunk.

        Raises:
            InputError: the system refuses, or the image or the array was removed meanwhile.
        """
        plane, tile = divmod(number, len(self.grid))
        for path in (self.job.image, f"{self.job.out}/{LEVEL}/zarr.json"):
            if not Path(path).exists():  # zarr reads what is missing as background, and makes folders as it likes
                raise InputError(f"{path} must stay while it is in use, and was removed. Put it back and start again.")
        if begun(import_zarr().open_array(f"{self.job.out}/{LEVEL}", mode="r")) != self.job.begun:
            raise InputError(  # a worker that its call has left behind
                f"{self.job.out} must stay while it is in use, and was begun anew. {rest(self.job.overwrite)}"
            )
        try:
            self.target[(*self._index(plane), *self.grid.place(tile))] = label
        except OSError as error:
            raise InputError(
                f"Cannot write into {self.job.out}: {error.strerror or error}. Free space. {rest(self.job.overwrite)}"
            ) from error
        return number

    def _index(self, plane: int) -> tuple[int, ...]:
        return tuple(int(i) for i in np.unravel_index(plane, self.volume.planes)) if self.volume.planes else ()


open_job = functools.lru_cache(maxsize=2)(Opened)  # once a process and call
