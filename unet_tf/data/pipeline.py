"""The tf.data graph: samples -> random tiles for training, a fixed tile grid for validation, batched and prefetched."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unet_tf.data.augment import Augmentation, random_tile, vary_grey_values
from unet_tf.data.samples import Normalisation, Samples
from unet_tf.errors import InputError
from unet_tf.geometry import Geometry, read_window
from unet_tf.labels import VOID


def draws_per_epoch(samples: Samples, output_size: int) -> list[int]:
    """Sample numbers that one epoch draws a tile from: each as often as `output_size` squared goes into its pixels.

    An epoch so sees each pixel about once, and a large image is drawn more often than a small one.
    """
    areas = [sample.label.size / output_size**2 for sample in samples.samples]
    return [index for index, area in enumerate(areas) for _ in range(max(1, round(area)))]


def check_tile(samples: Samples, geometry: Geometry, tile: int) -> None:
    """Raise InputError unless `tile` is legal and its output fits into every image."""
    output = geometry.output_size(tile)
    small = [s for s in samples.samples if min(s.label.shape) < output]
    if small:
        smallest = min(small, key=lambda s: min(s.label.shape))
        side = min(smallest.label.shape)
        fits = geometry.nearest_legal(side + geometry.shrink)[0]
        remedy = f"--tile {fits} or less" if fits <= side + geometry.shrink else "a smaller --depth"
        height, width = smallest.label.shape
        raise InputError(
            f"Every training image holds the output of a tile, and a {tile} tile gives {output}x{output} px: "
            f"{smallest.name} is {height}x{width} (and {len(small) - 1} more are too small). Choose {remedy}."
        )


def training_dataset(
    samples: Samples,
    normalisation: Normalisation,
    geometry: Geometry,
    tile: int,
    batch_size: int,
    augmentation: Augmentation,
    seed: int,
    first_tile: int = 0,
) -> tf.data.Dataset:
    """Endless augmented tiles for `model.fit`.

    Tile number n is a function of (seed, n) alone, however many threads run: an epoch is a seeded permutation of
    `draws_per_epoch`, and each tile has a random generator of its own.

    Args:
        samples: what to draw from; kept decoded in memory.
        normalisation: applied to each tile.
        geometry: of the net.
        tile: legal input size, pixels.
        batch_size: tiles a batch.
        augmentation: what may change.
        seed: of the order and the augmentation.
        first_tile: number of the first tile, to go on where a run stopped.

    Returns:
        Batches of image (B, tile, tile, C) float32, label (B, out, out) uint8, weight (B, out, out) float32.
    """
    output = geometry.output_size(tile)
    draws = np.array(draws_per_epoch(samples, output))

    @functools.lru_cache(maxsize=2)
    def order(epoch: int) -> NDArray[np.intp]:
        return np.random.default_rng((seed, epoch)).permutation(draws)

    def draw(number: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
        epoch, position = divmod(int(number), len(draws))
        sample = samples[order(epoch)[position]]
        rng = np.random.default_rng((seed, epoch, position))
        image, label, weight = random_tile(sample.image, sample.label, sample.weight, tile, output, augmentation, rng)
        image = vary_grey_values(normalisation.scale(image), augmentation, rng)
        return image, label, np.ascontiguousarray(weight)

    shapes = (tile, tile, normalisation.channels), (output, output), (output, output)

    def draw_in_graph(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        tensors = tf.numpy_function(draw, [number], [tf.float32, tf.uint8, tf.float32])
        return tuple(tf.ensure_shape(tensor, shape) for tensor, shape in zip(tensors, shapes, strict=True))

    numbers = tf.data.Dataset.range(first_tile, np.iinfo(np.int64).max)
    tiles = numbers.map(draw_in_graph, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return tiles.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def validation_dataset(
    samples: Samples, normalisation: Normalisation, geometry: Geometry, max_tile: int
) -> tf.data.Dataset:
    """Every pixel of every sample once, never augmented, on the same tile grid as prediction.

    Each image is cut into equal tiles that fit it (`Geometry.tiling`). What a tile outputs beyond its share of the
    image is void in its label, so that a metric over the data set counts each pixel once.

    Returns:
        Batches of one tile: image (1, h, w, C), label (1, h', w'), weight (1, h', w'), as in `training_dataset`.
    """
    jobs = []
    for index, sample in enumerate(samples.samples):
        rows, columns = (geometry.tiling(length, max_tile) for length in sample.label.shape)
        jobs += [(index, top, left) for top in rows.origins for left in columns.origins]

    def cut(job: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
        index, *origin = (int(value) for value in job)
        sample = samples[index]
        tilings = [geometry.tiling(length, max_tile) for length in sample.label.shape]
        image = read_window(sample.image, origin, [t.input_size for t in tilings], geometry.halo)
        outputs = [geometry.output_size(t.input_size) for t in tilings]
        margin = geometry.margin
        label = np.full(outputs, VOID, np.uint8)
        weight = np.zeros(outputs, np.float32)
        own = np.s_[origin[0] : origin[0] + tilings[0].step, origin[1] : origin[1] + tilings[1].step]
        height, width = sample.label[own].shape
        place = np.s_[margin : margin + height, margin : margin + width]
        label[place], weight[place] = sample.label[own], sample.weight[own]
        return normalisation.scale(image), label, weight

    def cut_in_graph(job: tf.Tensor) -> tuple[tf.Tensor, ...]:
        image, label, weight = tf.numpy_function(cut, [job], [tf.float32, tf.uint8, tf.float32])
        image = tf.ensure_shape(image, (None, None, normalisation.channels))
        return image, tf.ensure_shape(label, (None, None)), tf.ensure_shape(weight, (None, None))

    tiles = tf.data.Dataset.from_tensor_slices(np.array(jobs, np.int64))
    return tiles.map(cut_in_graph, num_parallel_calls=tf.data.AUTOTUNE).batch(1).prefetch(tf.data.AUTOTUNE)


def training_tile(samples: Samples, geometry: Geometry) -> int:
    """The paper's 572 or its like, smaller where its output would not fit into every image.

    The output is at most 388 px (256 px for "same", which wastes no halo): larger tiles leave too few steps an epoch.
    """
    side = min(min(sample.label.shape) for sample in samples.samples)
    output = min(side, 388 if geometry.padding == "valid" else 256)
    return geometry.nearest_legal(output + geometry.shrink)[0]
