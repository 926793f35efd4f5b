import cv2
import numpy as np
import pytest

from unet_tf.data.samples import Weighting
from unet_tf.data.synthetic import generate_cells
from unet_tf.data.weight_map import border_weights, class_balance, components, count_classes
from unet_tf.labels import VOID


def naive(instances, w0, sigma):
    """The formula with one distance transform of the whole image for each cell."""
    ids = [i for i in np.unique(instances) if i]
    if len(ids) < 2:
        return np.zeros(instances.shape)
    distances = np.sort(
        [cv2.distanceTransform((instances != i).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for i in ids],
        axis=0,
    )
    term = w0 * np.exp(-((distances[0].astype(float) + distances[1]) ** 2) / (2 * sigma**2))
    return np.where(instances == 0, term, 0)


@pytest.mark.parametrize(("w0", "sigma"), [(10, 5), (3, 2), (50, 12)])
@pytest.mark.parametrize("size", [(96, 150), (256, 200)])
def test_equal_to_the_naive_formula(size, w0, sigma):
    instances = generate_cells(*size, seed=5)[1]
    np.testing.assert_allclose(border_weights(instances, w0, sigma), naive(instances, w0, sigma), atol=1e-5)


def test_long_and_huge_objects_are_exact_too():
    instances = np.zeros((120, 200), np.int32)
    instances[10, :], instances[14, 5:190], instances[30:110, :90], instances[30:110, 93:] = 1, 2, 3, 40000
    np.testing.assert_allclose(border_weights(instances), naive(instances, 10, 5), atol=1e-5)


@pytest.mark.parametrize("cells", [0, 1])
def test_fewer_than_two_cells_have_no_border(cells):
    instances = np.zeros((20, 20), int)
    instances[5:9, 5:9] = cells
    assert not border_weights(instances).any()


def test_without_w0_there_is_no_border():
    assert not border_weights(np.array([[1, 0, 2]]), w0=0).any()


def test_class_balance_gives_each_class_the_same_sum():
    counts = np.array([700, 200, 0, 100])
    weights = class_balance(counts)
    np.testing.assert_allclose(weights * counts, [1000 / 3, 1000 / 3, 0, 1000 / 3])


def test_void_is_not_counted():
    assert count_classes(np.array([[0, 1, VOID, 1]], np.uint8), 2).tolist() == [1, 2]


def test_the_map_is_class_weight_plus_border():
    label = np.array([[1, 0, 1, VOID]], np.uint8)
    weights = Weighting(balance=True, w0=10).weight_map(label, np.array([0.75, 1.5]))
    border = border_weights(components(label))
    np.testing.assert_allclose(weights, np.array([[1.5, 0.75, 1.5, 0]]) + border * (label == 0))
    assert border[0, 1] == pytest.approx(10 * np.exp(-4 / 50))


def test_borders_are_background_alone():
    label = np.array([[1, 2, 1], [1, 0, 1]], np.uint8)
    weights = Weighting(w0=10).weight_map(label, np.ones(3))
    assert weights[0].tolist() == [1, 1, 1]
    assert weights[1, 1] > 9
