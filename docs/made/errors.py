"""Every message that the package refuses with, or warns of, read off its code."""

from __future__ import annotations

import ast
import functools
import re
from copy import copy
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
yours that are no names or numbers. Where one begins with "is", "has", "holds" or "it", the name of a file
stands before it. What goes wrong without a message has [a page of pictures](failures.md).
"""


RAISED = (
    "InputError",
    "RequestError",
    "UnknownValues",
    "NotStored",
    "NotKept",
    "Damage",
    "Unread",
    "_Open",
    "_Unknown",
    "import_extra",
)
SINKS = dict.fromkeys(RAISED, "refused") | {"log.warning": "warned", "say": "warned"}
"""Calls that take a message first -> what becomes of it."""
LISTS = {"problems": "refused", "faults": "refused", "notes": "warned", "warnings": "warned"}
"""Lists of messages, by their names -> what becomes of these."""
DEEP = 4
"""Steps from where a message is raised to where its words stand, at most."""
Kinds = dict[str, list[tuple[str, str]]]


def page() -> str:
    """The Markdown of the page."""
    found: dict[str, Kinds] = {}
    for module, messages_of in of_package(sorted(PACKAGE.rglob("*.py"))).items():
        title = ROOMS.get(module.split(".")[0], "Else")
        for kind, words in messages_of:
            found.setdefault(title, {}).setdefault(kind, []).append((words, module))
    parts = [HEAD]
    for title in (*ROOMS.values(), "Else"):
        if title not in found:
            continue
        parts.append(f"## {title}\n")
        for kind in ("refused", "warned"):
            rows = dict.fromkeys(found[title].get(kind, ()))
            if rows:
                parts.append("Refused:\n" if kind == "refused" else "Said, and gone on with:\n")
                parts += [f"- {words} <small>`{module}`</small>" for words, module in rows]
                parts.append("")
    return "\n".join(parts)


def of_package(paths: list[Path]) -> dict[str, list[tuple[str, str]]]:
    """Module -> its messages; words that stand in other modules are found there."""
    trees = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
        for path in paths
    }
    known = Known(trees)
    return {module: _messages(tree, known) for module, tree in trees.items()}


def messages(source: str) -> list[tuple[str, str]]:
    """("refused" or "warned", words in Markdown) of each message of a module.

    A message stands where it is raised, logged or put into a list of problems, notes or warnings; or its words come
    from there by a name: of a constant, of what was assigned before, of a loop over a table, or of a function that
    returns them.
    """
    tree = ast.parse(source)
    return _messages(tree, Known({"": tree}))


class Known:
    """Texts that have a name: constants of modules, and functions.

    Args:
        trees: module, by its name within the package -> what it says.
    """

    def __init__(self, trees: dict[str, ast.Module]) -> None:
        self.trees = trees
        self.own: dict[ast.Module, dict[str, ast.expr]] = {tree: {} for tree in trees.values()}
        self.functions: dict[str, list[ast.FunctionDef]] = {}
        self.home: dict[ast.FunctionDef, ast.Module] = {}
        for tree in trees.values():
            for node in tree.body:
                match node:
                    case ast.Assign(
                        targets=[ast.Name(id=name)], value=ast.Constant() | ast.JoinedStr() | ast.BinOp() as value
                    ) if name.isupper():
                        self.own[tree][name] = value
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef):
                    self.functions.setdefault(node.name, []).append(node)
                    self.home[node] = tree

        values: dict[str, dict[str, ast.expr]] = {}
        for constants in self.own.values():
            for name, value in constants.items():
                values.setdefault(name, {})[ast.dump(value)] = value
        self.constants = {name: next(iter(some.values())) for name, some in values.items() if len(some) == 1}

    def seen_from(self, tree: ast.Module) -> Known:
        """The same for one module, whose own names and imports come first; other names for two things are none."""
        found = copy(self)
        imported = {}
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and (home := self.trees.get((node.module or "")[len("unet_tf.") :])):
                imported |= {one.name: self.own[home][one.name] for one in node.names if one.name in self.own[home]}
        found.constants = self.constants | imported | self.own[tree]
        return found

    def called(self, func: ast.expr, within: ast.FunctionDef | None) -> ast.FunctionDef | None:
        """The function of a call: the one of that name in the same module, or else the only one in the package."""
        found = self.functions.get(ast.unparse(func).rpartition(".")[2], [])
        near = [one for one in found if within is not None and self.home[one] is self.home.get(within)]
        return (near or found)[0] if near or len(found) == 1 else None


def _messages(tree: ast.Module, known: Known) -> list[tuple[str, str]]:
    found, known = [], known.seen_from(tree)
    for node, function in _inside(tree, None):
        for kind, text in _said(node):
            for words in _texts(text, function, known, DEEP):
                if len(re.sub("‹[^›]*›", "", words).split()) > 2:
                    found.append((text.lineno, kind, _markdown(words)))
    return [(kind, words) for _, kind, words in sorted(dict.fromkeys(found))]


def _inside(node: ast.AST, function: ast.FunctionDef | None):
    """Each node with the function that it stands in."""
    yield node, function
    for child in ast.iter_child_nodes(node):
        yield from _inside(child, child if isinstance(child, ast.FunctionDef) else function)


def _said(node: ast.AST) -> list[tuple[str, ast.expr]]:
    """What becomes of a message that a node says, and the message."""
    match node:
        case ast.Call(func=ast.Attribute(value=of, attr="append"), args=[text]) if kind := _listed(of):
            return [(kind, text)]
        case ast.Call(func=ast.Name(id="_warn"), args=[_, _, text, *_]):  # of the doctor, which begins: so many images
            return [("warned", text)]
        case ast.Call(func=func, args=[text, *_]) if kind := SINKS.get(ast.unparse(func)):
            return [(kind, text)]
        case ast.AugAssign(target=of, value=text) | ast.Assign(targets=[of], value=text) if kind := _listed(of):
            return [(kind, text)]
        case _:
            return []


def _listed(of: ast.expr) -> str:
    name = of.attr if isinstance(of, ast.Attribute) else of.id if isinstance(of, ast.Name) else ""
    return LISTS.get(name, "")


def _texts(node: ast.expr, function: ast.FunctionDef | None, known: Known, deep: int) -> list[str]:
    """The texts that an expression may be."""
    if not deep:
        return []
    follow = functools.partial(_texts, function=function, known=known, deep=deep - 1)
    match node:
        case ast.Name(id=name) if function is not None and (values := _assigned(name, function)):
            return [text for value in values for text in follow(value)]
        case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.BoolOp(values=parts):
            return [text for part in parts for text in follow(part)]
        case ast.GeneratorExp(elt=part) | ast.ListComp(elt=part) | ast.Starred(value=part):
            return follow(part)
        case ast.IfExp(body=one, orelse=other) if not _words(one, known).startswith(" "):
            return follow(one) + follow(other)
        case ast.Call(func=ast.Name(id="filter" | "map"), args=[_, part]):
            return follow(part)
        case ast.Call(func=func) if found := known.called(func, function):
            returned = [part.value for part in ast.walk(found) if isinstance(part, ast.Return) and part.value]
            return [text for value in returned for text in _texts(value, found, known, deep - 1)]
        case _:
            return [_words(node, known)]


def _assigned(name: str, function: ast.FunctionDef) -> list[ast.expr]:
    """What a name may stand for in a function."""
    values = []
    for node in ast.walk(function):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=found)], value=value)
                | ast.NamedExpr(target=ast.Name(id=found), value=value)
            ) if found == name:
                values.append(value)
            case ast.For(target=ast.Tuple(elts=targets), iter=ast.Name(id=table)):
                places = [n for n, one in enumerate(targets) if isinstance(one, ast.Name) and one.id == name]
                tables = _assigned(table, function) if places and table != name else []
                rows = [row for value in tables for row in getattr(value, "elts", ())]
                values += [row.elts[n] for n in places for row in rows if isinstance(row, ast.Tuple)]
    return values


def _words(node: ast.expr, known: Known) -> str:
    """The text of a string with ‹names› for what is filled in; of two that are chosen from, both."""
    match node:
        case ast.Constant(value=str() | int() | float() as value):
            return str(value)
        case ast.JoinedStr(values=values):
            return "".join(_words(value, known) for value in values)
        case ast.FormattedValue(value=ast.Name(id=name)) | ast.Name(id=name) if name in known.constants:
            return _words(known.constants[name], known)
        case ast.FormattedValue(value=value):
            return f"‹{_name(value)}›"
        case ast.BinOp() if all(isinstance(part, ast.Constant | ast.BinOp | ast.operator) for part in ast.walk(node)):
            return str(eval(ast.unparse(node)))  # a number such as 1 << 30
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _words(left, known) + _words(right, known)
        case ast.IfExp(body=one, orelse=other):
            return f"{_words(one, known)} / {_words(other, known)}" if _words(other, known) else _words(one, known)
        case ast.Call(func=ast.Attribute(value=value, attr="rstrip" | "strip" | "format")):
            return _words(value, known)
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
