"""Ctrl-C and SIGTERM as a wish that the work looks at between two of its units.

A handler that raises does so wherever the program happens to be: inside a save, inside `shutil.rmtree`, inside
TensorFlow, where a file handle is then lost or the process aborts. So the first signal sets a flag only.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM)
STOPPED = 130
"""Exit code of a process that was told to stop, as shells count."""


class Stopped(KeyboardInterrupt):
    """The work has ended between two of its units, since a signal told it to."""


class _Wish:
    """Whether a signal has come since the outermost `stoppable` began, and how many of these are open."""

    told, depth = False, 0


@contextmanager
def stoppable() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the block at its next `look`; a second signal does what it did before the block.

    Blocks may stand in blocks: the outermost one sets the handlers. In a thread other than the main one, where Python
    allows no handlers, the block runs as if nothing were set.
    """
    if _Wish.depth or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOPPING}
    # None: a handler that was not set from Python, which could not be set again. What is ignored stays ignored, such as
    # Ctrl-C in what a shell runs in the background.
    before = {number: handler for number, handler in before.items() if handler not in (None, signal.SIG_IGN)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def wish(number: int, frame: FrameType | None) -> None:
        tell()
        restore()

    _Wish.told, _Wish.depth = False, 1
    try:
        for number in before:
            signal.signal(number, wish)
        yield
    finally:
        restore()
        _Wish.told, _Wish.depth = False, 0


def tell() -> None:
    """Let the next `look` end the work, as a signal does."""
    _Wish.told = True


def look() -> None:
    """End the work here if a signal has told it to stop.

    Raises:
        Stopped: one has.
    """
    if _Wish.told:
        raise Stopped
