"""A collection of picture files predicted into a folder: what there is to do, who does it, what is done."""

from __future__ import annotations

import csv
import functools
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from unet_tf.data.folder import find_pictures
from unet_tf.data.pictures import SUFFIXES
from unet_tf.errors import InputError
from unet_tf.prediction.outputs import FORMATS, Result, Wanted, predict_batch, predict_pictures
from unet_tf.prediction.predict import predictor_of
from unet_tf.prediction.tasks import parse_shard, run_tasks
from unet_tf.run import Run
from unet_tf.utils.files import replacing
from unet_tf.utils.memory import parse_bytes
from unet_tf.utils.progress import Progress, unseen

SETTINGS, MANIFEST = "predict.json", "manifest.csv"
"""In the folder: the settings of its files; the pictures that are done, or why not."""
BATCH = 64
"""Pictures of a task."""


@dataclass(frozen=True)
class Outcome:
    """What `predict_files` did.

    Attributes:
        written: pictures predicted by this call.
        skipped: pictures that were done before.
        pixels: predicted by this call.
        failed: pictures that could not be predicted, each with its name and the reason.
    """

    written: int
    skipped: int
    pixels: int
    failed: tuple[str, ...]


def predict_files(
    run: Run | str | Path,
    inputs: str | Path | Iterable[str | Path],
    out: str | Path,
    format: str = "png",
    probabilities: bool = False,
    overlay: bool = False,
    instances: bool = False,
    min_area: int = 1,
    tile: int | None = None,
    memory: int | str | None = None,
    tta: str = "none",
    shard: str | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    on_file: Progress = unseen,
    on_tile: Progress = unseen,
    on_pixels: Callable[[int], None] = lambda number: None,
) -> Outcome:
    """Predict picture files into a folder of masks.

    `NAME.png` is drawn as the masks that the run learnt from: class ids with a colour table where these are a palette
    or an index, grey otherwise. A TIFF stack gives a stack, `NAME.tif`. A picture that cannot be predicted is reported
    at the end, and the others are done. What is done is not done again, whatever ended the call before.

    Args:
        run: a run, or its folder.
        inputs: picture files, folders of them, or patterns such as "scans/*.tif".
        out: the folder.
        format: of masks: "png" or "tif".
        probabilities: write NAME.npy too, (H, W, classes) float32, one more axis for a stack.
        overlay: write NAME_overlay.png too.
        instances: write NAME_instances.tif, the ids of connected pieces, and NAME_objects.csv, their class, area,
            centroid, box and mean probability.
        min_area: pixels of the smallest piece that counts.
        tile: as for `unet_tf.predict`.
        memory: as for `unet_tf.predict`.
        tta: as for `unet_tf.predict`.
        shard: "k/n": do every n-th batch of 64 pictures from number k on, as one of n jobs that share the work.
        scheduler: of Dask, or "local:N" for N processes; None for this process (`unet_tf.prediction.tasks.run_tasks`).
        overwrite: do all again, with these settings.
        on_file: called with (pictures done, pictures in all) of this call's share.
        on_tile: called with (tiles done, tiles in all) of a picture, without a scheduler.
        on_pixels: called with the pixels of each picture that was predicted.

    Returns:
        How many pictures were predicted, how many were done before, and which could not be.

    Raises:
        InputError: a setting or the run cannot be used, two pictures would get the same mask, a mask would replace a
            picture or a file that is not ours, or `out` holds predictions with other settings.
    """
    run = run if isinstance(run, Run) else Run(run)
    number, of = parse_shard(shard)
    if shard is not None and (scheduler is not None or overwrite):
        raise InputError("Jobs that share pictures (--shard) take no --scheduler and no --overwrite; give one of them.")
    folders = str(run.path.resolve()), str(Path(out).resolve())
    wanted = Wanted(*folders, run.model_hash, format, probabilities, overlay, instances, min_area, tta, tile, memory)
    _check(wanted, run)
    pictures = find_pictures([inputs] if isinstance(inputs, str | Path) else inputs)
    _check_targets(wanted, pictures)
    done = _begin(wanted, pictures, overwrite)

    batches = [pictures[i : i + BATCH] for i in range(0, len(pictures), BATCH)][number - 1 :: of]
    mine = list(itertools.chain.from_iterable(batches))
    left = [picture for picture in mine if not (picture in done and wanted.is_done(Path(picture)))]
    skipped, written, pixels, failed = len(mine) - len(left), 0, 0, []
    on_file(skipped, len(mine))
    note = _manifest(wanted, number, of)
    for count, result in enumerate(_results(wanted, left, scheduler, on_tile), start=skipped + 1):
        note(result)
        pixels += result.pixels
        on_pixels(result.pixels)
        if result.error:
            failed.append(result.error)
        else:
            written += 1
        on_file(count, len(mine))
    return Outcome(written, skipped, pixels, tuple(failed))


def _check(wanted: Wanted, run: Run) -> None:
    """Raise InputError where a setting cannot be used; once, and not for each picture."""
    out = Path(wanted.out)
    if wanted.format not in FORMATS:
        raise InputError(f"Masks are written as {' or '.join(FORMATS)}; received {wanted.format!r}.")
    if wanted.min_area < 1:
        raise InputError(f"The smallest object has 1 pixel or more; received {wanted.min_area}.")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file. Choose another --out for the folder of the masks.")
    if out.suffix.lower() in (*SUFFIXES, ".npy"):
        raise InputError(f"--out is the folder of the masks; received {out.name}, which looks like a file.")
    if wanted.memory is not None:
        parse_bytes(wanted.memory)
    predictor_of(wanted.run, wanted.tta, wanted.model)  # a damaged one is said before the first picture
    if wanted.tile is not None:
        run.geometry.tile_step(wanted.tile)


def _check_targets(wanted: Wanted, pictures: Sequence[str]) -> None:
    """Raise InputError where two pictures would get one mask, or a file would replace a picture."""
    by_name: dict[str, str] = {}
    given = set(pictures)
    out = Path(wanted.out)
    for picture in pictures:
        stem = Path(picture).stem
        if stem in by_name:
            raise InputError(
                f"{by_name[stem]} and {picture} would both become {wanted.mask_path(Path(picture))}. Predict them into "
                "two folders."
            )
        by_name[stem] = picture
        for name in wanted.names(stem):
            if str(out / name) in given or (out / name).resolve() == Path(picture).resolve():
                raise InputError(f"{out / name} is an input and would be overwritten. Choose another --out.")


def _begin(wanted: Wanted, pictures: Sequence[str], overwrite: bool) -> set[str]:
    """Write the settings of a new folder, or see that those there are the same; the pictures that are done."""
    out = Path(wanted.out)
    ignored = ("run", "out", "tile", "memory")  # which change no pixel
    settings = {name: value for name, value in asdict(wanted).items() if name not in ignored}
    stored, done = _read(out)
    if overwrite:
        for file in out.glob(f"{Path(MANIFEST).stem}*.csv"):
            file.unlink()
        stored, done = None, {}
    elif stored is None:
        for picture in pictures:
            for name in wanted.names(Path(picture).stem):
                if (out / name).exists():
                    raise InputError(
                        f"{out / name} exists, and is not of such a call. Choose another --out, or replace it "
                        "(--overwrite)."
                    )
    elif stored != settings:
        other = [name for name in settings if stored.get(name) != settings[name]]
        words = "; ".join(f"{name} {stored.get(name)} there, {settings[name]} here" for name in other)
        raise InputError(
            f"{out} holds predictions with other settings: {words}. Choose another --out, or do all again "
            "(--overwrite)."
        )
    others = {Path(picture).stem: picture for picture in done}
    for picture in pictures:
        before = others.get(Path(picture).stem, picture)
        if before != picture and wanted.is_done(Path(picture)):
            raise InputError(f"The mask of {picture} would replace that of {before} in {out}. Choose another --out.")
    if stored is None:
        with replacing(out / SETTINGS) as temporary:
            temporary.write_text(json.dumps(settings, indent=2), encoding="utf-8")
    return {picture for picture, status in done.items() if status == "done"}


def _read(out: Path) -> tuple[dict | None, dict[str, str]]:
    """Settings of the folder, None of a new one; picture -> "done" or "failed"."""
    if not (out / SETTINGS).is_file():
        return None, {}
    done: dict[str, str] = {}
    try:
        settings = json.loads((out / SETTINGS).read_text(encoding="utf-8"))
        for file in sorted(out.glob(f"{Path(MANIFEST).stem}*.csv")):
            with file.open(newline="", encoding="utf-8", errors="surrogateescape") as rows:
                # the last line may be of a process that was killed while it wrote
                done |= {row["picture"]: row["status"] for row in csv.DictReader(rows) if row["status"]}
    except (ValueError, KeyError) as error:
        raise InputError(f"{out / SETTINGS} or the manifest beside it is damaged: {error}. Use --overwrite.") from error
    return settings, done


def _manifest(wanted: Wanted, number: int, of: int) -> Callable[[Result], None]:
    """A function that appends a result to the manifest of this job."""
    name = MANIFEST if of == 1 else f"{Path(MANIFEST).stem}-{number}-of-{of}.csv"
    path = Path(wanted.out, name)

    def append(*row: object) -> None:
        try:
            with path.open("a", newline="", encoding="utf-8", errors="surrogateescape") as file:
                csv.writer(file).writerow(row)
        except OSError as error:
            raise InputError(f"Cannot write {path}: {error.strerror}. Free space or choose another place.") from error

    if not path.exists():
        append("picture", "status", "pixels", "reason")
    return lambda result: append(result.picture, "failed" if result.error else "done", result.pixels, result.error)


def _results(wanted: Wanted, left: list[str], scheduler: str | None, on_tile: Progress) -> Iterator[Result]:
    if scheduler is None:
        return predict_pictures(wanted, left, on_tile)
    batches = [left[i : i + BATCH] for i in range(0, len(left), BATCH)]
    return itertools.chain.from_iterable(run_tasks(functools.partial(predict_batch, wanted), batches, scheduler))
