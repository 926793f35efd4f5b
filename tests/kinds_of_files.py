"""A table of the kinds of picture file that people have, made here, each with what must come out of it.

Import it as `from kinds_of_files import kinds`: pytest puts this folder on the path.
"""

import functools
import io
import struct
import zlib
from dataclasses import dataclass

import cv2
import numpy as np
import tifffile
from PIL import Image

SHAPE = HEIGHT, WIDTH = 19, 23
RNG = np.random.default_rng(7)
GREY = RNG.integers(0, 256, SHAPE, dtype=np.uint8)
RGB = RNG.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
SMOOTH = (np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) * 5).astype(np.uint8)
DEEP = RNG.integers(0, 65536, SHAPE).astype(np.uint16)
DEEP_RGB = RNG.integers(0, 65536, (*SHAPE, 3)).astype(np.uint16)
BITS = GREY > 127
FEW = GREY % 4
TABLE = np.array([(0, 0, 0), (230, 25, 75), (60, 180, 75), (9, 9, 9)], np.uint8)
INKS = RNG.integers(0, 256, (*SHAPE, 4), dtype=np.uint8)
OF_INKS = ((255 - INKS[..., :3].astype(int)) * (255 - INKS[..., 3:].astype(int)) // 255).astype(np.uint8)


@dataclass(frozen=True)
class Kind:
    """A file and what must come out of it.

    Attributes:
        name: of the kind, unique.
        suffix: of the file's name.
        data: the file.
        shown: (H, W) or (H, W, C), what `read_image` and `read_mask` give; None if the file is refused.
        ids: what `read_mask(ids=True)` gives; None where it is the same as `shown`.
        image: what `read_image` gives where its type differs from that of the mask.
        refused: text of the error of a file that is refused.
        no_mask: text of the error of a file that is an image and no mask.
        lossy: the compression changes values: masks are refused, and images are equal within this.
    """

    name: str
    suffix: str
    data: bytes
    shown: np.ndarray | None = None
    ids: np.ndarray | None = None
    image: np.ndarray | None = None
    refused: str = ""
    no_mask: str = ""
    lossy: int = 0


def pil(array, format, mode=None, **options):
    file = io.BytesIO()
    picture = Image.fromarray(array) if mode is None else Image.fromarray(array, mode)
    picture.save(file, format, **options)
    return file.getvalue()


def tiff(array, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def with_table(indices, format, colours=TABLE, **options):
    picture = Image.fromarray(indices)
    picture.putpalette(np.asarray(colours, np.uint8).ravel().tolist())
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed(numbers, bits):
    """Rows of numbers below 8 bits, each row from a byte on."""
    digits = np.unpackbits(numbers[..., None], axis=2)[..., 8 - bits :]
    return np.packbits(digits.reshape(len(numbers), -1), axis=1)


def png_of(width, height, bits=8, colour=0, data=b"\0", before=b"", after=b""):
    """A PNG file that declares what it likes, whatever it holds."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", zlib.compress(data)) + after + chunk(b"IEND", b"")


def raw_png(rows, width, bits, colour, before=b"", after=b""):
    """A PNG file of (H, bytes) rows, with any header and chunks."""
    return png_of(width, len(rows), bits, colour, b"".join(b"\0" + row.tobytes() for row in rows), before, after)


def raw_tiff(content, order="<", big=False, **tags):
    """A TIFF file by hand: one strip; tags by name, numbers or lists of them, or bytes."""
    numbers = {
        "bits": 258, "compression": 259, "photometric": 262, "fill": 266, "samples": 277, "planar": 284, "t4": 292,
        "predictor": 317, "table": 320, "inks": 332, "extra": 338, "format": 339, "turn": 274, "ycbcr": 530,
        "subfile": 254, "width": 256, "height": 257,
    }  # fmt: skip
    values = {"width": WIDTH, "height": HEIGHT, "compression": 1, "photometric": 1, "samples": 1, "bits": 8, **tags}
    entries = {numbers[name]: np.atleast_1d(value) for name, value in values.items()}
    entries |= {273: np.array([0]), 278: np.array([values["height"]]), 279: np.array([len(content)])}
    word, size = ("Q", 20) if big else ("I", 12)
    start = 16 if big else 8
    at = start + len(content) + len(content) % 2
    entries[273] = np.array([start])
    count = struct.pack(order + ("Q" if big else "H"), len(entries))
    extra_at, extra, body = at + len(count) + size * len(entries) + struct.calcsize(word), b"", b""
    for tag, value in sorted(entries.items()):
        kind, form = (3, "u2") if value.max() < 65536 and tag not in (273, 279) else (4, "u4")
        raw = value.astype(order + form).tobytes()
        room = struct.calcsize(word)
        body += struct.pack(order + "HH" + word, tag, kind, len(value))
        if len(raw) <= room:
            body += raw.ljust(room, b"\0")
        else:
            body += struct.pack(order + word, extra_at + len(extra))
            extra += raw + b"\0" * (len(raw) % 2)
    mark = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "H", 43 if big else 42)
    head = mark + (struct.pack(order + "HHQ", 8, 0, at) if big else struct.pack(order + "I", at))
    return head + content + b"\0" * (len(content) % 2) + count + body + bytes(struct.calcsize(word)) + extra


def lzw(data):
    """TIFF's LZW in 9-bit codes alone: a clear code comes before they would grow."""
    codes = [256]
    for start in range(0, len(data), 250):
        codes += [*data[start : start + 250], 256]
    bits = np.unpackbits(np.array([*codes, 257], ">u2").view(np.uint8).reshape(-1, 2), axis=1)[:, 7:]
    return np.packbits(bits.ravel()).tobytes()


def packbits(data):
    """Runs of up to 128 bytes as they are."""
    return b"".join(
        bytes([len(data[at : at + 128]) - 1]) + data[at : at + 128] for at in range(0, len(data), 128)
    )  # fmt: skip


def bmp(rows, bits, table=(), width=WIDTH, packing=0, offset_by=0):
    """A BMP file, bottom row first, of (H, bytes) rows."""
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))[::-1].tobytes() if packing == 0 else rows
    colours = b"".join(bytes([b, g, r, 0]) for r, g, b in table)
    offset = 54 + len(colours) + offset_by
    head = b"BM" + struct.pack("<IHHI", offset + len(padded), 0, 0, offset)
    info = struct.pack("<IiiHHIIiiII", 40, width, HEIGHT, 1, bits, packing, len(padded), 0, 0, len(table), 0)
    return head + info + colours + padded


def colormap(colours, bits=8, scale=257):
    table = np.zeros((3, 1 << bits), int)
    table[:, : len(colours)] = np.array(colours, int).T * scale
    return table.ravel()


CODECS = {"none": (1, bytes), "deflate": (8, zlib.compress), "lzw": (5, lzw), "packbits": (32773, packbits)}


def _of_each_compression():
    """What must not depend on the compression."""
    for name, (number, codec) in CODECS.items():
        made = functools.partial(_packed_tiff, codec, compression=number)
        yield Kind(f"tiff grey {name}", ".tif", made(GREY), GREY)
        yield Kind(f"tiff white is zero {name}", ".tif", made(GREY, photometric=0), GREY)
        rows = packed(BITS.astype(np.uint8), 1)
        yield Kind(f"tiff 1 bit {name}", ".tif", made(rows, bits=1), BITS * np.uint8(255), BITS.astype(np.uint8))
        yield Kind(f"tiff 1 bit white is zero {name}", ".tif", made(rows, bits=1, photometric=0),
                   BITS * np.uint8(255), BITS.astype(np.uint8))  # fmt: skip
        yield Kind(f"tiff 2 bit {name}", ".tif", made(packed(FEW, 2), bits=2), FEW * np.uint8(85), FEW)
        yield Kind(f"tiff rgb {name}", ".tif", made(RGB, bits=[8] * 3, samples=3, photometric=2), RGB)
        yield Kind(f"tiff table {name}", ".tif", made(FEW, photometric=3, table=colormap(TABLE)), TABLE[FEW], FEW)
        yield Kind(f"tiff cmyk {name}", ".tif", made(INKS, bits=[8] * 4, samples=4, photometric=5), OF_INKS)
        yield Kind(f"tiff lab {name}", ".tif", made(RGB, bits=[8] * 3, samples=3, photometric=8),
                   refused="in the colour space CIELab")  # fmt: skip
        yield Kind(f"tiff lab 16 bit {name}", ".tif", made(
            DEEP_RGB.astype("<u2"), bits=[16] * 3, samples=3, photometric=8), refused="in the colour space CIELab")  # fmt: skip
        yield Kind(f"tiff ycbcr {name}", ".tif", made(RGB, bits=[8] * 3, samples=3, photometric=6, ycbcr=[1, 1]),
                   _rgb_of(RGB))  # fmt: skip
    for name in ("deflate", "lzw"):
        number, codec = CODECS[name]
        steps = np.diff(DEEP_RGB, axis=1, prepend=DEEP_RGB[:, :1] * 0).astype("<u2")
        yield Kind(f"tiff predictor 2 {name}", ".tif", _packed_tiff(
            codec, steps, compression=number, predictor=2, bits=[16] * 3, samples=3, photometric=2), DEEP_RGB)  # fmt: skip
    floats = (DEEP_RGB / 7).astype(np.float32)
    words = np.diff(floats.view(np.uint32), axis=1, prepend=np.zeros((HEIGHT, 1, 3), np.uint32)).astype(">u4")
    yield Kind("tiff float predictor 2", ".tif", raw_tiff(
        zlib.compress(words.tobytes()), ">", compression=8, predictor=2, bits=[32] * 3, format=[3] * 3, samples=3,
        photometric=2), floats)  # fmt: skip


def _packed_tiff(codec, array, **tags):
    return raw_tiff(codec(array.tobytes()), **tags)


def _rgb_of(ycbcr):
    y, cb, cr = np.moveaxis(ycbcr.astype(float), -1, 0) - np.array([0, 128, 128])[:, None, None]
    red, blue = y + 1.402 * cr, y + 1.772 * cb
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    return np.dstack([red, green, blue]).round().clip(0, 255).astype(np.uint8)


def _tiffs():
    ids = GREY.astype(np.uint32) * 1000
    floats = (GREY / 7).astype(np.float32)
    alpha = np.dstack([RGB, GREY | 1])  # nothing is transparent as a whole
    yield Kind("tiff 16 bit", ".tif", tiff(DEEP), DEEP)
    yield Kind("tiff big endian", ".tif", tiff(DEEP, byteorder=">"), DEEP)
    yield Kind("bigtiff", ".tif", tiff(DEEP_RGB, bigtiff=True, photometric="rgb"), DEEP_RGB)
    yield Kind("bigtiff big endian lzw", ".tif", raw_tiff(lzw(DEEP.astype(">u2").tobytes()), ">", True, bits=16,
               compression=5), DEEP)  # fmt: skip
    yield Kind("tiff tiles", ".tif", tiff(GREY, tile=(16, 16)), GREY)
    yield Kind("tiff tiles deflate predictor", ".tif", tiff(
        DEEP_RGB, tile=(16, 16), compression="zlib", photometric="rgb", predictor=1), DEEP_RGB)  # fmt: skip
    yield Kind("tiff planar", ".tif", tiff(np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate"), RGB)
    yield Kind("tiff planar tiles deflate", ".tif", tiff(
        np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate", tile=(16, 16), compression="zlib"), RGB)  # fmt: skip
    yield Kind("tiff planar cmyk", ".tif", tiff(
        np.moveaxis(INKS, -1, 0), photometric="separated", planarconfig="separate"), OF_INKS)  # fmt: skip
    yield Kind("tiff cmyk and alpha", ".tif", tiff(
        np.dstack([INKS, GREY | 1]), photometric="separated", extrasamples=["unassalpha"]), OF_INKS)  # fmt: skip
    deep_inks = INKS.astype(np.uint16) * 257
    yield Kind("tiff cmyk 16 bit", ".tif", tiff(deep_inks, photometric="separated"),
               ((65535 - deep_inks[..., :3].astype(int)) * (65535 - deep_inks[..., 3:].astype(int)) // 65535).astype(np.uint16))  # fmt: skip
    yield Kind("tiff rgba", ".tif", tiff(alpha, photometric="rgb", extrasamples=["unassalpha"]), RGB)
    yield Kind("tiff premultiplied", ".tif", tiff(alpha, photometric="rgb", extrasamples=["assocalpha"]), RGB)
    yield Kind("tiff grey and alpha", ".tif", raw_tiff(np.dstack([GREY, GREY]).tobytes(), bits=[8, 8], samples=2,
               extra=2), GREY)  # fmt: skip
    yield from _tiffs_of_channels(alpha)
    yield Kind("tiff four pages as one", ".tif", tiff(
        np.stack([GREY] * 4), photometric="rgb", planarconfig="separate", extrasamples=["unassalpha"]),
        refused="has 4 channels")  # fmt: skip
    yield Kind("tiff three slices as one", ".tif", tiff(
        np.stack([GREY] * 3), photometric="rgb", planarconfig="separate", metadata={"axes": "ZYX"}),
        refused="an axis Z by its description")  # fmt: skip
    yield Kind("tiff three colours as one", ".tif", tiff(
        np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate", metadata={"axes": "CYX"}), RGB)  # fmt: skip
    yield Kind("tiff channels in pages of rows", ".tif", tiff(
        np.dstack([GREY, SMOOTH]), photometric="minisblack", metadata={"axes": "YXC"}), refused="has 2 channels")  # fmt: skip
    yield Kind("imagej composite of three", ".tif", tiff(
        np.moveaxis(RGB, -1, 0), imagej=True, metadata={"axes": "CYX"}), RGB)  # fmt: skip
    yield Kind("tiff 16 bit table", ".tif", raw_tiff(
        (FEW.astype("<u2") * 1000).tobytes(), bits=16, photometric=3, table=_sparse_table()),
        TABLE[FEW], FEW.astype(np.uint16) * 1000)  # fmt: skip
    yield Kind("tiff table of 8 bit values", ".tif", raw_tiff(
        FEW.tobytes(), photometric=3, table=colormap(TABLE, scale=1)), TABLE[FEW], FEW)  # fmt: skip
    yield Kind("tiff 4 bit table", ".tif", raw_tiff(
        packed(FEW, 4).tobytes(), bits=4, photometric=3, table=colormap(TABLE, 4)), TABLE[FEW], FEW)  # fmt: skip
    yield Kind(
        "tiff 4 bit", ".tif", raw_tiff(packed(GREY >> 4, 4).tobytes(), bits=4), (GREY >> 4) * np.uint8(17), GREY >> 4
    )
    reverse = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
    yield Kind("tiff fill order 2", ".tif", raw_tiff(packed(BITS.astype(np.uint8), 1).tobytes().translate(reverse), bits=1,
               fill=2), BITS * np.uint8(255), BITS.astype(np.uint8))  # fmt: skip
    yield Kind("tiff turned", ".tif", raw_tiff(GREY.tobytes(), turn=6), np.rot90(GREY, -1))
    yield Kind("tiff turned table", ".tif", raw_tiff(FEW.tobytes(), turn=5, photometric=3, table=colormap(TABLE)),
               TABLE[FEW].swapaxes(0, 1), FEW.T)  # fmt: skip
    yield Kind(
        "tiff group 4 fax", ".tif", pil(BITS, "TIFF", compression="group4"), BITS * np.uint8(255), BITS.astype(np.uint8)
    )
    yield Kind("tiff jpeg rgb", ".tif", pil(np.dstack([SMOOTH] * 2 + [255 - SMOOTH]), "TIFF", compression="jpeg", quality=100),
               np.dstack([SMOOTH] * 2 + [255 - SMOOTH]), lossy=40)  # fmt: skip
    yield Kind("tiff jpeg grey", ".tif", pil(SMOOTH, "TIFF", compression="jpeg", quality=100), SMOOTH, lossy=40)
    yield Kind(
        "tiff int8", ".tif", tiff(GREY.view(np.int8)), GREY.view(np.int8), image=GREY.view(np.int8).astype(np.int16)
    )
    yield Kind("tiff int16", ".tif", tiff(DEEP.view(np.int16)), DEEP.view(np.int16))
    yield Kind("tiff uint32", ".tif", tiff(ids), ids, image=ids.astype(np.float64))
    yield Kind("tiff int32", ".tif", tiff(ids.view(np.int32)), ids.view(np.int32), image=ids.astype(np.float64))
    yield Kind(
        "tiff float16", ".tif", tiff(GREY.astype(np.float16)), GREY.astype(np.float16), image=GREY.astype(np.float32)
    )
    yield Kind("tiff float32", ".tif", tiff(floats), floats)
    yield Kind("tiff float64", ".tif", tiff(floats.astype(np.float64)), floats.astype(np.float64))
    yield Kind("tiff float predictor 3", ".tif", raw_tiff(zlib.compress(_float_steps(floats)), bits=32, format=3,
               compression=8, predictor=3), floats)  # fmt: skip
    lowest = np.finfo(np.float32).min
    for text, gone in (("-9999", -9999), ("nan", np.nan), ("-inf", -np.inf)):
        holed = np.where(BITS, np.float32(gone), floats)
        yield Kind(f"tiff nodata {text}", ".tif", tiff(holed, extratags=[(42113, "s", 0, text, True)]), holed,
                   image=holed if text == "-9999" else np.where(BITS, lowest, floats))  # fmt: skip
    yield Kind("tiff complex", ".tif", tiff(floats.astype(np.complex64)), refused="complex64")


def _tiffs_of_channels(alpha):
    """Other channels than grey and RGB: images, and no masks."""
    of = lambda count: {"no_mask": f"has {count} channels"}  # noqa: E731
    two, four, five = np.dstack([GREY, SMOOTH]), np.dstack([DEEP_RGB, DEEP]), np.dstack([RGB, GREY, SMOOTH])
    plain = {"photometric": "minisblack", "metadata": None}
    yield Kind("tiff two samples", ".tif", tiff(two, planarconfig="contig", **plain), two, **of(2))
    yield Kind("tiff two equal samples", ".tif", tiff(np.dstack([GREY] * 2), planarconfig="contig", **plain),
               np.dstack([GREY] * 2), **of(2))  # fmt: skip
    yield Kind(
        "tiff planar samples", ".tif", tiff(np.moveaxis(five, -1, 0), planarconfig="separate", **plain), five, **of(5)
    )
    yield Kind("tiff planar samples in tiles", ".tif", tiff(
        np.moveaxis(five, -1, 0), planarconfig="separate", tile=(16, 16), compression="zlib", **plain), five, **of(5))  # fmt: skip
    yield Kind("tiff rgbn", ".tif", tiff(four, photometric="rgb", extrasamples=["unspecified"]), four, **of(4))
    yield Kind("tiff rgbn without extra samples", ".tif", raw_tiff(alpha.tobytes(), bits=[8] * 4, samples=4,
               photometric=2), alpha, **of(4))  # fmt: skip
    yield Kind("tiff alpha and a channel", ".tif", raw_tiff(np.dstack([alpha, SMOOTH]).tobytes(), bits=[8] * 5, samples=5,
               photometric=2, extra=[2, 0]), np.dstack([RGB, SMOOTH]), **of(4))  # fmt: skip
    yield Kind("tiff cmyk and a channel", ".tif", raw_tiff(np.dstack([INKS, SMOOTH]).tobytes(), bits=[8] * 5, samples=5,
               photometric=5, extra=[0]), np.dstack([OF_INKS, SMOOTH]), **of(4))  # fmt: skip
    yield Kind("tiff table and a channel", ".tif", raw_tiff(np.dstack([FEW, GREY]).tobytes(), bits=[8] * 2, samples=2,
               photometric=3, table=colormap(TABLE)), refused="has 1 channels beside a colour table")  # fmt: skip
    yield Kind("tiff thirteen bands", ".tif", tiff(
        np.dstack([DEEP + n for n in range(13)]), planarconfig="contig", **plain), np.dstack([DEEP + n for n in range(13)]),
        **of(13))  # fmt: skip
    yield Kind("tiff 2000 bands", ".tif", tiff(np.zeros((2, 3, 2000), np.uint8), planarconfig="contig", **plain),
               refused="has 2000 channels, and a picture may have 1024")  # fmt: skip
    yield Kind("imagej composite of two", ".tif", tiff(np.stack([GREY, SMOOTH]), imagej=True, metadata={"axes": "CYX"}),
               two, **of(2))  # fmt: skip
    yield Kind("ome two channels", ".tif", tiff(np.stack([GREY, SMOOTH]), ome=True, metadata={"axes": "CYX"},
               photometric="minisblack"), two, **of(2))  # fmt: skip


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(compressed=False, **arrays):
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def _arrays():
    four = np.dstack([DEEP_RGB, DEEP])
    floats = (GREY / 7).astype(np.float32)
    yield Kind("npy grey", ".npy", npy(GREY), GREY)
    yield Kind("npy one channel", ".npy", npy(GREY[..., None]), GREY)
    yield Kind("npy rgb", ".npy", npy(RGB), RGB)
    yield Kind("npy equal channels", ".npy", npy(np.dstack([GREY] * 3)), GREY)
    yield Kind("npy four channels", ".npy", npy(four), four, no_mask="has 4 channels")
    yield Kind("npy in the order of Fortran", ".npy", npy(np.asfortranarray(four)), four, no_mask="has 4 channels")
    yield Kind("npy big endian", ".npy", npy(DEEP.astype(">u2")), DEEP)
    yield Kind("npy bool", ".npy", npy(BITS), BITS.astype(np.uint8))
    yield Kind("npy float32", ".npy", npy(floats), floats)
    yield Kind(
        "npy int8", ".npy", npy(GREY.view(np.int8)), GREY.view(np.int8), image=GREY.view(np.int8).astype(np.int16)
    )
    yield Kind("npz", ".npz", npz(image=four), four, no_mask="has 4 channels")
    yield Kind("npz compressed", ".npz", npz(True, a=GREY), GREY)
    yield Kind("npz of two", ".npz", npz(a=GREY, b=GREY), refused=r"zip file of 2 members \(a.npy, b.npy\)")
    yield Kind("npz of none", ".npz", npz(), refused="zip file of 0 members")
    yield Kind(
        "npy channels first", ".npy", npy(np.moveaxis(RGB, -1, 0)), refused=r"must be the last axis.*numpy\.moveaxis"
    )
    yield Kind(
        "npy of objects", ".npy", npy(np.array([[{}]]), allow_pickle=True), refused=r"\(pickles\) are not loaded"
    )
    yield Kind("npz of objects", ".npz", npz(a=np.array([[{}]])), refused=r"\(pickles\) are not loaded")
    yield Kind("npy of text", ".npy", npy(np.array([["a"]])), refused="must hold numbers")
    yield Kind(
        "npy of records", ".npy", npy(np.zeros((2, 2), [("é", "u1")])), refused="with named fields|must hold numbers"
    )
    yield Kind("npy of one axis", ".npy", npy(GREY.ravel()), refused=r"array of shape \(437,\)")
    yield Kind("npy of no channel", ".npy", npy(np.zeros((4, 4, 0), np.uint8)), refused="with a pixel at least")
    yield Kind("npy cut", ".npy", npy(GREY)[:-1], refused=r"declares \(19, 23\) of uint8, and has 436 bytes")
    yield Kind("npy cut in its header", ".npy", npy(GREY)[:40], refused="header is not that of a NumPy array")
    yield Kind(
        "npy huge",
        ".npy",
        npy(GREY).replace(b"(19, 23), }        ", b"(99999, 9999999), }"),
        refused=r"declares \(99999, 9999999\)",
    )
    yield Kind("npz cut", ".npz", npz(a=GREY)[:-30], refused="no whole zip file")
    yield Kind("npz bomb", ".npz", npz(True, a=np.zeros((2000, 2000), np.uint8)).replace(
        struct.pack("<I", 2000**2 + 128), struct.pack("<I", 0x7FFFFFF0)), refused="cannot hold them|no whole zip file")  # fmt: skip


def _sparse_table():
    table = np.zeros((3, 65536), int)
    table[:, np.arange(4) * 1000] = TABLE.T.astype(int) * 257
    return table.ravel()


def _float_steps(array):
    planes = array.astype(">f4").view(np.uint8).reshape(HEIGHT, WIDTH, 4).transpose(0, 2, 1).reshape(HEIGHT, -1)
    return np.diff(planes, axis=1, prepend=planes[:, :1] * 0).astype(np.uint8).tobytes()


def _pngs():
    bits = BITS.astype(np.uint8)
    yield Kind("png grey", ".png", pil(GREY, "PNG"), GREY)
    yield Kind("png rgb", ".png", pil(RGB, "PNG"), RGB)
    yield Kind("png 16 bit", ".png", cv2.imencode(".png", DEEP)[1].tobytes(), DEEP)
    yield Kind("png rgb 16 bit", ".png", cv2.imencode(".png", DEEP_RGB[..., ::-1])[1].tobytes(), DEEP_RGB)
    yield Kind("png rgba", ".png", pil(np.dstack([RGB, GREY | 1]), "PNG"), RGB)
    yield Kind("png grey and alpha", ".png", pil(np.dstack([GREY, GREY]), "PNG", "LA"), GREY)
    yield Kind("png equal channels", ".png", pil(np.dstack([GREY] * 3), "PNG"), GREY)
    yield Kind("png 1 bit", ".png", pil(BITS, "PNG"), BITS * np.uint8(255), bits)
    yield Kind("png 2 bit", ".png", raw_png(packed(FEW, 2), WIDTH, 2, 0), FEW * np.uint8(85), FEW)
    yield Kind("png 4 bit", ".png", raw_png(packed(GREY >> 4, 4), WIDTH, 4, 0), (GREY >> 4) * np.uint8(17), GREY >> 4)
    yield Kind("png table", ".png", with_table(FEW, "PNG"), TABLE[FEW], FEW)
    yield Kind("png grey table", ".png", with_table(FEW, "PNG", [(3,) * 3, (2,) * 3, (1,) * 3, (0,) * 3]), 3 - FEW, FEW)
    yield Kind("png 1 bit table", ".png", raw_png(packed(bits, 1), WIDTH, 1, 3, chunk(b"PLTE", bytes([0, 0, 0, 9, 8, 7]))),
               np.array([(0, 0, 0), (9, 8, 7)], np.uint8)[bits], bits)  # fmt: skip
    yield Kind("png table with transparency", ".png", with_table(FEW, "PNG", transparency=0), TABLE[FEW], FEW)
    yield Kind("png interlaced", ".png", _interlaced(RGB), RGB)
    exif = Image.Exif()
    exif[0x0112] = 6
    yield Kind("png turned", ".png", pil(RGB, "PNG", exif=exif), np.rot90(RGB, -1))
    of_a_segment = chunk(b"eXIf", exif.tobytes())  # which begins with Exif, as in a JPEG file
    yield Kind("png turned as a JPEG is", ".png", raw_png(RGB.reshape(HEIGHT, -1), WIDTH, 8, 2, of_a_segment),
               np.rot90(RGB, -1))  # fmt: skip
    yield Kind("png with a bad profile", ".png", raw_png(GREY, WIDTH, 8, 0, chunk(b"iCCP", b"a\0\0bad")), GREY)
    for pictures in (1, 2):
        animated = raw_png(GREY, WIDTH, 8, 0, chunk(b"acTL", struct.pack(">II", pictures, 0)))
        yield Kind(f"png animated, {pictures}", ".png", animated, GREY if pictures == 1 else None,
                   refused="" if pictures == 1 else "has 2 pictures")  # fmt: skip
    good = pil(GREY, "PNG")
    yield Kind("png cut", ".png", good[:-20], refused="not a complete")
    yield Kind(
        "png chunk beyond the end", ".png", good.replace(good[33:37], b"\x7f\xff\xff\xff"), refused="reaches beyond"
    )
    yield Kind("png wrong checksum", ".png", good[:60] + b"\0\0\0" + good[63:], refused="checksum")
    yield Kind("png short of pixels", ".png", raw_png(GREY[:9], WIDTH, 8, 0)[:20] + struct.pack(">I", HEIGHT) + chunk(
        b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 0))[-9:] + raw_png(GREY[:9], WIDTH, 8, 0)[33:],
        refused="short of its pixels")  # fmt: skip


def _interlaced(rgb):
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = b"".join(b"\0" + row.tobytes() for y, x, down, across in passes for row in rgb[y::down, x::across])
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 1))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _others():
    bits = BITS.astype(np.uint8)
    two, ramp = [(0, 0, 0), (255, 255, 255)], [(255 - value,) * 3 for value in range(256)]
    yield Kind("bmp rgb", ".bmp", pil(RGB, "BMP"), RGB)
    yield Kind("bmp grey", ".bmp", pil(GREY, "BMP"), GREY)
    yield Kind("bmp reversed greys", ".bmp", bmp(GREY, 8, ramp), 255 - GREY, GREY)
    yield Kind("bmp table", ".bmp", bmp(FEW, 8, TABLE), TABLE[FEW], FEW)
    yield Kind("bmp 4 bit table", ".bmp", bmp(packed(FEW, 4), 4, TABLE), TABLE[FEW], FEW)
    yield Kind("bmp 1 bit", ".bmp", bmp(packed(bits, 1), 1, two), BITS * np.uint8(255), bits)
    yield Kind("bmp 32 bit", ".bmp", bmp(np.dstack([RGB[..., ::-1], GREY]).reshape(HEIGHT, -1), 32), RGB)
    rle = b"".join(b"".join(bytes([1, value]) for value in row) + b"\0\0" for row in FEW[::-1]) + b"\0\1"
    yield Kind("bmp run lengths", ".bmp", bmp(rle, 8, TABLE, packing=1), TABLE[FEW], FEW)
    yield Kind("bmp table beyond its pixels", ".bmp", bmp(FEW, 8, TABLE, offset_by=-8), refused="colour table")
    yield Kind("gif", ".gif", with_table(FEW, "GIF"), TABLE[FEW], FEW)
    yield Kind("gif 1 bit", ".gif", with_table(bits, "GIF", two), BITS * np.uint8(255), bits)
    yield Kind("gif of two", ".gif", pil(GREY, "GIF", save_all=True, append_images=[Image.fromarray(GREY.T[::-1])]),
               refused="has 2 pictures")  # fmt: skip
    yield Kind("webp lossless", ".webp", pil(RGB, "WEBP", lossless=True), RGB)
    yield Kind("webp", ".webp", pil(np.dstack([SMOOTH] * 2 + [255 - SMOOTH]), "WEBP", quality=100),
               np.dstack([SMOOTH] * 2 + [255 - SMOOTH]), lossy=40)  # fmt: skip
    yield Kind("jpeg", ".jpg", pil(SMOOTH, "JPEG", quality=100), SMOOTH, lossy=40)
    yield Kind("jpeg progressive", ".jfif", pil(SMOOTH, "JPEG", quality=100, progressive=True), SMOOTH, lossy=40)
    yield Kind("jpeg cut", ".jpg", pil(RGB, "JPEG")[:-200], refused="not a complete")
    jpeg = pil(RGB, "JPEG", quality=95)
    yield Kind("jpeg cut with an end", ".jpe", jpeg[:-200] + b"\xff\xd9", refused="premature end")
    yield Kind("jpeg with more", ".jpg", jpeg[:-2] + bytes(99) + b"\xff\xd9", refused="extraneous bytes")
    yield Kind("jpeg 2000", ".jp2", pil(np.tile(SMOOTH, (4, 4)), "JPEG2000"), np.tile(SMOOTH, (4, 4)), lossy=1)
    yield Kind("pgm", ".pgm", b"P5\n# a\n%d %d\n255\n" % (WIDTH, HEIGHT) + GREY.tobytes(), GREY)
    yield Kind("pgm 16 bit", ".pgm", b"P5 %d %d 65535\n" % (WIDTH, HEIGHT) + DEEP.astype(">u2").tobytes(), DEEP)
    yield Kind("pgm of 4 greys", ".pgm", b"P5 %d %d 3\n" % (WIDTH, HEIGHT) + FEW.tobytes(), refused="values up to 3")
    yield Kind("pgm called pnm", ".pnm", b"P5 %d %d 255\n" % (WIDTH, HEIGHT) + GREY.tobytes(), GREY)
    yield Kind("ppm", ".ppm", b"P6 %d %d 255\n" % (WIDTH, HEIGHT) + RGB.tobytes(), RGB)
    text = " ".join(map(str, RGB.ravel())).encode()
    yield Kind("ppm text", ".ppm", b"P3 %d %d 255\n" % (WIDTH, HEIGHT) + text, RGB)
    yield Kind("pbm", ".pbm", b"P4 %d %d\n" % (WIDTH, HEIGHT) + packed(bits, 1).tobytes(), refused="is a PBM file")
    yield Kind("avif", ".avif", pil(RGB, "AVIF"), refused="is a HEIC or AVIF file")
    yield Kind("text", ".png", b"404 Not Found", refused="not a complete")


@functools.cache
def kinds() -> tuple[Kind, ...]:
    """All kinds of file."""
    return *_of_each_compression(), *_tiffs(), *_arrays(), *_pngs(), *_others()
