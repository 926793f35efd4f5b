"""What a run measured on its training images: checked when it is made, applied to pixels of one type."""

import numpy as np
import pytest

from unet_tf import Normalisation
from unet_tf.errors import InputError


def test_it_takes_sequences_and_types_of_numpy():
    found = Normalisation(np.float32([120, 90]), [40, 30], np.uint16, [7])
    assert found == Normalisation((120.0, 90.0), (40.0, 30.0), "uint16", (7,))
    assert [type(value) for value in (*found.mean, *found.std)] == [float] * 4
    assert Normalisation((1,), (1,), ">u2").dtype == "uint16"


@pytest.mark.parametrize(
    "arguments",
    [
        (120.0, 40.0, "uint8"),
        ((), (), "uint8"),
        ((1.0, 2.0), (1.0,), "uint8"),
        ((np.nan,), (1.0,), "uint8"),
        ((1.0,), (0.0,), "uint8"),
        ((1.0,), (-1.0,), "uint8"),
        ((1.0,), (np.inf,), "uint8"),
        (("a",), (1.0,), "uint8"),
        ((1.0,), (1.0,), "uint9"),
        ((1.0,), (1.0,), 8),
        ((1.0,), (1.0,), object),
        ((1.0,), (1.0,), "uint8", 7),
        ((1.0,), (1.0,), "uint8", "7"),
        ((1.0,), (1.0,), None),
        ((10**400,), (1.0,), "uint8"),
    ],
)
def test_what_feeds_no_net_is_refused(arguments):
    with pytest.raises(InputError, match="must have a finite mean and a std above 0 for each channel.*received"):
        Normalisation(*arguments)


def test_pixels_of_another_byte_order_are_the_same_pixels():
    known, image = Normalisation((300.0,), (50.0,), "uint16", (7,)), np.array([[[400], [7]]], np.uint16)
    np.testing.assert_array_equal(known.apply(image.astype(">u2")), known.apply(image))
    with pytest.raises(InputError, match="holds int16 pixels, and the net was trained on uint16"):
        known.apply(image.astype(np.int16))


def test_an_image_without_an_axis_of_channels_is_grey():
    known, image = Normalisation((120.0,), (40.0,), "uint8"), np.array([[120, 160], [80, 120]], np.uint8)
    # What can be sliced alone, as a zarr array.
    lazy = type("Lazy", (), {"shape": (2, 2), "dtype": image.dtype, "__getitem__": lambda _, window: image[window]})()
    for form in (image, image[..., None], lazy):
        np.testing.assert_array_equal(known.apply(form), [[[0], [1]], [[-1], [0]]])
    for wrong in (image[0], image[None, ..., None], image[:0]):
        with pytest.raises(InputError, match=r"must be \(H, W\) or \(H, W, C\) with a pixel at least; received \("):
            known.apply(wrong)


def test_grey_is_taken_for_rgb_and_not_for_other_channels():
    known = Normalisation((1.0, 2.0, 3.0), (1.0,) * 3, "uint8")
    grey, three = np.full((1, 1, 1), 5, np.uint8), np.full((1, 1, 3), 5, np.uint8)
    for given in (grey, three):
        np.testing.assert_array_equal(known.apply(given), [[[4, 3, 2]]])
    np.testing.assert_array_equal(known.apply(three, plain=False), [[[4, 3, 2]]])
    with pytest.raises(InputError, match=r"has 1 channels, .* on 3: an image must have as many\. .*\(channels\.read"):
        known.apply(grey, plain=False)
