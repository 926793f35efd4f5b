"""What the command line prints beside its results."""

import logging
from pathlib import Path

from unet_tf.cli.console import print_outcome, show_log
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
        "Worth a look: 1,300 of them have fewer than 16 pixels: --min-area 16 --overwrite leaves them out.",
        "3 of 3 masks written to out (1 were there)",
        "Objects: 0",
        "1 of 1 mask written to out",
    ]
