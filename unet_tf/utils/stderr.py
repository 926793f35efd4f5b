"""Libraries without the lines that their C++ parts write to the terminal."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path


class _Quiet:
    """Lets nothing write to the terminal, C++ either, as long as any thread is in such a block."""

    def __init__(self) -> None:
        # One thread may come in twice: the garbage collector frees a net wherever it likes, between any two lines here.
        self.lock, self.inside = threading.RLock(), 0
        self.kept: int | None = None

    def __enter__(self) -> None:
        if not self.inside:
            # not while the lock is held: what stands for sys.stderr may have a lock of its own, as rich's has
            with suppress(AttributeError, OSError, ValueError):
                sys.stderr.flush()
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.kept = _turned_away() if _is_there() else None

    def __exit__(self, *_: object) -> None:
        with self.lock:
            if self.inside == 1 and self.kept is not None:
                os.dup2(self.kept, 2)
                os.close(self.kept)
                self.kept = None
            self.inside -= 1


quiet_stderr = _Quiet()
"""Where the process has no standard error, as a program with a window has none, nothing is done."""


def _is_there() -> bool:
    """Whether descriptor 2 is standard error, and no file that was opened since that was closed."""
    try:
        return sys.__stderr__ is not None and not sys.__stderr__.closed
    except ValueError:  # detached, as by who wraps it to write in another encoding
        return True


def _turned_away() -> int | None:
    """Let what is written to standard error go nowhere; what it was, None where there are no more files."""
    with suppress(OSError):
        kept = os.dup(2)
        try:
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            return kept
        except OSError:
            os.close(kept)
    return None


def on_terminal() -> bool:
    """Whether somebody reads standard error on a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def write_stderr(text: str) -> None:
    """Write to standard error, where the process has one."""
    if sys.stderr is not None:
        sys.stderr.write(text)


def quiet_tensorflow() -> None:
    """Import TensorFlow without the lines that its C++ libraries write to the terminal, whatever is set."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quiet_stderr:
        import tensorflow as tf

        tf.constant(0)  # the processor's features are announced with the first op
