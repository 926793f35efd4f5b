"""A TFLite or ONNX file on pictures of any size, without TensorFlow: NumPy, OpenCV and its runtime alone.

Usage: python -m unet_tf.edge model_uint8.tflite image.png mask.png [--threads N] [--page N]
       [--runtime auto|interpreter|compiled] [--accelerator cpu|gpu]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.arrays import check_shape
from unet_tf.data.masks import MaskFormat
from unet_tf.data.nodata import nodata_of, occurring
from unet_tf.data.pictures import LOSSLESS, TIFF, count_pages, image_type, write_picture
from unet_tf.data.tiff import import_tifffile
from unet_tf.edge.description import Description
from unet_tf.edge.net import read_description
from unet_tf.edge.onnx_net import check_opened, opened
from unet_tf.edge.tiles import TiledNet
from unet_tf.errors import InputError
from unet_tf.utils.files import is_one_file, replacing
from unet_tf.utils.signals import STOPPED, look, stoppable
from unet_tf.utils.stderr import on_terminal, write_stderr


def segment(
    model: Path,
    image_file: Path,
    mask_file: Path,
    threads: int = 2,
    page: int | None = None,
    runtime: str = "auto",
    accelerator: str = "cpu",
) -> None:
    """Read an image, run it tile by tile, write its mask, drawn as the masks that the net was trained on.

    Beside the mask, a folder for the decoded picture and the class ids is made and removed again.

    Args:
        model: TFLite or ONNX file of a bundle.
        image_file: a picture, as `read_image` takes it, or one of the files of its channels; a .npy file whose channels
            are those of the net, or grey, is mapped and not read whole.
        mask_file: PNG, BMP, TIFF; or .npy, mapped, of class ids.
        threads: of the processor.
        page: of a TIFF stack.
        runtime: of LiteRT, as `EdgeNet` takes it.
        accelerator: what computes, as `EdgeNet` takes it.

    Raises:
        InputError: a file cannot be used.
    """
    if mask_file.suffix.lower() not in (*LOSSLESS, ".npy"):
        raise InputError(
            f"A mask must be written as {', '.join(LOSSLESS)} or .npy, which lose nothing; received {mask_file.name}."
        )
    check_opened(model, threads, runtime, accelerator)  # now, and not once the picture is decoded
    about = read_description(model)
    channels = about.channels
    if mask_file.suffix.lower() == ".bmp" and about.masks.mask(np.zeros((1, 1), np.uint8)).dtype != np.uint8:
        raise InputError(f"A .bmp holds 8 bit, and this net's masks have 16; received {mask_file.name}. Write .png.")
    files = channels.files(image_file)
    if any(is_one_file(one, mask_file) for one in (*files, model)):
        raise InputError(f"{mask_file} would be written over by its mask. Choose another name for the mask.")
    if mask_file.suffix.lower() in TIFF:
        import_tifffile(mask_file)  # now, and not once all is done
    # the decoded picture, the net and the drawn mask are in memory one after another, not at once
    with stoppable(), replacing(mask_file) as written, _folder_beside(mask_file) as folder:
        array, declared = _as_array(about, files, page, folder)
        image = MappedArray(array)
        nodata = occurring(image, nodata_of(image, declared))
        label_file = written if mask_file.suffix.lower() == ".npy" else folder / "label.npy"
        masks = _label(lambda: opened(model, threads, runtime, accelerator), image, label_file, nodata)
        look()
        if label_file != written:
            write_picture(written, masks.mask(np.load(label_file)))


@contextmanager
def _folder_beside(file: Path) -> Iterator[Path]:
    """A folder beside a file, which is gone when the block ends."""
    try:
        folder = TemporaryDirectory(prefix=".", dir=file.parent)
    except OSError as error:
        raise InputError(f"Cannot write into {file.parent}: {error.strerror}. Choose another place.", file) from error
    with folder as name:
        yield Path(name)


def _as_array(
    about: Description, files: Sequence[Path], page: int | None, folder: Path
) -> tuple[Path, tuple[float, ...]]:
    """The .npy file of a picture, itself or a new one in the folder; what the files name as "no measurement"."""
    first, channels, wanted = files[0], about.channels, about.normalisation.channels
    if first.suffix.lower() == ".npy":
        if page is not None:
            raise InputError(f"{first} holds one picture; --page must name one of a TIFF stack.", first)
        if channels.plain and _is_mapped(first) and (count := MappedArray(first).shape[2]) in (1, wanted):
            channels.check(("",) * count, first)
            return first, ()
    elif page is None and (pages := count_pages(first)) > 1:
        raise InputError(f"{first} is a stack of {pages} pictures. Name one of them: --page 0.")
    read = channels.read(files, page or 0)
    np.save(folder / "image.npy", read.image)
    return folder / "image.npy", read.nodata


def _is_mapped(file: Path) -> bool:
    """Whether a .npy file is a picture as it is, of a type that needs no conversion."""
    try:
        array = np.lib.format.open_memmap(file, mode="r")
        check_shape(array.shape, array.dtype)
        return image_type(array.dtype, file) == array.dtype
    except Exception:  # NumPy raises whatever its parsers meet; whoever reads the file says what is wrong
        return False


def _label(load: Callable[[], TiledNet], image: MappedArray, label_file: Path, nodata: Sequence[float]) -> MaskFormat:
    """Fill a new .npy file with the class ids of an image; how the net's masks are drawn; the net is freed."""
    net = load()
    start = time.perf_counter()

    def show(done: int, total: int) -> None:
        each = 1000 * (time.perf_counter() - start) / done
        if on_terminal():
            write_stderr(f"\rtile {done}/{total}, {each:.0f} ms each, {net.where}")
        elif done == total:
            write_stderr(f"{total} tile{'s' * (total > 1)}, {each:.0f} ms each, {net.where}")
        write_stderr("\n" if done == total else "")

    np.lib.format.open_memmap(label_file, "w+", np.uint8, image.shape[:2])
    if hasattr(os, "posix_fallocate"):  # a full disk would end the process where it first writes into the hole
        with label_file.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, label_file.stat().st_size)
    net.label(image, MappedArray(label_file), show, nodata)
    if nodata:
        values = ", ".join(f"{value:g}" for value in nodata)
        write_stderr(f"pixels of {values} hold no measurement and count as the mean of the training images\n")
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
        except Exception as error:  # NumPy raises whatever its readers meet in a file that is none
            raise InputError(f"{path} cannot be read as an array: {error}. Save it with numpy.save.", path) from error
        if array.ndim not in (2, 3) or not array.size:
            raise InputError(
                f"An image must be (H, W) or (H, W, C) with a pixel at least; {path} is {array.shape}.", path
            )
        self.shape, self.dtype = (*array.shape, 1)[:3], array.dtype

    def _open(self, mode: Literal["r", "r+"]) -> NDArray:
        return np.lib.format.open_memmap(self.path, mode)

    def __getitem__(self, window: Any) -> NDArray:
        part = np.array(self._open("r")[window])
        return part if part.ndim == 3 else part[..., None]

    def __setitem__(self, place: Any, values: NDArray) -> None:
        self._open("r+")[place] = values


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m unet_tf.edge",
        description="Segment a picture of any size with a TFLite or ONNX file of a bundle, without TensorFlow.",
        epilog="Example: python -m unet_tf.edge bundles/cells/model_uint8.tflite image.png mask.png",
    )
    parser.add_argument("model", type=Path, help="TFLite or ONNX file that unet-tf export wrote")
    parser.add_argument(
        "image_file",
        metavar="image",
        type=Path,
        help="PNG, JPEG, BMP, TIFF or .npy, of the pixel type of the training images",
    )
    parser.add_argument("mask_file", metavar="mask", type=Path, help="PNG, BMP, TIFF or .npy to write")
    parser.add_argument("--threads", type=int, default=2, help="of the processor (default: 2)")
    parser.add_argument("--page", type=int, help="which picture of a TIFF stack, from 0")
    parser.add_argument(
        "--runtime", default="auto", help="of LiteRT: auto, interpreter or compiled (its CompiledModel) (default: auto)"
    )
    parser.add_argument("--accelerator", default="cpu", help="what computes: cpu or gpu (default: cpu)")
    try:
        segment(**vars(parser.parse_args()))
    except InputError as error:
        sys.exit(f"Error: {error}")
    except OSError as error:  # Path.exists and its like raise it for a missing permission and for a name too long
        if error.filename is None:
            raise
        sys.exit(f"Error: Cannot use {error.filename}: {error.strerror}. Check the path and its permissions.")
    except KeyboardInterrupt:
        write_stderr("\nStopped. Nothing was written.\n")
        sys.exit(STOPPED)


if __name__ == "__main__":
    main()
