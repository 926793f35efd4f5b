"""Binary masks to object ids: each 8-connected piece is an object, and gets a number."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.channels import Channels
from unet_tf.data.folder import Found, Pair, read_pair, scan_all, unread_note
from unet_tf.data.instances import find_instances
from unet_tf.data.layout import find_named, match
from unet_tf.data.mask_kind import MaskSettings, is_soft, recognise
from unet_tf.data.mask_values import whole_numbers
from unet_tf.data.masks import MaskFormat
from unet_tf.data.palette import find_palette
from unet_tf.data.pictures import count_pages, read_mask, write_picture, write_stack
from unet_tf.data.roles import Place
from unet_tf.data.unknown_values import UnknownValues
from unet_tf.errors import InputError
from unet_tf.labels import VOID
from unet_tf.utils.progress import Progress
from unet_tf.utils.signals import look
from unet_tf.utils.threads import ahead, cores

MASKS = "masks"
"""What --from calls them."""
MIDDLE = 128
"""Distance in 8-bit values up to which soft edges are taken for the nearer of the two values."""
TOP = 255
"""The upper value, at least, of masks that may have soft edges."""
MOST_16 = (1 << 16) - 1


class Numbered(NamedTuple):
    """What was numbered.

    Attributes:
        pictures: with a mask; pages of stacks count.
        objects: in their masks.
        notes: what is not used, a sentence each.
    """

    pictures: int
    objects: int
    notes: list[str]


def number_pieces(source: Path, images: Path | None, out: Path, channels: Channels, on_picture: Progress) -> Numbered:
    """Copy pictures into a new data folder, beside masks of object ids: 1, 2, .. in reading order, 16 or 32 bits.

    Soft edges fall to the nearer value. Pieces that touch, corners too, are one object. Splits and folders stay.

    Args:
        source: a data folder of pictures and binary masks; or a folder of masks, with that of the pictures beside it.
        images: folder of the pictures; None where `source` is a data folder.
        out: an empty folder that is there.
        channels: which files make one picture.
        on_picture: called with (pictures done, pictures in all).

    Raises:
        InputError: pictures and masks do not pair or cannot be read, a list names a stack in part, masks are not
            binary, or no pixel is foreground.
    """
    found = _pairs(source, images, channels)
    pairs = [pair for some in found.check().values() for pair in some]
    files = _by_file(pairs)
    masks = _binary(pairs, source)
    objects = 0
    for done, count in enumerate(ahead(partial(_write, out, masks), files, cores()), start=1):
        objects += count
        on_picture(done, len(files))
        look()
    if not objects:
        raise InputError(f"The masks of {source} must have a foreground pixel at least; they have none.", source)
    return Numbered(len(pairs), objects, found.notes)


def _pairs(source: Path, images: Path | None, channels: Channels) -> Found:
    if images is None:
        return find_named(source, channels=channels)
    for folder in (source, images):
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}. Give that of the masks, and with --images the pictures.")
    found = Found(channels=channels)
    found.splits[""] = match(Place(images, source), "", found)
    if not (found.splits[""] or found.problems):
        unread = {file for folder in (source, images) for _, listing in scan_all(folder) for file in listing.unread}
        note = f" {unread_note(sorted(unread))}" if unread else ""
        found.problems.append(
            f"{source} must hold masks of pictures in {images}; it holds none that is read.{note} Give the folder of "
            "the masks, and with --images that of the pictures, as PNG or TIFF files."
        )
    return found


def _binary(pairs: Sequence[Pair], source: Path) -> MaskFormat:
    """How the masks say their two classes; soft edges and JPEG files too."""
    palette = find_palette(source)
    try:
        masks = recognise(pairs, MaskSettings(), palette).masks
    except InputError:
        try:
            masks = recognise(pairs, MaskSettings(tolerance=MIDDLE), palette).masks
        except InputError as error:
            raise InputError(
                f"Pieces are numbered in masks of two values; those of {source} leave open what they mean. Write 0 and "
                "255.",
                source,
            ) from error
    if masks.kind != "binary":
        raise InputError(
            f"Pieces are numbered in binary masks; those of {source} are of kind {masks.kind}. Masks of object ids are "
            "used as they are, with --masks instance.",
            source,
        )
    return replace(masks, tolerance=MIDDLE if max(masks.values) >= TOP else 0)


def _by_file(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """The pairs of each image, by page, whatever the order in which a list names them.

    Raises:
        InputError: some pages of a stack are not in the split of the others.
    """
    files = defaultdict[tuple[str, Path], list[Pair]](list)
    for pair in pairs:
        files[pair.split, pair.image].append(pair)
    for (split, image), pages in files.items():
        if len(pages) != (there := count_pages(image)):
            raise InputError(
                f"A stack is numbered whole, so that all of its pages must be in one split; {image} has {there}, "
                f"{len(pages)} of them {f'in {split}' if split else 'listed'}. Name the stack in one list, or lay each "
                "page as a file.",
                image,
            )
    return [sorted(pages, key=lambda pair: pair.page) for pages in files.values()]


def _write(out: Path, masks: MaskFormat, pages: Sequence[Pair]) -> int:
    """Copy the files of a picture, write its mask, and count the objects in it."""
    first = pages[0]
    below = [part for part in Path(first.name).parent.parts if part not in ("..", "/")]  # a list may name what it likes
    images = Path(out, first.split, "images", *below)
    images.mkdir(parents=True, exist_ok=True)
    for file in first.files:
        shutil.copyfile(file, images / file.name)
    ids = [_numbered(pair, masks) for pair in pages]
    counts = [int(one.max(initial=0)) for one in ids]
    mask = Path(out, first.split, "masks", *below, f"{first.channels.stem(first.image)}.png")
    mask.parent.mkdir(parents=True, exist_ok=True)
    kind = np.uint16 if max(counts) <= MOST_16 else np.uint32
    if len(pages) > 1 or kind is np.uint32:
        write_stack(mask.with_suffix(".tif"), [one.astype(kind) for one in ids])
    else:
        write_picture(mask, ids[0].astype(kind))
    return sum(counts)


def _numbered(pair: Pair, masks: MaskFormat) -> NDArray[np.int32]:
    try:
        label = read_pair(pair, masks).label
    except UnknownValues as error:
        raise _not_two(pair, masks) from error
    if masks.tolerance:
        mask = whole_numbers(read_mask(pair.mask, pair.page, allow_jpeg=True))
        if not np.isin(mask, masks.values).all() and not is_soft(mask, *masks.values):
            raise _not_two(pair, masks)
    return find_instances(np.where(label == VOID, np.uint8(0), label))


def _not_two(pair: Pair, masks: MaskFormat) -> InputError:
    """What is said of a mask of more values than the masks that were looked at first."""
    return InputError(
        f"Pieces are numbered in masks of two values, and soft edges between them; others hold {masks.values[0]} and "
        f"{masks.values[1]}, and {pair.mask} holds more, as masks of object ids and classes do. Write 0 and 255.",
        pair.mask,
    )
