"""Who does the tasks: this process, one of several jobs that share them, or the workers of a Dask scheduler."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from unet_tf.errors import InputError
from unet_tf.utils.stderr import quiet_tensorflow

AHEAD = 4
"""Tasks that a Dask scheduler holds for each of its threads: a million at once would drown it."""
PATIENCE = 60
"""Seconds to wait for the first worker."""

Task = TypeVar("Task")
Result = TypeVar("Result")


def parse_shard(text: str | None) -> tuple[int, int]:
    """The share "k/n" of a job: number k of n, from 1; None is all, 1/1.

    Raises:
        InputError: it is none.

    Example:
        >>> parse_shard("3/8")
        (3, 8)
    """
    found = re.fullmatch(r"(\d+)/(\d+)", "1/1" if text is None else text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise InputError(f'A shard is "k/n", number k of n jobs, k from 1 to n; received "{text}".')
    return int(found[1]), int(found[2])


def workers_of(scheduler: str | None) -> int:
    """Processes that "local:N" starts on this machine; 1 for any other scheduler, and for none.

    Raises:
        InputError: N is no number, or 0.
    """
    if scheduler is None or not scheduler.startswith("local:"):
        return 1
    local = re.fullmatch(r"local:0*([1-9]\d*)", scheduler)
    if not local:
        raise InputError(f'"local:N" starts N processes, 1 or more; received "{scheduler}".')
    return int(local[1])


def run_tasks(
    function: Callable[[Task], Result], tasks: Iterable[Task], scheduler: str | None = None
) -> Iterator[Result]:
    """Do tasks and yield what they return: in order by this process, or as they end by the workers of a scheduler.

    Args:
        function: pure and idempotent: a task whose worker died is done again by another.
        tasks: may be endless; few are taken before they are needed. They and the results travel between processes.
        scheduler: None for this process; the address of a Dask scheduler, such as "tcp://host:8786", whose workers see
            the same paths; or "local:N" for N processes on this machine, which share its cores.

    Raises:
        InputError: Dask is not installed, the scheduler cannot be reached or has no workers, or a task ended its
            worker again and again. What else a task raises is raised here; tasks under way are then given up.
    """
    if scheduler is None:
        yield from map(function, tasks)
        return
    with _client(scheduler) as client:
        from dask.distributed import KilledWorker, as_completed

        tasks = iter(tasks)
        threads = max(1, sum(client.nthreads().values()))
        first = [client.submit(function, task, pure=False) for task in islice(tasks, AHEAD * threads)]
        under_way = as_completed(first)
        try:
            for future in under_way:
                yield future.result()
                future.release()
                under_way.update([client.submit(function, task, pure=False) for task in islice(tasks, 1)])
        except KilledWorker as error:
            raise InputError(
                f"A task ended its worker again and again, as too little memory does: {error}. Give the workers more, "
                "or the tasks less (--memory)."
            ) from error


@contextmanager
def _client(scheduler: str) -> Iterator[Any]:
    """A client of the scheduler, once it has a worker."""
    try:
        from dask.distributed import Client, LocalCluster
    except ImportError as error:
        raise InputError("Schedulers need Dask: pip install 'unet-tf[dask]'.") from error

    if scheduler.startswith("local:"):
        workers = workers_of(scheduler)
        threads = str(max(1, len(os.sched_getaffinity(0)) // workers))
        names = "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"
        environment = dict.fromkeys(names, threads) | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        with (
            LocalCluster(
                n_workers=workers, threads_per_worker=1, memory_limit=0, dashboard_address=":0", env=environment
            ) as cluster,
            Client(cluster) as client,
        ):
            client.run(quiet_tensorflow)
            yield client
        return
    try:
        client = Client(scheduler, timeout=PATIENCE)
        client.wait_for_workers(1, timeout=PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            f'The Dask scheduler "{scheduler}" cannot be used: {error}. It is "local:N", or the address of one that '
            "has workers, such as tcp://host:8786."
        ) from error
    with client:
        yield client
