"""Label Studio: its JSON export, a list of tasks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from unet_tf.annotations.annotated import (
    NAMELESS,
    Annotated,
    Skipped,
    clean,
    ellipse,
    field,
    points,
    rectangle,
    region,
    size_of,
    turned_about,
    typed,
)
from unet_tf.annotations.raster import spans_of
from unet_tf.annotations.runs import label_studio_alpha
from unet_tf.annotations.shapes import Shape
from unet_tf.data.pictures import SUFFIXES
from unet_tf.data.structure import Damage

KINDS = ("polygon", "rectangle", "ellipse", "brush")
UPLOADS, UPLOADED = re.compile(r"(^|/)upload/\d+$"), re.compile(r"^[0-9a-f]{8}-")
"""The folder of what was uploaded to a project, and what an upload puts before the name."""


def is_label_studio(content: Any) -> bool:
    """Whether parsed JSON is an export of Label Studio."""
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(one, dict) and isinstance(one.get("data"), dict) for one in content)
        and any("annotations" in one or "predictions" in one for one in content)
    )


def read_label_studio(path: Path, content: Any, skipped: Skipped) -> list[Annotated]:
    """Read the regions of all tasks: of each the annotation that is marked as ground truth, or else the first.

    Args:
        path: of the file.
        content: what it holds, parsed.
        skipped: counts what is no area, and further annotations of a task.

    Raises:
        Damage: a field is missing or of another type, a picture was turned while it was labelled, or results do not
            say on which of several pictures they are.
    """
    found = []
    for number, task in enumerate(content):
        where = f"task {task.get('id', number)}"
        done = [typed(one, dict, where) for one in typed(task.get("annotations") or [], list, where)]
        done = [one for one in done if not one.get("was_cancelled")]
        done.sort(key=lambda one: not one.get("ground_truth"))
        if len(done) > 1:
            skipped["further annotations of a task by others"] += len(done) - 1
        if not done and task.get("predictions"):
            skipped["tasks with predictions alone"] += 1
        results = [typed(one, dict, where) for one in field(done[0], "result", list, where)] if done else []
        for (picture, original), some in _by_picture(_pictures(task, where), results, where):
            shapes, size = _shapes(some, where, skipped)
            found.append(Annotated(path, picture, tuple(shapes), size, original=original))
    return found


def _pictures(task: dict[str, Any], where: str) -> dict[str, tuple[str, str]]:
    """The pictures of a task by their field in its data: the name of each, and that without what an upload added."""
    given = task.get("file_upload")
    found = {key: name for key, value in task["data"].items() if (name := _picture(value))}
    if not found and (name := _picture(given)):
        found = {"file_upload": name}
    if not found:
        raise Damage(f"data of {where} must name a picture that ends in {', '.join(SUFFIXES)}")
    return {key: (name, _original(name, given)) for key, name in found.items()}


def _picture(value: Any) -> str:
    """The name of a picture, where a value is the name or the address of one; else ""."""
    if not isinstance(value, str):
        return ""
    if value.lower().startswith(("http://", "https://", "/")):
        parts = urlsplit(value)
        name = (parse_qs(parts.query).get("d") or [unquote(parts.path)])[0]
    else:  # a key of a bucket, which may hold any sign
        name = re.sub(r"^[\w+.-]+://[^/]*", "", value)
        name = name if name.lower().endswith(SUFFIXES) else name.partition("?")[0]
    return name if name.lower().endswith(SUFFIXES) else ""


def _original(name: str, uploaded: Any) -> str:
    """The name of a picture without its folders, and without what an upload puts before it."""
    folder, _, last = name.rpartition("/")
    # elsewhere eight digits are a date, or the beginning of a UUID
    return UPLOADED.sub("", last) if uploaded in (name, last) or UPLOADS.search(folder) else last


def _by_picture(
    pictures: dict[str, tuple[str, str]], results: list[Any], where: str
) -> list[tuple[tuple[str, str], list[Any]]]:
    """The pictures of a task that areas are drawn on, and all results on each.

    Those of several pictures are of the one whose field is called like their tag (`to_name`).

    Raises:
        Damage: there are several pictures or tags, and which is whose is not said.
    """
    tags = {str(one.get("to_name", "")) for one in results if _kind(one, where) in KINDS}
    files = {re.split(r"[/\\]", original)[-1] for _, original in pictures.values()}  # one may be named twice
    if len(tags) < 2 and (len(files) == 1 or not tags):
        return [(pictures.get("".join(tags), next(iter(pictures.values()))), results)]
    if strange := sorted(tags - pictures.keys()):
        listed = ", ".join(f"{key} ({name})" for key, (name, _) in pictures.items())
        raise Damage(
            f"results of {where} must say of which picture they are, by a tag (to_name) that is called like its field "
            f"in data; there are the pictures {listed}, and the tags {', '.join(map(repr, strange))}. Rename the "
            "fields, or take the pictures out that are not labelled"
        )
    return [(pictures[tag], [one for one in results if str(one.get("to_name", "")) == tag]) for tag in sorted(tags)]


def _kind(result: dict[str, Any], where: str) -> str:
    return str(typed(result.get("type") or "", str, where)).removesuffix("labels")


def _shapes(results: list[Any], where: str, skipped: Skipped) -> tuple[list[Shape], tuple[int, int] | None]:
    shapes: list[Shape] = []
    labels: dict[Any, list[Any]] = {}  # a region and its label may be two results of one id
    for number, one in enumerate(results):
        value = typed(one.get("value") or {}, dict, where)
        if some := [label for key in value if key.endswith("labels") for label in typed(value[key], list, where)]:
            labels[_id(one, number)] = some
    sizes, done = set(), set()
    for number, one in enumerate(results):
        kind = _kind(one, where)
        if kind not in KINDS:
            if kind:
                why = "are not read" if kind == "bitmask" else "are no areas"
                skipped[f"results of type {kind[:30]}, which {why}"] += 1
            continue
        if _id(one, number) in done:
            continue
        done.add(_id(one, number))
        names = labels.get(_id(one, number), [NAMELESS])
        if len(names) > 1:
            skipped["second labels of a region"] += len(names) - 1
        if one.get("image_rotation"):
            raise Damage(
                f"{where} was labelled on a picture that was turned by {one['image_rotation']} degrees in Label "
                "Studio; turn it back there and export again"
            )
        size = size_of(one, "original_height", "original_width", where)
        sizes.add(size)
        if size is None or len(sizes) > 1:
            raise Damage(f"results of {where} must have one original_height and original_width; received {sizes}")
        shapes += _shape(kind, clean(names[0]), one.get("value") or {}, size, where, skipped)
    return shapes, sizes.pop() if sizes else None


def _id(one: dict[str, Any], number: int) -> str | int:
    return one["id"] if isinstance(one.get("id"), str) else number


def _shape(
    kind: str, name: str, value: dict[str, Any], size: tuple[int, int], where: str, skipped: Skipped
) -> list[Shape]:
    """One region, whose coordinates are hundredths of the picture's sides."""
    height, width = size[0] / 100, size[1] / 100

    def number(key: str) -> float:
        return field(value, key, float, where)

    degrees = number("rotation") if "rotation" in value else 0.0
    if kind == "polygon":
        return region(name, [points(field(value, "points", list, where), where) * [width, height]], skipped)
    if kind == "rectangle":
        left, top = number("x") * width, number("y") * height
        corners = rectangle(left, top, left + number("width") * width, top + number("height") * height)
        return region(name, [turned_about(corners, corners[0], degrees)], skipped)  # about its first corner
    if kind == "ellipse":
        radii = number("radiusX") * width, number("radiusY") * height
        return region(name, [ellipse(number("x") * width, number("y") * height, *radii, degrees)], skipped)
    alpha = label_studio_alpha(field(value, "rle", list, where), *size)
    return [Shape(name, spans=spans_of(alpha > 0))]
