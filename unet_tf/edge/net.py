"""A TFLite file that `export` wrote, run tile by tile on pictures of any size, without TensorFlow."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.edge.description import Description
from unet_tf.errors import InputError
from unet_tf.tiling import Picture, fixed
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.stderr import quiet_stderr

METADATA = "unet_tf"
"""Name of the entry in the metadata of a TFLite file."""


class EdgeNet:
    """A net in a TFLite file that `export` wrote.

    Args:
        path: the file.
        threads: of the processor.

    Attributes:
        description: what the file says of itself.

    Raises:
        InputError: the file is missing, damaged, or holds no metadata of ours; or there is no thread.

    Example:
        >>> net = EdgeNet("bundle/model_uint8.tflite")  # doctest: +SKIP
        >>> net.label(unet_tf.read_image("image.png"))  # doctest: +SKIP
    """

    def __init__(self, path: str | Path, threads: int = 2) -> None:
        from ai_edge_litert.interpreter import Interpreter

        if threads < 1:
            raise InputError(f"A net takes a thread or more; received {threads}.")
        self.description = read_description(Path(path))
        try:
            with quiet_stderr():  # the delegate announces itself
                interpreter = Interpreter(str(path), num_threads=threads)
                interpreter.allocate_tensors()
            self._runner = interpreter.get_signature_runner("serving_default")
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{path} cannot be loaded: {error}. Copy it again.") from error
        (details,) = self._runner.get_input_details().values()
        self.dtype, (self._scale, self._zero) = details["dtype"], details["quantization"]

    def label(
        self,
        image: Picture,
        out: Any = None,
        on_tile: Progress = unseen,
    ) -> Any:
        """Class ids of an image.

        Args:
            image: (H, W) or (H, W, C) raw pixels, or a `MappedArray`.
            out: (H, W) to be filled, an array or a `MappedArray`; None for a new array.
            on_tile: called with (tiles done, tiles in all) after each.

        Returns:
            `out`, or (H, W) uint8.

        Raises:
            InputError: the image has another pixel type or number of channels than the net takes.
        """
        return self._fill(image, "mask", np.empty(image.shape[:2], np.uint8) if out is None else out, on_tile)

    def probabilities(self, image: Picture) -> NDArray[np.float32]:
        """(H, W) or (H, W, C) raw pixels -> (H, W, num_classes) float32; of a uint8 file, multiples of 1 / 256."""
        out = np.empty((*image.shape[:2], len(self.description.classes)), np.float32)
        return self._fill(image, "probabilities", out)

    def run(self, window: NDArray) -> dict[str, NDArray]:
        """(tile, tile, C) or (tile, tile, 1) raw pixels -> the outputs as they come, for one tile."""
        window = np.broadcast_to(window, (*window.shape[:2], self.description.normalisation.channels))
        return {name: output[0] for name, output in self._runner(image=self._quantised(window)[None]).items()}

    def _fill(
        self,
        image: Picture,
        output: str,
        out: Any,
        on_tile: Progress = unseen,
    ) -> Any:
        image = image if len(image.shape) == 3 else image[..., None]
        self.description.normalisation.check(image)
        tile = self.description.tile
        height, width = image.shape[:2]
        grid = fixed(self.description.geometry, (height, width), (tile, tile))
        scale, zero = self._runner.get_output_details()[output]["quantization"]
        for number in range(len(grid)):
            own = grid.own(self.run(grid.window(image, number))[output], number)
            out[grid.place(number)] = (own.astype(np.float32) - zero) * np.float32(scale) if scale else own
            on_tile(number + 1, len(grid))
        return out

    def _quantised(self, window: NDArray) -> NDArray:
        if not self._scale:
            return window.astype(self.dtype)
        if window.dtype == self.dtype and (self._scale, self._zero) == (1.0, 0):
            return window
        limits = np.iinfo(self.dtype)
        return np.clip(np.rint(window / self._scale) + self._zero, limits.min, limits.max).astype(self.dtype)


def read_description(path: Path) -> Description:
    """What a TFLite file says of its net.

    Raises:
        InputError: it is missing or says nothing.
    """
    from ai_edge_litert.schema_py_generated import Model

    try:
        content = np.memmap(path, np.uint8, "r")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}. Give a TFLite file of a bundle.") from error
    if bytes(content[4:8]) == b"TFL3":
        try:
            model = Model.GetRootAs(content, 0)
            for entry in map(model.Metadata, range(model.MetadataLength())):
                if entry.Name() == METADATA.encode():
                    stored = json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
                    return Description.restore(stored)
        except (struct.error, ValueError, LookupError, TypeError) as error:  # as bytes at random read
            raise InputError(f"{path} is damaged, or of another version: {error!r}. Copy it again.") from error
    raise InputError(f"{path} is no TFLite file of unet-tf export: it does not say what its net is. Export it again.")
