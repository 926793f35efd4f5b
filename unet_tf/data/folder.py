"""Picture files in folders, and pairs of image and mask as they are read."""

from __future__ import annotations

import fnmatch
import glob
import itertools
import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.channels import ALL, Channelled, Channels
from unet_tf.data.georeference import check_places
from unet_tf.data.mask_values import object_ids
from unet_tf.data.masks import MaskFormat
from unet_tf.data.naming import DERIVED, MASK_WORDS, says
from unet_tf.data.nodata import fill_nodata, nodata_pixels, nodata_values
from unet_tf.data.pictures import RARE, SELDOM, SUFFIXES, UNREAD_SUFFIXES, count_pages, open_pictures, read_mask
from unet_tf.errors import InputError, about
from unet_tf.labels import VOID

log = logging.getLogger("unet_tf")

SPLITS = ("train", "val", "test")
OF_SYSTEMS = {"lost+found", "system volume information", "$recycle.bin", "@eadir"}
"""What lies on top of a disk and may not be read, in lower case."""
SPLIT_OF = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""What folders and lists of a split are called, in lower case."""
ZARR = ("zarr.json", ".zarray", ".zgroup")
"""One of these lies in the folder of a zarr array or group."""
PREDICTED, NET = "predict.json", "net"
"""What `predict` leaves in a folder of masks: its settings; the field in it that says where the net lay."""
OURS = (("files.csv", "data.json", "samples.png"), ("check.json", "overlays.png"), ("evaluation.json", "panels"))
"""What together marks a folder as one of `train`, `check` or `evaluate`, from its first picture on."""
PACKED = (".bz2", ".gz", ".xz", ".z", ".zip", ".zst")
"""What file names end in behind the suffix of what is packed, in lower case."""
BEGINNING = re.compile(
    rb"\x89PNG\r\n|\xff\xd8\xff|II[*+]\0|MM\0[*+]|GIF8[79]a|BM.{4}\0{4}|RIFF.{4}WEBP|\0\0\0\x0cjP  |.{128}DICM",
    re.DOTALL,
)
"""How pictures begin that people keep in files without a suffix."""
MASK_SUFFIX = re.compile(r"[ _.-](masks?|labels?|seg|segmentation|gt|groundtruth)$", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """An image and its mask.

    Attributes:
        name: tells the pairs of a split apart: the image's path below its folder, without the suffix.
        image: file.
        mask: file.
        page: which picture of two TIFF stacks.
        split: "train", "val" or "test" where the data folder says which; else "".
        others: files of the image's further channels.
        channels: which of its channels count.
    """

    name: str
    image: Path
    mask: Path
    page: int = 0
    split: str = ""
    others: tuple[Path, ...] = ()
    channels: Channels = ALL

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the image."""
        return self.image, *self.others

    def read(self) -> Channelled:
        """Read the image.

        Raises:
            InputError: a file cannot be read, or its channels are not those that are wanted.
        """
        with about(self.image):
            return self.channels.read(self.files, self.page)


@dataclass
class Found:
    """What a data folder holds.

    Attributes:
        splits: pairs by "train", "val", "test"; all under "" where nothing says.
        problems: what has to be mended before the pairs can be used, one text each.
        notes: what lies there and is not used, one text each.
        used: the folders whose files are used.
        channels: which channels of the images count.
        rules: how names of masks differ from those of their images, in words.
    """

    splits: dict[str, list[Pair]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    used: set[Path] = field(default_factory=set)
    channels: Channels = ALL
    rules: list[str] = field(default_factory=list, compare=False)

    def check(self) -> dict[str, list[Pair]]:
        """The pairs by split.

        Raises:
            InputError: there are problems.
        """
        words = " ".join(self.problems)
        if words and not all(" must " in one for one in self.problems):  # those that state no rule by themselves
            words = f"Every image must have one mask of the same name. {words} Add or remove these files."
        if words:
            raise InputError(words)
        return self.splits


class Decoded(NamedTuple):
    """A pair as read.

    Attributes:
        image: (H, W, C) of the file's type.
        label: (H, W) uint8; void where the image has no measurement.
        objects: (H, W) object ids of instance masks.
        nodata: the values of the image that stand for "no measurement" (`unet_tf.data.nodata`).
        names: of all channels of its files, "" for each that they do not name.
    """

    image: NDArray
    label: NDArray[np.uint8]
    objects: NDArray | None = None
    nodata: tuple[float, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def filled(self) -> NDArray:
        """(H, W, C) image whose pixels without a measurement have the median of the others."""
        return fill_nodata(self.image, self.nodata) if self.nodata else self.image


def read_pair(pair: Pair, masks: MaskFormat, read: Channelled | None = None) -> Decoded:
    """Read the image of a pair, its label, the object ids of an instance mask, and what stands for no measurement.

    Args:
        pair: the files.
        masks: how the mask says the classes.
        read: the image of the pair, where it was read before; None to read it.

    Raises:
        InputError: a file cannot be decoded, the mask holds other values, or the sizes differ.
    """
    image, names, declared = pair.read() if read is None else read
    nodata = nodata_values(image, declared)
    with about(pair.mask):
        mask = read_mask(pair.mask, pair.page, masks.ids, masks.tolerance > 0)
        check_sizes(pair, image, mask)
        label = masks.label(mask, name=f"{pair.mask}{f', page {pair.page}' if pair.page else ''}")
    if nodata:
        label = np.where(nodata_pixels(image, nodata), np.uint8(VOID), label)
    objects = object_ids(mask) if masks.kind == "instance" else None
    return Decoded(image, label, objects, nodata, names)


def check_sizes(pair: Pair, image: NDArray, mask: NDArray) -> None:
    """Raise InputError unless the decoded image and mask of a pair have one size, and its files lie on each other."""
    if pair.page == 0:
        check_places(*pair.files, pair.mask)
    sizes = [f"{height}x{width}" for height, width in (image.shape[:2], mask.shape[:2])]
    if sizes[0] != sizes[1]:
        remedy = "Export the mask at the size of the image."
        if image.shape[:2] == mask.shape[1::-1] and open_pictures(pair.image).orientation > 4:
            remedy = "The image is turned as its file says (orientation): turn the mask too."
        raise InputError(
            f"Image and mask of a pair must have one size: {pair.mask} is {sizes[1]}, its image {sizes[0]}. {remedy}",
            pair.mask,
        )


def pages(name: str, image: Path, mask: Path, split: str, faults: list[InputError]) -> list[Pair]:
    """One pair for each page that image and mask both have; none, and a fault, where they disagree."""
    try:
        counts = count_pages(image), count_pages(mask)
    except InputError as error:
        faults.append(error)
        return []
    if counts[0] != counts[1]:
        words = f"Two stacks that belong together must have one number of pages: {image} has {counts[0]}, its mask"
        faults.append(InputError(f"{words} {counts[1]}.", image))
        return []
    if counts[0] == 1:
        return [Pair(name, image, mask, 0, split)]
    digits = len(str(counts[0] - 1))
    return [Pair(f"{name}_{page:0{digits}d}", image, mask, page, split) for page in range(counts[0])]


class Listing(NamedTuple):
    """What lies directly in a folder, hidden things left out, each list sorted by name.

    Attributes:
        pictures: files that are read.
        unread: files of kinds of picture that are not read, or packed, or without a suffix, zarr arrays, which are no
            file, and those of a rare suffix, such as originals in BigTIFF, beside which a picture is called alike.
        folders: all other folders, but for those of `OURS`, which may lie in a data folder and are no part of it.
    """

    pictures: list[Path]
    unread: list[Path]
    folders: list[Path]


_listed: ContextVar[dict[Path, Listing] | None] = ContextVar("_listed", default=None)


@contextmanager
def listed_once() -> Iterator[None]:
    """A block, or a function, in which each folder is read once, whoever asks what lies in it."""
    token = _listed.set({})
    try:
        yield
    finally:
        _listed.reset(token)


def scan(folder: Path) -> Listing:
    """What lies directly in a folder.

    Raises:
        InputError: the folder cannot be read.
    """
    known = _listed.get()
    if known is None:
        return _scan(folder)
    if folder not in known:
        known[folder] = _scan(folder)
    return known[folder]


def _scan(folder: Path) -> Listing:
    found = Listing([], [], [])
    try:
        with os.scandir(folder) as entries:
            shown = (one for one in entries if not one.name.startswith(".") and one.name.lower() not in OF_SYSTEMS)
            visible = sorted((one.name, one.is_dir()) for one in shown)
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}. Check its permissions.", folder) from error
    for name, is_folder in visible:
        if is_folder and name.lower().endswith(".zarr"):
            found.unread.append(folder / name)
        elif is_folder:
            found.folders.extend([folder / name] * (not _is_ours(folder / name)))
        elif Path(name).suffix.lower() in SUFFIXES:
            found.pictures.append(folder / name)
        elif _is_unread(folder / name):
            found.unread.append(folder / name)
    pictures, originals = _parted(found.pictures)
    return Listing(pictures, sorted([*found.unread, *originals]), found.folders) if originals else found


def _parted(pictures: list[Path]) -> tuple[list[Path], list[Path]]:
    """Pictures, and those of a rare suffix, as originals in BigTIFF are, beside others that are called alike."""
    if not (rare := {path for path in pictures if path.suffix.lower() in RARE}):
        return pictures, []
    called = {path.with_suffix("") for path in pictures if path not in rare}
    originals = {path for path in rare if path.with_suffix("") in called}
    return [path for path in pictures if path not in originals], sorted(originals)


def has_pictures(folder: Path) -> bool:
    """Whether a picture file lies directly in a folder.

    Raises:
        InputError: the folder cannot be read.
    """
    return bool(scan(folder).pictures)


def _is_ours(folder: Path) -> bool:
    # without an error for a folder that may not be read
    return any(all(os.path.exists(folder / name) for name in names) for names in OURS)  # noqa: PTH110


def _is_unread(path: Path) -> bool:
    """Whether a file is a picture that is not looked at: of another kind, packed, or without a suffix."""
    kind = _kind(path.name)
    if kind or not path.is_file():
        others = (*UNREAD_SUFFIXES, *SELDOM, ".zarr")
        return kind in others or _unpacked(kind) in (*SUFFIXES, *others)
    with suppress(OSError), path.open("rb") as file:
        return BEGINNING.match(file.read(132)) is not None
    return False


def is_original(path: Path) -> bool:
    """Whether a file that is not read makes its folder one of pictures, as a packed or rare one does not."""
    return _kind(path.name).removesuffix(".gz") in (*UNREAD_SUFFIXES, ".zarr")


def _kind(name: str) -> str:
    """The suffix of a file name, in lower case; with the one before where it is packed."""
    return "".join(Path(name.lower()).suffixes[-2 if name.lower().endswith(PACKED) else -1 :])


def _unpacked(kind: str) -> str:
    """The suffix of what is packed; "" where nothing is."""
    suffix, _, packing = kind.rpartition(".")
    return suffix if f".{packing}" in PACKED else ""


def scan_all(folder: Path) -> Iterator[tuple[Path, Listing]]:
    """`scan` of a folder and of all folders in it; one that links lead to in several ways comes once."""
    left, seen = [folder], set[Path]()
    while left:
        one = left.pop()
        if (real := one.resolve()) in seen:
            continue
        seen.add(real)
        listing = scan(one)
        yield one, listing
        left += reversed(listing.folders)


def list_pictures(folder: Path) -> list[Path]:
    """The picture files directly in `folder`, sorted by name; hidden ones and other types are left out."""
    return scan(folder).pictures


def unread_note(files: Sequence[Path]) -> str:
    """Say which files are of kinds that are not read: how many of each suffix, the first names, the remedy."""
    counts = Counter(_kind(file.name) for file in files)
    kinds = ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in sorted(counts.items()))
    packed = [suffix for suffix in sorted(counts) if _unpacked(suffix) in (*SUFFIXES, ".zarr")]
    beside = ", or beside a picture called alike" * (not counts.keys().isdisjoint(RARE))
    note = f"Not read, as of another kind{beside}: {kinds} ({some((file.name for file in files), 5)})."
    if set(counts) - {"", ".zarr", *RARE, *packed}:
        note += " Save them as PNG or TIFF."
    if packed:
        note += f" Unpack those that end in {', '.join(packed)}."
    if "" in counts:
        note += " Give those without a suffix that of their kind, such as .png."
    if ".zarr" in counts:
        note += " A zarr array is predicted by itself, with --out NAME.zarr."
    return note


def _deeper(folder: Path, inner: Sequence[Path]) -> str:
    """Say which folders in a folder hold pictures, which are not looked for there; "" where none does.

    Masks are no such pictures, of people or of `predict`, and what may not be read says nothing.
    """
    names = []
    for one in inner:
        with suppress(InputError):
            masks = says(one.name, MASK_WORDS | DERIVED) or (one / PREDICTED).exists()
            names += [one.name] * (not masks and has_pictures(one))
    return f"Folders in {folder} are not looked into: {some(names)}. Give them too." if names else ""


def some(names: Iterable[str], most: int = 10) -> str:
    """The first few of some names, in order, and how many more there are."""
    ordered: Sequence[str] = sorted(names)
    return ", ".join(ordered[:most]) + (f" and {len(ordered) - most} more" if len(ordered) > most else "")


def alike(faults: Iterable[InputError]) -> list[str]:
    """A text for all errors that differ in nothing but the file: the first one, and the names of the others' files."""
    groups: dict[str, list[InputError]] = defaultdict(list)
    for fault in faults:
        groups[str(fault).replace(str(fault.file), "")].append(fault)
    return [
        f"{first} So it is with {some((str(other.file) for other in others), 5)}." if others else str(first)
        for first, *others in groups.values()
    ]


def find_pictures(inputs: Iterable[str | Path]) -> list[str]:
    """The absolute paths of picture files, of those in folders, and of those that patterns match, each once.

    Files in a folder, or of a pattern, that are pictures of a kind that is not read are named on the logger "unet_tf",
    and so are folders in a folder that hold pictures: they are not looked into.

    Raises:
        InputError: there is none, or none in one of the inputs.
    """
    found: dict[tuple[str, Path], Path] = {}
    unread: dict[Path, None] = {}
    for one in inputs:
        path, deeper = Path(one), ""
        if path.suffix.lower() == ".zarr" or any((path / name).exists() for name in ZARR):
            raise InputError(f"{one} is a zarr array, which is predicted into another: give --out NAME.zarr.", path)
        if path.is_dir():
            files, left, folders = scan(path)
            deeper = _deeper(path, folders)
        elif not path.exists() and glob.has_magic(str(one)):
            matches = [Path(match) for match in sorted(glob.glob(str(one), recursive=True))]  # noqa: PTH207 - patterns may be absolute
            shown = [match for match in matches if match.suffix.lower() in SUFFIXES and not match.is_dir()]
            files, left = _parted(shown)
            left += [match for match in matches if _is_unread(match)]
        else:
            files, left = [path], []  # one that is missing is reported with the others that cannot be read
        if not files:
            raise InputError(
                f"There is no picture to predict in {one}. Give picture files, or folders that hold some."
                + (f" {unread_note(left)}" if left else "")
                + (f" {deeper}" if deeper else ""),
                path,
            )
        if deeper:
            log.warning(deeper)
        unread |= dict.fromkeys(left)
        for file in files:  # two names of one file are two pictures, two ways to one name are one
            found.setdefault((file.name, file.resolve()), file.absolute())
    if not found:
        raise InputError("There is no picture to predict. Give picture files, or folders that hold some.")
    if unread:
        log.warning(unread_note(list(unread)))
    return [str(file) for file in found.values()]


def finding(inputs: Iterable[str | Path]) -> Callable[[Path], bool]:
    """A function that says of an absolute path whether folders and patterns would find a picture file there.

    Args:
        inputs: as `find_pictures` takes them; files that are named one by one find no other.
    """
    names, patterns = defaultdict[Path, set[str]](set), set[tuple[str, ...]]()
    for path in map(Path, inputs):
        if path.is_dir():
            names[path.resolve()].add("*")
        elif not path.exists() and glob.has_magic(str(path)):
            patterns.add(path.resolve().parts)
            # folders that are there, too: a link may lead to one by another name
            above, name = (path, "*") if path.name == "**" else (path.parent, path.name)
            for one in glob.glob(f"{above}/", recursive=True):  # noqa: PTH207 - as in `find_pictures`
                names[Path(one).resolve()].add(name)
    return lambda file: (
        file.suffix.lower() in SUFFIXES
        and (
            any(_matches((file.name,), (name,)) for name in names.get(file.parent, ()))
            or any(_matches(file.parts, pattern) for pattern in patterns)
        )
    )


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path is one that `glob.glob` finds by a pattern, each in its parts."""
    if not parts or not pattern:
        return not parts and set(pattern) <= {"**"}
    if pattern[0] == "**":
        shown = list(itertools.takewhile(lambda part: not part.startswith("."), parts))
        return any(_matches(parts[count:], pattern[1:]) for count in range(len(shown) + 1))
    is_shown = parts[0][:1] != "." or pattern[0][:1] == "."
    return is_shown and fnmatch.fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def pictures_of(files: Sequence[str], channels: Channels) -> list[str]:
    """Of the files of each picture the first one, in the order in which they came.

    A file whose picture is not whole stands for itself: whoever reads it says what is missing.

    Raises:
        InputError: not one picture is whole: a file ends in none of the suffixes of channels, or others are missing.
    """
    if not channels.suffixes:
        return [*files]
    if not any(channels.whole(Path(file)) for file in files):
        channels.files(Path(files[0]))
    return list(dict.fromkeys(str(channels.files(Path(f))[0]) if channels.whole(Path(f)) else f for f in files))


def title(pair: Pair) -> str:
    """Name that tells the pairs of a data folder apart: "test/cells_000", or "cells_000" where it has no splits."""
    return f"{pair.split}/{pair.name}" if pair.split else pair.name
