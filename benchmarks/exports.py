"""Every format of `unet-tf export` in one table: argument, file, size, time, loss, options, where it runs, its command.

Usage: python benchmarks/exports.py [--steps 150] [--out FOLDER] > docs/exports.md
A net is trained on generated cells and exported in each format; sizes, times and losses are those of its report.json.
"""

import argparse
import contextlib
import importlib.metadata
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from contenders import machine, print_text

import unet_tf
from unet_tf.evaluation.bundle_tables import BundleReport, size_of
from unet_tf.exporting.bundle import KERAS, ONNX, SAVED_MODEL, SAVED_MODEL_BFLOAT16, TFLITE

COUNTS = {"train": 24, "val": 8}
SIDE = 384


class Row(NamedTuple):
    """A format: its name, argument of `export`, file or folder, what may be chosen, and who runs it."""

    name: str
    argument: str
    file: str
    options: str
    runs: str


COMMAND = "unet-tf export RUN --out BUNDLE"
ANY = "any size, batches"
TILE = "`--tile`"
ROWS = (
    Row("SavedModel, float32", "", SAVED_MODEL, f"{ANY}; image files in, `encoded`; `--add-version`",
        "TF Serving, `unet-tf serve`, KServe; TensorFlow in Python, C, Java, Go"),
    Row("SavedModel, bfloat16", "--bfloat16", SAVED_MODEL_BFLOAT16, "as float32",
        "the same, on processors and GPUs that compute in bfloat16"),
    Row("TFLite float32", "--variants float32", TFLITE["float32"], TILE,
        "LiteRT: Android (Kotlin), Linux boards (C), iOS (no code here); `python -m unet_tf.edge`"),
    Row("TFLite float16", "--variants float16", TFLITE["float16"], TILE, "the same; half the size, GPUs of phones"),
    Row("TFLite dynamic range", "--variants dynamic", TFLITE["dynamic"], TILE, "the same; a quarter of the size"),
    Row("TFLite uint8", "--variants uint8", TFLITE["uint8"], TILE,
        "the same, and integer-only processors; bytes in and out"),
    Row("ONNX, any legal size", "--onnx", ONNX["onnx"], "any legal size, batches",
        "ONNX Runtime, OpenVINO, OpenCV 5; `python -m unet_tf.edge`"),
    Row("ONNX, one tile", "--onnx", ONNX["onnx_tile"], TILE, "the same, OpenCV 4, and compilers that need one size"),
)  # fmt: skip
SHELVES = (
    Row("Web page", "--web", "web/", "offline, any static host", "a browser tab, on phones too"),
    Row("bioimage.io", "--bioimageio --author NAME --license ID", "bioimageio.zip",
        "two kinds of weights in one file", "Fiji, `bioimageio.core`"),
    Row("Hugging Face", "--hub USER/NAME", "the bundle, as a repository", "a model card that the Hub reads",
        '`unet_tf.load("hf://USER/NAME")`'),
)  # fmt: skip
HEADER = (
    "format", "argument", "file", "size", "ms a tile", "mean IoU lost", "options", "where it runs", "made by",
)  # fmt: skip
"""Numbers are the fourth to the sixth."""


def rows(report: BundleReport) -> list[list[str]]:
    """The table: what was measured of each file, and the shelves that hold the same nets."""
    best = report["keras"]["mean_iou"]
    found = []
    for name, argument, file, options, runs in ROWS:
        own = report["artefacts"][file]
        lost = "none" if best is None or own["mean_iou"] is None else f"{best - own['mean_iou']:+z.4f}"
        numbers = size_of(own["bytes"]), f"{own['milliseconds']:.0f}", lost
        alone = argument if "--variants" in argument else f"--variants '' {argument}".rstrip()
        said = f"`{argument}`" if argument else "none"
        found.append([name, said, f"`{file}`", *numbers, options, runs, f"`{COMMAND} {alone}`"])
    for name, argument, file, options, runs in SHELVES:
        made = f"`{COMMAND} {argument}`"
        found.append([name, f"`{argument}`", f"`{file}`" if " " not in file else file, "", "", "", options, runs, made])
    return found


def exported(folder: Path, steps: int) -> tuple[BundleReport, unet_tf.Run]:
    """Train on generated cells, or take the run that lies there, and export it in every format."""
    if not (folder / "run").is_dir():
        data = unet_tf.write_synthetic(folder / "cells", "cells", COUNTS, SIDE)
        unet_tf.train(data, folder / "run", base_filters=16, epochs=1, steps_per_epoch=steps)
    run = unet_tf.Run(folder / "run")
    name = f"bundle_{time.time_ns()}"
    return unet_tf.export(run, folder / name, bfloat16=True, onnx=True, max_iou_drop=1.0), run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=150, help="of training (default: 150)")
    parser.add_argument("--out", type=Path, help="keep run and bundles here, and train no second time")
    arguments = parser.parse_args()
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = arguments.out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        report, run = exported(folder, arguments.steps)
        parameters = run.model.count_params()  # while the folder is there
    load = os.getloadavg()[0]
    packages = "unet-tf", "tensorflow", "keras", "ai-edge-litert", "onnxruntime"
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    print("# What `unet-tf export` writes\n")
    print_text(
        "One network in each format. All take raw pixels and give class ids, except `model.keras` (normalised pixels "
        "in, logits out) and `bioimageio.zip` (probabilities out). All are compared with Keras before they are "
        "written, on the validation files (training files where none were held out, noise where there is no data), and "
        "again by `unet-tf verify BUNDLE [DATA]` on your machine."
    )
    print("|", " | ".join(HEADER), "|")
    print("|", " | ".join("---:" if 3 <= number <= 5 else "---" for number in range(len(HEADER))), "|")
    for row in rows(report):
        print("|", " | ".join(row), "|")
    print()
    print_text(
        f"A bundle always holds `{SAVED_MODEL}` and `{KERAS}` (the network as it was trained), the TFLite files of "
        "`--variants` (all by default), and what its other arguments add. The last three hold these same files: their "
        "sizes, times and losses are those of the file that runs there. A loss below zero is a gain, by chance."
    )
    print("## How the numbers came about\n\n```\npython benchmarks/exports.py > docs/exports.md\n```\n")
    geometry = run.geometry
    print_text(
        f"{machine()}; {versions}; load average {load:.1f} at the end (more than the cores means "
        "that other programs ran, and that the times are too long). "
        f"Base {run.config.base_filters}, depth {geometry.depth}, padding "
        f'"{geometry.padding}", {parameters:,} parameters, {arguments.steps} steps on {COUNTS["train"]} '
        f"generated images of cells; mean IoU of Keras {report['keras']['mean_iou']:.4f} on {COUNTS['val']} others. "
        f"A tile is one of {report['tile']}x{report['tile']} px; {report['threads']} threads for TFLite and ONNX "
        "Runtime, all of the machine's for TensorFlow; medians, all networks in turns in one process. It took "
        f"{(time.monotonic() - start) / 60:.1f} minutes."
    )
    print_text(
        "A small network, trained briefly on easy images: sizes grow with the square of the base filters, and so do "
        "times in float32; those in bfloat16 and integers grow slower ([runtimes](../benchmarks/runtimes.md) has base "
        "64, beside OpenVINO and PyTorch). Losses on real images are in the `report.html` of each bundle."
    )


if __name__ == "__main__":
    main()
