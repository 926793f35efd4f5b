import itertools

import numpy as np
import pytest

from unet_tf.data.augment import Augmentation
from unet_tf.data.folder import find_pairs
from unet_tf.data.pipeline import check_tile, draws_per_epoch, training_dataset, training_tile, validation_dataset
from unet_tf.data.samples import Normalisation, Sample, Samples, Weighting, read_samples
from unet_tf.errors import InputError
from unet_tf.geometry import Geometry
from unet_tf.labels import VOID


def make(*shapes):
    """Samples whose image is the label, whose label numbers the pixels of the data set modulo 250."""
    samples, first = [], 0
    for number, shape in enumerate(shapes):
        label = (np.arange(first, first + np.prod(shape)) % 250).astype(np.uint8).reshape(shape)
        samples.append(Sample(f"s{number}", label[..., None], label, label.astype(np.float32) + 1))
        first += label.size
    return Samples(samples, [""] * len(shapes), np.ones(2, np.int64))


PLAIN = Normalisation((0.0,), (1.0,), "uint8")


def take(dataset, count):
    return [tuple(part.numpy() for part in batch) for batch in itertools.islice(dataset, count)]


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("max_tile", [84, 124])
def test_validation_shows_each_pixel_once_and_image_and_label_agree(padding, max_tile):
    net, samples = Geometry(2, padding), make((50, 70), (33, 1), (40, 40))
    seen = []
    for image, label, weight in validation_dataset(samples, PLAIN, net, max_tile):
        cut = net.shrink // 2
        centre = image.numpy()[0, cut : image.shape[1] - cut, cut : image.shape[2] - cut, 0]
        label, weight = label.numpy()[0], weight.numpy()[0]
        assert centre.shape == label.shape == weight.shape
        counted = label != VOID
        np.testing.assert_array_equal(centre[counted], label[counted])
        np.testing.assert_array_equal(weight[counted], label[counted] + 1.0)
        assert not weight[~counted].any()
        seen += label[counted].tolist()
    assert sorted(seen) == sorted(np.concatenate([s.label.ravel() for s in samples.samples]).tolist())


def test_training_tiles_depend_on_seed_and_number_alone():
    samples, net, augmentation = make((64, 64), (64, 90)), Geometry(2), Augmentation(rotation=90, elastic=5)

    def tiles(seed, first, count):
        return take(training_dataset(samples, PLAIN, net, 84, 2, augmentation, seed, first), count)

    whole, rest, other = tiles(1, 0, 6), tiles(1, 4, 4), tiles(2, 0, 6)
    for batch, again in zip(whole[2:], rest, strict=True):
        for part, same in zip(batch, again, strict=True):
            np.testing.assert_array_equal(part, same)
    assert any((a[0] != b[0]).any() for a, b in zip(whole, other, strict=True))
    image, label, weight = whole[0]
    assert (image.shape, label.shape, weight.shape) == ((2, 84, 84, 1), (2, 44, 44), (2, 44, 44))
    assert (image.dtype, label.dtype, weight.dtype) == (np.float32, np.uint8, np.float32)


def test_an_epoch_draws_large_images_more_often():
    assert draws_per_epoch(make((44, 44), (88, 88), (10, 10)), 44) == [0, 1, 1, 1, 1, 2]


def test_normalisation_is_the_mean_and_deviation_of_all_pixels():
    images = [np.full((2, 3, 1), 10, np.uint8), np.full((4, 3, 1), 40, np.uint8)]
    found = Normalisation.measure(images)
    pixels = np.array([10] * 6 + [40] * 12)
    assert found.mean == (30.0,)
    assert found.std == (pytest.approx(pixels.std()),)
    np.testing.assert_allclose(found.apply(images[1]), (40 - 30) / pixels.std())
    assert Normalisation.measure([np.full((2, 2, 1), 7, np.uint8)]).std == (1.0,)


def test_another_pixel_type_or_colour_is_refused():
    with pytest.raises(InputError, match=r"a\.png holds uint16 pixels, and the net was trained on uint8"):
        PLAIN.apply(np.zeros((2, 2, 1), np.uint16), "a.png")
    with pytest.raises(InputError, match="has 3 channels, and the net was trained on 1"):
        PLAIN.apply(np.zeros((2, 2, 3), np.uint8))


def test_a_grey_image_serves_a_colour_net():
    normalisation = Normalisation((1.0, 2.0, 3.0), (1.0, 1.0, 1.0), "uint8")
    np.testing.assert_array_equal(normalisation.apply(np.full((1, 1, 1), 5, np.uint8)), [[[4, 3, 2]]])


def test_weight_maps_are_balanced_by_the_training_pixels(cells):
    train = read_samples(find_pairs(cells / "train"), 2, Weighting(balance=True))
    assert sum(s.weight.sum() for s in train.samples) == pytest.approx(train.class_pixels.sum(), rel=1e-5)
    other = read_samples(find_pairs(cells / "val"), 2, Weighting(balance=True), train)
    assert set(np.unique(other[0].weight)) == set(np.unique(train[0].weight))


def test_a_tile_larger_than_an_image_is_refused_with_the_next_that_fits():
    samples = make((60, 300), (300, 300))
    message = r"tile gives 388x388 px: s0 is 60x300 \(and 1 more are too small\)\. Choose --tile 236 or less"
    with pytest.raises(InputError, match=message):
        check_tile(samples, Geometry(4), 572)
    check_tile(samples, Geometry(4), 236)
    assert training_tile(samples, Geometry(4)) == 236


def test_the_training_tile_is_the_papers_where_it_fits():
    assert training_tile(make((512, 512)), Geometry(4)) == 572
    assert training_tile(make((512, 512)), Geometry(4, "same")) == 256
