"""How large objects are, counted over any number of pictures, and which of them are specks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

SPECK = 16
"""An object is a speck where the one in which a pixel of objects lies is so many times as large, in the mean."""
MANY = 0.2
"""Share of the objects that are specks from which on that is worth a word."""


@dataclass
class Sizes:
    """Numbers and pixels of objects by their size, in powers of two.

    Attributes:
        objects: bits of the area, in pixels -> number of objects.
        pixels: likewise -> their pixels.
    """

    objects: Counter[int] = field(default_factory=Counter)
    pixels: Counter[int] = field(default_factory=Counter)

    def add(self, areas: Iterable[int]) -> None:
        """Count objects of these areas."""
        for area in areas:
            self.objects[area.bit_length()] += 1
            self.pixels[area.bit_length()] += area

    def __iadd__(self, other: Sizes) -> Sizes:
        self.objects += other.objects
        self.pixels += other.pixels
        return self

    @property
    def total(self) -> int:
        """Number of objects."""
        return self.objects.total()

    @property
    def specks(self) -> tuple[int, int]:
        """How many objects are specks, and the area, a power of two, below which they are; (0, 0) where few are.

        Example:
            >>> sizes = Sizes()
            >>> sizes.add([1000, 1100, 3, 5, 9])
            >>> sizes.specks
            (3, 64)
        """
        pixels = self.pixels.total()
        if not pixels:
            return 0, 0
        usual = sum(here * here / self.objects[bits] for bits, here in self.pixels.items()) / pixels
        bits = int(usual / SPECK).bit_length()  # of areas that are no speck any more
        few = sum(number for one, number in self.objects.items() if one < bits)
        return (few, 1 << (bits - 1)) if few > MANY * self.total else (0, 0)
