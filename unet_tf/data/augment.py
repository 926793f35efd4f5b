"""Augmentation: one (image, label, weight) triple in, one out, every geometric step in one warp."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.errors import InputError
from unet_tf.labels import VOID, check_ids
from unet_tf.tiling import Picture, read_window


@dataclass(frozen=True)
class Augmentation:
    """How far training tiles differ from the files. All zero and False: tiles as they are.

    Attributes:
        flips: mirror each axis with probability one half.
        upright: pictures have an up: no flip turns them upside down.
        warped: share of the tiles that are turned, scaled and bent; the others stay as sharp as the files.
        rotation: largest turn to either side, degrees.
        scale: largest change of size to either side, as a share.
        elastic: standard deviation of the vectors on the coarse 3x3 grid, pixels; 10 in the paper.
        contrast: largest change of contrast to either side, as a share.
        brightness: largest change of brightness to either side, in standard deviations of the training images.
    """

    flips: bool = True
    upright: bool = False
    warped: float = 1.0
    rotation: float = 0.0
    scale: float = 0.0
    elastic: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0


def augment(
    image: NDArray,
    label: NDArray[np.uint8],
    weight: NDArray[np.float32],
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
    """Change one triple: all that `augmentation` says, about its centre, at its own size.

    Args:
        image: (H, W, C), normalised.
        label: (H, W) ids.
        weight: (H, W).
        augmentation: what may change.
        rng: the only source of chance: equal generators give equal results.

    Returns:
        image float32, label uint8 and weight float32, of the shapes received.

    Raises:
        InputError: the shapes do not fit together, or the label holds other than ids.

    Example:
        >>> image, label = np.zeros((40, 30, 1), np.float32), np.ones((40, 30), np.uint8)
        >>> paper = Augmentation(rotation=15, elastic=10)
        >>> [part.shape for part in augment(image, label, label, paper, np.random.default_rng(0))]
        [(40, 30, 1), (40, 30), (40, 30)]
    """
    weight = np.asarray(weight, np.float32)
    shapes = [np.shape(part) for part in (image, label, weight)]
    if len(shapes[0]) != 3 or not np.size(image) or not shapes[0][:2] == shapes[1] == shapes[2]:
        raise InputError(f"A triple must be (H, W, C), (H, W) and (H, W), with a pixel at least; received {shapes}.")
    if label.dtype != np.uint8:
        check_ids(label, VOID)
        label = label.astype(np.uint8)
    height, width = label.shape
    centre, size = (height // 2, width // 2), (height, width)
    image, label, warped = warp(image, label, weight, centre, size, size, augmentation, rng)
    return vary_grey_values(image, augmentation, rng), label, weight if warped is None else warped


def warp(
    image: Picture,
    label: NDArray[np.uint8],
    weight: NDArray[np.float32] | None,
    centre: tuple[int, int],
    input_size: tuple[int, int],
    output_size: tuple[int, int],
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32] | None]:
    """Cut a tile about a pixel: flipped, turned, scaled and bent in one warp.

    What lies outside the image is its mirror image. The image is interpolated by cubics, which blur less than lines,
    the weight linearly; the label takes the nearest pixel's id and never a new one.

    Args:
        image: (H, W, C), any real type; anything that can be sliced.
        label: (H, W) ids.
        weight: (H, W) float32, or None.
        centre: row and column in the image that the tile is about.
        input_size: height and width of the image tile, halo included.
        output_size: of the label and weight tiles, centred in the image tile.
        augmentation: what may change.
        rng: the only source of chance.

    Returns:
        image (*input_size, C) float32, label (*output_size) uint8, weight likewise float32, or None.

    Reference:
        Ronneberger, Fischer, Brox: U-Net (MICCAI 2015), sections 2 and 3.1.
    """
    warped = rng.random() < augmentation.warped
    if not warped:
        augmentation = replace(augmentation, rotation=0.0, scale=0.0, elastic=0.0)
    rows, columns = _maps(centre, input_size, augmentation, rng)
    top, left = ((i - o) // 2 for i, o in zip(input_size, output_size, strict=True))
    inner = np.s_[top : top + output_size[0], left : left + output_size[1]]
    cubic, linear = (cv2.INTER_CUBIC, cv2.INTER_LINEAR) if warped else (cv2.INTER_NEAREST, cv2.INTER_NEAREST)
    tile = _sample(image, rows, columns, cubic).astype(np.float32, copy=False)
    rows, columns = rows[inner], columns[inner]
    label_tile = _sample(label, rows, columns, cv2.INTER_NEAREST)
    weight_tile = None if weight is None else _sample(weight, rows, columns, linear)
    return tile, label_tile, weight_tile


def vary_grey_values(
    tile: NDArray[np.float32], augmentation: Augmentation, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Change contrast and brightness of a normalised (H, W, C) tile.

    Grey and RGB as a lamp would, all channels alike; of any other number each channel by itself, as dyes and bands are.
    """
    if augmentation.contrast or augmentation.brightness:
        each = None if tile.shape[2] in (1, 3) else tile.shape[2]
        gain = np.float32(1 + augmentation.contrast * rng.uniform(-1, 1, each))
        tile = tile * gain + np.float32(augmentation.brightness * rng.uniform(-1, 1, each))
    return tile


@functools.lru_cache(maxsize=16)
def _spline_basis(size: int) -> NDArray[np.float32]:
    """(size, 3): what each of three knots at 0, 1/2, 1 adds to each pixel of a cubic spline with end slopes 0.

    The outer knots sit on the border pixels, where the spline is mirrored.
    """
    u = np.linspace(0, 2, size)
    t = u - (u > 1)
    rise = t * t * (3 - 2 * t)  # Hermite: value of the right knot
    slope_left, slope_right = t * (1 - t) ** 2, t * t * (t - 1)  # Hermite: slopes
    # Both cubics have the same curvature in the middle if the slope there is 3/4 (right - left).
    slope = 0.75 * np.where(u <= 1, slope_right, slope_left)
    left = np.where(u <= 1, 1 - rise, 0) - slope
    right = np.where(u <= 1, 0, rise) + slope
    return np.stack([left, 1 - left - right, right], axis=1).astype(np.float32)


def _maps(
    centre: tuple[int, int], size: tuple[int, int], augmentation: Augmentation, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Source row and column of each tile pixel, (*size) each: flip, turn, scale, then bend, in one.

    Each map is a matrix product of rank 5: two linear terms and the three knots of the elastic spline.
    """
    flipped = rng.integers(0, 2, 2) == 1 if augmentation.flips else np.zeros(2, bool)
    if augmentation.upright:
        flipped[0] = False
    angle = math.radians(augmentation.rotation) * rng.uniform(-1, 1)
    zoom = 1 + augmentation.scale * rng.uniform(-1, 1)
    cosine, sine = math.cos(angle) / zoom, math.sin(angle) / zoom
    offsets = [np.arange(length, dtype=np.float32) - np.float32(length // 2) for length in size]
    # read backwards: of an even length the negative offsets would be those of a window one pixel further
    offsets = [one[::-1] if flip else one for one, flip in zip(offsets, flipped, strict=True)]
    ones = [np.ones(length, np.float32) for length in size]
    maps = []
    for axis, (down, right) in enumerate(((cosine, -sine), (sine, cosine))):
        left = [offsets[0] * np.float32(down) + np.float32(centre[axis]), ones[0]]
        above = [ones[1], offsets[1] * np.float32(right)]
        if augmentation.elastic:
            grid = rng.normal(0, augmentation.elastic, (3, 3)).astype(np.float32)
            left += list((_spline_basis(size[0]) @ grid).T)  # (h, 3) @ (3, 3), a knot of the other axis each
            above += list(_spline_basis(size[1]).T)
        maps.append(np.stack(left, axis=1) @ np.stack(above))  # (h, 2 or 5) @ (2 or 5, w) -> (h, w)
    return maps[0], maps[1]


def _sample(picture: Picture, rows: NDArray[np.float32], columns: NDArray[np.float32], interpolation: int) -> NDArray:
    """Read a picture at fractional places; outside of it, its mirror image.

    Only the window that is read is converted and given to OpenCV, which takes pictures of 32767 px a side at most.
    """
    # a pixel before and two behind each place, for cubics
    first = [math.floor(float(places.min())) - 1 for places in (rows, columns)]
    last = [math.floor(float(places.max())) + 3 for places in (rows, columns)]
    window = _mirrored(picture, first, last)
    if interpolation != cv2.INTER_NEAREST:
        window = window.astype(np.float32)
    rows, columns = rows - np.float32(first[0]), columns - np.float32(first[1])
    if len(picture.shape) == 2:
        return cv2.remap(np.ascontiguousarray(window), columns, rows, interpolation)
    channels = window.shape[2]  # of which OpenCV takes four
    parts = (np.ascontiguousarray(window[..., c : c + 4]) for c in range(0, channels, 4))
    sampled = [cv2.remap(part, columns, rows, interpolation) for part in parts]
    return sampled[0].reshape(*rows.shape, channels) if channels <= 4 else np.dstack(sampled)


def _mirrored(picture: Picture, first: list[int], last: list[int]) -> NDArray:
    """picture[first[0]:last[0], first[1]:last[1]], mirrored outside of it."""
    inside: NDArray = picture[max(0, first[0]) : last[0], max(0, first[1]) : last[1]]
    before = [max(0, -start) for start in first]
    behind = [max(0, stop - length) for stop, length in zip(last, picture.shape, strict=False)]
    beyond = [max(pair) for pair in zip(before, behind, strict=True)]
    if not any(beyond):
        return inside
    few = inside.ndim == 2 or inside.shape[2] <= 4  # as many as OpenCV takes
    if few and all(pad < length for pad, length in zip(beyond, inside.shape, strict=False)):  # ten times as fast
        edges = before[0], behind[0], before[1], behind[1]
        bordered = cv2.copyMakeBorder(np.ascontiguousarray(inside), *edges, cv2.BORDER_REFLECT_101)
        return bordered.reshape(*bordered.shape[:2], *picture.shape[2:])
    return read_window(picture, first, [stop - start for start, stop in zip(first, last, strict=True)])
