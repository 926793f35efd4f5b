"""JSON that another version or a person may have changed, held to the types that say its form."""

import json
from typing import Any, NotRequired, TypedDict

import pytest

from unet_tf.errors import InputError
from unet_tf.utils.typed_json import parsed, read_json


class Inner(TypedDict):
    side: int


class Form(TypedDict):
    name: str
    whole: int
    number: float
    sure: bool
    names: list[str]
    scores: dict[str, float]
    inner: Inner
    maybe: float | None
    either: list[int] | str
    extra: NotRequired[int]


WHOLE: dict[str, Any] = {
    "name": "a", "whole": 3, "number": 0.5, "sure": True, "names": ["a", ""], "scores": {"b": 1.5},
    "inner": {"side": 4}, "maybe": None, "either": [1],
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"names": [], "scores": {}},
        {"number": 3, "scores": {"b": 10**300}},  # whole numbers are numbers
        {"maybe": 2, "either": "b"},
        {"extra": 7},
        {"of a later version": [None, {"x": []}]},
    ],
)
def test_each_type_is_taken_and_nothing_is_changed(changes):
    value = WHOLE | changes
    assert parsed(json.dumps(value).encode(), Form) == value


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": 1}, "name must be a text; received 1"),
        ({"whole": 1.0}, "whole must be a whole number; received 1.0"),
        ({"whole": True}, "whole must be a whole number; received True"),
        ({"whole": "1"}, "whole must be a whole number; received 1"),
        ({"number": "1"}, "number must be a finite number; received 1"),
        ({"number": True}, "number must be a finite number; received True"),
        ({"number": None}, "number must be a finite number; received None"),
        ({"number": 10**309}, f"number must be a finite number; received 1{'0' * 59}"),
        ({"sure": 1}, "sure must be bool; received 1"),
        ({"names": "ab"}, "names must be a list; received ab"),
        ({"names": ["a", 2]}, r"names[1] must be a text; received 2"),
        ({"scores": [1]}, "scores must be an object; received [1]"),
        ({"scores": {"b": [1]}}, "scores.b must be a finite number; received [1]"),
        ({"inner": []}, "inner must be an object; received []"),
        ({"inner": {}}, "inner must have the field 'side'"),
        ({"inner": {"side": None}}, "inner.side must be a whole number; received None"),
        ({"maybe": "x"}, "maybe must be float | None; received x"),
        ({"either": ["x"]}, "either must be list[int] | str; received ['x']"),
        ({"extra": None}, "extra must be a whole number; received None"),
    ],
)
def test_each_refusal_names_the_field_the_rule_and_the_value(changes, words):
    with pytest.raises(ValueError) as raised:
        parsed(json.dumps(WHOLE | changes).encode(), Form)
    assert str(raised.value) == words


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[]", "it must be an object; received []"),
        (b"{}", "it must have the field 'either'"),
        (b'{"number": NaN}', "numbers must be finite; received NaN"),
        (b'{"number": -Infinity}', "numbers must be finite; received -Infinity"),
        (b"[" * 100_000, "its brackets are nested too deeply"),
        (b"", "Expecting value: line 1 column 1 (char 0)"),
        (b'{"name": "a"', "Expecting ',' delimiter: line 1 column 13 (char 12)"),
        (b"\xff\xfe\xfd", "'utf-16-le' codec can't decode byte 0xfd in position 2: truncated data"),
    ],
)
def test_what_is_no_such_json_is_said(content, words):
    with pytest.raises(ValueError) as raised:
        parsed(content, Form)
    assert str(raised.value) == words


def test_1e400_is_no_number():
    content = json.dumps(WHOLE).replace("0.5", "1e400").encode()
    with pytest.raises(ValueError, match="number must be a finite number; received inf"):
        parsed(content, Form)


def test_a_file_is_named_with_the_remedy(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(InputError) as raised:
        read_json(path, Form, "Export again.")
    assert str(raised.value) == f"{path} cannot be read: No such file or directory. Export again."
    path.write_text("[]")
    with pytest.raises(InputError) as raised:
        read_json(path, Form, "Export again.")
    words = f"{path} is damaged or of another version: it must be an object; received []. Export again."
    assert (str(raised.value), raised.value.file) == (words, path)
    path.write_text(json.dumps(WHOLE))
    assert read_json(path, Form, "Export again.") == WHOLE
