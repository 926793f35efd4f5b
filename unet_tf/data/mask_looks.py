"""What some masks of a folder show."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.folder import Pair
from unet_tf.data.mask_values import value_counts, whole_numbers
from unet_tf.data.palette import Colour
from unet_tf.data.pictures import open_pictures, read_mask
from unet_tf.errors import InputError, about
from unet_tf.labels import VOID
from unet_tf.utils.signals import look
from unet_tf.utils.threads import ahead, cores

LOOKED_AT, MOST_LOOKED_AT = 32, 2048
"""Masks that are asked first, and at most where these leave something open; all are held to it when they are read. Of
so many as are asked first the pixels are kept: a thousand do not fit into the memory."""


class MaskLook(NamedTuple):
    """What one mask shows.

    Attributes:
        name: of the file.
        coloured: whether it shows colours, its own or those of a table.
        counts: pixels of each grey value that it shows, or of each id where it shows colours by a table.
        ids: pixels of each value as stored: indices of a table, grey of few bits that is not stretched to 0..255.
        table: colour that each of these values shows by a table, of colours or greys; empty where the file has none.
        mask: (H, W) values as stored; None where all are 0 or it has colours of its own, and once `LOOKED_AT` are kept.
    """

    name: str
    coloured: bool
    counts: dict[int, int]
    ids: dict[int, int]
    table: dict[int, Colour]
    mask: NDArray | None


def look_at_masks(pairs: Sequence[Pair], lossy: bool) -> Iterator[tuple[list[MaskLook], bool]]:
    """Yield masks spread evenly over the pairs, twice as many each time, and whether these are all.

    Those that cannot be read are left to whoever reads all.

    Args:
        pairs: whose masks.
        lossy: whether to read JPEG files too.

    Raises:
        InputError: none can be read.
    """
    spread = (np.linspace(0, len(pairs) - 1, number).astype(int).tolist() for number in (LOOKED_AT, MOST_LOOKED_AT))
    order = list(dict.fromkeys(itertools.chain(*spread))) if pairs else []
    looks: list[MaskLook] = []
    failures: list[InputError] = []
    start, stop = 0, LOOKED_AT
    while start < len(order):
        for seen in ahead(lambda n: _look(pairs[order[n]], lossy), range(start, min(stop, len(order))), cores()):
            look()
            if isinstance(seen, InputError):
                failures.append(seen)
            else:
                kept = sum(one.mask is not None for one in looks)
                looks.append(seen if kept < LOOKED_AT else seen._replace(mask=None))
        start, stop = stop, 2 * stop
        if looks:
            yield looks, start >= len(order)
    if failures and not looks:
        raise failures[0]


def looks_of_two(pairs: Sequence[Pair], lossy: bool) -> list[MaskLook]:
    """What masks show that are all grey and hold nothing but 0 and 255, and not 0 alone; [] where they do not.

    Args:
        pairs: whose masks; of more than some two thousand, as many.
        lossy: whether to read JPEG files too.

    Raises:
        InputError: none can be read.
    """
    looks: list[MaskLook] = []
    for looks, _ in look_at_masks(pairs, lossy):
        # few bits hold what they show; of a table the indices count
        if any(look.coloured or not (look.ids if look.table else look.counts).keys() <= {0, VOID} for look in looks):
            return []
    return looks if any(VOID in look.ids for look in looks) else []


def _look(pair: Pair, lossy: bool) -> MaskLook | InputError:
    try:
        with about(pair.mask):
            stored = read_mask(pair.mask, pair.page, ids=True, allow_jpeg=lossy)
            return look_of(pair, whole_numbers(stored, str(pair.mask)))
    except InputError as error:
        return error


def look_of(pair: Pair, stored: NDArray) -> MaskLook:
    """What a mask shows whose values as stored, (H, W) or (H, W, 3), are known.

    Raises:
        InputError: its file cannot be opened again, for what these values show.
    """
    if stored.ndim == 3:
        return MaskLook(str(pair.mask), True, {}, {}, {}, None)
    ids, counts = value_counts(stored), Counter[int]()
    table = open_pictures(pair.mask).table(pair.page) if stored.dtype == np.uint8 else None
    shown: dict[int, Colour] = {} if table is None else {n: tuple(np.broadcast_to(table[n], 3).tolist()) for n in ids}
    coloured = any(len(set(colour)) > 1 for colour in shown.values())
    for number, count in ids.items():
        counts[number if coloured or not shown else shown[number][0]] += count
    mask = stored if ids.keys() - {0} else None
    has_table = table is not None and table.ndim == 2
    return MaskLook(str(pair.mask), coloured, counts, ids, shown if has_table else {}, mask)
