"""What the numbers of a TIFF page show: grey, RGB, a colour table, CMYK or YCbCr, and nothing that is guessed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unet_tf.data.structure import Damage, Unread
from unet_tf.data.tiff_pages import Tag, TiffPage
from unet_tf.data.tiff_segments import CMYK, JPEG, RGB, YCBCR

TABLE = 3
SHOWN = {0: 1, 1: 1, RGB: 3, TABLE: 1, 4: 1, CMYK: 4, YCBCR: 3}
"""PhotometricInterpretation -> samples that make the colour; all further ones are alpha, or channels."""
NAMES = {8: "CIELab", 9: "ICCLab", 10: "ITULab", 32803: "of a colour filter array", 32844: "LogL", 32845: "LogLuv"}
ALPHA = (1, 2)
"""Values of the tag ExtraSamples that say alpha; 0 says nothing."""


def check_colour(page: TiffPage) -> None:
    """Refuse what is neither grey, RGB, CMYK, YCbCr nor has a colour table, or has more channels than these and alpha.

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
    if photometric in (CMYK, YCBCR) and (page.kind, page.bits) not in (
        ("u", 8),
        ("u", 16 if photometric == CMYK else 8),
    ):
        raise Unread(f"has CMYK or YCbCr of {page.bits} bits. Save it as RGB")
    factors = page.tags.get(Tag.YCBCR_SUBSAMPLING, np.array([2, 2]))
    if photometric == YCBCR and page.compression != JPEG and (factors != 1).any():
        raise Unread("is in YCbCr with fewer pixels of colour than of brightness. Save it as RGB")
    colour = SHOWN[photometric]
    extra = page.samples - colour
    if extra < 0:
        raise Damage(f"it declares {page.samples} samples, and its colours take {colour}")
    if extra and (extra > 1 or page.tags.get(Tag.EXTRA_SAMPLES, np.zeros(1)).tolist() not in ([1], [2])):
        raise channels_refused(page.samples, f"{colour} of colour, and {extra} not said to be alpha")
    if photometric == TABLE and (page.bits > 16 or len(page.tags.get(Tag.TABLE, ())) != 3 << page.bits):
        raise Damage(f"its colour table does not have 3 x 2^{page.bits} values")


def channels_refused(count: int, how: str) -> Unread:
    """What is said of a number of channels that no picture has."""
    return Unread(
        f"has {count} channels ({how}), and a picture must have 1 or 3 channels, or these and alpha. Save its channels "
        "as separate files, or as RGB; if they are the pages of a stack, save it as one, with tifffile by "
        'photometric="minisblack"'
    )


def shown(stored: NDArray, page: TiffPage, ids: bool) -> NDArray:
    """What stored numbers show, without alpha.

    Args:
        stored: (H, W, samples).
        page: that they are from.
        ids: leave indices of a colour table and grey below 8 bits as they are.

    Returns:
        (H, W) or (H, W, 3). Grey is as it is stored, where "white is zero" too: programs that write masks so mean the
        high value. Grey of 1, 2 and 4 bits is scaled to 0..255.
    """
    stored = stored[..., : SHOWN[page.photometric]]
    if page.photometric == TABLE and not ids:
        table = page.tags[Tag.TABLE].reshape(3, -1)
        # a table has 16 bits, unless all of it is below 256: some programs write 8 bits
        colours = (table >> 8 if table.max() > 255 else table).astype(np.uint8).T
        grey = (colours == colours[:, :1]).all()
        return colours[stored[..., 0], 0] if grey else colours[stored[..., 0]]
    if page.photometric == CMYK:
        most = np.uint32((1 << page.bits) - 1)
        light = most - stored.astype(np.uint32)
        return (light[..., :3] * light[..., 3:] // most).astype(stored.dtype)
    if page.photometric == YCBCR and page.compression != JPEG:
        return _rgb_of_ycbcr(stored, page)
    if stored.shape[2] == 1:
        return stored[..., 0] if ids or page.bits > 4 else stored[..., 0] * np.uint8(255 // ((1 << page.bits) - 1))
    return stored


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
