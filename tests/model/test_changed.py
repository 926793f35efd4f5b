"""Nets of ours that somebody changed: predicted as they are, or refused with the layer named."""

import keras
import numpy as np
import pytest
from keras import layers

from unet_tf import predict, unet
from unet_tf.errors import InputError
from unet_tf.model.ensemble import MEAN, Member, ensemble
from unet_tf.model.inference import Network

IMAGE = np.random.default_rng(0).normal(size=(32, 32, 1)).astype(np.float32)


def net(**settings):
    keras.utils.set_random_seed(0)
    return unet(**{"base_filters": 3, "depth": 1, "padding": "same", "batch_norm": True, "dropout": 0.5} | settings)


def probabilities(model):
    return np.asarray(keras.ops.softmax(model(IMAGE[None], training=False)))[0]


def swapped(name, make):
    """The net, with another layer in the place of one."""

    def change(layer):
        return make(layer.get_config()) if layer.name == name else type(layer).from_config(layer.get_config())

    model = net()
    found = keras.models.clone_model(model, clone_function=change)
    for layer in found.layers:
        if [w.shape for w in layer.weights] == [w.shape for w in model.get_layer(layer.name).weights]:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return found


def configured(name, kind=layers.Conv2D, **settings):
    return lambda: swapped(name, lambda config: kind.from_config(config | settings))


def on_top(*following):
    def make():
        model = net()
        x = model.output
        for one in following:
            x = one(x)
        return keras.Model(model.input, x)

    return make


def rebuilt(name, other):
    """The net, with another function of (its layer, what came before, the skip) in the place of one."""
    image = x = skip = keras.Input((None, None, 1))
    for layer in net().layers[1:]:
        usual = [skip, x] if layer.name == "up0_concat" else x
        x = other(layer, x, skip) if layer.name == name else layer(usual)
        skip = x if layer.name == "down0_dropout" else skip
    return keras.Model(image, x)


class OwnDropout(layers.Dropout):
    def call(self, inputs, training=None):
        return super().call(inputs, training=True)


def of_a_class_with_its_own_call():
    model = net()

    class OwnCall(type(model)):
        def call(self, inputs, training=None, mask=None):
            return 3 * super().call(inputs, training=training, mask=mask)

    return OwnCall(model.inputs, model.outputs)


def always_dropping():
    model = net()
    return keras.Model(model.input, layers.Dropout(0.5)(model.output, training=True))


def changed_after_it_was_folded():
    model = net()
    predict(model, IMAGE)
    model.get_layer("up0_conv2_relu").negative_slope = 0.3
    return model


def tuned():
    model = net(batch_norm=False)
    model.get_layer("up0_conv1").enable_lora(1)
    return model


CHANGED = {
    "'rescaling' is a Rescaling": on_top(layers.Rescaling(3.0, name="rescaling")),
    "there is a layer 'tanh'": on_top(layers.Activation("tanh", name="tanh")),
    "is a Tanh": on_top(keras.ops.tanh),
    "'my_softmax'": on_top(layers.Softmax(name="my_softmax"), layers.Softmax()),
    "'columns' is a Softmax": on_top(layers.Softmax(axis=1, name="columns")),
    "layer 'norm'": on_top(layers.BatchNormalization(name="norm")),
    "layer 'logits_norm'": on_top(layers.BatchNormalization(center=False, name="logits_norm")),
    "'up0_conv1_relu' is a LeakyReLU": lambda: swapped(
        "up0_conv1_relu", lambda config: layers.LeakyReLU(0.3, name=config["name"])
    ),
    "'down0_conv1_relu' has max_value = 1": configured("down0_conv1_relu", layers.ReLU, max_value=1),
    r"'down1_conv1' has dilation_rate = \(2, 2\), and not \(1, 1\)": configured("down1_conv1", dilation_rate=2),
    "'down0_conv2' has activation = 'tanh', and not 'linear'": configured("down0_conv2", activation="tanh"),
    "'logits' has activation = 'sigmoid'": configured("logits", activation="sigmoid"),
    "layer 'down0_conv2_norm'": configured("down0_conv2", use_bias=True),
    "'up0_conv1' has groups = 3": configured("up0_conv1", groups=3),
    r"'down1_conv2' has kernel_size = \(5, 5\)": configured("down1_conv2", kernel_size=5),
    "'down0_conv1_norm' is a GroupNormalization": lambda: rebuilt(
        "down0_conv1_norm", lambda layer, x, _: layers.GroupNormalization(3, name=layer.name)(x)
    ),
    "'down0_dropout' is a OwnDropout": lambda: swapped(
        "down0_dropout", lambda config: OwnDropout(0.5, name=config["name"])
    ),
    r"there is a layer '\w*dropout\w*'": always_dropping,
    "'up0_concat' has input = .'up0_upconv', 'down0_conv2_relu'": lambda: rebuilt(
        "up0_concat", lambda layer, x, skip: layer([x, skip])
    ),
    "OwnCall computes by a method of its own": of_a_class_with_its_own_call,
    "'up0_conv2_relu' has negative_slope = 0.3, and not 0.0": changed_after_it_was_folded,
    "'up0_conv1' has lora_rank = 1": tuned,
}


@pytest.mark.parametrize("message", CHANGED)
def test_a_net_that_computes_something_else_is_refused_by_the_name_of_the_layer(message):
    with pytest.raises(InputError, match=f"{message}.*Build it with unet_tf.unet"):
        predict(CHANGED[message](), IMAGE, probabilities=True)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_what_changes_no_probability_is_predicted(batch_norm):
    model = net(batch_norm=batch_norm)
    quiet = layers.GaussianNoise(1.0)(layers.SpatialDropout2D(0.5)(model.output))
    for one in (model, keras.Model(model.input, quiet), keras.Model(model.input, layers.Softmax()(quiet))):
        np.testing.assert_allclose(Network(one).probabilities(IMAGE), probabilities(model), atol=1e-5)


AT_THE_END = {
    "of Keras' guide": on_top(layers.Activation("softmax", dtype="float32")),
    "of ops": on_top(keras.ops.softmax),
    "of activations": on_top(keras.activations.softmax),
    "in the logits": configured("logits", activation="softmax"),
    "before a linear activation": on_top(layers.Softmax(), layers.Activation("linear", dtype="float32")),
    "before an identity": on_top(layers.Softmax(), layers.Identity()),
}


@pytest.mark.parametrize("where", AT_THE_END)
def test_a_softmax_at_the_end_is_understood_however_it_is_written(where):
    found = Network(AT_THE_END[where]()).probabilities(IMAGE)
    np.testing.assert_allclose(found, probabilities(net()), atol=1e-6)


def test_augmentation_in_front_does_nothing_to_a_prediction():
    model = net()
    image = keras.Input((None, None, 1))
    turned = keras.Model(image, model(layers.RandomFlip()(image)))
    with pytest.raises(InputError):  # a net within a net
        Network(turned)
    flat = keras.models.clone_model(model, input_tensors=layers.RandomFlip()(image))
    flat.set_weights(model.get_weights())
    np.testing.assert_allclose(Network(flat).probabilities(IMAGE), probabilities(model), atol=1e-6)


def test_a_frozen_net_of_a_class_of_its_own_is_predicted():
    class Own(keras.Model):
        def __init__(self, model):
            super().__init__(model.inputs, model.outputs)
            self.told = "no argument of its configuration"

    model = net()
    model.trainable = False
    np.testing.assert_array_equal(Network(Own(model)).probabilities(IMAGE), Network(model).probabilities(IMAGE))


def test_an_ensemble_that_computes_something_else_is_refused():
    several = [Member(f"fold{n}", net(), (1.0,), (0.0,), 1.7) for n in (1, 2)]
    model = ensemble(several)
    assert Network(model).count == 2
    sharper = keras.Model(model.input, layers.Rescaling(2.0, name="sharper")(model.output))
    with pytest.raises(InputError, match="there is a layer 'sharper'"):
        Network(sharper)
    once_more = keras.Model(model.input, layers.Softmax(name="softmax")(model.output))
    with pytest.raises(InputError, match="there is a layer 'softmax'"):
        Network(once_more)
    one = keras.Model(model.input, model.get_layer("fold1_probability").output)
    assert Network(one).count == 1
    sum_of_all = layers.Add(name=MEAN)([model.get_layer(f"fold{n}_probability").output for n in (1, 2)])
    with pytest.raises(InputError, match=f"'{MEAN}' is a Add"):
        Network(keras.Model(model.input, sum_of_all))


def two_outputs():
    model = net()
    return keras.Model(model.input, [model.output, model.get_layer("up0_conv2_relu").output])


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.net = net()

    def call(self, x):
        return self.net(x)


@pytest.mark.parametrize("make", [two_outputs, lambda: keras.Sequential([layers.Conv2D(2, 1)]), Subclassed])
def test_what_is_no_model_of_one_input_and_output_is_refused(make):
    with pytest.raises(InputError, match="must be a model of Keras with one input and one output"):
        predict(make(), IMAGE)
