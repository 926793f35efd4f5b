"""Arrays of NumPy as picture files: `.npy`, and `.npz` with one array, held against their length before all else."""

from __future__ import annotations

import io
import math
import zipfile
import zlib

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.structure import Damage, Unread
from unet_tf.data.tiff_colours import MOST_CHANNELS

NPY, ZIP = b"\x93NUMPY", (b"PK\x03\x04", b"PK\x05\x06")
"""First bytes of the two; those of a zip file with and without members."""
DEFLATE = 1040
"""Bytes that a byte of a zip file may unpack to: 1032 at most."""
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npy(data: bytes) -> NDArray:
    """The array of a `.npy` file, as a picture.

    Pickled objects are never loaded: they can run any program.

    Args:
        data: the file.

    Returns:
        (H, W) or (H, W, C), of the machine's byte order; bool becomes uint8.

    Raises:
        Damage: the file is cut off, or its header is none.
        Unread: it holds objects, or an array that is no picture.
    """
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        if version not in HEADERS:  # version 3 has names of fields, which no picture has
            raise Unread(f"is a NumPy file of version {version}, with named fields. Save one array of numbers")
        shape, fortran, dtype = HEADERS[version](file)
    except Unread:
        raise
    except Exception as error:  # NumPy raises whatever its parsers meet in a header that is none
        raise Damage(f"its header is not that of a NumPy array: {error}") from error
    check_shape(shape, dtype)
    count, start = math.prod(shape), file.tell()
    if count * dtype.itemsize > len(data) - start:
        raise Damage(f"it declares {shape} of {dtype}, and has {len(data) - start} bytes for them")
    array = np.frombuffer(data, dtype, count, start).reshape(shape, order="F" if fortran else "C")
    return array.astype(np.uint8 if dtype.kind == "b" else dtype.newbyteorder("="))  # a copy, which may be written to


def check_shape(shape: tuple[int, ...], dtype: np.dtype) -> None:
    """See that an array is a picture, whose channels are its last axis.

    Raises:
        Unread: it is none, or its channels seem to be its first axis.
    """
    if dtype.hasobject or dtype.kind not in "buifc":
        raise Unread(f"holds {dtype}, and a picture must hold numbers; objects (pickles) are not loaded")
    if len(shape) not in (2, 3) or not all(size > 0 for size in shape):
        raise Unread(
            f"holds an array of shape {shape}, and a picture must be (H, W) or (H, W, C) with a pixel at least"
        )
    if len(shape) == 3 and shape[2] > min(MOST_CHANNELS, shape[0]):
        raise Unread(
            f"holds an array of shape {shape}, and channels must be the last axis, (H, W, C): these would be "
            f"{shape[2]} channels of {shape[0]}x{shape[1]} px. If the first axis counts channels, save "
            "numpy.moveaxis(array, 0, -1); if it counts pictures, save each as a file, or all as a TIFF stack; if the "
            "last axis does count channels, save it as TIFF: tifffile.imwrite(NAME, array, photometric='minisblack', "
            "planarconfig='contig')"
        )


def read_npz(data: bytes) -> NDArray:
    """The array of a `.npz` file that holds one, as `read_npy` gives it.

    Raises:
        Damage: the file is cut off or damaged.
        Unread: it holds other than one array, or what `read_npy` refuses.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            if len(members) != 1 or not names[0].endswith(".npy"):
                few = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
                raise Unread(
                    f"is a zip file of {len(names)} members ({few}), and must hold one array. Save one in each"
                )
            if members[0].file_size > DEFLATE * len(data):
                raise Damage(f"it declares {members[0].file_size} bytes in {len(data)}, which cannot hold them")
            return read_npy(archive.read(members[0]))
    except (Damage, Unread):
        raise
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError, NotImplementedError, zlib.error) as error:
        raise Damage(f"it is no whole zip file: {error}") from error
