"""What a notebook shows of an object, as the HTML that its method `_repr_html_` gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.pages.charts import Chart
from unet_tf.pages.page import render
from unet_tf.pages.pictures import photo

PICTURES, SIDE = 4, 160
"""How many pictures are shown, and the most pixels of the longer side of each."""


class Table(NamedTuple):
    """Rows under a header.

    Attributes:
        rows: the first cell names the row; a float in [0, 1] is drawn as a bar, and everything else is text.
        header: a text a column; none where rows speak for themselves.
        of_words: cells are read, and not compared: they stand at the left.
        folded: words to click on, where the table is not shown at once.
    """

    rows: Sequence[Sequence[str | float]]
    header: Sequence[str] = ()
    of_words: bool = False
    folded: str = ""


def show_object(
    what: str,
    name: str,
    words: str,
    tables: Sequence[Table] = (),
    listed: Sequence[str] = (),
    charts: Sequence[Chart] = (),
    pictures: Sequence[tuple[str, NDArray[np.uint8]]] = (),
) -> str:
    """An object as a small part of a page: without script, readable on light and on dark.

    Args:
        what: the kind of object, such as "Run".
        name: of this one.
        words: what is to be said of it first, in a sentence or two.
        tables: what is known of it, in rows; empty ones are left out.
        listed: more sentences, one below another.
        charts: beside each other.
        pictures: a title and (h, w, 3) RGB pixels each; the first few are shown, small.

    Returns:
        HTML; bytes of names that are no UTF-8 stand as escapes.

    Example:
        >>> "<bdi>&lt;b&gt;</bdi>" in show_object("Run", "<b>", "It has no epoch yet.")
        True
    """
    found = render(
        "notebook.html",
        what=what,
        name=name,
        words=words,
        tables=[table for table in tables if table.rows],
        listed=listed,
        charts=charts,
        pictures=[(title, photo(_small(pixels))) for title, pixels in pictures[:PICTURES]],
    )
    return found.encode("utf-8", "backslashreplace").decode("utf-8")


def _small(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same picture with `SIDE` pixels at most, by leaving rows and columns out."""
    step = -(-max(pixels.shape[:2]) // SIDE)
    return pixels[::step, ::step]
