"""Mask pictures to label ids and back. A mask is what lies in the file, a label is what the net learns."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.palette import Colour
from unet_tf.errors import InputError
from unet_tf.labels import VOID, check_ids
from unet_tf.utils.files import tuples

KINDS = ("binary", "palette", "index", "instance")
UNKNOWN = 254
"""In look-up tables: a value that no class has."""


@dataclass(frozen=True)
class MaskFormat:
    """How mask pictures say the class of each pixel; the same both ways.

    Attributes:
        kind: "binary": 0 is class 0, 255 class 1; so is 1 in a mask of 0 and 1, and 65535 in one of 16 bit. "index":
            grey values, or indices into a colour table, are class ids, consecutive from 0 but for void ids. "palette":
            a colour a class. "instance": object ids, 0 is background; all objects are class 1, and touching ones are
            kept apart.
        num_classes: 2 to 254.
        colours: RGB of each class, for "palette".
        void: values (0 to 65535) or colours that count nowhere; in "index" masks 255 does anyway, where it is no class.
        inverted: the other polarity of "binary": 0 is class 1.
        tolerance: largest distance, in 8-bit values whatever the mask's depth (of RGB: Euclidean), at which another
            value is taken for the nearest known one; 0 refuses it. Above 0, JPEG files are read too.

    Raises:
        InputError: the attributes do not fit together.

    Example:
        >>> MaskFormat("binary").label(np.array([[0, 255]], np.uint8)).tolist()
        [[0, 1]]
        >>> sky_road = MaskFormat("palette", 2, colours=((0, 0, 255), (9, 9, 9)), void=((0, 0, 0),))
        >>> sky_road.label(np.array([[[9, 9, 9], [0, 0, 0]]], np.uint8)).tolist()  # 255: void
        [[1, 255]]
    """

    kind: str = "binary"
    num_classes: int = 2
    colours: tuple[Colour, ...] = ()
    void: tuple[int | Colour, ...] = ()
    inverted: bool = False
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        number, colours = self.num_classes, len(self.colours)
        rules = (
            (self.kind in KINDS, f"The kind of a mask is one of {', '.join(KINDS)}; received {self.kind!r}."),
            (2 <= number <= UNKNOWN, f"There are 2 to {UNKNOWN} classes; received {number}."),
            (
                number == 2 or self.kind in ("index", "palette"),
                f"Masks of kind binary and instance have 2 classes; received {self.kind} with {number}.",
            ),
            (
                colours == (number if self.kind == "palette" else 0),
                f"A palette has one colour a class, other kinds have none; received {self.kind} of {number} classes "
                f"with {colours} colours.",
            ),
            (not self.inverted or self.kind == "binary", f"Only binary masks are inverted; received {self.kind}."),
            (
                all(isinstance(value, tuple) == (self.kind == "palette") for value in self.void),
                f"Void is a colour in a palette and a value elsewhere; received {self.void} for {self.kind}.",
            ),
            (
                all(isinstance(value, tuple) or 0 <= value < 1 << 16 for value in self.void),
                f"Void values are 0 to 65535; received {', '.join(map(str, self.void))}. Renumber them in the masks.",
            ),
            (
                self.tolerance == 0 or (self.tolerance > 0 and self.kind in ("binary", "palette")),
                f"The tolerance is 0 or more, and 0 where values are ids; received {self.tolerance} for {self.kind}.",
            ),
        )
        for holds, message in rules:
            if not holds:
                raise InputError(message)

    @classmethod
    def restore(cls, stored: dict[str, Any]) -> MaskFormat:
        """The format of which `dataclasses.asdict` went through TOML or JSON."""
        return cls(**{name: tuples(value) for name, value in stored.items()})

    @property
    def ids(self) -> bool:
        """Whether indices into a colour table count, and not its colours."""
        return self.kind in ("index", "instance")

    def label(self, mask: NDArray, name: str = "the mask") -> NDArray[np.uint8]:
        """Read label ids out of a mask picture.

        Args:
            mask: (H, W) or (H, W, C) as decoded; colour with equal channels is grey.
            name: what to call the mask in an error.

        Returns:
            (H, W) uint8 label ids, 0 to num_classes - 1, or `VOID`.

        Raises:
            InputError: the mask holds a value of no class; the message says which and in how many pixels.
        """
        mask = self._plain(mask, name)
        if self.kind == "instance":
            void = np.isin(mask, self.void)
            label = label_from_instances(np.where(void, 0, mask))
            label[void] = VOID
            return label
        codes, high = self._codes(mask), self._high(mask)
        table = self._table(high)
        label = table[codes if codes.dtype.itemsize < 4 else np.minimum(codes, len(table) - 1)]
        if (unknown := label == UNKNOWN).any():
            values, inverse = np.unique(codes[unknown], return_inverse=True)
            nearest, distances = self._nearest(values, high)
            if distances.max() > self.tolerance:
                pixels = np.bincount(inverse)
                strangers = [
                    Stranger(self._value(int(values[i])), int(pixels[i]), int(nearest[i]), float(distances[i]))
                    for i in np.argsort(-pixels, kind="stable")
                ]
                raise UnknownValues(self._refusal(strangers, mask, name), strangers)
            label[unknown] = nearest[inverse]
        return label

    def mask(self, label: NDArray) -> NDArray:
        """Draw label ids as the mask picture that `label` reads.

        Args:
            label: (H, W) label ids.

        Returns:
            "palette": (H, W, 3) uint8 RGB; "instance": (H, W) uint16 ids, each connected piece of class 1 an object;
            others: (H, W) uint8, or uint16 where a void value takes it; 0 and 255 for "binary".

        Raises:
            InputError: an id is no class, or a pixel is void and no value stands for void.
        """
        check_ids(label, self.num_classes)
        void: int | Colour | None = self.void[0] if self.void else (255 if self.kind == "index" else None)
        if void is None and (label == VOID).any():
            raise InputError(f"A label with void pixels needs a value for them; {self.kind} masks have none here.")
        if self.kind == "instance":
            objects = cv2.connectedComponents((label == 1).astype(np.uint8), connectivity=8)[1]
            if void is not None:
                objects[objects >= void] += 1
                objects[label == VOID] = void
            return objects.astype(np.uint16 if objects.max(initial=0) < 1 << 16 else np.uint32)
        dtype = np.uint8 if self.kind == "palette" or all(_code(v) < 256 for v in self.void) else np.uint16
        table = np.zeros((VOID + 1, 3) if self.kind == "palette" else VOID + 1, dtype)
        if self.kind == "binary":
            table[:2] = (255, 0) if self.inverted else (0, 255)
        else:
            for value, number in self._known():
                table[number] = value
        if void is not None:
            table[VOID] = void
        return table[label]

    def _plain(self, mask: NDArray, name: str) -> NDArray:
        """(H, W) unsigned integers, or (H, W, 3) uint8 for a palette."""
        mask = np.asarray(mask)
        if mask.ndim == 3 and mask.shape[2] == 3 and self.kind == "palette":
            pass  # a grey one is colour too
        elif mask.ndim == 3 and (mask.shape[2] == 1 or (mask == mask[..., :1]).all()):
            mask = mask[..., 0]
        if mask.ndim not in (2, 3) or (mask.ndim == 3 and mask.shape[2] != 3) or not mask.size:
            raise InputError(f"A mask is (H, W) or (H, W, 3) with a pixel at least; {name} is {mask.shape}.")
        mask = whole_numbers(mask, name)
        if self.kind == "palette":
            if mask.dtype != np.uint8:
                raise InputError(f"{name} holds {mask.dtype} pixels, and a palette has 8-bit colours. Save it as such.")
            return mask if mask.ndim == 3 else np.repeat(mask[..., None], 3, axis=2)
        if mask.ndim == 3:
            raise InputError(
                f"{name} is colour-coded, and {self.kind} masks are grey. List the colours in label_colors.txt "
                '("R G B name" a line) beside the images: `unet-tf check DATA --out PAGE` writes a first version.'
            )
        return mask

    def _high(self, mask: NDArray) -> int:
        """What stands for the upper class in a binary mask: 1, 255 or 65535, the first that no value exceeds."""
        if self.kind != "binary":
            return 0
        highest = (mask[~np.isin(mask, self.void)] if self.void else mask).max(initial=0)
        return next((high for high in (1, 255) if highest <= high), 65535)

    def _known(self, high: int = 0) -> list[tuple[int | Colour, int]]:
        """Each value or colour that means something, and its label id."""
        known: list[tuple[int | Colour, int]] = [(value, VOID) for value in self.void]
        if self.kind == "palette":
            return known + [(colour, number) for number, colour in enumerate(self.colours)]
        if self.kind == "binary":
            values = ((0, int(self.inverted)), (high, int(not self.inverted)))
            return known + [(value, number) for value, number in values if value not in self.void]
        ids = (value for value in range(self.num_classes + len(self.void)) if value not in self.void)
        known += [(value, number) for number, value in zip(range(self.num_classes), ids, strict=False)]
        return known if 255 in dict(known) else [*known, (255, VOID)]

    def _codes(self, mask: NDArray) -> NDArray:
        """One number a pixel: the grey value, or 0xRRGGBB."""
        if self.kind != "palette":
            return mask
        # OpenCV adds the fourth byte faster than NumPy shifts three.
        packed = cv2.cvtColor(np.ascontiguousarray(mask), cv2.COLOR_RGB2BGRA).view(np.uint32)[..., 0]
        return packed & 0xFFFFFF

    def _value(self, code: int) -> int | Colour:
        return (code >> 16, code >> 8 & 255, code & 255) if self.kind == "palette" else code

    def _nearest(self, codes: NDArray, high: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """Label id of the known value nearest to each code, and its distance."""
        nearest, least = np.zeros(len(codes), np.uint8), np.full(len(codes), np.inf)
        for value, number in self._known(high):
            channels = [(codes, _code(value))]
            if self.kind == "palette":
                channels = [(codes >> shift & 255, _code(value) >> shift & 255) for shift in (16, 8, 0)]
            distance = np.sqrt(sum(np.square(found.astype(float) - expected) for found, expected in channels))
            nearest = np.where(distance < least, np.uint8(number), nearest)
            least = np.minimum(least, distance)
        return nearest, least / 257 if high == 65535 else least

    def _table(self, high: int) -> NDArray[np.uint8]:
        known = tuple((_code(value), number) for value, number in self._known(high))
        return _lookup_table(known, 1 << 24 if self.kind == "palette" else 1 << 16)

    def _refusal(self, strangers: Sequence[Stranger], mask: NDArray, name: str) -> str:
        pixels, size = sum(s.pixels for s in strangers), mask.shape[0] * mask.shape[1]
        rules = {
            "binary": "binary (0 and 255, or 0 and 1)",
            "index": f"class ids 0 to {self.num_classes - 1} (255: void)" if not self.void else "class ids and void",
            "palette": f"in the {self.num_classes} colours of its palette",
        }
        found = ", ".join(map(str, strangers[:5])) + (", ..." if len(strangers) > 5 else "")
        remedies = {
            "binary": "Say how many classes there are with --classes, which value is void with --void, or take the "
            "nearer value with --mask-tolerance 128 (soft edges, JPEG)",
            "index": "Say how many classes there are with --classes, or which id is void with --void",
            "palette": "Add them to label_colors.txt, name one void with --void R,G,B, or take the nearest class "
            "with --mask-tolerance",
        }
        return (
            f"{name} is not {rules[self.kind]}: it also holds {found} in {pixels} of {size} pixels "
            f"({pixels / size:.2%}), up to {max(s.distance for s in strangers):.0f} away. {remedies[self.kind]}."
        )


class Stranger(NamedTuple):
    """A mask value that no class has: how many pixels hold it, and which class is nearest."""

    value: int | Colour
    pixels: int
    nearest: int
    distance: float

    def __str__(self) -> str:
        nearest = "void" if self.nearest == VOID else f"class {self.nearest}"
        return f"{self.value} ({self.distance:.0f} from {nearest})"


class UnknownValues(InputError):
    """A mask holds values that no class has."""

    def __init__(self, message: str, strangers: Sequence[Stranger]) -> None:
        super().__init__(message)
        self.strangers = strangers


def label_from_instances(instances: NDArray) -> NDArray[np.uint8]:
    """Turn object ids into background 0 and cell 1, with touching cells kept apart.

    A cell pixel with a pixel of another cell among its 8 neighbours becomes background, so that each cell stays a
    component of its own, as in the paper's "segmentation border" between touching cells.

    Args:
        instances: (H, W) object ids, 0 for background.

    Returns:
        (H, W) uint8 label ids.

    Example:
        >>> label_from_instances(np.array([[1, 1, 1, 2, 2, 2]])).tolist()
        [[1, 1, 0, 0, 1, 1]]
    """
    ids = np.asarray(instances)
    if ids.size and ids.max() >= 1 << 24:  # beyond that, float32 takes two ids for one
        ids = np.unique(ids, return_inverse=True)[1].reshape(ids.shape) + int(ids.min() > 0)
    ids = ids.astype(np.float32)
    neighbours = np.ones((3, 3), np.uint8)
    highest = cv2.dilate(ids, neighbours)
    lowest = cv2.erode(np.where(ids == 0, np.inf, ids).astype(np.float32), neighbours)
    return ((ids > 0) & (highest == ids) & (lowest == ids)).astype(np.uint8)


def whole_numbers(mask: NDArray, name: str = "the mask") -> NDArray:
    """A mask's values as unsigned integers, where they are whole numbers from 0 in whatever type.

    Raises:
        InputError: they are not.
    """
    if mask.dtype.kind == "f" and np.isfinite(mask).all() and (mask == np.floor(mask)).all():
        mask = mask.astype(np.int64)  # ids that a program kept as float
    if mask.dtype.kind == "i" and mask.min(initial=0) >= 0:
        mask = mask.astype(np.uint32 if mask.max(initial=0) < 1 << 32 else np.uint64)
    if mask.dtype.kind not in "ub":
        raise InputError(
            f"{name} holds {mask.dtype} pixels, and masks hold whole numbers from 0. "
            "Threshold it, or rescale its values to class ids."
        )
    return mask.astype(np.uint8) if mask.dtype.kind == "b" else mask


def value_counts(picture: NDArray) -> dict[int, int]:
    """Value -> number of pixels, of an integer picture.

    Counts runs of equal values, of which a mask has far fewer than pixels.
    """
    flat = picture.ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]])) if flat.size else np.zeros(0, np.intp)
    values, inverse = np.unique(flat[starts], return_inverse=True)
    counts = np.bincount(inverse, np.diff(starts, append=flat.size), len(values))
    return dict(zip(values.tolist(), counts.astype(int).tolist(), strict=True))


def _code(value: int | Colour) -> int:
    return value if isinstance(value, int) else value[0] << 16 | value[1] << 8 | value[2]


@functools.lru_cache(maxsize=8)
def _lookup_table(known: tuple[tuple[int, int], ...], size: int) -> NDArray[np.uint8]:
    """Label id of each of `size` codes; one more entry, for all codes beyond, is unknown."""
    table = np.full(size + 1, UNKNOWN, np.uint8)
    for code, number in known:
        table[code] = number
    return table
