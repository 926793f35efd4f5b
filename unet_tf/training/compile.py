"""The net of a plan with optimizer, loss and metric, and what a step of it costs on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf
from numpy.typing import ArrayLike

from unet_tf.errors import InputError
from unet_tf.evaluation.metrics import MeanIoU
from unet_tf.model.batch_norm import fuse_batch_norm
from unet_tf.model.loss_scaling import LossScaling
from unet_tf.model.losses import CrossentropyDice, WeightedCrossentropy
from unet_tf.model.muon import Muon
from unet_tf.model.unet import start_at_edges, start_at_shares
from unet_tf.plan import Plan
from unet_tf.utils.chance import own_chance
from unet_tf.utils.processor import instructions
from unet_tf.utils.signals import look

MOMENTUM = 0.99
"""Of SGD, as in the paper."""
LOSS_CLASSES: dict[str, type[keras.losses.Loss]] = {
    "crossentropy": WeightedCrossentropy,
    "crossentropy_dice": CrossentropyDice,
}
TIMED_STEPS, TIMED_SECONDS = 3, 1.5
"""Steps that are timed, and after how long fewer will do."""
SEED = (0, 0)
"""Of the noise that steps are timed on."""
PAYS = 1.25
"""How much faster bfloat16 convolutions must be on a CPU to be worth their digits, where only a measurement tells."""
ROUNDS = 9
"""Pairs of convolutions, in float32 and bfloat16 in turn, of whose ratios the median counts."""
BFLOAT16_CAPABILITY, FLOAT16_CAPABILITY = (8, 0), (7, 0)
"""Compute capability from which NVIDIA's tensor cores take bfloat16 and float16."""


def compiled(plan: Plan, channels: int, class_shares: ArrayLike | None = None) -> keras.Model:
    """Make the net of a plan, its start weights seeded, ready for `fit`.

    Args:
        plan: of the run.
        channels: of the images.
        class_shares: of the training pixels, with their weights, at which the logits start; None for a start at zero.
    """
    with own_chance(plan.seed):
        model = plan.build(channels)
    if plan.batch_norm:  # the paper's net has none, and starts as the paper says
        start_at_edges(model)
    if class_shares is not None:
        start_at_shares(model, class_shares, plan.logits_scale)
    fuse_batch_norm(model)
    optimizer: keras.optimizers.Optimizer
    if plan.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(plan.learning_rate, momentum=MOMENTUM)
    elif plan.optimizer == "adam":
        optimizer = keras.optimizers.Adam(plan.learning_rate)
    else:
        optimizer = Muon(plan.learning_rate)
    if plan.precision == "float16":
        optimizer = LossScaling(optimizer)
    # no XLA, which Keras takes on a GPU: it would compile anew for each size of validation tile
    loss, metrics = LOSS_CLASSES[plan.loss](), [MeanIoU(plan.num_classes)]
    model.compile(optimizer=optimizer, loss=loss, metrics=metrics, jit_compile=False)
    optimizer.build(model.trainable_variables)  # variables that are made inside a step have it traced twice
    return model


def step_seconds(model: keras.Model, plan: Plan, channels: int) -> float:
    """Median time of an optimizer step on tiles of noise, after the first, which is compiled.

    Args:
        model: of `compiled`, on one device. Where nothing fails, it is as before afterwards, to the bit, but for
            what it has traced.
        plan: of the run.
        channels: of the images.

    Raises:
        InputError: the memory does not hold it.
        Stopped: a signal has told to stop.
    """
    with memory_in_words(plan):
        variables = [*model.variables, *model.optimizer.variables]  # generators of dropout too
        before = [variable.numpy() for variable in variables]
        batch, tile, output = plan.batch_size, plan.tile, plan.geometry.output_size(plan.tile)
        # stateless: the generator of TensorFlow belongs to the caller
        labels = tf.random.stateless_uniform((batch, output, output), SEED, 0, plan.num_classes, tf.int32)
        tiles = tf.data.Dataset.from_tensors(
            (
                tf.random.stateless_normal((batch, tile, tile, channels), SEED),
                # not one label alone: gradients would fall below the normal floats, which are slow
                tf.cast(labels, tf.uint8),
                tf.ones((batch, output, output)),
            )
        )
        steps = iter(tiles.repeat())
        model.make_train_function()
        seconds: list[float] = []
        while len(seconds) < 2 + TIMED_STEPS and sum(seconds[2:]) < TIMED_SECONDS:  # the second is slow still
            start = time.perf_counter()
            float(model.train_function(steps)["loss"])
            seconds.append(time.perf_counter() - start)
            look()
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
    model.reset_metrics()
    return statistics.median(seconds[2:])


def fastest_precision() -> tuple[str, str]:
    """The precision to train in on this machine, and why: the same each time.

    On GPUs by what their tensor cores take. On CPUs by their instructions, where these leave no doubt: bfloat16 with
    AMX, float32 without any for bfloat16, which is emulated then; and never float16. With the 512-bit ones alone
    (AVX512_BF16) processors differ, and so they do where the system does not list instructions: there a convolution is
    measured.
    """
    if gpus := tf.config.get_visible_devices("GPU"):
        capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        words = f"a GPU of compute capability {'.'.join(map(str, capability))}"
        if capability >= BFLOAT16_CAPABILITY:
            return "bfloat16", words
        return ("float16" if capability >= FLOAT16_CAPABILITY else "float32"), words
    known = instructions()
    if "amx_bf16" in known:
        return "bfloat16", "this processor has AMX instructions for bfloat16"
    if known and "avx512_bf16" not in known:
        return "float32", "this processor has no instructions for bfloat16"
    ratio = _bfloat16_gain()
    words = (
        f"measured here, a convolution takes {1 / ratio:.1%} of the time in bfloat16 that it takes in float32; at "
        f"{1 / PAYS:.0%} or less bfloat16 is chosen"
    )
    return ("bfloat16" if ratio >= PAYS else "float32"), words


def _bfloat16_gain() -> float:
    """How many times as fast a 3x3 convolution of 64 to 64 channels, and its gradients, is in bfloat16."""
    ways = _convolution("float32"), _convolution("bfloat16")
    for way in ways * 2:  # compiled; the second is slow still
        way()
    ratios = []
    for _ in range(ROUNDS):
        seconds = []
        for way in ways:
            start = time.perf_counter()
            way()
            seconds.append(time.perf_counter() - start)
        ratios.append(seconds[0] / seconds[1])
        look()
    return statistics.median(ratios)


def _convolution(dtype: str) -> Callable[[], float]:
    images = tf.cast(tf.random.stateless_normal((1, 128, 128, 64), SEED), dtype)
    kernel = tf.cast(tf.random.stateless_normal((3, 3, 64, 64), SEED), dtype)

    @tf.function(jit_compile=False, autograph=False)
    def both_ways() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch((images, kernel))
            total = tf.reduce_sum(tf.nn.conv2d(images, kernel, 1, "SAME"))
        of_images, of_kernel = tape.gradient(total, (images, kernel))
        return tf.reduce_sum(of_images) + tf.reduce_sum(of_kernel)

    return lambda: float(both_ways())


@contextmanager
def memory_in_words(plan: Plan, begun: bool = False) -> Iterator[None]:
    """Say what to lower where the memory, or that of the device, does not do; of a run that has begun, what else."""
    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        remedy = "Lower --batch-size, --tile, --base-filters or --depth."
        if begun:
            remedy = "The run goes on as it was begun: free memory, show it more or other devices "
            remedy += "(CUDA_VISIBLE_DEVICES=0,1), or train anew with less of these."
        raise InputError(
            f"The memory must hold a training step, and it does not hold {plan.base_filters} base filters at depth "
            f"{plan.depth} with {plan.batch_size} tiles of {plan.tile} px. {remedy}"
        ) from error
