"""The same image twice in a data folder: by its pixels, or nearly, turned and mirrored too."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from unet_tf.data.folder import Pair, some
from unet_tf.planning.inspection import Case, Look
from unet_tf.utils.signals import look

COPY = 0.98
"""Correlation of two thumbnails, without their coarse brightness, from which they show the same thing."""


def copy_warnings(cases: Sequence[Case], drawn: bool) -> list[str]:
    """Warn of the same image twice. Between splits that is a leak; pages of one stack are alike by themselves.

    Scores leave out exact copies of training images (`unet_tf.data.fingerprint.identity`), and no others.

    Args:
        cases: the pairs of all splits.
        drawn: whether the validation files were drawn at random.
    """
    first: dict[str, int] = {}
    same: set[tuple[int, int]] = set()
    for number, case in enumerate(cases):
        if (known := case.look.fingerprint) is not None and first.setdefault(known.sha256, number) != number:
            same.add((first[known.sha256], number))
    near = near_copies([case.look for case in cases], [case.split for case in cases]) - same
    warnings = []
    for (found, nearly), leak, pages in itertools.product(
        ((same, ""), (near, "nearly ")), (True, False), (False, True)
    ):
        pairs = [(cases[a], cases[b]) for a, b in sorted(found)]
        pairs = [(a, b) for a, b in pairs if (a.split != b.split, _one_stack(a.pair, b.pair)) == (leak, pages)]
        if not pairs:
            continue
        times = "once" if len(pairs) == 1 else f"{len(pairs)} times"
        what = "page of a stack" if pages else "image"
        harm = ", so that scores flatter the net" if nearly else _harm({one.split for both in pairs for one in both})
        where = f"in two splits{harm}" if leak else "twice in a split"
        names = some((f"{a.name} = {b.name}" for a, b in pairs), 5)
        remedy = " Keep related images together with --group." if leak and drawn else ""
        if pages:
            remedy = " Neighbouring pages are alike: stacks of their own to be judged by say more." if leak else ""
        warnings.append(f"{times} {nearly}the same {what} {where}: {names}.{remedy}")
    return warnings


def _harm(splits: set[str]) -> str:
    """What the very same image in several splits spoils, and what not."""
    chosen, known = "the best epoch may be chosen by it", "scores leave out what the net was trained on"
    return f" ({'; '.join([chosen] * ('val' in splits) + [known] * ('train' in splits))})"


def _one_stack(one: Pair, other: Pair) -> bool:
    return one.image == other.image and one.page != other.page


def near_copies(looks: Sequence[Look], splits: Sequence[str]) -> set[tuple[int, int]]:
    """Pairs of numbers whose thumbnails correlate by `COPY`, in one of the eight ways to turn and mirror one.

    Each image is paired with the first before it in each split alone: a thousand frames that are all alike make a
    thousand pairs, not half a million.
    """
    numbers = [n for n, one in enumerate(looks) if one.thumbnail is not None]
    if not numbers:
        return set()
    pictures = np.stack([one.thumbnail for one in looks if one.thumbnail is not None])
    flat = pictures.reshape(len(pictures), -1)
    of = np.array([splits[n] for n in numbers])
    found = set()
    for start in range(0, len(flat), 1024):
        look()
        block = pictures[start : start + 1024]
        before = flat[: start + len(block)]
        alike = np.zeros((len(block), len(before)), bool)
        for turns in range(4):
            for mirrored in (False, True):
                turned = np.rot90(block[:, :, ::-1] if mirrored else block, turns, (1, 2))
                alike |= turned.reshape(len(block), -1) @ before.T > COPY
        alike = np.tril(alike, start - 1)
        for split in set(splits):
            there = alike & (of[: len(before)] == split)
            rows = np.flatnonzero(there.any(1))
            firsts = there[rows].argmax(1)
            found |= {(numbers[a], numbers[start + b]) for a, b in zip(firsts.tolist(), rows.tolist(), strict=True)}
    return found
