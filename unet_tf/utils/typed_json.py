"""JSON files of a known form: read as the types that say it, or refused by the name of a wrong field; and written."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import UnionType
from typing import Any, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from unet_tf.errors import InputError
from unet_tf.utils.files import replacing

Form = TypeVar("Form")


def read_json(path: Path, form: type[Form], remedy: str) -> Form:
    """Read a JSON file that another version or a person may have changed.

    Args:
        path: the file.
        form: a TypedDict whose fields are numbers, texts, lists, dicts of texts, unions and further TypedDicts. Fields
            that it does not have are let through.
        remedy: a sentence for the error: what to do where the file is damaged.

    Returns:
        What the file holds, which has that form.

    Raises:
        InputError: the file cannot be read, is no JSON, or has another form; numbers must be finite.
    """
    try:
        return parsed(path.read_bytes(), form)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. {remedy}", path) from error
    except ValueError as error:
        raise InputError(f"{path} is damaged or of another version: {error}. {remedy}", path) from error


def write_json(path: Path, stored: object) -> None:
    """Write a JSON file, whole or not at all, of finite numbers alone; raises InputError as `replacing` does."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(stored, indent=2, allow_nan=False), encoding="utf-8")


def parsed(content: bytes | bytearray, form: type[Form]) -> Form:
    """Parse JSON of a known form, as `read_json` does with a file.

    Args:
        content: the text, UTF-8.
        form: as `read_json` takes it.

    Returns:
        What the text holds, which has that form.

    Raises:
        ValueError: it is no JSON, or has another form.
    """
    try:
        value = json.loads(content, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("its brackets are nested too deeply") from error
    _check(value, form, "it")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"numbers must be finite; received {constant}")


def _check(value: Any, form: Any, where: str) -> None:
    """Raise ValueError unless a value has a form."""
    origin, arguments = get_origin(form), get_args(form)
    if is_typeddict(form):
        _require(isinstance(value, dict), value, "an object", where)
        if missing := form.__required_keys__ - value.keys():
            raise ValueError(f"{where} must have the field {min(missing)!r}")
        for name, own in get_type_hints(form).items():
            if name in value:
                _check(value[name], own, name if where == "it" else f"{where}.{name}")
    elif origin is dict:
        _require(isinstance(value, dict), value, "an object", where)
        for name, own in value.items():
            _check(own, arguments[1], f"{where}.{name}")
    elif origin is list:
        _require(isinstance(value, list), value, "a list", where)
        for number, own in enumerate(value):
            _check(own, arguments[0], f"{where}[{number}]")
    elif origin in (Union, UnionType):
        _require(any(_has(value, one) for one in arguments), value, str(form), where)
    elif form is float:
        _require(type(value) in (int, float) and _finite(value), value, "a finite number", where)
    else:
        _require(type(value) is form, value, {int: "a whole number", str: "a text"}.get(form, form.__name__), where)


def _has(value: Any, form: Any) -> bool:
    try:
        _check(value, form, "it")
    except ValueError:
        return False
    return True


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits
        return False


def _require(holds: bool, value: Any, what: str, where: str) -> None:
    if not holds:
        raise ValueError(f"{where} must be {what}; received {str(value)[:60]}")
