"""The processor, by the instructions that it has."""

from __future__ import annotations

from pathlib import Path


def instructions(listing: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Names of the instruction sets of an x86 processor, as Linux lists them; empty on other machines."""
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())
