"""What an export takes of the pictures of a run, each of which it reads once: parts to calibrate by, sizes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.fingerprint import identity
from unet_tf.data.folder import Pair
from unet_tf.data.layout import find_named
from unet_tf.data.nodata import fill_nodata
from unet_tf.errors import InputError
from unet_tf.exporting.bundle import STATIC_TILE
from unet_tf.pages.words import many
from unet_tf.prediction.folds import Folds
from unet_tf.run import Run
from unet_tf.tiling import read_window
from unet_tf.utils.signals import look
from unet_tf.utils.threads import ahead, cores

CALIBRATION_PIXELS = 2_000_000
"""Pixels of the training images that "uint8" is calibrated by, in tiles: on ISBI 2012, five times as many change the
mean IoU by 0.0001."""
FEWEST_WINDOWS = 8


class Material(NamedTuple):
    """What an export takes of the pictures of a run.

    Attributes:
        crops: parts of training pictures, (h, w, C) raw pixels.
        validation: the validation files; the training files of a run that held none out.
        sides: the longer side of each of these, pixels.
    """

    crops: list[NDArray]
    validation: list[Pair]
    sides: list[int]


def gather(run: Run, folder: Path, tile: int | None = None) -> Material:
    """Read each picture of a folder once, know those of a run by their content, and keep what an export takes.

    Args:
        run: the run.
        folder: its data, where it is now.
        tile: side of the static tile, pixels, where it is known.

    Returns:
        Of training pictures, a draw that their hashes decide: whatever the files are called and wherever they lie.

    Raises:
        InputError: files do not pair, a picture cannot be read, or the folder holds no training or no validation file
            of the run.
    """
    named = find_named(folder, run.config.naming, run.channels).check()
    pairs = [pair for split, some in named.items() if split != "test" for pair in some]
    trained, validated = run.files("train"), run.files("val")
    judged = validated or trained
    side = max(tile or STATIC_TILE, run.geometry.min_tile) + 2 * run.geometry.halo

    def read(number: int) -> tuple[str, tuple[int, ...], NDArray | None]:
        image = pairs[number].read().image
        known = identity(image)
        if known not in trained:
            return known, image.shape, None
        measured = fill_nodata(image, run.normalisation.nodata) if run.normalisation.nodata else image
        return known, image.shape, _crop(measured, side, known)

    found, crops = Material([], [], []), dict[str, NDArray]()
    for pair, (known, shape, crop) in zip(pairs, ahead(read, range(len(pairs)), cores()), strict=True):
        look()
        if crop is not None:
            crops[known] = crop
            _keep_enough(crops)
        if known in judged:
            found.validation.append(pair)
            found.sides.append(max(shape[:2]))
    for split, some, listed in ("train", crops, trained), ("val" if validated else "train", found.validation, judged):
        if listed and not some:
            if pairs:
                run.normalisation.check(pairs[0].read().image, str(pairs[0].image))
            raise InputError(
                f"{folder} holds none of the {len(listed)} {split} files of the run, which are known by their "
                "content. Give the folder that it was trained on (--data)."
            )
    found.crops.extend(crops[known] for known in sorted(crops))
    return found


def first_of(run: Run | Folds) -> Run:
    """The run itself; of several the first, on whose files all are judged."""
    return run.first if isinstance(run, Folds) else run


def judged_on_words(run: Run | Folds, count: int) -> str:
    """Say which files all nets of a bundle are compared on.

    Args:
        run: what is exported.
        count: how many files these are.
    """
    if not count:
        return "noise, for want of files that can be used"
    first = first_of(run)
    if not first.files("val"):
        return f"{many(count, 'training file')} of the run, which held none out"
    words = f"{many(count, 'validation file')} of the run, which chose its epoch too"
    if isinstance(run, Folds):
        learnt = sum(not one.files("train").isdisjoint(first.files("val")) for one in run.runs.values())
        of = f"{learnt} of the {len(run.runs)} nets were" if learnt else "no net was"
        words = f"{many(count, 'validation file')} of {first.path.name}, on which {of} trained"
    return words


def _crop(image: NDArray, side: int, known: str) -> NDArray:
    """At most `side` px each way of an (H, W, C) image, at a place that its hash decides."""
    rng = np.random.default_rng(int(known[:16], 16))
    top, left = (int(rng.integers(max(0, length - side) + 1)) for length in image.shape[:2])
    return image[top : top + side, left : left + side].copy()


def _keep_enough(crops: dict[str, NDArray]) -> None:
    """Drop the crops of the largest hashes as long as enough pixels of enough pictures are left."""
    pixels = sum(crop.shape[0] * crop.shape[1] for crop in crops.values())
    while len(crops) > FEWEST_WINDOWS:
        last = max(crops)
        pixels -= crops[last].shape[0] * crops[last].shape[1]
        if pixels < CALIBRATION_PIXELS:
            return
        del crops[last]


def static_tile(run: Run, sides: list[int]) -> int:
    """Choose the side of equal tiles of at most `STATIC_TILE` px for the usual picture.

    Args:
        run: the run.
        sides: the longer side of pictures, pixels; without any, the tiles that the run was trained on count.
    """
    geometry = run.geometry
    side = int(np.median(sides)) if sides else (run.config.tile or geometry.min_tile) - geometry.shrink
    most = max(geometry.nearest_legal(STATIC_TILE)[0], geometry.min_tile)
    return geometry.tiling(max(side, 1), most).input_size


def calibration(run: Run, crops: list[NDArray], tile: int) -> NDArray:
    """Cut windows out of parts of training pictures, somewhere in each, and mirror them beyond.

    Args:
        run: the run.
        crops: (h, w, C) raw pixels each.
        tile: side of a window, pixels.

    Returns:
        (N, tile, tile, C) raw pixels, the same ones each time.
    """
    count = max(FEWEST_WINDOWS, CALIBRATION_PIXELS // tile**2)
    rng, halo = np.random.default_rng(0), run.geometry.halo
    windows = []
    for number in np.resize(rng.permutation(len(crops)), count).tolist():
        image = crops[number]
        origin = [int(rng.integers(-halo, max(1, length + 2 * halo - tile) - halo)) for length in image.shape[:2]]
        window = read_window(image, origin, (tile, tile))
        windows.append(np.broadcast_to(window, (tile, tile, run.normalisation.channels)))
    return np.stack(windows)
