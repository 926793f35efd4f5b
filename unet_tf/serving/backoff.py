"""Asking again, later and later, what may go well in a while."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from unet_tf.serving.transport import RequestError
from unet_tf.utils.signals import look

Found = TypeVar("Found")
MOMENT = 0.1
"""Seconds between two looks at whether a signal has come."""


def pause(seconds: float) -> None:
    """Wait, unless a signal tells to stop.

    Raises:
        Stopped: one does.
    """
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        look()
        time.sleep(min(left, MOMENT))
    look()


class Backoff:
    """Does work again that has failed for a reason that passes: no connection, too many requests at once.

    Before try number n + 1 it waits half of `first` * 2**(n - 1) seconds, or of `most`, and up to that much again by
    chance, so that many clients do not come back all at once.

    Args:
        retries: how often it tries again.
        first: seconds before the second try, at most.
        most: seconds before any try, at most.
        chance: gives numbers in [0, 1).
        wait: waits for so many seconds.

    Example:
        >>> waited = []
        >>> def work():
        ...     raise RequestError("RESOURCE_EXHAUSTED", "Full.")
        >>> Backoff(3, chance=lambda: 0.5, wait=waited.append)(work)
        Traceback (most recent call last):
        unet_tf.serving.transport.RequestError: Full. Send fewer requests at once, or try again later.
        >>> waited
        [0.375, 0.75, 1.5]
    """

    def __init__(
        self,
        retries: int = 8,
        first: float = 0.5,
        most: float = 15.0,
        chance: Callable[[], float] = random.random,
        wait: Callable[[float], None] = pause,
    ) -> None:
        self.retries, self._first, self._most, self._chance, self._wait = retries, first, most, chance, wait

    def __call__(self, work: Callable[[], Found]) -> Found:
        """Give what the work gives in the end, or raise its last error."""
        for number in range(self.retries):
            try:
                return work()
            except RequestError as error:
                if not error.passing:
                    raise
            longest = min(self._most, self._first * 2.0 ** min(number, 30))
            self._wait(longest * (1 + self._chance()) / 2)
        return work()
