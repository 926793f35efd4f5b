"""Which convention a folder's masks follow, from what the user said and what the masks hold, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.folder import Pair
from unet_tf.data.masks import MaskFormat, value_counts, whole_numbers
from unet_tf.data.palette import Colour, Palette
from unet_tf.data.pictures import read_mask
from unet_tf.errors import InputError

LOOKED_AT = 32
"""Masks that are enough to tell the convention; all of them are held to it when they are read."""
MANY_OBJECTS = 20
"""Different ids from which they number objects: few organs, one piece of each, are numbered alike and are classes."""
MOST_IDS = 192
"""Class ids that masks are believed to hold; values that go higher are rather grey values."""

Classes = int | str | Sequence[str] | None


@dataclass(frozen=True)
class MaskSettings:
    """What a person says about their masks; what is left open is recognised.

    Attributes:
        kind: "auto", or as `MaskFormat.kind`.
        classes: names of the classes in the order of their ids; None where the masks tell.
        void: what counts nowhere: names of classes, values, or colours "R,G,B" or "#RRGGBB".
        inverted: as in `MaskFormat`.
        tolerance: as in `MaskFormat`.
    """

    kind: str = "auto"
    classes: tuple[str, ...] | None = None
    void: tuple[str, ...] = ()
    inverted: bool = False
    tolerance: float = 0.0


class Recognition(NamedTuple):
    """The convention of a folder's masks.

    Attributes:
        masks: how to read and draw them.
        classes: names of the classes.
        why: what shows it, in words.
    """

    masks: MaskFormat
    classes: tuple[str, ...]
    why: str


class MaskLook(NamedTuple):
    """What one mask shows: name, decoded values, whether it has a colour table, pixels of each grey value."""

    name: str
    mask: NDArray
    has_table: bool
    counts: dict[int, int]


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
    if settings.kind != "auto":
        return Recognition(*_format(settings.kind, settings, palette), "as said")
    if settings.inverted:
        return Recognition(*_format("binary", settings, palette), "binary, as only such masks are inverted")
    kind, why = _tell(_looks(pairs, settings), settings, palette)
    return Recognition(*_format(kind, settings, palette), why)


def _looks(pairs: Sequence[Pair], settings: MaskSettings) -> list[MaskLook]:
    """Some masks spread evenly over the pairs; those that cannot be read are left to whoever reads all."""
    looks, failure = [], None
    for index in sorted(set(np.linspace(0, len(pairs) - 1, LOOKED_AT).astype(int))) if pairs else ():
        pair = pairs[index]
        try:
            mask = read_mask(pair.mask, pair.page, allow_jpeg=settings.tolerance > 0)
            ids = read_mask(pair.mask, pair.page, ids=True, allow_jpeg=settings.tolerance > 0)
            mask, ids = whole_numbers(mask, str(pair.mask)), whole_numbers(ids, str(pair.mask))
        except InputError as error:
            failure = failure or error
            continue
        has_table = ids.shape != mask.shape or bool((ids != mask).any())
        values = ids if mask.ndim == 3 and has_table else mask
        looks.append(MaskLook(str(pair.mask), mask, has_table, value_counts(values) if values.ndim == 2 else {}))
    if not looks:
        raise failure or InputError("There is no mask to look at.")
    return looks


def _tell(looks: list[MaskLook], settings: MaskSettings, palette: Palette | None) -> tuple[str, str]:
    """The kind, and why; raises InputError where several would do."""
    number = None if settings.classes is None else len(settings.classes)
    values = sorted({value for look in looks for value in look.counts})
    rest = set(values) - {int(text) for text in settings.void if text.isdecimal()}
    coloured = [look for look in looks if look.mask.ndim == 3]
    seen = f"the {len(looks)} masks looked at" if len(looks) > 1 else looks[0].name
    of_grey = {(value, value, value) for value in rest} <= set(palette.colours) if palette else False
    if palette and (coloured or of_grey or not rest <= {*range(len(palette.names)), 255}):
        return "palette", f"label_colors.txt lists {len(palette.names)} colours"
    if coloured and not all(look.has_table for look in coloured):
        raise InputError(
            f"{coloured[0].name} is colour-coded, and nothing says which colour is which class. List them in a file "
            'label_colors.txt beside the images, "R G B name" a line: `unet-tf check DATA --out PAGE` writes a first '
            "version."
        )
    table = " into a colour table" if coloured else ""
    said = f"{seen} hold {_listed(values)}"
    if palette:
        return "index", f"{said}, which number the lines of label_colors.txt"
    if number in (None, 2) and not coloured and (len(rest) <= 1 or rest in ({0, 1}, {0, 255}, {0, 65535})):
        return "binary", f"{said} and nothing else"
    if number is not None and number > 2:
        return "index", f"{said}{table}, and there are {number} classes"
    if _are_objects(looks):
        most = max(len(look.counts) for look in looks) - 1
        return "instance", f"{seen} number connected objects from 1, up to {most} in one"
    if number == 2 and len(rest - {255}) == 2 and (coloured or max(rest - {255}) < 2 + len(settings.void)):
        return "index", f"{said}{table}, and there are 2 classes"
    if settings.tolerance >= 127 and _are_soft(looks, rest):
        return "binary", f"{said}, 0 and {_top(rest)} among them, and the nearer one is taken"
    raise InputError(_open(said, rest, _are_soft(looks, rest)))


def _top(values: set[int]) -> int:
    """The highest value of the pixel type that these values take."""
    return 65535 if max(values, default=0) > 255 else 255


def _are_spread(values: set[int]) -> bool:
    """Whether values leave gaps, or go up, as class ids do not."""
    ids = values - {255, _top(values)}
    return max(ids, default=0) > min(2 * len(ids) + 1, MOST_IDS)


def _are_soft(looks: list[MaskLook], values: set[int]) -> bool:
    """Whether masks may be binary ones with soft edges: they hold both ends, and mostly these or spread values."""
    ends = {0, _top(values)}
    pixels = sum(look.counts.get(value, 0) for look in looks for value in ends)
    mostly = pixels > 0.8 * sum(sum(look.counts.values()) for look in looks)
    return ends <= values and (mostly or _are_spread(values))


def _open(said: str, rest: set[int], soft: bool) -> str:
    """What is open about masks, and the settings that would close it."""
    ids = sorted(rest - {255})
    void = "" if 0 in ids or not ids else " --void 0"
    count = max(ids, default=1) + (not void)
    remedies = []
    if soft:
        remedies.append(f"If 0 and {_top(rest)} are meant, take the nearer one: --masks binary --mask-tolerance 128. ")
    if count <= MOST_IDS and not (soft and _are_spread(rest)):
        remedies.append(f"If they are class ids, say so: --masks index --classes {max(count, 2)}{void}. ")
    remedies.append("If objects are numbered: --masks instance. A value that counts nowhere is named with --void.")
    return f"It is open what the masks mean: {said}. {''.join(remedies)}"


def _are_objects(looks: list[MaskLook]) -> bool:
    """Whether values number the objects of each image: many, 1 to n without gaps, n differs, each in one piece."""
    numbers = [sorted(set(look.counts) - {0}) for look in looks]
    filled = [ids for ids in numbers if ids]
    if len(set().union(*filled)) < MANY_OBJECTS or any(look.mask.ndim == 3 for look in looks):
        return False
    gapless = sum(ids[-1] <= 1.2 * len(ids) + 1 for ids in filled)
    if gapless < 0.9 * len(filled) or (len(filled) > 2 and len({len(ids) for ids in filled}) == 1):
        return False
    pieces = [
        cv2.connectedComponents((look.mask == number).astype(np.uint8), connectivity=8)[0] - 1
        for look, ids in zip(looks, numbers, strict=True)
        for number in ids[:20]
    ]
    return sum(count == 1 for count in pieces) >= 0.9 * len(pieces)


def _format(kind: str, settings: MaskSettings, palette: Palette | None) -> tuple[MaskFormat, tuple[str, ...]]:
    """The format of a known kind, and the names of its classes."""
    if kind == "palette":
        return _palette_format(settings, palette)
    names = settings.classes
    if names is None and kind == "index" and palette is not None:
        names = palette.names
        settings = replace(settings, void=settings.void or _void_names(palette))
    if names is None:
        names = {"binary": ("background", "foreground"), "instance": ("background", "cell")}.get(kind)
        if names is None:
            raise InputError(
                "Class ids need the number of classes, or their names: --classes 3, --classes sky,road,car."
            )
    void: list[int] = []
    for text in settings.void:
        if not (text in names or text.isdecimal()):
            raise InputError(f"Void is a value or the name of a class ({', '.join(names)}) here; received {text!r}.")
        void.append(names.index(text) if text in names else int(text))
    kept = tuple(name for name in names if name not in settings.void)
    return MaskFormat(kind, len(kept), (), tuple(void), settings.inverted, settings.tolerance), kept


def _palette_format(settings: MaskSettings, palette: Palette | None) -> tuple[MaskFormat, tuple[str, ...]]:
    if palette is None:
        raise InputError(
            'Masks in colours need a file label_colors.txt beside the images: "R G B name" a line. '
            "`unet-tf check DATA --out PAGE` writes a first version."
        )
    colour_of = dict(zip(palette.names, palette.colours, strict=True))
    void: list[Colour] = []
    for text in settings.void or _void_names(palette):
        if text in colour_of:
            void.append(colour_of[text])
        elif text.isdecimal() and int(text) < len(palette.names):
            void.append(palette.colours[int(text)])
        else:
            void.append(_parse_colour(text, palette))
    rest = tuple(name for name in palette.names if colour_of[name] not in void)
    names = settings.classes or rest
    if settings.classes == _numbered(len(rest)):
        names = rest  # a number was said
    if sorted(names) != sorted(rest):
        raise InputError(
            f"The palette has the classes {', '.join(rest)}; received {', '.join(names)}. Leave --classes away, or "
            "name those that do not count with --void."
        )
    colours = tuple(colour_of[name] for name in names)
    return MaskFormat("palette", len(names), colours, tuple(void), settings.inverted, settings.tolerance), names


def _void_names(palette: Palette) -> tuple[str, ...]:
    return tuple(name for name in palette.names if name.lower() == "void")


def _parse_colour(text: str, palette: Palette) -> Colour:
    found = re.fullmatch(r"\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})\s*", text)
    red, green, blue = (int(part) for part in found.groups()) if found else (256, 0, 0)
    if hexadecimal := re.fullmatch(r"#([0-9a-fA-F]{6})", text.strip()):
        red, green, blue = bytes.fromhex(hexadecimal[1])
    if max(red, green, blue) > 255:
        raise InputError(
            f"Void is a class of the palette ({', '.join(palette.names)}), its line from 0, or a colour such as 0,0,0 "
            f"or #000000; received {text!r}."
        )
    return red, green, blue


def _numbered(count: int) -> tuple[str, ...]:
    return ("background", "foreground") if count == 2 else ("background", *(f"class{i}" for i in range(1, count)))


def _listed(values: list[int]) -> str:
    """The values of a set, as a person would write them."""
    if len(values) <= 8:
        return ", ".join(map(str, values))
    return f"{', '.join(map(str, values[:4]))}, ... {values[-1]} ({len(values)} values)"
