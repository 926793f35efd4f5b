"""What `--from` brings: nuclei learnt from 20 pictures, anew and from a net that has learnt generated cells.

Usage: UNET_TF_DATA=SETS python benchmarks/finetune.py [--steps 50 150 450] [--seeds 0 1 2] [--test] --out FOLDER

The first net learns from 64 generated pictures of cells that touch, 450 steps; then each pair of nets learns from the
same 20 pictures of dsb2018, every sixth of those that objects.py trains with, for as many steps, and is judged on the
files that objects.py holds out (with --test on those for testing): mean IoU of object and background, and mean AP.
A net that lies in FOLDER is not trained again.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from objects import SIZES, judge, necks, split, trained

import unet_tf
from unet_tf.data.pictures import write_picture
from unet_tf.evaluation.metrics import scores
from unet_tf.planning.objects import plan_objects
from unet_tf.synthetic.cells import generate_cells

FIRST_STEPS, PICTURES = 450, 20


def first_net(out: Path) -> unet_tf.Run:
    """The net that has learnt generated cells."""
    if not (out / "first" / unet_tf.Run.BEST).is_file():
        for number in range(64):
            image, instances = generate_cells(seed=number)
            write_picture(out / "cells" / "images" / f"{number:02d}.png", image)
            write_picture(out / "cells" / "masks" / f"{number:02d}.png", instances)
        unet_tf.train(out / "cells", out / "first", steps_per_epoch=FIRST_STEPS, **SIZES)
    return unet_tf.Run(out / "first")


def main() -> None:
    """Train, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=[50, 150, 450])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--test", action="store_true", help="judge on the files for testing")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    given = parser.parse_args()
    files = split(Path(os.environ["UNET_TF_DATA"]) / "dsb2018")
    learnt, judged = files["train"][::6][:PICTURES], files["test" if given.test else "held"]
    first = first_net(given.out)
    print("| steps | seed | net | mean IoU | AP at 0.5 | 0.7 | 0.9 |")
    print("| ---: | ---: | --- | ---: | ---: | ---: | ---: |")
    for steps in given.steps:
        for seed in given.seeds:
            for name, start in (("anew", None), ("from cells", str(first.path))):
                folder = given.out / f"{steps}-{seed}" / name
                run = trained(folder, learnt, steps_per_epoch=steps, seed=seed, start_from=start)
                found, pixels = judge(run, plan_objects(learnt, run.masks), judged, {"necks": necks})
                mean = np.nanmean([one.average_precision for one in found["necks"]], axis=0)
                numbers = [scores(np.sum(pixels, axis=0))["mean_iou"], *mean[[0, 2, 4]]]
                print(
                    f"| {steps} | {seed} | {name} |", " | ".join(f"{number:.3f}" for number in numbers), "|", flush=True
                )


if __name__ == "__main__":
    main()
