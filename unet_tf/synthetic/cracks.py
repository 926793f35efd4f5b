"""Generated photographs of concrete with thin cracks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.synthetic.texture import chance, clouds, develop, draw_lines, walk


def generate_cracks(height: int = 256, width: int = 256, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw a concrete wall with one to three cracks, a few pixels wide, between pores, stains and the marks of a board.

    Args:
        height: pixels, 32 or more.
        width: pixels, 32 or more.
        seed: the same arguments give the same image.

    Returns:
        image: (height, width) uint8.
        label: (height, width) uint8; 1 on cracks.

    Raises:
        InputError: the image is smaller than 32 pixels a side, or the seed below 0.

    Example:
        >>> image, label = generate_cracks(64, 96)
        >>> image.shape, sorted(np.unique(label).tolist())
        ((64, 96), [0, 1])
    """
    rng = chance(height, width, seed)
    paths = []
    for _ in range(int(rng.integers(1, 4))):
        start, angle = _entry(height, width, rng)
        trunk = walk(start, angle, int(1.2 * max(height, width) / 4), 0.35, rng, hold=0.2)
        thick = rng.uniform(1.6, 3.2)
        paths.append((trunk, _widths(len(trunk), thick, rng)))
        for place in rng.integers(len(trunk) // 5, len(trunk), int(rng.integers(0, 3))):
            aside = angle + rng.choice([-1, 1]) * rng.uniform(0.5, 1.2)
            twig = walk(tuple(trunk[place]), aside, 25, 0.35, rng, hold=0.2)
            paths.append((twig, _widths(len(twig), 0.6 * thick, rng) * np.linspace(1, 0.6, len(twig))))
    covered = draw_lines(height, width, paths)

    image = rng.uniform(0.5, 0.65) + 0.05 * clouds(height, width, max(height, width) / 4, rng)
    for sigma, strength in ((0.7, 0.035), (2, 0.03), (8, 0.04)):
        image = image + strength * clouds(height, width, sigma, rng)
    image = image - 0.15 * np.clip(clouds(height, width, max(height, width) / 9, rng) - 1.1, 0, 1)  # stains
    image = image * _board_marks(height, width, rng)
    image = image - 0.28 * _pores(height, width, rng)
    depth = np.clip(0.32 + 0.1 * clouds(height, width, 6, rng), 0.12, 0.5)
    return develop(image - covered * depth, rng, 0.7, 0.03), (covered > 0.5).astype(np.uint8)


def _entry(height: int, width: int, rng: np.random.Generator) -> tuple[tuple[float, float], float]:
    """A place on the border, and the direction inward."""
    if rng.random() < 0.5:
        return (rng.uniform(0.1, 0.9) * height, 0.0), rng.normal(0, 0.3)
    return (0.0, rng.uniform(0.1, 0.9) * width), np.pi / 2 + rng.normal(0, 0.3)


def _widths(count: int, thick: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Widths along a crack, which opens and closes."""
    wave = np.convolve(rng.normal(size=count + 8), np.ones(9) / 3, "valid")
    return np.clip(thick * (1 + 0.25 * wave), 0.8, 2.2 * thick)


def _board_marks(height: int, width: int, rng: np.random.Generator) -> NDArray:
    """Straight soft bands, as the boards of the mould leave them."""
    place = np.arange(width) / rng.uniform(35, 60) + rng.uniform(0, 1)
    shade = 1 + 0.05 * rng.normal(size=int(place.max()) + 2)[place.astype(int)] - 0.1 * (place % 1 < 0.02)
    return np.broadcast_to(shade.astype(np.float32), (height, width))


def _pores(height: int, width: int, rng: np.random.Generator) -> NDArray:
    canvas = np.zeros((height, width), np.float32)
    for _ in range(height * width // 900):
        centre = int(rng.integers(width)), int(rng.integers(height))
        cv2.circle(canvas, centre, int(rng.choice([0, 1, 1, 2, 3])), float(rng.uniform(0.3, 1)), -1)
    return cv2.GaussianBlur(canvas, (0, 0), 0.6)
