"""Generated fundus photographs: vessels that branch and thin out on a retina."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.synthetic.texture import chance, clouds, develop, draw_lines, mixed, walk

Path = tuple[NDArray[np.float64], NDArray[np.float64]]


def generate_vessels(height: int = 256, width: int = 256, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw a retina as a fundus camera sees it: a lit disc, the optic disc, arteries and veins, small lesions.

    The light differs from picture to picture; the thinnest vessels hardly differ from the ground.

    Args:
        height: pixels, 32 or more.
        width: pixels, 32 or more.
        seed: the same arguments give the same image.

    Returns:
        image: (height, width, 3) uint8 RGB.
        label: (height, width) uint8; 1 on vessels.

    Raises:
        InputError: the image is smaller than 32 pixels a side, or the seed below 0.

    Example:
        >>> image, label = generate_vessels(64, 96)
        >>> image.shape, sorted(np.unique(label).tolist())
        ((64, 96, 3), [0, 1])
    """
    rng = chance(height, width, seed)
    side = min(height, width)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    from_middle = np.hypot(rows - height / 2, columns - width / 2) / (side / 2)
    field = np.clip((0.97 - from_middle) * side / 4, 0, 1)
    left = rng.random() < 0.5
    disc = (height * rng.uniform(0.44, 0.56), width / 2 + side * rng.uniform(0.24, 0.3) * (-1 if left else 1))
    covered = draw_lines(height, width, _trees(disc, side, 0.0 if left else np.pi, rng)) * field

    base = np.array([rng.uniform(0.62, 0.8), rng.uniform(0.3, 0.4), rng.uniform(0.12, 0.2)], np.float32)
    light = rng.uniform(0.75, 1.1) - 0.3 * from_middle**2 + 0.1 * clouds(height, width, side / 4, rng)
    image = base * light[..., None] + 0.025 * clouds(height, width, 2, rng)[..., None]
    image = image + (0.04 * np.abs(clouds(height, width, side / 40 + 1, rng)))[..., None] * np.array(
        [1, 0.7, 0.3], np.float32
    )
    from_disc = np.hypot(rows - disc[0], columns - disc[1]) / (0.085 * side)
    image = mixed(image, (0.95, 0.78, 0.5), 0.8 * np.clip(1.5 - 1.5 * from_disc, 0, 1))
    image = _lesions(image, side, rng)
    dark = image * np.array([0.66, 0.4, 0.5], np.float32)
    image = mixed(image, dark, covered * np.clip(0.8 + 0.15 * clouds(height, width, side / 10, rng), 0.3, 1))
    return develop(image * field[..., None], rng, 0.6, 0.02), (covered > 0.5).astype(np.uint8)


def _trees(disc: tuple[float, float], side: float, outward: float, rng: np.random.Generator) -> list[Path]:
    """The vessels that leave the optic disc, each with its branches."""
    found: list[Path] = []
    thick = max(2.0, side / 64)
    for sign in (-1, 1):
        for spread in (0.45, 0.8, 1.3, 2.0):
            angle = outward + sign * spread + rng.normal(0, 0.12)
            _branch(disc, angle, -sign * 0.012, thick * rng.uniform(0.7, 1.1), side, found, rng)
    return found


def _branch(
    start: tuple[float, float], angle: float, bend: float, thick: float, side: float, found: list[Path],
    rng: np.random.Generator,
) -> None:  # fmt: skip
    if thick < 0.7:
        return
    steps = int(rng.uniform(0.1, 0.22) * side / 3) + 4
    points = walk(start, angle, steps, 0.07, rng, 3.0)
    turn = bend * np.arange(steps + 1)
    moves = np.diff(points, axis=0)
    turned = np.stack(
        [moves[:, 0] * np.cos(turn[1:]) + moves[:, 1] * np.sin(turn[1:]),
         moves[:, 1] * np.cos(turn[1:]) - moves[:, 0] * np.sin(turn[1:])], axis=1,
    )  # fmt: skip
    points = np.concatenate([points[:1], points[0] + np.cumsum(turned, axis=0)])
    found.append((points, np.linspace(thick, 0.85 * thick, len(points))))
    last = points[-1] - points[-2]
    onward = float(np.arctan2(last[0], last[1]))
    side_angle = rng.choice([-1, 1]) * rng.uniform(0.4, 0.9)
    end = (float(points[-1, 0]), float(points[-1, 1]))
    _branch(end, onward - 0.3 * side_angle, bend, 0.85 * thick, side, found, rng)
    _branch(end, onward + side_angle, -bend, rng.uniform(0.4, 0.65) * thick, side, found, rng)


def _lesions(image: NDArray, side: float, rng: np.random.Generator) -> NDArray:
    """Small bleedings and bright deposits, which are no vessels."""
    height, width = image.shape[:2]
    for colour in (0.4, 0.12, 0.08), (0.9, 0.75, 0.4):
        spots = np.zeros((height, width), np.float32)
        for _ in range(int(rng.integers(2, 9))):
            centre = int(rng.integers(width)), int(rng.integers(height))
            cv2.circle(spots, centre, int(max(1, side * rng.uniform(0.004, 0.014))), 1.0, -1)
        image = mixed(image, colour, 0.7 * cv2.GaussianBlur(spots, (0, 0), 1.0))
    return image
