"""Text from wherever it comes: files in the encodings of three systems, names that are no UTF-8."""

from __future__ import annotations

import codecs
import re
import shlex
import unicodedata
from pathlib import Path

from unet_tf.errors import InputError

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as that of UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""What a file begins with, and the encoding that it then has."""


def shown(text: object) -> str:
    r"""Text that can be printed and written anywhere: what is no UTF-8 stands as an escape.

    Python keeps bytes of file names that are no UTF-8 as lone surrogates, which no UTF-8 file or terminal takes.

    Example:
        >>> print(shown(b"caf\xe9.png".decode("utf-8", "surrogateescape")))
        caf\udce9.png
    """
    return str(text).encode("utf-8", "backslashreplace").decode()


def argument(path: object) -> str:
    """A path as an argument of a shell's command: quoted where it must be, and no option where it begins with a dash.

    Example:
        >>> argument("my runs/cells"), argument("-cells")
        ("'my runs/cells'", './-cells')
    """
    return shlex.quote(f"{'./' * str(path).startswith('-')}{path}")


def form(name: str) -> str:
    """A name in the Unicode form in which names are compared: file systems keep letters with accents in two."""
    return unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    """A name as it is compared where case tells nothing."""
    return form(name).casefold()


def as_ascii(start: bytes) -> bytes:
    """The first bytes of a text, in whatever encoding `read_lines` takes, without its mark: ASCII in it stands as such.

    Example:
        >>> [as_ascii("a b".encode(encoding)) for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32-be")]
        [b'a b', b'a b', b'a b', b'a b']
    """
    mark = next((mark for mark, _ in MARKS if start.startswith(mark)), b"")
    return start.removeprefix(mark).replace(b"\0", b"")


def read_lines(path: str | Path) -> list[str]:
    """Read the lines of a text file: UTF-8 or UTF-16 with a mark or without, UTF-32 with one, lines ended in any way.

    Bytes that are no UTF-8 are kept as lone surrogates, as Python keeps them in file names, so that a list can name
    such files.

    Raises:
        InputError: the file cannot be read, or holds no text.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        words = f"{path} cannot be read: {error.strerror}. Check the path and its permissions."
        raise InputError(words, path) from error
    encoding = next((name for mark, name in MARKS if data.startswith(mark)), "")
    if not encoding:  # every second byte of Western text in UTF-16 is 0
        halves = [data[side::2].count(0) * 4 > len(data) for side in (0, 1)]
        encoding = "utf-16-be" if halves[0] else "utf-16-le" if halves[1] else "utf-8"
    try:
        text = data.decode(encoding, "surrogateescape" if encoding == "utf-8" else "strict").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        words = f"{path} must be text, in UTF-8 best; it is damaged {encoding}: {error.reason}."
        raise InputError(words, path) from error
    if "\0" in text:
        raise InputError(f"{path} must be text, in UTF-8 best; it holds bytes that are none.", path)
    return re.split(r"\r\n|\r|\n", text)  # str.splitlines parts at characters that may stand in names
