"""What settings are worth: equal steps on training files, judged on a fourth of them; files for testing are not read.

Usage: python benchmarks/held_out.py [SET ...] [--steps 700] [--seeds 0] [--fourths 0 1] [--files N]
           [--set NAME=VALUE ...] --out FOLDER
Sets: those of accuracy.py, of the folder that UNET_TF_DATA names. Settings are those of TOML: --set warped=1.0.

16 base filters, nothing held out of what is trained on, and all else as `unet-tf train` plans it. A line a run goes to
FOLDER/results.jsonl: mean IoU and foreground Dice at 0.5; of two classes the best mean IoU, and at which threshold.
Which fourth is held out moves a score by more than most settings do, and a rare class at 0.5 is a matter of chance: so
two fourths at least, and of rare classes the best threshold. Two runs beside each other, a core each:
TF_NUM_INTRAOP_THREADS=1 taskset -c 0 python benchmarks/held_out.py ...
"""

import argparse
import json
import os
import shutil
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import SETS, lay_out, score

import unet_tf
from unet_tf.data.folder import Pair

BINS = 1000
"""Of the probability, at whose limits two classes are parted."""


def fourth(
    is_test: Callable[[int, Pair], bool], held: int, files: int | None
) -> Callable[[Sequence[Pair]], Sequence[str]]:
    """Hold every fourth training pair out, from number `held` on, and train on all others or `files` of them."""

    def split(pairs: Sequence[Pair]) -> list[str]:
        splits = [""] * len(pairs)
        known = [number for number, pair in enumerate(pairs) if not is_test(number, pair)]
        rest = [number for place, number in enumerate(known) if place % 4 != held]
        for number in known[held::4]:
            splits[number] = "test"
        for place in np.linspace(0, len(rest) - 1, files or len(rest)).round().astype(int):
            splits[rest[place]] = "train"
        return splits

    return split


def judge(run: unet_tf.Run, folder: Path, tests: list[str], classes: int, out: Path) -> dict[str, float]:
    """Predict the files that are held out, and score them."""
    counts = np.zeros((2, BINS + 1), np.int64)  # pixels of either class by their probability of class 1
    two = len(run.classes) == 2
    for name in tests:
        held = np.load(folder / "arrays" / "test" / f"{name}.npz")
        if two:
            probability = unet_tf.predict(run, held["image"], probabilities=True)[..., 1]
            label = (probability > 0.5).astype(np.uint8)
            bins = (probability * BINS).astype(int)
            counts += [np.bincount(bins[held["label"] == number], minlength=BINS + 1) for number in (0, 1)]
        else:
            label = unet_tf.predict(run, held["image"])
            if run.masks.border:
                label = unet_tf.label_from_instances(run.masks.mask(label))
        np.save(out / f"{name}.npy", label)
    found = score(folder, out, tests, classes)
    if two:
        above = counts[:, ::-1].cumsum(1)[:, ::-1]
        pixels = counts.sum(1, keepdims=True)
        below = pixels - above
        iou = (above[1] / (pixels[1] + above[0]) + below[0] / (pixels[0] + below[1])) / 2
        found |= {"best_mean_iou": float(iou.max()), "threshold": iou.argmax() / BINS}
    return found


def main() -> None:
    """Train, judge, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)}; all if none is given")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--fourths", type=int, nargs="+", default=[0, 1], choices=range(4), help="which to hold out")
    parser.add_argument("--files", type=int, help="how many to train on; all others if it is not given")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", dest="settings")
    parser.add_argument("--out", type=Path, required=True, help="folder for runs, label maps and results.jsonl")
    given = parser.parse_args()
    settings: dict[str, Any] = {"base_filters": 16} | tomllib.loads("\n".join(given.settings))
    for name in given.sets or SETS:
        for held in given.fourths:
            folder = given.out / f"{name}-{held}-{given.files or 'all'}"
            shutil.rmtree(folder, ignore_errors=True)
            split = fourth(SETS[name], held, given.files)
            tests, classes = lay_out(Path(os.environ["UNET_TF_DATA"]) / name, split, folder)
            for seed in given.seeds:
                out = folder / f"run-{seed}"
                course = {"epochs": 1, "steps_per_epoch": given.steps, "val_share": 0.0, "seed": seed}
                run = unet_tf.train(folder, out, **course | settings)
                line = {"set": name, "fourth": held, "files": given.files, "seed": seed, "steps": given.steps}
                line |= {"settings": settings} | judge(run, folder, tests, classes, out)
                print(json.dumps(line), flush=True)
                with (given.out / "results.jsonl").open("a") as file:
                    file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
