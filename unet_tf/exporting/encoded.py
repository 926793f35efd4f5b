"""A picture file to pixels in TensorFlow's own ops, as `unet_tf.read_image` reads it, or refused with the reason.

TensorFlow's decoders allocate what a header declares, take the indices of a BMP for grey, drop the black of CMYK, and
know nothing of orientation. So the headers are read here first, byte by byte.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

INCOMPLETE = "is not a complete PNG, JPEG or BMP picture."
MOST_PIXELS, PIXELS_A_BYTE = 1 << 24, 100
"""A file may declare so many pixels, or so many a byte: more would be paper of one colour, or a lie."""
DEFLATE = 1040
"""Bytes that a byte of a PNG file may unpack to: 1032 at most, and some for what is no row."""
MOST_SEGMENTS = 4096
"""Of a JPEG file before its scan: cameras write some dozens."""
PNG_HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
SAMPLES = (1, 0, 3, 1, 2, 0, 4)
"""Values a pixel, by the colour type of PNG."""
EXIF_HEAD = b"Exif\0\0"
"""Before the EXIF data of a JPEG file, and of some PNG files."""
BMP_HEADERS = (40, 52, 56, 108, 124)
"""Sizes of Windows' headers; OS/2 has others."""


class Header(NamedTuple):
    """What the head of a file says, all scalars.

    Attributes:
        problem: why it cannot be decoded; "" where it can.
        deep: whether it has 16 bits a value.
        exif: where its EXIF data begins, bytes from the start; 0 without any.
    """

    problem: tf.Tensor
    deep: tf.Tensor
    exif: tf.Tensor


def decoded(number: tf.Tensor, content: tf.Tensor, channels: int, dtype: str) -> tf.Tensor:
    """Decode a picture file as `unet_tf.read_image` does: turned as its EXIF orientation says, without alpha.

    Args:
        number: of the picture, for the error.
        content: the bytes of a PNG, JPEG or BMP file.
        channels: 1 or 3; a grey picture is repeated.
        dtype: "uint8" or "uint16", of the pictures that the net was trained on.

    Returns:
        (H, W, channels) of `dtype`.

    Raises:
        tf.errors.InvalidArgumentError: the file is none of these, damaged, or of another kind; the message begins with
            "image_bytes[number]".
    """
    data = tf.io.decode_raw(tf.strings.join([content, 64 * b"\0"]), tf.uint8)  # (bytes + 64,)
    is_png, is_jpeg = begins(data, b"\x89PNG"), begins(data, b"\xff\xd8\xff")
    header = Header(
        *tf.case(
            [(is_png, lambda: png(data)), (is_jpeg, lambda: jpeg(data)), (begins(data, b"BM"), lambda: bmp(data))],
            default=lambda: Header(tf.constant(INCOMPLETE), tf.constant(False), tf.constant(0)),
        )
    )
    kind = "a 16-bit PNG" if dtype == "uint16" else "of 8 bits a channel"
    other = f"is not {kind}, as the pictures that the net was trained on are."
    problem = first([(header.problem != "", header.problem), (header.deep != (dtype == "uint16"), other)])

    def decode(content: tf.Tensor) -> tf.Tensor:
        if dtype == "uint16":
            image = tf.io.decode_png(content, 0, tf.uint16)
        else:
            image = tf.cond(
                is_jpeg,
                lambda: tf.io.decode_jpeg(content, 0, dct_method="INTEGER_ACCURATE"),
                lambda: tf.io.decode_image(content, 0, expand_animations=False),
            )
        return tf.ensure_shape(image, (None, None, None))

    # An error of the decoder would not say which picture: it is dropped here, and an empty picture stands for it.
    nothing = tf.data.Dataset.from_tensors(tf.zeros((0, 0, 1), dtype))
    told = tf.data.Dataset.from_tensors(tf.where(problem == "", content, ""))
    image = told.map(decode).ignore_errors().concatenate(nothing).take(1).get_single_element()
    problem = first([(problem != "", problem), (tf.size(image) == 0, INCOMPLETE)])
    if dtype == "uint8":
        image = tf.cond(
            begins(data, b"BM") & (number_at(data, 28, 2) == 8), lambda: coloured(image, data), lambda: image
        )
    found = tf.shape(image)[2]
    image = image[..., : found - tf.cast(found % 2 == 0, tf.int32)]  # without alpha
    if channels == 1:
        in_colour = tf.reduce_any(image != image[..., :1])
        problem = first([(problem != "", problem), (in_colour, "is in colour; the net was trained on grey images.")])
    image = tf.gather(image, tf.minimum(tf.range(channels), tf.shape(image)[2] - 1), axis=2)  # (H, W, channels)

    words = tf.strings.join(["image_bytes[", tf.strings.as_string(number), "] ", problem])
    with tf.control_dependencies([tf.debugging.Assert(problem == "", [words])]):
        return turned(image, orientation(data, header.exif))


def first(problems: list[tuple[tf.Tensor, tf.Tensor | str]]) -> tf.Tensor:
    """The words of the first condition that holds; "" where none does."""
    problem = tf.constant("")
    for holds, words in reversed(problems):
        problem = tf.where(holds, words, problem)
    return problem


def begins(data: tf.Tensor, text: bytes, at: tf.Tensor | int = 0) -> tf.Tensor:
    """Whether bytes stand at a place."""
    return tf.reduce_all(bytes_at(data, at, len(text)) == list(text))


def bytes_at(data: tf.Tensor, at: tf.Tensor | int, count: int) -> tf.Tensor:
    """(count,) int32 values from a place on; 0 beyond the end."""
    last = tf.size(data) - 1  # one of the zeros that were appended
    return tf.cast(tf.gather(data, tf.clip_by_value(at + tf.range(count), 0, last)), tf.int32)


def places_of(data: tf.Tensor, text: bytes) -> tf.Tensor:
    """(n,) places where bytes stand, in order; byte by byte in uint8, as a file may be of any size."""
    count = tf.size(data) - len(text) + 1
    found = data[:count] == text[0]
    for i, value in enumerate(text[1:], start=1):
        found &= data[i : count + i] == value
    return tf.cast(tf.where(found)[:, 0], tf.int32)


def those_at(data: tf.Tensor, places: tf.Tensor, *texts: bytes) -> tf.Tensor:
    """Of places, none of which is near the end, those at which one of several texts of one length begins."""
    there = tf.gather(data, places[:, None] + tf.range(len(texts[0])))  # (n, bytes)
    return places[tf.reduce_any([tf.reduce_all(there == list(text), axis=1) for text in texts], axis=0)]


def number_at(data: tf.Tensor, at: tf.Tensor | int, count: int, little: tf.Tensor | bool = True) -> tf.Tensor:
    """A whole number of so many bytes, int64."""
    values = tf.cast(bytes_at(data, at, count), tf.int64)
    values = tf.where(little, values, values[::-1])
    return tf.reduce_sum(values * [256**place for place in range(count)])


def declared(height: tf.Tensor, width: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Whether a file of `size` bytes declares too many pixels, and that in words."""
    texts = map(tf.strings.as_string, (height, width, size))
    words = zip(["declares ", "x", " px in "], texts, strict=True)
    end = f" bytes; from {MOST_PIXELS} px on there must be a byte for {PIXELS_A_BYTE} of them."
    most = tf.maximum(tf.constant(MOST_PIXELS, tf.int64), PIXELS_A_BYTE * size)
    return height * width > most, tf.strings.join([part for pair in words for part in pair] + [end])


def png(data: tf.Tensor) -> Header:
    """Read the header of a PNG file; that it is cut off, its decoder finds, and bytes after its end are let be.

    EXIF data in another PNG file behind it would count, if it has none of its own.
    """
    size = length_of(data)
    width, height = (number_at(data, at, 4, little=False) for at in (16, 20))
    depth, colour = number_at(data, 24, 1), bytes_at(data, 25, 1)[0]
    samples = tf.gather(tf.constant(SAMPLES, tf.int64), tf.minimum(colour, len(SAMPLES) - 1))
    rows = (-(-width * samples * depth // 8) + 1) * height
    whole = begins(data, PNG_HEAD) & (width > 0) & (height > 0) & (width < 1 << 31) & (height < 1 << 31)
    # a chunk of that name, and the first bytes of what it must hold
    content = places_of(data, b"eXIf") + 4
    headed = those_at(data, content, EXIF_HEAD) + len(EXIF_HEAD)  # some files have the head of a JPEG's segment too
    places = those_at(data, tf.concat([content, headed], axis=0), b"II*\0", b"MM\0*")
    control = those_at(data, places_of(data, b"acTL") - 4, b"\0\0\0\x08acTL")
    pictures = tf.cond(  # of one alone, many programs write that it is animated
        tf.size(control) > 0, lambda: number_at(data, control[0] + 8, 4, little=False), lambda: tf.constant(0, tf.int64)
    )
    animated = pictures > 1, "is an animated PNG; send its pictures one by one."
    lies = declared(height, width, size), (rows > DEFLATE * size, INCOMPLETE)
    problem = first([(~whole, INCOMPLETE), *lies, animated])
    return Header(problem, depth == 16, tf.cond(tf.size(places) > 0, lambda: places[0], lambda: 0))


def jpeg(data: tf.Tensor) -> Header:
    """Read the segments of a JPEG file up to its scan."""
    size = tf.cast(length_of(data), tf.int32)

    def goes_on(at: tf.Tensor, steps: tf.Tensor, frame: tf.Tensor, exif: tf.Tensor) -> tf.Tensor:
        marker = bytes_at(data, at, 2)
        return (marker[0] == 0xFF) & (marker[1] != 0xDA) & (at + 4 < size) & (steps < MOST_SEGMENTS)

    def segment(at: tf.Tensor, steps: tf.Tensor, frame: tf.Tensor, exif: tf.Tensor) -> tuple[tf.Tensor, ...]:
        marker = bytes_at(data, at, 2)[1]
        length = tf.cast(number_at(data, at + 2, 2, little=False), tf.int32)
        is_frame = (marker >= 0xC0) & (marker <= 0xCF) & (marker != 0xC4) & (marker != 0xC8) & (marker != 0xCC)
        is_exif = (marker == 0xE1) & begins(data, EXIF_HEAD, at + 4) & (exif == 0)
        alone = (marker < 0xC0) | ((marker >= 0xD0) & (marker <= 0xD9))  # have no length, and no place here
        further = tf.where(marker == 0xFF, 1, tf.where(alone | (length < 2), size, 2 + length))  # 0xFF: to fill up
        return at + further, steps + 1, tf.where(is_frame, at, frame), tf.where(is_exif, at + 10, exif)

    zero = tf.constant(0)
    at, _, frame, exif = tf.while_loop(goes_on, segment, (tf.constant(2), zero, zero, zero))
    precision, components = bytes_at(data, frame + 4, 1)[0], bytes_at(data, frame + 9, 1)[0]
    height, width = (number_at(data, frame + place, 2, little=False) for place in (5, 7))
    ends = tf.reduce_any(places_of(data, b"\xff\xd9") >= at)
    whole = begins(data, b"\xff\xda", at) & (frame > 0) & (height > 0) & (width > 0) & ends
    problems = [
        (~whole, INCOMPLETE),
        (components == 4, "is a JPEG in CMYK; save it in RGB."),
        ((components != 1) & (components != 3), "is a JPEG that is neither grey nor in colour."),
        (precision != 8, "is not of 8 bits a channel."),
        declared(height, width, tf.cast(size, tf.int64)),
    ]
    return Header(first(problems), tf.constant(False), exif)


def bmp(data: tf.Tensor) -> Header:
    """Read the header of a BMP file."""
    size = length_of(data)
    offset, head, width, height = (number_at(data, at, 4) for at in (10, 14, 18, 22))
    height = tf.abs(tf.where(height >= 1 << 31, height - (1 << 32), height))  # negative: the top row comes first
    bits, compression, colours = number_at(data, 28, 2), number_at(data, 30, 4), colours_of(data)
    known = tf.reduce_any(head == tf.constant(BMP_HEADERS, tf.int64))
    plain = known & (compression == 0) & ((bits == 8) | (bits == 24) | (bits == 32))
    table = tf.where(bits == 8, 4 * colours, 0)
    whole = (width > 0) & (width < 1 << 31) & (height > 0) & (colours <= 256) & (offset >= 14 + head + table)
    whole &= offset + -(-width * bits // 32) * 4 * height <= size
    words = "is a BMP of another kind than 8, 24 or 32 bits a pixel, uncompressed, with a header of Windows."
    problem = first([(size < 54, INCOMPLETE), (~plain, words), (~whole, INCOMPLETE)])
    return Header(problem, tf.constant(False), tf.constant(0))


def colours_of(data: tf.Tensor) -> tf.Tensor:
    """Entries in the colour table of a BMP file of 8 bits."""
    colours = number_at(data, 46, 4)
    return tf.where(colours == 0, tf.constant(256, tf.int64), colours)


def coloured(image: tf.Tensor, data: tf.Tensor) -> tf.Tensor:
    """Look up (H, W, 1) indices in the colour table of a BMP file: (H, W, 3), black beyond its end."""
    start = 14 + tf.cast(tf.minimum(number_at(data, 14, 4), BMP_HEADERS[-1]), tf.int32)  # others are refused
    entries = tf.range(256)[:, None]  # (256, 1)
    values = tf.gather(data, tf.minimum(start + 4 * entries + [2, 1, 0], tf.size(data) - 1))  # (256, 3), from BGR
    table = tf.where(entries < tf.cast(colours_of(data), tf.int32), values, 0)
    return tf.gather(table, tf.cast(image[..., 0], tf.int32))


def length_of(data: tf.Tensor) -> tf.Tensor:
    """Bytes of a file to which 64 zeros were appended, int64."""
    return tf.size(data, tf.int64) - 64


def orientation(data: tf.Tensor, exif: tf.Tensor) -> tf.Tensor:
    """The orientation that EXIF data says, 1 to 8: tag 0x0112 of its first directory; 1 where it says none."""
    little = begins(data, b"II", exif)
    start = tf.cast(number_at(data, exif + 4, 4, little), tf.int32)
    inside = (start >= 8) & (start < tf.size(data) - exif)
    at = exif + tf.where(inside, start, 0)
    count = tf.where(inside, number_at(data, at, 2, little), 0)
    places = at + 2 + 12 * tf.range(tf.cast(count, tf.int32))
    places = places[places < tf.size(data) - 12]
    # (entries, 4): the tag, and the first two bytes of its value
    pairs = tf.cast(tf.gather(data, places[:, None] + [0, 1, 8, 9]), tf.int32)
    pairs = tf.where(little, tf.gather(pairs, [1, 0, 3, 2], axis=1), pairs)
    values = (256 * pairs[:, 2] + pairs[:, 3])[256 * pairs[:, 0] + pairs[:, 1] == 0x0112]
    known = tf.concat([values[(values >= 1) & (values <= 8)], [1]], 0)[0]
    return tf.where(exif > 0, known, 1)


def turned(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """(H, W, C) as stored -> as it is to be seen."""

    def if_one_of(*orientations: int) -> tf.Tensor:
        return tf.reduce_any(orientation == list(orientations))

    image = tf.cond(if_one_of(5, 6, 7, 8), lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    image = tf.cond(if_one_of(2, 3, 6, 7), lambda: tf.reverse(image, [1]), lambda: image)
    return tf.cond(if_one_of(3, 4, 7, 8), lambda: tf.reverse(image, [0]), lambda: image)
