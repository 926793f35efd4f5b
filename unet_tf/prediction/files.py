"""A collection of picture files predicted into a folder: what there is to do, who does it, what is done."""

from __future__ import annotations

import csv
import functools
import io
import itertools
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from unet_tf.data.folder import PREDICTED, find_pictures, pictures_of
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import SUFFIXES
from unet_tf.errors import InputError
from unet_tf.model.calibration import PLAIN
from unet_tf.prediction.objects import cut_of
from unet_tf.prediction.outputs import FORMATS, Call, Result, Wanted, predict_pictures
from unet_tf.prediction.polygons import parse_polygons
from unet_tf.prediction.predict import model_hash, predictor_for
from unet_tf.prediction.predictor import memory_budget, turns_of
from unet_tf.prediction.tasks import parse_shard, run_tasks, workers_of
from unet_tf.run import Run
from unet_tf.utils.files import held, refusal, replacing, write_new
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import stoppable

SETTINGS, MANIFEST = PREDICTED, "manifest.csv"
"""In the folder: the settings of its files; the pictures that are done, or why not."""
BATCH = 64
"""Pictures of a task."""
OLDER = {"suffixes": [], "polygons": [], "simplify": 0.0, "subpixel": False, **cut_of(MaskFormat())} | {
    "uncertainty": False, "spread": False, **asdict(PLAIN)
}  # fmt: skip
"""Settings of folders that were begun before there were these."""


@dataclass(frozen=True)
class Outcome:
    """What `predict_files` did.

    Attributes:
        written: pictures predicted by this call.
        skipped: pictures that were done before.
        pixels: predicted by this call.
        failed: pictures that could not be predicted, each with its name and the reason.
        nodata: pictures of this call that hold values for "no measurement", and the values. Pixels that hold them
            count as the mean of the training images.
    """

    written: int
    skipped: int
    pixels: int
    failed: tuple[str, ...]
    nodata: dict[str, tuple[float, ...]] = field(default_factory=dict)


def predict_files(
    run: Run | str | Path,
    inputs: str | Path | Iterable[str | Path],
    out: str | Path,
    format: str = "png",
    probabilities: bool = False,
    overlay: bool = False,
    instances: bool = False,
    min_area: int = 1,
    memory: int | str | None = None,
    tta: str = "none",
    shard: str | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    on_file: Progress = unseen,
    on_tile: Progress = unseen,
    on_pixels: Callable[[int], None] = lambda number: None,
    polygons: str | Sequence[str] = (),
    simplify: float = 0,
    subpixel: bool = False,
    uncertainty: bool = False,
    threshold: float | None = None,
) -> Outcome:
    """Predict picture files into a folder of masks.

    `NAME.png` is drawn as the masks that the run learnt from: class ids with a colour table where these are a palette
    or an index, grey otherwise. A TIFF stack gives a stack, `NAME.tif`. A picture that cannot be predicted is reported
    at the end, and the others are done. What is done is not done again, whatever ended the call before, unless the
    picture was written anew since. Ctrl-C and SIGTERM end the call after the tile under way; the same call goes on.

    Args:
        run: a run or its folder, or the folder of a bundle.
        inputs: picture files, folders of them, or patterns such as "scans/*.tif".
        out: the folder.
        format: of masks: "png" or "tif"; the latter of a GeoTIFF lies where it lies.
        probabilities: write NAME.npy too, (H, W, classes) float32, one more axis for a stack.
        overlay: write NAME_overlay.png too.
        instances: write NAME_instances.tif, the ids of objects (`unet_tf.prediction.objects.find_objects`), and
            NAME_objects.csv, their class, area, centroid, box and mean probability.
        min_area: pixels of the smallest object that counts; a run that tells objects apart knows a least size too.
        memory: what the tiles may take on this machine, bytes or such as "2GB"; the processes of "local:N" share it,
            and each worker of another scheduler may take it. None for a quarter of what is free.
        tta: "none", or average over turned tiles: "rotations" (4) or "all" (8).
        shard: "k/n": do every n-th batch of 64 pictures from number k on, as one of n jobs that share the work.
        scheduler: of Dask, or "local:N" for N processes; None for this process (`unet_tf.prediction.tasks.run_tasks`).
        overwrite: do all again, with these settings; no other call may write into the folder then.
        on_file: called with (pictures done, pictures in all) of this call's share.
        on_tile: called with (tiles done, tiles in all) of a picture, without a scheduler.
        on_pixels: called with the pixels of each picture that was predicted.
        polygons: formats of the outlines of the objects, holes too, with class and mean probability, parted by commas
            or in a sequence: "geojson", NAME.geojson of QuPath's annotations; "detections", NAME_detections.geojson;
            "coco", NAME.coco.json; "labelme", NAME.json, not of stacks; "imagej", NAME_RoiSet.zip; of a GeoTIFF "gpkg",
            NAME.gpkg, and "wgs84", NAME_wgs84.geojson.
        simplify: leave out points of outlines that lie so many pixels or less from what is left; 0 keeps the pixels.
        subpixel: let outlines run between the pixels, where the probabilities are equal.
        uncertainty: write NAME_uncertainty.tif too, float32 in [0, 1], the entropy of the probabilities; and of turned
            tiles NAME_spread.tif, how much of it is that these disagree (`unet_tf.prediction.uncertainty`).
        threshold: of two classes: a pixel is class 1 where its probability is larger; None for that of the run.

    Returns:
        How many pictures were predicted, how many were done before, and which could not be.

    Raises:
        InputError: a setting or the run cannot be used, two pictures would get a file of one name, a file would
            replace a picture or one that is not ours, `out` holds predictions with other settings, or it cannot be
            written.
        Stopped: a signal came; what is done is whole and noted.

    Example:
        >>> import tempfile, numpy as np
        >>> from unet_tf.data.pictures import write_picture
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_picture(folder / "scans/a.png", np.zeros((40, 30), np.uint8))
        >>> predict_files("tests/saved/run_0_1", folder / "scans", folder / "masks").written
        1
    """
    number, of = parse_shard(shard)
    if shard is not None and (scheduler is not None or overwrite):
        raise InputError("Jobs that share pictures (--shard) take no --scheduler and no --overwrite; give one of them.")
    outlines = parse_polygons(polygons, simplify, subpixel), float(simplify), subpixel
    spread = uncertainty and tta != "none"
    wanted = Wanted(format, probabilities, overlay, instances, min_area, tta, *outlines, uncertainty, spread, threshold)
    processes = workers_of(scheduler)
    with stoppable():
        call = _call(run, Path(out), wanted, memory, processes)
        found = find_pictures([inputs] if isinstance(inputs, str | Path) else inputs)
        pictures = pictures_of(found, call.channels)
        done = _begin(call, pictures, overwrite)
        with held(call.out):
            if _settings(Path(call.out)) != _settings_of(call):
                raise InputError(f"{out} was begun anew by another call. Choose another --out.")
            batches = [pictures[i : i + BATCH] for i in range(0, len(pictures), BATCH)][number - 1 :: of]
            mine = list(itertools.chain.from_iterable(batches))
            left = [one for one in mine if not (one in done and call.is_done(Path(one)))]
            skipped, written, pixels, failed, nodata = len(mine) - len(left), 0, 0, [], {}
            on_file(skipped, len(mine))
            note = _manifest(call, number, of)
            for count, result in enumerate(_results(call, left, scheduler, on_tile), start=skipped + 1):
                note(result)
                pixels += result.pixels
                on_pixels(result.pixels)
                if result.nodata:
                    nodata[result.picture] = result.nodata
                if result.error:
                    failed.append(result.error)
                else:
                    written += 1
                on_file(count, len(mine))
    return Outcome(written, skipped, pixels, tuple(failed), nodata)


def _call(run: Run | str | Path, out: Path, wanted: Wanted, memory: int | str | None, processes: int) -> Call:
    """What each process is told, once it is known that the settings can be used."""
    if wanted.format not in FORMATS:
        raise InputError(f"Masks must be written as {' or '.join(FORMATS)}; received {wanted.format!r}.")
    if wanted.min_area < 1:
        raise InputError(f"The smallest object must have 1 pixel or more; received {wanted.min_area}.")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file. Choose another --out for the folder of the masks.")
    if out.suffix.lower() in SUFFIXES:
        raise InputError(f"--out must be the folder of the masks; received {out.name}, which looks like a file.")
    turns_of(wanted.tta)
    budget = memory_budget(memory) / processes
    net = str((run.path if isinstance(run, Run) else Path(run)).resolve())
    model = model_hash(net)
    predictor = predictor_for(net, model).at(wanted.threshold)
    wanted = replace(wanted, threshold=predictor.calibration.threshold)
    predictor.pixels_within(budget)  # a damaged net and too little memory are said once, and now
    shared = int(budget) if processes > 1 else memory
    return Call(net, model, str(out.resolve()), wanted, shared, predictor.channels)


def _begin(call: Call, pictures: Sequence[str], overwrite: bool) -> set[str]:
    """Write the settings of a new folder, or see that those there are the same; the pictures that are done."""
    out, settings = Path(call.out), _settings_of(call)
    stored = None if overwrite else _settings(out)
    done = {} if overwrite else _noted(out)
    _check_names(call, pictures, [one for one, state in done.items() if call.is_done(Path(one))])
    if overwrite and out.is_dir():
        with held(out, alone=True):
            try:
                for file in _manifests(out):
                    file.unlink()
            except OSError as error:
                raise refusal(file, error) from error
            with replacing(out / SETTINGS) as temporary:
                temporary.write_text(json.dumps(settings, indent=2), encoding="utf-8")
        return set()
    if stored is None:
        whole = (one for one in pictures if call.channels.whole(Path(one)))
        foreign = next((p for one in whole for p in _files(call, one) if p.exists()), None)
        # Another job may have begun since, and the file be its own; then its settings are there by now.
        if foreign is not None and not (out / SETTINGS).exists():
            raise InputError(
                f"{foreign} exists, and is not of such a call. Choose another --out, or replace it (--overwrite)."
            )
        write_new(out / SETTINGS, json.dumps(settings, indent=2))
        stored = _settings(out) or {}
    if stored != settings:
        other = [name for name in settings if stored.get(name) != settings[name]]
        words = "; ".join(f"{name} {stored.get(name)} there, {settings[name]} here" for name in other)
        raise InputError(
            f"{out} holds predictions with other settings: {words}. Choose another --out, or do all again "
            "(--overwrite)."
        )
    return {one for one, state in done.items() if state in ("", call.state(Path(one)))}


def _check_names(call: Call, pictures: Sequence[str], earlier: Sequence[str]) -> None:
    """Raise InputError where two pictures would write one file, or a file would replace a picture.

    Names that differ in case alone, or in how an accented letter is put together, are one file on some systems.
    """
    whole = [one for one in pictures if call.channels.whole(Path(one))]  # the others will fail, and write nothing
    read = [*map(Path, pictures), *(file for one in whole for file in call.channels.files(Path(one)))]
    inputs = {_folded(str(path)) for one in read for path in (one, one.resolve())}
    owners: dict[str, str] = {}
    for picture in [*earlier, *whole]:
        for file in _files(call, picture):
            if _folded(file.name) == SETTINGS:
                raise InputError(
                    f"{picture} would write {file}, which holds the settings of the folder. Rename the picture, or "
                    "take another format of --polygons.",
                    picture,
                )
            other = owners.setdefault(_folded(file.name), picture)
            if other != picture:
                raise InputError(
                    f"{other} and {picture} would both write {file}. Predict them into two folders.", picture
                )
            if _folded(str(file)) in inputs:
                raise InputError(
                    f"{file}, which {picture} would write, is an input and would be overwritten. Choose another --out.",
                    picture,
                )


def _files(call: Call, picture: str) -> Iterator[Path]:
    return (Path(call.out, name) for name in call.wanted.names(call.named(Path(picture))))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _settings_of(call: Call) -> dict[str, Any]:
    predictor = predictor_for(call.net, call.model)
    known = {"model": call.model, "suffixes": list(call.channels.suffixes)} | cut_of(predictor.masks)
    known |= {"temperature": predictor.calibration.temperature}
    return known | asdict(call.wanted) | {"polygons": list(call.wanted.polygons)}  # as JSON has it


def _settings(out: Path) -> dict[str, Any] | None:
    """The settings of the files of a folder; None of a new one."""
    file = out / SETTINGS
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise TypeError(f"it holds {type(found).__name__}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{file} is damaged: {error}. Use --overwrite, or choose another --out.", file) from error
    return OLDER | found


def _manifests(out: Path) -> list[Path]:
    """The manifests of all jobs; no table of objects of a picture "manifest"."""
    pattern = rf"{Path(MANIFEST).stem}(-\d+-of-\d+)?\.csv"
    return sorted(file for file in out.glob("*.csv") if re.fullmatch(pattern, file.name))


def _noted(out: Path) -> dict[str, str]:
    """Picture -> its state when it was predicted ("" where that was not noted), of those that are done."""
    done: dict[str, str] = {}
    for file in _manifests(out):
        try:
            with file.open(newline="", encoding="utf-8", errors="surrogateescape") as rows:
                for row in csv.reader(rows):  # the last one may be of a process that was killed while it wrote
                    if row[1:2] == ["done"]:
                        done[row[0]] = row[4] if len(row) > 4 else ""
                    elif len(row) > 1:
                        done.pop(row[0], None)
        except (OSError, csv.Error) as error:
            raise InputError(f"{file} is damaged: {error}. Use --overwrite, or choose another --out.", file) from error
    return done


def _manifest(call: Call, number: int, of: int) -> Callable[[Result], None]:
    """A function that appends a result to the manifest of this job."""
    name = MANIFEST if of == 1 else f"{Path(MANIFEST).stem}-{number}-of-{of}.csv"
    path = Path(call.out, name)
    if not write_new(path, "picture,status,pixels,reason,state\r\n"):
        text = path.read_bytes()[-1:]
        if text not in (b"\n", b""):  # a line that a killed process began must not swallow the next
            _append(path, "\r\n")

    def note(result: Result) -> None:
        line, status = io.StringIO(), "failed" if result.error else "done"
        csv.writer(line).writerow((result.picture, status, result.pixels, result.error, result.state))
        _append(path, line.getvalue())

    return note


def _append(path: Path, text: str) -> None:
    """Add text at the end of a file that must be there: a folder that was removed is not made again in silence."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND), "ab") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise refusal(path, error) from error


def _results(call: Call, left: list[str], scheduler: str | None, on_tile: Progress) -> Iterator[Result]:
    if scheduler is None:
        return predict_pictures(call, left, on_tile)
    batches = [left[i : i + BATCH] for i in range(0, len(left), BATCH)]
    return run_tasks(functools.partial(predict_pictures, call), batches, scheduler)
