import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import euler_number
from skimage.morphology import skeletonize, thin

from unet_tf.evaluation.skeleton import skeleton


def blobs(seed, blur, shape=(41, 53)):
    """(H, W) random regions with holes, which touch the edges of the picture."""
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), blur) > 0


@pytest.mark.parametrize("blur", [0, 1, 2, 5])
def test_it_is_scikit_image_s_thinning_to_the_pixel(blur):
    for seed in range(25):
        np.testing.assert_array_equal(skeleton(blobs(seed, blur)), thin(blobs(seed, blur)))


@pytest.mark.parametrize("blur", [1, 3])
def test_pieces_and_holes_are_those_of_the_region_and_of_another_skeleton(blur):
    for seed in range(25):
        region = np.pad(blobs(seed, blur), 1)
        found, other = skeleton(region), skeletonize(region)
        assert euler_number(found, 2) == euler_number(region, 2) == euler_number(other, 2)
        assert ndimage.label(found, np.ones((3, 3)))[1] == ndimage.label(region, np.ones((3, 3)))[1]
        assert not (found & ~region).any()


def test_every_place_of_both_skeletons_is_near_the_other():
    region = np.pad(blobs(7, 4, (200, 200)), 1)
    found, other = skeleton(region), skeletonize(region)
    for one, another in ((found, other), (other, found)):
        away = ndimage.distance_transform_edt(~another)[one]
        assert np.mean(away <= 2) > 0.9


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        (np.ones((3, 3)), [[0, 0, 0], [0, 1, 0], [0, 0, 0]]),
        (np.ones((1, 4)), np.ones((1, 4))),
        (np.eye(4), np.eye(4)),
        ([[1, 1, 1], [1, 0, 1], [1, 1, 1]], [[0, 1, 0], [1, 0, 1], [0, 1, 0]]),  # a ring stays a ring
        (np.zeros((3, 3)), np.zeros((3, 3))),
        (np.ones((1, 1)), np.ones((1, 1))),
        (np.zeros((0, 5)), np.zeros((0, 5))),
    ],
)
def test_small_regions_by_hand(region, expected):
    assert skeleton(np.asarray(region)).astype(int).tolist() == np.asarray(expected).tolist()


def test_the_work_is_linear_in_the_pixels(monkeypatch):
    looked_at = []
    unique = np.unique

    def counting(values):
        looked_at.append(len(values))
        return unique(values)

    monkeypatch.setattr("unet_tf.evaluation.skeleton.np.unique", counting)
    for side in (100, 200):
        looked_at.clear()
        skeleton(np.ones((side, side)))
        assert sum(looked_at) < 4 * side**2
