"""Which folders hold images and which hold masks, where no folder is called by one word for it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from unet_tf.data.folder import (
    MASK_SUFFIX,
    PREDICTED,
    SPLIT_OF,
    SPLITS,
    Found,
    Pair,
    has_pictures,
    is_original,
    scan,
    scan_all,
    some,
)
from unet_tf.data.matching import Names
from unet_tf.data.naming import DERIVED, IMAGE_WORDS, MASK_WORDS, OR_JOIN, Naming, says, tokens, words
from unet_tf.errors import InputError

ROLES = {
    "images": ("images", "image", "imgs", "img", "jpegimages"),
    "masks": ("masks", "mask", "labels", "label", "instances", "annotations", "annotation", "annots", "annot",
              "segmentationclass"),
}  # fmt: skip
"""What folders of images and of masks are called, in lower case; the first one that holds pictures is taken."""
WORDS = {"images": IMAGE_WORDS, "masks": MASK_WORDS}
OF_LABELS = frozenset(("mask", "masks", "label", "labels", "gt"))
"""What images in a folder of masks may be of; labeled images were drawn on."""
LAB = frozenset(("lab", "labs"))
"""Labels, beside the word of a split; elsewhere a lab may be a place, or a space of colours."""
FLAGS = {"images": "--images-dir", "masks": "--masks-dir"}
GLUED = re.compile(r"(?<=\w)(set|data|crops?)$")
"""What may stand behind the word of a split without a seam: trainset, testdata, valcrop."""
SHORT = {
    "tr": "train", "trn": "train", "trainval": "train", "va": "val", "eval": "val", "te": "test", "ts": "test",
    "tst": "test", "holdout": "test", "heldout": "test",
}  # fmt: skip
"""Words that may stand for a split in the name of a folder, in lower case, and for other things."""
LIKELY = re.compile("train|val|dev|test", re.IGNORECASE)
"""What the name of a file holds in which a word of a split may stand."""
MOST_NAMED = 5
"""Folders that are named of those that may be meant."""
Roles = dict[tuple[str, str], Path]
"""(split or "", role or "") -> folder."""


class Place(NamedTuple):
    """The folders of the images and of the masks of a split; no folder of masks where these lie beside the images."""

    images: Path
    masks: Path | None = None


def holds_pictures(folder: Path) -> bool:
    """Whether a folder, or one in it, holds a picture, or an original of a kind that is not read."""
    return any(listing.pictures or any(map(is_original, listing.unread)) for _, listing in scan_all(folder))


def only_folder(folder: Path, naming: Naming) -> Path | None:
    """The folder in which all pictures of a folder lie, as an archive makes it; None where there is none such.

    It holds the folders, too, that a person says.
    """
    listing = scan(folder)
    filled = [path for path in listing.folders if holds_pictures(path)]
    alone = len(filled) == 1 and not listing.pictures and filled[0].name.lower() not in SPLIT_OF
    said = filter(None, (naming.images, naming.masks))
    return filled[0] if alone and all((filled[0] / one).is_dir() for one in said) else None


def said_folders(folder: Path, naming: Naming) -> Roles:
    """The folders that a person says, as far as they lie here."""
    said = (("images", naming.images), ("masks", naming.masks))
    return {("", role): folder / one for role, one in said if one and (folder / one).is_dir()}


def check_said(folder: Path, naming: Naming) -> None:
    """Raise InputError where a folder that a person says lies neither here nor in a folder here."""
    for role, one in (("images", naming.images), ("masks", naming.masks)):
        if one and not any((place / one).is_dir() for place in (folder, *scan(folder).folders)):
            there = some(path.name for path in scan(folder).folders) or "none"
            raise InputError(
                f"{FLAGS[role]} must be a folder in {folder}, or in each of its splits; received {one!r}. The folders "
                f"there: {there}."
            )


def may_have(role: str, folder: Path, naming: Naming) -> bool:
    """Whether a folder may have a role: where a person says another folder for it, this must lie in it."""
    said = {"images": naming.images, "masks": naming.masks}.get(role)
    return not said or (folder / said).is_dir()


def guess(folder: Path, named: Roles, found: Found, naming: Naming) -> Roles:
    """The folders that are left, by words in their names, such as gtFine; images are what alone is left beside masks.

    Args:
        folder: holds them.
        named: folders whose role is known.
        found: gets a problem where two folders may have one role.
        naming: what a person says; no other folder has that role.
    """
    if any(split and not role for split, role in named):
        return {}
    here = scan(folder).pictures
    beside = [*here, *(scan(named["", "images"]).pictures if ("", "images") in named else [])]
    if any(MASK_SUFFIX.search(path.stem) for path in beside):
        return {}
    read: dict[tuple[str, str], list[Path]] = {}
    for path in scan(folder).folders:
        taken = path in named.values() or path.name.lower() in SPLIT_OF or says(path.name, DERIVED)
        if not taken and holds_pictures(path):
            read.setdefault(_read(path.name), []).append(path)
    guessed: Roles = {}
    for split in sorted({split for split, _ in (*read, *named)}):
        if (split, "masks") in read and _hold_pairs(folder, [*read.get((split, ""), []), *read[split, "masks"]], found):
            continue
        for role, other in (("masks", "images"), ("images", "masks")):
            known = (split, other) in named or (split, other) in guessed or len(read.get((split, other), [])) == 1
            paths = read.get((split, role), [])
            if not paths and known:
                paths = [path for path in read.get((split, ""), []) if not _is_shared(path, named)]
                if role == "masks":
                    paths = [path for path in paths if _may_hold_masks(path, split)]
                paths = paths if len(paths) == 1 else []
            paths = [path for path in paths if may_have(role, path, naming)]
            if (split, role) in named or (here and role == "images"):
                continue
            if len(paths) == 1:
                guessed[split, role] = paths[0]
            elif paths:
                found.problems.append(which(role, folder, paths, OR_JOIN * (role == "masks")))
    whole = [split for split in {split for split, _ in guessed} if here or (split, "images") in {**named, **guessed}]
    return {(split, role): path for (split, role), path in guessed.items() if split in whole}


def split_in(name: str, known: Mapping[str, str] = SPLIT_OF) -> tuple[str, str]:
    """The split that a word in a name says, and the name with "*" in its place; ("", "") where none or two say one.

    Args:
        name: of a folder or a file.
        known: the split of each word, in lower case.

    Example:
        >>> split_in("uavid_Train2017"), split_in("testset"), split_in("test-dev"), split_in("trainer")
        (('train', 'uavid_*2017'), ('test', '*'), ('', ''), ('', ''))
    """
    parts = tokens(name)
    said = [known.get(part.lower()) or known.get(GLUED.sub("", part.lower()), "") for part in parts]
    rest = "".join("*" if split else part.lower() for part, split in zip(parts, said, strict=True))
    found = [split for split in said if split]
    return (found[0], rest) if len(found) == 1 else ("", "")


def told_apart(folders: Iterable[Path]) -> dict[str, Path]:
    """Folders by split where the word of a split is all that tells them apart, as train2017 and val2017.

    None where one of them says none, two say the same, or none is for training: these may be patients or classes.
    """
    read = {path: split_in(path.name) for path in folders if not says(path.name, DERIVED)}
    said = {path: split for path, (split, _) in read.items() if split}
    if "train" not in said.values() or any(path not in said and holds_pictures(path) for path in read):
        return {}  # names are looked at first, as there may be many folders
    filled = {path: split for path, split in said.items() if holds_pictures(path)}
    named = {split: path for path, split in filled.items()}
    alike = len(named) == len(filled) > 1 and len({read[path][1] for path in filled}) == 1
    return {split: named[split] for split in SPLITS if split in named} if alike and "train" in named else {}


def others_of_split(images: Path, split: str) -> list[Path]:
    """Folders that may hold masks of a split, or shall: in the folder of its images, beside it, or called like it."""
    inside, beside = (
        [path for path in scan(folder).folders if path != images and not says(path.name, DERIVED)]
        for folder in (images, images.parent)
    )
    if len(inside) == 1 and not has_pictures(images):
        inside = []  # the images lie there
    if _read(images.name)[0] == split != _read(images.parent.name)[0]:  # val/, beside which other splits lie
        beside = [path for path in beside if _read(path.name)[0] == split]
    return [path for path in (*inside, *beside) if _read(path.name)[1] == "masks" or holds_pictures(path)]


def mixed_note(folder: Path, pairs: Iterable[Pair]) -> str:
    """Say that folders or files called like several splits are taken together; "" where none are.

    Args:
        folder: the data folder.
        pairs: those that are taken together, in the order of their names.
    """
    shapes: dict[str, Path] = {}  # of names without numbers, which are few
    parents: dict[Path, None] = {}
    for pair in pairs:
        parents.setdefault(pair.image.parent)
        if LIKELY.search(pair.image.name):
            shapes.setdefault(re.sub(r"\d+", "0", pair.image.stem), pair.image)
    folders = dict.fromkeys(
        above for parent in parents for above in (parent, *parent.parents) if folder in above.parents
    )
    read = {one: split_in(one.name, SHORT | SPLIT_OF)[0] for one in folders}
    called: dict[str, Path] = {}  # the first of each split
    for path, split in [*read.items(), *((image, split_in(shape)[0]) for shape, image in shapes.items())]:
        if not any(read.get(above) for above in path.parents):  # what lies in train/ is said to be
            called.setdefault(split, path)
    if len(called.keys() - {""}) < 2:
        return ""
    listed = ", ".join(called[split].relative_to(folder).as_posix() for split in SPLITS if split in called)
    return (
        f"Called like splits, and taken together: {listed}. If they are splits, lay them into folders train/, val/ and "
        "test/, or list their names in train.txt, val.txt and test.txt."
    )


def which(role: str, folder: Path, paths: list[Path], or_join: str = "") -> str:
    """Say that several folders may hold the images, or the masks, and the options that choose, and what else may be."""
    below = [path.relative_to(folder).as_posix() for path in paths]
    few, more = below[:MOST_NAMED], f" or in {len(below) - MOST_NAMED} more" * (len(below) > MOST_NAMED)
    options = " or ".join(f"{FLAGS[role]} {shlex.quote(one)}" for one in few)
    return f"The {role} may lie in {' or in '.join(few)}{more} in {folder}. Choose one: {options}.{or_join}"


def a_file_per_object(folder: Path, files: Iterable[Path]) -> str:
    """Say that each image has many files of masks, as DSB2018 has them; names that come again may be of classes."""
    names = [path.name for path in files]
    whose, ids = "each object", "object ids"
    if len({*names}) < len(names):
        whose, ids = "a class, or an object,", "ids of classes or objects"
    return (
        f"An image must have one mask; in {folder} {whose} has a file of its own. Join those of an image into one of "
        f"{ids}: 0 is background, and 1, 2, .. one each."
    )


def are_of_objects(images: Names, masks: Names) -> bool:
    """Whether several images lie in a folder each, with masks in the same ones, and more of these.

    Args:
        images: file -> its path, without what tells images from masks.
        masks: likewise.
    """
    of_images, of_masks = ([name.rpartition("/")[0] for name in names.values()] for names in (images, masks))
    alone = 1 < len({*of_images}) == len(of_images) < len(of_masks)
    return alone and {*of_masks} == {*of_images}


def settle(place: Place, found: Found) -> Place:
    """The place with folders that hold nothing but one folder of pictures replaced by this, as annotations/trimaps."""
    if place.masks is None:
        return place
    folders = [place.images, place.masks]
    for number, role in enumerate(ROLES):
        while not has_pictures(folders[number]):
            own, other = folders[number], folders[1 - number]
            below = [path for path in scan(own).folders if holds_pictures(path) and not other.is_relative_to(path)]
            if inside := role == "images" and other.is_relative_to(own):  # own is the data folder, or a split's
                below = [path for path in below if _may_hold_images(path.name)]
            if not below or any((other / path.name).is_dir() for path in below):
                break
            if len(below) > 1:
                stems = {path.stem for path in scan(other).pictures}
                if role == "masks" and stems.issuperset(path.name for path in below):
                    files = [file for path in below for file in scan(path).pictures]
                    found.problems.append(a_file_per_object(own, files))
                elif stems:
                    found.problems.append(
                        which(role, own if inside else own.parent, below, OR_JOIN * (role == "masks"))
                    )
                break
            folders[number] = below[0]
    return Place(*folders)


def by_folders(
    names: dict[Path, str], least: int, worded: bool = False
) -> tuple[dict[Path, str], dict[Path, str]] | None:
    """Images and masks of p1/images/NAME and p1/masks/NAME, by their path without this folder; None where it is not so.

    Args:
        names: file -> its path below a folder, without the suffix.
        least: how many such as p1 there are.
        worded: whether words say roles, as in p1/images_png; all images are of one kind of file then.
    """
    found: dict[str, dict[Path, str]] = {role: {} for role in ROLES}
    for path, name in names.items():
        *folders, stem = name.split("/")
        for role, called in ROLES.items():
            left = [one for one in folders if (_read(one)[1] != role if worded else one.lower() not in called)]
            if len(left) == len(folders) - 1 and (left or not worded):
                found[role][path] = "/".join([*left, stem])
    several = len({name.split("/")[0] for name in names.values()}) >= least
    if worded and len({path.suffix.lower() for path in found["images"]}) != 1:  # png/ and tif/ may hold the same
        return None
    whole = several and found["masks"] and sum(map(len, found.values())) == len(names)
    return (found["images"], found["masks"]) if whole else None


def look_for_rivals(folder: Path, masks: Path, found: Found) -> None:
    """A problem where masks drawn by hand lie beside a folder of masks: in DRIVE and HRF this is the field of view."""
    rivals = [path for path in scan(folder).folders if path != masks and "manual" in words(path.name)]
    if filled := [path for path in rivals if holds_pictures(path)]:
        found.problems.append(which("masks", folder, [*filled, masks]))


def look_for_predicted(place: Place, masks: set[Path], found: Found, naming: Naming) -> None:
    """Masks that `predict` wrote are no truth: a problem where others lie beside them and nobody chose, else a note.

    Args:
        place: of images and masks.
        masks: the folders in which the masks lie that are taken.
        found: gets the problem or the note.
        naming: where a person says which masks are meant.
    """
    for folder in sorted(path for path in masks if (path / PREDICTED).is_file()):
        own = folder.parent if split_in(folder.name)[0] and not _read(folder.name)[1] else folder  # masks/train
        like = (_read(own.name)[0], "masks")
        there = scan(own.parent).folders if place.masks else []  # else the folder above is another's
        beside = [path for path in there if path != own and _read(path.name) == like and not says(path.name, DERIVED)]
        others = [path / folder.relative_to(own) for path in beside]
        truth = [path for path in others if path.is_dir() and has_pictures(path) and not (path / PREDICTED).is_file()]
        words = f"The masks in {folder} were written by predict ({PREDICTED})"
        if truth and not naming.masks:
            rivals = [path for path, other in zip(beside, others, strict=True) if other in truth]
            found.problems.append(f"{words}. {which('masks', own.parent, [*rivals, own])}")
        else:
            found.notes.append(f"{words}: they are the truth only where a person has corrected them.")


def _read(name: str) -> tuple[str, str]:
    """The split and the role that words in the name of a folder say; "" for what they do not."""
    roles = [role for role in ROLES if says(name, WORDS[role])]
    splits = {SPLIT_OF[word] for word in words(name) if word in SPLIT_OF}
    return splits.pop() if len(splits) == 1 else "", roles[0] if len(roles) == 1 else ""


def _hold_pairs(folder: Path, paths: Iterable[Path], found: Found) -> bool:
    """Whether several folders hold pairs each, whatever they are called; a problem where they seem to be copies."""
    sets = {path.name: files for path in paths if (files := _pairs_in(path))}
    if same := sorted(name for name in sets if [*sets.values()].count(sets[name]) > 1):
        found.problems.append(
            f"Folders of pairs must hold different pictures; those of {' and '.join(same)} in {folder} have files of "
            "the same names and sizes. Give one of these folders, or list the pairs of all in train.txt."
        )
    return len(sets) > 1


def _pairs_in(folder: Path) -> frozenset[tuple[str, int]]:
    """Names and sizes of the pictures in a folder that holds NAME with NAME_mask, or images/ with masks/; else none."""
    pictures, paired = list[Path](), False
    for _, listing in scan_all(folder):
        stems = {path.stem for path in listing.pictures}
        called = {path.name.lower() for path in listing.folders}
        paired |= any((bare := MASK_SUFFIX.sub("", stem)) != stem and bare in stems for stem in stems)
        paired |= all(called.intersection(known) for known in ROLES.values())
        pictures += listing.pictures
    sizes = ((path.name, path.stat().st_size if path.exists() else 0) for path in pictures if paired)
    return frozenset(sizes)


def _may_hold_masks(folder: Path, split: str) -> bool:
    """Whether a folder beside one of images may be that of the masks of a split: images of labels are labels."""
    of_labels = says(folder.name, IMAGE_WORDS) and says(folder.name, OF_LABELS) and "with" not in words(folder.name)
    return (of_labels or bool(split and says(folder.name, LAB))) and not _pairs_in(folder)


def _may_hold_images(name: str) -> bool:
    """Whether a folder beside one of masks may be that of the images, as far as its name says."""
    return _read(name) in (("", ""), ("", "images")) and not says(name, DERIVED)


def _is_shared(path: Path, named: Roles) -> bool:
    """Whether a folder is one of those that images and masks both have, such as p1 beside masks/p1."""
    return any((one / path.name).is_dir() for one in named.values())
