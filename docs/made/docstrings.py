"""What mkdocstrings reads of a docstring: a section "Example:" is one, as "Examples:" is, so that doctests are code."""

import re

import griffe


class Examples(griffe.Extension):
    """Call sections as griffe does."""

    def on_object(self, *, obj: griffe.Object, loader: griffe.GriffeLoader, **_: object) -> None:
        """Rename the sections of an object's docstring."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.M)
