"""What features of GeoJSON are called, and which of them are no objects, told by all files together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from unet_tf.annotations.annotated import NAMELESS, Annotated, Feature, Skipped, clean
from unet_tf.annotations.classes import Chosen, asked_for
from unet_tf.annotations.read_geojson import REGION
from unet_tf.annotations.shapes import Shape
from unet_tf.data.folder import some
from unet_tf.errors import InputError
from unet_tf.pages.words import many

CLASS_FIELDS = ("class", "class_name", "classname", "label", "category_name", "category")
"""Properties that may name the class where no feature has a classification, in this order, in lower case."""
FEW = 20
"""Different texts of a property that may all be classes; of more, each must be there twice on average."""
MARKS = ("objectType", "object_type", "isLocked")
"""Properties by one of which QuPath's objects are known."""
QUPATH = (*MARKS, "classification", "name", "color", "measurements", "metadata")
"""Those that name no class beside the classification."""


def name_features(
    pictures: Sequence[Annotated], skipped: Skipped, class_field: str | None, chosen: Chosen | None
) -> tuple[list[Annotated], list[str]]:
    """Name the shapes of GeoJSON files, and leave out annotations in which others were looked for.

    The class is what `class_field` names, or else the classification of QuPath. Where no feature has one, it is the
    first of `CLASS_FIELDS` whose values are all texts, no numbers, that repeat where there are more than `FEW`; none
    where "object" is chosen and none of the values. An annotation without a class, or of "Region*", around several
    detections is where QuPath looked for them; it stays where a field is said, or its class and no detection is called
    so too.

    Args:
        pictures: with the shapes of all features.
        skipped: counts the annotations that are left out.
        class_field: the field that a person says.
        chosen: the classes that a person says.

    Returns:
        The pictures, and what is to be said.

    Raises:
        InputError: no feature has the field that is said, or one does not name a class there.
    """
    features = [one for picture in pictures for one in picture.features]
    known = dict.fromkeys(key for one in features for key in one.properties)
    if class_field is not None and features and class_field not in known:
        files = some((str(picture.file) for picture in pictures), 3)
        raise InputError(f'There is no field "{class_field}" in {files}; there is: {", ".join(known) or "none"}.')
    fields = _guessed(features, chosen) if class_field is None else (class_field,)
    if fields:
        pictures = [replace(one, shapes=_renamed(one, fields)) for one in pictures]
    notes = []
    if class_field is None:
        if fields:
            notes.append(f'The class is what the field "{fields[0]}" names; --class-field says another.')
        asked = asked_for({shape.name for one in pictures for shape in one.shapes}, chosen)
        pictures, of_regions = _without_regions(pictures, skipped, fields, asked)
        notes += of_regions
    return list(pictures), notes + _nameless(pictures, fields, class_field is not None)


def _guessed(features: Sequence[Feature], chosen: Chosen | None) -> tuple[str, ...]:
    """The property that names the class where no feature has a classification, in all its spellings; else none."""
    if any(one.properties.get("classification") is not None for one in features):
        return ()
    whole = {id(one.properties): one for one in features}.values()  # each once, whatever its parts
    for name in CLASS_FIELDS:
        fields = tuple(dict.fromkeys(key for one in features for key in one.properties if key.lower() == name))
        values = [value for one in whole if (value := _value(one, fields)) is not None]
        are_words = values and all(isinstance(value, str) and not _is_number(value) for value in values)
        if are_words and len(set(values)) <= max(FEW, len(values) / 2):
            names = set(map(clean, values))
            asked = asked_for({NAMELESS, *names}, chosen)
            return () if NAMELESS in asked and not names & asked else fields
    return ()


def _value(feature: Feature, fields: Iterable[str]) -> Any:
    """What the first of some properties that has a value holds; None where none has."""
    held = (feature.properties.get(name) for name in fields)
    named = (one["name"] if isinstance(one, dict) and "name" in one else one for one in held)
    return next((one for one in named if one not in (None, "") and one == one), None)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _renamed(picture: Annotated, fields: Sequence[str]) -> tuple[Shape, ...]:
    """The shapes of a picture, of the classes that properties name."""
    named = []
    for shape, feature in zip(picture.shapes, picture.features, strict=True):
        value = _value(feature, fields)
        if value is not None and not isinstance(value, str | int | float):
            raise InputError(
                f"{picture.file}: {fields[0]!r} of feature {feature.number} must name one class; received "
                f"{str(value)[:60]}. Name another field (--class-field).",
                picture.file,
            )
        whole = isinstance(value, float) and value.is_integer()
        named.append(replace(shape, name=NAMELESS if value is None else clean(int(value) if whole else value)))
    return tuple(named)


def _without_regions(
    pictures: Sequence[Annotated], skipped: Skipped, fields: Sequence[str], asked: set[str]
) -> tuple[list[Annotated], list[str]]:
    """The pictures without annotations in which others were looked for, and what is said of such as may be some."""
    kept, held, doubtful = list[Annotated](), 0, Counter[int]()
    every = [pair for one in pictures for pair in zip(one.shapes, one.features, strict=True)]
    is_shared = any(shape.name == NAMELESS and feature.around is None for shape, feature in every)
    asked = asked - {NAMELESS} if is_shared else asked  # it may be asked for as the class of detections
    for picture in pictures:
        both = [*zip(picture.shapes, picture.features, strict=True)]
        may_be = {
            feature.number: (feature.around, shape.name)
            for shape, feature in both
            if feature.around is not None and _value(feature, fields) is None and shape.name not in asked
        }
        regions = {number for number, (around, _) in may_be.items() if around > 1}
        held += len(regions)
        doubtful.update(around for around, name in may_be.values() if name == NAMELESS)
        left = [(shape, feature) for shape, feature in both if feature.number not in regions]
        kept.append(replace(picture, shapes=tuple(s for s, _ in left), features=tuple(f for _, f in left)))
    if held:
        names = f"{NAMELESS} or {REGION}"
        if is_shared:
            names = f"{REGION} (others are called {NAMELESS}, too; give a class to those that are no regions)"
        skipped[
            f"annotations without a class or of {REGION} around several detections, which are regions unless --classes "
            f"names {names}"
        ] += held
    if not (count := doubtful[1] + doubtful[0] * (held > 0)):
        return kept, []
    return kept, [
        "Annotations without a class that may be regions, around one detection or none, and are taken for objects: "
        f"{count}. If they are regions, delete them, or give them a class and leave it out (--classes)."
    ]


def _nameless(pictures: Sequence[Annotated], fields: Sequence[str], said: bool) -> list[str]:
    """What is said of features that name no class."""
    per_file = [[one for one in picture.features if _value(one, fields) is None] for picture in pictures]
    if not said:
        per_file = [[one for one in held if one.properties.get("classification") is None] for held in per_file]
    if not any(per_file):
        return []
    files = f"in {many(sum(map(bool, per_file)), 'file')}"
    if said:
        return [f'Features without the field "{fields[0]}", which are called {NAMELESS}: {files}.']
    keys = dict.fromkeys(key for held in per_file for one in held for key in _others(one.properties))
    others = [key for key in keys if key not in fields]
    hint = f" They have {some(others, 5)}; if one of these names the class, say --class-field." if others else ""
    return [f"Features that name no class, which are called {NAMELESS}: {files}.{hint}"] * bool(fields or others)


def _others(properties: dict[str, Any]) -> list[str]:
    """Properties that may name the class: of QuPath's objects those that it does not write itself."""
    own = QUPATH if any(name in properties for name in MARKS) else ("classification",)
    return [name for name in properties if name not in own]
