"""What an ONNX file says of itself, read from its bytes: no package of ONNX is needed, and its weights stay on disk."""

from __future__ import annotations

from mmap import mmap

METADATA_PROPS, KEY, VALUE = 14, 1, 2
"""Field numbers in `ModelProto` and in its `StringStringEntryProto` (onnx.proto)."""
FIXED = {1: 8, 5: 4}
"""Bytes of a value, by how it is encoded, where that decides them."""
VARINT, LENGTH = 0, 2
"""How a number is encoded, and what is preceded by its length."""
MOST_FIELDS, MOST_BYTES = 1000, 1 << 22
"""Of a file, and of its metadata: a damaged file may speak of billions."""


def onnx_metadata(content: mmap | bytes) -> dict[str, bytes]:
    """Read the metadata of an ONNX file: its fields are walked over, the graph in one step.

    Args:
        content: the bytes of the file.

    Returns:
        What it says, by name.

    Raises:
        ValueError: the bytes are no message of protocol buffers, cut off, or hold too much.

    Example:
        >>> onnx_metadata(bytes([0x08, 8, 0x72, 6, 0x0A, 1]) + b"a" + bytes([0x12, 1]) + b"b")
        {'a': b'b'}
    """
    entries = {}
    for number, entry in _fields(content):
        if number == METADATA_PROPS:
            named = dict(_fields(entry))
            entries[named.get(KEY, b"").decode()] = named.get(VALUE, b"")
    return entries


def _fields(content: mmap | bytes) -> list[tuple[int, bytes]]:
    """Number and bytes of the fields of a message; those that are no bytes, or more than metadata may be, as none."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(content):
        if len(found) == MOST_FIELDS:
            raise ValueError(f"it must have at most {MOST_FIELDS} fields")
        tag, at = _varint(content, at)
        kind, value = tag & 7, b""
        if kind == VARINT:
            _, at = _varint(content, at)
        elif kind == LENGTH:
            length, at = _varint(content, at)
            value = content[at : at + length] if length <= MOST_BYTES else b""
            at += length
        elif kind in FIXED:
            at += FIXED[kind]
        else:
            raise ValueError(f"a field of it has the unknown encoding {kind} at byte {at}")
        found.append((tag >> 3, value))
    if at > len(content):
        raise ValueError(f"it ends at byte {len(content)}, within a field that ends at {at}")
    return found


def _varint(content: mmap | bytes, at: int) -> tuple[int, int]:
    """A number in groups of 7 bits, the lowest first, all but the last with the eighth bit; and where it ends."""
    number = 0
    for place, byte in enumerate(content[at : at + 10]):
        number |= (byte & 127) << 7 * place
        if byte < 128:
            return number, at + place + 1
    raise ValueError(f"it has no whole number at byte {at}")
