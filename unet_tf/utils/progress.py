"""How far a piece of work is, told to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""A function that is called with (done, in all) after each unit of a piece of work."""


def unseen(done: int, total: int) -> None:
    """Show nobody how far the work is: the default of every `Progress`."""
