"""Which pairs are for training, validation and test: as the folder says, a seeded share, groups, folds."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

from unet_tf.data.folder import Pair, find_named
from unet_tf.errors import InputError


def find_splits(
    folder: str | Path, val_share: float = 0.2, seed: int = 0, group: str | None = None, fold: str | None = None
) -> dict[str, list[Pair]]:
    """The training, validation and test pairs of a data folder.

    What the folder itself splits (`find_named`) is taken as it is. Otherwise, and where there is no "val", some of the
    training pairs are held out as `hold_out` says.

    Args:
        folder: as for `find_named`.
        val_share: as in `hold_out`.
        seed: as in `hold_out`.
        group: as in `hold_out`.
        fold: as in `hold_out`.

    Returns:
        "train", "val" and "test" (may be empty), each sorted by name.

    Raises:
        InputError: no such folder, unpaired files, or too few pairs to split.
    """
    named, problems = find_named(folder)
    if problems:
        raise InputError(f"Every image has one mask of the same name. {' '.join(problems)} Add or remove these files.")
    return split(named, val_share, seed, group, fold)


def split(
    named: dict[str, list[Pair]],
    val_share: float = 0.2,
    seed: int = 0,
    group: str | None = None,
    fold: str | None = None,
) -> dict[str, list[Pair]]:
    """Complete what `find_named` found to "train", "val" and "test"; parameters and errors as in `find_splits`."""
    train = named.get("train", named.get("", []))
    if "val" in named:
        if fold is not None:
            raise InputError(f"The data has a val split, so nothing is left to fold; received fold {fold}.")
        return {"train": train, "val": named["val"], "test": named.get("test", [])}
    train, val = hold_out(train, val_share, seed, group, fold)
    return {"train": train, "val": val, "test": named.get("test", [])}


def hold_out(
    pairs: Sequence[Pair], share: float = 0.2, seed: int = 0, group: str | None = None, fold: str | None = None
) -> tuple[list[Pair], list[Pair]]:
    """Hold out a seeded share of the pairs, or one of k folds of them; groups stay together.

    Neighbouring pages of a TIFF stack show nearly the same, so the pages of a file are a group by themselves; of a
    single stack consecutive pages are held out (the first follows on the last). A share takes no group of more than
    half of the pairs.

    Args:
        pairs: what to split.
        share: of the pairs to hold out, in (0, 1), at least one group.
        seed: the same seed and names give the same split.
        group: regular expression; pairs in whose names it finds the same text (its first group, if it has one) are of
            one patient, volume or video, and are held out together. None: every file stands alone.
        fold: "i/k" holds out the i-th of k folds of about equal size, i from 1, instead of a share.

    Returns:
        What stays and what is held out, each in the given order.

    Raises:
        InputError: fewer than two groups, fewer groups than folds, a name without a group, or a bad share or fold.

    Example:
        >>> pairs = [Pair(name, Path(), Path()) for name in ("a1", "a2", "b1", "b2", "c1", "c2")]
        >>> [[pair.name for pair in part] for part in hold_out(pairs, group="^[a-z]", fold="1/3")]
        [['a1', 'a2', 'c1', 'c2'], ['b1', 'b2']]
    """
    if not 0 < share < 1:
        raise InputError(f"The validation share lies between 0 and 1; received {share}.")
    parts, what, one_stack = _parts(pairs, group)
    if len(parts) < 2:
        raise InputError(f"Training needs 2 {what}, one of them for validation; found {len(parts)}.")
    start = random.Random(seed).randrange(len(parts))
    order = parts[start:] + parts[:start] if one_stack else random.Random(seed).sample(parts, len(parts))
    held: list[int] = []
    if fold is None:
        wanted = min(max(1, round(share * len(pairs))), len(pairs) - 1)
        for members in order:
            if len(held) < wanted and len(held) + len(members) <= max(wanted, len(pairs) // 2):
                held += members
    else:
        number, count = _parse_fold(fold)
        if count > len(parts):
            raise InputError(f"{count} folds need {count} {what}; there are {len(parts)}.")
        folds: list[list[int]] = [[] for _ in range(count)]
        for place, members in enumerate(sorted(order, key=len, reverse=True)):
            (folds[place * count // len(order)] if one_stack else min(folds, key=len)).extend(members)
        held = folds[number - 1]
    chosen = set(held)
    return [p for i, p in enumerate(pairs) if i not in chosen], [p for i, p in enumerate(pairs) if i in chosen]


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


def _group(name: str, pattern: str) -> str:
    try:
        found = re.search(pattern, name)
    except re.error as error:
        raise InputError(f"A group is a regular expression; received {pattern!r}: {error}.") from error
    if found is None:
        raise InputError(f"Every name has a group; {pattern!r} finds nothing in {name!r}.")
    return found[1] if found.re.groups else found[0]


def _parse_fold(fold: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)/(\d+)", fold)
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (count >= 2 and 1 <= number <= count):
        raise InputError(f'A fold is "i/k", with k of 2 or more and i from 1 to k; received {fold!r}.')
    return number, count
