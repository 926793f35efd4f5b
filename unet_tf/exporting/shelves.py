"""What a bundle holds, a shelf each: a function that writes its files into the bundle under way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from unet_tf.edge.description import Description
from unet_tf.evaluation.bundle_tables import BundleReport
from unet_tf.exporting.bioimageio import BIOIMAGEIO, write_bioimageio
from unet_tf.exporting.bundle import CARD, KERAS, SAVED_MODEL, SAVED_MODEL_BFLOAT16
from unet_tf.exporting.card import model_card
from unet_tf.exporting.credits import Credits
from unet_tf.exporting.material import Material, calibration, first_of
from unet_tf.exporting.onnx import write_onnx
from unet_tf.exporting.parity import noise
from unet_tf.exporting.saved_model import signatures, why_not_encoded, write_saved_model, write_warmup
from unet_tf.exporting.source import model_of
from unet_tf.exporting.tflite import write_tflite
from unet_tf.exporting.web import write_web
from unet_tf.model.inference import folded
from unet_tf.prediction.folds import Folds
from unet_tf.run import Run
from unet_tf.tiling import default_tile

log = logging.getLogger("unet_tf")

WARMUP_SIDE = 256


@dataclass(frozen=True)
class Work:
    """A bundle under way.

    Attributes:
        folder: where it is written.
        name: that it will have.
        run: what is exported.
        model: its net, in float32, as it was trained.
        net: the same, folded.
        description: of it.
        material: what is taken of the pictures of the run.
        variants: the TFLite files, keys of `unet_tf.exporting.bundle.TFLITE`.
        runtime: archives of LiteRT.js, for the page.
        credit: who made the net, for the package of the BioImage Model Zoo.
        license: of the net, as SPDX names it; "" where none was said.
        dataset: what the folder is called whose files the scores of the run are of; "" says nothing.
        on_step: is told the name of each step as it begins.
    """

    folder: Path
    name: str
    run: Run | Folds
    model: keras.Model
    net: keras.Model
    description: Description
    material: Material
    variants: Sequence[str]
    runtime: Sequence[Path]
    credit: Credits | None
    license: str
    dataset: str
    on_step: Callable[[str], None]


def saved_model(work: Work) -> None:
    """Write the SavedModel for TF Serving."""
    work.on_step("SavedModel")
    if words := why_not_encoded(work.description.normalisation, work.description.channels):
        log.warning(f"The SavedModel has no signature `encoded` for picture files: {words}.")
    write_version(work.net, work.description, work.folder / SAVED_MODEL)


def saved_model_bfloat16(work: Work) -> None:
    """Write a second one, for processors that compute in bfloat16."""
    write_version(folded(model_of(work.run, "bfloat16")), work.description, work.folder / SAVED_MODEL_BFLOAT16)


def keras_net(work: Work) -> None:
    """Write the net as it was trained."""
    work.model.save(work.folder / KERAS)


def tflite_files(work: Work) -> None:
    """Write the TFLite files."""
    windows = None
    if "uint8" in work.variants:
        windows = calibration(first_of(work.run), work.material.crops, work.description.tile)
    write_tflite(
        work.net, work.description, work.variants, windows, work.folder, lambda name: work.on_step(f"TFLite {name}")
    )


def onnx_files(work: Work) -> None:
    """Write the ONNX files."""
    work.on_step("ONNX")
    write_onnx(work.net, work.description, work.folder)


def card(work: Work, report: BundleReport) -> None:
    """Write the model card."""
    text = model_card(work.name, work.description, report, work.license, work.dataset)
    (work.folder / CARD).write_text(text, encoding="utf-8", errors="backslashreplace")


def web_page(work: Work) -> None:
    """Write the page for browsers, with copies of TFLite files, beside the report."""
    work.on_step("web page")
    write_web(work.folder, work.description, work.runtime)


def zoo_package(work: Work) -> None:
    """Write the package of the BioImage Model Zoo, with the model card."""
    if work.credit is None:
        return
    work.on_step("bioimage.io")
    text = (work.folder / CARD).read_text(encoding="utf-8")
    pairs, path = work.material.validation, work.folder / BIOIMAGEIO
    write_bioimageio(path, work.name, work.model, work.description, text, pairs, work.credit)


def write_version(model: keras.Model, description: Description, path: Path) -> None:
    """Write a SavedModel of a folded net with its signatures and the requests that warm it up."""
    geometry, normalisation = description.geometry, description.normalisation
    how = description.channels, description.calibration
    functions = signatures(model, normalisation, geometry, default_tile(geometry), *how)
    write_saved_model(model, functions, str(path))
    write_warmup(path, noise(description, (WARMUP_SIDE, WARMUP_SIDE)), functions)
