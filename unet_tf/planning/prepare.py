"""From a data folder and a configuration to what training reads; every choice left open is made here."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.config import TrainConfig, changed
from unet_tf.data.channels import Channels, listed
from unet_tf.data.fingerprint import measure_normalisation
from unet_tf.data.folder import SPLITS, Pair, some
from unet_tf.data.layout import find_named
from unet_tf.data.mask_kind import recognise
from unet_tf.data.masks import MaskFormat
from unet_tf.data.nodata import fill_nodata
from unet_tf.data.normalisation import Normalisation
from unet_tf.data.palette import find_palette
from unet_tf.data.pictures import is_varied, open_pictures
from unet_tf.data.samples import Samples, agreed_names, read_samples
from unet_tf.data.splits import parts_of, split
from unet_tf.data.weight_map import Weighting
from unet_tf.errors import InputError
from unet_tf.model.calibration import BEST, check_threshold
from unet_tf.pages.words import many
from unet_tf.planning.ancestors import Ancestors, ancestors_from
from unet_tf.planning.checks import check_classes, check_tile, copies_between, nodata_of_some
from unet_tf.planning.holding_out import check_folds, draw_validation, plan_share, said_of_known, said_of_validation
from unet_tf.planning.inspection import BENDING, LEFT_OUT, SEEN_THROUGH, Outlier, outliers
from unet_tf.planning.objects import plan_objects
from unet_tf.planning.plan import (
    Choice,
    Sizes,
    Work,
    choose,
    object_size,
    plan_border,
    plan_border_weight,
    plan_flips,
    plan_sampling,
    plan_sizes,
    plan_threshold,
)
from unet_tf.tiling import cut, default_tile
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look

if TYPE_CHECKING:
    import tensorflow as tf

    from unet_tf.data.pipeline import LookedAt, TileDraw

log = logging.getLogger("unet_tf")

OF_A_RUN = {
    "base_filters", "batch_norm", "dropout", "epochs", "learning_rate", "logits_scale", "loss", "minutes", "optimizer",
    "patience", "precision", "val_tiles",
}  # fmt: skip
"""Settings of the net and its training, of which no data set knows."""
LOOKED_AT = 12
"""Training pairs in which the size of objects, where they lie, and values far from all others are looked for."""


@dataclass(frozen=True)
class Prepared:
    """A data set, read and checked, and what it decides.

    Attributes:
        config: what a person said.
        masks: how the masks say the classes.
        splits: "train" and those of "val" and "test" that were asked for and hold pairs; without "val" where none is
            held out.
        normalisation: measured on "train".
        classes: names of the classes.
        border_class: width of the border of objects that is a class, in pixels; 0 for none.
        border_weight: of the separation borders.
        rare_share: share of the tiles that look for classes.
        threshold: that parts two classes, or "best".
        loss: name of the loss.
        val_share: share of the files that is held out, where the data does not say which.
        upright: whether pictures have an up.
        sizes: of net, tile and step.
        channels: how the channels of the images come from the files.
        before: the nets before one that starts from another; none of a run that goes on, which has noted them.
    """

    config: TrainConfig
    masks: MaskFormat
    splits: dict[str, Samples]
    normalisation: Normalisation
    classes: tuple[str, ...]
    border_class: Choice[int]
    border_weight: Choice[float]
    rare_share: Choice[float]
    threshold: Choice[float | str]
    loss: Choice[str]
    val_share: Choice[float]
    upright: Choice[bool]
    sizes: Sizes
    channels: Channels
    before: Ancestors

    @property
    def choices(self) -> dict[str, Choice[Any]]:
        """The settings that the data decides, by name."""
        read: dict[str, Choice[Any]] = {"classes": Choice(self.classes), "masks": Choice(self.masks.kind)}
        if self.config.classes is not None and self.masks.kind == "index":  # of which void may be one by name
            read["void"] = Choice(tuple(map(str, self.masks.void)))
        for name in ("border_class", "border_weight", "rare_share", "threshold", "loss", "val_share", "upright"):
            read[name] = getattr(self, name)
        return read | self.sizes._asdict()

    def tiles(self) -> TileDraw:
        """Random training tiles by number."""
        from unet_tf.data.pipeline import TileDraw

        return TileDraw(
            self.splits["train"],
            self.normalisation,
            self.sizes.geometry,
            self.sizes.tile.value,
            replace(self.config, upright=self.upright.value).augmentation,
            self.config.seed,
            self.rare_share.value,
        )

    @property
    def class_shares(self) -> NDArray[np.float64]:
        """(C,) shares of the classes in the training pixels, each times its weight."""
        train = self.splits["train"]
        weighted = train.class_pixels * train.class_weights[: len(self.classes)]
        return weighted / weighted.sum()

    def work(self, batch_size: int) -> Work:
        """What there is to do for a net that takes so many tiles a step."""
        geometry, samples = self.sizes.geometry, self.splits.get("val")
        grids = [] if samples is None else [cut(geometry, shape, default_tile(geometry)) for shape in samples.shapes]
        pixels = sum(len(grid) * grid.tile[0] * grid.tile[1] for grid in grids)
        one_pass = math.ceil(len(self.tiles().draws) / batch_size)
        return Work(one_pass, batch_size * self.sizes.tile.value**2, sum(map(len, grids)), pixels)

    def looked_at(self, tiles: int | None = None) -> LookedAt:
        """So many tiles of the files that are held out, or all, and the pixels of each class in them."""
        from unet_tf.data.pipeline import look_at

        geometry = self.sizes.geometry
        return look_at(self.splits["val"], geometry, default_tile(geometry), tiles)

    def held_out(self, split: str = "val", tiles: Sequence[tuple[int, int]] | None = None) -> tf.data.Dataset:
        """Every pixel of a split once, unaugmented, on the tile grid of prediction; or these tiles, as of `look_at`."""
        from unet_tf.data.pipeline import validation_dataset

        geometry = self.sizes.geometry
        return validation_dataset(self.splits[split], self.normalisation, geometry, default_tile(geometry), tiles)


def prepare(
    data: str | Path,
    config: TrainConfig,
    on_file: Progress = unseen,
    splits: Sequence[str] = SPLITS,
    only_checked: Sequence[str] = ("test",),
    masks: MaskFormat | None = None,
    held: Collection[str] | None = None,
    folds: Sequence[str] = (),
) -> Prepared:
    """Find, recognise, split, decode and check a data folder, and choose what it decides.

    Says what it found on the logger "unet_tf".

    Args:
        data: folder of images and masks, in one of the layouts that `find_named` reads.
        config: what a person said.
        on_file: called with (files read, files in all).
        splits: those to read, besides "train".
        only_checked: those that are read for their faults alone, without weights and cache.
        masks: how the masks say the classes, where a plan was made already: its tile is then taken as it is.
        held: names of the pairs that a run holds out, where it has begun with a share that was drawn.
        folds: others that will be trained on, which are checked too.

    Raises:
        InputError: the data or a setting cannot be used.
        Stopped: a signal has told to stop.
    """
    planned = masks is not None
    named = _named(data, config)
    pairs = split(named, config.val_share, config.split_seed, config.group, config.fold)
    if held is None and not planned:
        parts_of(pairs["train"], config.group)  # raises where a name has no group, though the folder says the splits
    if masks is not None and config.classes is not None:
        classes = config.classes
    else:
        everything = [pair for of_split in pairs.values() for pair in of_split]
        masks, classes, why, doubt = recognise(everything, config.mask_settings, find_palette(Path(data)))
        if doubt:
            log.warning(doubt)
        log.info(f"masks: {masks.kind}, {masks.num_classes} classes ({', '.join(classes)}); {why}")
    look()
    learns_from_all = config.val_share == 0 and config.fold is None
    if drawn := "val" not in named and not learns_from_all:  # by what the pairs hold, which is known when they are read
        pairs |= {"train": named.get("train", named.get("", [])), "val": []}
    pairs = {name: pairs[name] for name in SPLITS if name == "train" or (name in splits and pairs[name])}
    check_threshold(config.threshold, classes)
    if config.threshold == BEST and "val" in splits and "val" not in pairs and not drawn:
        raise InputError(
            "The best threshold is the one of the validation files, and none is held out. Give a number (--threshold "
            "0.4), or hold files out."
        )
    border_class = plan_border(config, masks)
    border_weight = plan_border_weight(config, masks)

    read = _read(pairs, masks, config, border_weight.value, only_checked, on_file)
    among = None if "val" in named else 0
    before = ancestors_from(config.start_from, config.source) if held is None else Ancestors()
    if drawn:
        check_folds(read["train"], config, folds, classes)
        read["train"], read["val"], among = draw_validation(read["train"], config, held, before.files)
        for samples in read.values():
            samples.weigh(read["train"])
    train, pool = read["train"], [*read["train"].seen, *(read["val"].seen if drawn else ())]
    drawn_pixels = read["val"].class_pixels if drawn else None
    read = {name: read[name] for name in SPLITS if name == "train" or (name in splits and name in read)}
    masks = masks if planned else plan_objects(train.pairs, masks)
    check_classes(train.class_pixels, classes, drawn_pixels)
    notes = said_of_validation(config, read, classes) if "val" in splits else []
    copies = copies_between({name: samples.seen for name, samples in read.items()})
    gaps = nodata_of_some(train.seen, [one for samples in read.values() for one in samples.seen])
    for note in (*notes, *filter(None, [copies]), *gaps, *said_of_known(before, config.start_from, read)):
        log.warning(note)
    rare_share = plan_sampling(config, train.class_pixels, classes)
    held_out = read["val"].class_pixels if "val" in read else None
    if config.threshold == BEST and not planned and held_out is not None and not held_out[1]:
        raise InputError(
            f"The best threshold is the one of the validation files, and none of their pixels is of {classes[1]}. Give "
            "a number (--threshold 0.4), or hold files out that show some."
        )
    threshold = plan_threshold(config, train.class_pixels, classes, held_out)
    loss = choose(config.loss, "crossentropy_dice", "thin and rare things are learnt sooner than without Dice")
    val_share = plan_share(config, read, among)
    few = np.unique(np.linspace(0, len(train) - 1, LOOKED_AT).astype(int)).tolist()
    labels = [] if planned and config.upright is not None and config.depth is not None else _labels(train, few)
    parts = parts_of([train.pairs[i] for i in few], config.group) if labels else []
    upright = plan_flips(config, labels, classes, parts)
    sizes = plan_sizes(config, train.shapes, object_size(labels, len(classes)) if config.depth is None else 0.0)
    if not planned:
        check_tile(train.seen, sizes.geometry, sizes.tile.value)
    # of all from which some are held out, as these may be the only ones in colour
    normalisation = measure_normalisation(train.fingerprints, max(one.channels for _, one in pool))
    channels = replace(config.source, names=agreed_names(pool))
    if normalisation.channels not in (1, 3) or not channels.plain:
        log.info(f"channels: {listed(channels.taken)} of {listed(channels.names)}, each normalised by itself")
    choices = border_class, border_weight, rare_share, threshold, loss, val_share, upright
    return Prepared(config, masks, read, normalisation, classes, *choices, sizes, channels, before)


def _named(data: str | Path, config: TrainConfig) -> dict[str, list[Pair]]:
    """The pairs of each split of a folder, and what is to be said of them."""
    found = find_named(data, config.naming, config.source)
    named = found.check()
    log.info(f"pairs: {'; '.join(found.rules or ['as the lists say'])}")
    for note in found.notes:
        log.warning(note)
    return named


def _labels(train: Samples, numbers: Sequence[int]) -> list[NDArray[np.uint8]]:
    """The labels of some training pairs; images whose values bend the normalisation, and alpha, are said."""
    labels, found = list[NDArray[np.uint8]](), dict[str, list[Outlier]]()
    for sample in (train[number] for number in numbers):
        labels.append(sample.label)
        found[sample.name] = outliers(fill_nodata(sample.image, sample.nodata))
    if bent := [f"{name} ({', '.join(map(str, values))})" for name, values in found.items() if values]:
        log.warning(f"Of {many(len(numbers), 'training image')} looked at, {len(bent)} {BENDING}: {some(bent, 8)}.")
    pairs = [train.pairs[number] for number in numbers]
    for what, files in (LEFT_OUT, [pair.files for pair in pairs]), (SEEN_THROUGH, [(pair.mask,) for pair in pairs]):
        both = zip(pairs, files, strict=True)
        if varied := [p.name for p, own in both if any(is_varied(open_pictures(one).alpha(p.page)) for one in own)]:
            words = f"{len(varied)} {what}: {some(varied, 8)}"
            log.warning(f"Of {many(len(numbers), 'training image')} looked at, {words}.")
    return labels


def _read(
    pairs: dict[str, list[Pair]],
    masks: MaskFormat,
    config: TrainConfig,
    border_weight: float,
    only_checked: Sequence[str],
    on_file: Progress,
) -> dict[str, Samples]:
    """The pairs of each split, decoded and checked; "train" comes first, and the others are held to it."""
    total, done = sum(map(len, pairs.values())), itertools.count(1)

    def count() -> None:
        on_file(next(done), total)
        look()

    weighting = Weighting(config.class_balance, border_weight, config.border_sigma)
    read: dict[str, Samples] = {}
    for name, of_split in pairs.items():
        read[name] = read_samples(
            of_split,
            masks,
            None if name in only_checked else weighting,
            read.get("train"),
            "none" if name in only_checked else config.cache,
            places=name == "train",
            on_file=count,
        )
    return read


def dataset(
    data: str | Path,
    split: str = "train",
    config: TrainConfig | None = None,
    *,
    deterministic: bool = True,
    on_file: Progress = unseen,
    **overrides: Any,
) -> tf.data.Dataset:
    """A folder of images and masks as a `tf.data.Dataset` of (image, label, weight), for your own `model.fit`.

    "train" is one epoch of random augmented tiles, other ones each time it is iterated: `steps_per_epoch` batches, or
    as many as one pass over the training pixels fills. On JAX, and under a strategy of several devices
    (`tf.distribute`), the first `fit` begins with the tiles of the second epoch: Keras asks for those of the first to
    build the net, and drops them. "val" and "test" show every pixel once, unaugmented, one tile a batch; pixels that a
    tile shares with another are void in its label, and tiles of void alone are left out. Under such a strategy Keras
    gives all devices but one an empty part of such a batch, and fails: there `fit` without validation data, and
    `evaluate` the weights in a net outside of the strategy.

    Splits that a net is trained on and judged by must be made with the same settings: classes, channels, padding,
    depth and which files are held out all follow from them.

    Args:
        data: folder with `images/` and `masks/` of equal names, directly or in `train/`, `val/`, `test/`, or with
            lists of names (`unet_tf.check` tells).
        split: "train", "val" or "test".
        config: all settings at once, None for the defaults; those of data, tile, epoch, weight map and augmentation
            count, and not those of the net and its training.
        deterministic: the same seed gives the same tiles in the same order; False gives them as they are ready.
        on_file: called with (files read, files in all) while reading.
        **overrides: single settings that count, fields of `TrainConfig`.

    Returns:
        Batches of image (B, h, w, C) float32, normalised as measured on the training images; label (B, h', w') uint8
        ids, 255 void; weight (B, h', w') float32. h' is h less the shrink of an unpadded net. As attributes, which data
        sets made of it have no more: `class_names`; `normalisation`, with which `unet_tf.Predictor` gives a net raw
        pixels; and `class_shares` (classes,) float64 of the training pixels, weighted, for `unet_tf.start_at_shares`.

    Raises:
        InputError: the data or a setting cannot be used.

    Example:
        >>> settings = {"tile": 340, "depth": 3, "border_weight": 10}
        >>> tiles = unet_tf.dataset("cells", **settings)  # doctest: +SKIP
        >>> held_out = unet_tf.dataset("cells", "val", **settings)  # doctest: +SKIP
        >>> model.fit(tiles, validation_data=held_out, shuffle=False)  # doctest: +SKIP
    """
    from unet_tf.data.pipeline import epoch_dataset

    if split not in SPLITS:
        raise InputError(f"A split must be one of {', '.join(SPLITS)}; received {split!r}.")
    config = changed(config, overrides)
    if unused := sorted(OF_A_RUN & overrides.keys()):
        raise InputError(
            f"A data set has settings of data, tile, epoch, weight map and augmentation; received {', '.join(unused)}, "
            "of the net and its training. Leave them out, and give them to unet(), compile() and fit()."
        )
    # Left open, the sizes are those of unet(), which this is for.
    config = replace(config, depth=choose(config.depth, 4, "").value, padding=choose(config.padding, "valid", "").value)
    prepared = prepare(data, config, on_file, [split], only_checked=())
    if split not in prepared.splits:
        raise InputError(f"{data} has no {split} files.")
    if split == "train":
        sizes = prepared.sizes.batch_size.value, deterministic, config.steps_per_epoch
        found = epoch_dataset(prepared.tiles(), *sizes)
    else:
        found = prepared.held_out(split)
    found.class_names, found.normalisation = prepared.classes, prepared.normalisation
    found.class_shares = prepared.class_shares
    return found
