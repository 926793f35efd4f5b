"""What every reader of annotations gives, and how they read what a file may hold in any state."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unet_tf.annotations.shapes import Shape
from unet_tf.data.structure import Damage
from unet_tf.utils.text import form

NAMELESS = "object"
"""Class of shapes that bear no name."""
BACKGROUND, VOID_NAME = "background", "void"
"""Classes that are what no shape covers, and what is ignored, in whatever case they are written."""
MOST = 1 << 30
"""Pixels from the picture's corner that a coordinate may lie away, where it is a coordinate at all."""
SAGITTA = 0.01
"""Pixels by which the polygon that stands for an ellipse is off at most."""
ATTRIBUTES = ("class", "label", "name", "type", "category", "category_name", "classname", "class_name")
"""Attributes that are believed to name the class where there are several, in this order, in lower case."""

RECORD = "import.json"
"""What an import says of itself, in the folder that it makes; such folders are no part of another source."""
Skipped = Counter[str]
"""What a reader left out: words -> how often."""
csv.field_size_limit(MOST)  # an outline of ten thousand points has more than the 131,072 characters that are usual


class Feature(NamedTuple):
    """What GeoJSON says of a shape beside its outline.

    Attributes:
        number: of the feature in the file; shapes may be parts of one.
        properties: of the feature.
        around: how many detections lie in it, where it is an annotation without a class; None of what is none.
    """

    number: int
    properties: dict[str, Any]
    around: int | None


@dataclass(frozen=True)
class Annotated:
    """The annotations of one picture.

    Attributes:
        file: that holds them.
        picture: its name or path, as the file has it.
        shapes: in the order of the file.
        size: height and width, as the file has them; None where it does not say.
        stem: `picture` lacks the suffix; "" where nothing says which picture it is.
        shown: the program shows pictures turned as their EXIF says, so that its coordinates are those of the turned
            picture; False where it shows the pixels as they are stored.
        apart: shapes tell objects of one class apart.
        loose: classes and their pixels that are of no object, where shapes tell objects apart.
        features: of each shape of GeoJSON, whose class other files may tell; empty of other annotations.
        shares: coordinates are shares of the sides of the picture, and not pixels.
        on: gives the shapes by the field that names the class, or None, as soon as the picture is known; `shapes` is
            empty where the picture's place on the earth says where they are.
        embedded: gives the picture file that lies in the annotations, if one does.
        original: name that the picture may bear where none is called `picture`, such as that before it was uploaded.
    """

    file: Path
    picture: str
    shapes: tuple[Shape, ...]
    size: tuple[int, int] | None = None
    stem: bool = False
    shown: bool = True
    apart: bool = True
    loose: tuple[tuple[str, int], ...] = ()
    features: tuple[Feature, ...] = ()
    shares: bool = False
    on: Callable[[Path, str | None], Sequence[Shape]] | None = None
    embedded: Callable[[], bytes] | None = None
    original: str = ""


def load_json(path: Path) -> Any:
    """Parse a JSON file; NaN and Infinity, which are no JSON, are read: QuPath measures so, and `field` refuses them.

    Raises:
        Damage: it is none.
    """
    try:
        return json.loads(path.read_bytes())
    except RecursionError as error:
        raise Damage("its brackets are nested too deeply") from error
    except ValueError as error:
        raise Damage(str(error)) from error


def parse_row(line: str, where: str) -> list[str]:
    """Parse a line of CSV.

    Raises:
        Damage: it is none.
    """
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise Damage(f"{where} is no CSV: {error}") from error


def field(value: Any, name: str, kind: type, where: str) -> Any:
    """A field of a JSON object, which must be there and of a type (float: any finite number).

    Raises:
        Damage: it is not.
    """
    if not isinstance(value, dict):
        raise Damage(f"{where} must be an object; received {str(value)[:60]}")
    if name not in value:
        raise Damage(f"{where} must have the field {name!r}; it has {', '.join(map(str, list(value)[:9])) or 'none'}")
    return typed(value[name], kind, f"{name!r} of {where}")


def typed(value: Any, kind: type, where: str) -> Any:
    """A value that must be of a type (float: any finite number below 2^30 in size).

    Raises:
        Damage: it is not.
    """
    if kind is float:
        if type(value) not in (int, float) or not abs(value) <= MOST or not math.isfinite(value):
            raise Damage(f"{where} must be a number of up to {MOST}; received {str(value)[:60]}")
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        words = {dict: "an object", list: "a list", str: "a text", int: "a whole number"}.get(kind, kind.__name__)
        raise Damage(f"{where} must be {words}; received {str(value)[:60]}")
    return value


def check_planes(planes: Mapping[str, set[int]], remedy: str) -> None:
    """Raise Damage where the regions of one picture lie in several planes of a stack: they would lie over each other.

    Args:
        planes: by axis, those in which some region lies.
        remedy: how the program forgets planes.
    """
    for axis, numbers in planes.items():
        if len(numbers) > 1:
            listed = ", ".join(map(str, sorted(numbers)[:5]))
            raise Damage(
                f"the regions of a picture must lie in one plane; of these {axis} is {listed}. Save those of each "
                f"plane in a file called like its picture; where they are all of one picture, {remedy}"
            )


def size_of(value: Any, height: str, width: str, where: str) -> tuple[int, int] | None:
    """Height and width that an object gives in two fields, or None where it has neither.

    Raises:
        Damage: they are no sizes.
    """
    if value.get(height) is None and value.get(width) is None:
        return None
    size = [field(value, side, float, where) for side in (height, width)]
    if not all(0 < side < MOST and side == int(side) for side in size):
        raise Damage(f"{where} must be of a pixel at least, and of whole ones; received {size[0]:g}x{size[1]:g}")
    return int(size[0]), int(size[1])


def points(value: Any, where: str) -> NDArray[np.float64]:
    """(N, 2) x and y of a list of points.

    Raises:
        Damage: it is none, or a coordinate is no number of up to 2^30.
    """
    try:
        found = np.asarray(value)
    except ValueError as error:
        raise Damage(f"{where} must be a list of points [x, y]: {error}") from error
    if not found.size:
        return np.zeros((0, 2))
    if found.ndim != 2 or found.shape[1] != 2 or found.dtype.kind not in "iuf":
        raise Damage(f"{where} must be a list of points [x, y]; received {str(value)[:60]}")
    return checked(found, where)


def checked(found: NDArray, where: str) -> NDArray[np.float64]:
    """Coordinates as float64.

    Raises:
        Damage: one is not finite or beyond 2^30.
    """
    found = found.astype(np.float64)
    if not (np.abs(found) <= MOST).all():
        wrong = found[~(np.abs(found) <= MOST)][0]
        raise Damage(f"{where} must have coordinates of up to {MOST}; received {wrong}")
    return found


def ring(found: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """A closed ring of (N, 2) points, without the repeated last one; None where fewer than three are left."""
    if len(found) > 1 and (found[0] == found[-1]).all():
        found = found[:-1]
    return found if len(found) > 2 else None


def region(
    name: str, outlines: Iterable[NDArray[np.float64]], skipped: Skipped, group: int | None = None
) -> list[Shape]:
    """A shape of outlines, in a list; an empty list, counted, where they have fewer than three points."""
    rings = tuple(one for one in map(ring, outlines) if one is not None)
    if not rings:
        skipped["outlines of fewer than three points"] += 1
        return []
    return [Shape(clean(name), rings, group=group)]


def rectangle(left: float, top: float, right: float, bottom: float, degrees: float = 0.0) -> NDArray[np.float64]:
    """(4, 2) corners, turned clockwise about the centre."""
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return turned_about(corners, ((left + right) / 2, (top + bottom) / 2), degrees)


def ellipse(x: float, y: float, across: float, down: float, degrees: float = 0.0) -> NDArray[np.float64]:
    """(N, 2) points of an ellipse with two radii, turned clockwise: off by a hundredth of a pixel at most."""
    longer = max(abs(across), abs(down), SAGITTA)
    number = int(np.clip(np.ceil(np.pi / math.acos(max(0.0, 1 - SAGITTA / longer))), 8, 1 << 16))
    angle = np.arange(number) * (2 * np.pi / number)
    return turned_about(np.column_stack([x + across * np.cos(angle), y + down * np.sin(angle)]), (x, y), degrees)


def turned_about(found: NDArray[np.float64], centre: Sequence[float], degrees: float) -> NDArray[np.float64]:
    """Points turned clockwise about another."""
    if not degrees:
        return found
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return (found - centre) @ np.array([[cos, sin], [-sin, cos]]) + centre


def clean(name: object) -> str:
    """The name of a class in one line of UTF-8; those of background and void as this package writes them."""
    text = " ".join(str(name).encode("utf-8", "replace").decode().replace("\0", " ").split()).strip("\"'")
    text = form(text)  # as names of files are compared
    return text.lower() if text.lower() in (BACKGROUND, VOID_NAME) else text or NAMELESS


def used_attributes(every: Iterable[Any]) -> set[str]:
    """The names, in lower case, of the attributes of regions that one of them has a value of."""
    given = [one for one in every if isinstance(one, dict)]
    return {str(key).lower() for one in given for key, value in one.items() if not _is_blank(value)}


def class_of(attributes: Any, used: set[str]) -> str:
    """The class that the attributes of a region name: the only one, or the one that is called so; blank is `NAMELESS`.

    Args:
        attributes: by name.
        used: those that count, as of `used_attributes` of all regions of a file.

    Raises:
        Damage: it is open which of several names the class.
    """
    given = typed(attributes, dict, "attributes")
    known = {str(key): value for key, value in given.items() if str(key).lower() in used}
    named = [key for want in ATTRIBUTES for key in known if key.lower() == want] or list(known)
    if len(named) > 1 and named[0].lower() not in ATTRIBUTES:
        raise Damage(
            f"one attribute must name the class of a region, called {ATTRIBUTES[0]!r} or {ATTRIBUTES[1]!r} where there "
            f"are several; received {', '.join(named[:9])}"
        )
    if not named or _is_blank(known[named[0]]):
        return NAMELESS
    value = known[named[0]]
    if isinstance(value, dict):  # check boxes: {"nucleus": true}
        ticked = [key for key, tick in value.items() if tick]
        if len(ticked) != 1:
            raise Damage(f"{named[0]!r} must name one class; received {str(value)[:60]}")
        value = ticked[0]
    return clean(value)


def _is_blank(value: Any) -> bool:
    """Whether an attribute has no value; NaN is none."""
    return value in ("", None) or value != value
