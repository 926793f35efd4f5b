import keras
import numpy as np
import pytest
import tensorflow as tf

from unet_tf.errors import InputError
from unet_tf.evaluation.metrics import MeanIoU
from unet_tf.model.losses import VOID, CrossentropyDice, WeightedCrossentropy

C = 3


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, C, (2, 5, 7)).astype(np.uint8)
    labels[0, :2] = VOID
    return labels, rng.normal(0, 4, (2, 5, 7, C)).astype(np.float32), rng.uniform(0, 12, (2, 5, 7)).astype(np.float32)


def reference(labels, logits, weights, class_weights=None):
    """Energy, its gradient, the number of pixels and the sum of weights, in float64."""
    logits = logits.astype(np.float64)
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    counted = labels != VOID
    safe = np.where(counted, labels, 0)
    w = weights.astype(np.float64) * counted
    if class_weights is not None:
        w = w * np.array(class_weights)[safe]
    log_p = logits - logits.max(-1, keepdims=True)
    log_p = log_p - np.log(np.exp(log_p).sum(-1, keepdims=True))
    energy = -(w * np.take_along_axis(log_p, safe[..., None], -1)[..., 0]).sum()
    return energy, w[..., None] * (p - np.eye(C)[safe]), counted.sum(), w.sum()


@pytest.mark.parametrize("class_weights", [None, [0.5, 2.0, 7.0]])
def test_every_reduction_equals_a_float64_reference(batch, class_weights):
    labels, logits, weights = batch
    energy, _, pixels, total = reference(labels, logits, weights, class_weights)
    for reduction, expected in (("sum", energy), ("mean", energy / pixels), ("weighted_mean", energy / total)):
        loss = WeightedCrossentropy(class_weights, reduction=reduction)
        assert float(loss(labels, logits, weights)) == pytest.approx(expected, rel=1e-5)


def test_the_gradient_is_weight_times_softmax_minus_one_hot(batch):
    labels, logits, weights = batch
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        value = WeightedCrossentropy([1, 2, 3], reduction="sum")(labels, variable, weights)
    expected = reference(labels, logits, weights, [1, 2, 3])[1]
    np.testing.assert_allclose(tape.gradient(value, variable), expected, atol=1e-4)


def test_one_hot_and_integer_labels_agree(batch):
    labels, logits, weights = batch
    one_hot = np.eye(C, dtype=np.float32)[np.where(labels == VOID, 0, labels)]
    one_hot[labels == VOID] = 0
    loss = WeightedCrossentropy()
    expected = float(loss(labels, logits, weights))
    assert float(loss(one_hot, logits, weights)) == pytest.approx(expected, rel=1e-6)
    assert float(loss(labels[..., None], logits, weights)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_stable_at_logits_of_ten_thousand(dtype):
    logits = tf.cast([[[[1e4, -1e4], [-1e4, 1e4]]]], dtype)
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        value = WeightedCrossentropy(reduction="sum")(np.array([[[0, 0]]]), variable)
    assert float(value) == pytest.approx(2e4, rel=1e-2 if dtype == "bfloat16" else 1e-6)
    gradient = tf.cast(tape.gradient(value, variable), tf.float32).numpy()
    np.testing.assert_array_equal(gradient[0, 0], [[0, 0], [-1, 1]])


def test_void_pixels_change_nothing(batch):
    labels, logits, weights = batch
    other = logits.copy()
    other[labels == VOID] = 1e4 * np.sign(other[labels == VOID])
    for reduction in ("sum", "mean", "weighted_mean"):
        loss = WeightedCrossentropy(reduction=reduction)
        assert float(loss(labels, other, weights)) == float(loss(labels, logits, weights))


def test_a_batch_of_void_alone_is_zero_with_zero_gradient():
    logits = tf.Variable(np.ones((1, 2, 2, C), np.float32))
    for reduction in ("sum", "mean", "weighted_mean"):
        with tf.GradientTape() as tape:
            value = WeightedCrossentropy(reduction=reduction)(np.full((1, 2, 2), VOID), logits)
        assert float(value) == 0
        assert not tape.gradient(value, logits).numpy().any()


def test_a_label_out_of_range_is_not_left_out_in_silence(batch):
    labels, logits, weights = batch
    for wrong in (C, -1):
        labels = labels.astype(int)
        labels[1, 0, 0] = wrong
        assert np.isnan(float(WeightedCrossentropy()(labels, logits, weights)))


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize("void", [255, -1, None])
def test_a_label_that_is_no_whole_number_is_no_class(kind, void):
    logits, metric = np.zeros((1, 1, 2, 2), np.float32), MeanIoU(2, void)
    for wrong in (0.5, 0.875, 1.5, -0.5, 254.5, np.nan, np.inf):
        label = tf.cast([[[1.0, wrong]]], kind)
        assert np.isnan(float(WeightedCrossentropy(void_label=void)(label, logits))), wrong
        metric.update_state(label, logits)
    assert metric.confusion.numpy().tolist() == [[0, 0], [7, 0]]
    whole = tf.cast([[[1.0, 0.0]]], kind)
    assert float(WeightedCrossentropy(void_label=void)(whole, logits)) == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    ("pixel", "kind"),
    [([1, 1, 0], "bool"), ([1, 1, 0], "uint8"), ([0.4, 0.3, 0.3], "float16"), ([0.0, 0.5, 0.5], "float64")],
)
def test_a_pixel_of_several_classes_is_no_class(pixel, kind):
    label, metric = np.array([[[[0, 0, 1], pixel]]]).astype(kind), MeanIoU(3)  # (1, 1, 2, 3)
    for loss in (WeightedCrossentropy(), CrossentropyDice()):
        assert np.isnan(float(loss(label, np.zeros((1, 1, 2, 3), np.float32))))
    metric.update_state(label, np.zeros((1, 1, 2, 3), np.float32))
    assert metric.confusion.numpy().sum() == 1


@pytest.mark.parametrize("shape", [(2, 35), (1, 2, 5, 7), (2, 1, 35, 1), (7, 5, 2, 1), (70,)])
def test_any_number_of_axes_may_count_pixels(batch, shape):
    labels, logits, weights = batch
    for loss in (WeightedCrossentropy(), CrossentropyDice()):
        found = loss(labels.reshape(shape), logits.reshape(*shape, C), weights.reshape(shape))
        assert float(found) == pytest.approx(float(loss(labels, logits, weights)), rel=1e-6)
        each = np.arange(1.0, 1 + shape[0])  # one number a tile
        ones = each.reshape(-1, *[1] * (len(shape) - 1))
        given = each, ones, np.broadcast_to(ones, shape)
        found = [float(loss(labels.reshape(shape), logits.reshape(*shape, C), one)) for one in given]
        assert found == pytest.approx([found[-1]] * 3, rel=1e-6)


def test_the_void_label_can_be_another_id():
    logits = np.zeros((1, 1, 2, 2), np.float32)
    assert float(WeightedCrossentropy(void_label=9, reduction="sum")(np.array([[[9, 1]]]), logits)) == pytest.approx(
        np.log(2)
    )


def test_it_comes_back_from_its_config():
    loss = WeightedCrossentropy([1, 2], 7, "sum", "e")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert (
        again.get_config()
        == loss.get_config()
        == {
            "class_weights": [1.0, 2.0],
            "void_label": 7,
            "reduction": "sum",
            "name": "e",
        }
    )


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="one of sum, mean, weighted_mean; received 'average'"):
        WeightedCrossentropy(reduction="average")
    with pytest.raises(InputError, match="3 class weights for 2 classes"):
        WeightedCrossentropy([1, 1, 1])(np.zeros((1, 1, 1), int), np.zeros((1, 1, 1, 2), np.float32))


BOTH = pytest.mark.parametrize("loss", [WeightedCrossentropy(), CrossentropyDice()], ids=["energy", "dice"])


@BOTH
def test_weights_are_a_map_or_one_number_a_tile(batch, loss):
    labels, logits, weights = (part[:1, :, :5] for part in batch)  # one square tile
    assert float(loss(labels, logits, weights[..., None])) == float(loss(labels, logits, weights))
    labels, logits, _ = (part[:, :, :2] for part in batch)  # as many tiles as columns
    tiles = np.array([1, 7])
    spread = np.broadcast_to(tiles[:, None, None], labels.shape)
    assert float(loss(labels, logits, tiles)) == float(loss(labels, logits, spread))
    assert float(loss(labels, logits, tiles[:, None, None])) == float(loss(labels, logits, spread))


@BOTH
@pytest.mark.parametrize("shape", [(), (3,), (5, 7), (2, 7, 5), (1, 5, 7), (2, 5, 7, 3)])
def test_weights_of_another_size_are_refused(batch, loss, shape):
    words = rf"as large as the logits, \(2, 5, 7\), or one number a tile; received \({', '.join(map(str, shape))}\)"
    with pytest.raises(InputError, match=words):
        loss(*batch[:2], np.ones(shape))


@BOTH
def test_a_label_of_another_size_is_refused(batch, loss):
    labels, logits, _ = batch
    for wrong in (labels[:, 1:-1], labels[..., None, None], np.zeros((2, 5, 7, 9))):
        with pytest.raises(InputError, match=r"as large as the logits, \(2, 5, 7\); received .* padding and depth"):
            loss(wrong, logits)


@BOTH
def test_sizes_that_the_graph_does_not_know_are_taken_as_they_come(batch, loss):
    kinds = ((None,) * 3, tf.uint8), ((None, None, None, C), tf.float32), ((None,) * 3, tf.float32)
    traced = tf.function(loss.__call__, input_signature=[tf.TensorSpec(*kind) for kind in kinds])
    assert float(traced(*batch)) == pytest.approx(float(loss(*batch)), rel=1e-6)


@BOTH
def test_one_channel_of_logits_is_refused(batch, loss):
    with pytest.raises(InputError, match="2 or more; received 1. Build the net with num_classes=2"):
        loss(batch[0], batch[1][..., :1])


def dice_loss(labels, logits, weights):
    """1 less the mean of (2 sum w p g + 1) / (sum w p + sum w g + 1), each class counting as the others' weight."""
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(-1, keepdims=True)
    w = weights.astype(np.float64) * (labels != VOID)
    values, counts = [], []
    for number in range(C):
        g = labels == number
        if (w * g).sum():
            share = w * p[..., number]
            values.append((2 * (share * g).sum() + 1) / (share.sum() + (w * g).sum() + 1))
            counts.append((w * ~g).sum())
    return 1 - np.average(values, weights=counts)


def test_energy_and_dice_loss_are_added(batch):
    labels, logits, weights = batch
    expected = dice_loss(labels, logits, weights)
    for reduction, factor in (("mean", 1), ("weighted_mean", 1), ("sum", (labels != VOID).sum())):
        energy = float(WeightedCrossentropy(reduction=reduction)(labels, logits, weights))
        loss = CrossentropyDice(reduction=reduction)
        assert float(loss(labels, logits, weights)) == pytest.approx(energy + factor * expected, rel=1e-5)
        assert float(loss.alone(labels, logits, weights)) == pytest.approx(energy + factor * expected, rel=1e-5)


def test_the_dice_loss_does_not_ask_which_class_is_the_background(batch):
    labels, logits, weights = batch
    turned = np.where(labels == VOID, VOID, (C - 1) - labels)
    loss = CrossentropyDice()
    assert float(loss(turned, logits[..., ::-1], weights)) == pytest.approx(float(loss(labels, logits, weights)), 1e-6)


def test_the_dice_loss_has_the_class_weights_too(batch):
    labels, logits, weights = batch
    factors = np.array([0.5, 2, 7], np.float32)
    loss = CrossentropyDice(factors.tolist())(labels, logits, weights)
    weighted = weights * factors[np.where(labels == VOID, 0, labels)]
    assert float(loss) == pytest.approx(float(CrossentropyDice()(labels, logits, weighted)), rel=1e-5)


def test_a_class_that_a_batch_lacks_is_left_out_of_its_dice_loss(batch):
    labels, logits, weights = batch
    labels = np.where(labels == 2, 0, labels)
    energy = float(WeightedCrossentropy()(labels, logits, weights))
    expected = energy + dice_loss(labels, logits, weights)
    assert float(CrossentropyDice()(labels, logits, weights)) == pytest.approx(expected, rel=1e-5)
    nothing = np.zeros_like(labels)
    energy = float(WeightedCrossentropy()(nothing, logits, weights))
    assert float(CrossentropyDice()(nothing, logits, weights)) == pytest.approx(energy, rel=1e-6)


def test_void_changes_nothing_in_the_dice_loss_and_alone_is_zero(batch):
    labels, logits, weights = batch
    other = np.where((labels == VOID)[..., None], -7.0, logits).astype(np.float32)
    loss = CrossentropyDice()
    assert float(loss(labels, other, weights)) == pytest.approx(float(loss(labels, logits, weights)), rel=1e-6)
    assert float(loss(np.full_like(labels, VOID), logits, weights)) == 0


def test_the_loss_with_dice_comes_back_from_its_config(batch):
    loss = CrossentropyDice([1, 2, 3], 7, "sum")
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(again, CrossentropyDice)
    assert again.get_config() == loss.get_config()


@pytest.mark.parametrize("kind", [WeightedCrossentropy, CrossentropyDice])
def test_class_weights_may_be_said_by_the_ids_of_the_classes(batch, kind):
    by_id = kind({2: 7, 0: 0.5, 1: 2})
    assert by_id.get_config()["class_weights"] == [0.5, 2.0, 7.0]
    assert float(by_id(*batch)) == float(kind([0.5, 2, 7])(*batch))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({1: 1.0, 2: 5.0}, "each id from 0 on; received 1, 2. Give a factor for each class"),
        ({"cell": 1.0}, "each id from 0 on; received 'cell'"),
        ([1, -0.5], "must be finite, and 0 or more; received 1.0, -0.5"),
        ([float("nan"), 1], "must be finite, and 0 or more; received nan, 1.0"),
        ({0: 1.0, 1: float("inf")}, "must be finite, and 0 or more; received 1.0, inf"),
        ("balanced", r"one number a class; received 'balanced'\. Balanced ones are made by unet_tf\.class_balance"),
        (5.0, "one number a class; received 5.0"),
        ([1, None], r"one number a class; received \[1, None\]"),
        ({0: 1.0, 1: "x"}, r"one number a class; received \[1.0, 'x'\]"),
    ],
)
def test_class_weights_that_are_none_are_refused(weights, message):
    for kind in (WeightedCrossentropy, CrossentropyDice):
        with pytest.raises(InputError, match=message):
            kind(weights)


def test_no_label_is_void_where_none_is_said_to_be(batch):
    labels, logits, weights = batch
    labels = np.where(labels == VOID, 0, labels)
    for kind in (WeightedCrossentropy, CrossentropyDice):
        assert float(kind(void_label=None)(labels, logits, weights)) == float(kind()(labels, logits, weights))
    labels[0, 0, 0] = VOID  # which is no class
    assert np.isnan(float(WeightedCrossentropy(void_label=None)(labels, logits, weights)))


@BOTH
def test_labels_may_be_bool(loss):
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, 2, (2, 5, 7)), rng.normal(size=(2, 5, 7, 2)).astype(np.float32)
    expected = float(loss(labels, logits))
    assert float(loss(labels.astype(bool), logits)) == expected
    assert float(loss(labels[..., None] == np.arange(2), logits)) == expected


@BOTH
def test_void_that_nobody_spoke_of_is_no_class(loss):
    labels, logits = np.full((1, 1, 2), VOID - 1), np.zeros((1, 1, 2, 256), np.float32)
    assert float(loss(labels, logits[..., :255])) > 0
    labels += 1
    with pytest.raises(InputError, match="of no class; 255, which .* is one of 256 classes. Say void_label=-1, or"):
        loss(labels, logits)
    expected = float(type(loss)(void_label=-1)(labels, logits))
    assert float(type(loss)(void_label=None)(labels, logits)) == expected > 0
    assert float(loss(np.eye(256)[labels], logits)) == expected  # of one-hot labels void is no class at all
