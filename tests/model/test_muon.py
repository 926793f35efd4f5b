import keras
import numpy as np
import pytest
import tensorflow as tf

from unet_tf.model import muon
from unet_tf.model.losses import WeightedCrossentropy
from unet_tf.model.muon import ITERATIONS, NEWTON_SCHULZ, Muon, orthogonal
from unet_tf.model.unet import unet


def _of_singular_values(values, rows, columns):
    rng = np.random.default_rng(0)
    left, _, right = np.linalg.svd(rng.normal(size=(rows, columns)), full_matrices=False)
    values = np.asarray(values) / np.linalg.norm(values)
    return (left * values) @ right, left, right


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (8, 30), (72, 8)])
def test_directions_stay_and_their_lengths_become_one(rows, columns):
    matrix, left, right = _of_singular_values(np.geomspace(1, 0.005, 8), rows, columns)
    result = left.T @ np.asarray(orthogonal(tf.constant(matrix, tf.float32))) @ right.T
    lengths = np.diag(result)
    assert lengths.min() > 0.65 and lengths.max() < 1.25
    assert np.abs(result - np.diag(lengths)).max() < 2e-3


def test_one_small_matrix_does_what_five_steps_of_the_large_one_do():
    matrix, *_ = _of_singular_values(np.geomspace(1, 0.01, 6), 54, 6)
    a, b, c = NEWTON_SCHULZ
    expected = matrix
    for _ in range(sum(ITERATIONS)):
        gram = expected @ expected.T
        expected = a * expected + (b * gram + c * gram @ gram) @ expected
    np.testing.assert_allclose(orthogonal(tf.constant(7 * matrix, tf.float32)), expected, atol=1e-3)


def _tensor_float(matrix):
    """A matrix as a GPU multiplies it: of the 23 bits of each mantissa 10 are left."""
    bits = np.asarray(matrix, np.float32).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)


@pytest.mark.parametrize("rows", [16, 64, 256])
def test_products_of_ten_bits_lengthen_no_direction_that_was_short(rows, monkeypatch):
    matrix, left, right = _of_singular_values(np.geomspace(1, 1e-3, rows), rows, 2 * rows)
    monkeypatch.setattr(muon.ops, "matmul", lambda a, b: tf.constant(_tensor_float(a) @ _tensor_float(b)))
    result = left.T @ np.asarray(orthogonal(tf.constant(matrix, tf.float32))) @ right.T
    lengths = np.linalg.norm(result, axis=1)  # of what each direction has become
    given = np.geomspace(1, 1e-3, rows) / np.linalg.norm(np.geomspace(1, 1e-3, rows))
    assert lengths[given > 0.003].min() > 0.65
    assert lengths.max() < 1.25


def _stepped(optimizer):
    weights = {
        "kernel": np.ones((3, 3, 4, 8)), "upconv": np.ones((2, 2, 4, 8)), "logits": np.ones((1, 1, 8, 2)),
        "gamma": np.ones(8), "dense": np.ones((6, 4)),
    }  # fmt: skip
    variables = [keras.Variable(value, name=name) for name, value in weights.items()]
    optimizer.build(variables)
    rng = np.random.default_rng(1)
    optimizer.apply([tf.constant(rng.normal(size=value.shape), tf.float32) for value in weights.values()])
    return {name: variable.numpy() for name, variable in zip(weights, variables, strict=True)}


def test_kernels_step_by_the_rate_and_all_else_is_adams():
    adam = _stepped(keras.optimizers.Adam(0.01))
    ours = _stepped(Muon(0.01, kernel_rate=2))
    for name in ("logits", "gamma", "dense"):
        np.testing.assert_array_equal(ours[name], adam[name])
    for name in ("kernel", "upconv"):
        lengths = np.linalg.svd((ours[name] - 1).reshape(-1, 8), compute_uv=False)
        assert lengths == pytest.approx(0.02, rel=0.35)


def _built(optimizer):
    """An optimizer for a kernel and a bias, its variables by their names, each of them full of another number."""
    optimizer.build([keras.Variable(np.ones((3, 3, 2, 4)), name="kernel"), keras.Variable(np.ones(4), name="bias")])
    for number, variable in enumerate(optimizer.variables):
        variable.assign(np.full(variable.shape, number))
    return {variable.name: variable for variable in optimizer.variables}


@pytest.mark.parametrize("amsgrad", [False, True])
def test_kernels_have_no_second_moment(amsgrad):
    own, of_adam = (_built(kind(amsgrad=amsgrad)) for kind in (Muon, keras.optimizers.Adam))
    assert of_adam.keys() - own.keys() == {"kernel_velocity", "kernel_velocity_hat"} & of_adam.keys()


def test_momentum_goes_on_where_gradients_cease():
    kernel = keras.Variable(np.ones((3, 3, 2, 4)))
    optimizer = Muon(0.01)
    optimizer.build([kernel])
    optimizer.apply([tf.constant(np.random.default_rng(0).normal(size=kernel.shape), tf.float32)])
    once = kernel.numpy()
    optimizer.apply([tf.zeros(kernel.shape)])
    np.testing.assert_allclose(kernel.numpy() - once, once - 1, atol=0.01)  # of 0.2: the same direction, as far


def test_no_gradient_is_no_step():
    kernel = keras.Variable(np.ones((3, 3, 2, 4)))
    optimizer = Muon(0.01)
    optimizer.build([kernel])
    optimizer.apply([tf.zeros((3, 3, 2, 4))])
    np.testing.assert_array_equal(kernel.numpy(), 1)


def test_a_net_of_keras_learns_and_is_stored_with_it(tmp_path):
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 1)).astype(np.float32)
    y = (x[..., 0] > 0).astype(np.uint8)
    net = unet(base_filters=4, depth=1, padding="same", batch_norm=True)
    net.compile(Muon(0.003, kernel_rate=15, momentum=0.9), WeightedCrossentropy())
    losses = net.fit(x, y, epochs=40, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    net.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    assert again.optimizer.get_config() == net.optimizer.get_config()
    assert (again.optimizer.kernel_rate, again.optimizer.momentum) == (15, 0.9)
    for one in (net, again):
        one.fit(x, y, verbose=0, shuffle=False)
    for one, other in zip(net.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
