"""Who made a net, and its licence, as a package of the BioImage Model Zoo names them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import NamedTuple, get_args

from unet_tf.errors import InputError
from unet_tf.utils.extras import import_extra

MISSING = "A package of the BioImage Model Zoo needs {}. Install it: pip install 'unet-tf[bioimageio]'"
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,99}")
"""What identifiers of SPDX are made of."""
VERSION = re.compile(r"(\D*?)-?(\d+(?:\.\d+)+)(?=$|-)")
"""Of an identifier: what is before the version, and this."""


class Author(NamedTuple):
    """Who made a net: a name, and the affiliation, "" where none was said."""

    name: str
    affiliation: str = ""


class Credits(NamedTuple):
    """Who made a net, and the SPDX identifier of its licence."""

    authors: tuple[Author, ...]
    license: str


def credit_of(wanted: bool, authors: Sequence[str], license: str) -> Credits | None:
    """Read what `--bioimageio`, `--author` and `--license` say: None where no package is wanted.

    A licence may be said without a package: the model card names it.

    Raises:
        InputError: as `credits_of`; or authors are said and no package is wanted, or a licence that is no identifier.
    """
    if wanted:
        return credits_of(authors, license)
    if authors:
        raise InputError(
            "Authors are written into a package of the BioImage Model Zoo: say --bioimageio too, or leave out --author."
        )
    if license and not IDENTIFIER.fullmatch(license):
        raise InputError(f"A licence is said by its SPDX identifier, such as MIT or CC-BY-4.0; received {license!r}.")
    return None


def credits_of(authors: Sequence[str], license: str) -> Credits:
    """Read who made a net and its licence, as `--author` and `--license` say them.

    Args:
        authors: each "Name" or "Name, Affiliation".
        license: an SPDX identifier.

    Raises:
        InputError: one of them is missing or not what the format takes, or a package is missing that writes it.

    Example:
        >>> credits_of(["Ada Lovelace, Analytical Society"], "MIT").authors[0].affiliation
        'Analytical Society'
    """
    if not authors:
        raise InputError(
            "A package of the BioImage Model Zoo names who made the net. Say it: --author 'Name, Affiliation', once "
            "for each person."
        )
    found = tuple(map(_author, [authors] if isinstance(authors, str) else authors))
    if not license:
        raise InputError(
            "A package of the BioImage Model Zoo has a licence. Say it: --license MIT, or another of SPDX's."
        )
    format_package()
    from bioimageio.spec.generic.v0_3 import LicenseId

    names = {name.casefold(): name for name in get_args(LicenseId.root_model.model_fields["root"].annotation)}
    if license not in names.values():
        begun = license.casefold()
        near = _completed(begun, names) or difflib.get_close_matches(begun, names)
        hint = f" Near: {', '.join(names[one] for one in near[:3])}." if near else ""
        raise InputError(
            f"A licence is said by its SPDX identifier, such as MIT, BSD-3-Clause or CC-BY-4.0; received "
            f"{license!r}.{hint}"
        )
    return Credits(found, license)


def _completed(begun: str, names: Iterable[str]) -> list[str]:
    """The names that begin so: those with fewest words before their version first, and of these the newest.

    Example:
        >>> _completed("cc-by", ["cc-by-3.0", "cc-by-nc-4.0", "mit", "cc-by-4.0"])
        ['cc-by-4.0', 'cc-by-3.0', 'cc-by-nc-4.0']
    """

    def order(name: str) -> tuple[int, list[int], str]:
        rest = name.removeprefix(begun)
        found = VERSION.match(rest)
        if found is None:
            return len(rest), [], name
        return len(found[1]), [-int(part) for part in found[2].split(".")], name

    return sorted((name for name in names if name.startswith(begun)), key=order)


def _author(text: str) -> Author:
    name, _, affiliation = (part.strip() for part in text.partition(","))
    if not name or not text.isprintable() or "/" in name or "\\" in name:
        raise InputError(
            "An author is 'Name' or 'Name, Affiliation', of letters that print, on one line, without / or \\ in the "
            f"name; received {text!r}."
        )
    return Author(name, affiliation)


def format_package() -> ModuleType:
    """The package `bioimageio.spec`, which knows the format.

    Raises:
        InputError: it is missing, or another one that writes a package of the zoo.
    """
    for name in ("onnx", "onnxruntime", "yaml"):  # looked for before any work
        import_extra(MISSING.format(name), name)
    return import_extra(MISSING.format("bioimageio.spec"), "bioimageio.spec")
