"""How masks that are judged say the classes: as those of the truth, or in a way of their own that tells by itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.folder import PREDICTED, Pair
from unet_tf.data.mask_kind import MaskSettings, doubt_of_tables, recognise
from unet_tf.data.mask_looks import MaskLook, look_at_masks, look_of, looks_of_two
from unet_tf.data.masks import MaskFormat
from unet_tf.data.palette import Palette, find_palette
from unet_tf.data.pictures import read_mask
from unet_tf.errors import InputError
from unet_tf.labels import VOID

TABLES = 8
"""Masks whose colour tables are compared with those of the truth."""


class Reading(NamedTuple):
    """How masks are read.

    Attributes:
        masks: their convention, which gives label ids of the truth.
        words: what stands for which class.
    """

    masks: MaskFormat
    words: str


@dataclass(frozen=True)
class Renumbered(MaskFormat):
    """A convention of masks whose ids are not in the order that is wanted.

    Attributes:
        to: the wanted id of each class, by its own.
        count: number of the wanted classes, some of which these masks may not have.
    """

    to: tuple[int, ...] = ()
    count: int = 0

    @property
    def real_classes(self) -> int:
        """Number of the classes that are wanted."""
        return self.count

    @property
    def object_class(self) -> int:
        """The wanted id of the objects."""
        return self.to[1]

    def label(self, mask: NDArray, name: str = "the mask") -> NDArray[np.uint8]:
        """Read label ids in the wanted order; else as `MaskFormat.label`."""
        table = np.full(256, VOID, np.uint8)
        table[: len(self.to)] = self.to
        return table[super().label(mask, name)]


def renumbered(masks: MaskFormat, names: tuple[str, ...], wanted: tuple[str, ...]) -> MaskFormat:
    """Let masks give the ids of other classes of the same names.

    Args:
        masks: their convention; none with a border class, unless the names are those that are wanted.
        names: of their classes, each of which is wanted; without that of borders.
        wanted: names of the classes by their ids.

    Example:
        >>> masks = renumbered(MaskFormat("index", 2, values=(0, 1)), ("cell", "rest"), ("rest", "vessel", "cell"))
        >>> masks.label(np.array([[0, 1, 255]], np.uint8)).tolist()
        [[2, 0, 255]]
    """
    if names == wanted:
        return masks
    settings = {one.name: getattr(masks, one.name) for one in fields(MaskFormat)}
    return Renumbered(**settings, to=tuple(map(wanted.index, names)), count=len(wanted))


def read_as(
    folder: Path,
    pairs: Sequence[Pair],
    truth: MaskFormat,
    classes: tuple[str, ...],
    palette: Palette | None,
    others: Sequence[MaskFormat] = (),
) -> Reading:
    """Tell how masks that are judged are read, so that they give the ids of the classes of the truth.

    As the truth, where they hold nothing else, or as others draw theirs, who come first where `predict` wrote them; by
    what they hold else: 0/255 beside 0/1, ids of objects, other ids in the order of the classes, the colours of a
    `label_colors.txt` of their own.

    Args:
        folder: of the masks.
        pairs: pictures with these masks.
        truth: how the masks of the truth say the classes.
        classes: names of these.
        palette: of the truth, where it has one.
        others: how nets beside these masks draw their own, in ids of the same classes.

    Raises:
        InputError: they leave open which class is meant, or have others.
    """
    own = find_palette(folder)
    ways = [*others, truth] if (folder / PREDICTED).is_file() else [truth, *others]
    if own is None and (way := next((one for one in ways if _are_alike(one, pairs)), None)):
        return Reading(way, in_words(way, classes))
    void = tuple(",".join(map(str, colour)) for colour in truth.void if isinstance(colour, tuple)) if not own else ()
    names = classes if own is None and palette is None else None
    settings = MaskSettings("auto", names, void, truth.inverted, truth.tolerance, only=bool(void))
    try:
        found = recognise(pairs, settings, own or palette)
    except InputError as error:
        if error.file is not None:  # one of them cannot be read, or shows colours that nothing explains
            raise
        if truth.tolerance:
            return Reading(truth, in_words(truth, classes))
        why, _, _ = str(error).partition(". ")
        raise InputError(
            f"The masks of {folder} must say the classes {', '.join(classes)} as the truth does "
            f"({in_words(truth, classes)}), or so that they tell by themselves. {why.rstrip('.')}. Write them as the "
            "truth is written; --masks, --classes and --void speak of the truth.",
            folder,
        ) from error
    if sorted(found.classes) != sorted(classes):
        raise InputError(
            f"What is judged must have the classes of the truth, {', '.join(classes)}; {folder} has "
            f"{', '.join(found.classes)}.",
            folder,
        )
    return Reading(renumbered(found.masks, found.classes, classes), in_words(found.masks, found.classes))


def in_words(masks: MaskFormat, classes: Sequence[str]) -> str:
    """What stands for which class.

    Example:
        >>> in_words(MaskFormat("binary", values=(0, 255)), ("background", "cell"))
        'binary, 0 background, 255 cell'
    """
    if masks.kind == "instance":
        return "ids of objects"
    if isinstance(masks, Renumbered):
        classes = [classes[number] for number in masks.to]
    values: Sequence[int | tuple[int, ...]] = masks.colours or masks.values
    named = [f"{_shown(value)} {name}" for value, name in zip(values, classes, strict=False)]
    return ", ".join([masks.kind, *named[:4], *["..."] * (len(named) > 4)])


def check_order(pairs: Sequence[Pair], others: Sequence[Pair], masks: MaskFormat, what: str) -> None:
    """Raise InputError where masks have the colours of others in another order, so that ids mean other classes.

    Args:
        pairs: pictures with the masks that are judged, which are read as ids.
        others: pictures with the others, such as the truth.
        masks: how both are read.
        what: where an id must mean one class.
    """
    own, theirs = _table(pairs, masks), _table(others, masks)
    moved = [number for number in own if theirs.get(number, own[number]) != own[number]]
    if moved and set(own.values()) <= set(theirs.values()):
        number = min(moved)
        raise InputError(
            f"An id must mean one class in {what}: by the colour tables {number} is "
            f"{_shown(theirs[number])} in {others[0].mask.parent} and {_shown(own[number])} in "
            f"{pairs[0].mask.parent}. Write both with one table.",
            pairs[0].mask,
        )


def doubt_of_colours(pairs: Sequence[Pair], masks: MaskFormat) -> str:
    """Say where the colour tables of masks that are read as ids contradict each other; "" where they do not.

    Args:
        pairs: pictures with these masks.
        masks: how they are read.
    """
    looks, _ = next(look_at_masks(pairs, True))
    return doubt_of_tables(looks, masks, None)


def _table(pairs: Sequence[Pair], masks: MaskFormat) -> dict[int, tuple[int, ...]]:
    """The colour of each id that some masks show by this colour alone, and by it no other; void left out.

    Masks that cannot be read are left to whoever judges.
    """
    found: defaultdict[int, set[tuple[int, ...]]] = defaultdict(set)
    for pair in pairs[:: -(-len(pairs) // TABLES)]:
        with suppress(InputError):
            look = look_of(pair, read_mask(pair.mask, pair.page, ids=True, allow_jpeg=True))
            for number, colour in look.table.items() if look.coloured else ():
                found[number].add(colour)
    times = Counter(colour for colours in found.values() for colour in colours)
    single = {number: min(colours) for number, colours in found.items() if len(colours) == 1}
    return {n: one for n, one in single.items() if times[one] == 1 and n not in (VOID, *masks.void)}


def _are_alike(truth: MaskFormat, pairs: Sequence[Pair]) -> bool:
    """Whether masks are read as the truth is: they hold its values, and in two classes no void in the place of one."""
    void = {value for value in truth.void if isinstance(value, int)} | ({VOID} if truth.kind == "index" else set())
    known = set(truth.values) - void
    if truth.kind == "index" and truth.num_classes == 2 and VOID not in known and looks_of_two(pairs, False):
        return False
    for looks, complete in look_at_masks(pairs, truth.tolerance > 0):
        tables = [bool(look.table) for look in looks if look.coloured]
        if truth.kind == "palette":
            return any(not has_table for has_table in tables)
        if not all(tables) or (tables and not truth.ids):
            return False
        if truth.kind == "instance":
            if tables or _several(looks, void) or complete:
                return not tables and _several(looks, void)
            continue
        values = {value for look in looks for value in (look.ids if truth.ids else look.counts)}
        if not values <= known | void:
            return False
        if len(values & known) > 1:
            return True
    return truth.num_classes > 2 or not values & void


def _several(looks: Sequence[MaskLook], void: set[int]) -> bool:
    """Whether a mask has more than one object."""
    return any(len(look.ids.keys() - void - {0}) > 1 for look in looks)


def _shown(value: int | tuple[int, ...]) -> str:
    return f"({', '.join(map(str, value))})" if isinstance(value, tuple) else str(value)
