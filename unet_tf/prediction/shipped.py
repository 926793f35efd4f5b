"""Nets as `export` wrote them for other runtimes, behind the face of a `Predictor`: their graphs take raw pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.edge.description import Description
from unet_tf.edge.tiles import NOT_FINITE, TiledNet
from unet_tf.errors import InputError
from unet_tf.geometry import Geometry
from unet_tf.prediction.predictor import Predictor
from unet_tf.tiling import Grid, Picture

BYTES_A_PIXEL = 64 * 23.5
"""Bytes for each pixel that a net reads: of 64 base filters in float32 (`unet_tf.model.inference`). A graph does not
say how many it has, and for one with less the tiles are smaller than they might be."""
MOST_PIXELS = 1 << 24
"""Of a window, whatever the memory."""


class ShippedNet(ABC):
    """A net that takes windows of raw pixels; for the rest as `unet_tf.model.inference.Network` is.

    Args:
        about: what it says of itself.
        only: what computes it, and its file, as records of a prediction name it.

    Attributes:
        only: the same.
        geometry: by which an image is cut into windows.
        sizes: height and width of its input, each None where any legal size will do.
        channels: of its images.
        num_classes: of its labels.
        count: of nets whose predictions can be told apart.
        temperature: of its probabilities, which is in the graph.
        threshold: at which its labels part two classes, likewise.
        dtype: that it computes in, which the file decides.
    """

    count = 1
    dtype = "that of the file"

    def __init__(self, about: Description, only: str) -> None:
        self.about, self.only, self.geometry = about, only, about.geometry
        self.sizes: list[int | None] = [None, None]
        self.channels, self.num_classes = about.normalisation.channels, len(about.classes)
        self.temperature, self.threshold = about.calibration.temperature, about.calibration.threshold

    @abstractmethod
    def label(self, window: NDArray) -> NDArray[np.uint8]:
        """(h, w, C) raw pixels -> ids of the classes by the threshold of the graph, as large as the output is.

        Raises:
            InputError: the net gives what is not finite.
        """

    @abstractmethod
    def probabilities(self, window: NDArray) -> NDArray[np.float32]:
        """(h, w, C) raw pixels -> (h', w', num_classes).

        Raises:
            InputError: the net gives what is not finite.
        """

    def by(self, engine: str) -> ShippedNet:
        """The same: a file has a runtime of its own.

        Raises:
            InputError: another one is asked for.
        """
        if engine not in ("tensorflow", "auto", self.only):  # the first of which nobody has to ask for
            raise InputError(
                f"A file of a bundle is computed by the runtime that it was made for, and not by {engine}. Leave the "
                "engine out, or give the folder of the bundle."
            )
        return self

    def each(self, window: NDArray) -> Iterator[NDArray[np.float32]]:
        """The same: of several nets in a graph the mean alone is known."""
        yield self.probabilities(window)

    def features(self, window: NDArray) -> NDArray[np.float32]:
        """Raise InputError: a graph gives what it was exported for."""
        raise InputError(
            "What the deepest level of a net sees is not among the outputs of an exported graph. Give the run, or the "
            "folder of the bundle, whose model.keras has it."
        )

    def memory_needed(self, pixels: int) -> int:
        """Estimate the bytes that predicting a window of so many pixels takes beside the net itself."""
        return int(pixels * BYTES_A_PIXEL)

    def pixels_within(self, memory: float) -> int:
        """The largest window, in pixels, that `memory` bytes hold."""
        return min(int(memory / BYTES_A_PIXEL), MOST_PIXELS)

    @staticmethod
    def finite(found: NDArray) -> NDArray:
        """What a net gave, where it is finite.

        Raises:
            InputError: it is not.
        """
        if not np.isfinite(found).all():
            raise InputError(NOT_FINITE)
        return found


class FileNet(ShippedNet):
    """The net of a TFLite or ONNX file.

    Args:
        net: the file, opened.
        name: of the file.
    """

    def __init__(self, net: TiledNet, name: str) -> None:
        super().__init__(net.description, f"{net.library}: {name}")
        self._net = net
        if net.static:
            self.sizes = [net.description.tile] * 2

    def label(self, window: NDArray) -> NDArray[np.uint8]:
        """As `ShippedNet` says."""
        found = self._run(window)
        self.finite(found["probabilities"])
        return found["mask"].astype(np.uint8)

    def probabilities(self, window: NDArray) -> NDArray[np.float32]:
        """As `ShippedNet` says; of a uint8 file, steps of its scale: 1 / 256 as a softmax gives them."""
        return self.finite(self._net.real("probabilities", self._run(window)["probabilities"]))

    def _run(self, window: NDArray) -> dict[str, NDArray]:
        return self._net.run(np.broadcast_to(window, (*window.shape[:2], self.channels)))


class SavedNet(ShippedNet):
    """The net of a SavedModel, whose graph mirrors and cuts pictures of any size itself.

    So it is one of "same" padding to whoever cuts them: as much comes out as goes in. Windows lie on the pooling grid
    of the picture with either padding, as the halo of "same" is whole cells of it; that of "valid" is not.

    Args:
        folder: the SavedModel.
        about: what its bundle says of it.

    Raises:
        InputError: it is damaged, or of something else.
    """

    def __init__(self, folder: Path, about: Description) -> None:
        import tensorflow as tf

        super().__init__(about, f"TensorFlow: {folder.parent.name}/{folder.name}")
        self.geometry = Geometry(about.geometry.depth, "same")
        try:
            self._model = tf.saved_model.load(str(folder))
            self._signatures = {name: self._model.signatures[name] for name in ("serving_default", "probabilities")}
        except Exception as error:  # TensorFlow raises whatever its readers meet in files that are none
            words = str(error).strip().split("\n")[0][:300]
            raise InputError(f"{folder} is damaged, or no SavedModel of unet-tf export: {words}", folder) from error

    def label(self, window: NDArray) -> NDArray[np.uint8]:
        """As `ShippedNet` says; a file of version 0.1 does not tell."""
        import tensorflow as tf

        try:
            return self._run("serving_default", window)["mask"].numpy()[0]
        except tf.errors.InvalidArgumentError as error:
            if NOT_FINITE in error.message:
                raise InputError(NOT_FINITE) from error
            raise

    def probabilities(self, window: NDArray) -> NDArray[np.float32]:
        """As `ShippedNet` says."""
        return self.finite(self._run("probabilities", window)["probabilities"].numpy()[0])

    def _run(self, signature: str, window: NDArray) -> Any:
        import tensorflow as tf

        whole = np.broadcast_to(window, (*window.shape[:2], self.channels))
        return self._signatures[signature](image=tf.constant(whole[None], self.about.normalisation.dtype))


class ShippedPredictor(Predictor):
    """A `Predictor` of an exported graph: tiles, turns, masks and files are the same, and the graph normalises.

    Args:
        network: the graph.
    """

    def __init__(self, network: ShippedNet) -> None:
        about = network.about
        self.network: Any = network
        self.normalisation, self.masks = about.normalisation, about.masks
        self.classes, self.channels, self.calibration = about.classes, about.channels, about.calibration

    def _windows(self, image: Picture, number: int, grid: Grid, turns: Iterable[int]) -> list[NDArray]:
        """What the graph reads for a tile, (h, w, C) raw pixels, once a turn."""
        windows = [grid.window(image, number, turn) for turn in turns]
        if windows[0].dtype.kind == "f" and not np.isfinite(windows[0]).all():
            raise InputError("An image must hold finite values; it holds NaN or infinity. Replace them.")
        return windows
