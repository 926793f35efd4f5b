"""Whether a bundle is as it was exported, and its nets give here what Keras gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import keras

from unet_tf.data.folder import find_pictures
from unet_tf.data.layout import find_named
from unet_tf.edge.net import read_description
from unet_tf.errors import InputError
from unet_tf.exporting.bundle import DESCRIPTION, KERAS, TFLITE, Bundle
from unet_tf.exporting.parity import (
    Example,
    bundled_net,
    compare,
    inexact,
    keras_net,
    noise_example,
    read_example,
    read_picture,
    worse,
)
from unet_tf.utils.progress import Progress, unseen


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes:
        faults: what is wrong, in words; empty where nothing is.
        report: as `report.json` of a bundle, without sizes and times; empty where files are not as exported.
    """

    faults: list[str]
    report: dict[str, Any] = field(default_factory=dict)


def verify(
    bundle: str | Path,
    data: str | Path | None = None,
    on_image: Progress = unseen,
) -> Verification:
    """Check the files of a bundle, then run each of its nets and Keras on the same pictures.

    Args:
        bundle: the folder that `export` filled.
        data: folder of images and masks as for `train`, folder of pictures, or a picture; None for noise that has the
            mean and spread of the training pictures.
        on_image: called with (pictures done, pictures in all) after each.

    Returns:
        A fault for each file that is missing, changed or new, and for each TFLite file whose own description is not
        that of `bundle.json`. If there is none: one for each net of `unet_tf.exporting.parity.EXACT` that differs from
        Keras by more than it may; where the pictures have masks, one for each net that loses more mean IoU than the
        export allowed.

    Raises:
        InputError: the folder is no bundle, or a picture cannot be used.

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
    examples, what = _examples(opened, data)
    reference = keras_net(keras.saving.load_model(opened.path / KERAS, compile=False), description)
    nets = {name: bundled_net(opened.path, name, description) for name in opened.artefacts()}
    tallies = compare(reference, nets, examples, len(description.classes), on_image)
    numbers = {name: tally.to_json(description.classes) for name, tally in tallies.items()}
    report = {"pictures": what, "keras": numbers.pop(KERAS), "artefacts": numbers}
    return Verification(inexact(tallies) + worse(tallies, description.origin["max_iou_drop"]), report)


def _examples(bundle: Bundle, data: str | Path | None) -> tuple[Sequence[Callable[[], Example]], str]:
    """Readers of the pictures, and what they are in words."""
    if data is None:
        return [partial(noise_example, bundle.description)], "noise"
    try:
        named = find_named(data).check()
    except InputError:
        named = {}
    pairs = [pair for some in named.values() for pair in some]
    if pairs:
        readers = [partial(read_example, pair, bundle.description) for pair in pairs]
        return readers, f"{len(pairs)} labelled picture{'s' * (len(pairs) > 1)}"
    files = find_pictures([data])
    return [
        partial(read_picture, Path(file), bundle.description) for file in files
    ], f"{len(files)} picture{'s' * (len(files) > 1)}"
