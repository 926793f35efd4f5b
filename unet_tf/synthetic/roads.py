"""Generated aerial photographs: roads between fields, houses and trees."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.synthetic.texture import chance, clouds, develop, draw_lines, mixed, walk

GROUND = np.array(
    [[0.36, 0.42, 0.2], [0.48, 0.45, 0.28], [0.3, 0.36, 0.18], [0.55, 0.5, 0.38], [0.42, 0.47, 0.25]], np.float32
)
"""Colours of fields."""
ROOFS = np.array([[0.55, 0.32, 0.26], [0.5, 0.48, 0.47], [0.42, 0.3, 0.27], [0.62, 0.6, 0.58]], np.float32)


def generate_roads(height: int = 256, width: int = 256, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw a landscape from above: a network of roads, grey as roofs and bare fields are, in part under trees.

    Args:
        height: pixels, 32 or more.
        width: pixels, 32 or more.
        seed: the same arguments give the same image.

    Returns:
        image: (height, width, 3) uint8 RGB.
        label: (height, width) uint8; 1 on roads, also under the trees beside them.

    Raises:
        InputError: the image is smaller than 32 pixels a side, or the seed below 0.

    Example:
        >>> image, label = generate_roads(64, 96)
        >>> image.shape, sorted(np.unique(label).tolist())
        ((64, 96, 3), [0, 1])
    """
    rng = chance(height, width, seed)
    paths = _network(height, width, rng)
    covered = draw_lines(height, width, paths)
    image = _fields(height, width, rng)
    image = _houses(image, paths, covered, rng)
    asphalt = (0.5 + 0.05 * clouds(height, width, 1.5, rng) + 0.04 * clouds(height, width, 12, rng))[..., None]
    image = mixed(image, asphalt * np.array([1, 0.98, 0.96], np.float32), covered)
    image = _trees(image, covered, rng)
    light = 1 + 0.06 * clouds(height, width, max(height, width) / 3, rng)
    return develop(image * light[..., None], rng, 0.6, 0.02), (covered > 0.5).astype(np.uint8)


def _network(height: int, width: int, rng: np.random.Generator) -> list[tuple[NDArray, NDArray]]:
    """Two or three main roads across the picture, and lanes that leave them."""
    paths = []
    steps = int(1.6 * max(height, width) / 6)
    for across in (True, False, rng.random() < 0.5):
        start = (rng.uniform(0.15, 0.85) * height, -4.0) if across else (-4.0, rng.uniform(0.15, 0.85) * width)
        angle = (0 if across else np.pi / 2) + rng.normal(0, 0.15)
        main = walk(start, angle, steps, 0.035, rng, 6.0)
        thick = rng.uniform(6, 9)
        paths.append((main, np.full(len(main), thick)))
        for place in rng.integers(2, len(main), 3):
            lane = walk(tuple(main[place]), angle + rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.15),
                        int(rng.uniform(0.2, 0.7) * steps), 0.05, rng, 6.0)  # fmt: skip
            paths.append((lane, np.full(len(lane), 0.6 * thick)))
    return paths


def _fields(height: int, width: int, rng: np.random.Generator) -> NDArray:
    """Fields of several colours, each with furrows of its own direction."""
    seeds = np.ones((height, width), np.uint8)
    count = max(3, height * width // 9000)
    seeds[rng.integers(0, height, count), rng.integers(0, width, count)] = 0
    _, ids = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L1, 3, labelType=cv2.DIST_LABEL_PIXEL)
    number = int(ids.max()) + 1
    colours = GROUND[rng.integers(0, len(GROUND), number)] * rng.uniform(0.85, 1.15, (number, 1)).astype(np.float32)
    angles, waves = rng.uniform(0, np.pi, number)[ids], rng.uniform(0.5, 1.4, number)[ids]
    rows, columns = np.mgrid[:height, :width]
    furrows = np.sin(waves * (rows * np.sin(angles) + columns * np.cos(angles)))
    ground = colours[ids] + (0.018 * furrows + 0.03 * clouds(height, width, 2, rng))[..., None]
    return (ground + 0.02 * clouds(height, width, 15, rng)[..., None]).astype(np.float32)


def _houses(
    image: NDArray, paths: list[tuple[NDArray, NDArray]], covered: NDArray, rng: np.random.Generator
) -> NDArray:
    """Roofs along the roads, with their shadows."""
    height, width = covered.shape
    road = covered > 0
    for points, widths in paths:
        for place in range(2, len(points) - 1, 3):
            if rng.random() < 0.45:
                continue
            along = points[place + 1] - points[place]
            across = np.array([along[1], -along[0]]) / np.hypot(*along) * rng.choice([-1, 1])
            long, short = rng.uniform(9, 16), rng.uniform(7, 11)
            y, x = points[place] + across * (widths[place] / 2 + short / 2 + rng.uniform(3, 7))
            turn = float(np.degrees(np.arctan2(along[0], along[1])))
            box = cv2.boxPoints(((float(x), float(y)), (long, short), turn))
            roof, shadow = (np.zeros((height, width), np.uint8) for _ in range(2))
            cv2.fillPoly(roof, [np.rint(box).astype(np.int32)], 1)
            if (roof & road).any() or not roof.any():
                continue
            cv2.fillPoly(shadow, [np.rint(box + 2.5).astype(np.int32)], 1)
            image = mixed(image, 0.4 * image, 0.8 * shadow)
            tone = ROOFS[rng.integers(len(ROOFS))] * rng.uniform(0.85, 1.15)
            ridge = (np.mgrid[:height, :width][0] - y) * np.cos(np.radians(turn)) > (
                np.mgrid[:height, :width][1] - x
            ) * np.sin(np.radians(turn))
            image = mixed(image, tone * np.where(ridge, 1.0, 0.8)[..., None], roof.astype(np.float32))
    return image


def _trees(image: NDArray, covered: NDArray, rng: np.random.Generator) -> NDArray:
    """Crowns in groves and along the roads, some of them over a road."""
    height, width = covered.shape
    groves = clouds(height, width, 14, rng)
    near = cv2.dilate(covered, np.ones((13, 13), np.uint8)) - covered
    chance = np.clip(groves - 1.1, 0, 1) + 0.25 * near
    crowns, shadows = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for _ in range(height * width // 40):
        y, x = int(rng.integers(height)), int(rng.integers(width))
        if rng.random() < 0.5 * chance[y, x]:
            radius = int(rng.integers(2, 6))
            cv2.circle(shadows, (x + 2, y + 2), radius, 1.0, -1)
            cv2.circle(crowns, (x, y), radius, float(rng.uniform(0.6, 1)), -1)
    image = mixed(image, 0.45 * image, 0.7 * shadows)
    green = np.array([0.14, 0.24, 0.1], np.float32) * (
        crowns[..., None] + 0.12 * clouds(height, width, 1, rng)[..., None]
    )
    return mixed(image, green, (crowns > 0).astype(np.float32))
