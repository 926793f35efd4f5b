"""Run lengths, as COCO, CVAT and Label Studio write masks, to spans, and COCO's of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unet_tf.annotations.raster import spans_of
from unet_tf.data.structure import Damage

MOST_PIXELS = 1 << 28
"""Pixels of a mask that are unpacked at once; a mutilated number must not ask for all memory."""


def spans_of_counts(counts: NDArray, height: int, width: int, by_column: bool, whole: bool = True) -> NDArray[np.int32]:
    """Runs in rows from lengths of runs outside and inside of a region, in turn, the first one outside.

    Args:
        counts: (N,) integers.
        height: of the field that they fill.
        width: of it.
        by_column: the runs go down the columns, as COCO's do, and not along the rows.
        whole: the last run must reach the end of the field.

    Raises:
        Damage: they are negative, or fill another number of pixels.

    Example:
        >>> spans_of_counts(np.array([1, 2, 1]), 2, 2, by_column=True).tolist()  # columns 0 1 and 1 0
        [[0, 1, 2], [1, 0, 1]]
    """
    counts = np.asarray(counts)
    if counts.ndim != 1 or (counts.size and counts.dtype.kind not in "iu") or (counts < 0).any():
        raise Damage("run lengths must be whole numbers from 0")
    total = int(counts.astype(np.float64).sum())  # of any size
    if total > height * width or (whole and total != height * width):
        raise Damage(f"run lengths must fill {height}x{width} px; they fill {total}")
    ends = np.cumsum(counts.astype(np.int64))
    stops = ends[1::2]
    starts = ends[::2][: len(stops)]
    starts, stops = starts[starts < stops], stops[starts < stops]
    if not len(starts):
        return np.zeros((0, 3), np.int32)
    side = height if by_column else width  # of a line
    first, last = int(starts[0] // side), int((stops[-1] - 1) // side) + 1
    if (last - first) * side > MOST_PIXELS:
        raise Damage(f"run lengths must not span more than {MOST_PIXELS} px; they span {last - first} lines of {side}")
    edges = np.zeros((last - first) * side + 1, np.int8)  # of the lines that hold pixels, alone
    edges[starts - first * side] += 1
    edges[stops - first * side] -= 1
    field = np.cumsum(edges[:-1], dtype=np.int8).reshape(last - first, side)
    return spans_of(field.T, 0, first) if by_column else spans_of(field, first, 0)


def counts_of_spans(spans: NDArray[np.int32], height: int, width: int) -> list[int]:
    """Lengths of runs down one column after another, outside and inside in turn, from runs in rows.

    The time is linear in the length of the region's outline.

    Args:
        spans: (N, 3) as `Shape.spans`; none meets another.
        height: of the picture, pixels.
        width: of it.

    Example:
        >>> counts_of_spans(np.array([[0, 1, 2], [1, 0, 1]]), 2, 2)
        [1, 2, 1]
    """
    row, first, past = spans.astype(np.int64).T
    corners = np.concatenate([row, row, row + 1, row + 1]) * (width + 1) + np.concatenate([first, past] * 2)
    corners, times = np.unique(corners, return_counts=True)
    begin, end = corners[times % 2 == 1].reshape(-1, 2).T  # of sides between pixels inside and outside, row after row
    before = np.cumsum(end - begin) - (end - begin)
    row, column = np.divmod(np.repeat(begin - before, end - begin) + np.arange((end - begin).sum()), width + 1)
    changes, times = np.unique(column * height + row, return_counts=True)
    # the end of a column and the top of the next are one place
    changes = changes[(times % 2 == 1) & (changes < height * width)]
    return np.diff(changes, prepend=0, append=height * width).tolist()


def coco_counts(text: str | bytes) -> NDArray[np.int64]:
    """The run lengths that COCO's compressed text holds.

    A letter is six bits, of which five are a part of a number, and one says that more follow. From the fourth on, a
    number is the difference to the last but one. COCO's own library trusts what it reads.

    Raises:
        Damage: it holds other letters, or ends within a number.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    digits = np.frombuffer(data, np.uint8).astype(np.int64) - 48
    if ((digits < 0) | (digits > 63)).any() or (len(digits) and digits[-1] & 32):
        raise Damage("compressed run lengths must be letters from 0 to o, and end with a number")
    ends = np.flatnonzero(digits & 32 == 0)
    begins = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    if (ends - begins > 7).any():
        raise Damage("compressed run lengths must be numbers of up to eight letters")
    place = np.arange(len(digits)) - np.repeat(begins, ends - begins + 1)
    sums = np.add.reduceat((digits & 31) << (5 * place), begins) if len(begins) else np.zeros(0, np.int64)
    negative = digits[ends] & 16 != 0
    found = sums - (negative.astype(np.int64) << (5 * (ends - begins + 1)))
    for side in (1, 2):  # 1, 3, 5, ... and 2, 4, 6, ...; the first stands by itself
        found[side::2] = np.cumsum(found[side::2])
    return found


def label_studio_alpha(values: Sequence[int], height: int, width: int) -> NDArray[np.uint8]:
    """The mask of a brush in Label Studio, (H, W) from 0 to 255, out of bytes of its run lengths.

    32 bits hold the number of values, 5 bits the bits of a value less 1, four times 4 bits the bits of a length less 1.
    Blocks follow: a bit that says whether one value repeats, two bits that choose one of the four, a length less 1, and
    one value or as many as the length says. The values are red, green, blue and alpha of each pixel.

    Raises:
        Damage: they are no bytes, end too soon, or hold another number of pixels.

    Reference:
        label-studio-sdk, `converter/brush.py`; github.com/thi-ng/umbrella, package rle-pack.
    """
    data = np.asarray(values)
    if data.ndim != 1 or data.dtype.kind not in "iu" or ((data < 0) | (data > 255)).any():
        raise Damage("a brush must be a list of bytes")
    bits = np.unpackbits(data.astype(np.uint8))
    text, at = bits.tobytes().translate(_DIGITS).decode(), 0

    def read(number: int) -> int:
        nonlocal at
        at += number
        if at > len(text):
            raise Damage("the run lengths of a brush end too soon")
        return int(text[at - number : at], 2)

    count, word = read(32), read(5) + 1
    lengths = [read(4) + 1 for _ in range(4)]
    if count != height * width * 4 or word > 8 or height * width > MOST_PIXELS:
        raise Damage(f"a brush must hold {height}x{width} px of four values; received {count} values of {word} bits")
    out, done = np.zeros(count, np.uint8), 0
    while done < count:
        repeats = read(1)
        end = done + 1 + read(lengths[read(2)])
        if end > count:
            raise Damage("the run lengths of a brush hold too many values")
        if repeats:
            out[done:end] = read(word)
        else:
            begin = at
            at += word * (end - done)
            if at > len(text):
                raise Damage("the run lengths of a brush end too soon")
            out[done:end] = bits[begin:at].reshape(-1, word) @ (1 << np.arange(word)[::-1])
        done = end
    return out.reshape(height, width, 4)[..., 3]


_DIGITS = bytes.maketrans(b"\0\1", b"01")
