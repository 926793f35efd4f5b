import pytest

from unet_tf.prediction.sizes import Sizes


def of(*areas):
    sizes = Sizes()
    sizes.add(areas)
    return sizes


@pytest.mark.parametrize(
    ("areas", "specks"),
    [
        ((), (0, 0)),
        ((1,), (0, 0)),
        ((5, 6, 7, 7), (0, 0)),  # all are small
        ((400, 500, 450, 1), (1, 16)),
        ((400, 500, 450, 420, 1), (0, 0)),  # a fifth is few
        ((400, 16, 17, 15), (1, 16)),
        ((1 << 40, 1, 1), (2, 1 << 35)),
    ],
)
def test_specks_are_small_beside_the_objects_that_hold_most_pixels(areas, specks):
    assert of(*areas).specks == specks


def test_sizes_of_pictures_add_up():
    both = of(3, 400)
    both += of(2, 500, 450)
    assert (both, both.total) == (of(3, 400, 2, 500, 450), 5)
