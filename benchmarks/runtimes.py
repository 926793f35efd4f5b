"""One tile on the CPU in each runtime: the nets of a bundle side by side with PyTorch, ONNX Runtime and OpenVINO.

Usage: python benchmarks/runtimes.py [--torch-python PATH] [--rounds N] [--bases N ...]
Peers: pip install -c requirements.txt -r benchmarks/requirements.txt, or an environment of its own with them.
"""

import argparse
import contextlib
import statistics
import sys
import tempfile
import time

from contenders import Worker, find_torch, print_machine, print_table, print_text, spread
from step_worker import TILE

OURS, PEERS = "runtimes_ours.py", "runtimes_peers.py"
CONTENDERS = {
    "saved_model-float32": ("ours: SavedModel, float32", OURS),
    "onnx-float32": ("ONNX Runtime, float32", PEERS),
    "openvino-float32": ("OpenVINO, float32", PEERS),
    "torch-float32": ("PyTorch, channels last, float32", PEERS),
    "tflite-float32": ("ours: TFLite float32", OURS),
    "tflite-float16": ("ours: TFLite float16 (weights)", OURS),
    "tflite-dynamic": ("ours: TFLite dynamic range", OURS),
    "saved_model-bfloat16": ("ours: SavedModel, bfloat16", OURS),
    "openvino-bfloat16": ("OpenVINO, bfloat16", PEERS),
    "torch-bfloat16": ("PyTorch, channels last, bfloat16", PEERS),
    "tflite-uint8": ("ours: TFLite uint8", OURS),
    "openvino-int8": ("OpenVINO, int8 (NNCF)", PEERS),
}
SLOT = 1.0
"""Seconds of a turn, or one tile where that takes longer."""
Taken = dict[str, list[float]]
"""Milliseconds a tile in each round, by contender."""


def measure(torch: str | None, base: int, rounds: int) -> Taken:
    """Make all nets of a width, then time them in turns."""
    chosen = {name: script for name, (_, script) in CONTENDERS.items() if torch or script == OURS}
    pythons = {OURS: sys.executable, PEERS: torch or sys.executable}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        made = [Worker(pythons[script], script, folder, str(base), "make") for script in sorted({*chosen.values()})]
        for worker in made:
            worker.close()
        if len({worker.parameters for worker in made}) > 1:
            sys.exit(f"Not the same net: {[worker.parameters for worker in made]} parameters.")
        workers = {}
        for name, script in chosen.items():
            workers[name] = Worker(pythons[script], script, folder, str(base), name)
            stack.callback(workers[name].close)
        counts = {}
        for name, worker in workers.items():
            worker.seconds("steps", 2)
            counts[name] = max(1, round(SLOT / worker.seconds("steps", 1)))
        taken: Taken = {name: [] for name in workers}
        for number in range(rounds):
            for name in list(workers)[:: -1 if number % 2 else 1]:
                taken[name].append(1000 * workers[name].seconds("steps", counts[name]))
        return taken


def print_goals(results: dict[int, Taken]) -> None:
    """The ratios that are wanted, each round by itself."""
    rows = []
    for base, taken in results.items():
        others = [name for name in taken if name in ("onnx-float32", "openvino-float32", "torch-float32")]
        if others:
            fastest = min(others, key=lambda name: statistics.median(taken[name]))
            pair = taken["saved_model-float32"], taken[fastest]
            rows.append(ratio(f"base {base}: SavedModel / {CONTENDERS[fastest][0]}", *pair, "at most 1.05"))
        rows.append(
            ratio(f"base {base}: TFLite float32 / uint8", taken["tflite-float32"], taken["tflite-uint8"], "2.8")
        )
        if others:
            pair = taken["tflite-uint8"], taken["openvino-int8"]
            rows.append(ratio(f"base {base}: TFLite uint8 / OpenVINO int8", *pair, "at most 1.10"))
    print_table(("time of one against that of the other", "median", "rounds", "wanted"), rows)


def ratio(name: str, one: list[float], other: list[float], wanted: str) -> list[str]:
    ratios = [a / b for a, b in zip(one, other, strict=True)]
    return [name, f"{statistics.median(ratios):.2f}", spread(ratios), wanted]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--torch-python", metavar="PATH", help="interpreter with the peers (default: this)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contender (default: 7)")
    parser.add_argument("--bases", type=int, nargs="+", default=[16, 64], help="base filters")
    arguments = parser.parse_args()
    start, torch = time.monotonic(), find_torch(arguments.torch_python)
    packages = "torch", "onnxruntime", "openvino", "nncf"
    print_machine(torch, f"medians of {arguments.rounds} rounds.", packages)
    results = {base: measure(torch, base, arguments.rounds) for base in arguments.bases}
    rows = [
        [title, *(f"{statistics.median(taken[name]):.0f} ({spread(taken[name], '.0f')})" for taken in results.values())]
        for name, (title, _) in CONTENDERS.items()
        if all(name in taken for taken in results.values())
    ]
    print_table((f"milliseconds a tile of {TILE} px", *(f"base {base}" for base in results)), rows)
    print_goals(results)
    print_text(
        "The paper's net, unpadded, without batch normalisation, random weights. Ours begin with raw bytes and end "
        "with class ids: normalisation, mirroring and argmax are in the time. The others begin with normalised floats "
        "and end with logits."
    )
    print(f"Took {(time.monotonic() - start) / 60:.1f} minutes.")


if __name__ == "__main__":
    main()
