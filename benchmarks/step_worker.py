"""What the workers share: the paper's tile, and the line protocol they are driven by. No library."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TILE, OUT = 572, 388
CLASSES = 2
RATE, MOMENTUM = 1e-4, 0.99
"""The paper's momentum; a rate small enough for random labels."""


def read(name: str) -> bytearray:
    """A file's bytes, writable."""
    return bytearray(Path(name).read_bytes())


def seconds_of(run: Callable[[], Any], settle: Callable[[], Any] = tuple) -> float:
    """Seconds by the clock of `run` and of waiting for its result."""
    start = time.perf_counter()
    run()
    settle()
    return time.perf_counter() - start


def serve(parameters: int, commands: dict[str, Callable[[str], Any]]) -> None:
    """Print "ready PARAMETERS", then answer each line "COMMAND ARGUMENT" with one line, until the input ends."""
    print("ready", parameters, flush=True)
    for line in sys.stdin:
        command, argument = line.split()
        print(commands[command](argument), flush=True)
