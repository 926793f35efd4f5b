"""Engines of prediction on the CPU, side by side: TensorFlow, OpenVINO and ONNX Runtime with the same net.

Usage: python benchmarks/engines.py [--rounds N] [--bases N ...] [--side PX] [--precisions ...]
"""

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections import defaultdict

import numpy as np
from contenders import Worker, print_machine, print_table, print_text, spread
from predict import PRECISIONS, write_images

ENGINES = "tensorflow", "openvino", "onnxruntime"
CHECKED = 512
"""Side of the image by which probabilities are compared."""


def measure(base: int, precision: str, side: int, rounds: int) -> list[list[str]]:
    """Time the engines in turns; a row of a table for each."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        write_images(folder, {side, CHECKED})
        workers = {}
        for engine in ENGINES:
            workers[engine] = Worker(sys.executable, "engines_worker.py", folder, str(base), precision, engine)
            stack.callback(workers[engine].close)
        kept = {engine: np.load(worker.ask("keep", CHECKED)) for engine, worker in workers.items()}
        taken = defaultdict(list)
        for number in range(rounds + 1):  # the first is not counted: graphs are built, memory is touched
            for engine in ENGINES[:: -1 if number % 2 else 1]:
                found = [float(word) for word in workers[engine].ask("predict", side).split()]
                taken[engine].append(found)
        return [
            row(f"base {base}, {precision}", workers[engine].ask("name", "-"), side, kept, taken, engine)
            for engine in ENGINES
        ]


def row(net: str, name: str, side: int, kept: dict, taken: dict, engine: str) -> list[str]:
    """What an engine took, and against TensorFlow."""
    wall, used, *_ = (list(values) for values in zip(*taken[engine][1:], strict=True))
    first = taken[engine][0]
    of_tensorflow = [list(values) for values in zip(*taken[ENGINES[0]][1:], strict=True)]
    ratios = [
        [a / b for a, b in zip(*pair, strict=True)] for pair in ((of_tensorflow[0], wall), (of_tensorflow[1], used))
    ]
    apart = float(np.abs(kept[engine] - kept[ENGINES[0]]).max())
    other = float((kept[engine].argmax(-1) != kept[ENGINES[0]].argmax(-1)).mean())
    return [
        f"{net}: {name.replace('-', ', ')}",
        f"{side**2 / 1e6 / statistics.median(wall):.2f}",
        f"{side**2 / 1e6 / statistics.median(used):.2f}",
        f"{statistics.median(ratios[0]):.2f}",
        f"**{statistics.median(ratios[1]):.2f}** ({spread(ratios[1])})",
        f"{first[2] / 1e9:.2f} ({first[3] / 1e9:.2f})",
        f"{apart:.1e}",
        f"{100 * other:.3f} %",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each engine (default: 5)")
    parser.add_argument("--bases", type=int, nargs="+", default=[16, 64], help="base filters")
    parser.add_argument("--side", type=int, default=4096, help="of the image, pixels (default: 4096)")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    arguments = parser.parse_args()
    start = time.monotonic()
    print_machine(sys.executable, f"medians of {arguments.rounds} rounds.", ("openvino", "onnxruntime", "onnx"))
    header = (
        f"image of {arguments.side} px", "Mpx/s", "Mpx a second of a core", "times TensorFlow, by the clock",
        "by the seconds of cores", "peak of memory (foreseen), GB", "largest difference in probability",
        "other labels",
    )  # fmt: skip
    rows = []
    for base in arguments.bases:
        for precision in arguments.precisions:
            rows += measure(base, precision, arguments.side, arguments.rounds)
            print(rows[-3:], file=sys.stderr, flush=True)
    print_table(header, rows)
    print_text(
        "Padded nets with batch normalisation folded, random weights, labels of a whole image by `Predictor.predict`. "
        "Where others share the machine the clock says little: the seconds of cores are what the process used of them."
    )
    print(f"Took {(time.monotonic() - start) / 60:.1f} minutes.")


if __name__ == "__main__":
    main()
