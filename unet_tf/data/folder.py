"""Folders of images and masks: which file belongs to which, and which pairs are for training, validation and test."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.masks import MaskFormat, Palette, read_palette
from unet_tf.data.pictures import SUFFIXES, count_pages, read_image, read_mask
from unet_tf.errors import InputError

SPLITS = ("train", "val", "test")
MASK_FOLDERS = ("masks", "labels", "instances")
"""The first one that is there holds the masks."""
MASK_SUFFIX = re.compile(r"[ _.-](masks?|labels?|seg|segmentation|gt|groundtruth)$", re.IGNORECASE)
PALETTE_FILE = "label_colors.txt"


@dataclass(frozen=True)
class Pair:
    """An image and its mask, named by the stem of the image file; `page` says which picture of two TIFF stacks."""

    name: str
    image: Path
    mask: Path
    page: int = 0


class Decoded(NamedTuple):
    """A pair as read: image (H, W, C) of the file's type, label (H, W) uint8, object ids (H, W) of instance masks."""

    image: NDArray
    label: NDArray[np.uint8]
    objects: NDArray | None


def read_pair(pair: Pair, masks: MaskFormat) -> Decoded:
    """Read the image of a pair, its label, and the object ids of an instance mask.

    Raises:
        InputError: a file cannot be decoded, the mask holds other values, or the sizes differ.
    """
    image = read_image(pair.image, pair.page)
    mask = read_mask(pair.mask, pair.page, masks.ids, masks.tolerance > 0)
    if image.shape[:2] != mask.shape[:2]:
        raise InputError(
            f"Image and mask of a pair have one size: {pair.image} is {_size(image)}, {pair.mask} is {_size(mask)}. "
            "Export the mask at the size of the image."
        )
    label = masks.label(mask, name=f"{pair.mask}{f', page {pair.page}' if pair.page else ''}")
    return Decoded(image, label, mask if masks.kind == "instance" else None)


def _size(array: NDArray) -> str:
    return f"{array.shape[0]}x{array.shape[1]}"


def list_pictures(folder: Path) -> list[Path]:
    """The picture files directly in `folder`, sorted by name; hidden ones and other types are left out."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def find_palette(folder: Path) -> Palette | None:
    """The classes by colour that `label_colors.txt` in a data folder lists; None without that file."""
    return read_palette(folder / PALETTE_FILE) if (folder / PALETTE_FILE).is_file() else None


def match(folder: Path) -> tuple[list[Pair], list[str]]:
    """Pair the pictures of a folder: `images/NAME` with `masks/NAME`, or `NAME` with `NAME_mask` beside it.

    Instead of masks/, the folder of masks may be labels/ or instances/; there too a NAME_mask, NAME_label or NAME_seg
    belongs to NAME. The pages of two TIFF stacks are pairs of their own.

    Returns:
        The pairs, sorted by name, and the problems in words: unpaired files, stems that stand twice.
    """
    if (folder / "images").is_dir():
        there = next((folder / name for name in MASK_FOLDERS if (folder / name).is_dir()), None)
        if there is None:
            return [], [f"{folder} has images/ and none of {', '.join(f'{name}/' for name in MASK_FOLDERS)}."]
        images, masks = list_pictures(folder / "images"), list_pictures(there)
        where = f" in {folder / 'images'}", f" in {there}"
    else:
        pictures = list_pictures(folder)
        masks = [picture for picture in pictures if MASK_SUFFIX.search(picture.stem)]
        images = [picture for picture in pictures if not MASK_SUFFIX.search(picture.stem)]
        where = f" in {folder}", f" (NAME_mask) in {folder}"
    stems = {picture.stem for picture in images}
    problems: list[str] = []
    of_image = _by_name({picture: picture.stem for picture in images}, problems)
    of_mask = _by_name({mask: mask.stem if mask.stem in stems else _bare(mask.stem) for mask in masks}, problems)
    if lone := of_image.keys() - of_mask.keys():
        problems.append(f"{len(lone)} images without a mask{where[1]}: {some(lone)}.")
    if lone := of_mask.keys() - of_image.keys():
        problems.append(f"{len(lone)} masks without an image{where[0]}: {some(lone)}.")
    pairs: list[Pair] = []
    for name in sorted(of_image.keys() & of_mask.keys()):
        pairs += _pages(name, of_image[name], of_mask[name], problems)
    return pairs, problems


def _bare(stem: str) -> str:
    return MASK_SUFFIX.sub("", stem)


def _by_name(names: dict[Path, str], problems: list[str]) -> dict[str, Path]:
    counts = Counter(names.values())
    if twice := [name for name, count in counts.items() if count > 1]:
        folder = next(iter(names)).parent
        problems.append(f"{folder}: more than one file for {some(twice)}. Keep one for each name.")
    return {name: path for path, name in names.items()}


def _pages(name: str, image: Path, mask: Path, problems: list[str]) -> list[Pair]:
    """One pair for each page that image and mask both have; none, and a problem, where they disagree."""
    try:
        pages = count_pages(image), count_pages(mask)
    except InputError as error:
        problems.append(str(error))
        return []
    if pages[0] != pages[1]:
        problems.append(
            f"Two stacks that belong together have one number of pages: {image} has {pages[0]}, {mask} has {pages[1]}."
        )
        return []
    if pages[0] == 1:
        return [Pair(name, image, mask)]
    digits = len(str(pages[0] - 1))
    return [Pair(f"{name}_{page:0{digits}d}", image, mask, page) for page in range(pages[0])]


def find_named(folder: str | Path) -> tuple[dict[str, list[Pair]], list[str]]:
    """The pairs of a data folder, as far as its files say what is for training, validation and test.

    Args:
        folder: holds `train.txt` (and `val.txt`, `test.txt`) with a line for each pair: its NAME, or IMAGE MASK as
            paths from `folder`, parted by a comma, a tab or blanks; or `train/`, `val/`, `test/`, each as in `match`;
            or is itself as in `match`.

    Returns:
        Pairs by "train", "val", "test"; all under "" where nothing says. And the problems in words.

    Raises:
        InputError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            f"{folder} is a file. Give the folder that holds images/ and masks/."
            if folder.is_file()
            else f"There is no folder {folder}. Give the folder that holds images/ and masks/."
        )
    problems: list[str] = []
    named = {}
    if (folder / "train.txt").is_file():
        for split in SPLITS:
            if (folder / f"{split}.txt").is_file():
                named[split] = _read_list(folder, folder / f"{split}.txt", problems)
        return named, problems
    splits = [split for split in SPLITS if (folder / split).is_dir()]
    for split in splits or [""]:
        named[split], found = match(folder / split)
        problems += found
        if not named[split]:
            problems.append(
                f"{folder / split} has no pair of image and mask: expected images/NAME.png and masks/NAME.png, or "
                f"NAME.png and NAME_mask.png ({', '.join(s[1:] for s in SUFFIXES)}), directly or in train/, val/ and "
                "test/."
            )
    if splits and "train" not in named:
        named["train"], found = match(folder)
        problems += found
    return named, problems


def _read_list(folder: Path, path: Path, problems: list[str]) -> list[Pair]:
    """The pairs of a list file."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text: {error}. It lists a NAME, or IMAGE MASK, a line.") from error
    known = {pair.name: pair for pair in match(folder)[0]}
    pairs: list[Pair] = []
    wrong = []
    for line in filter(None, lines):
        names = re.split(r"\s*[,\t]\s*", line) if re.search(r"[,\t]", line) else line.split()
        paths = [folder / name for name in names]
        if line in known or Path(line).stem in known:
            pairs.append(known[line if line in known else Path(line).stem])
        elif len(paths) == 2 and all(one.is_file() for one in paths):
            pairs += _pages(paths[0].stem, paths[0], paths[1], problems)
        else:
            wrong.append(line)
    if wrong:
        problems.append(
            f"A line of {path} is the NAME of a pair, or IMAGE MASK as paths from {folder}; these name no files: "
            f"{some(wrong)}."
        )
    return pairs


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

    Args:
        pairs: what to split.
        share: of the pairs to hold out, in (0, 1), at least one group.
        seed: the same seed and names give the same split.
        group: regular expression; pairs in whose names it finds the same text (its first group, if it has one) are of
            one patient, volume or video, and are held out together. None: every pair stands alone.
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
    groups: dict[str, list[int]] = {}
    for index, pair in enumerate(pairs):
        groups.setdefault(_group(pair.name, group) if group else str(index), []).append(index)
    what = f"groups by {group!r}" if group else "pairs"
    if len(groups) < 2:
        raise InputError(f"Training needs 2 {what}, one of them for validation; found {len(groups)}.")
    order = random.Random(seed).sample(list(groups.values()), len(groups))
    if fold is None:
        held: list[int] = []
        while order[1:] and len(held) < max(1, round(share * len(pairs))):
            held += order.pop(0)
    else:
        number, count = _parse_fold(fold)
        if count > len(groups):
            raise InputError(f"{count} folds need {count} {what}; there are {len(groups)}.")
        folds: list[list[int]] = [[] for _ in range(count)]
        for members in sorted(order, key=len, reverse=True):
            min(folds, key=len).extend(members)
        held = folds[number - 1]
    chosen = set(held)
    return [p for i, p in enumerate(pairs) if i not in chosen], [p for i, p in enumerate(pairs) if i in chosen]


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


def some(names: Iterable[str], most: int = 10) -> str:
    """The first few of some names, in order, and how many more there are."""
    ordered: Sequence[str] = sorted(names)
    return ", ".join(ordered[:most]) + (f" and {len(ordered) - most} more" if len(ordered) > most else "")
