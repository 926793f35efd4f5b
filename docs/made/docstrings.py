"""What mkdocstrings reads of a docstring: "Example:" is a section, so that doctests are code, and no line a heading."""

import re
import sys
from pathlib import Path

import griffe

sys.path.append(str(Path(__file__).parent))

import titles


class Examples(griffe.Extension):
    """Call sections as griffe does."""

    def on_object(self, *, obj: griffe.Object, loader: griffe.GriffeLoader, **_: object) -> None:
        """Change an object's docstring."""
        if obj.docstring:
            words = re.sub(r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.M)
            words = titles.titled(words, "docs/api")
            obj.docstring.value = re.sub(r"^( *)#", r"\1\\#", words, flags=re.M)
