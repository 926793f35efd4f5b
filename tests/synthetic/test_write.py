import hashlib
import re

import numpy as np
import pytest

from unet_tf import check
from unet_tf.data.folder import read_pair
from unet_tf.data.instances import label_from_instances
from unet_tf.data.layout import find_named
from unet_tf.data.masks import MaskFormat
from unet_tf.data.pictures import read_image
from unet_tf.errors import InputError
from unet_tf.evaluation.sums import otsu_label
from unet_tf.synthetic.membranes import generate_membranes
from unet_tf.synthetic.write import KINDS, write_synthetic


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_what_its_seed_says_and_no_threshold_segments_it(kind):
    generate = KINDS[kind].generate
    image, truth = generate(160, 128, 3)
    assert image.dtype == np.uint8
    assert image.shape[:2] == truth.shape == (160, 128)
    again, other = generate(160, 128, 3), generate(160, 128, 4)
    assert (image == again[0]).all()
    assert (truth == again[1]).all()
    assert (image != other[0]).any()
    label = label_from_instances(truth) if kind == "cells" else truth
    grey = image if image.ndim == 2 else image.mean(-1).astype(np.uint8)
    bright = otsu_label(grey[..., None]) == 1
    overlaps = [((label > 0) & one).sum() / ((label > 0) | one).sum() for one in (bright, ~bright)]
    assert max(overlaps) < 0.85


@pytest.mark.parametrize("kind", KINDS)
def test_a_size_or_a_seed_that_is_none_is_refused(kind, tmp_path):
    with pytest.raises(InputError, match="32x32 px or more; received 31x64"):
        KINDS[kind].generate(31, 64, 0)
    for seed in (-1, 0.5):
        with pytest.raises(InputError, match=f"seed must be a whole number, 0 or more; received {seed}"):
            KINDS[kind].generate(64, 64, seed)
        with pytest.raises(InputError, match=f"seed must be a whole number, 0 or more; received {seed}"):
            write_synthetic(tmp_path / kind, kind, {"train": 1}, 64, seed)
    assert not (tmp_path / kind).exists()


@pytest.mark.parametrize("spacing", [0, -1, 1e-3, 129, 1e300, np.inf, np.nan])
def test_membranes_that_no_pixel_parts_or_no_image_shows_are_refused(spacing):
    with pytest.raises(InputError, match=re.escape(f"1 to 128 px in an image of 64x48; received {spacing}.")):
        generate_membranes(64, 48, spacing=spacing)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_makes_a_folder_that_the_doctor_passes(kind, tmp_path):
    findings = check(write_synthetic(tmp_path / kind, kind, {"train": 3, "val": 1}, 96, seed=5))
    assert not findings.problems
    assert findings.classes == (("soil", "crop", "weed") if kind == "crops" else ("background", "foreground"))


def test_the_same_seed_gives_the_same_files(tmp_path):
    def digest(folder):
        files = sorted(p for p in folder.rglob("*.png"))
        return [(str(p.relative_to(folder)), hashlib.sha256(p.read_bytes()).hexdigest()) for p in files]

    a, b, c = (
        digest(write_synthetic(tmp_path / n, "cells", {"train": 2, "test": 1}, 64, s))
        for n, s in (("a", 1), ("b", 1), ("c", 2))
    )
    assert a == b != c
    assert len(a) == 9
    assert len({sha for name, sha in a if "images" in name}) == 3


def test_the_folder_is_one_that_training_reads(tmp_path):
    splits = find_named(write_synthetic(tmp_path, "cells", {"train": 2, "val": 1, "test": 1}, 64)).check()
    assert {name: len(pairs) for name, pairs in splits.items()} == {"train": 2, "val": 1, "test": 1}
    pair = splits["train"][0]
    instances = read_image(tmp_path / "train" / "instances" / f"{pair.name}.png")[..., 0]
    np.testing.assert_array_equal(read_pair(pair, MaskFormat()).label, label_from_instances(instances))


def test_a_count_below_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="0 images or more; received -1 of train"):
        write_synthetic(tmp_path / "cracks", "cracks", {"val": 2, "train": -1}, 32)
    assert not (tmp_path / "cracks").exists()


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(InputError, match="cells, membranes, roads, vessels, cracks, crops; received 'cats'"):
        write_synthetic(tmp_path / "cats", "cats", {"train": 1})
    assert not (tmp_path / "cats").exists()
