"""The one sentence that a page begins with: what a net can do, made of its scores, and on what that was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from unet_tf.evaluation.mistakes import has_background
from unet_tf.pages.words import count, many, number, percent

SHORT = 40
"""Characters of a class name in the verdict."""


def verdict(stored: Mapping[str, Any]) -> str:
    r"""Say in one sentence how well a net does, from its `evaluation.json` of this version or an earlier one.

    First, where masks tell objects apart, how many of them it finds, draws for nothing, merges and splits. Two classes:
    what share of the foreground it finds, and what share of what it draws is none. More: what share of the pixels gets
    its class, and the best and the worst class of those that occur. Then lines that are no objects, a baseline that is
    as good, or better on the foreground, and whether the net was trained on these images.

    Args:
        stored: what `EvaluationTable` says; keys that are missing are not spoken of.

    Example:
        >>> stored = {
        ...     "files": "8 files of cells/test", "classes": ["background", "cell"], "confusion": [[96, 4], [4, 96]],
        ...     "mean_iou": 0.92, "baselines": {}, "per_file_mean_iou": dict.fromkeys("abcdefgh", 0.9),
        ... }
        >>> verdict(stored).replace("\N{NO-BREAK SPACE}", " ")
        'Finds 96 % of the cell area and invents 4.0 % of what it draws; on 8 images it never saw.'
    """
    classes, confusion = list(stored["classes"]), stored["confusion"]
    if not sum(map(sum, confusion)):
        return f"No pixel of {_images(stored)} is labelled, so nothing can be said."
    pixels = _foreground(stored) if len(classes) == 2 else _classes(stored)
    objects = _objects(stored)
    pixels = ", ".join(filter(None, (pixels, "" if objects else _thin(stored), _baseline(stored))))
    parts = [objects, pixels[0].lower() + pixels[1:]] if objects else [pixels]
    return f"{'; '.join(parts)}; on {_images(stored)}."


def without_evaluation(files: int, mean_iou: float | None) -> str:
    """What can be said of a run that was not judged on files it never saw.

    Args:
        files: that it was trained on.
        mean_iou: of its validation; None without one.
    """
    if mean_iou is None:
        return f"Trained on all {many(files, 'image')}: no score tells how good it is on others."
    return f"Mean IoU {number(mean_iou)} while training, on the files held out; not judged on whole images yet."


def absent_classes(stored: Mapping[str, Any]) -> list[str]:
    """The classes that no pixel of the scored files has."""
    return [name for name, row in zip(stored["classes"], stored["confusion"], strict=True) if not sum(row)]


def _foreground(stored: Mapping[str, Any]) -> str:
    background, name = stored["classes"]
    (right_rest, invented), (missed, found) = stored["confusion"]
    area = _area(name)
    if not found + missed:
        drawn = percent(invented / (right_rest + invented))
        return f"There is no {_short(name)} to find, and it draws {drawn} of the {_short(background)} as {_short(name)}"
    if not found:
        return f"Finds nothing of the {area}"
    words = f"Finds {percent(found / (found + missed))} of the {area}"
    return words + (f" and invents {percent(invented / (found + invented))} of what it draws" if invented else "")


def _area(name: str) -> str:
    return name if name == "foreground" else f"{_short(name)} area"


def _classes(stored: Mapping[str, Any]) -> str:
    words = f"Gives {percent(stored['pixel_accuracy'])} of the pixels their class"
    gone = set(absent_classes(stored))
    first = int(has_background(stored["classes"]))
    names = [name for name in stored["classes"][first:] if name not in gone and stored["iou"].get(name) is not None]
    names.sort(key=lambda name: stored["iou"][name])
    lost = [name for name in names if not stored["iou"][name]]
    if len(names) < 2 or len(lost) == len(names):
        return words + (f", and finds nothing of {_listed(lost)}" if lost else "")
    worst, best = (f"{_short(name)} (IoU {number(stored['iou'][name])})" for name in (names[0], names[-1]))
    return f"{words}, is best at {best} and {f'finds nothing of {_listed(lost)}' if lost else f'worst at {worst}'}"


def _objects(stored: Mapping[str, Any]) -> str:
    """How many objects are found, at the lowest IoU, and what became of the others."""
    found = stored.get("objects")
    if not found or not found["found"] or not found["true"] + found["predicted"]:
        return ""
    true, hits = found["true"], found["found"][0]
    wrong = found["predicted"] - hits
    if not true:
        return f"Draws {many(wrong, 'object')} where there are none"
    words = f"Finds {count(hits)} of {many(true, 'object')}"
    words += f" and draws {many(wrong, 'that fits', 'that fit')} none" if wrong else ""
    parted = [many(found[f"{one}s"], one) for one in ("merge", "split") if found[f"{one}s"]]
    said = f"with {' and '.join(parted)}" if parted else "none merged or split" if hits else ""
    return ", ".join(filter(None, (words, said)))


def _thin(stored: Mapping[str, Any]) -> str:
    found = [
        (name, one["cldice"])
        for name, one in (stored.get("thin") or {}).items()
        if isinstance(one, Mapping) and isinstance(one.get("cldice"), float)
    ]
    if not found:
        return ""
    name, worst = min(found, key=lambda pair: pair[1])
    return f"follows {_short(name)} with a clDice of {number(worst)}"


def _baseline(stored: Mapping[str, Any]) -> str:
    """A trivial method that is as good, or is better on the foreground, where there is one: nothing matters more."""
    own = stored["mean_iou"]
    rivals = [(one["mean_iou"], name) for name, one in stored["baselines"].items() if one["mean_iou"] is not None]
    if own is not None and rivals and max(rivals)[0] >= own:
        return f"which is no better than {BASELINES.get(max(rivals)[1], max(rivals)[1])}"
    if len(stored["classes"]) != 2:
        return ""
    name = stored["classes"][1]
    own = stored.get("iou", {}).get(name)
    rivals = [(iou, rival) for rival, one in stored["baselines"].items() if (iou := one["iou"].get(name))]
    if own is None or not rivals or max(rivals)[0] < own:
        return ""
    iou, rival = max(rivals)
    better = f"better (IoU {number(iou)}, here {number(own)})" if iou > own else f"equally well (IoU {number(iou)})"
    return f"though {BASELINES.get(rival, rival)} finds the {_area(name)} {better}"


BASELINES = {"majority class": "calling every pixel the commonest class", "Otsu threshold": "Otsu's threshold"}


def _images(stored: Mapping[str, Any]) -> str:
    values = stored["per_file_mean_iou"].values()
    words = many(sum(one is not None for one in values) or len(values), "image")  # those of void alone tell nothing
    judged = stored.get("judged") or {}
    return words if judged.get("kind") == "masks" else f"{words} {seen(stored['files'])}"  # masks have seen nothing


LEARNT = (
    *(", on which it was trained", ", on all of which", "was trained on these very files"),
    *(", from which it learnt", ", from all of which", "learnt from these very files"),  # in files up to 2026-11
)
MAY_HAVE_LEARNT = (
    *(", seen in training or not", ", on some of which", "training files are not known"),
    *(", from some of which", "learnt from is not known"),  # likewise
)
CHOSEN_BY = (
    "; among them the validation files",
    "; among them validation files of ",
    ", each by the net that held it out",
)
MAY_BE_CHOSEN_BY = "by which files its best epoch was chosen is not known"
"""In the words of `choosing.choose_files`, `fair.same_files` and `crossval`, behind the path of the files."""


def seen(files: str) -> str:
    """Whether a net has seen what it was scored on, by the words that say which files were scored.

    Args:
        files: these words.
    """
    if any(words in files for words in LEARNT) or files.startswith("the train files"):
        return "that it was trained on"
    if any(words in files for words in MAY_HAVE_LEARNT):
        return "that it may have been trained on"
    if chosen_by(files):
        chosen = "best epoch and threshold" if "epoch and the threshold" in files else "best epoch"
        return f"it was not trained on, though its {chosen} {'were' if 'and' in chosen else 'was'} chosen by such"
    if MAY_BE_CHOSEN_BY in files:
        return "it was not trained on, though its best epoch may have been chosen by such"
    return "it never saw"


def chosen_by(files: str) -> bool:
    """Whether a net was chosen by files that it was scored on, by the same words."""
    return any(words in files for words in CHOSEN_BY) or files.startswith("the val files")


def _listed(names: Sequence[str]) -> str:
    """Two names at most, and how many more there are."""
    few, more = [_short(name) for name in names[:2]], len(names) - 2
    return " and ".join(few) if more <= 0 else f"{', '.join(few)} and {more} more"


def _short(name: str) -> str:
    return name if len(name) <= SHORT else f"{name[: SHORT - 1]}…"


def places(ranks: Sequence[tuple[int, int]]) -> list[str]:
    """Name the places of files among others, from (rank, of how many): the worst has rank 1.

    Example:
        >>> places([(1, 20), (2, 20), (3, 20), (4, 20), (10, 20), (20, 20)])
        ['Worst', 'Second worst', 'Third worst', 'Fourth worst', 'Median', 'Best']
        >>> places([(1, 2), (2, 2)]), places([(1, 1)])
        (['Worst', 'Best'], ['The only image'])
    """
    ordinals = ("", "", "Second worst", "Third worst", "Fourth worst")
    found = []
    for rank, of in ranks:
        if of == 1:
            found.append("The only image")
        elif rank == of:
            found.append("Best")
        elif rank == 1:
            found.append("Worst")
        elif rank == (of + 1) // 2:
            found.append("Median")
        else:
            found.append(ordinals[rank] if rank < len(ordinals) else f"{rank} of {of} from the worst")
    return found
