"""Folders of images and masks: decoding, pairs by stem, splits."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.masks import label_from_mask
from unet_tf.errors import InputError
from unet_tf.files import replacing

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
LOSSLESS = (".png", ".bmp", ".tif", ".tiff")
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Pair:
    """An image file and its mask file, named by their common stem."""

    name: str
    image: Path
    mask: Path


def read_image(path: str | Path) -> NDArray:
    """Decode a picture file.

    Args:
        path: PNG, JPEG, BMP or TIFF; 8 or 16 bit, or float TIFF.

    Returns:
        (H, W, 1) or (H, W, 3) RGB, of the file's own type. Alpha is dropped. A colour file whose channels are equal
        is grey. EXIF rotation is applied.

    Raises:
        InputError: the file is missing, empty, truncated or no picture, has several pages, or values that are not
            finite.
    """
    path = Path(path)
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check the path and its permissions.") from error
    if not data.size:
        raise InputError(f"{path} is empty (0 bytes). Copy it again or remove it together with its partner.")
    image = _decode(data)
    if image is None:
        raise InputError(
            f"{path} ({data.size} bytes) is not a complete PNG, JPEG, BMP or TIFF picture: "
            "truncated, damaged or of another type. Copy it again or remove it together with its partner."
        )
    if path.suffix.lower() in (".tif", ".tiff") and (pages := cv2.imcount(str(path))) > 1:
        raise InputError(f"{path} has {pages} pages, and an image has one. Save each page as a file of its own.")
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        count = np.count_nonzero(~np.isfinite(image))
        raise InputError(f"{path} holds {count} values that are not finite (NaN or infinite). Replace them.")
    if image.ndim == 2:
        return image[..., None]
    if image.shape[2] in (2, 4):
        image = image[..., :-1]
    if image.shape[2] == 3:
        image = image[..., ::-1]  # OpenCV decodes to BGR
        if (image == image[..., :1]).all():
            image = image[..., :1]
    return np.ascontiguousarray(image)


def _decode(data: NDArray[np.uint8]) -> NDArray | None:
    """Decode as the file is (depth, alpha), turned as its EXIF orientation says; None if OpenCV cannot."""
    if data[:8].tobytes() == b"\x89PNG\r\n\x1a\n" and b"IEND" not in data[-4096:].tobytes():
        return None  # truncated: libpng would say so on stderr
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # our error names the file, OpenCV's does not
    try:
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        if image is not None and image.dtype == np.uint8 and data[:2].tobytes() == b"\xff\xd8":
            # IMREAD_UNCHANGED ignores the EXIF orientation, which photographs carry.
            colour = cv2.IMREAD_COLOR if image.ndim == 3 else cv2.IMREAD_GRAYSCALE
            image = cv2.imdecode(data, colour)
        return image
    except cv2.error:
        return None
    finally:
        cv2.utils.logging.setLogLevel(level)


def write_picture(path: str | Path, picture: NDArray) -> None:
    """Encode a picture into a file whose name says the format, whole or not at all.

    Args:
        path: a name that ends in .png, .bmp, .tif or .tiff, which lose nothing.
        picture: (H, W) or (H, W, 1) grey, or (H, W, 3) RGB; uint8 or uint16.

    Raises:
        InputError: the file cannot be written, or its name ends otherwise.
    """
    path = Path(path)
    if path.suffix.lower() not in LOSSLESS:
        raise InputError(f"Pictures are written as {', '.join(LOSSLESS)}, which lose nothing; received {path.name!r}.")
    if picture.ndim == 3 and picture.shape[2] == 3:
        picture = picture[..., ::-1]
    encoded, data = cv2.imencode(path.suffix, picture)
    if not encoded:
        raise InputError(f"{path}: cannot encode {picture.dtype} {picture.shape} as {path.suffix}.")
    with replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())


def read_pair(pair: Pair, num_classes: int = 2) -> tuple[NDArray, NDArray[np.uint8]]:
    """Read the image, (H, W, C) as `read_image` has it, and its label, (H, W) uint8 ids.

    Raises:
        InputError: a file cannot be decoded, the mask holds other values, or the sizes differ.
    """
    image = read_image(pair.image)
    label = label_from_mask(read_image(pair.mask), num_classes, name=str(pair.mask))
    if image.shape[:2] != label.shape:
        raise InputError(
            f"Image and mask of a pair have one size: {pair.image} is {_size(image)}, {pair.mask} is {_size(label)}. "
            "Export the mask at the size of the image."
        )
    return image, label


def _size(array: NDArray) -> str:
    return f"{array.shape[0]}x{array.shape[1]}"


def list_pictures(folder: Path) -> list[Path]:
    """The picture files directly in `folder`, sorted by name; hidden ones and other types are left out."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def match(folder: Path) -> tuple[list[Pair], list[str]]:
    """Pair `folder/images/*` with `folder/masks/*` by stem.

    Returns:
        The pairs, sorted by name, and the problems in words: unpaired files, stems that stand twice.
    """
    problems = []
    files: dict[str, dict[str, Path]] = {}
    for role in ("images", "masks"):
        pictures = list_pictures(folder / role) if (folder / role).is_dir() else []
        counts = Counter(p.stem for p in pictures)
        twice = sorted(stem for stem, count in counts.items() if count > 1)
        if twice:
            problems.append(f"{folder / role}: more than one file for {_some(twice)}. Keep one for each name.")
        files[role] = {p.stem: p for p in pictures}
    images, masks = files["images"], files["masks"]
    if images.keys() - masks.keys():
        problems.append(f"images without a mask in {folder / 'masks'}: {_some(images.keys() - masks.keys())}.")
    if masks.keys() - images.keys():
        problems.append(f"masks without an image in {folder / 'images'}: {_some(masks.keys() - images.keys())}.")
    return [Pair(stem, images[stem], masks[stem]) for stem in sorted(images.keys() & masks.keys())], problems


def find_pairs(folder: str | Path) -> list[Pair]:
    """The pairs of `folder`, sorted by name.

    Raises:
        InputError: there is no such folder, no pair, or a file without partner.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}. Give the folder that holds images/ and masks/.")
    pairs, problems = match(folder)
    if not pairs:
        raise InputError(
            f"{folder} has no pair of image and mask: expected images/NAME.png and masks/NAME.png with one NAME "
            f"({', '.join(s[1:] for s in SUFFIXES)}), directly or in train/, val/ and test/. " + " ".join(problems)
        )
    if problems:
        raise InputError(f"Every image has one mask of the same name. {' '.join(problems)} Add or remove these files.")
    return pairs


def find_splits(folder: str | Path, val_share: float = 0.2, seed: int = 0) -> dict[str, list[Pair]]:
    """The training, validation and test pairs of a data folder.

    Where `folder` has `train/`, its splits are taken as they are. Otherwise, and where there is no `val/`, a seeded
    share of the files (at least one) becomes "val".

    Args:
        folder: holds `images/` and `masks/`, directly or in `train/`, `val/`, `test/`.
        val_share: share of the files for validation, in (0, 1).
        seed: the same seed and names give the same split.

    Returns:
        "train", "val" and "test" (may be empty), each sorted by name.

    Raises:
        InputError: no such folder, unpaired files, or fewer than two pairs to split.
    """
    folder = Path(folder)
    named = {split: find_pairs(folder / split) for split in SPLITS if (folder / split).is_dir()}
    train = named.get("train") or find_pairs(folder)
    if "val" in named:
        return {"train": train, "val": named["val"], "test": named.get("test", [])}
    if len(train) < 2:
        raise InputError(f"{folder} has {len(train)} pair; training needs 2, one of them for validation.")
    train, val = hold_out(train, val_share, seed)
    return {"train": train, "val": val, "test": named.get("test", [])}


def hold_out(pairs: Sequence[Pair], share: float = 0.2, seed: int = 0) -> tuple[list[Pair], list[Pair]]:
    """Split off a seeded share of the pairs, at least one: what stays and what is held out, each in the given order."""
    if not 0 < share < 1:
        raise InputError(f"The validation share lies between 0 and 1; received {share}.")
    names = [pair.name for pair in pairs]
    chosen = set(random.Random(seed).sample(names, max(1, round(share * len(names)))))
    return [p for p in pairs if p.name not in chosen], [p for p in pairs if p.name in chosen]


def channels_of(images: Iterable[NDArray]) -> int:
    """Channels a net needs for these (H, W, C) images: 3 if any is in colour, else 1."""
    return max(image.shape[2] for image in images)


def with_channels(image: NDArray, channels: int, name: str = "the image") -> NDArray:
    """Repeat a grey (H, W, 1) image to `channels`; raises InputError where a colour image meets a grey net."""
    if image.shape[2] == channels:
        return image
    if image.shape[2] == 1:
        return np.repeat(image, channels, axis=2)
    raise InputError(
        f"{name} has {image.shape[2]} channels, and the net was trained on {channels}. Convert it to grey."
    )


def _some(names: Iterable[str], most: int = 10) -> str:
    ordered: Sequence[str] = sorted(names)
    return ", ".join(ordered[:most]) + (f" and {len(ordered) - most} more" if len(ordered) > most else "")
