"""What the workers of predict.py share: the usual tiles, what a prediction takes, and their commands. NumPy only."""

import gc
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from step_worker import TILE, seconds_of, serve

HALO = 92
"""Pixels around an output tile that the unpadded net of depth 4 reads."""
STEP = 384
"""Between tiles of 572 px: of their 388 px of output, whole cells of the pooling grid, so that tiles agree exactly."""
SAME_HALO = 112
"""The receptive field of the padded net of depth 4, rounded up to its pooling grid."""


@dataclass(frozen=True)
class Scheme:
    """A way to predict an image.

    Attributes:
        predict: (H, W) float32 image, whether probabilities are wanted -> (H, W) uint8 labels or (H, W, 2) float32.
        tiles: side of a square image, pixels -> number, height and width of the inputs that the net is given for it.
    """

    predict: Callable[[NDArray, bool], NDArray]
    tiles: Callable[[int], tuple[int, int, int]]


def usual_tiles(image: NDArray) -> tuple[list[tuple[int, int]], NDArray]:
    """Origins of the outputs of 572 px tiles, row by row, and the image mirrored so that it has all they read.

    A tile reads `[y : y + TILE, x : x + TILE]` of the mirrored image.
    """
    height, width = image.shape
    origins = [(y, x) for y in range(0, height, STEP) for x in range(0, width, STEP)]
    last = origins[-1]
    beyond = [start + TILE - HALO - size for start, size in zip(last, image.shape, strict=True)]
    return origins, np.pad(image, [(HALO, more) for more in beyond], mode="reflect")


def usual_count(side: int) -> tuple[int, int, int]:
    return (-(-side // STEP)) ** 2, TILE, TILE


def mirrored(image: NDArray, padding: str) -> NDArray:
    """The image, its sides multiples of 16, with what one pass over all of it reads around it."""
    return np.pad(image, (HALO, HALO + 4) if padding == "valid" else SAME_HALO, mode="reflect")


def mirrored_count(side: int, padding: str) -> tuple[int, int, int]:
    whole = side + (2 * HALO + 4 if padding == "valid" else 2 * SAME_HALO)
    return 1, whole, whole


def inner(outputs: NDArray, side: int, padding: str) -> NDArray:
    """Of what the net says of a mirrored image, the part of the image: the first two axes are cut."""
    margin = 0 if padding == "valid" else SAME_HALO
    return outputs[margin : margin + side, margin : margin + side]


def size_of_process(name: str) -> int:
    """Bytes: VmRSS for what is resident now, VmHWM for the most since `reset_peak`."""
    found = re.search(rf"{name}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(found[1]) if found else 0


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


class Commands:
    """What a worker does when asked: SCHEME:SIDE is the argument of most commands."""

    def __init__(self, data: str, schemes: dict[str, Scheme]) -> None:
        self.data, self.schemes = Path(data), schemes
        self.image, self.result = np.empty((0, 0), np.float32), np.empty(0)
        gc.collect()
        self.idle = size_of_process("VmRSS")

    def _prepare(self, argument: str) -> tuple[Scheme, NDArray]:
        name, side = argument.split(":")
        if self.image.shape != (int(side), int(side)):
            self.image = np.load(self.data / f"image-{side}.npy")
        self.result = np.empty(0)
        gc.collect()
        return self.schemes[name], self.image

    def predict(self, argument: str) -> str:
        """Seconds, peak bytes of the process, and peak above the idle process, its image and its labels."""
        scheme, image = self._prepare(argument)
        reset_peak()

        def run() -> None:
            self.result = scheme.predict(image, False)

        seconds, peak = seconds_of(run), size_of_process("VmHWM")
        return f"{seconds} {peak} {peak - self.idle - image.nbytes - self.result.nbytes}"

    def probabilities(self, argument: str) -> str:
        """Predict the softmax, to be kept."""
        scheme, image = self._prepare(argument)
        self.result = scheme.predict(image, True)
        return "done"

    def keep(self, name: str) -> str:
        """Write the last result for predict.py to read."""
        np.save(self.data / f"{name}.npy", self.result)
        return name

    def tiles(self, argument: str) -> str:
        """Number, height and width of the net's inputs."""
        name, side = argument.split(":")
        return " ".join(map(str, self.schemes[name].tiles(int(side))))

    def serve(self, parameters: int, **more: Callable[[str], Any]) -> None:
        names = "predict", "probabilities", "keep", "tiles"
        serve(parameters, {name: getattr(self, name) for name in names} | more)
