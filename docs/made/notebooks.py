"""Notebooks as pages: their words, code, and the outputs that they were stored with."""

import json
import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "notebooks"
BADGE = re.compile(r"\[?!\[[^\]]*\]\(https?://[^)]*\)(\]\([^)]*\))?")
"""A picture from another server, as badges are: the site shows none."""


def navigation() -> list[dict[str, str]]:
    """The entries of the navigation."""
    return [{_title(path): f"notebooks/{path.stem}.md"} for path in sorted(FOLDER.glob("*.ipynb"))]


def pages() -> dict[str, str]:
    """Address -> Markdown of each notebook."""
    head = "---\nmath: true\n---\n"
    return {f"notebooks/{path.stem}.md": head + markdown(_read(path)) for path in sorted(FOLDER.glob("*.ipynb"))}


def markdown(notebook: dict) -> str:
    """The Markdown of a notebook."""
    parts = []
    for cell in notebook["cells"]:
        words = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(BADGE.sub("", words))
        elif cell["cell_type"] == "code" and words.strip():
            parts.append(f"```python\n{words}\n```")
            parts += filter(None, map(_output, cell["outputs"]))
    return "\n\n".join(parts) + "\n"


def _output(output: dict) -> str:
    """A picture, or what was printed (not to stderr), or the representation of a value."""
    if output.get("name") == "stderr":
        return ""
    data = output.get("data", {})
    if "image/png" in data:
        return f'<img alt="output" src="data:image/png;base64,{"".join(data["image/png"].split())}">'
    text = "".join(output.get("text", data.get("text/plain", ""))).rstrip()
    return f"```text\n{text}\n```" if text and not text.startswith("<Figure") else ""


def _title(path: Path) -> str:
    headings = re.findall(r"^# (.+)$", markdown(_read(path)).split("```")[0], re.M)
    return headings[0] if headings else path.stem


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))
