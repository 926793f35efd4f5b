"""Mask pictures to label ids and back. A mask is what lies in the file, a label is what the net learns."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.instances import BORDER, find_instances, label_from_instances
from unet_tf.data.mask_values import whole_numbers
from unet_tf.data.palette import Colour
from unet_tf.data.unknown_values import (
    CLOSE,
    SAY_WHAT,
    Known,
    Stranger,
    UnknownValues,
    as_colour,
    find_nearest,
    settle_edges,
    take_nearest,
)
from unet_tf.errors import InputError
from unet_tf.labels import MOST_CLASSES, VOID, check_ids
from unet_tf.utils.files import tuples

KINDS = ("binary", "palette", "index", "instance")
MOST_BORDER = 100
"""Pixels of the widest border that is a class."""
UNKNOWN = 254
"""In look-up tables: a value that no class has."""
LIST_COLOURS = (
    'List the colours in a file label_colors.txt beside the images, "R G B name" a line: `unet-tf check DATA --out '
    "PAGE` writes a first version."
)


@dataclass(frozen=True)
class MaskFormat:
    """How mask pictures say the class of each pixel; the same both ways.

    Attributes:
        kind: "binary": two values. "index": grey values, or indices into a colour table, are class ids; 255 is void
            where it is no class. "palette": a colour a class. "instance": object ids, 0 is background; all objects are
            class 1, and touching ones are kept apart: by background, or by class 2 where there is a border.
        num_classes: 2 to 254; 3 for "instance" with a border.
        colours: RGB of each class, for "palette".
        void: values (0 to 65535) or colours that are ignored.
        inverted: the other polarity of "binary": the lower value is class 1.
        tolerance: largest distance, in 8-bit values whatever the mask's depth (of RGB: Euclidean), at which another
            value is taken for the nearest known one; 0 refuses it. Above 0, JPEG files are read too, and a pixel
            between two colours has one of the classes that touch there, or is void (`unet_tf.data.unknown_values`).
        values: what stands for each class in "binary" and "index" masks, by class. Empty: ids from 0 that are not void;
            in "binary" masks 0 and, decided by each mask alone, the first of 1, 255 and 65535 that no value exceeds.
        border: width in pixels of the border of each object that is class 2 of "instance" masks; 0 for no such class.
        neck: how narrow predicted objects may be before they are two: `depth` of `unet_tf.data.watershed.part`; 0 takes
            each piece for an object. Training measures it on "instance" masks; a person may say it of others.
        smallest: pixels of a predicted object, at least; likewise.
        filled: whether predicted objects have no holes; likewise.

    Raises:
        InputError: the attributes do not fit together.

    Example:
        >>> MaskFormat("binary").label(np.array([[0, 255]], np.uint8)).tolist()
        [[0, 1]]
        >>> MaskFormat("index", 3, values=(0, 7, 11)).label(np.array([[11, 7, 0, 255]], np.uint8)).tolist()
        [[2, 1, 0, 255]]
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
    values: tuple[int, ...] = ()
    border: int = 0
    neck: float = 0.0
    smallest: int = 1
    filled: bool = False

    def __post_init__(self) -> None:
        kind, number, valued = self.kind, self.num_classes, self.kind in ("binary", "index")
        meant = [*self.void, *self.colours, *(self._values() if kind == "binary" else self.values)]
        shown, of = ", ".join(map(str, meant)), f"received {{}} for {number} classes of kind {kind}".format
        rules = (
            (kind in KINDS, f"The kind of a mask must be one of {', '.join(KINDS)}; received {kind!r}."),
            (2 <= number <= MOST_CLASSES, f"There must be 2 to {MOST_CLASSES} classes; received {number}."),
            (
                kind == "instance" or not self.border,
                f"Only masks of object ids (--masks instance) have a border of {self.border} px; received {kind}.",
            ),
            (
                number == 2 + (self.border > 0) or kind in ("index", "palette"),
                f"Masks of kind {kind} must have {2 + (self.border > 0)} classes; received {number}.",
            ),
            (
                0 <= self.border <= MOST_BORDER and 0 <= self.neck < math.inf and self.smallest >= 1,
                f"A border must have 0 to {MOST_BORDER} pixels, a neck 0 or more, the smallest object 1 or more; "
                f"received {self.border}, {self.neck} and {self.smallest}.",
            ),
            (
                len(self.colours) == (number if kind == "palette" else 0),
                f"A palette must have one colour a class, other kinds none; {of(len(self.colours))}.",
            ),
            (
                len(self.values) in ((0, number) if valued else (0,)),
                f"Binary and index masks must have one value a class, other kinds none; {of(len(self.values))}.",
            ),
            (not self.inverted or kind == "binary", f"Only binary masks can be inverted; received {kind}."),
            (
                not self.values or kind == "index" or self.inverted == (self.values[:1] > self.values[1:]),
                f"The lower value must be class 0, or class 1 of inverted masks; received {shown}.",
            ),
            (
                all(isinstance(value, tuple) == (kind == "palette") for value in self.void),
                f"Void must be a colour in a palette and a value elsewhere; received {self.void} for {kind}.",
            ),
            (
                all(isinstance(value, tuple) or 0 <= value < 1 << 16 for value in meant),
                f"Values and void must be 0 to 65535; received {shown}. Renumber them in the masks.",
            ),
            (
                len(meant) == len(set(meant)),
                f"Each class, and void, must have a value of its own; received {shown}. Name others with --void.",
            ),
            (
                self.tolerance == 0 or (self.tolerance > 0 and kind in ("binary", "palette")),
                f"The tolerance must be 0 or more, and 0 where values are ids; received {self.tolerance} for {kind}.",
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
            label = label_from_instances(np.where(void, 0, mask), self.border)
            label[void] = VOID
            return label
        known, codes = self._known(mask), self._codes(mask)
        table = _lookup_table(known, 1 << 24 if self.kind == "palette" else 1 << 16)
        label = table[codes if codes.dtype.itemsize < 4 else np.minimum(codes, len(table) - 1)]
        if (unknown := label == UNKNOWN).any():
            values, inverse = np.unique(codes[unknown], return_inverse=True)
            nearest, distances = find_nearest(values, known, self.kind == "palette")
            if distances.max() > self.tolerance:
                pixels = np.bincount(inverse)
                shown: list[int | Colour] = values.tolist()
                if self.kind == "palette":
                    shown = [as_colour(code) for code in values.tolist()]
                strangers = sorted(
                    map(Stranger, shown, pixels.tolist(), nearest.tolist(), distances.tolist()),
                    key=lambda stranger: -stranger.pixels,
                )
                others = set(np.unique(label).tolist())
                raise UnknownValues(self._refusal(strangers, others, mask, name), strangers, others)
            label[unknown] = nearest[inverse]
            if self.kind == "palette":
                unknown[unknown] = distances[inverse] > CLOSE
                colours = {as_colour(code): number for code, number in known}
                settle_edges(label, unknown, mask, colours, self.tolerance)
        return label

    def mask(self, label: NDArray) -> NDArray:
        """Draw label ids as the mask picture that `label` reads.

        Args:
            label: (H, W) label ids.

        Returns:
            "palette": (H, W, 3) uint8 RGB; "instance": (H, W) uint16 ids, those of `objects`, uint32 where more;
            others: (H, W) uint8 values, or uint16 where one takes it; 0 and 255 for "binary" without values, 0 and 1
            where 255 is void.

        Raises:
            InputError: an id is no class, or a pixel is void and no value stands for void.
        """
        check_ids(label, self.num_classes)
        void: int | Colour | None = self.void[0] if self.void else None
        if void is None and self.kind == "index" and 255 not in self.values:
            void = 255
        if void is None and (label == VOID).any():
            raise InputError(f"A label with void pixels must have a value for them; {self.kind} masks have none here.")
        if self.kind == "instance":
            objects = self.numbers(self.objects(label))
            if void is not None:
                objects[label == VOID] = void
            return objects.astype(np.uint16 if objects.max(initial=0) < 1 << 16 else np.uint32)
        values = np.array(self._values())  # (classes,) or (classes, 3)
        dtype = np.uint8 if max(values.max(), np.max(void or 0)) < 256 else np.uint16
        table = np.zeros((VOID + 1, *values.shape[1:]), dtype)
        table[: len(values)] = values
        if void is not None:
            table[VOID] = void
        return table[label]

    def objects(self, label: NDArray, number: int = 1) -> NDArray[np.int32]:
        """Number the objects of a class of a predicted label, as `unet_tf.data.instances.find_instances` does."""
        return find_instances(label, number, self.neck, self.border > 0 and number == 1, self.smallest, self.filled)

    @property
    def object_class(self) -> int:
        """The class of the objects that "instance" masks tell apart."""
        return 1

    def numbers(self, ids: NDArray[np.int32]) -> NDArray[np.int32]:
        """Number objects 1, 2, .. as "instance" masks do, past the ids that are void there; 0 stays.

        Example:
            >>> MaskFormat("instance", void=(3, 2)).numbers(np.array([0, 1, 2, 3])).tolist()
            [0, 1, 4, 5]
        """
        ids = ids.copy()
        void = self.void if self.kind == "instance" else ()
        for value in sorted(value for value in void if isinstance(value, int) and value > 0):
            ids[ids >= value] += 1
        return ids

    @property
    def real_classes(self) -> int:
        """Number of the classes that a person means: without that of the borders."""
        return self.num_classes - (self.border > 0)

    def real_label(self, label: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Give pixels of borders, (H, W), to the objects that they belong to."""
        return np.where(label == BORDER, np.uint8(1), label) if self.border else label

    def real_probabilities(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give the probability of borders, (H, W, num_classes), to class 1: (H, W, real_classes)."""
        if not self.border:
            return probabilities
        return np.stack([probabilities[..., 0], probabilities[..., 1] + probabilities[..., BORDER]], axis=-1)

    def _plain(self, mask: NDArray, name: str) -> NDArray:
        """(H, W) unsigned integers, or (H, W, 3) uint8 for a palette."""
        mask = np.asarray(mask)
        if mask.ndim == 3 and mask.shape[2] == 3 and self.kind == "palette":
            pass  # a grey one is colour too
        elif mask.ndim == 3 and (mask.shape[2] == 1 or (mask == mask[..., :1]).all()):
            mask = mask[..., 0]
        if mask.ndim not in (2, 3) or (mask.ndim == 3 and mask.shape[2] != 3) or not mask.size:
            raise InputError(f"A mask must be (H, W) or (H, W, 3) with a pixel at least; {name} is {mask.shape}.")
        mask = whole_numbers(mask, name)
        if self.kind == "palette":
            if mask.dtype != np.uint8:
                raise InputError(
                    f"{name} holds {mask.dtype} pixels, and a palette must have 8-bit colours. Save it so."
                )
            return mask if mask.ndim == 3 else np.repeat(mask[..., None], 3, axis=2)
        if mask.ndim == 3:
            remedy = LIST_COLOURS
            if self.kind == "instance":
                remedy = (
                    "Write each id as one number: grey of 16 bits, or TIFF of 32; of COCO's panoptic masks it is "
                    "R + 256 G + 65536 B."
                )
            raise InputError(f"{name} is colour-coded, and {self.kind} masks must be grey. {remedy}")
        return mask

    def _values(self, high: int = 0) -> Sequence[int | Colour]:
        """What stands for each class, by class; `high`, or what is drawn, for the upper of binary masks without."""
        if self.kind == "palette" or self.values:
            return self.colours or self.values
        if self.kind == "binary":
            high = high or (1 if 255 in self.void else 255)
            return (high, 0) if self.inverted else (0, high)
        return tuple(
            itertools.islice((value for value in itertools.count() if value not in self.void), self.num_classes)
        )

    def _known(self, mask: NDArray) -> tuple[Known, ...]:
        """The code of each value or colour that means something in a mask, and its label id."""
        high = 0
        if self.kind == "binary" and not self.values:
            highest = (mask[~np.isin(mask, self.void)] if self.void else mask).max(initial=0)
            high = next((high for high in (1, 255) if highest <= high), 65535)
        values: list[tuple[int | Colour, int]] = [(value, VOID) for value in self.void]
        values += [(value, number) for number, value in enumerate(self._values(high)) if value not in self.void]
        if self.kind == "index" and 255 not in dict(values):
            values.append((255, VOID))
        return tuple((_code(value), number) for value, number in values)

    def _codes(self, mask: NDArray) -> NDArray:
        """One number a pixel: the grey value, or 0xRRGGBB."""
        if self.kind != "palette":
            return mask
        # OpenCV adds the fourth byte faster than NumPy shifts three.
        packed = cv2.cvtColor(np.ascontiguousarray(mask), cv2.COLOR_RGB2BGRA).view(np.uint32)[..., 0]  # (H, W)
        return packed & 0xFFFFFF

    def _refusal(self, strangers: Sequence[Stranger], others: set[int], mask: NDArray, name: str) -> str:
        pixels, size = sum(s.pixels for s in strangers), mask.shape[0] * mask.shape[1]
        values = ", ".join(map(str, self._values()[:8])) + ", ..." * (self.num_classes > 8)
        rule = f"the {self.num_classes} colours of its palette" if self.kind == "palette" else values
        found = ", ".join(map(str, strangers[:5])) + ", ..." * (len(strangers) > 5)
        remedy = SAY_WHAT + "." if self.ids else take_nearest(strangers, others & {*range(self.num_classes)})
        return (
            f"{name} must hold {rule} and void alone; it also holds {found} in {pixels} of {size} pixels "
            f"({pixels / size:.2%}). {remedy}"
        )


def _code(value: int | Colour) -> int:
    return value if isinstance(value, int) else value[0] << 16 | value[1] << 8 | value[2]


@functools.lru_cache(maxsize=8)
def _lookup_table(known: tuple[Known, ...], size: int) -> NDArray[np.uint8]:
    """Label id of each of `size` codes; one more entry, for all codes beyond, is unknown."""
    table = np.full(size + 1, UNKNOWN, np.uint8)
    for code, number in known:
        table[code] = number
    return table
