"""The public names by theme: each becomes a part of a page, from its docstring."""

import ast
from pathlib import Path

FACE = Path(__file__).parents[2] / "unet_tf" / "__init__.pyi"
THEMES = {
    "The net, its loss and its sizes": ("net", "geometry", "model", "labels"),
    "Pictures, masks, annotations": ("data", "data", "annotations", "planning"),
    "Training": ("training", "training", "config", "run", "demonstration"),
    "Prediction": ("prediction", "prediction"),
    "Scores": ("scores", "evaluation"),
    "Export": ("export", "exporting"),
    "Serving": ("serving", "serving"),
    "Figures": ("figures", "figures"),
    "Generated pictures": ("synthetic", "synthetic"),
    "Exceptions": ("exceptions", "errors"),
}
"""Title -> name of the page, and the rooms of the package whose public names it holds."""
LEFT_OUT = {"version"}


def public() -> dict[str, list[str]]:
    """Room -> its public names, each as the dotted name of where it is made, in the order of the package's face."""
    found: dict[str, list[str]] = {}
    for node in ast.parse(FACE.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                found.setdefault(node.module.split(".")[0], []).append(f"{node.module}.{alias.name}")
    return {room: names for room, names in found.items() if room not in LEFT_OUT}


def navigation() -> list[dict[str, str]]:
    """The entries of the navigation."""
    return [{title: f"api/{name}.md"} for title, (name, *_) in THEMES.items()]


def pages() -> dict[str, str]:
    """Address -> Markdown of each theme.

    Raises:
        KeyError: a room has public names, and no theme.
    """
    names = public()
    strangers = names.keys() - {room for _, *rooms in THEMES.values() for room in rooms}
    if strangers:
        raise KeyError(
            f"Rooms with public names need a theme in {Path(__file__).name}: {', '.join(sorted(strangers))}."
        )
    return {f"api/{name}.md": _page(title, rooms, names) for title, (name, *rooms) in THEMES.items()}


def _page(title: str, rooms: list[str], names: dict[str, list[str]]) -> str:
    parts = [f"# {title}", "Each is a name of the package: `unet_tf.NAME`."]
    parts += [f"::: unet_tf.{name.rpartition('.')[2]}" for room in rooms for name in names.get(room, ())]
    return "\n\n".join(parts) + "\n"
