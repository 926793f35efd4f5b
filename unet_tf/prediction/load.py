"""Whatever holds a net, opened as a `Predictor`: runs, bundles and each file of one, repositories of the Hub."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import keras

from unet_tf.edge.description import (
    BUNDLE_DESCRIPTION,
    BUNDLE_NET,
    SAVED_MODEL,
    SAVED_MODEL_BFLOAT16,
    Description,
    read_bundle,
)
from unet_tf.edge.net import ONNX_SUFFIX, EdgeNet, read_description
from unet_tf.edge.onnx_net import OnnxNet
from unet_tf.edge.tiles import TiledNet
from unet_tf.errors import InputError
from unet_tf.model.reading import read_model
from unet_tf.prediction.engines import threads
from unet_tf.prediction.folds import SUMMARY, Folds, holds_folds
from unet_tf.prediction.hub import KERAS_FILES, fetch
from unet_tf.prediction.predictor import OF_UNKNOWN_PIXELS, Predictor
from unet_tf.prediction.shipped import FileNet, SavedNet, ShippedPredictor
from unet_tf.run import Run
from unet_tf.utils.files import above
from unet_tf.utils.hub import Address

log = logging.getLogger("unet_tf")

FILES: dict[str, Callable[[Path, int], TiledNet]] = {".tflite": EdgeNet, ONNX_SUFFIX: OnnxNet}
"""Who opens a file of a bundle that says of itself what it is, with so many threads, by its suffix."""
GRAPH, EXTRA = "saved_model.pb", "assets.extra"
"""Of a SavedModel: the file that each has; and the folder of files that TensorFlow does not read, where a version that
was added to a bundle says what it is."""


def load(where: str | Path | Run | Folds | keras.Model | Predictor) -> Predictor:
    """Open whatever holds a net, to predict with it.

    Args:
        where: a run, a cross-validation or a bundle, by the folder; a file of a bundle: `model.keras`, a `.tflite` or
            `.onnx` file, the folder of a SavedModel such as `BUNDLE/saved_model/1`; `best.keras` or `last.keras` of a
            run; any other `.keras` file of a `unet_tf.unet`, which is said, or such a model: their images have to be
            normalised already; or `hf://USER/NAME`, a repository of the Hugging Face Hub, at a revision where
            `@REVISION` follows. A `Predictor` is given back.

    Returns:
        A `Predictor`. Where it runs a TFLite or ONNX file or a SavedModel, these compute: it has the same methods but
        `features`, and of several nets in one graph it knows the mean alone. A bundle, or a repository that holds one,
        is computed by its `model.keras`.

    Raises:
        InputError: nothing is there, or nothing that can be loaded; it is damaged; or a package is missing.

    Example:
        >>> predictor = load("tests/saved/run_0_1")
        >>> predictor.classes, predictor.normalisation.dtype
        (('background', 'foreground'), 'uint8')
    """
    if isinstance(where, Predictor):
        return where
    if not isinstance(where, str | Path):
        return Predictor(where)
    if (address := Address.parse(where)) is not None:
        return _folder(fetch(address))
    path = Path(where)
    if path.is_dir():
        return _folder(path)
    if path.suffix.lower() == ".keras":
        return _keras(path)
    if not path.is_file():
        raise InputError(f"There is no {path}. {GIVE}", path)
    if path.suffix.lower() not in FILES:
        raise refused(path)
    return ShippedPredictor(FileNet(FILES[path.suffix.lower()](path, threads()), path.name))


GIVE = (
    "Give the folder that train --out, crossval --out or export --out filled, a file of a bundle, or hf://USER/NAME of "
    "a repository of the Hugging Face Hub."
)
"""What can be loaded."""


def _folder(path: Path) -> Predictor:
    if (path / BUNDLE_DESCRIPTION).is_file() or (path / Run.CONFIG).is_file() or holds_folds(path):
        return Predictor(path)
    if (path / GRAPH).is_file():
        return ShippedPredictor(SavedNet(path, _about(path)))
    if all((path / name).is_file() for name in KERAS_FILES[1:]):
        log.warning(f"{path} {OF_UNKNOWN_PIXELS}")
        return Predictor(read_model(path))
    raise refused(path)


def refused(path: Path) -> InputError:
    """Say what a file or folder is that cannot be predicted with, and what to give instead.

    Args:
        path: of something that is there, and that `load` does not open.

    Returns:
        The error to raise.
    """
    around = above(path, BUNDLE_DESCRIPTION, Run.CONFIG)
    give = GIVE if around is None else f"Give {around}, in which it lies, or a file of a net in it."
    versions = sorted(int(one.parent.name) for one in path.glob(f"*/{GRAPH}") if one.parent.name.isdecimal())
    if versions:
        words = f"holds versions of a SavedModel, {', '.join(map(str, versions))}: one is {path / str(versions[-1])}."
    elif path.is_dir():
        words = (
            f"is no run: it has no {Run.CONFIG}. It is no cross-validation ({SUMMARY}), no bundle "
            f"({BUNDLE_DESCRIPTION}) and no SavedModel ({GRAPH}) either."
        )
    elif path.suffix.lower() == ".zip":
        words = "is an archive, as of a package of the BioImage Model Zoo: Fiji and bioimageio.core run that."
    else:
        words = f"is no file of a net: it must be named .keras or {' or '.join(FILES)}."
    return InputError(f"{path} {words} {give}", path)


def about_file(path: Path) -> Description:
    """Read what a file of a bundle, or the folder of a SavedModel, says of its net.

    Raises:
        InputError: it is damaged, or nothing says it.
    """
    return _about(path) if path.is_dir() else read_description(path)


def _about(saved_model: Path) -> Description:
    """What a SavedModel of a bundle is: said by the version itself, or by the bundle of the one that export wrote."""
    paths = saved_model.absolute(), Path(os.path.realpath(saved_model))  # a server's folder may be a link to it
    own = [path.parents[1] for path in paths if "/".join(path.parts[-2:]) in (SAVED_MODEL, SAVED_MODEL_BFLOAT16)]
    for folder in (saved_model / EXTRA, *own):
        if (folder / BUNDLE_DESCRIPTION).is_file():
            return read_bundle(folder)
    raise InputError(
        f"{saved_model} does not say what its net is: {BUNDLE_DESCRIPTION} must lie in the folder of its bundle, two "
        "levels above it, and speaks of version 1. Give it where export wrote it, as in BUNDLE/saved_model/1; another "
        "version comes in by unet-tf export RUN --out BUNDLE --add-version.",
        saved_model,
    )


def _keras(path: Path) -> Predictor:
    """The net of a `.keras` file; of a run or bundle that it lies in, by what that says of it."""
    folder = path.parent
    if path.name == BUNDLE_NET and path.is_file() and (folder / BUNDLE_DESCRIPTION).is_file():
        return Predictor(folder)
    if path.name in (Run.BEST, Run.LAST) and path.is_file() and (folder / Run.CONFIG).is_file():
        run = Run(folder)
        if path.name == Run.BEST:
            return Predictor(run)
        found = Predictor(read_model(path), run.normalisation, run.masks)
        found.classes, found.channels, found.calibration = run.classes, run.channels, run.uncalibrated
        return found
    return Predictor(path)
