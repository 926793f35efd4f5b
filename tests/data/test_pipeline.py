import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from unet_tf.data.augment import Augmentation
from unet_tf.data.fingerprint import examine
from unet_tf.data.folder import Decoded, Pair
from unet_tf.data.normalisation import Normalisation
from unet_tf.data.pipeline import (
    TileDraw,
    draws_per_epoch,
    epoch_dataset,
    look_at,
    training_dataset,
    validation_dataset,
)
from unet_tf.data.samples import Sample, Samples
from unet_tf.data.weight_map import Weighting
from unet_tf.errors import InputError
from unet_tf.geometry import Geometry
from unet_tf.labels import VOID
from unet_tf.planning.checks import check_tile
from unet_tf.planning.plan import training_tile


def make(*shapes, classes=250):
    """Samples whose image is the label, whose label numbers the pixels of the data set modulo 250."""
    samples, fingerprints, first = [], [], 0
    for number, shape in enumerate(shapes):
        label = (np.arange(first, first + np.prod(shape)) % 250).astype(np.uint8).reshape(shape)
        samples.append(Sample(f"s{number}", label[..., None], label, label.astype(np.float32) + 1))
        fingerprints.append(examine(Decoded(label[..., None], label, None), classes, places=True))
        first += label.size
    pairs = [Pair(sample.name, Path(), Path()) for sample in samples]
    result = Samples(pairs, fingerprints, Weighting(), "memory", samples.__getitem__)
    result.class_weights[:250] = 0  # what is left is the border, the label and one
    return result


def drawer(samples, net, tile, augmentation, seed, rare_share=0.0):
    return TileDraw(samples, PLAIN, net, tile, augmentation, seed, rare_share)


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
    assert sorted(seen) == sorted(np.concatenate([s.label.ravel() for s in samples]).tolist())


def test_a_few_tiles_of_validation_are_the_same_each_time_and_have_the_rarest_label():
    net, samples = Geometry(2, "same"), make((130, 130), (130, 130))
    whole = take(validation_dataset(samples, PLAIN, net, 60), None)
    three = look_at(samples, net, 60, 3)
    few, again = (take(validation_dataset(samples, PLAIN, net, 60, three.tiles), None) for _ in range(2))
    assert len(few) == 3 < len(whole)
    for batch, same in zip(few, again, strict=True):
        np.testing.assert_array_equal(batch[0], same[0])
    labels = [np.unique(label) for _, label, _ in whole]
    times = {
        value: sum(value in some for some in labels) for value in np.unique(np.concatenate(labels)) if value != VOID
    }
    rarest = min(times, key=lambda value: (times[value], value))
    assert any(rarest in label for _, label, _ in few)
    seen = np.concatenate([label[label != VOID] for _, label, _ in few])
    np.testing.assert_array_equal(three.class_pixels, np.bincount(seen, minlength=250))
    everything = look_at(samples, net, 60, 10**9)
    assert len(everything.tiles) == len(whole)
    np.testing.assert_array_equal(everything.class_pixels, samples.class_pixels)


def labelled(*labels, classes=3):
    """Samples of these labels, whose images are they."""
    decoded = [Decoded(label[..., None], label, None) for label in labels]
    facts = [examine(one, classes, places=True) for one in decoded]
    pairs = [Pair(str(number), Path(), Path()) for number in range(len(labels))]
    return Samples(pairs, facts, Weighting(), "memory", lambda i: Sample(str(i), *decoded[i][:2], None))


def test_of_a_few_tiles_one_has_most_of_each_class():
    label = np.zeros((128, 128), np.uint8)
    label[::32, ::32] = 1  # a pixel in each tile, and 101 in one
    label[70:80, 40:50] = 1
    label[5, 5], label[100:103, 100:103] = 2, 2
    samples, net = labelled(label), Geometry(1, "same")
    for count in (3, 15):
        found = look_at(samples, net, 52, count)
        assert len(found.tiles) == count
        assert {(0, 9), (0, 15)} <= {*found.tiles}
    assert look_at(samples, net, 52, 3).class_pixels.tolist() == [3 * 1024 - 103 - 9, 103, 9]
    assert look_at(samples, net, 52, 1).tiles == [(0, 15)]  # the rarest class, and all others beside it


def test_tiles_of_void_alone_are_not_validated():
    half, none, whole = np.zeros((3, 128, 128), np.uint8)
    half[32:], none[:] = VOID, VOID
    samples, net = labelled(half, none, whole), Geometry(1, "same")
    expected = [*((0, n) for n in range(4)), *((2, n) for n in range(16))]
    assert look_at(samples, net, 52).tiles == look_at(samples, net, 52, 48).tiles == expected
    assert {*look_at(samples, net, 52, 15).tiles} < {*expected}
    assert len(take(validation_dataset(samples, PLAIN, net, 52), None)) == 20
    assert len(take(validation_dataset(labelled(none), PLAIN, net, 52), None)) == 1  # there must be one


def test_of_a_picture_that_is_mostly_void_tiles_lie_where_it_is_not():
    sparse, dense = np.full((400, 400), VOID, np.uint8), np.zeros((400, 400), np.uint8)
    sparse[300:310, 50:60], sparse[20:26, 380:386], dense[:30] = 1, 2, VOID
    samples = labelled(sparse, dense)
    draw = drawer(samples, Geometry(1, "same"), 40, Augmentation(warped=0.0), 0)
    assert draw.draws.tolist() == [0] + [1] * round(370 * 400 / 1600)
    sparse_ones = [n for n in range(50 * len(draw.draws)) if draw.sample_of(n) == 0]
    labels = [draw(number)[1] for number in sparse_ones]
    assert len(labels) == 50
    assert all((label != VOID).any() for label in labels)
    assert 5 < sum((label == 2).any() for label in labels) < 25  # 36 of 136 pixels
    dense_ones = [n for n in range(20) if draw.sample_of(n) == 1]
    before = [draw(number) for number in dense_ones]
    draw.shares = {}
    for tile, number in zip(before, dense_ones, strict=True):  # to the bit as if nothing were void
        for part, same in zip(tile, draw(number), strict=True):
            np.testing.assert_array_equal(part, same)


def test_of_a_picture_with_a_rim_of_void_every_known_pixel_may_be_a_centre():
    """And not those alone that were noted of each class."""
    label = np.zeros((600, 600), np.uint8)
    label[:120] = VOID
    samples = labelled(label)
    draw = drawer(samples, Geometry(1, "same"), 40, Augmentation(warped=0.0), 0)
    found = {int(draw._known(0, label, np.random.default_rng(n))[0]) for n in range(300)}
    assert min(found) >= 120 * 600
    assert len(found.difference(samples.fingerprints[0].places[0].tolist())) > 250


@pytest.mark.parametrize("known", [(-9999.0,), ()])
def test_tiles_hold_the_mean_of_the_training_images_where_nothing_was_measured(known):
    image = np.random.default_rng(0).normal(50, 9, (90, 90, 2)).astype(np.float32)
    image[:40, :50], image[60:70, 60:70, 1] = -9999, -9999
    label = np.zeros((90, 90), np.uint8)
    filled = np.where(image == -9999, np.float32([40, 60]), image)
    gaps = labelled(label, classes=1), labelled(label, classes=1)
    for samples, one, values in zip(gaps, (image, filled), ((-9999.0,), ()), strict=True):
        samples._load = lambda index, one=one, values=values: Sample("gaps", one, label, None, values)
    scales = [Normalisation((40.0, 60.0), (9.0, 9.0), "float32", values) for values in (known, ())]
    bent, net = Augmentation(rotation=30, scale=0.2, elastic=3), Geometry(1, "same")
    draws = [TileDraw(samples, scale, net, 60, bent, 0) for samples, scale in zip(gaps, scales, strict=True)]
    for number in range(5):
        np.testing.assert_array_equal(draws[0](number)[0], draws[1](number)[0])
    whole = [take(validation_dataset(*both, net, 60), None) for both in zip(gaps, scales, strict=True)]
    for tile, same in zip(*whole, strict=True):
        np.testing.assert_array_equal(tile[0], same[0])


def test_training_tiles_depend_on_seed_and_number_alone():
    samples, net, augmentation = make((64, 64), (64, 90)), Geometry(2), Augmentation(rotation=90, elastic=5)

    def tiles(seed, first, count):
        return take(training_dataset(drawer(samples, net, 84, augmentation, seed), 2, first), count)

    whole, rest, other = tiles(1, 0, 6), tiles(1, 4, 4), tiles(2, 0, 6)
    for batch, again in zip(whole[2:], rest, strict=True):
        for part, same in zip(batch, again, strict=True):
            np.testing.assert_array_equal(part, same)
    assert any((a[0] != b[0]).any() for a, b in zip(whole, other, strict=True))
    image, label, weight = whole[0]
    assert (image.shape, label.shape, weight.shape) == ((2, 84, 84, 1), (2, 44, 44), (2, 44, 44))
    assert (image.dtype, label.dtype, weight.dtype) == (np.float32, np.uint8, np.float32)


def test_a_tile_and_the_order_of_its_epoch_are_drawn_apart(monkeypatch):
    draw, states = drawer(make((64, 64)), Geometry(2), 84, Augmentation(), 1), []

    def default_rng(seed):
        states.append(np.random.SeedSequence(seed).generate_state(4).tolist())
        return np.random.Generator(np.random.PCG64(seed))

    monkeypatch.setattr(np.random, "default_rng", default_rng)
    draw(0)
    assert len(states) == 2
    assert states[0] != states[1]


def test_an_epoch_draws_large_images_more_often():
    assert draws_per_epoch(make((44, 44), (88, 88), (10, 10)), 44) == [0, 1, 1, 1, 1, 2]


def test_an_image_of_void_alone_is_not_drawn():
    samples = make((44, 44), (44, 44), (44, 88))
    pixels = np.zeros(3, np.int64), np.array([0, 9, 0]), np.array([1936, 1936, 0])
    samples.fingerprints[:] = [
        replace(one, class_pixels=some) for one, some in zip(samples.fingerprints, pixels, strict=True)
    ]
    assert draws_per_epoch(samples, 44) == [1, 2, 2]
    samples.fingerprints[2] = replace(samples.fingerprints[2], class_pixels=np.array([1936, 0, 0]))  # the rest is void
    assert draws_per_epoch(samples, 44) == [1, 2]


def test_another_pixel_type_or_colour_is_refused():
    with pytest.raises(InputError, match=r"a\.png holds uint16 pixels, and the net was trained on uint8"):
        PLAIN.apply(np.zeros((2, 2, 1), np.uint16), "a.png")
    with pytest.raises(InputError, match="has 3 channels, and the net was trained on 1"):
        PLAIN.apply(np.zeros((2, 2, 3), np.uint8))


def test_a_grey_image_serves_a_colour_net():
    normalisation = Normalisation((1.0, 2.0, 3.0), (1.0, 1.0, 1.0), "uint8")
    np.testing.assert_array_equal(normalisation.apply(np.full((1, 1, 1), 5, np.uint8)), [[[4, 3, 2]]])


def test_a_tile_larger_than_an_image_is_refused_with_the_next_that_fits():
    samples = make((60, 300), (100, 300))
    message = (
        r"The images in which three quarters of the tiles lie must hold .* gives 388x388 px: s0 is 60x300 \(and 1 more "
    )
    with pytest.raises(InputError, match=message + r"are too small\)\. Choose --tile 236 or less"):
        check_tile(samples.seen, Geometry(4), 572)
    check_tile(samples.seen, Geometry(4), 236)
    assert training_tile(samples.shapes, Geometry(4)) == 236


def test_the_training_tile_is_the_papers_where_it_fits():
    assert training_tile([(512, 512)], Geometry(4)) == 572
    assert training_tile([(512, 512)], Geometry(4, "same")) == 256


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("rare_share", [0.0, 1.0])
def test_what_a_tile_outputs_lies_inside_the_image(rare_share, flips):
    rows = np.repeat(np.arange(120, dtype=np.uint8)[:, None], 120, axis=1)
    samples = make((120, 120), classes=250)
    samples._load = lambda index: Sample("rows", rows[..., None], rows, None)
    draw = drawer(samples, Geometry(1, "same"), 76, Augmentation(warped=0.0, flips=flips), 0, rare_share)
    tops = set()
    for number in range(400):
        label = draw(number)[1][:, 0]
        label = label[::-1] if label[0] > label[1] else label
        np.testing.assert_array_equal(label, np.arange(label[0], label[0] + 76))  # nothing is mirrored in
        tops.add(int(label[0]))
    assert {0, 44} <= tops  # both borders, and places between
    assert len(tops) > 20


def test_an_image_that_is_smaller_than_a_tile_lies_in_its_middle():
    rows = np.repeat(np.arange(40, dtype=np.uint8)[:, None], 40, axis=1)
    samples = make((40, 40))
    samples._load = lambda index: Sample("rows", rows[..., None], rows, None)
    label = drawer(samples, Geometry(1, "same"), 60, Augmentation(warped=0.0, flips=False), 0)(0)[1][:, 0]
    np.testing.assert_array_equal(label[10:50], np.arange(40))


def rare(rare_share):
    """Tiles drawn from ten images, one of which has 16 pixels of class 2 and the others none."""
    labels = [np.tile(np.uint8([0, 1]), (100, 50)) for _ in range(10)]
    labels[3][40:44, 60:64] = 2
    decoded = [Decoded(label[..., None], label, None) for label in labels]
    fingerprints = [examine(one, 3, places=True) for one in decoded]
    samples = Samples(
        [Pair(str(i), Path(), Path()) for i in range(10)], fingerprints, Weighting(), "memory",
        lambda i: Sample(str(i), *decoded[i][:2], None),
    )  # fmt: skip
    draw = drawer(samples, Geometry(1), 36, Augmentation(), 0, rare_share)
    return np.mean([(draw(number)[1] == 2).any() for number in range(400)])


def test_rare_classes_appear_as_often_as_asked():
    assert rare(0.0) < 0.05
    assert rare(1.0) == pytest.approx(1 / 3, abs=0.08)  # one of three classes each time
    assert rare(0.5) == pytest.approx(1 / 6, abs=0.07)


def test_an_epoch_has_a_length_and_is_another_one_each_time_but_the_same_in_each_process():
    draw = drawer(make((64, 64), (64, 90)), Geometry(2), 84, Augmentation(), 5)
    dataset = epoch_dataset(draw, 2)
    assert len(dataset) == len(draw.draws) // 2
    first, second = list(dataset), list(dataset)
    assert len(first) == len(dataset)
    assert (first[0][0].numpy() != second[0][0].numpy()).any()
    again = list(epoch_dataset(draw, 2))
    np.testing.assert_array_equal(first[0][0], again[0][0])
    longer = epoch_dataset(draw, 2, steps=len(dataset) + 3)
    tiles = list(longer)
    assert len(tiles) == len(longer) == len(dataset) + 3
    np.testing.assert_array_equal(tiles[0][0], first[0][0])


def test_epochs_are_the_tiles_of_a_run_whatever_the_seed_of_tensorflow():
    draw = drawer(make((64, 64), (64, 90)), Geometry(2), 84, Augmentation(), 5)
    expected = take(training_dataset(draw, 2), 4)
    tf.random.set_seed(1)
    epoch = epoch_dataset(draw, 2, steps=2)
    found = [tuple(part.numpy() for part in batch) for batch in itertools.chain(epoch, epoch)]
    for one, other in zip(found, expected, strict=True):
        for part, wanted in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, wanted)


def test_tiles_need_not_be_in_order():
    draw = drawer(make((64, 64)), Geometry(2), 84, Augmentation(flips=False), 5)
    tiles = take(epoch_dataset(draw, 1, deterministic=False, steps=4), 4)
    assert {t[1].tobytes() for t in tiles} <= {draw(n)[1].tobytes() for n in range(40)}
