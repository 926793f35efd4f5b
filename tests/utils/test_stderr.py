import os
import sys
import threading

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
            leave.wait(9)

    before, thread = place(), threading.Thread(target=other)
    with quiet_stderr:
        thread.start()
        assert inside.wait(9)
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


def test_what_the_block_raises_comes_out():
    before = place()
    with pytest.raises(ZeroDivisionError), quiet_stderr:
        raise ZeroDivisionError
    assert place() == before
