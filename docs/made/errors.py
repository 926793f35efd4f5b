"""Every message that the package refuses with, or warns of, read off its code."""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "unet_tf"
ROOMS = {
    "data": "Pictures, masks, pairs",
    "annotations": "Annotations",
    "planning": "Checking and planning",
    "config": "Settings",
    "training": "Training",
    "run": "Runs",
    "model": "The net",
    "geometry": "Sizes of the net",
    "tiling": "Tiles",
    "prediction": "Prediction",
    "evaluation": "Scores",
    "exporting": "Export",
    "serving": "Serving",
    "edge": "The edge",
}
"""Room -> the heading of its messages, in the order of the way; the others come under "Else"."""
HEAD = """# Errors and remedies

Each message of the package states the rule, what was received, and what to do; this page is read off the code as the
site is built, so that it holds all of them. ‹Such words› stand for what the message fills in. Search for the words of
yours that are no names or numbers. What goes wrong without a message has [a page of pictures](failures.md).
"""


def page() -> str:
    """The Markdown of the page."""
    found: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        title = ROOMS.get(module.split(".")[0], "Else")
        for kind, words in messages(path.read_text(encoding="utf-8")):
            found.setdefault(title, {}).setdefault(kind, []).append((words, module))
    parts = [HEAD]
    for title in (*ROOMS.values(), "Else"):
        if title not in found:
            continue
        parts.append(f"## {title}\n")
        for kind in ("refused", "warned"):
            rows = dict.fromkeys(found[title].get(kind, ()))
            if rows:
                parts.append("Refused:\n" if kind == "refused" else "Said in the log, and gone on with:\n")
                parts += [f"- {words} <small>`{module}`</small>" for words, module in rows]
                parts.append("")
    return "\n".join(parts)


def messages(source: str) -> list[tuple[str, str]]:
    """("refused" or "warned", words in Markdown) of each message whose words stand where it is raised or logged."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = ast.unparse(node.func)
        if name in ("InputError", "RequestError"):
            kind = "refused"
        elif name == "log.warning":
            kind = "warned"
        else:
            continue
        words = _words(node.args[0])
        if len(re.sub("‹[^›]*›", "", words).split()) > 2:
            found.append((node.lineno, kind, _markdown(words)))
    return [(kind, words) for _, kind, words in sorted(found)]


def _words(node: ast.expr) -> str:
    """The text of a string with ‹names› for what is filled in; of two that are chosen from, both."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_words(value) for value in values)
        case ast.FormattedValue(value=value):
            return f"‹{_name(value)}›"
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _words(left) + _words(right)
        case ast.IfExp(body=one, orelse=other):
            return f"{_words(one)} / {_words(other)}" if _words(other) else _words(one)
        case ast.Call(func=ast.Attribute(value=value, attr="rstrip" | "strip" | "format")):
            return _words(value)
        case _:
            return f"‹{_name(node)}›"


def _name(node: ast.expr) -> str:
    """A short word for what an expression is: its last name."""
    match node:
        case ast.Name(id=name):
            return name.replace("_", " ")
        case ast.Attribute(attr=name):
            return name.replace("_", " ")
        case ast.Call(func=ast.Attribute(attr="join"), args=[inner, *_]):
            return _name(inner)
        case ast.Call(func=ast.Name(id="map"), args=[_, mapped]):
            return _name(mapped)
        case ast.Call(args=[first, *_]):
            return _name(first)
        case ast.Call(func=func):
            return _name(func)
        case ast.Subscript(value=value):
            return _name(value)
        case ast.GeneratorExp(generators=[first, *_]) | ast.ListComp(generators=[first, *_]):
            return _name(first.iter)
        case ast.BinOp(left=left):
            return _name(left)
        case ast.IfExp(body=ast.Constant(value=str(one)), orelse=ast.Constant(value=str(other))):
            return f"{one}/{other}".strip(" /")
        case ast.Constant(value=value):
            return str(value)
        case _:
            return "..."


def _markdown(words: str) -> str:
    return re.sub(r"([*_<>|$\[\]`#])", r"\\\1", re.sub(r"\s+", " ", words)).strip()
