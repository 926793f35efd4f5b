"""The nets of a bundle under way held against Keras, and timed: what is not good enough is named."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import keras
import tensorflow as tf

from unet_tf.data.folder import Pair
from unet_tf.edge.description import Description
from unet_tf.errors import InputError
from unet_tf.evaluation.bundle_tables import BundleReport
from unet_tf.exporting.bundle import KERAS
from unet_tf.exporting.parity import (
    THREADS,
    BundledNet,
    Tally,
    broken,
    compare,
    comparison_report,
    inexact,
    keras_net,
    mislabelled,
    noise,
    noise_example,
    read_example,
    rounding_temperature,
    worse,
)
from unet_tf.utils.progress import Progress
from unet_tf.utils.signals import look

REPORT_IT = "Nothing was exported. Please report this with the versions in config.toml of the run."
LEAVE_OUT = "name the TFLite files to make (--variants), and give no --bfloat16"
ROUNDS, SECONDS = 15, 20.0
"""Most rounds of timing, and seconds after which none begins."""


def judged(
    nets: dict[str, BundledNet],
    model: keras.Model,
    description: Description,
    validation: Sequence[Pair],
    on_image: Progress,
) -> dict[str, Tally]:
    """Hold each net against Keras on noise, then on the validation files; raise where one is not good enough."""
    reference = keras_net(model, description)
    tallies: dict[str, Tally] = {}
    noise_alone = [partial(noise_example, description)]
    for examples in noise_alone, [partial(read_example, pair, description) for pair in validation]:
        if examples:
            threshold = description.calibration.threshold
            tallies = compare(reference, nets, examples, description.masks, on_image, threshold)
            failures = broken(tallies)
            if tallies[KERAS].not_finite:
                raise InputError(
                    f"{' '.join(failures)} Nothing was exported. Train again, with a lower --learning-rate."
                )
            if wrong := inexact(tallies, rounding_temperature(model, description)):
                raise RuntimeError(f"{' '.join(wrong)} {REPORT_IT}")
            if failures:
                raise InputError(f"{' '.join(failures)} Nothing was exported. To leave one out, {LEAVE_OUT}.")
    if failures := mislabelled(nets, description):
        raise RuntimeError(f"{' '.join(failures)} {REPORT_IT}")
    if failures := worse(tallies, description.origin.max_iou_drop):
        raise InputError(
            f"{' '.join(failures)} Nothing was exported. Allow more with --max-iou-drop; to leave one out, {LEAVE_OUT}."
        )
    return tallies


def milliseconds(nets: dict[str, BundledNet], description: Description) -> dict[str, float]:
    """Measure the median time of each net for the pixels that one tile of TFLite gives, all nets in turns.

    Args:
        nets: by name.
        description: of them all.

    Returns:
        Milliseconds by name.
    """
    step = description.geometry.tile_step(description.tile)
    image = noise(description, (step, step))
    for net in nets.values():
        net(image)
    taken: dict[str, list[float]] = {name: [] for name in nets}
    begin = time.perf_counter()
    for _ in range(ROUNDS):
        for name, net in nets.items():
            look()
            start = time.perf_counter()
            net(image)
            taken[name].append(1000 * (time.perf_counter() - start))
        if time.perf_counter() - begin > SECONDS:
            break
    return {name: statistics.median(times) for name, times in taken.items()}


def report_of(
    folder: Path,
    description: Description,
    tallies: dict[str, Tally],
    times: dict[str, float],
    judged_on: str,
) -> BundleReport:
    """What `report.json` holds."""
    compared = comparison_report(tallies, description.classes, judged_on)
    for name, own in compared["artefacts"].items():
        path = folder / name
        files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        own["bytes"], own["milliseconds"] = sum(file.stat().st_size for file in files), times[name]
    return {**compared, "tile": description.tile, "threads": THREADS}


@contextmanager
def refusals_in_words(out: Path) -> Iterator[None]:
    """Say it as an InputError where TensorFlow's own file system cannot write."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError) as error:
        if "OOM" in error.message:  # of the device, in the words of TensorFlow's allocator
            raise InputError(
                f"The memory must hold the nets and a tile; {error.message}. Choose a smaller --tile, or export where "
                "more is free."
            ) from error
        raise InputError(f"Cannot write {out}: {error.message}. Free space or choose another place.") from error
