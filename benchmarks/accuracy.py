"""Equal minutes on the same files: `unet-tf train` with nothing set, beside nets of others, on test files never seen.

Usage: python benchmarks/accuracy.py [SET ...] [--minutes 6] [--seeds 0 1 2] [--only KIND ...] --out FOLDER
           [--torch-python PATH] [--keras-python PATH]
Sets: isbi2012, dsb2018, crackforest, camvid_small, of the folder that UNET_TF_DATA names.
Peers: an environment with torch and monai (benchmarks/requirements.txt), and one of TensorFlow 2.15 with
keras-unet 0.1.2 and keras-unet-collection 0.1.13, which are of Keras 2. A contender without an environment is left out.

The contenders take turns: all of them on one set and seed, then the next. Each gets the training files alone; its label
maps of the test files are scored here, from one confusion matrix over all their pixels, void left out.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from contenders import find_torch, print_machine, print_table

from unet_tf.config import TrainConfig
from unet_tf.data.folder import Pair, read_pair
from unet_tf.data.layout import find_named
from unet_tf.data.mask_kind import recognise
from unet_tf.data.palette import find_palette
from unet_tf.evaluation.metrics import confusion_matrix, scores

CONTENDERS = {
    "ours": ("ours: `unet-tf train`", "accuracy_ours.py"),
    "basic": ("MONAI `BasicUNet`", "accuracy_torch.py"),
    "dynamic": ("MONAI `DynUNet`, deep supervision", "accuracy_torch.py"),
    "custom": ("keras-unet `custom_unet`", "accuracy_keras.py"),
    "collection": ("keras-unet-collection `unet_2d`", "accuracy_keras.py"),
}
"""Name and script by kind."""
ISBI_TEST = ("02", "07", "13", "18", "23", "28")


def every(step: int) -> Callable[[int, Pair], bool]:
    """Each so-many-th file, in the order of the names."""
    return lambda number, pair: number % step == 0


SETS: dict[str, Callable[[int, Pair], bool]] = {
    "isbi2012": lambda number, pair: pair.name.endswith(ISBI_TEST),
    "dsb2018": every(5),
    "crackforest": lambda number, pair: int(pair.name) % 3 == 0,
    "camvid_small": lambda number, pair: pair.split == "test",
}
"""Which files are for testing."""


def part(is_test: Callable[[int, Pair], bool]) -> Callable[[Sequence[Pair]], list[str]]:
    """The split of each pair, of those for testing and all others."""
    return lambda pairs: ["test" if is_test(number, pair) else "train" for number, pair in enumerate(pairs)]


def lay_out(source: Path, split: Callable[[Sequence[Pair]], Sequence[str]], folder: Path) -> tuple[list[str], int]:
    """Copy a set into train/ and test/ as the files are, and write label ids of both for the peers and the scores.

    Args:
        source: the set.
        split: gives "train", "test", or "" to leave it out, of each pair.
        folder: where to write.

    Returns:
        Names of the test files and the number of classes.
    """
    named = find_named(source).check()
    pairs = sorted((pair for some in named.values() for pair in some), key=lambda pair: (pair.split, pair.name))
    masks = recognise(pairs, replace(TrainConfig().mask_settings, border=0), find_palette(source)).masks
    tests = []
    for pair, own in zip(pairs, split(pairs), strict=True):
        if not own:
            continue
        for kind, path in (("images", pair.image), ("masks", pair.mask)):
            (folder / own / kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / own / kind / (pair.name.replace("/", "_") + path.suffix))
        decoded = read_pair(pair, masks)
        arrays = folder / "arrays" / own
        arrays.mkdir(parents=True, exist_ok=True)
        np.savez(arrays / (pair.name.replace("/", "_") + ".npz"), image=decoded.image, label=decoded.label)
        tests += [pair.name.replace("/", "_")] * (own == "test")
    if (palette := source / "label_colors.txt").exists():
        shutil.copy(palette, folder)
    return tests, masks.num_classes


def score(folder: Path, maps: Path, tests: list[str], classes: int) -> dict[str, float]:
    """Mean IoU, and mean Dice of all classes but the commonest, of the label maps in a folder."""
    confusion = np.zeros((classes, classes))
    for name in tests:
        label = np.load(folder / "arrays" / "test" / f"{name}.npz")["label"]
        confusion += confusion_matrix(label, np.load(maps / f"{name}.npy"), classes)
    found = scores(confusion)
    foreground = np.delete(found["dice"], confusion.sum(1).argmax())  # of isbi2012 the membranes, which are class 0
    return {"mean_iou": found["mean_iou"], "foreground_dice": float(np.nanmean(foreground))}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)}; all if none is given")
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--torch-python", help="Python of the environment that has MONAI")
    parser.add_argument("--keras-python", help="Python of the environment that has keras-unet")
    parser.add_argument("--out", type=Path, required=True, help="folder for runs, label maps and results.jsonl")
    parser.add_argument("--only", nargs="*", choices=CONTENDERS, default=list(CONTENDERS), help="all by default")
    given = parser.parse_args()
    given.out = given.out.resolve()
    torch = find_torch(given.torch_python)
    pythons = {"accuracy_ours.py": sys.executable, "accuracy_torch.py": torch, "accuracy_keras.py": given.keras_python}
    contenders = {kind: CONTENDERS[kind] for kind in given.only if pythons[CONTENDERS[kind][1]]}
    print_machine(torch, "each has the machine alone while it trains.", ("torch", "monai"))
    rows = []
    for name in given.sets or SETS:
        folder = given.out / "sets" / name
        shutil.rmtree(folder, ignore_errors=True)
        tests, classes = lay_out(Path(os.environ["UNET_TF_DATA"]) / name, part(SETS[name]), folder)
        results: dict[str, list[dict[str, float]]] = {kind: [] for kind in contenders}
        for seed in given.seeds:
            for kind, (_, script) in contenders.items():
                out = given.out / f"{name}-{kind}-{seed}"
                shutil.rmtree(out, ignore_errors=True)
                call = [pythons[script], script, kind, folder, out, given.minutes, seed, classes]
                start = time.monotonic()
                subprocess.run(list(map(str, call)), check=True, cwd=Path(__file__).parent)
                found = score(folder, out, tests, classes) | {"seconds": time.monotonic() - start}
                results[kind].append(found)
                line = {"set": name, "contender": kind, "seed": seed, "minutes": given.minutes} | found
                print(json.dumps(line), flush=True)
                with (given.out / "results.jsonl").open("a") as file:
                    file.write(json.dumps(line) + "\n")
        for kind, found in results.items():
            cells = [f"{statistics.mean(row[key] for row in found):.3f}" for key in ("mean_iou", "foreground_dice")]
            each = " ".join(f"{row['foreground_dice']:.3f}" for row in found)
            rows.append((name, contenders[kind][0], *cells, each))
    print_table(("set", "contender", "mean IoU", "foreground Dice", "of each seed"), rows)


if __name__ == "__main__":
    main()
