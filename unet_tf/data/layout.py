"""What a data folder says: which files belong together, and which are for training, validation and test."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from unet_tf.data.channels import Channels
from unet_tf.data.folder import (
    MASK_SUFFIX,
    SPLIT_OF,
    Found,
    Listing,
    Pair,
    alike,
    has_pictures,
    listed_once,
    pages,
    scan,
    scan_all,
    some,
    unread_note,
)
from unet_tf.data.lists import find_lists, look_over, read_pairs, unused_note
from unet_tf.data.matching import folding, keyed, part, several_masks
from unet_tf.data.naming import Affix, Naming
from unet_tf.data.pictures import SUFFIXES
from unet_tf.data.places import places_of
from unet_tf.data.roles import (
    ROLES,
    Place,
    a_file_per_object,
    are_of_objects,
    by_folders,
    check_said,
    holds_pictures,
    look_for_predicted,
    mixed_note,
    only_folder,
    others_of_split,
    settle,
    split_in,
)
from unet_tf.errors import InputError
from unet_tf.pages.words import many

EXPECTED = (
    "expected images/NAME.png and masks/NAME.png, or NAME.png and NAME_mask.png "
    f"({', '.join(suffix[1:] for suffix in SUFFIXES)}), directly or in train/, val/ and test/. "
    "Other folders are said by --images-dir and --masks-dir. A list train.txt, IMAGE MASK a line, says any pairs."
)

ANY = Naming()
"""Nothing is said: the files tell."""


@listed_once()
def find_named(folder: str | Path, naming: Naming = ANY, channels: Channels | None = None) -> Found:
    """The pairs of a data folder, as far as its files say what is for training, validation and test.

    Args:
        folder: holds `train.txt` (and `val.txt`, `test.txt`) with a line for each pair (`unet_tf.data.lists`); or
            `train/`, `val/`, `test/` of pairs; or pairs. Pairs are `images/NAME` with `masks/NAME`, or `NAME` with
            `NAME_mask` beside it. docs/layouts.md has the other names and layouts that are understood.
        naming: what is said of folders and names where the files do not tell.
        channels: which channels of the images count, and which files make one image; None for all, of one file.

    Returns:
        The pairs by split, what is wrong with them, and what is not used.

    Raises:
        InputError: there is no such folder, or none that `naming` says, or a list holds no text.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            f"{folder} is a file. Give the folder that holds images/ and masks/."
            if folder.is_file()
            else f"There is no folder {folder}. Give the folder that holds images/ and masks/."
        )
    check_said(folder, naming)
    found = _find(folder, naming, channels or Channels())
    found.notes += _unused(folder, found.used)
    return found


def _find(folder: Path, naming: Naming, channels: Channels) -> Found:
    """`find_named`, but for what is not used: who looked into the only folder names it from his own."""
    found, looked = Found(channels=channels), None
    if lists := find_lists(folder, found):
        layout = Found(channels=found.channels)
        for split, place in places_of(folder, layout, naming, worded=False).items():  # lists say the splits
            layout.splits[split] = match(place, split, layout, naming)
        read_pairs(folder, lists, layout.splits, found)
        found.rules.append(f"as {', '.join(path.name for path in lists.values())} says")
        if not all(found.splits.values()):
            found.problems += layout.problems  # may be why names are not known
    else:
        _match_all(folder, found, naming)
        if not any(found.splits.values()) and (inside := only_folder(folder, naming)):
            below = _find(inside, naming, channels)
            if any(below.splits.values()) or len(below.problems) > 1:
                found, looked = below, inside
        elif not (any(found.splits.values()) or found.used):
            deeper = [str(path) for path in scan(folder).folders if _holds_pairs(path, naming, channels)]
            words = f"If the pairs of {' or of '.join(deeper[:3])} are meant, give that folder."
            found.problems += [words] * bool(deeper)
    found.splits = {split: _with_channels(pairs, found) for split, pairs in found.splits.items()}
    if lists:  # which may name a picture by any of its files
        look_over(lists, found)
    for split, pairs in found.splits.items():
        counts = Counter(name for name, *_ in {(pair.name, pair.image, pair.page) for pair in pairs})
        if twice := [name for name, count in counts.items() if count > 1]:
            found.problems.append(f"{split or folder}: more than one pair is called {some(twice)}. Rename one of them.")
    if not lists and len(found.splits) < 2:  # else the splits are said
        found.notes += filter(None, [unused_note(folder, looked, found)])
    return found


def _holds_pairs(folder: Path, naming: Naming, channels: Channels) -> bool:
    """Whether there are pairs in a folder, and nothing is wrong with them."""
    found = Found(channels=channels)
    _match_all(folder, found, naming)
    return any(found.splits.values()) and not found.problems


def _match_all(folder: Path, found: Found, naming: Naming) -> None:
    """Pair the pictures of each split by the folders in which they lie; only those for training need have masks."""
    places = places_of(folder, found, naming)
    for split, place in places.items():
        if split in ("val", "test") and any(found.splits.values()) and (bare := _bare(place, split, naming)):
            found.used |= {path.parent for path in bare}
            found.notes.append(
                f"{place.images} holds {many(len(bare), 'picture')} and no masks: nothing is judged by them. "
                "predict segments them."
            )
            continue
        before = len(found.problems)
        found.splits[split] = match(place, split, found, naming)
        said = len(found.problems) > before
        # val/ alone can be judged by
        if not found.splits[split] and not said and not (place == Place(folder) and len(places) > 1):
            unread = scan(place.images).unread
            words = f"{place.images} has no pair of image and mask: {EXPECTED}"
            found.problems.append(f"{words} {unread_note(unread)}" if unread else words)
    pool = [pair for split in ("", "train") for pair in found.splits.get(split, ())]
    found.notes += filter(None, [mixed_note(folder, pool)])


def _with_channels(pairs: list[Pair], found: Found) -> list[Pair]:
    """The pairs, told which channels count, and those of a list of files the files of their other channels."""
    channels, whole, faults = found.channels, [], list[InputError]()
    for pair in pairs:
        try:
            files = pair.files if pair.others else channels.files(pair.image)
            whole.append(replace(pair, image=files[0], others=files[1:], channels=channels))
        except InputError as error:
            faults.append(error)
    found.problems += alike(faults)
    return whole


def _for_test(images: dict[Path, str], masks: dict[Path, str], naming: Naming) -> tuple[dict[Path, str], list[Path]]:
    """Images, and those called test that have no mask while all called train have: test-volume beside train-volume."""
    if len(masks) >= len(images):
        return images, []
    others = {path: name for path, name in images.items() if split_in(path.stem)[0] == "train"}
    rest = [path for path in images if path not in others]
    apart = others and rest and all(split_in(path.stem)[0] == "test" for path in rest)
    return (others, rest) if apart and keyed(others, masks, naming).one_to_one else (images, [])


def _spare(names: dict[Path, str], channels: Channels) -> tuple[Path, ...]:
    """Files beside masks of a said name that are no channel of an image, as masks of another kind are."""
    spare = tuple(path for path, name in names.items() if channels.suffixes and not channels.ends(name))
    return spare if len(spare) < len(names) else ()  # or else the suffixes are wrong


def _joined(names: dict[Path, str], found: Found) -> tuple[dict[Path, str], dict[Path, tuple[Path, ...]]]:
    """Names of images by their first file, and the files of the further channels of each."""
    if not found.channels.suffixes:
        return names, {}
    groups, problems = found.channels.join(names)
    found.problems += problems
    return {files[0]: name for name, files in groups.items()}, {files[0]: files[1:] for files in groups.values()}


def _bare(place: Place, split: str, naming: Naming) -> dict[Path, str]:
    """Names of the pictures of a place without a single mask, as archives of challenges have them in test/ and val/.

    In that of val/ nothing else may lie that could be masks: who means to validate by it shall know.
    """
    if place.masks is not None and (split == "val" or holds_pictures(place.masks)):
        return {}
    if split == "val" and others_of_split(place.images, split):
        return {}
    images, masks = _beside(place.images, naming, split)
    return {} if masks else images


def match(place: Place, split: str, found: Found, naming: Naming = ANY) -> list[Pair]:
    """Pair the pictures of a place by name, sorted by it; what cannot be paired goes to the problems.

    `p1/NAME` in the folder of images belongs to `p1/NAME` in that of masks. NAME_mask, NAME_label or NAME_seg belongs
    to NAME there too, and so do other names that differ in constant parts (`unet_tf.data.matching`). The pages of two
    TIFF stacks are pairs of their own. Names are equal whatever the Unicode form of their letters, and, where that
    leaves no doubt, whatever their case.
    """
    place = settle(place, found)
    of_masks = place.masks or place.images
    images, masks = _beside(place.images, naming, split) if place.masks is None else _apart(place.images, place.masks)
    several = {} if naming.says_mask else several_masks(images, masks if place.masks else images | masks)
    if several and not masks:
        found.problems.append(_have_several(several, place.images))
        return []
    if place.masks is None and not masks:
        found.problems += _no_masks(place.images, images, naming)
        return []
    found.used |= {path.parent for path in (*images, *masks)} | {folder for folder in place if folder}
    look_for_predicted(place, {path.parent for path in masks}, found, naming)
    spare = _spare(images, found.channels) if naming.says_mask and place.masks is None else ()
    images, others = _joined({path: name for path, name in images.items() if path not in spare}, found)
    images, of_test = _for_test(images, masks, naming)
    if of_test:
        found.notes.append(
            f"Called test in {place.images}, and without a mask: {some(path.name for path in of_test)}. Nothing is "
            "judged by what has none; predict segments it."
        )
    keys = keyed(images, masks, naming)
    if both_roles := images.keys() & masks.keys():
        found.problems.append(f"Images and masks must be other files; both roles have {some(map(str, both_roles))}.")
        return []
    if keys.problem:
        found.problems.append(f"{of_masks}: {keys.problem}")
        return []
    if unused := (*keys.unused, *spare):
        names = some(path.name for path in unused)
        found.notes.append(f"Pictures in {of_masks} that are neither image nor mask: {names}.")
    fold = folding(keys.images.values(), keys.masks.values())
    of_image = _by_name(keys.images, fold, place.images, found)
    of_mask = _by_name(keys.masks, fold, of_masks, found)
    both = of_image.keys() & of_mask.keys()
    if not both and are_of_objects(images, masks):
        found.problems.append(a_file_per_object(of_masks, masks))
        return []
    bare, left = ({path for key, path in one.items() if key not in both} for one in (of_image, of_mask))
    flags = " --mask-suffix and --mask-prefix say which files are masks." * (not bare and not naming.says_mask)
    further = {path for paths in several.values() for path in paths}
    if further & (bare | left):
        found.problems.append(_have_several(several, of_masks))
        bare = {path for path in bare - further if images[path] not in several}
        left -= further
    if lone := [images[path] for path in bare]:
        there = f"in {place.masks}" if place.masks else f"(NAME_mask) in {place.images}"
        hint = "" if found.channels.suffixes else _channels_hint(lone, {masks[path] for path in left})
        found.problems.append(f"{many(len(lone), 'image')} without a mask {there}: {some(lone)}.{hint}")
    if lone := [(keys.masks if keys.plain else masks)[path] for path in left]:
        found.problems.append(f"{many(len(lone), 'mask')} without an image in {place.images}: {some(lone)}.{flags}")
    faults: list[InputError] = []
    named = sorted((images[of_image[key]], key) for key in both)
    pairs = [pair for name, key in named for pair in pages(name, of_image[key], of_mask[key], split, faults)]
    found.problems += alike(faults)
    if pairs and (rule := f"{keys.rule} in {_in_words(place, pairs[0])}") not in found.rules:
        found.rules.append(rule)
    return [replace(pair, others=others.get(pair.image, ())) for pair in pairs]


def _no_masks(folder: Path, images: dict[Path, str], naming: Naming) -> list[str]:
    """What is wrong with a folder without masks; nothing where who looks for folders that are not used says it."""
    if naming.masks and images and not (folder / naming.masks).is_dir():
        return [f"The masks of {folder} must lie in a folder {naming.masks}, as --masks-dir says; there is none."]
    if folder.name.lower() in ROLES["images"]:
        names = ", ".join(f"{name}/" for name in ("masks", "labels", "instances", "annotations"))
        unread = [path for _, listing in scan_all(folder.parent) for path in listing.unread]
        note = f" {unread_note(unread)}" if unread else ""
        return [
            f"{folder.parent} has {folder.name}/ and no pictures in any of {names}.{note}",
            f"The masks of {folder} must lie in one of these, or where --masks-dir says.",
        ]
    said = Affix(naming.mask_prefix, naming.mask_suffix)
    return [f"{folder} holds no mask {said}. Correct {said.flags}."] if naming.says_mask and images else []


def _channels_hint(images: Sequence[str], masks: set[str]) -> str:
    """Say how files are channels of one image, where each mask has equally numbered ones: nnU-Net's NAME_0000, .."""
    stems, ends = {name.rpartition("_")[0] for name in images}, {name.rpartition("_")[2] for name in images}
    if len(ends) < 2 or stems != masks or len(images) != len(stems) * len(ends):
        return ""
    suffixes = ",".join(f"_{end}" for end in sorted(ends))
    return f" Where they are channels of one image, say --channel-suffix {shlex.quote(suffixes)}."


def _in_words(place: Place, first: Pair) -> str:
    """Where pairs lie: the names of the folders, with those above where they are called alike."""
    if place.masks is None:
        ways = zip(first.image.parent.parts, first.mask.parent.parts, strict=False)
        apart = next((way for way in ways if way[0] != way[1]), None)  # p1/images and p1/masks
        return f"{apart[0]}/ and {apart[1]}/ of each folder" if apart else "one folder"
    depth = 2 if place.masks.name == place.images.name else 1  # images/train and masks/train
    return " and ".join(f"{'/'.join(path.parts[-depth:])}/" for path in (place.images, place.masks))


def _have_several(several: dict[str, list[Path]], folder: Path) -> str:
    """Say that images have several masks, which number their objects or pieces."""
    files = some((path.stem for paths in several.values() for path in paths), 5)
    count = many(len(several), "image has", "images have")
    plain = all(any(MASK_SUFFIX.search(path.stem) for path in paths) for paths in several.values())
    return (
        f"An image must have one mask; in {folder} {count} several: {files}. Join those of an image into one: what is "
        "in none is background." + " --mask-suffix takes those of one name alone." * plain
    )


def _apart(images: Path, masks: Path) -> tuple[dict[Path, str], dict[Path, str]]:
    """Names of images and of masks in two folders, and in folders that both of these have."""
    found: tuple[dict[Path, str], dict[Path, str]] = ({}, {})
    for folder, listing in scan_all(images):
        below = folder.relative_to(images)
        if (masks / below).is_dir():
            found[0].update(_names(listing, below))
            found[1].update(_names(scan(masks / below), below))
    return found


def _beside(folder: Path, naming: Naming, split: str) -> tuple[dict[Path, str], dict[Path, str]]:
    """Names of images, and of masks beside them: in a folder, or in those below one that holds no picture itself.

    Folders of another split, such as val/, are no part of what lies beside them; zip files make test/test/.
    """
    below = [(folder, scan(folder))] if has_pictures(folder) else scan_all(folder)
    own = [(one.relative_to(folder), listing) for one, listing in below]
    own = [(at, listing) for at, listing in own if not at.parts or SPLIT_OF.get(at.parts[0].lower(), split) == split]
    names = {path: name for one, listing in own for path, name in _names(listing, one).items()}
    least = 1 if split else 2  # a split may have one patient
    parts = by_folders(names, least) or part(names, naming)
    if parts[1] or naming.images or naming.masks:
        return parts
    return by_folders(names, least, worded=True) or parts


def _names(listing: Listing, below: Path) -> dict[Path, str]:
    return {path: (below / path.stem).as_posix() for path in listing.pictures}


def _by_name(names: dict[Path, str], fold: Callable[[str], str], folder: Path, found: Found) -> dict[str, Path]:
    counts = Counter(map(fold, names.values()))
    if twice := {name for name in names.values() if counts[fold(name)] > 1}:
        found.problems.append(f"{folder}: more than one file for {some(twice)}. Keep one for each name.")
    return {fold(name): path for path, name in names.items()}


def _unused(folder: Path, used: set[Path]) -> list[str]:
    """What lies in a data folder and is not used, in words: folders that hold pictures, files that are not read."""
    above = {path for one in used for path in (one, *one.parents)}
    real = {path.resolve() for path in used}
    pictures: Counter[Path] = Counter()
    unread: list[Path] = []
    for path, listing in scan_all(folder):
        if path in used or path.resolve() in real:
            unread += listing.unread
            continue
        whole = [one for one in (path, *path.parents) if folder in one.parents and one not in above]
        pictures[whole[-1] if whole else path] += len(listing.pictures) + len(listing.unread)  # the highest of these
    counted = {path.relative_to(folder).as_posix(): count for path, count in pictures.items() if count}
    where = some(f"{count} in {'the folder itself' if path == '.' else path}" for path, count in counted.items())
    notes = [f"Pictures in {folder} that are not used: {where}."] if counted else []
    return notes + ([unread_note(unread)] if unread else [])
