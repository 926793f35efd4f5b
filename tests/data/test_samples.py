import gc
import logging

import numpy as np
import pytest
import tifffile

from unet_tf.data import samples as samples_module
from unet_tf.data.fingerprint import examine, measure_normalisation
from unet_tf.data.folder import Decoded, Pair
from unet_tf.data.layout import find_named
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import write_picture
from unet_tf.data.samples import choose_cache, read_samples
from unet_tf.data.weight_map import Weighting, border_weights, components
from unet_tf.errors import InputError
from unet_tf.utils.memory import free_memory

BINARY = MaskFormat("binary")


def fingerprints_of(*images):
    return [examine(Decoded(image, np.zeros(image.shape[:2], np.uint8), None), 2) for image in images]


def test_normalisation_is_the_mean_and_deviation_of_all_pixels():
    images = [np.full((2, 3, 1), 10, np.uint8), np.full((4, 3, 1), 40, np.uint8)]
    found = measure_normalisation(fingerprints_of(*images))
    pixels = np.array([10] * 6 + [40] * 12)
    assert found.mean == (pytest.approx(30.0),)
    assert found.std == (pytest.approx(pixels.std()),)
    np.testing.assert_allclose(found.apply(images[1]), (40 - 30) / pixels.std(), rtol=1e-6)
    assert measure_normalisation(fingerprints_of(np.full((2, 2, 1), 7, np.uint8))).std == (1.0,)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int64, np.uint32, np.float32, np.float64])
def test_every_pixel_type_is_measured_alike(dtype):
    values = np.random.default_rng(0).integers(0, 200, (9, 7, 3))
    found = measure_normalisation(fingerprints_of(values.astype(dtype)))
    np.testing.assert_allclose(found.mean, values.mean((0, 1)))
    np.testing.assert_allclose(found.std, values.std((0, 1)))


def test_grey_images_among_colour_count_in_each_channel():
    grey, colour = np.full((2, 2, 1), 10, np.uint8), np.full((2, 2, 3), (0, 20, 50), np.uint8)
    found = measure_normalisation(fingerprints_of(grey, colour))
    np.testing.assert_allclose(found.mean, [5, 15, 30])
    np.testing.assert_allclose(found.std, [5, 5, 20])
    assert found.apply(grey).shape == (2, 2, 3)


def test_the_same_pixels_have_one_identity_whatever_their_file(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (9, 7, 1), dtype=np.uint8)
    a, b, c, d = fingerprints_of(image, image.copy(), image.reshape(7, 9, 1), image.astype(np.uint16))
    assert a.sha256 == b.sha256
    assert len({a.sha256, c.sha256, d.sha256}) == 3


def test_places_of_a_class_are_pixels_of_it_in_four_bytes_each():
    label = (np.arange(100 * 80).reshape(80, 100) % 3 == 0).astype(np.uint8)
    found = examine(Decoded(label[..., None], label, None), 2, places=True).places
    assert [(places.size, places.dtype) for places in found] == [(2048, np.uint32)] * 2
    assert [set(label.ravel()[places]) for places in found] == [{0}, {1}]


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
@pytest.mark.parametrize("weighting", [Weighting(), Weighting(balance=True, w0=10)])
def test_samples_are_the_same_wherever_they_are_kept(cells, cache, weighting):
    pairs = find_named(cells / "train").splits[""]
    seen = []
    kept = read_samples(pairs, BINARY, weighting, cache=cache, on_file=lambda: seen.append(1))
    assert (kept.cache, len(seen)) == (cache, 4)
    for number, expected in enumerate(read_samples(pairs, BINARY, weighting, cache="memory")):
        found = kept[number]
        assert found.name == expected.name == pairs[number].name
        for part, same in zip(found[1:3], expected[1:3], strict=True):
            np.testing.assert_array_equal(part, same)
        if weighting.w0:
            np.testing.assert_array_equal(found.border, border_weights(components(found.label)) * (found.label == 0))
        else:
            assert found.border is None


def test_the_cache_follows_what_is_free_and_is_said(cells, monkeypatch, caplog):
    pairs = find_named(cells / "train").splits[""]
    caplog.set_level(logging.INFO, "unet_tf")
    need = 4 * 96 * 96 * 2
    for memory, disk, expected in ((3 * need, 0, "memory"), (need, 2 * need, "disk"), (need, need, "none")):
        monkeypatch.setattr(samples_module, "free_memory", lambda memory=memory: memory)
        monkeypatch.setattr(samples_module.shutil, "disk_usage", lambda path, disk=disk: type("U", (), {"free": disk}))
        assert choose_cache(pairs, BINARY, Weighting()) == expected
    said = [record.getMessage() for record in caplog.records]
    assert "4 pairs take about 0 MB decoded, kept in memory" in said[0]
    assert "kept on disk, in " in said[1]
    assert "decoded again for each tile" in said[2]
    assert choose_cache(pairs, BINARY, Weighting(), "disk") == "disk"
    with pytest.raises(InputError, match="A cache must be one of auto, memory, disk, none; received 'ram'"):
        choose_cache(pairs, BINARY, Weighting(), "ram")


def test_a_few_large_files_count_in_what_is_needed_though_none_of_them_is_read(tmp_path, caplog):
    caplog.set_level(logging.INFO, "unet_tf")
    rng = np.random.default_rng(0)
    for number in range(20):
        side = 1000 if number == 10 else 50
        write_picture(tmp_path / "images" / f"{number:02}.png", rng.integers(0, 256, (side, side), dtype=np.uint8))
        write_picture(tmp_path / "masks" / f"{number:02}.png", np.zeros((side, side), np.uint8))
    pairs = find_named(tmp_path).splits[""]
    choose_cache(pairs, BINARY, Weighting())
    assert "20 pairs take about 2 MB decoded" in caplog.messages[-1]
    pairs[10].image.unlink()  # whoever reads it says so
    choose_cache(pairs, BINARY, Weighting())
    assert "20 pairs take about 0 MB decoded" in caplog.messages[-1]


def test_a_page_takes_its_part_of_the_file(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 40, 40), np.uint8), photometric="minisblack")
    (tmp_path / "b.tif").write_bytes(b"x" * 100)
    size = (tmp_path / "a.tif").stat().st_size
    stack = [Pair(f"a_{page}", tmp_path / "a.tif", tmp_path / "mask.tif", page) for page in range(5)]
    assert samples_module._stored(stack) == [size / 5] * 5
    both = Pair("c", tmp_path / "a.tif", tmp_path / "mask.tif", others=(tmp_path / "b.tif", tmp_path / "gone.tif"))
    assert samples_module._stored([both]) == [size + 100]


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_samples_know_what_stands_for_no_measurement_wherever_they_are_kept(tmp_path, cache):
    image = np.random.default_rng(0).random((20, 30), np.float32)
    image[:4] = -9999
    tifffile.imwrite(tmp_path / "a.tif", image)
    write_picture(tmp_path / "a_mask.png", np.full((20, 30), 255, np.uint8))
    sample = read_samples([Pair("a", tmp_path / "a.tif", tmp_path / "a_mask.png")], BINARY, cache=cache)[0]
    assert sample.nodata == (-9999.0,)
    np.testing.assert_array_equal(sample.image[..., 0], image)


def test_free_memory_is_less_than_the_machine_has():
    assert 1 << 20 < free_memory() < 1 << 44


def test_the_disk_cache_goes_with_its_samples(cells, tmp_path, monkeypatch):
    monkeypatch.setattr(samples_module.tempfile, "tempdir", str(tmp_path))
    kept = read_samples(find_named(cells / "val").splits[""], BINARY, cache="disk")
    assert len(list(tmp_path.glob("unet_tf-*/*.npy"))) == 4
    del kept
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [(OSError(28, "No space left on device"), "No space left"), (OSError("9216 requested and 12 written"), "12 writt")],
)
def test_a_full_disk_is_said_and_leaves_no_cache(cells, tmp_path, monkeypatch, error, reason):
    def save(path, array):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(samples_module.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(samples_module.np, "save", save)
    with pytest.raises(InputError, match=rf"cannot take 9216 bytes more: .*{reason}.*TMPDIR, .*--cache none"):
        read_samples(find_named(cells / "val").splits[""], BINARY, cache="disk")
    assert list(tmp_path.iterdir()) == []


def test_weight_maps_are_balanced_by_the_training_pixels(cells):
    weighting = Weighting(balance=True)
    train = read_samples(find_named(cells / "train").splits[""], BINARY, weighting)
    total = sum(train.weight(sample.label, sample.border).sum() for sample in train)
    assert total == pytest.approx(train.class_pixels.sum(), rel=1e-5)
    other = read_samples(find_named(cells / "val").splits[""], BINARY, weighting, train)
    np.testing.assert_array_equal(other.class_weights, train.class_weights)
    assert other.class_weights[255] == 0


def test_borders_are_background_between_the_objects_of_an_instance_mask(tmp_path):
    ids = np.zeros((20, 20), np.uint16)
    ids[5:15, 2:9], ids[5:15, 9:16] = 300, 7
    write_picture(tmp_path / "images" / "a.png", np.zeros((20, 20), np.uint8))
    write_picture(tmp_path / "masks" / "a.png", ids)
    sample = read_samples(find_named(tmp_path).splits[""], MaskFormat("instance"), Weighting(w0=10))[0]
    assert (sample.border[sample.label == 1] == 0).all()
    assert sample.label[10, 8:10].tolist() == [0, 0]
    assert sample.border[10, 8] == pytest.approx(10 * np.exp(-(3**2) / 50))  # 1 px to one cell, 2 to the other


def test_void_weighs_nothing_where_there_are_borders():
    label = np.array([[1, 0, 255, 0, 1]], np.uint8)
    fingerprints = [examine(Decoded(label[..., None], label, None), 2)]
    samples = samples_module.Samples([], fingerprints, Weighting(w0=10), "memory", lambda n: None)
    weight = samples.weight(label, np.full((1, 5), 3, np.float32))
    assert weight.tolist() == [[4, 4, 0, 4, 4]]


def test_another_pixel_type_or_colour_than_in_training_is_refused(tmp_path):
    for name, image in (("a", np.zeros((4, 4), np.uint8)), ("b", np.zeros((4, 4), np.uint16))):
        write_picture(tmp_path / "images" / f"{name}.png", image)
        write_picture(tmp_path / "masks" / f"{name}.png", np.zeros((4, 4), np.uint8))
    a, b = find_named(tmp_path).splits[""]
    with pytest.raises(InputError, match=r"one pixel type; found uint8 .*a\.png\), uint16 .*b\.png\)"):
        read_samples([a, b], BINARY)
    train = read_samples([a], BINARY)
    write_picture(b.image, np.random.default_rng(0).integers(0, 255, (4, 4, 3), dtype=np.uint8))
    with pytest.raises(InputError, match=r"channels of the training images, which are grey; .*b\.png is in colour"):
        read_samples([b], BINARY, like=train)


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_a_part_of_samples_is_read_from_the_cache_of_all(cells, cache):
    pool = read_samples(find_named(cells / "train").splits[""], BINARY, cache=cache)
    expected = [pool[number].image for number in (3, 1)]
    part = pool.part([3, 1])
    del pool
    gc.collect()
    assert [pair.name for pair in part.pairs] == ["cells_003", "cells_001"]
    for sample, image in zip(part, expected, strict=True):
        np.testing.assert_array_equal(sample.image, image)
