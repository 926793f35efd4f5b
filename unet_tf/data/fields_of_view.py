"""Fields of view: pictures that say which pixels of an image count, as of the round view of a fundus camera."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.decode import Lossy
from unet_tf.data.folder import Pair, scan_all, some, unread_note
from unet_tf.data.georeference import check_places
from unet_tf.data.mask_values import whole_numbers
from unet_tf.data.matching import Names, folding, keyed
from unet_tf.data.naming import Naming
from unet_tf.data.pictures import is_varied, open_pictures
from unet_tf.errors import InputError, about
from unet_tf.labels import VOID

SUFFIX = re.compile(r"[ _.-](fov|roi|field|mask)s?$", re.IGNORECASE)


class FieldsOfView:
    """The fields of view of the images of some pairs, known by name; each is read when it is asked for.

    Args:
        folder: pictures, also in folders below, called as their images are: NAME or NAME_mask, NAME_roi, NAME_fov, or
            with other constant parts (`unet_tf.data.matching`). Pixels that are not 0 count.
        pairs: the pairs; each must have one. A file of one page is for all pages of a stack.

    Attributes:
        pixels: of all labels that were cut until now.
        outside: of these, those outside of the field of view.

    Raises:
        InputError: there is no such folder, or an image has no field of view, or several.
    """

    def __init__(self, folder: str | Path, pairs: Sequence[Pair]) -> None:
        self.folder = Path(folder)
        self.files = _find(self.folder, pairs)
        self.pixels = self.outside = 0

    def cut(self, pair: Pair, label: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Give the (H, W) label of a pair in which all outside of the field of view is void; raises as `read` does."""
        field = self.read(pair, label.shape)
        self.pixels += field.size
        self.outside += int((~field).sum())
        return np.where(field, label, np.uint8(VOID))

    @property
    def words(self) -> str:
        """What counts, and how much that leaves out, in words."""
        share = self.outside / max(1, self.pixels)
        return f"pixels outside of the fields of view in {self.folder} are ignored, {share:.1%} of all"

    def read(self, pair: Pair, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Read which pixels of an image count.

        Args:
            pair: of those that were given.
            shape: of the image, height and width first.

        Returns:
            (H, W), true where a pixel counts.

        Raises:
            InputError: the file cannot be read, has another size than the image, lies elsewhere, no pixel counts, or
                one does that alpha of PNG or TIFF hides.
        """
        path = self.files[pair.image]
        with about(path):
            try:
                opened = open_pictures(path)
                mask, alpha = opened.read_mask(pair.page if len(opened) > 1 else 0)
            except Lossy as error:
                raise InputError(
                    f"A field of view must be in a file that keeps values, as noise that is not 0 would count; {path} "
                    "is in JPEG or alike. Threshold it, and save it as PNG.",
                    path,
                ) from error
            field = whole_numbers(mask, str(path)) != 0
            if pair.page == 0:
                check_places(*pair.files, path)
        field = field.any(-1) if field.ndim == 3 else field
        if is_varied(alpha) and (field.all() or field[(alpha == 0).any(-1)].any()):
            raise InputError(
                f"A field of view must say by its values which pixels count; {path} has pixels that are not 0 and are "
                "transparent, in part or as a whole. Save its alpha as grey, or save it without alpha if its values "
                "say what counts.",
                path,
            )
        if field.shape != shape[:2]:
            sizes = [f"{height}x{width}" for height, width in (field.shape, shape[:2])]
            raise InputError(
                f"A field of view must have the size of its image: {path} is {sizes[0]}, {pair.image} {sizes[1]}. "
                "Save it at that size.",
                path,
            )
        if not field.any():
            raise InputError(
                f"A field of view must have pixels that are not 0, which count; {path} has none. Invert it, or leave "
                "the image out.",
                path,
            )
        return field


def _find(folder: Path, pairs: Sequence[Pair]) -> dict[Path, Path]:
    """Image -> its field of view."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}. Give the one that holds the fields of view.", folder)
    listings = list(scan_all(folder))
    fields = {path: (one.relative_to(folder) / path.stem).as_posix() for one, listing in listings
              for path in listing.pictures}  # fmt: skip
    first = {pair.image: pair for pair in reversed(pairs)}  # of a stack, the pages are pairs
    images = {image: _name(first[image]) for image in dict.fromkeys(pair.image for pair in pairs)}
    with_split = {image: f"{first[image].split}/{name}".lstrip("/") for image, name in images.items()}
    best: dict[Path, list[Path]] = {}
    for own, others in ((images, fields), (with_split, fields), (_last(images), _last(fields))):
        if len(set(own.values())) == len(own):
            best = max(best, _matched(own, others), key=len)
    if lone := [image for image in images if image not in best]:
        unread = [path for _, listing in listings for path in listing.unread]
        raise InputError(
            f"Each image must have a field of view of its name in {folder}; {len(lone)} have none: "
            f"{some(map(str, lone), 5)}. Add them, or score others (--split, or DATA without these)."
            + (f" {unread_note(unread)}" if unread else ""),
            lone[0],
        )
    if several := next((paths for paths in best.values() if len(paths) > 1), None):
        raise InputError(
            f"Each image must have one field of view; one has several: {some(map(str, several))}. Remove all but one.",
            several[0],
        )
    return {image: path for image, (path,) in best.items()}


def _name(pair: Pair) -> str:
    """The name of the image of a pair, without the page of a stack."""
    folder, slash, name = pair.name.rpartition("/")
    of_page = re.fullmatch(rf"{re.escape(pair.image.stem)}_0*{pair.page}", name)
    return folder + slash + (pair.image.stem if of_page else name)


def _last(names: Names) -> Names:
    """Names without their folders."""
    return {path: name.rpartition("/")[2] for path, name in names.items()}


def _matched(images: Names, fields: Names) -> dict[Path, list[Path]]:
    """The fields of view of each image that has some."""
    known = set(images.values())
    bare = {path: name if name in known else SUFFIX.sub("", name) for path, name in fields.items()}
    keys = keyed(images, bare, Naming())
    fold = folding(keys.images.values(), keys.masks.values())
    of_key: dict[str, list[Path]] = {}
    for path, key in keys.masks.items():
        of_key.setdefault(fold(key), []).append(path)
    return {image: of_key[fold(key)] for image, key in keys.images.items() if fold(key) in of_key}
