import sys
from pathlib import Path

import httpx
import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

from unet_tf.errors import InputError
from unet_tf.utils.hub import Address, checked_name, hub_errors, import_hub, no_bars


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("hf://anna/cells", Address("anna/cells")),
        ("hf://anna/cells/", Address("anna/cells")),
        (Path("hf://anna/cells@v1"), Address("anna/cells", "v1")),
        ("hf://anna/cells@refs/pr/1", Address("anna/cells", "refs/pr/1")),
        ("hf://Anna_L/my.net-2@" + "a" * 40, Address("Anna_L/my.net-2", "a" * 40)),
        ("runs/cells", None),
        ("/data/hf://anna/cells", None),
        ("", None),
    ],
)
def test_addresses_are_known_by_their_beginning(text, found):
    assert Address.parse(text) == found
    if found:
        assert Address.parse(str(found)) == found


@pytest.mark.parametrize(
    "text", ["hf://", "hf://cells", "hf://a/b/c", "hf://../etc", "hf://a/..", "hf://a/b.git", "hf://a/b c", "hf://@v1"]
)
def test_an_address_that_names_no_repository_is_refused(text):
    with pytest.raises(InputError, match="must be named USER/NAME"):
        Address.parse(text)


def test_names_are_as_long_as_the_hub_takes_them():
    assert checked_name(f"a/{'b' * 96}")
    with pytest.raises(InputError, match="of at most 96 characters"):
        checked_name(f"a/{'b' * 97}")


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"pip install 'unet-tf\[hub\]'"):
        import_hub()


def answer(status, headers=None):
    request = httpx.Request("GET", "http://localhost")
    return HfHubHTTPError("said", response=httpx.Response(status, headers=headers, request=request))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (answer(401), "does not know who asks for hf://a/b"),
        (answer(403), "does not let this token do so with hf://a/b"),
        (answer(404), "has no repository hf://a/b, or it is private"),
        (answer(409), "hf://a/b was changed meanwhile"),
        (answer(412), "hf://a/b was changed meanwhile"),
        (answer(429), "asks to wait"),
        (answer(503), "has a fault of its own for hf://a/b"),
        (answer(418), "The Hub refuses hf://a/b: said"),
        (httpx.ConnectError("nobody there"), "cannot be reached for hf://a/b"),
        (httpx.ReadTimeout("slow"), "cannot be reached for hf://a/b"),
        (ConnectionResetError(104, "reset"), "cannot be reached for hf://a/b"),
        (OfflineModeIsEnabled("off"), "cannot be reached for hf://a/b"),
        (LocalEntryNotFoundError("not there"), "cannot be reached for hf://a/b"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (ValueError("Invalid metadata in README.md."), r"gives no hf://a/b: .*Invalid metadata in README\.md\. W"),
    ],
)
def test_errors_are_said_in_words(error, words):
    for wrapped in (False, True):
        with pytest.raises(InputError, match=words), hub_errors(Address("a/b")):
            if not wrapped:
                raise error
            try:
                raise error
            except Exception as inner:
                raise RuntimeError("Error while uploading 'model.keras' to the Hub.") from inner


def test_what_is_said_already_and_what_is_a_defect_passes():
    for error in (InputError("said"), KeyError("defect"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as caught, hub_errors(Address("a/b")):
            raise error
        assert caught.value is error


def test_bars_are_drawn_again_afterwards():
    from huggingface_hub.utils import are_progress_bars_disabled

    before = are_progress_bars_disabled()
    with no_bars():
        assert are_progress_bars_disabled()
    assert are_progress_bars_disabled() == before
