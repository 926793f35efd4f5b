import shutil

import numpy as np
import pytest

from unet_tf import check
from unet_tf.data.folder import write_picture
from unet_tf.errors import InputError


@pytest.fixture
def data(cells, tmp_path):
    return shutil.copytree(cells, tmp_path / "cells")


def test_a_clean_folder_has_facts_and_no_problem(cells):
    seen = []
    findings = check(cells, on_file=lambda done, total: seen.append((done, total)))
    assert findings.problems == []
    assert {name: facts.pairs for name, facts in findings.splits.items()} == {"train": 4, "val": 2, "test": 2}
    train = findings.splits["train"]
    assert train.sizes == {(96, 96): 4}
    assert train.kinds == {"uint8 grey": 4}
    assert train.class_pixels.sum() == 4 * 96 * 96
    np.testing.assert_allclose(findings.class_weights @ train.class_pixels, train.class_pixels.sum())
    assert seen == [(i, 8) for i in range(1, 9)]


def test_every_problem_is_listed(data):
    images, masks = data / "train" / "images", data / "train" / "masks"
    write_picture(masks / "cells_000.png", np.full((96, 96), 128, np.uint8))
    (images / "cells_001.png").write_bytes(b"")
    (masks / "cells_002.png").unlink()
    write_picture(images / "cells_003.png", np.zeros((96, 96), np.uint16))
    problems = "\n".join(check(data).problems)
    assert "cells_000.png is not binary" in problems
    assert "cells_001.png is empty" in problems
    assert "images without a mask" in problems
    assert "one pixel type; found uint16, uint8" in problems


def test_a_class_without_pixels_is_a_problem(cells):
    problems = check(cells, num_classes=3).problems  # 255 is void there
    assert problems == ["Every class has pixels in the training masks; none has class 1, 2."]


def test_an_image_smaller_than_any_tile_is_a_problem(data):
    for role in ("images", "masks"):
        write_picture(data / "train" / role / "cells_000.png", np.zeros((1, 7), np.uint8))
    assert check(data).problems == [
        "Every training image holds the output of a tile, 4x4 px at least with depth 4; found 1x7. "
        "Remove it, or choose a smaller --depth."
    ]


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="There is no folder"):
        check(tmp_path / "nowhere")
