"""A picture file that is no TIFF to an array: its first bytes tell the format, whatever its name says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.arrays import NPY, ZIP, read_npy, read_npz
from unet_tf.data.png import SIGNATURE, parse_png, read_png
from unet_tf.data.raster import read_bmp, read_gif, read_jp2, read_jpeg, read_pnm, read_webp
from unet_tf.data.structure import Damage, Unread
from unet_tf.errors import InputError

OTHERS = {
    b"ftyp": "a HEIC or AVIF", b"\xff\x4f\xff\x51": "a bare JPEG 2000", b"8BPS": "a Photoshop", b"P1": "a PBM",
    b"P4": "a PBM", b"P7": "a PAM", b"Pf": "a PFM", b"PF": "a PFM", b"\xff\x0a": "a JPEG XL",
    b"\0\0\0\x0cJXL ": "a JPEG XL", b"v/1\x01": "an OpenEXR", b"#?RADIANCE": "an HDR", b"II\xbc": "a JPEG XR",
    b"%PDF": "a PDF", b"<svg": "an SVG", b"\x89HDF": "an HDF5", b"SIMPLE  =": "a FITS",
    b"DICM": "a DICOM",
}  # fmt: skip
"""First bytes of well-known kinds that are not read (HEIC: bytes 4 on, DICOM: 128 on) -> "an X file"."""
GIF = (b"GIF87a", b"GIF89a")
HEAD = 26
"""Bytes of a file that tell whether it may have a table."""


def decode(path: Path, data: bytes, ids: bool, lossy: bool, alpha: bool = False) -> NDArray:
    """Decode a file of one picture.

    Args:
        path: to name it in errors.
        data: the file.
        ids: give the numbers that are stored and not what they show.
        lossy: take compression that changes values.
        alpha: give that of a PNG file too, as the last channel.

    Returns:
        (H, W), or (H, W, 3) RGB, turned as EXIF says; of an array (H, W, C).

    Raises:
        InputError: the file is damaged, of a kind that is not read, or its compression changes values.
    """
    try:
        if data[:8] == SIGNATURE:
            return read_png(data, ids, alpha)
        if data[:2] == b"BM" or data[:6] in GIF:
            stored, table = read_gif(data) if data[:6] in GIF else read_bmp(data)
            return stored if ids or table is None else table[stored]
        if data[:2] in (b"P2", b"P3", b"P5", b"P6") and data[2:3].isspace():
            return read_pnm(data)
        if data[:2] == b"\xff\xd8":
            if not lossy:
                raise lossy_refused(path, "a JPEG file")
            return read_jpeg(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            image, loses = read_webp(data)
            if loses and not lossy:
                raise lossy_refused(path, "a lossy WebP file")
            return image
        if data[:12] == b"\0\0\0\x0cjP  \r\n\x87\n":
            if not lossy:
                raise lossy_refused(path, "a JPEG 2000 file")
            return read_jp2(data)
        if data[:6] == NPY:
            return read_npy(data)
        if data[:4] in ZIP:
            return read_npz(data)
        raise _unknown(data)
    except Unread as error:
        raise InputError(f"{path} {error}.", path) from error
    except InputError:
        raise
    except MemoryError as error:
        raise beyond_memory(path, len(data), error) from error
    except ValueError as error:
        raise InputError(
            f"{path} ({len(data)} bytes) is not a complete picture: truncated, damaged or of another type "
            f"({error}). Copy it again or remove it.",
            path,
        ) from error


def may_have_table(head: bytes) -> bool:
    """Whether a file that begins with these `HEAD` bytes may have numbers that show others."""
    if head[:8] == SIGNATURE:
        return head[24:25] < b"\x08" or head[25:26] == b"\x03"  # bits, colour type
    return head[:2] == b"BM" or head[:6] in GIF


def table_of(data: bytes) -> NDArray[np.uint8] | None:
    """What the stored numbers of a file show: as `Png.shown` says it."""
    if data[:8] == SIGNATURE:
        return parse_png(data).shown
    if data[:2] == b"BM":
        return read_bmp(data)[1]
    return read_gif(data)[1] if data[:6] in GIF else None


def beyond_memory(path: Path, size: int, error: MemoryError) -> InputError:
    """What to say of a file of `size` bytes whose pixels do not fit, or that says so of itself and is damaged."""
    detail = f" ({error})" if str(error) else ""
    return InputError(
        f"{path} ({size} bytes) takes more memory than there is{detail}. If the picture is as large as that, store it "
        "as zarr or as a TIFF file with tiles, which are read part by part, or cut it; if it is not, copy it again.",
        path,
    )


class Lossy(InputError):
    """A mask lies in a file whose compression changes values."""


def lossy_refused(path: Path, kind: str) -> Lossy:
    """What is said of a mask in such a file."""
    return Lossy(
        f"{path} is {kind}, whose compression may change values at every edge: a mask in it has classes that nobody "
        "drew. Export masks as PNG, or take the nearest class with --mask-tolerance 442, which is any.",
        path,
    )


def _unknown(data: bytes) -> ValueError:
    for start, kind in OTHERS.items():
        if start in (data[: len(start)], data[4 : 4 + len(start)] if start == b"ftyp" else b"", data[128:132]):
            return Unread(f"is {kind} file, which is not read. Save it as PNG or TIFF")
    return Damage("its first bytes are those of no format that is read")
