"""Which pairs are for training, validation and test: as the folder says, a seeded share, groups, folds."""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from unet_tf.data.folder import Pair, title
from unet_tf.errors import InputError

STARTS = 64
"""Places of a single stack at which a share of its pages is tried to begin, so that it holds all classes."""
USUAL_SHARE, SHARE_OF_FEW = 0.2, 0.1
FEW = 30
"""Pairs below which each is dear: fewer are held out, and those whose classes are most like those of all."""
TRIES = 8
"""Draws that spread rare classes, of which the best is taken: one that chooses part by part may miss it."""


def split(
    named: dict[str, list[Pair]],
    val_share: float | None = None,
    seed: int = 0,
    group: str | None = None,
    fold: str | None = None,
    holds: Mapping[Pair, Collection[int]] | None = None,
) -> dict[str, list[Pair]]:
    """The training, validation and test pairs, by their names, and by their classes where these are known.

    What the folder itself splits is taken as it is. Otherwise, and where there is no "val", some of the training pairs
    are held out as `hold_out` says.

    Args:
        named: complete pairs by "train", "val", "test", or "" where nothing says, as `find_named` gives them.
        val_share: share of the pairs to hold out, in [0, 1), where there is no "val"; None for `usual_share`.
        seed: the same seed, names and classes give the same split.
        group: regular expression; pairs in whose names it finds the same text stay together.
        fold: "i/k" holds out the i-th of k folds instead of a share.
        holds: ids of the classes that a pair holds, or their pixels by id, where they are known (`hold_out`).

    Returns:
        "train", "val" and "test" (may be empty), each in the given order.

    Raises:
        InputError: too few pairs, a bad share, group or fold, or a fold of data that has a validation split.
    """
    train = named.get("train", named.get("", []))
    if "val" in named:
        if not train:
            there = ", ".join(name for name, pairs in named.items() if pairs)
            raise InputError(f"Training needs pairs of its own; the data has {there} alone. Add train/ to it.")
        if fold is not None:
            raise InputError(
                f"The data has a val split, so nothing is left to fold; received fold {fold}. Train by this split, or "
                "put its pairs into the folder, or the list, of those for training."
            )
        return {"train": train, "val": named["val"], "test": named.get("test", [])}
    of_pairs = None if holds is None else [holds.get(pair, ()) for pair in train]
    train, val = hold_out(train, val_share, seed, group, fold, of_pairs)
    return {"train": train, "val": val, "test": named.get("test", [])}


def usual_share(count: int) -> float:
    """Share of so many pairs that is held out where nothing is said: a fifth; of few a tenth, and two at least."""
    usual = max(1, round(USUAL_SHARE * count))
    if count >= FEW:
        return USUAL_SHARE
    return min(0.5, min(usual, max(2, round(SHARE_OF_FEW * count))) / max(1, count))


def hold_out(
    pairs: Sequence[Pair],
    share: float | None = None,
    seed: int = 0,
    group: str | None = None,
    fold: str | None = None,
    holds: Sequence[Collection[int]] | None = None,
    learnt: Collection[int] = (),
) -> tuple[list[Pair], list[Pair]]:
    """Hold out a seeded share of the pairs, or one of k folds of them; groups stay together.

    Neighbouring pages of a TIFF stack show nearly the same, so the pages of a file are a group by themselves; of a
    single stack consecutive pages are held out (the first follows on the last). A share takes no group of more than
    half of the pairs.

    A net can be judged on the classes alone that validation pixels have. Where the draw leaves one of them out on
    either side although two groups hold it, another draw spreads them: rare classes first, and the seed decides the
    rest; the share grows where it has to, to half of the pairs. A class that one group alone has stays in training
    where another group may be held out. Of fewer than `FEW` pairs the seed draws several shares, and that one is held
    out whose classes have most nearly the shares of the pixels that they have in all pairs.

    Args:
        pairs: what to split.
        share: of the pairs to hold out, in [0, 1), at least one group, or none for 0; None for `usual_share`.
        seed: the same seed, names and classes give the same split.
        group: regular expression; pairs in whose names it finds the same text (its first group, if it has one) are of
            one patient, volume or video, and are held out together. None: every file stands alone.
        fold: "i/k" holds out the i-th of k folds of about equal size, i from 1, instead of a share.
        holds: ids of the classes that each pair holds, or their pixels by id; None where nobody has looked.
        learnt: numbers of pairs that a net was trained on already: what is held out is drawn among those that
            `may_be_held` gives, and is its share of these.

    Returns:
        What stays and what is held out, each in the given order.

    Raises:
        InputError: fewer than two groups, fewer groups than folds, a name without a group, or a bad share or fold.

    Example:
        >>> from pathlib import Path
        >>> pairs = [Pair(name, Path(), Path()) for name in ("a1", "a2", "b1", "b2", "c1", "c2")]
        >>> [[pair.name for pair in part] for part in hold_out(pairs, group="^[a-z]", fold="1/3")]
        [['a1', 'a2', 'c1', 'c2'], ['b1', 'b2']]
    """
    if share is not None and not 0 <= share < 1:
        raise InputError(f"The validation share must be 0 or more, and less than 1; received {share}.")
    if share == 0 and fold is None:
        return list(pairs), []
    members, what, one_stack = _parts(pairs, group)
    if len(members) < 2:
        remedy = " --val-share 0 trains on all, and keeps the last epoch." if fold is None else ""
        raise InputError(f"Training needs 2 {what}, one of them for validation; found {len(members)}.{remedy}")
    number, count = (0, 0) if fold is None else _parse_fold(fold)
    if count > len(members):
        raise InputError(f"{count} folds need {count} {what}; there are {len(members)}.")
    parts, among = [_part(some, holds) for some in members], {*may_be_held(pairs, group, learnt)}
    free = [part for part in parts if among.issuperset(part.pairs)]
    stay = frozenset[int]().union(*(part.classes for part in parts if not among.issuperset(part.pairs)))
    orders = _orders(free, seed, one_stack)
    if fold is None:
        share = usual_share(len(among)) if share is None else share
        wanted = min(max(1, round(share * len(among))), len(among) - 1)
        most = max(wanted, len(among) // 2)
        draws = [[draw(order, wanted, most)] for order in orders]
        tries = [] if one_stack else _rotations(orders[0], 0, TRIES)
        draws += [[draw_spread(one, wanted, most, stay)] for one in tries]
        draws += [[draw(one, wanted, most)] for one in tries if len(among) < FEW]
    else:
        draws = [fold_up(order, count, one_stack) for order in orders]
        draws += [] if one_stack else [fold_spread(orders[0], count)]
    # rare classes may keep all parts, where the seed alone holds some out; of few that may be, some folds are empty
    draws = [folds for folds in draws if all(folds)] or draws[:1]
    few = fold is None and len(among) < FEW

    def worth(folds: list[list[Part]]) -> tuple[tuple[int, int], float]:
        return spread(parts, folds), -unlikeness(parts, folds[0]) if few else 0.0

    held = max(draws, key=worth)[max(number - 1, 0)]  # the first of equals
    chosen = {index for part in held for index in part.pairs}
    return [p for i, p in enumerate(pairs) if i not in chosen], [p for i, p in enumerate(pairs) if i in chosen]


class Part(NamedTuple):
    """Pairs that are held out together, by their numbers, and the classes that they hold: ids, and (id, pixels)."""

    pairs: tuple[int, ...]
    classes: frozenset[int]
    pixels: tuple[tuple[int, int], ...] = ()


def _part(pairs: Sequence[int], holds: Sequence[Collection[int]] | None) -> Part:
    pixels = sum((Counter(holds[pair]) for pair in pairs), Counter[int]()) if holds else Counter[int]()
    return Part(tuple(pairs), frozenset(pixels), tuple(sorted(pixels.items())))


def unlikeness(parts: Sequence[Part], held: Sequence[Part]) -> float:
    """Sum over the classes of how far their shares of the pixels of the held parts are from those of all, in [0, 2]."""
    shares = []
    for some in (parts, held):
        pixels = sum((Counter(dict(part.pixels)) for part in some), Counter[int]())
        shares.append({number: count / pixels.total() for number, count in pixels.items()})
    of_all, of_held = shares
    return round(sum(abs(share - of_held.get(number, 0.0)) for number, share in of_all.items()), 6)


def _orders(parts: list[Part], seed: int, one_stack: bool) -> list[list[Part]]:
    """The seeded order; of the pages of one stack, where neighbours stay together, some more that begin elsewhere."""
    if not one_stack:
        return [random.Random(seed).sample(parts, len(parts))]
    return _rotations(parts, random.Random(seed).randrange(len(parts)), STARTS)


def _rotations(parts: list[Part], start: int, most: int) -> list[list[Part]]:
    """The parts in their order, begun at `start` and at up to `most` places in all, evenly apart."""
    places = [(start + step) % len(parts) for step in range(0, len(parts), -(-len(parts) // most))]
    return [parts[at:] + parts[:at] for at in places]


def draw(order: Iterable[Part], wanted: int, most: int, held: Sequence[Part] = ()) -> list[Part]:
    """What is held and, of an order, the parts that bring it to the wanted number of pairs and to no more than most."""
    held, size = list(held), _size(held)
    for part in order:
        if size < wanted and size + len(part.pairs) <= most:
            held.append(part)
            size += len(part.pairs)
    return held


def draw_spread(order: Sequence[Part], wanted: int, most: int, stay: frozenset[int]) -> list[Part]:
    """A draw that begins with a part for each class, the rarest first, and leaves one of each but those that stay."""
    held: list[Part] = []
    kept: set[Part] = set()
    for number in _rarest_first(order):
        having = [part for part in order if number in part.classes]
        if number not in stay and kept.isdisjoint(having):
            free = [part for part in having if part not in held] or having
            kept.add(max(reversed(free), key=lambda part: len(part.pairs)))  # the largest is held out least likely
        there = frozenset[int]().union(*(part.classes for part in held))
        if number not in there:
            fullest = sorted(having, key=lambda part: len(part.classes - there), reverse=True)
            held = draw((part for part in fullest if part not in kept), _size(held) + 1, most, held)
    taken = {*held, *kept}
    return draw((part for part in order if part not in taken), wanted, most, held)


def fold_up(order: Sequence[Part], count: int, one_stack: bool) -> list[list[Part]]:
    """Folds of about equal size; of the pages of one stack, folds of consecutive ones."""
    folds: list[list[Part]] = [[] for _ in range(count)]
    sizes = [0] * count
    for place, part in enumerate(sorted(order, key=lambda part: len(part.pairs), reverse=True)):
        number = place * count // len(order) if one_stack else sizes.index(min(sizes))
        folds[number].append(part)
        sizes[number] += len(part.pairs)
    return folds


def fold_spread(order: Sequence[Part], count: int) -> list[list[Part]]:
    """Folds that share each class: a part goes where its rarest class has been dealt least, the smallest of these."""
    rank = {number: place for place, number in enumerate(_rarest_first(order))}
    folds: list[list[Part]] = [[] for _ in range(count)]
    sizes, dealt = [0] * count, [Counter[int]() for _ in range(count)]
    rarest = {part: min((rank[number] for number in part.classes), default=len(rank)) for part in order}
    for part in sorted(order, key=lambda part: (rarest[part], -len(part.pairs))):
        number = min(range(count), key=lambda fold: (dealt[fold][rarest[part]], sizes[fold]))
        folds[number].append(part)
        sizes[number] += len(part.pairs)
        dealt[number][rarest[part]] += 1
    return folds


def spread(parts: Sequence[Part], folds: Sequence[Sequence[Part]]) -> tuple[int, int]:
    """How well classes are spread: how many stay in training beside each fold, and in how many folds they are."""
    every = Counter(number for part in parts for number in part.classes)
    inside = [Counter(number for part in fold for number in part.classes) for fold in folds]
    learnt = sum(of_fold[number] < every[number] for of_fold in inside for number in every)
    return learnt, sum(of_fold[number] > 0 for of_fold in inside for number in every)


def _size(parts: Sequence[Part]) -> int:
    return sum(len(part.pairs) for part in parts)


def _rarest_first(parts: Sequence[Part]) -> list[int]:
    counts = Counter(number for part in parts for number in part.classes)
    return sorted(counts, key=lambda number: (counts[number], number))


def _parts(pairs: Sequence[Pair], group: str | None) -> tuple[list[list[int]], str, bool]:
    """Numbers of the pairs that are held out together, what such a part is, and whether all are pages of one stack."""
    stacks = {pair.image for pair in pairs if pair.page}
    parts: dict[object, list[int]] = {}
    for index, pair in enumerate(pairs):
        file = pair.image if pair.image in stacks else index
        parts.setdefault(_group(pair.name, group) if group else file, []).append(index)
    if group:
        return list(parts.values()), f"groups by {group!r}", False
    if stacks and len(parts) == 1:
        return [[page] for page in range(len(pairs))], "pages", True
    return list(parts.values()), "files" if stacks else "pairs", False


def may_be_held(pairs: Sequence[Pair], group: str | None, learnt: Collection[int]) -> list[int]:
    """Number the pairs that may be held out: those of parts that no net was trained on, where there are two or more.

    Args:
        pairs: of a data folder.
        group: as of `hold_out`.
        learnt: numbers of those that a net was trained on already.
    """
    members, known = _parts(pairs, group)[0], {*learnt}
    free = [some for some in members if known.isdisjoint(some)]
    return sorted(itertools.chain.from_iterable(free if len(free) > 1 else members))


def parts_of(pairs: Sequence[Pair], group: str | None = None) -> list[str]:
    """Name for each pair the part that it belongs to: the text of a group, the file of a stack, or itself alone.

    The pages of a single stack are one part, though some of them may be held out: they show nearly the same.

    Args:
        pairs: files that are judged.
        group: regular expression; pairs in whose names it finds the same text belong together.

    Raises:
        InputError: it is none, or finds nothing in a name.

    Example:
        >>> parts_of([Pair(name, Path(name), Path()) for name in ("p1_a", "p1_b", "p2_a")], "^p.")
        ['p1', 'p1', 'p2']
    """
    if group:
        return [_group(pair.name, group) for pair in pairs]
    stacks = {pair.image for pair in pairs if pair.page}
    files = [pair.image if pair.image in stacks else pair for pair in pairs]
    names = {
        file: title(pair) if file is pair else Path(title(pair)).with_name(pair.image.name).as_posix()
        for file, pair in zip(files, pairs, strict=True)
    }
    times = Counter(names.values())
    return [
        names[file] if times[names[file]] == 1 else str(pair.image) for file, pair in zip(files, pairs, strict=True)
    ]


def _group(name: str, pattern: str) -> str:
    try:
        found = re.search(pattern, name)
    except re.error as error:
        raise InputError(f"A group must be a regular expression; received {pattern!r}: {error}.") from error
    if found is None:
        raise InputError(f"Every name must have a group; {pattern!r} finds nothing in {name!r}.")
    return found[1] if found.re.groups else found[0]


def _parse_fold(fold: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)/(\d+)", fold)
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (count >= 2 and 1 <= number <= count):
        raise InputError(f'A fold must be "i/k", with k of 2 or more and i from 1 to k; received {fold!r}.')
    return number, count
