"""Pascal VOC: SegmentationClass, and SegmentationObject where objects are told apart."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_tf.annotations.annotated import BACKGROUND, VOID_NAME, Annotated, Skipped, clean
from unet_tf.annotations.shapes import NO_OBJECT, Shape
from unet_tf.data.decode import Lossy
from unet_tf.data.folder import Pair, list_pictures
from unet_tf.data.mask_looks import look_at_masks
from unet_tf.data.mask_tables import OF_8_BITS, bits_conflict, table_conflict
from unet_tf.data.mask_values import value_counts
from unet_tf.data.palette import LABEL_MAP, PALETTE_FILE, Palette, find_palette
from unet_tf.data.pictures import ARRAYS, read_mask
from unet_tf.data.structure import Damage
from unet_tf.errors import InputError
from unet_tf.labels import VOID
from unet_tf.utils.text import read_lines

log = logging.getLogger("unet_tf")

CLASSES, OBJECTS = "SegmentationClass", "SegmentationObject"
NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""The classes of the challenge by their index, which count where no list of classes lies beside the masks."""
CLASS_NAMES, IGNORED = "class_names.txt", "__ignore__"
"""What labelme's export of this layout writes beside the masks: the classes by index; one that is void, number -1."""


def read_voc(folder: Path, skipped: Skipped) -> list[Annotated]:
    """Read the masks of a folder of Pascal VOC's layout; index or colour 255 of the boundary is void.

    Args:
        folder: that holds SegmentationClass.
        skipped: nothing is.

    Raises:
        Damage: a mask has a colour that nothing names, colour tables give an index several colours, or the two masks of
            a picture differ in size.
        InputError: a mask cannot be read, or the list of classes does not begin with the background.
    """
    palette, listed = find_palette(folder), _listed(folder / CLASS_NAMES)
    objects = {path.stem: path for path in list_pictures(folder / OBJECTS)} if (folder / OBJECTS).is_dir() else {}
    paths = list_pictures(folder / CLASSES)
    found = [_annotated(path, objects.get(path.stem), palette, listed) for path in paths]
    if palette is None and (pictures := [path for path in paths if path.suffix.lower() not in ARRAYS]):
        _check_tables(pictures, bool(listed))
    return found


def _check_tables(paths: list[Path], listed: bool) -> None:
    """Say where colour tables give an index several classes; raise Damage where 0 may not be the background."""
    looks, _ = next(look_at_masks([Pair(path.stem, path, path) for path in paths], False))
    if conflict := table_conflict(looks):
        log.warning(
            f"The indices of masks tell the class, and their colours another: {conflict}. If the colours tell it, list "
            f"them in {LABEL_MAP} or {PALETTE_FILE}."
        )
    elif conflict := bits_conflict(looks):
        log.warning(f"The indices of masks tell the class, and their greys another: {conflict}. {OF_8_BITS}")
    black = [number for look in looks for number, one in look.table.items() if one == (0, 0, 0) and number != VOID]
    others = [look for look in looks if look.table.get(0, (0, 0, 0)) != (0, 0, 0)]
    if black and others and not listed:
        raise Damage(
            f"black, the background of the challenge, is index {black[0]}, and 0 is another in {others[0].name}. If "
            f"the colours tell the class, list them in {LABEL_MAP} or {PALETTE_FILE}; if the indices do, list them in "
            f"{CLASS_NAMES}, _background_ first"
        )


def _listed(path: Path) -> dict[int, str]:
    """The classes that a file lists by index, one a line; none where it lists the challenge's, which are known."""
    lines = [line.strip() for line in read_lines(path)] if path.is_file() else []
    known = {"_background_": BACKGROUND, IGNORED: VOID_NAME}
    first = -1 if lines[:1] == [IGNORED] else 0
    named = {number: known.get(line, clean(line)) for number, line in enumerate(lines, first) if line}
    if not named or named.get(0) == BACKGROUND:
        return named
    if {*named.values()} <= {*NAMES, VOID_NAME}:
        return {}
    raise InputError(
        f"A line of {path} for each index of the masks must begin with that of 0, the background; received "
        f"{named.get(0, '')!r}. Put _background_ there, or list the classes by colour in {LABEL_MAP}.",
        path,
    )


def _annotated(path: Path, other: Path | None, palette: Palette | None, listed: dict[int, str]) -> Annotated:
    label, names = _label(path, palette, listed)
    objects = np.zeros(label.shape, np.int64)
    if other is not None:
        objects = _codes(other)[0].astype(np.int64)
        if objects.shape != label.shape:
            raise Damage(f"{path} and {other} must have one size; they have {label.shape} and {objects.shape}")
    # an object may have pixels of several classes in masks that people changed: each is a part of it
    parts = objects * (int(label.max(initial=0)) + 1) + label
    shapes = []
    for code, spans in _by_value(parts).items():
        group, number = divmod(code, int(label.max(initial=0)) + 1)
        if names[number] != BACKGROUND:
            alone = names[number] == VOID_NAME or not other
            own = None if alone or group else NO_OBJECT
            shapes.append(Shape(names[number], spans=spans, group=None if alone else int(group), number=own))
    size = (label.shape[0], label.shape[1])
    without = value_counts(label[objects == 0]) if other is not None else {}
    loose = tuple((names[n], count) for n, count in without.items() if names[n] not in (BACKGROUND, VOID_NAME))
    return Annotated(path, path.stem, tuple(shapes), size, stem=True, apart=other is not None, loose=loose)


def _label(path: Path, palette: Palette | None, listed: dict[int, str]) -> tuple[NDArray[np.int64], dict[int, str]]:
    """(H, W) numbers of a mask, and what each of them is called."""
    codes, coloured = _codes(path, palette is not None)
    there = np.unique(codes).tolist()
    if palette is None:
        if coloured:
            raise Damage(f"{path} has colours and no table of them: list them in {LABEL_MAP} or {PALETTE_FILE}")
        named = listed or dict(enumerate(NAMES))
        if not listed and max((code for code in there if code != VOID), default=0) >= len(NAMES):
            named = {0: NAMES[0]}
        return codes, {code: VOID_NAME if code == VOID else named.get(code, f"class{code}") for code in there}
    named = {(red << 16) + (green << 8) + blue: clean(name) for name, (red, green, blue) in zip(*palette, strict=True)}
    named.setdefault(0xE0E0C0, VOID_NAME)  # the boundary, in the challenge's table of colours
    if strange := [code for code in there if code not in named]:
        raise Damage(f"{path} has the colour #{strange[0]:06x}, which {LABEL_MAP} does not list")
    table = {code: number for number, code in enumerate(there)}
    return np.searchsorted(there, codes), {table[code]: named[code] for code in there}


def _codes(path: Path, colours: bool = False) -> tuple[NDArray[np.int64], bool]:
    """(H, W) indices or grey values, or 0xRRGGBB where colours are wanted or nothing else is there."""
    try:
        mask = read_mask(path, ids=not colours)
    except Lossy as error:
        raise InputError(
            f"Masks must be in files that keep values; {path} is in JPEG or alike. Export it as PNG.", path
        ) from error
    if mask.ndim == 2 and not colours:
        codes = mask.astype(np.int64)
        return np.where(codes == -1, VOID, codes), False  # of arrays, in which nothing else stands for void
    mask = np.repeat(mask[..., None], 3, axis=2) if mask.ndim == 2 else mask
    return mask.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1]), True


def _by_value(mask: NDArray) -> dict[int, NDArray[np.int32]]:
    """The spans of each value of a mask, in the order of the values; linear in the picture."""
    width = mask.shape[1]
    flat = mask.ravel()
    new = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]) | (np.arange(flat.size) % width == 0))
    values, lengths = flat[new], np.diff(new, append=flat.size)
    order = np.argsort(values, kind="stable")
    spans = np.column_stack([new // width, new % width, new % width + lengths])[order].astype(np.int32)
    starts = np.flatnonzero(np.diff(values[order], prepend=-1))
    return dict(zip(values[order][starts].tolist(), np.split(spans, starts[1:]), strict=True))
