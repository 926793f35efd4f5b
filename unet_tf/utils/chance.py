"""The global random generators, which belong to whoever calls the package."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def own_chance(seed: int | None = None) -> Iterator[None]:
    """Leave Python's and NumPy's global generators as they were before the block.

    Args:
        seed: from which Python's generator starts in the block, from which Keras takes the seeds of start weights and
            dropout.

    Example:
        >>> random.seed(1)
        >>> with own_chance(seed=0):
        ...     first = random.random()
        >>> after = random.random()
        >>> random.seed(1)
        >>> after == random.random()
        True
    """
    ours, numpys = random.getstate(), np.random.get_state()  # noqa: NPY002
    if seed is not None:
        random.seed(seed)
    try:
        yield
    finally:
        random.setstate(ours)
        np.random.set_state(numpys)  # noqa: NPY002
