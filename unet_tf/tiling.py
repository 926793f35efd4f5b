"""An image cut into the tiles that a net predicts: where they lie, what it reads for each, what of its output counts.

NumPy only, for runtimes without TensorFlow too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unet_tf.errors import InputError
from unet_tf.geometry import Geometry, Tiling

MAX_TILE = 1000
"""Largest side of a tile, pixels, where no budget of memory decides: below 3 GB with 64 base filters."""
TURNS = range(8)
"""Number of a turn: so many quarter turns, and from 4 on mirrored before them."""


class Picture(Protocol):
    """An image that can be sliced: an array, a `numpy.memmap`, a plane of a zarr array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W) or (H, W, C)."""

    @property
    def dtype(self) -> np.dtype:
        """Type of its pixels."""

    def __getitem__(self, window: Any) -> Any:
        """An array of the pixels in slices of rows and columns."""


def is_sliceable(image: Any) -> bool:
    """Whether NumPy knows the type of the pixels, as of all that gives arrays; not of a tensor or a list."""
    try:
        np.dtype(image.dtype)
    except (AttributeError, TypeError):
        return False
    return True


class Grey:
    """An (H, W) image that can be sliced alone, as a zarr array, with the axis of its one channel.

    Args:
        image: (H, W).

    Example:
        >>> Grey(np.zeros((4, 5)))[:2, :3].shape
        (2, 3, 1)
    """

    def __init__(self, image: Picture) -> None:
        self.image, self.shape, self.dtype = image, (*image.shape, 1), image.dtype

    def __getitem__(self, window: Any) -> NDArray:
        return np.asarray(self.image[window])[..., None]


def with_channels(image: Any) -> Picture:
    """(H, W, C) of an image that is that, or (H, W): what can be sliced, or a tensor or list, which becomes an array.

    Raises:
        InputError: it has another number of axes, or no pixel; or is a path.
    """
    if isinstance(image, str | os.PathLike):
        raise InputError(
            "An image must be (H, W) or (H, W, C) with a pixel at least; received the path "
            f"{os.fspath(image)}. unet_tf.read_image reads a picture, and unet_tf.predict_files predicts files."
        )
    image = image if is_sliceable(image) else np.asarray(image)
    if len(image.shape) not in (2, 3) or not all(image.shape):
        raise InputError(f"An image must be (H, W) or (H, W, C) with a pixel at least; received {image.shape}.")
    if len(image.shape) == 3:
        return image
    return image[..., None] if isinstance(image, np.ndarray) else Grey(image)


@dataclass(frozen=True)
class Grid:
    """The tiles of an image, numbered row by row from the top left; they cover it without overlap.

    Args:
        geometry: of the net.
        shape: height and width of the image, pixels.
        rows: how the height is cut.
        columns: how the width is cut.

    Example:
        >>> grid = cut(Geometry(), (1000, 700), max_tile=572)
        >>> len(grid), grid.tile, grid.place(3)
        (6, (524, 540), (slice(336, 672, None), slice(352, 700, None)))
    """

    geometry: Geometry
    shape: tuple[int, int]
    rows: Tiling
    columns: Tiling

    def __len__(self) -> int:
        return len(self.rows.origins) * len(self.columns.origins)

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width that the net reads for a tile."""
        return self.rows.input_size, self.columns.input_size

    @property
    def step(self) -> tuple[int, int]:
        """Height and width of the image that a tile contributes."""
        return self.rows.step, self.columns.step

    def origin(self, number: int) -> tuple[int, int]:
        """First row and column of a tile's output in the image."""
        row, column = divmod(number, len(self.columns.origins))
        return self.rows.origins[row], self.columns.origins[column]

    def place(self, number: int) -> tuple[slice, slice]:
        """The part of the image that a tile contributes."""
        (top, left), (height, width) = self.origin(number), self.shape
        return slice(top, min(top + self.rows.step, height)), slice(left, min(left + self.columns.step, width))

    def window(self, image: Picture, number: int, turn: int = 0) -> NDArray:
        """What the net reads for a tile, mirrored outside of the image.

        Args:
            image: (H, W) or (H, W, C); anything that can be sliced, such as a zarr array.
            number: of the tile.
            turn: one of `TURNS`. A window starts on the pooling grid however it is turned: the pixels beyond whole
                cells of it (572 px give 388, of which 384 are whole cells) are read on the other side then.

        Returns:
            (h, w) or (h, w, C), a copy; h and w are `tile`, or exchanged by an odd number of quarter turns.
        """
        halo, beyond = self.geometry.halo, self._beyond
        origin = [start - halo - more for start, more in zip(self.origin(number), beyond, strict=True)]
        sizes = [size + more for size, more in zip(self.tile, beyond, strict=True)]
        window = turned(read_window(image, origin, sizes), turn)
        first = beyond[::-1] if turn % 2 else beyond
        return window[first[0] :, first[1] :]

    def own(self, output: NDArray, number: int, turn: int = 0) -> NDArray:
        """The part of the net's output for a window that belongs to the tile's place, turned back."""
        margin, sizes = self.geometry.margin, self.step[::-1] if turn % 2 else self.step
        whole = turned_back(output[margin : margin + sizes[0], margin : margin + sizes[1]], turn)
        height, width = (part.stop - part.start for part in self.place(number))
        return whole[:height, :width]

    @property
    def _beyond(self) -> list[int]:
        """Pixels that the net reads behind the halo of the last whole cell."""
        return [t.input_size - t.step - 2 * self.geometry.halo for t in (self.rows, self.columns)]


def cut(geometry: Geometry, shape: tuple[int, int], max_tile: int) -> Grid:
    """The fewest equal tiles whose sides do not exceed `max_tile` input pixels."""
    return Grid(geometry, shape, *(geometry.tiling(length, max_tile) for length in shape))


def fixed(geometry: Geometry, shape: tuple[int, int], tile: tuple[int, int]) -> Grid:
    """Tiles of exactly `tile` input pixels, as a net of static size needs."""
    return Grid(geometry, shape, *map(geometry.fixed_tiling, shape, tile))


def fit(geometry: Geometry, shape: tuple[int, int], most_pixels: int) -> Grid:
    """The tiles of at most `most_pixels` input pixels that together compute the fewest pixels; few of them, if equal.

    Raises:
        InputError: `most_pixels` is less than the smallest tile has.

    Example:
        >>> fit(Geometry(), (2048, 2048), most_pixels=1500**2).tile  # four of them, as it would be of 1500
        (1212, 1212)
    """
    best: tuple[int, int, Grid] | None = None
    smallest = geometry.min_tile
    step = 0
    for count in range(1, -(-shape[0] // geometry.stride) + 1):
        before, step = step, -(-shape[0] // (count * geometry.stride)) * geometry.stride
        height = geometry.window_size(step)
        halos = -(-shape[0] // step) * (height - step)  # grows with the count
        if best is not None and (shape[0] + halos) * shape[1] > best[0]:
            break
        if step == before or most_pixels < smallest * height:
            continue
        rows = geometry.fixed_tiling(shape[0], height)
        columns = geometry.tiling(shape[1], geometry.nearest_legal(most_pixels // rows.input_size)[0])
        tiles = len(rows.origins) * len(columns.origins)
        computed = tiles * rows.input_size * columns.input_size
        if best is None or (computed, tiles) < best[:2]:
            best = computed, tiles, Grid(geometry, shape, rows, columns)
    if best is None:
        raise InputError(
            f'A budget must hold the smallest tile of a net of depth {geometry.depth}, "{geometry.padding}", which has '
            f"{smallest}x{smallest} input pixels; received {most_pixels}."
        )
    return best[2]


def default_tile(geometry: Geometry) -> int:
    """The largest legal input size up to `MAX_TILE`, or the smallest that a deep net can predict with."""
    return max(geometry.nearest_legal(MAX_TILE)[0], geometry.min_tile)


def turned(picture: NDArray, turn: int) -> NDArray:
    """An (H, W) or (H, W, C) array mirrored left to right from turn 4 on, then by turn % 4 quarter turns."""
    return np.rot90(picture[:, ::-1] if turn >= 4 else picture, turn % 4)


def turned_back(picture: NDArray, turn: int) -> NDArray:
    """The inverse of `turned`."""
    back = np.rot90(picture, -(turn % 4))
    return back[:, ::-1] if turn >= 4 else back


def mirror_index(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """Indices into an axis of `size` pixels for the positions `start .. stop - 1`, mirrored outside of it.

    The edge is not repeated, as in `np.pad(mode="reflect")`; unlike there, any distance is allowed, for one pixel too.

    Example:
        >>> mirror_index(-3, 7, 4).tolist()
        [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]
    """
    if size < 1:
        raise InputError(f"An axis to mirror must have at least 1 pixel; received {size}.")
    period = max(1, 2 * (size - 1))
    index = np.arange(start, stop) % period
    return np.minimum(index, period - index) if size > 1 else index


def read_window(image: Picture, origin: Sequence[int], sizes: Sequence[int]) -> NDArray:
    """Cut what the net reads for one tile out of an image, mirrored outside of it.

    Args:
        image: (H, W, C) or (H, W); anything that can be sliced, of which only the window is read.
        origin: (row, column) of the first pixel that is read.
        sizes: (rows, columns) that the net reads, halo included.

    Returns:
        (rows, columns, C) or (rows, columns), of the image's type.
    """
    rows, columns = (
        mirror_index(start, start + size, length)
        for start, size, length in zip(origin, sizes, image.shape[:2], strict=True)
    )
    top, left = rows.min(), columns.min()
    inside = np.asarray(image[top : rows.max() + 1, left : columns.max() + 1])
    return inside.take(rows - top, axis=0).take(columns - left, axis=1)  # four times as fast as np.ix_


def run_tiles(
    net: Callable[[NDArray], NDArray], image: NDArray, grid: Grid
) -> Iterator[tuple[tuple[slice, slice], NDArray]]:
    """Run a net over the tiles of an image, top left first.

    Args:
        net: (h, w, C) window of `grid.tile` -> (h', w', K), the net's whole output for it.
        image: (H, W, C).
        grid: how it is cut.

    Yields:
        A tile's place in the image, and what the net gives there; the places cover the image without overlap.
    """
    for number in range(len(grid)):
        yield grid.place(number), grid.own(net(grid.window(image, number)), number)
