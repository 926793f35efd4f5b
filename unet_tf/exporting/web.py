"""A bundle's net as a page: a static folder that segments pictures in the browser, where they stay."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.edge.description import Description
from unet_tf.edge.net import EdgeNet
from unet_tf.edge.runtimes import BOTH, PROBABILITIES, signatures_of
from unet_tf.errors import InputError
from unet_tf.evaluation.bundle_tables import read_bundle_report
from unet_tf.exporting.bundle import REPORT, TFLITE
from unet_tf.exporting.saved_model import why_not_encoded
from unet_tf.exporting.web_runtime import VERSION, fetch_runtime, write_runtime
from unet_tf.pages.page import render, shared
from unet_tf.prediction.drawn import colour_table, drawn_mask, shades_of
from unet_tf.utils.files import sha256_of
from unet_tf.version import __version__

WEB = "web"
"""The folder in a bundle."""
RUNTIME = f"litert-{VERSION}"
"""The folder of LiteRT.js in it: the name changes with the version, as browsers keep files."""
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob: data:; worker-src 'self' blob:; "
    "object-src 'none'"
)
"""What browsers let the page do: no request to anybody but its host."""
CHECKED = 256
"""Probabilities that WebGPU has to give before it is believed."""
SCRIPTS = ("page.js", "worker.js", "tiles.js", "png.js", "picture.js")


def check_web(description: Description, variants: Sequence[str]) -> list[Path]:
    """Refuse a page that could not be made, and fetch LiteRT.js, before anything else is done.

    Args:
        description: of the net.
        variants: the TFLite files that will be made.

    Returns:
        The archives of LiteRT.js, for `write_web`.

    Raises:
        InputError: no picture file that browsers read holds what the net takes, the float32 file is not to be made, or
            LiteRT.js cannot be had.
    """
    if words := why_not_encoded(description.normalisation, description.channels):
        words = words.replace("TensorFlow decodes", "a page reads")
        raise InputError(f"The net cannot be shown as a page (--web): {words}. Leave --web out.")
    if "float32" not in variants:
        given = ", ".join(variants) or "none"
        raise InputError(f"--web needs the TFLite file float32; received {given}. Add it to --variants.")
    return fetch_runtime()


def first_visit(bundle: Path) -> int:
    """The bytes that a first visit of a bundle's page loads at most, before the host compresses them.

    Of the nets and the builds of LiteRT.js these are one each; small files come twice, for the page and to be kept.
    """
    about = json.loads((bundle / WEB / "net.json").read_bytes())
    small = [path for path in (bundle / WEB).iterdir() if path.is_file() and not path.name.startswith("model_")]
    large = max(one["bytes"] for one in about["files"]) + about["runtime_bytes"]
    return large + 2 * sum(path.stat().st_size for path in small)


def write_web(folder: Path, description: Description, runtime: Sequence[Path]) -> None:
    """Write the page of a bundle: a folder `web` that any static host serves.

    It holds copies of `model_float32.tflite` and, where browsers can feed it, of `model_uint8.tflite`; LiteRT.js; and
    what its scripts have to know, in `net.json`. Nothing in it names another host.

    Args:
        folder: the bundle, in which the TFLite files are.
        description: of the net.
        runtime: what `check_web` gave.
    """
    nets = {name: folder / TFLITE[name] for name in ("float32", "uint8") if (folder / TFLITE[name]).is_file()}
    if "uint8" in nets and not _takes_bytes(nets["uint8"], description):
        del nets["uint8"]
    web = folder / WEB
    web.mkdir()
    write_runtime(web / RUNTIME, runtime)
    for path in nets.values():
        shutil.copyfile(path, web / path.name)
    for name in SCRIPTS:
        (web / name).write_bytes(_own(name))
    for name in ("segment.css", "segment.js"):
        (web / name).write_bytes(shared(name))
    licences = _filled("licences.txt", version=__version__, runtime=VERSION)
    (web / "LICENCES.txt").write_text(licences, encoding="utf-8")
    about = _about(folder, description, nets, web)
    (web / "net.json").write_text(json.dumps(about, allow_nan=False), encoding="utf-8")
    for _ in range(2):  # since the page, which says the size of all, is a part of it
        size = f"{first_visit(folder) / 1e6:.1f}\N{NO-BREAK SPACE}MB"
        page = render(
            "segment.html",
            title="unet_tf: segment a picture",
            about=f"The picture stays in this browser: nothing is sent to anybody. A first visit loads up to {size}.",
            choice="Net",
            accept="image/png" + ",image/jpeg" * (description.normalisation.dtype == "uint8"),
            files="",
            without_script="unet-tf predict",
            local=True,
            policy=POLICY,
        )
        (web / "index.html").write_text(page, encoding="utf-8")
        (web / "sw.js").write_text(_service_worker(web), encoding="utf-8")


def _own(name: str) -> bytes:
    return files("unet_tf.exporting").joinpath("web_page", name).read_bytes()


def _takes_bytes(path: Path, description: Description) -> bool:
    """Whether the input of a quantised file is the bytes of a picture as they are."""
    taken = signatures_of(path)[BOTH].inputs["image"]
    raw = (taken.dtype, taken.scale, taken.zero) == (np.uint8, 1.0, 0)
    return raw and description.normalisation.dtype == "uint8" and not description.normalisation.nodata


def _about(folder: Path, description: Description, nets: dict[str, Path], web: Path) -> dict[str, Any]:
    """What the scripts have to know."""
    masks, classes = description.masks, description.classes
    ids = np.arange(len(classes), dtype=np.uint8)
    real = masks.real_label(ids[None])[0]
    values = real if masks.kind == "instance" else drawn_mask(ids[None], masks)[0]
    table = colour_table(masks, len(classes))
    shades = shades_of(masks, len(classes)).tolist()
    note = "The values of the mask file are those of the masks that the net was trained on."
    if masks.kind == "instance":
        note = "The mask file holds class ids; unet-tf predict gives each object a number of its own."
    stored = description.to_json()
    return {
        **{name: stored[name] for name in ("channels", "pixel_type", "tile", "halo", "margin", "output", "step")},
        "classes": [
            {"name": name, "colour": shade} for name, shade in zip(classes[: masks.real_classes], shades, strict=False)
        ],
        "real": real.tolist(),
        "values": values.tolist(),
        "table": None if table is None else table.tolist(),
        "threshold": description.calibration.threshold,
        "note": note,
        "check": _check(EdgeNet(nets["float32"]), description),
        "files": [_file(folder, name, path) for name, path in nets.items()],
        "runtime": RUNTIME,
        "runtime_bytes": sum(path.stat().st_size for path in (web / RUNTIME).glob("*") if "compat" not in path.name),
    }


def _check(net: EdgeNet, description: Description) -> dict[str, list]:
    """Some probabilities of a tile of noise, which a page makes again to see whether WebGPU computes them."""
    tile = noise(description.tile, description.normalisation.channels, description.normalisation.dtype)
    found = net.run(tile)["probabilities"].ravel()
    places = np.unique(np.linspace(0, found.size - 1, CHECKED).astype(int))
    return {"places": places.tolist(), "probabilities": [round(float(one), 6) for one in found[places]]}


def noise(tile: int, channels: int, dtype: str) -> NDArray:
    """(tile, tile, channels) pixels that a script makes too: the upper bits of n times a constant of 32 bits."""
    count = np.arange(tile * tile * channels, dtype=np.uint64)
    spread = (count * 0x9E3779B1) & 0xFFFFFFFF
    return (spread >> (16 if dtype == "uint16" else 24)).astype(dtype).reshape(tile, tile, channels)


def _file(folder: Path, name: str, path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    probabilities = signatures_of(path)[PROBABILITIES].outputs[PROBABILITIES]
    size = f"{len(content) / 1e6:.1f}\N{NO-BREAK SPACE}MB"
    words = f"exact ({size})"
    if name == "uint8":
        words = f"fast, whole numbers ({size}{_loss(folder, path)})"
    return {
        "file": path.name,
        "bytes": len(content),
        "sha256": sha256_of(content),
        "exact": name == "float32",
        "step": probabilities.scale or 1.0,  # 0 of floats
        "zero": probabilities.zero,
        "words": words,
    }


def _loss(folder: Path, path: Path) -> str:
    """What the report says of a file's mean IoU, where it lies in the bundle already."""
    if not (folder / REPORT).is_file():
        return ""
    report = read_bundle_report(folder / REPORT)
    there, here = report["keras"].get("mean_iou"), report["artefacts"][path.name].get("mean_iou")
    return "" if there is None or here is None else f"; mean IoU {here - there:+.4f}"


def _service_worker(web: Path) -> str:
    """The script that keeps the page, and knows which files it consists of."""
    large = (f"{RUNTIME}/", "model_")
    hashes = {path.relative_to(web).as_posix(): sha256_of(path) for path in _tree(web) if path.name != "sw.js"}
    version = sha256_of(json.dumps(hashes, sort_keys=True).encode())[:16]
    return _filled(
        "sw.js",
        version=version,
        files=json.dumps([f"./{name}" for name in hashes if not name.startswith(large)]),
        large=json.dumps([f"./{name}" for name in hashes if name.startswith(large)]),
        policy=POLICY,
    )


def _filled(name: str, **values: str) -> str:
    """A file of ours, with values where it names them."""
    text = _own(name).decode()
    for key, value in values.items():
        text = text.replace("{{ " + key + " }}", value)
    return text


def _tree(web: Path) -> list[Path]:
    return sorted(path for path in web.rglob("*") if path.is_file())
