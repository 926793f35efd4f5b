"""Worker of train_step.py: a training step of `unet_tf`, of the same net in plain Keras, and `fit` around the former.

Usage: python step_keras.py DATA BASE_FILTERS PRECISION KIND, then lines as in step_worker.py. KIND: "ours", "plain", or
"batch-norm" (ours, "same", 4 tiles of 256 px). DATA holds the batch; "batch-norm" makes one.
"""

import logging
import math
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from step_worker import CLASSES, MOMENTUM, OUT, RATE, TILE, read, seconds_of, serve

from unet_tf.plan import Plan
from unet_tf.training.callbacks import Guard, RunClock
from unet_tf.training.compile import compiled


def plain_convolutions(x: Any, filters: int) -> Any:
    for _ in range(2):
        x = layers.Conv2D(filters, 3, activation="relu", kernel_initializer="he_normal")(x)
    return x


def compiled_plain(base: int, precision: str) -> keras.Model:
    """The same net as an example of Keras has it: no metric, default settings, the weight map as sample weight."""
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    x = inputs = keras.Input((TILE, TILE, 1))
    skips = []
    for level in range(4):
        x = plain_convolutions(x, base * 2**level)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = plain_convolutions(x, base * 16)
    for level in reversed(range(4)):
        x = layers.Conv2DTranspose(base * 2**level, 2, strides=2, kernel_initializer="he_normal")(x)
        margin = (skips[level].shape[1] - x.shape[1]) // 2
        x = layers.Concatenate()([layers.Cropping2D(margin)(skips[level]), x])
        x = plain_convolutions(x, base * 2**level)
    outputs = layers.Conv2D(CLASSES, 1, kernel_initializer="he_normal", dtype="float32")(x)
    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer=keras.optimizers.SGD(RATE, MOMENTUM),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def batch_of(data: str) -> tuple[Any, ...]:
    """Image, label and weight map of the one tile."""
    image = np.frombuffer(read(f"{data}/image"), np.float32).reshape(1, TILE, TILE, 1)
    label = np.frombuffer(read(f"{data}/label"), np.uint8).reshape(1, OUT, OUT)
    return image, label, np.frombuffer(read(f"{data}/weight"), np.float32).reshape(1, OUT, OUT)


def padded_batch() -> tuple[Any, ...]:
    """Four tiles of 256 px, of random values."""
    rng, shape = np.random.default_rng(0), (4, 256, 256)
    label = rng.integers(0, CLASSES, shape).astype(np.uint8)
    return rng.normal(size=(*shape, 1)).astype(np.float32), label, rng.uniform(0.5, 5, shape).astype(np.float32)


class Contender:
    """Compiled model and repeated batch; the methods are the worker's commands."""

    def __init__(self, data: str, base: int, precision: str, kind: str) -> None:
        padded = kind == "batch-norm"
        sizes = (4, 256, "same") if padded else (1, 572, "valid")
        self.plan = Plan(
            classes=("a", "b"), masks="index", base_filters=base, depth=4, padding=sizes[2], batch_norm=padded,
            precision=precision, optimizer="sgd", learning_rate=RATE, loss="crossentropy", epochs=math.inf, minutes=60,
            patience=math.inf, steps_per_epoch=100, batch_size=sizes[0], tile=sizes[1], val_tiles=0, val_share=0.0,
            group="", fold="", start_from="", upright=False, rare_share=0.0, border_weight=0.0,
            border_class=0, threshold=0.5,
        )  # fmt: skip
        self.batch = padded_batch() if padded else batch_of(data)
        self.model = compiled_plain(base, precision) if kind == "plain" else compiled(self.plan, 1)
        self.tiles = tf.data.Dataset.from_tensors(tuple(map(tf.constant, self.batch))).repeat()
        self.iterator = iter(self.tiles)

    def steps(self, number: str) -> float:
        """Seconds of so many calls of the compiled training step that `fit` calls too."""
        self.model.make_train_function()

        def run() -> None:
            for _ in range(int(number)):
                logs = self.model.train_function(self.iterator)
            float(logs["loss"])

        return seconds_of(run)

    def callbacks(self, steps: int) -> list[keras.callbacks.Callback]:
        """Those that `unet_tf.train` runs at each step."""
        return [RunClock(self.plan, time.monotonic()), Guard({}, lambda step: [], 0, steps)]

    def fit(self, number: str) -> float:
        """What `fit` of so many steps takes, from its call to its last callback, as a multiple of its training steps.

        What Python frees after that, once a call, is left out: an iterator can take two seconds.
        """
        steps, within, end = int(number), 0.0, 0.0

        def note_end(logs: Any) -> None:
            nonlocal end
            end = time.perf_counter()

        callbacks = [*self.callbacks(steps), keras.callbacks.LambdaCallback(on_train_end=note_end)]
        for callback in callbacks:  # the line of an epoch has validation scores
            callback.on_epoch_end = lambda epoch, logs=None: None
        self.model.make_train_function()
        step = self.model.train_function

        def timed(iterator: Any) -> Any:
            nonlocal within
            start = time.perf_counter()
            logs = step(iterator)
            float(logs["loss"])
            within += time.perf_counter() - start
            return logs

        self.model.train_function = timed
        start = time.perf_counter()
        self.model.fit(self.tiles, steps_per_epoch=steps, callbacks=callbacks, verbose=0, shuffle=False)
        self.model.train_function = step
        return (end - start) / within

    def save(self, folder: str) -> str:
        """Write weights, logits and loss of the batch."""
        image, label, weight = self.batch
        logits = self.model(image)
        loss = self.model.loss(label, logits, sample_weight=weight)
        weights = np.concatenate([value.ravel() for value in self.model.get_weights()])
        for name, values in (("weights", weights), ("logits", logits), ("loss", loss)):
            (Path(folder) / name).write_bytes(np.asarray(values, np.float32).tobytes())
        return folder

    def compare(self, folder: str) -> str:
        """Largest difference of the logits, and of the loss, from those in the folder, with its weights."""
        image, label, weight = self.batch
        shapes = [value.shape for value in self.model.get_weights()]
        values = np.frombuffer(read(f"{folder}/weights"), np.float32)
        *parts, rest = np.split(values, np.cumsum([np.prod(shape) for shape in shapes]))
        self.model.set_weights([part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)])
        logits = np.asarray(self.model(image))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(label, logits, sample_weight=weight)
        theirs = np.frombuffer(read(f"{folder}/logits"), np.float32).reshape(logits.shape)
        their_loss = np.frombuffer(read(f"{folder}/loss"), np.float32)[0]
        return f"{np.abs(logits - theirs).max():.1e} {abs(float(loss) - their_loss):.1e} {len(rest)}"


def main() -> None:
    data, base, precision, kind = sys.argv[1:]
    logging.disable()
    keras.utils.set_random_seed(0)
    contender = Contender(data, int(base), precision, kind)
    commands = {name: getattr(contender, name) for name in ("steps", "fit", "save", "compare")}
    versions = f"{tf.__version__}, keras {keras.__version__}"
    serve(contender.model.count_params(), {**commands, "version": lambda _: versions})


if __name__ == "__main__":
    main()
