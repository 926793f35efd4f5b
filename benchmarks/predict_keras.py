"""Worker of predict.py: `unet_tf.predict`, and `model.predict` of Keras on tiles, with the same net.

Usage: python predict_keras.py DATA BASE_FILTERS PRECISION PADDING, then lines as in predict_worker.py. DATA holds the
images, and the weights once the command "weights" has written them.
"""

import logging
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from predict_worker import (
    STEP,
    TILE,
    Commands,
    Scheme,
    inner,
    mirrored,
    mirrored_count,
    usual_count,
    usual_tiles,
)
from step_worker import CLASSES

import unet_tf
from unet_tf.config import PRECISIONS
from unet_tf.data.normalisation import Normalisation

BATCH = 8
"""Tiles of a step of `model.predict` where it is given all of them."""


def answer(logits: NDArray, probabilities: bool) -> NDArray:
    """(..., classes) logits to labels or the softmax."""
    if probabilities:
        return tf.nn.softmax(logits).numpy()
    return logits.argmax(-1).astype(np.uint8)


class Schemes:
    """The net, and ways to predict an image with it."""

    def __init__(self, data: str, base: int, precision: str, padding: str) -> None:
        self.padding, self.weights_file = padding, Path(data) / f"weights-{base}.npy"
        keras.config.set_dtype_policy(PRECISIONS[precision])
        keras.utils.set_random_seed(0)
        self.model = unet_tf.unet((None, None, 1), CLASSES, base, padding=padding)
        if self.weights_file.exists():
            self._take(np.load(self.weights_file))
        self.predictor = unet_tf.Predictor(self.model, Normalisation((0.0,), (1.0,), "float32"))
        self.pass_over = tf.function(lambda image: self.model(image, training=False))

    def _take(self, values: NDArray) -> None:
        shapes = [value.shape for value in self.model.get_weights()]
        parts = np.split(values, np.cumsum([np.prod(shape) for shape in shapes])[:-1])
        self.model.set_weights([part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)])

    def weights(self, side: str) -> str:
        """Write weights: random, but both classes as frequent in a tile of the image of that side."""
        tile = np.load(self.weights_file.parent / f"image-{side}.npy")[:TILE, :TILE]
        logits = self.model(tile[None, ..., None], training=False).numpy()[0]
        values = self.model.get_weights()
        values[-1] = np.array([np.median(logits[..., 1] - logits[..., 0]), 0], np.float32)
        np.save(self.weights_file, np.concatenate([value.ravel() for value in values]))
        return "done"

    def whole(self, image: NDArray, probabilities: bool) -> NDArray:
        """One pass over the mirrored image."""
        logits = self.pass_over(tf.constant(mirrored(image, self.padding)[None, ..., None])).numpy()[0]
        return answer(inner(logits, len(image), self.padding), probabilities)

    def loop(self, image: NDArray, probabilities: bool) -> NDArray:
        """The usual loop: `model.predict` of one tile after the other."""
        origins, padded = usual_tiles(image)
        result = np.empty((*image.shape, CLASSES), np.float32) if probabilities else np.empty(image.shape, np.uint8)
        for y, x in origins:
            tile = padded[y : y + TILE, x : x + TILE]
            logits = self.model.predict(tile[None, ..., None], verbose=0)[0]
            place = result[y : y + STEP, x : x + STEP]
            place[...] = answer(logits[: place.shape[0], : place.shape[1]], probabilities)
        return result

    def batches(self, image: NDArray, probabilities: bool) -> NDArray:
        """All tiles in one `model.predict`."""
        origins, padded = usual_tiles(image)
        tiles = np.stack([padded[y : y + TILE, x : x + TILE, None] for y, x in origins])
        outputs = self.model.predict(tiles, batch_size=BATCH, verbose=0)
        result = np.empty((*image.shape, CLASSES), np.float32) if probabilities else np.empty(image.shape, np.uint8)
        for (y, x), logits in zip(origins, outputs, strict=True):
            place = result[y : y + STEP, x : x + STEP]
            place[...] = answer(logits[: place.shape[0], : place.shape[1]], probabilities)
        return result

    def ours(self, memory: str | None = None) -> Scheme:
        """`unet_tf.predict` as it comes, or within a memory."""

        def tiles(side: int) -> tuple[int, int, int]:
            grid = self.predictor.grid((side, side), memory=memory)
            return len(grid), *grid.tile

        def predict(image: NDArray, probabilities: bool) -> NDArray:
            method = self.predictor.probabilities if probabilities else self.predictor.predict
            return method(image, memory=memory)

        return Scheme(predict, tiles)

    def all(self) -> dict[str, Scheme]:
        return {
            "ours": self.ours(),
            "ours-1GB": self.ours("1GB"),
            "ours-100MB": self.ours("100MB"),
            "whole": Scheme(self.whole, lambda side: mirrored_count(side, self.padding)),
            "loop": Scheme(self.loop, usual_count),
            "batches": Scheme(self.batches, usual_count),
        }


def main() -> None:
    data, base, precision, padding = sys.argv[1:]
    logging.disable()
    schemes = Schemes(data, int(base), precision, padding)
    Commands(data, schemes.all()).serve(schemes.model.count_params(), weights=schemes.weights)


if __name__ == "__main__":
    main()
