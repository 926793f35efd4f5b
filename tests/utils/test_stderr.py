import gc
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from unet_tf.utils.stderr import on_terminal, quiet_stderr, write_stderr


def place():
    """What descriptor 2 leads to."""
    found = os.fstat(2)
    return found.st_dev, found.st_ino


def test_threads_whose_blocks_overlap_get_their_terminal_back():
    inside, leave = threading.Event(), threading.Event()

    def other():
        with quiet_stderr:
            inside.set()
            leave.wait(60)

    before, thread = place(), threading.Thread(target=other)
    with quiet_stderr:
        thread.start()
        assert inside.wait(60)
        nowhere = place()
    assert place() == nowhere != before  # the other one is inside still
    leave.set()
    thread.join()
    assert place() == before


def test_a_net_that_is_freed_amid_a_change_changes_nothing(monkeypatch):
    """The garbage collector enters and leaves a block of its own wherever this thread is."""
    before, real, seen = place(), os.dup2, []

    def dup2(*given):
        with quiet_stderr:
            real(*given)
        with quiet_stderr:
            seen.append(given[1])

    monkeypatch.setattr(os, "dup2", dup2)
    with quiet_stderr:
        assert place() != before
    assert place() == before
    assert (seen, quiet_stderr.inside) == ([2, 2], 0)


def test_a_program_without_a_terminal_goes_on(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with quiet_stderr:
        write_stderr("nobody reads this")
    assert not on_terminal()


def test_a_program_that_has_closed_its_standard_error_goes_on():
    kept = os.dup(2)
    os.close(2)
    try:
        with quiet_stderr:
            pass
        with pytest.raises(OSError):
            os.fstat(2)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert quiet_stderr.kept is None


def test_a_file_that_has_the_number_of_a_closed_standard_error_keeps_what_is_written(tmp_path):
    code = (
        "import os\n"
        "from unet_tf.utils.stderr import quiet_stderr\n"
        "with open('a.txt', 'wb', buffering=0) as file, quiet_stderr:\n"
        "    assert file.fileno() == 2\n"
        "    file.write(b'kept')\n"
    )
    subprocess.run(["sh", "-c", '"$@" 2>&-', "sh", sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "a.txt").read_bytes() == b"kept"


def test_a_standard_error_that_was_wrapped_anew_is_silenced():
    code = (
        "import io, os, sys\n"
        "sys.stderr = io.TextIOWrapper(sys.stderr.detach(), encoding='utf-8')\n"
        "from unet_tf.utils.stderr import quiet_stderr\n"
        "with quiet_stderr:\n"
        "    os.write(2, b'nobody reads this')\n"
        "os.write(2, b'heard')\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.PIPE).stderr == b"heard"


def test_standard_error_that_waits_for_a_thread_keeps_no_lock(monkeypatch):
    """A net may be freed in a thread that holds the lock behind sys.stderr, as rich's has one."""

    class Shared(io.StringIO):
        def flush(self):
            thread = threading.Thread(target=enter, daemon=True)
            monkeypatch.setattr(sys, "stderr", sys.__stderr__)
            thread.start()
            thread.join(60)
            assert not thread.is_alive()

    def enter():
        with quiet_stderr:
            pass

    monkeypatch.setattr(sys, "stderr", Shared())
    enter()
    assert sys.stderr is sys.__stderr__


def test_a_process_without_a_file_to_spare_is_heard_and_goes_on(monkeypatch):
    gc.collect()  # which closes files of earlier tests
    before, files = place(), len([*Path("/dev/fd").iterdir()])

    def full(*_):
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr("unet_tf.utils.stderr.Path.open", full)
        with quiet_stderr:
            assert place() == before
    assert (quiet_stderr.inside, quiet_stderr.kept, len([*Path("/dev/fd").iterdir()])) == (0, None, files)


def test_what_the_block_raises_comes_out():
    before = place()
    with pytest.raises(ZeroDivisionError), quiet_stderr:
        raise ZeroDivisionError
    assert place() == before
