"""Export of a run as a bundle: a SavedModel for TF Serving, TFLite files for the edge, each held against Keras."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
import tensorflow as tf

from unet_tf.data.folder import Pair
from unet_tf.edge.description import Description, Origin, TrainedScores
from unet_tf.errors import InputError
from unet_tf.evaluation.tables import BundleReport, read_evaluation
from unet_tf.exporting.bioimageio import BIOIMAGEIO, write_bioimageio
from unet_tf.exporting.bundle import (
    CARD,
    DESCRIPTION,
    KERAS,
    KNOWN_BY,
    MAX_IOU_DROP,
    NETS,
    PAGE,
    REPORT,
    SAVED_MODEL,
    SAVED_MODEL_BFLOAT16,
    TFLITE,
    StoredBundle,
    hashes,
)
from unet_tf.exporting.card import model_card, write_bundle_page
from unet_tf.exporting.credits import credit_of
from unet_tf.exporting.material import Material, calibration, gather, judged_on_words, static_tile
from unet_tf.exporting.onnx import needs_onnx, write_onnx
from unet_tf.exporting.parity import (
    THREADS,
    Predict,
    Tally,
    broken,
    bundled_net,
    compare,
    comparison_report,
    inexact,
    keras_net,
    milliseconds,
    noise,
    noise_example,
    read_example,
    worse,
)
from unet_tf.exporting.saved_model import signatures, why_not_encoded, write_saved_model, write_warmup
from unet_tf.exporting.tflite import write_tflite
from unet_tf.exporting.web import check_web, write_web
from unet_tf.model.inference import folded
from unet_tf.prediction.folds import Folds, opened
from unet_tf.run import Run
from unet_tf.tiling import default_tile
from unet_tf.utils.files import replacing
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look, stoppable
from unet_tf.version import __version__

log = logging.getLogger("unet_tf")

WARMUP_SIDE = 256


def export(
    run: Run | Folds | str | Path,
    out: str | Path,
    tile: int | None = None,
    *,
    data: str | Path | None = None,
    variants: Sequence[str] | None = None,
    bfloat16: bool = False,
    onnx: bool = False,
    web: bool = False,
    bioimageio: bool = False,
    authors: Sequence[str] = (),
    license: str = "",
    max_iou_drop: float = MAX_IOU_DROP,
    on_step: Callable[[str], None] = lambda name: None,
    on_image: Progress = unseen,
) -> BundleReport:
    """Export the best net of a run, in float32, with batch normalisation folded and normalisation in the graph.

    The bundle holds
    - `saved_model/1`: TF Serving's version folder, with warm-up requests. Its signatures
      (`unet_tf.exporting.saved_model`) take images of any size, as raw pixels or picture files;
    - `model_float32.tflite`, `model_float16.tflite`, `model_dynamic.tflite`, `model_uint8.tflite`
      (`unet_tf.exporting.tflite`): one static tile, raw pixels -> mask and probabilities; `unet_tf.edge` runs them on
      any picture;
    - with `onnx`, `model.onnx` and `model_tile.onnx` (`unet_tf.exporting.onnx`): the same in ONNX, for pictures of any
      legal size and as the static tile;
    - `model.keras`: the net as it was trained, in float32;
    - `bundle.json`: what a runtime has to know, and the SHA-256 of every file;
    - `report.html`, `report.json`: all of them against Keras on the validation files of the run;
    - `MODEL_CARD.md`;
    - where it is wanted, `web/`: a page that runs the net in browsers (`unet_tf.exporting.web`).
    - with `bioimageio`, `bioimageio.zip`: a package of the BioImage Model Zoo (`unet_tf.exporting.bioimageio`).

    Args:
        run: a run, or its folder; or the folder of a cross-validation: the bundle then has the mean of its nets in each
            file, which takes as many times the space and the time of one, and is held against that mean of Keras on
            the files that the first run held out, from which the others have learnt. A model that was built by hand is
            refused: nothing says what its pixels and its classes are.
        out: the bundle, a new folder.
        tile: side of the static tile of the TFLite files, legal and large enough to predict with; None for one that
            cuts the usual validation picture into the fewest equal tiles of at most 576 px.
        data: the folder that the run was trained on, where it is now; None for where it was then. "uint8" is calibrated
            by its training files, all are judged on its validation files.
        variants: which TFLite files, keys of `unet_tf.exporting.bundle.TFLITE`; None for all. "float32" alone needs
            no data.
        bfloat16: export `saved_model_bfloat16/1` too, for processors that compute in it.
        onnx: export ONNX files too, which needs the extra `onnxruntime`.
        web: make the page too; npm fetches LiteRT.js for it, once.
        bioimageio: export a package of the BioImage Model Zoo too, which Fiji and bioimageio.core run.
        authors: of that package, each "Name" or "Name, Affiliation".
        license: of the net, for its card and that package: an SPDX identifier such as "MIT".
        max_iou_drop: largest loss of mean IoU against Keras that one of them may have.
        on_step: called with the name of each step as it begins.
        on_image: called with (pictures compared, pictures in all).

    Returns:
        What `report.json` holds.

    Raises:
        InputError: the folder exists or cannot be written, the tile is not legal, the data is gone or of another kind,
            a net gives what is not finite, it loses more than `max_iou_drop`, authors or licence of a package are
            missing or none, or what writes one of the files is not installed.
        RuntimeError: the SavedModel, the float32 TFLite file or an ONNX file differ from Keras by more than
            `unet_tf.exporting.parity.EXACT`, or the converter failed. Nothing is written then, as with every error.

    Example:
        >>> export("runs/cells", "bundles/cells")["keras"]["mean_iou"]  # doctest: +SKIP
        0.91
    """
    if not isinstance(run, Run | Folds | str | Path):
        raise InputError(
            f"A run must be given, or its folder: it knows pixels and classes; received {type(run).__name__}. Train "
            "with unet_tf.train."
        )
    credit = credit_of(bioimageio, authors, license)
    run, out = opened(run) if isinstance(run, str | Path) else run, Path(out)
    if out.exists():
        raise InputError(f"{out} exists. Choose another --out for the bundle, or remove it first.")
    if onnx:
        needs_onnx()
    variants = _checked(tuple(TFLITE) if variants is None else variants)
    if not 0 <= max_iou_drop <= 1:
        raise InputError(f"A loss of mean IoU must lie between 0 and 1; received {max_iou_drop}.")
    if tile is not None:
        run.geometry.tile_step(tile)  # raises where it is not legal
    with stoppable():
        model = model_of(run, "float32")
        first = run.first if isinstance(run, Folds) else run
        material = material_of(first, data, tile, bfloat16 or not set(variants) <= {"float32"})
        description = describe(run, tile or static_tile(first, material.sides), max_iou_drop)
        if web:
            check_web(description, variants)
        with replacing(out) as temporary, refusals_in_words(out):
            _write_nets(temporary, run, first, model, description, material, variants, bfloat16, onnx, on_step)
            on_step("comparing with Keras")
            nets = {name: bundled_net(temporary, name, description) for name in NETS if (temporary / name).exists()}
            tallies = judged(nets, model, description, material.validation, on_image)
            on_step("timing")
            judged_on = judged_on_words(run, len(material.validation))
            report = report_of(temporary, description, tallies, milliseconds(nets, description), judged_on)
            (temporary / REPORT).write_text(json.dumps(report, indent=2, allow_nan=False), encoding="utf-8")
            write_bundle_page(temporary / PAGE, out.name, description, report, tallies)
            card = model_card(out.name, description, report, license, first.data.name)
            (temporary / CARD).write_text(card, encoding="utf-8", errors="backslashreplace")
            if web:
                on_step("web page")
                write_web(temporary, description)
            if credit is not None:
                on_step("bioimage.io")
                package = temporary / BIOIMAGEIO
                write_bioimageio(package, out.name, model, description, card, material.validation, credit)
            stored: StoredBundle = {
                **description.to_json(), "learnt": learnt_by(run), "sha256": hashes(temporary)
            }  # fmt: skip
            (temporary / DESCRIPTION).write_text(json.dumps(stored, indent=2, allow_nan=False), encoding="utf-8")
    return report


def _write_nets(
    folder: Path,
    run: Run | Folds,
    first: Run,
    model: keras.Model,
    description: Description,
    material: Material,
    variants: Sequence[str],
    bfloat16: bool,
    onnx: bool,
    on_step: Callable[[str], None],
) -> None:
    """Write all nets of a bundle."""
    net = folded(model)
    on_step("SavedModel")
    if words := why_not_encoded(description.normalisation, description.channels):
        log.warning(f"The SavedModel has no signature `encoded` for picture files: {words}.")
    write_version(net, description, folder / SAVED_MODEL)
    look()
    if bfloat16:
        write_version(folded(model_of(run, "bfloat16")), description, folder / SAVED_MODEL_BFLOAT16)
        look()
    model.save(folder / KERAS)
    look()
    windows = calibration(first, material.crops, description.tile) if "uint8" in variants else None
    write_tflite(net, description, variants, windows, folder, lambda name: on_step(f"TFLite {name}"))
    if onnx:
        on_step("ONNX")
        write_onnx(net, description, folder)


def judged(
    nets: dict[str, Predict],
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
            if failures := broken(tallies):
                raise InputError(
                    f"{' '.join(failures)} Nothing was exported. Train again, with a lower --learning-rate."
                )
            if failures := inexact(tallies, description.calibration.temperature):
                raise RuntimeError(
                    f"{' '.join(failures)} Nothing was exported. Please report this with the versions in config.toml "
                    "of the run."
                )
    if failures := worse(tallies, description.origin.max_iou_drop):
        raise InputError(
            f"{' '.join(failures)} Nothing was exported. Allow more with --max-iou-drop, or leave it out: --variants "
            "names those to make."
        )
    return tallies


@contextmanager
def refusals_in_words(out: Path) -> Iterator[None]:
    """Say it as an InputError where TensorFlow's own file system cannot write."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError) as error:
        raise InputError(f"Cannot write {out}: {error.message}. Free space or choose another place.") from error


def _checked(variants: Sequence[str]) -> tuple[str, ...]:
    """Put variants into the order of `TFLITE`."""
    if unknown := [name for name in variants if name not in TFLITE]:
        raise InputError(f"TFLite variants must be of {', '.join(TFLITE)}; received {', '.join(map(repr, unknown))}.")
    return tuple(name for name in TFLITE if name in variants)


def model_of(run: Run | Folds, precision: str) -> keras.Model:
    """The best net, rebuilt where it was trained in another precision; of several, their mean."""
    if isinstance(run, Folds):
        return run.averaged({name: model_of(one, precision) for name, one in run.runs.items()})
    if run.plan.precision == precision:
        return run.model
    model = replace(run.plan, precision=precision).build(run.normalisation.channels)
    model.set_weights(run.model.get_weights())
    return model


def material_of(run: Run, data: str | Path | None, tile: int | None, needed: bool) -> Material:
    """What the export takes of the pictures of a run; nothing where they are gone and not needed."""
    folder = run.data if data is None else Path(data)
    if folder.is_dir():
        return gather(run, folder, tile)
    if not needed and data is None:
        return Material([], [], [])
    raise InputError(
        "Nets of less than float32 are calibrated and judged on the pictures that the run was trained on, and "
        f"{folder} is not there. Say where they are now (--data), or make the float32 file alone (--variants float32)."
    )


def describe(run: Run | Folds, tile: int, max_iou_drop: float) -> Description:
    """Put together what a runtime has to know of the net of a run, or of the mean of several."""
    nets = len(run.runs) if isinstance(run, Folds) else 1
    trained = run.learnt() if isinstance(run, Folds) else run.files("train")
    training, validation = sorted(trained), run.files("val") - trained
    origin = Origin(
        unet_tf=__version__,
        versions={"python": platform.python_version(), "tensorflow": tf.__version__, "keras": keras.__version__},
        data={
            "fingerprint": hashlib.sha256("".join(training).encode()).hexdigest(),
            "train": len(training),
            "val": len(validation),
        },
        max_iou_drop=max_iou_drop,
    )
    if scores := run.scores if isinstance(run, Folds) else _scores(run):
        origin = replace(origin, scores=scores)
    return Description(
        run.classes, run.masks, run.normalisation, run.geometry, tile, origin, run.channels, run.calibration, nets
    )


def learnt_by(run: Run | Folds) -> list[str]:
    """The pictures that a net learnt from, or any of several, as `bundle.json` names them."""
    trained = run.learnt() if isinstance(run, Folds) else run.files("train")
    return sorted(known[:KNOWN_BY] for known in trained)


def _scores(run: Run) -> TrainedScores:
    path = run.path / Run.EVALUATION
    if not path.is_file():
        return {}
    stored = read_evaluation(path)
    chosen = stored["thresholds"]["chosen"] if "thresholds" in stored else None
    if chosen not in (None, run.calibration.threshold):  # of labels that this net does not give
        return {}
    if stored.get("learnt"):  # such scores flatter
        return {}
    return {"mean_iou": stored["mean_iou"], "iou": stored["iou"]}


def write_version(model: keras.Model, description: Description, path: Path) -> None:
    """Write a SavedModel of a folded net with its signatures and the requests that warm it up."""
    geometry, normalisation = description.geometry, description.normalisation
    how = description.channels, description.calibration
    functions = signatures(model, normalisation, geometry, default_tile(geometry), *how)
    write_saved_model(model, functions, str(path))
    write_warmup(path, noise(description, (WARMUP_SIDE, WARMUP_SIDE)), functions)


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
