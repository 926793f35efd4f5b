"""The runtimes of LiteRT, each of which runs the static tile of a TFLite file: Interpreter and CompiledModel."""

from __future__ import annotations

import logging
import math
import mmap
import struct
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from unet_tf.errors import InputError
from unet_tf.utils.stderr import quiet_stderr

log = logging.getLogger("unet_tf")

BOTH, PROBABILITIES = "serving_default", "probabilities"
"""Signatures: `image` to `mask` and `probabilities`, which all files have; to `probabilities` alone, which those of
version 0.1 have not."""
RUNTIMES = ("auto", "compiled", "interpreter")
ACCELERATORS = ("cpu", "gpu")


class Tensor(NamedTuple):
    """What a signature takes or gives; scale is 0 where it is not quantised."""

    shape: tuple[int, ...]
    dtype: np.dtype
    scale: float
    zero: int


class Signature(NamedTuple):
    """A graph of a file: its name, what it takes and what it gives, by name."""

    name: str
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


class Runtime(Protocol):
    """A loaded file.

    Attributes:
        where: which runtime computes it on what, in words.
    """

    where: str

    def run(self, image: NDArray) -> dict[str, NDArray]:
        """Run the signature on a tile, (1, tile, tile, C) of the file's type; the outputs by name."""


class Interpreted:
    """The Interpreter of LiteRT, on the processor."""

    where = "Interpreter on the CPU"

    def __init__(self, path: Path, threads: int, signature: Signature) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with quiet_stderr:  # the delegate announces itself
            interpreter = Interpreter(str(path), num_threads=threads)
            interpreter.allocate_tensors()
        self._run = interpreter.get_signature_runner(signature.name)

    def run(self, image: NDArray) -> dict[str, NDArray]:
        """Run the signature on a tile."""
        return dict(self._run(image=image))


class Compiled:
    """The CompiledModel of LiteRT, on the processor or the GPU."""

    def __init__(self, path: Path, threads: int, accelerator: str, signature: Signature) -> None:
        from ai_edge_litert.compiled_model import CompiledModel, CpuOptions, GpuOptions, HardwareAccelerator, Options

        # with a GPU the processor computes what that cannot: the mask of a net with a threshold; without one, it fails
        where = HardwareAccelerator[accelerator.upper()] | HardwareAccelerator.CPU
        options = Options(where, CpuOptions(num_threads=threads), GpuOptions(enforce_f32=True))
        with quiet_stderr:  # all accelerators announce themselves
            model = CompiledModel.from_file(str(path), options=options)
            self._image = {"image": model.create_input_buffer_by_name(signature.name, "image")}
            self._found = {name: model.create_output_buffer_by_name(signature.name, name) for name in signature.outputs}
            taken = signature.inputs["image"]
            self._image["image"].write(np.zeros(taken.shape, taken.dtype))  # the first time makes an environment more
        self._signature, self._held = signature, [model]
        share = "fully accelerated" if model.is_fully_accelerated() else "accelerated in part"
        self.where = f"CompiledModel on the {accelerator.upper()}, {share}"
        weakref.finalize(self, _release, self._held, self._image, self._found)

    def run(self, image: NDArray) -> dict[str, NDArray]:
        """Run the signature on a tile."""
        self._image["image"].write(image)
        self._held[0].run_by_name(self._signature.name, self._image, self._found)
        return {
            name: self._found[name].read(math.prod(one.shape), one.dtype).reshape(one.shape)
            for name, one in self._signature.outputs.items()
        }


def _release(*held: Any) -> None:
    with quiet_stderr:  # accelerators announce their end too
        for one in held:
            one.clear()


def check_runtime(threads: int, runtime: str, accelerator: str) -> None:
    """Refuse what no file could be loaded with.

    Raises:
        InputError: an argument is unknown, or does not go with another.
    """
    for name, value, known in (("runtime", runtime, RUNTIMES), ("accelerator", accelerator, ACCELERATORS)):
        if value not in known:
            raise InputError(f"The {name} must be one of {', '.join(known)}; received {value!r}.")
    if threads < 1:
        raise InputError(f"A net must have a thread or more; received {threads}.")
    if runtime == "interpreter" and accelerator != "cpu":
        raise InputError(f"The interpreter computes on the CPU; received {accelerator!r}. Use runtime 'compiled'.")


def needs_litert() -> None:
    """Raise InputError with the install line where LiteRT is missing, or its libraries cannot be loaded."""
    try:
        import ai_edge_litert.interpreter  # noqa: F401 - heavy, and not there where ONNX Runtime is
    except (ImportError, OSError) as error:
        raise InputError(
            f"A TFLite file is run by LiteRT, which is not installed or cannot be loaded ({error}). Install it: pip "
            "install ai-edge-litert lazy-loader"
        ) from error


def open_runtime(path: Path, threads: int, runtime: str, accelerator: str, signature: Signature) -> Runtime:
    """Load a TFLite file whose hash was found to be right.

    Args:
        path: the file.
        threads: of the processor.
        runtime: "compiled", "interpreter", or "auto": the Interpreter on the CPU, where it gives the same bits and
            takes no more time; the CompiledModel elsewhere.
        accelerator: "cpu" or "gpu".
        signature: the one to run.

    Raises:
        InputError: the runtime or accelerator is not to be had.
    """
    if runtime == "interpreter" or (runtime == "auto" and accelerator == "cpu"):
        return Interpreted(path, threads, signature)
    try:
        return Compiled(path, threads, accelerator, signature)
    except ImportError as error:
        lacking = "The ai-edge-litert that is installed has no CompiledModel with options"
        if runtime == "compiled":
            raise InputError(f"{lacking}. pip install 'ai-edge-litert>=2.3', or use runtime 'auto'.") from error
        log.warning("%s: the Interpreter computes, on the CPU. pip install 'ai-edge-litert>=2.3'.", lacking)
        return Interpreted(path, threads, signature)
    except RuntimeError as error:
        if accelerator == "cpu":
            raise
        raise InputError(
            f"The accelerator {accelerator!r} cannot be used: LiteRT finds none that computes {path.name}. Use 'cpu'.",
            path,
        ) from error


def signatures_of(path: Path) -> dict[str, Signature]:
    """The signatures of a TFLite file, by name.

    Raises:
        ValueError: the file has none, or tensors of other types than these nets have.
    """
    from ai_edge_litert.schema_py_generated import Model

    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            model = Model.GetRootAs(content, 0)
            found = {}
            for one in map(model.SignatureDefs, range(model.SignatureDefsLength())):
                graph, name = model.Subgraphs(one.SubgraphIndex()), one.SignatureKey().decode()
                inputs = dict(_tensors(graph, map(one.Inputs, range(one.InputsLength()))))
                outputs = dict(_tensors(graph, map(one.Outputs, range(one.OutputsLength()))))
                found[name] = Signature(name, inputs, outputs)
            return found
    except (struct.error, LookupError, TypeError, AttributeError, OverflowError) as error:  # as bytes at random read
        raise ValueError(repr(error)) from error


def _tensors(graph: Any, named: Iterator[Any]) -> Iterator[tuple[str, Tensor]]:
    from ai_edge_litert.schema_py_generated import TensorType

    types = {TensorType.FLOAT32: np.float32, TensorType.UINT8: np.uint8}
    for one in named:
        tensor = graph.Tensors(one.TensorIndex())
        shape = tuple(map(tensor.Shape, range(tensor.ShapeLength())))
        steps = tensor.Quantization()
        scale, zero = (steps.Scale(0), steps.ZeroPoint(0)) if steps and steps.ScaleLength() else (0.0, 0)
        yield one.Name().decode(), Tensor(shape, np.dtype(types[tensor.Type()]), scale, zero)
