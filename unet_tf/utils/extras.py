"""Packages that not every installation has."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from unet_tf.errors import InputError


def import_extra(message: str, module: str, path: Path | None = None) -> Any:
    """Import a package that not every installation has, or a module of it.

    Args:
        message: what to say where it is missing: what needs it, and the line that installs it.
        module: its dotted name.
        path: the file that needs it, where one does.

    Raises:
        InputError: it is not installed.
        ImportError: it is, and is broken or lacks another package.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):  # what it imports itself
            raise
        raise InputError(message, path) from error
