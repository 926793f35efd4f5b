"""A net of one static tile on pictures of any size, whatever runs the tile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.edge.description import Description
from unet_tf.errors import InputError
from unet_tf.tiling import Grid, Picture, fixed, with_channels
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look

NOT_FINITE = "A net must give finite probabilities; this one gives NaN or infinity. Export again."
"""What is said instead of a mask, which would mean nothing."""


class TiledNet(ABC):
    """A net of one static tile, or of any, on pictures of any size. A subclass opens its file and runs a tile of it.

    Attributes:
        description: what the file says of itself.
        where: what computes, in words.
        library: that computes.
        static: whether a tile of its own size is all that it takes.
        scales: what one step of an output that is quantised is worth, and which step is zero; by the output's name.
    """

    description: Description
    where: str
    library: str
    static: bool = True
    scales: Mapping[str, tuple[float, int]] = MappingProxyType({})

    @abstractmethod
    def run(self, window: NDArray) -> dict[str, NDArray]:
        """Run one tile.

        Args:
            window: (h, w, C) raw pixels: a tile of `grid`.

        Returns:
            The outputs as they come: `mask` (output, output) and `probabilities` (output, output, num_classes).
        """

    def grid(self, shape: tuple[int, int]) -> Grid:
        """Cut an image of this height and width into tiles."""
        return fixed(self.description.geometry, shape, (self.description.tile, self.description.tile))

    def real(self, output: str, steps: NDArray) -> NDArray:
        """The values of an output, where it is quantised; else itself."""
        scale, zero = self.scales.get(output, (0.0, 0))
        return (steps.astype(np.float32) - zero) * np.float32(scale) if scale else steps

    def label(
        self,
        image: Picture,
        out: Any = None,
        on_tile: Progress = unseen,
        nodata: Sequence[float] = (),
    ) -> Any:
        """Class ids of an image.

        Args:
            image: (H, W) or (H, W, C) raw pixels, or a `MappedArray`.
            out: (H, W) to be filled, an array or a `MappedArray`; None for a new array.
            on_tile: called with (tiles done, tiles in all) after each.
            nodata: values of this image that stand for "no measurement"; a channel that holds one counts as its mean
                in the training images there, as with their own such values.

        Returns:
            `out`, or (H, W) uint8.

        Raises:
            InputError: the image has another pixel type or number of channels than the net takes, or values that
                are not finite; or the net gives such.
        """
        image = with_channels(image)
        return self._fill(image, "mask", np.empty(image.shape[:2], np.uint8) if out is None else out, on_tile, nodata)

    def probabilities(self, image: Picture, nodata: Sequence[float] = ()) -> NDArray[np.float32]:
        """Give the probabilities of an image, as they come.

        Args:
            image: (H, W) or (H, W, C) raw pixels.
            nodata: values of this image that stand for "no measurement", as of `label`.

        Returns:
            (H, W, num_classes) float32; of a uint8 file, steps of its scale (1 / 256 of one net). A broken net gives
            what is not finite.

        Raises:
            InputError: the image is not one that the net takes.
        """
        image = with_channels(image)
        out = np.empty((*image.shape[:2], len(self.description.classes)), np.float32)
        return self._fill(image, "probabilities", out, nodata=nodata)

    def _fill(
        self,
        image: Picture,
        output: str,
        out: Any,
        on_tile: Progress = unseen,
        nodata: Sequence[float] = (),
    ) -> Any:
        normalisation = self.description.normalisation
        image = normalisation.measured(image, nodata)
        normalisation.check(image, plain=self.description.channels.plain)
        height, width = image.shape[:2]
        grid = self.grid((height, width))
        for number in range(len(grid)):
            look()
            window = grid.window(image, number)
            if window.dtype.kind == "f" and not np.isfinite(window).all():
                raise InputError("An image must hold finite values; it holds NaN or infinity. Replace them.")
            found = self.run(np.broadcast_to(window, (*window.shape[:2], normalisation.channels)))
            if output == "mask" and not np.isfinite(found["probabilities"]).all():
                raise InputError(NOT_FINITE)
            out[grid.place(number)] = self.real(output, grid.own(found[output], number))
            on_tile(number + 1, len(grid))
        return out
