"""Masks in colours with soft edges."""

import cv2
import numpy as np
import pytest

from unet_tf.data.masks import MaskFormat
from unet_tf.labels import VOID

BLACK_WHITE_GREY = ((0, 0, 0), (255, 255, 255), (128, 128, 128))
STREETS = ((128, 64, 128), (128, 0, 0), (0, 128, 0), (64, 0, 128), (192, 128, 64))


def discs(number, side=384, seed=1, radius=(20, 40)):
    """(side, side) class ids: discs of the classes 1 to number - 1 over class 0."""
    label, rng = np.zeros((side, side), np.uint8), np.random.default_rng(seed)
    for i in range(12):
        centre = tuple(int(v) for v in rng.integers(0, side, 2))
        cv2.circle(label, centre, int(rng.integers(*radius)), 1 + i % (number - 1), -1)
    return label


def drawn(label, colours):
    return np.array(colours, np.uint8)[label]


def smaller(mask):
    return cv2.resize(mask, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)


def blurred(sigma):
    return lambda mask: cv2.GaussianBlur(mask, (0, 0), sigma)


def jpeg(quality):
    return lambda mask: cv2.imdecode(cv2.imencode(".jpg", mask, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)


def bilinear(mask):
    return cv2.resize(mask, (300, 300), interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("tolerance", [111, 442])
@pytest.mark.parametrize("soften", [smaller, blurred(1), blurred(2), blurred(4), bilinear, jpeg(90), jpeg(50)])
def test_grey_between_black_and_white_is_none_of_the_class_grey(soften, tolerance):
    label = discs(2)
    mask = soften(drawn(label, BLACK_WHITE_GREY))
    assert len(np.unique(mask)) > 8
    found = MaskFormat("palette", 3, BLACK_WHITE_GREY, tolerance=tolerance).label(mask)
    assert set(np.unique(found)) <= {0, 1, VOID}
    assert set(np.unique(found)) >= {0, 1}
    sure = smaller(drawn(label, BLACK_WHITE_GREY))[..., 0] if soften is smaller else None
    if sure is not None:
        np.testing.assert_array_equal(found[sure == 255], 1)
        np.testing.assert_array_equal(found[sure == 0], 0)


@pytest.mark.parametrize("soften", [smaller, blurred(1), jpeg(90)])
def test_a_third_class_that_is_there_keeps_its_area_and_gives_nothing_to_the_rims_of_others(soften):
    label = discs(2)
    label[:100] = 0
    label[10:80, 20:360] = 2
    found = MaskFormat("palette", 3, BLACK_WHITE_GREY, tolerance=442).label(soften(drawn(label, BLACK_WHITE_GREY)))
    scale = len(label) // len(found)
    area = (label == 2).sum() / scale**2
    assert 0.9 * area < (found == 2).sum() < 1.1 * area
    assert not (found[100 // scale :] == 2).any()


@pytest.mark.parametrize("soften", [blurred(1.5), jpeg(95), jpeg(75)])
def test_no_colour_on_the_way_between_two_others_appears(soften):
    """Between dark red and green lies nothing; black, the void colour, is the nearest of many mixtures."""
    label = discs(5)
    masks = MaskFormat("palette", 5, STREETS, void=((0, 0, 0),), tolerance=442)
    found = masks.label(soften(drawn(label, STREETS)))
    assert (found != label).mean() < 0.02
    assert not (found == VOID).any()


def test_a_pixel_far_from_the_one_class_around_it_is_void():
    mask = np.zeros((40, 40, 3), np.uint8)
    mask[20, 10:30] = 180  # a thin line that is nowhere white
    found = MaskFormat("palette", 3, BLACK_WHITE_GREY, tolerance=130).label(mask)
    assert set(np.unique(found[20, 10:30])) == {VOID}
    assert not found[np.arange(40) != 20].any()


def test_thin_hard_lines_of_a_colour_that_is_no_mixture_stay():
    mask = smaller(drawn(discs(2), BLACK_WHITE_GREY))
    mask[5] = 255
    mask[90, 3:60] = (0, 0, 255)
    masks = MaskFormat("palette", 4, (*BLACK_WHITE_GREY, (0, 0, 255)), tolerance=442)
    found = masks.label(mask)
    assert (found[5] == 1).all()
    assert (found[90, 3:60] == 3).all()


def test_flat_areas_of_another_colour_take_the_nearest():
    mask = np.zeros((40, 40, 3), np.uint8)
    mask[10:30, 10:30] = (120, 130, 120)
    found = MaskFormat("palette", 3, BLACK_WHITE_GREY, tolerance=20).label(mask)
    assert (found[10:30, 10:30] == 2).all()
    assert (found == 2).sum() == 400


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2)])
def test_masks_smaller_than_their_surroundings_are_read(shape):
    found = MaskFormat("palette", 3, BLACK_WHITE_GREY, tolerance=442).label(np.full((*shape, 3), 100, np.uint8))
    assert found.shape == shape
    assert (found == 2).all()


def test_two_colours_share_what_lies_between_them():
    mask = np.repeat(np.array([[0, 100, 127, 128, 200, 255]], np.uint8)[..., None], 3, axis=2)
    assert MaskFormat("palette", 2, BLACK_WHITE_GREY[:2], tolerance=442).label(mask).tolist() == [[0, 0, 0, 1, 1, 1]]
