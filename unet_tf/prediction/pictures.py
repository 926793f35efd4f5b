"""Picture files predicted one after another: the next is read and the last one written meanwhile."""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.channels import Channelled
from unet_tf.data.georeference import check_places
from unet_tf.data.nodata import nodata_of, occurring
from unet_tf.data.pictures import count_pages
from unet_tf.errors import InputError
from unet_tf.model.calibration import label_of
from unet_tf.prediction.calls import Call, Result, Wanted
from unet_tf.prediction.outputs import Output, Page, beyond_memory
from unet_tf.prediction.polygons import check_outlines
from unet_tf.prediction.predict import predictor_for
from unet_tf.prediction.predictor import Predictor
from unet_tf.prediction.uncertainty import uncertainty_and_spread
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look
from unet_tf.utils.threads import ahead


def predict_pictures(call: Call, pictures: Sequence[str], on_tile: Progress = unseen) -> Iterator[Result]:
    """Predict picture files one after another, and yield what became of each.

    While one is computed, the next is read and the one before is written. A file that cannot be read or written, or for
    which there is not enough memory, is reported, and the others are done; whatever stops the process leaves files that
    are whole or absent.

    Args:
        call: what to predict into what.
        pictures: paths of the files.
        on_tile: called with (tiles done, tiles in all) of a picture.

    Yields:
        A result for each picture, in order.
    """
    predictor = predictor_for(call.net, call.model).by(call.engine).at(call.wanted.threshold)
    unfinished: deque[Output] = deque(maxlen=3)  # one that is written, one that is computed
    steps = _steps(call, predictor, map(Path, pictures), on_tile, unfinished)
    try:
        yield from filter(None, ahead(lambda step: step(), steps))
    finally:
        for output in unfinished:
            output.discard()


def _steps(
    call: Call, predictor: Predictor, pictures: Iterator[Path], on_tile: Progress, unfinished: deque[Output]
) -> Iterator[Callable[[], Result | None]]:
    """What is left to do with each picture once its pages are predicted, for the thread that writes."""
    wanted, channels, threshold = call.wanted, call.channels, predictor.calibration.threshold
    known = () if predictor.normalisation is None else predictor.normalisation.nodata
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
                nodata = occurring(image, nodata_of(image, declared))
                output.nodata.update(nodata)
                settings = {"memory": call.memory, "tta": wanted.tta, "on_tile": on_tile}
                found = method(image, **settings, name=name, nodata=nodata)
                page = _page(image, found, wanted, threshold)
                yield functools.partial(output.add, page._replace(nodata=(*nodata, *known)))
        except (InputError, MemoryError) as error:
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
        check_outlines(call.out, call.named(file).stem, call.wanted.polygons)
        files = call.channels.files(file)
        if len(files) > 1:
            check_places(*files)
        return file, state, count_pages(file), call.channels.read(files)
    except InputError as error:
        return file, state, 0, error
    except MemoryError:
        return file, state, 0, beyond_memory(file)
