import cv2
import numpy as np
import pytest
import tensorflow as tf

from unet_tf.data import weight_map
from unet_tf.data.weight_map import border_weights, class_balance
from unet_tf.errors import InputError
from unet_tf.labels import VOID, count_classes
from unet_tf.synthetic.cells import generate_cells


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


def discs(count, side, seed=0):
    """About `count` discs of some sizes, jittered on a grid, touching here and there."""
    rng, objects = np.random.default_rng(seed), np.zeros((side, side), np.int32)
    across = int(np.ceil(np.sqrt(count)))
    for number in range(count):
        centre = (np.array(divmod(number, across)) + 0.5 + rng.uniform(-0.2, 0.2, 2)) * side / across
        radius = max(1, int(side / across * rng.uniform(0.25, 0.55)))
        cv2.circle(objects, tuple(int(c) for c in centre), radius, number + 1, -1)
    return objects


def lines(count, side):
    rng, objects = np.random.default_rng(0), np.zeros((side, side), np.int32)
    for number in range(1, count + 1):
        start, end = rng.integers(0, side, (2, 2)).tolist()
        cv2.line(objects, start, end, number, 2)
    return objects


def strips(side):
    """Long thin and huge objects, some in pieces, one around another."""
    objects = np.zeros((side, side), np.int32)
    objects[10, :], objects[14, 5:-9], objects[30:-9, : side // 2], objects[30:-9, side // 2 + 3 :] = 1, 2, 3, 40000
    objects[60:70, 20:30] = 0
    objects[64:66, 24:26] = 7
    objects[2::50, ::40] = 9
    return objects


# Each with the limit that makes boxes do it, or colours.
@pytest.mark.parametrize("boxes_limit", [1e9, 0], ids=["boxes", "colours"])
@pytest.mark.parametrize(
    "objects",
    [discs(10, 128), discs(100, 160), discs(400, 150), lines(30, 150), strips(140), generate_cells(96, 150, seed=5)[1],
     np.random.default_rng(0).integers(0, 2, (60, 60)) * np.arange(3600).reshape(60, 60)],
    ids=["10", "100", "400", "lines", "strips", "cells", "every pixel"],
)  # fmt: skip
@pytest.mark.parametrize(("w0", "sigma"), [(10, 5), (3, 2), (50, 12)])
def test_equal_to_the_naive_formula(monkeypatch, objects, boxes_limit, w0, sigma):
    monkeypatch.setattr(weight_map, "BOXES_LIMIT", boxes_limit)
    np.testing.assert_allclose(border_weights(objects, w0, sigma), naive(objects, w0, sigma), atol=1e-5)


def test_many_small_and_long_objects_take_the_way_of_colours():
    for objects, colours in ((discs(20, 512), False), (discs(2000, 512), True), (lines(200, 512), True)):
        _, boxes = weight_map._number(objects)
        reach = 30
        grown = (boxes[:, 1] - boxes[:, 0] + 2 * reach) * (boxes[:, 3] - boxes[:, 2] + 2 * reach)
        assert (grown.sum() > weight_map.BOXES_LIMIT * objects.size) == colours


def test_objects_are_numbered_without_gaps_and_boxed():
    ids = np.array([[0, 9, 9, 0], [9, 0, 0, 300], [0, 0, 0, 300]])
    objects, boxes = weight_map._number(ids)
    assert objects.tolist() == [[0, 1, 1, 0], [1, 0, 0, 2], [0, 0, 0, 2]]
    assert boxes.tolist() == [[0, 2, 0, 3], [1, 3, 3, 4]]


def test_the_map_is_the_same_to_the_bit_in_every_thread_of_a_dataset():
    objects = discs(30, 64)
    dataset = tf.data.Dataset.from_tensors(objects).repeat(20)
    dataset = dataset.map(lambda o: tf.numpy_function(border_weights, [o], tf.float32), num_parallel_calls=2)
    for found in dataset:
        np.testing.assert_array_equal(found, border_weights(objects))


@pytest.mark.parametrize(
    ("objects", "settings", "message"),
    [
        (np.zeros((4, 4, 1), int), {}, r"must be \(H, W\) integers; received \(4, 4, 1\) int64"),
        (np.zeros((4, 4)), {}, "received .* float64"),
        (np.zeros((4, 4), int), {"sigma": 0}, "sigma above 0, and both finite; received 10.0 and 0"),
        (np.zeros((0, 4), int), {}, "received .0, 4. int64"),
        (np.array([[-1, 0, 1]]), {}, "must be 0 or more; received -1"),
        (np.zeros((4, 4), int), {"w0": float("inf")}, "both finite"),
        (np.zeros((4, 4), int), {"w0": -1}, "w0 must be 0 or more"),
    ],
)
def test_bad_objects_are_refused(objects, settings, message):
    with pytest.raises(InputError, match=message):
        border_weights(objects, **settings)


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
