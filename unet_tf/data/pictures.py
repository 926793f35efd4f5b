"""Picture files to arrays and back: PNG, JPEG, BMP, TIFF and its stacks, and others, turned as they are meant."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.decode import HEAD, decode, lossy_refused, may_have_table, table_of
from unet_tf.data.png import ALPHA, SIGNATURE, alpha_of_png, parse_png
from unet_tf.data.structure import orientation_of, turned
from unet_tf.data.tiff import TiffPictures, import_tifffile, is_tiff, open_tiff
from unet_tf.errors import InputError
from unet_tf.pages.words import many
from unet_tf.utils.files import replacing

BIG_TIFF = (".btf", ".tf2", ".tf8")
GEO_TIFF = (".gtif", ".gtiff", ".geotiff")
TIFF = (".tif", ".tiff", *BIG_TIFF, *GEO_TIFF)
ARRAYS = (".npy", ".npz")
RARE = (".apng", ".dib", ".jfi", ".jif", ".pjp", ".pjpeg", *BIG_TIFF, *GEO_TIFF)
"""Those of `SUFFIXES` beside which a picture called alike is the one that is meant."""
SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".jp2", ".gif", ".pgm", ".ppm", ".pnm", *ARRAYS,
    ".tif", ".tiff", *RARE,
)  # fmt: skip
"""What file names of pictures that are read end in, in lower case."""
UNREAD_SUFFIXES = (
    ".arw", ".avif", ".bif", ".cr2", ".cr3", ".czi", ".dcm", ".dicom", ".dm3", ".dm4", ".dng", ".dv",
    ".ecw", ".eps", ".exr", ".fits", ".h5", ".hdf5", ".hdr", ".heic", ".heif", ".ico", ".ics", ".ids", ".img",
    ".ims", ".isyntax", ".j2c", ".j2k", ".jpc", ".jpf", ".jpx", ".jxl", ".jxr", ".lif", ".lim", ".lsm", ".mat",
    ".mha", ".mhd", ".mrc", ".mrxs", ".nd2", ".ndpi", ".nef", ".nii", ".nrrd", ".oib", ".oif", ".oir", ".orf",
    ".pam", ".pbm", ".pcx", ".pdf", ".pfm", ".psb", ".psd", ".qptiff", ".r3d", ".raf", ".raw", ".rw2",
    ".scn", ".sid", ".stk", ".svg", ".svs", ".svslide", ".tga", ".vms", ".vmu", ".vrt",
    ".vsi", ".xcf", ".zvi",
)  # fmt: skip
"""What file names of well-known kinds of picture that are not read end in, in lower case."""
SELDOM = (
    ".adf", ".bil", ".bip", ".bsq", ".cin", ".dpx", ".flex", ".grd", ".heics", ".hgt", ".hif", ".jls", ".jph", ".jpm",
    ".mgz", ".mnc", ".mpo", ".nc", ".pct", ".ras", ".sgi", ".wdp",
)  # fmt: skip
"""What those of kinds end in that are not read either, and that make no folder one of pictures."""
IMAGE_TYPES = {"b1": "u1", "i1": "i2", "u4": "f8", "i4": "f8", "f2": "f4"}
"""Types of files -> the types of images that hold all their numbers."""
LOSSLESS = (".png", ".bmp", *TIFF)
CLASSIC = 2**32 - 2**25
"""Most bytes of the pixels of a TIFF file that counts them by 32 bits; larger ones are BigTIFF."""


@dataclass(frozen=True)
class Pictures:
    """The pictures of a file: one, or the pages of a TIFF stack, whose structure is read once and not once a page.

    Nothing stays open, so that threads and processes may share it.

    Attributes:
        path: of the file.
        tiff: what was parsed of a TIFF file; None for every other file.
    """

    path: Path
    tiff: TiffPictures | None

    def __len__(self) -> int:
        """How many pictures there are."""
        return 1 if self.tiff is None else len(self.tiff)

    @property
    def nodata(self) -> tuple[float, ...]:
        """The value that the file itself names as "no measurement", as it is shown; none if colours do not tell it."""
        return () if self.tiff is None else self.tiff.nodata

    @property
    def nodata_ids(self) -> tuple[float, ...]:
        """The same as it is stored."""
        return () if self.tiff is None else self.tiff.nodata_ids

    @property
    def white_is_zero(self) -> bool:
        """Whether a TIFF file says that it shows 0 as white (PhotometricInterpretation 0), and is read as it stores."""
        return self.tiff is not None and self.tiff.pages[0][0].photometric == 0

    @property
    def orientation(self) -> int:
        """How the file says that its pictures are to be turned, as `read` has turned them: 1 to 8 as in EXIF."""
        if self.tiff is not None:
            return self.tiff.pages[0][0].orientation
        head = _bytes(self.path, 8)
        if head == SIGNATURE:
            return parse_png(_bytes(self.path)).orientation
        from PIL import JpegImagePlugin, WebPImagePlugin

        reader: Any = {b"\xff\xd8": JpegImagePlugin.JpegImageFile, b"RI": WebPImagePlugin.WebPImageFile}.get(head[:2])
        try:  # an array, which says nothing, is not read for this; nor is XMP, which OpenCV does not know
            info = reader(io.BytesIO(_bytes(self.path))).info if reader else {}
            return orientation_of(info.get("exif", b""), like_opencv=True)
        except Exception:  # Pillow raises whatever it meets in damaged files, which then turn nothing
            return 1

    @property
    def axes(self) -> tuple[tuple[str, int], ...]:
        """Names and sizes of the axes that count pictures, slowest first; and "c", of channels that are pages each."""
        if self.tiff is None:
            return ()
        channels = len(self.tiff.pages[0])
        return (*self.tiff.axes, ("c", channels)) if channels > 1 else self.tiff.axes

    def read(self, page: int = 0, all_channels: bool = False) -> NDArray:
        """Decode one picture as an image: see `read_image`; with all channels, colour whose channels are equal too."""
        image = as_image(self._stored(page, ids=False, lossy=True, grey=not all_channels), self.path, self.nodata)
        if self.tiff is not None and not self.nodata:
            for value in self.nodata_ids:
                self._check_index(self.tiff.read(page, ids=True), value)
        return image

    def _check_index(self, indices: NDArray, value: float) -> None:
        """Raise InputError where indices are the one that stands for "no measurement": its colour may be of others."""
        if count := int(np.count_nonzero(indices == value)):
            raise InputError(
                f"Colours must tell where nothing was measured; {self.path} names the index {value:g} of its colour "
                f"table as nodata, and holds it in {many(count, 'pixel')}. Save it without a table, with a nodata "
                "value that no other pixel has; or, if it may count as a colour, take the name away (gdal_edit.py "
                "-unsetnodata). A map (predict --out NAME.tif) takes it as it is.",
                self.path,
            )

    def alpha(self, page: int = 0) -> NDArray:
        """(H, W, K) what is said to be alpha in a TIFF or PNG file, and `read` leaves out; K is 0 where nothing is."""
        if self.tiff is not None:
            return self.tiff.alpha(page)
        return alpha_of_png(_bytes(self.path)) if self._is_png_with_alpha else np.zeros((0, 0, 0), np.uint8)

    def table(self, page: int = 0) -> NDArray[np.uint8] | None:
        """What the stored numbers of a picture show: (N, 3) RGB of a colour table, (N,) grey; None: what they are."""
        if self.tiff is not None:
            return self.tiff.table(page)
        return table_of(_bytes(self.path)) if may_have_table(_bytes(self.path, HEAD)) else None

    @property
    def _is_png_with_alpha(self) -> bool:
        head = _bytes(self.path, 26)
        return head[:8] == SIGNATURE and head[25:] in ALPHA

    def channel_names(self, channels: int) -> tuple[str, ...]:
        """The names of so many channels, each "" where the file does not say it."""
        return ("",) * channels if self.tiff is None else self.tiff.channel_names(channels)

    def read_mask(self, page: int = 0, ids: bool = False, allow_jpeg: bool = False) -> tuple[NDArray, NDArray]:
        """Decode one picture as a mask, see the function `read_mask`; and its `alpha`, turned as the mask is."""
        mask = self._stored(page, ids, lossy=allow_jpeg, alpha=True)
        alpha = np.zeros((0, 0, 0), np.uint8)
        if self.tiff is not None:
            alpha = turned(self.tiff.alpha(page), self.orientation)
        elif self._is_png_with_alpha:
            mask, alpha = _plain(mask[..., :-1]), mask[..., -1:]
        if mask.dtype.kind == "c":
            raise InputError(
                f"A mask must hold real numbers; {self.path} holds {mask.dtype}. Save its real part.", self.path
            )
        if mask.ndim == 3 and mask.shape[2] != 3:
            raise InputError(
                f"A mask must be grey or RGB; {self.path} has {mask.shape[2]} channels. Save class ids in one channel.",
                self.path,
            )
        if is_varied(alpha):
            self._check_transparent(mask, alpha)
        return mask, alpha

    def _check_transparent(self, mask: NDArray, alpha: NDArray) -> None:
        """Raise InputError where transparent pixels of a mask hold several values: what was erased may be among them.

        Programs keep the colours of pixels that are erased; where nothing was, all hold one.
        """
        unseen = np.atleast_3d(mask)[(alpha == 0).any(-1)]  # (N, C)
        if (others := unseen[(unseen != unseen[:1]).any(-1)]).size:
            first, second = (", ".join(map(str, values.tolist())) for values in (unseen[0], others[0]))
            raise InputError(
                f"The transparent pixels of a mask must have one value, as others may have been erased; in {self.path} "
                f"{len(others)} of {len(unseen)} have another than the first, {second} and not {first}. Lay the "
                "background under what is drawn, and save it without transparency; if alpha is the mask, save it as "
                "grey.",
                self.path,
            )

    def _stored(self, page: int, ids: bool, lossy: bool, grey: bool = True, alpha: bool = False) -> NDArray:
        """(H, W), or (H, W, C); where three channels are equal, and grey is wanted then, (H, W).

        With alpha that of a PNG file is the last channel.
        """
        if self.tiff is not None:
            if self.tiff.lossy and not lossy:
                raise lossy_refused(self.path, "a TIFF file in JPEG compression")
            image = self.tiff.read(page, ids)
        elif page:
            raise InputError(f"{self.path} holds one picture; there is no page {page}.", self.path)
        else:
            image = decode(self.path, _bytes(self.path), ids, lossy, alpha)
        return _plain(image, grey)


def is_varied(alpha: NDArray) -> bool:
    """Whether alpha, as of `Pictures.alpha`, says something of some pixels: it is there and not the same all over."""
    return bool(alpha.size and (alpha != alpha.flat[0]).any())


def without_suffix(name: str) -> str:
    """The name of a picture without its suffix, where that is of a well-known kind of picture; the name itself else.

    Example:
        >>> without_suffix("x/a.JPG"), without_suffix("dose_0.5"), without_suffix(".png")
        ('x/a', 'dose_0.5', '.png')
    """
    stem, _, suffix = name.rpartition(".")
    known = f".{suffix.lower()}" in (*SUFFIXES, *UNREAD_SUFFIXES)
    return stem if known and stem and not stem.endswith("/") else name


def open_pictures(path: str | Path) -> Pictures:
    """Open a picture file to read its pages, of which there may be many.

    Args:
        path: a file of one of the formats in `SUFFIXES`.

    Example:
        >>> pictures = unet_tf.data.pictures.open_pictures("stack.tif")  # doctest: +SKIP
        >>> means = [pictures.read(page).mean() for page in range(len(pictures))]  # doctest: +SKIP

    Raises:
        InputError: the file is missing or empty, or a TIFF file whose structure is damaged.
    """
    path = Path(path)
    return Pictures(path, open_tiff(path) if is_tiff(_bytes(path, 16)) else None)


def read_image(path: str | Path, page: int = 0) -> NDArray:
    """Decode one picture.

    Grey of 1, 2 or 4 bits is scaled to 0..255, as it is shown, in every format. A colour table is looked up. CMYK and
    YCbCr become RGB, without their colour profile. A TIFF file in which "white is zero" gives its numbers as they are
    stored. JPEG 2000 is read as grey or RGB of 8 to 16 bits, and refused otherwise.

    Args:
        path: PNG, JPEG, BMP, TIFF, WebP, GIF (one picture), JPEG 2000, PGM or PPM; 8 or 16 bit, or numbers of any type
            in TIFF; or `.npy`, or `.npz` with one array, (H, W) or (H, W, C).
        page: which picture of a TIFF stack, from 0.

    Returns:
        (H, W, 1), (H, W, 3) RGB, or (H, W, C) of a TIFF file or array with other channels; uint8, uint16, int16,
        float32 or float64. What is of another type becomes the smallest of these that holds all its numbers: int8
        becomes int16, float16 float32, int32 and uint32 float64. What is said to be alpha is dropped; further samples
        that are not are channels. A file of three channels that are equal is grey. The orientation of EXIF or TIFF is
        applied.
        NaN or infinity in a file that names it as nodata becomes the lowest float32, which says the same.

    Raises:
        InputError: the file is missing, empty, damaged or no picture, does not tell channels from pages, or holds
            values that are not finite, complex or integers of 64 bits.
    """
    return open_pictures(path).read(page)


def read_mask(path: str | Path, page: int = 0, ids: bool = False, allow_jpeg: bool = False) -> NDArray:
    """Decode one mask picture.

    Args:
        path: PNG, BMP, TIFF or another format that keeps values.
        page: which picture of a TIFF stack, from 0.
        ids: give the numbers that are stored and not what they show: the indices of a colour table, and grey of 1, 2
            or 4 bits as it is (0 and 1, 0..3, 0..15) and not scaled to 0..255. The same in every format.
        allow_jpeg: read files too whose compression changes values: JPEG, lossy WebP, JPEG 2000.

    Returns:
        (H, W) grey values or indices, or (H, W, 3) RGB, of the type of the file.

    Raises:
        InputError: as `read_image` for files, colours and channels; or the compression changes values, or transparent
            pixels hold several.
    """
    return open_pictures(path).read_mask(page, ids, allow_jpeg)[0]


def count_pages(path: str | Path) -> int:
    """Pictures in a file: the planes of a TIFF stack, 1 for every other file.

    Raises:
        InputError: a TIFF file is damaged, its pages differ in size, or a .tif file cannot be read.
    """
    path = Path(path)
    try:
        return len(open_pictures(path))
    except InputError:
        if path.suffix.lower() in TIFF or is_tiff(_bytes(path, 4)):
            raise
        return 1  # whoever reads it says what is wrong


def image_type(dtype: np.dtype, path: Path) -> np.dtype:
    """The type that `read_image` gives of numbers of a type.

    Raises:
        InputError: they are complex, or integers of 64 bits.
    """
    if dtype.kind not in "buif" or dtype.itemsize > (4 if dtype.kind in "ui" else 8):
        raise InputError(
            f"An image must hold integers of up to 32 bits or floats of up to 64; {path} holds {dtype}. "
            "Save it as uint8, uint16 or float32.", path,
        )  # fmt: skip
    return np.dtype(IMAGE_TYPES.get(dtype.str[1:], dtype.newbyteorder("=")))


def as_image(image: NDArray, path: Path, nodata: Sequence[float]) -> NDArray:
    """(H, W, C) of one of the types that `read_image` gives; NaN that is nodata, as the lowest float32.

    Raises:
        InputError: the values are complex, integers of 64 bits, or not finite.
    """
    dtype = image_type(image.dtype, path)
    for value in nodata if image.dtype.kind == "f" else ():
        if not np.isfinite(value):
            gone = np.isnan(image) if np.isnan(value) else image == value
            image = np.where(gone, np.finfo(np.float32).min, image.astype(dtype))
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        count = np.count_nonzero(~np.isfinite(image))
        raise InputError(f"{path} holds {count} values that are not finite (NaN or infinite). Replace them.", path)
    image = image.astype(dtype, copy=False)
    return image[..., None] if image.ndim == 2 else image


def write_picture(path: str | Path, picture: NDArray, colours: NDArray | None = None) -> None:
    """Encode a picture into a file whose name says the format, whole or not at all.

    Args:
        path: a name that ends in .png, .bmp, .tif or another suffix of TIFF, which lose nothing.
        picture: (H, W) or (H, W, 1) grey, or (H, W, 3) RGB; uint8, or uint16 but for .bmp.
        colours: (N, 3) uint8 RGB, N up to 256: makes a PNG or TIFF file of (H, W) uint8 indices with this colour table.

    Raises:
        InputError: the file cannot be written, its name ends otherwise, or the format holds no such type or table.
    """
    with picture_writer(path, colours) as write:
        write(picture)


@contextmanager
def picture_writer(path: str | Path, colours: NDArray | None) -> Iterator[Callable[[NDArray], None]]:
    """Yield a function that writes a picture as `write_picture` does; the file is there when the block ends well."""
    path = Path(path)
    if path.suffix.lower() not in LOSSLESS:
        raise InputError(f"Pictures are written as {', '.join(LOSSLESS)}, which lose nothing; received {path.name!r}.")
    if path.suffix.lower() in TIFF:
        with stack_writer(path, colours) as add:
            yield lambda picture: add(picture[..., 0] if picture.shape[2:] == (1,) else picture)
        return
    with replacing(path) as temporary:

        def write(picture: NDArray) -> None:
            temporary.write_bytes(_encoded(path, picture, colours))

        yield write


def _encoded(path: Path, picture: NDArray, colours: NDArray | None) -> bytes:
    """The bytes of a PNG or BMP file of that name."""
    deep = path.suffix.lower() != ".bmp"  # there OpenCV would cut 16 bit to the largest of 8
    if picture.dtype not in ((np.uint8, np.uint16) if deep else (np.uint8,)):
        bits = "8 or 16 bit" if deep else "8 bit"
        raise InputError(f"{path.suffix} holds {bits}; received {picture.dtype} for {path}. Write it as .tif.")
    if colours is not None and not deep:
        raise InputError(f"Colour tables are written into .png and .tif; received one for {path}. Write it as .png.")
    if colours is not None:
        from PIL import Image  # OpenCV writes no colour tables

        indexed = Image.fromarray(picture, "L")
        indexed.putpalette(colours.astype(np.uint8).tobytes())
        content = io.BytesIO()
        indexed.save(content, "PNG")
        return content.getvalue()
    if picture.ndim == 3 and picture.shape[2] == 3:
        picture = picture[..., ::-1]
    encoded, data = cv2.imencode(path.suffix, picture)
    if not encoded:
        raise InputError(f"{path}: cannot encode {picture.dtype} {picture.shape} as {path.suffix}.")
    return data.tobytes()


def write_stack(path: str | Path, pictures: Sequence[NDArray]) -> None:
    """Write (H, W) or (H, W, 3) RGB pictures of one size and type as the pages of a TIFF file, as `stack_writer`."""
    with stack_writer(path, pages=len(pictures)) as add:
        for picture in pictures:
            add(picture)


@contextmanager
def stack_writer(
    path: str | Path, colours: NDArray | None = None, tags: Sequence[tuple] = (), pages: int = 1
) -> Iterator[Callable[[NDArray], None]]:
    """Yield a function that appends a page to a TIFF file; the file is there, whole, when the block ends well.

    Args:
        path: of the file.
        colours: (N, 3) uint8 RGB, N up to 256: makes pages of (H, W) uint8 indices with this colour table.
        tags: more of them, of each page or the first, as tifffile takes them.
        pages: how many there will be, one at least: with more than 4 GiB of pixels the file is BigTIFF.
    """
    tifffile = import_tifffile(Path(path))
    kind, table = "minisblack", None
    if colours is not None:
        kind, table = "palette", np.zeros((3, 256), np.uint16)
        table[:, : len(colours)] = colours.T.astype(np.uint16) * 257
    writer: Any = None
    with replacing(path) as temporary, ExitStack() as opened:

        def add(picture: NDArray) -> None:
            nonlocal writer
            if writer is None:
                is_big = pages * picture.nbytes > CLASSIC
                writer = opened.enter_context(tifffile.TiffWriter(temporary, bigtiff=is_big))
            shown = "rgb" if picture.ndim == 3 else kind
            # without metadata of its own the pages are one series
            options = {"colormap": table, "compression": "zlib", "metadata": None, "extratags": tags}
            writer.write(picture, photometric=shown, **options)

        yield add


def _plain(image: NDArray, grey: bool = True) -> NDArray:
    """(H, W) of one channel or, where grey is wanted then, of three that are equal; else (H, W, C) as it is."""
    of_one = image.ndim == 3 and image.shape[2] == 1
    of_three = grey and image.ndim == 3 and image.shape[2] == 3  # most end with a row
    if of_one or (of_three and all((part == part[..., :1]).all() for part in (image[:1], image))):
        image = image[..., 0]
    return np.ascontiguousarray(image)


def _bytes(path: Path, count: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(count)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}. Check the path and its permissions.", path
        ) from error
    if not data:
        raise InputError(f"{path} is empty (0 bytes). Copy it again or remove it.", path)
    return data
