import numpy as np
import pytest

from unet_tf.data.drawing import INVENTED, MISSED
from unet_tf.evaluation.mistakes import MERGED, draw_mistakes, has_background, mistakes, shrink
from unet_tf.labels import VOID


def test_each_kind_by_hand():
    label = np.array([[0, 0, 1, 1, 2, VOID]], np.uint8)
    prediction = np.array([[0, 1, 0, 1, 1, 1]], np.uint8)
    assert mistakes(label, prediction).tolist() == [[0, 2, 1, 0, 3, 0]]
    assert mistakes(label, prediction, background=False).tolist() == [[0, 3, 3, 0, 3, 0]]


def test_a_bridge_between_two_objects_is_merged_and_a_rim_is_invented():
    label = np.zeros((9, 13), np.uint8)
    label[2:7, 1:6] = label[2:7, 7:12] = 1
    prediction = label.copy()
    prediction[4, 6] = 1  # the bridge
    prediction[1, 1:12] = 1  # a rim over both
    found = mistakes(label, prediction)
    assert found[4, 6] == MERGED
    assert (found[1, [1, 2, 3, 9, 10, 11]] == 2).all()


def test_what_touches_an_object_that_was_not_found_merges_nothing():
    label = np.zeros((5, 11), np.uint8)
    label[:, :5] = label[:, 6:] = 1
    prediction = np.zeros_like(label)
    prediction[:, :6] = 1  # the first object, and the line to the second, which is missed
    assert np.unique(mistakes(label, prediction)[:, 5]).tolist() == [2]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (300, 2)])
@pytest.mark.parametrize("of", [0, 1, VOID])
def test_empty_full_and_void_pictures(shape, of):
    label = np.full(shape, of, np.uint8)
    for prediction in (np.zeros(shape, np.uint8), np.ones(shape, np.uint8)):
        kind = 0 if of == VOID else 1 if of > prediction[0, 0] else 2 if of < prediction[0, 0] else 0
        assert (mistakes(label, prediction) == kind).all()


def test_a_line_of_one_pixel_is_still_seen_in_a_small_picture():
    found = np.zeros((40, 40), np.uint8)
    found[:, 17] = MERGED
    assert (shrink(found, 4) == MERGED).any(axis=1).all()
    assert shrink(found, 1) is not None


def test_mistakes_are_drawn_in_their_colours_over_grey():
    image = np.tile(np.arange(5, dtype=np.uint8)[None, :, None] * 50, (1, 1, 1))
    picture = draw_mistakes(image, np.array([[0, 1, 2, 0, 0]], np.uint8))
    assert [tuple(pixel) for pixel in picture[0, 1:3]] == [MISSED, INVENTED]
    assert len({*map(int, picture[0, 0])}) == 1
    assert 40 <= picture[0, 0, 0] < picture[0, 4, 0] <= 190


@pytest.mark.parametrize(
    ("classes", "there"),
    [(("a", "b"), True), (("Background", "a", "b"), True), (("sky", "a", "b"), False), (("a",), True)],
)
def test_what_lies_around_is_told_by_its_name(classes, there):
    assert has_background(classes) == there
