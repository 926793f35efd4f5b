"""One training step on the CPU, side by side with PyTorch and plain Keras; and what `fit` adds to the bare step.

Usage: python benchmarks/train_step.py [PART ...] [--torch-python PATH] [--rounds N] [--bases N ...] [--check]
Peer: pip install -c requirements.txt -r benchmarks/requirements.txt, or an environment of its own with torch.
"""

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from contenders import Worker, find_torch, print_machine, print_table, print_text, spread
from step_worker import CLASSES, OUT, TILE

PARTS = "step", "fit"
OURS, TORCH, PLAIN = "ours: `unet_tf.unet`", "PyTorch, channels last", "plain Keras"
SLOT = 2.0
"""Seconds of a turn, or one step where that takes longer."""
GOALS = {"float32": 1.05, "bfloat16": 1.0}
"""How many times as fast as PyTorch ours is wanted."""
FIT_CASES = {
    "base 16, 1 tile of 572 px": (16, "ours", 40),
    "base 32, 4 tiles of 256 px, same padding, batch normalisation": (32, "batch-norm", 12),
}


@contextlib.contextmanager
def workers(torch: str | None, data: str, base: int, precision: str) -> Iterator[dict[str, Worker]]:
    """The contenders of one table, all alive, none at work."""
    with contextlib.ExitStack() as stack:
        calls = {OURS: (sys.executable, "step_keras.py", data, str(base), precision, "ours")}
        if torch:
            calls[TORCH] = (torch, "step_torch.py", data, str(base), precision)
        calls[PLAIN] = (sys.executable, "step_keras.py", data, str(base), precision, "plain")
        contenders = {}
        for name, call in calls.items():
            contenders[name] = Worker(*call)
            stack.callback(contenders[name].close)
        yield contenders


def write_batch(folder: str) -> None:
    """One random tile for all contenders."""
    rng, root = np.random.default_rng(0), Path(folder)
    (root / "image").write_bytes(rng.normal(size=(TILE, TILE)).astype(np.float32).tobytes())
    (root / "label").write_bytes(rng.integers(0, CLASSES, (OUT, OUT)).astype(np.uint8).tobytes())
    (root / "weight").write_bytes(rng.uniform(0.5, 5, (OUT, OUT)).astype(np.float32).tobytes())


def check(torch: str | None, data: str) -> None:
    """Say whether all nets compute the same: base 4, weights of ours in each."""
    print("## The same net\n")
    with workers(torch, data, 4, "float32") as contenders:
        contenders[OURS].ask("save", data)
        rows = []
        for name, worker in contenders.items():
            if name != OURS:
                logits, loss, rest = worker.ask("compare", data).split()
                same = max(float(logits), float(loss)) < 1e-4 and rest == "0"
                rows.append([name, f"{worker.parameters:,}", logits, loss, "yes" if same else "NO"])
        print_table(("base 4, weights of ours", "parameters", "logits differ by", "loss by", "the same"), rows)
        if any(row[-1] == "NO" for row in rows):
            sys.exit("The nets differ: nothing is to be compared.")


def compare_steps(torch: str | None, data: str, bases: Sequence[int], rounds: int) -> None:
    print(f"## A training step: {TILE} -> {OUT}, batch of 1\n")
    rows, parameters = [], {}
    for base in bases:
        for precision in ("float32", "bfloat16"):
            with workers(torch, data, base, precision) as contenders:
                parameters[base] = {worker.parameters for worker in contenders.values()}
                seconds: dict[str, list[float]] = {name: [] for name in contenders}
                steps = {}
                for name, worker in contenders.items():
                    worker.seconds("steps", 1)  # builds graphs and caches
                    steps[name] = max(1, round(SLOT / worker.seconds("steps", 1)))
                for number in range(rounds):
                    turns = list(contenders.items())
                    for name, worker in turns[:: -1 if number % 2 else 1]:
                        seconds[name].append(worker.seconds("steps", steps[name]))
            for name, values in seconds.items():
                ratios = [value / own for value, own in zip(values, seconds[OURS], strict=True)]
                ratio = f"{statistics.median(ratios):.2f}"
                goal = f"{GOALS[precision]:.2f}" if name == TORCH else ""
                times = f"{statistics.median(values):.3f}", spread(values, ".3f")
                rows.append([f"base {base}, {precision}: {name}", *times, ratio, spread(ratios), goal])
    header = "", "s a step", "fastest - slowest round", "of ours", "of each round", "wanted"
    print_table(header, rows)
    for base, counts in parameters.items():
        alike = "in each" if len(counts) == 1 else "NOT the same in each"
        print_text(f"Parameters at base {base}: {', '.join(f'{count:,}' for count in sorted(counts))}, {alike}.")
    print_text(
        "The same to each: unpadded net, forward, weighted cross-entropy, backward, SGD with momentum 0.99, one batch "
        "in memory. Ours also updates mean IoU and masks void; plain Keras has no metric. PyTorch: eager, bfloat16 by "
        "autocast; Keras: mixed_bfloat16. Of ours above 1: slower than ours."
    )


def compare_fit(data: str, rounds: int) -> None:
    print("## `model.fit` around its training steps\n")
    rows = []
    for name, (base, kind, steps) in FIT_CASES.items():
        worker = Worker(sys.executable, "step_keras.py", data, str(base), "float32", kind)
        worker.ask("fit", 2)
        added = [100 * (float(worker.ask("fit", steps)) - 1) for _ in range(rounds)]
        worker.close()
        rows.append([name, str(steps), f"{statistics.median(added):.1f}%", spread(added, ".1f")])
    print_table(("float32", "steps", "`fit` adds", "of each round"), rows)
    print_text(
        "What one `fit`, with the callbacks that `unet_tf.train` has at each step, takes beside the compiled training "
        "steps within it: timed in the same run, so that the noise of the machine is in both. Wanted: below 3%."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; both if none is named")
    parser.add_argument("--torch-python", metavar="PATH", help="interpreter that has torch (default: this one)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender (default: 5)")
    parser.add_argument("--bases", type=int, nargs="+", default=[16, 64], help="base filters (default: 16 64)")
    parser.add_argument("--check", action="store_true", help="only check that the nets compute the same")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"a part is one of {', '.join(PARTS)}; received {', '.join(sorted(unknown))}")
    start, torch = time.monotonic(), find_torch(arguments.torch_python)
    chosen = arguments.parts or PARTS
    with tempfile.TemporaryDirectory() as data:
        write_batch(data)
        print_machine(torch, f"medians of {arguments.rounds} rounds, ratios of the same round.")
        if arguments.check:
            check(torch, data)
            return
        if "step" in chosen:
            compare_steps(torch, data, arguments.bases, arguments.rounds)
        if "fit" in chosen:
            compare_fit(data, arguments.rounds)
    print(f"Took {(time.monotonic() - start) / 60:.1f} minutes.")


if __name__ == "__main__":
    main()
