import functools
import shutil

import keras
import numpy as np
import pytest

from unet_tf import Run, predict, unet
from unet_tf.errors import InputError
from unet_tf.geometry import PADDINGS, Geometry
from unet_tf.model.calibration import tempered
from unet_tf.model.inference import Network, folded
from unet_tf.prediction.predictor import Predictor
from unet_tf.tiling import cut, default_tile, read_window
from unet_tf.utils.memory import parse_bytes


def softmax(logits):
    exponential = np.exp(logits - logits.max(-1, keepdims=True))
    return exponential / exponential.sum(-1, keepdims=True)


def random_net(padding="valid", depth=2, channels=1):
    """A net whose logits vary: He-normal weights and, unlike at the start of training, shifted normalisation."""
    keras.utils.set_random_seed(0)
    return unet((None, None, channels), 3, 4, depth, padding, batch_norm=True)


shared_net = functools.cache(random_net)
"""The same net for all tests that do not change it: its graph is made once."""


def image_of(height, width, channels=1):
    return np.random.default_rng(0).normal(size=(height, width, channels)).astype(np.float32)


def whole_image(model, image, net):
    """One pass over the mirrored image, cut to its size."""
    sizes = [-(-length // net.stride) * net.stride for length in image.shape[:2]]
    inputs = [net.input_size(s) if net.padding == "valid" else s + 2 * net.halo for s in sizes]
    pad = [(net.halo, size - length - net.halo) for size, length in zip(inputs, image.shape[:2], strict=True)]
    logits = np.array(model(np.pad(image, [*pad, (0, 0)], mode="reflect")[None]))[0]
    margin = net.halo if net.padding == "same" else 0
    return softmax(logits[margin:, margin:][: image.shape[0], : image.shape[1]])


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_tiles_of_every_size_give_the_whole_image_result(padding, depth):
    size = {1: (60, 83), 2: (90, 123), 3: (150, 203)}[depth]  # the smallest tiles of shallow nets are many
    model, net, image = shared_net(padding, depth), Geometry(depth, padding), image_of(*size)
    expected = whole_image(model, image, net)
    assert expected.std() > 0.05
    for tile in (net.min_tile, net.nearest_legal(net.min_tile + 40)[0], net.nearest_legal(250)[0]):
        found = predict(model, image, tile=tile, probabilities=True)
        assert found.shape == (*size, 3)
        assert np.abs(found - expected).max() < 1e-5


def test_the_halo_of_same_nets_is_needed():
    """One cell of the pooling grid less, and zeros padded at the tile's border reach what is kept."""
    model, image = shared_net("same"), image_of(96, 96)
    halo = Geometry(2, "same").halo
    padded = np.pad(image, [(halo, halo)] * 2 + [(0, 0)], mode="reflect")[None]

    def with_halo(width):
        beyond = np.pad(padded, [(0, 0), (8, 8), (8, 8), (0, 0)])  # what lies farther out is zeros
        off = halo + 8 - width
        window = beyond[:, off : off + 96 + 2 * width, off : off + 96 + 2 * width]
        return np.array(model(window))[0, width:-width, width:-width]

    assert np.abs(with_halo(halo) - with_halo(halo + 8)).max() < 1e-4
    assert np.abs(with_halo(halo) - with_halo(halo - 4)).max() > 1e-4


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 5), (17, 16)])
def test_images_smaller_than_the_halo_work(padding, size):
    model = shared_net(padding)
    image, net = image_of(*size), Geometry(2, padding)
    sizes = [-(-length // net.stride) * net.stride for length in size]
    inputs = [net.input_size(s) if padding == "valid" else s + 2 * net.halo for s in sizes]
    logits = np.array(model(read_window(image, (-net.halo, -net.halo), inputs)[None]))[0]
    expected = softmax(logits[net.margin :, net.margin :][: size[0], : size[1]])
    np.testing.assert_allclose(predict(model, image, probabilities=True), expected, atol=1e-5)


def test_a_model_of_fixed_size_uses_its_own_tile():
    free, image = shared_net(), image_of(100, 70)
    fixed = unet((84, 100, 1), 3, 4, 2, batch_norm=True)
    fixed.set_weights(free.get_weights())
    expected = predict(free, image, probabilities=True)
    np.testing.assert_allclose(predict(fixed, image, probabilities=True), expected, atol=1e-5)


def test_deep_nets_find_a_tile_of_their_own():
    assert Geometry(7).tile_step(default_tile(Geometry(7))) >= 128
    assert default_tile(Geometry(4)) == 988


def test_the_tile_is_chosen_for_the_image_and_within_the_memory():
    predictor = Predictor(shared_net(depth=4))
    assert predictor.grid((300, 4000), memory="1GB").tile == (492, 4188)  # one pass
    small = predictor.grid((3000, 3000), memory="300MB")
    assert predictor.network.memory_needed(small.tile[0] * small.tile[1]) <= 300e6
    assert len(small) * small.tile[0] * small.tile[1] < 1.4 * 3000**2
    with pytest.raises(InputError, match=r"A tile of 204x204 px, the smallest .* takes about 5 MB; allowed are 1 MB"):
        predictor.grid((300, 300), memory=10**6)


@pytest.mark.parametrize("text", ["2GB", "2 gb", "2000000000", "2G"])
def test_memory_is_a_number_with_a_unit(text):
    assert parse_bytes(text) == 2_000_000_000


def test_memory_that_is_no_number_is_refused():
    with pytest.raises(InputError, match='such as 2GB or 500MB; received "2e3MB"'):
        parse_bytes("2e3MB")


def test_folded_normalisation_is_the_same_function():
    model, image = random_net("same", 3), image_of(64, 80)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            rng = np.random.default_rng(0)
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    network = Network(model)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in folded(model).layers)
    expected = softmax(np.array(model(image[None]))[0])
    assert np.abs(network.probabilities(image) - expected).max() < 1e-5
    np.testing.assert_array_equal(network.label(image), network.probabilities(image).argmax(-1))


def test_a_model_that_learns_on_is_predicted_as_it_is_now():
    model, image = random_net(), image_of(40, 40)
    before = predict(model, image, probabilities=True)
    model.set_weights([2 * weight for weight in model.get_weights()])
    after = predict(model, image, probabilities=True)
    assert np.abs(before - after).max() > 0.01
    fresh = keras.models.clone_model(model)
    fresh.set_weights(model.get_weights())
    np.testing.assert_array_equal(after, predict(fresh, image, probabilities=True))


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("tta", ["rotations", "all"])
def test_turned_tiles_are_averaged_whatever_the_tile(padding, tta):
    """A net that sees an image and its mirror image alike says the mirrored thing; tiles of every size agree."""
    model, image = shared_net(padding, depth=3), image_of(64, 88)  # whole cells: turned images fall on the same grid
    found = predict(model, image, tta=tta, probabilities=True)
    small = predict(model, image, tta=tta, probabilities=True, tile=Geometry(3, padding).min_tile)
    assert np.abs(found - small).max() < 1e-5
    turned = predict(model, np.rot90(image), tta=tta, probabilities=True)
    assert np.abs(np.rot90(found) - turned).max() < 1e-5
    assert np.abs(found - predict(model, image, probabilities=True)).max() > 0.01
    mirrored = predict(model, image[:, ::-1], tta=tta, probabilities=True)
    assert (np.abs(found[:, ::-1] - mirrored).max() < 1e-5) == (tta == "all")
    np.testing.assert_array_equal(predict(model, image, tta=tta), found.argmax(-1))


def test_the_same_place_in_the_same_tile_gives_the_same_bits():
    model, image = shared_net(depth=3), image_of(304, 448)
    whole = predict(model, image, tile=156, probabilities=True)
    for top, left in ((64, 64), (48, 64)):
        part = image[top:, left:]
        assert cut(Geometry(3), part.shape[:2], 156).tile == (156, 156)  # which step by 64 px
        found = predict(model, part, tile=156, probabilities=True)
        inner = np.s_[96:200, 96:300]  # far from the borders that differ
        # At another place in its tile, some processors' convolutions add up a pixel in another order.
        tolerance = 0 if top % 64 == 0 else 1e-5
        np.testing.assert_allclose(found[inner], whole[top:, left:][inner], rtol=0, atol=tolerance)


def test_an_image_on_disk_is_read_tile_by_tile(tmp_path):
    model, image = shared_net(), image_of(100, 120)
    np.save(tmp_path / "image.npy", image)
    mapped = np.load(tmp_path / "image.npy", mmap_mode="r")
    np.testing.assert_array_equal(predict(model, mapped, tile=84), predict(model, image, tile=84))


def test_labels_are_the_most_probable_classes():
    model, image = shared_net(), image_of(60, 50)
    label = predict(model, image)
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(label, predict(model, image, probabilities=True).argmax(-1))


def test_a_run_normalises_raw_pixels_and_a_bare_model_does_not(run):
    raw = np.random.default_rng(0).integers(0, 256, (50, 60), dtype=np.uint8)
    bare = predict(run.model, run.normalise(raw), probabilities=True)
    found = predict(run, raw, probabilities=True)  # at the temperature of the run, which changes no label
    np.testing.assert_allclose(found, tempered(bare, run.calibration.temperature), atol=1e-6)
    np.testing.assert_array_equal(found.argmax(-1), bare.argmax(-1))
    np.testing.assert_array_equal(predict(str(run.path), raw, probabilities=True), found)


@pytest.mark.parametrize("content", ["best_v3.keras", "c0ffee"])
def test_a_net_that_is_a_link_is_that_of_the_run_in_which_the_link_lies(run, tmp_path, content):
    net = shutil.copytree(run.path, tmp_path / "run") / "best.keras"
    net.rename(tmp_path / content)
    net.symlink_to(tmp_path / content)
    raw = np.random.default_rng(0).integers(0, 256, (50, 60), dtype=np.uint8)
    np.testing.assert_array_equal(predict(net, raw, probabilities=True), predict(run, raw, probabilities=True))


def test_a_link_elsewhere_to_the_net_of_a_run_is_that_of_the_run(run, tmp_path):
    (tmp_path / "latest.keras").symlink_to(run.path / "best.keras")
    raw = np.random.default_rng(0).integers(0, 256, (50, 60), dtype=np.uint8)
    found = predict(tmp_path / "latest.keras", raw, probabilities=True)
    np.testing.assert_array_equal(found, predict(run, raw, probabilities=True))


def test_progress_counts_tiles():
    seen = []
    predict(shared_net(), image_of(100, 100), tile=84, on_tile=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 9) for i in range(1, 10)]


def test_bad_input_is_refused(run, tmp_path):
    with pytest.raises(InputError, match=r"received \(0, 5\)"):
        predict(shared_net(), np.zeros((0, 5)))
    for none in (None, "image.png"):
        with pytest.raises(
            InputError, match=r"An image must be \(H, W\) or \(H, W, C\) with a pixel at least; received"
        ):
            predict(shared_net(), none)
    with pytest.raises(InputError, match="averaging must be one of none, rotations, all; received 'flips'"):
        predict(shared_net(), image_of(20, 20), tta="flips")
    broken = image_of(40, 40)
    broken[30, 5] = np.nan
    with pytest.raises(InputError, match="rows 0 to 40, columns 0 to 40 the image holds values that are not finite"):
        predict(shared_net(), broken)
    with pytest.raises(InputError, match="must have 1 channels; received 3"):
        predict(shared_net(), image_of(20, 20, 3))
    with pytest.raises(InputError, match=r"Input 83 is not a legal tile size.*nearest to 83: 80, 84"):
        predict(shared_net(), image_of(20, 20), tile=83)
    with pytest.raises(InputError, match="holds float64 pixels, and the net was trained on uint8"):
        predict(run, np.zeros((20, 20)))
    with pytest.raises(InputError, match=r"is no run: it has no config\.toml"):
        predict(tmp_path, np.zeros((20, 20)))


def test_a_run_whose_model_is_missing_damaged_or_not_ours_is_refused(run, tmp_path):
    for name in ("config.toml", "files.csv"):
        (tmp_path / name).write_bytes((run.path / name).read_bytes())
    image = np.zeros((20, 20), np.uint8)
    with pytest.raises(InputError, match=r"There is no model .*best\.keras"):
        predict(Run(tmp_path), image)
    (tmp_path / "best.keras").write_bytes(b"no model")
    with pytest.raises(InputError, match="is not a Keras model that can be loaded"):
        predict(Run(tmp_path), image)
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]).save(tmp_path / "best.keras")
    with pytest.raises(InputError, match=r"unet_tf\.unet built"):
        predict(Run(tmp_path), image)
