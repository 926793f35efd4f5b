import keras
import numpy as np
import pytest

from unet_tf.errors import InputError
from unet_tf.geometry import Geometry
from unet_tf.model.losses import WeightedCrossentropy
from unet_tf.model.unet import geometry_of, start_at_edges, start_at_shares, unet


def test_the_papers_net_has_31030658_parameters_and_maps_572_to_388():
    model = unet()
    assert model.count_params() == 31_030_658
    assert model.compute_output_shape((1, 572, 572, 1)) == (1, 388, 388, 2)
    kinds = [type(layer) for layer in model.layers]
    assert kinds.count(keras.layers.Conv2D) == 19
    assert kinds.count(keras.layers.Conv2DTranspose) == 4
    assert [layer.cropping for layer in model.layers if isinstance(layer, keras.layers.Cropping2D)] == [
        ((margin, margin), (margin, margin)) for margin in (4, 16, 40, 88)
    ]
    filters = [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert filters == [64, 64, 128, 128, 256, 256, 512, 512, 1024, 1024, 512, 512, 256, 256, 128, 128, 64, 64, 2]


@pytest.mark.parametrize(("depth", "padding"), [(0, "valid"), (1, "valid"), (3, "valid"), (2, "same"), (3, "same")])
def test_output_size_is_what_the_geometry_says(depth, padding):
    model, net = unet((None, None, 3), 5, 2, depth, padding), Geometry(depth, padding)
    height, width = net.input_size(20), net.input_size(40)
    logits = model(np.zeros((1, height, width, 3), np.float32))
    assert logits.shape == (1, height - net.shrink, width - net.shrink, 5)
    assert geometry_of(model) == net


def test_kernels_start_he_normal():
    keras.utils.set_random_seed(0)
    for layer in unet(base_filters=32, depth=2).layers:
        if isinstance(layer, keras.layers.Conv2D) and layer.kernel.shape[:2] == (3, 3) and layer.kernel.shape[2] > 1:
            kernel = np.array(layer.kernel)
            incoming = np.prod(kernel.shape[:3])
            assert kernel.std() == pytest.approx(np.sqrt(2 / incoming), rel=0.03)
            assert not np.array(layer.bias).any()
        elif isinstance(layer, keras.layers.Conv2DTranspose):  # a pixel sees one of the four places of the kernel
            kernel = np.array(layer.kernel)  # (2, 2, filters, channels)
            assert kernel.std() == pytest.approx(np.sqrt(1 / kernel.shape[3]), rel=0.03)


def test_logits_are_float32_linear_and_unbounded_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = unet(base_filters=2, depth=1)
    finally:
        keras.config.set_dtype_policy("float32")
    head = model.get_layer("logits")
    assert head.compute_dtype == "float32"
    assert head.activation is keras.activations.linear
    assert model.get_layer("down0_conv1").compute_dtype == "bfloat16"


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_channels_come_last_whatever_keras_was_told(padding):
    expected = unet((None, None, 3), base_filters=2, depth=1, padding=padding).get_config()["layers"]
    keras.config.set_image_data_format("channels_first")
    try:
        model = unet((None, None, 3), base_filters=2, depth=1, padding=padding)
    finally:
        keras.config.set_image_data_format("channels_last")
    assert [one["config"] for one in model.get_config()["layers"]] == [one["config"] for one in expected]


def test_dropout_sits_at_the_end_of_the_contracting_path():
    names = [layer.name for layer in unet(base_filters=2, depth=3, dropout=0.5).layers if "dropout" in layer.name]
    assert names == ["down2_dropout", "down3_dropout"]


def test_save_and_load_give_the_same_bits_without_custom_objects(tmp_path):
    model = unet(base_filters=2, depth=2, batch_norm=True)
    x = np.random.default_rng(0).normal(size=(1, 60, 76, 1)).astype(np.float32)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    assert geometry_of(loaded) == Geometry(2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (570, 572, 1)}, r"570x572 is not a legal tile size.*570: 556, 572"),
        ({"input_shape": (572, 572)}, r"\(height, width, channels\)"),
        ({"input_shape": (None, None, 0)}, "1 channel or more"),
        ({"input_shape": 256}, r"\(height, width, channels\) of whole numbers, .* received 256\."),
        ({"input_shape": (572, 572.0, 1)}, "of whole numbers"),
        ({"num_classes": "2"}, "num_classes must be a whole number; received '2'"),
        ({"base_filters": 8.5}, r"base_filters must be a whole number; received 8\.5"),
        ({"depth": 1.0}, r"depth must be a whole number; received 1\.0"),
        ({"dropout": None}, r"dropout must be a rate in \[0, 1\); received None"),
        ({"num_classes": 1}, "num_classes counts the background and must be 2 or more; received 1"),
        ({"base_filters": 0}, "base_filters must be 1 or more"),
        ({"dropout": 1.0}, r"dropout must be a rate in \[0, 1\)"),
        ({"depth": -1}, "received -1"),
        ({"padding": "reflect"}, "'reflect'"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        unet(**arguments)


def test_whole_numbers_of_numpy_are_whole():
    net = unet([None, None, np.int32(1)], np.int64(3), np.uint8(2), np.int64(1))
    assert net.output_shape == (None, None, None, 3)


@pytest.mark.parametrize(("padding", "size"), [("valid", 19), ("same", 21)])
def test_a_model_that_is_open_to_sizes_fails_at_a_concatenation_where_the_size_is_illegal(padding, size):
    with pytest.raises(InputError, match=f"Input {size} is not a legal tile size"):
        Geometry(1, padding).check(size)
    net = unet(base_filters=2, depth=1, padding=padding)
    with pytest.raises(Exception, match=r"calling Concatenate\.call"):
        net(np.zeros((1, size, size, 1), np.float32))


def test_a_model_that_is_no_unet_is_refused():
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 1)])
    with pytest.raises(InputError, match=r"unet_tf\.unet built"):
        geometry_of(model)


@pytest.mark.parametrize("seed", range(10))
def test_started_at_the_class_shares_the_first_loss_is_their_entropy(seed):
    shares = np.array([0.9, 0.07, 0.03])
    keras.utils.set_random_seed(seed)
    net = unet((None, None, 1), 3, base_filters=8, depth=2, padding="same", batch_norm=True)
    start_at_shares(net, 1000 * shares)
    rng = np.random.default_rng(seed)
    logits = np.asarray(net(rng.normal(size=(2, 64, 64, 1)).astype(np.float32), training=True))
    label = rng.choice(3, size=(2, 64, 64), p=shares)
    loss = float(WeightedCrossentropy()(label, logits))
    assert loss == pytest.approx(-(shares * np.log(shares)).sum(), abs=0.06)


def test_started_at_edges_no_light_of_a_picture_reaches_the_first_maps():
    net = unet((None, None, 3), base_filters=8, depth=1, batch_norm=True)
    first = net.get_layer("down0_conv1")  # unpadded: of zeros around a picture light makes an edge
    before = np.asarray(first.kernel)
    start_at_edges(net)
    images = np.random.default_rng(0).normal(size=(1, 20, 20, 3)).astype(np.float32)
    light = np.float32([3, -2, 5])
    np.testing.assert_allclose(first(images + light), first(images), atol=1e-5)
    assert np.abs(first(images)).mean() > 0.5
    after = np.asarray(first.kernel)
    assert after.std() == pytest.approx(before.std(), rel=0.1)


@pytest.mark.parametrize("shares", [[0.5, 0.5], [1, 0, 1], [1, -1, 1], [1, np.nan, 1]])
def test_shares_that_are_not_one_a_class_and_positive_are_refused(shares):
    with pytest.raises(InputError, match="There must be one share above 0 for each of 3 classes; received"):
        start_at_shares(unet(num_classes=3, base_filters=2, depth=1), shares)
