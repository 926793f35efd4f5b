"""Work that threads do ahead of whoever takes the results, in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(function: Callable[[int], Any], numbers: range) -> Iterator[Any]:
    """function(n) for each number, in order, by a thread for each core and a few results ahead at most."""
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future] = deque()
        try:
            for number in numbers:
                ahead.append(pool.submit(function, number))
                if len(ahead) > 2 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """function(item) for each item, in order, the next one under way in a thread."""
    with ThreadPoolExecutor(1) as pool:
        under_way: Future[Result] | None = None
        for item in items:
            before, under_way = under_way, pool.submit(function, item)
            if before is not None:
                yield before.result()
        if under_way is not None:
            yield under_way.result()
