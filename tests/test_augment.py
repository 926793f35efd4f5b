import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from unet_tf.data.augment import Augmentation, elastic_displacement, random_tile, vary_grey_values

ALL = Augmentation(flips=True, rotation=180, scale=0.2, elastic=10, contrast=0.2, brightness=0.2)
NONE = Augmentation(flips=False)


def tile_of(image, label, augmentation, seed, input_size=60, output_size=40):
    weight = label.astype(np.float32) + 1
    rng = np.random.default_rng(seed)
    return random_tile(image, label, weight, input_size, output_size, augmentation, rng)


@pytest.mark.parametrize("size", [5, 64, 65])
def test_the_elastic_field_is_a_mirrored_bicubic_spline(size):
    grid = np.random.default_rng(0).normal(0, 10, (3, 3))
    u = np.linspace(0, 2, size)
    expected = map_coordinates(grid, np.meshgrid(u, u, indexing="ij"), order=3, mode="mirror")
    np.testing.assert_allclose(elastic_displacement(size, grid), expected, atol=1e-4)


@pytest.mark.parametrize("augmentation", [NONE, Augmentation(), ALL])
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


@pytest.mark.parametrize("augmentation", [NONE, Augmentation(), ALL])
@pytest.mark.parametrize("seed", range(5))
def test_image_label_and_weight_stay_registered(augmentation, seed):
    columns = np.tile(np.arange(200, dtype=np.float32), (200, 1))
    label = (columns // 2).astype(np.uint8)
    tile, label_tile, weight_tile = tile_of(columns[..., None], label, augmentation, seed)
    centre = tile[10:50, 10:50, 0]
    inside = (centre > 1) & (centre < 198)  # mirrored columns bend within one pixel of the border
    assert np.abs(centre // 2 - label_tile)[inside].max() <= 1
    assert np.abs(label_tile + 1.0 - weight_tile)[inside].max() <= 1
    assert inside.mean() > 0.5


def test_no_augmentation_is_a_mirrored_window():
    image = np.random.default_rng(0).integers(0, 255, (30, 30, 2), dtype=np.uint8)
    padded = np.pad(image, ((60, 60), (60, 60), (0, 0)), mode="reflect")
    tile = tile_of(image, image[..., 0], NONE, seed=3)[0]
    rng = np.random.default_rng(3)
    row, column = int(rng.integers(0, 30)), int(rng.integers(0, 30))
    np.testing.assert_array_equal(tile, padded[row + 30 : row + 90, column + 30 : column + 90])


def test_rows_at_the_border_are_drawn_as_often_as_others():
    rows = np.repeat(np.arange(120, dtype=np.uint8)[:, None], 120, axis=1)
    counts = np.zeros(120)
    for seed in range(3000):
        counts += np.bincount(tile_of(rows[..., None], rows, NONE, seed, 60, 60)[1][:, 0], minlength=120)
    counts /= counts.mean()
    np.testing.assert_allclose(counts[1:-1], 1, atol=0.1)
    np.testing.assert_allclose(counts[[0, -1]], 0.5, atol=0.1)


def test_equal_generators_give_equal_tiles_and_others_differ():
    image = np.random.default_rng(0).integers(0, 255, (80, 80, 1), dtype=np.uint8)
    first, again, other = (tile_of(image, image[..., 0], ALL, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_grey_values_change_by_gain_and_offset_within_bounds():
    tile = np.linspace(-2, 2, 50, dtype=np.float32).reshape(5, 10, 1)
    for seed in range(50):
        varied = vary_grey_values(tile, ALL, np.random.default_rng(seed))
        gain, offset = np.polyfit(tile.ravel(), varied.ravel(), 1)
        assert 0.8 <= gain <= 1.2
        assert abs(offset) <= 0.2
        np.testing.assert_allclose(varied, gain * tile + offset, atol=1e-5)
    assert vary_grey_values(tile, NONE, np.random.default_rng(0)) is tile
