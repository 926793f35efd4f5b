"""The command line, called here."""

import sys

import pytest

from unet_tf.cli.commands import main


@pytest.fixture
def call(monkeypatch, capfd):
    """Run the command line here, 200 columns wide: (exit code, stdout, stderr)."""
    monkeypatch.setenv("COLUMNS", "200")

    def run_here(*arguments):
        monkeypatch.setattr(sys, "argv", ["unet-tf", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return stopped.value.code or 0, *capfd.readouterr()

    return run_here
