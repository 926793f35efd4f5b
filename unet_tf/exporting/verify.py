"""Whether a bundle is as it was exported, and its nets give here what Keras gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras

from unet_tf.config import TrainConfig, naming_changes
from unet_tf.data.folder import find_pictures, pictures_of
from unet_tf.data.layout import ANY, find_named
from unet_tf.data.naming import Naming
from unet_tf.edge.net import read_description
from unet_tf.errors import InputError
from unet_tf.evaluation.tables import ComparisonReport
from unet_tf.exporting.bundle import DESCRIPTION, KERAS, TFLITE, Bundle
from unet_tf.exporting.parity import (
    Example,
    broken,
    bundled_net,
    compare,
    comparison_report,
    inexact,
    keras_net,
    noise_example,
    read_example,
    read_picture,
    worse,
)
from unet_tf.model.unet import geometry_of
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import stoppable


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes:
        faults: what is wrong, in words; empty where nothing is.
        report: as `report.json` of a bundle, without sizes and times; None where files are not as exported.
    """

    faults: list[str]
    report: ComparisonReport | None = None


def verify(
    bundle: str | Path,
    data: str | Path | None = None,
    on_image: Progress = unseen,
    **naming: str,
) -> Verification:
    """Check the files of a bundle, then run each of its nets and Keras on the same pictures.

    Args:
        bundle: the folder that `export` filled.
        data: folder of images and masks, as `unet_tf.train` takes it, folder of pictures, or a picture; None for noise
            that has the mean and spread of the training pictures.
        on_image: called with (pictures done, pictures in all) after each.
        **naming: `images_dir`, `masks_dir`, `mask_prefix` or `mask_suffix` of the data (`TrainConfig`).

    Returns:
        A fault for each file that is missing, changed or new, and for each TFLite file whose own description is not
        that of `bundle.json`. If there is none: one for each net that gives NaN or infinity; for each net of
        `unet_tf.exporting.parity.EXACT` that differs from Keras by more than it may; where the pictures have masks,
        for each net that loses more mean IoU than the export allowed.

    Raises:
        InputError: the folder is no bundle, a file of it is damaged, or a picture cannot be used.

    Example:
        >>> verify("bundles/cells", "cells").faults  # doctest: +SKIP
        []
    """
    opened = Bundle(bundle)
    description = opened.description
    faults = opened.faults() or [
        f"{DESCRIPTION} was changed after the export: {name} says otherwise of the net."
        for name in opened.artefacts()
        if name in TFLITE.values() and read_description(opened.path / name) != description
    ]
    if faults:
        return Verification(faults)
    with stoppable():
        examples, what = _examples(opened, data, TrainConfig(**naming_changes(naming)).naming)
        reference = keras_net(_keras_model(opened), description)
        nets = {name: bundled_net(opened.path, name, description) for name in opened.artefacts()}
        threshold = description.calibration.threshold
        tallies = compare(reference, nets, examples, description.masks, on_image, threshold)
    wrong = broken(tallies) + inexact(tallies) + worse(tallies, description.origin.max_iou_drop)
    return Verification(wrong, comparison_report(tallies, description.classes, what))


def _keras_model(bundle: Bundle) -> keras.Model:
    """The net as it was trained; raises InputError where its file is none, or another net's."""
    path, description = bundle.path / KERAS, bundle.description
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever its readers meet in a file that is none
        raise InputError(f"{path} must be a Keras model that can be loaded: {error}. Export again.", path) from error
    expected = description.geometry, description.normalisation.channels, len(description.classes)
    if (found := (geometry_of(model), model.input_shape[-1], model.output_shape[-1])) != expected:
        raise InputError(f"{path} must be the net of {DESCRIPTION}, {expected}; it is {found}. Export again.", path)
    return model


def _examples(bundle: Bundle, data: str | Path | None, naming: Naming) -> tuple[Sequence[Callable[[], Example]], str]:
    """Make readers of the pictures, and say what they are."""
    if data is None:
        return [partial(noise_example, bundle.description)], "noise"
    try:
        named = find_named(data, naming, bundle.description.channels)
    except InputError:  # a picture
        if naming != ANY:
            raise
        named = None
    pairs = [] if named is None else [pair for some in named.splits.values() for pair in some]
    if named is not None and (pairs or naming != ANY):
        named.check()
    if pairs:
        readers = [partial(read_example, pair, bundle.description) for pair in pairs]
        return readers, f"{len(pairs)} labelled picture{'s' * (len(pairs) > 1)}"
    files = pictures_of(find_pictures([data]), bundle.description.channels)
    return [
        partial(read_picture, Path(file), bundle.description) for file in files
    ], f"{len(files)} picture{'s' * (len(files) > 1)}"
