"""What each channel of the training images holds, as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from unet_tf.data.channels import Channels
from unet_tf.data.fingerprint import measure_normalisation
from unet_tf.data.samples import agreed_names
from unet_tf.errors import InputError
from unet_tf.planning.inspection import Case


class ChannelFacts(NamedTuple):
    """A channel over all measured pixels of the training images, raw pixel values.

    Attributes:
        name: as the files name it, or its number in them.
        mean: of the pixels.
        std: the same.
        low: the lowest value.
        high: the highest value.
    """

    name: str
    mean: float
    std: float
    low: float
    high: float


def channel_facts(cases: Sequence[Case], source: Channels) -> list[ChannelFacts]:
    """The facts of each channel that a net would take, in its order; none where the images do not fit together.

    Args:
        cases: training pairs that can be used.
        source: how channels come from files.
    """
    counts = {case.known.channels for case in cases}
    if not cases or (len(counts) > 1 and not counts <= {1, 3}):
        return []
    try:
        measured = measure_normalisation([case.known for case in cases])
        names = replace(source, names=agreed_names([(case.pair, case.known) for case in cases])).taken
    except InputError:  # it is a problem of its own
        return []
    shape = len(cases), measured.channels
    lows, highs = np.empty(shape), np.empty(shape)
    for row, case in enumerate(cases):
        lows[row], highs[row] = case.look.lows, case.look.highs  # (C,), or (1,) of grey among RGB
    columns = measured.mean, measured.std, lows.min(0).tolist(), highs.max(0).tolist()
    return [ChannelFacts(name, *facts) for name, *facts in zip(names, *columns, strict=True)]


def channel_rows(facts: Sequence[ChannelFacts]) -> list[tuple[str, ...]]:
    """The channels as a table of text: a header, and a row each; nothing without any."""
    rows = [(one.name, *(f"{value:.6g}" for value in one[1:])) for one in facts]
    return [("channel", "mean", "std", "min", "max"), *rows] if rows else []
