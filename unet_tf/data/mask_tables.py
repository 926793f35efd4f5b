"""Whether the colour tables and bits of a folder's masks agree, so that an id means one class in all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from unet_tf.data.mask_looks import MaskLook
from unet_tf.data.masks import MaskFormat
from unet_tf.data.palette import Colour
from unet_tf.labels import VOID

OF_8_BITS = "If the greys tell the class: Save all masks with 8 bits."
"""What may be done where bits contradict each other."""


def table_conflict(looks: Sequence[MaskLook], void: Collection[int] = ()) -> str:
    """Where masks show one id in several colours, in words; "" where they do not.

    Programs that make a table for each file number its colours in an order of its own. A colour that a table gives to
    several ids, as one that is black all over does, tells nothing. Files that show each id as the grey of its number,
    or have no table, agree with all others, but for those that show the same greys by other ids.

    Args:
        looks: what masks show that are read as class ids.
        void: ids that are ignored, or whose colours tell nothing.
    """
    doubled = {colour for look in looks for colour, times in Counter(look.table.values()).items() if times > 1}
    untelling = {VOID, *void}
    plain = [look.ids.keys() - (untelling if look.table else ()) for look in looks if _is_plain(look)]
    greys = {_grey(number) for ids in plain for number in ids}
    first: dict[int, tuple[Colour, str]] = {}
    for look in looks:
        telling = {n: colour for n, colour in look.table.items() if n not in untelling and colour not in doubled}
        for number, colour in telling.items() if not _is_plain(look) else ():
            other, name = first.setdefault(number, (colour, look.name))
            if other != colour:
                return f"by the colour tables {number} is {other} in {name} and {colour} in {look.name}"
            if colour != _grey(number) and greys.issuperset(telling.values()):
                return f"by its table {number} is the grey {colour[0]} in {look.name}, and an id in files without one"
    return ""


def bits_conflict(looks: Sequence[MaskLook]) -> str:
    """Where a mask of few bits shows greys that masks of more bits hold, in words; "" where none does.

    Programs that save a file of 0 and 255 with 1 bit, losing nothing, make an id of what it shows.

    Args:
        looks: what masks show that are read as class ids.
    """
    held = {number for look in looks if list(look.ids) == list(look.counts) for number in look.ids}
    for look in looks:
        pairs = () if look.table else zip(look.ids, look.counts, strict=True)
        moved = {number: grey for number, grey in pairs if number != grey}
        if moved and held.issuperset(moved.values()):
            number, grey = next(iter(moved.items()))
            return f"by its few bits {number} is the grey {grey} in {look.name}, and files of more bits hold {grey}"
    return ""


def untold(masks: MaskFormat) -> set[int]:
    """The ids of index masks whose colours tell nothing: void, and of two classes the upper, which the other tells."""
    void = {value for value in masks.void if isinstance(value, int)}
    ids = masks.values or [number for number in range(VOID) if number not in void]
    return void | ({ids[1]} if masks.num_classes == 2 else set())


def _is_plain(look: MaskLook) -> bool:
    return all(colour == _grey(number) for number, colour in look.table.items())


def _grey(value: int) -> Colour:
    return value, value, value
