"""Memory that is free, as the system tells it: files of a made-up /proc and /sys."""

import os

import pytest

from unet_tf.errors import InputError
from unet_tf.utils.memory import free_memory, parse_bytes

MB = 2**20


def system(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


MACHINE = {"proc/meminfo": f"MemTotal:  {9000 * 1024} kB\nMemAvailable:  {4000 * 1024} kB\n"}


def group(path, limit, used, inactive):
    """A control group of version 2."""
    return {
        f"sys/fs/cgroup/{path}memory.max": f"{limit}\n",
        f"sys/fs/cgroup/{path}memory.current": f"{used}\n",
        f"sys/fs/cgroup/{path}memory.stat": f"anon 7\nactive_file 9\ninactive_file {inactive}\n",
    }


def group_1(path, limit, used, inactive):
    """A control group of version 1."""
    top = f"sys/fs/cgroup/memory/{path}memory."
    return {
        f"{top}limit_in_bytes": f"{limit}\n",
        f"{top}usage_in_bytes": f"{used}\n",
        f"{top}stat": f"cache 1\ninactive_file 3\ntotal_inactive_file {inactive}\n",
    }


IN_2, IN_1 = {"proc/self/cgroup": "0::/\n"}, {"proc/self/cgroup": "12:cpu,cpuacct:/\n5:memory:/\n0::/\n"}

IN_B = {"proc/self/cgroup": "0::/a/b\n"}


@pytest.mark.parametrize(
    ("files", "free"),
    [
        (MACHINE, 4000 * MB),
        (MACHINE | IN_2 | group("", 1000 * MB, 990 * MB, 0), 10 * MB),
        # files that were read fill the group, and are given up when memory is wanted
        (MACHINE | IN_2 | group("", 1000 * MB, 990 * MB, 800 * MB), 810 * MB),
        (MACHINE | IN_2 | group("", "max", 990 * MB, 0), 4000 * MB),
        (MACHINE | IN_2 | group("", 9000 * MB, 0, 0), 4000 * MB),
        (MACHINE | IN_2 | group("", 10 * MB, 11 * MB, 0), 0),
        # a group within a group: the narrower one counts, whichever that is
        (MACHINE | IN_B | group("a/b/", 500 * MB, 0, 0), 500 * MB),
        (MACHINE | IN_B | group("a/b/", "max", 0, 0) | group("a/", 300 * MB, 0, 0), 300 * MB),
        (MACHINE | IN_1 | group_1("", 1000 * MB, 990 * MB, 800 * MB), 810 * MB),
        (MACHINE | IN_1 | group_1("", 2**63 - 4096, 990 * MB, 0), 4000 * MB),  # no limit, in version 1's words
        (MACHINE | {"proc/self/cgroup": "5:memory:/docker/x\n"} | group_1("", 700 * MB, 0, 0), 700 * MB),
        (IN_2 | group("", 1000 * MB, 1 * MB, 0), 999 * MB),
        (MACHINE | {"proc/self/cgroup": "nonsense\n\n::\n"}, 4000 * MB),
    ],
)  # fmt: skip
def test_free_memory_is_that_of_the_machine_or_of_the_group(tmp_path, files, free):
    assert free_memory(system(tmp_path, files)) == free


def test_without_linux_it_is_half_of_what_there_is(tmp_path):
    assert free_memory(tmp_path) == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def test_a_system_that_does_not_tell_is_named(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sysconf")  # as on Windows
    with pytest.raises(InputError, match="The memory of this machine must be known, .* within WSL"):
        free_memory(tmp_path)


@pytest.mark.parametrize("text", ["", "2XB", "-1GB", "0", "1.2.3GB", "GB", "two"])
def test_what_is_no_amount_of_memory_is_refused(text):
    with pytest.raises(InputError, match=f'Memory must be a number of bytes, such as 2GB or 500MB; received "{text}"'):
        parse_bytes(text)
