"""The TFLite converter in the process that exports: to start another one takes longer than to convert a small net."""

import io
import sys
import warnings
from contextlib import redirect_stdout
from unittest.mock import patch

from unet_tf.exporting import tflite
from unet_tf.utils.signals import look


class _Lines(io.TextIOBase):
    """Tells of each line that is written, and stops where the work is told to stop."""

    def __init__(self, on_line):
        self.on_line, self.before = on_line, sys.stdout

    def write(self, text):
        for line in text.splitlines():
            with redirect_stdout(self.before):
                self.on_line(line)
            look()


def convert_here(command, folder, on_line):
    """Stands in for `tflite._follow`."""
    with patch.object(sys, "argv", command[2:]), warnings.catch_warnings(), redirect_stdout(_Lines(on_line)):
        warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated")
        tflite.main()
