"""Where scores are kept that belong to no run, and the command that makes them again."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unet_tf.data.folder import some
from unet_tf.edge.description import BUNDLE_DESCRIPTION
from unet_tf.errors import InputError
from unet_tf.run import Run
from unet_tf.utils.text import argument

COMPARED = "compare.json"
LISTED = ("classes", "channels", "channel_suffix")
"""Settings whose values stand in one option, with commas between them."""


def check_out(out: Path) -> None:
    """See that a folder may take scores: a new one, an empty one, or one that holds scores of such a call.

    Raises:
        InputError: it is a file, a run or a bundle, or holds other things.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file. Choose another --out for the folder of the scores.", out)
    there = sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) if out.is_dir() else []
    foreign = {Run.CONFIG, BUNDLE_DESCRIPTION}.intersection(there)
    if there and (foreign or not {Run.EVALUATION, COMPARED}.intersection(there)):
        raise InputError(
            f"Scores must go into a folder of their own; {out} holds {some(foreign or there, 3)}. Choose "
            "another --out.",
            out,
        )


def replaced(file: Path, page: str, stored: Mapping[str, Any], terms: Callable[[Mapping[str, Any]], str]) -> str:
    """What is to be said where scores replace those of other terms; "" where these are the same, or none are there.

    Args:
        file: of the scores, JSON, which may lie there.
        page: its page, beside it.
        stored: what the file is to hold.
        terms: what such scores are of, in words.
    """
    try:
        before = terms(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # none are there, or damaged ones
        return ""
    if before in ("", now := terms(stored)):
        return ""
    return f"{file.with_name(page)} was of {before} and is now of {now}. --out FOLDER keeps scores elsewhere."


def command_of(
    verb: str,
    paths: Sequence[str | Path],
    split: str | None = None,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> str:
    """The command line that does a call again.

    Example:
        >>> command_of("evaluate", ["my masks", "cells"], "test", settings={"mask_suffix": "_x", "void": ["9", "7"]})
        "unet-tf evaluate 'my masks' cells --split test --mask-suffix _x --void 9 --void 7"
    """
    said = ["unet-tf", verb, *map(argument, paths)]
    options: list[tuple[str, Any]] = [("split", split), ("out", out), *(settings or {}).items()]
    for name, value in options:
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            said += [flag] * value
        elif value is not None:
            values = [*value] if isinstance(value, list | tuple) else [value]
            texts = [",".join(map(str, values))] if name in LISTED else [*map(str, values)]
            parts = [[f"{flag}={one}"] if one.startswith("-") else [flag, one] for one in texts]
            said += map(shlex.quote, itertools.chain.from_iterable(parts))
    return " ".join(said)
