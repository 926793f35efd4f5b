"""The tf.data graph: samples -> random tiles for training, a fixed tile grid for validation, batched and prefetched."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unet_tf.data.augment import Augmentation, vary_grey_values, warp
from unet_tf.data.normalisation import Normalisation
from unet_tf.data.samples import Samples
from unet_tf.geometry import Geometry
from unet_tf.labels import VOID, count_classes
from unet_tf.tiling import cut
from unet_tf.utils.signals import look

Tile = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]
KNOWN = 0.9
"""Share of an image that is not void below which its tiles are put on pixels that are not."""
DRAWS = 64
"""Pixels of such an image among which a known one is looked for: where a tenth are known, 1 time in 850 none is met."""


def draws_per_epoch(samples: Samples, output_size: int) -> list[int]:
    """Sample numbers that one epoch draws a tile from: each as often as `output_size` squared goes into its pixels.

    Void is left out. An epoch so sees as many pixels as there are to train on, and a large image is drawn more often
    than a small one; one of void alone never.
    """
    areas = [int(one.class_pixels.sum()) / output_size**2 for one in samples.fingerprints]
    return [index for index, area in enumerate(areas) if area for _ in range(max(1, round(area)))]


class TileDraw:
    """Training tiles by number: tile n is a function of (seed, n) alone.

    An epoch is a seeded permutation of `draws_per_epoch`, so that tiles are spread over images by their pixels. The
    centre of a tile is uniform over the pixels of its image, and moved inwards until what the tile outputs lies inside,
    or as far as goes: labelled pixels are real, and what a warp or the halo of an unpadded net needs beyond is
    mirrored. So a pixel at a border is seen more rarely than one in the middle, in the corner of an image a quarter as
    often. Of an image more than a tenth of which is void, tiles are put near a pixel that is not.

    Args:
        samples: what to draw from, with `places`.
        normalisation: applied to each tile.
        geometry: of the net.
        tile: legal input size, pixels.
        augmentation: what may change.
        seed: of the order and the augmentation.
        rare_share: share of the tiles that are put on a pixel of a class instead, each class as often as the others, so
            that rare ones appear.
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
        known = of_class.sum(0)
        areas = np.array([height * width for height, width in samples.shapes])
        self.shares = {int(i): of_class[:, i] / known[i] for i in np.flatnonzero((known < KNOWN * areas) & (known > 0))}

    def _order(self, epoch: int) -> NDArray[np.intp]:
        return np.random.default_rng((self.seed, epoch)).permutation(self.draws)

    def __call__(self, number: int) -> Tile:
        """Image (tile, tile, C) float32, label (out, out) uint8, weight (out, out) float32 of tile `number`."""
        index, rng, rare = self._pick(number)
        sample = self.samples[index]
        if rare is None and index in self.shares:
            rare = self._known(index, sample.label, rng)
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
        """The sample of a tile, the generator of all else, and pixels of a class that it may be put on, or None."""
        epoch, position = divmod(int(number), len(self.draws))
        rng = np.random.default_rng((self.seed, epoch, position + 1))  # NumPy takes (s, e, 0) for (s, e), the order's
        if not self.rare_share or rng.random() >= self.rare_share:
            return int(self.order(epoch)[position]), rng, None
        row = rng.integers(len(self.present))  # each class is drawn for equally often
        index = int(rng.choice(len(self.samples), p=self.by_class[row]))
        return index, rng, self.samples.fingerprints[index].places[self.present[row]]

    def _known(self, index: int, label: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint32]:
        """A pixel of a sample that is not void; where some draws meet none, those that were noted of a class."""
        pixels = rng.integers(0, label.size, DRAWS)
        if (known := pixels[label.ravel()[pixels] != VOID]).size:
            return known[:1].astype(np.uint32)
        shares = self.shares[index]
        return self.samples.fingerprints[index].places[rng.choice(len(shares), p=shares)]

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
    share: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Endless augmented tiles for `model.fit`.

    Args:
        draw: makes a tile from its number.
        batch_size: tiles a batch, of all hosts together.
        first_tile: number of the first tile, to go on where a run stopped.
        share: (k, n): of each batch only the k-th of n equal parts is made, k from 0; n divides `batch_size`.

    Returns:
        Batches of image (B, tile, tile, C) float32, label (B, out, out) uint8, weight (B, out, out) float32.
    """
    part = batch_size // share[1]
    numbers = tf.data.Dataset.range(np.iinfo(np.int64).max)
    numbers = numbers.map(lambda n: first_tile + n // part * batch_size + share[0] * part + n % part)
    return _batches(numbers, draw, part, deterministic=True)


def epoch_dataset(
    draw: TileDraw, batch_size: int, deterministic: bool = True, steps: int | None = None
) -> tf.data.Dataset:
    """One epoch of augmented tiles: those of a run, on from where the last iteration ended; the same in each process.

    Args:
        draw: makes a tile from its number.
        batch_size: tiles a batch.
        deterministic: tiles in the order of their numbers; else as they are ready.
        steps: batches; None for as many as one pass over the training pixels fills.

    Returns:
        Batches as of `training_dataset`, in a number that `len` knows.
    """
    tiles = (steps or len(draw.draws) // batch_size or 1) * batch_size
    epochs = itertools.count()  # no random dataset, as the seed that is global in TensorFlow would be in it

    def first_tile(_: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.numpy_function(lambda: np.int64(next(epochs) * tiles), [], tf.int64), ())

    numbers = tf.data.Dataset.range(1).map(first_tile)
    numbers = numbers.flat_map(lambda first: tf.data.Dataset.range(first, first + tiles))
    numbers = numbers.apply(tf.data.experimental.assert_cardinality(tiles))
    return _batches(numbers, draw, batch_size, deterministic)


def _batches(numbers: tf.data.Dataset, draw: TileDraw, batch_size: int, deterministic: bool) -> tf.data.Dataset:
    shapes = (draw.tile, draw.tile, draw.normalisation.channels), (draw.output,) * 2, (draw.output,) * 2

    def draw_in_graph(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        tensors = tf.numpy_function(draw, [number], [tf.float32, tf.uint8, tf.float32])
        return tuple(tf.ensure_shape(tensor, shape) for tensor, shape in zip(tensors, shapes, strict=True))

    tiles = numbers.map(draw_in_graph, num_parallel_calls=tf.data.AUTOTUNE, deterministic=deterministic)
    return tiles.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


class LookedAt(NamedTuple):
    """Tiles that validation looks at.

    Attributes:
        tiles: number of the sample, and of the tile in its grid, of each.
        class_pixels: (num_classes,) pixels of each class in them.
    """

    tiles: Sequence[tuple[int, int]]
    class_pixels: NDArray[np.int64]


def look_at(samples: Samples, geometry: Geometry, max_tile: int, count: int | None = None) -> LookedAt:
    """Choose the tiles that validation looks at: all but those of void alone, or `count` of these.

    The few are always the same ones, with the tile among them that has most pixels of a class, for each class that the
    samples have, as far as so many tiles go.

    Args:
        samples: of the split.
        geometry: of the net.
        max_tile: most input pixels along a tile, as of `validation_dataset`.
        count: how many; None for all.
    """
    grids = [cut(geometry, shape, max_tile) for shape in samples.shapes]
    few = count is not None and count < sum(map(len, grids))
    jobs, pixels = list[tuple[int, int]](), list[NDArray[np.int64]]()
    for index, (grid, one) in enumerate(zip(grids, samples.fingerprints, strict=True)):
        look()
        known = int(one.class_pixels.sum())
        own = [one.class_pixels] * len(grid)  # of several it is asked alone whether there are any
        if known and len(grid) > 1 and (few or known < grid.shape[0] * grid.shape[1]):
            label = samples[index].label
            own = [count_classes(label[grid.place(number)], len(own[0])) for number in range(len(grid))]
        jobs += [(index, number) for number, some in enumerate(own) if some.any()]
        pixels += [some for some in own if some.any()]
    if count is None or count >= len(jobs):
        return LookedAt(jobs or [(0, 0)], samples.class_pixels)
    chosen = _few(np.array(pixels), count)
    return LookedAt([jobs[number] for number in chosen], np.sum([pixels[number] for number in chosen], axis=0))


def validation_dataset(
    samples: Samples,
    normalisation: Normalisation,
    geometry: Geometry,
    max_tile: int,
    tiles: Sequence[tuple[int, int]] | None = None,
) -> tf.data.Dataset:
    """Every pixel of every sample once, never augmented, on the same tile grid as prediction.

    Each image is cut into equal tiles that fit it (`Geometry.tiling`). What a tile outputs beyond its share of the
    image is void in its label, so that a metric over the data set counts each pixel once. Tiles of void alone, which
    no metric counts, are left out.

    Args:
        samples: of the split.
        normalisation: applied to each tile.
        geometry: of the net.
        max_tile: most input pixels along a tile.
        tiles: which ones, as of `look_at`; None for all.

    Returns:
        Batches of one tile: image (1, h, w, C), label (1, h', w') uint8, weight (1, h', w') float32.
    """
    grids = [cut(geometry, shape, max_tile) for shape in samples.shapes]
    jobs = look_at(samples, geometry, max_tile).tiles if tiles is None else tiles

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

    slices = tf.data.Dataset.from_tensor_slices(np.array(jobs, np.int64))
    return slices.map(make_in_graph, num_parallel_calls=tf.data.AUTOTUNE).batch(1).prefetch(tf.data.AUTOTUNE)


def _few(pixels: NDArray[np.int64], count: int) -> list[int]:
    """Numbers of `count` tiles: first for each class, the rarest first, the one that has most of it, then any, evenly.

    Where so many cannot be for all classes, those come first whose classes no tile before has.

    Args:
        pixels: (tiles, classes) pixels of each class.
        count: how many, less than there are.
    """
    order = np.random.default_rng(0).permutation(len(pixels))
    fullest = order[pixels[order].argmax(0)]
    tiles_of = (pixels > 0).sum(0)
    classes = [label for label in np.argsort(tiles_of, kind="stable").tolist() if tiles_of[label]]
    chosen: dict[int, None] = {}
    for lacking in (True, False):
        for label in classes:
            if not lacking or not pixels[list(chosen), label].any():
                chosen[int(fullest[label])] = None
    return sorted([*chosen, *(number for number in order.tolist() if number not in chosen)][:count])
