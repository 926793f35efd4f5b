import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import map_coordinates

from unet_tf.data.augment import Augmentation, _maps, augment, vary_grey_values, warp
from unet_tf.errors import InputError

ALL = Augmentation(flips=True, rotation=180, scale=0.2, elastic=10, contrast=0.2, brightness=0.2)
NONE = Augmentation(flips=False)
FLIPS = Augmentation()


def tile_of(image, label, augmentation, seed, input_size=60, output_size=40, centre=None):
    weight = label.astype(np.float32) + 1
    rng = np.random.default_rng(seed)
    centre = centre or tuple(int(rng.integers(0, side)) for side in label.shape)
    return warp(image, label, weight, centre, (input_size,) * 2, (output_size,) * 2, augmentation, rng)


@pytest.mark.parametrize("size", [(5, 5), (64, 64), (65, 40)])
def test_the_elastic_field_is_a_mirrored_bicubic_spline(size):
    bent, straight = (
        _maps((0, 0), size, Augmentation(flips=False, elastic=pixels), np.random.default_rng(0)) for pixels in (10, 0)
    )
    rng = np.random.default_rng(0)
    rng.uniform(size=2)  # angle and scale
    places = np.meshgrid(*(np.linspace(0, 2, length) for length in size), indexing="ij")
    for warped, plain in zip(bent, straight, strict=True):
        expected = map_coordinates(rng.normal(0, 10, (3, 3)), places, order=3, mode="mirror")
        np.testing.assert_allclose(warped - plain, expected, atol=1e-4)


@pytest.mark.parametrize("augmentation", [NONE, FLIPS, ALL])
def test_labels_hold_only_original_ids_in_a_thousand_tiles(augmentation):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (50, 70, 1), dtype=np.uint8)
    label = rng.choice([0, 3, 7, 255], (50, 70)).astype(np.uint8)
    for seed in range(1000):
        tile, label_tile, _ = tile_of(image, label, augmentation, seed, 40, 20)
        assert label_tile.dtype == np.uint8
        assert set(np.unique(label_tile)) <= {0, 3, 7, 255}
        assert tile.shape == (40, 40, 1)
        assert label_tile.shape == (20, 20)


@pytest.mark.parametrize("augmentation", [NONE, FLIPS, ALL])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("axis", [0, 1])
def test_image_label_and_weight_stay_registered(augmentation, seed, axis):
    places = np.indices((200, 200), np.float32)[axis]
    label = (places // 2).astype(np.uint8)
    tile, label_tile, weight_tile = tile_of(places[..., None], label, augmentation, seed, centre=(100, 100))
    centre = tile[10:50, 10:50, 0]
    assert centre.min() > 1  # nothing is mirrored in
    assert centre.max() < 198
    assert np.abs(centre / 2 - 0.25 - label_tile).max() <= 0.76  # half a pixel is a quarter of an id
    assert np.abs(label_tile + 1.0 - weight_tile).max() <= 1


def test_no_augmentation_is_a_mirrored_window():
    image = np.random.default_rng(0).integers(0, 255, (30, 25, 2), dtype=np.uint8)
    padded = np.pad(image, ((90, 90), (90, 90), (0, 0)), mode="reflect")
    for row, column in ((0, 0), (15, 12), (29, 24), (3, 20)):
        tile, label, _ = tile_of(image, image[..., 0], NONE, 0, centre=(row, column))
        np.testing.assert_array_equal(tile, padded[row + 60 : row + 120, column + 60 : column + 120])
        np.testing.assert_array_equal(label, padded[row + 70 : row + 110, column + 70 : column + 110, 0])


def test_upright_tiles_are_mirrored_left_to_right_alone():
    ramp, label = np.arange(60.0)[:, None] * 100 + np.arange(60.0), np.zeros((60, 60), np.uint8)
    tiles = [tile_of(ramp[..., None], label, Augmentation(upright=True), n, centre=(30, 30))[0] for n in range(40)]
    middles = [tile[20:40, 20:40, 0] for tile in tiles]
    assert all((np.diff(tile, axis=0) > 0).all() for tile in middles)
    assert {(np.diff(tile) > 0).all() for tile in middles} == {np.True_, np.False_}


def test_a_window_inside_a_large_image_is_that_window_at_every_border():
    image = np.random.default_rng(0).integers(0, 255, (300, 280, 1), dtype=np.uint8)
    padded = np.pad(image, ((60, 60), (60, 60), (0, 0)), mode="reflect")
    for row in (0, 1, 29, 30, 31, 150, 270, 271, 299):
        for column in (0, 30, 140, 250, 279):
            tile = tile_of(image, image[..., 0], NONE, 0, centre=(row, column))[0]
            np.testing.assert_array_equal(tile, padded[row + 30 : row + 90, column + 30 : column + 90])


def test_an_image_wider_than_opencv_takes_is_cut_first():
    image = np.arange(40_000, dtype=np.float32)[None, :, None].repeat(3, 0)
    tile = tile_of(image, np.zeros((3, 40_000), np.uint8), NONE, 0, 8, 8, centre=(1, 39_000))[0]
    assert tile[1, :, 0].tolist() == list(range(38_996, 39_004))


def test_one_triple_in_one_out_eagerly_and_inside_a_dataset():
    rng = np.random.default_rng(0)
    image, label = rng.normal(size=(48, 36, 3)).astype(np.float32), rng.integers(0, 4, (48, 36)).astype(np.uint8)
    weight = rng.random((48, 36), np.float32)

    def change(number):
        return augment(image, label, weight, ALL, np.random.default_rng((7, int(number))))

    types = [tf.float32, tf.uint8, tf.float32]
    numbers = tf.data.Dataset.range(6)
    dataset = numbers.map(lambda n: tf.numpy_function(change, [n], types), num_parallel_calls=3)
    found = list(dataset)
    for number, triple in enumerate(found):
        for part, same in zip(triple, change(number), strict=True):
            np.testing.assert_array_equal(part, same)
    assert [part.shape for part in found[0]] == [(48, 36, 3), (48, 36), (48, 36)]
    assert (found[0][0].numpy() != found[1][0].numpy()).any()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((4, 4), (4, 4), (4, 4)), r"A triple must be \(H, W, C\), \(H, W\) and \(H, W\)"),
        (((4, 4, 1), (4, 3), (4, 4)), r"received \[\(4, 4, 1\), \(4, 3\), \(4, 4\)\]"),
        (((0, 4, 1), (0, 4), (0, 4)), "with a pixel at least"),
    ],
)
def test_triples_that_do_not_fit_together_are_refused(shapes, message):
    image, label, weight = (np.zeros(shape, np.uint8) for shape in shapes)
    with pytest.raises(InputError, match=message):
        augment(image, label, weight, ALL, np.random.default_rng(0))


def test_labels_of_another_type_become_uint8_or_are_refused():
    image, weight = np.zeros((4, 4, 1), np.float32), np.zeros((4, 4), np.float32)
    label = augment(image, np.full((4, 4), 7), weight, ALL, np.random.default_rng(0))[1]
    assert (label.dtype, set(label.ravel())) == (np.uint8, {7})
    with pytest.raises(InputError, match="Label ids must be 0 to 254, or 255; received 300"):
        augment(image, np.full((4, 4), 300), weight, ALL, np.random.default_rng(0))


@pytest.mark.parametrize("warped", [0.0, 1.0])
@pytest.mark.parametrize("kind", [np.float64, np.uint8])
def test_weights_become_float32_whether_tiles_are_warped_or_not(kind, warped):
    image, label = np.zeros((4, 4, 1), np.float32), np.zeros((4, 4), np.uint8)
    found = augment(image, label, np.ones((4, 4), kind), Augmentation(warped=warped), np.random.default_rng(0))
    assert [part.dtype for part in found] == [np.float32, np.uint8, np.float32]


def test_contrast_and_brightness_are_gain_and_offset_within_bounds():
    tile = np.linspace(-2, 2, 50, dtype=np.float32).reshape(5, 10, 1)
    for seed in range(50):
        varied = vary_grey_values(tile, Augmentation(contrast=0.2, brightness=0.2), np.random.default_rng(seed))
        gain, offset = np.polyfit(tile.ravel(), varied.ravel(), 1)
        assert 0.8 <= gain <= 1.2
        assert abs(offset) <= 0.2
        np.testing.assert_allclose(varied, gain * tile + offset, atol=1e-5)
    assert vary_grey_values(tile, NONE, np.random.default_rng(0)) is tile
