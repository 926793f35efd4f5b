"""Outlines of objects beyond memory, as GeoJSON that is written as the chunks are read."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.annotations.outlines import Borders, find_borders, outlines_of
from unet_tf.annotations.shapes import Shape
from unet_tf.annotations.simplify import simplify_all
from unet_tf.annotations.suffixes import QUPATH, SUFFIXES
from unet_tf.annotations.write_geojson import feature_of
from unet_tf.annotations.writing import Picture, json_list, planes_of
from unet_tf.data.volumes import import_zarr
from unet_tf.errors import InputError
from unet_tf.prediction.arrays import LEVEL
from unet_tf.prediction.large_objects import open_mask, outputs_of
from unet_tf.prediction.polygons import is_as_written
from unet_tf.prediction.source import TURN
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look, stoppable

KINDS = {name: (SUFFIXES[name], kind) for name, kind in QUPATH.items()}
"""Formats that grow as they are written -> what follows the mask's name, and what QuPath makes of it."""


def outline_objects(
    masks: str | Path, kind: str = "geojson", tolerance: float = 0, on_chunk: Progress = unseen
) -> Path:
    """Outline the objects that `number_objects` found, each in the chunk in which it ends.

    The outlines are those of the whole array (`find_outlines`), whatever the chunks; the order of the file is that of
    the chunks. Of a TIFF file that was turned they lie on the stored pixels, as QuPath shows it. What is held is a
    chunk, the table of objects, and the borders of objects that go on in chunks to come.

    Args:
        masks: NAME.zarr; NAME_instances.zarr and NAME_objects.csv lie beside it.
        kind: of `KINDS`.
        tolerance: how far a point that is left out may lie from the border, pixels (`simplify`).
        on_chunk: called with (chunks done, chunks in all).

    Returns:
        The file, NAME.geojson or NAME_detections.geojson, whole or absent.

    Raises:
        InputError: the objects are not there, another file bears the name, or the system refuses to write.
        Stopped: a signal came; nothing is written.
    """
    masks = Path(masks)
    made = KINDS[kind][1]
    array, classes = open_mask(masks)
    (height, width), chunk = array.shape[-2:], array.chunks[-2:]
    planes = list(np.ndindex(*array.shape[:-2]))
    corners = [(top, left) for top in range(0, height, chunk[0]) for left in range(0, width, chunk[1])]
    ids, names, last = _objects(masks, -(-width // chunk[1]), chunk)
    turn = dict(array.attrs.get("unet_tf", {})).get(TURN, 1)
    named = array.metadata.dimension_names or ()
    axes = tuple(zip(named[:-2], array.shape[:-2], strict=bool(named)))
    colours = {name: rgb for i, (name, rgb) in classes.items() if i}
    picture = Picture(masks, height, width, len(planes), colours, turn, axes)
    places = planes_of(picture)
    check_outline(masks, kind)
    out, done = _file_of(masks, kind), 0
    with stoppable(), json_list(out, _head(masks), "features", {}) as features:
        for page, index in enumerate(planes):
            waiting = Borders(*np.zeros((4, 0), np.int64))
            for place, (top, left) in enumerate(corners):
                look()
                here = find_borders(_window(ids, index, top, left, chunk), width, top, left)
                waiting = Borders(*map(np.concatenate, zip(waiting, here, strict=True)))
                ends = last[waiting.owner] == place
                found = outlines_of(Borders(*(values[ends] for values in waiting)), width)
                waiting = Borders(*(values[~ends] for values in waiting))
                for number, rings in simplify_all(found, tolerance).items():
                    features.append(feature_of(number, Shape(names[number], rings), picture, made, places[page]))
                done += 1
                on_chunk(done, len(planes) * len(corners))
    return out


def check_outline(masks: str | Path, kind: str) -> None:
    """Raise InputError where the outlines of a mask's objects would replace what is not ours.

    Args:
        masks: NAME.zarr, which need not be there yet.
        kind: of `KINDS`.
    """
    masks = Path(masks)
    out = _file_of(masks, kind)
    if out.exists() and not _is_ours(out, masks):
        raise InputError(f"{out} exists, and holds no outlines of {masks.name}. Move it, or choose another --out.", out)


def objects_beside(masks: Path) -> list[str]:
    """Names of ids, table and outlines that lie beside a mask, of its objects or of those of a former one.

    Args:
        masks: NAME.zarr, which need not be there yet.
    """
    files = *outputs_of(masks), *(_file_of(masks, kind) for kind in KINDS)
    return [file.name for file in files if file.exists()]


def _file_of(masks: Path, kind: str) -> Path:
    return masks.with_name(masks.stem + KINDS[kind][0])


def _head(masks: Path) -> dict[str, Any]:
    """What outlines of a mask begin with."""
    return {"type": "FeatureCollection", "unet_tf": {"objects_of": masks.name}}


def _is_ours(path: Path, masks: Path) -> bool:
    """Say whether a file holds outlines of this mask: what another program wrote, corrected perhaps, does not."""
    first = json.dumps(_head(masks))[:-1] + ', "features": [\n'  # as `json_list` begins
    return is_as_written(path, re.escape(first.encode()), b"\n]}\n")


def _objects(masks: Path, columns: int, chunk: tuple[int, int]) -> tuple[Any, list[str], NDArray[np.int64]]:
    """The array of ids; the class of each object, and the chunk of its plane in which it ends."""
    ids, table = outputs_of(masks)
    try:
        array = import_zarr().open_array(f"{ids}/{LEVEL}", mode="r")
        with table.open(newline="", encoding="utf-8") as file:
            found = [(one["class"], int(one["bottom"]), int(one["right"])) for one in csv.DictReader(file)]
    except Exception as error:  # a class of errors of its own for each thing that may be missing
        raise InputError(
            f"{masks} must have {ids.name} and {table.name} beside it. Predict with --instances."
        ) from error
    last = [(bottom // chunk[0]) * columns + right // chunk[1] for _, bottom, right in found]
    return array, ["", *(name for name, _, _ in found)], np.array([-1, *last], np.int64)


def _window(ids: Any, index: tuple[int, ...], top: int, left: int, chunk: tuple[int, int]) -> NDArray:
    """A chunk of a plane and a pixel around it, 0 beyond the edge."""
    height, width = ids.shape[-2:]
    bottom, right = min(top + chunk[0], height), min(left + chunk[1], width)
    before, after = (int(top > 0), int(left > 0)), (int(bottom < height), int(right < width))
    rows, columns = slice(top - before[0], bottom + after[0]), slice(left - before[1], right + after[1])
    missing = [(1 - one, 1 - other) for one, other in zip(before, after, strict=True)]
    return np.pad(np.asarray(ids[(*index, rows, columns)]), missing)
