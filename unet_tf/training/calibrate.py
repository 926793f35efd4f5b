"""At the end of training: one temperature for the probabilities, the threshold of two classes, the width of borders.

Soft Dice learns rare objects sooner than cross-entropy alone, but draws borders too wide, and with them each object.
One number takes that back: what the background's logit lacks. It becomes part of the net, so that no runtime has a rule
of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.folder import read_pair
from unet_tf.data.instances import BORDER
from unet_tf.data.masks import MaskFormat
from unet_tf.data.samples import Samples
from unet_tf.data.splits import parts_of
from unet_tf.evaluation.calibration import Certainty, Curve, best_threshold
from unet_tf.labels import VOID
from unet_tf.model.calibration import (
    BEST,
    COOLEST,
    HALF,
    HOTTEST,
    MOST_SHIFT,
    TINY,
    Calibration,
    energy,
    fit_shift,
    fit_temperature,
    tempered,
)
from unet_tf.model.reading import read_model
from unet_tf.pages.words import many
from unet_tf.prediction.predictor import Predictor
from unet_tf.run import Run
from unet_tf.training.checkpoint import replace_net
from unet_tf.utils.signals import look
from unet_tf.utils.typed_json import write_json

log = logging.getLogger("unet_tf")

MOST_PIXELS, FOR_A_THRESHOLD = 2_000_000, 4
"""Pixels that are predicted, of pictures spread over all, so that it takes seconds whatever the data; and so many times
as many, and values, where the threshold of a rare class is to be chosen on them."""
SIDES, ENOUGH_FILES = (2048, 1024, 512), 7
"""Sides of the middle that is taken of large pictures: the first by which so many pictures are seen, or all."""
MOST_VALUES = 1 << 21
"""Logarithms that are kept of these, 8 MB: of two classes a million pixels."""
LEAST_SHIFT = 1e-3
"""A smaller one is what a fit leaves to the next."""
ROLES = {"val": "validation", "train": "training"}


class Seen(NamedTuple):
    """What a net said of pixels: (N, C) logarithms of probabilities, (N,) class ids, (N,) numbers of their files.

    Of so many files; some may have no pixel that counts.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.uint8]
    owners: NDArray[np.int32]
    files: int


def calibrate(run: Run, splits: dict[str, Samples]) -> None:
    """Fit the temperature of a run, choose its threshold, and write `calibration.json`.

    Where borders are a class, and soft Dice was in the loss, the bias of the background's logit in `best.keras` is
    fitted before.

    Args:
        run: the run, whose `best.keras` is there.
        splits: its files. Without "val" there is no temperature, and that is said; borders are fitted on "train" where
            "val" shows none.

    Raises:
        InputError: a file cannot be used, the net gives what is not finite, or the folder cannot be written.
        Stopped: a signal came; `calibration.json` stays as it was.
    """
    if run.masks.border and run.plan.loss == "crossentropy_dice":
        _fit_rims(run, splits)
    if (val := splits.get("val")) is None:
        log.info("temperature = 1: no file is held out to fit it on, and probabilities are the softmax as it is")
        return
    start, predictor = time.monotonic(), Predictor(run)
    predictor.network.temperature = 1.0
    seen = observe(predictor, val, run.masks, _known, FOR_A_THRESHOLD if run.plan.threshold == BEST else 1)
    if len(np.unique(seen.labels)) < 2:
        log.info("temperature = 1: validation pixels are of one class, or of none, on which none can be fitted")
        if run.plan.threshold == BEST:
            log.info(f"threshold = {HALF}: nor can one be chosen on them")
        return
    temperature = fit_temperature(seen.logits, seen.labels)
    if temperature in (COOLEST, HOTTEST):
        log.warning(
            f"The temperature of the probabilities is {temperature:g}, the limit: the net is right, or wrong, on all "
            "validation pixels, which are too few or too easy to tell how sure it may be."
        )
    probabilities = tempered(np.exp(seen.logits), temperature)
    threshold = chosen = run.plan.threshold if isinstance(run.plan.threshold, float) else HALF
    certainty = Certainty(run.plan.num_classes, Calibration(temperature, threshold))
    certainty.add(seen.labels, probabilities)
    if run.plan.threshold == BEST and certainty.curve is not None:
        parts = np.unique(parts_of(val.pairs, run.config.group), return_inverse=True)[1]
        chosen = best_threshold(_curves(parts, seen, probabilities))
        certainty.calibration = Calibration(temperature, chosen)
    of, thresholds = certainty.tables()
    before, after = energy(seen.logits, seen.labels), energy(seen.logits, seen.labels, temperature)
    stored = {
        "model": run.model_hash,
        "temperature": temperature,
        "threshold": chosen,
        "files": seen.files,
        "pixels": len(seen.labels),
        "energy": after,
        "energy_raw": before,
        "calibration": of,
        "thresholds": thresholds,
    }
    write_json(run.path / Run.CALIBRATION, stored)
    seconds = time.monotonic() - start
    log.info(
        f"temperature = {temperature:.4g}: fitted on {len(seen.labels):,} pixels of "
        f"{many(seen.files, 'validation file')} in {seconds:.1f} s, where the cross-entropy is {after:.4f} by it "
        f"and {before:.4f} without"
    )
    if chosen != HALF:
        why = "as was said"
        if run.plan.threshold == BEST:
            why = "within 0.01 or a standard error of the best IoU on these files, and nearest to 0.5"
        log.info(f"threshold = {chosen:g} of the probability of {run.classes[1]}: {why}")


def _fit_rims(run: Run, splits: dict[str, Samples]) -> None:
    """Add to the background's logit of `best.keras` what it lacks at borders; nothing where it lacks nothing."""
    predictor = Predictor(run)
    predictor.network.temperature = 1.0
    for role in ROLES:  # validation files may have no object
        if role in splits:
            seen = observe(predictor, splits[role], run.masks, outline)
            if BORDER in seen.labels and (seen.labels == 0).any():
                break
    else:
        log.info("borders: as the net draws them, as no mask that was looked at has an outline")
        return
    shift = fit_shift(seen.logits, seen.labels)
    if shift > MOST_SHIFT - 1:
        log.warning("borders: the net draws objects wherever it looks, and no number mends that. Train longer.")
    elif shift <= 0:  # not what soft Dice does; and more objects everywhere are no remedy for one that hardly trained
        log.info("borders: not too wide, and left as the net draws them")
    elif shift > LEAST_SHIFT:
        model = read_model(run.path / Run.BEST, compile=True)
        bias = model.get_layer("logits").bias
        bias.assign(bias + np.eye(len(run.classes), dtype=np.float32)[0] * shift)
        replace_net(run.path / Run.BEST, model)
        log.info(
            f"borders: soft Dice draws them too wide; {shift:+.3g} on the logit of {run.classes[0]} gives the "
            f"background its share beside them, by {many(seen.files, f'{ROLES[role]} file')}"
        )


def outline(label: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W) pixels of borders, and of the background up to two pixels beside them."""
    near = cv2.dilate((label == BORDER).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return near & ((label == BORDER) | (label == 0))


def _known(label: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return label != VOID


def observe(
    predictor: Predictor,
    files: Samples,
    masks: MaskFormat,
    counted: Callable[[NDArray[np.uint8]], NDArray[np.bool_]] = _known,
    times: int = 1,
) -> Seen:
    """Predict files once, without a temperature.

    Logarithms of the softmax are logits but for a number of each pixel, on which no probability depends. Where not all
    files are looked at, those are that lie evenly in the order of how many pixels they have of the rarest class: with
    as many empty masks among them as among all.

    Args:
        predictor: of the net, at temperature 1.
        files: that the net was not trained on, best.
        masks: how their masks say the classes.
        counted: which pixels (H, W) of a label count; those that are not void.
        times: so many times the usual number of pixels is looked at.

    Returns:
        All pixels that count of files spread over all, or a draw of them, the same each time; and of a window for each
        class that these do not show, where a file does.
    """
    side, count = _windows(files.shapes, times)
    numbers = _spread(files, count)
    areas = [min(height, side) * min(width, side) for height, width in files.shapes]
    most = times * MOST_VALUES / predictor.network.num_classes
    share = min(1.0, most / sum(areas[number] for number in numbers))
    logits, labels, owners, shown = [], [], [], set[int]()

    def see(number: int, side: int, wanted: int | None = None) -> None:
        look()
        decoded = read_pair(files.pairs[number], masks)
        height, width = decoded.label.shape
        row, column = height // 2, width // 2
        if wanted is not None:
            places = np.flatnonzero(decoded.label == wanted)
            row, column = divmod(int(places[len(places) // 2]), width)
        rows, columns = (
            slice(start := int(np.clip(at - side // 2, 0, max(0, size - side))), start + side)
            for at, size in ((row, height), (column, width))
        )
        found = predictor.probabilities(
            decoded.image[rows, columns], name=str(files.pairs[number].image), nodata=decoded.nodata
        )
        label = decoded.label[rows, columns]
        ids, taken = label.reshape(-1), np.flatnonzero(counted(label))
        there = ids[taken]
        if share < 1:
            wanted_ones = taken[there == wanted] if wanted is not None else taken[:0]
            taken = np.random.default_rng(number).choice(taken, int(share * len(taken)), replace=False)
            taken = np.union1d(taken, wanted_ones[:1])
        shown.update(np.setdiff1d(ids, np.setdiff1d(there, ids[taken])).tolist())
        own = found.reshape(-1, found.shape[-1])[taken]
        logits.append(np.log(np.maximum(own, TINY)))
        labels.append(ids[taken])
        owners.append(np.full(len(taken), number, np.int32))

    for number in numbers:
        see(number, side)
    for wanted in np.flatnonzero(files.class_pixels).tolist():
        if wanted not in shown:
            fullest = int(np.argmax([one.class_pixels[wanted] for one in files.fingerprints]))
            numbers.append(fullest)
            see(fullest, SIDES[-1], wanted)
    return Seen(np.concatenate(logits), np.concatenate(labels), np.concatenate(owners), len({*numbers}))


def _curves(parts: NDArray[np.intp], seen: Seen, probabilities: NDArray[np.float32]) -> list[Curve]:
    """The curve of each part, by its number for each file."""
    owners = parts[seen.owners]
    order, curves = np.argsort(owners, kind="stable"), []
    for own in np.split(order, np.flatnonzero(np.diff(owners[order])) + 1):
        curves.append(Curve())
        curves[-1].add(seen.labels[own], probabilities[own, 1])
    return curves


def _spread(files: Samples, count: int) -> list[int]:
    """Numbers of so many files that lie evenly in the order of how many pixels they have of the rarest class."""
    pixels = np.where(files.class_pixels, files.class_pixels, np.iinfo(np.int64).max)
    order = np.argsort([one.class_pixels[pixels.argmin()] for one in files.fingerprints], kind="stable")
    return sorted(order[((np.arange(count) + 0.5) * len(files) / count).astype(int)].tolist())


def _windows(shapes: Sequence[tuple[int, int]], times: int = 1) -> tuple[int, int]:
    """Side of the middle that is taken of each picture, and of how many."""
    for side in SIDES:
        pixels = sum(min(height, side) * min(width, side) for height, width in shapes)
        count = int(np.clip(times * MOST_PIXELS * len(shapes) // max(pixels, 1), 1, len(shapes)))
        if count >= min(ENOUGH_FILES, len(shapes)):
            break
    return side, count
