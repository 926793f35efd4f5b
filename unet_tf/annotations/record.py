"""What an import wrote, and which folder a later one may replace."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unet_tf.annotations.annotated import RECORD
from unet_tf.data.folder import some
from unet_tf.errors import InputError
from unet_tf.pages.words import many
from unet_tf.utils.files import LITTER
from unet_tf.utils.text import form, shown


def write_record(out: Path, result: dict[str, Any], source: Path) -> None:
    """Say what was imported from where; this file marks the folder as one that may be overwritten.

    Args:
        out: folder whose files are all written.
        result: fields of `Imported`.
        source: of the annotations.
    """
    facts = result | {"out": shown(result["out"]), "source": shown(source.absolute()), "files": sorted(_files_of(out))}
    (out / RECORD).write_text(json.dumps(facts, indent=2, default=str), encoding="utf-8")


def check_out(out: Path, overwrite: bool, inputs: Iterable[Path]) -> None:
    """Hold the folder of an import to what may be replaced.

    Args:
        out: the folder, which need not be there.
        overwrite: an earlier import may go, whole.
        inputs: what is imported.

    Raises:
        InputError: the folder holds something that must stay.
    """
    real = out.resolve()
    if out.is_symlink():  # it would be replaced, and not what it leads to
        raise InputError(f"{out} must be no link; it leads to {real}. Give that for --out.", out)
    for one in inputs:
        if one.resolve() == real or one.resolve().is_relative_to(real):
            raise InputError(f"{out} must not hold what is imported; {one} lies in it. Choose another --out.", out)
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (overwrite and (out / RECORD).is_file()):
        raise InputError(f"{out} is not empty. Choose another --out, or --overwrite an earlier import.", out)
    if others := sorted(_files_of(out) - _files_of_record(out)):
        raise InputError(
            f"An earlier import is replaced as a whole, and {out} holds {many(len(others), 'file')} that its {RECORD} "
            f"does not list: {some(others, 3)}. Move {'them' if len(others) > 1 else 'it'} away, or choose another "
            "--out.",
            out,
        )


def _files_of(folder: Path) -> set[str]:
    """The files in a folder and those in it, as they are shown, without what file managers leave."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    kept = (path.relative_to(folder).as_posix() for path in found if not LITTER.fullmatch(path.name))
    return {form(shown(name)) for name in kept}


def _files_of_record(out: Path) -> set[str]:
    """The files that an earlier import wrote; none but its record where that is damaged."""
    try:
        return {RECORD, *map(str, json.loads((out / RECORD).read_bytes())["files"])}
    except (OSError, ValueError, LookupError, TypeError):
        return {RECORD}
