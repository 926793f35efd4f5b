"""Generated microscopy of touching cells, with the truth known for each cell: the data of the demo and the tests."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.instances import label_from_instances
from unet_tf.errors import InputError
from unet_tf.synthetic.texture import chance, clouds


def generate_cells(
    height: int = 256, width: int = 256, seed: int = 0, radius: float = 16.0, density: float = 0.75
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Draw one image of crowded cells as a phase-contrast-like camera would see it.

    Cells are deformed discs in clusters that touch but never overlap. Their grey values overlap with those of the
    background, which has an uneven illumination, and of out-of-focus debris; so no threshold segments them.

    Args:
        height: pixels, 32 or more.
        width: pixels, 32 or more.
        seed: the same arguments give the same image.
        radius: mean cell radius, pixels, from 1 to the longer side.
        density: cells aimed at, as a share of those that would cover the image; above 0, and 10 at most.

    Returns:
        image: (height, width) uint8.
        instances: (height, width) uint16 cell ids, 1 .. n without gaps, 0 for background.

    Raises:
        InputError: the image is smaller than 32 pixels a side, the seed below 0, or radius or density out of bounds.

    Example:
        >>> image, instances = generate_cells(128, 160, seed=3)
        >>> image.shape, image.dtype, instances.shape, instances.dtype
        ((128, 160), dtype('uint8'), (128, 160), dtype('uint16'))
    """
    rng = chance(height, width, seed)
    most = max(height, width)
    if not (1 <= radius <= most and 0 < density <= 10):
        raise InputError(
            f"Cells in an image of {height}x{width} need a radius of 1 to {most} px, and a density above 0, and 10 at "
            f"most; received radius {radius}, density {density}."
        )
    instances = _place_cells(height, width, radius, density, rng)
    return _photograph(instances, rng), instances


def _place_cells(
    height: int, width: int, radius: float, density: float, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """Grow clusters: most cells are put beside an earlier one so that they touch; pixels already taken stay taken."""
    instances = np.zeros((height, width), np.uint16)
    centres: list[tuple[float, float, float]] = []
    for _ in range(int(density * height * width / (np.pi * radius**2))):
        size = radius * rng.uniform(0.7, 1.25)
        if centres and rng.random() < 0.7:
            y, x, other = centres[rng.integers(len(centres))]
            angle = rng.uniform(0, 2 * np.pi)
            distance = 0.95 * (size + other)
            y, x = y + distance * np.sin(angle), x + distance * np.cos(angle)
        else:
            y, x = rng.uniform(0, height), rng.uniform(0, width)
        if any((y - b) ** 2 + (x - a) ** 2 < (0.8 * (size + other)) ** 2 for b, a, other in centres):
            continue
        outline = _outline(y, x, size, rng)
        shape = np.zeros_like(instances)
        cv2.fillPoly(shape, [outline], 1)
        free = (shape == 1) & (instances == 0)
        if free.sum() > 0.5 * np.pi * size**2:
            centres.append((y, x, size))
            instances[free] = len(centres)
    return instances


def _outline(y: float, x: float, size: float, rng: np.random.Generator) -> NDArray[np.int32]:
    """A disc with four random harmonics and an aspect ratio, as a closed polygon of (x, y)."""
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radii = np.full_like(angles, size)
    for harmonic in range(2, 6):
        radii += size * 0.22 / harmonic * rng.normal() * np.cos(harmonic * angles + rng.uniform(0, 2 * np.pi))
    points = np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], axis=1)
    return np.rint(points).astype(np.int32)


def _photograph(instances: NDArray[np.uint16], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Light the cells: own brightness and texture, bright rim, dark seams, uneven field, debris, blur, photon noise."""
    height, width = instances.shape
    label = label_from_instances(instances)
    inside = cv2.distanceTransform((instances > 0).astype(np.uint8), cv2.DIST_L2, 3)
    own = np.concatenate([[0.0], rng.uniform(0.0, 0.16, int(instances.max()))]).astype(np.float32)[instances]
    texture = clouds(height, width, 3, rng) * (instances > 0)
    debris = np.maximum(clouds(height, width, 9, rng) - 1.2, 0) * (instances == 0)
    rim = np.exp(-((inside - 2.5) ** 2) / 4) * (instances > 0)
    seam = ((instances > 0) & (label == 0)).astype(np.float32)
    field = 0.12 * clouds(height, width, max(height, width) / 3, rng)
    image = 0.38 + field + own + 0.05 * texture + 0.12 * debris + 0.13 * rim - 0.22 * seam
    image = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0)
    image += rng.normal(0, 0.03, image.shape) * np.sqrt(np.maximum(image, 0.05) / 0.4)
    return (255 * np.clip(image, 0, 1)).astype(np.uint8)
