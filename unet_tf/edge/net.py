"""A TFLite file that `export` wrote, run tile by tile on pictures of any size, without TensorFlow."""

from __future__ import annotations

import hashlib
import json
import mmap
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.nodata import Measured
from unet_tf.edge.description import Description, StoredDescription
from unet_tf.edge.onnx_file import onnx_metadata
from unet_tf.errors import InputError
from unet_tf.tiling import Grid, Picture, fixed
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look
from unet_tf.utils.stderr import quiet_stderr
from unet_tf.utils.typed_json import parsed

METADATA, SHA256 = "unet_tf", "file_sha256"
"""Name of the entry in the metadata of a file; in its JSON, the hash of the file with zeros in its place.
The interpreter ends the whole process on some damaged files: none is given to it before its hash was checked."""
NO_HASH = "0" * 64
ONNX_SUFFIX = ".onnx"
"""What the names of ONNX files end with."""
MOST_ENTRIES, MOST_BYTES = 1000, 1 << 22
"""Of metadata: a damaged file may speak of billions."""


class StoredInFile(StoredDescription, total=False):
    """The JSON in the metadata of a TFLite file, or of an ONNX file.

    Attributes:
        file_sha256: of the file; files of version 0.1 have none.
    """

    file_sha256: str


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
            raise InputError(f"A net must have a thread or more; received {threads}.")
        self.description = read_description(Path(path))
        try:
            with quiet_stderr():  # the delegate announces itself
                interpreter = Interpreter(str(path), num_threads=threads)
                interpreter.allocate_tensors()
            self._runner = interpreter.get_signature_runner("serving_default")
            details = self._runner.get_input_details()["image"]
            outputs = self._runner.get_output_details()
            shapes = [tuple(map(int, one["shape"])) for one in (details, outputs["mask"], outputs["probabilities"])]
        except (ValueError, RuntimeError, KeyError) as error:
            raise InputError(f"{path} cannot be loaded: {error}. Copy it again.", path) from error
        about = self.description
        output = about.geometry.output_size(about.tile)
        expected = [
            (1, about.tile, about.tile, about.normalisation.channels),
            (1, output, output),
            (1, output, output, len(about.classes)),
        ]
        if shapes != expected:
            raise InputError(
                f"{path} is damaged: image, mask and probabilities must be {expected} by what it says of itself; they "
                f"are {shapes}. Copy it again.",
                path,
            )
        self.dtype, (self._scale, self._zero) = details["dtype"], details["quantization"]

    def label(
        self,
        image: Picture,
        out: Any = None,
        on_tile: Progress = unseen,
        nodata: Sequence[float] = (),
    ) -> Any:
        """Class ids of an image.

        Args:
            image: (H, W) or (H, W, C) raw pixels, or a `MappedArray`.
            out: (H, W) to be filled, an array or a `MappedArray`; None for a new array.
            on_tile: called with (tiles done, tiles in all) after each.
            nodata: values of this image that stand for "no measurement"; a channel that holds one counts as its mean
                in the training images there, as with their own such values.

        Returns:
            `out`, or (H, W) uint8.

        Raises:
            InputError: the image has another pixel type or number of channels than the net takes, or values that
                are not finite; or the net gives such.
        """
        return self._fill(image, "mask", np.empty(image.shape[:2], np.uint8) if out is None else out, on_tile, nodata)

    def probabilities(self, image: Picture) -> NDArray[np.float32]:
        """Give the probabilities of an image, as they come.

        Args:
            image: (H, W) or (H, W, C) raw pixels.

        Returns:
            (H, W, num_classes) float32; of a uint8 file, multiples of 1 / 256. A broken net gives what is not finite.

        Raises:
            InputError: the image is not one that the net takes.
        """
        out = np.empty((*image.shape[:2], len(self.description.classes)), np.float32)
        return self._fill(image, "probabilities", out)

    def run(self, window: NDArray) -> dict[str, NDArray]:
        """Run one tile: (tile, tile, C) or (tile, tile, 1) raw pixels -> the outputs as they come, by name."""
        window = np.broadcast_to(window, (*window.shape[:2], self.description.normalisation.channels))
        return {name: output[0] for name, output in self._runner(image=self._quantised(window)[None]).items()}

    def _fill(
        self,
        image: Picture,
        output: str,
        out: Any,
        on_tile: Progress = unseen,
        nodata: Sequence[float] = (),
    ) -> Any:
        image = image if len(image.shape) == 3 else image[..., None]
        image = self.description.normalisation.measured(image, nodata)
        self.description.normalisation.check(image)
        height, width = image.shape[:2]
        grid = self._grid((height, width))
        scale, zero = self._quantization(output)
        for number in range(len(grid)):
            look()
            window = grid.window(image, number)
            if window.dtype.kind == "f" and not np.isfinite(window).all():
                raise InputError("An image must hold finite values; it holds NaN or infinity. Replace them.")
            found = self.run(window)
            if output == "mask" and not np.isfinite(found["probabilities"]).all():
                raise InputError("A net must give finite probabilities; this one gives NaN or infinity. Export again.")
            own = grid.own(found[output], number)
            out[grid.place(number)] = (own.astype(np.float32) - zero) * np.float32(scale) if scale else own
            on_tile(number + 1, len(grid))
        return out

    def _grid(self, size: tuple[int, int]) -> Grid:
        """The tiles of an image of this height and width."""
        return fixed(self.description.geometry, size, (self.description.tile, self.description.tile))

    def _quantization(self, output: str) -> tuple[float, int]:
        """Scale and zero of the values of an output; a scale of 0 where they are what they say."""
        return self._runner.get_output_details()[output]["quantization"]

    def _quantised(self, window: NDArray) -> NDArray:
        if not self._scale:
            return window.astype(self.dtype)
        normalisation = self.description.normalisation
        if normalisation.nodata:  # far outside of what can be quantised; files of floats know it themselves
            window = Measured(window, normalisation.nodata, normalisation.mean)[:, :]
        if window.dtype == self.dtype and (self._scale, self._zero) == (1.0, 0):
            return window
        limits = np.iinfo(self.dtype)
        return np.clip(np.rint(window / self._scale) + self._zero, limits.min, limits.max).astype(self.dtype)


def read_description(path: Path) -> Description:
    """Read what a TFLite file, or one that is named .onnx, says of its net, once its hash was found to be right.

    A file of version 0.1 holds no hash of itself; if it lies in its bundle, that of `bundle.json` is taken.

    Raises:
        InputError: the file is missing, damaged, or says nothing.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if path.suffix.lower() == ONNX_SUFFIX:
                stored = _onnx_metadata(path, content)
            elif content[4:8] != b"TFL3":
                raise InputError(
                    f"{path} is no TFLite file of unet-tf export: it does not say what its net is. Export it again.",
                    path,
                )
            else:
                stored = _metadata(path, content)
            own = stored.get("file_sha256")
            if own is None and (unknown := stored.keys() - get_type_hints(StoredInFile).keys()):
                raise ValueError(f"it must not have the field {min(unknown)!r}")  # may be the hash's, changed
            wanted = _sha256_in_bundle(path) if own is None else own
            found = hashlib.sha256(content).hexdigest() if own is None else _own_sha256(content, own)
            if wanted not in (None, found):
                raise InputError(
                    f"{path} is damaged: its SHA-256 must be {wanted}; it is {found}. Copy it again.", path
                )
            return Description.restore(stored)
    except OSError as error:
        words = f"{path} cannot be read: {error.strerror}. Give a TFLite or ONNX file of a bundle."
        raise InputError(words, path) from error
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path} is damaged, or of another version: {error}. Copy it again.", path) from error


def _metadata(path: Path, content: mmap.mmap) -> StoredInFile:
    """The JSON that `export` put into a TFLite file; raises ValueError where the file is damaged."""
    from ai_edge_litert.schema_py_generated import Model

    try:
        model = Model.GetRootAs(content, 0)
        for entry in map(model.Metadata, range(min(model.MetadataLength(), MOST_ENTRIES))):
            if entry.Name() == METADATA.encode():
                buffer = model.Buffers(entry.Buffer())
                if buffer.DataLength() > MOST_BYTES:
                    raise ValueError(f"its metadata must be of at most {MOST_BYTES} bytes")
                return parsed(bytes(map(buffer.Data, range(buffer.DataLength()))), StoredInFile)
    except (struct.error, LookupError, TypeError, AttributeError, OverflowError) as error:  # as bytes at random read
        raise ValueError(repr(error)) from error
    raise InputError(f"{path} is no TFLite file of unet-tf export: it has no metadata of it. Export it again.", path)


def _onnx_metadata(path: Path, content: mmap.mmap) -> StoredInFile:
    """The JSON that `export` put into an ONNX file; raises ValueError where the file is damaged."""
    found = onnx_metadata(content)
    if METADATA not in found:
        raise InputError(f"{path} is no ONNX file of unet-tf export: it has no metadata of it. Export it again.", path)
    return parsed(found[METADATA], StoredInFile)


def _own_sha256(content: mmap.mmap, digest: str) -> str:
    """The hash of a file with zeros in place of the hash that it holds."""
    at = content.find(digest.encode())
    if at < 0:
        return ""
    found = hashlib.sha256(memoryview(content)[:at])
    found.update(NO_HASH.encode())
    found.update(memoryview(content)[at + len(digest) :])
    return found.hexdigest()


def _sha256_in_bundle(path: Path) -> str | None:
    """The hash of a file in the `bundle.json` beside it; None where there is none."""
    try:
        stored = json.loads((path.parent / "bundle.json").read_bytes())
        return stored["sha256"].get(path.name)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
