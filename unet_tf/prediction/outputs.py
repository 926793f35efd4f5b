"""Predictions as files: a mask for each picture, and what else is wanted of it."""

from __future__ import annotations

import csv
import functools
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.drawing import colour, overlay
from unet_tf.data.pictures import count_pages, read_image, stack_writer, write_picture
from unet_tf.errors import InputError
from unet_tf.prediction.objects import Object, find_objects
from unet_tf.prediction.predict import Predictor, predictor_of
from unet_tf.run import Run
from unet_tf.utils.files import replacing
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.threads import ahead

FORMATS = ("png", "tif")
COLUMNS = (
    "page", "id", "class", "area", "centroid_row", "centroid_column", "top", "left", "bottom", "right",
    "mean_probability",
)  # fmt: skip
"""Of the table of objects: pixels from 0 at the top left; bottom and right are inside."""
OVERLAY_SIDE = 2048
"""Longest side of an overlay, pixels."""


@dataclass(frozen=True)
class Wanted:
    """What to predict a picture into; paths and settings alone, so that it travels to other processes.

    Attributes:
        run: folder of the run.
        out: folder of the files.
        model: SHA-256 of the net's file, so that no process takes an earlier one for it.
        format: of the masks of single pictures: "png" or "tif"; a stack gives a TIFF stack.
        probabilities: NAME.npy, (H, W, classes) float32; (pages, H, W, classes) of a stack.
        overlay: NAME_overlay.png, the mask laid over the picture.
        instances: NAME_instances.tif, ids of the connected pieces, and NAME_objects.csv.
        min_area: pixels of the smallest object that counts.
        tta: as for `unet_tf.predict`.
        tile: as for `unet_tf.predict`.
        memory: as for `unet_tf.predict`.
    """

    run: str
    out: str
    model: str
    format: str = "png"
    probabilities: bool = False
    overlay: bool = False
    instances: bool = False
    min_area: int = 1
    tta: str = "none"
    tile: int | None = None
    memory: int | str | None = None

    def mask_path(self, picture: Path, pages: int = 1) -> Path:
        """Where the mask of a picture goes."""
        return Path(self.out, f"{picture.stem}.{self.format if pages == 1 else 'tif'}")

    def names(self, stem: str) -> list[str]:
        """The files that a picture of this name may become."""
        names = [f"{stem}.{self.format}", f"{stem}.tif"]
        names += [f"{stem}.npy"] * self.probabilities
        names += [f"{stem}_overlay.png", f"{stem}_overlay.tif"] * self.overlay
        return names + [f"{stem}_instances.tif", f"{stem}_objects.csv"] * self.instances

    def is_done(self, picture: Path) -> bool:
        """Whether a mask of that name lies there: it is written last."""
        return any(Path(self.out, f"{picture.stem}.{suffix}").is_file() for suffix in {self.format, "tif"})


class Result(NamedTuple):
    """What became of a picture.

    Attributes:
        picture: its file.
        pixels: that were predicted; 0 where it failed.
        error: why it failed, or "".
    """

    picture: str
    pixels: int
    error: str


class Page(NamedTuple):
    """A page of a picture file, predicted; or the error that ended the file."""

    file: Path
    number: int
    pages: int
    image: NDArray
    label: NDArray[np.uint8]
    probabilities: NDArray[np.float32] | None
    error: InputError | None = None


def predict_pictures(wanted: Wanted, pictures: Sequence[str], on_tile: Progress = unseen) -> Iterator[Result]:
    """Predict picture files one after another, and yield what became of each.

    While one is computed, the next is read and the one before is written. A file that cannot be read or written is
    reported, and the others are done; whatever stops the process leaves files that are whole or absent.
    """
    predictor = predictor_of(wanted.run, wanted.tta, wanted.model)
    writer = _Writer(wanted, Run(wanted.run))
    computed = _computed(wanted, predictor, map(Path, pictures), on_tile)
    try:
        yield from filter(None, ahead(writer.take, computed))
    finally:
        writer.discard()


def predict_batch(wanted: Wanted, pictures: Sequence[str]) -> list[Result]:
    """The same as a task: pure and idempotent."""
    return list(predict_pictures(wanted, pictures))


def _computed(wanted: Wanted, predictor: Predictor, pictures: Iterator[Path], on_tile: Progress) -> Iterator[Page]:
    """The pages of all pictures, predicted."""
    nothing = np.empty(0, np.uint8)
    for file, pages, first in ahead(_first_page, pictures):
        try:
            if isinstance(first, InputError):
                raise first
            others = ahead(functools.partial(read_image, file), range(1, pages))
            for number, image in enumerate(itertools.chain([first], others)):
                name = str(file) if pages == 1 else f"{file}, page {number},"
                found = predictor.predict(
                    image, wanted.tile, wanted.probabilities or wanted.instances, wanted.memory, on_tile, name
                )
                label = found if found.ndim == 2 else found.argmax(-1).astype(np.uint8)
                yield Page(file, number, pages, image, label, None if found.ndim == 2 else found)
        except InputError as error:
            yield Page(file, 0, 0, nothing, nothing, None, error)


def _first_page(file: Path) -> tuple[Path, int, NDArray | InputError]:
    """The file, its number of pages and the first of them, or what is wrong with it."""
    try:
        return file, count_pages(file), read_image(file)
    except InputError as error:
        return file, 0, error


class _Writer:
    """Writes what is wanted of one picture file after another."""

    def __init__(self, wanted: Wanted, run: Run) -> None:
        self.wanted, self.masks, self.classes = wanted, run.masks, run.classes
        self.files, self.pixels = ExitStack(), 0
        self.colours: NDArray | None = None
        if self.masks.kind in ("palette", "index"):
            self.colours = colour(np.arange(len(self.classes), dtype=np.uint8)[None], self.masks)[0]

    def take(self, page: Page) -> Result | None:
        """Write a page; what became of the file, after its last one."""
        try:
            if page.error is not None:
                raise page.error
            if page.number == 0:
                self._open(page)
            self._add(page)
            self.pixels += page.label.size
            if page.number + 1 < page.pages:
                return None
            self.files.close()
            return Result(str(page.file), self.pixels, "")
        except (InputError, OSError) as error:
            self.discard()
            words = f"Cannot write its files: {error.strerror}." if isinstance(error, OSError) else str(error)
            return Result(str(page.file), 0, words if str(page.file) in words else f"{page.file}: {words}")

    def discard(self) -> None:
        """Remove what is not whole."""
        self.files.__exit__(InputError, InputError("given up"), None)

    def _open(self, page: Page) -> None:
        """Begin the files; the mask, which says that all are there, is the last to get its name."""
        wanted, stem, pages = self.wanted, Path(self.wanted.out, page.file.stem), page.pages
        self.files, self.pixels = ExitStack(), 0
        self.add_mask = self._pictures(wanted.mask_path(page.file, pages), pages, self.colours)
        if wanted.probabilities:
            file = self.files.enter_context(replacing(stem.with_name(f"{stem.name}.npy")))
            shape = ((pages,) if pages > 1 else ()) + (*page.label.shape, len(self.classes))
            self.probabilities = np.lib.format.open_memmap(file, "w+", np.float32, shape)
            with file.open("rb+") as opened:  # a full disk would end the process when the mapped pages are written
                os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
        if wanted.overlay:
            suffix = "png" if pages == 1 else "tif"
            self.add_overlay = self._pictures(stem.with_name(f"{stem.name}_overlay.{suffix}"), pages)
        if wanted.instances:
            self.add_instances = self._pictures(stem.with_name(f"{stem.name}_instances.tif"), pages)
            file = self.files.enter_context(replacing(stem.with_name(f"{stem.name}_objects.csv")))
            self.table = csv.writer(self.files.enter_context(file.open("w", newline="", encoding="utf-8")))
            self.table.writerow(COLUMNS)

    def _pictures(self, path: Path, pages: int, colours: NDArray | None = None) -> Callable[[NDArray], None]:
        """A function that writes the picture, or the next page of the stack."""
        if pages == 1:
            return lambda picture: write_picture(path, picture, colours)
        return self.files.enter_context(stack_writer(path, colours))

    def _add(self, page: Page) -> None:
        wanted, label, probabilities = self.wanted, page.label, page.probabilities
        if wanted.probabilities and probabilities is not None:
            self.probabilities[... if page.pages == 1 else page.number] = probabilities
            self.probabilities.flush()
        if wanted.overlay:
            self.add_overlay(overlay(page.image, label, self.masks, min(OVERLAY_SIDE, max(label.shape))))
        if wanted.instances:
            ids, objects = find_objects(label, probabilities, wanted.min_area)
            self.add_instances(ids if page.pages == 1 else ids.astype(np.uint32))  # pages of a stack have one type
            self.table.writerows(_row(page.number, one, self.classes) for one in objects)
        self.add_mask(label if self.colours is not None else self.masks.mask(label))


def _row(page: int, one: Object, classes: Sequence[str]) -> list[Any]:
    """A row of the table of objects, as `COLUMNS` says."""
    probability = round(one.probability, 4)
    return [
        page, one.number, classes[one.label], one.area, round(one.row, 2), round(one.column, 2), one.top, one.left,
        one.bottom, one.right, probability,
    ]  # fmt: skip
