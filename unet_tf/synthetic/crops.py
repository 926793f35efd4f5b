"""Generated photographs of a field from above: soil, crop in rows, weeds between."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.synthetic.texture import chance, clouds, develop, mixed

SOIL, CROP, WEED = range(3)
"""Class ids."""


def generate_crops(height: int = 256, width: int = 256, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw a field as a camera on a robot sees it: crop plants in rows, weeds of the same green anywhere.

    What tells them apart is the shape of the leaves and where they stand, so that a net has to look around.

    Args:
        height: pixels, 32 or more.
        width: pixels, 32 or more.
        seed: the same arguments give the same image.

    Returns:
        image: (height, width, 3) uint8 RGB.
        label: (height, width) uint8; 0 soil, 1 crop, 2 weed.

    Raises:
        InputError: the image is smaller than 32 pixels a side, or the seed below 0.

    Example:
        >>> image, label = generate_crops(128, 128)
        >>> image.shape, int(label.max())
        ((128, 128, 3), 2)
    """
    rng = chance(height, width, seed)
    image = _soil(height, width, rng)
    label = np.zeros((height, width), np.uint8)
    gap = rng.uniform(48, 64)
    turn = rng.normal(0, 0.12)
    reach = height + width
    plants = []
    for row in np.arange(-reach + rng.uniform(0, gap), reach, gap):
        for along in np.arange(-reach + rng.uniform(0, 24), reach, 26):
            x, y = row + rng.normal(0, 2), along + rng.normal(0, 4)
            plants.append((CROP, y * np.cos(turn) + x * np.sin(turn), x * np.cos(turn) - y * np.sin(turn)))
    for _ in range(height * width // 2600):
        plants.append((WEED, rng.uniform(0, height), rng.uniform(0, width)))
    for place in rng.permutation(len(plants)):
        kind, y, x = plants[place]
        if -20 < y < height + 20 and -20 < x < width + 20 and rng.random() > 0.08:
            image = _plant(image, label, kind, y, x, rng)
    light = 1 + 0.1 * clouds(height, width, max(height, width) / 3, rng)
    return develop(image * light[..., None], rng, 0.6, 0.025), label


def _soil(height: int, width: int, rng: np.random.Generator) -> NDArray:
    """Crumbs, stones and dry straw."""
    crumbs = np.zeros((height, width), np.float32)
    for sigma, strength in (0.8, 0.04), (2.5, 0.05), (9, 0.04):
        crumbs += strength * clouds(height, width, sigma, rng)
    image = np.array([0.42, 0.33, 0.25], np.float32) * (1 + 1.6 * crumbs[..., None])
    stones, straw = (np.zeros((height, width), np.float32) for _ in range(2))
    for _ in range(height * width // 1800):
        centre = int(rng.integers(width)), int(rng.integers(height))
        axes = int(rng.integers(1, 5)), int(rng.integers(1, 4))
        cv2.ellipse(stones, centre, axes, float(rng.uniform(0, 180)), 0, 360, float(rng.uniform(0.4, 1)), -1)
    for _ in range(height * width // 5000):
        x, y, angle = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, np.pi)
        end = int(x + 14 * np.cos(angle)), int(y + 14 * np.sin(angle))
        cv2.line(straw, (int(x), int(y)), end, 1.0, 1, cv2.LINE_AA)
    image = mixed(image, (0.58, 0.54, 0.5), 0.7 * stones)
    return mixed(image, (0.66, 0.6, 0.36), 0.7 * straw)


def _plant(
    image: NDArray, label: NDArray[np.uint8], kind: int, y: float, x: float, rng: np.random.Generator
) -> NDArray:
    """A rosette: crop has few broad leaves, weed many narrow ones; its shadow, its leaves one over the other."""
    size = rng.uniform(8, 13) if kind == CROP else rng.uniform(5, 11)
    leaves = int(rng.integers(4, 7) if kind == CROP else rng.integers(6, 11))
    slim = rng.uniform(0.42, 0.55) if kind == CROP else rng.uniform(0.14, 0.24)
    green = np.array([0.25, 0.47, 0.17], np.float32) * rng.uniform(0.75, 1.25) + rng.normal(0, 0.02, 3).astype(
        np.float32
    )
    top, left = max(0, int(y) - 24), max(0, int(x) - 24)
    view = slice(top, int(y) + 25), slice(left, int(x) + 25)
    if 0 in label[view].shape:
        return image
    for angle in np.linspace(0, 2 * np.pi, leaves, endpoint=False) + rng.uniform(0, 2 * np.pi):
        turned = angle + rng.normal(0, 0.15)
        long = size * rng.uniform(0.75, 1.1)
        centre = int(x + 0.55 * long * np.cos(turned)) - left, int(y + 0.55 * long * np.sin(turned)) - top
        axes = max(1, int(0.6 * long)), max(1, int(0.6 * long * slim))
        degrees = float(np.degrees(turned))
        leaf, shadow, vein = (np.zeros(label[view].shape, np.uint8) for _ in range(3))
        cv2.ellipse(leaf, centre, axes, degrees, 0, 360, 1, -1)
        cv2.ellipse(shadow, (centre[0] + 2, centre[1] + 2), axes, degrees, 0, 360, 1, -1)
        cv2.ellipse(vein, centre, (axes[0], 0), degrees, 0, 360, 1, 1)
        image[view] = mixed(image[view], 0.55 * image[view], 0.6 * (shadow & ~leaf & (label[view] == SOIL)))
        image[view] = mixed(image[view], green * rng.uniform(0.85, 1.15), leaf.astype(np.float32))
        image[view] = mixed(image[view], 1.25 * image[view], 0.5 * (vein & leaf))
        label[view][leaf > 0] = kind
    return image
