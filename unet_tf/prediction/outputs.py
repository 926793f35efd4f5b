"""Predictions as files: a mask for each picture, and what else is wanted of it."""

from __future__ import annotations

import csv
import functools
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.annotations.writing import Picture
from unet_tf.data.drawing import overlay
from unet_tf.data.georeference import read_georeference
from unet_tf.data.masks import MaskFormat
from unet_tf.data.nodata import fill_nodata
from unet_tf.data.pictures import open_pictures, picture_writer, stack_writer
from unet_tf.errors import InputError
from unet_tf.model.calibration import HALF, weighed
from unet_tf.prediction.calls import SPREAD, UNCERTAINTY, Call, Result
from unet_tf.prediction.drawn import colour_table, drawn_mask, shades_of
from unet_tf.prediction.objects import Object, find_objects
from unet_tf.prediction.polygons import WRITERS, shapes_of
from unet_tf.prediction.sizes import Sizes
from unet_tf.utils.files import refusal, replacing

log = logging.getLogger("unet_tf")

COLUMNS = (
    "page", "id", "class", "area", "centroid_row", "centroid_column", "top", "left", "bottom", "right",
    "mean_probability",
)  # fmt: skip
"""Columns of the table of objects: pixels from 0 at the top left; bottom and right are inside."""
OVERLAY_SIDE = 2048
"""Longest side of an overlay, pixels."""


class Page(NamedTuple):
    """A page of a picture file, predicted."""

    image: NDArray  # (H, W, C), raw
    label: NDArray[np.uint8]  # (H, W)
    probabilities: NDArray[np.float32] | None  # (H, W, num_classes), where they are needed
    unsure: tuple[NDArray[np.float32], ...] = ()  # (H, W), uncertainty and spread, as far as they are wanted
    nodata: tuple[float, ...] = ()  # values of the image that stand for "no measurement"


class Output:
    """The files of one picture: all of them, or, after an error, none, and those of an earlier call stay as they were.

    A disk that is full for the last bytes alone, such as the end of a TIFF file or of a list of outlines, may refuse
    them when other files have their names already: each is whole, and the mask, which gets its name last, is missing or
    as it was, so that the same call does the picture again.

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
        self.wanted, self.out, self.is_served = call.wanted, Path(call.out), call.is_served
        self.masks, self.classes = masks, classes
        self.threshold = HALF if call.wanted.threshold is None else call.wanted.threshold
        self.file, self.named, self.pages, self.state = file, call.named(file), pages, state
        self.names = call.wanted.names_of(self.named, pages)
        self.files, self.written, self.pixels, self.error = ExitStack(), 0, 0, ""
        self.nodata: set[float] = set()
        self.sizes = Sizes()
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
        except (InputError, OSError, MemoryError) as error:
            self.fail(error)
        self.written += 1
        self.pixels += page.label.size

    def fail(self, error: InputError | OSError | MemoryError) -> None:
        """Remove what there is: nothing of this picture will be written any more."""
        if isinstance(error, MemoryError):
            error = beyond_memory(self.file, self.is_served)
        words = str(error if isinstance(error, InputError) else refusal(self.out, error))
        self.error = words if str(self.file) in words else f"{self.file}: {words}"
        self.discard()

    def end(self) -> Result:
        """Give the files their names, and say what became of the picture."""
        try:
            if not self.error:
                self.files.close()
        except (InputError, OSError, MemoryError) as error:
            self.fail(error)
        pixels, sizes, former = (0, None, ()) if self.error else (self.pixels, self.sizes, self._former())
        return Result(str(self.file), pixels, self.error, self.state, tuple(sorted(self.nodata)), sizes, former)

    def _former(self) -> tuple[str, ...]:
        """Names of what lies there of the picture from when it was a stack, or was none."""
        others = [name for name in self.wanted.names(self.named) if name not in self.names]
        return tuple(name for name in others if (self.out / name).exists())

    def discard(self) -> None:
        """Remove what is not whole."""
        with suppress(InputError, OSError, MemoryError):
            self.files.__exit__(InputError, InputError("given up"), None)

    def _open(self, page: Page) -> None:
        """Begin the files; the mask, which says that all are there, is the last to get its name."""
        wanted, stem, kind = self.wanted, self.named.stem, "png" if self.pages == 1 else "tif"
        self.add_mask = self._pictures(wanted.mask_name(self.named, self.pages), self.colours)
        if wanted.probabilities:
            shape = ((self.pages,) if self.pages > 1 else ()) + (*page.label.shape, len(self.classes))
            array = self.files.enter_context(replacing(self.out / f"{stem}.npy"))
        if wanted.overlay:
            self.add_overlay = self._pictures(f"{stem}_overlay.{kind}")
        if wanted.instances:
            self.add_instances = self._pictures(f"{stem}_instances.tif")
            table = self.files.enter_context(replacing(self.out / f"{stem}_objects.csv"))
        self.add_unsure = [self._pictures(stem + suffix) for suffix in (UNCERTAINTY, SPREAD)[: len(page.unsure)]]
        real = self.classes[: self.masks.real_classes]  # without that of the borders
        shades = {name: tuple(self.shades[i].tolist()) for i, name in enumerate(real) if i}
        picture = Picture(self.file, len(page.label), page.label.shape[1], self.pages, shades)
        if wanted.polygons:
            stored = open_pictures(self.file)
            picture = picture._replace(orientation=stored.orientation, axes=stored.axes)
        self.add_shapes = [
            self.files.enter_context(writer(self.out / (stem + suffix), picture))
            for suffix, writer in map(WRITERS.__getitem__, wanted.polygons)
        ]
        # last, so that what they hold back is on the disk before the first file gets its name
        if wanted.probabilities:
            self.probabilities = self.files.enter_context(array.open("wb"))
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(self.probabilities, header)
        if wanted.instances:
            self.table = csv.writer(self.files.enter_context(table.open("w", newline="", encoding="utf-8")))
            self.table.writerow(COLUMNS)

    def _pictures(self, name: str, colours: NDArray | None = None) -> Callable[[NDArray], None]:
        """A function that writes the picture, or the next page of the stack; the file gets its name at the end."""
        path = self.out / name
        if path.suffix == ".tif":
            return self.files.enter_context(stack_writer(path, colours, self._tags, self.pages))
        return self.files.enter_context(picture_writer(path, colours))

    @functools.cached_property
    def _tags(self) -> Sequence[tuple]:
        """What says in a TIFF file of a single picture where that lies; none of stacks and of what is turned."""
        place = read_georeference(self.file) if self.pages == 1 else None
        if place is None:
            return ()
        if (turn := open_pictures(self.file).orientation) != 1:
            log.warning(
                f"{self.file} has orientation {turn}: its mask is turned as it is shown, and does not say where it "
                "lies. Save the picture as it is shown."
            )
            return ()
        return place.tags

    def _add(self, page: Page) -> None:
        wanted, label, probabilities = self.wanted, page.label, page.probabilities
        if wanted.probabilities and probabilities is not None:
            self.probabilities.write(np.ascontiguousarray(probabilities, "<f4").data)
        for add, unsure in zip(self.add_unsure, page.unsure, strict=True):
            add(unsure)
        if wanted.overlay:
            real = self.masks.real_label(label)
            image = fill_nodata(page.image, page.nodata)
            self.add_overlay(overlay(image, real, self.masks, min(OVERLAY_SIDE, max(label.shape))))
        if wanted.instances or wanted.polygons:
            ids, objects = find_objects(label, probabilities, wanted.min_area, self.masks)
            self.sizes.add(one.area for one in objects)
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
        mask = drawn_mask(label, self.masks)
        if self.pages > 1 and self.masks.kind == "instance":
            mask = mask.astype(np.uint32)  # as the ids
        self.add_mask(mask)


def beyond_memory(file: Path, is_served: bool = False) -> InputError:
    """What to say of a picture for which there is not enough memory; a server takes no chunks."""
    remedy = (
        "Work on fewer at once (--in-flight 1), or predict it with a run here."
        if is_served
        else "Predict it alone, in chunks: zarr, or a TIFF file with tiles or without compression, into --out "
        "NAME.zarr, a GeoTIFF into --out NAME.tif."
    )
    words = f"A picture must fit into memory with all that is made of it, and {file} does not. {remedy}"
    return InputError(words, file)


def _row(page: int, one: Object, classes: Sequence[str]) -> list[Any]:
    """A row of the table of objects, as `COLUMNS` says."""
    probability = round(one.probability, 4)
    return [
        page, one.number, classes[one.label], one.area, round(one.row, 2), round(one.column, 2), one.top, one.left,
        one.bottom, one.right, probability,
    ]  # fmt: skip
