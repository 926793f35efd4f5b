"""Work that threads do ahead."""

import contextlib
import gc
import threading
import weakref
from concurrent.futures import Future

import pytest

from unet_tf.utils.threads import ahead


class Calls:
    """Numbers that are begun and ended; all but the first go on when they are told to."""

    def __init__(self):
        self.begun, self.go_on, self.ended = threading.Event(), threading.Event(), []

    def __call__(self, number):
        if number:
            self.begun.set()
            assert self.go_on.wait(60)
        self.ended.append(number)


def fail(*_):
    raise AssertionError("a thread is waited for")


def test_an_iterator_ends_with_its_calls_and_waits_for_no_thread(monkeypatch):
    """The end of a thread needs a lock that whoever starts one holds, amid which an iterator may be collected."""
    call = Calls()
    results = ahead(call, range(9))
    next(results)
    assert call.begun.wait(60)
    threading.Timer(0.1, call.go_on.set).start()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "join", fail)
        results.close()
    assert call.ended == [0, 1]


def test_a_call_ends_with_the_iterator_though_the_wait_for_it_ends_before(monkeypatch):
    call, result = Calls(), Future.result

    def interrupted(future):
        if not call.begun.is_set():
            return result(future)
        threading.Timer(0.1, call.go_on.set).start()
        raise KeyboardInterrupt

    monkeypatch.setattr(Future, "result", interrupted)
    results = ahead(call, [0, 1])
    next(results)
    assert call.begun.wait(60)
    with pytest.raises(KeyboardInterrupt):
        next(results)
    assert call.ended == [0, 1]


def test_an_iterator_that_is_collected_in_a_thread_of_its_own_does_not_wait_for_itself(monkeypatch):
    taken, closed = threading.Event(), threading.Event()
    monkeypatch.setattr("unet_tf.utils.threads.wait", fail)

    def call(number):
        if number:
            assert taken.wait(60)
            results.close()
            closed.set()

    results = ahead(call, range(9))
    next(results)
    taken.set()
    assert closed.wait(60)


def test_a_failure_holds_no_picture_of_who_asked():
    def failed():
        calls = Calls()
        with contextlib.suppress(ZeroDivisionError):
            list(ahead(lambda number: 1 / number, [0]))
        return weakref.ref(calls)

    gc.disable()
    try:
        assert failed()() is None
    finally:
        gc.enable()
