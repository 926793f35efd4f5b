"""Where the pairs of each split of a data folder lie, as the names of its folders say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from unet_tf.data.folder import MASK_SUFFIX, SPLIT_OF, SPLITS, Found, has_pictures, list_pictures, scan, some
from unet_tf.data.naming import Naming
from unet_tf.data.roles import (
    ROLES,
    SHORT,
    Place,
    Roles,
    guess,
    holds_pictures,
    look_for_rivals,
    may_have,
    said_folders,
    told_apart,
)

_SPLIT = f"(?P<split>{'|'.join(sorted(SPLIT_OF, reverse=True))})"
_ROLE = f"(?P<role>{'|'.join(sorted((name for names in ROLES.values() for name in names), reverse=True))})"
_NAMES = [re.compile(pattern) for pattern in (_SPLIT, _ROLE, f"{_SPLIT}[ _.-]?{_ROLE}", f"{_ROLE}[ _.-]?{_SPLIT}")]


def places_of(folder: Path, found: Found, naming: Naming, worded: bool = True) -> dict[str, Place]:
    """Where the pairs of each split lie; of "" where nothing says a split, or words alone and these do not count."""
    named = _roles(folder, found, naming)
    for split in _empty(((split, path) for (split, _), path in named.items()), found):
        named = {key: path for key, path in named.items() if key[0] != split}
    if worded and not named and not has_pictures(folder):
        named = {(split, ""): path for split, path in told_apart(scan(folder).folders).items()}
    places: dict[str, Place] = {}
    for split in SPLITS if not said_folders(folder, naming) else ():
        whole, images, masks = (named.get((split, role)) for role in ("", "images", "masks"))
        if whole is not None:
            roles = _roles(whole, found, naming)
            called = {("", role): path for (of, role), path in roles.items() if of == split}  # train/train-img
            inside = _inside(whole, called | roles, found, naming)
            places[split] = Place(whole, masks) if inside == Place(whole) else inside
        elif images is not None:
            places[split] = Place(images, masks)
    if "train" in places:
        return places
    own = _inside(folder, named, found, naming)
    below, of_masks = _below(own, found, own.images != folder, worded and not places)
    if not below and len(of_masks) < 2:
        return {"train" if places else "": own, **places}
    if below and "train" not in below:
        found.problems.append(f"{own.images} must hold train/ beside {', '.join(p.name for p in below.values())}/.")
    lone = below.keys() ^ of_masks.keys() if own.masks else set[str]()
    lone -= {"test"} - of_masks.keys()  # test/ may have no masks
    if lone:
        found.problems.append(
            f"{own.images} and {own.masks} must hold the same splits; one of them lacks {some(lone)}. Give it "
            f"folders of these names, or list the pairs in {folder / 'train.txt'} and val.txt, IMAGE MASK a line."
        )
    there = [split for split in SPLITS if split in below and split not in lone]
    return places | {split: Place(below[split], of_masks.get(split)) for split in there}


def _below(place: Place, found: Found, named: bool, worded: bool) -> tuple[dict[str, Path], dict[str, Path]]:
    """Folders of images and those of masks in a place, by split, as their names say or, called alike, words in them."""
    images, masks = place
    below = _splits(images, found) if named else {}
    of_masks = _splits(masks, found) if below and masks else {}
    if masks and not below and has_pictures(images) and not has_pictures(masks):  # or else they are two kinds of masks
        if any((images / path.name).is_dir() for path in scan(masks).folders):
            return {}, {}  # the pictures between the folders of images are what has no mask
        there = {split: path for split, path in _splits(masks, found).items() if holds_pictures(path)}
        return {}, there or (told_apart(scan(masks).folders) if worded else {})
    for split in _empty((*below.items(), *of_masks.items()), found):
        below.pop(split, None)
        of_masks.pop(split, None)
    if worded and not below and not has_pictures(images):
        folders = scan(images).folders
        both = [path for path in folders if masks is None or (masks / path.name).is_dir()]
        below = told_apart(both or (folders if masks and has_pictures(masks) else ()))
        of_masks = {split: masks / p.name for split, p in below.items() if (masks / p.name).is_dir()} if masks else {}
    return below, of_masks


def _empty(folders: Iterable[tuple[str, Path]], found: Found) -> list[str]:
    """The splits of which no folder holds a picture, each of which is noted."""
    of: dict[str, list[Path]] = {}
    for split, path in folders:
        of.setdefault(split, []).append(path)
    empty = [split for split, paths in of.items() if split and not any(map(holds_pictures, paths))]
    found.notes += [f"{of[split][0]} holds no picture, and is taken as if it were not there." for split in empty]
    return empty


def _roles(folder: Path, found: Found, naming: Naming) -> Roles:
    """Folders in a folder by what a person, their names, or words in their names say."""
    said, named = said_folders(folder, naming), _named(folder, found, naming)
    if ("", "masks") in named and not naming.masks:
        look_for_rivals(folder, named["", "masks"], found)
    if not said and {split for split, _ in named} <= {"val"} and not has_pictures(folder):
        named |= _of_nnunet(folder)
    named |= said
    return named | guess(folder, named, found, naming)


def _of_nnunet(folder: Path) -> Roles:
    """The folders of nnU-Net for training and test, where both have images: imagesTr, imagesTs, labelsTr, labelsTs."""
    called = {path.name: path for path in scan(folder).folders}
    roles = {
        (SHORT[end.lower()], role): called[f"{word}{end}"]
        for role, word in (("images", "images"), ("masks", "labels"))
        for end in ("Tr", "Va", "Ts")
        if f"{word}{end}" in called and holds_pictures(called[f"{word}{end}"])
    }
    return roles if roles.keys() >= {("train", "images"), ("test", "images"), ("train", "masks")} else {}


def _named(folder: Path, found: Found, naming: Naming) -> Roles:
    """Folders in a folder by what their names say: a split or "", and a role or ""."""
    candidates: dict[tuple[str, str], list[Path]] = {}
    for path in scan(folder).folders:
        read = next(filter(None, (pattern.fullmatch(path.name.lower()) for pattern in _NAMES)), None)
        said = read.groupdict() if read else {}
        split = SPLIT_OF.get(said.get("split", ""), "")
        role = next((role for role, names in ROLES.items() if said.get("role") in names), "")
        if (split or role) and may_have(role, path, naming):
            candidates.setdefault((split, role), []).append(path)
    named = {}
    for (split, role), paths in candidates.items():
        filled = [path for path in paths if holds_pictures(path)]
        if split and len({path.resolve() for path in filled}) > 1:
            found.problems.append(
                f"{' and '.join(path.name for path in filled)} in {folder} mean the same split, {split}. Put their "
                "files into one folder."
            )
        if filled or role != "masks":  # annotations may be no pictures
            order = {name: place for place, name in enumerate(ROLES.get(role, ()))}
            named[split, role] = min(filled or paths, key=lambda path: (order.get(path.name.lower(), 0), path.name))
    return named


def _splits(folder: Path, found: Found) -> dict[str, Path]:
    return {split: path for (split, role), path in _named(folder, found, Naming()).items() if split and not role}


def _inside(folder: Path, named: Roles, found: Found, naming: Naming) -> Place:
    """Where images and masks lie in a folder that is not split any further."""
    images, masks = named.get(("", "images")), named.get(("", "masks"))
    if images is None and masks is not None and naming.images:
        found.problems.append(
            f"The images of {masks} must lie in a folder {naming.images} beside it, as --images-dir says; {folder} has "
            "none. Call it so, or move these masks away."
        )
        return Place(folder)
    if (
        images is None
        and masks is not None
        and not naming.masks
        and any(MASK_SUFFIX.search(p.stem) for p in list_pictures(folder))
    ):
        return Place(folder)  # NAME_mask lies beside NAME
    return Place(images or folder, masks)
