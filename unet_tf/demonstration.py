"""The whole way on generated cells: data, training, scores, a large image, export, one report."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from unet_tf.config import TrainConfig
from unet_tf.data.instances import label_from_instances
from unet_tf.data.pictures import write_picture
from unet_tf.errors import InputError
from unet_tf.evaluation.metrics import confusion_matrix, scores
from unet_tf.evaluation.panels import Case, layers_of
from unet_tf.evaluation.report import write_report
from unet_tf.evaluation.strips import write_strip
from unet_tf.exporting.export import export
from unet_tf.prediction.predict import predict
from unet_tf.run import Run
from unet_tf.synthetic.cells import generate_cells
from unet_tf.synthetic.write import write_synthetic
from unet_tf.training.strategy import check_one_host, choose_strategy
from unet_tf.training.train import train
from unet_tf.utils.files import replacing, write_new
from unet_tf.utils.progress import Progress, unseen

COUNTS = {"train": 24, "val": 4, "test": 8}
SEED = 2015
MARK = ".demo"
"""A file that is there from the start, by which a demo is known."""
LARGE_SIZE = (1100, 1500)
"""Height and width of the large image, pixels: several tiles each way."""

CONFIG = TrainConfig(
    classes=("background", "cell"),
    base_filters=16,
    depth=3,
    padding="valid",
    precision="float32",
    tile=340,  # -> 252: the whole 256 px image but for the last rows
    batch_size=2,
    epochs=16,
    steps_per_epoch=32,
    minutes=3.5,  # where the machine is slow
    border_weight=10.0,
    rotation=180.0,
    seed=SEED,
)


def demo(
    out: str | Path,
    overwrite: bool = False,
    config: TrainConfig = CONFIG,
    *,
    callbacks: Sequence[Any] = (),
    on_step: Callable[[str], None] = lambda name: None,
    on_part: Progress = unseen,
) -> Path:
    """Generate touching cells, train on them, judge, predict a large image, export, and report.

    Args:
        out: folder of the run; also gets `data/`, `large_*.png` and `bundle/`.
        overwrite: remove an earlier demo in `out` first, whole or stopped, that lies where it was made.
        config: how to train; its batch grows to the next that the devices can share.
        callbacks: further Keras callbacks.
        on_step: called with the name of each step as it begins.
        on_part: called with (parts done, parts in all) within a step.

    Returns:
        The report.

    Raises:
        InputError: `out` holds something, and `overwrite` is not set, or what it holds is no demo, or one that was
            moved; or TF_CONFIG names several hosts.
    """
    check_one_host("A demo", "Unset it.")
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not overwrite or not _is_demo(out):
            raise InputError(
                f"{out} is not empty. Choose another --out, or --overwrite an earlier demo, which has a file {MARK} "
                "and lies where it was made."
            )
        for one in sorted(out.iterdir(), key=lambda one: one.name == MARK):  # without its mark a rest would be kept
            shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()
    write_new(out / MARK, "")

    on_step("generate touching cells")
    data = out / "data"
    with replacing(data) as temporary:
        write_synthetic(temporary, "cells", COUNTS, seed=SEED, on_image=on_part)
    on_step("train")
    if config.batch_size is not None:
        replicas = choose_strategy().num_replicas_in_sync
        config = replace(config, batch_size=math.ceil(config.batch_size / replicas) * replicas)
    run = train(data, out, config, callbacks=callbacks, on_file=on_part, on_progress=on_part, on_image=on_part)
    on_step(f"predict an image of {LARGE_SIZE[0]}x{LARGE_SIZE[1]} px")
    _predict_large(run, on_part)
    export(run, out / Run.BUNDLE, on_step=lambda name: on_step(f"export: {name}"), on_image=on_part)
    return write_report(out)


def _is_demo(folder: Path) -> bool:
    """Whether a folder is of a demo: marked as one, and its run, where that has begun, is of the data inside it."""
    if not (folder / MARK).is_file():
        return False
    try:
        return not (folder / Run.CONFIG).exists() or Run(folder).data == (folder / "data").resolve()
    except InputError:
        return False


def _predict_large(run: Run, on_tile: Progress) -> None:
    """Write a large image, its predicted mask, and a picture of both beside the truth."""
    image, instances = generate_cells(*LARGE_SIZE, seed=SEED)
    label = label_from_instances(instances)
    prediction = predict(run, image, tile=run.plan.tile, on_tile=on_tile)
    write_picture(run.path / "large_image.png", image)
    write_picture(run.path / "large_mask.png", run.masks.mask(prediction))
    mean_iou = scores(confusion_matrix(label, prediction, len(run.classes)))["mean_iou"]
    case = Case.of("large_image.png", mean_iou, image[..., None], label, prediction, background=True)
    said = f"{image.shape[0]}x{image.shape[1]} px in tiles"
    write_strip(run.path / Run.LARGE, layers_of(case, run.masks), title=said, mean_iou=mean_iou)
