"""Prediction of whole images on the CPU, side by side with Keras, PyTorch, MONAI and nnU-Net's scheme: speed, memory.

Usage: python benchmarks/predict.py [--torch-python PATH] [--rounds N] [--base N] [--sides PX ...] [--precisions ...]
           [--limit SECONDS]
Peers: pip install -c requirements.txt -r benchmarks/requirements.txt, or an environment of its own with torch, monai.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from contenders import Worker, find_torch, print_machine, print_table, print_text

CHECK_BASE, CHECK_SIDE = 4, 1024
JUDGED_SIDE = 2048
"""Largest side at which labels are compared with one pass over the whole image, which must fit in memory."""
TURNS = 16
"""Seconds that the rounds of a contender may take at a side; there is one round at least."""
GOAL = 1.5
"""How many times as fast as the best peer ours is wanted."""
PADDINGS = {"valid": "unpadded", "same": "padded"}
PRECISIONS = "float32", "bfloat16"
SCHEMES = """\
Unpadded: the paper's net. Keras and PyTorch predict tiles of 572 px, read with a mirrored halo, whose outputs meet at
steps of 384 px: exact, too. Keras by `model.predict`, once a tile or once for all tiles in batches of 8; PyTorch eager,
channels last, inference mode, a tile at a time. Padded: zero-padded convolutions, since MONAI wants outputs as large as
its windows. MONAI: windows of 512 px, overlap 0.25 and constant blending by default, 4 windows at once. nnU-Net,
emulated: windows of 512 px half a window apart, the mean of 4 mirror images of each, added up in half precision with
Gaussian weights; none of its resampling, cropping and ensembling. bfloat16: `mixed_bfloat16`, autocast. The weights are
random, both classes about as frequent: labels change at more pixels than those of a trained net would. One pass is of
the same library and precision, over the mirrored image; for MONAI over the image alone, beyond which its net sees
zeros, and for nnU-Net the mean of that over the 4 mirror images, so that only the windows differ."""


@dataclass(frozen=True)
class Contender:
    """Who takes part: name in the tables, padding of the net, script, scheme there, and the one pass it is held to."""

    name: str
    padding: str
    script: str
    scheme: str
    reference: str = "whole"

    @property
    def ours(self) -> bool:
        return self.scheme.startswith("ours")


KERAS, TORCH = "predict_keras.py", "predict_torch.py"
CONTENDERS = (
    Contender("ours: `unet_tf.predict`", "valid", KERAS, "ours"),
    Contender('ours, `memory="1GB"`', "valid", KERAS, "ours-1GB"),
    Contender("Keras: `predict` of a tile", "valid", KERAS, "loop"),
    Contender("Keras: `predict` of all tiles", "valid", KERAS, "batches"),
    Contender("PyTorch: tile by tile", "valid", TORCH, "loop"),
    Contender("ours: `unet_tf.predict`", "same", KERAS, "ours"),
    Contender('ours, `memory="1GB"`', "same", KERAS, "ours-1GB"),
    Contender("MONAI: `sliding_window_inference`", "same", TORCH, "monai", "plain"),
    Contender("nnU-Net's scheme in PyTorch", "same", TORCH, "nnunet", "plain-mirrors"),
)

OURS = (KERAS, "ours", "ours"), (KERAS, "ours-100MB", 'ours, `memory="100MB"`')
CHECKS = {
    "valid": (
        *OURS,
        (KERAS, "loop", "Keras, a tile"),
        (KERAS, "batches", "Keras, all tiles"),
        (TORCH, "whole", "PyTorch, one pass"),
        (TORCH, "loop", "PyTorch, tile by tile"),
    ),
    "same": (*OURS, (TORCH, "whole", "PyTorch, one pass")),
}
"""Script, scheme and name of what must give what one pass gives."""


@dataclass
class Measured:
    """Of a contender at a precision; each by side."""

    seconds: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    peak: dict[int, int] = field(default_factory=dict)
    above: dict[int, int] = field(default_factory=dict)
    tiles: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    differ: float | None = None

    def speed(self, side: int) -> float | None:
        """Megapixels of the image a second, or None where it was left out."""
        return side**2 / 1e6 / statistics.median(self.seconds[side]) if side in self.seconds else None

    def cost(self, side: int) -> float:
        """Pixels that the net is given for one of the image."""
        return float(np.prod(self.tiles[side])) / side**2

    def expected(self, side: int) -> float:
        """Seconds at a side, by the largest before it."""
        before = max(self.seconds)
        return min(self.seconds[before]) * np.prod(self.tiles[side]) / np.prod(self.tiles[before])


@contextlib.contextmanager
def working(torch: str | None, contenders: Sequence[Contender], arguments: Sequence[str]) -> Iterator[list[Worker]]:
    """A process for each contender."""
    with contextlib.ExitStack() as stack:
        alive = []
        for one in contenders:
            python = torch if torch and one.script == TORCH else sys.executable
            alive.append(Worker(python, one.script, *arguments, one.padding))
            stack.callback(alive[-1].close)
        yield alive


def write_images(folder: str, sides: Collection[int]) -> None:
    """Noise of pixels on squares of 16 px, of each side."""
    for side in sides:
        rng = np.random.default_rng(0)
        squares = rng.normal(size=(side // 16, side // 16)).astype(np.float32)
        image = 0.5 * rng.standard_normal((side, side), np.float32)
        image.reshape(side // 16, 16, -1, 16)[...] += squares[:, None, :, None]
        np.save(f"{folder}/image-{side}.npy", image)


def write_weights(folder: str, base: int) -> None:
    worker = Worker(sys.executable, KERAS, folder, str(base), "float32", "valid")
    worker.ask("weights", CHECK_SIDE)
    worker.close()


def kept(worker: Worker, folder: str, name: str) -> np.ndarray:
    """The last result of a worker."""
    worker.ask("keep", name)
    return np.load(f"{folder}/{name}.npy")


def check(torch: str | None, folder: str) -> None:
    """Say whether the nets and the tiles give what one pass over the whole image gives: base 4, float32."""
    rows = []
    for padding, named in CHECKS.items():
        scripts = [KERAS, TORCH] if torch else [KERAS]
        starters = [Contender("", padding, script, "") for script in scripts]
        with working(torch, starters, (folder, str(CHECK_BASE), "float32")) as alive:
            workers = dict(zip(scripts, alive, strict=True))
            workers[KERAS].ask("probabilities", f"whole:{CHECK_SIDE}")
            whole = kept(workers[KERAS], folder, "whole")
            for script, scheme, name in named:
                if script in workers:
                    workers[script].ask("probabilities", f"{scheme}:{CHECK_SIDE}")
                    found = kept(workers[script], folder, "found")
                    count = workers[script].ask("tiles", f"{scheme}:{CHECK_SIDE}").split()[0]
                    gap, labels = np.abs(found - whole).max(), (found.argmax(-1) != whole.argmax(-1)).sum()
                    rows.append([f"{PADDINGS[padding]}, {name}", count, f"{gap:.1e}", str(labels)])
                    if gap > 1e-4 or labels > found.shape[0] ** 2 / 1e5:
                        sys.exit(f"Not what one pass gives, so nothing is to be compared: {rows[-1]}")
    print(f"## The same net: base {CHECK_BASE}, float32, {CHECK_SIDE} px\n")
    header = "against one pass of Keras over the image", "tiles", "largest difference in probability"
    print_table((*header, "other labels, of a million pixels"), rows)


def measure(
    torch: str | None, folder: str, contenders: Sequence[Contender], arguments: argparse.Namespace, precision: str
) -> list[Measured]:
    """Time contenders of one padding in turns, from small images to large ones."""
    found, labels, sides = [Measured() for _ in contenders], {}, arguments.sides
    judged = max([side for side in sides if side <= JUDGED_SIDE], default=None)
    with working(torch, contenders, (folder, str(arguments.base), precision)) as alive:
        for side in sides:
            rounds = []
            for one, worker, its in zip(contenders, alive, found, strict=True):
                task = f"{one.scheme}:{side}"
                count, height, width = map(int, worker.ask("tiles", task).split())
                its.tiles[side] = count, height, width
                first = side == sides[0]  # where graphs are built
                seconds = float(worker.ask("predict", task).split()[0]) if first else its.expected(side)
                fits = first or one.ours or seconds <= arguments.limit
                rounds.append(min(arguments.rounds, max(1, int(TURNS / seconds))) if fits else 0)
            for number in range(arguments.rounds):
                for i in range(len(alive))[:: -1 if number % 2 else 1]:
                    if number < rounds[i]:
                        seconds, *memory = alive[i].ask("predict", f"{contenders[i].scheme}:{side}").split()
                        found[i].seconds[side].append(float(seconds))
                        found[i].peak[side], found[i].above[side] = map(int, memory)
            if side == judged:
                labels = {i: kept(alive[i], folder, f"labels-{i}") for i in range(len(alive)) if rounds[i]}
        references: dict[tuple[str, str], np.ndarray] = {}
        for i, mine in labels.items():
            key = contenders[i].script, contenders[i].reference
            if key not in references:
                alive[i].ask("predict", f"{key[1]}:{judged}")
                references[key] = kept(alive[i], folder, "reference")
            found[i].differ = float((mine != references[key]).mean())
    return found


Results = dict[tuple[str, str], list[tuple[Contender, Measured]]]
"""By precision and padding."""


def print_results(results: Results, sides: Sequence[int], limit: float) -> None:
    """The tables: speed, memory, pixels computed, labels."""
    named = [
        (f"{precision}, {PADDINGS[padding]}: {one.name}", its)
        for (precision, padding), pairs in results.items()
        for one, its in pairs
    ]

    def table(head: str, value: Callable[[Measured, int], float | None], named: Sequence[tuple[str, Measured]]) -> None:
        rows = [[name, *(figure(value(its, side)) for side in sides)] for name, its in named]
        print_table((head, *(f"{side} px" for side in sides)), rows)

    print("## Speed\n")
    table("megapixels of the image a second", Measured.speed, named)
    print_ratios(results, sides)
    print_text(
        f"-: left out, since it was expected to take over {limit:.0f} s. A contender has a round, or more while all of "
        f"them take less than {TURNS} s."
    )
    print("## Memory\n")
    table("peak of the process, GB", lambda its, side: gigabytes(its.peak.get(side)), named)
    table("above process, image and labels, GB", lambda its, side: gigabytes(its.above.get(side)), named)
    print_text(
        "Process: with its libraries and its net, before any prediction; image: float32; labels: uint8. Ours as it "
        "comes takes tiles of up to 2272x2272 px, where a quarter of the free memory holds them."
    )
    print("## Pixels that the net is given, for one of the image\n")
    once = {name.partition(", ")[2]: its for name, its in reversed(named)}
    table("1 is the least", Measured.cost, [*reversed(once.items())])
    print("## Labels\n")
    judged = [[name, f"{100 * its.differ:.4f}%"] for name, its in named if its.differ is not None]
    print_table(("share of pixels labelled otherwise than by one pass over the whole image", ""), judged)
    print_text(SCHEMES)


def figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def gigabytes(number: int | None) -> float | None:
    return None if number is None else number / 1e9


def print_ratios(results: Results, sides: Sequence[int]) -> None:
    """How many times as fast as the best peer ours is."""
    rows = []
    for (precision, padding), pairs in results.items():
        row = [f"{precision}, {PADDINGS[padding]}"]
        for side in sides:
            peers = [speed for one, its in pairs if not one.ours and (speed := its.speed(side))]
            mine = pairs[0][1].speed(side)
            row.append(f"{mine / max(peers):.2f}" if mine and peers else "-")
        rows.append([*row, f"{GOAL:.2f}"])
    print_table(("ours is so many times as fast as the best peer", *(f"{side} px" for side in sides), "wanted"), rows)


def find_peers(named: str | None) -> str | None:
    """An interpreter that imports torch and monai, or None."""
    torch = find_torch(named)
    missing = torch and subprocess.run([torch, "-c", "import monai"], capture_output=True).returncode
    return None if missing else torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--torch-python", metavar="PATH", help="interpreter with torch and monai (default: this)")
    parser.add_argument("--rounds", type=int, default=3, help="most turns of each contender (default: 3)")
    parser.add_argument("--base", type=int, default=16, help="base filters (default: 16)")
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 2048, 4096, 8192], help="of the images, pixels")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--limit", type=float, default=30, help="seconds that a peer may take (default: 30)")
    arguments = parser.parse_args()
    arguments.sides.sort()
    if illegal := [side for side in arguments.sides if side < CHECK_SIDE or side % 16]:
        parser.error(f"a side is a multiple of 16, {CHECK_SIDE} at least; received {illegal}")
    start, torch = time.monotonic(), find_peers(arguments.torch_python)
    chosen = [one for one in CONTENDERS if torch or one.script != TORCH]
    with tempfile.TemporaryDirectory() as folder:
        write_images(folder, {CHECK_SIDE, *arguments.sides})
        for base in {CHECK_BASE, arguments.base}:
            write_weights(folder, base)
        note = f"medians of {arguments.rounds} rounds at most. Base filters: {arguments.base}."
        print_machine(torch, note, ("torch", "monai"))
        check(torch, folder)
        results: Results = {}
        for precision in arguments.precisions:
            for padding in PADDINGS:
                contenders = [one for one in chosen if one.padding == padding]
                measured = measure(torch, folder, contenders, arguments, precision)
                results[precision, padding] = list(zip(contenders, measured, strict=True))
        print_results(results, arguments.sides, arguments.limit)
    print(f"Took {(time.monotonic() - start) / 60:.1f} minutes.")


if __name__ == "__main__":
    main()
