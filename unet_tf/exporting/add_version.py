"""Another version of a net, added to a bundle that stands and may be served meanwhile."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from unet_tf.edge.description import Description
from unet_tf.errors import InputError
from unet_tf.evaluation.bundle_tables import BundleReport
from unet_tf.exporting.bundle import (
    ADDING,
    DESCRIPTION,
    KERAS,
    OWN,
    REPORT,
    VERSIONS,
    Bundle,
    StoredBundle,
    hashes,
    unlike,
)
from unet_tf.exporting.judging import judged, milliseconds, refusals_in_words, report_of
from unet_tf.exporting.material import Material, first_of, judged_on_words, static_tile
from unet_tf.exporting.parity import bundled_net
from unet_tf.exporting.shelves import write_version
from unet_tf.exporting.source import describe, learnt_by, material_of, model_of
from unet_tf.model.inference import check_backend, folded
from unet_tf.prediction.folds import Folds
from unet_tf.prediction.folds import opened as open_nets
from unet_tf.run import Run
from unet_tf.utils.files import refusal
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look, stoppable


def add_version(
    run: Run | Folds | str | Path,
    bundle: str | Path,
    *,
    data: str | Path | None = None,
    on_step: Callable[[str], None] = lambda name: None,
    on_image: Progress = unseen,
) -> BundleReport:
    """Export a run as the next version of a bundle: `saved_model/2`, which a server takes up by itself.

    The folder holds all that belongs to the version: the SavedModel with its warm-up requests, and in `assets.extra`,
    where TF Serving reads nothing else, the net of Keras that `verify` holds it against, its description with the
    SHA-256 of its files, and its report. It is written elsewhere in the bundle and gets its place by one rename: a
    server that polls sees no version or a whole one, and so does `verify`, whenever the process is killed. Of the other
    files `bundle.json` alone changes, which remembers the highest number: TFLite files, `model.keras`, card and report
    stay those of version 1. To take a version back, remove its folder; its number is never given again.

    Args:
        run: a run, or its folder, or the folder of a cross-validation; of the same classes, channels, pixel type and
            kind of masks as the bundle.
        bundle: the folder that `unet_tf.export` filled.
        data: the folder that the run was trained on, where it is now; None for where it was then. Where it is not
            there, or cannot be used, the version is held against Keras on noise alone.
        on_step: called with the name of each step as it begins.
        on_image: called with (pictures compared, pictures in all).

    Returns:
        How the version compares to Keras, as `report.json` of a bundle says it of its nets.

    Raises:
        InputError: the run or the bundle cannot be used, they are not of the same kind, or the version loses more mean
            IoU against Keras than the bundle allows.
        RuntimeError: the SavedModel differs from Keras by more than `unet_tf.exporting.parity.EXACT`. Nothing is added
            then, as with every error.

    Example:
        >>> add_version("runs/cells_longer", "bundles/cells")  # doctest: +SKIP
    """
    check_backend()
    run, opened = run if isinstance(run, Run | Folds) else open_nets(run), Bundle(bundle)
    with stoppable():
        material = material_of(first_of(run), data, None, needed=False)
        allowed = opened.description.origin.max_iou_drop
        description, _ = describe(run, static_tile(first_of(run), material.sides), allowed)
        if differ := unlike(opened.description, description):
            raise InputError(
                f"Versions of one model must be of the same kind, and {run.path} is not of that of {bundle}: "
                f"{'; '.join(differ)}. Export it to a bundle of its own (--out).",
            )
        temporary = opened.path / f"{ADDING}{uuid.uuid4().hex[:8]}"
        try:
            temporary.mkdir()
            with refusals_in_words(opened.path):
                number = opened.next_version()
                name = f"{VERSIONS}/{number}"
                report = _written(temporary, name, run, material, description, on_step, on_image)
            look()
            now = Bundle(bundle)
            if now.next_version() > number:
                raise InputError(f"{opened.path / name} was added by another call meanwhile. Give the command again.")
            now.remember(number)  # first: of a process killed between the two a number is lost, and none given twice
            (temporary / name).rename(opened.path / name)
        except OSError as error:
            raise refusal(opened.path, error) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return report


def _written(
    folder: Path,
    name: str,
    run: Run | Folds,
    material: Material,
    description: Description,
    on_step: Callable[[str], None],
    on_image: Progress,
) -> BundleReport:
    """Write a version of a name into a folder: how it compares to Keras."""
    path, model = folder / name, model_of(run, "float32")
    on_step("SavedModel")
    write_version(folded(model), description, path)
    look()
    on_step("comparing with Keras")
    nets = {name: bundled_net(folder, name, description)}
    tallies = judged(nets, model, description, material.validation, on_image)
    on_step("timing")
    judged_on = judged_on_words(run, len(material.validation))
    report = report_of(folder, description, tallies, milliseconds(nets, description), judged_on)
    look()
    model.save(path / OWN / KERAS)  # after its size was taken, which is that of what a server takes
    (path / OWN / REPORT).write_text(json.dumps(report, indent=2, allow_nan=False), encoding="utf-8")
    stored: StoredBundle = {**description.to_json(), **learnt_by(run), "sha256": hashes(path)}
    (path / OWN / DESCRIPTION).write_text(json.dumps(stored, indent=2, allow_nan=False), encoding="utf-8")
    return report
