"""Formulas: TeX between dollars to MathML, which browsers draw without a script."""

import re

from latex2mathml.converter import convert

BLOCK, INLINE = re.compile(r"^\$\$\s*(.+?)\s*\$\$$", re.M | re.S), re.compile(r"(?<![\\$\w])\$([^$\n`]+?)\$(?![\w$])")


def aside(markdown: str, page) -> str:
    """The page with a word for each formula, of pages whose front matter says `math: true`."""
    page.formulas = []
    if not page.meta.get("math"):
        return markdown

    def taken(display: str):
        def word(match: re.Match) -> str:
            page.formulas.append(convert(match[1].replace("\n", " "), display=display))
            return f"formula{len(page.formulas) - 1}elumrof"

        return word

    parts = re.split(r"(^```.*?^```|`[^`\n]+`)", markdown, flags=re.M | re.S)
    return "".join(
        part if number % 2 else INLINE.sub(taken("inline"), BLOCK.sub(taken("block"), part))
        for number, part in enumerate(parts)
    )


def back(html: str, page) -> str:
    """The page with its formulas in the places of the words."""
    return re.sub(r"formula(\d+)elumrof", lambda match: page.formulas[int(match[1])], html)
