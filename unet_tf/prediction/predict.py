"""Overlap-tile prediction of an image of any size."""

from __future__ import annotations

import functools
import weakref
from pathlib import Path

import keras
from numpy.typing import NDArray

from unet_tf.edge.description import BUNDLE_DESCRIPTION, BUNDLE_NET, SAVED_WEIGHTS
from unet_tf.errors import InputError
from unet_tf.prediction.engines import TENSORFLOW
from unet_tf.prediction.folds import Folds, check_stored, files_of_nets, holds_folds
from unet_tf.prediction.hub import fetch
from unet_tf.prediction.load import FILES, GRAPH, load, refused
from unet_tf.prediction.predictor import Predictor
from unet_tf.run import Run
from unet_tf.tiling import Picture
from unet_tf.utils.files import above, identity, placed, sha256_of
from unet_tf.utils.hub import Address
from unet_tf.utils.progress import Progress, unseen


def predict(
    model_or_run: Predictor | keras.Model | Run | Folds | str | Path,
    image: Picture,
    tile: int | None = None,
    probabilities: bool = False,
    memory: int | str | None = None,
    tta: str = "none",
    on_tile: Progress = unseen,
    threshold: float | None = None,
    engine: str | None = None,
) -> NDArray:
    """Segment one image of any size by the paper's overlap-tile strategy.

    The image is mirrored at its borders and cut into tiles whose outputs meet without overlap. Tile origins are
    multiples of 2**depth, where the poolings of all tiles fall together: so the result does not depend on the tile
    size, but for rounding: below 1e-5 in probability in float32 on a CPU, and to the bit where the tiles are the same;
    nets trained in bfloat16 predict in it, with two to three digits. That holds for "same" nets too, whose tiles are
    read with a halo wide enough that the zeros they pad with reach nothing that is kept.

    The net of the last path stays loaded until its files change, so that a loop over images loads it once.

    Args:
        model_or_run: a run folder or a `Run`, the folder of a cross-validation, whose nets' probabilities are averaged,
            the folder of a bundle, a TFLite file or SavedModel of one, `hf://USER/NAME` (`unet_tf.load`), a `.keras`
            file of these or any other, a bare model built by `unet_tf.unet`, or a `Predictor`.
        image: (H, W) or (H, W, C). For runs and bundles: raw pixels, as in its training files. For a bare model:
            normalised (`unet_tf.Predictor` takes a normalisation). It may be anything that can be sliced, such as a
            `numpy.memmap`.
        tile: largest input size of a tile, a legal one; None chooses the tiles that compute the fewest pixels within
            the memory. A model of fixed size has its own.
        probabilities: return the softmax, by the temperature of a run or bundle, instead of the class ids.
        memory: what a tile may take, bytes or such as "2GB"; None for a quarter of what is free on this machine.
        tta: average the probabilities over turned tiles: "rotations", by 0, 90, 180 and 270 degrees, or "all", these
            and their mirror images. (The paper averages over 7 rotations and does not say which; right angles move
            pixels onto pixels.)
        on_tile: called with (tiles done, tiles in all) after each tile.
        threshold: of two classes: a pixel is class 1 where its probability is larger; None for that of the run, 0.5
            if nothing else was said.
        engine: what computes: "tensorflow", "openvino", "onnxruntime" (extras of these names), or "auto", what was
            measured fastest on such a processor, of what is installed (`docs/engines.md`); None for that of a
            `Predictor`, and TensorFlow for others.

    Returns:
        (H, W) uint8 class ids, or (H, W, num_classes) float32 probabilities.

    Raises:
        InputError: the image is empty or does not fit the net, the tile is not legal, the memory holds no tile, a
            threshold other than 0.5 is given and there are more than two classes, or a layer of a model is not as
            `unet_tf.unet` builds it.

    Example:
        >>> import numpy as np
        >>> from unet_tf import unet
        >>> predict(unet(base_filters=4, depth=2), np.zeros((50, 70), np.float32)).shape
        (50, 70)

    Reference:
        Ronneberger, Fischer, Brox: U-Net (MICCAI 2015), section 2 and figure 2.
    """
    predictor = predictor_of(model_or_run).at(threshold)
    if engine is not None or not isinstance(model_or_run, Predictor):
        predictor = predictor.by(engine or TENSORFLOW)
    if probabilities:
        return predictor.probabilities(image, tile, memory, tta, on_tile)
    return predictor.predict(image, tile, memory, tta, on_tile)


def predictor_of(model: Predictor | keras.Model | Run | Folds | str | Path) -> Predictor:
    """Give the predictor of a net: kept for the last path until its files change, and for each model that lives.

    Args:
        model: a run folder or a `Run`, the folder of a cross-validation, the folder of a bundle, a file of one, an
            address of the Hub (`unet_tf.load`), a `.keras` file or a `keras.Model`; a `Predictor` is given back.

    Raises:
        InputError: there is no such net, or it is damaged.
    """
    if isinstance(model, str | Path):
        path = located(model)
        names = ("", GRAPH, Run.CONFIG, Run.BEST, Run.CALIBRATION, BUNDLE_DESCRIPTION, BUNDLE_NET)
        files = [path / name for name in names if name or path.is_file()]
        files += files_of_nets(path) if holds_folds(path) else []
        return _last(str(path), tuple(map(identity, files)))
    if not isinstance(model, keras.Model):
        return load(model)  # a run keeps its net
    found = _of_models.get(model)
    if found is None:
        found = _of_models[model] = Predictor(model)
    else:
        found.network.take(model)  # it may have been trained meanwhile
    return found


_of_models: weakref.WeakKeyDictionary[keras.Model, Predictor] = weakref.WeakKeyDictionary()


@functools.lru_cache(maxsize=1)
def _last(path: str, state: tuple[tuple[int, ...] | None, ...]) -> Predictor:
    return load(path)


def located(net: Run | Folds | str | Path) -> Path:
    """Give the absolute path of a run, or of whatever `unet_tf.load` opens; an address is fetched once a process.

    Raises:
        InputError: it is none of these, or the Hub has no such net.
    """
    address = Address.parse(check_stored(net))
    if address is not None:
        return _fetched(address)
    path = Path(net)
    # a link to a net in a run or bundle is the net of that, wherever it leads
    of_run = path.name in (Run.BEST, Run.LAST) and (path.parent / Run.CONFIG).is_file()
    of_bundle = path.name == BUNDLE_NET or path.suffix in FILES
    of_bundle = of_bundle and (path.parent / BUNDLE_DESCRIPTION).is_file()
    return placed(path, () if of_run or of_bundle else (".keras", *FILES))


_fetched = functools.cache(fetch)


def model_hash(path: str | Path) -> str:
    """Give the SHA-256 of the file of the net of a run or bundle; of a cross-validation, that of those of its nets.

    Raises:
        InputError: there is none, it cannot be read, or it is given by a `.keras` file.
    """
    if holds_folds(path):
        return Folds(path).model_hash
    path = Path(path)
    if path.suffix == ".keras" and path.is_file():
        raise InputError(
            f"A net of Keras must be given by the folder of its run, whose {Run.BEST} is taken, or bundle; received "
            f"{path}. Give {above(path, BUNDLE_DESCRIPTION, Run.CONFIG) or 'that folder'}; arrays are predicted by the "
            "file too (unet_tf.predict).",
            path,
        )
    bundle = (path / BUNDLE_DESCRIPTION).is_file()
    if path.suffix.lower() in FILES and path.is_file():
        file = path
    elif (path / GRAPH).is_file() and not bundle:
        file = path / SAVED_WEIGHTS
    elif path.exists() and not bundle and not (path / Run.CONFIG).is_file():
        raise refused(path)
    else:
        file = path / BUNDLE_NET if bundle else Run(path).path / Run.BEST
    if not file.is_file():
        raise InputError(f"There is no model {file}. Training writes it after its first epoch.", file)
    return sha256_of(file)


def predictor_for(path: str, model: str) -> Predictor:
    """Give the predictor of a folder, of exactly the net that a call began with.

    Args:
        path: a run, a cross-validation or a bundle.
        model: its `model_hash` when the call began.

    Raises:
        InputError: the net has changed since, or is damaged.
    """
    predictor = predictor_of(path)
    if model_hash(path) != model:
        raise InputError(f"The net of {path} must stay as it is while it predicts, and was replaced. Predict again.")
    return predictor
