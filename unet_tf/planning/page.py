"""The doctor's page: what `check` found, as HTML, JSON and a contact sheet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.drawing import legend
from unet_tf.data.palette import PALETTE_FILE
from unet_tf.data.pictures import write_picture
from unet_tf.errors import InputError
from unet_tf.pages.page import write_page
from unet_tf.pages.pictures import photo
from unet_tf.planning.channel_facts import channel_rows
from unet_tf.planning.findings import Findings
from unet_tf.utils.files import replacing

PAGE, FACTS, SHEET = "check.html", "check.json", "overlays.png"
COLUMNS, GAP = 6, 8
"""Overlays beside each other on the contact sheet, and pixels between them."""


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
    if findings.overlays:
        write_picture(out / SHEET, contact_sheet([picture for _, picture in findings.overlays]))
    return write_page(out / PAGE, "check.html", **_page(findings))


def _page(findings: Findings) -> dict[str, Any]:
    """What the template `check.html` asks for."""
    problems, classes = findings.problems, class_rows(findings)
    pixels = findings.splits["train"].class_pixels if classes else np.zeros(0)
    has_void = any(facts.void for facts in findings.splits.values())
    data = {
        "heading": f"Data {findings.data.resolve().name}",
        "verdict": verdict(findings),
        "notes": [],
        "problems": problems,
        "notes_of_data": findings.notes + findings.warnings,
        "suggestions": suggestions(findings),
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
    ("splits", "Splits", "splits"),
    ("classes", "Classes", "classes"),
    ("channels", "Channels", "channels"),
    ("overlays", "Overlays", "overlays"),
)
"""Id, words, and what a section shows."""


def verdict(findings: Findings) -> str:
    """Say in one sentence whether one can train with a folder."""
    problems, looks = len(findings.problems), len(findings.notes + findings.warnings)
    if problems:
        return f"Training would fail: {problems} problem{'s' * (problems != 1)} to mend first."
    pairs = sum(facts.pairs for facts in findings.splits.values())
    words = f"Nothing stands in the way of training on these {pairs:,} pairs"
    return f"{words}, and {looks} thing{'s are' if looks != 1 else ' is'} worth a look." if looks else f"{words}."


def check_folder(out: Path) -> None:
    """Raise InputError where a file stands in the place of the page's folder."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file. Choose another --out for the folder of the page.")


def contact_sheet(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures, (h, w, 3) RGB of any sizes, in rows of `COLUMNS` on white."""
    height, width = (max(one.shape[axis] for one in pictures) + GAP for axis in (0, 1))
    rows = -(-len(pictures) // COLUMNS)
    sheet = np.full((rows * height, min(COLUMNS, len(pictures)) * width, 3), 255, np.uint8)
    for number, one in enumerate(pictures):
        top, left = number // COLUMNS * height, number % COLUMNS * width
        sheet[top : top + one.shape[0], left : left + one.shape[1]] = one
    return sheet


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
