"""Masks whose ids were interpolated, and those that only look so."""

import cv2
import numpy as np
import pytest

from unet_tf import check
from unet_tf.data.instances import label_from_instances
from unet_tf.data.pictures import write_picture
from unet_tf.planning.rims import doubt_of_rims, rims_of

NAMES = ("background", "a", "b")


def discs(number):
    """(96, 96) ids of six discs."""
    rng, ids = np.random.default_rng(number), np.zeros((96, 96), np.uint8)
    for place in range(6):
        centre = 16 + 32 * (place % 3) + int(rng.integers(-3, 4)), 24 + 48 * (place // 3)
        cv2.circle(ids, centre, int(rng.integers(8, 12)), place + 1, -1)
    return ids


def classes(number):
    """The same of two classes, in turn."""
    ids = discs(number)
    return np.where(ids > 0, 1 + ids % 2, 0).astype(np.uint8)


def enlarged(label, factor, how=cv2.INTER_LINEAR):
    return cv2.resize(label, None, fx=factor, fy=factor, interpolation=how)


def bordered(number, width):
    """The discs as class 2, their rim as class 1, and discs of a rim alone."""
    label = np.uint8([0, 2, 1])[label_from_instances(discs(number), width)]
    cv2.circle(label, (4, 4), 2 * width, 1, -1)
    return label


def doubt(labels):
    return doubt_of_rims([rims_of(label, 3) for label in labels], NAMES)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_ids_that_were_interpolated_are_said(factor):
    words = doubt(enlarged(classes(number), factor) for number in range(3))
    assert "9 rims of a between background and b, one or two pixels wide, while these touch nowhere" in words


@pytest.mark.parametrize(
    "label",
    [
        classes,
        lambda number: enlarged(classes(number), 2, cv2.INTER_NEAREST),
        lambda number: bordered(number, 1),
        lambda number: bordered(number, 2),
        lambda number: bordered(number, 3),
        lambda number: np.where(discs(number) > 0, np.uint8(2), np.uint8(0)),
        lambda number: np.full((9, 9), 255, np.uint8),
    ],
)
def test_masks_as_they_are_drawn_are_not(label):
    assert doubt(map(label, range(6))) == ""


def test_void_has_no_contacts():
    found = rims_of(np.array([[0, 255, 2, 255, 1]], np.uint8), 3)
    assert (found.contacts, found.far) == (0, 0)


@pytest.mark.parametrize("how", [cv2.INTER_LINEAR, cv2.INTER_NEAREST])
def test_check_warns_of_them(tmp_path, how):
    for number in range(4):
        image = np.random.default_rng(number).integers(0, 200, (192, 192), np.uint8)
        write_picture(tmp_path / "images" / f"{number}.png", image)
        write_picture(tmp_path / "masks" / f"{number}.png", enlarged(classes(number), 2, how))
    said = check(tmp_path, classes=3).warnings
    assert [words.startswith("Masks seem to be resized with interpolation") for words in said] == (
        [True] if how == cv2.INTER_LINEAR else []
    )
