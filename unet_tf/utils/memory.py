"""Memory that is free, and amounts of it in words."""

from __future__ import annotations

import os
import re
from pathlib import Path

from unet_tf.errors import InputError

ASSUMED = 8 << 30
"""Bytes of memory of a machine that does not say how many it has."""


def free_memory() -> int:
    """Bytes of memory that this process may still take: of the machine, or of its control group where that is less."""
    limits = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                limits.append(int(line.split()[1]) * 1024)
        group = Path("/sys/fs/cgroup")
        used = int((group / "memory.current").read_text())
        limits.append(int((group / "memory.max").read_text()) - used)
    except (OSError, ValueError):  # no Linux, no control group, or no limit ("max")
        pass
    return min(limits) if limits else _all_memory() // 2


def _all_memory() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows does not say it so
        return ASSUMED


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
        raise InputError(f'Memory is a number of bytes, such as 2GB or 500MB; received "{text}".')
    return int(number)
