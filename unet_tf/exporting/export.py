"""Export of a run as a bundle: a SavedModel for TF Serving, TFLite files for the edge, each held against Keras."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unet_tf.data.folder import Pair
from unet_tf.data.pictures import read_image
from unet_tf.edge.description import Description
from unet_tf.errors import InputError
from unet_tf.evaluation.evaluate import select_files
from unet_tf.exporting.bundle import (
    CARD,
    DESCRIPTION,
    KERAS,
    PAGE,
    REPORT,
    SAVED_MODEL,
    SAVED_MODEL_BFLOAT16,
    TFLITE,
    Bundle,
    hashes,
)
from unet_tf.exporting.card import model_card, write_bundle_page
from unet_tf.exporting.latency import milliseconds
from unet_tf.exporting.parity import (
    THREADS,
    Tally,
    bundled_net,
    compare,
    inexact,
    keras_net,
    noise,
    noise_example,
    read_example,
    worse,
)
from unet_tf.exporting.saved_model import signatures, write_saved_model, write_warmup
from unet_tf.exporting.tflite import write_tflite
from unet_tf.model.inference import folded
from unet_tf.run import Run
from unet_tf.tiling import default_tile, read_window
from unet_tf.utils.files import replacing
from unet_tf.utils.progress import Progress, unseen
from unet_tf.version import __version__

MAX_IOU_DROP = 0.01
CALIBRATION_PIXELS = 2_000_000
"""Pixels of the training images that "uint8" is calibrated by, in tiles: on ISBI 2012, five times as many change the
mean IoU by 0.0001."""
FEWEST_WINDOWS = 8
WARMUP_SIDE = 256
STATIC_TILE = 576
"""Largest side of a static tile, pixels, where nothing else is said: LiteRT takes about 450 bytes a pixel beside the
activations, which is 150 MB."""


def export(
    run: Run | str | Path,
    out: str | Path,
    tile: int | None = None,
    *,
    data: str | Path | None = None,
    variants: Sequence[str] | None = None,
    bfloat16: bool = False,
    max_iou_drop: float = MAX_IOU_DROP,
    on_step: Callable[[str], None] = lambda name: None,
    on_image: Progress = unseen,
) -> dict[str, Any]:
    """Export the best net of a run, in float32, with batch normalisation folded and normalisation in the graph.

    The bundle holds
    - `saved_model/1`: TF Serving's version folder, with warm-up requests. Its signatures
      (`unet_tf.exporting.saved_model`) take images of any size, as raw pixels or picture files;
    - `model_float32.tflite`, `model_float16.tflite`, `model_dynamic.tflite`, `model_uint8.tflite`
      (`unet_tf.exporting.tflite`): one static tile, raw pixels -> mask and probabilities; `unet_tf.edge` runs them on
      any picture;
    - `model.keras`: the net as it was trained, in float32;
    - `bundle.json`: what a runtime has to know, and the SHA-256 of every file;
    - `report.html`, `report.json`: all of them against Keras on the validation files of the run;
    - `MODEL_CARD.md`.

    Args:
        run: a run, or its folder. A model that was built by hand has none, and is refused: nothing says what its pixels
            and its classes are.
        out: the bundle, a new folder.
        tile: side of the static tile of the TFLite files, legal and large enough to predict with; None for one that
            cuts the usual validation picture into the fewest equal tiles of at most 576 px.
        data: the folder that the run was trained on, where it is now; None for where it was then. "uint8" is calibrated
            by its training files, all are judged on its validation files.
        variants: which TFLite files, keys of `unet_tf.exporting.bundle.TFLITE`; None for all. "float32" alone needs
            no data.
        bfloat16: export `saved_model_bfloat16/1` too, for processors that compute in it.
        max_iou_drop: largest loss of mean IoU against Keras that one of them may have.
        on_step: called with the name of each step as it begins.
        on_image: called with (pictures compared, pictures in all).

    Returns:
        What `report.json` holds.

    Raises:
        InputError: the folder exists or cannot be written, the tile is not legal, the data is gone or of another kind,
            or a net loses more than `max_iou_drop`.
        RuntimeError: the SavedModel or the float32 TFLite file differ from Keras by more than
            `unet_tf.exporting.parity.EXACT`, or the converter failed. Nothing is written then, as with every error.
    """
    if not isinstance(run, Run | str | Path):
        raise InputError(
            f"A run is exported, or its folder: it knows pixels and classes; received {type(run).__name__}. Train with "
            "unet_tf.train."
        )
    run, out = run if isinstance(run, Run) else Run(run), Path(out)
    if out.exists():
        raise InputError(f"{out} exists. Choose another --out for the bundle, or remove it first.")
    variants = _checked(tuple(TFLITE) if variants is None else variants)
    if not 0 <= max_iou_drop <= 1:
        raise InputError(f"A loss of mean IoU lies between 0 and 1; received {max_iou_drop}.")
    if tile is not None:
        run.geometry.tile_step(tile)  # raises where it is not legal
    model = _model(run, "float32")
    training, validation = _files(run, data, bfloat16 or not set(variants) <= {"float32"})
    description = _describe(run, tile or static_tile(run, validation), max_iou_drop)
    net = folded(model)

    with replacing(out) as temporary, _refusals_in_words(out):
        on_step("SavedModel")
        _write_saved_model(net, description, temporary / SAVED_MODEL)
        if bfloat16:
            _write_saved_model(folded(_model(run, "bfloat16")), description, temporary / SAVED_MODEL_BFLOAT16)
        model.save(temporary / KERAS)
        windows = calibration(run, training, description.tile) if "uint8" in variants else None
        write_tflite(net, description, variants, windows, temporary, lambda name: on_step(f"TFLite {name}"))
        _write_description(temporary, description)

        on_step("comparing with Keras")
        bundle = Bundle(temporary)
        tallies = _judged(bundle, model, run, validation, on_image)
        on_step("timing")
        report = _report(bundle, tallies, milliseconds(temporary), len(validation))
        (temporary / REPORT).write_text(json.dumps(report, indent=2), encoding="utf-8")
        write_bundle_page(temporary / PAGE, out.name, description, report, tallies)
        card = model_card(out.name, description, report)
        (temporary / CARD).write_text(card, encoding="utf-8", errors="backslashreplace")
        _write_description(temporary, description)
    return report


def _judged(
    bundle: Bundle, model: keras.Model, run: Run, validation: Sequence[Pair], on_image: Progress
) -> dict[str, Tally]:
    """Each net against Keras on noise, then on the validation files; raises where one is not good enough."""
    description = bundle.description
    nets = {name: bundled_net(bundle.path, name, description) for name in bundle.artefacts()}
    reference = keras_net(model, description)
    tallies: dict[str, Tally] = {}
    noise_alone = [partial(noise_example, description)]
    for examples in noise_alone, [partial(read_example, pair, description) for pair in validation]:
        if examples:
            tallies = compare(reference, nets, examples, len(run.classes), on_image)
            if failures := inexact(tallies):
                raise RuntimeError(
                    f"{' '.join(failures)} Nothing was exported. Please report this with the versions in config.toml "
                    "of the run."
                )
    if failures := worse(tallies, description.origin["max_iou_drop"]):
        raise InputError(
            f"{' '.join(failures)} Nothing was exported. Allow more with --max-iou-drop, or leave it out: --variants "
            "names those to make."
        )
    return tallies


@contextmanager
def _refusals_in_words(out: Path) -> Iterator[None]:
    """Say it as an InputError where TensorFlow's own file system cannot write."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError) as error:
        raise InputError(f"Cannot write {out}: {error.message}. Free space or choose another place.") from error


def _checked(variants: Sequence[str]) -> tuple[str, ...]:
    """In the order of `TFLITE`."""
    if unknown := [name for name in variants if name not in TFLITE]:
        raise InputError(f"The TFLite variants are {', '.join(TFLITE)}; received {', '.join(map(repr, unknown))}.")
    return tuple(name for name in TFLITE if name in variants)


def _model(run: Run, precision: str) -> keras.Model:
    """The best net, rebuilt where it was trained in another precision."""
    if run.config.precision == precision:
        return run.model
    model = replace(run.config, precision=precision).build(run.normalisation.channels)
    model.set_weights(run.model.get_weights())
    return model


def _files(run: Run, data: str | Path | None, needed: bool) -> tuple[list[Pair], list[Pair]]:
    """Training and validation files of a run."""
    folder = run.data if data is None else Path(data)
    if folder.is_dir():
        return select_files(run, folder, "train")[0], select_files(run, folder, "val")[0]
    if not needed and data is None:
        return [], []
    raise InputError(
        "Nets of less than float32 are calibrated and judged on the pictures that the run was trained on, and "
        f"{folder} is not there. Say where they are now (--data), or make the float32 file alone (--variants float32)."
    )


def static_tile(run: Run, pairs: Sequence[Pair]) -> int:
    """The side of equal tiles of at most `STATIC_TILE` for the usual one of these pictures, or of the run's tiles."""
    geometry = run.geometry
    side = (run.config.tile or 0) - geometry.shrink
    if pairs:
        few = [pairs[i] for i in sorted({*np.linspace(0, len(pairs) - 1, 12).astype(int)})]
        side = int(np.median([max(read_image(pair.image, pair.page).shape[:2]) for pair in few]))
    most = max(geometry.nearest_legal(STATIC_TILE)[0], geometry.min_tile)
    return geometry.tiling(max(side, 1), most).input_size


def calibration(run: Run, pairs: Sequence[Pair], tile: int) -> NDArray:
    """Windows of the training pictures, somewhere in each: (N, tile, tile, C) raw pixels."""
    count = max(FEWEST_WINDOWS, CALIBRATION_PIXELS // tile**2)
    rng, halo = np.random.default_rng(0), run.geometry.halo
    windows = []
    for number in np.resize(rng.permutation(len(pairs)), count).tolist():
        image = read_image(pairs[number].image, pairs[number].page)
        run.normalisation.check(image, str(pairs[number].image))
        origin = [int(rng.integers(-halo, max(1, length + 2 * halo - tile) - halo)) for length in image.shape[:2]]
        window = read_window(image, origin, (tile, tile), halo=0)
        windows.append(np.broadcast_to(window, (tile, tile, run.normalisation.channels)))
    return np.stack(windows)


def _describe(run: Run, tile: int, max_iou_drop: float) -> Description:
    evaluation = run.path / Run.EVALUATION
    stored = json.loads(evaluation.read_text(encoding="utf-8")) if evaluation.is_file() else {}
    training, validation = sorted(run.files("train")), run.files("val")
    packages = {"python": platform.python_version(), "tensorflow": tf.__version__, "keras": keras.__version__}
    origin = {
        "unet_tf": __version__,
        "versions": packages,
        "scores": {name: stored[name] for name in ("mean_iou", "iou") if name in stored},
        "data": {
            "fingerprint": hashlib.sha256("".join(training).encode()).hexdigest(),
            "train": len(training),
            "val": len(validation),
        },
        "max_iou_drop": max_iou_drop,
    }
    return Description(run.classes, run.masks, run.normalisation, run.geometry, tile, origin)


def _write_saved_model(model: keras.Model, description: Description, path: Path) -> None:
    geometry, normalisation = description.geometry, description.normalisation
    functions = signatures(model, normalisation, geometry, default_tile(geometry))
    write_saved_model(model, functions, str(path))
    write_warmup(path, noise(description, (WARMUP_SIDE, WARMUP_SIDE)), functions)


def _write_description(folder: Path, description: Description) -> None:
    stored = description.to_json() | {"sha256": hashes(folder)}
    (folder / DESCRIPTION).write_text(json.dumps(stored, indent=2), encoding="utf-8")


def _report(bundle: Bundle, tallies: dict[str, Tally], times: dict[str, float], validation: int) -> dict[str, Any]:
    """What `report.json` holds."""
    classes = bundle.description.classes
    numbers = {name: tally.to_json(classes) for name, tally in tallies.items()}
    of_keras = numbers.pop(KERAS)
    for name, own in numbers.items():
        path = bundle.path / name
        files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        own |= {"bytes": sum(file.stat().st_size for file in files), "milliseconds": times[name]}
    judged_on = f"{validation} validation files of the run, which chose its epoch too"
    return {
        "pictures": judged_on if validation else "noise, for want of files",
        "tile": bundle.description.tile,
        "threads": THREADS,
        "keras": of_keras,
        "artefacts": numbers,
    }
