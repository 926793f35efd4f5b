"""HTML pages that need no other file: their style, tables, embedded pictures."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from unet_tf.utils.files import replacing

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #d8dee4 }
th:first-child, td:first-child, table.facts td { text-align: left } table.scores td:nth-child(2) { font-weight: 600 }
img { max-width: 100% } code { background: #f2f4f6; padding: .1rem .3rem } p.note { color: #57606a }
"""


def write_page(path: Path, heading: str, sections: Sequence[str]) -> Path:
    """Write a page of HTML sections, whole or not at all.

    Args:
        path: the file.
        heading: text; also the title after "unet_tf: ".
        sections: HTML; empty ones are left out.

    Returns:
        `path`.
    """
    title = html.escape(heading)
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>unet_tf: {title}</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n"
        + "\n".join(filter(None, sections))
        + "\n</body></html>\n"
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")  # names may be no UTF-8
    return path


def table(rows: Sequence[Sequence[object]], header: Sequence[object] = (), name: str = "") -> str:
    """Rows of text as an HTML table; `name` is its class."""
    lines = ["<tr>" + "".join(f"<th>{html.escape(str(cell))}</th>" for cell in header) + "</tr>"] if header else []
    lines += ["<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows]
    return f'<table class="{name}">' + "\n".join(lines) + "</table>"


def embed(picture: bytes | Figure, alt: str) -> str:
    """A PNG file's bytes, or a figure, inside the page."""
    if isinstance(picture, Figure):
        buffer = io.BytesIO()
        picture.savefig(buffer, format="png", dpi=110)
        picture = buffer.getvalue()
    return f'<p><img alt="{html.escape(alt)}" src="data:image/png;base64,{base64.b64encode(picture).decode()}"></p>'
