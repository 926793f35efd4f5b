"""A net as a package of the BioImage Model Zoo, `bioimageio.zip`: Keras and ONNX weights that give the same."""

from __future__ import annotations

import logging
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.drawing import colour, displayable
from unet_tf.data.folder import Pair
from unet_tf.data.nodata import fill_nodata
from unet_tf.edge.description import Description
from unet_tf.errors import InputError
from unet_tf.exporting.bundle import ONNX
from unet_tf.exporting.credits import Credits, format_package
from unet_tf.exporting.parity import Example, all_digits, bound_of, noise_example, read_example, rounding_temperature
from unet_tf.exporting.zoo import (
    COVER,
    RDF,
    README,
    TENSORS,
    WEIGHTS,
    documentation,
    normalises_itself,
    pixel_type,
    resource,
)
from unet_tf.labels import VOID
from unet_tf.model.calibration import PLAIN, label_of
from unet_tf.model.ensemble import probabilities_of
from unet_tf.model.inference import folded
from unet_tf.model.onnx_graph import IMAGE, PROBABILITIES, onnx_graph
from unet_tf.tiling import read_window
from unet_tf.utils.files import replacing, sha256_of
from unet_tf.utils.signals import look

log = logging.getLogger("unet_tf")

BIOIMAGEIO = "bioimageio.zip"
"""The package's name in a bundle."""
TEST_SIDE = 256
"""Side of the test tensors, pixels, or the next larger one that is legal."""
LOOKED_AT = 16
"""Validation pictures among which one is chosen to show."""
COVER_SIDE, MOST_SHOWN = 256, 1024
"""Side of each half of the cover, and of what it shows of a picture at most, pixels."""
LEAST_VALUE = 1e-4
"""A test tensor without any larger value is none to the format."""


def write_bioimageio(
    path: Path,
    name: str,
    model: keras.Model,
    description: Description,
    card: str,
    validation: Sequence[Pair],
    credit: Credits,
) -> None:
    """Write a net as a package of the BioImage Model Zoo, checked by `bioimageio.spec`.

    Both weights give probabilities, (batch, height, width, channels) float32 pixels in: of the net alone with its
    temperature and softmax, which not all who read the format compute. Preprocessing is said in the format's steps
    where these do what the net needs (`unet_tf.exporting.zoo.normalises_itself`). The input is a part of a
    validation picture, or of a training picture of a run that held none out, which also is on the cover beside its
    mask; noise where there is none.

    Args:
        path: the zip file to be.
        name: of the bundle.
        model: the net as trained, in float32, or an ensemble.
        description: of it.
        card: the model card of the bundle.
        validation: labelled files, of which the first ones are looked at; may be empty.
        credit: authors and licence.

    Raises:
        InputError: a package is missing, a file cannot be read or written, or the pixels are too small to test with.
        RuntimeError: the weights differ from the net by more than `model.onnx` may, or `bioimageio.spec` refuses the
            package. Nothing is written then, as with every error.
    """
    example = _chosen(validation, description)
    pixels = _test_pixels(example, description)
    scaled = description.normalisation.scale(pixels)
    with all_digits():
        expected = np.asarray(probabilities_of(model, model(scaled), description.calibration.temperature))
    with replacing(path) as temporary, tempfile.TemporaryDirectory(dir=path.parent) as made:
        folder = Path(made)
        _write_weights(folder, model, description)
        _hold(folder, pixels, expected, description, bound_of(ONNX["onnx"], rounding_temperature(model, description)))
        np.save(folder / TENSORS[IMAGE], pixels)
        np.save(folder / TENSORS[PROBABILITIES], expected)
        (folder / COVER).write_bytes(_cover(example, expected[0], description))
        _write_text(folder / README, documentation(card, description, credit))
        sha256 = {file.name: sha256_of(file) for file in folder.iterdir()}
        _write_text(folder / RDF, _yaml(resource(name, description, credit, model.count_params(), sha256)))
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as package:
            for file in sorted(folder.iterdir()):
                look()
                package.write(file, file.name)
        if wrong := faults(temporary):
            raise RuntimeError(
                f"bioimageio.spec refuses the package: {' '.join(wrong)} Nothing was exported. Please report this."
            )
    if example.label is not None:
        log.warning(
            f"{path.name} shows a part of {example.name}, as its cover and its test input: publish it if you may."
        )


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def _yaml(fields: dict[str, Any]) -> str:
    """The text of `rdf.yaml`, without references, which not all readers know, and with numbers in text as text."""
    import yaml  # an extra

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:  # YAML 1.2 reads 1e3 as a number, 1.1 as text
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, None if value[:1].isalpha() else '"')

    Dumper.add_representer(str, text)
    return yaml.dump(fields, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)


def _write_weights(folder: Path, model: keras.Model, description: Description) -> None:
    """Write both weights; the ONNX graph of the folded net, as it is faster."""
    inside, normalisation = normalises_itself(description), description.normalisation
    _with_probabilities(model, description, inside).save(folder / WEIGHTS["keras_v3"])
    look()
    scaling: dict[str, Any] = {}
    if inside:
        scaling = {"mean": normalisation.mean, "std": normalisation.std, "nodata": normalisation.nodata}
    how = description.calibration if description.nets == 1 else PLAIN
    graph = onnx_graph(folded(model), how, outputs=[PROBABILITIES], **scaling)
    (folder / WEIGHTS["onnx"]).write_bytes(graph.SerializeToString())
    look()


def _hold(folder: Path, pixels: NDArray, expected: NDArray[np.float32], description: Description, bound: float) -> None:
    """Hold both weights, as they were written, against the net of the run; raise where one is further off."""
    inside = normalises_itself(description)
    given = pixels.astype(np.float32) if inside else _preprocessed(pixels, description)
    with all_digits():
        found = {
            WEIGHTS["keras_v3"]: np.asarray(keras.saving.load_model(folder / WEIGHTS["keras_v3"])(given)),
            WEIGHTS["onnx"]: _run_onnx(folder / WEIGHTS["onnx"], given),
        }
    for file, probabilities in found.items():
        look()
        if not (difference := float(np.abs(probabilities - expected).max())) <= bound:
            raise RuntimeError(
                f"{file} differs from the net by {difference:.1e} in probability, and may by {bound:.1e}. Nothing was "
                "exported. Please report this with the versions in config.toml of the run."
            )


def faults(path: Path) -> list[str]:
    """Say what `bioimageio.spec` has against a package, a sentence each.

    Args:
        path: the zip file.
    """
    spec = format_package()
    with spec.ValidationContext(log_warnings=False, perform_io_checks=True):
        try:
            # the file itself is closed: where something is wrong, the library leaves one that it holds open
            with path.open("rb") as file, zipfile.ZipFile(file) as package:
                found = spec.load_description(package)
        except (ValueError, OSError, zipfile.BadZipFile, KeyError) as error:
            return [f"{path.name} must be a package of the BioImage Model Zoo: {error}."]
    if not isinstance(found, spec.InvalidDescr):
        return []
    errors = [error for detail in found.validation_summary.details for error in detail.errors]
    return [f"{path.name}: {'.'.join(map(str, error.loc))}: {error.msg}." for error in errors]


def _chosen(validation: Sequence[Pair], description: Description) -> Example:
    """The first picture with the most classes in it; noise where there are no pictures."""
    best, most = noise_example(description), 0
    for pair in validation[:LOOKED_AT]:
        look()
        example = read_example(pair, description)
        count = 1 if example.label is None else len(np.setdiff1d(example.label, [VOID])) + 1
        if count > most:
            best, most = example, count
    image = np.broadcast_to(best.image, (*best.image.shape[:2], description.normalisation.channels))
    if image.dtype.kind == "f":
        image = np.where(np.isfinite(image), image, np.asarray(description.normalisation.mean, image.dtype))
    return best._replace(image=image)


def _test_pixels(example: Example, description: Description) -> NDArray:
    """(1, side, side, C) raw pixels from the middle of a picture, mirrored beyond it."""
    geometry = description.geometry
    side = max(geometry.min_tile, geometry.nearest_legal(TEST_SIDE)[-1])
    origin = [(length - side) // 2 for length in example.image.shape[:2]]
    pixels = read_window(example.image, origin, (side, side))[None].astype(pixel_type(description))
    if not np.abs(pixels).max() > LEAST_VALUE:
        raise InputError(
            f"A test picture of the BioImage Model Zoo must have values above {LEAST_VALUE:g}; those of {example.name} "
            f"are {np.abs(pixels).max():g} at most. Train on pictures in another unit, or export without --bioimageio."
        )
    return pixels


def _preprocessed(pixels: NDArray, description: Description) -> NDArray[np.float32]:
    """What the format's own step gives: it adds 1e-6 to the standard deviation."""
    mean, std = (np.array(values) for values in (description.normalisation.mean, description.normalisation.std))
    return ((pixels.astype(np.float32) - mean) / (std + 1e-6)).astype(np.float32)


def _with_probabilities(model: keras.Model, description: Description, inside: bool) -> keras.Model:
    """The net with what makes its logits probabilities and, if `inside`, its pixels normalised; Keras' own alone."""
    image = x = keras.Input(model.input_shape[1:], dtype="float32", name=IMAGE)
    if inside:
        normalisation = description.normalisation
        mean, std = (np.array(values, np.float32) for values in (normalisation.mean, normalisation.std))
        x = keras.ops.divide(keras.ops.subtract(image, mean), std)
        with np.errstate(over="ignore"):  # Keras refuses what float32 has not, which pixels hold as infinity
            gone = np.array(normalisation.nodata).astype(np.float32)
        for value in gone.tolist():
            x = keras.ops.where(keras.ops.equal(image, value), 0.0, x)
    found = probabilities_of(model, model(x), description.calibration.temperature)
    return keras.Model(image, found, name="unet_probabilities")


def _run_onnx(path: Path, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return session.run([PROBABILITIES], {IMAGE: pixels})[0]


def _cover(example: Example, probabilities: NDArray[np.float32], description: Description) -> bytes:
    """PNG, twice as wide as high: the middle of a picture, and its mask; what the net says where it has none."""
    image, label = fill_nodata(example.image, description.normalisation.nodata), example.label
    if label is None:
        label = label_of(probabilities, description.calibration.threshold)
    halves = []
    for half in (image, label):
        side = min(*half.shape[:2], MOST_SHOWN)
        top, left = ((length - side) // 2 for length in half.shape[:2])
        part = half[top : top + side, left : left + side]
        picture = displayable(part) if half is image else colour(part, description.masks)
        smooth = cv2.INTER_AREA if half is image and side > COVER_SIDE else cv2.INTER_NEAREST
        halves.append(cv2.resize(picture, (COVER_SIDE, COVER_SIDE), interpolation=smooth))
    done, encoded = cv2.imencode(".png", np.hstack(halves)[..., ::-1])
    if not done:
        raise RuntimeError("OpenCV cannot write a PNG.")
    return encoded.tobytes()
