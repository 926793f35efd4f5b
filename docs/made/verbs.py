"""A page a verb, made of the command line itself, so that it says what the program does."""

import re
from pathlib import Path

from typer.main import get_command

from unet_tf.cli.commands import VERBS, app

FURTHER = {
    "demo": "[Getting started](../start.md)",
    "check": "[Masks](../masks.md), [folder layouts](../layouts.md), [channels](../channels.md)",
    "import": "[Annotations in](../annotations.md), [count objects](../objects.md#count-objects), "
    "[the loop](../annotate.md)",
    "train": "[Training](../training.md), [what fails](../failures.md), [channels](../channels.md)",
    "crossval": "[Folds together](../folds.md)",
    "evaluate": "[What the scores mean](../scores.md), [how sure a network may be](../calibration.md)",
    "compare": "[What the scores mean](../scores.md)",
    "predict": "[Prediction](../predicting.md), [maps](../maps.md), [polygons](../polygons.md)",
    "suggest": "[How sure a network may be](../calibration.md), [the loop](../annotate.md)",
    "export": "[Bundles](../exporting.md), [deploying](../deploying.md)",
    "verify": "[Bundles](../exporting.md)",
    "serve": "[Serving](../serving.md), [the client](../serving_client.md)",
}
"""Verb -> the pages that explain it."""


KINDS = {Path: "path", int: "number", float: "number", list[str]: "text, also again", list[Path]: "path, also again"}
"""Type of an option -> the word for what it takes."""


def navigation() -> list[dict[str, str]]:
    """The entries of the navigation, in the order of the way."""
    return [{verb: f"commands/{verb}.md"} for verb in VERBS]


def pages() -> dict[str, str]:
    """Address -> Markdown of each verb."""
    app_command = get_command(app)
    return {f"commands/{verb}.md": _page(verb, app_command.commands[verb]) for verb in VERBS}


def _page(verb: str, command) -> str:
    parts = [f"# unet-tf {verb}", _text(command.help or "")]
    shown = [param for param in command.params if not param.hidden]
    arguments = [param for param in shown if param.param_type_name == "argument"]
    usage = ["unet-tf", verb, *(_argument(param) for param in arguments), "[options]"]
    parts.append(f"```text\n{' '.join(usage)}\n```")
    if verb in FURTHER:
        parts.append(f"Explained in: {FURTHER[verb]}.")
    examples = re.findall(r"unet-tf .+", command.epilog or "")
    if examples:
        parts += ["## Examples", "```sh\n" + "\n".join(examples) + "\n```"]
    if arguments:
        rows = [(f"`{_argument(param)}`", _text(param.help or "")) for param in arguments]
        parts += ["## Arguments", _table(("argument", "what it is"), rows)]
    panels: dict[str, list] = {}
    for param in shown:
        if param.param_type_name == "option":
            panels.setdefault(param.rich_help_panel or "Options", []).append(param)
    for panel, options in panels.items():
        rows = [(_names(param), _text(param.help or ""), _default(param)) for param in options]
        parts += [f"## {panel}", _table(("option", "what it does", "default"), rows)]
    parts.append(f"This page is made of the program; `unet-tf {verb} --help` says the same.")
    return "\n\n".join(parts) + "\n"


def _argument(param) -> str:
    name = param.metavar or param.name.upper()
    return name if param.required else f"[{name}]"


def _names(param) -> str:
    names = " ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    kind = param.metavar or KINDS.get(param.type_descriptor.annotation, "text")
    return names if param.is_flag else f"{names} {kind}"


def _default(param) -> str:
    if param.required:
        return "must be given"
    if isinstance(param.show_default, str):
        return _text(param.show_default)
    if param.is_flag:
        return "yes" if param.default else "no"
    return "" if not param.show_default or param.default in (None, "", (), []) else f"`{param.default}`"


def _text(words: str) -> str:
    """Plain words as Markdown: no markup of the terminal, nothing that Markdown would take for its own."""
    words = re.sub(r"\s*\n\s*(?!\n)", " ", re.sub(r"\n\s*\n", "\0", words.strip())).replace("\0", "\n\n")
    parts = re.split(r"(`[^`]*`)", words)  # within ticks nothing is markup
    return "".join(part if n % 2 else re.sub(r"([*_<>|$\[\]])", r"\\\1", part) for n, part in enumerate(parts))


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(cell.replace("\n\n", " ") for cell in row) + " |" for row in rows])
