"""Picture files sent to a server and its masks written into a folder, several at once."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.folder import find_pictures, pictures_of
from unet_tf.data.georeference import check_places
from unet_tf.data.masks import MaskFormat
from unet_tf.data.nodata import nodata_of, occurring
from unet_tf.data.pictures import count_pages
from unet_tf.errors import InputError
from unet_tf.model.calibration import label_of
from unet_tf.prediction.calls import UNKNOWN, Call, Result, Wanted
from unet_tf.prediction.outputs import Output, Page
from unet_tf.prediction.polygons import check_outlines, parse_polygons
from unet_tf.prediction.record import Outcome, check_wanted, fill
from unet_tf.serving.client import Client
from unet_tf.serving.sending import Given
from unet_tf.serving.transport import RequestError
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look, stoppable
from unet_tf.utils.threads import ahead

log = logging.getLogger("unet_tf")

IN_FLIGHT = 4
"""Requests at once, where nothing else is said: a server with as many cores computes while others travel."""
GONE = ("UNAVAILABLE", "NOT_FOUND")
"""Codes of a request after which there may be no server any more, or none of the version."""


def predict_served(
    client: Client,
    inputs: str | Path | Iterable[str | Path],
    out: str | Path,
    format: str = "png",
    probabilities: bool = False,
    overlay: bool = False,
    instances: bool = False,
    min_area: int = 1,
    overwrite: bool = False,
    on_file: Progress = unseen,
    on_pixels: Callable[[int], None] = lambda number: None,
    polygons: str | Sequence[str] = (),
    simplify: float = 0,
    subpixel: bool = False,
    in_flight: int = IN_FLIGHT,
) -> Outcome:
    """Have a server predict picture files into a folder of masks, as `unet_tf.predict_files` does it here.

    All pictures are predicted by the version that answers when the call begins. A client that knows the bundle of the
    net draws the masks as the training masks are drawn, and cuts objects by the measures of that version; without it
    they are class ids with a colour table. What is done is not done again, unless the picture was written anew since.
    Another version, which the folder knows by its number, and by its weights where the client knows the bundle, is
    refused.

    Args:
        client: of the server.
        inputs: picture files, folders of them, or patterns such as "scans/*.tif".
        out: the folder.
        format: of masks: "png" or "tif".
        probabilities: write NAME.npy too.
        overlay: write NAME_overlay.png too.
        instances: write NAME_instances.tif and NAME_objects.csv.
        min_area: pixels of the smallest object that counts.
        overwrite: do all again; no other call may write into the folder then.
        on_file: called with (pictures done, pictures in all).
        on_pixels: called with the pixels of each picture that was predicted.
        polygons: formats of the outlines of the objects, as `unet_tf.predict_files` takes them.
        simplify: leave out points of outlines that lie so many pixels or less from what is left.
        subpixel: let outlines run between the pixels.
        in_flight: pictures that are worked on at once.

    Returns:
        How many pictures were predicted, how many were done before, and which could not be.

    Raises:
        InputError: a setting cannot be used, `out` holds predictions with other settings or of another version, or the
            server cannot be reached or has the version no more; what is done stays done.
        Stopped: a signal came; the pictures under way are finished first, where the server answers.
    """
    if in_flight < 1:
        raise InputError(f"There must be 1 request at once or more; received {in_flight}.")
    outlines = parse_polygons(polygons, simplify, subpixel), float(simplify), subpixel
    out, wanted = Path(out), Wanted(format, probabilities, overlay, instances, min_area, "none", *outlines)
    check_wanted(wanted, out)
    with stoppable():
        pinned = client.pinned()
        pinned.check_files()
        how = None if pinned.about is None else pinned.about.calibration
        wanted = replace(wanted, threshold=None if how is None else how.threshold)
        where = f"{pinned.url} {pinned.which.model} version {pinned.which.version}"
        net = pinned.url, pinned.weights or UNKNOWN
        call = Call(*net, str(out.resolve()), wanted, None, pinned.channels, where)
        inputs = [inputs] if isinstance(inputs, str | Path) else [*inputs]
        pictures = pictures_of(find_pictures(inputs), pinned.channels)
        masks, classes = _classes(pinned)
        if pinned.description is None and (instances or polygons):
            log.warning(
                "Objects are the pieces of every class, that of borders too where the net was trained on object ids: "
                "what its classes are, only its bundle says. Give the bundle as it is served."
            )
        elif pinned.about is None and (instances or polygons):
            log.warning(
                f"The bundle does not hold version {pinned.which.version}, which answers: objects are cut by the "
                "measures of version 1. Give the bundle as it is served."
            )
        work = functools.partial(_predicted, call, pinned, masks, classes)
        results = functools.partial(_results, work, in_flight)
        kind = masks, None if how is None else how.temperature
        return fill(call, kind, pictures, pictures, results, overwrite, (1, 1), on_file, on_pixels, inputs)


def _results(work: Callable[[str], Result], in_flight: int, left: Sequence[str]) -> Iterator[Result]:
    def until_told() -> Iterator[str]:
        for picture in left:
            look()
            yield picture

    return ahead(work, until_told(), in_flight)


def _classes(client: Client) -> tuple[MaskFormat, tuple[str, ...]]:
    """How masks are drawn and cut into objects, and the names of the classes."""
    if (known := client.about or client.description) is not None:  # a version has measures of objects of its own
        return known.masks, known.classes
    count = client.metadata().num_classes
    return MaskFormat("index", count), tuple(map(str, range(count)))


def _predicted(call: Call, client: Client, masks: MaskFormat, classes: tuple[str, ...], picture: str) -> Result:
    """Predict one picture, in a thread of its own."""
    file = Path(picture)
    state, pages, problem = call.state(file), 0, None
    try:
        check_outlines(call.out, call.named(file).stem, call.wanted.polygons)
        files = call.channels.files(file)
        if len(files) > 1:
            check_places(*files)
        pages = count_pages(files[0])
    except (InputError, MemoryError) as error:
        problem = error
    output = Output(call, masks, classes, file, pages, state)
    try:
        try:
            if problem is not None:
                raise problem
            for number in range(pages):
                look()
                page, nodata = _page(call, client, file, number, pages)
                output.nodata.update(nodata)
                output.add(page)
                if output.error:
                    break
        except (InputError, MemoryError) as error:
            if isinstance(error, RequestError) and error.code in GONE and not client.ready():
                raise  # nobody is there any more, or not this version: the others would fail alike
            output.fail(error)
        return output.end()
    finally:
        output.discard()  # what is not whole, if anything


def _page(call: Call, client: Client, file: Path, number: int, pages: int) -> tuple[Page, tuple[float, ...]]:
    """Predict a page of a picture; and the values in it that stand for "no measurement" and count as the mean."""
    wanted = call.wanted
    several = wanted.probabilities or wanted.instances or bool(wanted.polygons)
    given, nodata = None, tuple[float, ...]()
    image: NDArray = np.zeros((0, 0, 1), np.uint8)  # which an overlay alone needs
    if pages == 1 and call.channels.plain and not several:
        given = Given.of(file, call.channels)
        if not given.as_file(client.metadata()):
            given = None
    if given is None or wanted.overlay:
        image, _, declared = call.channels.read(call.channels.files(file), number)
        nodata = occurring(image, nodata_of(image, declared))
    if given is None:
        given = Given(str(file) if pages == 1 else f"{file}, page {number},", image=image, nodata=nodata)
    probabilities = client.soft(given) if several else None
    if probabilities is None or client.about is None:  # where two classes part, the server knows
        label = client.segment(given)
    else:
        label = label_of(probabilities, client.about.calibration.threshold)
    if client.about is None:
        return Page(image, label, probabilities, nodata=nodata), ()
    return Page(image, label, probabilities, nodata=(*nodata, *client.about.normalisation.nodata)), nodata
