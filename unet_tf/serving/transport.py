"""What a client asks of a server by whichever protocol, what it hears of it, and what may go wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit, urlunsplit

from numpy.typing import NDArray

from unet_tf.errors import InputError
from unet_tf.exporting.bundle import ENCODED, MASK, PROBABILITIES

PASSING = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")
"""Codes of what may go well a little later."""
PACKED = "must be a byte for"
"""What `encoded` says of a picture of many pixels that packs too well."""
TOO_LARGE = re.compile(
    rf"larger than max|OOM when allocating|(A|of a) request may have [\d,]+|Send a smaller picture|{PACKED}"
)
"""What gRPC says of a message, TensorFlow of its memory, `unet-tf serve` of its limits."""
REMEDIES = {
    "NOT_FOUND": "Check the name of the model, the version or label, and the port.",
    "UNAVAILABLE": "Start it (unet-tf serve BUNDLE), or check address, port and network.",
    "DEADLINE_EXCEEDED": "Send smaller pictures or parts (max_pixels), fewer at once, or wait longer (timeout).",
    "RESOURCE_EXHAUSTED": "Send fewer requests at once, or try again later.",
    "UNIMPLEMENTED": "Over REST TF Serving takes no such pixels: use grpc://.",
    "PERMISSION_DENIED": "Ask whoever runs it.",
    "INTERNAL": "Its log says why.",
    "INVALID_ARGUMENT": "Give it what it takes.",
}
"""What to do, by code."""


class RequestError(InputError):
    """A request that has no answer.

    Args:
        code: of gRPC.
        message: what happened, a sentence.
        too_large: whether a smaller picture might be answered.

    Attributes:
        code: of gRPC.
        too_large: whether a smaller picture might be answered.
        passing: whether it may go well a little later.
    """

    def __init__(self, code: str, message: str, too_large: bool = False) -> None:
        super().__init__(f"{message} {REMEDIES.get(code, '')}".strip())
        self.code = code
        # who is late may have sent a small picture to a busy server
        self.too_large = too_large or (code != "DEADLINE_EXCEEDED" and bool(TOO_LARGE.search(message)))
        self.passing = code in PASSING and not self.too_large


def unreachable(url: str, words: str) -> InputError:
    """Nobody answers, or none that is trusted, which no waiting mends."""
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return InputError(
            f"{url} must have a certificate that is trusted; it has another. Give the file of those to trust (--ca)."
        )
    return RequestError("UNAVAILABLE", f"{url} must be a server that answers; it does not ({words}).")


def late(url: str, seconds: float) -> RequestError:
    """No answer in time."""
    return RequestError("DEADLINE_EXCEEDED", f"{url} must answer within {seconds:g} s, and did not.")


def refused(url: str, code: str, words: str, too_large: bool = False) -> RequestError:
    """The server says no."""
    said = " ".join(words.split())[:1000].rstrip(".") or "it does not say why"
    return RequestError(code, f"{url} refuses the request, {code}: {said}.", too_large)


def closed(url: str) -> InputError:
    """The client does not ask any more."""
    return InputError(f"The client of {url} was closed. Make a new one.")


def unreadable(url: str, words: object) -> InputError:
    """The answer is none of TF Serving."""
    return InputError(f"{url} must answer as TF Serving does; received {words}. Check the address and the port.")


def shown(url: str) -> str:
    """Give an address without name and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/")


class Which(NamedTuple):
    """The net that a request is for.

    Attributes:
        model: its name.
        version: its number; None for the newest.
        label: of a version; None for none.
    """

    model: str
    version: int | None = None
    label: str | None = None


class TensorSpec(NamedTuple):
    """An input or output of a signature.

    Attributes:
        dtype: of its values, as NumPy calls it; "string" for bytes.
        shape: None where any size will do.
    """

    dtype: str
    shape: tuple[int | None, ...]


class SignatureSpec(NamedTuple):
    """A signature: its inputs and outputs, by name."""

    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]


@dataclass(frozen=True)
class Metadata:
    """What a server says of a net.

    Attributes:
        version: that answers.
        signatures: by name.
        channels: of the pictures that it takes.
        pixel_type: of these pictures.
        num_classes: of its masks.
    """

    version: int
    signatures: dict[str, SignatureSpec]
    channels: int
    pixel_type: str
    num_classes: int

    @classmethod
    def of(cls, url: str, version: int, signatures: dict[str, SignatureSpec]) -> Metadata:
        """Read the sizes of a net from its signatures.

        Raises:
            InputError: it is no net of this package.
        """
        try:
            (image,) = signatures[MASK].inputs.values()
            (probabilities,) = signatures[PROBABILITIES].outputs.values()
            channels, classes = image.shape[3], probabilities.shape[3]
            if channels is None or classes is None:
                raise ValueError("sizes that are open")
        except (KeyError, ValueError, IndexError) as error:
            raise InputError(
                f"A net of unet-tf must be served, with the signatures {MASK} and {PROBABILITIES}; {url} has "
                f"{', '.join(sorted(signatures)) or 'none'}. Give the name of another model, or export the run again."
            ) from error
        return cls(version, signatures, channels, image.dtype, classes)

    @property
    def takes_files(self) -> bool:
        """Whether picture files can be sent as they are."""
        return ENCODED in self.signatures

    @property
    def may_be_plain(self) -> bool:
        """Whether the channels may be those of one file as they are: export leaves `encoded` out where they are not.

        It does so for other types and numbers of channels too, where it cannot be told.
        """
        return self.takes_files or self.channels not in (1, 3) or self.pixel_type not in ("uint8", "uint16")


class Transport(Protocol):
    """A protocol by which a server is asked."""

    url: str
    most_values: int
    """Numbers of one tensor that it carries well."""
    in_json: bool
    """Whether numbers travel as text, of several bytes each."""

    def predict(
        self, which: Which, signature: str, name: str, value: NDArray | Sequence[bytes], output: str
    ) -> NDArray:
        """Ask for one output of a signature of one input; raises RequestError."""

    def metadata(self, which: Which) -> Metadata:
        """Ask for version and signatures; raises RequestError, or InputError where it is no net of ours."""

    def ready(self, which: Which) -> bool:
        """Ask whether a version answers; raises RequestError."""

    def close(self) -> None:
        """Let go of connections."""
