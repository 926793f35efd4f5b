"""Numbers as people read them, none of them rounded to what it is not."""

from __future__ import annotations

import math

PER_CENT = "\N{NO-BREAK SPACE}%"


def percent(share: float | None) -> str:
    r"""A share in [0, 1] as text that no line breaks; "100 %" and "0 %" stand for these alone.

    Example:
        >>> [percent(share).replace("\N{NO-BREAK SPACE}", " ") for share in (0.9561, 0.9999, 1.0, 0.0004, 0.0, None)]
        ['96 %', 'over 99.9 %', '100 %', 'under 0.1 %', '0 %', 'none']
    """
    if share is None or math.isnan(share):
        return "none"
    if 0 < share < 0.001:
        return f"under 0.1{PER_CENT}"
    if 0.999 < share < 1:
        return f"over 99.9{PER_CENT}"
    fine = 0 < share < 0.0995 or 0.9905 <= share < 1  # where a whole per cent says little
    return f"{100 * share:.{int(fine)}f}{PER_CENT}"


def number(score: float | None) -> str:
    """A score with three digits, none of them rounded up to 1 or down to 0; "none" where there is none.

    Example:
        >>> [number(score) for score in (0.81249, 0.99987, 1.0, 0.0001, None)]
        ['0.812', '0.999', '1.000', '0.001', 'none']
    """
    if score is None or math.isnan(score):
        return "none"
    if 0 < score < 1:
        score = min(max(score, 0.001), 0.999)
    return f"{score:.3f}"


def signed(value: float) -> str:
    """A difference with three digits and its sign; 0 has none.

    Example:
        >>> signed(0.0214), signed(-0.0001), signed(0.0)
        ('+0.021', '0.000', '0.000')
    """
    text = f"{value:+.3f}"
    return text[1:] if float(text) == 0 else text


def count(found: int) -> str:
    """A whole number, its thousands apart.

    Example:
        >>> count(1234567)
        '1,234,567'
    """
    return f"{found:,}"


def many(found: int, one: str, more: str = "") -> str:
    """So many of something, in the singular where it is one.

    Args:
        found: how many.
        one: the word for one of them.
        more: the word for several; left out, that with an s.

    Example:
        >>> many(1, "file"), many(2, "file"), many(0, "class", "classes"), many(1, "file is", "files are")
        ('1 file', '2 files', '0 classes', '1 file is')
    """
    return f"{count(found)} {one if found == 1 else more or f'{one}s'}"
