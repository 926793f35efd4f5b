"""A collection of picture files predicted into a folder: what there is to do, who does it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from unet_tf.data.folder import MASK_SUFFIX, find_pictures, pictures_of, some
from unet_tf.errors import InputError
from unet_tf.pages.words import many
from unet_tf.prediction.calls import Call, Result, Wanted
from unet_tf.prediction.engines import TENSORFLOW, resolve
from unet_tf.prediction.pictures import predict_pictures
from unet_tf.prediction.polygons import parse_polygons
from unet_tf.prediction.predict import located, model_hash, predictor_for
from unet_tf.prediction.record import Outcome, check_wanted, fill
from unet_tf.prediction.tasks import parse_shard, run_tasks, workers_of
from unet_tf.prediction.tile_settings import memory_budget, turns_of
from unet_tf.run import Run
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import stoppable

log = logging.getLogger("unet_tf")

BATCH, TASKS, WORKERS = 64, 4, 64
"""Most pictures of a task; tasks for each process at least, where there are as many pictures; processes that a
scheduler elsewhere is taken to have, as more may come at any time."""


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
    engine: str = TENSORFLOW,
) -> Outcome:
    """Predict picture files into a folder of masks.

    `NAME.png` is drawn as the masks that the run was trained on: class ids with a colour table where these are a
    palette or an index, grey otherwise. A TIFF stack gives a stack, `NAME.tif`. A picture that cannot be predicted is
    reported at the end, and the others are done. What is done is not done again, whatever ended the call before, unless
    the picture was written anew since. Ctrl-C and SIGTERM end the call after the tile under way; the same call goes on.

    Args:
        run: a run or its folder, the folder of a bundle, or what else `unet_tf.load` opens by its path or address.
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
        shard: "k/n": do every n-th picture from number k on, as one of n jobs that share the work.
        scheduler: of Dask, or "local:N" for N processes; None for this process (`unet_tf.prediction.tasks.run_tasks`).
        overwrite: do all again, with these settings; files that earlier ones wrote and these do not stay, and are named
            on the logger "unet_tf". Outlines that another program wrote stay too, and their pictures fail. No other
            call may write into the folder then.
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
            tiles, and of the nets of a cross-validation, NAME_spread.tif, how much of it is that these disagree
            (`unet_tf.prediction.uncertainty`).
        threshold: of two classes: a pixel is class 1 where its probability is larger; None for that of the run.
        engine: what computes: "tensorflow", "openvino", "onnxruntime" or "auto" (`unet_tf.predict`).

    Returns:
        How many pictures were predicted, how many were done before, and which could not be.

    Raises:
        InputError: a setting or the run cannot be used, two pictures would get a file of one name, a file would
            replace a picture or one that is not ours, or be found as a picture by the next such call, `out` holds
            predictions with other settings, or it cannot be written.
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
    wanted = Wanted(
        format, probabilities, overlay, instances, min_area, tta, *outlines, uncertainty, threshold=threshold
    )
    processes = workers_of(scheduler)
    with stoppable():
        call = _call(run, Path(out), wanted, memory, processes, engine)
        inputs = [inputs] if isinstance(inputs, str | Path) else [*inputs]
        pictures = pictures_of(find_pictures(inputs), call.channels)
        _warn_of_masks(pictures)
        mine = pictures[number - 1 :: of]
        results = functools.partial(_results, call, scheduler=scheduler, on_tile=on_tile)
        predictor = predictor_for(call.net, call.model)
        kind = predictor.masks, predictor.calibration.temperature
        return fill(call, kind, pictures, mine, results, overwrite, (number, of), on_file, on_pixels, inputs)


def _warn_of_masks(pictures: Sequence[str]) -> None:
    """Say which pictures are called like the mask of another one beside them: they are predicted as any picture."""
    paths = [Path(one) for one in pictures]
    stems = {(path.parent, path.stem) for path in paths}
    bare = {path: MASK_SUFFIX.sub("", path.stem) for path in paths}
    if masks := [path.name for path, stem in bare.items() if stem != path.stem and (path.parent, stem) in stems]:
        log.warning(
            f"{len(masks)} of {many(len(paths), 'picture')} are called like masks of others, and predicted like them: "
            f"{some(masks, 3)}. If they are masks, give the pictures alone."
        )


def _call(
    run: Run | str | Path, out: Path, wanted: Wanted, memory: int | str | None, processes: int, engine: str
) -> Call:
    """What each process is told, once it is known that the settings can be used."""
    check_wanted(wanted, out)
    turns_of(wanted.tta)
    budget = memory_budget(memory) / processes
    net = str(located(run))
    model = model_hash(net)
    predictor = predictor_for(net, model).at(wanted.threshold)
    engine = resolve(engine, predictor.network)
    spread = wanted.uncertainty and (wanted.tta != "none" or predictor.network.count > 1)
    wanted = replace(wanted, spread=spread, threshold=predictor.calibration.threshold)
    predictor.by(engine).pixels_within(budget)  # a damaged net and too little memory are said once, and now
    shared = int(budget) if processes > 1 else memory
    return Call(net, model, str(out.resolve()), wanted, shared, predictor.channels, engine)


def _results(call: Call, left: list[str], scheduler: str | None, on_tile: Progress) -> Iterator[Result]:
    if scheduler is None:
        return predict_pictures(call, left, on_tile)
    processes = workers_of(scheduler) if scheduler.startswith("local:") else WORKERS
    size = min(BATCH, -(-len(left) // (TASKS * processes))) or 1
    batches = [left[i : i + size] for i in range(0, len(left), size)]
    return run_tasks(functools.partial(predict_pictures, call), batches, scheduler)
