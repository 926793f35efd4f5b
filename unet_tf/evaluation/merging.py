"""Evaluations of several sets of files as one: exactly as if all had been judged together."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Sequence

from unet_tf.data.folder import title
from unet_tf.data.splits import parts_of
from unet_tf.errors import InputError
from unet_tf.evaluation.result import Evaluation


def merged(evaluations: Sequence[Evaluation], files: str = "", group: str | None = None) -> Evaluation:
    """Put evaluations of different files together, each of which may be of another net.

    Args:
        evaluations: of nets with the same classes; no file is in two of them.
        files: which files were scored and why, in words.
        group: regular expression; files in whose names it finds the same text belong together, as `judge` takes it.

    Returns:
        What `judge` gives for all files, but for cases to draw: counts are added, and no score is a mean of scores.

    Raises:
        InputError: there is none, they are of other classes, hold no counts, or a file is in two of them or without a
            group.
    """
    if not evaluations:
        raise InputError("There must be an evaluation at least to put together; received none.")
    counts = [one.sums for one in evaluations if one.sums is not None]
    if len(counts) != len(evaluations) or len({one.classes for one in evaluations}) > 1:
        raise InputError("Evaluations that are put together must have the same classes, and what was counted.")
    judged = [one for evaluation in evaluations for one in evaluation.judged]
    judged.sort(key=lambda one: (one.pair.name, str(one.pair.image), one.pair.page))
    pairs = [one.pair for one in judged]
    for one, next_one in itertools.pairwise(pairs):
        if (one.image, one.page) == (next_one.image, next_one.page):
            raise InputError(f"A file must be judged once; {title(one)} was judged twice.", one.image)
    judged = [one._replace(group=part) for one, part in zip(judged, parts_of(pairs, group), strict=True)]
    return Evaluation.of(evaluations[0].classes, functools.reduce(operator.add, counts), judged, files=files)
