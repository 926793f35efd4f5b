import numpy as np
import pytest

from unet_tf.errors import InputError
from unet_tf.evaluation.metrics import confusion_matrix
from unet_tf.evaluation.sums import Sums, added, otsu_label
from unet_tf.labels import VOID


class Counter:
    def __init__(self, count, settings=("a",)):
        self.count, self.settings, self.nothing = np.array([count, 1.5]), settings, None


class Whole(Counter):
    def __init__(self, count, settings=("a",)):
        self.number, self.within, self.other = count, Counter(count, settings), Own()


class Own:
    def __add__(self, other):
        return "as it says"


def test_counts_are_added_and_settings_stay():
    total = added(Whole(2), Whole(3))
    assert (total.number, total.within.count.tolist(), total.within.settings) == (5, [5.0, 3.0], ("a",))
    assert total.other == "as it says"


def test_what_was_counted_otherwise_is_refused():
    with pytest.raises(InputError, match=r"counted with other settings .*\('a',\) and \('b',\)"):
        added(Whole(2), Whole(3, ("b",)))


def test_a_sum_leaves_its_parts_as_they_were():
    one, other = Sums(2), Sums(2)
    one.confusion += 1
    other.confusion += 2
    total = one + other
    total.confusion += 10
    assert [int(sums.confusion[0, 0]) for sums in (one, other, total)] == [1, 2, 13]


def test_otsu_s_threshold_is_that_of_the_pixels_that_count():
    """Inside the field of view 100 and 140; outside, of more pixels, 0 and 255: over all the threshold parts these."""
    image = np.zeros((20, 30, 1), np.uint8)
    image[:10, :10], image[10:, :10], image[:, 25:] = 100, 140, 255
    label = np.full((20, 30), VOID, np.uint8)
    label[:10, :10], label[10:, :10] = 0, 1
    assert len(np.unique(otsu_label(image)[:, :10])) == 1
    sums = Sums(2)
    sums.add(image, label, np.zeros_like(label), None)
    assert sums.baselines["Otsu threshold"].tolist() == [[100, 0], [0, 100]]
    alone = otsu_label(image[:, :10])
    np.testing.assert_array_equal(otsu_label(image, label != VOID)[:, :10], alone)
    assert confusion_matrix(label[:, :10], alone, 2).tolist() == [[100, 0], [0, 100]]


def test_of_void_alone_there_is_no_threshold():
    sums = Sums(2)
    sums.add(np.zeros((4, 4, 1), np.uint8), np.full((4, 4), VOID, np.uint8), np.zeros((4, 4), np.uint8), None)
    assert not sums.otsu.any()
