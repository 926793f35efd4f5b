"""Which pairs are held out where a folder does not say, once it is known what they hold, and what nets before knew."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from unet_tf.config import TrainConfig
from unet_tf.data.samples import Samples
from unet_tf.data.splits import FEW, hold_out, may_be_held, usual_share
from unet_tf.errors import InputError
from unet_tf.pages.words import many
from unet_tf.planning.ancestors import Ancestors
from unet_tf.planning.checks import validation_lacks
from unet_tf.planning.plan import Choice, choose

OF_VALIDATION = ("patience", "val_tiles")
"""Settings that do nothing where no file is held out."""


class Drawn(NamedTuple):
    """The samples of a folder without val/, parted; not weighed yet.

    Attributes:
        train: those to train on.
        val: those to validate by.
        among: number of those among which the latter were drawn: all, or those that no net before was trained on.
    """

    train: Samples
    val: Samples
    among: int


def draw_validation(
    pool: Samples, config: TrainConfig, held: Collection[str] | None = None, learnt: Collection[str] = ()
) -> Drawn:
    """Part the samples of a folder without val/ in those to train on and those to validate by.

    Args:
        pool: all of them.
        config: says share, seed, group and fold.
        held: names of those to validate by, where a run has begun with them.
        learnt: SHA-256 of images that the net knows from before; it is trained on them again, where others are left to
            hold out, and folds do not say otherwise.

    Raises:
        InputError: as `hold_out` does.
    """
    among = len(pool)
    if held is None:
        holds = [one.pixels_by_class for one in pool.fingerprints]
        known = [number for number, one in enumerate(pool.fingerprints) if one.sha256 in learnt and not config.fold]
        among = len(may_be_held(pool.pairs, config.group, known))
        settings = config.val_share, config.split_seed, config.group, config.fold
        chosen = {(pair.name, pair.page) for pair in hold_out(pool.pairs, *settings, holds, known)[1]}
    else:
        chosen = {(pair.name, pair.page) for pair in pool.pairs if pair.name in held}
    is_held = [(pair.name, pair.page) in chosen for pair in pool.pairs]
    train, val = (pool.part([n for n, out in enumerate(is_held) if out == wanted]) for wanted in (False, True))
    if not (train.pairs and val.pairs):
        raise InputError("A run must go on with the files that it began with; here is none. Give its data folder.")
    return Drawn(train, val, among)


def check_folds(pool: Samples, config: TrainConfig, folds: Sequence[str], classes: Sequence[str]) -> None:
    """Raise InputError where the training files of a fold lack a class, before the first fold is trained.

    Args:
        pool: all files of the folds.
        config: of the runs.
        folds: such as "1/5".
        classes: their names.
    """
    for fold in folds:
        train = draw_validation(pool, replace(config, fold=fold)).train
        if absent := [name for name, pixels in zip(classes, train.class_pixels, strict=True) if not pixels]:
            raise InputError(
                f"Every fold must have training pixels of all classes; fold {fold} holds out all of "
                f"{', '.join(absent)}. Give more files with {'them' if len(absent) > 1 else 'it'}, merge classes, or "
                "cross-validate by seeds (--seeds)."
            )


def plan_share(config: TrainConfig, splits: Mapping[str, Samples], among: int | None) -> Choice[float]:
    """The share of the files that is held out, and why.

    Args:
        config: what a person said.
        splits: the samples, parted.
        among: as of `Drawn`; None where the folder says what is held out.
    """
    held = len(splits["val"]) if "val" in splits else 0
    count = len(splits["train"]) + held
    if among is None:
        return choose(config.val_share, held / count, f"val/ holds {held} of {many(count, 'file')}")
    if config.fold is not None:
        return choose(config.val_share, held / count, f"fold {config.fold} holds {held} of {many(count, 'file')}")
    which = many(count, "file") if among == count else f"the {among} files that {config.start_from} was not trained on"
    words = f"{held} of {which}: a fifth, and of fewer than {FEW} a tenth, or two where a fifth is as many"
    return choose(config.val_share, usual_share(among), words)


def said_of_validation(config: TrainConfig, splits: Mapping[str, Samples], classes: Sequence[str]) -> list[str]:
    """What is to be said of the held-out files, or of there being none, a sentence each.

    Args:
        config: what a person said.
        splits: the samples, parted.
        classes: their names.
    """
    if "val" in splits:
        words = validation_lacks(splits["val"].class_pixels, classes)
        return [words] if words else []
    notes = [
        "No file is held out: the net is trained on all, its last epoch is kept, and nothing tells how good it is. "
        "Cross-validation of the same settings does (unet-tf crossval)."
    ]
    if unused := [f"{name} = {getattr(config, name)}" for name in OF_VALIDATION if getattr(config, name)]:
        notes.append(f"{' and '.join(unused)}: no epoch is validated, so that this changes nothing.")
    return notes


def said_of_known(before: Ancestors, start: str | None, splits: Mapping[str, Samples]) -> list[str]:
    """What is to be said of held-out files that nets before knew, a sentence each.

    Args:
        before: the nets before.
        start: the last of them.
        splits: the samples, parted.
    """
    notes = []
    if before.unknown:
        notes.append(
            f"The training files of {', '.join(before.unknown)} are not known: the scores may be of pictures that it "
            "knew. Start from a run, which knows its files (one of other channels, by its data folder), or judge by "
            "files that are new (test/)."
        )
    judged = "test" if "test" in splits else "val"
    for name, samples in splits.items():
        known, count = sum(one.sha256 in before.files for one in samples.fingerprints), len(samples)
        if not known or name == "train":
            continue
        which = f"{start}, from which the net starts, was trained on {known} of the {count} {name} files"
        if name != judged:
            notes.append(f"{which}: the best epoch is chosen by pictures that it was trained on.")
        elif known < count:
            notes.append(f"{which}: they are left out of the scores.")
        else:
            notes.append(
                f"{which}: the scores are of pictures that it was trained on, and tell nothing of others. Give files "
                "that are new, in val/ or test/."
            )
    return notes
