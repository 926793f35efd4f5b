"""Which convention a folder's masks follow, from what the user said and what the masks hold, and why."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.folder import Pair, some
from unet_tf.data.instances import BORDER_NAME, label_from_instances
from unet_tf.data.mask_looks import MaskLook, look_at_masks
from unet_tf.data.mask_tables import OF_8_BITS, bits_conflict, table_conflict, untold
from unet_tf.data.masks import LIST_COLOURS, MaskFormat
from unet_tf.data.palette import Colour, Palette
from unet_tf.errors import InputError
from unet_tf.labels import VOID

MANY_OBJECTS = 20
"""Different ids from which they number objects: few organs, one piece of each, are numbered alike and are classes."""
MOST_IDS, FEW_IDS = 192, 16
"""Class ids that masks are believed to hold, and where they may as well be soft edges."""
RIM = 1
"""Pixels of the border that parts objects, where nothing is said of it."""
NOISE = 8
"""Distance from the two values of binary masks to which JPEG moves whole areas."""
HIGHS = {1, 255, 65535}
"""What programs write for the upper of two classes."""

Classes = int | str | Sequence[str] | None


@dataclass(frozen=True)
class MaskSettings:
    """What a person says about their masks; what is left open is recognised.

    Attributes:
        kind: "auto", or as `MaskFormat.kind`.
        classes: names of the classes in the order of their ids; None where the masks tell.
        void: what is ignored: names of classes, values, or colours "R,G,B" or "#RRGGBB".
        inverted: as in `MaskFormat`.
        tolerance: as in `MaskFormat`.
        border: as in `MaskFormat`; None for `RIM` pixels where "instance" masks show background, and objects with as
            much inside as border, and for none elsewhere.
        only: whether `void` is all that is ignored, as nets say it; else classes of a list that are called void do
            not count either.
    """

    kind: str = "auto"
    classes: tuple[str, ...] | None = None
    void: tuple[str, ...] = ()
    inverted: bool = False
    tolerance: float = 0.0
    border: int | None = 0
    only: bool = False


class Recognition(NamedTuple):
    """The convention of a folder's masks.

    Attributes:
        masks: how to read and draw them.
        classes: names of the classes.
        why: what shows it, in words.
        doubt: where colour tables, or bits, of class ids contradict each other, in words; "" where they do not.
    """

    masks: MaskFormat
    classes: tuple[str, ...]
    why: str
    doubt: str = ""


class _Open(InputError):
    """The masks looked at leave something open that others may tell."""


def class_names(classes: Classes) -> tuple[str, ...] | None:
    """Names of the classes from a number ("3"), a list ("sky,road,car") or the names themselves.

    Example:
        >>> class_names(3), class_names("membrane,cell")
        (('background', 'class1', 'class2'), ('membrane', 'cell'))
    """
    if classes is None or not isinstance(classes, int | str):
        return None if classes is None else tuple(classes)
    text = str(classes)
    if text.isdecimal():
        return _numbered(int(text))
    return tuple(name.strip() for name in text.split(","))


def recognise(pairs: Sequence[Pair], settings: MaskSettings, palette: Palette | None = None) -> Recognition:
    """Tell the convention of masks from what was said and, where that leaves it open, from some of the masks.

    Args:
        pairs: whose masks.
        settings: what the user said.
        palette: the `label_colors.txt` of the data, where there is one.

    Raises:
        InputError: what was said does not fit together, or the masks leave open what they mean; the message says what
            they hold and which settings would do.
    """
    kind, why = settings.kind, "as said"
    if kind == "auto" and settings.inverted:
        kind, why = "binary", "binary, as only such masks are inverted"
    if kind in ("palette", "instance"):
        if kind == "instance" and settings.border is None:
            settings = replace(settings, border=_rim(next(look_at_masks(pairs, False))[0], settings) if pairs else 0)
        return Recognition(*_format(kind, settings, palette, [], True), why)
    for looks, complete in look_at_masks(pairs, settings.tolerance > 0):
        try:
            told, because = (kind, why) if kind != "auto" else _tell(looks, settings, palette, complete)
            if told == "instance" and settings.border is None:
                settings = replace(settings, border=_rim(looks, settings))
            masks, classes = _format(told, settings, palette, looks, complete)
            doubt = doubt_of_tables(looks, masks, palette) if told == "index" else ""
            return Recognition(masks, classes, because, doubt)
        except _Open:
            if complete:
                raise
    raise InputError("There must be a mask to look at.")


def _tell(looks: list[MaskLook], settings: MaskSettings, palette: Palette | None, complete: bool) -> tuple[str, str]:
    """The kind, and why; raises InputError where several would do."""
    number = None if settings.classes is None else len(settings.classes)
    values = sorted({value for look in looks for value in look.counts})
    rest = set(values) - _void_values(settings)
    coloured = [look for look in looks if look.coloured]
    seen = f"the {len(looks)} masks looked at" if len(looks) > 1 else looks[0].name
    of_grey = {(value, value, value) for value in rest} <= set(palette.colours) if palette else False
    either = {0, VOID} if palette and len(palette.names) > 2 else {0}  # black and the first class; white and void
    if of_grey and rest <= either and not (coloured or complete):
        raise _Open("Others may hold the rest.")
    if palette and (coloured or of_grey or not rest <= {*range(len(palette.names)), VOID}):
        return "palette", f"label_colors.txt lists {len(palette.names)} colours"
    if coloured and not all(look.table for look in coloured):
        raise InputError(
            f"{coloured[0].name} is colour-coded, and nothing says which colour is which class. {LIST_COLOURS}",
            coloured[0].name,
        )
    table = " into a colour table" if coloured else ""
    said = f"{seen} hold {_listed(values)}"
    if palette:
        return "index", f"{said}, which number the lines of label_colors.txt"
    if number in (None, 2) and not coloured and len(rest - {0}) <= 1 and (complete or rest & HIGHS):
        return "binary", f"{said} and nothing else"
    if number is not None and number > 2:
        return "index", f"{said}{table}, and there are {number} classes"
    if _are_objects(looks):
        most = max(len(look.counts) for look in looks) - 1
        return "instance", f"{seen} number connected objects from 1, up to {most} in one"
    if number == 2 and len(rest - {VOID}) == 2:
        return "index", f"{said}{table}, and there are 2 classes"
    if settings.tolerance >= 127 and _are_soft(looks, rest):
        return "binary", f"{said}, 0 and {_top(rest)} among them, and the nearer one is taken"
    raise _Open(f"It is open what the masks mean: {said}{table}. {_ways_out(looks, settings, not coloured)}")


def _top(values: set[int]) -> int:
    """The highest value of the pixel type that these values take."""
    return 65535 if max(values, default=0) > 255 else 255


def _are_soft(looks: list[MaskLook], values: set[int]) -> bool:
    """Whether masks may be binary ones with soft edges: they hold both ends, and mostly these or values with gaps."""
    ends = {0, _top(values)}
    pixels = sum(look.counts.get(value, 0) for look in looks for value in ends)
    mostly = pixels > 0.8 * sum(sum(look.counts.values()) for look in looks)
    return ends <= values and (mostly or have_gaps(values))


def have_gaps(values: set[int]) -> bool:
    """Whether values leave so many out that they are soft edges rather than ids, which follow each other."""
    between = values - {VOID, _top(values)}
    return max(between, default=0) > min(2 * len(between) + 1, MOST_IDS)


def is_soft(mask: NDArray, low: int, high: int) -> bool:
    """Whether one mask may have soft edges, of which neither end need be there: a small object may be all it shows.

    Its values have gaps. None of those between fills an area of 3x3 px as ids do, and one is nearer to `high`, or there
    are several; or both ends are there and more between them than ids of classes, as where soft edges were enlarged.

    Args:
        mask: (H, W) or (H, W, 3), integers.
        low: value of the background.
        high: that of the foreground.
    """
    values = {*np.unique(mask).tolist()}
    greys = sum(min(abs(value - low), abs(value - high)) > NOISE for value in values)
    if not have_gaps(values):
        return False
    if {low, high} <= values and greys > FEW_IDS:
        return True
    grey, area = mask.astype(np.float32), np.ones((3, 3))
    between = (np.abs(grey - low) > NOISE) & (np.abs(grey - high) > NOISE)
    filled = np.equal(cv2.erode(grey, area), cv2.dilate(grey, area)) & between
    return (greys > 1 or max(values) > (low + high) / 2) and not filled[1:-1, 1:-1].any()


def _ways_out(looks: list[MaskLook], settings: MaskSettings, grey: bool) -> str:
    """The settings that would say what masks mean; each of them is accepted."""
    void = _void_values(settings)
    shown = {value for look in looks for value in look.counts} - void
    stored = {value for look in looks for value in look.ids} - void
    ids, soft, remedies = stored - {VOID}, grey and _are_soft(looks, shown), []
    exact = " --mask-tolerance 0" if settings.tolerance else ""
    highs = sorted(HIGHS & shown)
    if len(highs) > 1 and shown <= {0, *highs}:
        remedies.append(f"If they stand for one class, write one value in all files ({_files_with(highs, looks)}).")
    if soft:
        remedies.append(f"If 0 and {_top(shown)} are meant, take the nearer one: --masks binary --mask-tolerance 128.")
    if conflict := table_conflict(looks, void):
        count = f" --classes {len(ids)}" * (2 <= len(ids) <= MOST_IDS)
        remedies.append(f"The ids of one class seem to differ: {conflict}. {_by_colours(looks)}")
        remedies.append(f"If the ids do, say so: --masks index{count}. If they number objects: --masks instance.")
    elif 2 <= len(ids) <= (FEW_IDS if soft else MOST_IDS):
        where = ", where 255 is void" if VOID in stored else ""
        remedies.append(f"If they are class ids, say so: --masks index --classes {len(ids)}{exact}{where}.")
        if 0 not in ids:
            order = _listed(sorted(ids))
            remedies.append(f"{min(ids)} is called background then; names, in the order {order}, are better.")
        if where and max(ids) >= len(ids):
            remedies.append(f"If 255 is a class, too: --masks index --classes {len(stored)}{exact}.")
    if grey and not conflict:
        remedies.append(f"If objects are numbered: --masks instance{exact}.")
    return " ".join([*remedies, "A value to ignore is named with --void."])


def doubt_of_tables(looks: Sequence[MaskLook], masks: MaskFormat, palette: Palette | None) -> str:
    """Say where colour tables, or bits, of masks that are read as class ids contradict each other; "" where none do.

    Args:
        looks: what the masks show.
        masks: how they are read.
        palette: the `label_colors.txt` of the data, where there is one.
    """
    if conflict := table_conflict(looks, untold(masks)):
        return f"The ids of masks tell the class, and their colours another: {conflict}. {_by_colours(looks, palette)}"
    if conflict := bits_conflict(looks):
        return f"The ids of masks tell the class, and their greys another: {conflict}. {OF_8_BITS}"
    return ""


def _by_colours(looks: Sequence[MaskLook], palette: Palette | None = None) -> str:
    """What may be done where the colours of masks tell the class, and not their ids."""
    colours = LIST_COLOURS if any(look.coloured for look in looks) else f"{LIST_COLOURS.partition(':')[0]}."
    return f"If the colours tell the class: {colours if palette is None else 'Say --masks palette.'}"


def _files_with(values: Iterable[int], looks: list[MaskLook]) -> str:
    files = ((value, some((look.name for look in looks if value in look.counts), 3)) for value in values)
    return "; ".join(f"{value} in {names}" for value, names in files)


def _are_objects(looks: list[MaskLook]) -> bool:
    """Whether values number the objects of each image: many, 1 to n without gaps, n differs, each in one piece."""
    numbers = [sorted(set(look.counts) - {0}) for look in looks]
    filled = [ids for ids in numbers if ids]
    if len(set().union(*filled)) < MANY_OBJECTS or any(look.coloured for look in looks):
        return False
    gapless = sum(ids[-1] <= 1.2 * len(ids) + 1 for ids in filled)
    if gapless < 0.9 * len(filled) or (len(filled) > 2 and len({len(ids) for ids in filled}) == 1):
        return False
    pieces = [
        cv2.connectedComponents(np.equal(look.mask, number).astype(np.uint8), connectivity=8)[0] - 1
        for look, ids in zip(looks, numbers, strict=True)
        if look.mask is not None
        for number in ids[:20]
    ]
    return sum(count == 1 for count in pieces) >= 0.9 * len(pieces)


def _rim(looks: list[MaskLook], settings: MaskSettings) -> int:
    """The width of a border that leaves objects as much inside, in masks with background; 0 where there is none."""
    void, counts = list(_void_values(settings)), np.zeros(3, np.int64)  # background, inside, border
    for look in looks:
        if look.mask is not None:
            ids = np.where(np.isin(look.mask, void), 0, look.mask)
            counts += np.bincount(label_from_instances(ids, RIM).ravel(), minlength=3)
    holds_background = any(look.ids.keys() & {0, *void} for look in looks)
    return RIM if holds_background and counts[1] >= counts[2] else 0


def _format(
    kind: str, settings: MaskSettings, palette: Palette | None, looks: list[MaskLook], complete: bool
) -> tuple[MaskFormat, tuple[str, ...]]:
    """The format of a known kind, and the names of its classes."""
    border = settings.border or 0
    if border and kind != "instance":
        raise InputError(
            f"A border class needs masks that tell objects apart; these are of kind {kind}. Give masks of object ids "
            "(--masks instance), or no --border-class."
        )
    if kind == "palette":
        return _palette_format(settings, palette)
    names = settings.classes
    if names is None and kind == "index" and palette is not None:
        names = palette.names
        numbered = {value for look in looks for value in look.ids} <= {*range(len(names)), VOID}
        if numbered and not complete and any(one.isdecimal() and int(one) < len(names) for one in settings.void):
            raise _Open("Others may hold ids beyond the list.")
        settings = replace(settings, void=_void_of_list(settings, names, numbered))
    void_names = [one for one in _void_names(settings.classes or ()) if kind != "index" or one not in settings.void]
    if void_names:
        raise InputError(
            f"A class called void is ignored, and of {kind} masks a value says it; received --classes "
            f"{','.join(names or ())}. Leave {', '.join(void_names)} out, and say which value it is: --void VALUE."
        )
    if names is None:
        names = {"binary": ("background", "foreground"), "instance": ("background", "cell")}.get(kind)
        if names is None:
            ids = {value for look in looks for value in look.ids}
            raise _Open(
                "Class ids must come with the number of classes, or with their names; the masks hold "
                f"{_listed(sorted(ids))}. {_ways_out(looks, settings, grey=False)}"
            )
    if kind == "instance" and names[2:] == (BORDER_NAME,):  # which is made, and not named: of the file of a run
        names = names[:2]
    if border and len(names) == 2:
        names = (*names, BORDER_NAME)
    for text in settings.void:
        if not (text in names or text.isdecimal()):
            raise InputError(f"Void must be a value or the name of a class ({', '.join(names)}); received {text!r}.")
    said = _void_values(settings)
    values: tuple[int, ...] = ()
    if kind == "binary" and len(names) == 2:
        values = _two_values(said, looks, settings, complete)
    elif kind == "index":
        values = _class_ids(len(names), said, looks, complete)
    of_name = dict(zip(names, values or range(len(names)), strict=True))
    void = tuple(dict.fromkeys(of_name[text] if text in of_name else int(text) for text in settings.void))
    if kind == "index":
        values = tuple(value for value in values if value not in void)
    kept = tuple(name for name in names if name not in settings.void)
    return MaskFormat(kind, len(kept), (), void, settings.inverted, settings.tolerance, values, border), kept


def _void_values(settings: MaskSettings) -> set[int]:
    return {int(text) for text in settings.void if text.isdecimal() and text not in (settings.classes or ())}


def _class_ids(count: int, void: set[int], looks: list[MaskLook], complete: bool) -> tuple[int, ...]:
    """The value of each of some classes: ids from 0, or what the masks hold where that has gaps, in order."""
    found = sorted({value for look in looks for value in look.ids} - void)
    ids = [value for value in found if value != VOID]
    default = tuple(itertools.islice((value for value in itertools.count() if value not in void), count))
    for values in (ids, found):
        if not set(ids) <= set(default) and len(values) == count:
            return tuple(values)
    if not complete and not set(ids) <= set(default):
        raise _Open("Others may hold the rest.")
    return default  # what does not fit is listed, with its files, when all masks are read


def _two_values(void: set[int], looks: list[MaskLook], settings: MaskSettings, complete: bool) -> tuple[int, int]:
    """The values of the two classes of binary masks, by class."""
    pixels: Counter[int] = Counter()
    for look in looks:
        pixels.update({value: count for value, count in look.counts.items() if value not in void})
    found = sorted(pixels)
    if not settings.tolerance and len(HIGHS.intersection(found)) > 1 and set(found) <= {0, *HIGHS}:
        files = _files_with(filter(None, found), looks)
        raise _Open(
            f"The upper value of binary masks must be one in all files; found {files}. Write one in all, or name the "
            f"one to ignore: --void {found[-1]}."
        )
    above = [value for value in found if 2 * value > found[-1]]
    if not complete and not settings.tolerance and not HIGHS.intersection(found):
        raise _Open("Others may hold the rest.")
    low = found[0] if len(found) == 2 and not settings.tolerance else 0
    high = max(above, key=lambda value: (value in HIGHS and value == found[-1], pixels[value], value), default=0)
    high = high or (1 if VOID in void else 255)  # all masks are empty
    return (high, low) if settings.inverted else (low, high)


def _palette_format(settings: MaskSettings, palette: Palette | None) -> tuple[MaskFormat, tuple[str, ...]]:
    if palette is None:
        raise InputError(f"Masks in colours must have a file that says which is which. {LIST_COLOURS}")
    colour_of = dict(zip(palette.names, palette.colours, strict=True))
    said = _void_of_list(settings, palette.names, True)
    void = dict.fromkeys(colour_of[text] if text in colour_of else _parse_colour(text, palette) for text in said)
    rest = tuple(name for name in palette.names if colour_of[name] not in void)
    names = settings.classes or rest
    if settings.classes == _numbered(len(rest)):
        names = rest  # a number was said
    if sorted(names) != sorted(rest):
        raise InputError(
            f"Classes must be those of the palette, {', '.join(rest)}; received {', '.join(names)}. Leave --classes "
            "away, or name those that do not count with --void."
        )
    colours = tuple(colour_of[name] for name in names)
    return MaskFormat("palette", len(names), colours, tuple(void), settings.inverted, settings.tolerance), names


def _void_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names of what is ignored."""
    return tuple(name for name in names if name.lower() == "void")


def _void_of_list(settings: MaskSettings, names: Sequence[str], numbered: bool) -> tuple[str, ...]:
    """What is ignored: what is said, and what is called void unless that is all; numbers as lines."""
    line = dict(enumerate(names)) if numbered else {}
    said = [line.get(int(one), one) if one.isdecimal() and one not in names else one for one in settings.void]
    return tuple(dict.fromkeys([*said, *(() if settings.only else _void_names(names))]))


def _parse_colour(text: str, palette: Palette) -> Colour:
    found = re.fullmatch(r"\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})\s*", text)
    red, green, blue = (int(part) for part in found.groups()) if found else (256, 0, 0)
    if hexadecimal := re.fullmatch(r"#([0-9a-fA-F]{6})", text.strip()):
        red, green, blue = bytes.fromhex(hexadecimal[1])
    if max(red, green, blue) > 255:
        raise InputError(
            f"Void must be a class of the palette ({', '.join(palette.names)}), its line from 0, or a colour such as "
            f"0,0,0 or #000000; received {text!r}."
        )
    return red, green, blue


def _numbered(count: int) -> tuple[str, ...]:
    return ("background", "foreground") if count == 2 else ("background", *(f"class{i}" for i in range(1, count)))


def _listed(values: list[int]) -> str:
    """The values of a set, as a person would write them."""
    if len(values) <= 8:
        return ", ".join(map(str, values))
    return f"{', '.join(map(str, values[:4]))}, ... {values[-1]} ({len(values)} values)"
