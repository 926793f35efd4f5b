"""Files that are whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unet_tf.errors import InputError

REFUSALS = {
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EACCES", "EPERM", "EROFS", "ENOTDIR", "EEXIST")
}
"""What the system answers where it will not write: full, over quota, too large, not permitted, read-only, no folder."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with its suffix; rename it to `path` when the block ends well.

    The block may make a file or a folder of it; a folder replaces one of the same name. If the block fails, what it
    wrote is removed and an existing `path` stays as it was.

    Raises:
        InputError: the system refuses to write (no space left, no permission).

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.txt"
        >>> with replacing(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text(), len(list(target.parent.iterdir()))
        ('whole', 1)
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot make the folder {path.parent}: {error.strerror}. Choose another place.") from error
    try:
        yield temporary
        if temporary.is_file():  # on the disk before it gets its name, should the machine stop
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        if temporary.is_dir() and path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        raise InputError(f"Cannot write {path}: {error.strerror}. Free space or choose another place.") from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def tuples(value: Any) -> Any:
    """Lists, and lists in them, as tuples: what TOML and JSON made of tuples."""
    return tuple(map(tuples, value)) if isinstance(value, list) else value
