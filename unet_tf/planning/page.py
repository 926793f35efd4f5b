"""The doctor's page: what `check` found, as HTML, JSON and a contact sheet."""

from __future__ import annotations

import html
import json
import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from unet_tf.data.drawing import colour
from unet_tf.data.palette import PALETTE_FILE
from unet_tf.errors import InputError
from unet_tf.labels import VOID
from unet_tf.planning.channel_facts import channel_rows
from unet_tf.planning.findings import Findings
from unet_tf.utils.files import replacing
from unet_tf.utils.html import embed, table, write_page
from unet_tf.utils.text import shown

PAGE, FACTS, SHEET = "check.html", "check.json", "overlays.png"
COLUMNS, TITLE = 6, 28
"""Overlays beside each other on the contact sheet, and characters that fit above one."""


def write_overview(findings: Findings, out: str | Path) -> Path:
    """Write `check.html`, `check.json`, the contact sheet `overlays.png`, and a first `label_colors.txt` if one lacks.

    Args:
        findings: of `unet_tf.check`.
        out: folder to write into; files of an earlier check are replaced.

    Returns:
        The page.

    Raises:
        InputError: the folder cannot be written to.
    """
    out = Path(out)
    check_folder(out)
    with replacing(out / FACTS) as temporary:
        temporary.write_text(json.dumps(findings.to_json(), indent=2), encoding="utf-8")
    if findings.palette is not None:
        lines = (f"{r} {g} {b} {name}" for name, (r, g, b) in zip(*findings.palette, strict=True))
        with replacing(out / PALETTE_FILE) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sheet = b""
    if findings.overlays:
        with replacing(out / SHEET) as temporary:
            contact_sheet(findings).savefig(temporary, dpi=100)
        sheet = (out / SHEET).read_bytes()
    sections = [
        _list("Problems: training would fail", findings.problems),
        _list("Worth a look", findings.notes + findings.warnings),
        "" if findings.problems else "<p>Nothing stands in the way of training.</p>",
        _masks(findings),
        _splits(findings),
        _overlays(findings, sheet),
    ]
    return write_page(out / PAGE, f"Data {findings.data.resolve().name}", sections)


def _overlays(findings: Findings, sheet: bytes) -> str:
    if not sheet:
        return ""
    shown = f"<p>Drawn are {html.escape(findings.shown)}.</p>\n" if findings.shown else ""
    return f"<h2>Overlays</h2>\n{shown}{embed(sheet, 'masks laid over their images')}"


def check_folder(out: Path) -> None:
    """Raise InputError where a file stands in the place of the page's folder."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file. Choose another --out for the folder of the page.")


def contact_sheet(findings: Findings) -> Figure:
    """The overlays with their names, and the colours of the classes."""
    rows = math.ceil(len(findings.overlays) / COLUMNS)
    tallest = max(picture.shape[0] / picture.shape[1] for _, picture in findings.overlays)
    figure = Figure(figsize=(14, rows * (14 / COLUMNS * tallest + 0.3) + 0.5), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (name, picture) in zip(axes, findings.overlays, strict=False):
        axis.imshow(picture)
        axis.set_title(_short(shown(name)), fontsize=7, parse_math=False)
    if findings.masks is not None:
        has_void = any(facts.void for facts in findings.splits.values())
        ids = [*range(len(findings.classes)), *([VOID] if has_void else [])]
        shades = colour(np.array([ids]), findings.masks)[0] / 255
        patches = [Patch(facecolor=shade, edgecolor="grey", linewidth=0.5) for shade in shades]
        figure.legend(
            patches,
            [*map(shown, findings.classes), *(["void"] if has_void else [])],
            loc="outside lower center",
            ncols=8,
            fontsize=8,
            frameon=False,
        )
    return figure


def _short(name: str) -> str:
    """A name "split/pair" in the space above a picture; the split, and the end of the pair's name, tell most."""
    split, _, pair = name.partition("/")
    return name if len(name) <= TITLE else f"{split}/…{pair[len(split) + 2 - TITLE :]}"


def split_rows(findings: Findings) -> list[tuple[str, ...]]:
    """The splits as a table of text: a header, and a row each."""
    with_objects = any(facts.objects for facts in findings.splits.values())
    rows: list[tuple[str, ...]] = [("split", "pairs", "sizes", "pixels", *(("objects",) if with_objects else ()))]
    for name, facts in findings.splits.items():
        sizes = ", ".join(f"{h}x{w} ({n})" for (h, w), n in facts.sizes.most_common(3))
        more = f" and {len(facts.sizes) - 3} more" if len(facts.sizes) > 3 else ""
        kinds = ", ".join(f"{kind} ({n})" for kind, n in facts.kinds.most_common())
        rows.append((name, str(facts.pairs), sizes + more, kinds, *((str(facts.objects),) if with_objects else ())))
    return rows


def class_rows(findings: Findings) -> list[tuple[str, ...]]:
    """The classes as a table of text: a header, and a row each with its share of the known pixels and balancing weight.

    Where pixels are void, a last row has their share of all pixels.
    """
    splits = {name: facts.class_pixels for name, facts in findings.splits.items() if facts.class_pixels.any()}
    if "train" not in splits:
        return []
    rows: list[tuple[str, ...]] = [("class", *(f"pixels in {name}" for name in splits), "balancing weight")]
    for number, (name, weight) in enumerate(zip(findings.classes, findings.class_weights, strict=True)):
        shares = (f"{pixels[number] / pixels.sum():.2%}" for pixels in splits.values())
        rows.append((name, *shares, f"{weight:.3g}"))
    if any(findings.splits[name].void for name in splits):
        void = {name: findings.splits[name].void for name in splits}
        rows.append(("(void)", *(f"{void[name] / (void[name] + splits[name].sum()):.2%}" for name in splits), "0"))
    return rows


def suggestions(findings: Findings) -> list[tuple[str, str]]:
    """What to train with, as (what, value) texts."""
    found = []
    if findings.masks is not None:
        found.append(("masks", f"{findings.masks.kind}: {findings.why}"))
        if findings.masks.void:
            found.append(("void", ", ".join(map(str, findings.masks.void))))
    if findings.tile is not None:
        found.append(("tile", f"{findings.tile} px"))
    if findings.palette is not None:
        lines = (f"{r} {g} {b} {name}" for name, (r, g, b) in zip(*findings.palette, strict=True))
        found.append((f"a first {PALETTE_FILE}, to be given names and put into the data folder", "; ".join(lines)))
    return found


def _list(heading: str, texts: list[str]) -> str:
    if not texts:
        return ""
    items = "".join(f"<li>{html.escape(text)}</li>\n" for text in texts)
    return f"<h2>{html.escape(heading)}</h2>\n<ul>{items}</ul>"


def _masks(findings: Findings) -> str:
    rows = suggestions(findings)
    return f"<h2>Masks and suggestions</h2>\n{table(rows, name='facts')}" if rows else ""


def _splits(findings: Findings) -> str:
    header, *rows = split_rows(findings)
    classes = class_rows(findings)
    channels = channel_rows(findings.channels)
    parts = (
        f"<h2>{name}</h2>\n{table(r[1:], r[0])}" for name, r in (("Channels", channels), ("Classes", classes)) if r
    )
    return f"<h2>Splits</h2>\n{table(rows, header)}" + "".join(parts)
