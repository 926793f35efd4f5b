"""What the command line prints beside its results."""

import logging
import os
import re
from pathlib import Path

import pytest

from unet_tf.cli import console
from unet_tf.cli.console import print_outcome, print_table, show_log, working
from unet_tf.prediction.record import Outcome
from unet_tf.prediction.sizes import Sizes


def test_what_the_library_says_is_printed_once_though_the_root_logger_has_a_handler(capsys):
    root, handler = logging.getLogger(), logging.StreamHandler()  # as TensorFlow gives it one
    root.addHandler(handler)
    try:
        with show_log():
            logging.getLogger("unet_tf").warning("One picture is grey.")
        logging.getLogger("unet_tf").warning("Another one is, too.")
    finally:
        root.removeHandler(handler)
    said = "".join(capsys.readouterr())
    assert said.count("One picture is grey.") == 1
    assert said.count("Another one is, too.") == 1


def test_an_error_that_nobody_foresaw_is_in_the_log_with_its_traceback(capsys):
    with show_log():
        try:
            raise ValueError("[red] of a kind")
        except ValueError:
            logging.getLogger("unet_tf.serving").exception("A request has failed.")
    out, err = capsys.readouterr()
    assert out == "A request has failed.\n"
    assert err.startswith("Traceback (most recent call last):\n") and err.endswith("ValueError: [red] of a kind\n")


@pytest.mark.parametrize("first", ["line", "step", "counter"])
def test_a_work_goes_on_where_nobody_reads_what_it_says(first, monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as stdout:
        monkeypatch.setattr("sys.stdout", stdout)
        monkeypatch.setattr(console.console, "quiet", False)
        monkeypatch.setattr(console, "EVERY", 0.0)
        with working() as bars:
            if first == "line":
                logging.getLogger("unet_tf").warning("Somebody else?")
            elif first == "step":
                bars.step("training")
            else:
                bars.counter("files")(1, 2)
            logging.getLogger("unet_tf").warning("Nobody.")
        assert console.console.quiet
    with console.console.capture():  # takes with it what rich could not print, and would print in the next test
        pass


def test_without_a_terminal_a_line_says_now_and_then_how_far_the_work_is(monkeypatch, capsys):
    monkeypatch.setattr(console.console, "_force_terminal", False)  # as FORCE_COLOR may say
    with working() as bars:
        files = bars.counter("files")
        files(1, 1200)  # less than a minute after the work began
        monkeypatch.setattr(console, "EVERY", 0.0)
        files(2, 1200)
        bars.count_pixels(10**6)
        files(3, 1200)
        files(1200, 1200)  # the outcome says this
    first, second = capsys.readouterr().out.splitlines()
    assert first == "files: 2 of 1,200"
    assert re.fullmatch(r"files: 3 of 1,200, \d+\.\d\d Mpx/s", second)


def test_a_path_in_a_table_is_whole(capsys):
    path = "/".join(["plates"] * 40) + "/last.png"
    print_table([("", "picture"), ("1", path)])
    out, _ = capsys.readouterr()
    assert "…" not in out
    assert "".join(out.split()).endswith(path)


def test_objects_are_counted_and_specks_advised_against(capsys):
    sizes = Sizes()
    sizes.add([400] * 1200 + [3] * 1300)
    print_outcome(Outcome(1, 0, 10**6, (), sizes=sizes), Path("out"), "2 Mpx/s")
    print_outcome(Outcome(2, 1, 0, (), sizes=Sizes()), Path("out"), "")
    print_outcome(Outcome(1, 0, 0, ()), Path("out"), "")
    out, _ = capsys.readouterr()
    assert out.splitlines() == [
        "1 of 1 mask written to out; 1.0 Mpx, 2 Mpx/s",
        "Objects: 2,500",
        "Worth a look: 1,300 of them have fewer than 16 pixels: --min-area 16 with --overwrite, or into another "
        "--out, leaves them out.",
        "3 of 3 masks written to out (1 were there)",
        "Objects in the 2 new masks: 0",
        "1 of 1 mask written to out",
    ]
