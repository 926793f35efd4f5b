"""The gallery of the documents: a short training on each kind of generated pictures, its scores, and a picture.

Usage: python benchmarks/gallery.py --out DIR [--kinds cells roads ...]

Generates data, trains, judges on files that no training has seen, all by the commands that docs/gallery.md shows, and
writes docs/pictures/gallery_KIND.webp (image, prediction, truth, mistakes of the median file); and docs/gallery.md once
DIR has all kinds.
"""

import argparse
import json
import platform
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import unet_tf
from unet_tf.data.pictures import read_image, read_mask
from unet_tf.evaluation.panels import Case, layers_of
from unet_tf.synthetic.write import KINDS

DOCS = Path(__file__).parents[1] / "docs"
COUNTS = {"train": 24, "val": 4, "test": 8}
SEED = 2015
SETTINGS: dict[str, Any] = {
    "epochs": 3,
    "steps_per_epoch": 50,
    "base_filters": 12,
    "depth": 3,
    "tile": 128,
    "batch_size": 4,
}
WORDS = {
    "cells": "Touching nuclei, separated by one pixel of background.",
    "membranes": "Membranes between cells, as in electron microscopy: the background is the thin class.",
    "roads": "Roads between fields, and roofs of the same grey as the roads.",
    "vessels": "Vessels that branch down to one pixel, of low contrast at their ends.",
    "cracks": "Cracks: at most a few percent of the pixels, on a wall with stains and pores.",
    "crops": "Three classes from colour masks: soil, crop in rows, weed between; both plants are green.",
}


def main(out: Path, kinds: list[str]) -> None:
    """Train on each kind, and write its picture; then the page, once there are all."""
    for kind in kinds:
        record = train_on(kind, out)
        (out / f"{kind}.json").write_text(json.dumps(record))
        print(kind, record)
    files = {kind: out / f"{kind}.json" for kind in KINDS}
    if all(file.is_file() for file in files.values()):
        records = {kind: json.loads(file.read_text()) for kind, file in files.items()}
        (DOCS / "gallery.md").write_text(page(records), encoding="utf-8")


def train_on(kind: str, out: Path) -> dict:
    """Generate, train and judge: what came out, as the page says it."""
    data = unet_tf.write_synthetic(out / kind, kind, COUNTS, seed=SEED)
    start = time.perf_counter()
    run = unet_tf.train(data, out / "runs" / kind, **SETTINGS, seed=0)
    seconds = time.perf_counter() - start
    result = unet_tf.evaluate(run, data)
    draw(run, result, kind)
    scores = result.scores
    return {
        "seconds": round(seconds),
        "mean_iou": float(scores["mean_iou"]),
        "iou": dict(zip(result.classes, map(float, scores["iou"]), strict=True)),
        "dice": dict(zip(result.classes, map(float, scores["dice"]), strict=True)),
    }


def draw(run: unet_tf.Run, result, kind: str) -> None:
    """The median file of the test files: image, prediction, truth, mistakes, side by side."""
    judged = result.judged[len(result.judged) // 2]
    image = read_image(judged.pair.image)
    label = run.masks.label(read_mask(judged.pair.mask))
    case = Case.of(judged.pair.image.name, judged.mean_iou, image, label, unet_tf.predict(run, image), background=True)
    gap = np.full((label.shape[0], 4, 3), 255, np.uint8)
    panels = [part for layer in layers_of(case, run.masks).values() for part in (layer, gap)]
    Image.fromarray(np.hstack(panels[:-1])).save(DOCS / "pictures" / f"gallery_{kind}.webp", quality=80, method=6)


def page(records: dict[str, dict]) -> str:
    """The Markdown of the page."""
    flags = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in SETTINGS.items())
    steps = SETTINGS["epochs"] * SETTINGS["steps_per_epoch"]
    counts = ", ".join(f'"{name}": {count}' for name, count in COUNTS.items())
    lines = [
        "# Gallery",
        "",
        "Six kinds of images that the package generates with their truth, so that everybody has the same data. Each",
        f"was trained on {COUNTS['train']} images of 256x256 px for {steps} steps, on two shared cores",
        f"({platform.machine()}, no GPU, {date.today()}); scores are of {COUNTS['test']} others. So short a training",
        "shows that it works, not how good a network can get.",
        "",
        "From left to right: image, prediction, truth, mistakes (in the colours of the report) of the median file",
        "by rank.",
        "Reproduce all with `python benchmarks/gallery.py --out runs/gallery`, which writes this page.",
        "",
    ]
    for kind, record in records.items():
        generate = f'import unet_tf; unet_tf.write_synthetic("{kind}", "{kind}", {{{counts}}}, seed={SEED})'
        classes = ", ".join(f"{name} {value:.3f}" for name, value in record["iou"].items())
        lines += [
            f"## {kind.capitalize()}",
            "",
            WORDS[kind],
            "",
            f"![{kind}: image, prediction, truth and mistakes](pictures/gallery_{kind}.webp)",
            "",
            f"Mean IoU **{record['mean_iou']:.3f}** ({classes}) after {record['seconds']} s.",
            "",
            "```sh",
            f"python -c '{generate}'",
            f"unet-tf train {kind}/ --out runs/{kind} {flags}",
            f"unet-tf evaluate runs/{kind} {kind}/",
            "```",
            "",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    main(arguments.out, arguments.kinds)
