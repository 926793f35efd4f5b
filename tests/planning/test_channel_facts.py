"""The doctor's table of channels."""

import numpy as np
import tifffile

from unet_tf.data.pictures import write_picture
from unet_tf.planning.channel_facts import channel_rows
from unet_tf.planning.doctor import check


def data_of(folder, images, **options):
    (folder / "images").mkdir()
    for number, image in enumerate(images):
        tifffile.imwrite(folder / f"images/{number}.tif", image, photometric="minisblack", metadata=None, **options)
        write_picture(folder / f"masks/{number}.png", np.eye(32, dtype=np.uint8) * 255)
    return folder


def test_each_channel_has_its_facts_over_all_measured_pixels_of_training(tmp_path):
    images = np.random.default_rng(0).normal(5, 2, (4, 32, 32, 4)).astype(np.float32)
    images[..., 2] *= 1000
    images[0, :3] = -9999
    found = check(data_of(tmp_path, images, planarconfig="contig"), classes=2, val_share=0.0)
    pixels = np.concatenate([images[0, 3:].reshape(-1, 4), images[1:].reshape(-1, 4)]).astype(np.float64)
    facts = np.array([one[1:] for one in found.channels])
    assert [one.name for one in found.channels] == ["0", "1", "2", "3"]
    expected = np.stack([pixels.mean(0), pixels.std(0), pixels.min(0), pixels.max(0)], 1)
    np.testing.assert_allclose(facts, expected, rtol=1e-5)
    assert found.shown == "channels 0, 1, 2 of 4 as red, green, blue"
    assert channel_rows(found.channels)[0] == ("channel", "mean", "std", "min", "max")
    assert found.to_json()["channels"][2]["name"] == "2"


def test_the_channels_that_are_picked_are_those_of_the_table(tmp_path):
    images = np.random.default_rng(0).integers(0, 99, (3, 32, 32, 5), dtype=np.uint8)
    data = data_of(tmp_path, images, planarconfig="contig")
    assert [one.name for one in check(data, classes=2, channels="4,1").channels] == ["4", "1"]


def test_channels_that_differ_are_a_problem_with_both_files_and_counts(tmp_path):
    images = [np.random.default_rng(0).integers(0, 99, (32, 32, count), dtype=np.uint8) for count in (4, 5, 4)]
    found = check(data_of(tmp_path, images, planarconfig="contig"), classes=2, val_share=0.0)
    assert len([one for one in found.problems if "0.tif has 4 (0, 1, 2, 3); " in one and "1.tif has 5 (0," in one]) == 1
    assert found.channels == channel_rows(found.channels) == []
