"""What a person may say of tiles: what they may take of the memory, and how they are turned."""

from __future__ import annotations

from unet_tf.errors import InputError
from unet_tf.tiling import TURNS
from unet_tf.utils.memory import free_memory, parse_bytes

TTA = {"none": (0,), "rotations": (0, 1, 2, 3), "all": tuple(TURNS)}
"""Test-time averaging: name -> turns of each tile whose probabilities are averaged."""
FREE_SHARE, MOST_PIXELS = 0.25, 2272**2
"""Share of the free memory that tiles may take where no budget is given, and most input pixels of a tile: an image of
2048 px with its halo. Larger ones save less than touching more memory costs (measured up to 4300 px)."""


def turns_of(tta: str) -> tuple[int, ...]:
    """Give the turns that a name of test-time averaging stands for.

    Raises:
        InputError: it stands for none.
    """
    if tta not in TTA:
        raise InputError(f"Test-time averaging must be one of {', '.join(TTA)}; received {tta!r}.")
    return TTA[tta]


def memory_budget(memory: int | str | None) -> float:
    """Give the bytes that a tile may take: `memory`, such as "2GB", or a share of what is free."""
    return free_memory() * FREE_SHARE if memory is None else parse_bytes(memory)
