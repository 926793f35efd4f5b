"""Whether a bundle is as it was exported, and its nets give here what Keras gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import keras

from unet_tf.config import TrainConfig, naming_changes
from unet_tf.data.folder import find_pictures, pictures_of
from unet_tf.data.layout import ANY, find_named
from unet_tf.data.naming import Naming
from unet_tf.data.pictures import count_pages
from unet_tf.edge.description import Description
from unet_tf.edge.net import read_description
from unet_tf.errors import InputError
from unet_tf.evaluation.bundle_tables import ComparisonReport
from unet_tf.exporting.bundle import DESCRIPTION, KERAS, KNOWN_BY, ONNX, OWN, TFLITE, Bundle, StoredBundle
from unet_tf.exporting.parity import (
    BundledNet,
    Example,
    allowed,
    broken,
    bundled_net,
    compare,
    comparison_report,
    inexact,
    keras_net,
    mislabelled,
    noise_example,
    read_example,
    read_picture,
    rounding_temperature,
    worse,
)
from unet_tf.model.inference import check_backend
from unet_tf.model.unet import geometry_of
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import stoppable


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes:
        faults: what is wrong, in words; empty where nothing is.
        report: as `report.json` of a bundle, without sizes and times; None where files are not as exported.
        versions: the same of each version that was added after the export, by its folder.
        allowed: what each net may differ by, in words.
    """

    faults: list[str]
    report: ComparisonReport | None = None
    versions: dict[str, ComparisonReport] = field(default_factory=dict)
    allowed: dict[str, str] = field(default_factory=dict)


def verify(
    bundle: str | Path,
    data: str | Path | None = None,
    on_image: Progress = unseen,
    **naming: str,
) -> Verification:
    """Check the files of a bundle, then run each of its nets and Keras on the same pictures.

    A version that was added (`unet_tf.add_version`) is held against the net of Keras that came with it.

    Args:
        bundle: the folder that `export` filled.
        data: folder of images and masks, as `unet_tf.train` takes it, folder of pictures, or a picture, of stacks each
            page; None for noise that has the mean and spread of the training pictures.
        on_image: called with (pictures done, pictures in all) after each.
        **naming: `images_dir`, `masks_dir`, `mask_prefix` or `mask_suffix` of the data (`TrainConfig`).

    Returns:
        A fault for each file that is missing, changed or new, for each version of another kind, and for each TFLite or
        ONNX file whose own description is not that of `bundle.json`. If there is none: one for each net that gives NaN
        or infinity, or labels that are not those of its probabilities; for each net of
        `unet_tf.exporting.parity.EXACT` that differs from Keras by more than it may; where the pictures have masks, for
        each net that loses more mean IoU than the export allowed.

    Raises:
        InputError: the folder is no bundle, a file of it is damaged, a picture cannot be used, or ONNX Runtime is
            missing where the bundle has ONNX files.

    Example:
        >>> verify("bundles/cells", "cells").faults  # doctest: +SKIP
        []
    """
    check_backend()
    opened = Bundle(bundle)
    description = opened.description
    faults = opened.faults() or [
        f"{DESCRIPTION} was changed after the export: {name} says otherwise of the net."
        for name in opened.artefacts()
        if name in (*TFLITE.values(), *ONNX.values()) and read_description(opened.path / name) != description
    ]
    if faults:
        return Verification(faults)
    names = TrainConfig(**naming_changes(naming)).naming
    with stoppable():
        nets = {name: bundled_net(opened.path, name, description) for name in opened.artefacts()}
        first = opened.path / KERAS, description, opened.stored
        (wrong, report, limits), versions = _compared(nets, *first, data, names, on_image), {}
        for one in opened.versions():
            added = {one.name: bundled_net(opened.path, one.name, one.description)}
            own = one.path / OWN / KERAS, one.description, one.stored
            said, versions[one.name], bounds = _compared(added, *own, data, names, on_image)
            wrong, limits = wrong + said, limits | bounds
    return Verification(wrong, report, versions, limits)


def _compared(
    nets: dict[str, BundledNet],
    file: Path,
    description: Description,
    stored: StoredBundle,
    data: str | Path | None,
    naming: Naming,
    on_image: Progress,
) -> tuple[list[str], ComparisonReport, dict[str, str]]:
    """Hold nets against that of a Keras file: what is wrong, the figures, and what each may differ by."""
    examples, what = _examples(description, data, naming)
    seen: list[str] = []

    def noted(read: Callable[[], Example]) -> Example:
        example = read()
        seen.append(example.known[:KNOWN_BY])
        return example

    examples = [partial(noted, read) for read in examples]
    model, threshold = _keras_model(file, description), description.calibration.threshold
    tallies = compare(keras_net(model, description), nets, examples, description.masks, on_image, threshold)
    finite = {name: net for name, net in nets.items() if not tallies[name].not_finite}
    temperature, drop = rounding_temperature(model, description), description.origin.max_iou_drop
    wrong = broken(tallies) + mislabelled(finite, description) + inexact(tallies, temperature) + worse(tallies, drop)
    if data is not None:
        what += _learnt_words(seen, stored)
    scored = tallies[KERAS].mean_iou is not None
    limits = {name: allowed(name, temperature, drop if scored else None) for name in nets}
    return wrong, comparison_report(tallies, description.classes, what), limits


def _learnt_words(seen: Sequence[str], stored: StoredBundle) -> str:
    """What to say of pictures that the net may have been trained on."""
    if "learnt" not in stored:
        return "; which of them the net was trained on, this bundle does not say"
    learnt = set(stored["learnt"])
    count = len([one for one in seen if one in learnt])
    words = f"; the net was trained on {count} of them, on which it looks better than it is" if count else ""
    unknown = "; it started from another, whose training files are not known"
    return words + unknown * stored.get("unknown", False)


def _keras_model(path: Path, description: Description) -> keras.Model:
    """The net as it was trained; raises InputError where its file is none, or another net's."""
    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever its readers meet in a file that is none
        raise InputError(f"{path} must be a Keras model that can be loaded: {error}. Export again.", path) from error
    expected = description.geometry, description.normalisation.channels, len(description.classes)
    if (found := (geometry_of(model), model.input_shape[-1], model.output_shape[-1])) != expected:
        raise InputError(f"{path} must be the net of {DESCRIPTION}, {expected}; it is {found}. Export again.", path)
    return model


def _examples(
    description: Description, data: str | Path | None, naming: Naming
) -> tuple[Sequence[Callable[[], Example]], str]:
    """Make readers of the pictures, and say what they are."""
    if data is None:
        return [partial(noise_example, description)], "noise"
    try:
        named = find_named(data, naming, description.channels)
    except InputError:  # a picture
        if naming != ANY:
            raise
        named = None
    pairs = [] if named is None else [pair for some in named.splits.values() for pair in some]
    if named is not None and (pairs or naming != ANY):
        named.check()
    if pairs:
        readers = [partial(read_example, pair, description) for pair in pairs]
        return readers, f"{len(pairs)} labelled picture{'s' * (len(pairs) > 1)}"
    try:
        found = find_pictures([data])
    except InputError:
        if named is not None and named.used:  # folders of images and of masks
            named.check()  # says why none pair
        raise
    files = map(Path, pictures_of(found, description.channels))
    readers = [partial(read_picture, file, description, page) for file in files for page in range(count_pages(file))]
    return readers, f"{len(readers)} picture{'s' * (len(readers) > 1)}"
