"""Overlap-tile prediction of an image of any size."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from unet_tf.errors import InputError
from unet_tf.model.inference import network_of
from unet_tf.run import Run
from unet_tf.tiling import TURNS, Grid, Picture, default_tile, fit
from unet_tf.utils.memory import free_memory, parse_bytes
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.threads import ahead

TTA = {"none": (0,), "rotations": (0, 1, 2, 3), "all": tuple(TURNS)}
"""Test-time averaging: name -> turns of each tile whose probabilities are averaged."""
FREE_SHARE, MOST_PIXELS = 0.25, 2272**2
"""Share of the free memory that a tile may take, and its input pixels, where no budget is given: an image of 2048 px
with its halo. Larger ones save less than touching more memory costs (measured up to 4300 px)."""


def predict(
    model_or_run: keras.Model | Run | str | Path,
    image: Picture,
    tile: int | None = None,
    probabilities: bool = False,
    memory: int | str | None = None,
    tta: str = "none",
    on_tile: Progress = unseen,
) -> NDArray:
    """Segment one image of any size by the paper's overlap-tile strategy.

    The image is mirrored at its borders and cut into tiles whose outputs meet without overlap. Tile origins are
    multiples of 2**depth, where the poolings of all tiles fall together: so the result does not depend on the tile
    size, but for rounding: below 1e-5 in probability in float32, and to the bit where the tiles are the same; nets
    trained in bfloat16 predict in it, with two to three digits. That holds for "same" nets too, whose tiles are read
    with a halo wide enough that the zeros they pad with reach nothing that is kept.

    Args:
        model_or_run: a run folder, a `Run`, or a bare model built by `unet_tf.unet`.
        image: (H, W) or (H, W, C). For a run: raw pixels, as in its training files. For a bare model: normalised. It
            may be anything that can be sliced, such as a `numpy.memmap`.
        tile: largest input size of a tile, a legal one; None chooses the tiles that compute the fewest pixels within
            the memory. A model of fixed size has its own.
        probabilities: return the softmax instead of the class ids.
        memory: what a tile may take, bytes or such as "2GB"; None for a quarter of what is free, and no more than pays.
        tta: average the probabilities over turned tiles: "rotations", by 0, 90, 180 and 270 degrees, or "all", these
            and their mirror images. (The paper averages over 7 rotations and does not say which; right angles move
            pixels onto pixels.)
        on_tile: called with (tiles done, tiles in all) after each tile.

    Returns:
        (H, W) uint8 class ids, or (H, W, num_classes) float32 probabilities.

    Raises:
        InputError: the image is empty or does not fit the net, the tile is not legal, or the memory holds no tile.

    Example:
        >>> from unet_tf import unet
        >>> predict(unet(base_filters=4, depth=2), np.zeros((50, 70), np.float32)).shape
        (50, 70)

    Reference:
        Ronneberger, Fischer, Brox: U-Net (MICCAI 2015), section 2 and figure 2.
    """
    return Predictor(model_or_run, tta).predict(image, tile, probabilities, memory, on_tile)


class Predictor:
    """What predicts tiles: the net, the normalisation of its run, and the turns to average over.

    Args:
        model_or_run: as for `predict`.
        tta: as for `predict`.

    Raises:
        InputError: the run or its model cannot be used, or `tta` is unknown.
    """

    def __init__(self, model_or_run: keras.Model | Run | str | Path, tta: str = "none") -> None:
        if tta not in TTA:
            raise InputError(f"Test-time averaging is one of {', '.join(TTA)}; received {tta!r}.")
        self.turns = TTA[tta]
        self.run = None
        if isinstance(model_or_run, keras.Model):
            self.network = network_of(model_or_run)
        else:
            self.run = model_or_run if isinstance(model_or_run, Run) else Run(model_or_run)
            self.network = self.run.network

    def predict(
        self,
        image: Picture,
        tile: int | None = None,
        probabilities: bool = False,
        memory: int | str | None = None,
        on_tile: Progress = unseen,
        name: str = "the image",
    ) -> NDArray:
        """What `predict` does; `name` is what to call the image in an error."""
        image = self.checked(image, name)
        grid = self.grid((image.shape[0], image.shape[1]), tile, memory)
        shape = (*grid.shape, self.network.num_classes)
        result = np.empty(shape, np.float32) if probabilities else np.empty(shape[:2], np.uint8)
        tiles = ((image, number) for number in range(len(grid)))
        for number, found in enumerate(self.predict_tiles(tiles, grid, probabilities)):
            result[grid.place(number)] = found
            on_tile(number + 1, len(grid))
        return result

    def checked(self, image: Picture, name: str = "the image") -> Picture:
        """The image with an axis of channels.

        Raises:
            InputError: it has another number of axes or channels than the net takes, or another pixel type.
        """
        image = image if hasattr(image, "shape") else np.asarray(image)
        if len(image.shape) not in (2, 3) or not all(image.shape):
            raise InputError(f"An image is (H, W) or (H, W, C) with a pixel at least; received shape {image.shape}.")
        if len(image.shape) == 2:
            image = image[..., None]
        if self.run is not None:
            self.run.normalisation.check(image, name)
        elif image.shape[2] != self.network.channels:
            raise InputError(f"The net takes images of {self.network.channels} channels; received {image.shape[2]}.")
        return image

    def grid(self, shape: tuple[int, int], tile: int | None = None, memory: int | str | None = None) -> Grid:
        """How an image is cut.

        Args:
            shape: its height and width.
            tile: as for `predict`.
            memory: as for `predict`.
        """
        network, geometry = self.network, self.network.geometry
        if tile is not None or any(network.sizes):
            most = default_tile(geometry) if tile is None else tile
            return Grid(
                geometry,
                shape,
                *(
                    geometry.fixed_tiling(length, size) if size else geometry.tiling(length, most)
                    for length, size in zip(shape, network.sizes, strict=True)
                ),
            )
        most = self.pixels_within(memory_budget(memory))
        return fit(geometry, shape, min(most, MOST_PIXELS) if memory is None else most)

    def pixels_within(self, budget: float) -> int:
        """The largest tile, in pixels of the net's input, that so many bytes hold.

        Raises:
            InputError: they hold none.
        """
        smallest = self.network.geometry.min_tile
        needed = self.network.memory_needed(smallest**2)
        if budget < needed:
            raise InputError(
                f"A tile of {smallest}x{smallest} px, the smallest of this net, takes about {needed / 1e6:.0f} MB; "
                f"allowed are {budget / 1e6:.0f} MB. Give it more (--memory)."
            )
        return self.network.pixels_within(budget)

    def predict_tiles(
        self, tiles: Iterable[tuple[Picture, int]], grid: Grid, probabilities: bool = False
    ) -> Iterator[NDArray]:
        """What the net says of tiles, each a pure function of image, grid and number.

        Args:
            tiles: image (as `checked` gives it) and number of each; all images have one size.
            grid: how they are cut.
            probabilities: as for `predict`.

        Yields:
            (h, w) uint8 class ids or (h, w, num_classes) float32, of the size of the tile's place. The next tile is
            read while one is computed.
        """
        for number, windows in ahead(lambda tile: (tile[1], self._windows(*tile, grid)), tiles):
            if len(windows) == 1 and not probabilities:
                yield grid.own(self.network.label(windows[0]), number)
                continue
            mean: NDArray = np.float32(0)  # type: ignore[assignment]
            for turn, window in zip(self.turns, windows, strict=True):
                mean = mean + grid.own(self.network.probabilities(window), number, turn) / np.float32(len(windows))
            yield mean if probabilities else mean.argmax(-1).astype(np.uint8)

    def _windows(self, image: Picture, number: int, grid: Grid) -> list[NDArray[np.float32]]:
        """The net's input for a tile, once a turn."""
        windows = [grid.window(image, number, turn) for turn in self.turns]
        if windows[0].dtype.kind == "f" and not np.isfinite(windows[0]).all():
            rows, columns = grid.place(number)
            raise InputError(
                f"Around rows {rows.start} to {rows.stop}, columns {columns.start} to {columns.stop} the image holds "
                "values that are not finite (NaN or infinite). Replace them."
            )
        if self.run is None:
            return [np.asarray(window, np.float32) for window in windows]
        return [self.run.normalisation.scale(window) for window in windows]


@functools.lru_cache(maxsize=1)
def predictor_of(run: str, tta: str, model: str) -> Predictor:
    """The predictor of a run folder, loaded once a process.

    Args:
        run: path of the folder.
        tta: as for `predict`.
        model: `Run.model_hash`, so that an earlier net of the same folder is not taken for it.
    """
    return Predictor(run, tta)


def memory_budget(memory: int | str | None) -> float:
    """Bytes that a tile may take: `memory`, such as "2GB", or a share of what is free."""
    return free_memory() * FREE_SHARE if memory is None else parse_bytes(memory)
