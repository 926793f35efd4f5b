"""The command line: verbs to functions, errors in words."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from unet_tf.cli import export, judge, predict, prepare, serve, train  # noqa: F401 (their verbs join the app)
from unet_tf.cli.app import app
from unet_tf.cli.console import errors, literal
from unet_tf.cli.options import SETTINGS, flag
from unet_tf.errors import InputError
from unet_tf.utils.files import REFUSALS
from unet_tf.utils.signals import STOPPING

VERBS = "demo check import train crossval evaluate compare predict suggest export verify serve".split()  # noqa: SIM905
"""In the order of the way, as the help lists them."""
app.registered_commands.sort(key=lambda verb: VERBS.index(verb.name or verb.callback.__name__))  # type: ignore[union-attr]


def main() -> None:
    """Run the command line; print an InputError, and what the system does not permit, as one message, exit code 1."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # it may be no UTF-8, as on Windows: no letter ends the work
        with suppress(OSError):  # where another file has been put in its place meanwhile, as a daemon does
            sys.stdout.reconfigure(errors="backslashreplace")
    for number in STOPPING:  # what a second signal does: it ends the process at once
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    try:
        app(as_meant(sys.argv[1:]))
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
        InputError: one is empty, as a variable that is not set is: as a path it would be the current folder. Settings
            of training may be, as in `--group ""`.
    """
    may_be_empty, found = {flag(name) for name in SETTINGS}, []
    for place, argument in enumerate(arguments):
        option, equals, value = argument.partition("=") if argument.startswith("--") else ("", "=", argument)
        if equals:
            option = option or next((one for one in arguments[place - 1 : place] if one.startswith("-")), "")
            if not value and option not in may_be_empty:
                where = f"behind {option}" if option else f"in place {place + 1}"
                raise InputError(
                    f"An argument must not be empty; received '' {where}. Is the variable set that it comes from? Else "
                    "leave it out."
                )
        home = f"{Path.home()}{value[1:]}" if value.partition("/")[0] == "~" else value
        found.append(argument.removesuffix(value) + home)
    return found


def _refuse(error: InputError) -> NoReturn:
    errors.print(f"[bold red]Error:[/] {literal(str(error))}")
    sys.exit(1)
