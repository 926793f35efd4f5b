"""Overlap-tile prediction of an image of any size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from unet_tf.errors import InputError
from unet_tf.geometry import default_tile, run_tiles
from unet_tf.model import geometry_of
from unet_tf.run import Run


def predict(
    model_or_run: keras.Model | Run | str | Path,
    image: NDArray,
    tile: int | None = None,
    probabilities: bool = False,
    on_tile: Callable[[int, int], None] = lambda done, total: None,
) -> NDArray:
    """Segment one image of any size by the paper's overlap-tile strategy.

    The image is mirrored at its borders and cut into tiles whose outputs meet without overlap. Tile origins are
    multiples of 2**depth, where the poolings of all tiles fall together: so the result does not depend on the tile
    size, but for rounding: below 1e-5 in probability in float32; nets trained in bfloat16 predict in it, with two to
    three digits. That holds for "same" nets too, whose tiles are read with a halo wide enough that the zeros they pad
    with reach nothing that is kept.

    Args:
        model_or_run: a run folder, a `Run`, or a bare model built by `unet_tf.unet`.
        image: (H, W) or (H, W, C). For a run: raw pixels, as in its training files. For a bare model: normalised.
        tile: largest input size of a tile, a legal one; None for about 1000. A model of fixed size has its own.
        probabilities: return the softmax instead of the class ids.
        on_tile: called with (tiles done, tiles in all) after each tile.

    Returns:
        (H, W) uint8 class ids, or (H, W, num_classes) float32 probabilities.

    Raises:
        InputError: the image is empty or does not fit the net, or the tile is not legal.

    Example:
        >>> from unet_tf import unet
        >>> predict(unet(base_filters=4, depth=2), np.zeros((50, 70), np.float32)).shape
        (50, 70)

    Reference:
        Ronneberger, Fischer, Brox: U-Net (MICCAI 2015), section 2 and figure 2.
    """
    image = np.asarray(image)
    if image.ndim not in (2, 3) or not image.size:
        raise InputError(f"An image is (H, W) or (H, W, C) with a pixel at least; received shape {image.shape}.")
    if isinstance(model_or_run, keras.Model):
        model, geometry = model_or_run, geometry_of(model_or_run)
        image = (image if image.ndim == 3 else image[..., None]).astype(np.float32)
    else:
        run = model_or_run if isinstance(model_or_run, Run) else Run(model_or_run)
        model, geometry, image = run.model, run.geometry, run.normalise(image)
    channels = model.input_shape[-1]
    if image.shape[2] != channels:
        raise InputError(f"The net takes images of {channels} channels; received {image.shape[2]}.")

    max_tile = default_tile(geometry) if tile is None else tile
    rows, columns = (
        geometry.fixed_tiling(length, size) if size else geometry.tiling(length, max_tile)
        for length, size in zip(image.shape[:2], model.input_shape[1:3], strict=True)
    )
    tiles = run_tiles(lambda window: model.predict_on_batch(window[None])[0], image, geometry, rows, columns)
    shape = (*image.shape[:2], model.output_shape[-1])
    result = np.empty(shape, np.float32) if probabilities else np.empty(shape[:2], np.uint8)
    total = len(rows.origins) * len(columns.origins)
    for done, (place, logits) in enumerate(tiles, start=1):
        result[place] = softmax(logits) if probabilities else logits.argmax(-1)
        on_tile(done, total)
    return result


def softmax(logits: NDArray) -> NDArray[np.float32]:
    """Softmax over the last axis, (..., C) float32, stable for any finite logits."""
    exponential = np.exp(logits - logits.max(-1, keepdims=True))
    return exponential / exponential.sum(-1, keepdims=True)
