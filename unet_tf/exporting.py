"""Export of a run: a SavedModel for TF Serving and a TFLite file for phones, each held against Keras."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from unet_tf import __version__
from unet_tf.errors import InputError
from unet_tf.files import replacing
from unet_tf.geometry import Geometry
from unet_tf.prediction import predict
from unet_tf.run import Run
from unet_tf.tiling import fixed, run_tiles

SAVED_MODEL, TFLITE = "saved_model/1", "model_float32.tflite"  # TF Serving wants a version folder
EXPORT_STEPS = 3
PARITY = {SAVED_MODEL: 1e-5, TFLITE: 1e-4}
"""Largest difference in probability to Keras that an artefact may have."""


def export(
    run: Run | str | Path,
    out: str | Path,
    tile: int | None = None,
    on_step: Callable[[str], None] = lambda name: None,
) -> dict[str, Any]:
    """Export the best net of a run, in float32, with normalisation and mirroring inside the graph.

    The bundle holds
    - `saved_model/1`: signatures `serving_default` (`image` (B, H, W, C) raw pixels -> `mask` (B, H, W) uint8 ids) and
      `probabilities` (`image` -> `probabilities` (B, H, W, num_classes) float32), for any height and width;
    - `model_float32.tflite`: one static tile, `image` (1, tile, tile, C) float32 raw pixels ->
      `probabilities` (1, out, out, num_classes); the caller cuts and mirrors (`export/edge/run.py` does);
    - `bundle.json`: classes, format of the masks, pixel type, tile, halo, step, padding, depth, sha256 of every file;
    - `report.json`: largest difference to Keras of each artefact.

    Args:
        run: a run, or its folder.
        out: the bundle, a new folder.
        tile: input size of the TFLite tile, legal and large enough to predict with; None for the run's (and the halo
            around it for a "same" net).
        on_step: called with the name of each step as it begins.

    Returns:
        What `report.json` holds.

    Raises:
        InputError: the folder exists or cannot be written, or the tile is not legal.
        RuntimeError: an artefact differs from Keras by more than 1e-5 (SavedModel) or 1e-4 (TFLite) in probability,
            or the TFLite converter failed. Nothing is written then, as with every error.
    """
    run, out = run if isinstance(run, Run) else Run(run), Path(out)
    if out.exists():
        raise InputError(f"{out} exists. Choose another --out for the bundle, or remove it first.")
    geometry = run.geometry
    if tile is None:
        tile = max((run.config.tile or 0) + 2 * geometry.margin, geometry.min_tile)
    geometry.tile_step(tile)  # raises where the tile is not legal
    model = _float32_model(run)

    with replacing(out) as temporary, _refusals_in_words(out):
        on_step("SavedModel")
        _write_saved_model(model, run, temporary / SAVED_MODEL)
        on_step("TFLite")
        _write_tflite(model, run, tile, temporary / TFLITE)
        on_step("parity")
        report = _parity(model, run, tile, temporary)
        (temporary / "report.json").write_text(json.dumps(report, indent=2))
        (temporary / "bundle.json").write_text(json.dumps(_bundle(run, tile, temporary), indent=2))
    return report


@contextmanager
def _refusals_in_words(out: Path) -> Iterator[None]:
    """Say it as an InputError where TensorFlow's own file system cannot write."""
    try:
        yield
    except (tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError) as error:
        raise InputError(f"Cannot write {out}: {error.message}. Free space or choose another place.") from error


def _float32_model(run: Run) -> keras.Model:
    """The best net, rebuilt in float32 where it was trained in another precision."""
    if run.config.precision == "float32":
        return run.model
    model = replace(run.config, precision="float32").build(run.normalisation.channels)
    model.set_weights(run.model.get_weights())
    return model


def _raw_to_probabilities(model: keras.Model, run: Run) -> Callable[[tf.Tensor], tf.Tensor]:
    """Raw pixels (B, h, w, C) float32 -> softmax of the net's output, normalisation in the graph."""
    mean, std = (tf.constant(values, tf.float32) for values in (run.normalisation.mean, run.normalisation.std))
    return lambda image: tf.nn.softmax(model((image - mean) / std, training=False))


def _write_saved_model(model: keras.Model, run: Run, path: Path) -> None:
    channels, geometry = run.normalisation.channels, run.geometry
    net = _raw_to_probabilities(model, run)

    def probabilities(image: tf.Tensor) -> dict[str, tf.Tensor]:
        height, width = tf.shape(image)[1], tf.shape(image)[2]
        rows, columns = _mirror_in_graph(height, geometry), _mirror_in_graph(width, geometry)
        window = tf.gather(tf.gather(tf.cast(image, tf.float32), rows, axis=1), columns, axis=2)
        inside = net(window)[:, geometry.margin :, geometry.margin :]
        return {"probabilities": inside[:, :height, :width]}

    def mask(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"mask": tf.cast(tf.argmax(probabilities(image)["probabilities"], axis=-1), tf.uint8)}

    signature = [tf.TensorSpec((None, None, None, channels), run.normalisation.dtype, name="image")]
    # Without track(): tracked layers store every weight a second time.
    archive = keras.export.ExportArchive()
    archive.add_endpoint("serving_default", mask, input_signature=signature)
    archive.add_endpoint("probabilities", probabilities, input_signature=signature)
    archive.write_out(str(path), verbose=False)


def _mirror_in_graph(size: tf.Tensor, geometry: Geometry) -> tf.Tensor:
    """`geometry.mirror_index` as TensorFlow ops: from -halo to the end of the next legal input size."""
    stride, halo = geometry.stride, geometry.halo
    needed = -(-size // stride) * stride  # whole cells of the pooling grid
    if geometry.padding == "valid":
        extra = geometry.input_size(stride) - 2 * halo - stride  # 4 at depth 3 and more
        needed += extra
    position = tf.range(-halo, needed + halo)
    period = tf.maximum(1, 2 * (size - 1))
    index = tf.math.floormod(position, period)
    return tf.minimum(index, period - index)


def _write_tflite(model: keras.Model, run: Run, tile: int, path: Path) -> None:
    """Convert in a process of its own: the converter keeps its memory, and a second graph has the static shape."""
    net = _raw_to_probabilities(model, run)
    signature = [tf.TensorSpec((1, tile, tile, run.normalisation.channels), tf.float32, name="image")]
    archive = keras.export.ExportArchive()
    archive.add_endpoint("serving_default", lambda image: {"probabilities": net(image)}, input_signature=signature)
    with tempfile.TemporaryDirectory(prefix="unet_tf_") as folder:
        archive.write_out(folder, verbose=False)
        command = (
            "import sys, pathlib, tensorflow as tf; "
            "converted = tf.lite.TFLiteConverter.from_saved_model(sys.argv[1]).convert(); "
            "pathlib.Path(sys.argv[2]).write_bytes(converted)"
        )
        done = subprocess.run([sys.executable, "-c", command, folder, str(path)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"The TFLite converter failed:\n{done.stderr[-4000:]}")


def _parity(model: keras.Model, run: Run, tile: int, bundle: Path) -> dict[str, Any]:
    """Hold each artefact against Keras on one picture of grey noise, wider than high; raise where it differs."""
    step = run.geometry.tile_step(tile)
    image = _noise(run, (step // 2 + 1, step + 3))
    expected = predict(model, run.normalise(image), tile=tile, probabilities=True)
    saved_model = tf.saved_model.load(str(bundle / SAVED_MODEL)).signatures["probabilities"]
    results = {
        SAVED_MODEL: saved_model(image=tf.constant(image[None]))["probabilities"].numpy()[0],
        TFLITE: _tflite_probabilities(bundle / TFLITE, image, run.geometry, tile),
    }
    report: dict[str, Any] = {"image": list(image.shape), "artefacts": {}}
    for name, found in results.items():
        difference = float(np.abs(found - expected).max())
        path = bundle / name
        files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        report["artefacts"][name] = {
            "bytes": sum(p.stat().st_size for p in files),
            "max_probability_difference": difference,
            "label_agreement": float((found.argmax(-1) == expected.argmax(-1)).mean()),
        }
        if difference > PARITY[name]:
            raise RuntimeError(
                f"{name} differs from Keras by {difference:.1e} in probability, and may by {PARITY[name]:.0e}. "
                "Nothing was exported. Please report this with the versions in config.toml of the run."
            )
    return report


def _tflite_probabilities(path: Path, image: NDArray, geometry: Geometry, tile: int) -> NDArray[np.float32]:
    """Run a float TFLite file over raw (H, W, C) pixels: (H, W, num_classes)."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(path), num_threads=2).get_signature_runner("serving_default")
    grid = fixed(geometry, image.shape[:2], (tile, tile))

    def net(window: NDArray) -> NDArray[np.float32]:
        return runner(image=window[None].astype(np.float32))["probabilities"][0]

    tiles = list(run_tiles(net, image, grid))
    result = np.empty((*image.shape[:2], tiles[0][1].shape[-1]), np.float32)
    for place, output in tiles:
        result[place] = output
    return result


def _noise(run: Run, shape: tuple[int, int]) -> NDArray:
    """Raw pixels with the mean and spread of the training images, the same each time."""
    dtype = np.dtype(run.normalisation.dtype)
    noise = np.random.default_rng(0).normal(
        run.normalisation.mean, run.normalisation.std, (*shape, run.normalisation.channels)
    )
    if dtype.kind == "u":
        noise = np.clip(np.rint(noise), 0, np.iinfo(dtype).max)
    return noise.astype(dtype)


def _bundle(run: Run, tile: int, folder: Path) -> dict[str, Any]:
    geometry = run.geometry
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {
        "unet_tf": __version__,
        "classes": list(run.classes),
        "masks": asdict(run.masks),
        "pixel_type": run.normalisation.dtype,
        "channels": run.normalisation.channels,
        "depth": geometry.depth,
        "padding": geometry.padding,
        "tile": tile,
        "halo": geometry.halo,
        "step": geometry.tile_step(tile),
        "sha256": {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files},
    }
