import functools
import operator
import subprocess
import sys
import time

import pytest

from unet_tf.errors import InputError
from unet_tf.prediction.tasks import parse_shard, run_tasks, workers_of


def _slow(number):
    time.sleep(0.05)
    return [number]


def test_a_share_is_a_number_of_a_number():
    assert parse_shard("3/8") == (3, 8)
    assert parse_shard(None) == (1, 1)
    for wrong in ("0/8", "9/8", "3", "a/b", "-1/2"):
        with pytest.raises(InputError, match=rf'A shard is "k/n".*received "{wrong}"'):
            parse_shard(wrong)


def test_the_loop_does_tasks_in_order_and_takes_none_ahead():
    taken = []

    def tasks():
        for number in range(5):
            taken.append(number)
            yield number

    results = run_tasks(lambda n: [n * n], tasks())
    assert [next(results), next(results)] == [0, 1]
    assert taken == [0, 1]
    assert list(results) == [4, 9, 16]


def test_local_workers_do_all_tasks_and_take_few_ahead():
    pytest.importorskip("distributed")
    taken = []

    def tasks():
        for number in range(50):
            taken.append(number)
            yield number, number + 2

    results = run_tasks(operator.methodcaller("__add__", ()), tasks(), "local:2")
    first = next(results)
    assert len(taken) <= 2 * 4 + 1
    assert sorted([first, *results]) == sorted([*range(50), *range(2, 52)])


def test_what_a_task_raises_is_raised():
    distributed = pytest.importorskip("distributed")
    settings = {"processes": False, "threads_per_worker": 1, "dashboard_address": None, "protocol": "tcp"}
    with distributed.LocalCluster(n_workers=1, **settings) as cluster:
        assert cluster.scheduler_address.startswith("tcp://")  # what is raised travels
        with pytest.raises(ValueError, match="arg 3 must not be zero"):
            list(run_tasks(functools.partial(range, 0, 5), [1, 0], cluster.scheduler_address))


def test_a_scheduler_that_goes_away_is_said():
    distributed = pytest.importorskip("distributed")
    settings = {"processes": False, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(n_workers=1, **settings) as cluster:
        results = run_tasks(_slow, range(100), cluster.scheduler_address)
        next(results)
    with pytest.raises(InputError, match=f'"{cluster.scheduler_address}" went away.*does what is left'):
        list(results)


def test_schedulers_that_cannot_be_used_are_refused(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("unet_tf.prediction.tasks.PATIENCE", 1)
    for local in ("local:0", "local:two", "local:"):
        with pytest.raises(InputError, match=f'"local:N" must be a number of processes, 1 or more; received "{local}"'):
            list(run_tasks(abs, [1], local))
    with pytest.raises(InputError, match='scheduler "tcp://127.0.0.1:9" cannot be used'):
        list(run_tasks(abs, [1], "tcp://127.0.0.1:9"))
    with pytest.raises(InputError, match='scheduler "slurm" cannot be used'):
        list(run_tasks(abs, [1], "slurm"))
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'unet-tf\[dask\]'"):
        list(run_tasks(abs, [1], "local:2"))


def test_a_dask_that_lacks_another_package_is_not_said_to_be_missing(monkeypatch, tmp_path):
    pytest.importorskip("distributed")
    (tmp_path / "distributed.py").write_text("import no_such_package")
    monkeypatch.delitem(sys.modules, "distributed")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        list(run_tasks(abs, [1], "local:2"))


def test_workers_of_this_machine_are_counted():
    assert [workers_of(s) for s in (None, "tcp://host:8786", "local:3")] == [1, 1, 3]


def test_a_script_from_standard_input_is_told_of_the_guard():
    code = "from unet_tf.prediction.tasks import workers_of\nworkers_of('local:2')\n"
    done = subprocess.run([sys.executable, "-"], input=code, capture_output=True, text=True)
    assert done.returncode == 1
    assert 'put the call under if __name__ == "__main__"' in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("before", "guarded"),
    [
        ("", False),
        ("import logging; log = logging.getLogger(__name__)", False),
        ("if __name__ != '__main__': raise SystemExit", True),
        ("if (__name__ == '__main__'): pass", True),
        ("try:\n    if __name__ == '__main__': pass\nfinally: pass", True),
        ("'__main__' == __name__ and print(end='')", True),
        ('"""As in\n\n    if __name__ == \'__main__\': main()\n"""', False),
    ],
)
def test_a_script_needs_a_guard(before, guarded, tmp_path):
    code = f"{before}\nfrom unet_tf.prediction.tasks import workers_of\nprint(workers_of('local:2'))\n"
    (tmp_path / "script.py").write_text(code)
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True)
    assert done.stdout == ("2\n" if guarded else "")
    assert ('put the call under if __name__ == "__main__"' in done.stderr) != guarded


def test_where_processes_do_not_start_the_guard_is_said_too(monkeypatch):
    pytest.importorskip("distributed")

    def fail(**settings):
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr("dask.distributed.LocalCluster", fail)
    with pytest.raises(InputError, match=r"must be able to start: Nanny failed to start; put the call under if __name"):
        list(run_tasks(abs, [1], "local:2"))
