"""The classes of masks that are made of annotations: which count, what they are called, how they are coloured."""

from __future__ import annotations

import colorsys
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import NamedTuple

from unet_tf.annotations.annotated import BACKGROUND, VOID_NAME, clean
from unet_tf.data.drawing import PALETTE, VOID_GREY
from unet_tf.data.palette import Colour, Palette
from unet_tf.errors import InputError
from unet_tf.labels import VOID
from unet_tf.utils.text import folded

MOST_CLASSES = 253
SEAM = re.compile(r"(?<=[^\W_])[ _-]+(?=[^\W_])")
"""What may part two words of a name."""
Chosen = str | Sequence[str] | Mapping[str, Sequence[str]]


class Classes(NamedTuple):
    """The classes of masks.

    Attributes:
        names: by id; the background is 0.
        ids: of what annotations call a class -> id here, `VOID` for what is ignored. Others are left out.
    """

    names: tuple[str, ...]
    ids: dict[str, int]


def choose_classes(there: Iterable[str], chosen: Chosen | None = None) -> Classes:
    """Number the classes of annotations.

    Args:
        there: the classes of all shapes.
        chosen: those that count, in the order of their ids: "cell,vessel", a list of such names, or new names with what
            they are made of, as "cell=nucleus+cytoplasm,vessel" or a mapping. What is "background" or "void" in the end
            is so in the masks. None for all, in alphabetical order.

    Raises:
        InputError: a class that is chosen is not there, stands twice, or there are none or more than 253.

    Example:
        >>> choose_classes(["nucleus", "cytoplasm", "dirt"], "cell=nucleus+cytoplasm")
        Classes(names=('background', 'cell'), ids={'nucleus': 1, 'cytoplasm': 1})
        >>> choose_classes(["void", "b", "a"])
        Classes(names=('background', 'a', 'b'), ids={'a': 1, 'b': 2, 'void': 255})
    """
    known = set(there)
    made = {name: [name] for name in sorted(known)} if chosen is None else _parsed(chosen, known)
    for special in (VOID_NAME, BACKGROUND):
        if special in known and not any(special in parts for parts in made.values()):
            made[special] = [special]  # it is no class that one chooses
    parts = [part for some in made.values() for part in some]
    if strangers := sorted(set(parts) - known):
        raise InputError(
            f"Classes must be there: {', '.join(strangers)} is not. There are {', '.join(sorted(known)) or 'none'}."
        )
    if twice := sorted({part for part in parts if parts.count(part) > 1}):
        raise InputError(f"A class must be part of one class; {', '.join(twice)} is of several.")
    names = [name for name in made if name not in (BACKGROUND, VOID_NAME)]
    if not 1 <= len(names) <= MOST_CLASSES:
        special = VOID_NAME if VOID_NAME in known else BACKGROUND
        hint = f" What is called {special} is no class; --classes object={special} makes one of it."
        hint *= bool(known) and known <= {VOID_NAME, BACKGROUND}
        raise InputError(
            f"There must be 1 to {MOST_CLASSES} classes beside the background; there are {len(names)}.{hint}"
        )
    number = {name: place for place, name in enumerate(names, start=1)} | {BACKGROUND: 0, VOID_NAME: VOID}
    return Classes((BACKGROUND, *names), {part: number[name] for name, some in made.items() for part in some})


def asked_for(there: Iterable[str], chosen: Chosen | None) -> set[str]:
    """The classes of annotations that a person names, whatever becomes of them; none where all are taken unasked."""
    made = {} if chosen is None else _parsed(chosen, set(there))
    return {part for parts in made.values() for part in parts}


def spelt_apart(names: Iterable[str]) -> list[list[str]]:
    """Names, in order, those together that differ in nothing but capitals and what parts their words.

    Example:
        >>> spelt_apart(["red cell", "Red_cell", "CD3", "CD3-"])
        [['CD3'], ['CD3-'], ['Red_cell', 'red cell']]
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        groups[SEAM.sub(" ", folded(name))].append(name)
    return list(groups.values())


def _parsed(chosen: Chosen, known: set[str]) -> dict[str, list[str]]:
    """New names -> what they are made of. A name that is there as it is written is one, whatever signs it has."""
    if isinstance(chosen, Mapping):
        lists = {name: [parts] if isinstance(parts, str) else parts for name, parts in chosen.items()}
        return {clean(name): [clean(part) for part in parts] for name, parts in lists.items()}
    if isinstance(chosen, str):
        chosen = [chosen] if clean(chosen) in known else chosen.split(",")
    made: dict[str, list[str]] = {}
    for entry in chosen:
        name, equal, rest = entry.partition("=")
        if clean(entry) in known or not equal:
            name, rest = entry, entry
        parts = [rest] if clean(rest) in known else rest.split("+")
        if clean(name) in made or not all(part.strip() for part in (name, *parts)):
            raise InputError(
                f"Classes must be named once each, as in cell=nucleus+cytoplasm,vessel; received {chosen}."
            )
        made[clean(name)] = [clean(part) for part in parts]
    return made


def colours_of(number: int) -> list[Colour]:
    """Colours of so many classes, all different, the background black."""
    colours: list[Colour] = [(int(r), int(g), int(b)) for r, g, b in PALETTE]
    step = 0
    while len(colours) < number:
        red, green, blue = colorsys.hsv_to_rgb(step * 0.618034 % 1, 0.5 + step % 3 / 4, 0.95 - step % 5 / 8)
        one = round(255 * red), round(255 * green), round(255 * blue)
        step += 1
        if one not in colours and one != VOID_GREY:
            colours.append(one)
    return colours[:number]


def palette_lines(names: Sequence[str], colours: Sequence[Colour]) -> str:
    """What `label_colors.txt` holds: a line for each class that masks hold; a name that is a number gets a word."""

    def shown(name: str) -> str:
        return next(word for n in count() if (word := f"class{'_' * n}{name}") not in names)

    words = tuple(shown(name) if name.isdecimal() else name for name in names)
    return "".join(f"{line}\n" for line in Palette(words, tuple(colours)).lines)
