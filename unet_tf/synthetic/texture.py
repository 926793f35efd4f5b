"""What generated pictures share: noise at a scale, lines that wander, a camera."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.errors import InputError

SMALLEST = 32
"""Pixels of a side."""
FINE = 4
"""Lines are drawn on a grid so many times finer, and averaged: their borders lie between pixels."""


def chance(height: int, width: int, seed: int) -> np.random.Generator:
    """The random numbers of a seed; raises InputError where it is none, or an image would be too small."""
    if min(height, width) < SMALLEST:
        raise InputError(f"Images are generated of {SMALLEST}x{SMALLEST} px or more; received {height}x{width}.")
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise InputError(f"A seed must be a whole number, 0 or more; received {seed!r}.") from error


def clouds(height: int, width: int, sigma: float, rng: np.random.Generator) -> NDArray:
    """Gaussian noise blurred by `sigma` pixels, (height, width), mean 0, standard deviation 1."""
    noise = rng.normal(size=(height, width)).astype(np.float32)
    found = cv2.GaussianBlur(noise, (0, 0), float(sigma), borderType=cv2.BORDER_REFLECT_101)
    return (found - found.mean()) / found.std()


def walk(
    start: tuple[float, float],
    angle: float,
    steps: int,
    turn: float,
    rng: np.random.Generator,
    step: float = 4.0,
    hold: float = 0.0,
) -> NDArray[np.float64]:
    """A path that wanders.

    Args:
        start: y, x in pixels.
        angle: in which it sets out, radians, 0 along x.
        steps: how many.
        turn: standard deviation of the change of its direction at each step, radians; a turn half goes on.
        rng: the chance.
        step: pixels.
        hold: share of its deviation from `angle` that it takes back at each step; 0 forgets where it set out for.

    Returns:
        (steps + 1, 2) y and x.
    """
    turns = rng.normal(0, turn, steps)
    for i in range(1, steps):
        turns[i] += 0.5 * turns[i - 1]
    deviations = np.zeros(steps)
    for i in range(steps):
        deviations[i] = turns[i] + (1 - hold) * (deviations[i - 1] if i else 0)
    angles = angle + deviations
    moves = step * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    return np.concatenate([[start], np.asarray(start) + np.cumsum(moves, axis=0)])


def draw_lines(height: int, width: int, paths: list[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> NDArray:
    """Draw paths whose width changes along them.

    Args:
        height: pixels.
        width: pixels.
        paths: (N, 2) y and x, and (N,) widths in pixels, of each.

    Returns:
        (height, width) share of each pixel that a line covers.
    """
    canvas = np.zeros((FINE * height, FINE * width), np.uint8)
    for points, widths in paths:
        fine = np.rint(FINE * points[:, ::-1]).astype(int)
        for a, b, thick in zip(fine, fine[1:], widths, strict=False):
            cv2.line(canvas, a.tolist(), b.tolist(), 255, max(1, round(FINE * float(thick))))
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def develop(image: NDArray, rng: np.random.Generator, blur: float, noise: float) -> NDArray[np.uint8]:
    """Take the picture: blurred by a lens, with photon noise, 8 bit.

    Args:
        image: (H, W) or (H, W, 3) light in [0, 1].
        rng: the chance.
        blur: sigma of the lens, pixels.
        noise: standard deviation at middle brightness.
    """
    seen = cv2.GaussianBlur(image.astype(np.float32), (0, 0), blur)
    seen = seen + rng.normal(0, noise, seen.shape) * np.sqrt(np.maximum(seen, 0.05) / 0.4)
    return np.clip(np.rint(255 * seen), 0, 255).astype(np.uint8)


def mixed(image: NDArray, colour: NDArray | tuple[float, float, float], share: NDArray) -> NDArray:
    """(H, W, 3) image with a colour, or an image, laid over by (H, W) share."""
    return (image + share[..., None] * (np.asarray(colour, np.float32) - image)).astype(np.float32)
