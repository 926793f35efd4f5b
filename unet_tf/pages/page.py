"""Pages that need no other file and ask for none: the templates of this folder, filled with plain data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from unet_tf.pages.words import count, number, percent, signed
from unet_tf.utils.files import replacing
from unet_tf.version import __version__

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_templates.filters |= {"count": count, "number": number, "percent": percent, "signed": signed}
_templates.globals["version"] = __version__


def render(template: str, **data: Any) -> str:
    """Fill a template; what the data holds is text, and never markup.

    Args:
        template: name of a file in this folder, such as "run.html".
        **data: what it asks for.
    """
    return _templates.get_template(template).render(data)


def shared(name: str) -> bytes:
    """Read a file of this folder that a page needs beside itself, such as "segment.js"."""
    return Path(__file__).with_name(name).read_bytes()


def write_page(path: Path, template: str, **data: Any) -> Path:
    """Write a page, whole or not at all.

    Args:
        path: the file.
        template: as of `render`.
        **data: what it asks for; bytes of names that are no UTF-8 stand as escapes.

    Returns:
        `path`.
    """
    page = render(template, **data)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")
    return path
