"""Folders of images and masks: which file belongs to which."""

from __future__ import annotations

import glob
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.masks import MaskFormat
from unet_tf.data.nodata import declared_nodata, fill_nodata, nodata_pixels, nodata_values
from unet_tf.data.pictures import SUFFIXES, count_pages, read_image, read_mask
from unet_tf.errors import InputError
from unet_tf.labels import VOID

SPLITS = ("train", "val", "test")
MASK_FOLDERS = ("masks", "labels", "instances")
"""The first one that is there holds the masks."""
MASK_SUFFIX = re.compile(r"[ _.-](masks?|labels?|seg|segmentation|gt|groundtruth)$", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """An image and its mask, named by the stem of the image file; `page` says which picture of two TIFF stacks."""

    name: str
    image: Path
    mask: Path
    page: int = 0


class Decoded(NamedTuple):
    """A pair as read.

    Attributes:
        image: (H, W, C) of the file's type.
        label: (H, W) uint8; void where the image has no measurement.
        objects: (H, W) object ids of instance masks.
        nodata: the values of the image that stand for "no measurement" (`unet_tf.data.nodata`).
    """

    image: NDArray
    label: NDArray[np.uint8]
    objects: NDArray | None = None
    nodata: tuple[float, ...] = ()

    @property
    def filled(self) -> NDArray:
        """(H, W, C) image whose pixels without a measurement have the median of the others."""
        return fill_nodata(self.image, self.nodata) if self.nodata else self.image


def read_pair(pair: Pair, masks: MaskFormat, image: NDArray | None = None) -> Decoded:
    """Read the image of a pair, its label, the object ids of an instance mask, and what stands for no measurement.

    Args:
        pair: the files.
        masks: how the mask says the classes.
        image: (H, W, C) of the pair, where it was read before; None to read it.

    Raises:
        InputError: a file cannot be decoded, the mask holds other values, or the sizes differ.
    """
    image = read_image(pair.image, pair.page) if image is None else image
    mask = read_mask(pair.mask, pair.page, masks.ids, masks.tolerance > 0)
    check_sizes(pair, image, mask)
    label = masks.label(mask, name=f"{pair.mask}{f', page {pair.page}' if pair.page else ''}")
    nodata = nodata_values(image, declared_nodata(pair.image))
    if nodata:
        label = np.where(nodata_pixels(image, nodata), np.uint8(VOID), label)
    return Decoded(image, label, mask if masks.kind == "instance" else None, nodata)


def check_sizes(pair: Pair, image: NDArray, mask: NDArray) -> None:
    """Raise InputError unless the decoded image and mask of a pair have one size."""
    sizes = [f"{height}x{width}" for height, width in (image.shape[:2], mask.shape[:2])]
    if sizes[0] != sizes[1]:
        raise InputError(
            f"Image and mask of a pair have one size: {pair.image} is {sizes[0]}, its mask {sizes[1]}. "
            "Export the mask at the size of the image."
        )


def list_pictures(folder: Path) -> list[Path]:
    """The picture files directly in `folder`, sorted by name; hidden ones and other types are left out."""
    return sorted(
        p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and not p.is_dir()
    )


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
                if not named[split]:
                    problems.append(f"{folder / f'{split}.txt'} names no pair.")
        return named, problems
    if lone := [f"{split}.txt" for split in SPLITS if (folder / f"{split}.txt").is_file()]:
        problems.append(
            f"Lists name the training pairs, too: {folder} has {' and '.join(lone)}, and no train.txt. Add it, or "
            "rename the others."
        )
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


def some(names: Iterable[str], most: int = 10) -> str:
    """The first few of some names, in order, and how many more there are."""
    ordered: Sequence[str] = sorted(names)
    return ", ".join(ordered[:most]) + (f" and {len(ordered) - most} more" if len(ordered) > most else "")


def find_pictures(inputs: Iterable[str | Path]) -> list[str]:
    """The absolute paths of picture files, of those in folders, and of those that patterns match.

    Raises:
        InputError: there is none, or none in one of the inputs.
    """
    found: dict[str, None] = {}
    for one in inputs:
        path = Path(one)
        if path.suffix == ".zarr":
            raise InputError(f"{one} is a zarr array, which is predicted into another: give --out NAME.zarr.")
        if path.is_dir():
            files = list_pictures(path)
        elif not path.exists() and glob.has_magic(str(one)):
            matches = sorted(glob.glob(str(one), recursive=True))  # noqa: PTH207 - patterns may be absolute
            files = [Path(match) for match in matches if _is_picture(match)]
        else:
            files = [path]  # one that is missing is reported with the others that cannot be read
        if not files:
            raise InputError(f"There is no picture to predict in {one}. Give picture files, or folders that hold some.")
        found |= dict.fromkeys(str(file.absolute()) for file in files)
    if not found:
        raise InputError("There is no picture to predict. Give picture files, or folders that hold some.")
    return list(found)


def _is_picture(file: str) -> bool:
    return Path(file).suffix.lower() in SUFFIXES and Path(file).is_file()


def title(pair: Pair) -> str:
    """Name of a pair that tells splits apart: "test/cells_000"."""
    return f"{pair.image.parent.parent.name}/{pair.name}"
