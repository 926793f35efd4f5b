"""A client of a net behind TF Serving or `unet-tf serve`; it needs no TensorFlow."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.channels import ALL
from unet_tf.data.nodata import nodata_samples
from unet_tf.data.normalisation import Normalisation
from unet_tf.edge.description import Description
from unet_tf.edge.tiles import NOT_FINITE
from unet_tf.errors import InputError
from unet_tf.exporting.bundle import ENCODED, MASK, PROBABILITIES, Bundle
from unet_tf.geometry import Geometry
from unet_tf.serving.backoff import Backoff
from unet_tf.serving.connect import connect
from unet_tf.serving.sending import Given, as_png, of_png, shaped
from unet_tf.serving.transport import PACKED, Metadata, RequestError, Which
from unet_tf.tiling import Picture, fit
from unet_tf.utils.signals import look

log = logging.getLogger("unet_tf")

MOST_PIXELS = 1 << 24
"""Of one request, where nothing else is said: as many as the signature `encoded` takes of any file."""
DEEPEST = 6
"""Poolings of the deepest net whose pictures can be cut without its bundle. A seventh would take twice the halo, and
already this one, 448 px to each side, makes 1.6 times the pixels of a large picture to compute."""


class Client:
    """Ask a server for masks: TF Serving, `unet-tf serve`, or another that speaks TF Serving's protocols.

    A PNG, JPEG or BMP file that the net takes travels as it is, everything else as its pixels; what the net takes is
    asked once. A picture of more than `max_pixels`, or one that the server refuses as too large, is cut into parts that
    overlap far enough that the joined mask is that of the whole picture, but for rounding: below 1e-5 in probability.
    Threads may share a client.

    Args:
        url: http://host:8501 or grpc://host:8500; https:// or grpcs:// for TLS; v2+http://host:8080 for servers that
            speak V2 alone, such as KServe, beside `bundle`.
        model: its name.
        version: its number; None for the newest.
        label: of a version, such as "stable"; instead of `version`.
        timeout: seconds for each answer, at most 10 of them to connect over HTTP.
        retries: how often a request is sent again after no connection, 429, 502, 503, UNAVAILABLE or
            RESOURCE_EXHAUSTED, later and later.
        bundle: folder of the bundle that is served. It says the geometry of the net, so that large pictures are cut
            with a narrower overlap; which files and channels make a picture; and the mean, of the version that answers,
            that stands for pixels without a measurement. Without it a net of up to 6 poolings is assumed, whose
            channels are those of one file as they are; grey is taken for colour where the server says that they are.
        max_pixels: of one request.
        ca: file of certificates that are trusted with TLS; None for those of the system.
        backoff: how to try again, instead of `retries`.

    Attributes:
        url: the address, without a password.
        which: model, version and label.
        max_pixels: of one request; becomes less where the server takes less, not where a body was too slow for it.
        description: of the net of version 1 of the bundle, whose classes, channels and kind of masks all versions have;
            None without one.
        about: description of the net of the version that answered when the server was asked what it has, and
        weights: SHA-256 of its weights; None where the bundle does not hold that version, or there is none. Whoever
            needs those of the version that answers now takes a client that is `pinned`.
        channels: how the channels of the net come from picture files.

    Raises:
        InputError: an argument cannot be used, or a package is not installed.

    Example:
        >>> with Client("grpc://localhost:8500") as client:  # doctest: +SKIP
        ...     mask = client.predict("cells.png")  # (H, W) uint8
    """

    def __init__(
        self,
        url: str,
        model: str = "unet",
        version: int | None = None,
        label: str | None = None,
        timeout: float = 120.0,
        retries: int = 8,
        *,
        bundle: str | Path | None = None,
        max_pixels: int = MOST_PIXELS,
        ca: str | Path | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        if version is not None and label is not None:
            raise InputError(f"A version or a label must be given, not both; received {version} and {label!r}.")
        for name, value, least in (("timeout", timeout, 1e-9), ("max_pixels", max_pixels, 1), ("retries", retries, 0)):
            if not value >= least:
                raise InputError(f"{name} must be {'above 0' if least else '0 or more'}; received {value}.")
        if not model:
            raise InputError("A model must have a name; received ''.")
        self.which, self.max_pixels = Which(model, version, label), max_pixels
        self._bundle = None if bundle is None else Bundle(bundle)
        self.description: Description | None = None if self._bundle is None else self._bundle.description
        self.about: Description | None = None
        self.weights: str | None = None
        self.channels = ALL if self.description is None else self.description.channels
        self._transport = connect(url, timeout, ca, self.description)
        self.url = self._transport.url
        self._backoff = backoff or Backoff(retries)
        self._lock = threading.Lock()
        self._known: Metadata | None = None
        self._said = threading.Lock()  # held once it was said

    def predict(self, picture: str | Path | bytes | Picture) -> NDArray[np.uint8]:
        """Give the most probable class of each pixel.

        Args:
            picture: path of a picture file of any format that `unet_tf.read_image` reads, the bytes of one, or raw
                pixels (H, W) or (H, W, C) as in the training images.

        Returns:
            (H, W) class ids.

        Raises:
            RequestError: the server cannot be reached, refuses, or gives no answer in time; an InputError.
            InputError: the file cannot be read, or the net does not take its pixels, or gives what is not finite.
        """
        return self.segment(Given.of(picture, self.channels))

    def segment(self, given: Given) -> NDArray[np.uint8]:
        """Do as `predict` does, with a picture that was opened already."""
        metadata = self.metadata()
        if given.image is None:
            self.check_files()
        pixels, most = given.as_file(metadata), self.max_pixels
        if 0 < pixels <= self.max_pixels and given.content is not None:
            try:
                return self._of_file(given.content)
            except RequestError as error:
                if error.too_large:
                    # perhaps for its bytes, as a PNG of noise: pictures as small as a part can be go on to be sent
                    most = max(pixels // 2, self._geometry.min_tile**2)
                    self._take_less(error, most)
                elif error.code != "INVALID_ARGUMENT" or NOT_FINITE in str(error):
                    raise
                # Our own readers know more kinds of these files, or say better what is wrong with this one.
        return self._of_pixels(given, metadata, MASK, most)

    def probabilities(self, picture: str | Path | bytes | Picture) -> NDArray[np.float32]:
        """Give the probability of each class at each pixel.

        Args:
            picture: as `predict` takes it.

        Returns:
            (H, W, num_classes).

        Raises:
            RequestError: as `predict` does.
            InputError: as `predict` does.
        """
        return self.soft(Given.of(picture, self.channels))

    def soft(self, given: Given) -> NDArray[np.float32]:
        """Do as `probabilities` does, with a picture that was opened already."""
        if given.image is None:
            self.check_files()
        return self._of_pixels(given, self.metadata(), PROBABILITIES, self.max_pixels)

    def metadata(self) -> Metadata:
        """Give what the server says of the net; it is asked once.

        Raises:
            RequestError: it cannot be reached, or has no such model.
            InputError: it is no net of this package, or not that of the bundle.
        """
        with self._lock:
            if self._known is None:
                self._known = self._learnt()
            return self._known

    def check_files(self) -> None:
        """Raise InputError where the bundle alone says how files become the channels of the net, and there is none."""
        if self.description is None and not self.metadata().may_be_plain:
            raise InputError(
                "The channels of a net must be those of one picture file as they are, or the bundle must say how files "
                f"become them; those of {self.which.model} are picked, or of several files or planes, or "
                "unet_tf 0.1.0 has exported it. Give the bundle that is served (bundle, --bundle), or arrays of its "
                "channels."
            )

    def ready(self) -> bool:
        """Say whether the net can be asked now; nothing is tried again."""
        try:
            return self._transport.ready(self.which)
        except InputError:
            return False

    def pinned(self) -> Client:
        """Give a client of the version that answers now, whatever comes later; it shares the connections.

        Raises:
            RequestError: the server cannot be reached, or has no such model.
        """
        found = object.__new__(type(self))
        found.__dict__ |= self.__dict__
        found._lock, found._known = threading.Lock(), found._learnt()
        found.which = Which(self.which.model, found._known.version)
        return found

    def close(self) -> None:
        """Let go of the connections."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _learnt(self) -> Metadata:
        found = self._backoff(lambda: self._transport.metadata(self.which))
        if self.description is not None:
            known = self.description.normalisation
            wanted = known.channels, known.dtype, len(self.description.classes)
            if (there := (found.channels, found.pixel_type, found.num_classes)) != wanted:
                raise InputError(
                    "The bundle must be the one that is served: its net takes {} channels of {} and gives {} classes, "
                    "that of {} {} of {} and {}. Give another --bundle or model.".format(*wanted, self.url, *there)
                )
        if self._bundle is not None:
            self.about, self.weights = self._bundle.describe(found.version), self._bundle.weights(found.version)
        return found

    def _ask(self, signature: str, value: NDArray | Sequence[bytes]) -> NDArray:
        spec = self.metadata().signatures[signature]
        names = next(iter(spec.inputs)), next(iter(spec.outputs))
        return self._backoff(lambda: self._transport.predict(self.which, signature, names[0], value, names[1]))

    def _of_file(self, content: bytes) -> NDArray[np.uint8]:
        found = self._ask(ENCODED, [content])
        return of_png(found.flat[0] if found.size == 1 else b"", self.url)

    def _of_pixels(self, given: Given, metadata: Metadata, signature: str, most: int) -> NDArray[Any]:
        """Read a picture, and ask for it whole or in parts of so many pixels at most that the server takes."""
        image, nodata = given.read()
        # pixels without a measurement get the mean of the version that answers, and each version has its own
        own = self.pinned() if nodata and self._bundle and self.which.version is None else self
        image = own._measured(image, nodata, given.name, metadata)
        smallest = own._geometry.min_tile**2
        if not own._as_png(metadata, signature):
            values = max(metadata.channels, metadata.num_classes if signature == PROBABILITIES else 1)
            most = min(most, max(smallest, self._transport.most_values // values))
        while True:
            try:
                if image.shape[0] * image.shape[1] <= most:
                    return own._of_window(np.asarray(image[:, :]), metadata, signature, given.name)
                return own._of_parts(image, most, metadata, signature, given.name)
            except RequestError as error:
                if not error.too_large or most <= smallest:
                    raise
                most = max(min(most, image.shape[0] * image.shape[1]) // 2, smallest)
                self._take_less(error, most)

    def _take_less(self, error: RequestError, most: int) -> None:
        """Ask for so many pixels at most from now on, unless it is that body alone: slow, or packed too well."""
        if error.code != "DEADLINE_EXCEEDED" and PACKED not in str(error):
            self.max_pixels = min(self.max_pixels, most)

    def _of_parts(self, image: Picture, most: int, metadata: Metadata, signature: str, name: str) -> NDArray[Any]:
        if self.which.version is None:  # all parts of one picture by one version
            pinned = self.pinned()
            return pinned._of_parts(image, most, pinned.metadata(), signature, name)
        geometry = self._geometry
        if most < geometry.min_tile**2:
            raise InputError(
                f"A request must hold {geometry.min_tile}x{geometry.min_tile} px, the smallest part of a picture for a "
                f"net of {geometry.depth} poolings; it may hold {most}. Allow more (max_pixels)"
                f"{'' if self.about else ', or say the geometry of the net (bundle)'}."
            )
        grid = fit(geometry, (image.shape[0], image.shape[1]), most)
        shape = (*grid.shape, metadata.num_classes) if signature == PROBABILITIES else grid.shape
        result = np.empty(shape, np.float32 if signature == PROBABILITIES else np.uint8)
        for number in range(len(grid)):
            look()
            found = self._of_window(grid.window(image, number), metadata, signature, name)
            result[grid.place(number)] = grid.own(found, number)
            if self.about is None and self._said.acquire(blocking=False):  # of parts that the server takes
                times = len(grid) * math.prod(grid.tile) / math.prod(grid.shape)
                log.warning(
                    f"Large pictures are cut as for a net of up to {DEEPEST} poolings, with {geometry.halo} px around "
                    f"each part: {times:.1f} times the pixels of {name} are computed. With the bundle that holds this "
                    "version it may be less. A deeper net needs it."
                )
        return result

    @property
    def _geometry(self) -> Geometry:
        """The sizes by which large pictures are cut.

        Every server cuts a request into tiles of its own, from its first pixel on: so a part begins on the pooling
        grid. "same" has the wider halo, which is a multiple of that grid too, and so serves both.
        """
        return Geometry(DEEPEST if self.about is None else self.about.geometry.depth, "same")

    def _of_window(self, image: NDArray, metadata: Metadata, signature: str, name: str) -> NDArray[Any]:
        """Ask for (h, w, C) raw pixels in one request."""
        if image.dtype.kind == "f" and not np.isfinite(image).all():
            raise InputError(f"{name} holds values that are not finite (NaN or infinite). Replace them.")
        shape = image.shape[:2]
        if self._as_png(metadata, signature):
            return shaped(self._of_file(as_png(image)), shape, np.uint8, self.url)
        whole = np.broadcast_to(image, (*shape, metadata.channels))[None]
        if signature == MASK:
            return shaped(self._ask(MASK, whole), (1, *shape), np.uint8, self.url)[0]
        found = shaped(self._ask(PROBABILITIES, whole), (1, *shape, metadata.num_classes), np.float32, self.url)[0]
        if not np.isfinite(found).all():
            raise InputError(NOT_FINITE)
        return found

    def _as_png(self, metadata: Metadata, signature: str) -> bool:
        """Whether pixels travel as a PNG file: in JSON one takes several bytes, and TF Serving has no uint16 there."""
        return signature == MASK and self._transport.in_json and metadata.takes_files

    def _measured(self, image: Picture, nodata: Sequence[float], name: str, metadata: Metadata) -> Picture:
        """See that the net takes an image; pixels without a measurement count as the mean where it is known."""
        if (about := self.about) is not None:
            about.normalisation.check(image, name, self.channels.plain)
            return about.normalisation.measured(image, nodata)
        unknown = (1.0,) * metadata.channels
        plain = metadata.takes_files if self.description is None else self.channels.plain
        if self.description is None and not plain and (image.shape[2], metadata.channels) == (1, 3):
            raise InputError(
                f"A grey image is taken for RGB where the server says that its net was trained on RGB; {name} is grey, "
                f"and {self.url} does not say it. Give the bundle that is served (bundle, --bundle), or three channels."
            )
        Normalisation(unknown, unknown, metadata.pixel_type).check(image, name, plain)
        if nodata and nodata_samples(np.asarray(image[:, :]), nodata).any():
            log.warning(
                f"{name} holds pixels of {', '.join(f'{one:g}' for one in nodata)} that stand for no measurement. The "
                "net counts them as the mean of its training images if these had such pixels too; with the bundle they "
                "are counted so in any case."
            )
        return image
