"""Whether masks that are said to hold object ids do: binary masks and classes do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.mask_values import value_counts
from unet_tf.errors import InputError
from unet_tf.pages.words import many

FEW_IDS = 20
"""Ids of a mask up to which its pieces are counted: masks of more number objects."""


class IdFacts(NamedTuple):
    """What a mask that is said to hold object ids holds.

    Attributes:
        ids: that are no background and not void, the lowest `FEW_IDS` and one more.
        pieces: 8-connected ones, of one id each; 0 where they are more than `FEW_IDS` ids.
    """

    ids: frozenset[int] = frozenset()
    pieces: int = 0


def id_facts(mask: NDArray, void: Sequence[object] = ()) -> IdFacts:
    """Look whether a mask may hold object ids.

    Args:
        mask: (H, W) ids, 0 is background; or (H, W, C) of equal channels.
        void: ids that are no objects.

    Example:
        >>> id_facts(np.array([[255, 0, 255], [0, 0, 0]], np.uint8))
        IdFacts(ids=frozenset({255}), pieces=2)
    """
    mask = mask if mask.ndim == 2 else mask[..., 0]
    ids = set(value_counts(mask)) - {0, *void}
    if len(ids) > FEW_IDS:
        return IdFacts(frozenset(sorted(ids)[: FEW_IDS + 1]), 0)
    pieces = (cv2.connectedComponents((mask == one).astype(np.uint8))[0] - 1 for one in ids)
    return IdFacts(frozenset(ids), sum(pieces))


def doubt_of_ids(seen: Sequence[IdFacts]) -> str:
    """Say why masks may hold no object ids, though they are said to; "" where they may well.

    Args:
        seen: what each mask holds.

    Raises:
        InputError: all hold the same id alone, in two pieces or more in the mean: they are binary masks.
    """
    filled = [one for one in seen if one.ids]
    if len({one.ids for one in filled}) != 1:
        return ""
    ids, pieces = filled[0].ids, sum(one.pieces for one in filled)
    if len(ids) == 1 and pieces >= 2 * len(filled):
        raise InputError(
            f"Object ids must tell objects apart; these are binary masks: {next(iter(ids))} is the only id, in "
            f"{many(pieces, 'piece')} of {many(len(filled), 'mask')}. Train on them as they are (--masks binary), and "
            "predict with --instances; or give each piece an id: `unet-tf import DATA --from masks --instances --out "
            "NUMBERED`."
        )
    if len(ids) == 1 and (ids != {1} or pieces > len(filled)):
        return (
            f"All masks hold the id {next(iter(ids))} alone, {many(pieces, 'piece')} in {many(len(filled), 'mask')}, "
            "as binary masks do: what has this id in a mask is one object. Several need ids of their own."
        )
    if len(filled) > 1 and pieces > 2 * len(ids) * len(filled):
        shown = ", ".join(map(str, sorted(ids)[:5])) + ", ..." * (len(ids) > 5)
        return (
            f"All masks hold the same ids ({shown}), each in {pieces / len(ids) / len(filled):.1f} pieces in the mean. "
            f"If they stand for classes, they are no object ids: --masks index --classes {len(ids) + 1}."
        )
    return ""
