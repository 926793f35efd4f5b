"""Memory that is free, and amounts of it in words."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from unet_tf.errors import InputError


def free_memory(root: Path = Path("/")) -> int:
    """Bytes of memory that this process may still take: of the machine, or of its control group where that is less.

    Args:
        root: where the system shows /proc and /sys.

    Raises:
        InputError: the system does not tell.
    """
    limits = list(_free_in_groups(root))
    with contextlib.suppress(OSError, ValueError, IndexError):  # no Linux
        lines = (root / "proc/meminfo").read_text().splitlines()
        limits += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    if not limits:
        limits.append(_of_the_machine() // 2)  # what is free is not told: half of all
    return max(0, min(limits))


def _free_in_groups(root: Path) -> Iterator[int]:
    """What is free in the control groups of this process, from its own up to the outermost, version 1 and 2.

    What a group has read from files and no longer uses is counted as used there, and freed when memory is wanted.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for _, controllers, own in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers == "":
            top, most, used, cached = "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            top, most, used = "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            cached = "total_inactive_file"
        else:
            continue
        group = PurePosixPath(own.strip("/"))
        for path in (root / top / one for one in (group, *group.parents)):
            with contextlib.suppress(OSError, ValueError):  # no such group here, or no limit ("max")
                limit, taken = int((path / most).read_text()), int((path / used).read_text())
                stat = dict(line.split() for line in (path / "memory.stat").read_text().splitlines())
                yield limit - taken + int(stat.get(cached, 0))


def _of_the_machine() -> int:
    """Bytes of memory that the machine has.

    Raises:
        InputError: the system does not tell.
    """
    if hasattr(os, "sysconf"):  # not on Windows
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    raise InputError(
        "The memory of this machine must be known, and its system (neither Linux nor macOS) does not tell. Train and "
        "predict on one of these, on Windows within WSL."
    )


def parse_bytes(text: int | str) -> int:
    """A number of bytes: 2_000_000_000, "2GB", "500 MB", "1.5GiB".

    Raises:
        InputError: it is none.
    """
    units = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
    found = re.fullmatch(r"\s*([0-9.]+)\s*([kmgt]?i?)b?\s*", str(text).lower())
    try:
        number = float(found[1]) * units[found[2]] if found else 0
    except (ValueError, KeyError):
        number = 0
    if number < 1:
        raise InputError(f'Memory must be a number of bytes, such as 2GB or 500MB; received "{text}".')
    return int(number)
