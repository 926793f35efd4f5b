"""A TFLite file on pictures of any size, without TensorFlow: NumPy, OpenCV and ai-edge-litert alone.

Usage: python -m unet_tf.edge model_uint8.tflite image.png mask.png [--threads N] [--page N]
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unet_tf.bundle import Description
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import LOSSLESS, TIFF, count_pages, read_image, write_picture
from unet_tf.data.tiff import import_tifffile
from unet_tf.errors import InputError
from unet_tf.files import replacing
from unet_tf.quiet import quiet_stderr
from unet_tf.tiling import Picture, fixed

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
        on_tile: Callable[[int, int], None] = lambda done, total: None,
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
        on_tile: Callable[[int, int], None] = lambda done, total: None,
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


def segment(model: Path, image_file: Path, mask_file: Path, threads: int = 2, page: int | None = None) -> None:
    """Read an image, run it tile by tile, write its mask, drawn as the masks that the net learnt from.

    Beside the mask, a folder for the decoded picture and the class ids is made and removed again.

    Args:
        model: TFLite file of a bundle.
        image_file: PNG, JPEG, BMP, TIFF; or .npy, which is mapped and not read whole.
        mask_file: PNG, BMP, TIFF; or .npy, mapped, of class ids.
        threads: of the processor.
        page: of a TIFF stack.

    Raises:
        InputError: a file cannot be used.
    """
    if mask_file.suffix.lower() not in (*LOSSLESS, ".npy"):
        raise InputError(
            f"A mask is written as {', '.join(LOSSLESS)} or .npy, which lose nothing; received {mask_file.name}."
        )
    if mask_file.resolve() in (image_file.resolve(), model.resolve()):
        raise InputError(f"{mask_file} would be written over by its mask. Choose another name for the mask.")
    if mask_file.suffix.lower() in TIFF:
        import_tifffile(mask_file)  # now, and not once all is done
    # the decoded picture, the net and the drawn mask are in memory one after another, not at once
    with replacing(mask_file) as written, TemporaryDirectory(prefix=".", dir=mask_file.parent) as folder:
        image = MappedArray(_as_array(image_file, page, Path(folder)))
        label_file = written if mask_file.suffix.lower() == ".npy" else Path(folder) / "label.npy"
        masks = _label(model, image, label_file, threads)
        if label_file != written:
            write_picture(written, masks.mask(np.load(label_file)))


def _as_array(image_file: Path, page: int | None, folder: Path) -> Path:
    """The .npy file of a picture: itself, or a new one in the folder."""
    if image_file.suffix.lower() == ".npy":
        return image_file
    if page is None and image_file.is_file() and (pages := count_pages(image_file)) > 1:
        raise InputError(f"{image_file} is a stack of {pages} pictures. Name one of them: --page 0.")
    np.save(folder / "image.npy", read_image(image_file, page or 0))
    return folder / "image.npy"


def _label(model: Path, image: MappedArray, label_file: Path, threads: int) -> MaskFormat:
    """Fill a new .npy file with the class ids of an image; how the net's masks are drawn."""
    net = EdgeNet(model, threads)
    start = time.perf_counter()

    def show(done: int, total: int) -> None:
        each = 1000 * (time.perf_counter() - start) / done
        if sys.stderr.isatty():
            sys.stderr.write(f"\rtile {done}/{total}, {each:.0f} ms each")
        elif done == total:
            sys.stderr.write(f"{total} tile{'s' * (total > 1)}, {each:.0f} ms each")
        sys.stderr.write("\n" if done == total else "")

    np.lib.format.open_memmap(label_file, "w+", np.uint8, image.shape[:2])
    net.label(image, MappedArray(label_file), show)
    return net.description.masks


class MappedArray:
    """A .npy file of an (H, W) or (H, W, C) array, mapped anew for each part, so that no page of it stays in memory.

    Args:
        path: the file.

    Raises:
        InputError: it is no such array.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            array = self._open("r")
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read as an array: {error}. Save it with numpy.save.") from error
        if not isinstance(array, np.ndarray) or array.ndim not in (2, 3) or not array.size:
            received = getattr(array, "shape", "a .npz archive")
            raise InputError(f"An image is (H, W) or (H, W, C) with a pixel at least; {path} is {received}.")
        self.shape, self.dtype = (*array.shape, 1)[:3], array.dtype

    def _open(self, mode: Literal["r", "r+"]) -> NDArray:
        return np.load(self.path, mmap_mode=mode)

    def __getitem__(self, window: Any) -> NDArray:
        part = np.array(self._open("r")[window])
        return part if part.ndim == 3 else part[..., None]

    def __setitem__(self, place: Any, values: NDArray) -> None:
        self._open("r+")[place] = values


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m unet_tf.edge",
        description="Segment a picture of any size with a TFLite file of a bundle, without TensorFlow.",
        epilog="Example: python -m unet_tf.edge bundles/cells/model_uint8.tflite image.png mask.png",
    )
    parser.add_argument("model", type=Path, help="TFLite file that unet-tf export wrote")
    parser.add_argument(
        "image", type=Path, help="PNG, JPEG, BMP, TIFF or .npy, of the pixel type of the training images"
    )
    parser.add_argument("mask", type=Path, help="PNG, BMP, TIFF or .npy to write")
    parser.add_argument("--threads", type=int, default=2, help="of the processor (default: 2)")
    parser.add_argument("--page", type=int, help="which picture of a TIFF stack, from 0")
    arguments = parser.parse_args()
    try:
        segment(arguments.model, arguments.image, arguments.mask, arguments.threads, arguments.page)
    except InputError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
