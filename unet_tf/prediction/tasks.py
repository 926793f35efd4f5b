"""Who does the tasks: this process, one of several jobs that share them, or the workers of a Dask scheduler."""

from __future__ import annotations

import ast
import functools
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from unet_tf.errors import InputError
from unet_tf.utils.extras import import_extra
from unet_tf.utils.signals import STOPPING, Stopped, look, tell
from unet_tf.utils.stderr import quiet_tensorflow
from unet_tf.utils.threads import cores

AHEAD = 4
"""Tasks that a Dask scheduler holds for each of its threads: a million at once would drown it."""
PATIENCE = 60
"""Seconds to wait for the first worker."""
POLL = 0.02
"""Seconds between two looks at whether a task has ended, or a signal came."""
GUARD = 'put the call under if __name__ == "__main__" in a script that is a file, since each of them imports it.'
"""What has to be done where processes cannot be started."""

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
    """Count the processes that "local:N" starts on this machine; 1 for any other scheduler, and for none.

    Raises:
        InputError: N is no number, or 0; or no process can be started from the main script.

    Example:
        >>> workers_of("tcp://host:8786")
        1
    """
    if scheduler is None or not scheduler.startswith("local:"):
        return 1
    local = re.fullmatch(r"local:0*([1-9]\d*)", scheduler)
    if not local:
        raise InputError(f'"local:N" must be a number of processes, 1 or more; received "{scheduler}".')
    if not _needs_no_main():
        raise InputError(f'scheduler="local:N" starts processes: {GUARD}')
    return int(local[1])


def run_tasks(
    function: Callable[[Task], Iterable[Result]], tasks: Iterable[Task], scheduler: str | None = None
) -> Iterator[Result]:
    """Do tasks and yield all that they give: in order by this process, or as they end by the workers of a scheduler.

    Where a signal tells this process to stop, no task is begun any more; processes of "local:N" end theirs at its next
    `look`, and what they did is yielded first.

    Args:
        function: pure and idempotent: a task whose worker died is done again by another.
        tasks: may be endless; few are taken before they are needed. They and the results travel between processes.
        scheduler: None for this process; the address of a Dask scheduler, such as "tcp://host:8786", whose workers see
            the same paths; or "local:N" for N processes on this machine, which share its cores.

    Yields:
        What `function` gives for each task.

    Raises:
        InputError: Dask is not installed, the scheduler cannot be reached, has no workers or goes away, or a task ended
            its worker again and again. What else a task raises is raised here; tasks under way are then given up.
        Stopped: a signal came.

    Example:
        >>> list(run_tasks(range, [2, 3]))
        [0, 1, 0, 1, 2]
    """
    if scheduler is None:
        for task in tasks:
            look()
            yield from function(task)
        return
    local = workers_of(scheduler) if scheduler.startswith("local:") else 0
    with _client(scheduler, local) as client:
        from dask.distributed import CancelledError, KilledWorker, as_completed

        tasks, stopped = iter(tasks), False
        threads = max(1, sum(client.nthreads().values()))
        work = functools.partial(_done, function)
        under_way = as_completed([client.submit(work, task, pure=False) for task in islice(tasks, AHEAD * threads)])
        try:
            while not under_way.is_empty():
                while not under_way.has_ready() and not stopped:
                    try:
                        look()
                    except Stopped:
                        if not local:
                            raise
                        stopped, tasks = True, iter(())
                        client.run(tell)
                    time.sleep(POLL)
                future = next(under_way)
                yield from future.result()
                future.release()
                under_way.update([client.submit(work, task, pure=False) for task in islice(tasks, 1)])
        except KilledWorker as error:
            raise InputError(
                f"A task ended its worker again and again, as too little memory does: {error}. Give the workers more, "
                "or the tasks less (--memory)."
            ) from error
        except CancelledError as error:  # nobody here cancels a task
            raise InputError(
                f'The Dask scheduler must stay until all is done, and "{scheduler}" went away. Start it again: '
                "the same command, without --overwrite, does what is left."
            ) from error
        look()


def _done(function: Callable[[Task], Iterable[Result]], task: Task) -> list[Result]:
    """In a worker: what a task gives, until the call is told to stop."""
    results: list[Result] = []
    with suppress(Stopped):
        look()
        results.extend(function(task))  # keeps what came before an error
    return results


def _needs_no_main() -> bool:
    """Whether processes can be started from where the program is: they import the main script once more.

    From a script, or a module that is run by `python -m`, they can where it guards what it does by
    `if __name__ == "__main__"`, in whatever block; from a package that is run by `python -m`, whose `__main__` is not
    imported again, a notebook and an interactive session, which have no script, anywhere.
    """
    main = sys.modules["__main__"]
    if str(getattr(main.__spec__, "name", "")).endswith("__main__") or not getattr(main, "__file__", None):
        return True
    try:
        text = Path(main.__file__ or "").read_bytes()
    except OSError:  # "<stdin>": there is no script to import
        return False
    if b"\0" in text or re.search(rb"^if\b.*\b__name__\b", text, re.MULTILINE):  # no source, or a guard
        return True
    with suppress(SyntaxError, ValueError, RecursionError):  # one in a block, or without "if"
        compared = (ast.unparse(node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Compare))
        return any("__name__" in words and "__main__" in words for words in compared)
    return False


@contextmanager
def _client(scheduler: str, local: int) -> Iterator[Any]:
    """A client of the scheduler, once it has a worker."""
    for name in ("dask", "distributed"):
        import_extra("Schedulers need Dask: pip install 'unet-tf[dask]'.", name)
    from dask.distributed import Client, LocalCluster

    if local:
        threads = str(max(1, cores() // local))
        names = "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"
        environment = dict.fromkeys(names, threads) | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        with ExitStack() as opened:
            try:
                with _interrupts_for_this_process_alone():
                    cluster = LocalCluster(
                        n_workers=local, threads_per_worker=1, memory_limit=0, dashboard_address=":0", env=environment
                    )
                opened.enter_context(cluster)
                client = opened.enter_context(Client(cluster))
            except RuntimeError as error:
                why = str(error).rstrip(".")
                raise InputError(f"The processes of {scheduler} must be able to start: {why}; {GUARD}") from error
            client.run(quiet_tensorflow)
            yield client
        return
    try:
        client = Client(scheduler, timeout=PATIENCE)
        client.wait_for_workers(1, timeout=PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            f'The Dask scheduler "{scheduler}" cannot be used: {error}. It must be "local:N", or the address of one '
            "that has workers, such as tcp://host:8786."
        ) from error
    with client:
        yield client


@contextmanager
def _interrupts_for_this_process_alone() -> Iterator[None]:
    """Let the processes that are started in the block not hear Ctrl-C, which a terminal sends to all of a group.

    They and the thread that starts others in their place inherit what this thread blocks.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
