"""Pages of the documents are called by their titles, wherever a text calls them by their files."""

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = re.compile(r"`docs/(\w+)\.md`|(?<![\w/\[`])(?<!\]\()docs/(\w+)\.md(?![\w\]`#])")
LINK = re.compile(r"\[`?[\w/]+\.md`?\]\(([\w./]+\.md)((?:#[^()\s]*)?)\)")
CODE = re.compile(r"(^```.*?^```)", re.M | re.S)


def title(path: Path) -> str:
    """The title of a page, without what stands behind a colon, and without code spans, which would part a link.

    Example:
        >>> title(ROOT / "docs" / "exporting.md")
        'Bundles'
    """
    line = path.read_text(encoding="utf-8").partition("\n")[0]
    return line.removeprefix("# ").partition(":")[0].replace("`", "")


def titled(words: str, here: str) -> str:
    """Put links with the titles of pages for their files.

    Args:
        words: Markdown, or a docstring.
        here: folder of the page, from the root of the repository.
    """

    def linked(match: re.Match) -> str:
        page = f"docs/{match[1] or match[2]}.md"
        return f"[{title(ROOT / page)}]({posixpath.relpath(page, here)})" if (ROOT / page).is_file() else match[0]

    def renamed(match: re.Match) -> str:
        page = ROOT / posixpath.normpath(posixpath.join(here, match[1]))
        return f"[{title(page)}]({match[1]}{match[2]})" if page.is_file() else match[0]

    parts = CODE.split(words)
    return "".join(part if n % 2 else LINK.sub(renamed, FILE.sub(linked, part)) for n, part in enumerate(parts))
