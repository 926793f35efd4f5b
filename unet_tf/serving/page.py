"""The page at `/`: a picture in, its mask over it; what it needs beside the protocols."""

from __future__ import annotations

import base64
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import tensorflow as tf
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from unet_tf.annotations.write_geojson import feature_of
from unet_tf.annotations.writing import Picture, numbered
from unet_tf.data.drawing import displayable
from unet_tf.data.nodata import fill_nodata, nodata_of
from unet_tf.data.pictures import Pictures, open_pictures, write_picture
from unet_tf.data.tiff import is_tiff
from unet_tf.edge.description import Description
from unet_tf.edge.tiles import NOT_FINITE
from unet_tf.errors import InputError
from unet_tf.exporting.bundle import Bundle
from unet_tf.model.calibration import label_of
from unet_tf.pages.page import render, shared
from unet_tf.pages.words import many
from unet_tf.prediction.drawn import colour_table, drawn_mask, shades_of
from unet_tf.prediction.objects import find_objects
from unet_tf.prediction.polygons import shapes_of
from unet_tf.serving.calls import Asked, Calls
from unet_tf.serving.errors import ServingError, invalid
from unet_tf.serving.limits import Limits, declared
from unet_tf.serving.rest import OPTIONS

SCRIPT, HERE = "text/javascript", Path(__file__).parent
FILES = {"segment.css": "text/css", "segment.js": SCRIPT, "png.js": SCRIPT, "page.js": SCRIPT}
"""What the page needs beside itself, and what it is; nothing else is read for a path."""
OWN = {"page.js": HERE / "static" / "page.js", "png.js": HERE.parent / "exporting" / "web_page" / "png.js"}
"""Where those lie that are not shared by all pages; the exported page reads PNG by the same script."""
HEADERS = {"Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'"}
"""The page asks nobody else for anything."""
EXTRA = 4
"""Numbers of a pixel beside the channels that a net knows: CMYK and alpha may turn out to be grey."""


def routes(calls: Calls) -> list[Route]:
    """The page, its files, and what it asks for."""
    bundles = {model.name: Bundle(model.folder.parent) for model in calls.models}

    page = render(
        "segment.html",
        title="unet_tf: segment a picture",
        about="The picture goes to this server and to nobody else.",
        choice="Model",
        accept="image/png,image/jpeg,image/bmp,image/tiff,.tif,.tiff",
        files="page/",
        without_script="curl and the client of the package",
        local=False,
        policy="",
    )
    static = {name: OWN[name].read_bytes() if name in OWN else shared(name) for name in FILES}

    async def index(_: Request) -> Response:
        return HTMLResponse(page, headers=HEADERS)

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in FILES:
            raise ServingError("NOT_FOUND", f"Not Found: {request.method} {request.url.path[:100]}")
        return Response(static[name], media_type=FILES[name], headers=HEADERS)

    async def models(request: Request) -> Response:
        return JSONResponse([_described(calls, name, one) for name, one in bundles.items()])

    async def example(request: Request) -> Response:
        _, version = calls.models.get(request.path_params["model"]).find()
        if version.example is None:
            raise ServingError("NOT_FOUND", "There is no example.")
        return Response(tf.io.encode_png(version.example).numpy(), media_type="image/png")

    async def segment(request: Request) -> Response:
        name = request.path_params["model"]
        with calls.counted("page", name) as line:
            calls.models.get(name)
            body = await request.body()
            content, line["version"] = await calls.run(lambda: _segmented(calls, name, bundles[name], body))
        return Response(content, media_type="application/json")

    return [
        Route("/", index),
        Route("/page/models", models),
        Route("/page/models/{model}/example", example),
        Route("/page/models/{model}/segment", segment, methods=["POST"]),
        Route("/page/{name}", file),
    ]


def _described(calls: Calls, name: str, bundle: Bundle) -> dict[str, Any]:
    about = bundle.description
    _, version = calls.models.get(name).find()
    shades = shades_of(about.masks, len(about.classes)).tolist()
    return {
        "name": name,
        "channels": about.normalisation.channels,
        "pixel_type": about.normalisation.dtype,
        "example": version.example is not None and about.channels.plain,  # it has the channels of the net, in its order
        "classes": [{"name": name, "colour": shade} for name, shade in zip(about.classes, shades, strict=True)][
            : about.masks.real_classes
        ],
    }


def _segmented(calls: Calls, name: str, bundle: Bundle, body: bytes) -> tuple[bytes, int]:
    """A picture file -> the mask, how sure it is, its classes and objects as JSON, and the version that gave them."""
    start = time.monotonic()
    if not is_tiff(body):  # of which Pillow knows few kinds, and `_check_kind` counts the pixels
        calls.limits.check(declared(0, body, "PNG, JPEG, BMP or TIFF"))
    number, _ = calls.models.get(name).find()
    try:
        about = bundle.describe(number)  # a version has a mean, a threshold, objects of its own
    except InputError as error:
        raise ServingError("INTERNAL", str(error)) from error
    if about is None:
        raise invalid(f"Version {number} does not say what its net is: add it by unet-tf export --add-version.")
    with tempfile.TemporaryDirectory(prefix="unet_tf-") as folder:
        given = Path(folder, "picture.png")
        image, shown = _read(given, body, about, calls.limits)
        answer = calls.predict(Asked(name, number, signature="probabilities"), lambda _: {"image": image[None]})
        probabilities = answer.outputs["probabilities"][0]  # (H, W, classes)
        if not np.isfinite(probabilities).all():
            raise ServingError("INTERNAL", NOT_FINITE)
        label = label_of(probabilities, about.calibration.threshold)
        real = about.masks.real_label(label)
        sure = np.take_along_axis(about.masks.real_probabilities(probabilities), real[..., None], axis=2)[..., 0]
        table = colour_table(about.masks, len(about.classes))
        ids, objects = find_objects(label, probabilities, 1, about.masks)
        height, width = label.shape
        shades = shades_of(about.masks, len(about.classes)).tolist()
        colours = dict(zip(about.classes, map(tuple, shades), strict=True))
        picture = Picture(given, height, width, 1, colours, open_pictures(given).orientation)
        shapes = shapes_of(ids, objects, about.classes)

        def png(values: NDArray, colours: NDArray | None = None) -> str:
            file = Path(folder, "answer.png")
            write_picture(file, values, colours)
            return base64.b64encode(file.read_bytes()).decode()

        found = {
            "height": height,
            "width": width,
            "mask": png(real),
            "probability": png(np.round(255 * sure).astype(np.uint8)),
            "file": png(drawn_mask(label, about.masks), table),
            "pixels": np.bincount(real.ravel(), minlength=about.masks.real_classes).tolist(),
            "objects": len(objects),
            "geojson": {
                "type": "FeatureCollection",
                "features": [feature_of(number, one, picture, "annotation") for number, one in numbered(shapes)],
            },
        }
        if is_tiff(body):  # which browsers do not show
            found["picture"] = png(displayable(shown))
    found["seconds"] = time.monotonic() - start
    return orjson.dumps(found, option=OPTIONS, default=float), answer.version


def _read(file: Path, body: bytes, about: Description, limits: Limits) -> tuple[NDArray, NDArray]:
    """The pixels of a picture file, (H, W, C), as the net takes them and as they are shown.

    Where nothing was measured, the former hold the mean of the training images, and the latter the picture's median.

    Raises:
        ServingError: the file is no single picture such as the net takes, or too large.
    """
    file.write_bytes(body)
    try:
        _check_kind(open_pictures(file), about, limits)  # what it is, its content says
        image, _, nodata = about.channels.read((file,))
        about.normalisation.check(image, str(file), about.channels.plain)
        nodata = nodata_of(image, nodata)
        shown = fill_nodata(image, (*nodata, *about.normalisation.nodata))
        image = np.asarray(about.normalisation.measured(image, nodata)[:, :])
    except InputError as error:
        raise invalid(str(error).replace(str(file), "The picture")) from None
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], about.normalisation.channels))), shown


def _check_kind(pictures: Pictures, about: Description, limits: Limits) -> None:
    """Raise ServingError, before anything is decoded, for what is not one picture of one file, or more than may be."""
    channels = about.channels
    if channels.suffixes or channels.context:
        several = f"files that end in {', '.join(channels.suffixes)}" if channels.suffixes else "planes of a stack"
        raise invalid(f"This net makes a picture of several {several}, and this page of one. Use unet-tf predict.")
    if len(pictures) > 1:
        raise invalid(f"One picture must be given; this file holds {len(pictures)}. Save one of them as a file.")
    if pictures.tiff is None:
        return
    (pages,) = pictures.tiff.pages
    limits.check(math.prod(pictures.tiff.size))
    own = max(about.normalisation.channels, len(channels.names))
    if (found := len(pages) * pages[0].samples) > own + EXTRA:
        raise invalid(f"The net takes pictures of {many(own, 'channel')}; this one has {found}.")
