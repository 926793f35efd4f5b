"""What the command line prints beside its results."""

import logging

from unet_tf.cli.console import show_log


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
