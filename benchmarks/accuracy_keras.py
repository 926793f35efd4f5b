"""One contender of accuracy.py: a U-Net of another Keras package.

keras-unet 0.1.2: `custom_unet` of 32 filters with batch norm and dropout 0.3, SGD 0.01 with momentum 0.99, and its
`jaccard_distance` of one sigmoid, as its examples train it; categorical cross-entropy where there are more classes.
keras-unet-collection 0.1.13: `unet_2d` of 64 to 1024 filters with GELU, batch norm, max-pooling and nearest
up-sampling, which is example 1 of its guide to models; categorical cross-entropy, and Adam 1e-4, with which its other
examples train.
Crops and scaling are those of `accuracy_crops.py`; void counts nothing.

Usage: python accuracy_keras.py custom|collection FOLDER OUT MINUTES SEED CLASSES, with TensorFlow 2.15
"""

import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from accuracy_crops import VOID, Crops
from keras_unet.losses import jaccard_distance
from keras_unet.models import custom_unet
from keras_unet_collection.models import unet_2d


def build(kind: str, channels: int, classes: int) -> tuple[tf.keras.Model, tf.keras.optimizers.Optimizer]:
    """The net and its optimizer."""
    size = (None, None, channels)
    if kind == "custom":
        outputs = {"num_classes": 1} if classes == 2 else {"num_classes": classes, "output_activation": "softmax"}
        model = custom_unet(size, filters=32, use_batch_norm=True, dropout=0.3, num_layers=4, **outputs)
        return model, tf.keras.optimizers.SGD(0.01, momentum=0.99)
    model = unet_2d(
        size, [64, 128, 256, 512, 1024], n_labels=classes, stack_num_down=2, stack_num_up=1, activation="GELU",
        output_activation="Softmax", batch_norm=True, pool="max", unpool="nearest",
    )  # fmt: skip
    return model, tf.keras.optimizers.Adam(1e-4)


def main(kind: str, folder: Path, out: Path, minutes: float, seed: int, classes: int) -> None:
    """Train, and predict."""
    start = time.monotonic()
    tf.keras.utils.set_random_seed(seed)
    crops = Crops(folder, seed)
    model, optimizer = build(kind, crops.channels, classes)
    one = model.output_shape[-1] == 1

    @tf.function
    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        known = tf.cast(labels != VOID, tf.float32)
        labels = tf.where(labels == VOID, tf.zeros_like(labels), labels)
        with tf.GradientTape() as tape:
            share = model(images, training=True)
            if one:
                true = tf.cast(labels, tf.float32)
                loss = jaccard_distance((true * known)[..., None], share * known[..., None])
            else:
                loss = tf.keras.losses.sparse_categorical_crossentropy(labels, share) * known
            loss = tf.reduce_sum(loss) / tf.reduce_sum(known)
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    steps = 0
    while time.monotonic() - start < 60 * minutes:
        images, labels = crops.batch()
        loss = step(tf.constant(images), tf.constant(labels.astype(np.int32)))
        steps += 1
    print(f"{kind}: {steps} steps, loss {float(loss):.3f}", file=sys.stderr, flush=True)

    out.mkdir(parents=True, exist_ok=True)
    for path in crops.tests:
        image, (height, width) = crops.test(path)
        share = model(image[None], training=False)[0, :height, :width].numpy()
        label = share[..., 0] >= 0.5 if one else share.argmax(-1)
        np.save(out / f"{path.stem}.npy", label.astype(np.uint8))


if __name__ == "__main__":
    kind, folder, out, minutes, seed, classes = sys.argv[1:]
    main(kind, Path(folder), Path(out), float(minutes), int(seed), int(classes))
