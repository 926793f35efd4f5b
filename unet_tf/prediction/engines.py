"""Engines of prediction: TensorFlow, OpenVINO, ONNX Runtime; which of them a net is computed by on this machine."""

from __future__ import annotations

import functools
import hashlib
import importlib
import logging
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unet_tf.errors import InputError
from unet_tf.model.calibration import Calibration
from unet_tf.model.ensemble import ensemble, members_of
from unet_tf.model.inference import Network, Runtime
from unet_tf.model.onnx_graph import IMAGE, MASK, PROBABILITIES, SUM, onnx_graph
from unet_tf.utils.processor import instructions
from unet_tf.utils.threads import cores

if TYPE_CHECKING:
    import keras

log = logging.getLogger("unet_tf")

TENSORFLOW, OPENVINO, ONNXRUNTIME, AUTO = "tensorflow", "openvino", "onnxruntime", "auto"
ENGINES = (AUTO, TENSORFLOW, OPENVINO, ONNXRUNTIME)
TITLES = {OPENVINO: "OpenVINO", ONNXRUNTIME: "ONNX Runtime"}
TESTED = {OPENVINO: ((2025, 0), (2026, 4)), ONNXRUNTIME: ((1, 20), (1, 32))}
"""First and last version that the tests were run with."""
FASTER, MATRICES = "avx512f", "amx_bf16"
"""Instructions of the processors on which OpenVINO was measured faster than TensorFlow; and of those on which bfloat16
pays there: with AVX512_BF16 alone float32 is the faster of the two (benchmarks/engines.md)."""

BYTES_A_FILTER = {"openvino float32": 18.0, "openvino bfloat16": 10.0, "onnxruntime float32": 36.0}
"""As `unet_tf.model.inference.BYTES_A_FILTER`, measured with windows of 700 to 2300 px: the peaks lie at 11 to 17
(base 4 to 64) and 7 to 8 (base 16) with OpenVINO, and at 21 to 34 (base 4 and 16) with ONNX Runtime, whose memory grows
by doubling."""


def resolve(engine: str, network: Network) -> str:
    """Say by what a net is computed on this machine: the same each time, from what is installed and the processor.

    Args:
        engine: one of `ENGINES`, or what this function gave before, perhaps on another machine.
        network: the net.

    Returns:
        "tensorflow", or engine and type that it computes in: "openvino float32", "openvino bfloat16",
        "onnxruntime float32". A net in a file has a runtime of its own, such as "LiteRT: model_uint8.tflite". Whoever
        goes on with the work, elsewhere too, is told so.

    Raises:
        InputError: there is no such engine, its package is missing, or a net in a file is asked to be computed by it.
    """
    if network.only is not None:
        network.by(engine)
        return network.only
    if engine in (TENSORFLOW, *_MADE):
        return engine
    if engine not in ENGINES:
        raise InputError(f"The engine of prediction must be one of {', '.join(ENGINES)}; received {engine!r}.")
    why = ""
    if engine == AUTO:
        engine, why = _choose(network)
        why = f": {why}"
    if engine != TENSORFLOW:
        _check_installed(engine)
        engine = f"{engine} {_type(engine, network)}"
    log.info(f"engine = {engine}{why}")
    return engine


def with_engine(network: Network, engine: str) -> Network:
    """Give the net as an engine computes it, which is loaded once.

    Args:
        network: the net by TensorFlow.
        engine: as `resolve` gives it.

    Raises:
        InputError: the package is missing here, or this processor cannot compute in the type.
    """
    if engine == TENSORFLOW or network.only is not None:
        return network.by(engine)
    name, dtype = engine.split()
    _check_installed(name)
    if name == OPENVINO and dtype == "bfloat16" and not _openvino_has_bfloat16():
        raise InputError(
            f'The work was begun with the engine "{engine}", and this processor has no instructions for bfloat16. Do '
            "all of it on machines that have them, or begin it anew with --engine tensorflow."
        )
    return network.by(engine, _MADE[engine])


def _choose(network: Network) -> tuple[str, str]:
    """What is measured fastest for such a net on such a processor, of what is installed; and why."""
    if tf.config.get_visible_devices("GPU"):
        return TENSORFLOW, "it computes on the GPU"
    if FASTER not in instructions() or network.dtype not in ("float32", "bfloat16"):
        return TENSORFLOW, f"no other is known to be faster for {network.dtype} on this processor"
    if _version(OPENVINO) is None:
        return TENSORFLOW, "OpenVINO, which is faster here, is not installed: pip install 'unet-tf[openvino]'"
    return OPENVINO, f"the fastest for {network.dtype} on processors with {FASTER}"


def _type(engine: str, network: Network) -> str:
    """The type that an engine computes a net in."""
    bfloat16 = network.dtype == "bfloat16" and engine == OPENVINO and MATRICES in instructions()
    return "bfloat16" if bfloat16 and _openvino_has_bfloat16() else "float32"


def _version(engine: str) -> str | None:
    """Of the module, and None unless it and onnx, in whose format nets are handed over, are installed.

    Packages of several names install one module, as onnxruntime and onnxruntime-gpu do.
    """
    try:
        return [str(importlib.import_module(name).__version__) for name in ("onnx", engine)][-1]
    except (ImportError, AttributeError):  # the latter of a folder of that name, which is imported too
        return None


@functools.cache
def _check_installed(engine: str) -> None:
    """Raise InputError where a package is missing, and say where its version was never tested."""
    version = _version(engine)
    if version is None:
        raise InputError(
            f"The engine {engine} needs the packages onnx and {engine}. Install them: pip install 'unet-tf[{engine}]'"
        )
    first, last = TESTED[engine]
    if not first <= tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) <= last:
        tested = " to ".join(".".join(map(str, one)) for one in (first, last))
        log.warning(f"{TITLES[engine]} {version} was not tested with this version of unet_tf; {tested} was.")


def threads() -> int:
    """As many as there are cores, or fewer where processes that share the machine were told so."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores(), int(told)) if told.isdigit() and int(told) else cores()


class _Graphs(ABC):
    """A folded net, or each of several, handed to another library as ONNX graphs, one for each thing that is asked.

    Attributes:
        name: of the engine, and the type that it computes in.
    """

    engine: str

    def __init__(self, model: keras.Model, dtype: str) -> None:
        self.name, self.dtype = f"{self.engine} {dtype}", dtype
        self.bytes_a_filter = BYTES_A_FILTER[self.name]
        self._model, self._parts = model, [ensemble([one]) for one in members_of(model)] or [model]
        self._state = _state(model)
        self._loaded: dict[_Asked, Any] = {}
        self._last: Any = None
        self._lock = threading.Lock()

    def label(self, window: NDArray[np.float32]) -> tuple[NDArray[np.uint8], bool]:
        """See `Runtime.label`."""
        return self._found(_Asked(MASK), window)

    def probabilities(
        self, number: int, window: NDArray[np.float32], temperature: float
    ) -> tuple[NDArray[np.float32], bool]:
        """See `Runtime.probabilities`."""
        return self._found(_Asked(PROBABILITIES, number, temperature), window)

    def refresh(self) -> None:
        """See `Runtime.refresh`: a graph has the weights that were there when it was loaded."""
        if (now := _state(self._model)) != self._state:
            self._state, self._last = now, None
            self._loaded.clear()

    def _found(self, asked: _Asked, window: NDArray[np.float32]) -> tuple[NDArray, bool]:
        try:
            with self._lock:
                if asked not in self._loaded:
                    model = self._model if asked.output == MASK else self._parts[asked.number]
                    if not all(np.isfinite(values).all() for values in model.get_weights()):
                        return window, False  # of NaN a ReLU of theirs may make a number
                    graph = onnx_graph(model, Calibration(asked.temperature), outputs=(asked.output, SUM))
                    self._loaded[asked] = self._load(graph.SerializeToString())
                loaded = self._loaded[asked]
                if self._last not in (None, loaded):
                    self._rest(self._last)  # the memory of one at a time
                self._last = loaded
                found, total = self._run(loaded, np.ascontiguousarray(window, np.float32))
        except InputError:
            raise
        except Exception as error:  # each library has classes of its own
            size = "x".join(map(str, window.shape[1:3]))
            raise InputError(
                f"{TITLES[self.engine]} must be able to compute the net on a window of {size} px, and says: {error}. "
                "Take --engine tensorflow, or smaller tiles (--memory)."
            ) from error
        return found, bool(np.isfinite(total))

    @abstractmethod
    def _load(self, graph: bytes) -> Any:
        """Make a graph ready."""

    @abstractmethod
    def _run(self, loaded: Any, window: NDArray[np.float32]) -> Sequence[NDArray]:
        """Compute the outputs of a graph, in their order."""

    def _rest(self, loaded: Any) -> None:  # noqa: B027 - most keep none
        """Give back the memory that a graph computed in."""


class _Asked(NamedTuple):
    output: str
    number: int = 0
    temperature: float = 1.0


def _state(model: keras.Model) -> bytes:
    """By which weights are known."""
    digest = hashlib.blake2b()
    for values in model.get_weights():
        digest.update(values)
    return digest.digest()


class OpenVINO(_Graphs):
    """OpenVINO's CPU plugin, one graph for all sizes."""

    engine = OPENVINO

    def _load(self, graph: bytes) -> Any:
        settings = {
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[self.dtype],
            "EXECUTION_MODE_HINT": "ACCURACY" if self.dtype == "float32" else "PERFORMANCE",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads(),
            "ENABLE_CPU_PINNING": False,  # or processes side by side compute on the same cores
        }
        core = _core()
        return core.compile_model(core.read_model(graph, b""), "CPU", settings).create_infer_request()

    def _run(self, loaded: Any, window: NDArray[np.float32]) -> Sequence[NDArray]:
        found = loaded.infer({IMAGE: window}, share_inputs=True)
        return [found[number] for number in range(2)]

    def _rest(self, loaded: Any) -> None:
        loaded.get_compiled_model().release_memory()


class ONNXRuntime(_Graphs):
    """ONNX Runtime's CPU provider."""

    engine = ONNXRUNTIME

    def _load(self, graph: bytes) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others compute meanwhile
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def _run(self, loaded: Any, window: NDArray[np.float32]) -> Sequence[NDArray]:
        import onnxruntime

        options = onnxruntime.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")  # given back after each window
        return list(loaded.run(None, {IMAGE: window}, options))


@functools.cache
def _core() -> Any:
    import openvino

    return openvino.Core()


def _openvino_has_bfloat16() -> bool:
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


_MADE: dict[str, Callable[[keras.Model], Runtime]] = {
    "openvino float32": functools.partial(OpenVINO, dtype="float32"),
    "openvino bfloat16": functools.partial(OpenVINO, dtype="bfloat16"),
    "onnxruntime float32": functools.partial(ONNXRuntime, dtype="float32"),
}
"""By what `resolve` gives."""
