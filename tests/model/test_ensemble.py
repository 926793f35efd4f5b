import keras
import numpy as np
import pytest

from unet_tf import Normalisation, Predictor, unet
from unet_tf.errors import InputError
from unet_tf.model.ensemble import Member, ensemble, members_of, parts_of, probabilities_of
from unet_tf.model.inference import Network
from unet_tf.model.unet import geometry_of

IMAGE = np.random.default_rng(0).integers(0, 256, (50, 70, 2), dtype=np.uint8)
COMMON = Normalisation((100.0, 120.0), (30.0, 40.0), "uint8")
OWN = [
    COMMON,
    Normalisation((104.0, 115.0), (33.0, 39.0), "uint8"),
    Normalisation((90.0, 121.0), (29.0, 44.0), "uint8"),
]


def net(seed=0, **settings):
    keras.utils.set_random_seed(seed)
    return unet((None, None, 2), 3, 2, 1, **{"padding": "same", "batch_norm": True, **settings})


@pytest.fixture(scope="module")
def nets():
    return [net(seed) for seed in range(3)]


def averaged(nets, temperatures=(1.0, 1.0, 1.0)):
    members = []
    for number, (model, own, temperature) in enumerate(zip(nets, OWN, temperatures, strict=True)):
        mean, std, of_mean, of_std = (np.array(v) for v in (own.mean, own.std, COMMON.mean, COMMON.std))
        scale, offset = tuple(of_std / std), tuple((of_mean - mean) / std)
        members.append(Member(f"fold{number + 1}", model, scale, offset, temperature))
    return ensemble(members)


@pytest.mark.parametrize("tta", ["none", "all"])
def test_probabilities_are_the_mean_of_those_of_the_nets_each_by_its_own_normalisation(nets, tta):
    of_each = [Predictor(*both).probabilities(IMAGE, tta=tta) for both in zip(nets, OWN, strict=True)]
    predictor = Predictor(averaged(nets), COMMON)
    found = predictor.probabilities(IMAGE, tta=tta)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.mean(of_each, axis=0), atol=2e-6)
    np.testing.assert_array_equal(found, predictor.probabilities(IMAGE, tta=tta))
    np.testing.assert_array_equal(predictor.predict(IMAGE, tta=tta), found.argmax(-1))


def test_keras_alone_loads_it_and_it_gives_what_it_gave(nets, tmp_path):
    model = averaged(nets, (1.0, 2.0, 0.5))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert geometry_of(loaded) == geometry_of(nets[0])
    assert [one.temperature for one in members_of(loaded)] == [1.0, 2.0, 0.5]
    for found, wanted in zip(members_of(loaded), members_of(model), strict=True):
        assert (found.name, found.scale, found.offset) == (wanted.name, wanted.scale, wanted.offset)
    expected = Predictor(model, COMMON).probabilities(IMAGE)
    np.testing.assert_array_equal(Predictor(loaded, COMMON).probabilities(IMAGE), expected)
    np.testing.assert_array_equal(Predictor(tmp_path / "model.keras", COMMON).probabilities(IMAGE), expected)


@pytest.mark.parametrize("older", [False, True])
def test_channels_come_last_whatever_keras_was_told(older, nets):
    expected = Predictor(averaged(nets), COMMON).probabilities(IMAGE)
    model = averaged(nets)
    if older:  # files of earlier versions hold one list
        for layer in (model.get_layer(f"fold{number}_pixels") for number in (1, 2, 3)):
            layer.scale, layer.offset = layer.scale[0][0], layer.offset[0][0]
    keras.config.set_image_data_format("channels_first")
    try:
        found = Predictor(model, COMMON).probabilities(IMAGE)
    finally:
        keras.config.set_image_data_format("channels_last")
    np.testing.assert_array_equal(found, expected)


def test_a_temperature_divides_the_logits_of_its_net(nets):
    window = OWN[1].scale(IMAGE[:48, :64])[None]
    logits = nets[1](window, training=False).numpy()
    (part,) = [part for part in parts_of(averaged(nets, (1.0, 2.0, 0.5))) if part.name == "fold2"]
    found = part(COMMON.scale(IMAGE[:48, :64])[None], training=False)
    np.testing.assert_allclose(found, keras.ops.softmax(logits / 2), atol=2e-6)


def test_the_memory_is_that_of_one_net(nets):
    one, several = Network(nets[0]), Network(averaged(nets))
    assert several.memory_needed(1000) == one.memory_needed(1000)
    assert several.pixels_within(1e9) == one.pixels_within(1e9)


def test_what_a_net_gives_is_logits_and_what_several_give_is_probabilities(nets):
    window = np.zeros((1, 32, 32, 2), np.float32)
    found = averaged(nets)(window)
    np.testing.assert_allclose(keras.ops.sum(found, -1), 1, atol=1e-6)
    np.testing.assert_array_equal(probabilities_of(averaged(nets), found), found)
    logits = nets[0](window)
    np.testing.assert_array_equal(probabilities_of(nets[0], logits), keras.ops.softmax(logits))
    assert members_of(nets[0]) == []


def test_nets_of_other_sizes_or_no_nets_are_refused(nets):
    odd = net(padding="valid")
    with pytest.raises(InputError, match="must have the sizes of fold1, .*'same'.* those of fold3 are .*'valid'"):
        averaged([*nets[:2], odd])
    with pytest.raises(InputError, match="A mean needs a net at least; received none"):
        ensemble([])
    inputs = keras.Input((None, None, 2))
    with pytest.raises(InputError, match="must be a U-Net, or a mean of U-Nets that export made"):
        Network(keras.Model(inputs, nets[0](inputs)))


def test_one_net_alone_is_its_own_mean(nets):
    model = ensemble([Member("fold1", nets[0], (1.0, 1.0), (0.0, 0.0))])
    found = Predictor(model, COMMON).probabilities(IMAGE)
    np.testing.assert_allclose(found, Predictor(nets[0], COMMON).probabilities(IMAGE), atol=1e-6)


def test_a_net_that_gives_nan_is_refused(nets):
    broken = net(3)
    broken.get_layer("logits").bias.assign([np.nan, 0, 0])
    with pytest.raises(InputError, match="A net must give finite values"):
        Predictor(averaged([*nets[:2], broken]), COMMON).predict(IMAGE)


def test_what_the_nets_learn_later_counts_for_a_model_that_lives(nets):
    from unet_tf import predict

    model = averaged([net(5), *nets[1:]])
    image = COMMON.scale(IMAGE)
    before = predict(model, image, probabilities=True)
    learnt = members_of(model)[0].model
    learnt.get_layer("logits").bias.assign([1.0, 0.0, -1.0])
    after = predict(model, image, probabilities=True)
    assert np.abs(after - before).max() > 0.01
    np.testing.assert_allclose(after, Predictor(model).probabilities(image), atol=1e-6)
