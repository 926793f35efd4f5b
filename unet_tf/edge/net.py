"""A TFLite file that `export` wrote, run tile by tile on pictures of any size, without TensorFlow."""

from __future__ import annotations

import hashlib
import json
import mmap
import struct
import threading
from pathlib import Path
from typing import get_type_hints

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.nodata import Measured
from unet_tf.edge.description import BUNDLE_DESCRIPTION, Description, StoredDescription
from unet_tf.edge.onnx_file import onnx_metadata
from unet_tf.edge.runtimes import BOTH, PROBABILITIES, check_runtime, needs_litert, open_runtime, signatures_of
from unet_tf.edge.tiles import TiledNet
from unet_tf.errors import InputError
from unet_tf.model.calibration import label_of
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


class EdgeNet(TiledNet):
    """A net in a TFLite file that `export` wrote. Threads may share it: their tiles are run in turn.

    Args:
        path: the file.
        threads: of the processor.
        runtime: of LiteRT: "interpreter", "compiled" (its CompiledModel, ai-edge-litert 2.3 and newer), or "auto": the
            Interpreter on the CPU, the CompiledModel on the GPU.
        accelerator: what computes: "cpu", or "gpu" (of a PC: through Vulkan, Metal or Direct3D). On the CPU both
            runtimes give the same bits; a GPU sums in another order, and has its labels from its probabilities.

    Attributes:
        description: what the file says of itself.
        tensors: `image`, `mask` and `probabilities` of the file.
        where: what computes, in words.

    Raises:
        InputError: LiteRT is missing; the file is missing, damaged, or holds no metadata of ours; there is no thread;
            or the runtime or the accelerator is unknown or not to be had.

    Example:
        >>> net = EdgeNet("bundle/model_uint8.tflite")  # doctest: +SKIP
        >>> net.label(unet_tf.read_image("image.png"))  # doctest: +SKIP
    """

    library = "LiteRT"

    def __init__(self, path: str | Path, threads: int = 2, runtime: str = "auto", accelerator: str = "cpu") -> None:
        path = Path(path)
        check_runtime(threads, runtime, accelerator)
        needs_litert()
        self.description = read_description(path)
        try:
            signatures = signatures_of(path)
            self.tensors = signatures[BOTH].inputs | signatures[BOTH].outputs
            self._check_shapes(path)
            on_gpu = accelerator == "gpu"  # where LiteRT 2.3 has an ARG_MAX that gives ids of no class
            signature = signatures.get(PROBABILITIES, signatures[BOTH]) if on_gpu else signatures[BOTH]
            self._runtime = open_runtime(path, threads, runtime, accelerator, signature)
        except InputError:
            raise
        except (ValueError, RuntimeError, KeyError) as error:
            raise InputError(f"{path} cannot be loaded: {error}. Copy it again.", path) from error
        self._lock = threading.Lock()  # what a runtime reads and writes, it has once
        self.where, self._labelled = self._runtime.where, not on_gpu
        self.scales = {name: (one.scale, one.zero) for name, one in self.tensors.items()}

    def _check_shapes(self, path: Path) -> None:
        about, shapes = self.description, [self.tensors[name].shape for name in ("image", "mask", "probabilities")]
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

    def run(self, window: NDArray) -> dict[str, NDArray]:
        """Run one tile: (tile, tile, C) raw pixels -> the outputs as they come, by name."""
        image = self._quantised(window)[None]
        with self._lock:
            outputs = self._runtime.run(image)
        found = {name: output[0] for name, output in outputs.items()}
        if not self._labelled:
            threshold = self.description.calibration.threshold
            found["mask"] = label_of(self.real("probabilities", found["probabilities"]), threshold)
        return found

    def _quantised(self, window: NDArray) -> NDArray:
        taken = self.tensors["image"]
        if not taken.scale:
            return window.astype(taken.dtype)
        normalisation = self.description.normalisation
        if normalisation.nodata:  # which 8 bit cannot tell; files of floats know it themselves
            window = Measured(window, normalisation.nodata, normalisation.mean)[:, :]
        if window.dtype == taken.dtype and (taken.scale, taken.zero) == (1.0, 0):
            return window
        limits = np.iinfo(taken.dtype)
        return np.clip(np.rint(window / taken.scale) + taken.zero, limits.min, limits.max).astype(taken.dtype)


def read_description(path: Path) -> Description:
    """Read what a TFLite file, or one that is named .onnx, says of its net, once its hash was found to be right.

    A file of version 0.1 holds no hash of itself; if it lies in its bundle, that of `bundle.json` is taken.

    Raises:
        InputError: the file is missing, damaged, or says nothing; or LiteRT, which a TFLite file needs, is missing.
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
    needs_litert()
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


def seal(content: bytearray, about: bytes) -> None:
    """Put the hash of a whole file in the place of the zeros in its metadata, by which it is known to be as written.

    Args:
        content: of the file; changed.
        about: its metadata, in which `NO_HASH` stands.
    """
    at = content.index(about) + about.index(NO_HASH.encode())
    content[at : at + len(NO_HASH)] = hashlib.sha256(content).hexdigest().encode()


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
        stored = json.loads((path.parent / BUNDLE_DESCRIPTION).read_bytes())
        return stored["sha256"].get(path.name)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
