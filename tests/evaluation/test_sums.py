import numpy as np
import pytest

from unet_tf.errors import InputError
from unet_tf.evaluation.sums import Sums, added


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
