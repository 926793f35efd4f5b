"""Work that threads do ahead."""

import threading

from unet_tf.utils.threads import ahead


def fail(*_):
    raise AssertionError("a thread is waited for")


def test_an_iterator_ends_with_its_calls_and_waits_for_no_thread(monkeypatch):
    """The end of a thread needs a lock that whoever starts one holds, amid which an iterator may be collected."""
    begun, go_on, ended = threading.Event(), threading.Event(), []

    def call(number):
        if number:
            begun.set()
            assert go_on.wait(60)
        ended.append(number)

    results = ahead(call, range(9))
    next(results)
    assert begun.wait(60)
    monkeypatch.setattr(threading.Thread, "join", fail)
    threading.Timer(0.1, go_on.set).start()
    results.close()
    assert ended == [0, 1]


def test_an_iterator_that_is_collected_in_a_thread_of_its_own_does_not_wait_for_itself():
    taken, closed = threading.Event(), threading.Event()

    def call(number):
        if number:
            assert taken.wait(60)
            results.close()
            closed.set()

    results = ahead(call, range(9))
    next(results)
    taken.set()
    assert closed.wait(60)


def test_a_call_that_is_waited_for_in_vain_has_ended_with_the_iterator():
    go_on, ended = threading.Event(), []

    def call(number):
        assert go_on.wait(60)
        ended.append(number)

    def items():
        yield 0
        threading.Timer(0.1, go_on.set).start()
        raise KeyboardInterrupt

    results = ahead(call, items())
    try:
        next(results)
    except KeyboardInterrupt:
        assert ended == [0]
    else:
        fail()
