"""The tf.data graph: samples -> random tiles for training, a fixed tile grid for validation, batched and prefetched."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unet_tf.data.augment import Augmentation, vary_grey_values, warp
from unet_tf.data.normalisation import Normalisation
from unet_tf.data.samples import Samples
from unet_tf.geometry import Geometry
from unet_tf.labels import VOID
from unet_tf.tiling import cut

Tile = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]


def draws_per_epoch(samples: Samples, output_size: int) -> list[int]:
    """Sample numbers that one epoch draws a tile from: each as often as `output_size` squared goes into its pixels.

    An epoch so sees as many pixels as there are, and a large image is drawn more often than a small one; one of void
    alone, from which nothing is to be learnt, never.
    """
    areas = [height * width / output_size**2 for height, width in samples.shapes]
    known = [one.class_pixels.any() for one in samples.fingerprints]
    return [index for index, area in enumerate(areas) if known[index] for _ in range(max(1, round(area)))]


class TileDraw:
    """Training tiles by number: tile n is a function of (seed, n) alone.

    An epoch is a seeded permutation of `draws_per_epoch`, so that tiles are spread over images by their pixels. The
    centre of a tile is uniform over the pixels of its image, and moved inwards until what the tile outputs lies inside,
    or as far as goes: what is learnt is real, and what a warp or the halo of an unpadded net needs beyond is mirrored.
    So a pixel at a border is seen more rarely than one in the middle, in the corner of an image a quarter as often.

    Args:
        samples: what to draw from.
        normalisation: applied to each tile.
        geometry: of the net.
        tile: legal input size, pixels.
        augmentation: what may change.
        seed: of the order and the augmentation.
        rare_share: share of the tiles that are put on a pixel of a class instead, each class as often as the others, so
            that rare ones appear; its samples have `places`.
    """

    def __init__(
        self,
        samples: Samples,
        normalisation: Normalisation,
        geometry: Geometry,
        tile: int,
        augmentation: Augmentation,
        seed: int,
        rare_share: float = 0.0,
    ) -> None:
        self.samples, self.normalisation, self.augmentation = samples, normalisation, augmentation
        self.tile, self.output, self.seed, self.rare_share = tile, geometry.output_size(tile), seed, rare_share
        self.draws = np.array(draws_per_epoch(samples, self.output))
        self.order = functools.lru_cache(maxsize=2)(self._order)
        of_class = np.stack([one.class_pixels for one in samples.fingerprints], axis=1)  # (classes, images)
        self.by_class = (of_class / np.maximum(of_class.sum(1, keepdims=True), 1))[of_class.sum(1) > 0]
        self.present = np.flatnonzero(of_class.sum(1))

    def _order(self, epoch: int) -> NDArray[np.intp]:
        return np.random.default_rng((self.seed, epoch)).permutation(self.draws)

    def __call__(self, number: int) -> Tile:
        """Image (tile, tile, C) float32, label (out, out) uint8, weight (out, out) float32 of tile `number`."""
        index, rng, rare = self._pick(number)
        sample = self.samples[index]
        centre = self._centre(sample.label.shape, rare, rng)
        sizes = (self.tile, self.tile), (self.output, self.output)
        image = self.normalisation.with_mean(sample.image, sample.nodata)
        image, label, border = warp(image, sample.label, sample.border, centre, *sizes, self.augmentation, rng)
        image = vary_grey_values(self.normalisation.scale(image), self.augmentation, rng)
        return image, label, self.samples.weight(label, border)

    def sample_of(self, number: int) -> int:
        """Which sample tile `number` is cut from."""
        return self._pick(number)[0]

    def _pick(self, number: int) -> tuple[int, np.random.Generator, NDArray[np.uint32] | None]:
        """The sample of a tile, the generator of all else, and the pixels it may be put on where it is for a class."""
        epoch, position = divmod(int(number), len(self.draws))
        rng = np.random.default_rng((self.seed, epoch, position + 1))  # NumPy takes (s, e, 0) for (s, e), the order's
        if not self.rare_share or rng.random() >= self.rare_share:
            return int(self.order(epoch)[position]), rng, None
        row = rng.integers(len(self.present))  # each class is drawn for equally often
        index = int(rng.choice(len(self.samples), p=self.by_class[row]))
        return index, rng, self.samples.fingerprints[index].places[self.present[row]]

    def _centre(
        self, shape: tuple[int, ...], pixels: NDArray[np.uint32] | None, rng: np.random.Generator
    ) -> tuple[int, int]:
        """A place anywhere, or near one of the pixels; and inside, half the output away from the borders."""
        if pixels is None:
            places = rng.integers(0, shape)
        else:
            shift = rng.integers(-(self.output // 4), self.output // 4 + 1, 2)
            places = np.array(np.divmod(int(rng.choice(pixels)), shape[1])) + shift
        margins = np.minimum(self.output // 2, np.array(shape) // 2)
        row, column = np.clip(places, margins, np.maximum(margins, np.array(shape) - self.output // 2))
        return int(row), int(column)


def training_dataset(
    draw: TileDraw,
    batch_size: int,
    first_tile: int = 0,
    deterministic: bool = True,
    share: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Endless augmented tiles for `model.fit`.

    Args:
        draw: makes a tile from its number.
        batch_size: tiles a batch, of all hosts together.
        first_tile: number of the first tile, to go on where a run stopped.
        deterministic: tiles in the order of their numbers; else as they are ready.
        share: (k, n): of each batch only the k-th of n equal parts is made, k from 0; n divides `batch_size`.

    Returns:
        Batches of image (B, tile, tile, C) float32, label (B, out, out) uint8, weight (B, out, out) float32.
    """
    part = batch_size // share[1]
    numbers = tf.data.Dataset.range(np.iinfo(np.int64).max)
    numbers = numbers.map(lambda n: first_tile + n // part * batch_size + share[0] * part + n % part)
    return _batches(numbers, draw, part, deterministic)


def epoch_dataset(draw: TileDraw, batch_size: int, deterministic: bool = True) -> tf.data.Dataset:
    """One epoch of augmented tiles, other ones each time it is iterated, the same in each process.

    Args:
        draw: makes a tile from its number.
        batch_size: tiles a batch.
        deterministic: tiles in the order of their numbers; else as they are ready.

    Returns:
        Batches as of `training_dataset`, in a number that `len` knows.
    """
    tiles = len(draw.draws) // batch_size * batch_size or batch_size
    epochs = tf.data.Dataset.random(draw.seed, rerandomize_each_iteration=True).take(1)
    numbers = epochs.flat_map(lambda epoch: tf.data.Dataset.range(tiles).map(lambda n: epoch * len(draw.draws) + n))
    numbers = numbers.apply(tf.data.experimental.assert_cardinality(tiles))
    return _batches(numbers, draw, batch_size, deterministic)


def _batches(numbers: tf.data.Dataset, draw: TileDraw, batch_size: int, deterministic: bool) -> tf.data.Dataset:
    shapes = (draw.tile, draw.tile, draw.normalisation.channels), (draw.output,) * 2, (draw.output,) * 2

    def draw_in_graph(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        tensors = tf.numpy_function(draw, [number], [tf.float32, tf.uint8, tf.float32])
        return tuple(tf.ensure_shape(tensor, shape) for tensor, shape in zip(tensors, shapes, strict=True))

    tiles = numbers.map(draw_in_graph, num_parallel_calls=tf.data.AUTOTUNE, deterministic=deterministic)
    return tiles.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def validation_dataset(
    samples: Samples, normalisation: Normalisation, geometry: Geometry, max_tile: int, count: int | None = None
) -> tf.data.Dataset:
    """Every pixel of every sample once, never augmented, on the same tile grid as prediction.

    Each image is cut into equal tiles that fit it (`Geometry.tiling`). What a tile outputs beyond its share of the
    image is void in its label, so that a metric over the data set counts each pixel once. Or of only `count` tiles,
    always the same ones, among which each class is that the samples have, as far as so many can hold them.

    Returns:
        Batches of one tile: image (1, h, w, C), label (1, h', w') uint8, weight (1, h', w') float32.
    """
    grids = [cut(geometry, shape, max_tile) for shape in samples.shapes]
    jobs = [(index, number) for index, grid in enumerate(grids) for number in range(len(grid))]
    if count is not None and count < len(jobs):
        places = [grids[index].place(number) for index, number in jobs]
        has = [frozenset(np.unique(samples[job[0]].label[at]).tolist()) for job, at in zip(jobs, places, strict=True)]
        jobs = [jobs[number] for number in _few(has, count)]

    def make_tile(job: NDArray[np.int64]) -> Tile:
        index, number = (int(value) for value in job)
        sample, grid = samples[index], grids[index]
        outputs = [geometry.output_size(size) for size in grid.tile]
        label = np.full(outputs, VOID, np.uint8)
        weight = np.zeros(outputs, np.float32)
        place = grid.place(number)
        own = grid.own(label, number)  # a view
        own[...] = sample.label[place]
        border = None if sample.border is None else sample.border[place]
        grid.own(weight, number)[...] = samples.weight(own, border)
        window = grid.window(normalisation.measured(sample.image, sample.nodata), number)
        return normalisation.scale(window), label, weight

    def make_in_graph(job: tf.Tensor) -> tuple[tf.Tensor, ...]:
        image, label, weight = tf.numpy_function(make_tile, [job], [tf.float32, tf.uint8, tf.float32])
        image = tf.ensure_shape(image, (None, None, normalisation.channels))
        return image, tf.ensure_shape(label, (None, None)), tf.ensure_shape(weight, (None, None))

    tiles = tf.data.Dataset.from_tensor_slices(np.array(jobs, np.int64))
    return tiles.map(make_in_graph, num_parallel_calls=tf.data.AUTOTUNE).batch(1).prefetch(tf.data.AUTOTUNE)


def _few(has: Sequence[frozenset[int]], count: int) -> list[int]:
    """Numbers of `count` tiles, drawn evenly: first one for each class, the rarest first, then any.

    Args:
        has: label ids that each tile has.
        count: how many, less than there are.
    """
    order = [int(number) for number in np.random.default_rng(0).permutation(len(has))]
    tiles_of = Counter(label for labels in has for label in labels if label != VOID)
    chosen: dict[int, None] = {}
    for label in sorted(tiles_of, key=lambda label: (tiles_of[label], label)):
        if not any(label in has[number] for number in chosen):
            chosen[next(number for number in order if label in has[number])] = None
    return sorted([*chosen, *(number for number in order if number not in chosen)][:count])
