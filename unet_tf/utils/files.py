"""Files that are whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from unet_tf.errors import InputError
from unet_tf.utils.signals import look

_REFUSALS = (
    "ENOSPC EDQUOT EFBIG EACCES EPERM EROFS ENOTDIR EISDIR EEXIST ENOTEMPTY ENAMETOOLONG ELOOP EBUSY EIO ESTALE EINVAL"
)
REFUSALS = {None} | {getattr(errno, name) for name in _REFUSALS.split() if hasattr(errno, name)}
"""What the system answers where it will not write: full, over quota, too large, not permitted, read-only, no folder, a
name that it does not take. None: NumPy and HDF5 say a full disk without a number."""
PAUSE = 0.05
"""Seconds between two looks at a folder that another process holds alone."""
LITTER = re.compile(r"\.DS_Store|\._.*|Thumbs\.db|desktop\.ini", re.IGNORECASE)
"""Names of files that file managers leave in folders."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, with its suffix; rename it to `path` when the block ends well.

    The block may make a file or a folder of it; a folder replaces one of the same name. If the block fails, what it
    wrote is removed and an existing `path` stays as it was. Nothing that fails while it is removed hides the error of
    the block.

    Args:
        path: the file or folder to be.

    Yields:
        Where to write it.

    Raises:
        InputError: the system refuses to write (no space left, no permission, read-only, a name too long), or the
            folder was removed meanwhile.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.txt"
        >>> with replacing(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text(), len(list(target.parent.iterdir()))
        ('whole', 1)
    """
    path = Path(path)
    with _temporary(path) as temporary:
        yield temporary
        _to_disk(temporary)
        if temporary.is_dir() and path.is_dir():
            with _temporary(path) as aside:  # at no moment is there neither the old folder nor the new one for long
                path.rename(aside)
                try:
                    temporary.rename(path)
                except OSError:
                    aside.rename(path)
                    raise
        else:
            temporary.replace(path)


def write_new(path: str | Path, text: str) -> bool:
    """Write a text file unless there is one of that name; whoever sees it sees it whole.

    Args:
        path: the file to be.
        text: what it will hold, in UTF-8; names of files that are no UTF-8 keep their bytes.

    Returns:
        Whether this call wrote it: of many that try at once, one does.

    Raises:
        InputError: the system refuses to write.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.txt"
        >>> write_new(target, "first"), write_new(target, "second"), target.read_text()
        (True, False, 'first')
    """
    path = Path(path)
    with _temporary(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
        _to_disk(temporary)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links: no more than this one write may be seen half
            if path.exists():
                return False
            try:
                with path.open("xb") as file:
                    file.write(temporary.read_bytes())
            except FileExistsError:
                return False
    return True


@contextmanager
def held(folder: str | Path, alone: bool = False) -> Iterator[None]:
    """Hold a folder, or a file, while the block runs: beside others who do so too, or alone.

    Who holds it with others waits for one who holds it alone. The hold ends with the process. Where the system or the
    file system knows no such locks (Windows, some network drives), nobody is kept out.

    Args:
        folder: an existing one.
        alone: let nobody else hold it meanwhile.

    Raises:
        InputError: others hold the folder that is wanted alone, or it cannot be opened.
    """
    try:
        handle = hold(Path(folder), alone)
    except BlockingIOError as error:
        raise InputError(
            f"{folder} must not be in use where it is begun anew (--overwrite), and another call writes into it. Wait "
            "for its end, or choose another --out."
        ) from error
    except OSError as error:
        raise refusal(folder, error) from error
    try:
        yield
    finally:
        release(handle)


def release(handle: int | None) -> None:
    """Give back what `hold` gave, though processes that were forked meanwhile have it too."""
    if handle is not None:
        import fcntl

        with suppress(OSError):  # this file system has no locks
            fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def hold(path: Path, alone: bool) -> int | None:
    """Lock a folder or a file as `held` does, until `release` of what is given; None where the system knows no locks.

    Raises:
        BlockingIOError: others hold what is wanted alone.
        OSError: it cannot be opened.
    """
    try:
        import fcntl
    except ImportError:
        return None
    while True:
        # a network drive wants a file open for writing where it is held alone; a folder never is
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
        try:
            fcntl.flock(handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            found = identity(path)
            if found is not None and found[-1] == os.fstat(handle).st_ino:  # else it was replaced meanwhile
                return handle
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):  # this file system has no locks
                return handle
            if alone:
                os.close(handle)
                raise BlockingIOError(*error.args) from error
        os.close(handle)
        look()
        time.sleep(PAUSE)


def identity(path: str | Path) -> tuple[int, ...] | None:
    """What changes when a file is written or replaced: the key of everything that is kept of it.

    Args:
        path: the file.

    Returns:
        Its time, size and inode; None where there is none.
    """
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def placed(path: str | Path, suffixes: Collection[str]) -> Path:
    """Give a path without links, but for one to a file whose name there says no more what it is.

    Stores of contents (DVC, the cache of the Hugging Face Hub) lay links to files that are named otherwise.

    Args:
        path: of a file or folder.
        suffixes: of names that say what a file is.
    """
    path, there = Path(path), Path(os.path.realpath(path))  # where a link leads to itself, resolve fails
    return there if there.is_dir() or there.suffix.lower() in suffixes else path.parent.resolve() / path.name


def is_one_file(one: Path, other: Path) -> bool:
    """Whether two names are of one file that is there, as scan.BMP and scan.bmp are where the disk tells no case."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def above(path: Path, *names: str) -> Path | None:
    """Find the next folder above a path, of three, that has a file of one of these names."""
    return next((one for one in path.absolute().parents[:3] if any((one / name).is_file() for name in names)), None)


def refusal(path: str | Path, error: OSError) -> InputError:
    """Say in words that the system does not write, and what to do.

    Args:
        path: what was to be written.
        error: what the system said.

    Returns:
        The error to raise.
    """
    why, remedy = error.strerror or str(error), "Free space or choose another place."
    if error.errno == errno.ENAMETOOLONG:
        remedy = "Choose a shorter name."
    elif error.errno == errno.ENOENT:
        why, remedy = "its folder is gone", "Give the same command again."
    return InputError(f"Cannot write {path}: {why}. {remedy}", path)


def unreadable(path: Path, error: OSError) -> InputError:
    """Say in words that the system does not read a file, and what to do."""
    return InputError(f"Cannot read {path}: {error.strerror}. Check the path and who may read it.", path)


def sha256_of(content: Path | bytes) -> str:
    """SHA-256 of a file, read in pieces, or of what one will hold.

    Raises:
        InputError: the file cannot be read.
    """
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    try:
        with content.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(content, error) from error


def tuples(value: Any) -> Any:
    """Turn lists, and lists in them, into tuples: what TOML and JSON made of tuples."""
    return tuple(map(tuples, value)) if isinstance(value, list) else value


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A path beside `path` that is gone after the block, and errors of the system in words."""
    # Not the whole name: one of 255 bytes is legal, and must be so with our letters.
    temporary = path.with_name(f".{path.stem[:20]}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"Cannot make the folder {path.parent}: {error.strerror}. Choose another place.", path.parent
        ) from error
    try:
        yield temporary
    except OSError as error:
        if error.errno not in REFUSALS and (error.errno != errno.ENOENT or path.parent.is_dir()):
            raise
        raise refusal(path, error) from error
    finally:
        with suppress(OSError):  # on a read-only file system even what is not there cannot be removed
            if temporary.is_dir():
                shutil.rmtree(temporary, ignore_errors=True)
            else:
                temporary.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Have a file on the disk before it gets its name, should the machine stop."""
    if path.is_file():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
