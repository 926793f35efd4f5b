"""The one exception that speaks to the person who gave the input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """Input that cannot be used: the message states the rule, the value received and the remedy.

    The command line prints it as one message without a traceback; every other exception is a defect.

    Args:
        message: the sentence.
        file: the file that it is about, where it is about one.

    Attributes:
        file: the same.
    """

    def __init__(self, message: str, file: str | Path | None = None) -> None:
        super().__init__(message)
        self.file = None if file is None else Path(file)


@contextmanager
def about(file: str | Path) -> Iterator[None]:
    """Say of every InputError in the block that it is about this file, where it says none itself."""
    try:
        yield
    except InputError as error:
        error.file = error.file or Path(file)
        raise
