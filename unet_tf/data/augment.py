"""Random tiles: one (image, label, weight) triple in, one augmented tile out, every geometric step in one warp."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.geometry import mirror_index


@dataclass(frozen=True)
class Augmentation:
    """How far training tiles differ from the files. All zero and False: tiles as they are.

    Attributes:
        flips: mirror each axis with probability one half.
        rotation: largest turn to either side, degrees.
        scale: largest change of size to either side, as a share.
        elastic: standard deviation of the vectors on the coarse 3x3 grid, pixels; 10 in the paper.
        contrast: largest change of contrast to either side, as a share.
        brightness: largest change of brightness to either side, in standard deviations of the training images.
    """

    flips: bool = True
    rotation: float = 0.0
    scale: float = 0.0
    elastic: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0

    @property
    def warps(self) -> bool:
        """Whether pixels move by other than whole steps, so that values are interpolated."""
        return bool(self.rotation or self.scale or self.elastic)


def random_tile(
    image: NDArray,
    label: NDArray[np.uint8],
    weight: NDArray[np.float32],
    input_size: int,
    output_size: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
    """Cut one training tile at a random place.

    The centre is uniform over the pixels, and what lies outside the image is its mirror image, for label and weight
    too: so pixels near a border are drawn as often as others (but for the outermost row, which a mirror does not
    repeat). Image and weight are interpolated linearly, the
    label takes the nearest pixel's id and never a new one.

    Args:
        image: (H, W, C), any real type.
        label: (H, W) ids.
        weight: (H, W).
        input_size: side of the image tile, halo included.
        output_size: side of the label and weight tile, centred in the image tile.
        augmentation: what may change.
        rng: the only source of chance: equal generators give equal tiles.

    Returns:
        image (input_size, input_size, C) float32, label (output_size, output_size) uint8, weight likewise float32.

    Reference:
        Ronneberger, Fischer, Brox: U-Net (MICCAI 2015), sections 2 and 3.1.
    """
    height, width = label.shape
    centre = int(rng.integers(0, height)), int(rng.integers(0, width))
    flip = rng.integers(0, 2, 2) == 1 if augmentation.flips else np.zeros(2, bool)
    margin = (input_size - output_size) // 2
    inner = np.s_[margin : margin + output_size, margin : margin + output_size]
    if augmentation.warps:
        rows, columns = _warp_maps(centre, flip, input_size, augmentation, rng)
        tile = _warp(image, rows, columns, cv2.INTER_LINEAR)
        label_tile = _warp(label, rows[inner], columns[inner], cv2.INTER_NEAREST)
        weight_tile = _warp(weight, rows[inner], columns[inner], cv2.INTER_LINEAR)
    else:
        origin = centre[0] - input_size // 2, centre[1] - input_size // 2
        y = mirror_index(origin[0], origin[0] + input_size, height)[:: -1 if flip[0] else 1]
        x = mirror_index(origin[1], origin[1] + input_size, width)[:: -1 if flip[1] else 1]
        tile = image[np.ix_(y, x)].astype(np.float32)
        label_tile, weight_tile = (picture[np.ix_(y[inner[0]], x[inner[1]])] for picture in (label, weight))
    return tile, label_tile, weight_tile


def vary_grey_values(
    tile: NDArray[np.float32], augmentation: Augmentation, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Change contrast and brightness of a normalised (H, W, C) tile, all channels alike."""
    if not (augmentation.contrast or augmentation.brightness):
        return tile
    gain = np.float32(1 + augmentation.contrast * rng.uniform(-1, 1))
    return tile * gain + np.float32(augmentation.brightness * rng.uniform(-1, 1))


def elastic_displacement(size: int, grid: NDArray[np.float32]) -> NDArray[np.float32]:
    """Displacement of each pixel from vectors on a coarse grid over the tile, by bicubic interpolation.

    The grid's outer vectors sit on the border pixels; the bicubic spline is mirrored there, so it has slope 0.

    Args:
        size: side of the tile, pixels.
        grid: (3, 3) displacements along one axis, pixels.

    Returns:
        (size, size) float32.

    Example:
        >>> field = elastic_displacement(5, np.array([[0, 0, 0], [0, 8, 0], [0, 0, 0]], np.float32))
        >>> field[2].tolist()
        [0.0, 4.0, 8.0, 4.0, 0.0]
    """
    basis = _spline_basis(size)
    return basis @ grid.astype(np.float32) @ basis.T


@functools.lru_cache(maxsize=8)
def _spline_basis(size: int) -> NDArray[np.float32]:
    """(size, 3): what each of three knots at 0, 1/2, 1 adds to each pixel of a cubic spline with end slopes 0."""
    u = np.linspace(0, 2, size)
    t = u - (u > 1)
    rise = t * t * (3 - 2 * t)  # Hermite: value of the right knot
    slope_left, slope_right = t * (1 - t) ** 2, t * t * (t - 1)  # Hermite: slopes
    # Both cubics have the same curvature in the middle if the slope there is 3/4 (right - left).
    slope = 0.75 * np.where(u <= 1, slope_right, slope_left)
    left = np.where(u <= 1, 1 - rise, 0) - slope
    right = np.where(u <= 1, 0, rise) + slope
    return np.stack([left, 1 - left - right, right], axis=1).astype(np.float32)


def _warp_maps(
    centre: tuple[int, int], flip: NDArray, size: int, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Source row and column of each tile pixel, (size, size) each: flip, turn, scale, bend, then shift, in one."""
    angle = math.radians(augmentation.rotation) * rng.uniform(-1, 1)
    zoom = 1 + augmentation.scale * rng.uniform(-1, 1)
    cosine, sine = math.cos(angle) / zoom, math.sin(angle) / zoom
    signs = np.where(flip, -1.0, 1.0)
    offset = np.arange(size, dtype=np.float32) - np.float32(size // 2)
    maps = []
    for axis, (a, b) in enumerate(((cosine, -sine), (sine, cosine))):
        # One outer sum an axis: cheaper than a matrix product over all pixels.
        source = np.add.outer(np.float32(a * signs[0]) * offset, np.float32(b * signs[1]) * offset)
        if augmentation.elastic:
            source += elastic_displacement(size, rng.normal(0, augmentation.elastic, (3, 3)).astype(np.float32))
        source += np.float32(centre[axis])
        maps.append(source)
    return maps[0], maps[1]


def _warp(picture: NDArray, rows: NDArray[np.float32], columns: NDArray[np.float32], interpolation: int) -> NDArray:
    """Sample a picture at fractional places; outside of it, its mirror image."""
    top, bottom = math.floor(rows.min()) - 1, math.ceil(rows.max()) + 2
    left, right = math.floor(columns.min()) - 1, math.ceil(columns.max()) + 2
    # Only the window that is read: OpenCV stops at 32767 px a side, and mirrors just near the border.
    if top >= 0 and left >= 0 and bottom <= picture.shape[0] and right <= picture.shape[1]:
        window = picture[top:bottom, left:right]
    else:
        rows_read = mirror_index(top, bottom, picture.shape[0])
        window = picture[np.ix_(rows_read, mirror_index(left, right, picture.shape[1]))]
    if interpolation == cv2.INTER_LINEAR:
        window = window.astype(np.float32)
    warped = cv2.remap(
        window, columns - np.float32(left), rows - np.float32(top), interpolation, borderMode=cv2.BORDER_REPLICATE
    )
    return warped if warped.ndim == picture.ndim else warped[..., None]
