"""On real images, where UNET_TF_DATA names them."""

import shutil

import pytest

from unet_tf import check, evaluate, train
from unet_tf.metrics import scores

pytestmark = pytest.mark.realdata


@pytest.mark.slow
def test_a_minute_on_four_membrane_images_beats_otsu(realdata, tmp_path):
    """ISBI 2012: membranes are class 0; the four images after the four are the truth that counts."""
    for split, numbers in (("train", range(4)), ("val", range(4, 6)), ("test", range(6, 10))):
        for role in ("images", "masks"):
            (tmp_path / "data" / split / role).mkdir(parents=True)
            for number in numbers:
                name = f"{number:02d}.png"
                shutil.copy(realdata / "isbi2012" / role / name, tmp_path / "data" / split / role / name)
    run = train(
        tmp_path / "data", tmp_path / "run", classes="membrane,cell", base_filters=4, depth=3, padding="same",
        batch_size=4, minutes=0.7, learning_rate=3e-3,
    )  # fmt: skip
    result = evaluate(run, tmp_path / "data")
    assert len(result.per_file) == 4
    otsu = scores(result.baselines["Otsu threshold"])
    assert result.scores["iou"][0] > otsu["iou"][0] + 0.1
    assert result.mean_iou > otsu["mean_iou"]


def test_the_membrane_images_are_clean(realdata):
    findings = check(realdata / "isbi2012")
    assert findings.problems == []
    train, val = findings.splits["train"], findings.splits["val"]
    assert (train.pairs, val.pairs) == (24, 6)
    assert train.sizes + val.sizes == {(512, 512): 30}
    assert train.kinds + val.kinds == {"uint8 grey": 30}
    pixels = train.class_pixels + val.class_pixels
    assert pixels[0] / pixels.sum() == pytest.approx(0.220, abs=0.001)
