import math

import cv2
import numpy as np
import pytest
from skimage.morphology import thin

from unet_tf.evaluation.boundary import boundary_counts
from unet_tf.evaluation.metrics import confusion_matrix
from unet_tf.evaluation.thin import LOOK, MOST_BODY, Shape, ThinSums, cldice
from unet_tf.labels import VOID


def sums_of(*files):
    """The sums of pairs of label and prediction of two classes."""
    sums = ThinSums(2)
    for label, prediction in files:
        add(sums, label, prediction)
    return sums


def counts_of(true, found):
    return sums_of((true.astype(np.uint8), found.astype(np.uint8))).counts[1]


def add(sums, label, prediction):
    sums.add(label, prediction, confusion_matrix(label, prediction, 2), boundary_counts(label, prediction, 2)[3])


def cross(width, side=128):
    """(side, side) two bars that cross, of class 1."""
    label, middle = np.zeros((side, side), np.uint8), side // 2
    label[middle : middle + width, 4:-4] = label[4:-4, middle : middle + width] = 1
    return label


def test_a_picture_of_nine_pixels_by_hand():
    true = np.array([[0, 0, 0], [1, 1, 1], [0, 0, 0]]) > 0  # its skeleton is itself: 3 pixels
    found = np.array([[0, 0, 1], [1, 1, 0], [0, 0, 0]]) > 0  # and so is this one: 2 of its 3 lie in the other
    assert counts_of(true, found).tolist() == [2, 3, 2, 3]
    # P = 2/3, S = 2/3: 2 P S / (P + S) = 2/3
    assert cldice([2, 3, 2, 3]) == pytest.approx((2 / 3, 2 / 3, 2 / 3))


def test_a_wide_line_that_is_found_narrow_is_found_whole():
    true = cross(5) > 0
    narrow = thin(true)
    assert cldice(counts_of(true, narrow)).cldice == 1
    # a gap costs the skeleton's pixels in it, and no more
    narrow[:, 20:30] = False
    inside, drawn, found, lines = counts_of(true, narrow)
    assert (inside, lines - found) == (drawn, 10)


def test_what_one_has_alone_scores_nothing_and_what_none_has_does_not_exist():
    line, nothing = np.eye(5) > 0, np.zeros((5, 5), bool)
    assert cldice(counts_of(line, nothing)).cldice == 0
    assert cldice(counts_of(nothing, line)).cldice == 0
    assert cldice(counts_of(line, line[::-1].copy() & ~line)).cldice == 0
    assert math.isnan(cldice(counts_of(nothing, nothing)).cldice)


def test_lines_are_thin_and_what_is_around_them_is_not():
    label = cross(5)
    found = sums_of((label, label)).of_classes(("rest", "cross"))
    assert list(found) == ["cross"]
    scores, shape = found["cross"]
    assert scores.cldice == 1
    assert 5 < shape.width < 6
    assert shape.length == pytest.approx(2 * 120 - 1, abs=20)
    assert str(shape).startswith("5.")


def test_bands_specks_and_short_pieces_are_not():
    specks = np.zeros((128, 128), np.uint8)
    specks[::4, ::4] = 1
    dashes = np.zeros((128, 128), np.uint8)
    dashes[::8, :20] = dashes[1::8, :20] = dashes[::8, 50:70] = 1
    for label in (cross(25), specks, dashes):
        assert "x" not in sums_of((label, label)).of_classes(("rest", "x"))
    assert "x" in sums_of((np.maximum(specks, cross(5)),) * 2).of_classes(("rest", "x"))  # specks do not hide lines


def test_a_shape_is_thin_up_to_ten_pixels_and_from_twenty_widths_on():
    assert Shape(10, 200).thin
    assert Shape(10, 200, 0.22).thin and not Shape(10, 200, 0.23).thin
    assert not Shape(10.1, 500).thin
    assert not Shape(10, 199).thin


def star(arms, outer=60, inner=15):
    angles = np.arange(2 * arms) * np.pi / arms
    radii = np.where(np.arange(2 * arms) % 2, inner, outer)
    points = np.column_stack([64 + radii * np.cos(angles), 64 + radii * np.sin(angles)])
    return cv2.fillPoly(np.zeros((128, 128), np.uint8), [points.round().astype(np.int32)], 1)


@pytest.mark.parametrize(("arms", "inner"), [(5, 15), (8, 12), (12, 12), (12, 20)])
def test_stars_with_bodies_are_no_lines(arms, inner):
    label = star(arms, inner=inner)
    sums = sums_of((label, label))
    assert sums.shape(1).length > 10 * sums.shape(1).width
    assert sums.shape(1).body > MOST_BODY
    assert "star" not in sums.of_classes(("rest", "star"))


def test_wide_classes_cost_no_skeleton(monkeypatch):
    from unet_tf.evaluation import thin as module

    drawn = []
    monkeypatch.setattr(module, "skeleton", lambda region: drawn.append(region.shape) or thin(region))
    square = np.zeros((128, 128), np.uint8)
    square[8:120, 8:120] = 1
    sums_of((square, square))
    assert len(drawn) == 2  # of what is around it: a frame of 8 px
    drawn.clear()
    short = np.zeros((128, 128), np.uint8)
    short[4:8, 4:20] = 1
    sums = sums_of(*[(short, short)] * (LOOK + 3))
    assert (sums.looked_at, len(drawn)) == ([0], 2 * LOOK)  # what is around it is wide


def test_a_file_that_shows_no_line_hides_none_of_others_wherever_it_comes():
    line, whole = (cross(3), cross(3)), (np.ones((128, 128), np.uint8),) * 2
    alone = sums_of(*[line] * 7).of_classes(("rest", "cross"))["cross"]
    for place in (0, 3, 7):
        files = [line] * 7
        files.insert(place, whole)
        sums = sums_of(*files, line)
        assert (sums.files[1], sums.wide[1]) == (LOOK + 1, 1)
        scores, shape = sums.of_classes(("rest", "cross"))["cross"]
        assert (scores, shape._replace(files=None)) == alone  # of equal lines a mean is that of each
        assert str(shape) == f"{alone[1]} in {LOOK} of {LOOK + 1} files, as it is an area in the others"
        parts = sums_of(*files[:2]) + sums_of(*files[2:5]) + sums_of(*files[5:], line)
        np.testing.assert_array_equal(parts.counts, sums.counts)
        assert parts.of_classes(("rest", "cross")) == sums.of_classes(("rest", "cross"))


def test_a_class_of_which_most_files_are_wide_is_not_thin():
    line, whole = (cross(3), cross(3)), (np.ones((128, 128), np.uint8),) * 2
    assert "cross" in sums_of(whole, line).of_classes(("rest", "cross"))
    for files in ([whole, line, whole], [line, whole, whole], [whole]):
        assert sums_of(*files).of_classes(("rest", "cross")) == {}
    assert sums_of(*[whole] * LOOK).looked_at == [0, 1]  # which cost no skeleton


def test_most_files_are_told_at_the_end_wherever_the_wide_ones_lie():
    line, whole = (cross(3), cross(3)), (np.ones((128, 128), np.uint8),) * 2
    first, last = sums_of(*[whole] * LOOK, *[line] * LOOK), sums_of(*[line] * LOOK, *[whole] * LOOK)
    assert first.of_classes(("rest", "cross")).keys() == {"cross"}
    assert first.of_classes(("rest", "cross")) == last.of_classes(("rest", "cross"))
    folds = sums_of(*[whole] * LOOK) + sums_of(*[line] * LOOK)
    assert folds.of_classes(("rest", "cross")) == first.of_classes(("rest", "cross"))


def test_void_has_no_lines():
    label = cross(5)
    label[:, :64] = VOID
    (scores, _) = sums_of((label, cross(5))).of_classes(("rest", "cross"))["cross"]
    assert scores.cldice == 1


def test_files_add_up_and_of_none_there_is_no_class():
    assert ThinSums(3).of_classes(("a", "b", "c")) == {}
    label = cross(3)
    once, twice = sums_of((label, label)), sums_of((label, label), (label, label))
    np.testing.assert_array_equal(2 * once.counts[1], twice.counts[1])
    assert once.shape(1) == twice.shape(1)
    invented = sums_of((np.zeros((9, 9), np.uint8), np.eye(9, dtype=np.uint8)), (label, label))
    assert invented.counts[1, 1] == once.counts[1, 1] + 9
