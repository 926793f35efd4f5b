"""The Hugging Face Hub: addresses of what lies there, and its errors in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

from unet_tf.errors import InputError
from unet_tf.utils.extras import import_extra

SCHEME = "hf://"
_ADDRESS = re.compile(r"hf:/{1,2}(?P<name>[^@]*)(?:@(?P<revision>.+))?")  # pathlib leaves one of two slashes
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
REMEDY = "Log in with `hf auth login`, or set HF_TOKEN to a token that may write"


@dataclass(frozen=True)
class Address:
    """A repository of the Hub, and a revision of it.

    Attributes:
        name: USER/NAME.
        revision: a branch, tag or commit; None for the newest of the main branch.
    """

    name: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{SCHEME}{self.name}" + (f"@{self.revision}" if self.revision else "")

    @property
    def is_pinned(self) -> bool:
        """Whether its revision is a commit, which stays what it is."""
        return re.fullmatch("[0-9a-f]{40}", self.revision or "") is not None

    @classmethod
    def parse(cls, text: object) -> Address | None:
        """Read `hf://USER/NAME` or `hf://USER/NAME@REVISION`; None of what does not begin so.

        Raises:
            InputError: it begins so, and names no repository.

        Example:
            >>> Address.parse("hf://anna/cells@v1"), Address.parse("runs/cells")
            (Address(name='anna/cells', revision='v1'), None)
        """
        found = _ADDRESS.fullmatch(str(text))
        if found is None:
            return None
        return cls(checked_name(found["name"].rstrip("/")), found["revision"])


def checked_name(name: str) -> str:
    """Give the name of a repository back where it is one.

    Raises:
        InputError: it is none.
    """
    parts = name.split("/")
    legal = len(parts) == 2 and all(_PART.fullmatch(part) for part in parts)
    if not legal or ".." in name or "--" in name or name.endswith((".", "-", ".git")):
        raise InputError(
            "A repository of the Hub must be named USER/NAME, each of letters, digits, '-', '_' and '.', of at most 96 "
            f"characters, without '--' or '..', and not ending with '-', '.' or '.git'; received {name!r}."
        )
    return name


def import_hub() -> ModuleType:
    """Import `huggingface_hub`.

    Raises:
        InputError: it is not installed.
    """
    needs = "The Hugging Face Hub needs the package huggingface_hub. Install it: pip install 'unet-tf[hub]'"
    return import_extra(needs, "huggingface_hub")


@contextmanager
def hub_errors(address: Address) -> Iterator[None]:
    """Say it as an InputError where the Hub refuses, cannot be reached, or holds no such thing."""
    import_hub()
    from huggingface_hub import errors

    try:
        yield
    except InputError:
        raise
    except Exception as error:
        causes = list(_causes(error))
        for one in causes:
            if isinstance(one, errors.RevisionNotFoundError):
                raise InputError(
                    f"{SCHEME}{address.name} has no revision {address.revision!r}. Give a branch, a tag or a whole "
                    "commit."
                ) from error
            if isinstance(one, errors.HfHubHTTPError):
                raise InputError(_refusal(address, one)) from error
        if any(map(_is_of_network, causes)):
            raise InputError(
                f"The Hub cannot be reached for {address}, and what is asked for is not in the cache, or not whole. "
                "Try again where there is a network (and HF_HUB_OFFLINE is not set); what was done stays."
            ) from error
        if isinstance(error, ValueError | RuntimeError | OSError):  # of the client, and of its storage
            words = "; ".join(str(one).strip().replace("\n", " ").rstrip(".") for one in causes)
            raise InputError(f"The Hub takes or gives no {address}: {words}. What was done stays.") from error
        raise


@contextmanager
def no_bars() -> Iterator[None]:
    """Keep the client from drawing bars of its own."""
    import_hub()
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it came from."""
    while error is not None:
        yield error
        error = error.__cause__


def _is_of_network(error: BaseException) -> bool:
    """Whether an error says that nobody answers: of the system, of httpx or httpx2, or of a client told to stay off."""
    from huggingface_hub import errors

    bases = [f"{one.__module__.partition('.')[0]}.{one.__name__}" for one in type(error).__mro__]
    of_client = any(one.startswith("httpx") and one.endswith(".TransportError") for one in bases)
    return of_client or isinstance(error, ConnectionError | TimeoutError | errors.LocalEntryNotFoundError)


def _refusal(address: Address, error: Exception) -> str:
    """What an answer of the Hub means."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    said = getattr(error, "server_message", None) or str(error).strip().split("\n")[0]
    if type(error).__name__ == "GatedRepoError":
        return f"{address} is given to those alone who asked for it. Ask on its page, then log in. {REMEDY}."
    if status == 401:
        return (
            f"The Hub does not know who asks for {address}: there is no token, or it is not valid; or there is no such "
            f"repository. Check the name. {REMEDY}."
        )
    if status == 403:
        return (
            f"The Hub does not let this token do so with {address} ({said}). Take a token that may write, of an "
            "account that may write there, or another name."
        )
    if status == 404:
        return f"The Hub has no repository {address}, or it is private. Check the name. {REMEDY}."
    if status in (409, 412):
        return f"{address} was changed meanwhile, by someone else ({said}). Look at it, then publish again."
    if status == 429:
        return f"The Hub asks to wait: too many requests ({said}). Try again later; what was done stays."
    if status is not None and status >= 500:
        return f"The Hub has a fault of its own for {address} ({status}: {said}). Try again later; what was done stays."
    return f"The Hub refuses {address}: {said}"
