"""Generated electron microscopy: neurites parted by dark membranes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.errors import InputError
from unet_tf.synthetic.texture import chance, clouds, develop


def generate_membranes(
    height: int = 256, width: int = 256, seed: int = 0, spacing: float = 34.0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw a section through neurites as an electron microscope sees it.

    Membranes are dark, blurred where they are cut aslant, and in places nearly gone; mitochondria and vesicles inside
    are as dark as they are, so that a threshold finds both.

    Args:
        height: pixels, 32 or more.
        width: pixels, 32 or more.
        seed: the same arguments give the same image.
        spacing: mean distance of neighbouring neurites, pixels, from 1 to twice the longer side.

    Returns:
        image: (height, width) uint8.
        label: (height, width) uint8; 1 inside of neurites, 0 on membranes, as in the ISBI 2012 challenge.

    Raises:
        InputError: the image is smaller than 32 pixels a side, the seed below 0, or the spacing out of bounds.

    Example:
        >>> image, label = generate_membranes(64, 96)
        >>> image.shape, sorted(np.unique(label).tolist())
        ((64, 96), [0, 1])
    """
    rng = chance(height, width, seed)
    most = 2 * max(height, width)
    if not 1 <= spacing <= most:
        raise InputError(
            f"Neurites must have a mean distance of 1 to {most} px in an image of {height}x{width}; received {spacing}."
        )
    ids = _cut(height, width, spacing, rng)
    edge = np.zeros((height, width), bool)
    edge[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    edge[:-1] |= ids[:-1] != ids[1:]
    from_edge = cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, 5)
    half = 1.4 + 0.7 * np.clip(clouds(height, width, 12, rng), -1, 1.5)  # half of the membrane's width, pixels
    label = (from_edge > half).astype(np.uint8)

    faint = np.clip(0.85 + 0.35 * clouds(height, width, 14, rng), 0.25, 1)
    membrane = faint * np.exp(-((from_edge / (half + 0.6)) ** 2))
    own = rng.uniform(-0.06, 0.06, int(ids.max()) + 1).astype(np.float32)[ids]
    image = 0.66 + own + 0.05 * clouds(height, width, 1.2, rng) + 0.05 * clouds(height, width, 5, rng)
    image += 0.04 * clouds(height, width, max(height, width) / 3, rng)
    organelles, depth = _organelles(height, width, from_edge, rng)
    image = image - 0.3 * organelles * depth - 0.47 * membrane * (1 - 0.3 * organelles)
    return develop(image, rng, 0.8, 0.045), label


def _cut(height: int, width: int, spacing: float, rng: np.random.Generator) -> NDArray[np.int32]:
    """(height, width) numbers of neurites: regions nearest to points, warped, many of them long."""
    room = int(2 * spacing)
    tall, wide = height + 2 * room, width + 2 * room
    points = np.ones((tall, wide), np.uint8)
    count = max(4, int(tall * wide / spacing**2))
    points[rng.integers(0, tall, count), rng.integers(0, wide, count)] = 0
    _, ids = cv2.distanceTransformWithLabels(points, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    bend = 0.55 * spacing
    rows += room + bend * clouds(height, width, spacing, rng) + 0.08 * spacing * clouds(height, width, 6, rng)
    columns += room + bend * clouds(height, width, spacing, rng) + 0.08 * spacing * clouds(height, width, 6, rng)
    found = cv2.remap(ids.astype(np.float32), columns, rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
    return found.astype(np.int32)


def _organelles(height: int, width: int, from_edge: NDArray, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Where mitochondria and vesicles lie, (height, width) in [0, 1], and how dark they are there."""
    canvas = np.zeros((height, width), np.float32)
    for _ in range(height * width // 1600):
        y, x = int(rng.integers(height)), int(rng.integers(width))
        room = float(from_edge[y, x])
        large = room > 9 and rng.random() < 0.5
        if not large and (room < 4 or rng.random() < 0.5):
            continue
        axes = (int(0.75 * room), max(3, int(room * rng.uniform(0.4, 0.65)))) if large else (2, 2)
        cv2.ellipse(canvas, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    inside = cv2.distanceTransform((canvas > 0).astype(np.uint8), cv2.DIST_L2, 5)
    rim = np.exp(-((inside - 1) ** 2) / 2)
    stripes = 0.5 + 0.5 * np.sin(2.2 * inside + 2 * clouds(height, width, 4, rng))
    return cv2.GaussianBlur(canvas, (0, 0), 0.8), (0.55 + 0.45 * rim + 0.3 * stripes).astype(np.float32)
