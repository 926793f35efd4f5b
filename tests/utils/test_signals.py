"""Signals are a wish that the work looks at."""

import os
import signal
import threading

import pytest

from unet_tf.utils.signals import STOPPING, Stopped, look, stoppable


@pytest.mark.parametrize("number", STOPPING)
def test_the_first_signal_ends_the_work_at_its_next_look(number):
    done = []
    with pytest.raises(Stopped), stoppable():
        look()
        os.kill(os.getpid(), number)
        done.append("the unit under way")
        look()
        done.append("the next unit")
    assert done == ["the unit under way"]


def test_the_second_signal_does_what_it_did_before():
    received = []
    signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    with stoppable():
        os.kill(os.getpid(), signal.SIGTERM)
        assert received == []
        os.kill(os.getpid(), signal.SIGTERM)
        assert received == [signal.SIGTERM]


def test_a_signal_of_the_other_kind_is_the_second_too():
    received = []
    signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    with stoppable():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert received == [signal.SIGINT]


def test_handlers_are_as_before_whatever_happens_in_the_block():
    before = [signal.getsignal(number) for number in STOPPING]
    with pytest.raises(KeyError), stoppable():
        raise KeyError
    assert [signal.getsignal(number) for number in STOPPING] == before


def test_blocks_stand_in_blocks():
    with pytest.raises(Stopped), stoppable():
        with stoppable():
            os.kill(os.getpid(), signal.SIGTERM)
        look()  # the wish outlives the inner block
    look()  # and not the outer one


def test_a_handler_that_was_not_set_from_python_is_let_be(monkeypatch):
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    monkeypatch.setattr(signal, "signal", pytest.fail)
    with stoppable():
        look()


def test_what_is_ignored_stays_ignored():
    """Ctrl-C in the background of a shell."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stoppable():
        os.kill(os.getpid(), signal.SIGINT)
        look()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_thread_may_work_in_a_block():
    seen = []

    def work():
        with stoppable():
            look()
            seen.append("done")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == ["done"]
