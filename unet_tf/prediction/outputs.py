"""Predictions as files: a mask for each picture, and what else is wanted of it."""

from __future__ import annotations

import csv
import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.annotations.writing import Picture
from unet_tf.data.channels import ALL, Channelled, Channels
from unet_tf.data.drawing import colour, overlay
from unet_tf.data.georeference import check_places, read_georeference
from unet_tf.data.masks import MaskFormat
from unet_tf.data.nodata import nodata_of
from unet_tf.data.pictures import count_pages, stack_writer, write_picture
from unet_tf.errors import InputError
from unet_tf.model.calibration import HALF, label_of, weighed
from unet_tf.prediction.objects import Object, find_objects
from unet_tf.prediction.polygons import WRITERS, shapes_of
from unet_tf.prediction.uncertainty import uncertainty_and_spread
from unet_tf.utils.files import refusal, replacing
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look
from unet_tf.utils.threads import ahead

if TYPE_CHECKING:
    from unet_tf.prediction.predictor import Predictor

FORMATS = ("png", "tif")
UNKNOWN = "unknown"
"""What the record of a prediction says of a net of which nobody told."""
SINGLE = (".png", ".jpg", ".jpeg", ".bmp", ".npy", ".npz")
"""Suffixes of pictures that are no stacks."""
COLUMNS = (
    "page", "id", "class", "area", "centroid_row", "centroid_column", "top", "left", "bottom", "right",
    "mean_probability",
)  # fmt: skip
"""Columns of the table of objects: pixels from 0 at the top left; bottom and right are inside."""
UNCERTAINTY, SPREAD = "_uncertainty.tif", "_spread.tif"
"""What follows the picture's name."""
OVERLAY_SIDE = 2048
"""Longest side of an overlay, pixels."""


@dataclass(frozen=True)
class Wanted:
    """What a picture is predicted into, and all settings that change a pixel of it.

    Attributes:
        format: of the masks of single pictures: "png" or "tif", which lies where a GeoTIFF lies; a stack gives a TIFF
            stack.
        probabilities: NAME.npy, (H, W, classes) float32; (pages, H, W, classes) of a stack.
        overlay: NAME_overlay.png, the mask laid over the picture.
        instances: NAME_instances.tif, ids of the objects, and NAME_objects.csv.
        min_area: pixels of the smallest object that counts.
        tta: "none", or turned tiles that are averaged: "rotations" or "all".
        polygons: formats of `WRITERS`: the outlines of the pieces, pages of a stack in one file.
        simplify: how far a point that is left out may lie from the outline, pixels.
        subpixel: outlines run between the pixels, where the probabilities are equal.
        uncertainty: NAME_uncertainty.tif, entropy of the probabilities, float32.
        spread: NAME_spread.tif too, how far the predictions of which these are the mean disagree.
        threshold: of two classes; None for that of the run.
    """

    format: str = "png"
    probabilities: bool = False
    overlay: bool = False
    instances: bool = False
    min_area: int = 1
    tta: str = "none"
    polygons: tuple[str, ...] = ()
    simplify: float = 0
    subpixel: bool = False
    uncertainty: bool = False
    spread: bool = False
    threshold: float | None = None

    def mask_name(self, picture: Path, pages: int = 1) -> str:
        """Name the mask of a picture of so many pages."""
        return f"{picture.stem}.{self.format if pages == 1 else 'tif'}"

    def names(self, picture: Path) -> list[str]:
        """Name the files that a picture may become; whether a TIFF file is a stack is not known before it is read."""
        stem, kinds = picture.stem, ["png", "tif"]
        if picture.suffix.lower() in SINGLE:
            kinds = ["png"]
        names = list(dict.fromkeys(self.mask_name(picture, pages) for pages in range(1, len(kinds) + 1)))
        names += [f"{stem}.npy"] * self.probabilities
        names += [f"{stem}_overlay.{kind}" for kind in kinds] * self.overlay
        names += [f"{stem}_instances.tif", f"{stem}_objects.csv"] * self.instances
        names += [f"{stem}{suffix}" for suffix in (UNCERTAINTY, SPREAD)[: self.uncertainty + self.spread]]
        return names + [stem + WRITERS[kind][0] for kind in self.polygons]


@dataclass(frozen=True)
class Call:
    """All that a process needs to predict pictures of one call: paths and settings alone, so that it travels.

    Attributes:
        net: folder of the run or bundle; address of a server.
        model: SHA-256 of the net's file, so that no process takes another one for it; of a net that is served, that of
            its weights where the bundle is known, else `UNKNOWN`.
        out: folder of the files.
        wanted: what goes there.
        memory: what the tiles of a process may take, bytes or such as "2GB"; None for a quarter of what is free.
        channels: how the channels of a picture come from its files.
        engine: that computes, as `unet_tf.prediction.engines.resolve` gives it; of a net that is served where that is.
    """

    net: str
    model: str
    out: str
    wanted: Wanted
    memory: int | str | None = None
    channels: Channels = ALL
    engine: str = "tensorflow"

    def is_done(self, picture: Path) -> bool:
        """Say whether a mask of that name lies there: it is written last."""
        return any(Path(self.out, self.wanted.mask_name(self.named(picture), pages)).is_file() for pages in (1, 2))

    def state(self, picture: Path) -> str:
        """Say in which state all files of a picture are, "" where one is missing."""
        try:
            states = [state_of(file) for file in self.channels.files(picture)]
        except InputError:
            return ""
        return ", ".join(states) if all(states) else ""

    def named(self, picture: Path) -> Path:
        """What a picture is called, by the first of its files: without the suffix of a channel, where it has one."""
        try:
            return picture.with_name(f"{self.channels.stem(picture)}{picture.suffix}")
        except InputError:  # which whoever reads it says
            return picture


class Result(NamedTuple):
    """What became of a picture.

    Attributes:
        picture: its file.
        pixels: that were predicted; 0 where it failed.
        error: why it failed, or "".
        state: of the file when it was read (`state_of`).
        nodata: values in it that stand for "no measurement".
    """

    picture: str
    pixels: int
    error: str
    state: str = ""
    nodata: tuple[float, ...] = ()


class Page(NamedTuple):
    """A page of a picture file, predicted."""

    image: NDArray  # (H, W, C), raw
    label: NDArray[np.uint8]  # (H, W)
    probabilities: NDArray[np.float32] | None  # (H, W, num_classes), where they are needed
    unsure: tuple[NDArray[np.float32], ...] = ()  # (H, W), uncertainty and spread, as far as they are wanted


def predict_pictures(call: Call, pictures: Sequence[str], on_tile: Progress = unseen) -> Iterator[Result]:
    """Predict picture files one after another, and yield what became of each.

    While one is computed, the next is read and the one before is written. A file that cannot be read or written is
    reported, and the others are done; whatever stops the process leaves files that are whole or absent.

    Args:
        call: what to predict into what.
        pictures: paths of the files.
        on_tile: called with (tiles done, tiles in all) of a picture.

    Yields:
        A result for each picture, in order.
    """
    from unet_tf.prediction.predict import predictor_for  # files are written without Keras too

    predictor = predictor_for(call.net, call.model).by(call.engine).at(call.wanted.threshold)
    unfinished: deque[Output] = deque(maxlen=3)  # one that is written, one that is computed
    steps = _steps(call, predictor, map(Path, pictures), on_tile, unfinished)
    try:
        yield from filter(None, ahead(lambda step: step(), steps))
    finally:
        for output in unfinished:
            output.discard()


def state_of(picture: str | Path) -> str:
    """Say in which state a file is: another size or time is another picture."""
    try:
        found = Path(picture).stat()
    except OSError:
        return ""
    return f"{found.st_size} bytes of {found.st_mtime_ns}"


def _steps(
    call: Call, predictor: Predictor, pictures: Iterator[Path], on_tile: Progress, unfinished: deque[Output]
) -> Iterator[Callable[[], Result | None]]:
    """What is left to do with each picture once its pages are predicted, for the thread that writes."""
    wanted, channels, threshold = call.wanted, call.channels, predictor.calibration.threshold
    several = wanted.probabilities or wanted.instances or bool(wanted.polygons)
    methods: list[Callable[..., NDArray[Any]]] = [predictor.predict, predictor.probabilities, predictor.with_entropy]
    method = methods[2 if wanted.uncertainty else several]
    for file, state, pages, first in ahead(functools.partial(_first_page, call), pictures):
        look()
        output = Output(call, predictor.masks, predictor.classes, file, pages, state)
        unfinished.append(output)
        try:
            if isinstance(first, InputError):
                raise first
            others = ahead(functools.partial(channels.read, channels.files(file)), range(1, pages))
            for number, (image, _, declared) in enumerate(itertools.chain([first], others)):
                if output.error:
                    break  # its files cannot be written: the pages that are left are for nothing
                name = str(file) if pages == 1 else f"{file}, page {number},"
                nodata = nodata_of(image, declared)
                output.nodata.update(nodata)
                settings = {"memory": call.memory, "tta": wanted.tta, "on_tile": on_tile}
                found = method(image, **settings, name=name, nodata=nodata)
                yield functools.partial(output.add, _page(image, found, wanted, threshold))
        except InputError as error:
            yield functools.partial(output.fail, error)
        yield output.end


def _page(image: NDArray, found: NDArray, wanted: Wanted, threshold: float) -> Page:
    """A page of what a predictor gave: (H, W) ids, (H, W, num_classes), or one channel more for the entropy."""
    if found.ndim == 2:
        return Page(image, found, None)
    unsure: tuple[NDArray[np.float32], ...] = ()
    if wanted.uncertainty:
        unsure = uncertainty_and_spread(found)[: 1 + wanted.spread]
        found = found[..., :-1]
    return Page(image, label_of(found, threshold), found, unsure)


def _first_page(call: Call, file: Path) -> tuple[Path, str, int, Channelled | InputError]:
    """The file, its state, its number of pages and the first of them, or what is wrong with it."""
    state = call.state(file)
    try:
        files = call.channels.files(file)
        if len(files) > 1:
            check_places(*files)
        return file, state, count_pages(file), call.channels.read(files)
    except InputError as error:
        return file, state, 0, error


def shades_of(masks: MaskFormat, classes: int) -> NDArray[np.uint8]:
    """(classes, 3) RGB by which classes are drawn."""
    return colour(np.arange(classes, dtype=np.uint8)[None], masks)[0]


def colour_table(masks: MaskFormat, classes: int) -> NDArray[np.uint8] | None:
    """(N, 3) RGB of the values of a mask file; None where masks of this kind have no colour table."""
    shades = shades_of(masks, classes)
    if masks.kind == "palette":
        return shades
    if masks.kind != "index":
        return None
    values = masks.mask(np.arange(classes)[None])[0]  # (classes,), with gaps, or too large for a colour table
    table = np.zeros((int(values.max()) + 1, 3), np.uint8)
    table[values] = shades
    return table if len(table) <= 256 else None


def drawn_mask(label: NDArray[np.uint8], masks: MaskFormat) -> NDArray:
    """(H, W) class ids -> the values of a mask file, as the masks that the net learnt from."""
    return label if masks.kind == "palette" else masks.mask(label)


class Output:
    """The files of one picture: all of them, or, after an error, none.

    Args:
        call: what is wanted, and where.
        masks: how masks are drawn.
        classes: their names.
        file: the picture.
        pages: how many it has.
        state: of the file when it was read.

    Attributes:
        error: why there will be none, or "".
        nodata: values in it that stand for "no measurement".
    """

    def __init__(
        self, call: Call, masks: MaskFormat, classes: Sequence[str], file: Path, pages: int, state: str
    ) -> None:
        self.wanted, self.out = call.wanted, Path(call.out)
        self.masks, self.classes = masks, classes
        self.threshold = HALF if call.wanted.threshold is None else call.wanted.threshold
        self.file, self.named, self.pages, self.state = file, call.named(file), pages, state
        self.files, self.written, self.pixels, self.error = ExitStack(), 0, 0, ""
        self.nodata: set[float] = set()
        self.mask: NDArray[np.uint8] | None = None
        self.shades = shades_of(self.masks, len(self.classes))
        self.colours = colour_table(self.masks, len(self.classes))

    def add(self, page: Page) -> None:
        """Write the next page, unless an earlier one failed."""
        if self.error:
            return
        try:
            if not self.written:
                self._open(page)
            self._add(page)
        except (InputError, OSError) as error:
            self.fail(error)
        self.written += 1
        self.pixels += page.label.size

    def fail(self, error: InputError | OSError) -> None:
        """Remove what there is: nothing of this picture will be written any more."""
        words = str(error if isinstance(error, InputError) else refusal(self.out, error))
        self.error = words if str(self.file) in words else f"{self.file}: {words}"
        self.discard()

    def end(self) -> Result:
        """Give the files their names, and say what became of the picture."""
        try:
            if not self.error:
                self.files.close()
        except (InputError, OSError) as error:
            self.fail(error)
        pixels = 0 if self.error else self.pixels
        return Result(str(self.file), pixels, self.error, self.state, tuple(sorted(self.nodata)))

    def discard(self) -> None:
        """Remove what is not whole."""
        with suppress(InputError, OSError):
            self.files.__exit__(InputError, InputError("given up"), None)

    def _open(self, page: Page) -> None:
        """Begin the files; the mask, which says that all are there, is the last to get its name."""
        wanted, stem, kind = self.wanted, self.named.stem, "png" if self.pages == 1 else "tif"
        if self.pages == 1:
            self.files.push(self._write_mask)
        else:
            self.add_mask = self._stack(wanted.mask_name(self.named, self.pages), self.colours)
        if wanted.probabilities:
            shape = ((self.pages,) if self.pages > 1 else ()) + (*page.label.shape, len(self.classes))
            path = self.files.enter_context(replacing(self.out / f"{stem}.npy"))
            self.probabilities = self.files.enter_context(path.open("wb"))
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(self.probabilities, header)
        if wanted.overlay:
            self.add_overlay = self._pictures(f"{stem}_overlay.{kind}")
        if wanted.instances:
            self.add_instances = self._pictures(f"{stem}_instances.tif")
            path = self.files.enter_context(replacing(self.out / f"{stem}_objects.csv"))
            self.table = csv.writer(self.files.enter_context(path.open("w", newline="", encoding="utf-8")))
            self.table.writerow(COLUMNS)
        place = read_georeference(self.file) if self.pages == 1 and page.unsure else None
        tags = () if place is None else place.tags
        self.add_unsure = [
            self.files.enter_context(stack_writer(self.out / (stem + suffix), tags=tags))
            for suffix in (UNCERTAINTY, SPREAD)[: len(page.unsure)]
        ]
        real = self.classes[: self.masks.real_classes]  # without that of the borders
        shades = {name: tuple(self.shades[i].tolist()) for i, name in enumerate(real) if i}
        picture = Picture(self.file, len(page.label), page.label.shape[1], self.pages, shades)
        self.add_shapes = [
            self.files.enter_context(writer(self.out / (stem + suffix), picture))
            for suffix, writer in map(WRITERS.__getitem__, wanted.polygons)
        ]

    def _write_mask(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write the mask of a single picture, after all other files, unless one of them failed."""
        if kind is None and self.mask is not None:
            place = read_georeference(self.file) if self.wanted.format == "tif" else None
            name = self.wanted.mask_name(self.named)
            write_picture(self.out / name, self.mask, self.colours, () if place is None else place.tags)

    def _pictures(self, name: str) -> Callable[[NDArray], None]:
        """A function that writes the picture, or the next page of the stack."""
        return functools.partial(write_picture, self.out / name) if self.pages == 1 else self._stack(name)

    def _stack(self, name: str, colours: NDArray | None = None) -> Callable[[NDArray], None]:
        return self.files.enter_context(stack_writer(self.out / name, colours))

    def _add(self, page: Page) -> None:
        wanted, label, probabilities = self.wanted, page.label, page.probabilities
        if wanted.probabilities and probabilities is not None:
            self.probabilities.write(np.ascontiguousarray(probabilities, "<f4").data)
        for add, unsure in zip(self.add_unsure, page.unsure, strict=True):
            add(unsure)
        if wanted.overlay:
            real = self.masks.real_label(label)
            self.add_overlay(overlay(page.image, real, self.masks, min(OVERLAY_SIDE, max(label.shape))))
        if wanted.instances or wanted.polygons:
            ids, objects = find_objects(label, probabilities, wanted.min_area, self.masks)
        if wanted.polygons:
            between = None
            if wanted.subpixel and probabilities is not None:
                between = self.masks.real_probabilities(weighed(probabilities, self.threshold))
            shapes = shapes_of(ids, objects, self.classes, wanted.simplify, between)
            for add_shape in self.add_shapes:
                add_shape(shapes)
        if wanted.instances:
            self.add_instances(ids if self.pages == 1 else ids.astype(np.uint32))  # pages of a stack have one type
            self.table.writerows(_row(self.written, one, self.classes) for one in objects)
        self.mask = drawn_mask(label, self.masks)
        if self.pages > 1:
            self.add_mask(self.mask.astype(np.uint32) if self.masks.kind == "instance" else self.mask)  # as the ids


def _row(page: int, one: Object, classes: Sequence[str]) -> list[Any]:
    """A row of the table of objects, as `COLUMNS` says."""
    probability = round(one.probability, 4)
    return [
        page, one.number, classes[one.label], one.area, round(one.row, 2), round(one.column, 2), one.top, one.left,
        one.bottom, one.right, probability,
    ]  # fmt: skip
