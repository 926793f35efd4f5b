"""On real images, where UNET_TF_DATA names them."""

import json
import shutil

import numpy as np
import pytest

from unet_tf import check, evaluate, read_mask, train
from unet_tf.data.layout import find_named
from unet_tf.evaluation.metrics import scores

pytestmark = pytest.mark.realdata


@pytest.mark.slow
def test_a_few_steps_on_four_membrane_images_beat_otsu(realdata, tmp_path):
    """ISBI 2012: membranes are class 0; the four images after the four are the truth that counts."""
    for split, numbers in (("train", range(4)), ("val", range(4, 6)), ("test", range(6, 10))):
        for role in ("images", "masks"):
            (tmp_path / "data" / split / role).mkdir(parents=True)
            for number in numbers:
                name = f"{number:02d}.png"
                shutil.copy(realdata / "isbi2012" / role / name, tmp_path / "data" / split / role / name)
    run = train(
        tmp_path / "data", tmp_path / "run", classes="membrane,cell", base_filters=4, depth=3, padding="same",
        batch_size=4, tile=128, precision="float32", epochs=4, steps_per_epoch=40, learning_rate=3e-3,
    )  # fmt: skip
    result = evaluate(run, tmp_path / "data")
    assert len(result.per_file) == 4
    otsu = scores(result.baselines["Otsu threshold"])
    assert result.scores["iou"][0] > otsu["iou"][0] + 0.1  # 0.158 to 0.164 by three seeds
    assert result.mean_iou > otsu["mean_iou"]


def test_the_membrane_images_are_clean(realdata):
    findings = check(realdata / "isbi2012")
    assert findings.problems == findings.warnings == []
    assert (findings.masks.kind, findings.tile) == ("binary", 256)
    train, val = findings.splits["train"], findings.splits["val"]
    assert (train.pairs, val.pairs) == (24, 6)
    assert train.sizes + val.sizes == {(512, 512): 30}
    assert train.kinds + val.kinds == {"uint8 grey": 30}
    pixels = train.class_pixels + val.class_pixels
    assert pixels[0] / pixels.sum() == pytest.approx(0.220, abs=0.001)


def test_the_nuclei_are_recognised_as_objects(realdata):
    listed = json.loads((realdata / "dsb2018" / "index.json").read_text())
    findings = check(realdata / "dsb2018")
    assert findings.problems == []
    assert findings.masks.kind == "instance"
    assert sum(facts.pairs for facts in findings.splits.values()) == len(listed) == 224
    assert sum(facts.objects for facts in findings.splits.values()) == sum(one["instances"] for one in listed)


def test_the_streets_are_read_by_their_palette(realdata):
    findings = check(realdata / "camvid_small")
    assert findings.problems == []
    assert findings.classes == tuple(
        "sky building pole road pavement tree signsymbol fence car pedestrian bicyclist".split()
    )
    assert {name: facts.pairs for name, facts in findings.splits.items()} == {"train": 60, "val": 20, "test": 20}
    # Two frames twelve seconds apart, the camera standing at a traffic light.
    assert (
        "once nearly the same image twice in a split: test/Seq05VD_f02160 = test/Seq05VD_f02520." in findings.warnings
    )
    masks = findings.masks
    for pair in find_named(realdata / "camvid_small" / "test").splits[""]:
        picture = read_mask(pair.mask)
        np.testing.assert_array_equal(masks.mask(masks.label(picture)), picture)


def test_nuclei_train_with_their_rims_or_with_borders_between_those_that_touch(realdata, tmp_path):
    for role in ("images", "labels"):
        (tmp_path / "data" / role).mkdir(parents=True)
        for path in sorted((realdata / "dsb2018" / role).iterdir())[:6]:
            shutil.copy(path, tmp_path / "data" / role)
    few = {"base_filters": 2, "depth": 2, "epochs": 1, "steps_per_epoch": 2}
    run = train(tmp_path / "data", tmp_path / "rims", **few)
    assert (run.masks.kind, run.config.border_class, run.config.border_weight) == ("instance", 1, 0.0)
    run = train(tmp_path / "data", tmp_path / "weights", border_class=0, **few)
    assert (run.masks.kind, run.config.border_weight) == ("instance", 10.0)
    assert (run.path / "weights.png").is_file()
