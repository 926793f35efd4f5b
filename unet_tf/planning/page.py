"""The doctor's page: what `check` found, as HTML, JSON and a contact sheet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.drawing import legend
from unet_tf.data.folder import some
from unet_tf.data.palette import PALETTE_FILE, Palette
from unet_tf.data.pictures import write_picture
from unet_tf.errors import InputError
from unet_tf.pages.page import write_page
from unet_tf.pages.pictures import photo
from unet_tf.planning.channel_facts import channel_rows
from unet_tf.planning.findings import Findings, class_rows, split_rows, verdict
from unet_tf.utils.files import replacing
from unet_tf.utils.typed_json import write_json

PAGE, FACTS, SHEET = "check.html", "check.json", "overlays.png"
COLUMNS, GAP = 6, 8
"""Overlays beside each other on the contact sheet, and pixels between them."""
UNNAMED = r"(\d+ \d+ \d+ class\d+\n)*"
"""A palette as `check` writes it."""


def write_overview(findings: Findings, out: str | Path) -> Path:
    """Write `check.html`, `check.json`, the contact sheet `overlays.png`, and a first `label_colors.txt` if one lacks.

    Args:
        findings: of `unet_tf.check`.
        out: folder to write into; files of an earlier check are replaced, or removed where this one has none, but for
            colours that have names by now.

    Returns:
        The page.

    Raises:
        InputError: the folder cannot be written to, or holds other things.
    """
    out = Path(out)
    check_folder(out, findings.data)
    write_json(out / FACTS, findings.to_json())
    _write_palette(out / PALETTE_FILE, findings.palette)
    if findings.overlays:
        write_picture(out / SHEET, contact_sheet([picture for _, picture in findings.overlays]))
    else:
        (out / SHEET).unlink(missing_ok=True)
    return write_page(out / PAGE, "check.html", **_page(findings))


def _write_palette(file: Path, palette: Palette | None) -> None:
    """Write a first palette, or remove that of an earlier check, unless somebody has changed the one that is there."""
    if file.is_file() and not re.fullmatch(UNNAMED, file.read_text(encoding="utf-8", errors="replace")):
        return
    if palette is None:
        file.unlink(missing_ok=True)
        return
    with replacing(file) as temporary:
        temporary.write_text("\n".join(palette.lines) + "\n", encoding="utf-8")


def _page(findings: Findings) -> dict[str, Any]:
    """What the template `check.html` asks for."""
    problems, classes = findings.problems, class_rows(findings)
    pixels = findings.splits["train"].class_pixels if classes else np.zeros(0)
    unnamed = [*zip(*findings.palette, strict=True)] if findings.palette else []
    has_void = any(facts.void for facts in findings.splits.values())
    data = {
        "heading": f"Data {findings.data.resolve().name}",
        "verdict": verdict(findings),
        "notes": [],
        "problems": problems,
        "notes_of_data": findings.notes + findings.warnings,
        "suggestions": suggestions(findings)[: -1 if findings.palette else None],  # whose colours are shown below
        "palette": [(f"colour {colour}, unnamed", colour, f"({name})") for name, colour in unnamed],
        "palette_file": PALETTE_FILE,
        "splits": split_rows(findings),
        "classes": classes,
        "shares": [(name, one / pixels.sum(), "") for name, one in zip(findings.classes, pixels, strict=False)],
        "channels": channel_rows(findings.channels),
        "overlays": [(name, photo(picture)) for name, picture in findings.overlays],
        "shown": findings.shown,
        "colours": legend(findings.classes, findings.masks, has_void) if findings.masks is not None else [],
    }
    data["sections"] = [(name, words) for name, words, key in SECTIONS if data[key]]
    return data


SECTIONS = (
    ("problems", "Problems", "problems"),
    ("notes", "Worth a look", "notes_of_data"),
    ("masks", "Masks", "suggestions"),
    ("colours", "Colours", "palette"),
    ("splits", "Splits", "splits"),
    ("classes", "Classes", "classes"),
    ("channels", "Channels", "channels"),
    ("overlays", "Overlays", "overlays"),
)
"""Id, words, and what a section shows."""


def check_folder(out: Path, data: Path) -> None:
    """Raise InputError unless the folder of the page is a new one, an empty one, or that of an earlier check."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file. Choose another --out for the folder of the page.")
    there = sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) if out.is_dir() else []
    if there and (FACTS not in there or out.resolve() == data.resolve()):
        raise InputError(
            f"The page must go into a folder of its own; {out} holds {some(there, 3)}. Choose another --out."
        )


def contact_sheet(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures, (h, w, 3) RGB of any sizes, in rows of `COLUMNS` on white."""
    height, width = (max(one.shape[axis] for one in pictures) + GAP for axis in (0, 1))
    rows = -(-len(pictures) // COLUMNS)
    sheet = np.full((rows * height, min(COLUMNS, len(pictures)) * width, 3), 255, np.uint8)
    for number, one in enumerate(pictures):
        top, left = number // COLUMNS * height, number % COLUMNS * width
        sheet[top : top + one.shape[0], left : left + one.shape[1]] = one
    return sheet


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
        lines = "; ".join(findings.palette.lines)
        found.append((f"a first {PALETTE_FILE}, to be given names and put into the data folder", lines))
    return found
