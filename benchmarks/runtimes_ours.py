"""Worker of runtimes.py: the nets of a bundle, one tile at a time, as a caller has them.

Usage: python runtimes_ours.py FOLDER BASE_FILTERS make, which writes them; or with a contender in place of "make", then
lines as in step_worker.py.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from step_worker import CLASSES, TILE, seconds_of, serve

import unet_tf
from unet_tf.config import PRECISIONS
from unet_tf.data.masks import MaskFormat
from unet_tf.data.normalisation import Normalisation
from unet_tf.edge.description import Description
from unet_tf.edge.net import EdgeNet
from unet_tf.exporting.bundle import TFLITE
from unet_tf.exporting.saved_model import MASK, signatures, write_saved_model
from unet_tf.exporting.tflite import write_tflite

NORMALISATION = Normalisation((127.5,), (73.9,), "uint8")
DESCRIPTION = Description(("a", "b"), MaskFormat(), NORMALISATION, unet_tf.Geometry(), TILE)
STEP = DESCRIPTION.geometry.tile_step(TILE)


def make(folder: Path, base: int) -> int:
    """Write weights and nets; returns the number of parameters."""
    keras.utils.set_random_seed(0)
    values = None
    for precision in "float32", "bfloat16":
        keras.config.set_dtype_policy(PRECISIONS[precision])
        model = unet_tf.unet((None, None, 1), CLASSES, base)
        values = values or model.get_weights()
        model.set_weights(values)
        functions = signatures(model, NORMALISATION, DESCRIPTION.geometry, TILE)
        write_saved_model(model, functions, str(folder / f"saved_model-{precision}"))
        if precision == "float32":
            windows = np.stack([pixels(seed) for seed in range(4)])
            write_tflite(model, DESCRIPTION, tuple(TFLITE), windows, folder)
    return model.count_params()


def pixels(seed: int) -> np.ndarray:
    """(TILE, TILE, 1) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (TILE, TILE, 1), dtype=np.uint8)


def contender(folder: Path, name: str) -> Callable[[], Any]:
    """A function that predicts one tile: raw pixels to class ids."""
    kind, precision = name.split("-")
    if kind == "tflite":
        net = EdgeNet(folder / TFLITE[precision])
        return lambda: net.run(pixels_once)["mask"]
    signature = tf.saved_model.load(str(folder / name)).signatures[MASK]
    return lambda: signature(image=tf.constant(pixels_once[None, :STEP, :STEP]))["mask"].numpy()


pixels_once = pixels(0)


def main() -> None:
    folder, base, name = sys.argv[1:]
    if name == "make":
        serve(make(Path(folder), int(base)), {})
        return
    run = contender(Path(folder), name)

    def steps(number: str) -> float:
        return seconds_of(lambda: [run() for _ in range(int(number))])

    serve(0, {"steps": steps})


if __name__ == "__main__":
    main()
