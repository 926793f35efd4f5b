"""Which file of a folder of masks answers for which picture, by the rules by which images and masks pair."""

from __future__ import annotations

import csv
import filecmp
import itertools
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from unet_tf.data.folder import PREDICTED, SPLIT_OF, Listing, Pair, scan_all, some, title
from unet_tf.data.layout import ANY
from unet_tf.data.matching import folding, keyed
from unet_tf.data.naming import DERIVED
from unet_tf.data.pictures import ARRAYS, TIFF, count_pages
from unet_tf.data.roles import ROLES, split_in
from unet_tf.errors import InputError
from unet_tf.pages.words import many

log = logging.getLogger("unet_tf")

INSTANCES = "_instances"
"""What `predict` puts behind the name of a picture for the ids of its objects."""
_SAYS = "|".join(sorted(DERIVED, reverse=True))
RESULT = re.compile(rf"^({_SAYS})[ _.-]+|[ _.-]+({_SAYS})$", re.IGNORECASE)
"""What tells results from pictures in names, as in NAME_prediction."""


class MaskFile(NamedTuple):
    """A picture in a folder of masks.

    Attributes:
        path: of the file.
        split: that the folders above it say, or "".
        name: its path below the folder, without suffix, split, and what folders of masks are called.
    """

    path: Path
    split: str
    name: str


def pair_masks(folder: Path, pairs: Sequence[Pair], data: Sequence[Pair]) -> dict[Pair, Path]:
    """Find the mask of each of some pictures in a folder and in the folders in it.

    Args:
        folder: of masks.
        pairs: the pictures, with the masks of the truth.
        data: all pairs of their data folder. The truth itself is taken only where nothing else fits, and the truth of
            another picture never.

    Folders of further pictures are said on the logger "unet_tf".

    Raises:
        InputError: a picture has no mask there, or several, or one that is another's too, or a stack has another number
            of pages than its mask.
    """
    files = find_masks(folder, data)
    truths = defaultdict[Path, set[Path]](set)
    for pair in data:
        truths[pair.mask.resolve()].add(pair.image)
    is_truth = {file.path: file.path.resolve() in truths for file in files}
    stacks = {pair.image for pair in data if pair.page}
    images = {pair.image: pair for pair in reversed(pairs)}  # the first page of each
    found: dict[Path, list[Path]] = {}
    for offered in ([file for file in files if not is_truth[file.path]], files):
        of_splits = (_match(images, offered, split, stacks) for split in dict.fromkeys(one.split for one in pairs))
        matched = {image: paths for some_found in of_splits for image, paths in some_found.items()}
        own = {
            image: [path for path in paths if not is_truth[path] or image in truths[path.resolve()]]
            for image, paths in matched.items()
        }
        found = max(found, {image: paths for image, paths in own.items() if paths}, key=_complete)
        if _complete(found) == len(images):
            break
    if lone := [title(images[image]) for image in images if image not in found]:
        raise InputError(
            f"Every picture that is judged must have a mask in {folder}; {len(lone)} of {len(images)} have none: "
            f"{some(lone, 5)}. Add them, give them the names of their pictures, or judge the files of one split "
            "(--split).",
            folder,
        )
    if several := [paths for paths in found.values() if len(paths) > 1]:
        named = some((path.relative_to(folder).as_posix() for path in several[0]), 3)
        raise InputError(
            f"Every picture that is judged must have one mask in {folder}; {len(several)} of {len(images)} have "
            f"several, such as {named}. Give the folder that holds those that are meant alone.",
            folder,
        )
    owners: dict[Path, Path] = {}
    for image, (path,) in found.items():
        if (other := owners.setdefault(path, image)) != image:
            raise InputError(
                f"A mask must belong to one picture; {path} may be that of {title(images[other])} and of "
                f"{title(images[image])}. Judge the files of one split (--split), or put masks into folders as the "
                "pictures are.",
                path,
            )
        _check_pages(image, path)
    used = {path.parent for paths in found.values() for path in paths}
    splits = {"", *(pair.split for pair in pairs)}
    spare = Counter(
        file.path.parent.relative_to(folder).as_posix()
        for file in files
        if not is_truth[file.path] and file.path.parent not in used and file.split in splits
    )
    if spare:
        unused = some(f"{count} in {name}" for name, count in spare.items())
        taken = some(path.relative_to(folder).as_posix() for path in used)
        log.warning(f"Pictures in {folder} that are not used: {unused}; the masks are those in {taken}.")
    return {pair: found[pair.image][0] for pair in pairs}


def find_masks(folder: Path, data: Sequence[Pair]) -> list[MaskFile]:
    """The pictures in a folder that may be masks: no image of the data, and of what `predict` wrote the masks alone.

    Raises:
        InputError: there is none.
    """
    images = {file.resolve() for pair in data for file in pair.files}
    worded = _worded(data)
    named = {path.stem for path in images}
    image_of = {pair.mask.stem: pair.image.stem for pair in data if pair.mask.stem not in named}
    files = [
        MaskFile(path, *_placed(path.relative_to(folder), SPLIT_OF | worded))
        for place, listing in scan_all(folder)
        for path in _masks_in(place, listing, image_of)
        if path.resolve() not in images
    ]
    beside = [file for file in files if not ROLES["images"].count(file.path.parent.name.lower())]
    if not files:
        raise InputError(f"A folder of masks must hold some; {folder} has no picture but images of the data.", folder)
    return beside or files


def _worded(data: Sequence[Pair]) -> dict[str, str]:
    """The split of the one folder, in lower case, in which all images of it lie, where a word in its name says it.

    There is none of a split that has a folder called by the word alone: what it holds may be `test_01` too. Of folders
    that all images share, which may lie above the data, the nearest is taken where none below says the split.
    """
    places = [pair.image.absolute().parent.parts for pair in data]
    shared = itertools.takewhile(lambda parts: len({*parts}) == 1, zip(*places, strict=False))
    above = sum(1 for _ in shared)
    said = defaultdict[str, set[str]](set)
    for pair, parts in zip(data, places, strict=True):
        nearest = (*parts[above:], *reversed(parts[:above]))
        names = [one.lower() for one in nearest if pair.split and split_in(one)[0] == pair.split]
        said[pair.split].add(next((one for one in names if one in SPLIT_OF), names[0] if names else ""))
    return {name: split for split, (name, *others) in said.items() if not others and name}


def foreign_predictions(files: Mapping[Pair, Path]) -> list[str]:
    """Say which masks `predict` made of other pictures than those that they are paired with, by its manifests.

    Pictures of several splits often have the same names.

    Args:
        files: picture -> mask.
    """
    notes = []
    for folder in sorted({file.parent for file in files.values()}):
        if not (folder / PREDICTED).is_file():
            continue
        made = {Path(row[0]).stem: Path(row[0]) for row in _manifest_rows(folder)}
        own = {pair.image: made.get(file.stem) for pair, file in files.items() if file.parent == folder}
        wrong = [f"{image} ({other})" for image, other in own.items() if other is not None and _differ(image, other)]
        if wrong:
            notes.append(
                f"Predicted from other pictures than those that they are judged on: {len(wrong)} of "
                f"{many(len(own), 'mask')} of {folder}, as its manifest says: {some(wrong, 2)}."
            )
    return notes


def _manifest_rows(folder: Path) -> Iterator[list[str]]:
    for path in sorted(folder.glob("manifest*.csv")):
        with suppress(OSError, csv.Error), path.open(newline="", encoding="utf-8", errors="surrogateescape") as rows:
            yield from (row for row in csv.reader(rows) if row[1:2] == ["done"])


def _differ(one: Path, other: Path) -> bool:
    """Whether two files are there, and hold other bytes."""
    try:
        return not one.samefile(other) and not filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def _masks_in(place: Path, listing: Listing, image_of: Mapping[str, str]) -> Iterator[Path]:
    """The pictures of a folder; of one that `predict` wrote without overlays, ids of objects and probabilities.

    Nor without what it made of the mask of a picture, where it was given those too.

    Args:
        place: the folder.
        listing: what it holds.
        image_of: name of a mask of the truth -> that of its picture, without suffixes.
    """
    names = {path.stem for path in listing.pictures if path.suffix.lower() not in ARRAYS}
    written = (place / PREDICTED).is_file()
    for path in listing.pictures:
        bare = path.stem if path.suffix.lower() in ARRAYS else re.sub(f"(_overlay|{INSTANCES})$", "", path.stem)
        beside = bare in names and (bare != path.stem or path.suffix.lower() in ARRAYS)
        if not (written and (beside or image_of.get(path.stem) in names)):
            yield path


def _placed(path: Path, split_of: Mapping[str, str]) -> tuple[str, str]:
    """The split that the folders of a path say, and the path without it and without folders called masks."""
    folders = [one for one in path.parts[:-1] if one.lower() not in ROLES["masks"]]
    splits = [split_of[one.lower()] for one in folders if one.lower() in split_of]
    left = [one for one in folders if one.lower() not in split_of]
    return splits[0] if splits else "", "/".join([*left, path.stem])


def _match(
    images: Mapping[Path, Pair], files: Sequence[MaskFile], split: str, stacks: set[Path]
) -> dict[Path, list[Path]]:
    """The files that may be the mask of each image of a split, in the way in which most have one."""
    wanted = {image: pair for image, pair in images.items() if pair.split == split}
    offered = [file for file in files if not split or file.split in ("", split)]
    names = {image: _whole(pair) if image in stacks else pair.name for image, pair in wanted.items()}
    plain = {file.path: file.name for file in offered}
    bare = {path: RESULT.sub("", name.rpartition("/")[2]) for path, name in plain.items()}
    ways = [
        (names, plain),
        (names, {path: f"{plain[path].rpartition('/')[0]}/{name}".lstrip("/") for path, name in bare.items()}),
        ({image: name.rpartition("/")[2] for image, name in names.items()}, bare),
        ({image: pair.mask.stem for image, pair in wanted.items()}, {path: path.stem for path in plain}),
    ]
    found: dict[Path, list[Path]] = {}
    for of_images, of_masks in ways:
        if len(set(of_images.values())) < len(of_images):
            continue  # p1/NAME and p2/NAME
        keys = keyed(of_images, of_masks, ANY)
        fold = folding(keys.images.values(), keys.masks.values())
        of_key = defaultdict[str, list[Path]](list)
        for path, key in keys.masks.items():
            of_key[fold(key)].append(path)
        matched = {image: of_key[fold(key)] for image, key in keys.images.items() if fold(key) in of_key}
        found = max(found, matched, key=_complete)
        if _complete(found) == len(wanted):
            break
    return found


def _complete(found: Mapping[Path, Sequence[Path]]) -> float:
    """How many images have a mask; one that has several counts half."""
    return sum(1 if len(paths) == 1 else 0.5 for paths in found.values())


def _whole(pair: Pair) -> str:
    """The name of a stack, of that of one of its pages."""
    return re.sub(rf"_0*{pair.page}$", "", pair.name)


def _check_pages(image: Path, mask: Path) -> None:
    """Raise InputError unless an image and its mask have one number of pages."""
    if {image.suffix.lower(), mask.suffix.lower()}.isdisjoint(TIFF):
        return
    counts = count_pages(image), count_pages(mask)
    if counts[0] != counts[1]:
        raise InputError(
            f"Two stacks that belong together must have one number of pages: {image} has {counts[0]}, {mask} "
            f"{counts[1]}.",
            mask,
        )
