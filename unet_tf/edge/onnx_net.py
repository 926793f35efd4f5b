"""An ONNX file that `export` wrote, run by ONNX Runtime tile by tile on pictures of any size, without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_tf.edge.net import ONNX_SUFFIX, EdgeNet, read_description
from unet_tf.edge.runtimes import check_runtime, needs_litert
from unet_tf.edge.tiles import TiledNet
from unet_tf.errors import InputError
from unet_tf.tiling import Grid, cut


class OnnxNet(TiledNet):
    """A net in an ONNX file that `export` wrote, computed on the processor.

    A file of any size reads no more at once than a tile of the static one, in tiles of the size that suits the image.

    Args:
        path: the file.
        threads: of the processor.

    Attributes:
        description: what the file says of itself.
        where: what computes, in words.

    Raises:
        InputError: onnxruntime is missing; or the file is missing, damaged, or holds no metadata of ours; or there is
            no thread.

    Example:
        >>> net = OnnxNet("bundle/model.onnx")  # doctest: +SKIP
        >>> net.label(unet_tf.read_image("image.png"))  # doctest: +SKIP
    """

    library = "ONNX Runtime"

    def __init__(self, path: str | Path, threads: int = 2) -> None:
        needs_onnxruntime()
        import onnxruntime

        check_runtime(threads, "auto", "cpu")
        about = self.description = read_description(Path(path))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # a class of its own for each reason, which the package does not name in public
            raise InputError(f"{path} cannot be loaded: {error}. Copy it again.", path) from error
        (image,) = self._session.get_inputs()
        self._names = [one.name for one in self._session.get_outputs()]
        self.static = not isinstance(image.shape[1], str)
        sides = [1, about.tile, about.tile] if self.static else image.shape[:3]
        if image.shape != [*sides, about.normalisation.channels] or self._names != ["mask", "probabilities"]:
            raise InputError(
                f"{path} is damaged: by what it says of itself it must take {[*sides, about.normalisation.channels]} "
                f"and give mask and probabilities; it takes {image.shape} and gives {self._names}. Copy it again.",
                path,
            )
        self.where = "ONNX Runtime, CPU"

    def run(self, window: NDArray) -> dict[str, NDArray]:
        """Run one tile: (h, w, C) raw pixels, h and w legal sizes -> the outputs, by name."""
        found = self._session.run(self._names, {"image": window[None].astype(np.float32)})
        return {name: output[0] for name, output in zip(self._names, found, strict=True)}

    def grid(self, shape: tuple[int, int]) -> Grid:
        """Cut an image into static tiles, or into those that suit it."""
        about = self.description
        return super().grid(shape) if self.static else cut(about.geometry, shape, about.tile)


def opened(path: str | Path, threads: int = 2, runtime: str = "auto", accelerator: str = "cpu") -> EdgeNet | OnnxNet:
    """Open a net by the name of its file: `OnnxNet` where it ends with .onnx, else `EdgeNet`.

    Args:
        path: the file.
        threads: of the processor.
        runtime: of LiteRT, as `EdgeNet` takes it.
        accelerator: what computes, as `EdgeNet` takes it.

    Returns:
        The net, ready to run.

    Raises:
        InputError: as that class says; or something is said of LiteRT, and the file is an ONNX file.
    """
    check_opened(path, threads, runtime, accelerator)
    if Path(path).suffix.lower() != ONNX_SUFFIX:
        return EdgeNet(path, threads, runtime, accelerator)
    return OnnxNet(path, threads)


def check_opened(path: str | Path, threads: int, runtime: str, accelerator: str) -> None:
    """Refuse what no file of this name could be opened with; the file itself is not looked at.

    Raises:
        InputError: its runtime is missing, or an argument is unknown or does not go with another.
    """
    check_runtime(threads, runtime, accelerator)
    if Path(path).suffix.lower() != ONNX_SUFFIX:
        needs_litert()
        return
    if (runtime, accelerator) != ("auto", "cpu"):
        raise InputError(
            f"An ONNX file is run by ONNX Runtime on the CPU; received {runtime!r}, {accelerator!r}.", path
        )
    needs_onnxruntime()


def needs_onnxruntime() -> None:
    """Raise InputError with the install line where ONNX Runtime is missing, or its libraries cannot be loaded."""
    try:
        import onnxruntime  # noqa: F401 - heavy, and an extra
    except ImportError as error:
        raise InputError(
            f"An ONNX file is run by ONNX Runtime, which is not installed or cannot be loaded ({error}). Install it: "
            "pip install 'unet-tf[onnxruntime]' (or, where there is no TensorFlow: pip install onnxruntime)"
        ) from error
