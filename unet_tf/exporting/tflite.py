"""A net to TFLite files: static tile, float32, float16, dynamic range and full integer, each saying what it is."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unet_tf.edge.description import Description
from unet_tf.edge.net import METADATA, NO_HASH, SHA256, seal
from unet_tf.errors import InputError
from unet_tf.exporting.bundle import TFLITE
from unet_tf.exporting.saved_model import MASK, PROBABILITIES, from_raw, label_in_graph, write_saved_model
from unet_tf.model.calibration import HALF, Calibration
from unet_tf.model.ensemble import probabilities_of
from unet_tf.utils.signals import look
from unet_tf.utils.stderr import quiet_tensorflow

LEVELS = 256
"""Of the probabilities that "uint8" gives."""
MODEL, WINDOWS = "model", "windows.npy"
"""In the folder that the converter's process reads."""
ABSENT = -1
"""In place of a tensor that an operation may have and this one has not."""
KILLED, REFUSED = -9, 128
"""Exit status of the converter's process where it was killed; what is added to the number of the error where the system
would not write."""
KERNEL = 1
"""Place of the kernel among the inputs of a convolution, transposed or not."""
OF_FLOAT16 = 3
"""Version of DEQUANTIZE that takes float16."""


def write_tflite(
    model: keras.Model,
    description: Description,
    variants: Sequence[str],
    windows: NDArray | None,
    folder: Path,
    on_variant: Callable[[str], None] = lambda name: None,
) -> None:
    """Convert a net in a process of its own, since the converter keeps its memory.

    Each file has two signatures. `serving_default`: `image` (1, tile, tile, C) raw pixels -> `mask` (1, out, out) uint8
    class ids and `probabilities` (1, out, out, num_classes). `probabilities`: the same without `mask`, for GPUs whose
    delegate has no ARG_MAX, or a wrong one; it shares the weights.

    "float32", "float16" (kernels) and "dynamic" (weights of 8 bit, sums quantised as they come) take and give float32;
    "uint8" computes with integers alone, and does not know the values for "no measurement": whoever feeds it puts the
    mean in their place, as `EdgeNet` does.

    Args:
        model: normalised pixels -> logits, float32; or an ensemble.
        description: of the net; goes into the metadata of each file as JSON, under the name "unet_tf".
        variants: keys of `TFLITE`.
        windows: (N, tile, tile, C) raw pixels of the training images, by which "uint8" is calibrated: each layer gets
            the range of values that it has on them. Their type's whole range, for 8 bit, is that of the input.
        folder: gets `model_*.tflite`.
        on_variant: called with the name of each before it is made.

    Raises:
        InputError: the memory does not hold the conversion.
        OSError: the system refuses to write.
        RuntimeError: the converter failed.
    """
    if not variants:
        return
    shape = (1, description.tile, description.tile, description.normalisation.channels)

    def one_tile(how: Calibration, nodata: Sequence[float]) -> tf.types.experimental.GenericFunction:
        logits = from_raw(model, replace(description.normalisation, nodata=tuple(nodata)))

        @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name="image")], autograph=False)
        def net(image: tf.Tensor) -> dict[str, tf.Tensor]:
            found = logits(image)
            label = label_in_graph(model, found, how)
            return {"mask": label, "probabilities": probabilities_of(model, found, how.temperature)}

        return net

    with tempfile.TemporaryDirectory(dir=folder) as name:  # on whose disk all has to find room anyway
        source = Path(name)
        how, nodata = description.calibration, description.normalisation.nodata
        write_saved_model(model, {MASK: one_tile(how, nodata)}, str(source / MODEL))
        if "uint8" in variants and (how.threshold != HALF or nodata):
            own = how if how.threshold == HALF else replace(how, threshold=between_levels(how.threshold))
            # 8 bit do not tell whether a pixel equals a value (LiteRT's EQUAL may end the process): who feeds them does
            write_saved_model(model, {MASK: one_tile(own, ())}, str(source / "uint8"))
        if windows is not None:
            np.save(source / WINDOWS, windows)
        command = [sys.executable, "-m", "unet_tf.exporting.tflite", str(source), str(folder), *variants]
        _follow(command, source, lambda line: on_variant(line) if line in variants else None)
    for variant in variants:
        describe(folder / TFLITE[variant], description)


def between_levels(threshold: float) -> float:
    """Move a threshold to where quantising it changes no label: probabilities of "uint8" are multiples of 1 / 256.

    Those of a cross-validation have steps of their own, by one of which its labels may differ.

    Example:
        >>> between_levels(0.35) * 256  # 89.6 would become 90, and 90 / 256 is above 0.35
        89.4
    """
    return (math.floor(threshold * LEVELS) + 0.4) / LEVELS


def _follow(command: list[str], folder: Path, on_line: Callable[[str], object]) -> None:
    """Run the converter's process, tell of each line that it writes, and end it if the work is told to stop."""
    out, errors = folder / "stdout", folder / "stderr"
    told = 0
    with out.open("wb") as to_out, errors.open("wb") as to_errors:
        process = subprocess.Popen(command, stdout=to_out, stderr=to_errors)
    try:
        while True:
            ended = process.poll() is not None  # before the lines are read, so that none is missed
            lines = out.read_text().split("\n")[:-1]
            for line in lines[told:]:
                on_line(line)
            told = len(lines)
            look()
            if ended:
                break
            time.sleep(0.05)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
    if 0 < (number := process.returncode - REFUSED) < REFUSED:
        raise OSError(number, os.strerror(number))
    if process.returncode == KILLED:
        raise InputError(
            "The memory must hold the conversion to TFLite; its process was killed, as a system does whose memory is "
            "full. Choose a smaller --tile or fewer --variants, or export where more is free."
        )
    if process.returncode:
        words = f"The TFLite converter failed, with exit status {process.returncode}"
        raise RuntimeError(f"{words}:\n{errors.read_text(errors='replace')[-4000:]}")


def convert(source: Path, variant: str) -> bytes | bytearray:
    """Convert the SavedModel in `source`, which also holds the windows to calibrate by."""
    model = source / (variant if (source / variant).is_dir() else MODEL)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(model), signature_keys=[MASK])
    if variant in ("dynamic", "uint8"):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "uint8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
        windows = np.load(source / WINDOWS, mmap_mode="r")
        converter.representative_dataset = lambda: representative(windows)
    content = converter.convert()
    return halved(content) if variant == "float16" else content


def halved(content: bytes) -> bytearray:
    """Store the kernels of a float32 file as float16, which a runtime makes float32 before it begins.

    The converter's own float16 rounds each constant, so that -9999 for "no measurement" becomes -10000, which no pixel
    is, and marks the file as one that may be computed in it, which nobody judges here.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model: Any = flatbuffer_utils.read_model_from_bytearray(content)
    (graph,), kinds = model.subgraphs, schema.BuiltinOperator
    of = [one.builtinCode for one in model.operatorCodes]
    convolutions = [one for one in graph.operators if of[one.opcodeIndex] in (kinds.CONV_2D, kinds.TRANSPOSE_CONV)]
    kernels = {one.inputs[KERNEL] for one in convolutions}
    for buffer in {graph.tensors[kernel].buffer for kernel in kernels}:  # equal kernels share one
        values = np.frombuffer(model.buffers[buffer].data, np.float32)
        model.buffers[buffer].data = values.astype(np.float16).view(np.uint8)
    for kernel in kernels:
        half = copy(graph.tensors[kernel])
        half.name, half.type = half.name + b"/float16", schema.TensorType.FLOAT16
        graph.tensors[kernel].buffer = 0  # of nothing
        place, number = len(graph.tensors), len(model.operatorCodes)
        graph.tensors.append(half)
        graph.operators.insert(0, schema.OperatorT(number, inputs=[place], outputs=[kernel]))
    model.operatorCodes.append(schema.OperatorCodeT(kinds.DEQUANTIZE, None, OF_FLOAT16, kinds.DEQUANTIZE))
    return flatbuffer_utils.convert_object_to_bytearray(model)


def representative(windows: NDArray) -> Iterator[tuple[str, dict[str, NDArray[np.float32]]]]:
    """What the converter calibrates by. Two corner pixels span all of 8 bit: the input is then the raw bytes."""
    for number, window in enumerate(windows):
        image = window[None].astype(np.float32)
        if number == 0 and windows.dtype == np.uint8:
            image[0, 0, :2] = np.array([[0.0], [255.0]])
        yield MASK, {"image": image}


def describe(path: Path, description: Description) -> None:
    """Put a description into the metadata of a TFLite file, and with it the hash of the whole file."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    about = json.dumps({**description.to_json(), SHA256: NO_HASH}).encode()
    model: Any = flatbuffer_utils.read_model(path)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(about, np.uint8)
    entry.name, entry.buffer = METADATA, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    add_signature(model, PROBABILITIES)
    content = bytearray(flatbuffer_utils.convert_object_to_bytearray(model))
    del model  # which maps the file
    seal(content, about)
    path.write_bytes(content)


def add_signature(model: Any, output: str) -> None:
    """Give a file a second signature, with one output of the first and the name of it.

    The converter would write the constants of each signature, quantised ones by ranges of their own. So the graph is
    copied without the operations that the output does not depend on; its tensors lie in the same buffers.

    Args:
        model: of one signature and one subgraph, as `flatbuffer_utils.read_model` gives it; is changed.
        output: of the signature.
    """
    from ai_edge_litert import schema_py_generated as schema

    (graph,), (whole,) = model.subgraphs, model.signatureDefs
    (wanted,) = (one for one in whole.outputs if one.name.decode() == output)
    needed, operators = {wanted.tensorIndex}, list[Any]()
    for operator in reversed(graph.operators):
        if needed.intersection(operator.outputs):
            needed.update(operator.inputs, operator.outputs)
            operators.insert(0, operator)
    kept = sorted(needed.union(graph.inputs) - {ABSENT})
    place = {old: new for new, old in enumerate(kept)} | {ABSENT: ABSENT}

    def moved(part: Any, **places: Any) -> Any:
        part = copy(part)
        for name, old in places.items():
            setattr(part, name, place[old] if isinstance(old, int) else [place[one] for one in old])
        return part

    part, signature = schema.SubGraphT(), schema.SignatureDefT()
    part.name, part.tensors = output, [graph.tensors[old] for old in kept]
    part.inputs, part.outputs = [place[old] for old in graph.inputs], [place[wanted.tensorIndex]]
    part.operators = [moved(one, inputs=one.inputs, outputs=one.outputs) for one in operators]
    signature.signatureKey, signature.subgraphIndex = output, len(model.subgraphs)
    signature.inputs = [moved(one, tensorIndex=one.tensorIndex) for one in whole.inputs]
    signature.outputs = [moved(wanted, tensorIndex=wanted.tensorIndex)]
    model.subgraphs.append(part)
    model.signatureDefs.append(signature)


def main() -> None:
    """Convert in a process of its own: python -m unet_tf.exporting.tflite SOURCE OUT VARIANT..."""
    source, out, *variants = sys.argv[1:]
    for variant in variants:
        sys.stdout.write(f"{variant}\n")
        sys.stdout.flush()
        content = convert(Path(source), variant)
        try:
            (Path(out) / TFLITE[variant]).write_bytes(content)
        except OSError as error:
            sys.exit(REFUSED + (error.errno or errno.EIO))


if __name__ == "__main__":
    quiet_tensorflow()
    main()
