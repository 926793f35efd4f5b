"""What one pair shows the doctor, and which images show the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from unet_tf.data.drawing import overlay
from unet_tf.data.fingerprint import Fingerprint, examine
from unet_tf.data.folder import Decoded, Pair, check_sizes
from unet_tf.data.mask_looks import MaskLook, look_of
from unet_tf.data.mask_values import value_counts, whole_numbers
from unet_tf.data.masks import MaskFormat
from unet_tf.data.nodata import fill_nodata, nodata_pixels, nodata_samples, nodata_values
from unet_tf.data.pictures import is_varied, open_pictures
from unet_tf.errors import InputError, about
from unet_tf.labels import VOID
from unet_tf.planning.object_ids import IdFacts, id_facts

THUMBNAIL = 64
"""Side of the pictures by which copies are recognised, pixels."""


FAR = 10.0
"""A value is far from all others where it lies so many times the spread of 99 % of the other pixels away from them."""
CUSTOMARY = (-999.0, -9999.0, -99999.0, -999999.0, -28672.0, -32767.0, -32768.0)
"""Lowest values by which programs mean "no measurement", whether or not the file names it."""
APART = 0.1
"""How many times that spread such a value lies below all others: where numbers were cut off at it, others are near."""


BENDING = (
    f"with a value that lies more than {FAR:.0f} times the spread of 99% of the other pixels away from them, or "
    "below them all and is one by which programs mean no measurement (such as -9999), and that bends the "
    "normalisation; if it stands for no measurement, say so in the file (GDAL's tag 42113) or replace it"
)
"""Which images have `outliers`, and what to do."""
LEFT_OUT = (
    "with alpha that is not the same all over, which is left out; if it is a channel, save it as one, in TIFF "
    'files by tifffile with photometric="minisblack"; if it says where nothing was measured, give these pixels a value '
    "that the file names as nodata"
)
"""Which images have a file whose `Pictures.alpha` is varied, and what to do."""
SEEN_THROUGH = (
    "whose mask has alpha that is not the same all over, which is left out: what is transparent in part or as a whole "
    "counts as the value that it holds; save masks without transparency, and alpha that is the mask as grey"
)
"""Which pairs have a mask whose `Pictures.alpha` is varied, and what to do."""


COPIED = (
    "that show nothing but their masks: all pixels of one value in the mask have one value there; where both folders "
    "hold masks, put the images themselves into the one for images"
)
"""Which images are `copied`, and what to do."""
FIRST_LOOK = 4096
"""Pixels that mostly tell that an image shows more than its mask."""


class Outlier(NamedTuple):
    """A value far from all others of its image, and the share of the pixels that hold it."""

    value: float
    share: float

    def __str__(self) -> str:
        return f"{self.value:g} in {self.share:.2%}"


@dataclass
class Look:
    """What one pair shows: its fingerprint, or what is wrong with it.

    Attributes:
        fingerprint: of the decoded pair; None where the pair cannot be used.
        error: what is wrong with the pair; its `file` is the one at fault.
        colours: pixels of each mask colour (0xRRGGBB), where nothing says what they mean.
        objects: number of objects in an instance mask.
        ids: what tells whether it is one.
        void: number of void pixels.
        saturated: share of the image's pixels at its highest value.
        outliers: the lowest and the highest value where they are far from all others.
        unmeasured: number of pixels that hold no measurement.
        partly: of an 8-bit picture of colour, number of pixels of which some channels alone hold the value that its
            file names as "no measurement".
        mask: what the mask shows, where it holds class ids; without its pixels.
        counted: values that the mask's file names as nodata, and that are classes here.
        turned: the image is turned as its file says, and the mask, whose file does not say so, is not.
        white_is_zero: a file of the image is shown by others as the negative of what is read.
        alpha: a file of the image has alpha that is not the same all over.
        mask_alpha: the mask has.
        copied: the image shows nothing but its mask.
        thumbnail: (THUMBNAIL, THUMBNAIL) float32, to recognise copies; None for a constant image, or where none is
            wanted.
        picture: overlay, where one is wanted.
        lows: (C,) lowest measured value of each channel.
        highs: (C,) highest one.
    """

    fingerprint: Fingerprint | None = None
    error: InputError | None = None
    colours: dict[int, int] = field(default_factory=dict)
    objects: int = 0
    ids: IdFacts = IdFacts()  # noqa: RUF009 - a tuple
    void: int = 0
    saturated: float = 0.0
    outliers: Sequence[Outlier] = ()
    unmeasured: int = 0
    partly: int = 0
    mask: MaskLook | None = None
    counted: Sequence[float] = ()
    turned: bool = False
    white_is_zero: bool = False
    alpha: bool = False
    mask_alpha: bool = False
    copied: bool = False
    thumbnail: NDArray[np.float32] | None = None
    picture: NDArray[np.uint8] | None = None
    lows: NDArray = field(default_factory=lambda: np.zeros(0))
    highs: NDArray = field(default_factory=lambda: np.zeros(0))


class Case(NamedTuple):
    """A pair, the split that it is in, and what it shows."""

    split: str
    pair: Pair
    look: Look

    @property
    def name(self) -> str:
        """What to call the pair, whose own name may stand in several splits."""
        return f"{self.split}/{self.pair.name}"

    @property
    def known(self) -> Fingerprint:
        """The fingerprint, of a pair that can be used."""
        if self.look.fingerprint is None:
            raise ValueError(f"{self.name} has no fingerprint")
        return self.look.fingerprint

    @property
    def spread(self) -> float:
        """The standard deviation of the image, of its most varied channel."""
        return float(np.sqrt(self.known.variance.max()))


def look_at(pair: Pair, masks: MaskFormat | None, with_picture: bool, with_thumbnail: bool) -> Look:
    """Decode a pair and see what it shows; never raise for what is wrong with its files."""
    try:
        image, names, declared = pair.read()
        nodata = nodata_values(image, declared)
        with about(pair.image):
            opened_images = [open_pictures(file) for file in pair.files]
            alpha = any(is_varied(one.alpha(pair.page)) for one in opened_images)
            white = any(one.white_is_zero for one in opened_images)
        with about(pair.mask):
            ids, lossy = (False, True) if masks is None else (masks.ids, masks.tolerance > 0)
            opened = open_pictures(pair.mask)
            mask, own_alpha = opened.read_mask(pair.page, ids, lossy)
            check_sizes(pair, image, mask)
            turned = opened_images[0].orientation != 1 and opened.orientation == 1
            label = None if masks is None else masks.label(mask, str(pair.mask))
            of_ids = masks is not None and masks.kind == "index"
            shown_by = look_of(pair, whole_numbers(mask))._replace(mask=None) if of_ids else None
            named = () if mask.ndim == 3 else opened.nodata_ids if ids else opened.nodata
    except InputError as error:
        return Look(error=error)
    look = Look(turned=turned, white_is_zero=white, alpha=alpha, mask_alpha=is_varied(own_alpha), mask=shown_by)
    look.copied = is_copied(image, mask)
    if masks is None and mask.dtype == np.uint8:
        colours = mask if mask.ndim == 3 else np.repeat(mask[..., None], 3, axis=2)
        look.colours = value_counts(colours.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32))
    if masks is not None and masks.kind == "instance":
        look.objects = len(value_counts(mask).keys() - {0, *masks.void})
        look.ids = id_facts(mask, masks.void)
    if label is not None:
        look.counted = [value for value in named if (label[mask == value] != VOID).any()]
    shown = np.zeros(image.shape[:2], np.uint8) if label is None else label
    if nodata:
        gone = nodata_pixels(image, nodata)  # (H, W)
        if image.dtype == np.uint8 and image.shape[2] == 3:
            look.partly = int(nodata_samples(image, nodata).any(-1).sum() - gone.sum())
        shown, look.unmeasured = np.where(gone, np.uint8(VOID), shown), int(gone.sum())
    look.fingerprint = examine(
        Decoded(image, shown, None, nodata, names), masks.num_classes if masks is not None else 0
    )
    look.void = int((shown == VOID).sum()) - look.unmeasured
    image = fill_nodata(image, nodata) if nodata else image
    look.lows, look.highs = image.min((0, 1)), image.max((0, 1))
    look.saturated = float((image == image.max()).mean())
    look.outliers = outliers(image)
    look.thumbnail = _thumbnail(image) if with_thumbnail else None
    if with_picture:
        look.picture = overlay(image, shown, masks)
    return look


def is_copied(image: NDArray, mask: NDArray) -> bool:
    """Whether an image, (H, W, C), that is not the same all over shows nothing but its mask, (H, W) or (H, W, 3).

    Example:
        >>> mask = np.array([[0, 1, 2]], np.uint8)
        >>> is_copied(mask[..., None] * 80, mask), is_copied(np.array([[[5], [9], [7]]]), mask // 2)
        (True, False)
    """
    pixels = image.reshape(-1, image.shape[2])  # (N, C)
    values = mask.reshape(len(pixels), -1)  # (N, 1) or (N, 3)
    for step in (max(1, len(pixels) // FIRST_LOOK), 1):  # most images show in few pixels that they are none
        if step == 1 and (pixels == pixels[0]).all():
            return False
        some, shown = pixels[::step], _codes(values[::step])
        _, first, same = np.unique(shown, return_index=True, return_inverse=True)
        if not np.array_equal(some, some[first][same]):
            return False
    return True


def _codes(values: NDArray) -> NDArray:
    """One number for each row of one or three numbers, (N, 1) or (N, 3), where they are equal: (N,)."""
    if values.shape[1] == 1:
        return values[:, 0]
    bits, kind = (8, np.uint32) if values.dtype == np.uint8 else (16, np.int64)
    codes: NDArray[Any] = values[:, 0].astype(kind)
    for channel in (1, 2):
        codes = codes << bits | values[:, channel].astype(kind)
    return codes


def outliers(image: NDArray) -> list[Outlier]:
    """The lowest and the highest value, where a gap of `FAR` times the spread parts them from all others.

    Below them, a gap of `APART` times it is enough for a value that is `CUSTOMARY` and that several pixels hold.

    Args:
        image: (H, W, C), filled where it has no measurement.
    """
    low, high = image.min(), image.max()
    sample = image.ravel()[:: max(1, image.size // 100_000)]
    sample = sample[(sample != low) & (sample != high)]
    if not sample.size:
        return []
    spread = float(np.subtract(*np.percentile(sample.astype(np.float64), (99.5, 0.5))))
    gap = FAR * max(spread, 1e-6 * abs(float(high)))
    found = []
    for extreme, nearest in ((low, np.min), (high, np.max)):
        is_customary = nearest is np.min and float(low) in CUSTOMARY and np.count_nonzero(image == low) > 1
        least = APART * spread if is_customary else gap
        if abs(float(extreme) - float(nearest(sample))) > least:
            there = image == extreme
            if abs(float(extreme) - float(nearest(image[~there]))) > least:  # the sample may have missed some
                found.append(Outlier(float(extreme), float(there.mean())))
    return found


def _thumbnail(image: NDArray) -> NDArray[np.float32] | None:
    """A small grey picture of unit length, without the brightness that varies slowly over it."""
    grey = image.mean(-1, dtype=np.float32) if image.shape[2] > 1 else image[..., 0].astype(np.float32)
    small = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    detail = small - cv2.GaussianBlur(small, (0, 0), THUMBNAIL / 8, borderType=cv2.BORDER_REFLECT_101)
    length = float(np.linalg.norm(detail))
    return detail / length if length > 1e-3 * max(1e-6, float(np.abs(small).max())) else None
