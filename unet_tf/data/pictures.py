"""Picture files to arrays and back: PNG, JPEG, BMP, TIFF and its stacks, turned as their EXIF orientation says."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.tiff import PIXELS_PER_BYTE, count_planes, import_tifffile, is_tiff, quiet_opencv, read_plane
from unet_tf.errors import InputError
from unet_tf.utils.files import replacing

TIFF = (".tif", ".tiff")
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".jp2", ".gif", ".pgm", ".ppm", *TIFF)
"""What file names of pictures that are read end in, in lower case."""
UNREAD_SUFFIXES = tuple(
    [
        ".heic",
        ".heif",
        ".avif",
        ".jxl",
        ".jxr",
        ".j2k",
        ".jpf",
        ".jpx",
        ".j2c",
        ".jpc",
        ".pbm",
        ".pnm",
        ".pam",
        ".pfm",
        ".exr",
        ".hdr",
        ".tga",
        ".psd",
        ".psb",
        ".xcf",
        ".svg",
        ".ico",
        ".pcx",
        ".dng",
        ".cr2",
        ".cr3",
        ".nef",
        ".arw",
        ".orf",
        ".rw2",
        ".raf",
        ".svs",
        ".ndpi",
        ".mrxs",
        ".scn",
        ".bif",
        ".vms",
        ".czi",
        ".nd2",
        ".lif",
        ".lsm",
        ".vsi",
        ".oib",
        ".oif",
        ".stk",
        ".qptiff",
        ".dcm",
        ".dicom",
        ".nii",
        ".mha",
        ".mhd",
        ".nrrd",
        ".mrc",
        ".dm3",
        ".dm4",
        ".ims",
        ".h5",
        ".hdf5",
        ".npy",
        ".npz",
        ".mat",
        ".fits",
        ".ecw",
        ".sid",
        ".img",
        ".vrt",
        ".pdf",
        ".eps",
    ]
)
"""What file names of well-known kinds of picture that are not read end in, in lower case."""
LOSSLESS = (".png", ".bmp", *TIFF)


def read_image(path: str | Path, page: int = 0) -> NDArray:
    """Decode one picture.

    Args:
        path: PNG, JPEG, BMP or TIFF; 8 or 16 bit, or float TIFF.
        page: which picture of a TIFF stack, from 0.

    Returns:
        (H, W, 1) or (H, W, 3) RGB, of the file's own type. Alpha is dropped. A colour file whose channels are equal
        is grey. EXIF rotation is applied.

    Raises:
        InputError: the file is missing, empty, truncated or no picture, or holds values that are not finite.
    """
    image = _decode(Path(path), page)
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        count = np.count_nonzero(~np.isfinite(image))
        raise InputError(f"{path} holds {count} values that are not finite (NaN or infinite). Replace them.")
    return image[..., None] if image.ndim == 2 else image


def read_mask(path: str | Path, page: int = 0, ids: bool = False, allow_jpeg: bool = False) -> NDArray:
    """Decode one mask picture, with values as they are.

    Args:
        path: as for `read_image`.
        page: which picture of a TIFF stack, from 0.
        ids: of a picture with a colour table, return the indices and not the colours.
        allow_jpeg: read a JPEG file too.

    Returns:
        (H, W) grey values or indices, or (H, W, 3) RGB.

    Raises:
        InputError: as `read_image`; or the file is a JPEG.
    """
    path = Path(path)
    head = _bytes(path, 26)
    if head[:2] == b"\xff\xd8" and not allow_jpeg:
        raise InputError(
            f"{path} is a JPEG file, and JPEG changes values at every edge: a mask in it has classes that nobody drew. "
            "Export masks as PNG, or take the nearest class with --mask-tolerance 442, which is any."
        )
    if ids and not is_tiff(head) and (indices := _indices(path, _bytes(path))) is not None:
        return indices
    return _decode(path, page, colour_table=not ids)


def count_pages(path: str | Path) -> int:
    """Pictures in a file: the planes of a TIFF stack, 1 for every other file.

    Raises:
        InputError: the TIFF file is damaged, or its planes differ in size.
    """
    path = Path(path)
    return count_planes(path) if path.suffix.lower() in TIFF and is_tiff(_bytes(path, 4)) else 1


def write_picture(path: str | Path, picture: NDArray, colours: NDArray | None = None) -> None:
    """Encode a picture into a file whose name says the format, whole or not at all.

    Args:
        path: a name that ends in .png, .bmp, .tif or .tiff, which lose nothing.
        picture: (H, W) or (H, W, 1) grey, or (H, W, 3) RGB; uint8 or uint16.
        colours: (N, 3) uint8 RGB, N up to 256: makes a PNG or TIFF file of (H, W) uint8 indices with this colour table.

    Raises:
        InputError: the file cannot be written, or its name ends otherwise.
    """
    path = Path(path)
    if path.suffix.lower() not in LOSSLESS:
        raise InputError(f"Pictures are written as {', '.join(LOSSLESS)}, which lose nothing; received {path.name!r}.")
    if path.suffix.lower() in TIFF:
        write_stack(path, [picture[..., 0] if picture.shape[2:] == (1,) else picture], colours)
        return
    if picture.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path.suffix} holds 8 or 16 bit; received {picture.dtype} for {path}. Write it as .tif.")
    if colours is not None:
        from PIL import Image  # OpenCV writes no colour tables

        indexed = Image.fromarray(picture, "L")
        indexed.putpalette(colours.astype(np.uint8).tobytes())
        with replacing(path) as temporary:
            indexed.save(temporary, "PNG")
        return
    if picture.ndim == 3 and picture.shape[2] == 3:
        picture = picture[..., ::-1]
    encoded, data = cv2.imencode(path.suffix, picture)
    if not encoded:
        raise InputError(f"{path}: cannot encode {picture.dtype} {picture.shape} as {path.suffix}.")
    with replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())


def write_stack(path: str | Path, pictures: Iterable[NDArray], colours: NDArray | None = None) -> None:
    """Write (H, W) or (H, W, 3) RGB pictures of one size and type as the pages of a TIFF file, as `stack_writer`."""
    with stack_writer(path, colours) as add:
        for picture in pictures:
            add(picture)


@contextmanager
def stack_writer(path: str | Path, colours: NDArray | None = None) -> Iterator[Callable[[NDArray], None]]:
    """Yield a function that appends a page to a TIFF file; the file is there, whole, when the block ends well.

    Args:
        path: of the file.
        colours: as for `write_picture`.
    """
    tifffile = import_tifffile(Path(path))
    kind, table = "minisblack", None
    if colours is not None:
        kind, table = "palette", np.zeros((3, 256), np.uint16)
        table[:, : len(colours)] = colours.T.astype(np.uint16) * 257
    with replacing(path) as temporary, tifffile.TiffWriter(temporary) as writer:

        def add(picture: NDArray) -> None:
            shown = "rgb" if picture.ndim == 3 else kind
            # without metadata of its own the pages are one series
            writer.write(picture, photometric=shown, colormap=table, compression="zlib", metadata=None)

        yield add


def _bytes(path: Path, count: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(count)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check the path and its permissions.") from error
    if not data:
        raise InputError(f"{path} is empty (0 bytes). Copy it again or remove it.")
    return data


def _decode(path: Path, page: int, colour_table: bool = True) -> NDArray:
    """(H, W), or (H, W, 3) RGB where the channels differ."""
    if is_tiff(_bytes(path, 16)):  # a stack is not read whole for one of its pages
        image = read_plane(path, page, colour_table)
    elif page:
        raise InputError(f"{path} holds one picture; there is no page {page}.")
    else:
        image = _decode_bytes(path, _bytes(path))
        if image.ndim == 3:
            image = image[..., ::-1]  # OpenCV decodes to BGR
    if image.ndim == 3 and image.shape[2] in (2, 4):
        image = image[..., :-1]
    if image.ndim == 3 and (image.shape[2] == 1 or (image == image[..., :1]).all()):
        image = image[..., 0]
    return np.ascontiguousarray(image)


def _decode_bytes(path: Path, data: bytes) -> NDArray:
    """Grey or BGR at the file's depth, without alpha, turned as its EXIF orientation says."""
    png = data[:8] == b"\x89PNG\r\n\x1a\n"
    if png and b"IEND" not in data[-4096:]:
        raise _damaged(path, data)  # libpng would say so on stderr
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20)) if png else (0, 0)
    if width * height > PIXELS_PER_BYTE * len(data):
        raise InputError(
            f"{path} declares {height}x{width} px in {len(data)} bytes, which cannot hold them: it is damaged. "
            "Copy it again or remove it."
        )
    try:
        with quiet_opencv:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        image = None
    if image is None:
        raise _damaged(path, data)
    return image


def _damaged(path: Path, data: bytes) -> InputError:
    return InputError(
        f"{path} ({len(data)} bytes) is not a complete PNG, JPEG, BMP or TIFF picture: "
        "truncated, damaged or of another type. Copy it again or remove it."
    )


def _indices(path: Path, data: bytes) -> NDArray | None:
    """(H, W) indices of a PNG or BMP picture with a colour table; None if it has none."""
    if not (data[:2] == b"BM" or (data[:4] == b"\x89PNG" and data[25:26] == b"\x03")):
        return None
    from PIL import BmpImagePlugin, ImageOps, PngImagePlugin  # OpenCV gives the colours alone

    _decode_bytes(path, data)  # raises where the file is damaged
    reader = BmpImagePlugin.BmpImageFile if data[:2] == b"BM" else PngImagePlugin.PngImageFile
    with reader(io.BytesIO(data)) as picture:  # Image.open refuses more than 179 megapixels
        return np.array(ImageOps.exif_transpose(picture)) if picture.mode == "P" else None
