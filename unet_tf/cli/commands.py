"""The command line: verbs to functions, errors in words."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, get_type_hints

from unet_tf.cli import export, judge, predict, prepare, serve, train  # noqa: F401 (their verbs join the app)
from unet_tf.cli.app import app
from unet_tf.cli.console import errors, literal
from unet_tf.cli.options import flag
from unet_tf.errors import InputError
from unet_tf.utils.files import REFUSALS
from unet_tf.utils.signals import STOPPING

VERBS = "demo check import train crossval evaluate compare predict suggest export verify serve".split()  # noqa: SIM905
"""In the order of the way, as the help lists them."""
app.registered_commands.sort(key=lambda verb: VERBS.index(verb.name or verb.callback.__name__))  # type: ignore[union-attr]

HINTS = [pair for verb in app.registered_commands for pair in get_type_hints(verb.callback).items()]
KINDS = [(flag(name), getattr(kind, "__args__", (kind,))) for name, kind in HINTS]
WITH_VALUE = {name for name, kinds in KINDS if bool not in kinds}
OF_PATH = {name for name, kinds in KINDS if Path in kinds}
"""Options of all verbs that take a value, and those whose value is a path."""


def main() -> None:
    """Run the command line; print an InputError, and what the system does not permit, as one message, exit code 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # it may be no UTF-8, as on Windows: no letter ends the work
        with suppress(OSError):  # where another file has been put in its place meanwhile, as a daemon does
            sys.stdout.reconfigure(errors="backslashreplace")
    for number in STOPPING:  # what a second signal does: it ends the process at once
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    try:
        sys.argv[1:] = as_meant(sys.argv[1:])
        app()
    except InputError as error:
        _refuse(error)
    except OSError as error:  # Path.exists and its like raise it for a missing permission and for a name too long
        if error.filename is None or error.errno not in REFUSALS:
            raise
        _refuse(
            InputError(f"Cannot use {error.filename}: {error.strerror}. Check the path and who may read and write it.")
        )


def as_meant(arguments: Sequence[str]) -> list[str]:
    """Arguments with the home for a `~` that no shell has replaced, as behind `--out=`.

    Raises:
        InputError: a path is empty, as where a variable is not set: it would be the current folder.
    """
    found: list[str] = []
    for place, argument in enumerate(arguments):
        option, equals, value = argument.partition("=") if argument.startswith("--") else ("", "=", argument)
        if not option and place and arguments[place - 1] in WITH_VALUE:
            option = arguments[place - 1]
        if equals and not value and (not option or option in OF_PATH):
            where = f"behind {option}" if option else f"in place {place + 1}"
            raise InputError(
                f"A path must not be empty; received '' {where}. Is the variable set that it comes from? Else leave it "
                "out."
            )
        home = os.path.expanduser("~") + value[1:] if value.partition("/")[0] == "~" else value  # noqa: PTH111
        found.append(argument.removesuffix(value) + home)
    return found


def _refuse(error: InputError) -> NoReturn:
    errors.print(f"[bold red]Error:[/] {literal(str(error))}")
    sys.exit(1)
