"""LZW and PackBits of TIFF in plain Python, for the strips and tiles that OpenCV's codecs read without a complaint."""

from __future__ import annotations

from unet_tf.data.structure import Damage

CLEAR, END, FIRST = 256, 257, 258
"""Codes that empty the table and that end the data, and the first code of a sequence."""


def unpack_lzw(data: bytes, size: int) -> bytes:
    """Decode LZW as TIFF has it: highest bit first, and codes grow one entry early.

    Args:
        data: the codes.
        size: bytes that are wanted.

    Raises:
        Damage: a code names a sequence that is not there, or the data end before.

    Reference:
        TIFF Revision 6.0, section 13.
    """
    first: list[bytes] = [bytes([value]) for value in range(256)] + [b"", b""]
    table: list[bytes] = []
    parts, length, previous = [], 0, b""
    buffer, held, width, at = 0, 0, 9, 0
    while length < size:
        while held < width:
            if at == len(data):
                raise Damage("a strip or tile ends before its last pixel")
            buffer, held, at = (buffer << 8 | data[at]) & 0xFFFFFF, held + 8, at + 1
        held -= width
        code = buffer >> held & ((1 << width) - 1)
        if code != CLEAR and not table:
            raise Damage("a strip or tile does not begin as LZW does")
        if code == CLEAR:
            table, width, previous = list(first), 9, b""
            continue
        if code == END:
            raise Damage("a strip or tile ends before its last pixel")
        if code > len(table) or (code == len(table) and not previous) or len(table) > 4096:
            raise Damage("a strip or tile has a code that means nothing")
        sequence = table[code] if code < len(table) else previous + previous[:1]
        if previous:
            table.append(previous + sequence[:1])
        width = min(12, max(9, (len(table) + 1).bit_length()))
        parts.append(sequence)
        length, previous = length + len(sequence), sequence
    return b"".join(parts)


def unpack_packbits(data: bytes, size: int) -> bytes:
    """Decode PackBits, of which `size` bytes are wanted.

    Raises:
        Damage: the data end before.

    Reference:
        TIFF Revision 6.0, section 9.
    """
    found, at = bytearray(), 0
    while len(found) < size:
        if at + 1 >= len(data):
            raise Damage("a strip or tile ends before its last pixel")
        count = data[at]
        if count < 128:  # bytes as they are
            found += data[at + 1 : at + 2 + count]
            at += 2 + count
        else:  # one byte, 257 - count times; 128 says nothing
            found += data[at + 1 : at + 2] * (257 - count if count > 128 else 0)
            at += 2 if count > 128 else 1
    return bytes(found[:size])
