"""Worker of runtimes.py: the same net in PyTorch, ONNX Runtime and OpenVINO, one tile at a time.

Usage: python runtimes_peers.py FOLDER BASE_FILTERS make, which writes them; or with a contender in place of "make",
then lines as in step_worker.py.
"""

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from step_worker import TILE, seconds_of, serve

THREADS = len(os.sched_getaffinity(0))


def torch_net(base: int) -> Any:
    import torch
    from step_torch import UNet

    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    return UNet(base).to(memory_format=torch.channels_last).eval()


def make(folder: Path, base: int) -> int:
    """Write ONNX, and OpenVINO's int8 by NNCF; returns the number of parameters."""
    import nncf
    import openvino
    import torch

    nncf.set_log_level(logging.ERROR)
    net = torch_net(base)
    torch.onnx.export(net, (torch.zeros(1, 1, TILE, TILE),), str(folder / "net.onnx"), verbose=False)
    windows = nncf.Dataset(
        [np.random.default_rng(seed).normal(size=(1, 1, TILE, TILE)).astype(np.float32) for seed in range(4)]
    )
    quantised = nncf.quantize(openvino.Core().read_model(folder / "net.onnx"), windows, subset_size=4)
    openvino.save_model(quantised, folder / "int8.xml")
    return sum(weight.numel() for weight in net.parameters())


def contender(folder: Path, base: int, name: str) -> Callable[[], Any]:
    """A function that predicts one tile: normalised pixels to logits."""
    image = np.random.default_rng(0).normal(size=(1, 1, TILE, TILE)).astype(np.float32)
    kind, precision = name.split("-")
    if kind == "torch":
        import torch

        net = torch_net(base)
        tensor = torch.from_numpy(image).contiguous(memory_format=torch.channels_last)
        half = torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else contextlib.nullcontext()

        def run() -> Any:
            with torch.inference_mode(), half:
                return net(tensor)

        return run
    if kind == "onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        session = onnxruntime.InferenceSession(folder / "net.onnx", options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, {session.get_inputs()[0].name: image})
    import openvino

    core = openvino.Core()
    model = core.read_model(folder / ("int8.xml" if precision == "int8" else "net.onnx"))
    hint = "bf16" if precision == "bfloat16" else "f32"
    settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": THREADS, "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer([image])


def main() -> None:
    warnings.simplefilter("ignore")
    folder, base, name = sys.argv[1:]
    if name == "make":
        with contextlib.redirect_stdout(sys.stderr):
            parameters = make(Path(folder), int(base))
        serve(parameters, {})
        return
    run = contender(Path(folder), int(base), name)

    def steps(number: str) -> float:
        return seconds_of(lambda: [run() for _ in range(int(number))])

    serve(0, {"steps": steps})


if __name__ == "__main__":
    main()
