"""Whoever gives pixels their classes, held against labelled files, each of which is read once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.channels import Channelled
from unet_tf.data.fields_of_view import FieldsOfView
from unet_tf.data.folder import Decoded, Pair, read_pair, title
from unet_tf.data.masks import MaskFormat
from unet_tf.data.splits import parts_of
from unet_tf.errors import InputError
from unet_tf.evaluation.metrics import scores_of
from unet_tf.evaluation.objects import score_predicted
from unet_tf.evaluation.panels import WORST, Case, Gallery
from unet_tf.evaluation.result import Evaluation, Judged
from unet_tf.evaluation.subject import Answer
from unet_tf.evaluation.sums import Sums
from unet_tf.labels import VOID
from unet_tf.utils.progress import Progress, unseen
from unet_tf.utils.signals import look


@dataclass(frozen=True)
class Truth:
    """Labelled files that somebody is judged on, and which of them and of their pixels count.

    Attributes:
        pairs: the files.
        masks: how whoever is judged draws them, and the masks of the files say the classes.
        classes: names of the classes.
        group: regular expression; files in whose names it finds the same text belong together; without one, the pages
            of a stack do.
        fields: of the pairs; what lies outside of them is void.
        counts: whether an image, (H, W, C) raw pixels, counts; of one that does not the mask is not read.
        nothing: what to say where no file counts.
        reading: how the masks of the files are read, where that is not as `masks` says; None where it is.
    """

    pairs: Sequence[Pair]
    masks: MaskFormat
    classes: tuple[str, ...]
    group: str | None = None
    fields: FieldsOfView | None = None
    counts: Callable[[NDArray], bool] = lambda image: True
    nothing: str = "A score needs a labelled file at least; received none."
    reading: MaskFormat | None = None

    def read(self, pair: Pair, image: Channelled | None = None) -> Decoded:
        """Read a pair, whose image may be read already; void outside of its field of view."""
        decoded = read_pair(pair, self.reading or self.masks, image)
        return decoded if self.fields is None else decoded._replace(label=self.fields.cut(pair, decoded.label))


def judge_answers(
    answer: Callable[[Pair, Decoded], Answer], truth: Truth, on_image: Progress = unseen, sums: Sums | None = None
) -> Evaluation:
    """Score what is said of each of the labelled files, which are read once.

    Args:
        answer: what is said (`Subject.answer`); where that is void, no pixel counts.
        truth: the files.
        on_image: called with (images done, images in all) after each.
        sums: what is counted; left out, what all scores need.

    Returns:
        The scores over all pixels of all files; void pixels are ignored. Borders that are a class of the net count as
        the objects that they belong to.

    Raises:
        InputError: no file counts, one has no group or cannot be used.
    """
    pairs, masks, fields, reading = truth.pairs, truth.masks, truth.fields, truth.reading or truth.masks
    classes = truth.classes[: masks.real_classes]
    sums, gallery = Sums(len(classes)) if sums is None else sums, Gallery(classes)
    judged, groups = [], parts_of(pairs, truth.group)

    def decide(pair: Pair, decoded: Decoded) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Answer]:
        """Label and prediction of a file, and all that was said of it; void on either side is void."""
        found = answer(pair, decoded)
        # borders belong to their objects, which are what a person means
        prediction, label = masks.real_label(found.label), reading.real_label(decoded.label)
        if (void := prediction == VOID).any():
            label = np.where(void, np.uint8(VOID), label)
        return label, prediction, found

    for done, (pair, of_group) in enumerate(zip(pairs, groups, strict=True), start=1):
        look()
        read = pair.read()
        if truth.counts(read.image):
            decoded = truth.read(pair, read)
            label, prediction, found = decide(pair, decoded)
            ids, filled = decoded.objects, decoded.filled
            probabilities = None if found.probabilities is None else masks.real_probabilities(found.probabilities)
            own = sums.add(filled, label, prediction, probabilities, ids)
            if sums.certainty is not None and found.probabilities is not None:
                sums.certainty.add(label, found.probabilities)
            objects = None
            if ids is not None:
                own_ids = masks.objects(found.label, reading.object_class) if found.objects is None else found.objects
                objects = score_predicted(ids, label, own_ids)
            value = float(scores_of(own)["mean_iou"])
            judged.append(Judged(pair, value, own, of_group, objects))
            if not math.isnan(value):  # void alone shows nothing
                gallery.add(title(pair), value, filled, label, prediction)
        on_image(done, len(pairs))
    if not judged:
        raise InputError(truth.nothing)
    result = Evaluation.of(classes, sums, judged, roi="" if fields is None else fields.words)
    scored = sum(not math.isnan(one.mean_iou) for one in judged)
    cases, middle = gallery.ranked(scored), (scored - 1) // 2
    if WORST <= middle < scored - 1:  # which is the median is known now alone: it is predicted once more
        pair, value = result.per_file[middle]
        decoded = truth.read(pair)
        label, prediction, _ = decide(pair, decoded)
        case = Case.of(title(pair), value, decoded.filled, label, prediction, gallery.background)
        cases.insert(-1, case._replace(rank=middle + 1, among=scored))
    return replace(result, cases=tuple(cases))
