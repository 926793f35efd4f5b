"""Export of a run as a bundle: a SavedModel for TF Serving, TFLite files for the edge, each held against Keras."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from unet_tf.errors import InputError
from unet_tf.evaluation.bundle_tables import BundleReport
from unet_tf.exporting import shelves
from unet_tf.exporting.bundle import DESCRIPTION, MAX_IOU_DROP, NETS, PAGE, REPORT, TFLITE, StoredBundle, hashes
from unet_tf.exporting.card import write_bundle_page
from unet_tf.exporting.credits import credit_of
from unet_tf.exporting.judging import judged, milliseconds, refusals_in_words, report_of
from unet_tf.exporting.material import first_of, judged_on_words, static_tile
from unet_tf.exporting.onnx import needs_onnx
from unet_tf.exporting.parity import bundled_net
from unet_tf.exporting.source import describe, learnt_by, material_of, model_of
from unet_tf.exporting.web import check_web
from unet_tf.model.inference import check_backend, folded
from unet_tf.prediction.folds import BECOMES_A_RUN, Folds, opened
from unet_tf.run import Run
from unet_tf.utils.files import replacing
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look, stoppable


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
    - `report.html`, `report.json`: all of them against Keras on the validation files of the run, or on its training
      files where it held none out;
    - `MODEL_CARD.md`;
    - where it is wanted, `web/`: a page that runs the net in browsers (`unet_tf.exporting.web`).
    - with `bioimageio`, `bioimageio.zip`: a package of the BioImage Model Zoo (`unet_tf.exporting.bioimageio`).

    Args:
        run: a run, or its folder; or the folder of a cross-validation: the bundle then has the mean of its nets in each
            file, which takes as many times the space and the time of one, and is held against that mean of Keras on
            the files that the first run held out, on which the others were trained. A model that was built by hand is
            refused: nothing says what its pixels and its classes are.
        out: the bundle, a new folder.
        tile: side of the static tile of the TFLite files, legal and large enough to predict with; None for one that
            cuts the usual validation picture into the fewest equal tiles of at most 576 px.
        data: the folder that the run was trained on, where it is now; None for where it was then. "uint8" is calibrated
            by its training files, all are judged on its validation files.
        variants: which TFLite files, keys of `unet_tf.exporting.bundle.TFLITE`; None for all. "float32" alone needs
            no data: where the folder of then is gone, or cannot be used, it is held against Keras on noise.
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
    check_backend()
    if not isinstance(run, Run | Folds | str | Path):
        raise InputError(
            f"A run must be given, or its folder: it knows pixels and classes; received {type(run).__name__}. Train "
            f"with unet_tf.train. {BECOMES_A_RUN}"
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
    nets = [shelves.saved_model, *[shelves.saved_model_bfloat16] * bfloat16, shelves.keras_net, shelves.tflite_files]
    nets += [shelves.onnx_files] * onnx
    others = [*[shelves.web_page] * web, *[shelves.zoo_package] * bioimageio]
    with stoppable():
        model = model_of(run, "float32")
        material = material_of(first_of(run), data, tile, bfloat16 or not set(variants) <= {"float32"})
        description, dataset = describe(run, tile or static_tile(first_of(run), material.sides), max_iou_drop)
        runtime = check_web(description, variants) if web else []
        with replacing(out) as folder, refusals_in_words(out):
            net, about = folded(model), (description, material, variants, runtime, credit, license, dataset, on_step)
            work = shelves.Work(folder, out.name, run, model, net, *about)
            for write in nets:
                write(work)
                look()
            report = _reported(work, on_image)
            shelves.card(work, report)
            for write in others:
                write(work)
            stored: StoredBundle = {**description.to_json(), **learnt_by(run), "sha256": hashes(folder)}
            (folder / DESCRIPTION).write_text(json.dumps(stored, indent=2, allow_nan=False), encoding="utf-8")
            if out.exists():
                raise InputError(f"{out} has come to be meanwhile, and stays as it is. Choose another --out.")
    return report


def _reported(work: shelves.Work, on_image: Progress) -> BundleReport:
    """Hold the nets of a bundle against Keras, and write its report and the page of it."""
    folder, description, validation = work.folder, work.description, work.material.validation
    work.on_step("comparing with Keras")
    nets = {name: bundled_net(folder, name, description) for name in NETS if (folder / name).exists()}
    tallies = judged(nets, work.model, description, validation, on_image)
    work.on_step("timing")
    times, judged_on = milliseconds(nets, description), judged_on_words(work.run, len(validation))
    report = report_of(folder, description, tallies, times, judged_on)
    (folder / REPORT).write_text(json.dumps(report, indent=2, allow_nan=False), encoding="utf-8")
    write_bundle_page(folder / PAGE, work.name, description, report, tallies)
    return report


def _checked(variants: Sequence[str]) -> tuple[str, ...]:
    """Put variants into the order of `TFLITE`."""
    variants = [variants] if isinstance(variants, str) else variants
    if unknown := [name for name in variants if name not in TFLITE]:
        raise InputError(f"TFLite variants must be of {', '.join(TFLITE)}; received {', '.join(map(repr, unknown))}.")
    return tuple(name for name in TFLITE if name in variants)
