"""What a path is that is to be judged: a run, a bundle, the folder of a cross-validation, or masks."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

from unet_tf.config import NAMING, TrainConfig, changed, naming_changes
from unet_tf.data.folder import scan_all
from unet_tf.data.masks import MaskFormat
from unet_tf.data.palette import find_palette
from unet_tf.edge.description import BUNDLE_DESCRIPTION, read_bundle
from unet_tf.errors import InputError
from unet_tf.evaluation.mask_folder import MaskFolder
from unet_tf.evaluation.subject import Net, Subject
from unet_tf.model.calibration import check_threshold
from unet_tf.prediction.folds import Folds, check_stored, holds_folds
from unet_tf.prediction.load import EXTRA, FILES, GRAPH, about_file
from unet_tf.prediction.predict import located
from unet_tf.run import Run
from unet_tf.utils.hub import Address
from unet_tf.utils.typed_json import read_json

log = logging.getLogger("unet_tf")

OF_NETS = (*NAMING, "group", "classes", "void", "mask_tolerance")
OF_MASKS = ("masks", "inverted", "channels", "channel_suffix", "context")
"""Settings of the data where a net is judged, and those beside them where masks are, which know nothing of it."""
OF_TRUTH = ("void", "mask_tolerance")
"""Those of them that a net knows of its own masks, and that may be others in those that it is judged by."""
VOID_HERE = "Call the colour or the class void in a label_colors.txt of the data, and leave --void out."
Whom = Run | str | Path


class _Listed(TypedDict, total=False):  # of version 0.1, and of the Hub, bundles do not say it
    learnt: list[str]
    unknown: bool


def subject_of(what: Whom, data: str | Path, settings: Mapping[str, Any], threshold: float | None = None) -> Subject:
    """Open who is to be judged, told by what lies there.

    Args:
        what: a run, or its folder; the folder of a bundle or of a cross-validation; or a folder of masks.
        data: labelled files.
        settings: what is said of these: `OF_NETS`, and `OF_MASKS` for masks.
        threshold: of the probability of class 1 of two; None for its own.

    Raises:
        InputError: it is none of these, or a setting is none of its own.
    """
    (found,) = subjects_of([what], data, settings)
    if threshold is None:
        return found
    if not isinstance(found, Net):
        raise InputError("A threshold is of probabilities, and masks have none. Leave --threshold out.")
    check_threshold(threshold, found.classes)
    return replace(found, threshold=float(threshold))


def subjects_of(whom: Sequence[Whom], data: str | Path, settings: Mapping[str, Any]) -> list[Subject]:
    """Open several who are judged on the same files: masks read the truth as the first net does, or the first of all.

    Raises:
        InputError: as `subject_of` does.
    """
    opened = [_net(one, settings) for one in whom]
    if settings.get("void") and any(isinstance(one, Net) for one in opened) and find_palette(Path(data)) is not None:
        raise InputError(f"Where a net is judged, a label_colors.txt alone says what is void. {VOID_HERE}")
    first: Subject | None = next((one for one in opened if isinstance(one, Net)), None)
    subjects: list[Subject] = []
    for one in opened:
        subjects.append(one if isinstance(one, Net) else _masks(one, Path(data), settings, first))
        first = first or subjects[0]
    return [replace(one, group_said=bool(settings.get("group"))) for one in subjects]


def _net(what: Whom, settings: Mapping[str, Any]) -> Net | Path:
    """Open whatever has a net; of masks give the folder."""
    if isinstance(what, Run):
        return _run(what, settings)
    path = located(what) if Address.parse(check_stored(what)) else Path(what)
    if (path / Run.CONFIG).is_file():
        return _run(Run(path), settings)
    of_bundle = path.suffix.lower() in FILES or (path / GRAPH).is_file()
    if (path / BUNDLE_DESCRIPTION).is_file() or of_bundle:
        found, config = about_file(path) if of_bundle else read_bundle(path), _of_net(settings)
        known = found.classes, _read_as(found.masks, settings), config.naming, found.channels, config.group
        of = found.origin.data
        net = Net("bundle", path, *known, net=path, fingerprint=of["fingerprint"], held_out=of["val"])
        listed = _learnt(path)
        learnt_from = frozenset(listed["learnt"]) if "learnt" in listed else None
        return replace(
            net, learnt_from=learnt_from, unknown=listed.get("unknown", False), nets=found.nets, said=_names(settings)
        )
    if holds_folds(path):
        return _runs(path, settings)
    if path.is_dir() and any(listing.pictures for _, listing in scan_all(path)):
        return path
    there = (
        f"it has no {Run.CONFIG}" if path.is_dir() else "it is a file" if path.exists() else "there is no such folder"
    )
    raise InputError(
        f"{path} is no run: {there}. It is no bundle ({BUNDLE_DESCRIPTION}) and holds no masks either. Give the folder "
        "that train --out or export --out filled, or a folder of masks.",
        path,
    )


def _learnt(path: Path) -> _Listed:
    """What a bundle, or a SavedModel in one, says of its net's training images; those of the Hub nothing."""
    for folder in (path, path / EXTRA, *path.absolute().parents[1:2]) if path.is_dir() else ():
        if (file := folder / BUNDLE_DESCRIPTION).is_file():
            return read_json(file, _Listed, "Export again.")
    return {}


def _run(run: Run, settings: Mapping[str, Any]) -> Net:
    config = _of_net(settings, run.config)
    known = run.classes, _read_as(run.masks, settings), config.naming, run.channels, config.group
    return Net("run", run.path, *known, net=run, said=_names(settings))


def _runs(path: Path, settings: Mapping[str, Any]) -> Net:
    folds = Folds(path)
    log.info(folds.cost)
    config = _of_net(settings, folds.config)
    known = folds.classes, _read_as(folds.masks, settings), config.naming, folds.channels, config.group
    return Net("runs", path, *known, net=folds, said=_names(settings))


def _names(settings: Mapping[str, Any]) -> tuple[str, ...] | None:
    """What a person calls the classes of the truth."""
    return TrainConfig(classes=settings.get("classes")).classes


def _read_as(masks: MaskFormat, settings: Mapping[str, Any]) -> MaskFormat:
    """How a net's masks are read, with what is said of those of the truth.

    Raises:
        InputError: void is no value, or one of a class, or these masks have no tolerance.
    """
    said = changed(None, {name: settings[name] for name in OF_TRUTH if name in settings})
    if said.void and (masks.kind == "palette" or not all(map(str.isdecimal, said.void))):
        raise InputError(
            "Where a net is judged, void must be a value of masks that are not in colours; received "
            f"{', '.join(said.void)}. {VOID_HERE}"
        )
    void = dict.fromkeys((*masks.void, *map(int, said.void)))
    tolerance = said.mask_tolerance if "mask_tolerance" in settings else masks.tolerance
    return replace(masks, void=tuple(void), tolerance=tolerance)


def _of_net(settings: Mapping[str, Any], config: TrainConfig | None = None) -> TrainConfig:
    """The settings of a net's data, with what is said beside them.

    Raises:
        InputError: something is said that a net knows.
    """
    if known := [name for name in settings if name in OF_MASKS]:
        raise InputError(
            f"A net knows of its masks and channels; {', '.join(OF_MASKS)} are said where masks are judged. Leave "
            f"{', '.join(known)} out."
        )
    naming_changes({name: value for name, value in settings.items() if name not in ("group", "classes", *OF_TRUTH)})
    return changed(config, settings)


def _masks(path: Path, data: Path, settings: Mapping[str, Any], like: Subject | None) -> MaskFolder:
    if others := settings.keys() - {*OF_NETS, *OF_MASKS}:
        raise InputError(
            f"Where masks are judged {', '.join((*OF_NETS, *OF_MASKS))} are said of the data; received "
            f"{', '.join(sorted(others))}."
        )
    config = changed(None, settings)
    return MaskFolder.open(path, data, config, like)
