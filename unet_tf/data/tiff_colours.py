"""What the numbers of a TIFF page show: channels, grey, RGB, a colour table, CMYK or YCbCr, and nothing guessed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.structure import Damage, Unread
from unet_tf.data.tiff_pages import Tag, TiffPage
from unet_tf.data.tiff_segments import CMYK, JPEG, RGB, YCBCR

TABLE = 3
SHOWN = {0: 1, 1: 1, RGB: 3, TABLE: 1, 4: 1, CMYK: 4, YCBCR: 3}
"""PhotometricInterpretation -> samples that make the colour; all further ones are channels, or said to be alpha."""
NAMES = {8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "of a colour filter array", 32844: "LogL", 32845: "LogLuv"}
ALPHA = (1, 2)
"""Values of the tag ExtraSamples that say alpha; 0 says nothing, and such a sample is a channel."""
MOST_CHANNELS = 1024
"""More than spectral cameras have: a file that says so is another thing than a picture."""


def check_colour(page: TiffPage) -> None:
    """Refuse what is neither grey, RGB, CMYK, YCbCr nor has a colour table, whatever channels it has beside these.

    Raises:
        Damage: samples or colour table are too few.
        Unread: any other reason, by name.
    """
    photometric = page.photometric
    if photometric not in SHOWN:
        name = NAMES.get(photometric, f"with number {photometric}")
        raise Unread(
            f"is in the colour space {name}, and TIFF must be grey, RGB, CMYK or YCbCr, or have a colour table. "
            "Save it as RGB"
        )
    if page.bits < 8 and SHOWN[photometric] > 1:
        raise Unread(f"has colours of {page.bits} bits. Save it with 8 or 16 bits")
    if photometric == CMYK and page.number(Tag.INK_SET, 1) != 1:
        raise Unread("is in inks other than CMYK. Save it as RGB")
    if photometric in (CMYK, YCBCR) and (page.kind != "u" or page.bits not in {8, 16 if photometric == CMYK else 8}):
        raise Unread(f"has CMYK or YCbCr of {page.bits} bits. Save it as RGB")
    factors = page.tags.get(Tag.YCBCR_SUBSAMPLING, np.array([2, 2]))
    if photometric == YCBCR and not _is_rgb_by_jpeg(page) and (factors != 1).any():
        raise Unread("is in YCbCr with fewer pixels of colour than of brightness. Save it as RGB")
    colour = SHOWN[photometric]
    extra = page.samples - colour
    if extra < 0:
        raise Damage(f"it declares {page.samples} samples, and its colours take {colour}")
    kept = len(kept_samples(page))
    if kept > colour and photometric in (TABLE, YCBCR):
        raise Unread(f"has {kept - colour} channels beside a colour table or YCbCr. Save its channels as they are")
    if kept > 1 and page.bits < 8:
        raise Unread(f"has {kept} channels of {page.bits} bits. Save it with 8 or 16 bits")
    check_count(kept)
    if photometric == TABLE and (page.bits > 16 or len(page.tags.get(Tag.TABLE, ())) != 3 << page.bits):
        raise Damage(f"its colour table does not have 3 x 2^{page.bits} values")


def kept_samples(page: TiffPage) -> list[int]:
    """Numbers of the samples that are no alpha: those of the colour, and further ones that are not said to be alpha."""
    said = page.tags.get(Tag.EXTRA_SAMPLES, np.zeros(0, int)).tolist()
    colour = SHOWN[page.photometric]
    further = range(colour, page.samples)
    return [*range(colour), *(n for n in further if not {*said[n - colour : n - colour + 1]} & {*ALPHA})]


def alpha_samples(page: TiffPage) -> list[int]:
    """Numbers of the other samples: those that are said to be alpha."""
    return sorted({*range(page.samples)} - {*kept_samples(page)})


def check_count(channels: int) -> None:
    """Refuse more channels than a picture may have.

    Raises:
        Unread: there are more.
    """
    if channels > MOST_CHANNELS:
        raise Unread(
            f"has {channels} channels, and a picture may have {MOST_CHANNELS}. If they are the pages of a stack, save "
            'it as one, with tifffile by photometric="minisblack"'
        )


class NotPlain(Unread):
    """A file does not tell channels from pages or alpha, whoever reads it."""


def channels_refused(count: int, how: str) -> NotPlain:
    """What is said where a file does not tell channels from pages or alpha."""
    return NotPlain(
        f"has {count} channels ({how}), and it must be plain which they are. Save them with tifffile by "
        'photometric="minisblack": channels as the last axis with planarconfig="contig", pages as the first one with '
        'metadata={"axes": "ZYX"}'
    )


def shown(stored: NDArray, page: TiffPage, ids: bool) -> NDArray:
    """What stored numbers show: without what is said to be alpha, and with all other channels as they are stored.

    Args:
        stored: (H, W, samples).
        page: that they are from.
        ids: leave indices of a colour table and grey below 8 bits as they are.

    Returns:
        (H, W) or (H, W, C): RGB, or the channels of the file. Grey is as it is stored, where "white is zero" too:
        programs that write masks so mean the high value. Grey of 1, 2 and 4 bits is scaled to 0..255.
    """
    if (kept := kept_samples(page)) != [*range(stored.shape[-1])]:
        stored = stored[..., kept]
    if not ids and (table := table_of(page)) is not None:
        grey = table.ndim == 2 and (table == table[:, :1]).all()
        return (table[:, 0] if grey else table)[stored[..., 0]]
    if page.photometric == CMYK:
        most = np.uint32((1 << page.bits) - 1)
        light = most - stored.astype(np.uint32)
        colours = (light[..., :3] * light[..., 3:4] // most).astype(stored.dtype)
        return np.dstack([colours, stored[..., SHOWN[CMYK] :]])
    if page.photometric == YCBCR and not _is_rgb_by_jpeg(page):
        return _rgb_of_ycbcr(stored, page)
    return stored[..., 0] if stored.shape[2] == 1 else stored


def table_of(page: TiffPage) -> NDArray[np.uint8] | None:
    """What stored numbers show: (N, 3) RGB of a colour table, (N,) grey of 1, 2 or 4 bits; None: what they are."""
    if page.photometric == TABLE:
        return colours_of_table(page.tags[Tag.TABLE])
    return None if page.bits not in (1, 2, 4) else np.linspace(0, 255, 1 << page.bits, dtype=np.uint8)


def nodata_shown(page: TiffPage) -> tuple[float, ...]:
    """The value that a page names as "no measurement", as `shown` gives it.

    None where it is an index of a table, unless that one shows a grey which is in no channel of any other index.
    """
    if page.photometric != TABLE:
        return tuple(value * step_of(page.bits) for value in page.nodata)
    colours = colours_of_table(page.tags[Tag.TABLE])
    own, others = (colours[np.isin(np.arange(len(colours)), page.nodata, invert=other)] for other in (False, True))
    return tuple(float(one[0]) for one in own if (one == one[0]).all() and not (others == one[0]).any())


def colours_of_table(values: NDArray) -> NDArray[np.uint8]:
    """(N, 3) RGB of the 3 x N values of a colour table, the red ones first."""
    table = np.asarray(values).reshape(3, -1)
    # a table has 16 bits, unless all of it is below 256: some programs write 8 bits
    return (table >> 8 if table.max() > 255 else table).astype(np.uint8).T


def step_of(bits: int) -> int:
    """Between neighbouring grey values that are shown, of 1, 2 and 4 bits, from 0 to 255; 1 of more bits."""
    return 255 // ((1 << bits) - 1) if bits in (1, 2, 4) else 1


def _is_rgb_by_jpeg(page: TiffPage) -> bool:
    """Whether JPEG made RGB of YCbCr: it does where the three are one picture, and planes are pictures of their own."""
    return page.compression == JPEG and not page.planar


def _rgb_of_ycbcr(stored: NDArray, page: TiffPage) -> NDArray:
    """RGB of brightness and two differences of colour.

    Reference:
        TIFF Revision 6.0, section 21.
    """
    red, green, blue = page.tags.get(Tag.YCBCR_FACTORS, np.array([0.299, 0.587, 0.114])).astype(float)[:3]
    limits = page.tags.get(Tag.YCBCR_REFERENCE, np.array([0, 255, 128, 255, 128, 255])).astype(float)
    zero, full = limits[0:6:2], limits[1:6:2]
    y, cb, cr = np.moveaxis((stored - zero) * np.array([255, 127, 127]) / np.maximum(full - zero, 1), -1, 0)
    r, b = y + cr * (2 - 2 * red), y + cb * (2 - 2 * blue)
    return np.dstack([r, (y - red * r - blue * b) / green, b]).round().clip(0, 255).astype(np.uint8)
