"""Images beyond memory and beyond one machine: each chunk of a zarr array is a task that anyone may do."""

from __future__ import annotations

import functools
import logging
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from unet_tf.data.pictures import TIFF
from unet_tf.errors import InputError
from unet_tf.prediction.arrays import BEGUN, begin, check_tile, renew_cut, stored_settings
from unet_tf.prediction.chunks import Job, open_job, predict_chunks
from unet_tf.prediction.engines import TENSORFLOW
from unet_tf.prediction.large_polygons import objects_beside
from unet_tf.prediction.predict import located, model_hash
from unet_tf.prediction.source import Source
from unet_tf.prediction.tasks import parse_shard, run_tasks, workers_of
from unet_tf.prediction.tile_settings import memory_budget, turns_of
from unet_tf.run import Run
from unet_tf.utils.files import held, placed
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import stoppable

log = logging.getLogger("unet_tf")


def predict_large(
    run: Run | str | Path,
    image: str | Path,
    out: str | Path,
    axes: str | None = None,
    chunk: int | None = None,
    memory: int | str | None = None,
    tta: str = "none",
    shard: str | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    is_map: bool = False,
    on_chunk: Progress = unseen,
    on_pixels: Callable[[int], None] = lambda number: None,
    threshold: float | None = None,
    engine: str = TENSORFLOW,
) -> Path:
    """Predict an image of any size into a zarr array of class ids, chunk by chunk.

    The result is that of `predict` (below 1e-5 in probability in float32 on a CPU), and on CPUs to the bit the same
    however many processes made it. Chunks that are there are not computed again, so the same call goes on after
    whatever stopped it. Ctrl-C and SIGTERM end it after the chunk under way.

    Args:
        run: a run or its folder, the folder of a bundle, or what else `unet_tf.load` opens by its path or address.
        image: a zarr array (path of the array), an OME-Zarr image, or a TIFF file that has tiles or is not compressed.
            Each of its 2-D planes is predicted.
        out: a new OME-Zarr image, NAME.zarr, (..., H, W) uint8 class ids; or one that the same call began.
        axes: a letter for each axis of the image, such as "tzyx" or "yxc"; None takes what the file says.
        chunk: largest side of a chunk, pixels; None for 2048, or what the memory holds.
        memory: what the tiles may take on this machine, bytes or such as "2GB"; the processes of "local:N" share it,
            and each worker of another scheduler may take it. None for a quarter of what is free. The tiles of an output
            that is gone on with stay: if they take more, what is left is refused.
        tta: "none", or average over turned tiles: "rotations" (4) or "all" (8).
        shard: "k/n": do every n-th chunk from number k on, as one of n jobs that share the work.
        scheduler: of Dask, or "local:N" for N processes; None for this process (`unet_tf.prediction.tasks.run_tasks`).
        overwrite: begin anew where `out` holds an earlier prediction; its objects beside it stay, and are named on the
            logger "unet_tf". No other call may write into it then.
        is_map: let rasterio read a GeoTIFF file, of any compression, whose alpha and masks then say where nothing was
            measured (extra "geo").
        on_chunk: called with (chunks done, chunks in all) of this call's share, earlier ones included.
        on_pixels: called with the pixels of each chunk that was predicted.
        threshold: of two classes: a pixel is class 1 where its probability is larger; None for that of the run.
        engine: what computes: "tensorflow", "openvino", "onnxruntime" or "auto" (`unet_tf.predict`).

    Returns:
        `out`.

    Raises:
        InputError: the image, the run or a setting cannot be used; `out` holds something else, or cannot be written.
            Chunks that were finished stay.
        Stopped: a signal came; chunks that were finished stay.

    Example:
        >>> import tempfile, numpy as np, tifffile
        >>> folder = Path(tempfile.mkdtemp())
        >>> tifffile.imwrite(folder / "slide.tif", np.zeros((100, 90), np.uint8))
        >>> predict_large("tests/saved/run_0_1", folder / "slide.tif", folder / "mask.zarr").name
        'mask.zarr'

    Reference:
        OME-NGFF specification 0.5.
    """
    if shard is not None and (scheduler is not None or overwrite):
        raise InputError(
            "Jobs that share chunks (--shard) take no --scheduler, and no --overwrite, which would undo what others "
            "did; remove the output before they start."
        )
    number, of = parse_shard(shard)
    net, target = located(run), Path(out).resolve()
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        on_chunk(done, len(mine))

    def left() -> Iterator[int]:
        for one in mine:
            if array.is_done(one):
                count()
                continue
            if memory is not None:
                check_tile(target, array.predictor, tile, budget)
            yield one

    with stoppable():
        turns_of(tta)
        budget = memory_budget(memory) / workers_of(scheduler)
        source = Source(net, model_hash(net), placed(image, TIFF), axes, tta, is_map, threshold).by(engine)
        begin(source, target, chunk, budget, overwrite)
        if overwrite and (stay := objects_beside(target)):
            log.warning(
                f"{target} is begun anew, and {', '.join(stay)} beside it may be of the former mask until --instances "
                "or --polygons writes them anew: remove them where they are not wanted."
            )
        with held(target):
            stored = stored_settings(target, source.settings(), chunk)  # of another job, where that was faster
            renew_cut(target, source.cut)
            tile, call = tuple(stored["tile"]), uuid.uuid4().hex
            files = str(net), source.model, str(source.image), axes, str(target)
            tells = source.calibration["threshold"], source.engine, overwrite, stored.get(BEGUN, "")
            job = Job(*files, tta, tile, call, is_map, *tells)
            array = open_job(job)
            mine = range(number - 1, len(array), of)
            if scheduler is None:
                finished = predict_chunks(job, left())
            else:
                finished = run_tasks(functools.partial(predict_chunks, job), ([one] for one in left()), scheduler)
            for one in finished:
                on_pixels(array.pixels(one))
                count()
    return Path(out)
