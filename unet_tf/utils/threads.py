"""Work that threads do ahead of whoever takes the results, in order."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from unet_tf.utils.memory import free_memory
from unet_tf.utils.signals import Stopped

Item = TypeVar("Item")
Result = TypeVar("Result")
FLOOR = 0.25
"""Share of the memory that was free at first below which several threads do no more than one result ahead."""


def cores() -> int:
    """Count the processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # on Linux: a container, Slurm or taskset may give fewer than there are
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ahead(function: Callable[[Item], Result], items: Iterable[Item], workers: int = 1) -> Iterator[Result]:
    """Yield function(item) for each item, in order, while threads do the next ones.

    An item is taken when a thread is free for it, and at most one result for each thread waits to be taken. If the
    items end with an error, the results of those before it come first. If a result is an error, nothing is begun any
    more. No call outlives the iterator, but where it is collected in a thread of its own.

    Args:
        function: called in a thread.
        items: taken one by one, by the thread that takes the results.
        workers: how many threads.

    Yields:
        The results.

    Example:
        >>> list(ahead(abs, [-1, 2, -3]))
        [1, 2, 3]
    """
    free_at_first = free_memory() if workers > 1 else 0
    failure: BaseException | None = None
    under_way, own = deque[Future[Result]](), set[int]()
    items = iter(items)
    pool = ThreadPoolExecutor(workers, initializer=lambda: own.add(threading.get_ident()))
    try:
        while True:
            try:
                item = next(items)
            except StopIteration:
                break
            except (Exception, Stopped) as error:
                failure = error
                break
            under_way.append(pool.submit(function, item))
            while len(under_way) > workers or (
                len(under_way) > 1 and workers > 1 and free_memory() < FLOOR * free_at_first
            ):
                yield _first(under_way)
        while under_way:
            yield _first(under_way)
    finally:
        running = [future for future in under_way if not future.cancel()]
        under_way.clear()
        # memory may be collected, and this be ended by that, in a thread of its own, or amid the start of a thread,
        # which holds a lock that each thread needs to end: so calls are waited for, and threads are not
        pool.shutdown(wait=False)
        if threading.get_ident() not in own:
            wait(running)
        running.clear()  # a failure among them would hold itself, by the frames of its traceback
    if failure is not None:
        raise failure


def _first(under_way: deque[Future[Result]]) -> Result:
    """The result of the first call, which is under way until it is there, whatever ends the wait for it."""
    found = under_way[0].result()
    under_way.popleft()
    return found
