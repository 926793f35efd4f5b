import hashlib

import numpy as np
import pytest

from unet_tf.data.folder import read_pair
from unet_tf.data.instances import label_from_instances
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import read_image
from unet_tf.data.splits import find_splits
from unet_tf.data.synthetic import generate_cells, write_cells
from unet_tf.data.weight_map import border_weights, components
from unet_tf.errors import InputError
from unet_tf.evaluation.sums import otsu_label


def test_cells_touch_and_the_label_keeps_them_apart():
    _, instances = generate_cells(256, 256, seed=0)
    assert sorted(np.unique(instances)) == list(range(instances.max() + 1))
    different = (instances[:, 1:] != instances[:, :-1]) & (instances[:, 1:] > 0) & (instances[:, :-1] > 0)
    assert different.sum() > 50
    assert components(label_from_instances(instances)).max() >= instances.max()
    assert border_weights(instances).max() > 5


def test_a_threshold_does_not_segment_them():
    image, instances = generate_cells(256, 256, seed=0)
    cells, bright = label_from_instances(instances) == 1, otsu_label(image[..., None]) == 1
    assert max((cells & b).sum() / (cells | b).sum() for b in (bright, ~bright)) < 0.75


def test_the_same_seed_gives_the_same_files(tmp_path):
    def digest(folder):
        files = sorted(p for p in folder.rglob("*.png"))
        return [(str(p.relative_to(folder)), hashlib.sha256(p.read_bytes()).hexdigest()) for p in files]

    a, b, c = (
        digest(write_cells(tmp_path / n, {"train": 2, "test": 1}, 64, s)) for n, s in (("a", 1), ("b", 1), ("c", 2))
    )
    assert a == b != c
    assert len(a) == 9
    assert len({sha for name, sha in a if "images" in name}) == 3


def test_the_folder_is_one_that_training_reads(tmp_path):
    splits = find_splits(write_cells(tmp_path, {"train": 2, "val": 1, "test": 1}, 64))
    assert {name: len(pairs) for name, pairs in splits.items()} == {"train": 2, "val": 1, "test": 1}
    pair = splits["train"][0]
    instances = read_image(tmp_path / "train" / "instances" / f"{pair.name}.png")[..., 0]
    np.testing.assert_array_equal(read_pair(pair, MaskFormat()).label, label_from_instances(instances))


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match=r"32x32 px or more.*received 31x64"):
        generate_cells(31, 64)
