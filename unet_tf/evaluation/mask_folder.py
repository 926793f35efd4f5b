"""Masks in files as who is judged: another program's, a second annotator's, or those that `predict` wrote."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_tf.config import TrainConfig
from unet_tf.data.folder import PREDICTED, Decoded, Pair, title
from unet_tf.data.layout import find_named
from unet_tf.data.mask_kind import recognise
from unet_tf.data.masks import MaskFormat
from unet_tf.data.palette import find_palette
from unet_tf.data.pictures import read_mask
from unet_tf.data.unknown_values import UnknownValues
from unet_tf.errors import InputError, about
from unet_tf.evaluation.mask_kinds import Reading, check_order, doubt_of_colours, in_words, read_as
from unet_tf.evaluation.mask_pairs import INSTANCES, foreign_predictions, pair_masks
from unet_tf.evaluation.subject import Answer, Subject
from unet_tf.labels import VOID
from unet_tf.pages.words import many

log = logging.getLogger("unet_tf")


@dataclass
class MaskFolder(Subject):
    """A folder of masks whose names pair with the pictures of a data folder.

    They have no probabilities, and no training files. Pixels in which they alone are void are ignored.

    Attributes:
        data: the folder of the pictures and of the truth.
        everything: all pairs of the data.
        others: how nets beside it draw their masks, where that is not as the truth is drawn.
        files: picture -> mask, of the pictures that are judged.
        reading: how these masks are read, once it is known.
        pixels: of each picture that was answered those which count in the truth, and how many the mask leaves void.
    """

    data: Path = Path()
    everything: tuple[Pair, ...] = ()
    others: tuple[MaskFormat, ...] = ()
    files: dict[Pair, Path] = field(default_factory=dict)
    reading: Reading | None = None
    pixels: dict[Pair, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, data: Path, config: TrainConfig, like: Subject | None = None) -> MaskFolder:
        """Find the pairs of the data, and how their masks say the classes.

        Args:
            path: the folder of masks.
            data: the folder of the pictures and of the truth.
            config: what a person says of these.
            like: who reads the truth already, as a net that was trained on it.

        Raises:
            InputError: the files of the data do not pair, or leave open what their masks mean.
        """
        naming, channels = (config.naming, config.source) if like is None else (like.naming, like.channels)
        everything = tuple(pair for pairs in find_named(data, naming, channels).check().values() for pair in pairs)
        if like is None:
            said = replace(config.mask_settings, border=config.border_class or 0)  # masks have objects, and no borders
            masks, classes, why, doubt = recognise(everything, said, find_palette(data))
            if doubt:
                log.warning(doubt)
            log.info(f"masks of the truth: {in_words(masks, classes)}; {why}")
        else:
            masks, classes = like.masks, like.classes
        return cls("masks", path, classes, masks, naming, channels, config.group, data=data, everything=everything)

    def ready(self, pairs: Sequence[Pair]) -> None:
        """Find the masks of these pictures, and tell how they say the classes."""
        self.files = pair_masks(self.path, pairs, self.everything)
        self.pixels = {}
        own = [replace(pair, mask=file) for pair, file in self.files.items()]
        self.reading = read_as(self.path, own, self.masks, self.real_classes, find_palette(self.data), self.others)
        if self.reading.masks.kind == "index":
            if self.masks.kind == "index":
                check_order(own, pairs, self.masks, "the truth and in what is judged")
            if words := doubt_of_colours(own, self.reading.masks):
                log.warning(words)
        log.info(f"masks of {self.path}: {self.reading.words}")
        for note in foreign_predictions(self.files):
            log.warning(note)
        if same := sum(pair.mask.resolve() == file.resolve() for pair, file in self.files.items()):
            log.warning(
                f"{same} of {many(len(pairs), 'mask')} of {self.path} "
                f"{'is the very file' if same == 1 else 'are the very files'} of the truth: their score can only be 1."
            )

    def answer(self, pair: Pair, decoded: Decoded) -> Answer:
        """Read the mask of a picture.

        Raises:
            InputError: it cannot be read, has another size than the picture, or holds what is no class.
        """
        file, reading = self.files[pair], self.reading
        if reading is None:
            raise ValueError("its files must be ready before it answers")
        mask = self._read(pair, file, decoded.label.shape, reading.masks)
        name = f"{file}{f', page {pair.page}' if pair.page else ''}"
        try:
            label = reading.masks.label(mask, name)
        except UnknownValues as error:
            raise InputError(
                f"{error} It is judged, and must hold the classes of the truth: {', '.join(self.real_classes)}.", file
            ) from error
        counted = decoded.label != VOID
        self.pixels[pair] = int(counted.sum()), int((label[counted] == VOID).sum())  # the median is asked for twice
        return Answer(label, None, self._objects(pair, file, mask, reading.masks))

    def _read(self, pair: Pair, file: Path, shape: tuple[int, ...], masks: MaskFormat) -> NDArray:
        """The mask of a picture as it lies in a file, of the picture's size."""
        with about(file):
            mask = read_mask(file, pair.page, masks.ids, masks.tolerance > 0)
        if mask.shape[:2] != shape:
            sizes = [f"{height}x{width}" for height, width in (shape, mask.shape[:2])]
            raise InputError(
                f"A mask that is judged must have the size of its picture: {file} is {sizes[1]}, {title(pair)} "
                f"{sizes[0]}. Export it at that size.",
                file,
            )
        return mask

    def _objects(self, pair: Pair, file: Path, mask: NDArray, masks: MaskFormat) -> NDArray | None:
        """The ids of objects of masks that hold some, or that `predict` wrote beside the mask."""
        beside = file.with_name(f"{file.stem}{INSTANCES}.tif")
        if self.masks.kind != "instance":
            return None
        if _has_objects(file.parent) and beside.is_file():
            return self._read(pair, beside, mask.shape[:2], masks)
        return np.where(np.isin(mask, masks.void), 0, mask) if masks.kind == "instance" else None

    @property
    def words(self) -> str:
        """How the masks were read, and how much of them is void."""
        counted, void = (sum(column) for column in zip((0, 0), *self.pixels.values(), strict=True))
        share = f"; {void / counted:.2%} of the pixels are void in them alone, and ignored" if void else ""
        predicted = any((folder / PREDICTED).is_file() for folder in {file.parent for file in self.files.values()})
        unknown = "; predict wrote them, and its net's training files are not known" if predicted else ""
        return f"the masks of {self.path}, read as {self.reading.words if self.reading else ''}{share}{unknown}"


def _has_objects(folder: Path) -> bool:
    """Whether the last call of `predict` into a folder wrote ids of objects: others there are of masks before."""
    try:
        return bool(json.loads((folder / PREDICTED).read_bytes())["instances"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
